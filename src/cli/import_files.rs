//! Several files at once: while the disk makes one recording durable, others are read and sealed.
//!
//! Each worker is a thread that may wait, and takes one file from its first byte to its line on record. What is told is
//! told in the order in which the files were named.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::{runtime::Handle, sync::mpsc, task::spawn_blocking};

use super::{Failure, import_beside::Beside, open::System, record::Record};
use crate::audit::{Event, EventKind};
use crate::catalogue;
use crate::service::{FileSource, Ingest, IngestError, Ingested, NewRecording, Source, Stop};

/// How many files are taken in at once: enough that the disk always has several to make durable. Each costs two pieces of
/// memory.
const AT_ONCE: usize = 16;
/// How much of a file is read at a time: what is read and what is made of it stay in a core's own cache.
const PIECE_LEN: usize = 256 << 10;

/// Files to take in, and with what.
pub(super) struct Files {
    pub ingest: Ingest,
    /// What comes with the recording, when it is one.
    pub beside: Beside,
    pub record: Record,
    pub files: Vec<PathBuf>,
    /// What is the same for all of them.
    pub new: NewRecording,
    /// Whether they are catalogued as plain where they lie, and not taken in.
    pub in_place: bool,
    pub progress: Box<dyn Fn(u64) + Send + Sync>,
}

/// What became of a file.
pub(super) enum Outcome {
    Done(Box<Ingested>),
    /// It was taken in, and not all that came with it.
    DoneInPart(Box<Ingested>, Failure),
    /// It is catalogued so already.
    Already,
    /// Nothing of it was kept.
    Failed(Failure),
    /// It was taken in, and is not on record.
    NotOnRecord(Failure),
}

