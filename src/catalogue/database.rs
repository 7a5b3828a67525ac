//! The door to the database. Every method is one use case and one transaction.

use async_trait::async_trait;

use super::{Companion, Content, Cursor, Filter, Metadata, Page, PlainCount, PlainLeft, Recording};
use crate::access::RecordingSet;
use crate::base::{ErrorCode, Fingerprint, Location, RecordingId, Timestamp};
use crate::keys::{KeyRow, KeyTable};

/// Keys, switch and catalogue, which live in one database so that one transaction can see them together.
///
/// Every implementation runs the conformance suite in `tests/db`.
#[async_trait]
pub trait Database: Send + Sync {
    /// Every key and the switch, as of one moment.
    async fn load_keys(&self) -> Result<KeyTable, Error>;

    /// Adds those of the database keys that are not there yet, all or none, and gives the fingerprints of the others,
    /// which stay as they are. A switch that was never touched is on from then on, whatever becomes of the keys. Fails with [`Error::KeysChanged`] when what is there is wrapped by another definition
    /// key than the new rows: a table never lies under two.
    async fn add_keys(&self, rows: &[KeyRow]) -> Result<Vec<Fingerprint>, Error>;

    /// Puts `new` in the place of `old`, the same key in another state, and gives how many recordings need it.
    ///
    /// Deactivating fails with [`Error::KeyNeeded`] while any does, unless `despite_recordings`: the count and the
    /// change are one transaction. Fails with [`Error::KeysChanged`] when the row is not `old` any more.
    async fn change_key_state(&self, old: &KeyRow, new: &KeyRow, despite_recordings: bool) -> Result<u64, Error>;

    /// Puts each of `new` in the place of the same key in `old`, all or none. Fails with [`Error::KeysChanged`] when
    /// the table does not hold the rows of `old`, and no other, any more.
    async fn replace_keys(&self, old: &[KeyRow], new: &[KeyRow]) -> Result<(), Error>;

    /// Says of keys that a backup of them was written.
    async fn mark_exported(&self, fingerprints: &[Fingerprint], at: Timestamp) -> Result<(), Error>;

    /// Switches encryption on or off. Switching on fails with [`Error::NoActiveKey`] when no key is active.
    async fn set_encryption(&self, enabled: bool) -> Result<(), Error>;

    /// How many recordings need each key. One on its way from a key to another needs both.
    /// Every recording is counted.
    async fn key_usage(&self) -> Result<Vec<KeyUsage>, Error>;

    /// How many recordings need one key.
    async fn key_usage_of(&self, key: &Fingerprint) -> Result<u64, Error>;

    /// Up to `limit` recordings that need a key, by ID, after `after`.
    async fn recordings_under(
        &self,
        key: &Fingerprint,
        after: Option<&RecordingId>,
        limit: u32,
    ) -> Result<Vec<Recording>, Error>;

    /// Adds a new recording. Fails with [`Error::RecordingExists`] when its ID is taken, and with
    /// [`Error::KeyDeactivated`] when the key that it was sealed under has been deactivated meanwhile.
    async fn add_recording(&self, recording: &Recording) -> Result<(), Error>;

    /// Adds a recording that is there already, as its verified file says, whatever became of its key. Fails with
    /// [`Error::RecordingExists`] when its ID is taken.
    async fn restore_recording(&self, recording: &Recording) -> Result<(), Error>;

    /// Puts `to` in the place of `from`: how a recording is sealed. Fails with [`Error::RecordingChanged`] when the
    /// recording is gone, is being written or purged, or is not sealed as `from` says any more, and with
    /// [`Error::KeyDeactivated`] when the key of a replacement that begins has been deactivated meanwhile.
    async fn replace_content(&self, id: &RecordingId, from: &Content, to: &Content) -> Result<(), Error>;

    /// Says that a plain recording is sealed, `to` in the place of `from`, and that its plain file is to go. Fails with
    /// [`Error::RecordingChanged`] when the row is not `from` any more or purged, and with [`Error::KeyDeactivated`] when
    /// the key that it was sealed under has been deactivated meanwhile.
    async fn seal_recording(&self, from: &Recording, to: &Recording, left: &PlainLeft) -> Result<(), Error>;

