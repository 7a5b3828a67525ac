//! `sealtape import`: takes recordings in, sealed as they stream.

use std::{
    fs::File,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, Global, failure, open::System, print, record::Record};
use crate::audit::{Event, EventKind};
use crate::base::{MediaType, RecordingId};
use crate::http::RecordingDocument;
use crate::keys::Switch;
use crate::service::{Ingest, Ingested, NewRecording, ReaderSource, Source, Stop};

/// How much of a file is read at a time.
const FILE_PIECE_LEN: usize = 1 << 20;
/// How much of standard input is read at a time, at most.
const STREAM_PIECE_LEN: usize = 64 << 10;

#[derive(Args)]
pub(super) struct Arguments {
    /// The files to take in; `-` is standard input, which needs --id
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The recording's ID [default: the file's name without its ending]
    #[arg(long, value_name = "ID")]
    id: Option<RecordingId>,
    /// The media type [default: told from the content]
    #[arg(long, value_name = "TYPE")]
    media_type: Option<MediaType>,
    /// Keep it plain, for a recorder that cannot encrypt
    #[arg(long)]
    exempt: bool,
}

pub(super) async fn run(global: &Global, arguments: Arguments) -> Result<ExitCode, Failure> {
    if arguments.id.is_some() && arguments.files.len() > 1 {
        return Ok(usage("--id names one recording, and there are several files"));
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
    let (ingest, playback) = (system.ingest(&keys), system.playback(&keys));
    let record = Record::open(system).await?;
    let (sender, mut stop) = Stop::channel();
    obey_signals(sender)?;

    let (mut documents, mut failed, mut is_plain) = (Vec::new(), 0, false);
    for file in &arguments.files {
        match import(&ingest, arguments, file, &mut stop).await {
            Ok(ingested) => {
                record.write(event(&record, &ingested)).await?;
                if let Some(reason) = &ingested.broken_off {
                    failed += 1;
                    Failure::new(format!("{} is unfinished: {reason}", ingested.recording.id))
                        .advise("what came before plays; record the rest under another ID")
                        .print();
                }
                is_plain |= !ingested.recording.is_sealed() && !arguments.exempt;
                if !global.json {
                    print::line(&sentence(&ingested))?;
                }
                let problem = playback.known_problem(&ingested.recording);
                let now = (system.clock)();
                documents.push(RecordingDocument::new(&ingested.recording, problem.as_ref(), "", now));
            }
            Err(failure) => {
                failed += 1;
                failure.of(file.display()).print();
            }
        }
    }
    if is_plain {
        let way_out = match keys.ring().switch() {
            Switch::Disabled => "`sealtape encryption enable` switches it on",
            Switch::Untouched | Switch::Enabled => "`sealtape keys generate` makes a first key",
        };
        print::error_line(&format!("warning: encryption is not active: what was imported lies in plain; {way_out}"));
    }
    if global.json {
        print::json(&documents)?;
    }
    Ok(match (failed, arguments.files.len()) {
        (0, _) => ExitCode::SUCCESS,
        (failed, all) if failed == all => ExitCode::FAILURE,
        _ => ExitCode::from(3),
    })
}

async fn import(ingest: &Ingest, arguments: &Arguments, file: &Path, stop: &mut Stop) -> Result<Ingested, Failure> {
    let is_live = file == Path::new("-");
    let new = NewRecording {
        id: arguments.id.clone(),
        media_type: arguments.media_type.clone(),
        name: (!is_live).then(|| file.to_owned()),
        exempt: arguments.exempt,
        is_live,
    };
    if is_live {
        return take_in(ingest, new, ReaderSource::new(io::stdin(), STREAM_PIECE_LEN), stop, None).await;
    }
    let unreadable = |error| Failure::new(format!("it cannot be read: {error}"));
    let metadata = std::fs::metadata(file).map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(Failure::new("it is a directory").advise("name the files in it"));
    }
    if !metadata.is_file() {
        return Err(Failure::new("it is not a file").advise("take what it gives in with `sealtape import - --id ID`"));
    }
    let opened = File::open(file).map_err(unreadable)?;
    let source = ReaderSource::new(opened, FILE_PIECE_LEN);
    take_in(ingest, new, source, stop, Some(metadata.len())).await
}

async fn take_in(
    ingest: &Ingest,
    new: NewRecording,
    mut source: impl Source,
    stop: &mut Stop,
    len: Option<u64>,
) -> Result<Ingested, Failure> {
    let bar = progress_bar(len);
    let ingested = ingest.ingest(new, &mut source, stop, &|bytes| bar.inc(bytes)).await;
    bar.finish_and_clear();
    Ok(ingested?)
}

fn event(record: &Record, ingested: &Ingested) -> Event {
    let recording = &ingested.recording;
    Event {
        recording: Some(recording.id.to_string()),
        fingerprint: recording.fingerprint().map(|fingerprint| fingerprint.to_string()),
        bytes: Some(recording.media_len),
        outcome: Some(recording.state.as_str().into()),
        ..record.event(EventKind::RecordingImport)
    }
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
