//! `sealtape encrypt`: seals recordings that are stored in plain.
//!
//! What each recording goes through is in [`crate::service::Maintenance`]; here is what there is to do, and what is
//! told of it. Several are sealed at once, in `encrypt_files`.

use std::{
    io::{self, IsTerminal},
    num::NonZeroU64,
    process::ExitCode,
    sync::Arc,
};

use clap::{ArgGroup, Args};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{
    Failure, Global,
    encrypt_files::{Outcome, Run},
    import::obey_signals,
    open::System,
    print,
    record::Record,
};
use crate::base::{Fingerprint, RecordingId};
use crate::catalogue::PlainCount;
use crate::service::{Maintenance, MaintenanceError as Error, RatePace, Selection, Stop};

#[derive(Args)]
#[command(group(ArgGroup::new("which").required(true)))]
pub(super) struct Arguments {
    /// The recordings, also those that are exempt
    #[arg(value_name = "ID", group = "which")]
    ids: Vec<RecordingId>,
    /// All that are stored in plain and are not exempt
    #[arg(long, group = "which")]
    all: bool,
    /// How much media is sealed in a second at most, such as 50MB/s [default: as much as can be]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    rate: Option<NonZeroU64>,
    /// Only say what there would be to do
    #[arg(long)]
    dry_run: bool,
}

/// What there is to do, as far as the catalogue tells.
#[derive(Default)]
struct Plan {
    recordings: u64,
    media_len: u64,
    already: u64,
    missing: Vec<RecordingId>,
}

/// What was done.
#[derive(Default)]
struct Tally {
    done: u64,
    media_len: u64,
    already: u64,
    /// Plain files of an earlier run that were removed.
    finished: u64,
    being_recorded: Vec<RecordingId>,
    failed: Vec<(RecordingId, String)>,
    /// Why not all were begun.
    ended_by: Option<Failure>,
}

pub(super) async fn run(global: &Global, arguments: Arguments) -> Result<ExitCode, Failure> {
    let system = System::open(global).await?;
    let outcome = encrypt(global, &system, arguments).await;
    system.close(outcome).await
}

async fn encrypt(global: &Global, system: &System, arguments: Arguments) -> Result<ExitCode, Failure> {
    let Arguments { ids, all, rate, dry_run } = arguments;
    let selection = if all { Selection::All } else { Selection::Ids(ids) };
    let (database, store, keys) = (Arc::clone(&system.database), system.store_waiting_here()?, system.keys().await?);
    let clock = Arc::clone(&system.clock);
    if dry_run {
        let maintenance = Maintenance::look(database, store, keys, clock);
        let to = maintenance.encrypting()?.fingerprint;
        let plan = plan(&maintenance, &selection).await?;
        return show(global, plan, maintenance.plain_count().await?, &selection, to);
    }
    let record = Record::open(system).await?;
    let (sender, stop) = Stop::channel();
    obey_signals(sender)?;
    let maintenance = Maintenance::begin(database, store, keys, clock).await?;
    let to = maintenance.encrypting()?.fingerprint;
    let plan = plan(&maintenance, &selection).await?;
    let bar = progress_bar(plan.media_len);
    let heard = bar.clone();
    let run = Arc::new(Run {
        maintenance,
        record,
        pace: RatePace::new(rate),
        stop: stop.clone(),
        progress: Box::new(move |bytes| heard.inc(bytes)),
    });
    let mut tally = Tally::default();
    let is_of_all = selection == Selection::All;
    run.finish_earlier(|id, outcome| bar.suspend(|| tally.add(id, outcome, true, is_of_all))).await?;
    run.maintenance
        .for_each_plain_page(&selection, async |candidates| -> Result<(), Failure> {
            let is_over = tally.ended_by.is_some();
            if !is_over {
                run.seal(candidates, |id, outcome| bar.suspend(|| tally.add(id, outcome, false, is_of_all))).await;
            }
            Ok(())
        })
        .await?;
    bar.finish_and_clear();
    let left = run.maintenance.plain_count().await?;
    report(global, tally, left, stop.is_asked(), to, system.fate_of_players())
}

async fn plan(maintenance: &Maintenance, selection: &Selection) -> Result<Plan, Failure> {
    let mut plan = Plan::default();
    maintenance
        .for_each_plain_page(selection, async |candidates| -> Result<(), Error> {
            for candidate in candidates {
                match (candidate.is_there, candidate.fingerprint) {
                    (false, _) => plan.missing.push(candidate.id),
                    (true, Some(_)) => plan.already += 1,
                    (true, None) => {
                        plan.recordings += 1;
                        plan.media_len += candidate.media_len;
                    }
                }
            }
            Ok(())
        })
        .await?;
    Ok(plan)
}

impl Tally {
    /// Takes in what became of one; whether others may be begun.
    fn add(&mut self, id: &RecordingId, outcome: Outcome, is_earlier: bool, is_of_all: bool) -> bool {
        match outcome {
            Outcome::Done(media_len) if !is_earlier => {
                self.done += 1;
                self.media_len += media_len;
            }
            Outcome::Done(_) => self.finished += 1,
            Outcome::Already => self.already += 1,
            Outcome::Stopped => {}
            Outcome::Failed(Error::BeingRecorded) if is_of_all => {
                print::error_line(&format!("{id}: it is being recorded now, and was left out"));
                self.being_recorded.push(id.clone());
            }
            Outcome::Failed(error) => {
                let is_for_all = ends_the_run(&error);
                let failure = Failure::from(error).of(id);
                if is_for_all {
                    self.end_by(failure);
                } else {
                    failure.print();
                    self.failed.push((id.clone(), failure.what().to_owned()));
                }
            }
            Outcome::PlainStays(error) => {
                let failure = Failure::from(error).of(id);
                failure.print();
                print::error_line(&format!(
                    "  {id} is sealed; its plain file is still there, and the next run removes it"
                ));
                self.done += 1;
                self.failed.push((id.clone(), failure.what().to_owned()));
            }
            Outcome::NotOnRecord(failure) => self.end_by(failure.of(id)),
        }
        self.ended_by.is_none()
    }