    /// Up to `limit` recordings that lie in plain and are not exempt, by ID, after `after`.
    async fn plain_recordings(&self, after: Option<&RecordingId>, limit: u32) -> Result<Vec<Recording>, Error>;

    /// How many recordings lie in plain. Every one of them is counted.
    async fn plain_count(&self) -> Result<PlainCount, Error>;

    /// Up to `limit` plain files that are to go, each with its number, from the one after `after` on; numbers begin
    /// with 1.
    async fn plain_left(&self, after: u64, limit: u32) -> Result<Vec<(u64, PlainLeft)>, Error>;

    /// Whether the plain file of that recording, at that place, is to go.
    async fn is_plain_left(&self, id: &RecordingId, outside: &Location) -> Result<bool, Error>;

    /// Says that a plain file is gone.
    async fn forget_plain_left(&self, left: &PlainLeft) -> Result<(), Error>;

    /// The run that seals every recording again and has not come to its end.
    async fn unfinished_reseal(&self) -> Result<Option<ResealRun>, Error>;

    /// Says that such a run begins, or, with `None`, that it came to its end.
    async fn note_reseal(&self, run: Option<&ResealRun>) -> Result<(), Error>;

    /// Says how far a recording that is being written got (length, state and digest): renews its lease, or ends it.
    /// Fails with [`Error::RecordingNotFound`] when it is gone, or was not being written.
    async fn update_progress(&self, recording: &Recording) -> Result<(), Error>;

    /// Says that a recording's media, kept as its row says, is in the media store, and no longer in a spool. Fails with
    /// [`Error::RecordingChanged`] when the recording is gone, or kept in another way.
    async fn note_stored(&self, recording: &Recording) -> Result<(), Error>;

    /// Up to `limit` recordings whose media lies in that spool, by ID, after `after`.
    async fn spooled_recordings(
        &self,
        spool: &Location,
        after: Option<&RecordingId>,
        limit: u32,
    ) -> Result<Vec<Recording>, Error>;

    /// Puts `to` in the place of a recording that is sealed, or kept in plain, as `from` says: how long it is, how far it
    /// got, whether it is mended, and how it is sealed, as a file says that was verified. Fails with
    /// [`Error::RecordingChanged`] when the recording is gone, is being written or purged, or is not kept as `from` says.
    async fn settle_recording(&self, from: &Content, to: &Recording) -> Result<(), Error>;

    /// Those of `ids` that there are, in no order.
    async fn recordings_of(&self, ids: &[RecordingId]) -> Result<Vec<Recording>, Error>;

    /// The recording of that ID.
    async fn recording(&self, id: &RecordingId) -> Result<Option<Recording>, Error>;

    /// Up to `limit` recordings of `set` after `after`, newest first. The page's cursor names none outside the set.
    async fn recordings(&self, after: Option<&Cursor>, limit: u32, set: &RecordingSet) -> Result<Page, Error>;

    /// The same, of those that have what `filter` wants. Where they are far between, a page may have fewer than `limit`,
    /// or none, and a next one.
    async fn search(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: u32,
        set: &RecordingSet,
    ) -> Result<Page, Error>;

    /// What lies beside a recording's media, by name, the metadata first.
    async fn companions(&self, id: &RecordingId) -> Result<Vec<Companion>, Error>;

    /// Says that `companion` lies beside its recording's media from now on, in the place of the one of that name, which
    /// is given back; of metadata, `index` is what of it the catalogue is to know. Fails with
    /// [`Error::RecordingNotFound`], and with [`Error::KeyDeactivated`] when its key has been deactivated meanwhile.
    async fn put_companion(&self, companion: &Companion, index: Option<&Metadata>) -> Result<Option<Companion>, Error>;

    /// Puts `to` in the place of `from`: the same content under another key or name. Fails with
    /// [`Error::RecordingChanged`] when `from` does not count any more, and with [`Error::KeyDeactivated`] as above.
    async fn replace_companion(&self, from: &Companion, to: &Companion) -> Result<(), Error>;

    /// Up to `limit` of what lies beside recordings, by recording and name, after `after`.
    async fn companions_of(
        &self,
        which: &CompanionsOf,
        after: Option<&Companion>,
        limit: u32,
    ) -> Result<Vec<Companion>, Error>;

