//! Files that take another one's place, heads that are written over, and the lock that keeps those who do so apart.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

use super::{location, reader, sync_parent, unavailable, writer};
use crate::media::{Error, MaintenanceGuard, Version};

/// The file in the root whose lock is held.
pub(super) const LOCK_NAME: &str = ".lock";

/// Takes the lock, and waits for nobody.
pub(super) fn lock(root: &Path) -> Result<MaintenanceGuard, Error> {
    let path = root.join(LOCK_NAME);
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(|error| unavailable(&path, &error))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Box::new(file)),
        Err(Errno::WOULDBLOCK) => Err(Error::Busy { location: location(root) }),
        Err(error) => Err(unavailable(&path, &error.into())),
    }
}

/// Renames over another file, durably.
pub(super) fn replace(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).and_then(|()| sync_parent(to)).map_err(|error| unavailable(to, &error))
}

/// Renames, never over another file, durably.
pub(super) fn place(from: &Path, to: &Path) -> Result<(), Error> {
    writer::rename_to_free_name(from, to)?;
    sync_parent(to).map_err(|error| unavailable(to, &error))
}

/// Removes that version of a file; how many other names its bytes have.
pub(super) fn remove_version(path: &Path, version: Version) -> Result<u64, Error> {
    let failed = |error| unavailable(path, &error);
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        found => found.map_err(failed)?,
    };
    if !metadata.is_file() || reader::version(&metadata) != version {
        return Err(Error::Changed { location: location(path) });
    }
    fs::remove_file(path).and_then(|()| sync_parent(path)).map_err(failed)?;
    Ok(metadata.nlink().saturating_sub(1))
}

/// Writes over the first bytes of that version of a file.
pub(super) fn rewrite_head(path: &Path, version: Version, head: &[u8]) -> Result<(), Error> {
    let failed = |error| unavailable(path, &error);
    // A pipe in a file's place would be waited for, for ever.
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
    let file = File::from(file);
    let found = reader::version(&file.metadata().map_err(failed)?);
    if found != version {
        return Err(Error::Changed { location: location(path) });
    }
    file.write_all_at(head, 0).and_then(|()| file.sync_data()).map_err(failed)
}
