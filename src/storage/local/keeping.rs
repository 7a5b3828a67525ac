//! Damaged files that are kept when a mended one takes their place: `ID.sealed.damaged-SEALID`, beside it.
//!
//! A second name of the same file, given before the first one passes to another: there is no moment without either, and
//! not a byte is copied where the file system has hard links.

use std::{
    fs::{self, File},
    io::{self, Read},
    ops::Range,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, Mode, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::super::object_name;
use super::{listing, location, sync_parent, unavailable};
use crate::base::{RecordingId, SealId};
use crate::media::{Error, MediaObject};

/// Under which name the file of that path and sealing is kept.
pub(super) fn path(path: &Path, seal_id: &SealId) -> PathBuf {
    // Names of objects are ASCII.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(object_name::kept(&name, seal_id))
}

/// Of which object and sealing a file of that name is kept.
pub(super) fn kept(name: &str) -> Option<(MediaObject, SealId)> {
    let before = object_name::before_kept(name)?;
    let seal_id = name.rsplit_once(object_name::KEPT_MARK)?.1.parse().ok()?;
    Some((listing::object(before)?, seal_id))
}

/// Keeps a file under another name as well.
pub(super) fn keep(from: &Path, to: &Path) -> Result<(), Error> {
    match fs::hard_link(from, to) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if !is_same(from, to).map_err(|error| unavailable(to, &error))? {
                return Err(Error::Exists { location: location(to), being_written: false });
            }
        }
        // Not every file system has hard links, nor lets everybody make them.
        Err(error) if is_refusal(&error) => copy(from, to)?,
        Err(error) => return Err(unavailable(from, &error)),
    }
    sync_parent(to).map_err(|error| unavailable(to, &error))
}

/// Removes all that is kept of a recording in its folder, once zeros lie over a part of each.
pub(super) fn remove(folder: &Path, id: &RecordingId, blank: &Range<usize>) -> Result<(), Error> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| unavailable(folder, &error))?,
    };
    for entry in entries {
        let path = entry.map_err(|error| unavailable(folder, &error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_kept = object_name::before_kept(&name).and_then(listing::object).is_some_and(|object| object.id == *id);
        if is_kept {
            let removed = blank_out(&path, blank).and_then(|()| fs::remove_file(&path));
            removed.and_then(|()| sync_parent(&path)).map_err(|error| unavailable(&path, &error))?;
        }
    }
    Ok(())
}

fn blank_out(path: &Path, blank: &Range<usize>) -> io::Result<()> {
    // Neither through a link nor waiting for a pipe.
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if file.metadata()?.len() >= blank.end as u64 {
        file.write_all_at(&vec![0; blank.len()], blank.start as u64)?;
        file.sync_data()?;
    }
    Ok(())
}

fn is_refusal(error: &io::Error) -> bool {
    let refusals = [Errno::PERM, Errno::OPNOTSUPP, Errno::NOSYS, Errno::MLINK, Errno::INVAL];
    error.raw_os_error().is_some_and(|number| refusals.iter().any(|refusal| refusal.raw_os_error() == number))
}

/// A copy is whole before it has the name.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let mut growing = to.as_os_str().to_owned();
    growing.push(".part");
    let growing = PathBuf::from(growing);
    let copied = fs::copy(from, &growing).and_then(|_| File::open(&growing)?.sync_all());
    copied.map_err(|error| unavailable(&growing, &error))?;
    let renamed = match renameat_with(CWD, &growing, CWD, to, RenameFlags::NOREPLACE) {
        // Such a file system has no name that is taken exclusively; one that is taken was seen above.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if !to.exists() => fs::rename(&growing, to),
        other => other.map_err(io::Error::from),
    };
    renamed.map_err(|error| unavailable(to, &error))
}

/// Whether two names are of one file, or of two that hold the same.
fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (left, right) = (one.metadata()?, other.metadata()?);
    if (left.dev(), left.ino()) == (right.dev(), right.ino()) {
        return Ok(true);
    }
    if left.len() != right.len() {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; PIECE_LEN], vec![0; PIECE_LEN]);
    loop {
        let len = one.read(&mut left)?;
        other.read_exact(right.get_mut(..len).unwrap_or_default())?;
        if left.get(..len) != right.get(..len) {
            return Ok(false);
        }
        if len == 0 {
            return Ok(true);
        }
    }
}

/// How much is compared at a time.
const PIECE_LEN: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_kept_once_and_nothing_else_takes_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).expect("written");
            path
        };
        let (from, seal_id) = (file("a.sealed", b"damaged"), SealId([0xab; 16]));
        let to = path(&from, &seal_id);
        for _ in 0..2 {
            keep(&from, &to).expect("kept, and again");
        }
        fs::rename(file("new", b"mended!"), &from).expect("replaced");
        assert_eq!(fs::read(&to).expect("read"), b"damaged");
        assert!(matches!(keep(&from, &to), Err(Error::Exists { .. })), "of the same length, and something else");
        let copied = folder.path().join("copied");
        copy(&from, &copied).expect("copied");
        assert!(copy(&from, &copied).is_err(), "never over another");
        assert!(is_same(&from, &copied).expect("compares"));
    }
}
