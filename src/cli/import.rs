//! `sealtape import`: takes recordings in, sealed as they stream.

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    Failure, Global, failure,
    import_beside::Beside,
    import_files::{Files, Outcome},
    open::System,
    plain_folder, print,
    record::Record,
};
use crate::base::{MediaType, RecordingId};
use crate::http::RecordingDocument;
use crate::keys::Switch;
use crate::service::{Clock, Ingested, NewRecording, Playback, ReaderSource, Stop};

/// How much of standard input is read at a time, at most.
const STREAM_PIECE_LEN: usize = 64 << 10;

#[derive(Args)]
pub(super) struct Arguments {
    /// The files to take in; `-` is standard input, which needs --id
    #[arg(required_unless_present = "plain", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Catalogue the files of a folder, and of those in it, as plain, where they lie
    #[arg(long, value_name = "DIR", conflicts_with_all = ["files", "id"])]
    plain: Option<PathBuf>,
    /// The recording's ID [default: the file's name without its ending]
    #[arg(long, value_name = "ID")]
    id: Option<RecordingId>,
    /// The media type [default: told from the content]
    #[arg(long, value_name = "TYPE")]
    media_type: Option<MediaType>,
    /// What is known about it: a JSON file of started_at, duration_s, direction, parties, agent, group and tags
    #[arg(long, value_name = "FILE")]
    meta: Option<PathBuf>,
    /// A file that belongs to it, such as a transcript; may be given several times
    #[arg(long, value_name = "FILE")]
    sidecar: Vec<PathBuf>,
    /// Keep it plain, for a recorder that cannot encrypt
    #[arg(long)]
    exempt: bool,
}

pub(super) async fn run(global: &Global, arguments: Arguments) -> Result<ExitCode, Failure> {
    if arguments.id.is_some() && arguments.files.len() > 1 {
        return Ok(usage("--id names one recording, and there are several files"));
    }
    if arguments.files.len() > 1 && (arguments.meta.is_some() || !arguments.sidecar.is_empty()) {
        return Ok(usage("--meta and --sidecar belong to one recording, and there are several files"));
    }
    if arguments.id.is_none() && arguments.files.iter().any(|file| file == Path::new("-")) {
        return Ok(usage("standard input has no name: say its ID with --id"));
    }
    let system = System::open(global).await?;
    let outcome = import_all(global, &arguments, &system).await;
    system.close(outcome).await
}

async fn import_all(global: &Global, arguments: &Arguments, system: &System) -> Result<ExitCode, Failure> {
    let keys = system.keys().await?;
    let (files, failed) = match &arguments.plain {
        Some(folder) => files_of(folder, system)?,
        None => (arguments.files.clone(), 0),
    };
    let asked = files.len() + failed;
    let is_live = arguments.files.iter().any(|file| file == Path::new("-"));
    let bar = progress_bar(if is_live { None } else { Some(total_len(&files)) });
    let heard = bar.clone();
    let work = Files {
        ingest: if is_live { system.ingest(&keys) } else { system.ingest_waiting_here(&keys)? },
        beside: Beside::read(arguments.meta.as_deref(), &arguments.sidecar, system.companions(&keys))?,
        record: Record::open(system).await?,
        files,
        in_place: arguments.plain.is_some(),
        new: NewRecording {
            id: arguments.id.clone(),
            media_type: arguments.media_type.clone(),
            name: None,
            exempt: arguments.exempt,
            is_live,
        },
        progress: Box::new(move |bytes| heard.inc(bytes)),
    };
    let (sender, mut stop) = Stop::channel();
    obey_signals(sender)?;
    let mut report = Report {
        arguments,
        json: global.json,
        playback: system.playback(&keys),
        clock: Arc::clone(&system.clock),
        documents: Vec::new(),
        asked,
        failed,
        already: 0,
        is_stopped: false,
        is_plain: false,
        waiting: 0,
        ended_by: None,
    };
    if is_live {
        let outcome = work.take_in_from(&mut ReaderSource::new(io::stdin(), STREAM_PIECE_LEN), &mut stop).await;
        bar.suspend(|| report.add(Path::new("-"), outcome));
    } else {
        work.take_in(&stop, |file, outcome| bar.suspend(|| report.add(file, outcome))).await;
    }
    bar.finish_and_clear();
    report.is_stopped = arguments.plain.is_some() && stop.is_asked();
    report.end(keys.ring().switch())
}

/// What is told of each file, and at the end.
struct Report<'a> {
    arguments: &'a Arguments,
    json: bool,
    playback: Playback,
    clock: Clock,
    documents: Vec<RecordingDocument>,
    /// How many files there are.
    asked: usize,
    failed: usize,
    /// How many were catalogued where they lie before.
    already: usize,
    /// Whether files of an archive were not begun.
    is_stopped: bool,
    is_plain: bool,
    /// How many wait in the spool.
    waiting: usize,
    /// Why not all files were begun.
    ended_by: Option<Failure>,
}

