//! `sealtape storage`: media stores as a whole.
//!
//! `copy` is told of here: what there is to do, and what became of it. Several objects are copied at once, in
//! `storage_copy`; what each of them goes through is in [`crate::service::Copying`].

use std::{io, io::IsTerminal, num::NonZeroU64, process::ExitCode, sync::Arc};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::{
    Failure, Global,
    encrypt::rate,
    import::obey_signals,
    open::{StorePlace, System},
    print,
    record::Record,
    storage_copy::{Outcome, Run},
};
use crate::audit::{Event, EventKind};
use crate::service::{
    Copied, CopyError as Error, CopyExtent, CopyParts, CopyWishes, Copying, LeftBehind as Left, Proof, RatePace, Stop,
};

/// How many things of a kind are named to people; a document names all.
const NAMED_MAX: usize = 20;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Copy an archive to another media store, verified; can be stopped at any moment and run again
    Copy(CopyArguments),
}

#[derive(Args)]
pub(super) struct CopyArguments {
    /// The store to copy from, such as file:///srv/media [default: the one of the settings, storage.url]
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// The store to copy to; a folder is made when it is missing
    #[arg(long, value_name = "URL")]
    to: String,
    /// How much is copied in a second at most, such as 50MB/s [default: as much as can be]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    rate: Option<NonZeroU64>,
    /// Compare what is there already from its first byte to its last, and not at both its ends only
    #[arg(long)]
    recheck: bool,
    /// Copy what does not verify as it is, instead of leaving it out
    #[arg(long)]
    damaged: bool,
    /// Only say what there would be to do
    #[arg(long)]
    dry_run: bool,
}

