//! What still verifies of a damaged recording, in order, and which stretches are missing.
//!
//! The bytes come the same way as a player's, and no other way out is opened: a frame is verified, or it is not given.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;

use super::{OpenRecording, Playback, PlaybackError as Error, SpanStream, span_stream::FRAME_LEN_MAX};
use crate::base::RecordingId;

/// A recording that may be damaged, open.
pub struct Damaged {
    /// What there is of it.
    pub recording: Arc<OpenRecording>,
    /// Bytes of media that it should have.
    pub media_len: u64,
}

/// Gets out what verifies.
pub struct Salvage {
    playback: Arc<Playback>,
    damaged: Damaged,
    /// Where the next byte comes from, and where the caller's range ends.
    rest: Range<u64>,
    stream: Option<SpanStream>,
    /// Up to here it is read a chunk at a time: the disk gave an error somewhere in it.
    closely_to: u64,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Salvaged {
    /// Verified media.
    Media(Bytes),
    /// This stretch of media does not verify, or is not there.
    Missing(Range<u64>),
}

impl Playback {
    /// Opens a sealed recording of which only the header must verify.
    ///
    /// # Errors
    ///
    /// Why not even that can be done.
    pub async fn open_damaged(&self, id: &RecordingId) -> Result<Damaged, Error> {
        match self.open(id).await {
            Ok(recording) => {
                let media_len = recording.media_len;
                Ok(Damaged { recording, media_len })
            }
            Err(Error::Corrupt(_)) => self.open_presumed(id).await,
            Err(error) => Err(error),
        }
    }
}

impl Salvage {
    /// Of the media in `range`, which may end beyond the recording.
    #[must_use]
    pub fn new(playback: Arc<Playback>, damaged: Damaged, range: &Range<u64>) -> Self {
        let end = range.end.min(damaged.media_len);
        Self { playback, rest: range.start.min(end)..end, damaged, stream: None, closely_to: 0 }
    }

    /// What comes next; none at the end.
    ///
    /// # Errors
    ///
    /// The key or the switch was withdrawn, or the store does not answer at all.
    pub async fn next(&mut self) -> Result<Option<Salvaged>, Error> {
        loop {
            let there = self.rest.end.min(self.damaged.recording.media_len);
            if self.rest.is_empty() {
                return Ok(None);
            }
            if self.rest.start >= there {
                // Its end was cut off.
                return Ok(Some(self.miss(self.rest.end)));
            }
            let position = self.rest.start;
            let unit = self.damaged.recording.unit_len();
            let unit_end = there.min((position / unit + 1) * unit);
            let is_close = position < self.closely_to;
            let frame_len = if is_close { unit } else { FRAME_LEN_MAX };
            let (playback, recording) = (&self.playback, &self.damaged.recording);
            let stream = self.stream.get_or_insert_with(|| playback.stream(recording, position..there));
            match std::future::poll_fn(|cx| stream.poll_next(frame_len, cx)).await.transpose() {
                Ok(Some(frame)) => {
                    self.rest.start += frame.len() as u64;
                    return Ok(Some(Salvaged::Media(frame)));
                }
                Ok(None) => self.stream = None,
                Err(Error::Corrupt(_)) => return Ok(Some(self.miss(unit_end))),
                Err(Error::Store(_)) if is_close => return Ok(Some(self.miss(unit_end))),
                Err(Error::Store(_)) => {
                    self.stream = None;
                    self.closely_to = position + FRAME_LEN_MAX;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn miss(&mut self, end: u64) -> Salvaged {
        self.stream = None;
        let missing = self.rest.start..end;
        self.rest.start = end;
        Salvaged::Missing(missing)
    }
}
