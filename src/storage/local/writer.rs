//! A file that grows under its `….part` name and takes its final name when its last byte is durable.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, RenameFlags, flock, renameat_with};
use rustix::io::Errno;
use tokio::task::{JoinHandle, spawn_blocking};

use super::{Waits, location, sync_parent, unavailable};
use crate::base::Ended;
use crate::media::{Error, MediaWriter};

pub(super) struct LocalWriter {
    /// Locked for as long as it is open, so that others can tell a live writer from a dead one's file.
    file: Arc<File>,
    part: Arc<PathBuf>,
    /// The name that it takes in the end; none for a replacement, which takes another file's, and for one whose end is
    /// missing.
    last: Option<PathBuf>,
    is_name_durable: bool,
    waits: Waits,
    /// Bytes that nobody has asked the disk to take yet.
    held_back_len: usize,
    /// The disk takes what came before, while more comes.
    taking: Option<JoinHandle<io::Result<()>>>,
    /// What it could not take. The system tells once; whoever gave up waiting then must not hide it from the next.
    failure: Option<Error>,
}

/// How much may gather in memory before the disk is asked to take it: its work and the making of what comes next go on
/// side by side then, instead of one after the other at the end.
const HELD_BACK_LEN_MAX: usize = 16 << 20;

impl LocalWriter {
    /// Begins a file in a folder that is there.
    pub(super) fn create(part: PathBuf, last: PathBuf, waits: Waits) -> Result<Self, Error> {
        if last.exists() {
            return Err(Error::Exists { location: location(&last), being_written: false });
        }
        Self::create_at(part, Some(last), waits)
    }

    /// Begins a file that stays under its growing name: a copy of one whose end is missing.
    pub(super) fn create_part(part: PathBuf, waits: Waits) -> Result<Self, Error> {
        Self::create_at(part, None, waits)
    }