impl Files {
    /// Takes all of them in; tells `report` of each, in their order. Once it says `false`, or a file is not on record, no
    /// further one is begun.
    pub(super) async fn take_in(self, stop: &Stop, mut report: impl FnMut(&Path, Outcome) -> bool) {
        let (lots, taken, is_over) = (lots(&self.files), AtomicUsize::new(0), AtomicBool::new(false));
        let shared = Arc::new(Shared { work: self, lots, taken, is_over });
        let (sender, mut outcomes) = mpsc::unbounded_channel();
        for _ in 0..AT_ONCE.min(shared.lots.len()) {
            let (shared, stop, sender) = (Arc::clone(&shared), stop.clone(), sender.clone());
            let runtime = Handle::current();
            spawn_blocking(move || runtime.block_on(shared.work(stop, &sender)));
        }
        drop(sender);
        let files = shared.work.files.iter().enumerate();
        let mut early = BTreeMap::new();
        for (index, file) in files {
            let outcome = loop {
                if let Some(outcome) = early.remove(&index) {
                    break Some(outcome);
                }
                match outcomes.recv().await {
                    Some((index, outcome)) => early.insert(index, outcome),
                    // All workers have ended, and this one was not begun.
                    None => break None,
                };
            };
            if let Some(outcome) = outcome
                && !report(file, outcome)
            {
                shared.is_over.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Takes one in from `source`.
    pub(super) async fn take_in_from(&self, source: &mut impl Source, stop: &mut Stop) -> Outcome {
        let ingested = self.ingest.ingest(self.new.clone(), source, stop, &self.progress).await;
        self.put_on_record(ingested.map(Some).map_err(Failure::from)).await
    }

    async fn put_on_record(&self, ingested: Result<Option<Ingested>, Failure>) -> Outcome {
        let ingested = match ingested {
            Ok(Some(ingested)) => ingested,
            Ok(None) => return Outcome::Already,
            Err(failure) => return Outcome::Failed(failure),
        };
        let event = event(&self.record, &ingested);
        match self.record.write(event).await {
            Ok(()) => self.put_beside(ingested).await,
            Err(failure) => Outcome::NotOnRecord(failure),
        }
    }

    /// The recording is in; what came with it follows, and is told of by itself.
    async fn put_beside(&self, mut ingested: Ingested) -> Outcome {
        match self.beside.put(&self.record, &ingested.recording.id).await {
            Ok(None) => {}
            Ok(Some(recording)) => ingested.recording = recording,
            Err(failure) => return Outcome::DoneInPart(Box::new(ingested), failure),
        }
        Outcome::Done(Box::new(ingested))
    }

    /// None when there was nothing to do.
    async fn ingest_file(&self, file: &Path, stop: &mut Stop) -> Result<Option<Ingested>, Failure> {
        let new = NewRecording { name: Some(file.to_owned()), ..self.new.clone() };
        if self.in_place {
            let outside = System::location_of(file)?;
            let recording = self.ingest.catalogue_plain(new, outside, stop, &self.progress).await;
            let recording = recording.map_err(failure_in_place)?;
            return Ok(recording.map(|recording| Ingested {
                recording,
                broken_off: None,
                is_catalogued: true,
                is_waiting: false,
            }));
        }
        let unreadable = |error| Failure::new(format!("it cannot be read: {error}"));
        let metadata = std::fs::metadata(file).map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(Failure::new("it is a directory").advise("name the files in it"));
        }
        if !metadata.is_file() {
            return Err(
                Failure::new("it is not a file").advise("take what it gives in with `sealtape import - --id ID`")
            );
        }
        let mut source = FileSource::new(File::open(file).map_err(unreadable)?, PIECE_LEN);
        Ok(Some(self.ingest.ingest(new, &mut source, stop, &self.progress).await?))
    }
}

/// What workers share.
struct Shared {
    work: Files,
    /// Indices of files. Those of one lot are taken in one after the other.
    lots: Vec<Vec<usize>>,
    /// How many lots were begun.
    taken: AtomicUsize,
    is_over: AtomicBool,
}

impl Shared {
    async fn work(&self, mut stop: Stop, outcomes: &mpsc::UnboundedSender<(usize, Outcome)>) {
        while let Some(lot) = self.lots.get(self.taken.fetch_add(1, Ordering::Relaxed)) {
            for index in lot {
                // Of an archive, those that were not begun are not told one by one.
                if self.is_over.load(Ordering::Relaxed) || (self.work.in_place && stop.is_asked()) {
                    return;
                }
                let Some(file) = self.work.files.get(*index) else { return };
                let outcome = self.work.put_on_record(self.work.ingest_file(file, &mut stop).await).await;
                if matches!(outcome, Outcome::NotOnRecord(_)) {
                    self.is_over.store(true, Ordering::Relaxed);
                }
                if outcomes.send((*index, outcome)).is_err() {
                    return;
                }
            }
        }
    }
}

/// Of an archive, files are renamed rather than named one by one.
fn failure_in_place(error: IngestError) -> Failure {
    match error {
        IngestError::Id(_) => Failure::new(error).advise("rename the file: its name without the ending is the ID"),
        IngestError::Catalogue(catalogue::Error::RecordingExists(_)) => {
            Failure::new(error).advise("rename one of the two: a file's name without the ending is its ID")
        }
        error => error.into(),
    }
}

/// Files by what their IDs are made of, so that of two that want the same one the first has it.
fn lots(files: &[PathBuf]) -> Vec<Vec<usize>> {
    let mut by_stem: HashMap<OsString, usize> = HashMap::new();
    let mut lots: Vec<Vec<usize>> = Vec::new();
    for (index, file) in files.iter().enumerate() {
        let stem = file.file_stem().unwrap_or_default().to_owned();
        let lot = *by_stem.entry(stem).or_insert(lots.len());
        match lots.get_mut(lot) {
            Some(lot) => lot.push(index),
            None => lots.push(vec![index]),
        }
    }
    lots
}

fn event(record: &Record, ingested: &Ingested) -> Event {
    let recording = &ingested.recording;
    Event {
        recording: Some(recording.id.to_string()),
        fingerprint: recording.fingerprint().map(|fingerprint| fingerprint.to_string()),
        bytes: Some(recording.media_len),
        outcome: Some(recording.state.as_str().into()),
        detail: recording.content.outside().map(|_| "catalogued in plain, where it lies".into()),
        ..record.event(EventKind::RecordingImport)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_one_stem_are_one_lot_and_the_first_comes_first() {
        let files = ["a/call.wav", "b/other.wav", "b/call.mp3", "last", "call"].map(PathBuf::from);
        assert_eq!(lots(&files), [vec![0, 2, 4], vec![1], vec![3]]);
        assert!(lots(&[]).is_empty());
    }
}
