//! The door to the bytes: named objects that are written once, front to back, and read from any byte.
//!
//! Knows no key and nothing of what the bytes mean. A name claims completeness: an object takes its final name only
//! when its last byte is durable. Start with the trait [`MediaStore`].

mod spool;

pub use spool::{Spool, SpoolClaim};

use std::{
    hash::{Hash, Hasher},
    ops::Range,
    sync::Arc,
};

use async_trait::async_trait;

use crate::base::{ErrorCode, Location, RecordingId, SealId, SidecarName};

/// Which object of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaObject {
    /// The recording.
    pub id: RecordingId,
    /// Its media, or what lies beside it.
    pub role: ObjectRole,
    /// Sealed or plain.
    pub kind: MediaKind,
    /// Final or growing.
    pub stage: Stage,
    /// Of the media: which of those that one recording may have had, where the caller knows; of a plain one, the first
    /// bytes of its digest. A store in which nothing is ever overwritten keeps each under a name of its own, and without
    /// it takes the only one there is; where one name holds whatever is current it says nothing.
    pub sealing: Option<SealId>,
    /// Where it lies, when it is not in the store: a plain file of an archive that was catalogued in its place. Such an
    /// object is looked at, read and removed through the store; it is never listed, made or written there.
    pub outside: Option<Location>,
}

/// What of a recording an object holds. What lies beside the media may be there in several versions for a moment, each
/// under a name of its own; the catalogue says which counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ObjectRole {
    /// The media.
    Media,
    /// JSON about the recording.
    Metadata {
        /// Which version.
        version: SealId,
    },
    /// A file that came beside it.
    Sidecar {
        /// Its name.
        name: SidecarName,
        /// Which version.
        version: SealId,
    },
}

impl Hash for MediaObject {
    /// One recording has few objects, and those are compared.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl MediaObject {
    /// The object of a recording's media.
    #[must_use]
    pub fn media(id: RecordingId, kind: MediaKind, stage: Stage) -> Self {
        Self { id, role: ObjectRole::Media, kind, stage, sealing: None, outside: None }
    }

    /// Whether both are the same, or may be: one of them does not say which sealing it is.
    #[must_use]
    pub fn may_be(&self, other: &Self) -> bool {
        let unsaid = self.sealing.is_none() || other.sealing.is_none();
        (unsaid || self.sealing == other.sealing)
            && (&self.id, &self.role, self.kind, self.stage, &self.outside)
                == (&other.id, &other.role, other.kind, other.stage, &other.outside)
    }
}

/// How the bytes of an object are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// `ID.sealed`
    Sealed,
    /// `ID.plain`
    Plain,
}

/// What the name of an object claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The final name: complete.
    Final,
    /// `….part`: growing, or left behind by a writer that died.
    Part,
    /// `….next`: about to take the place of one of the others, or left behind by a command that died. No reader looks
    /// at it.
    Next,
}

/// Part of what a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Objects, by their names. All of one recording are on one page.
    pub objects: Vec<MediaObject>,
    /// What lies there and has no object's name, or not in its place, or cannot be read.
    pub strangers: Vec<Stranger>,
    /// Where damaged objects are kept that others took the place of ([`MediaStore::keep`]).
    pub kept: Vec<String>,
    /// Where to go on; none on the last page.
    pub next: Option<String>,
}

/// Something in a store that is no object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// Its URL.
    pub location: String,
    /// What it is, for people.
    pub reason: String,
}

/// Held while recordings are wrapped or sealed anew; dropping it lets the next one begin.
pub type MaintenanceGuard = Box<dyn Send + Sync>;

/// One version of one object: equal when the bytes are the same, as far as the store can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    /// Bytes.
    pub len: u64,
    /// Whatever else tells versions apart: device, inode and change times, or a digest of an entity tag.
    pub stamp: [u64; 4],
}

impl Version {
    /// What stays the same for as long as it is the same object, however it grows: device and inode.
    #[must_use]
    pub fn identity(&self) -> [u64; 2] {
        let [device, inode, ..] = self.stamp;
        [device, inode]
    }
}

/// A place for the media of recordings.
///
/// Every implementation runs the conformance suite in `tests/media_store`.
#[async_trait]
pub trait MediaStore: Send + Sync {
    /// The version of an object that is there now, when that is known without a wait. `None` says nothing. Asked for
    /// each request: quick for an object that was just used.
    fn try_version_now(&self, object: &MediaObject) -> Option<Version>;

    /// The version of an object that is there now; `None` when there is none. Never waited for on the thread that asks.
    async fn version(&self, object: &MediaObject) -> Result<Option<Version>, Error>;

