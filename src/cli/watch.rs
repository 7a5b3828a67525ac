//! Folders into which recorders drop files: what lies still there is taken in, and then removed.
//!
//! A file goes only when its recording is durable, catalogued and on record. One that cannot be taken in stays, is told
//! of once, and is tried again when it changes; what is the database's fault, or the disk's, is tried again by itself.

use std::{collections::HashMap, ffi::OsString, path::Path, sync::Arc, time::Duration};

use tokio::{task::spawn_blocking, time::Instant};

use crate::access::{Credential, Grant, Subject};
use crate::audit::{Event, EventKind, bounded};
use crate::base::{Ended, ErrorClass, ErrorCode, Pattern};
use crate::config::IngestSettings;
use crate::service::{
    Ingest, IngestError, IngestOutcome, IngestWay, Ingested, Listening, NewRecording, Player, ReaderSource, Stop,
    count_ingest,
};
use crate::storage::{DropFolder, Dropped};

/// How much of a file is read at a time.
const PIECE_LEN: usize = 256 << 10;
/// How often a folder is looked at, at most and at least.
const LOOK_INTERVAL_MIN: Duration = Duration::from_millis(50);
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(2);
/// How long after a failure that may pass it is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// What all folders share.
pub(super) struct Taking {
    pub ingest: Arc<Ingest>,
    pub listening: Arc<Listening>,
}

/// Watches every folder of the settings, each until its stop is asked for.
pub(super) fn start(taking: Taking, settings: &IngestSettings, stop: impl Fn() -> Stop) {
    let taking = Arc::new(taking);
    for watch in &settings.watch {
        let watched = Watched {
            folder: Arc::new(DropFolder::new(&watch.path, watch.pattern.clone())),
            settle: watch.settle,
            exempt: settings.exempt.clone(),
            taking: Arc::clone(&taking),
            seen: HashMap::new(),
            trouble: None,
        };
        tokio::spawn(watched.watch(stop()));
    }
}

/// One folder.
struct Watched {
    folder: Arc<DropFolder>,
    settle: Duration,
    exempt: Vec<Pattern>,
    taking: Arc<Taking>,
    seen: HashMap<OsString, Seen>,
    /// What was last told of the folder, or of all that is in it: not told again until it passes.
    trouble: Option<String>,
}

/// A file, for as long as it lies there.
struct Seen {
    dropped: Dropped,
    /// When something is to be done about it, unless it changes.
    due: Instant,
    stage: Stage,
}

/// How far it got.
enum Stage {
    Waiting,
    /// It is not tried again unless it changes.
    Failed,
    /// It is a recording now, and that is not on record, or the file not removed.
    TakenIn(Box<Event>),
}

/// What became of a try.
enum Outcome {
    Gone,
    /// Nothing: it has changed meanwhile.
    Changed,
    TakenIn(Box<Event>, String),
    Failed(String),
    /// It is tried again.
    Passing(String),
    Stopped,
}

impl Watched {
    async fn watch(mut self, mut stop: Stop) {
        let interval = (self.settle / 4).clamp(LOOK_INTERVAL_MIN, LOOK_INTERVAL_MAX);
        tracing::info!(folder = %self.folder.path().display(), "watched");
        loop {
            self.look().await;
            if self.take_in_all(&mut stop).await.is_break() {
                return;
            }
            tokio::select! {
                () = stop.asked() => return,
                () = tokio::time::sleep(interval) => {}
            }
        }
    }

