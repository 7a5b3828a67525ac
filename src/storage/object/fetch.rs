//! A range of one version of an object, as a stream of its bytes: every request names the version (If-Match), and
//! what breaks off is asked for again from where it ended, with jitter, for as long as a player would wait.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use object_store::{Error as StoreError, GetOptions, GetRange, path::Path};
use tokio::time::{Instant, timeout_at};

use super::bucket::{Bucket, Found};
use crate::media::{Error, MediaKind, MediaObject, Stage};
use crate::sealed::HEADER_LEN;

/// How long it rests before it asks again, at first and at most; somewhere between half and all of that.
const REST_MIN: Duration = Duration::from_millis(50);
const REST_MAX: Duration = Duration::from_secs(1);

/// One version of an object.
#[derive(Debug)]
pub(super) struct Pinned {
    pub bucket: Arc<Bucket>,
    pub object: MediaObject,
    pub path: Path,
    pub len: u64,
    /// Another one once a head was written anew.
    etag: Mutex<Arc<str>>,
}

/// Who takes bytes as they come.
#[async_trait]
pub(super) trait Sink: Send {
    fn put(&mut self, bytes: Bytes);

    /// Whether more is wanted, once there is room for it.
    async fn wants_more(&mut self) -> bool {
        true
    }
}

impl<F: FnMut(Bytes) + Send> Sink for F {
    fn put(&mut self, bytes: Bytes) {
        self(bytes);
    }
}

/// How an attempt ended that brought less than it was to.
enum Lack {
    /// No more is wanted.
    Enough,
    /// What the store says.
    Failed(Error),
    /// The object is gone, or another one.
    Changed,
    /// The body ended in order, and early.
    Short,
}

impl Pinned {
    pub fn new(bucket: &Arc<Bucket>, object: &MediaObject, found: Found) -> Self {
        let Found { path, len, etag } = found;
        Self { bucket: Arc::clone(bucket), object: object.clone(), path, len, etag: Mutex::new(etag) }
    }

    pub fn found(&self) -> Found {
        Found { path: self.path.clone(), len: self.len, etag: self.etag() }
    }

    /// Gives the bytes of `range` to `sink`, in order, each once, for as long as it wants more. What was given before an
    /// error is good.
    pub async fn fetch(&self, mut range: Range<u64>, sink: &mut dyn Sink) -> Result<(), Error> {
        if range.end > self.len {
            return Err(Error::ShortRead { location: self.location() });
        }
        let (mut deadline, mut rest, mut has_looked) = (self.deadline(), REST_MIN, false);
        while !range.is_empty() {
            let start = range.start;
            let lack = match self.attempt(&mut range, sink, deadline).await {
                Ok(()) => continue,
                Err(lack) => lack,
            };
            if range.start > start {
                (deadline, rest) = (self.deadline(), REST_MIN);
            }
            let error = match lack {
                Lack::Changed if !has_looked && self.look_again(&range).await? => {
                    has_looked = true;
                    continue;
                }
                Lack::Changed => return Err(self.changed()),
                Lack::Enough => return Ok(()),
                Lack::Short => Error::ShortRead { location: self.location() },
                Lack::Failed(error) => error,
            };
            let pause = jittered(rest);
            if Instant::now() + pause >= deadline {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            rest = (2 * rest).min(REST_MAX);
        }
        Ok(())
    }

    /// One request; `range` is what is lacking afterwards.
    async fn attempt(&self, range: &mut Range<u64>, sink: &mut dyn Sink, deadline: Instant) -> Result<(), Lack> {
        let bucket = &*self.bucket;
        let late = |_| Lack::Failed(bucket.too_late(&self.path));
        let _turn = timeout_at(deadline, bucket.fetches.acquire()).await.map_err(late)?;
        let options =
            GetOptions::new().with_range(Some(GetRange::Bounded(range.clone()))).with_if_match(Some(&*self.etag()));
        let answer = timeout_at(deadline, bucket.reads.get_opts(&self.path, options)).await.map_err(late)?;
        let answer = answer.map_err(|error| self.lack(&error))?;
        // Whatever else it says is not what was asked for.
        if answer.meta.size != self.len || answer.range.start != range.start {
            return Err(Lack::Changed);
        }
        let mut body = answer.into_stream();
        let mut patience = deadline;
        while let Some(piece) = timeout_at(patience, body.next()).await.map_err(late)? {
            let mut piece = piece.map_err(|error| self.lack(&error))?;
            let wanted = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
            piece.truncate(wanted);
            range.start += piece.len() as u64;
            if !piece.is_empty() {
                sink.put(piece);
            }
            if !range.is_empty() && !sink.wants_more().await {
                return Err(Lack::Enough);
            }
            patience = self.deadline();
        }
        if range.is_empty() { Ok(()) } else { Err(Lack::Short) }
    }

    fn lack(&self, error: &StoreError) -> Lack {
        match error {
            StoreError::NotFound { .. } | StoreError::Precondition { .. } => Lack::Changed,
            other => Lack::Failed(self.bucket.failed(&self.path, other)),
        }
    }

    /// Whether what is lacking can be had from what lies there now: the same sealing, as long as before, and only its
    /// head is another one, which is all that is ever written over. Every record of it verifies or does not, as before.
    async fn look_again(&self, range: &Range<u64>) -> Result<bool, Error> {
        self.bucket.seen.forget(&self.object);
        let is_named = self.object.sealing.is_some() && self.object.stage != Stage::Next;
        if self.object.kind != MediaKind::Sealed || !is_named || range.start < HEADER_LEN as u64 {
            return Ok(false);
        }
        let Some(found) = self.bucket.head(&self.path).await? else { return Ok(false) };
        if found.len != self.len {
            return Ok(false);
        }
        *self.etag.lock().unwrap_or_else(PoisonError::into_inner) = found.etag;
        Ok(true)
    }

    pub fn location(&self) -> String {
        self.bucket.location(&self.path)
    }

    fn changed(&self) -> Error {
        Error::Changed { location: self.location() }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.bucket.limits.patience
    }

    fn etag(&self) -> Arc<str> {
        Arc::clone(&self.etag.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Between half and all of a time, so that those who were turned away together do not come back together.
fn jittered(time: Duration) -> Duration {
    let random = u32::try_from(RandomState::new().build_hasher().finish() >> 32).unwrap_or_default();
    time / 2 + (time / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}