/// What was done.
#[derive(Default)]
struct Tally {
    copied: u64,
    bytes: u64,
    by_tags: u64,
    by_digest: u64,
    took_place: u64,
    already: u64,
    already_bytes: u64,
    being_written: Vec<String>,
    damaged: Vec<String>,
    left: Vec<(String, &'static str)>,
    failed: Vec<(String, String)>,
    only_at_target: Vec<String>,
    /// Why not all were begun.
    ended_by: Option<Failure>,
}

pub(super) async fn run(global: &Global, command: Command) -> Result<ExitCode, Failure> {
    let Command::Copy(arguments) = command;
    let system = System::open(global).await?;
    let outcome = copy(global, &system, arguments).await;
    system.close(outcome).await
}

async fn copy(global: &Global, system: &System, arguments: CopyArguments) -> Result<ExitCode, Failure> {
    let CopyArguments { from, to, rate, recheck, damaged, dry_run } = arguments;
    let from = match &from {
        Some(url) => StorePlace::named(url, "--from", &system.settings)?,
        None => system.store_place(),
    };
    let to = StorePlace::named(&to, "--to", &system.settings)?;
    let ends = Ends { from: from.url.clone(), to: to.url.clone() };
    ends.expect_apart()?;
    // An empty one stands in for one that is not made yet, where it is only looked.
    let stand_in = if dry_run && !to.is_there() { Some(tempfile::tempdir().map_err(Failure::new)?) } else { None };
    let to = match &stand_in {
        Some(folder) => StorePlace::of(folder.path()),
        None => to,
    };
    let parts = CopyParts {
        database: Arc::clone(&system.database),
        keys: system.keys().await?,
        clock: Arc::clone(&system.clock),
        from: from.open(false)?,
        to: to.open(!dry_run)?,
    };
    let wishes = CopyWishes { recheck, damaged };
    let (sender, stop) = Stop::channel();
    obey_signals(sender)?;
    if dry_run {
        let copying = Copying::look(parts, wishes);
        let extent = copying.extent().await.map_err(Failure::from)?;
        let (run, mut tally) = (Run::new(copying, RatePace::new(None), stop.clone(), |_| {}), Tally::default());
        Arc::new(run).go(true, |location, outcome| tally.add(location, outcome)).await?;
        return tally.report(global, &ends, extent, stop.is_asked(), true);
    }
    let record = Record::open(system).await?;
    let copying = Copying::begin(parts, wishes).await?;
    let extent = copying.extent().await.map_err(Failure::from)?;
    let event = |outcome: &str| Event {
        detail: Some(format!("from {} to {}", ends.from, ends.to)),
        outcome: Some(outcome.into()),
        ..record.event(EventKind::StorageCopy)
    };
    record.write(event("begun")).await?;
    let bar = progress_bar(extent.media_len);
    let heard = bar.clone();
    let run = Arc::new(Run::new(copying, RatePace::new(rate), stop.clone(), move |bytes| heard.inc(bytes)));
    let mut tally = Tally::default();
    let gone = run.go(false, |location, outcome| bar.suspend(|| tally.add(location, outcome))).await;
    bar.finish_and_clear();
    gone?;
    if !stop.is_asked() && tally.ended_by.is_none() {
        tally.only_at_target = run.copying.only_at_target().await.map_err(Failure::from)?;
    }
    let event = event(tally.outcome(stop.is_asked()));
    record.write(Event { count: Some(tally.copied), bytes: Some(tally.bytes), ..event }).await?;
    tally.report(global, &ends, extent, stop.is_asked(), false)
}

/// The URLs of both stores.
struct Ends {
    from: String,
    to: String,
}

impl Ends {
    /// A store within another one would be copied into itself.
    fn expect_apart(&self) -> Result<(), Failure> {
        let [from, to] = [&self.from, &self.to].map(|url| format!("{}/", url.trim_end_matches('/')));
        if from.starts_with(&to) || to.starts_with(&from) {
            return Err(Failure::new(format!("{} and {} are one store, or one lies in the other", self.from, self.to))
                .advise("name another place with --to"));
        }
        Ok(())
    }
}

impl Tally {
    /// Takes in what became of one; whether others may be begun.
    fn add(&mut self, location: String, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Copied(Copied::Done { bytes, proof, took_place, is_damaged }) => {
                self.copied += 1;
                self.bytes += bytes;
                self.took_place += u64::from(took_place);
                match proof {
                    Proof::Tags => self.by_tags += 1,
                    Proof::Digest => self.by_digest += 1,
                }
                if is_damaged {
                    self.damaged.push(location);
                }
            }
            Outcome::Copied(Copied::Already { bytes }) => {
                self.already += 1;
                self.already_bytes += bytes;
            }
            Outcome::Copied(Copied::Left(Left::BeingWritten)) => {
                print::error_line(&format!("{location}: it is being written now, and was left for another run"));
                self.being_written.push(location);
            }
            Outcome::Copied(Copied::Left(Left::Gone)) => {}
            Outcome::Copied(Copied::Left(left)) => self.left.push((location, reason(left))),
            Outcome::Stranger(what) => self.left.push((location, what)),
            Outcome::Failed(Error::Stopped) => {}
            Outcome::Failed(error) => {
                let failure = Failure::from(error).of(&location);
                failure.print();
                self.failed.push((location, failure.what().to_owned()));
            }
            Outcome::Ends(failure) => {
                if self.ended_by.is_none() {
                    self.ended_by = Some(failure.of(location));
                } else {
                    failure.of(location).print();
                }
            }
        }
        self.ended_by.is_none()
    }

