//! Takes sealed recordings from one key to another, seals plain ones, and fills a lost catalogue again.
//!
//! One such command works on a store at a time, so that whatever it finds half done was left by one that died, and is
//! brought to its end first. Each recording is a step of its own: stopped at any moment, the next run goes on.
//! `rewrap` writes headers, [`reseal`] whole files, [`encrypt`] files beside plain ones, `rebuild` rows.

mod encrypt;
mod left_behind;
mod mending;
mod plain;
mod rebuild;
mod repair;
mod reseal;
mod rewrap;
mod spooled;

pub use encrypt::{Conduct, Encrypted, Encryption};
pub use rebuild::{Fault, Rebuilt};
pub use repair::Repaired;
pub use spooled::{NotYet, Spooled};

use std::sync::Arc;

use super::objects::{media_object, media_objects};
use super::{Clock, KeyError, KeyWatch};
use crate::access::RecordingSet;
use crate::base::{ErrorCode, Fingerprint, Location, RecordingId, SealId};
use crate::catalogue::{self, Content, Database, DatabaseGuard, Recording, RecordingState};
use crate::keys::{NoActiveKey, OpeningRefused};
use crate::media::{self, MaintenanceGuard, MediaFile, MediaObject, MediaStore, Spool, Stage};
use crate::sealed::{self, Corruption, HEADER_LEN, NameClaim, Opener, Role, UnverifiedHeader, VerifiedHeader};

/// How many rows are asked for at a time.
const PAGE_LEN: u32 = 1000;

/// Sealed recordings and their keys, for operators.
pub struct Maintenance {
    database: Arc<dyn Database>,
    store: Arc<dyn MediaStore>,
    keys: Arc<KeyWatch>,
    clock: Clock,
    /// Held for as long as this lives.
    /// The store's, for others on this machine, and the database's, for others elsewhere.
    _guards: Option<(MaintenanceGuard, DatabaseGuard)>,
}

/// What is to become of the recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Their file keys are wrapped under the newest database key.
    Rewrap,
    /// They are sealed again under new file keys.
    Reseal,
}

/// Which recordings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// These, each of which must be there.
    Ids(Vec<RecordingId>),
    /// All that are sealed.
    All,
    /// All that need this database key.
    Under(Fingerprint),
}

/// A recording of a selection, as the catalogue knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The recording.
    pub id: RecordingId,
    /// Bytes of media.
    pub media_len: u64,
    /// The key that it is under; none when it is plain.
    pub fingerprint: Option<Fingerprint>,
    /// Whether the catalogue has it; one that was asked for by ID may not be there.
    pub is_there: bool,
}

impl Candidate {
    /// Why nothing can be done about it, as far as the catalogue tells.
    #[must_use]
    pub fn problem(&self) -> Option<Error> {
        match (self.is_there, self.fingerprint) {
            (false, _) => Some(Error::NotFound),
            (true, None) => Some(Error::Plain),
            (true, Some(_)) => None,
        }
    }
}

/// What became of one recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is under the newest key now.
    Done {
        /// The key.
        fingerprint: Fingerprint,
        /// The sealing that lies under its name now.
        seal_id: SealId,
    },
    /// There was nothing to do.
    Already,
}

