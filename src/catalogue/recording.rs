//! A recording as the catalogue knows it.

use crate::base::{Fingerprint, MediaType, RecordingId, SealId, Timestamp};

/// How far a recording got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordingState {
    /// A writer is at work; it renews its lease until the given time.
    Recording {
        /// When the writer is held to be dead unless it renews.
        lease_until: Timestamp,
    },
    /// The writer died, or its source broke off: what it wrote plays.
    Unfinished,
    /// Whole.
    Complete,
}

/// How a recording's media is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// As a sealed file.
    Sealed {
        /// Of the database key that wraps its file key.
        fingerprint: Fingerprint,
        /// The sealing that lies, or is to lie, under the recording's name.
        seal_id: SealId,
        /// The sealing that replaces it, while a replacement is under way.
        replacement: Option<SealId>,
    },
    /// In plain.
    Plain {
        /// SHA-256 of the media as it was stored: its validator.
        digest: [u8; 32],
        /// Kept plain on purpose, for a recorder that cannot encrypt.
        exempt: bool,
    },
}

/// A recording: a row of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Its name.
    pub id: RecordingId,
    /// Of its media, in plaintext.
    pub media_type: MediaType,
    /// Bytes of media; for one that is not complete, as last known.
    pub media_len: u64,
    /// How far it got.
    pub state: RecordingState,
    /// Sealed again from a recording whose end is missing.
    pub mended: bool,
    /// When it was stored; for a sealed one, when its header was first written.
    pub created_at: Timestamp,
    /// How its media is kept.
    pub content: Content,
}

impl Recording {
    /// The state at `now`: a writer whose lease has lapsed is dead.
    #[must_use]
    pub fn state_at(&self, now: Timestamp) -> RecordingState {
        match self.state {
            RecordingState::Recording { lease_until } if lease_until < now => RecordingState::Unfinished,
            state => state,
        }
    }

    /// Whether the recording is kept sealed.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        matches!(self.content, Content::Sealed { .. })
    }

    /// The key that the recording needs, when it is sealed.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        match self.content {
            Content::Sealed { fingerprint, .. } => Some(fingerprint),
            Content::Plain { .. } => None,
        }
    }
}

impl RecordingState {
    /// As listings write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recording { .. } => "recording",
            Self::Unfinished => "unfinished",
            Self::Complete => "complete",
        }
    }
}
