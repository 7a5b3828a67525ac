//! Recordings that are being written: opened once, looked at again, and followed.

use std::{ops::Range, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    Error, Playback,
    opening::{plain, sealed},
};
use crate::base::SealId;
use crate::catalogue::{Content, Recording, RecordingState};
use crate::media::{MediaObject, Stage, Version};
use crate::service::{
    OpenRecording, SpanStream,
    growth::{Growth, News},
    live_writer::LiveWriter,
};

/// How often it is looked whether a recording that has ended has its final name.
const NAMING_TICK: Duration = Duration::from_millis(100);

/// All that stays the same while a recording grows.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct GrowingKey {
    part: MediaObject,
    identity: [u64; 2],
    seal_ids: [Option<SealId>; 2],
}

impl Playback {
    /// A stretch of the media of a recording that is being written, from a position on; where it ends may be yet to
    /// come, and is waited for. Of any other recording, the stretch ends where the recording does.
    #[must_use]
    pub fn follow(&self, recording: &Arc<OpenRecording>, media: Range<u64>) -> SpanStream {
        let known = media.start..media.end.min(recording.media_len).max(media.start);
        let stream = self.stream(recording, known);
        match &recording.growth {
            Some(growth) => stream.followed(growth.follow(), media.end),
            None => stream,
        }
    }

    /// Waits until there is more of a recording that is being written, or it has come to its end, but not longer than
    /// until `deadline`; and opens it again.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub async fn open_grown(&self, recording: &OpenRecording, deadline: Instant) -> Result<Arc<OpenRecording>, Error> {
        if let Some(growth) = &recording.growth {
            let mut follower = growth.follow();
            let more = std::future::poll_fn(|cx| follower.poll(recording.media_len, cx));
            if let Ok(News::End(..)) = timeout_at(deadline, more).await {
                sleep_until(deadline.min(Instant::now() + NAMING_TICK)).await;
            }
        }
        self.open(&recording.id).await
    }

    /// The recording of a row that says that it is being written, if that is so. A lease that has lapsed is no death:
    /// a writer that cannot reach the database goes on, and holds its file.
    pub(super) async fn open_growing(
        &self,
        row: &Recording,
        object: &MediaObject,
        version: Version,
        state: RecordingState,
    ) -> Result<Option<Arc<OpenRecording>>, Error> {
        let is_growing = match (object.stage, state) {
            // A sealed file says by itself that it is complete; of a plain one, only the row does.
            (Stage::Final, RecordingState::Recording { .. }) => !row.is_sealed(),
            (Stage::Part, RecordingState::Recording { .. }) => true,
            (Stage::Part, RecordingState::Unfinished) => self.store.is_being_written(object).await?,
            _ => false,
        };
        if !is_growing {
            return Ok(None);
        }
        if let Content::Plain { exempt, .. } = row.content
            && !self.may_play_plain(exempt)
        {
            return Err(Error::PlainNotAllowed);
        }
        self.open_growing_file(Some(row), object, version).await.map(Some)
    }

    /// The same by its file alone, of whose recording there may be no row to be had; it is sealed then.
    pub(super) async fn open_growing_file(
        &self,
        row: Option<&Recording>,
        object: &MediaObject,
        version: Version,
    ) -> Result<Arc<OpenRecording>, Error> {
        let key = GrowingKey {
            part: MediaObject { stage: Stage::Part, ..object.clone() },
            identity: version.identity(),
            seal_ids: row.map_or([None, None], |row| row.content.seal_ids()),
        };
        let state = row.map_or(RecordingState::Recording { lease_until: (self.clock)() }, |row| row.state);
        let mut growth = self.growing.get_or_open(&key, self.begin(&key, object, row, state)).await?;
        match growth.failure() {
            None => {}
            Some(Error::Corrupt(corruption)) => return Err(Error::Corrupt(corruption)),
            // What was in the way may have passed.
            Some(_) => {
                self.growing.forget(&key).await;
                growth = self.growing.get_or_open(&key, self.begin(&key, object, row, state)).await?;
            }
        }
        growth.note_writer(state);
        growth.look().await?;
        let recording = growth.recording(state);
        // Asked for each request: a key or switch withdrawn stops what is open already.
        if let Some(fingerprint) = recording.fingerprint() {
            self.keys.ring().opening(&fingerprint)?;
        }
        Ok(Arc::new(recording))
    }

    async fn begin(
        &self,
        key: &GrowingKey,
        object: &MediaObject,
        row: Option<&Recording>,
        state: RecordingState,
    ) -> Result<Arc<Growth>, Error> {
        let file = self.store.open(object).await?.ok_or(Error::MediaMissing)?;
        let begun = match row {
            Some(row) if !row.is_sealed() => plain(row, file, state),
            _ => {
                let pending_header = row.and_then(|row| row.content.pending_header());
                let header = self.header_of(&*file, object, pending_header).await?;
                sealed(header.begin(), file, &key.seal_ids, state)?
            }
        };
        let doors = (&self.database, &self.store);
        let writer = LiveWriter::new(doors, &self.keys, &self.clock, key.part.clone(), begun.fingerprint(), state);
        Ok(Arc::new(Growth::new(begun, writer)))
    }
}
