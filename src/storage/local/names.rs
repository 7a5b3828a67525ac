//! What a name stands for now.
//!
//! A `stat` waits for a disk when the system does not remember the name, and for somebody else's computer on a network
//! file system. The system can be asked for what it remembers alone; only a file system that nobody else writes to
//! makes that the truth.

use std::{
    io,
    os::fd::OwnedFd,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxFlags, openat2, statfs, statx};
use rustix::io::Errno;

use super::reader;
use crate::media::Version;

/// What the system remembers of names on one file system.
#[derive(Debug)]
pub(super) struct Names {
    /// The device of the store's root.
    device: u64,
    /// Whether what the system remembers of that device is the truth, and whether it can be asked for that alone.
    is_known: AtomicBool,
}

impl Names {
    /// Those on the file system of `root`, whose device that is.
    pub(super) fn new(root: &Path, device: u64) -> io::Result<Self> {
        let kind = u64::try_from(statfs(root)?.f_type).unwrap_or_default();
        Ok(Self { device, is_known: AtomicBool::new(LOCAL.contains(&kind)) })
    }

    /// The version of the file of that name, if the system knows it without a wait. Whatever else there is to say,
    /// whoever may wait says.
    pub(super) fn version_now(&self, path: &Path) -> Option<Version> {
        if !self.is_known.load(Ordering::Relaxed) {
            return None;
        }
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let file: OwnedFd = match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED) {
            Ok(file) => file,
            // Older than Linux 5.12, or forbidden.
            Err(Errno::NOSYS | Errno::INVAL | Errno::PERM) => {
                self.is_known.store(false, Ordering::Relaxed);
                return None;
            }
            Err(_) => return None,
        };
        let wanted = StatxFlags::TYPE | StatxFlags::SIZE | StatxFlags::INO | StatxFlags::MTIME | StatxFlags::CTIME;
        let found = statx(&file, c"", AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC, wanted).ok()?;
        let is_file = FileType::from_raw_mode(found.stx_mode.into()) == FileType::RegularFile;
        // Another file system may be mounted within the folder.
        Some(reader::version_of(&found)).filter(|version| is_file && version.stamp[0] == self.device)
    }
}

/// File systems that only this machine writes to, by the numbers of statfs(2): ext2 to ext4, XFS, Btrfs, tmpfs, F2FS,
/// ZFS, bcachefs, and overlayfs, whose parts are to be left alone.
const LOCAL: [u64; 8] =
    [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0xF2F5_2010, 0x2FC1_2FC1, 0xCA45_1A4E, 0x794C_7630];