    fn create_at(part: PathBuf, last: Option<PathBuf>, waits: Waits) -> Result<Self, Error> {
        let failed = |error: io::Error| unavailable(&part, &error);
        loop {
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part) {
                Ok(file) => {
                    flock(&file, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
                    // Before it was locked it looked like one that a killed writer left.
                    if is_at(&file, &part).map_err(failed)? {
                        return Ok(Self::new(file, part, last, waits));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if !remove_if_left_empty(&part)? {
                        let being_written = is_being_written(&part)?;
                        return Err(Error::Exists { location: location(&part), being_written });
                    }
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Begins a file that is to take another one's place, under a name that no reader looks at.
    pub(super) fn create_replacement(path: PathBuf, waits: Waits) -> Result<Self, Error> {
        let file = match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path),
        };
        let file = file.map_err(|error| unavailable(&path, &error))?;
        Ok(Self::new(file, path, None, waits))
    }

    fn new(file: File, part: PathBuf, last: Option<PathBuf>, waits: Waits) -> Self {
        let (file, part) = (Arc::new(file), Arc::new(part));
        Self { file, part, last, is_name_durable: false, waits, held_back_len: 0, taking: None, failure: None }
    }

    /// Has the disk take what there is, if there is much of it and the disk is not at it already.
    async fn let_disk_take(&mut self, len: usize) -> Result<(), Error> {
        self.held_back_len += len;
        if self.held_back_len >= HELD_BACK_LEN_MAX && self.taking.as_ref().is_none_or(JoinHandle::is_finished) {
            self.taken().await?;
            self.have_disk_take();
        }
        Ok(())
    }

    fn have_disk_take(&mut self) {
        let file = Arc::clone(&self.file);
        self.taking = Some(spawn_blocking(move || file.sync_data()));
        self.held_back_len = 0;
    }

    /// Waits for the disk to have taken what it was asked to. The system tells of a failed write once only, so that its
    /// answer counts as much as that of the sync at the end.
    async fn taken(&mut self) -> Result<(), Error> {
        if let Some(taking) = &mut self.taking {
            let taken = taking.await.unwrap_or_else(|_| Err(io::Error::other(Ended)));
            self.taking = None;
            self.note(taken);
        }
        self.failure.clone().map_or(Ok(()), Err)
    }

    fn note(&mut self, taken: io::Result<()>) {
        if let Err(error) = taken {
            self.failure.get_or_insert_with(|| unavailable(&self.part, &error));
        }
    }

    async fn sync_with(&mut self, name_too: bool) -> Result<(), Error> {
        self.taken().await?;
        match self.waits {
            Waits::Here => {
                let taken = self.file.sync_data();
                self.held_back_len = 0;
                self.note(taken);
            }
            Waits::Elsewhere => self.have_disk_take(),
        }
        self.taken().await?;
        if name_too && !self.is_name_durable {
            let part = Arc::clone(&self.part);
            self.waits.run(move || sync_parent(&part).map_err(|error| unavailable(&part, &error))).await?;
            self.is_name_durable = true;
        }
        Ok(())
    }
}

#[async_trait]
impl MediaWriter for LocalWriter {
    async fn append(&mut self, mut bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
        let (file, part, len) = (Arc::clone(&self.file), Arc::clone(&self.part), bytes.len());
        let write = move || {
            (&*file).write_all(&bytes).map_err(|error| unavailable(&part, &error))?;
            bytes.clear();
            Ok(bytes)
        };
        let emptied = self.waits.run(write).await?;
        self.let_disk_take(len).await?;
        Ok(emptied)
    }

    async fn sync(&mut self) -> Result<(), Error> {
        self.sync_with(true).await
    }

    async fn sync_content(&mut self) -> Result<(), Error> {
        self.sync_with(false).await
    }

    async fn begin_sync(&mut self) -> Result<bool, Error> {
        if self.taking.as_ref().is_some_and(|taking| !taking.is_finished()) {
            return Ok(false);
        }
        self.taken().await?;
        self.have_disk_take();
        Ok(true)
    }

    async fn finish(mut self: Box<Self>) -> Result<(), Error> {
        self.taken().await?;
        let waits = self.waits;
        let work = move || {
            let Self { file, part, last, .. } = *self;
            file.sync_all().map_err(|error| unavailable(&part, &error))?;
            let Some(last) = last else {
                return sync_parent(&part).map_err(|error| unavailable(&part, &error));
            };
            // Another file of that name would take the last name in this one's place.
            if !is_at(&file, &part).map_err(|error| unavailable(&part, &error))? {
                return Err(Error::Changed { location: location(&part) });
            }
            rename_to_free_name(&part, &last)?;
            sync_parent(&last).map_err(|error| {
                // A name that may not last is not one to rely on; the first error is the one that tells.
                let _best_effort = fs::rename(&last, &*part);
                unavailable(&last, &error)
            })
        };
        waits.run(work).await
    }
}

/// Whether some process holds the lock that a writer keeps on its file.
pub(super) fn is_being_written(part: &Path) -> Result<bool, Error> {
    // A pipe in a file's place would be waited for, for ever.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(part, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(false),
        Err(error) => return Err(unavailable(part, &error.into())),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(unavailable(part, &error.into())),
    }
}

/// Removes what a writer left that was killed between the making of its file and the first byte: nothing is lost with it,
/// and the name would be taken for ever. Locked meanwhile, so that a writer which is only about to lock it sees it gone.
fn remove_if_left_empty(part: &Path) -> Result<bool, Error> {
    let failed = |error: io::Error| unavailable(part, &error);
    // To be written to, as file systems on a network ask of whoever locks a file alone.
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(part, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(true),
        // Whatever it is, it stays: whether somebody writes it is asked next.
        Err(_) => return Ok(false),
    };
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(false);
    }
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() || metadata.len() > 0 || !is_at(&file, part).map_err(failed)? {
        return Ok(false);
    }
    fs::remove_file(part).map_err(failed)?;
    tracing::warn!(file = %location(part), "left empty by a writer that was killed, and removed");
    Ok(true)
}

/// Whether that name is still this file's.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let own = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Renames, and never over another file.
pub(super) fn rename_to_free_name(part: &Path, last: &Path) -> Result<(), Error> {
    let renamed = match renameat_with(CWD, part, CWD, last, RenameFlags::NOREPLACE) {
        // Not every file system has it; a hard link to a name that is taken fails everywhere.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            fs::hard_link(part, last).and_then(|()| fs::remove_file(part))
        }
        other => other.map_err(io::Error::from),
    };
    renamed.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists { location: location(last), being_written: false },
        _ => unavailable(last, &error),
    })
}
