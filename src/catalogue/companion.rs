//! What lies beside a recording's media: its metadata, and sidecars that came with it.
//!
//! Each is an object of its own, written once. One that is replaced gets a new object under a new name, and the
//! catalogue says which counts: the change is one transaction, and nothing is ever half replaced.

use crate::base::{Fingerprint, MediaType, RecordingId, SealId, SidecarName};

/// The longest metadata or sidecar, in bytes: they are read as a whole.
pub const COMPANION_LEN_MAX: u64 = 16 << 20;

/// Something that lies beside a recording's media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Companion {
    /// The recording.
    pub id: RecordingId,
    /// The name of a sidecar; the metadata has none.
    pub name: Option<SidecarName>,
    /// Tells this version's object from others: the name of its sealing, or of a plain one a random name.
    pub version: SealId,
    /// Of its content.
    pub media_type: MediaType,
    /// Bytes of content.
    pub content_len: u64,
    /// How it is kept.
    pub kept: Kept,
}

/// How a companion is kept. What is sealed is what the catalogue says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// As a sealed file.
    Sealed {
        /// Of the database key that wraps its file key.
        fingerprint: Fingerprint,
    },
    /// In plain.
    Plain {
        /// SHA-256 of its content.
        digest: [u8; 32],
    },
}

impl Companion {
    /// The key that it needs, when it is sealed.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        match self.kept {
            Kept::Sealed { fingerprint } => Some(fingerprint),
            Kept::Plain { .. } => None,
        }
    }
}
