//! One version of a file, open for reading: a descriptor that stays what it was.

use std::{
    fs::{File, Metadata},
    io::{self, IoSliceMut},
    os::unix::fs::{FileExt, MetadataExt},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::{in_background, location, unavailable};
use crate::media::{Error, MediaFile, Version};

pub(super) struct LocalFile {
    file: Arc<File>,
    path: PathBuf,
    version: Version,
    /// Cleared when the file system cannot say whether a read would wait.
    can_read_now: AtomicBool,
}

impl LocalFile {
    pub(super) fn new(file: File, path: PathBuf) -> Result<Self, Error> {
        let metadata = file.metadata().map_err(|error| unavailable(&path, &error))?;
        if !metadata.is_file() {
            let reason = "it is not a file".into();
            return Err(Error::Unavailable { location: location(&path), reason });
        }
        Ok(Self { file: Arc::new(file), path, version: version(&metadata), can_read_now: AtomicBool::new(true) })
    }
}

#[async_trait]
impl MediaFile for LocalFile {
    fn version(&self) -> Version {
        self.version
    }

    fn try_read_now(&self, offset: u64, buffer: &mut [u8]) -> Result<bool, Error> {
        if !self.can_read_now.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let wanted = buffer.len();
        // RWF_NOWAIT: what is in the page cache, and not a byte that must be waited for.
        match preadv2(&self.file, &mut [IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT) {
            Ok(read) => Ok(read == wanted),
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                self.can_read_now.store(false, Ordering::Relaxed);
                Ok(false)
            }
            Err(error) => Err(unavailable(&self.path, &error.into())),
        }
    }

    async fn read(&self, offset: u64, mut buffer: Vec<u8>) -> Result<Vec<u8>, Error> {
        let (file, path) = (Arc::clone(&self.file), self.path.clone());
        in_background(move || match file.read_exact_at(&mut buffer, offset) {
            Ok(()) => Ok(buffer),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(Error::ShortRead { location: location(&path) })
            }
            Err(error) => Err(unavailable(&path, &error)),
        })
        .await
    }
}

/// Device, inode and both change times: a file that is replaced or written to is another version. The inode's own
/// change time cannot be set back by whoever merely may write the file.
pub(super) fn version(metadata: &Metadata) -> Version {
    let nanos = |seconds: i64, nanos: i64| seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos).cast_unsigned();
    Version {
        len: metadata.len(),
        stamp: [
            metadata.dev(),
            metadata.ino(),
            nanos(metadata.mtime(), metadata.mtime_nsec()),
            nanos(metadata.ctime(), metadata.ctime_nsec()),
        ],
    }
}
