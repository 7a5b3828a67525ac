//! Single requests to an object store: bounded in number and in time, with errors that name the object.
//!
//! Requests that read give up soon, for a player waits; those that write have more patience. Both are repeated by the
//! client beneath, with jitter, where the store says that it is overloaded, or does not answer.

use std::{future::Future, sync::Arc};

use futures_util::TryStreamExt;
use object_store::{Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload, path::Path};
use tokio::sync::Semaphore;

use super::{BucketLimits, names, part_copies::PartCopies, seen::Seen};
use crate::base::RecordingId;
use crate::crypto::Sha256Digest;
use crate::media::{Error, MediaObject, Version};

/// A part of a bucket, and what may be asked of it at a time.
#[derive(Debug)]
pub(super) struct Bucket {
    pub reads: Arc<dyn ObjectStore>,
    pub writes: Arc<dyn ObjectStore>,
    /// Where the store can copy parts of objects by itself.
    pub part_copies: Option<PartCopies>,
    /// What every key begins with: nothing, or names that end in `/`.
    pub prefix: String,
    /// Before each key: `s3://BUCKET/`.
    pub url: String,
    pub limits: BucketLimits,
    /// Requests for bytes that may be under way.
    pub fetches: Arc<Semaphore>,
    /// KiB that may be in memory before somebody asked for them.
    pub ahead: Arc<Semaphore>,
    /// Parts that may be on their way to the store.
    pub parts: Arc<Semaphore>,
    pub seen: Seen,
}

/// One version of an object, as the store tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub path: Path,
    pub len: u64,
    pub etag: Arc<str>,
}

impl Found {
    /// A digest of the entity tag: whatever has the same one has the same bytes.
    pub fn version(&self) -> Version {
        let mut digest = Sha256Digest::default();
        digest.update(self.etag.as_bytes());
        let digest = digest.finish();
        let mut stamp = [0; 4];
        for (word, bytes) in stamp.iter_mut().zip(digest.as_chunks::<8>().0) {
            *word = u64::from_be_bytes(*bytes);
        }
        Version { len: self.len, stamp }
    }
}

impl Bucket {
    pub fn path(&self, key: &str) -> Result<Path, Error> {
        let key = format!("{}{key}", self.prefix);
        Path::parse(&key).map_err(|error| self.unavailable(&key, error.to_string()))
    }

    /// What is above all of it.
    pub fn root(&self) -> Result<Path, Error> {
        self.path("").or_else(|_| Ok(Path::default()))
    }

    /// Where an object lies; none when it does not say which sealing it is and there is none. Of several it cannot be
    /// told which is meant.
    pub async fn resolve(&self, object: &MediaObject) -> Result<Option<Path>, Error> {
        if let Some(outside) = &object.outside {
            let reason = "it lies outside the object store, and can be reached on its own machine alone".into();
            return Err(Error::Unavailable { location: outside.to_string(), reason });
        }
        if let Some(name) = names::name(object) {
            return self.path(&format!("{}/{name}", object.id)).map(Some);
        }
        let mut found = self.all_of(object).await?;
        match (found.pop(), found.len()) {
            (None, _) => Ok(None),
            (Some((_, path)), 0) => Ok(Some(path)),
            (Some(_), others) => {
                let reason =
                    format!("{} sealings lie there, and only the catalogue knows which is the recording's", others + 1);
                Err(self.unavailable(&format!("{}{}/", self.prefix, object.id), reason))
            }
        }
    }

    /// Every sealing of an object that does not say which it is, with its path.
    pub async fn all_of(&self, object: &MediaObject) -> Result<Vec<(MediaObject, Path)>, Error> {
        let mut found = Vec::new();
        for meta in self.folder(&object.id).await? {
            if let (_, names::Named::Object(other)) = names::read(self.key(&meta.location))
                && other.may_be(object)
            {
                found.push((other, meta.location));
            }
        }
        Ok(found)
    }

