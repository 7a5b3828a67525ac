//! A store of which recently played ciphertext lies on a local disk: a thousand players of a recording cost one fetch.
//!
//! Sealed media under its final name is read in blocks, each fetched as a whole, once for all who wait for it, and kept in
//! a folder up to a size; everything else passes through. Blocks are known by recording, sealing and version of the object,
//! so that another version is another block. The first bytes of an object, its header, are never kept: it holds the
//! wrapped key. Whatever is wrong with the disk costs a fetch and nothing else: each block has a sum, and a reader to
//! whom one does not verify says so ([`MediaFile::read_anew`]).
//!
//! Sees no key and no plaintext. Start with [`CachedStore`], then `file` and `fetch`; `blocks` is the disk.

mod blocks;
mod fetch;
mod file;
mod folder;
mod index;
mod key;
mod meter;
mod segment;

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{sync::Semaphore, task::spawn_blocking};

use self::{
    blocks::Blocks,
    fetch::{FETCHES_OF_FILE_MAX, Source},
    file::CachedFile,
    folder::remove_recording,
    key::{FileKey, hash_of_id},
    meter::METER,
};
use crate::base::{Ended, RecordingId, SealId};
use crate::media::{
    Error, Listing, MaintenanceGuard, MediaFile, MediaKind, MediaObject, MediaStore, MediaWriter, ObjectRole, Spool,
    Stage, Version,
};

/// How long blocks are, but for the last one of an object.
const BLOCK_LEN: u64 = 256 << 10;
/// How often it is tried to take a folder that another process has.
const TAKE_INTERVAL: Duration = Duration::from_secs(5);

/// Where the cache lies, and how large it may become.
#[derive(Clone, Debug)]
pub struct CacheSettings {
    /// Its folder, made when it is missing.
    pub path: PathBuf,
    /// Bytes that its files may take.
    pub size_bytes: u64,
    /// Bytes of a block.
    pub block_len_bytes: u64,
}

/// A store read through a cache.
pub struct CachedStore {
    inner: Arc<dyn MediaStore>,
    path: PathBuf,
    /// Once the folder is this process's.
    blocks: Arc<OnceLock<Arc<Blocks>>>,
}

impl CacheSettings {
    /// With blocks of the usual length.
    #[must_use]
    pub fn new(path: PathBuf, size_bytes: u64) -> Self {
        Self { path, size_bytes, block_len_bytes: BLOCK_LEN }
    }
}

impl CachedStore {
    /// Reads `inner` through the cache that `settings` name. While another process has it, reads pass through, and now
    /// and then it is tried again. Must be called within a runtime.
    ///
    /// # Errors
    ///
    /// The folder cannot be made or written to, or holds something else.
    pub async fn open(inner: Arc<dyn MediaStore>, settings: CacheSettings) -> io::Result<Self> {
        let store = Self::beside(inner, settings.path.clone());
        match take(settings.clone()).await? {
            Some(blocks) => store.blocks.set(blocks).unwrap_or_default(),
            None => {
                let path = settings.path.display();
                tracing::warn!(%path, "another process has the cache: this one does without until that ends");
                tokio::spawn(take_later(Arc::downgrade(&store.blocks), settings));
            }
        }
        Ok(store)
    }

    /// Reads pass through; what is removed from `inner` is removed from the cache in `path` too, which may be another
    /// process's.
    #[must_use]
    pub fn beside(inner: Arc<dyn MediaStore>, path: PathBuf) -> Self {
        Self { inner, path, blocks: Arc::default() }
    }

    /// Whether `path` could be a cache's folder, as far as that can be told without making anything.
    ///
    /// # Errors
    ///
    /// It is no folder, cannot be read, or holds something else.
    pub fn check(path: &Path) -> io::Result<()> {
        folder::check(path)
    }

    /// Whether the cache is this process's.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.blocks.get().is_some()
    }

    /// Shows its counters from the start, also where there is no cache.
    pub fn announce() {
        std::sync::LazyLock::force(&METER);
    }

    /// Forgets a recording. Where that fails the disk holds ciphertext that nobody asks for any more, until it is its turn
    /// to go.
    async fn forget(&self, object: &MediaObject) {
        if !is_cached(&MediaObject { stage: Stage::Final, ..object.clone() }) {
            return;
        }
        let (path, recording) = (self.path.clone(), hash_of_id(&object.id));
        let blocks = self.blocks.get().cloned();
        let forget = move || match blocks {
            Some(blocks) => blocks.forget(&path, recording),
            None => remove_recording(&path, recording),
        };
        if let Ok(Err(error)) = spawn_blocking(forget).await {
            METER.errors.increment(1);
            let path = self.path.display();
            tracing::warn!(%path, %error, "what is cached of a recording that was removed cannot be removed");
        }
    }
}

