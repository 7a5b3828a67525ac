//! What `rewrap` and `reseal` have in common: what there is to do, how far it is, and what became of each recording.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal},
    process::ExitCode,
    sync::Arc,
};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Failure, Global, import::obey_signals, open::System, print, record::Record};
use crate::audit::{Event, EventKind};
use crate::base::{ErrorCode, Fingerprint, RecordingId};
use crate::catalogue::ResealRun;
use crate::service::{
    Companions, Maintenance, MaintenanceError as Error, MaintenanceOutcome as Outcome, Selection, Stop, Work,
};

/// What was asked for.
pub(super) struct Wish {
    pub work: Work,
    pub selection: Selection,
    pub dry_run: bool,
}

/// What there is to do.
#[derive(Default)]
struct Plan {
    recordings: u64,
    media_len: u64,
    /// How many are under each key now.
    from: BTreeMap<Fingerprint, u64>,
    /// Those that nothing can be done about, as far as the catalogue tells.
    failed: Vec<(RecordingId, Error)>,
}

/// What was done.
#[derive(Default)]
struct Tally {
    done: u64,
    already: u64,
    failed: Vec<(RecordingId, String)>,
    is_stopped: bool,
    /// What lay sealed beside recordings, and was sealed again.
    beside: u64,
}

pub(super) async fn run(global: &Global, system: &System, wish: Wish) -> Result<ExitCode, Failure> {
    let keys = system.keys().await?;
    let to = keys.ring().wrapping().map_err(Error::from)?.fingerprint;
    let companions = system.companions(&keys);
    let parts = (Arc::clone(&system.database), Arc::clone(&system.store), keys, Arc::clone(&system.clock));
    if wish.dry_run {
        let maintenance = Maintenance::look(parts.0, parts.1, parts.2, parts.3);
        let resumed = match is_reseal_of_all(&wish) {
            true => maintenance.unfinished_reseal_of_all().await?,
            false => None,
        };
        return show(global, &wish, plan(&maintenance, &wish).await?, to, resumed);
    }
    let record = Record::open(system).await?;
    let (sender, stop) = Stop::channel();
    obey_signals(sender)?;
    let maintenance = Maintenance::begin(parts.0, parts.1, parts.2, parts.3).await?;
    let plan = plan(&maintenance, &wish).await?;
    let resealing = if is_reseal_of_all(&wish) {
        let (run, is_resumed) = maintenance.begin_reseal_of_all().await?;
        if is_resumed {
            print::error_line(&format!("a run that began at {} goes on: what it has sealed already stays", run.begun));
        }
        Some(run)
    } else {
        None
    };
    let bar = progress_bar(&wish, &plan);
    let worker = Worker { maintenance: &maintenance, record: &record, wish: &wish, resealing, stop: &stop, bar: &bar };
    let tally = worker.run().await;
    bar.finish_and_clear();
    let tally = tally?;
    let mut tally = tally;
    if !tally.is_stopped {
        renew_beside(&companions, &wish, resealing.as_ref(), &stop, &mut tally).await?;
    }
    if resealing.is_some() && !tally.is_stopped {
        maintenance.end_reseal_of_all().await?;
    }
    let fate = match wish.work {
        Work::Rewrap => "whoever plays them goes on",
        Work::Reseal => system.fate_of_players(),
    };
    report(global, &wish, &tally, to, fate)
}

/// What lies beside recordings is short: it is sealed again in either case.
async fn renew_beside(
    companions: &Companions,
    wish: &Wish,
    run: Option<&ResealRun>,
    stop: &Stop,
    tally: &mut Tally,
) -> Result<(), Failure> {
    companions
        .renew_all(wish.work, &wish.selection, run, stop, |companion, outcome| -> Result<(), Failure> {
            match outcome {
                Ok(()) => tally.beside += 1,
                Err(error) if error.code() == ErrorCode::CatalogueUnavailable => return Err(error.into()),
                Err(error) => {
                    let what = companion.name.as_ref().map_or("metadata", |name| name.as_str());
                    let failure = Failure::from(error).of(format!("{}, {what}", companion.id));
                    failure.print();
                    tally.failed.push((companion.id.clone(), failure.what().to_owned()));
                }
            }
            Ok(())
        })
        .await?;
    tally.is_stopped |= stop.is_asked();
    Ok(())
}

/// A run over all recordings that was cut short goes on where it was; others need no memory for that.
fn is_reseal_of_all(wish: &Wish) -> bool {
    wish.work == Work::Reseal && wish.selection == Selection::All
}

async fn plan(maintenance: &Maintenance, wish: &Wish) -> Result<Plan, Failure> {
    let mut plan = Plan::default();
    maintenance
        .for_each_page(wish.work, &wish.selection, async |candidates| -> Result<(), Error> {
            for candidate in candidates {
                if let Some(problem) = candidate.problem() {
                    plan.failed.push((candidate.id, problem));
                    continue;
                }
                plan.recordings += 1;
                plan.media_len += candidate.media_len;
                if let Some(fingerprint) = candidate.fingerprint {
                    *plan.from.entry(fingerprint).or_default() += 1;
                }
            }
            Ok(())
        })
        .await?;
    Ok(plan)
}

struct Worker<'a> {
    maintenance: &'a Maintenance,
    record: &'a Record,
    wish: &'a Wish,
    resealing: Option<ResealRun>,
    stop: &'a Stop,
    bar: &'a ProgressBar,
}