    /// All that lies in a recording's folder.
    pub async fn folder(&self, id: &RecordingId) -> Result<Vec<ObjectMeta>, Error> {
        let path = self.path(id.as_str())?;
        let listed = self.ask(&path, self.reads.list(Some(&path)).try_collect()).await?;
        listed.map_err(|error| self.failed(&path, &error))
    }

    /// What lies under a path now.
    pub async fn head(&self, path: &Path) -> Result<Option<Found>, Error> {
        match self.ask(path, self.reads.head(path)).await? {
            Ok(meta) => self.found(meta).map(Some),
            Err(StoreError::NotFound { .. }) => self.absent(path).await,
            Err(error) => Err(self.failed(path, &error)),
        }
    }

    /// What it means that the store finds no object: there is none, or the whole bucket is gone.
    pub async fn absent<T>(&self, path: &Path) -> Result<Option<T>, Error> {
        let mut listed = self.reads.list(Some(path));
        match self.ask(path, listed.try_next()).await? {
            Ok(_) => Ok(None),
            Err(error) => Err(self.failed(path, &error)),
        }
    }

    pub fn found(&self, meta: ObjectMeta) -> Result<Found, Error> {
        let ObjectMeta { location: path, size: len, e_tag, .. } = meta;
        match e_tag {
            Some(etag) => Ok(Found { path, len, etag: etag.into() }),
            None => Err(self.unavailable(path.as_ref(), "the store does not say which version it is (ETag)".into())),
        }
    }

    /// Writes a whole object.
    pub async fn put(&self, path: &Path, content: Vec<u8>) -> Result<(), Error> {
        let put = self.writes.put(path, PutPayload::from(content)).await;
        put.map(|_| ()).map_err(|error| self.failed(path, &error))
    }

    /// Removes what lies under a path, if it is there.
    pub async fn delete(&self, path: &Path) -> Result<(), Error> {
        match self.writes.delete(path).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(path, &error)),
        }
    }

    /// Waits for an answer, and not for longer than a player would.
    pub async fn ask<T>(
        &self,
        path: &Path,
        request: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<Result<T, StoreError>, Error> {
        match tokio::time::timeout(self.limits.patience, request).await {
            Ok(answer) => Ok(answer),
            Err(_) => Err(self.too_late(path)),
        }
    }

    pub fn too_late(&self, path: &Path) -> Error {
        self.unavailable(path.as_ref(), format!("no answer within {:?}", self.limits.patience))
    }

    /// The key without the prefix.
    pub fn key<'a>(&self, path: &'a Path) -> &'a str {
        path.as_ref().strip_prefix(&self.prefix).unwrap_or(path.as_ref())
    }

    pub fn location(&self, path: &Path) -> String {
        format!("{}{path}", self.url)
    }

    pub fn unavailable(&self, key: &str, reason: String) -> Error {
        Error::Unavailable { location: format!("{}{key}", self.url), reason }
    }

    /// What a refusal means to whoever asked.
    pub fn failed(&self, path: &Path, error: &StoreError) -> Error {
        let location = self.location(path);
        match error {
            StoreError::Precondition { .. } | StoreError::NotModified { .. } => Error::Changed { location },
            StoreError::AlreadyExists { .. } => Error::Exists { location, being_written: false },
            StoreError::NotFound { .. } => {
                Error::Unavailable { location, reason: "the object, or its bucket, is not there".into() }
            }
            other => {
                let reason = reason(other);
                // There is no code of its own for either: the first is Garage's word, the second that of others.
                let is_full = ["QuotaExceeded", "quota is reached", "InsufficientStorage", "507 "];
                if is_full.iter().any(|word| reason.contains(word)) {
                    Error::Full { location }
                } else {
                    Error::Unavailable { location, reason }
                }
            }
        }
    }
}

/// An error and its causes, in one line.
fn reason(error: &StoreError) -> String {
    let (mut text, mut cause) = (error.to_string(), std::error::Error::source(error));
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text.replace('\n', " ")
}
