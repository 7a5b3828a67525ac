//! What a name stands for now.
//!
//! A `stat` waits for a disk when the system does not remember the name, and for somebody else's computer on a network
//! file system. On a file system that nobody else writes to, what the system remembers is the truth, and it remembers
//! the names of files that are open, and of all folders above them. Of any other name it can be asked for what it
//! remembers alone, which takes twice as long.

use std::{
    collections::HashMap,
    ffi::{CStr, CString},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxFlags, openat2, statfs, statx};
use rustix::{io::Errno, path::Arg};

use super::reader;
use crate::media::{MediaObject, Version};

/// What the system remembers of names on one file system.
#[derive(Debug)]
pub(super) struct Names {
    /// The device of the store's root.
    device: u64,
    /// Whether what the system remembers of that device is the truth.
    is_known: bool,
    /// Whether it can be asked for that alone.
    can_ask: AtomicBool,
    /// Objects whose files are open, on that device.
    open: RwLock<HashMap<MediaObject, Open>>,
}

/// An object whose file is open.
#[derive(Debug)]
struct Open {
    /// Kept, because whoever plays it asks for it again and again, and to make it takes a digest.
    path: Arc<CStr>,
    /// How often it is open.
    times: usize,
}

impl Names {
    /// Those on the file system of `root`, whose device that is.
    pub(super) fn new(root: &Path, device: u64) -> io::Result<Self> {
        let kind = u64::try_from(statfs(root)?.f_type).unwrap_or_default();
        let is_known = LOCAL.contains(&kind);
        Ok(Self { device, is_known, can_ask: AtomicBool::new(true), open: RwLock::default() })
    }

    /// The file of that object, which lies at `path`, is open from now on.
    pub(super) fn opened(&self, object: &MediaObject, path: &Path, version: &Version) {
        // The system has opened it by that path, so there is no zero in it.
        let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return };
        if version.stamp[0] == self.device {
            let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
            open.entry(object.clone()).or_insert_with(|| Open { path: path.into(), times: 0 }).times += 1;
        }
    }

    /// It is about to be closed.
    pub(super) fn closed(&self, object: &MediaObject, version: &Version) {
        if version.stamp[0] != self.device {
            return;
        }
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get_mut(object) {
            file.times -= 1;
            if file.times == 0 {
                open.remove(object);
            }
        }
    }

    /// Whether what the system remembers of a file of that version is the truth.
    pub(super) fn know(&self, version: &Version) -> bool {
        self.is_known && version.stamp[0] == self.device
    }

    /// The version of the file of that object, which lies at `path`, if the system knows it without a wait. Whatever
    /// else there is to say, whoever may wait says.
    pub(super) fn version_now(&self, object: &MediaObject, path: impl FnOnce() -> Option<PathBuf>) -> Option<Version> {
        if !self.is_known {
            return None;
        }
        let known = match self.path_of_open(object) {
            // Not what a link points to, should one have taken the name: that may lie anywhere.
            Some(path) => look(CWD, &*path, AtFlags::SYMLINK_NOFOLLOW),
            None => self.remembered(&path()?),
        };
        // Another file system may be mounted within the folder.
        known.filter(|version| version.stamp[0] == self.device)
    }

    fn path_of_open(&self, object: &MediaObject) -> Option<Arc<CStr>> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.get(object).map(|file| Arc::clone(&file.path))
    }

    fn remembered(&self, path: &Path) -> Option<Version> {
        if !self.can_ask.load(Ordering::Relaxed) {
            return None;
        }
        // What a link points to may lie anywhere: whoever may wait looks there.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file: OwnedFd = match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED) {
            Ok(file) => file,
            // Older than Linux 5.12, or forbidden.
            Err(Errno::NOSYS | Errno::INVAL | Errno::PERM) => {
                self.can_ask.store(false, Ordering::Relaxed);
                return None;
            }
            Err(_) => return None,
        };
        look(file.as_fd(), c"", AtFlags::EMPTY_PATH)
    }
}

/// The version of a file, as the system knows it now.
fn look(folder: BorrowedFd<'_>, path: impl Arg, flags: AtFlags) -> Option<Version> {
    let wanted = StatxFlags::TYPE | StatxFlags::SIZE | StatxFlags::INO | StatxFlags::MTIME | StatxFlags::CTIME;
    let found = statx(folder, path, flags | AtFlags::STATX_DONT_SYNC, wanted).ok()?;
    let is_file = FileType::from_raw_mode(found.stx_mode.into()) == FileType::RegularFile;
    is_file.then(|| reader::version_of(&found))
}

/// File systems that only this machine writes to, by the numbers of statfs(2): ext2 to ext4, XFS, Btrfs, tmpfs, F2FS,
/// ZFS, bcachefs, and overlayfs, whose parts are to be left alone.
const LOCAL: [u64; 8] =
    [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0xF2F5_2010, 0x2FC1_2FC1, 0xCA45_1A4E, 0x794C_7630];
