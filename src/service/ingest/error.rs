//! Why a recording is not taken in, and who must act.

use std::io;

use super::incoming::Break;
use crate::base::{self, ErrorCode, RecordingId};
use crate::catalogue::{self, Recording};
use crate::keys::{NoActiveKey, OpeningRefused};
use crate::{media, sealed};

/// Why a recording was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller: there is nothing to take in.
    #[error("it is empty")]
    Empty,
    /// The caller: media that is not sealed does not carry an ID.
    #[error("it needs an ID")]
    NoId,
    /// The caller: its name is not one that a recording can have.
    #[error("its name is no ID: {0}")]
    Id(#[from] base::Error),
    /// The caller: a sealed file carries another ID than the one given.
    #[error("it is a sealed file and carries the ID {carried}")]
    OtherId {
        /// What its header says.
        carried: RecordingId,
    },
    /// The caller: a sealed file carries its media type, and cannot be made plain here.
    #[error("it is a sealed file: its media type is the one that it carries, and it stays sealed")]
    SealedAlready,
    /// The caller: a sealed file is none that could be catalogued as plain.
    #[error("it begins as a sealed file does, and is not plain")]
    SealedInPlain,
    /// The caller: a stream is media, and this is a sealed file.
    #[error("it is a sealed file, and not media")]
    SealedStream,
    /// The caller: begins as a sealed file and is none that can be trusted.
    #[error("it begins as a sealed file does, and cannot be taken in: {0}")]
    NotVerified(sealed::Error),
    /// The operator: the key of a sealed file is not here.
    #[error("it is a sealed file, and {0}")]
    KeyRefused(OpeningRefused),
    /// The operator: no key can wrap.
    #[error(transparent)]
    NoActiveKey(#[from] NoActiveKey),
    /// The caller: it cannot be read.
    #[error("it cannot be read: {0}")]
    Source(io::Error),
    /// The caller stopped it.
    #[error("stopped; nothing of it was kept")]
    Stopped,
    /// Whoever must act on what broke it off: a live recording had begun, and is kept, unfinished.
    #[error("{error}")]
    BrokenOff {
        /// As it was catalogued.
        recording: Box<Recording>,
        /// What broke it off.
        error: Box<Self>,
    },
    /// The caller or the operator: ID taken, or database away.
    #[error(transparent)]
    Catalogue(#[from] catalogue::Error),
    /// The caller or the operator: name taken, no room, or store away.
    #[error(transparent)]
    Store(#[from] media::Error),
    /// The caller or the operator: too long, or no random numbers.
    #[error(transparent)]
    Sealing(#[from] sealed::Error),
}

impl Error {
    /// The name that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Empty
            | Self::NoId
            | Self::Id(_)
            | Self::OtherId { .. }
            | Self::SealedAlready
            | Self::SealedInPlain
            | Self::Source(_)
            | Self::Stopped => ErrorCode::BadRequest,
            Self::SealedStream => ErrorCode::UnsupportedMediaType,
            Self::BrokenOff { error, .. } => error.code(),
            Self::NotVerified(error) | Self::Sealing(error) => error.code(),
            Self::KeyRefused(refused) => refused.code(),
            Self::NoActiveKey(NoActiveKey) => ErrorCode::NoActiveKey,
            Self::Catalogue(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
}

impl From<Break> for Error {
    fn from(broken_off: Break) -> Self {
        match broken_off {
            Break::Stopped => Self::Stopped,
            Break::Source(error) => Self::Source(error),
        }
    }
}