impl Worker<'_> {
    async fn run(&self) -> Result<Tally, Failure> {
        let mut tally = Tally::default();
        self.maintenance
            .for_each_page(self.wish.work, &self.wish.selection, async |candidates| -> Result<(), Failure> {
                for candidate in candidates {
                    if self.stop.is_asked() {
                        tally.is_stopped = true;
                        break;
                    }
                    self.work_on(candidate.id, &mut tally).await?;
                }
                Ok(())
            })
            .await?;
        Ok(tally)
    }

    async fn work_on(&self, id: RecordingId, tally: &mut Tally) -> Result<(), Failure> {
        let outcome = match self.wish.work {
            Work::Rewrap => self.maintenance.rewrap(&id).await.inspect(|_| self.bar.inc(1)),
            Work::Reseal => {
                self.maintenance.reseal(&id, self.resealing.as_ref(), self.stop, &|bytes| self.bar.inc(bytes)).await
            }
        };
        match outcome {
            Ok(Outcome::Done { fingerprint, seal_id }) => {
                tally.done += 1;
                let kind = match self.wish.work {
                    Work::Rewrap => EventKind::RecordingRewrap,
                    Work::Reseal => EventKind::RecordingReseal,
                };
                let event = Event {
                    recording: Some(id.to_string()),
                    fingerprint: Some(fingerprint.to_string()),
                    seal_id: Some(seal_id.to_string()),
                    ..self.record.event(kind)
                };
                self.record.write(event).await?;
            }
            Ok(Outcome::Already) => tally.already += 1,
            Err(Error::Stopped) => tally.is_stopped = true,
            Err(error @ (Error::Catalogue(crate::catalogue::Error::Unavailable(_)) | Error::NoActiveKey(_))) => {
                // The next one would fail in the same way.
                return Err(Failure::from(error).of(id));
            }
            Err(error) => {
                let failure = Failure::from(error).of(&id);
                self.bar.suspend(|| failure.print());
                tally.failed.push((id, failure.what().to_owned()));
            }
        }
        Ok(())
    }
}

fn show(
    global: &Global,
    wish: &Wish,
    plan: Plan,
    to: Fingerprint,
    resumed: Option<ResealRun>,
) -> Result<ExitCode, Failure> {
    let code = exit_code(plan.failed.len(), plan.recordings);
    let mut failed = Vec::new();
    for (id, problem) in plan.failed {
        let failure = Failure::from(problem).of(&id);
        failure.print();
        failed.push(json!({ "id": id.as_str(), "reason": failure.what() }));
    }
    if global.json {
        let from: Vec<_> = plan
            .from
            .iter()
            .map(
                |(fingerprint, recordings)| json!({ "fingerprint": fingerprint.to_string(), "recordings": recordings }),
            )
            .collect();
        print::json(&json!({
            "dry_run": true, "recordings": plan.recordings, "bytes": plan.media_len, "from": from,
            "failed": failed, "to": to.to_string(), "resumes": resumed.map(|run| run.begun.to_string()),
        }))?;
        return Ok(code);
    }
    let what = match wish.work {
        Work::Rewrap => "would be wrapped anew: only their headers change",
        Work::Reseal => "would be sealed again: their files are written anew",
    };
    print::line(&format!("{} recording(s), {} of media, {what}.", plan.recordings, print::size(plan.media_len)))?;
    for (fingerprint, recordings) in &plan.from {
        print::line(&format!("from {fingerprint}  {recordings} recording(s)"))?;
    }
    print::line(&format!("to   {to}"))?;
    if let Some(run) = resumed {
        print::line(&format!("A run that began at {} goes on: what it has sealed already stays.", run.begun))?;
    }
    Ok(code)
}

fn exit_code(failed: usize, done: u64) -> ExitCode {
    match (failed, done) {
        (0, _) => ExitCode::SUCCESS,
        (_, 0) => ExitCode::FAILURE,
        _ => ExitCode::from(3),
    }
}

fn report(global: &Global, wish: &Wish, tally: &Tally, to: Fingerprint, fate: &str) -> Result<ExitCode, Failure> {
    if global.json {
        let failed: Vec<_> =
            tally.failed.iter().map(|(id, reason)| json!({ "id": id.as_str(), "reason": reason })).collect();
        print::json(&json!({
            "done": tally.done, "already": tally.already, "failed": failed, "stopped": tally.is_stopped,
            "to": to.to_string(), "beside": tally.beside,
        }))?;
    } else {
        let what = match wish.work {
            Work::Rewrap => "wrapped anew",
            Work::Reseal => "sealed again",
        };
        let already = if tally.already > 0 { format!(", {} were so already", tally.already) } else { String::new() };
        print::line(&format!("{} recording(s) {what} under {to}{already}; {fate}.", tally.done))?;
    }
    if tally.is_stopped {
        Failure::new("stopped").advise("nothing is lost; run it again to go on").print();
        return Ok(ExitCode::FAILURE);
    }
    Ok(exit_code(tally.failed.len(), tally.done + tally.already))
}

/// A bar on a terminal, nothing of the kind in a pipe: of recordings, or of bytes that are written and read back.
fn progress_bar(wish: &Wish, plan: &Plan) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (len, template) = match wish.work {
        Work::Rewrap => (plan.recordings, "{pos:>9}/{len} {wide_bar} {per_sec} {eta}"),
        Work::Reseal => (2 * plan.media_len, "{bytes:>11} {wide_bar} {binary_bytes_per_sec} {eta}"),
    };
    let bar = ProgressBar::new(len);
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
