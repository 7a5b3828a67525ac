//! A recording that is open for playing: one version of one file, verified as far as its length.

use std::{
    any::Any,
    ops::Range,
    sync::{Arc, OnceLock},
};

use metrics::Counter;

use super::Heard;
use crate::base::{Fingerprint, MediaType, RecordingId, SealId, Timestamp};
use crate::catalogue::RecordingState;
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
}

/// What identifies a representation: a property of its content, and never of the key that wraps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validators {
    /// A strong entity tag, with its quotes.
    pub etag: String,
    /// When the media was sealed or stored.
    pub last_modified: Timestamp,
}

pub(super) enum OpenContent {
    Sealed { opener: Box<Opener>, fingerprint: Fingerprint, reads: Counter },
    Plain,
}

impl OpenRecording {
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

    /// The longest stretch of media from `position` on that one frame of about `frame_len` bytes carries: up to the
    /// end of a record, so that no record is read twice.
    pub(super) fn frame(&self, position: u64, end: u64, frame_len: u64) -> Range<u64> {
        let unit = frame_len.max(self.unit_len());
        position..end.min((position / unit + 1) * unit)
    }
}
