//! A part of a bucket in an S3-compatible object store.
//!
//! `PREFIX/ID/SEALING.sealed`: every sealing of a recording lies under a key of its own, and the catalogue says which
//! counts. Nothing is renamed or overwritten, but that the head of an object is written anew when its key is wrapped
//! under another one: then the whole object is put in its own place, at once. So no store needs conditional writes,
//! which not every one has. An object is there whole or not at all: what grows is kept elsewhere until its end.
//!
//! Start with [`BucketStore`]; one player's way is [`reader`] and [`ahead`], one recording's way in [`writer`].

mod ahead;
mod bucket;
mod connect;
mod fetch;
mod listing;
mod names;
mod part_copies;
mod reader;
mod replacing;
mod seen;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::TryStreamExt;
use object_store::{ObjectStore, path::Path};
use tokio::sync::Semaphore;

use self::bucket::Bucket;
use crate::base::{RecordingId, SealId};
use crate::media::{
    Error, Listing, MaintenanceGuard, MediaFile, MediaObject, MediaStore, MediaWriter, ObjectRole, Stage, Version,
};

/// Where a bucket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketAddress {
    /// Its name.
    pub bucket: String,
    /// What keys begin with: names with `/` between them, or nothing.
    pub prefix: String,
    /// Of another store than Amazon's: `https://…`.
    pub endpoint: Option<String>,
    /// The region that requests are signed for; by default what `AWS_REGION` says, or `us-east-1`.
    pub region: Option<String>,
    /// Whether the endpoint may be one without TLS.
    pub allow_http: bool,
}

/// The environment, or what stands for it: the value of a variable of that name, such as `AWS_ACCESS_KEY_ID`.
pub type BucketVariables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What a store may take of its machine and its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketLimits {
    /// How long somebody waits for a byte before they are told that the store does not answer.
    pub patience: Duration,
    /// Requests for bytes at a time.
    pub fetches: usize,
    /// Bytes that are held for players who read on, of all of them together.
    pub ahead: usize,
    /// Parts of objects on their way to the store at a time.
    pub parts: usize,
}

impl Default for BucketLimits {
    fn default() -> Self {
        Self { patience: Duration::from_secs(10), fetches: 256, ahead: 256 << 20, parts: 16 }
    }
}

/// Media in a part of a bucket.
#[derive(Clone)]
pub struct BucketStore {
    bucket: Arc<Bucket>,
    is_in_maintenance: Arc<AtomicBool>,
}

impl BucketAddress {
    /// `s3://BUCKET/PREFIX`
    #[must_use]
    pub fn url(&self) -> String {
        let (bucket, prefix) = (&self.bucket, &self.prefix);
        if prefix.is_empty() { format!("s3://{bucket}") } else { format!("s3://{bucket}/{prefix}") }
    }

    /// Which variables are missing for credentials; none when there are some.
    #[must_use]
    pub fn missing_credentials(variables: BucketVariables<'_>) -> Option<String> {
        connect::missing_credentials(variables)
    }
}

impl BucketStore {
    /// The store at an address, with the credentials that the variables hold. Nothing is asked of it yet.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when there are no credentials, or the address is none.
    pub fn connect(address: &BucketAddress, variables: BucketVariables<'_>) -> Result<Self, Error> {
        let connect::Connected { reads, writes, part_copies } = connect::connect(address, variables)?;
        let url = format!("s3://{}/", address.bucket);
        Ok(Self::of(reads, writes, Some(part_copies), &url, &address.prefix, BucketLimits::default()))
    }

    /// Media in any kind of object store, below `prefix`; `url` is what its objects are called by, up to their keys.
    #[must_use]
    pub fn over(objects: Arc<dyn ObjectStore>, url: &str, prefix: &str, limits: BucketLimits) -> Self {
        Self::of(Arc::clone(&objects), objects, None, url, prefix, limits)
    }

    fn of(
        reads: Arc<dyn ObjectStore>,
        writes: Arc<dyn ObjectStore>,
        part_copies: Option<part_copies::PartCopies>,
        url: &str,
        prefix: &str,
        limits: BucketLimits,
    ) -> Self {
        let prefix = prefix.trim_matches('/');
        let bucket = Bucket {
            reads,
            writes,
            part_copies,
            prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
            url: url.to_owned(),
            limits,
            fetches: Arc::new(Semaphore::new(limits.fetches)),
            ahead: Arc::new(Semaphore::new(limits.ahead >> 10)),
            parts: Arc::new(Semaphore::new(limits.parts)),
            seen: seen::Seen::default(),
        };
        Self { bucket: Arc::new(bucket), is_in_maintenance: Arc::default() }
    }

    /// Whether nothing lies below the prefix.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the store does not answer, or refuses.
    pub async fn is_empty(&self) -> Result<bool, Error> {
        let (bucket, root) = (&self.bucket, self.bucket.root()?);
        let mut objects = bucket.reads.list((!bucket.prefix.is_empty()).then_some(&root));
        let first = bucket.ask(&root, objects.try_next()).await?;
        Ok(first.map_err(|error| bucket.failed(&root, &error))?.is_none())
    }
}