    /// The first is what the command fails by; others, that were under way, are told at once.
    fn end_by(&mut self, failure: Failure) {
        if self.ended_by.is_none() {
            self.ended_by = Some(failure);
        } else {
            failure.print();
        }
    }
}

/// Whether the next one would fail in the same way.
fn ends_the_run(error: &Error) -> bool {
    matches!(
        error,
        Error::Catalogue(crate::catalogue::Error::Unavailable(_) | crate::catalogue::Error::Missing)
            | Error::NoActiveKey(_)
            | Error::Refused(crate::keys::OpeningRefused::EncryptionDisabled)
            | Error::Store(crate::media::Error::Full { .. })
    )
}

fn show(
    global: &Global,
    plan: Plan,
    count: PlainCount,
    selection: &Selection,
    to: Fingerprint,
) -> Result<ExitCode, Failure> {
    let mut failed = Vec::new();
    for id in &plan.missing {
        let failure = Failure::from(Error::NotFound).of(id);
        failure.print();
        failed.push(json!({ "id": id.as_str(), "reason": failure.what() }));
    }
    let code = exit_code(failed.len(), plan.recordings + plan.already);
    let exempt = if *selection == Selection::All { count.exempt } else { 0 };
    if global.json {
        print::json(&json!({
            "dry_run": true, "recordings": plan.recordings, "bytes": plan.media_len, "already": plan.already,
            "exempt_left": exempt, "plain_files_left": count.left, "failed": failed, "to": to.to_string(),
        }))?;
        return Ok(code);
    }
    print::line(&format!("{} recording(s), {}, would be sealed.", plan.recordings, print::size(plan.media_len)))?;
    if plan.already > 0 {
        print::line(&format!("{} recording(s) are sealed already.", plan.already))?;
    }
    if exempt > 0 {
        print::line(&format!("{exempt} recording(s) are exempt, and stay plain unless they are named."))?;
    }
    if count.left > 0 {
        print::line(&format!("{} plain file(s) of sealed recordings would be removed.", count.left))?;
    }
    print::line(&format!("under {to}"))?;
    Ok(code)
}

fn report(
    global: &Global,
    tally: Tally,
    count: PlainCount,
    is_stopped: bool,
    to: Fingerprint,
    fate: &str,
) -> Result<ExitCode, Failure> {
    if global.json {
        let failed: Vec<_> =
            tally.failed.iter().map(|(id, reason)| json!({ "id": id.as_str(), "reason": reason })).collect();
        let being_recorded: Vec<_> = tally.being_recorded.iter().map(RecordingId::as_str).collect();
        print::json(&json!({
            "done": tally.done, "bytes": tally.media_len, "already": tally.already, "finished": tally.finished,
            "being_recorded": being_recorded, "failed": failed, "stopped": is_stopped,
            "plain_left": { "exempt": count.exempt, "others": count.others, "files": count.left }, "to": to.to_string(),
        }))?;
    } else {
        let already = if tally.already > 0 { format!(", {} were so already", tally.already) } else { String::new() };
        print::line(&format!(
            "{} recording(s), {}, sealed under {to}{already}; running servers play the sealed files at once, and {fate}.",
            tally.done,
            print::size(tally.media_len)
        ))?;
        if tally.finished > 0 {
            print::line(&format!("{} plain file(s) that an earlier run left were removed.", tally.finished))?;
        }
        if count.exempt + count.others > 0 {
            print::line(&format!(
                "{} recording(s) lie in plain, {} of them exempt.",
                count.exempt + count.others,
                count.exempt
            ))?;
        }
    }
    if let Some(failure) = tally.ended_by {
        return Err(failure);
    }
    if is_stopped {
        Failure::new("stopped").advise("nothing is lost; run it again to go on").print();
        return Ok(ExitCode::FAILURE);
    }
    Ok(exit_code(tally.failed.len(), tally.done + tally.already + tally.finished))
}

fn exit_code(failed: usize, done: u64) -> ExitCode {
    match (failed, done) {
        (0, _) => ExitCode::SUCCESS,
        (_, 0) => ExitCode::FAILURE,
        _ => ExitCode::from(3),
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

/// Bytes a second, as people write them: `50MB/s`, `800k`, `1GiB/s`.
pub(super) fn rate(text: &str) -> Result<NonZeroU64, String> {
    let refused = || format!("{text:?} is no rate such as 50MB/s, 800kB/s or 1GiB/s");
    let amount = text.strip_suffix("/s").unwrap_or(text).trim();
    let end = amount.find(|c: char| !c.is_ascii_digit()).unwrap_or(amount.len());
    let (number, unit) = amount.split_at(end);
    let unit: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return Err(refused()),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    bytes.and_then(NonZeroU64::new).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("50MB/s", 50_000_000),
            ("800k", 800_000),
            ("1GiB/s", 1 << 30),
            ("7", 7),
            ("16 KiB/s", 16 << 10),
            ("3mb", 3_000_000),
        ] {
            assert_eq!(rate(text).map(NonZeroU64::get), Ok(bytes), "{text}");
        }
        for bad in ["", "MB/s", "0", "0MB/s", "-1MB", "1.5MB", "50 parsecs", "99999999999GB", "50MB/h"] {
            assert!(rate(bad).is_err(), "{bad:?}");
        }
    }
}
