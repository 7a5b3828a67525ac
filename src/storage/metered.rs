//! A store that times another: one place for every kind of store.

use std::{
    ops::Range,
    sync::{Arc, LazyLock},
    time::Instant,
};

use async_trait::async_trait;
use metrics::{Counter, Histogram, counter, histogram};

use crate::base::{RecordingId, SealId, metrics as names};
use crate::media::{Error, Listing, MaintenanceGuard, MediaFile, MediaObject, MediaStore, MediaWriter, Spool, Version};

/// A store whose operations are timed and whose failures are counted.
pub struct Metered(Arc<dyn MediaStore>);

impl Metered {
    /// Times `store`.
    #[must_use]
    pub fn new(store: Arc<dyn MediaStore>) -> Self {
        Self(store)
    }
}

#[async_trait]
impl MediaStore for Metered {
    fn try_version_now(&self, object: &MediaObject) -> Option<Version> {
        let begun = Instant::now();
        let known = self.0.try_version_now(object);
        // Else it is asked for again, with a wait, and timed then.
        if known.is_some() {
            METER.version.time.record(begun.elapsed());
        }
        known
    }

    async fn version(&self, object: &MediaObject) -> Result<Option<Version>, Error> {
        METER.version.time(self.0.version(object)).await
    }

    async fn open(&self, object: &MediaObject) -> Result<Option<Arc<dyn MediaFile>>, Error> {
        let file = METER.open.time(self.0.open(object)).await?;
        Ok(file.map(|file| Arc::new(MeteredFile(file)) as Arc<dyn MediaFile>))
    }

    async fn create(&self, object: &MediaObject) -> Result<Box<dyn MediaWriter>, Error> {
        self.0.create(object).await
    }

    async fn list(&self, after: Option<&str>) -> Result<Listing, Error> {
        self.0.list(after).await
    }

    async fn media_of(&self, id: &RecordingId) -> Result<Vec<MediaObject>, Error> {
        self.0.media_of(id).await
    }

    async fn beside(&self, id: &RecordingId) -> Result<Vec<MediaObject>, Error> {
        self.0.beside(id).await
    }

    async fn is_being_written(&self, object: &MediaObject) -> Result<bool, Error> {
        self.0.is_being_written(object).await
    }

    async fn begin_maintenance(&self) -> Result<MaintenanceGuard, Error> {
        self.0.begin_maintenance().await
    }

    async fn replace(&self, from: &MediaObject, to: &MediaObject) -> Result<(), Error> {
        self.0.replace(from, to).await
    }

    async fn keep(&self, object: &MediaObject, seal_id: &SealId) -> Result<String, Error> {
        self.0.keep(object, seal_id).await
    }

    fn kept(&self, location: &str) -> Option<(MediaObject, SealId)> {
        self.0.kept(location)
    }

    async fn open_kept(&self, object: &MediaObject, seal_id: &SealId) -> Result<Option<Arc<dyn MediaFile>>, Error> {
        self.0.open_kept(object, seal_id).await
    }

    async fn remove_kept(&self, id: &RecordingId, blank: Range<usize>) -> Result<(), Error> {
        self.0.remove_kept(id, blank).await
    }

    async fn place(&self, from: &MediaObject, to: &MediaObject) -> Result<(), Error> {
        self.0.place(from, to).await
    }

    fn writes_in_place(&self) -> bool {
        self.0.writes_in_place()
    }

    async fn rewrite_head(&self, object: &MediaObject, version: Version, head: &[u8]) -> Result<(), Error> {
        self.0.rewrite_head(object, version, head).await
    }

    async fn remove(&self, object: &MediaObject) -> Result<(), Error> {
        self.0.remove(object).await
    }

    async fn remove_version(&self, object: &MediaObject, version: Version) -> Result<u64, Error> {
        self.0.remove_version(object, version).await
    }

    fn location(&self, object: &MediaObject) -> String {
        self.0.location(object)
    }

    fn spool(&self) -> Option<&dyn Spool> {
        self.0.spool()
    }
}

struct MeteredFile(Arc<dyn MediaFile>);

#[async_trait]
impl MediaFile for MeteredFile {
    fn version(&self) -> Version {
        self.0.version()
    }

    async fn len_now(&self) -> Result<u64, Error> {
        self.0.len_now().await
    }

    // Once a frame, and without a wait: the time would tell less than the clock costs.
    fn try_read_now(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Error> {
        self.0.try_read_now(offset, buffer).inspect_err(|_| METER.read.errors.increment(1))
    }

    async fn read(&self, offset: u64, buffer: Vec<u8>, filled: usize) -> Result<Vec<u8>, Error> {
        METER.read.time(self.0.read(offset, buffer, filled)).await
    }

    async fn read_once(&self, offset: u64, buffer: Vec<u8>) -> Result<Vec<u8>, Error> {
        METER.read_once.time(self.0.read_once(offset, buffer)).await
    }

    fn read_in_order(self: Arc<Self>, range: Range<u64>) -> Option<Arc<dyn MediaFile>> {
        let reader = Arc::clone(&self.0).read_in_order(range)?;
        Some(Arc::new(Self(reader)))
    }

    fn has_copies(&self) -> bool {
        self.0.has_copies()
    }

    async fn read_anew(&self, offset: u64, seen: Vec<u8>) -> Result<Vec<u8>, Error> {
        METER.read.time(self.0.read_anew(offset, seen)).await
    }
}

/// Handles, resolved once, after the recorder is in its place.
static METER: LazyLock<Meter> = LazyLock::new(|| Meter {
    version: Operation::of("version"),
    open: Operation::of("open"),
    read: Operation::of("read"),
    read_once: Operation::of("read-once"),
});

struct Meter {
    version: Operation,
    open: Operation,
    read: Operation,
    /// For scrubs: nobody waits for these, and they wait for others.
    read_once: Operation,
}

struct Operation {
    time: Histogram,
    errors: Counter,
}

impl Operation {
    fn of(operation: &'static str) -> Self {
        Self {
            time: histogram!(names::STORAGE_TIME, "operation" => operation),
            errors: counter!(names::STORAGE_ERRORS, "operation" => operation),
        }
    }

    async fn time<T>(&self, operation: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let begun = Instant::now();
        let outcome = operation.await;
        self.time.record(begun.elapsed());
        if outcome.is_err() {
            self.errors.increment(1);
        }
        outcome
    }
}
