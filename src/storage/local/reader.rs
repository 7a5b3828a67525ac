//! One version of a file, open for reading: a descriptor that stays what it was.

use std::{
    fs::{File, Metadata},
    io::{self, IoSliceMut},
    num::NonZeroU64,
    ops::Range,
    os::unix::fs::{FileExt, MetadataExt},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use rustix::fs::{Advice, Statx, StatxTimestamp, fadvise, makedev};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use tokio::sync::Semaphore;

use super::{LocalStore, folder_number, in_background, lanes::Lanes, location, names::Names, unavailable};
use crate::media::{Error, MediaFile, MediaObject, Version};
use crate::storage::ahead::Ahead;

/// What is to be read ahead is asked for in pieces: the system cuts what is longer than it would read ahead itself.
const AHEAD_PIECE_LEN: NonZeroU64 = NonZeroU64::MIN.saturating_add((128 << 10) - 1);

pub(super) struct LocalFile {
    /// Always there, until it is closed elsewhere.
    file: Option<Arc<File>>,
    object: MediaObject,
    path: PathBuf,
    version: Version,
    /// Cleared when the file system cannot say whether a read would wait.
    can_read_now: AtomicBool,
    names: Arc<Names>,
    lanes: Arc<Lanes>,
    /// The line of its own readers.
    line: Arc<Semaphore>,
    folder: u8,
    ahead: Arc<Ahead>,
}

impl LocalFile {
    /// The file of `object`, at `path`.
    pub(super) fn new(file: File, object: MediaObject, path: PathBuf, store: &LocalStore) -> Result<Self, Error> {
        let metadata = file.metadata().map_err(|error| unavailable(&path, &error))?;
        if !metadata.is_file() {
            let reason = "it is not a file".into();
            return Err(Error::Unavailable { location: location(&path), reason });
        }
        let version = version(&metadata);
        store.names.opened(&object, &path, &version);
        Ok(Self {
            file: Some(Arc::new(file)),
            folder: folder_number(&object.id),
            object,
            path,
            version,
            can_read_now: AtomicBool::new(true),
            names: Arc::clone(&store.names),
            lanes: Arc::clone(&store.lanes),
            line: Lanes::of_file(),
            ahead: Arc::default(),
        })
    }

    fn file(&self) -> Result<&Arc<File>, Error> {
        self.file.as_ref().ok_or_else(|| unavailable(&self.path, &io::ErrorKind::NotFound.into()))
    }
}

impl Drop for LocalFile {
    fn drop(&mut self) {
        self.names.closed(&self.object, &self.version);
        // Closing tells a network file system, and frees the blocks of a file that is gone: both are waited for.
        self.lanes.let_go(self.folder, self.file.take());
    }
}

#[async_trait]
impl MediaFile for LocalFile {
    fn version(&self) -> Version {
        self.version
    }

    async fn len_now(&self) -> Result<u64, Error> {
        let (file, path) = (Arc::clone(self.file()?), self.path.clone());
        let look = move || Ok(file.metadata().map_err(|error| unavailable(&path, &error))?.len());
        // Of a file that is open, a file system of this machine knows its length; another one asks elsewhere.
        if self.names.know(&self.version) { look() } else { self.lanes.look(self.folder, look).await }
    }

    fn try_read_now(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Error> {
        if !self.can_read_now.load(Ordering::Relaxed) {
            return Ok(0);
        }
        // RWF_NOWAIT: what is in the page cache, and not a byte that must be waited for.
        match preadv2(self.file()?, &mut [IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT) {
            Ok(read) => Ok(read),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                self.can_read_now.store(false, Ordering::Relaxed);
                Ok(0)
            }
            Err(error) => Err(unavailable(&self.path, &error.into())),
        }
    }

    async fn read(&self, offset: u64, buffer: Vec<u8>, filled: usize) -> Result<Vec<u8>, Error> {
        let (file, path) = (Arc::clone(self.file()?), self.path.clone());
        let (turn, mut buffer, filled) = match self.lanes.try_read(&self.line) {
            Some(turn) => (Some(turn), buffer, filled),
            None => {
                // A long line must not be a lot of memory.
                let len = buffer.len();
                drop(buffer);
                (self.lanes.read(&self.line).await, vec![0; len], 0)
            }
        };
        let ahead = (!self.can_read_now.load(Ordering::Relaxed)).then(|| Arc::clone(&self.ahead));
        in_background(move || {
            let _held = turn;
            let rest = buffer.get_mut(filled..).unwrap_or_default();
            match file.read_exact_at(rest, offset + filled as u64) {
                Ok(()) => {
                    if let Some(ahead) = ahead {
                        read_ahead(&file, &ahead.next(&(offset..offset + buffer.len() as u64)));
                    }
                    Ok(buffer)
                }
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Err(Error::ShortRead { location: location(&path) })
                }
                Err(error) => Err(unavailable(&path, &error)),
            }
        })
        .await
    }

    async fn read_once(&self, offset: u64, mut buffer: Vec<u8>) -> Result<Vec<u8>, Error> {
        let (file, path) = (Arc::clone(self.file()?), self.path.clone());
        let turn = self.lanes.read(&self.line).await;
        in_background(move || {
            let _held = turn;
            match read_once(&file, offset, &mut buffer) {
                Ok(()) => Ok(buffer),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Err(Error::ShortRead { location: location(&path) })
                }
                Err(error) => Err(unavailable(&path, &error)),
            }
        })
        .await
    }
}

/// Asks the system for what will be read next. It does so by itself where it can be asked for what it has in memory alone;
/// on network file systems only for one reader of a descriptor, and for less than a frame.
fn read_ahead(file: &File, wanted: &Range<u64>) {
    for start in (wanted.start..wanted.end).step_by(128 << 10) {
        // Without it the player waits a little longer.
        let _only_slower = fadvise(file, start, Some(AHEAD_PIECE_LEN), Advice::WillNeed);
    }
}

/// Reads without leaving a trace in memory: of what the system holds for others, a copy; the rest, and nothing beyond it,
/// from the disk, and then the system need not hold it.
fn read_once(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    // Before the first look: on newer systems that begins to read ahead. Without this others have less memory; what is read
    // is the same.
    let _only_slower = fadvise(file, 0, None, Advice::Random);
    // An error says that nothing is held, or that it cannot be told.
    let held = preadv2(file, &mut [IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT).unwrap_or_default();
    let rest = buffer.get_mut(held..).unwrap_or_default();
    let Some(len) = NonZeroU64::new(rest.len() as u64) else { return Ok(()) };
    let start = offset + held as u64;
    file.read_exact_at(rest, start)?;
    let _only_slower = fadvise(file, start, Some(len), Advice::DontNeed);
    Ok(())
}

/// Device, inode and both change times: a file that is replaced or written to is another version. The inode's own
/// change time cannot be set back by whoever merely may write the file.
pub(super) fn version(metadata: &Metadata) -> Version {
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

/// The same, where the system was asked otherwise.
pub(super) fn version_of(found: &Statx) -> Version {
    let time = |time: &StatxTimestamp| nanos(time.tv_sec, time.tv_nsec.into());
    Version {
        len: found.stx_size,
        stamp: [
            makedev(found.stx_dev_major, found.stx_dev_minor),
            found.stx_ino,
            time(&found.stx_mtime),
            time(&found.stx_ctime),
        ],
    }
}

fn nanos(seconds: i64, nanos: i64) -> u64 {
    seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos).cast_unsigned()
}
