//! `sealtape verify`: the catalogue, the files, the keys and every tag; and what can be repaired.

use std::{
    cell::Cell,
    io::{self, IsTerminal},
    process::ExitCode,
    sync::Arc,
    thread,
};

use clap::{ArgGroup, Args};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Failure, Global, import::obey_signals, open::System, record::Record, verify_report::Report};
use crate::audit::{Event, EventKind};
use crate::base::RecordingId;
use crate::service::{
    Checked, FindingKind as Kind, KeyWatch, Maintenance, MaintenanceError, Pace, Repaired, Stop, Verifier,
    VerifierParts, VerifyScope as Scope,
};

/// How many recordings are looked at side by side for each core: while one waits for the disk, others are verified.
const AT_ONCE_PER_CORE: usize = 4;

#[derive(Args)]
#[command(group(ArgGroup::new("which").required(true)))]
pub(super) struct Arguments {
    /// The recordings
    #[arg(value_name = "ID", group = "which")]
    ids: Vec<RecordingId>,
    /// All of them, and whatever else lies in the store
    #[arg(long, group = "which")]
    all: bool,
    /// Make complete recordings of unfinished ones, catalogue files that have no row, finish what was left half done;
    /// the old files are kept
    #[arg(long)]
    repair: bool,
    /// Repair recordings, too, that were complete and are damaged: what verifies before the damage stays
    #[arg(long, requires = "repair")]
    force: bool,
}

pub(super) async fn run(global: &Global, arguments: Arguments) -> Result<ExitCode, Failure> {
    let system = System::open(global).await?;
    let outcome = verify(global, &system, arguments).await;
    system.close(outcome).await
}

async fn verify(global: &Global, system: &System, arguments: Arguments) -> Result<ExitCode, Failure> {
    let keys = system.keys().await?;
    let record = Record::open(system).await?;
    let (sender, stop) = Stop::channel();
    obey_signals(sender)?;
    let maintenance = if arguments.repair { Some(begin_repair(system, &keys).await?) } else { None };
    let verifier = Arc::new(Verifier::new(VerifierParts {
        database: Arc::clone(&system.database),
        store: Arc::clone(&system.store),
        playback: Arc::new(system.playback(&keys)),
        companions: system.companions(&keys),
        keys,
        clock: Arc::clone(&system.clock),
        allow_plain: system.settings.allow_plain,
        at_once: AT_ONCE_PER_CORE * thread::available_parallelism().map_or(1, usize::from),
        is_guarded: arguments.repair,
    }));
    let bar = progress_bar(&verifier, arguments.all).await?;
    let heard = bar.clone();
    let pace = Arc::new(Pace::quick(stop.clone(), move |bytes| heard.inc(bytes)));
    let only = if let [id] = &arguments.ids[..] { Some(id.to_string()) } else { None };
    let scope = if arguments.all { Scope::Everything } else { Scope::Ids(without_doubles(arguments.ids)) };
    let work = Work {
        maintenance: maintenance.as_ref(),
        record: &record,
        force: arguments.force,
        stop: &stop,
        failed: Cell::new(false),
    };
    let mut report = Report::begin(global.json)?;
    let is_whole = verifier
        .run(&scope, &pace, async |checked| -> Result<(), Failure> {
            let (checked, repaired) = work.repair(checked).await?;
            bar.suspend(|| report.add(&checked, repaired))
        })
        .await;
    bar.finish_and_clear();
    let is_stopped = !is_whole?;
    let event = Event {
        recording: only,
        count: Some(report.recordings()),
        bytes: Some(report.bytes()),
        outcome: Some(report.outcome(is_stopped).into()),
        ..record.event(EventKind::RecordingsVerify)
    };
    let code = report.end(is_stopped)?;
    record.write(event).await?;
    Ok(if work.failed.get() && code == ExitCode::SUCCESS { ExitCode::from(3) } else { code })
}