/// Why a recording stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller: no such recording.
    #[error("there is no recording of that ID")]
    NotFound,
    /// The caller: it has no key.
    #[error("it is kept in plain")]
    Plain,
    /// The caller, later: its writer is at work.
    #[error("it is being recorded now")]
    BeingRecorded,
    /// The operator: no key can wrap.
    #[error(transparent)]
    NoActiveKey(#[from] NoActiveKey),
    /// The operator: its recordings would be sealed under the same key again.
    #[error("database key {0} is the one that recordings are sealed under")]
    StillTheNewest(Fingerprint),
    /// The operator: a key.
    #[error(transparent)]
    Refused(#[from] OpeningRefused),
    /// The operator: keys, database, or definition key.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The operator: the catalogue.
    #[error(transparent)]
    Catalogue(#[from] catalogue::Error),
    /// The operator: the store.
    #[error(transparent)]
    Store(#[from] media::Error),
    /// The operator: the catalogue has it, the store does not.
    #[error("its file is not in the media store")]
    MediaMissing,
    /// The caller, later, or on that proxy's machine: it is in a spool that is not this machine's.
    #[error("it lies in the spool of {0}, and is not in the media store yet")]
    Spooled(Location),
    /// An investigator: the file is not what was written, or this build cannot read it.
    #[error(transparent)]
    Sealed(#[from] sealed::Error),
    /// The caller, who may insist: it was catalogued complete, and what is left of it is less.
    #[error("it was catalogued complete, and a mended one would hold only what still verifies before the damage")]
    NeedsForce,
    /// An investigator: there is nothing that a mended one could hold.
    #[error("not a chunk of it verifies before the damage")]
    NothingVerifies,
    /// The operator: nothing would be sealed.
    #[error("encryption is not active, so nothing can be sealed again")]
    NotEncrypting,
    /// An investigator: somebody changed a plain file.
    #[error("its plain file is not the one that was catalogued")]
    PlainChanged,
    /// An investigator: somebody changed a plain file, or put another one in its place, after it was sealed.
    #[error("{0} is to go, and is not the file that was sealed")]
    PlainLeftChanged(String),
    /// An investigator: a sealed file that is no copy of the plain one has the name that the copy would have.
    #[error("{0} is in the way, and is no copy of the plain file")]
    InTheWay(String),
    /// The caller stopped it.
    #[error("stopped")]
    Stopped,
}

impl Error {
    /// The name that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound => ErrorCode::RecordingNotFound,
            Self::Plain | Self::BeingRecorded | Self::Stopped | Self::StillTheNewest(_) | Self::NeedsForce => {
                ErrorCode::BadRequest
            }
            Self::NothingVerifies => ErrorCode::RecordingCorrupt,
            Self::NotEncrypting => ErrorCode::EncryptionDisabled,
            Self::NoActiveKey(NoActiveKey) => ErrorCode::NoActiveKey,
            Self::Refused(refused) => refused.code(),
            Self::Keys(_) => ErrorCode::KeysUnavailable,
            Self::Catalogue(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::MediaMissing => ErrorCode::MediaMissing,
            Self::Spooled(_) => ErrorCode::StorageUnavailable,
            Self::Sealed(error) => error.code(),
            Self::PlainChanged | Self::PlainLeftChanged(_) => ErrorCode::RecordingCorrupt,
            Self::InTheWay(_) => ErrorCode::RecordingExists,
        }
    }
}

impl From<Recording> for Candidate {
    fn from(row: Recording) -> Self {
        let fingerprint = row.fingerprint();
        Self { id: row.id, media_len: row.media_len, fingerprint, is_there: true }
    }
}

impl From<Corruption> for Error {
    fn from(corruption: Corruption) -> Self {
        Self::Sealed(corruption.into())
    }
}

impl Maintenance {
    /// Begins work on `store`, which nobody else does then.
    ///
    /// # Errors
    ///
    /// [`media::Error::Busy`] while another one is at work on this machine, [`catalogue::Error::Busy`] elsewhere.
    pub async fn begin(
        database: Arc<dyn Database>,
        store: Arc<dyn MediaStore>,
        keys: Arc<KeyWatch>,
        clock: Clock,
    ) -> Result<Self, Error> {
        // The database says at once that another one has begun; a spool waits for its uploads first.
        let of_database = database.begin_maintenance().await?;
        let guards = (store.begin_maintenance().await?, of_database);
        Ok(Self { _guards: Some(guards), ..Self::look(database, store, keys, clock) })
    }

    /// Only looks at what there would be to do; others may be at work.
    #[must_use]
    pub fn look(database: Arc<dyn Database>, store: Arc<dyn MediaStore>, keys: Arc<KeyWatch>, clock: Clock) -> Self {
        Self { database, store, keys, clock, _guards: None }
    }

    /// The recordings of a selection that `work` has not been done on, a page at a time; `each` is given those pages.
    /// Recordings that were asked for by ID are among them whether or not there is something to do.
    ///
    /// # Errors
    ///
    /// The catalogue, no active key, or what `each` says.
    pub async fn for_each_page<E: From<Error>>(
        &self,
        work: Work,
        selection: &Selection,
        mut each: impl AsyncFnMut(Vec<Candidate>) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Selection::Ids(ids) = selection {
            return each(self.candidates(ids).await?).await;
        }
        let newest = self.keys.ring().wrapping().map_err(Error::from)?.fingerprint;
        if work == Work::Reseal && *selection == Selection::Under(newest) {
            return Err(Error::StillTheNewest(newest).into());
        }
        let (mut cursor, mut after) = (None, None);
        loop {
            let (rows, is_last) = match selection {
                Selection::Under(key) => {
                    let rows =
                        self.database.recordings_under(key, after.as_ref(), PAGE_LEN).await.map_err(Error::from)?;
                    after = rows.last().map(|row| row.id.clone());
                    let is_last = after.is_none();
                    (rows, is_last)
                }
                Selection::All | Selection::Ids(_) => {
                    let set = RecordingSet::All;
                    let page = self.database.recordings(cursor.as_ref(), PAGE_LEN, &set).await.map_err(Error::from)?;
                    cursor = page.next;
                    (page.recordings, cursor.is_none())
                }
            };
            let is_left = |row: &Recording| match (&row.content, work) {
                (Content::Plain { .. }, _) => false,
                (Content::Sealed { .. }, Work::Reseal) => true,
                (Content::Sealed { fingerprint, replacement, .. }, Work::Rewrap) => {
                    *fingerprint != newest || replacement.is_some()
                }
            };
            each(rows.into_iter().filter(is_left).map(Candidate::from).collect()).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// Those of these IDs, whether or not they are there.
    async fn candidates(&self, ids: &[RecordingId]) -> Result<Vec<Candidate>, Error> {
        let mut candidates = Vec::with_capacity(ids.len());
        for id in ids {
            let row = self.database.recording(id).await?;
            let none = Candidate { id: id.clone(), media_len: 0, fingerprint: None, is_there: false };
            candidates.push(row.map_or(none, Candidate::from));
        }
        Ok(candidates)
    }

    /// The row of a sealed recording that nobody is writing, with whatever a dead command left half done brought to
    /// its end, and whether there was such a thing.
    async fn settled(&self, id: &RecordingId) -> Result<(Recording, bool), Error> {
        let row = self.database.recording(id).await?.ok_or(Error::NotFound)?;
        if !row.is_sealed() {
            return Err(Error::Plain);
        }
        let row = self.without_dead_writer(row).await?;
        let left = row.content.clone();
        let row = self.finish_reseal(self.finish_rewrap(row).await?).await?;
        let is_finished = row.content != left;
        Ok((row, is_finished))
    }

    /// A writer that was killed leaves its row behind; one whose lease merely lapsed still holds its file.
    async fn without_dead_writer(&self, row: Recording) -> Result<Recording, Error> {
        let RecordingState::Recording { .. } = row.state else { return Ok(row) };
        let is_lapsed = row.state_at((self.clock)()) == RecordingState::Unfinished;
        if !is_lapsed || self.store.is_being_written(&media_object(&row, Stage::Part)).await? {
            return Err(Error::BeingRecorded);
        }
        let row = Recording { state: RecordingState::Unfinished, ..row };
        self.database.update_progress(&row).await?;
        Ok(row)
    }

    /// The file of a recording: its final name, or, where its end is missing, the one that it grew under.
    async fn find(&self, row: &Recording) -> Result<(MediaObject, Arc<dyn MediaFile>), Error> {
        for object in media_objects(row, row.state) {
            if let Some(file) = self.store.open(&object).await? {
                return Ok((object, file));
            }
        }
        let own = self.store.spool().map(Spool::location);
        match &row.spool {
            Some(spool) if own != Some(spool) => Err(Error::Spooled(spool.clone())),
            Some(_) | None => Err(Error::MediaMissing),
        }
    }

    /// The header of a file, verified under whatever key it names, in any state of that key: an operator takes
    /// recordings away from a key that is deactivated, too.
    async fn verified_header(&self, file: &dyn MediaFile, id: &RecordingId) -> Result<VerifiedHeader, Error> {
        let head = file.version().len.min(HEADER_LEN as u64);
        self.verify_header(&read(file, 0, head).await?, id)
    }

    fn verify_header(&self, head: &[u8], id: &RecordingId) -> Result<VerifiedHeader, Error> {
        let header = UnverifiedHeader::read(head)?;
        let ring = self.keys.ring();
        let verified = header.clone().verify(ring.held(&header.fingerprint())?)?;
        Ok(verified.expect_place(id, &Role::Media)?)
    }
}

/// Judges the end of a file whose header has verified.
async fn judge(header: VerifiedHeader, file: &dyn MediaFile, stage: Stage) -> Result<Opener, Error> {
    let file_len = file.version().len;
    let tail = header.tail(file_len)?;
    let tail = read(file, tail.start, tail.end).await?;
    let claim = if stage == Stage::Part { NameClaim::Part } else { NameClaim::Final };
    Ok(header.judge(file_len, &tail, claim)?)
}

async fn read(file: &dyn MediaFile, start: u64, end: u64) -> Result<Vec<u8>, Error> {
    let len = usize::try_from(end - start).unwrap_or(usize::MAX);
    Ok(file.read(start, vec![0; len], 0).await?)
}
