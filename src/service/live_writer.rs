//! Whether the writer of a recording is still at work: by its lease in the catalogue, and by its hold on the file.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Clock, KeyWatch, OpenRecording, PlaybackError as Error};
use crate::base::Fingerprint;
use crate::catalogue::{Database, Recording, RecordingState};
use crate::media::{MediaObject, MediaStore, Stage};

/// The writer of one recording, seen by who reads it.
pub(super) struct LiveWriter {
    database: Arc<dyn Database>,
    store: Arc<dyn MediaStore>,
    keys: Arc<KeyWatch>,
    clock: Clock,
    /// The file that it writes.
    part: MediaObject,
    fingerprint: Option<Fingerprint>,
    /// What the catalogue said last.
    state: Mutex<RecordingState>,
}

/// What became of a writer.
pub(super) enum Life {
    /// It is at work.
    Writing,
    /// It has finished: the recording is complete.
    Finished,
    /// It died or gave up.
    Gone,
}

impl LiveWriter {
    /// The writer of `part`, a sealed file when there is a fingerprint.
    pub(super) fn new(
        (database, store): (&Arc<dyn Database>, &Arc<dyn MediaStore>),
        keys: &Arc<KeyWatch>,
        clock: &Clock,
        part: MediaObject,
        fingerprint: Option<Fingerprint>,
        state: RecordingState,
    ) -> Self {
        let (database, store) = (Arc::clone(database), Arc::clone(store));
        let (keys, clock) = (Arc::clone(keys), Arc::clone(clock));
        Self { database, store, keys, clock, part, fingerprint, state: Mutex::new(state) }
    }

    /// Takes note of what the catalogue says.
    pub(super) fn note(&self, state: RecordingState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Whether the recording's key or the switch was withdrawn.
    pub(super) fn is_withdrawn(&self) -> bool {
        self.fingerprint.is_some_and(|fingerprint| self.keys.ring().opening(&fingerprint).is_err())
    }

    /// What became of it. While the catalogue cannot be asked, what it said last holds, and after the lease the hold on
    /// the file: a writer that cannot renew the one keeps the other.
    ///
    /// # Errors
    ///
    /// The recording is gone, or the store does not answer.
    pub(super) async fn life(&self, known: &OpenRecording) -> Result<Life, Error> {
        match self.database.recording(&self.part.id).await {
            Ok(Some(row)) if is_of(&row, known) => self.note(row.state),
            Ok(_) => return Err(Error::NotFound),
            Err(error) => self.keys.note_trouble(&error),
        }
        let state = *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match state {
            RecordingState::Complete => Life::Finished,
            RecordingState::Unfinished => Life::Gone,
            RecordingState::Recording { .. } if self.has_final_name(known).await? => Life::Finished,
            RecordingState::Recording { lease_until } if lease_until >= (self.clock)() => Life::Writing,
            RecordingState::Recording { .. } if self.store.is_being_written(&self.part).await? => Life::Writing,
            // Between the two looks it may have finished.
            RecordingState::Recording { .. } if self.has_final_name(known).await? => Life::Finished,
            RecordingState::Recording { .. } => Life::Gone,
        })
    }

    /// Whether the file has the name that only a complete one has.
    async fn has_final_name(&self, known: &OpenRecording) -> Result<bool, Error> {
        let object = MediaObject { stage: Stage::Final, ..self.part.clone() };
        // What is written here has not left the spool before it has its name: the store behind it need not be asked.
        if let Some(spool) = self.store.spool()
            && spool.version(&self.part).await?.is_some()
        {
            return Ok(false);
        }
        let there = self.store.version(&object).await?;
        Ok(there.is_some_and(|version| version.identity() == known.file.version().identity()))
    }
}

/// Whether a row is of the very recording that is followed.
fn is_of(row: &Recording, known: &OpenRecording) -> bool {
    match known.seal_id() {
        Some(seal_id) => row.content.seal_ids().contains(&Some(seal_id)),
        None => !row.is_sealed(),
    }
}