async fn begin_repair(system: &System, keys: &Arc<KeyWatch>) -> Result<Maintenance, Failure> {
    let (database, store) = (Arc::clone(&system.database), Arc::clone(&system.store));
    let maintenance = Maintenance::begin(database, store, Arc::clone(keys), Arc::clone(&system.clock)).await?;
    maintenance.check_can_mend().map_err(|error| Failure::from(error).of("nothing can be repaired"))?;
    Ok(maintenance)
}

/// What `--repair` does beside.
struct Work<'a> {
    maintenance: Option<&'a Maintenance>,
    record: &'a Record,
    force: bool,
    stop: &'a Stop,
    /// Whether something that could have been repaired was not.
    failed: Cell<bool>,
}

impl Work<'_> {
    /// Repairs what can be, and then does not call it a fault any more; what stays as it is keeps its findings.
    async fn repair(&self, checked: Checked) -> Result<(Checked, Option<Repaired>), Failure> {
        let Some(maintenance) = self.maintenance else { return Ok((checked, None)) };
        let Some(id) = checked.id.clone() else { return Ok((checked, None)) };
        if !checked.findings.iter().any(|finding| may_be_repaired(finding.kind)) || self.stop.is_asked() {
            return Ok((checked, None));
        }
        let repaired = match maintenance.repair(&id, self.force, self.stop, &|_| {}).await {
            Ok(Repaired::Nothing) => return Ok((checked, None)),
            Ok(repaired) => repaired,
            // The finding says it, and the way out; of a recording in plain nothing says how much of it is good.
            Err(
                MaintenanceError::NeedsForce
                | MaintenanceError::Stopped
                | MaintenanceError::BeingRecorded
                | MaintenanceError::Plain,
            ) => {
                return Ok((checked, None));
            }
            Err(
                error @ (MaintenanceError::Catalogue(crate::catalogue::Error::Unavailable(_))
                | MaintenanceError::NoActiveKey(_)),
            ) => {
                // The next one would fail in the same way.
                return Err(Failure::from(error).of(id));
            }
            Err(error) => {
                Failure::from(error).of(format!("{id} was not repaired")).print();
                self.failed.set(true);
                return Ok((checked, None));
            }
        };
        self.put_on_record(&id, &repaired).await?;
        let findings = checked.findings.into_iter().filter(|finding| !may_be_repaired(finding.kind)).collect();
        Ok((Checked { findings, ..checked }, Some(repaired)))
    }

    async fn put_on_record(&self, id: &RecordingId, repaired: &Repaired) -> Result<(), Failure> {
        let event = Event {
            recording: Some(id.to_string()),
            outcome: Some(repaired.as_str().into()),
            ..self.record.event(EventKind::RecordingRepair)
        };
        let event = match repaired {
            Repaired::Mended { media_len, kept, seal_id } => Event {
                bytes: Some(*media_len),
                seal_id: Some(seal_id.to_string()),
                detail: Some(format!("the old file is kept as {kept}")),
                ..event
            },
            Repaired::Nothing | Repaired::Settled | Repaired::Corrected | Repaired::Catalogued => event,
        };
        self.record.write(event).await
    }
}

/// Whether a repair is worth trying.
fn may_be_repaired(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Orphan
            | Kind::Truncated
            | Kind::Overlong
            | Kind::CorruptChunk
            | Kind::WrongSize
            | Kind::WrongKey
            | Kind::Unfinished
            | Kind::Pending
    )
}

fn without_doubles(ids: Vec<RecordingId>) -> Vec<RecordingId> {
    let mut seen = std::collections::HashSet::new();
    ids.into_iter().filter(|id| seen.insert(id.clone())).collect()
}

/// A bar on a terminal, nothing of the kind in a pipe.
async fn progress_bar(verifier: &Verifier, all: bool) -> Result<ProgressBar, Failure> {
    if !io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let (bar, template) = if all {
        let (_, bytes) = verifier.extent().await?;
        (ProgressBar::new(bytes), "{bytes:>11} {wide_bar} {binary_bytes_per_sec} {eta}")
    } else {
        (ProgressBar::new_spinner(), "{bytes:>11} {spinner} {binary_bytes_per_sec}")
    };
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    Ok(bar)
}
