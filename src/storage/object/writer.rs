//! An object on its way into the store: parts of it, a few at a time, and nothing to be seen of it before its end.
//!
//! Each part is signed with its digest, so that the store refuses what arrives otherwise; in the end the store is asked
//! how long the object is that it has.

use std::sync::Arc;

use async_trait::async_trait;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload, path::Path};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::bucket::Bucket;
use crate::base::{Ended, SealId};
use crate::crypto::{Sha256Digest, random};
use crate::media::{Error, MediaKind, MediaObject, MediaWriter, ObjectRole, Stage};

/// How long a part is. Stores take no shorter ones than 5 MiB.
pub(super) const PART_LEN: usize = 8 << 20;
/// After so many parts they are twice as long: a store takes 10,000 of one object.
const PARTS_OF_A_LENGTH: usize = 1000;
/// How many parts of one object are on their way at a time; each is in memory until it is there.
const PARTS_IN_FLIGHT: usize = 3;

pub(super) struct BucketWriter {
    bucket: Arc<Bucket>,
    object: MediaObject,
    /// Where it goes; of a plain one whose digest is not known yet, where it waits for that.
    path: Path,
    buffer: Vec<u8>,
    upload: Option<Box<dyn MultipartUpload>>,
    parts_begun: usize,
    in_flight: JoinSet<Result<(), object_store::Error>>,
    len: u64,
    digest: Option<Sha256Digest>,
}

impl BucketWriter {
    pub fn new(bucket: &Arc<Bucket>, object: &MediaObject) -> Result<Self, Error> {
        let is_plain_media = object.kind == MediaKind::Plain && object.role == ObjectRole::Media;
        let place = match object.sealing {
            None if is_plain_media => {
                let name = SealId(random().map_err(|error| bucket.unavailable("", error.to_string()))?);
                MediaObject { stage: Stage::Next, sealing: Some(name), ..object.clone() }
            }
            None | Some(_) => object.clone(),
        };
        let Some(path) = super::path_of(bucket, &place)? else {
            let reason = "an object store keeps each sealing under its own name, and this one names none".into();
            return Err(bucket.unavailable(object.id.as_str(), reason));
        };
        Ok(Self {
            bucket: Arc::clone(bucket),
            object: object.clone(),
            path,
            buffer: Vec::new(),
            upload: None,
            parts_begun: 0,
            in_flight: JoinSet::new(),
            len: 0,
            digest: is_plain_media.then(Sha256Digest::default),
        })
    }

    /// Writes to a path of its own.
    pub fn at(bucket: &Arc<Bucket>, object: &MediaObject, path: Path) -> Self {
        Self {
            bucket: Arc::clone(bucket),
            object: object.clone(),
            path,
            buffer: Vec::new(),
            upload: None,
            parts_begun: 0,
            in_flight: JoinSet::new(),
            len: 0,
            digest: None,
        }
    }

    fn part_len(&self) -> usize {
        PART_LEN << (self.parts_begun / PARTS_OF_A_LENGTH).min(6)
    }

    /// Sends the front of the buffer.
    async fn send(&mut self, len: usize) -> Result<(), Error> {
        let rest = self.buffer.split_off(len.min(self.buffer.len()));
        let part = std::mem::replace(&mut self.buffer, rest);
        while self.in_flight.len() >= PARTS_IN_FLIGHT {
            self.one_arrived().await?;
        }
        let upload = match &mut self.upload {
            Some(upload) => upload,
            none => {
                let begun = self.bucket.writes.put_multipart(&self.path).await;
                none.insert(begun.map_err(|error| self.bucket.failed(&self.path, &error))?)
            }
        };
        let (sent, turns) = (upload.put_part(PutPayload::from(part)), Arc::clone(&self.bucket.parts));
        self.parts_begun += 1;
        self.in_flight.spawn(async move {
            // It is never closed.
            let _turn = turns.acquire_owned().await;
            sent.await
        });
        Ok(())
    }

