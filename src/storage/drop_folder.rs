//! A folder into which recorders drop files: what lies there, read and removed only as it was seen.
//!
//! Looked at again and again, for folders on a network tell nobody of a change. A link is not followed, whatever it
//! leads to; hidden and temporary names, and folders, are passed over. Knows nothing of recordings.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags};

use crate::base::Pattern;

/// Names that end so are of files that somebody still writes.
const TEMPORARY: [&str; 2] = [".part", ".tmp"];

/// A folder, and which of its files are meant.
#[derive(Clone, Debug)]
pub struct DropFolder {
    path: PathBuf,
    pattern: Pattern,
}

/// A file as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Its name.
    pub name: OsString,
    /// What tells whether it has changed.
    pub stamp: Stamp,
}

/// Device and inode, length, and when it was written to last: seconds and nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(u64, u64, u64, i64, i64);

/// A file, open; an error at its end where it has changed since it was seen.
#[derive(Debug)]
pub struct DroppedFile {
    file: File,
    stamp: Stamp,
}

impl DropFolder {
    /// Files in `path` whose name matches.
    #[must_use]
    pub fn new(path: &Path, pattern: Pattern) -> Self {
        Self { path: path.to_owned(), pattern }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What lies there now, by name.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub fn look(&self) -> io::Result<Vec<Dropped>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            // One that is gone meanwhile was taken by somebody else.
            if let (true, Ok(metadata)) = (self.is_meant(&name.to_string_lossy()), fs::symlink_metadata(entry.path()))
                && metadata.is_file()
            {
                found.push(Dropped { name, stamp: stamp(&metadata) });
            }
        }
        found.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    /// Opens a file; none when it is another one than was seen, or has changed.
    ///
    /// # Errors
    ///
    /// It cannot be opened.
    pub fn open(&self, dropped: &Dropped) -> io::Result<Option<DroppedFile>> {
        // A pipe in a file's place would be waited for, for ever.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::open(self.path.join(&dropped.name), flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(error) if error == rustix::io::Errno::NOENT || error == rustix::io::Errno::LOOP => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let is_same = stamp(&file.metadata()?) == dropped.stamp;
        Ok(is_same.then_some(DroppedFile { file, stamp: dropped.stamp }))
    }

    /// Removes a file durably, unless it is another one than was seen, or has changed: whether it is gone.
    ///
    /// # Errors
    ///
    /// It cannot be removed.
    pub fn remove(&self, dropped: &Dropped) -> io::Result<bool> {
        let path = self.path.join(&dropped.name);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if stamp(&metadata) != dropped.stamp => return Ok(false),
            Ok(_) => fs::remove_file(&path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(error),
        }
        File::open(&self.path)?.sync_all()?;
        Ok(true)
    }

    fn is_meant(&self, name: &str) -> bool {
        !name.starts_with('.') && !TEMPORARY.iter().any(|end| name.ends_with(end)) && self.pattern.matches(name)
    }
}

impl Read for DroppedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        if read == 0 && stamp(&self.file.metadata()?) != self.stamp {
            return Err(io::Error::other("it was written to while it was read"));
        }
        Ok(read)
    }
}

fn stamp(metadata: &Metadata) -> Stamp {
    Stamp(metadata.dev(), metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(folder: &DropFolder) -> Vec<String> {
        folder.look().expect("read").iter().map(|seen| seen.name.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn files_are_seen_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for name in ["b.wav", "a.wav", ".hidden.wav", "c.wav.part", "d.wav.tmp", "e.mp3"] {
            fs::write(path(name), name).expect("written");
        }
        fs::create_dir(path("folder.wav")).expect("made");
        symlink(path("a.wav"), path("link.wav")).expect("made");
        rustix::fs::mknodat(rustix::fs::CWD, path("pipe.wav"), rustix::fs::FileType::Fifo, Mode::RUSR, 0)
            .expect("made");
        let watched = |pattern: &str| DropFolder::new(folder.path(), pattern.parse().expect("a pattern"));
        assert_eq!(names(&watched("*.wav")), ["a.wav", "b.wav"]);
        assert_eq!(names(&watched("*")), ["a.wav", "b.wav", "e.mp3"]);
        assert!(DropFolder::new(&path("none"), "*".parse().expect("a pattern")).look().is_err());
    }

    #[test]
    fn what_has_changed_is_not_read_to_its_end_nor_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.wav");
        let watched = DropFolder::new(folder.path(), "*".parse().expect("a pattern"));
        let seen = || watched.look().expect("read").pop().expect("one");
        fs::write(&path, "first").expect("written");
        let first = seen();
        let mut open = watched.open(&first).expect("opens").expect("as it was seen");
        fs::write(&path, "longer now").expect("written");
        assert!(open.read_to_end(&mut Vec::new()).is_err());
        assert!(watched.open(&first).expect("looked at").is_none());
        assert!(!watched.remove(&first).expect("looked at") && path.exists());
        fs::remove_file(&path).expect("removed");
        symlink("/etc/hostname", &path).expect("made");
        assert!(watched.open(&first).expect("looked at").is_none(), "a link is not followed");
        fs::remove_file(&path).expect("removed");
        fs::write(&path, "last").expect("written");
        let mut content = String::new();
        let last = seen();
        watched.open(&last).expect("opens").expect("as it was seen").read_to_string(&mut content).expect("read");
        assert_eq!(content, "last");
        assert!(watched.remove(&last).expect("removed") && !path.exists());
        assert!(watched.remove(&last).expect("gone already"));
    }
}
