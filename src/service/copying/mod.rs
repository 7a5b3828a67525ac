//! Copies an archive from one media store to another, object by object, and takes nothing away.
//!
//! What is copied is written under a name that no reader looks at, read back and compared, and only then gets its own
//! name: whatever has its name at the target was verified there. That is what lets a run be stopped at any instant, and
//! the next one skip what it finds. The catalogue is only asked; it goes on naming recordings and no store. Start with
//! [`Copying::page`] and [`Copying::copy`].

mod check;
mod extent;
mod item;

pub use extent::Extent;
pub use item::{Copied, CopyItem, Left, Proof};

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::{Arc, Mutex, PoisonError},
};

use super::{Clock, KeyWatch, bulk::Claims};
use crate::base::{ErrorCode, RecordingId};
use crate::catalogue::{self, Database, Recording};
use crate::media::{self, MaintenanceGuard, MediaObject, MediaStore, Stranger};
use crate::sealed;

/// How many IDs the catalogue is asked for at a time.
const IDS_MAX: usize = 1000;

/// Two stores, and what is known of what lies in them.
pub struct Copying {
    from: Arc<dyn MediaStore>,
    to: Arc<dyn MediaStore>,
    database: Arc<dyn Database>,
    keys: Arc<KeyWatch>,
    clock: Clock,
    wishes: CopyWishes,
    /// Media, and evidence of it, are written under one name, one after the other.
    claims: Claims,
    /// Digests of the names of all that was seen at the source: few bytes for each of millions.
    seen: Mutex<HashSet<u64>>,
    /// Held for as long as this lives: nobody wraps or seals recordings anew meanwhile.
    _guards: [Option<MaintenanceGuard>; 2],
}

/// How an operator wants it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyWishes {
    /// What is there already is compared from its first byte to its last, and not at both its ends only.
    pub recheck: bool,
    /// What does not verify at the source is copied as it is.
    pub damaged: bool,
}

/// Part of what is to be copied.
#[derive(Debug, Default)]
pub struct CopyPage {
    /// What there is.
    pub items: Vec<CopyItem>,
    /// What lies at the source and is no object; it stays.
    pub strangers: Vec<Stranger>,
    /// Where to go on; none on the last page.
    pub next: Option<String>,
}

/// Why an object was not copied.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operator: the catalogue.
    #[error(transparent)]
    Catalogue(#[from] catalogue::Error),
    /// The operator: one of the stores; its URL says which.
    #[error(transparent)]
    Store(#[from] media::Error),
    /// The operator: it is on its way to another key or sealing.
    #[error("a rewrap or reseal of it did not come to its end")]
    Unsettled,
    /// An investigator: it is not what was written.
    #[error(transparent)]
    Sealed(#[from] sealed::Error),
    /// An investigator: a plain file is not what was stored.
    #[error("its plain file is not the one that was catalogued")]
    PlainChanged,
    /// The operator: something else has its name at the target.
    #[error("{0} is there already, and is something else")]
    InTheWay(String),
    /// The operator: the target does not keep what it is given.
    #[error("{0}: what was read back is not what was written")]
    NotKept(String),
    /// The caller stopped it.
    #[error("stopped")]
    Stopped,
}

impl Error {
    /// The name that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Catalogue(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Sealed(error) => error.code(),
            Self::PlainChanged => ErrorCode::RecordingCorrupt,
            Self::InTheWay(_) => ErrorCode::RecordingExists,
            Self::NotKept(_) => ErrorCode::StorageUnavailable,
            Self::Unsettled | Self::Stopped => ErrorCode::BadRequest,
        }
    }
}

/// What a copy is made over.
pub struct CopyParts {
    /// The catalogue of what lies at the source.
    pub database: Arc<dyn Database>,
    /// The keys under which what is sealed is verified.
    pub keys: Arc<KeyWatch>,
    /// The time of day.
    pub clock: Clock,
    /// Where it lies.
    pub from: Arc<dyn MediaStore>,
    /// Where it is to lie as well.
    pub to: Arc<dyn MediaStore>,
}