    /// Puts a recording under legal hold since `since`, or ends that. Fails with [`Error::RecordingNotFound`], and with
    /// [`Error::RecordingPurging`] when its purge has begun.
    async fn hold(&self, id: &RecordingId, since: Option<Timestamp>) -> Result<(), Error>;

    /// Says that the purge of a recording begins, which nothing stops any more; the recording as it is. Fails with
    /// [`Error::RecordingNotFound`], [`Error::RecordingHeld`], and with [`Error::RecordingInProgress`] while its writer
    /// is alive at `now`.
    async fn begin_purge(&self, id: &RecordingId, now: Timestamp) -> Result<Recording, Error>;

    /// Forgets a recording whose purge began, and what lay beside it.
    async fn end_purge(&self, id: &RecordingId) -> Result<(), Error>;

    /// Writes out what is pending and lets go; afterwards nothing can be asked any more.
    async fn close(&self);

    /// A number that is another one, at the latest a second later, when anything was committed since it was last asked
    /// that somebody may remember; a new recording that is sealed need not count, for nobody remembers that one is not
    /// there. It is asked often: cheap, and never waited for where the database is away.
    async fn change_counter(&self) -> Result<u64, Error>;

    /// Waits for nobody: fails with [`Error::Busy`] while another one has begun, on this machine or another. Held, with
    /// the media store's own guard, while objects are replaced or rewritten.
    async fn begin_maintenance(&self) -> Result<DatabaseGuard, Error>;
}

/// Held while recordings are wrapped or sealed anew; dropping it lets the next one begin.
pub type DatabaseGuard = Box<dyn Send + Sync>;

/// Of what lies beside recordings, which.
/// Sealed, but for the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompanionsOf {
    /// All.
    All,
    /// What needs this database key.
    Under(Fingerprint),
    /// What needs another one.
    NotUnder(Fingerprint),
    /// None of it: what is kept plain.
    Plain,
}

/// A run that seals every recording again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResealRun {
    /// When it began.
    pub begun: Timestamp,
    /// The key under which it seals.
    pub to: Fingerprint,
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
    /// The caller, later: another command replaces or rewrites objects now, here or on another machine.
    #[error("another command is wrapping or sealing recordings anew")]
    Busy,
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
    /// The caller: recordings need the key.
    #[error("{recordings} recording(s) need database key {fingerprint}")]
    KeyNeeded {
        /// The key.
        fingerprint: Fingerprint,
        /// How many.
        recordings: u64,
    },
    /// The caller, who may try again: another command changed the keys meanwhile.
    #[error("the database keys were changed by another command at the same time")]
    KeysChanged,
    /// The caller: another command deactivated the key meanwhile.
    #[error("database key {0} was deactivated meanwhile")]
    KeyDeactivated(Fingerprint),
    /// The caller, who may try again: another command is at the recording.
    #[error("recording {0} was changed by another command at the same time")]
    RecordingChanged(RecordingId),
    /// The caller: the recording must not go.
    #[error("recording {0} is under legal hold")]
    RecordingHeld(RecordingId),
    /// The caller: the recording is going already.
    #[error("the purge of recording {0} has begun")]
    RecordingPurging(RecordingId),
    /// The caller, later: its writer is at work.
    #[error("recording {0} is being recorded now")]
    RecordingInProgress(RecordingId),
    /// The operator: encryption cannot be switched on without a key.
    #[error("no database key is active")]
    NoActiveKey,
}

impl Error {
    /// The name that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unavailable(_) | Self::Missing | Self::Busy | Self::NewerVersion { .. } | Self::MalformedRow(_) => {
                ErrorCode::CatalogueUnavailable
            }
            Self::RecordingExists(_) => ErrorCode::RecordingExists,
            Self::RecordingNotFound(_) => ErrorCode::RecordingNotFound,
            Self::NoActiveKey => ErrorCode::NoActiveKey,
            Self::KeyDeactivated(_) => ErrorCode::KeyDeactivated,
            Self::RecordingHeld(_) => ErrorCode::RecordingHeld,
            Self::RecordingPurging(_) => ErrorCode::RecordingNotFound,
            Self::RecordingInProgress(_) => ErrorCode::RecordingInProgress,
            Self::KeyNeeded { .. } | Self::KeysChanged | Self::RecordingChanged(_) => ErrorCode::Internal,
        }
    }
}