    /// As the playback record says it.
    fn outcome(&self, is_stopped: bool) -> &'static str {
        match (&self.ended_by, is_stopped, self.failed.is_empty()) {
            (Some(_), ..) => "failed",
            (None, true, _) => "stopped",
            (None, false, false) => "some failed",
            (None, false, true) => "done",
        }
    }

    fn report(
        self,
        global: &Global,
        ends: &Ends,
        extent: CopyExtent,
        is_stopped: bool,
        is_dry: bool,
    ) -> Result<ExitCode, Failure> {
        if global.json {
            print::json(&self.document(ends, extent, is_stopped, is_dry))?;
        } else {
            self.tell(ends, extent, is_dry)?;
        }
        if let Some(failure) = self.ended_by {
            return Err(failure);
        }
        if is_stopped {
            Failure::new("stopped").advise("nothing is lost; run it again to go on").print();
            return Ok(ExitCode::FAILURE);
        }
        Ok(match (self.failed.len(), self.copied + self.already) {
            (0, _) => ExitCode::SUCCESS,
            (_, 0) => ExitCode::FAILURE,
            _ => ExitCode::from(3),
        })
    }

    fn document(&self, ends: &Ends, extent: CopyExtent, is_stopped: bool, is_dry: bool) -> Value {
        let pairs = |name: &str, pairs: Vec<(&String, &str)>| -> Vec<Value> {
            pairs.into_iter().map(|(location, why)| json!({ "location": location, name: why })).collect()
        };
        json!({
            "from": ends.from, "to": ends.to, "dry_run": is_dry, "copied": self.copied, "bytes": self.bytes,
            "verified": { "tags": self.by_tags, "digest": self.by_digest }, "took_place": self.took_place,
            "already": self.already, "already_bytes": self.already_bytes, "being_written": self.being_written,
            "damaged": self.damaged,
            "left": pairs("why", self.left.iter().map(|(location, why)| (location, *why)).collect()),
            "failed": pairs("reason", self.failed.iter().map(|(location, why)| (location, why.as_str())).collect()),
            "only_at_target": self.only_at_target, "outside": extent.outside, "spooled": extent.spooled,
            "stopped": is_stopped,
        })
    }

    fn tell(&self, ends: &Ends, extent: CopyExtent, is_dry: bool) -> Result<(), Failure> {
        let (copied, size) = (self.copied, print::size(self.bytes));
        if is_dry {
            print::line(&format!("{copied} object(s), {size}, would be copied to {}.", ends.to))?;
        } else {
            print::line(&format!("{copied} object(s), {size}, copied to {}, and read back:", ends.to))?;
            print::line(&format!(
                "  {} by header and every tag, {} by length and SHA-256",
                self.by_tags, self.by_digest
            ))?;
        }
        if self.took_place > 0 {
            print::line(&format!("{} of them took the place of older headers or sealings.", self.took_place))?;
        }
        if self.already > 0 {
            print::line(&format!("{} object(s), {}, were there.", self.already, print::size(self.already_bytes)))?;
        }
        let left: Vec<String> = self.left.iter().map(|(location, why)| format!("{location}: {why}")).collect();
        name(&left, "stay where they are")?;
        name(&self.damaged, "do not verify, and were copied as they are")?;
        name(&self.only_at_target, "are at the target and not at the source (purged or sealed since, or of others)")?;
        if extent.outside > 0 {
            print::line(&format!(
                "{} plain recording(s) lie outside the store, where they were catalogued, and stay there.",
                extent.outside
            ))?;
        }
        if extent.spooled > 0 {
            print::line(&format!("{} recording(s) wait in the spool of a proxy for their store.", extent.spooled))?;
        }
        if !is_dry {
            print::line("Servers and commands go on with the store of their settings until storage.url is changed.")?;
        }
        Ok(())
    }
}

/// Some of what there is of a kind.
fn name(things: &[String], what: &str) -> Result<(), Failure> {
    if things.is_empty() {
        return Ok(());
    }
    print::line(&format!("{} object(s) {what}:", things.len()))?;
    for thing in things.iter().take(NAMED_MAX) {
        print::line(&format!("  {thing}"))?;
    }
    if things.len() > NAMED_MAX {
        print::line("  … (--json names all)")?;
    }
    Ok(())
}

fn reason(left: Left) -> &'static str {
    match left {
        Left::BeingWritten => "it is being written now",
        Left::Gone => "it was removed meanwhile",
        Left::LeftOver => "a killed command left it, and nothing needs it",
        Left::OtherKind => "the catalogue has the recording in the other kind, sealed or plain",
        Left::NotGiven => "the store does not give it out",
    }
}

/// A bar on a terminal, nothing of the kind in a pipe: of bytes that are written and read back.
fn progress_bar(media_len: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(2 * media_len);
    let template = "{bytes:>11} {wide_bar} {binary_bytes_per_sec} {eta}";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