impl Copying {
    /// Begins; until this is dropped nobody wraps or seals recordings anew in either store.
    ///
    /// # Errors
    ///
    /// [`media::Error::Busy`] while somebody does.
    pub async fn begin(parts: CopyParts, wishes: CopyWishes) -> Result<Self, media::Error> {
        let of_source = match parts.from.begin_maintenance().await {
            Err(error @ media::Error::Busy { .. }) => return Err(error),
            // Nobody writes to a store that is mounted to be read only.
            guard => guard.ok(),
        };
        let guards = [of_source, Some(parts.to.begin_maintenance().await?)];
        Ok(Self { _guards: guards, ..Self::look(parts, wishes) })
    }

    /// Only looks at what there would be to do; others may be at work.
    #[must_use]
    pub fn look(parts: CopyParts, wishes: CopyWishes) -> Self {
        let CopyParts { database, keys, clock, from, to } = parts;
        Self {
            from,
            to,
            database,
            keys,
            clock,
            wishes,
            claims: Claims::default(),
            seen: Mutex::default(),
            _guards: [None, None],
        }
    }

    /// What lies at the source, a page at a time.
    ///
    /// # Errors
    ///
    /// Source or catalogue.
    pub async fn page(&self, after: Option<&str>) -> Result<CopyPage, Error> {
        let listing = self.from.list(after).await?;
        let rows = self.rows(&listing.objects).await?;
        let mut items = Vec::with_capacity(listing.objects.len() + listing.kept.len());
        for object in listing.objects {
            let row = rows.get(&object.id).cloned();
            self.note(&MediaObject { sealing: None, ..object.clone() });
            self.note(&item::unnamed(&object, row.as_deref()));
            items.push(CopyItem::Object { object, row });
        }
        items.extend(listing.kept.into_iter().map(CopyItem::Kept));
        Ok(CopyPage { items, strangers: listing.strangers, next: listing.next })
    }

    /// Whether both stores answer.
    pub async fn are_there(&self) -> bool {
        self.from.list(None).await.is_ok() && self.to.list(None).await.is_ok()
    }

    /// URLs of objects at the target that were not at the source, once every page of that was asked for: of recordings
    /// that were purged or sealed since an earlier run, or that never were there.
    ///
    /// # Errors
    ///
    /// The target.
    pub async fn only_at_target(&self) -> Result<Vec<String>, Error> {
        let (mut after, mut others) = (None, Vec::new());
        loop {
            let listing = self.to.list(after.as_deref()).await?;
            let is_other = |object: &&MediaObject| !lock(&self.seen).contains(&digest(object));
            others.extend(listing.objects.iter().filter(is_other).map(|object| self.to.location(object)));
            after = listing.next;
            if after.is_none() {
                return Ok(others);
            }
        }
    }

    fn note(&self, object: &MediaObject) {
        lock(&self.seen).insert(digest(object));
    }

    async fn rows(&self, objects: &[MediaObject]) -> Result<HashMap<RecordingId, Arc<Recording>>, Error> {
        let mut ids: Vec<RecordingId> = objects.iter().map(|object| object.id.clone()).collect();
        ids.dedup();
        let mut rows = HashMap::new();
        for ids in ids.chunks(IDS_MAX) {
            let found = self.database.recordings_of(ids).await?;
            rows.extend(found.into_iter().map(|row| (row.id.clone(), Arc::new(row))));
        }
        Ok(rows)
    }
}

/// Of an object's name, which holds the sealing in some stores and not in others.
fn digest(object: &MediaObject) -> u64 {
    let name = (&object.id, &object.role, object.kind, object.stage, object.sealing);
    BuildHasherDefault::<DefaultHasher>::new().hash_one(name)
}

/// Nothing that holds the lock can panic half-way.
fn lock(seen: &Mutex<HashSet<u64>>) -> std::sync::MutexGuard<'_, HashSet<u64>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
