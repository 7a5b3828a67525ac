//! A recording that is open for playing: one version of one file, verified as far as its length.

use std::{
    any::Any,
    ops::Range,
    sync::{Arc, OnceLock},
};

use metrics::Counter;

use super::{Heard, growth::Growth, meter};
use crate::base::{Fingerprint, MediaType, RecordingId, SealId, Timestamp};
use crate::catalogue::{Recording, RecordingState};
use crate::media::MediaFile;
use crate::sealed::Opener;

/// A recording, open. Shared by all who play it.
pub struct OpenRecording {
    /// Its ID.
    pub id: RecordingId,
    /// Of the media that it plays.
    pub media_type: MediaType,
    /// Bytes of media, verified.
    pub media_len: u64,
    /// How far it got.
    pub state: RecordingState,
    /// Sealed again from a recording whose end is missing.
    pub mended: bool,
    /// What its media can be compared by; only a complete recording has any.
    pub validators: Option<Validators>,
    pub(super) content: OpenContent,
    /// The same for the playback record, made when somebody first plays it.
    pub(super) heard: OnceLock<Heard>,
    /// What whoever shows it has made of it. Here nobody knows what that is.
    pub(super) shown: OnceLock<Arc<dyn Any + Send + Sync>>,
    pub(super) file: Arc<dyn MediaFile>,
    /// What knows more of it later, while it is being written.
    pub(super) growth: Option<Arc<Growth>>,
}

/// What identifies a representation: a property of its content, and never of the key that wraps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validators {
    /// A strong entity tag, with its quotes.
    pub etag: String,
    /// When the media was sealed or stored.
    pub last_modified: Timestamp,
}

#[derive(Clone)]
pub(super) enum OpenContent {
    Sealed { opener: Opener, fingerprint: Fingerprint, reads: Counter },
    Plain,
}

impl OpenContent {
    /// The same, known further.
    pub(super) fn with(&self, further: Opener) -> Self {
        match self {
            Self::Sealed { fingerprint, reads, .. } => {
                Self::Sealed { opener: further, fingerprint: *fingerprint, reads: reads.clone() }
            }
            Self::Plain => Self::Plain,
        }
    }
}

impl OpenRecording {
    /// One whose length is a presumption ([`crate::sealed::VerifiedHeader::presume`]): for telling what is left of it.
    pub(super) fn of_damaged(row: &Recording, opener: Opener, file: Arc<dyn MediaFile>) -> Self {
        let header = opener.header();
        Self {
            id: row.id.clone(),
            media_type: header.media_type.clone(),
            media_len: opener.state().media_len(),
            state: row.state,
            mended: header.mended,
            validators: None,
            heard: OnceLock::new(),
            shown: OnceLock::new(),
            content: OpenContent::Sealed {
                fingerprint: header.fingerprint,
                reads: meter::reads(&header.fingerprint),
                opener,
            },
            file,
            growth: None,
        }
    }

    /// The same recording, known so far; without validators.
    pub(super) fn known_as(
        &self,
        content: OpenContent,
        media_len: u64,
        state: RecordingState,
        growth: Option<Arc<Growth>>,
    ) -> Self {
        Self {
            id: self.id.clone(),
            media_type: self.media_type.clone(),
            media_len,
            state,
            mended: self.mended,
            validators: None,
            content,
            heard: OnceLock::new(),
            shown: OnceLock::new(),
            file: Arc::clone(&self.file),
            growth,
        }
    }

    /// Whether it is being written, so that there may be more of it than is known here.
    #[must_use]
    pub fn is_growing(&self) -> bool {
        self.growth.is_some()
    }

    /// The key that the recording needs, when it is sealed.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        match &self.content {
            OpenContent::Sealed { fingerprint, .. } => Some(*fingerprint),
            OpenContent::Plain => None,
        }
    }

    /// How many bytes of media are read and verified together: a record's, when it is sealed.
    #[must_use]
    pub fn unit_len(&self) -> u64 {
        match &self.content {
            OpenContent::Sealed { opener, .. } => opener.header().chunk_len.bytes(),
            OpenContent::Plain => 1,
        }
    }

    /// The name of its sealing, when it is sealed: of one version of the recording, whatever wraps its key.
    #[must_use]
    pub fn seal_id(&self) -> Option<SealId> {
        match &self.content {
            OpenContent::Sealed { opener, .. } => Some(opener.seal_id()),
            OpenContent::Plain => None,
        }
    }

    /// What whoever shows it makes of it, once for all who play it. Whoever asks for another type than the one who
    /// asked first gets one of their own.
    pub fn shown<T: Send + Sync + 'static>(&self, make: impl Fn() -> T) -> Arc<T> {
        let shown = Arc::clone(self.shown.get_or_init(|| Arc::new(make())));
        shown.downcast().unwrap_or_else(|_| Arc::new(make()))
    }

    /// The stretch of media from `position` on that one frame of about `frame_len` bytes carries: up to the end of a
    /// record, so that no record is read twice, or up to `end`, when a quarter more is enough for that.
    pub(super) fn frame(&self, position: u64, end: u64, frame_len: u64) -> Range<u64> {
        frame(position, end, frame_len, self.unit_len().max(PAGE_LEN))
    }
}

/// What a file that has no records is read by.
const PAGE_LEN: u64 = 4096;

fn frame(position: u64, end: u64, frame_len: u64, unit: u64) -> Range<u64> {
    let record_end = (position / unit + 1) * unit;
    let stop = ((position + frame_len) / unit * unit).max(record_end);
    // Whole records, so that who asks for one record at a time gets no more.
    let more = frame_len / 4 / unit * unit;
    position..if end <= stop + more { end } else { stop }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1024;

    #[test]
    fn a_range_of_about_a_frame_is_one_frame() {
        for position in [0, 1, 4095, 16 * KIB - 1, 123_456_789] {
            for len in [1, 4 * KIB, 64 * KIB] {
                let end = position + len;
                assert_eq!(frame(position, end, 64 * KIB, 16 * KIB), position..end, "{len} from {position}");
            }
        }
    }

    /// Whatever a range, it is cut into frames that meet, end where records end, and are about as long as was asked.
    #[test]
    fn frames_meet_where_records_end() {
        for unit in [4 * KIB, 16 * KIB, 64 * KIB, 1024 * KIB] {
            for frame_len in [64 * KIB, 256 * KIB] {
                for start in [0, 5, unit - 1, 7 * unit + 77] {
                    let end = start + 5 * 1024 * KIB + 333;
                    let (mut position, mut frames) = (start, 0);
                    while position < end {
                        let part = frame(position, end, frame_len, unit);
                        assert!(part.start == position && part.end > position);
                        assert!(part.end == end || part.end.is_multiple_of(unit), "{part:?} of {unit}");
                        assert!(part.end - position <= (frame_len * 5 / 4).max(unit), "{part:?} of {unit}");
                        position = part.end;
                        frames += 1;
                    }
                    assert!(frames <= 1 + (end - start).div_ceil(frame_len.max(unit) - unit.min(frame_len) / 2));
                }
            }
        }
    }

    #[test]
    fn who_asks_for_one_record_gets_one() {
        let unit = 16 * KIB;
        assert_eq!(frame(3 * unit, 100 * unit, unit, unit), 3 * unit..4 * unit);
        assert_eq!(frame(3 * unit + 5, 4 * unit + 1, unit, unit), 3 * unit + 5..4 * unit);
    }
}
