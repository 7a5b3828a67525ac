//! The door to the database. Every method is one use case and one transaction.

use async_trait::async_trait;

use super::{Cursor, Page, Recording};
use crate::access::RecordingSet;
use crate::base::{ErrorCode, Fingerprint, RecordingId};
use crate::keys::{KeyRow, KeyTable};

/// Keys, switch and catalogue, which live in one database so that one transaction can see them together.
///
/// Every implementation runs the conformance suite in `tests/db`.
#[async_trait]
pub trait Database: Send + Sync {
    /// Every key and the switch, as of one moment.
    async fn load_keys(&self) -> Result<KeyTable, Error>;

    /// Adds a database key. Fails with [`Error::KeyExists`] when there is one of that fingerprint.
    async fn add_key(&self, row: &KeyRow) -> Result<(), Error>;

    /// Switches encryption on or off. Switching on fails with [`Error::NoActiveKey`] when no key is active.
    async fn set_encryption(&self, enabled: bool) -> Result<(), Error>;

    /// How many recordings need each key.
    async fn key_usage(&self) -> Result<Vec<KeyUsage>, Error>;

    /// Adds a recording. Fails with [`Error::RecordingExists`] when its ID is taken.
    async fn add_recording(&self, recording: &Recording) -> Result<(), Error>;

    /// Says how far a recording that is being written got (length, state and digest): renews its lease, or ends it.
    /// Fails with [`Error::RecordingNotFound`] when it is gone, or was not being written.
    async fn update_progress(&self, recording: &Recording) -> Result<(), Error>;

    /// The recording of that ID.
    async fn recording(&self, id: &RecordingId) -> Result<Option<Recording>, Error>;

    /// Up to `limit` recordings of `set` after `after`, newest first. The page's cursor names none outside the set.
    async fn recordings(&self, after: Option<&Cursor>, limit: u32, set: &RecordingSet) -> Result<Page, Error>;

    /// Writes out what is pending and lets go; afterwards nothing can be asked any more.
    async fn close(&self);

    /// A number that is another one whenever anything was committed since it was last asked.
    async fn change_counter(&self) -> Result<u64, Error>;
}

/// How many recordings need a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUsage {
    /// The key.
    pub fingerprint: Fingerprint,
    /// Recordings whose file key it wraps.
    pub recordings: u64,
}

/// Why the database did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The operator: it does not answer, or not in time.
    #[error("the database cannot be asked: {0}")]
    Unavailable(String),
    /// The operator: it is not there, and was.
    #[error("there is no database here")]
    Missing,
    /// The operator: it was written by a newer version of this program.
    #[error(
        "the database was written by a newer version (schema {found}; this build knows up to {known}); run that version, or one after it"
    )]
    NewerVersion {
        /// The newest migration that the database has.
        found: i64,
        /// The newest that this build has.
        known: i64,
    },
    /// An investigator: a row holds what no version of this program writes.
    #[error("the database holds a row that cannot be read: {0}")]
    MalformedRow(String),
    /// The caller: the ID is taken.
    #[error("a recording of the ID {0} exists")]
    RecordingExists(RecordingId),
    /// The caller: no such recording.
    #[error("there is no recording of the ID {0}")]
    RecordingNotFound(RecordingId),
    /// The caller: the key is there.
    #[error("database key {0} exists")]
    KeyExists(Fingerprint),
    /// The operator: encryption cannot be switched on without a key.
    #[error("no database key is active")]
    NoActiveKey,
}

impl Error {
    /// The name that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unavailable(_) | Self::Missing | Self::NewerVersion { .. } | Self::MalformedRow(_) => {
                ErrorCode::CatalogueUnavailable
            }
            Self::RecordingExists(_) => ErrorCode::RecordingExists,
            Self::RecordingNotFound(_) => ErrorCode::RecordingNotFound,
            Self::NoActiveKey => ErrorCode::NoActiveKey,
            Self::KeyExists(_) => ErrorCode::Internal,
        }
    }
}