impl fmt::Debug for BucketStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BucketStore({}{})", self.bucket.url, self.bucket.prefix)
    }
}

#[async_trait]
impl MediaStore for BucketStore {
    fn try_version_now(&self, object: &MediaObject) -> Option<Version> {
        self.bucket.seen.recall(object).map(|found| found.version())
    }

    async fn version(&self, object: &MediaObject) -> Result<Option<Version>, Error> {
        if let Some(version) = self.try_version_now(object) {
            return Ok(Some(version));
        }
        let Some(path) = self.bucket.resolve(object).await? else { return Ok(None) };
        let Some(found) = self.bucket.head(&path).await? else { return Ok(None) };
        self.remember(object, &found);
        Ok(Some(found.version()))
    }

    async fn open(&self, object: &MediaObject) -> Result<Option<Arc<dyn MediaFile>>, Error> {
        let Some(path) = self.bucket.resolve(object).await? else { return Ok(None) };
        let Some(file) = reader::BucketFile::open(&self.bucket, object, path).await? else {
            self.bucket.seen.forget(object);
            return Ok(None);
        };
        self.remember(object, &file.pinned.found());
        Ok(Some(Arc::new(file)))
    }

    async fn create(&self, object: &MediaObject) -> Result<Box<dyn MediaWriter>, Error> {
        let writer = writer::BucketWriter::new(&self.bucket, object)?;
        if object.stage == Stage::Next {
            replacing::remove(&self.bucket, &MediaObject { sealing: None, ..object.clone() }).await?;
        } else if let Some(path) = path_of(&self.bucket, object)?
            && self.bucket.head(&path).await?.is_some()
        {
            return Err(Error::Exists { location: self.bucket.location(&path), being_written: false });
        }
        Ok(Box::new(writer))
    }

    async fn list(&self, after: Option<&str>) -> Result<Listing, Error> {
        listing::page(&self.bucket, after).await
    }

    async fn media_of(&self, id: &RecordingId) -> Result<Vec<MediaObject>, Error> {
        let mut found = listing::of(&self.bucket, id).await?;
        found.retain(|object| object.role == ObjectRole::Media);
        Ok(found)
    }

    async fn beside(&self, id: &RecordingId) -> Result<Vec<MediaObject>, Error> {
        let mut found = listing::of(&self.bucket, id).await?;
        found.retain(|object| object.role != ObjectRole::Media);
        Ok(found)
    }

    /// Nothing of an object is there before its end.
    async fn is_being_written(&self, _object: &MediaObject) -> Result<bool, Error> {
        Ok(false)
    }

    /// Keeps those of one process apart. Those of others are kept apart by the catalogue.
    async fn begin_maintenance(&self) -> Result<MaintenanceGuard, Error> {
        if self.is_in_maintenance.swap(true, Ordering::AcqRel) {
            return Err(Error::Busy { location: format!("{}{}", self.bucket.url, self.bucket.prefix) });
        }
        Ok(Box::new(Maintenance(Arc::clone(&self.is_in_maintenance))))
    }

    async fn replace(&self, from: &MediaObject, to: &MediaObject) -> Result<(), Error> {
        replacing::replace(&self.bucket, from, to).await
    }

    async fn keep(&self, object: &MediaObject, seal_id: &SealId) -> Result<String, Error> {
        replacing::keep(&self.bucket, object, seal_id).await
    }

    async fn place(&self, from: &MediaObject, to: &MediaObject) -> Result<(), Error> {
        replacing::place(&self.bucket, from, to).await
    }

    async fn remove_kept(&self, id: &RecordingId, _blank: Range<usize>) -> Result<(), Error> {
        replacing::remove_kept(&self.bucket, id).await
    }

    fn writes_in_place(&self) -> bool {
        false
    }

    async fn rewrite_head(&self, object: &MediaObject, version: Version, head: &[u8]) -> Result<(), Error> {
        replacing::rewrite_head(&self.bucket, object, version, head).await
    }

    async fn remove(&self, object: &MediaObject) -> Result<(), Error> {
        replacing::remove(&self.bucket, object).await
    }

    async fn remove_version(&self, object: &MediaObject, version: Version) -> Result<u64, Error> {
        replacing::remove_version(&self.bucket, object, version).await
    }

    fn location(&self, object: &MediaObject) -> String {
        match &object.outside {
            None => {
                let name = names::name(object).unwrap_or_default();
                format!("{}{}{}/{name}", self.bucket.url, self.bucket.prefix, object.id)
            }
            Some(outside) => outside.to_string(),
        }
    }
}

impl BucketStore {
    /// What lies under a name of its own stays what it is; what a name stands for that says no sealing may change.
    fn remember(&self, object: &MediaObject, found: &bucket::Found) {
        if names::name(object).is_some() {
            self.bucket.seen.remember(object, found);
        }
    }
}

/// Dropping it lets the next one begin.
struct Maintenance(Arc<AtomicBool>);

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// The path of an object in the store; none for media whose sealing is not said.
fn path_of(bucket: &Bucket, object: &MediaObject) -> Result<Option<Path>, Error> {
    names::name(object).map(|name| bucket.path(&format!("{}/{name}", object.id))).transpose()
}