    /// Opens an object for reading; `None` when there is none. What is opened stays one version until it is dropped.
    async fn open(&self, object: &MediaObject) -> Result<Option<Arc<dyn MediaFile>>, Error>;

    /// Begins an object, whose stage is the one that it has in the end. Fails with [`Error::Exists`] when one is there,
    /// final or growing: nothing is ever overwritten; one that grew to nothing, and that nobody writes, counts for none
    /// where it can be told. [`Stage::Next`] is for an object that is to take another one's place: what a dead command left
    /// there goes, and finishing it makes it durable, and gives it no other name.
    async fn create(&self, object: &MediaObject) -> Result<Box<dyn MediaWriter>, Error>;

    /// What is there, a page at a time; `after` is where the last page ended.
    async fn list(&self, after: Option<&str>) -> Result<Listing, Error>;

    /// The media of one recording: every object that is there, and where each name stands for one alone, each name.
    async fn media_of(&self, id: &RecordingId) -> Result<Vec<MediaObject>, Error> {
        let mut found = Vec::new();
        for kind in [MediaKind::Sealed, MediaKind::Plain] {
            for stage in [Stage::Final, Stage::Part, Stage::Next] {
                let object = MediaObject::media(id.clone(), kind, stage);
                if self.version(&object).await?.is_some() {
                    found.push(object);
                }
            }
        }
        Ok(found)
    }

    /// What lies beside one recording's media: every object that is there, whether a row names it or not.
    async fn beside(&self, id: &RecordingId) -> Result<Vec<MediaObject>, Error>;

    /// Whether a writer holds the object now, as far as the store can tell.
    async fn is_being_written(&self, object: &MediaObject) -> Result<bool, Error>;

    /// Waits for nobody: fails with [`Error::Busy`] while another one has begun. Whatever replaces or rewrites objects
    /// holds this, so that what it finds half done is a dead one's.
    async fn begin_maintenance(&self) -> Result<MaintenanceGuard, Error>;

    /// Gives an object the name of another one, which is gone then: at once, and durably. Where every sealing has a name
    /// of its own, it takes one of that stage, and then the other one goes: whoever is killed in between does it again.
    async fn replace(&self, from: &MediaObject, to: &MediaObject) -> Result<(), Error>;

    /// Gives an object a name beside its own under which it stays, whatever takes its place or becomes of that: durably.
    /// The name holds `seal_id`, and is no object's. Gives its URL. Doing it again changes nothing; fails with
    /// [`Error::Exists`] when something else is kept there.
    async fn keep(&self, object: &MediaObject, seal_id: &SealId) -> Result<String, Error>;

    /// What is kept at a URL that [`Self::list`] gave, and of which sealing it is; `None` when this store does not tell.
    fn kept(&self, _location: &str) -> Option<(MediaObject, SealId)> {
        None
    }

    /// Opens what [`Self::keep`] kept of an object; `None` when there is nothing.
    async fn open_kept(&self, _object: &MediaObject, _seal_id: &SealId) -> Result<Option<Arc<dyn MediaFile>>, Error> {
        Ok(None)
    }

    /// Gives an object a name that is free: at once, and durably. Fails with [`Error::Exists`] when one is there.
    async fn place(&self, from: &MediaObject, to: &MediaObject) -> Result<(), Error>;

    /// Removes what [`Self::keep`] kept of a recording, once zeros are written over the bytes at `blank` of it, durably.
    async fn remove_kept(&self, id: &RecordingId, blank: Range<usize>) -> Result<(), Error>;

    /// Whether what is written over is gone then. An object store puts a whole object in the place of another one, and
    /// the old bytes are gone as late as those of one that is deleted.
    fn writes_in_place(&self) -> bool {
        true
    }

    /// Writes `head` over the first bytes of an object, in one write, and makes that durable. Fails when the object is
    /// not the one of `version` any more.
    async fn rewrite_head(&self, object: &MediaObject, version: Version, head: &[u8]) -> Result<(), Error>;

    /// Removes an object, if it is there; of media without a sealing, every one of that name.
    async fn remove(&self, object: &MediaObject) -> Result<(), Error>;

    /// Removes an object, durably, if it is there and still that version: how many other names its bytes have. Whoever
    /// has it open reads on. Fails with [`Error::Changed`] when it is not that version any more.
    async fn remove_version(&self, object: &MediaObject, version: Version) -> Result<u64, Error>;

    /// The URL of an object, for people.
    fn location(&self, object: &MediaObject) -> String;

    /// Where media waits before it is in the store; none where it is from its first byte.
    fn spool(&self) -> Option<&dyn Spool> {
        None
    }
}