impl Report<'_> {
    /// Tells of a file; whether others may be begun.
    fn add(&mut self, file: &Path, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Done(ingested) => {
                if let Err(failure) = self.add_done(&ingested) {
                    self.end_by(failure);
                }
            }
            Outcome::DoneInPart(ingested, failure) => {
                self.failed += 1;
                failure.of(format!("{} is taken in, and not all that belongs to it", ingested.recording.id)).print();
                if let Err(failure) = self.add_done(&ingested) {
                    self.end_by(failure);
                }
            }
            Outcome::Already => self.already += 1,
            Outcome::Failed(failure) => {
                self.failed += 1;
                failure.of(file.display()).print();
            }
            Outcome::NotOnRecord(failure) => self.end_by(failure.of(file.display())),
        }
        self.ended_by.is_none()
    }

    fn add_done(&mut self, ingested: &Ingested) -> Result<(), Failure> {
        let recording = &ingested.recording;
        if let Some(reason) = &ingested.broken_off {
            self.failed += 1;
            Failure::new(format!("{} is unfinished: {reason}", recording.id))
                .advise("what came before plays; record the rest under another ID")
                .print();
        }
        if ingested.is_waiting {
            self.waiting += 1;
        }
        self.is_plain |= !recording.is_sealed() && !self.arguments.exempt;
        if !self.json {
            print::line(&sentence(ingested))?;
        }
        let problem = self.playback.known_problem(recording);
        self.documents.push(RecordingDocument::new(recording, problem.as_ref(), "", (self.clock)()));
        Ok(())
    }

    /// The first is what the command fails by; others, that were under way, are told at once.
    fn end_by(&mut self, failure: Failure) {
        if self.ended_by.is_none() {
            self.ended_by = Some(failure);
        } else {
            failure.print();
        }
    }

    /// What was done to an archive, and what can be done next.
    fn end_of_folder(&self) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        let already =
            if self.already > 0 { format!(", {} were catalogued already", self.already) } else { String::new() };
        print::line(&format!(
            "{} recording(s) catalogued in plain, where they lie{already}; running servers play them at once.",
            self.documents.len()
        ))?;
        if self.is_plain {
            print::line("`sealtape encrypt --all` seals them, into the media store, and removes the plain files.")?;
        }
        Ok(())
    }

    fn end(self, switch: Switch) -> Result<ExitCode, Failure> {
        if let Some(failure) = self.ended_by {
            return Err(failure);
        }
        if self.arguments.plain.is_some() {
            self.end_of_folder()?;
        } else if self.is_plain {
            let way_out = match switch {
                Switch::Disabled => "`sealtape encryption enable` switches it on",
                Switch::Untouched | Switch::Enabled => "`sealtape keys generate` makes a first key",
            };
            print::error_line(&format!(
                "warning: encryption is not active: what was imported lies in plain; {way_out}"
            ));
        }
        if self.waiting > 0 {
            print::error_line(&format!(
                "warning: {} recording(s) are taken in, and wait in the spool: the media store does not take them now; `sealtape serve` on this machine uploads them",
                self.waiting
            ));
        }
        if self.json {
            print::json(&self.documents)?;
        }
        if self.is_stopped {
            Failure::new("stopped").advise("what was catalogued stays; run it again to go on").print();
            return Ok(ExitCode::FAILURE);
        }
        Ok(match (self.failed, self.asked) {
            (0, _) => ExitCode::SUCCESS,
            (failed, all) if failed == all => ExitCode::FAILURE,
            _ => ExitCode::from(3),
        })
    }
}

/// The files of an archive, and how many things in it cannot be looked at; what is left out is told.
fn files_of(folder: &Path, system: &System) -> Result<(Vec<PathBuf>, usize), Failure> {
    let found = plain_folder::walk(folder, &system.settings)?;
    for (path, reason) in &found.left_out {
        print::error_line(&format!("left out: {}: {reason}", path.display()));
    }
    for (path, error) in &found.failed {
        failure::io(path, error).advise("what is in it was left out; see that it can be read").print();
    }
    Ok((found.files, found.failed.len()))
}

/// Of what can be read; the rest is told of when its turn comes.
fn total_len(files: &[PathBuf]) -> u64 {
    files.iter().filter_map(|file| std::fs::metadata(file).ok()).map(|metadata| metadata.len()).sum()
}

/// A bar on a terminal, nothing of the kind in a pipe.
fn progress_bar(len: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = len.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let template = "{bytes:>11} {wide_bar} {binary_bytes_per_sec} {eta}";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn sentence(ingested: &Ingested) -> String {
    let recording = &ingested.recording;
    let kept = match (recording.is_sealed(), recording.fingerprint()) {
        (true, Some(fingerprint)) => format!("sealed under {:.16}", fingerprint.to_string()),
        _ if recording.content.outside().is_some() => "in plain, where it lies".into(),
        _ => "in plain".into(),
    };
    format!("{}  {}  {}  {kept}", recording.id, print::size(recording.media_len), recording.media_type)
}

/// What clap cannot know of how arguments go together.
fn usage(what: &str) -> ExitCode {
    Failure::new(what).advise("see `sealtape import --help`").print();
    ExitCode::from(2)
}

/// Asks the work to stop in order when a signal says so.
pub(super) fn obey_signals(stop: tokio::sync::watch::Sender<bool>) -> Result<(), Failure> {
    let take = |kind| signal(kind).map_err(|error| failure::io(Path::new("signals"), &error));
    let mut interrupt = take(SignalKind::interrupt())?;
    let mut terminate = take(SignalKind::terminate())?;
    let mut hangup = take(SignalKind::hangup())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        // If nobody listens any more, the work is done.
        let _done = stop.send(true);
        std::future::pending::<()>().await;
    });
    Ok(())
}