    async fn one_arrived(&mut self) -> Result<(), Error> {
        match self.in_flight.join_next().await {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(error))) => Err(self.bucket.failed(&self.path, &error)),
            Some(Err(_)) => Err(self.bucket.unavailable(self.path.as_ref(), Ended.to_string())),
        }
    }

    /// Sends what is left, and has the store make one object of it.
    async fn complete(&mut self) -> Result<(), Error> {
        if self.upload.is_none() {
            return self.bucket.put(&self.path, std::mem::take(&mut self.buffer)).await;
        }
        if !self.buffer.is_empty() {
            self.send(self.buffer.len()).await?;
        }
        while !self.in_flight.is_empty() {
            self.one_arrived().await?;
        }
        let Some(upload) = &mut self.upload else { return Ok(()) };
        if let Err(error) = upload.complete().await {
            // An answer that was lost on its way leaves the object there all the same, and nobody else has its name.
            let there = self.bucket.head(&self.path).await;
            if !there.is_ok_and(|found| found.is_some_and(|found| found.len == self.len)) {
                return Err(self.bucket.failed(&self.path, &error));
            }
        }
        self.upload = None;
        Ok(())
    }

    /// Asks the store what it has.
    async fn check(&mut self) -> Result<(), Error> {
        match self.bucket.head(&self.path).await? {
            Some(found) if found.len == self.len => {
                self.bucket.seen.forget(&self.object);
                Ok(())
            }
            found => {
                let found = found.map_or("nothing".into(), |found| format!("{} bytes", found.len));
                let reason = format!("{} bytes were stored, and there is {found} of them", self.len);
                Err(self.bucket.unavailable(self.path.as_ref(), reason))
            }
        }
    }

    /// Where plain media goes, now that its digest is known; none when it is there.
    fn place_of_plain(&mut self) -> Result<Option<Path>, Error> {
        let Some(digest) = self.digest.take() else { return Ok(None) };
        let sealing = SealId::of_plain(&digest.finish());
        if self.object.sealing.is_some_and(|said| said != sealing) {
            return Err(Error::Changed { location: self.bucket.location(&self.path) });
        }
        let place = super::path_of(&self.bucket, &MediaObject { sealing: Some(sealing), ..self.object.clone() })?;
        Ok(place.filter(|place| *place != self.path))
    }
}

#[async_trait]
impl MediaWriter for BucketWriter {
    async fn append(&mut self, mut bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
        if let Some(digest) = &mut self.digest {
            digest.update(&bytes);
        }
        self.len += bytes.len() as u64;
        self.buffer.append(&mut bytes);
        while self.buffer.len() >= self.part_len() {
            self.send(self.part_len()).await?;
        }
        Ok(bytes)
    }

    /// Nothing: an object store has no half of an object. What must not be lost before its end is written elsewhere
    /// first.
    async fn sync(&mut self) -> Result<(), Error> {
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<(), Error> {
        let place = self.place_of_plain()?;
        match place {
            // Short, so that nothing was sent yet.
            Some(place) if self.upload.is_none() => self.path = place,
            Some(place) => {
                self.complete().await?;
                self.check().await?;
                let waiting = std::mem::replace(&mut self.path, place);
                super::replacing::copy(&self.bucket, &self.object, &waiting, &self.path).await?;
                self.check().await?;
                return self.bucket.delete(&waiting).await;
            }
            None => {}
        }
        self.complete().await?;
        self.check().await
    }
}

impl Drop for BucketWriter {
    fn drop(&mut self) {
        let Some(mut upload) = self.upload.take() else { return };
        self.in_flight.abort_all();
        if let Ok(runtime) = Handle::try_current() {
            // Where that fails, the store's own rule for uploads that nobody ended takes them away.
            runtime.spawn(async move { upload.abort().await });
        }
    }
}
