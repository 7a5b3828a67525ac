//! The folder of the cache: whose it is, what lies there, and what is removed.
//!
//! One process owns it, by a lock on a file in it. Whoever does not may remove what is to be forgotten all the same: the
//! owner finds files gone as it would find blocks gone.

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::key::{Hash, SegmentKey, prefix};

/// Whose lock is held, and by which it is told that a folder is a cache's.
const LOCK_NAME: &str = ".sealtape-cache";
/// How many folders lie in it.
const FOLDERS: u16 = 256;

/// A folder that this process owns for as long as it holds this.
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

/// A file that was found.
pub(super) struct Found {
    pub key: SegmentKey,
    /// Bytes on disk.
    pub len_bytes: u64,
    /// When it was last written to or, as far as the system notes that, read; in seconds.
    pub used_at: i64,
}

impl Folder {
    /// Takes the folder, and makes it when it is missing; none when another process has it.
    pub(super) fn take(path: &Path) -> io::Result<Option<Self>> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        check(path)?;
        let mut options = OpenOptions::new();
        let lock = options.write(true).create(true).truncate(false).mode(0o600).open(path.join(LOCK_NAME))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        fs::set_permissions(path, Permissions::from_mode(0o700))?;
        for number in 0..FOLDERS {
            match DirBuilder::new().mode(0o700).create(path.join(format!("{number:02x}"))) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(Some(Self { path: path.to_owned(), _lock: lock }))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&self, key: &SegmentKey) -> PathBuf {
        self.path.join(key.folder()).join(key.to_string())
    }

    /// Bytes on disk of a file, if it is there.
    pub(super) fn len_bytes(&self, key: &SegmentKey) -> Option<u64> {
        fs::metadata(self.file(key)).ok().map(|metadata| len_bytes(&metadata))
    }

    pub(super) fn remove(&self, key: &SegmentKey) -> io::Result<()> {
        gone(fs::remove_file(self.file(key)))
    }

    /// The numbers of the folders in it, each of which is listed alone.
    pub(super) fn numbers() -> impl Iterator<Item = u16> {
        0..FOLDERS
    }

    /// What lies in one of them. What has no name of the cache's is left alone.
    pub(super) fn list(&self, number: u16) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.path.join(format!("{number:02x}")))? {
            let entry = entry?;
            let Some(key) = entry.file_name().to_str().and_then(SegmentKey::parse) else { continue };
            // One that is gone meanwhile was removed by somebody else.
            if let Ok(metadata) = entry.metadata()
                && metadata.is_file()
            {
                let used_at = metadata.mtime().max(metadata.atime());
                found.push(Found { key, len_bytes: len_bytes(&metadata), used_at });
            }
        }
        Ok(found)
    }
}

/// Whether a folder is a cache's, or may become one: it is missing, or empty.
pub(super) fn check(path: &Path) -> io::Result<()> {
    match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(_) if path.join(LOCK_NAME).exists() => Ok(()),
        Ok(mut entries) => match entries.next() {
            Some(_) => Err(io::Error::other("it holds something else")),
            None => Ok(()),
        },
    }
}

/// Removes all that lies in a cache's folder of a recording, whoever owns it.
pub(super) fn remove_recording(path: &Path, recording: Hash) -> io::Result<()> {
    let begin = prefix(recording);
    let folder = path.join(begin.get(..2).unwrap_or_default());
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(&begin)) {
            gone(fs::remove_file(entry.path()))?;
        }
    }
    Ok(())
}

/// What is sparse takes less than it is long.
fn len_bytes(metadata: &Metadata) -> u64 {
    512 * metadata.blocks()
}

/// What is gone already is no error.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