    /// Sees what lies there, and since when.
    async fn look(&mut self) {
        let folder = Arc::clone(&self.folder);
        let found = match spawn_blocking(move || folder.look()).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return self.tell(format!("it cannot be read: {error}")),
            Err(_) => return self.tell(Ended.to_string()),
        };
        let due = Instant::now() + self.settle;
        let mut before = std::mem::take(&mut self.seen);
        for dropped in found {
            let seen = before.remove(&dropped.name).filter(|seen| seen.dropped == dropped);
            let name = dropped.name.clone();
            self.seen.insert(name, seen.unwrap_or(Seen { dropped, due, stage: Stage::Waiting }));
        }
        if self.seen.is_empty() {
            self.trouble = None;
        }
    }

    /// Takes in whatever is due, in the order of names.
    async fn take_in_all(&mut self, stop: &mut Stop) -> std::ops::ControlFlow<()> {
        let now = Instant::now();
        let is_due = |seen: &Seen| seen.due <= now && !matches!(seen.stage, Stage::Failed);
        let mut due: Vec<OsString> =
            self.seen.iter().filter(|(_, seen)| is_due(seen)).map(|(name, _)| name.clone()).collect();
        due.sort_unstable();
        for name in due {
            if stop.is_asked() {
                return std::ops::ControlFlow::Break(());
            }
            let Some(mut seen) = self.seen.remove(&name) else { continue };
            let outcome = match seen.stage {
                Stage::Waiting => self.take_in(&seen.dropped, stop).await,
                Stage::TakenIn(event) => self.finish(&seen.dropped, event).await,
                Stage::Failed => continue,
            };
            let path = self.folder.path().join(&name);
            match outcome {
                Outcome::Stopped => return std::ops::ControlFlow::Break(()),
                Outcome::Gone | Outcome::Changed => {
                    self.trouble = None;
                    continue;
                }
                Outcome::TakenIn(event, reason) => {
                    seen.stage = Stage::TakenIn(event);
                    self.tell(reason);
                }
                Outcome::Failed(reason) => {
                    count_ingest(IngestWay::Watch, IngestOutcome::Failed);
                    tracing::warn!(file = %path.display(), %reason, "not taken in; it stays, and is tried again when it changes");
                    seen.stage = Stage::Failed;
                }
                Outcome::Passing(reason) => {
                    seen.stage = Stage::Waiting;
                    self.tell(reason);
                }
            }
            seen.due = Instant::now() + RETRY_PAUSE;
            self.seen.insert(name, seen);
        }
        std::ops::ControlFlow::Continue(())
    }

    async fn take_in(&self, dropped: &Dropped, stop: &mut Stop) -> Outcome {
        if let Err(error) = self.taking.listening.check().await {
            return Outcome::Passing(error.to_string());
        }
        let (folder, wanted) = (Arc::clone(&self.folder), dropped.clone());
        let file = match spawn_blocking(move || folder.open(&wanted)).await {
            Ok(Ok(Some(file))) => file,
            Ok(Ok(None)) => return Outcome::Changed,
            Ok(Err(error)) => return Outcome::Failed(format!("it cannot be read: {error}")),
            Err(_) => return Outcome::Passing(Ended.to_string()),
        };
        let name = Path::new(&dropped.name);
        let stem = name.file_stem().unwrap_or_default().to_string_lossy();
        let new = NewRecording {
            id: None,
            media_type: None,
            name: Some(name.to_owned()),
            exempt: self.exempt.iter().any(|pattern| pattern.matches(&stem)),
            is_live: false,
        };
        let mut source = ReaderSource::new(file, PIECE_LEN);
        match self.taking.ingest.ingest(new, &mut source, stop, &|_| {}).await {
            Ok(ingested) => {
                count_ingest(IngestWay::Watch, IngestOutcome::Complete);
                self.finish(dropped, Box::new(self.event(&ingested, name))).await
            }
            Err(IngestError::Stopped) => Outcome::Stopped,
            Err(error) if is_passing(error.code()) => Outcome::Passing(error.to_string()),
            Err(error) => Outcome::Failed(format!("{error} ({})", error.code())),
        }
    }

    /// What is a recording now is put on record, and its file goes.
    async fn finish(&self, dropped: &Dropped, event: Box<Event>) -> Outcome {
        if let Err(error) = self.taking.listening.record((*event).clone()).await {
            return Outcome::TakenIn(event, format!("a recording was taken in, and is not on record: {error}"));
        }
        let (folder, wanted) = (Arc::clone(&self.folder), dropped.clone());
        match spawn_blocking(move || folder.remove(&wanted)).await {
            Ok(Ok(_)) => Outcome::Gone,
            Ok(Err(error)) => Outcome::Failed(format!("it was taken in, and cannot be removed: {error}")),
            Err(_) => Outcome::Failed(format!("it was taken in, and was not removed: {Ended}")),
        }
    }

    fn event(&self, ingested: &Ingested, name: &Path) -> Event {
        let recording = &ingested.recording;
        let subject = "watch-folder".parse().unwrap_or_else(|()| Subject::local());
        let caller = Grant { subject, credential: Credential::Local, ..Grant::nobody() };
        Event {
            recording: Some(recording.id.to_string()),
            fingerprint: recording.fingerprint().map(|fingerprint| fingerprint.to_string()),
            bytes: Some(recording.media_len),
            outcome: Some(recording.state.as_str().into()),
            detail: Some(bounded(&format!("from {}", self.folder.path().join(name).display()))),
            ..Player::new(&caller, "local", None).event(EventKind::RecordingImport)
        }
    }

    fn tell(&mut self, reason: String) {
        if self.trouble.as_ref() != Some(&reason) {
            tracing::warn!(folder = %self.folder.path().display(), %reason, "nothing is taken in; it is tried again");
            self.trouble = Some(reason);
        }
    }
}

/// Whether it is not the file's fault.
fn is_passing(code: ErrorCode) -> bool {
    code.class() == ErrorClass::Transient || matches!(code, ErrorCode::StorageFull | ErrorCode::KeyDeactivated)
}