/// One version of an object, open for reading.
#[async_trait]
pub trait MediaFile: Send + Sync {
    /// Which version this is, and so how long it is.
    fn version(&self) -> Version;

    /// How many bytes the object has now: one that is being written grows under its readers. Quick, and never waited for
    /// on the thread that asks.
    async fn len_now(&self) -> Result<u64, Error> {
        Ok(self.version().len)
    }

    /// Fills the front of `buffer` from `offset` on, as far as that needs no waiting (the bytes are in memory already):
    /// how many bytes it filled. For whoever would rather not hand a short read to another thread.
    fn try_read_now(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Error>;

    /// Fills the rest of `buffer`, whose first `filled` bytes are those from `offset` on already, and gives a buffer
    /// back that holds them all. May wait for long; never on the thread that asks.
    async fn read(&self, offset: u64, buffer: Vec<u8>, filled: usize) -> Result<Vec<u8>, Error>;

    /// Fills `buffer` from `offset` on, for whoever reads everything and soon nothing of it again: what lies in memory
    /// for others stays there, and what did not does not take their place.
    async fn read_once(&self, offset: u64, buffer: Vec<u8>) -> Result<Vec<u8>, Error> {
        self.read(offset, buffer, 0).await
    }

    /// The same object for one who is about to read `range` of it, in order: what they will want next can be fetched
    /// before they ask, and is let go with what is given here. None where that would gain nothing.
    fn read_in_order(self: Arc<Self>, _range: Range<u64>) -> Option<Arc<dyn MediaFile>> {
        None
    }

    /// Whether what is read may come from a copy that was made on the way from the object, so that bytes that do not
    /// verify are worth a look at the object itself ([`Self::read_anew`]) before it is called corrupt.
    fn has_copies(&self) -> bool {
        false
    }

    /// Reads once more what was read from `offset` on, and did not verify: `seen` holds it. Copies that are still the same
    /// are given up, and the bytes come from the object itself.
    async fn read_anew(&self, offset: u64, seen: Vec<u8>) -> Result<Vec<u8>, Error> {
        self.read(offset, seen, 0).await
    }
}

/// An object that is being written, under its `….part` name. Dropped without a word, it stays as it is;
/// whoever wants it gone removes the object.
#[async_trait]
pub trait MediaWriter: Send {
    /// Appends bytes and gives the buffer back, empty.
    async fn append(&mut self, bytes: Vec<u8>) -> Result<Vec<u8>, Error>;

    /// Makes everything appended so far durable, and the object's name with it.
    async fn sync(&mut self) -> Result<(), Error>;

    /// Makes everything appended so far durable. The name need not be: for an object that nobody is to find before it is
    /// finished.
    async fn sync_content(&mut self) -> Result<(), Error> {
        self.sync().await
    }

    /// Has everything appended so far made durable while more is appended: whether that was begun. Not while the same is
    /// still under way for what came before. A failure is told by this or a later call.
    async fn begin_sync(&mut self) -> Result<bool, Error> {
        self.sync_content().await.map(|()| true)
    }

    /// Makes everything durable, then gives the object its final name, durably.
    async fn finish(self: Box<Self>) -> Result<(), Error>;
}

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The operator: it does not answer, or refuses.
    #[error("{location}: {reason}")]
    Unavailable {
        /// The object's URL.
        location: String,
        /// What the system says.
        reason: String,
    },
    /// The operator: no room is left.
    #[error("{location}: no room is left")]
    Full {
        /// The object's URL.
        location: String,
    },
    /// The caller: an object of that name is there.
    #[error("{location} is there already")]
    Exists {
        /// The object's URL.
        location: String,
        /// Whether a writer holds it now.
        being_written: bool,
    },
    /// The caller, later: another command replaces or rewrites objects now.
    #[error("{location}: another command is wrapping or sealing recordings anew")]
    Busy {
        /// The store's URL.
        location: String,
    },
    /// The caller, who may try again: an object is not the one that was read.
    #[error("{location}: it was changed by somebody else at the same time")]
    Changed {
        /// The object's URL.
        location: String,
    },
    /// An investigator: an object ended before the length that it had when it was opened.
    #[error("{location}: it ended early")]
    ShortRead {
        /// The object's URL.
        location: String,
    },
}

impl Error {
    /// The name that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unavailable { .. } | Self::Busy { .. } | Self::Changed { .. } => ErrorCode::StorageUnavailable,
            Self::Full { .. } => ErrorCode::StorageFull,
            Self::Exists { .. } => ErrorCode::RecordingExists,
            Self::ShortRead { .. } => ErrorCode::RecordingCorrupt,
        }
    }
}

#[cfg(test)]
mod tests;