/// What is worth keeping: it is long, and does not change.
fn is_cached(object: &MediaObject) -> bool {
    object.role == ObjectRole::Media
        && object.kind == MediaKind::Sealed
        && object.stage == Stage::Final
        && object.outside.is_none()
}

async fn take(settings: CacheSettings) -> io::Result<Option<Arc<Blocks>>> {
    let take = move || Blocks::open(&settings.path, settings.size_bytes, settings.block_len_bytes);
    spawn_blocking(take).await.map_err(|_| io::Error::other(Ended))?
}

/// Takes the folder when the process that has it has gone.
async fn take_later(wanting: Weak<OnceLock<Arc<Blocks>>>, settings: CacheSettings) {
    loop {
        tokio::time::sleep(TAKE_INTERVAL).await;
        if wanting.strong_count() == 0 {
            return;
        }
        if let (Ok(Some(taken)), Some(blocks)) = (take(settings.clone()).await, wanting.upgrade()) {
            tracing::info!(path = %settings.path.display(), "the cache is in use here now");
            return blocks.set(taken).unwrap_or_default();
        }
    }
}

#[async_trait]
impl MediaStore for CachedStore {
    fn try_version_now(&self, object: &MediaObject) -> Option<Version> {
        self.inner.try_version_now(object)
    }

    async fn version(&self, object: &MediaObject) -> Result<Option<Version>, Error> {
        self.inner.version(object).await
    }

    async fn open(&self, object: &MediaObject) -> Result<Option<Arc<dyn MediaFile>>, Error> {
        let Some(remote) = self.inner.open(object).await? else { return Ok(None) };
        let Some(blocks) = self.blocks.get().filter(|_| is_cached(object)) else { return Ok(Some(remote)) };
        let version = remote.version();
        let key = blocks.known_as(FileKey::new(object, &version));
        let stale = Arc::clone(blocks);
        // Nobody waits for it.
        spawn_blocking(move || stale.forget_others(&key));
        let source = Source {
            remote,
            key,
            len: version.len,
            blocks: Arc::clone(blocks),
            keeps: blocks.keeps(&key),
            line: Arc::new(Semaphore::new(FETCHES_OF_FILE_MAX)),
        };
        Ok(Some(Arc::new(CachedFile::new(source, self.inner.location(object)))))
    }

    async fn create(&self, object: &MediaObject) -> Result<Box<dyn MediaWriter>, Error> {
        self.inner.create(object).await
    }

    async fn list(&self, after: Option<&str>) -> Result<Listing, Error> {
        self.inner.list(after).await
    }

    async fn media_of(&self, id: &RecordingId) -> Result<Vec<MediaObject>, Error> {
        self.inner.media_of(id).await
    }

    async fn beside(&self, id: &RecordingId) -> Result<Vec<MediaObject>, Error> {
        self.inner.beside(id).await
    }

    async fn is_being_written(&self, object: &MediaObject) -> Result<bool, Error> {
        self.inner.is_being_written(object).await
    }

    async fn begin_maintenance(&self) -> Result<MaintenanceGuard, Error> {
        self.inner.begin_maintenance().await
    }

    async fn replace(&self, from: &MediaObject, to: &MediaObject) -> Result<(), Error> {
        self.inner.replace(from, to).await?;
        self.forget(to).await;
        Ok(())
    }

    async fn keep(&self, object: &MediaObject, seal_id: &SealId) -> Result<String, Error> {
        self.inner.keep(object, seal_id).await
    }

    async fn place(&self, from: &MediaObject, to: &MediaObject) -> Result<(), Error> {
        self.inner.place(from, to).await
    }

    async fn remove_kept(&self, id: &RecordingId, blank: Range<usize>) -> Result<(), Error> {
        self.inner.remove_kept(id, blank).await
    }

    async fn rewrite_head(&self, object: &MediaObject, version: Version, head: &[u8]) -> Result<(), Error> {
        self.inner.rewrite_head(object, version, head).await
    }

    async fn remove(&self, object: &MediaObject) -> Result<(), Error> {
        self.inner.remove(object).await?;
        self.forget(object).await;
        Ok(())
    }

    async fn remove_version(&self, object: &MediaObject, version: Version) -> Result<u64, Error> {
        let others = self.inner.remove_version(object, version).await?;
        self.forget(object).await;
        Ok(others)
    }

    fn location(&self, object: &MediaObject) -> String {
        self.inner.location(object)
    }

    fn kept(&self, location: &str) -> Option<(MediaObject, SealId)> {
        self.inner.kept(location)
    }

    async fn open_kept(&self, object: &MediaObject, seal_id: &SealId) -> Result<Option<Arc<dyn MediaFile>>, Error> {
        self.inner.open_kept(object, seal_id).await
    }

    fn writes_in_place(&self) -> bool {
        self.inner.writes_in_place()
    }

    fn spool(&self) -> Option<&dyn Spool> {
        self.inner.spool()
    }
}
