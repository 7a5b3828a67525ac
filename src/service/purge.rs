//! Takes recordings away: on somebody's word, or when their time is over.
//!
//! First the catalogue says that a purge begins, unless a legal hold forbids it; then the wrapped keys are written over,
//! then the files go, then the rows. Whoever is killed in between goes on where it stopped when asked again. What is on
//! the playback record stays there.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{Clock, companions::object as companion_object, objects::media_objects};
use crate::access::RecordingSet;
use crate::base::{ErrorCode, Location, RecordingId, Timestamp};
use crate::catalogue::{self, Cursor, Database, Filter, Recording};
use crate::media::{self, MediaKind, MediaObject, MediaStore, Stage};
use crate::sealed::{HEADER_LEN, WRAPPED_FILE_KEY};

/// How many rows are asked for at a time.
const PAGE_LEN: u32 = 1000;

/// How long recordings are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// How long; for ever when nothing was said.
    pub keep: Option<Duration>,
    /// The same for recordings with a tag. Of several the longest counts, also where it is shorter than the usual one.
    pub by_tag: BTreeMap<String, Duration>,
}

/// Takes recordings away.
pub struct Purge {
    database: Arc<dyn Database>,
    store: Arc<dyn MediaStore>,
    clock: Clock,
}

/// Why a recording is still there.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The caller or the operator: no such recording, under hold, being recorded, or the database.
    #[error(transparent)]
    Catalogue(#[from] catalogue::Error),
    /// The operator: the store.
    #[error(transparent)]
    Store(#[from] media::Error),
    /// The caller, who may ask that proxy: what it has in its spool, no other one can take away.
    #[error("it lies in the spool of {0}, and can be purged there alone until it is in the media store")]
    Spooled(Location),
}

impl Error {
    /// The name that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Catalogue(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Spooled(_) => ErrorCode::StorageUnavailable,
        }
    }
}

impl Retention {
    /// When the time of a recording is over, or was; none when never.
    #[must_use]
    pub fn due_at(&self, recording: &Recording) -> Option<Timestamp> {
        let tags = recording.about.iter().flat_map(|about| &about.metadata.tags);
        let by_tag = tags.filter_map(|tag| self.by_tag.get(tag)).max();
        let keep = u64::try_from(by_tag.or(self.keep.as_ref())?.as_millis()).ok()?;
        Timestamp::from_millis(recording.listed_at().millis().checked_add(keep)?)
    }

    /// The shortest time that any recording is kept; none when all are kept for ever.
    fn shortest(&self) -> Option<Duration> {
        self.by_tag.values().copied().chain(self.keep).min()
    }
}

impl Purge {
    /// Takes recordings out of `database` and `store`.
    #[must_use]
    pub fn new(database: Arc<dyn Database>, store: Arc<dyn MediaStore>, clock: Clock) -> Self {
        Self { database, store, clock }
    }

    /// Takes one recording away, with all that lies beside it; as it was.
    ///
    /// # Errors
    ///
    /// Why it is still there, or, when its purge had begun, as far as that got.
    pub async fn purge(&self, id: &RecordingId) -> Result<Recording, Error> {
        self.check_spool(id).await?;
        self.check_writer(id).await?;
        let recording = self.database.begin_purge(id, (self.clock)()).await?;
        let mut objects: Vec<MediaObject> = self.database.companions(id).await?.iter().map(companion_object).collect();
        // What is to take a name goes before what has it: whoever gives it that name meanwhile finds nothing, or has it
        // removed there.
        for kind in [MediaKind::Sealed, MediaKind::Plain] {
            objects.extend(
                [Stage::Next, Stage::Part, Stage::Final].map(|stage| MediaObject::media(id.clone(), kind, stage)),
            );
        }
        // A plain file of an archive that was catalogued in its place.
        objects.extend(recording.content.outside().map(|outside| MediaObject {
            outside: Some(outside.clone()),
            ..MediaObject::media(id.clone(), MediaKind::Plain, Stage::Final)
        }));
        self.erase_keys(&objects).await?;
        // Others may be there that no row names: of a writer that was killed, or that was not heard. Asked for behind the
        // rest: a store that is away does not tell, and a spool can be reached.
        let strays = self.store.beside(id).await?;
        self.erase_keys(&strays).await?;
        objects.extend(strays);
        // Damaged files that were kept when mended ones took their place.
        self.store.remove_kept(id, WRAPPED_FILE_KEY).await?;
        for object in &objects {
            self.store.remove(object).await?;
        }
        self.database.end_purge(id).await?;
        Ok(recording)
    }

