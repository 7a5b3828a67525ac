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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_needs_its_key_and_nothing_else_does() {
        let of = |kept| Companion {
            id: "call-1".parse().expect("an ID"),
            name: None,
            version: SealId([1; 16]),
            media_type: "application/json".parse().expect("a media type"),
            content_len: 2,
            kept,
        };
        let fingerprint = Fingerprint([7; 32]);
        assert_eq!(of(Kept::Sealed { fingerprint }).fingerprint(), Some(fingerprint));
        assert_eq!(of(Kept::Plain { digest: [7; 32] }).fingerprint(), None);
    }

    /// The manual says 16 MiB.
    #[test]
    fn the_longest_is_as_long_as_is_promised() {
        assert_eq!(COMPANION_LEN_MAX, 16_777_216);
    }
}
