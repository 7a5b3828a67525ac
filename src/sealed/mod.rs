//! The sealed file, version 1: one recording, encrypted and tagged, written front to back and read from any byte.
//!
//! Pure and synchronous: bytes come in as slices and leave as slices. Knows no file, path, clock, database or runtime;
//! its owner reads and writes where this room says. The picture is in [`crate::manual::format`].
//!
//! * Sealing: [`Sealer`] turns media into a header and records.
//! * Opening: [`UnverifiedHeader`] → [`VerifiedHeader`] → [`Opener`] → [`Span`]s of verified plaintext. Each step
//!   consumes the one before, so that no caller can skip a check. While a file is being written, [`Opener::grown`]
//!   takes the place of the judgement of its end.
//!
//! Invariant: no function here returns a byte of media whose header tag and chunk tag have not verified.

mod header;
mod layout;
mod opener;
mod sealer;
mod span;
mod state;
#[cfg(test)]
mod tests;

pub use header::{Header, Role, UnverifiedHeader, VerifiedHeader};
pub use layout::{ChunkLen, HEADER_LEN, MEDIA_LEN_MAX, WRAPPED_FILE_KEY};
pub use opener::{Damage, Opener};
pub use sealer::{Sealed, Sealer, Sealing};
pub use span::Span;
pub use state::{NameClaim, State};

use crate::base::ErrorCode;

/// Whether bytes begin with the magic of a sealed file.
#[must_use]
pub fn has_magic(bytes: &[u8]) -> bool {
    bytes.starts_with(&layout::MAGIC)
}

/// Why a sealed file was refused, or could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The operator runs an older build than the one that wrote the file.
    #[error("format version {0} is not one that this build reads")]
    UnsupportedVersion(u8),
    /// The operator runs a build without the file's suite.
    #[error("suite {0} is not one that this build reads")]
    UnsupportedSuite(u8),
    /// An investigator: the file is not what was written under this name.
    #[error("the sealed file does not verify: {0}")]
    Corrupt(#[from] Corruption),
    /// The caller sent more media than one file can hold (2^60 bytes).
    #[error("the media is longer than a sealed file can hold")]
    TooLong,
    /// The operator's machine gives no random numbers.
    #[error("the operating system gives no random numbers")]
    NoRandom,
}

impl Error {
    /// The name that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::UnsupportedVersion(_) | Self::UnsupportedSuite(_) => ErrorCode::UnsupportedFormat,
            Self::Corrupt(_) => ErrorCode::RecordingCorrupt,
            Self::TooLong => ErrorCode::MediaTooLarge,
            Self::NoRandom => ErrorCode::Internal,
        }
    }
}

impl From<crate::crypto::Error> for Error {
    fn from(error: crate::crypto::Error) -> Self {
        match error {
            crate::crypto::Error::NoRandom => Self::NoRandom,
            crate::crypto::Error::NotAuthentic => Self::Corrupt(Corruption::HeaderTag),
        }
    }
}

/// What exactly does not verify, in the order in which a reader finds out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Corruption {
    /// Fewer bytes than a header has.
    #[error("it is shorter than a header")]
    ShortHeader,
    /// Another kind of file, or one that a text-mode transfer changed.
    #[error("it does not begin as a sealed file does")]
    Magic,
    /// The wrapped file key is not one of the key that the header names.
    #[error("its file key does not unwrap under the key that it names")]
    Unwrap,
    /// The header was changed.
    #[error("its header tag does not verify")]
    HeaderTag,
    /// A chunk length outside the format's range.
    #[error("its header names an impossible chunk length")]
    ChunkLen,
    /// A flag that this version does not know.
    #[error("its header carries unknown flags")]
    Flags,
    /// A role that this version does not know.
    #[error("its header names an unknown role")]
    Role,
    /// Reserved bytes that are not zero.
    #[error("its header's reserved bytes are not zero")]
    Reserved,
    /// A time past the year 9999.
    #[error("its header names an impossible time")]
    SealedAt,
    /// A media type outside RFC 9110, of wrong length, or with padding that is not zero.
    #[error("its header names an impossible media type")]
    MediaType,
    /// An ID outside the alphabet, of wrong length, or with padding that is not zero.
    #[error("its header names an impossible recording ID")]
    RecordingId,
    /// A sidecar name outside the alphabet, of wrong length for the role, or with padding that is not zero.
    #[error("its header names an impossible sidecar name")]
    SidecarName,
    /// The file of another recording lies in this one's place.
    #[error("it is another recording's file")]
    OtherId,
    /// A file of another role lies in this one's place.
    #[error("it is a file of another role")]
    OtherRole,
    /// Another sidecar lies in this one's place.
    #[error("it is another sidecar's file")]
    OtherSidecar,
    /// Under its final name a file is complete, and this one is not.
    #[error("its end is missing")]
    NotComplete,
    /// Neither complete nor unfinished: the last record does not verify.
    #[error("its last record does not verify")]
    Tail,
    /// Longer than any recording.
    #[error("it is longer than a sealed file can be")]
    TooLong,
    /// A chunk's tag does not verify.
    #[error("chunk {0} does not verify")]
    Chunk(u64),
    /// Fewer bytes came than the verified length promises.
    #[error("it is shorter than it was when its end was verified")]
    ShortRead,
    /// Another sealing than the one that the catalogue names.
    #[error("it is another sealing than the catalogue's")]
    OtherSealing,
}

impl Corruption {
    /// A short name, as reports and golden files use it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::ShortHeader => "short-header",
            Self::Magic => "magic",
            Self::Unwrap => "unwrap",
            Self::HeaderTag => "header-tag",
            Self::ChunkLen => "chunk-len",
            Self::Flags => "flags",
            Self::Role => "role",
            Self::Reserved => "reserved",
            Self::SealedAt => "sealed-at",
            Self::MediaType => "media-type",
            Self::RecordingId => "recording-id",
            Self::SidecarName => "sidecar-name",
            Self::OtherId => "other-id",
            Self::OtherRole => "other-role",
            Self::OtherSidecar => "other-sidecar",
            Self::NotComplete => "not-complete",
            Self::Tail => "tail",
            Self::TooLong => "too-long",
            Self::Chunk(_) => "chunk",
            Self::ShortRead => "short-read",
            Self::OtherSealing => "other-sealing",
        }
    }
}
