//! A file that is read again when it changes.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::private_file::Error;

/// What a file holds now: it is looked at each time it is asked for, which costs a stat of a path that was just used.
/// One that cannot be read any more, and is still there, leaves in force what was read before; one that is gone holds
/// nothing.
pub(super) struct Watched<T> {
    path: PathBuf,
    read: fn(&Path) -> Result<T, Error>,
    state: Mutex<State<T>>,
}

struct State<T> {
    stamp: Option<Stamp>,
    value: Option<Arc<T>>,
}

/// What changes when a file does: device, inode, length, and times of content and status to the nanosecond.
type Stamp = (u64, u64, u64, i64, i64, i64, i64);

impl<T> Watched<T> {
    /// Reads the file, if it is there.
    ///
    /// # Errors
    ///
    /// It is there and cannot be used, or whether it is there cannot be told.
    pub fn new(path: PathBuf, read: fn(&Path) -> Result<T, Error>) -> Result<Self, Error> {
        let stamp = stamp(&path).map_err(|error| Error::io(&path, &error))?;
        let value = match stamp {
            Some(_) => Some(Arc::new(read(&path)?)),
            None => None,
        };
        Ok(Self { path, read, state: Mutex::new(State { stamp, value }) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it holds.
    pub fn value(&self) -> Option<Arc<T>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.look(&mut state);
        state.value.clone()
    }

    fn look(&self, state: &mut State<T>) {
        // What cannot be looked at now is not gone.
        let Ok(stamp) = stamp(&self.path) else { return };
        if stamp == state.stamp {
            return;
        }
        state.stamp = stamp;
        if stamp.is_none() {
            tracing::warn!(path = %self.path.display(), "the file is gone, and what it held does not count any more");
            state.value = None;
            return;
        }
        match (self.read)(&self.path) {
            Ok(value) => state.value = Some(Arc::new(value)),
            Err(error) => {
                tracing::error!(%error, "the file changed and cannot be used; what it held before stays in force")
            }
        }
    }
}

/// None when there is no such file.
fn stamp(path: &Path) -> io::Result<Option<Stamp>> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let times = (metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec());
    Ok(Some((metadata.dev(), metadata.ino(), metadata.len(), times.0, times.1, times.2, times.3)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_change_is_seen_a_bad_one_is_not_taken_and_a_missing_file_holds_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("number");
        let read = |path: &Path| -> Result<u32, Error> {
            let text = fs::read_to_string(path).map_err(|error| Error::content(path, error))?;
            text.parse().map_err(|error| Error::content(path, error))
        };
        let watched = Watched::new(path.clone(), read).expect("may be missing");
        assert_eq!(watched.value().as_deref(), None);
        fs::write(&path, "1").expect("written");
        assert_eq!(watched.value().as_deref(), Some(&1));
        fs::write(&path, "no number").expect("written");
        assert_eq!(watched.value().as_deref(), Some(&1));
        fs::write(&path, "23").expect("written");
        assert_eq!(watched.value().as_deref(), Some(&23));
        // A link that leads to itself: what cannot be looked at is not gone.
        fs::remove_file(&path).expect("removed");
        symlink(&path, &path).expect("linked");
        assert_eq!(watched.value().as_deref(), Some(&23));
        assert!(Watched::new(path.clone(), read).is_err(), "nor missing, at the start");
        fs::remove_file(&path).expect("removed");
        assert_eq!(watched.value().as_deref(), None);
        fs::write(&path, "x").expect("written");
        assert!(Watched::new(path, read).is_err(), "at the start a bad file is told");
    }
}