    /// That nobody writes it now, as far as the store can tell, whatever its lease says: by a clock that was set forward a
    /// lease is over, and its writer would keep a recording of which nothing is left. A store that is away does not tell,
    /// and keeps no purge from what can be reached.
    async fn check_writer(&self, id: &RecordingId) -> Result<(), Error> {
        for kind in [MediaKind::Sealed, MediaKind::Plain] {
            let growing = MediaObject::media(id.clone(), kind, Stage::Part);
            if matches!(self.store.is_being_written(&growing).await, Ok(true)) {
                return Err(catalogue::Error::RecordingInProgress(id.clone()).into());
            }
        }
        Ok(())
    }

    /// Whether all that there is of a recording is in reach. One that gets into a spool is being recorded then, which
    /// forbids a purge; one that is uploaded meanwhile only leaves it.
    async fn check_spool(&self, id: &RecordingId) -> Result<(), Error> {
        let Some(row) = self.database.recording(id).await? else { return Ok(()) };
        let Some(spool) = &row.spool else { return Ok(()) };
        let Some(own) = self.store.spool() else { return Err(Error::Spooled(spool.clone())) };
        if own.location() == spool {
            return Ok(());
        }
        for object in media_objects(&row, row.state) {
            if own.version(&object).await?.is_some() {
                return Ok(());
            }
        }
        Err(Error::Spooled(spool.clone()))
    }

    /// Whether an object lies in a spool, which is a folder whatever the store behind it is.
    async fn is_spooled(&self, object: &MediaObject) -> Result<bool, Error> {
        match self.store.spool() {
            Some(spool) => Ok(spool.version(object).await?.is_some()),
            None => Ok(false),
        }
    }

    /// Writes over the wrapped file key of a sealed file: where no other copy of its header is left, nobody can open it
    /// any more, whatever becomes of its blocks.
    async fn erase_key(&self, object: &MediaObject) -> Result<(), Error> {
        loop {
            let Some(file) = self.store.open(object).await? else { return Ok(()) };
            let version = file.version();
            if version.len < HEADER_LEN as u64 {
                return Ok(());
            }
            let mut head = file.read(0, vec![0; HEADER_LEN], 0).await?;
            drop(file);
            let Some(key) = head.get_mut(WRAPPED_FILE_KEY) else { return Ok(()) };
            if key.iter().all(|byte| *byte == 0) {
                return Ok(());
            }
            key.fill(0);
            match self.store.rewrite_head(object, version, &head).await {
                // It was wrapped anew meanwhile.
                Err(media::Error::Changed { .. }) => {}
                outcome => return Ok(outcome?),
            }
        }
    }

    /// The same for all those that are sealed, where what is written over is gone then.
    async fn erase_keys(&self, objects: &[MediaObject]) -> Result<(), Error> {
        for object in objects.iter().filter(|object| object.kind == MediaKind::Sealed) {
            if self.store.writes_in_place() || self.is_spooled(object).await? {
                self.erase_key(object).await?;
            }
        }
        Ok(())
    }

    /// Recordings whose time is over, a page at a time, the newest first. Those under legal hold are not among them.
    ///
    /// # Errors
    ///
    /// The catalogue, or what `each` says.
    pub async fn due<E: From<Error>>(
        &self,
        retention: &Retention,
        mut each: impl AsyncFnMut(Vec<Recording>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(shortest) = retention.shortest() else { return Ok(()) };
        let now = (self.clock)();
        let shortest = u64::try_from(shortest.as_millis()).unwrap_or(u64::MAX);
        let Some(to) = now.millis().checked_sub(shortest).and_then(Timestamp::from_millis) else { return Ok(()) };
        let filter = Filter { to: Some(to), ..Filter::default() };
        let mut after: Option<Cursor> = None;
        loop {
            let page = self.database.search(&filter, after.as_ref(), PAGE_LEN, &RecordingSet::All).await;
            let page = page.map_err(Error::from)?;
            let is_due = |recording: &Recording| {
                let is_held = recording.about.as_ref().is_some_and(|about| about.held_at.is_some());
                !is_held && retention.due_at(recording).is_some_and(|due| due <= now)
            };
            each(page.recordings.into_iter().filter(is_due).collect()).await?;
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Puts recordings under legal hold, or ends that.
    ///
    /// # Errors
    ///
    /// No such recording, one that is going already, or the database.
    pub async fn hold(&self, id: &RecordingId, is_held: bool) -> Result<(), Error> {
        let since = is_held.then(|| (self.clock)());
        Ok(self.database.hold(id, since).await?)
    }
}
