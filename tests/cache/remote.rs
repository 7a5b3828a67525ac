//! A store that is far away: it takes its time, counts what is asked of it, and can fail or give wrong bytes.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sealtape::{
    base::{RecordingId, SealId},
    media::{Error, Listing, MaintenanceGuard, MediaFile, MediaObject, MediaStore, MediaWriter, Version},
    storage::LocalStore,
};
use tokio::sync::watch;

/// A local folder behind a long way.
pub struct Remote {
    store: LocalStore,
    pub way: Arc<Way>,
}

/// What lies between.
pub struct Way {
    /// How often each range was read.
    reads: Mutex<BTreeMap<(u64, u64), u64>>,
    delay: Duration,
    /// Bytes a second of each read.
    rate: u64,
    is_held: watch::Sender<bool>,
    fails: AtomicBool,
    /// Which of the next reads come with one wrong byte.
    wrong: Mutex<Range<u64>>,
}

struct RemoteFile(Arc<dyn MediaFile>, Arc<Way>);

impl Remote {
    pub fn new(folder: &Path, delay: Duration) -> Self {
        let store = LocalStore::open(folder, true).expect("opens");
        let way = Way {
            reads: Mutex::default(),
            delay,
            rate: u64::MAX,
            is_held: watch::Sender::new(false),
            fails: AtomicBool::new(false),
            wrong: Mutex::new(0..0),
        };
        Self { store, way: Arc::new(way) }
    }

    /// The same, over a narrower way.
    #[allow(dead_code, reason = "used by a benchmark")]
    pub fn with_rate(self, rate: u64) -> Self {
        let Ok(way) = Arc::try_unwrap(self.way) else { panic!("nobody has it yet") };
        Self { store: self.store, way: Arc::new(Way { rate, ..way }) }
    }
}

impl Way {
    /// Every range that was read since it was last asked, and how often.
    pub fn take_reads(&self) -> Vec<(Range<u64>, u64)> {
        let reads = std::mem::take(&mut *self.reads.lock().expect("whole"));
        reads.into_iter().map(|((start, end), times)| (start..end, times)).collect()
    }

    /// How many reads there were since then.
    pub fn reads_now(&self) -> u64 {
        self.reads.lock().expect("whole").values().sum()
    }

    /// Holds every read until it is told otherwise.
    pub fn hold(&self, is_held: bool) {
        self.is_held.send_replace(is_held);
    }

    pub fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::Relaxed);
    }

    /// So many reads, after some that are as they should be, come with a wrong byte.
    pub fn give_wrong_bytes(&self, skipped: u64, reads: u64) {
        *self.wrong.lock().expect("whole") = skipped..skipped + reads;
    }

    /// Whether there were not enough reads for one to be wrong.
    pub fn was_right_throughout(&self) -> bool {
        !self.wrong.lock().expect("whole").is_empty()
    }

    fn is_wrong_now(&self) -> bool {
        let mut wrong = self.wrong.lock().expect("whole");
        let is_now = wrong.start == 0 && wrong.end > 0;
        *wrong = wrong.start.saturating_sub(1)..wrong.end.saturating_sub(1);
        is_now
    }

    async fn pass(&self, range: Range<u64>) -> Result<(), Error> {
        *self.reads.lock().expect("whole").entry((range.start, range.end)).or_default() += 1;
        let carried = (range.end - range.start).saturating_mul(1_000_000) / self.rate;
        tokio::time::sleep(self.delay + Duration::from_micros(carried)).await;
        self.is_held.subscribe().wait_for(|is_held| !is_held).await.expect("the way is there");
        if self.fails.load(Ordering::Relaxed) {
            return Err(Error::Unavailable { location: "remote".into(), reason: "away".into() });
        }
        Ok(())
    }
}

#[async_trait]
impl MediaFile for RemoteFile {
    fn version(&self) -> Version {
        self.0.version()
    }

    fn try_read_now(&self, _: u64, _: &mut [u8]) -> Result<usize, Error> {
        Ok(0)
    }

    async fn read(&self, offset: u64, buffer: Vec<u8>, _: usize) -> Result<Vec<u8>, Error> {
        self.1.pass(offset..offset + buffer.len() as u64).await?;
        let mut read = self.0.read(offset, buffer, 0).await?;
        if self.1.is_wrong_now() {
            let middle = read.len() / 2;
            read[middle] ^= 1;
        }
        Ok(read)
    }
}

#[async_trait]
impl MediaStore for Remote {
    fn try_version_now(&self, object: &MediaObject) -> Option<Version> {
        self.store.try_version_now(object)
    }

    async fn version(&self, object: &MediaObject) -> Result<Option<Version>, Error> {
        self.store.version(object).await
    }

    async fn open(&self, object: &MediaObject) -> Result<Option<Arc<dyn MediaFile>>, Error> {
        let file = self.store.open(object).await?;
        Ok(file.map(|file| Arc::new(RemoteFile(file, Arc::clone(&self.way))) as Arc<dyn MediaFile>))
    }

    async fn create(&self, object: &MediaObject) -> Result<Box<dyn MediaWriter>, Error> {
        self.store.create(object).await
    }

    async fn list(&self, after: Option<&str>) -> Result<Listing, Error> {
        self.store.list(after).await
    }

    async fn beside(&self, id: &RecordingId) -> Result<Vec<MediaObject>, Error> {
        self.store.beside(id).await
    }

    async fn is_being_written(&self, object: &MediaObject) -> Result<bool, Error> {
        self.store.is_being_written(object).await
    }

    async fn begin_maintenance(&self) -> Result<MaintenanceGuard, Error> {
        self.store.begin_maintenance().await
    }

    async fn replace(&self, from: &MediaObject, to: &MediaObject) -> Result<(), Error> {
        self.store.replace(from, to).await
    }

    async fn keep(&self, object: &MediaObject, seal_id: &SealId) -> Result<String, Error> {
        self.store.keep(object, seal_id).await
    }

    async fn place(&self, from: &MediaObject, to: &MediaObject) -> Result<(), Error> {
        self.store.place(from, to).await
    }

    async fn remove_kept(&self, id: &RecordingId, blank: Range<usize>) -> Result<(), Error> {
        self.store.remove_kept(id, blank).await
    }

    async fn rewrite_head(&self, object: &MediaObject, version: Version, head: &[u8]) -> Result<(), Error> {
        self.store.rewrite_head(object, version, head).await
    }

    async fn remove(&self, object: &MediaObject) -> Result<(), Error> {
        self.store.remove(object).await
    }

    async fn remove_version(&self, object: &MediaObject, version: Version) -> Result<u64, Error> {
        self.store.remove_version(object, version).await
    }

    fn location(&self, object: &MediaObject) -> String {
        self.store.location(object)
    }
}
