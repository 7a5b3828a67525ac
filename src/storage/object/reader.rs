//! One version of an object, open for reading: its first bytes came with the answer that named the version.

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use object_store::{Error as StoreError, GetOptions, GetRange, path::Path};

use super::{ahead::Player, bucket::Bucket, fetch::Pinned};
use crate::media::{Error, MediaFile, MediaObject, Version};
use crate::sealed::HEADER_LEN;

pub(super) struct BucketFile {
    pub pinned: Arc<Pinned>,
    version: Version,
    /// The first bytes: whoever opens an object wants to know what its header says.
    head: Bytes,
}

impl BucketFile {
    /// Opens what lies under `path`, with one request.
    pub async fn open(bucket: &Arc<Bucket>, object: &MediaObject, path: Path) -> Result<Option<Self>, Error> {
        let options = GetOptions::new().with_range(Some(GetRange::Bounded(0..HEADER_LEN as u64)));
        let answered = async {
            let answer = bucket.reads.get_opts(&path, options).await?;
            let meta = answer.meta.clone();
            Ok((meta, answer.bytes().await?))
        };
        let (found, head) = match bucket.ask(&path, answered).await? {
            Ok((meta, head)) => (bucket.found(meta)?, head),
            Err(StoreError::NotFound { .. }) => return bucket.absent(&path).await,
            // Of an object without a byte there is no range.
            Err(error) => match bucket.head(&path).await? {
                Some(found) if found.len == 0 => (found, Bytes::new()),
                Some(_) => return Err(bucket.failed(&path, &error)),
                None => return Ok(None),
            },
        };
        if (head.len() as u64) < found.len.min(HEADER_LEN as u64) {
            return Err(Error::ShortRead { location: bucket.location(&path) });
        }
        let version = found.version();
        Ok(Some(Self { pinned: Arc::new(Pinned::new(bucket, object, found)), version, head }))
    }

    /// Fills as much of the front of `buffer` as lies in what is in memory.
    pub fn copy_head(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let held = self.head.get(start..).unwrap_or_default();
        let len = held.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..len), held.get(..len)) {
            to.copy_from_slice(from);
        }
        len
    }
}

#[async_trait]
impl MediaFile for BucketFile {
    fn version(&self) -> Version {
        self.version
    }

    fn try_read_now(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Error> {
        Ok(self.copy_head(offset, buffer))
    }

    async fn read(&self, offset: u64, mut buffer: Vec<u8>, mut filled: usize) -> Result<Vec<u8>, Error> {
        filled += self.copy_head(offset + filled as u64, buffer.get_mut(filled..).unwrap_or_default());
        let range = offset + filled as u64..offset + buffer.len() as u64;
        let mut put = |piece: Bytes| {
            let end = filled + piece.len();
            if let Some(to) = buffer.get_mut(filled..end) {
                to.copy_from_slice(&piece);
                filled = end;
            }
        };
        self.pinned.fetch(range, &mut put).await?;
        Ok(buffer)
    }

    fn read_in_order(self: Arc<Self>, range: Range<u64>) -> Option<Arc<dyn MediaFile>> {
        let player = Player::begin(self, range)?;
        Some(Arc::new(player))
    }
}
