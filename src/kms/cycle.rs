//! Exchanges the definition key in a file for another, in steps each of which can be the last: `PATH.next` is written,
//! database keys are wrapped by it (that is the database's step), then PATH becomes `PATH.obsolete` and `PATH.next`
//! becomes PATH. At no instant is there no PATH.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::{
    Error,
    file::{FileDefinitionKeys, generate_file, remove_left_over, sync_folder, with_suffix},
};
use crate::keys::{DefinitionKey, DefinitionKeyName, LocalDefinitionKey};

/// How long others are waited for, and how often is looked.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Held while keys are made or exchanged: two who do it at once do it one after the other.
pub struct CycleLock(#[expect(dead_code, reason = "closing it lets go of the lock")] File);

impl FileDefinitionKeys {
    /// `PATH.next`
    #[must_use]
    pub fn next_path(&self) -> PathBuf {
        with_suffix(&self.path, ".next")
    }

    /// `PATH.obsolete`
    #[must_use]
    pub fn obsolete_path(&self) -> PathBuf {
        with_suffix(&self.path, ".obsolete")
    }

    /// Waits for a while until nobody else makes or exchanges keys here.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`], [`Error::Io`].
    pub fn lock(&self) -> Result<CycleLock, Error> {
        let folder = folder_of(&self.path);
        let failed = |error: io::Error| Error::Io { path: folder.into(), error };
        let file = File::open(folder).map_err(failed)?;
        let deadline = Instant::now() + LOCK_TIMEOUT;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(CycleLock(file)),
                Err(Errno::WOULDBLOCK) if Instant::now() < deadline => std::thread::sleep(LOCK_PAUSE),
                Err(Errno::WOULDBLOCK) => return Err(Error::Busy(folder.into())),
                Err(error) => return Err(failed(error.into())),
            }
        }
    }

    /// Writes the next key, unless one is there: whether it was made now. The caller holds the lock.
    ///
    /// # Errors
    ///
    /// What is wrong with the files.
    pub fn prepare(&self) -> Result<(LocalDefinitionKey, bool), Error> {
        // A second link to a key, if one who made it was killed, must not outlive it.
        for path in [&self.path, &self.next_path()] {
            remove_left_over(path).map_err(|error| Error::Io { path: path.clone(), error })?;
        }
        if let Some(next) = self.read_next()? {
            return Ok((next, false));
        }
        generate_file(&self.next_path()).map(|next| (next, true))
    }

    /// Gives the next key its place, when every database key is wrapped by it: where the old one lies now; none when it
    /// had its place before.
    ///
    /// # Errors
    ///
    /// [`Error::OtherNext`] when the next key is not `to`, or what is wrong with the files.
    pub fn promote(&self, to: &DefinitionKeyName) -> Result<Option<PathBuf>, Error> {
        let (next, obsolete) = (self.next_path(), self.obsolete_path());
        let in_place = Self::read_file(&self.path);
        if in_place.as_ref().is_ok_and(|key| key.name() == to) {
            return Ok(None);
        }
        let found = Self::read_file(&next)?;
        if found.name() != to {
            let (found, wanted) = (found.name().clone(), to.clone());
            return Err(Error::OtherNext { place: next.display().to_string(), found, wanted });
        }
        match in_place {
            Ok(old) => self.keep_obsolete(old.name())?,
            // Taken away by hand, or by another program's rename: the next one takes its place all the same.
            Err(Error::Missing(_)) => {}
            Err(error) => return Err(error),
        }
        fs::rename(&next, &self.path)
            .and_then(|()| sync_folder(&self.path))
            .map_err(|error| Error::Io { path: next, error })?;
        Ok(Some(obsolete))
    }

    /// Links the key that is in place to `PATH.obsolete`. An older one there is kept under its own fingerprint: backups
    /// of the database from its time need it.
    fn keep_obsolete(&self, old: &DefinitionKeyName) -> Result<(), Error> {
        let obsolete = self.obsolete_path();
        let failed = |error: io::Error| Error::Io { path: obsolete.clone(), error };
        match Self::read_file(&obsolete) {
            // A kill came between this step and the next.
            Ok(kept) if kept.name() == old => return Ok(()),
            Ok(older) => {
                let short: String = older.name().0.chars().take(8).collect();
                fs::rename(&obsolete, with_suffix(&obsolete, &format!(".{short}"))).map_err(failed)?;
            }
            Err(Error::Missing(_)) => {}
            Err(error) => return Err(error),
        }
        fs::hard_link(&self.path, &obsolete).and_then(|()| sync_folder(&self.path)).map_err(failed)
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_can_be_the_last() {
        let folder = tempfile::tempdir().expect("folder");
        let keys = FileDefinitionKeys::at(&folder.path().join("definition.key"));
        let old = keys.generate().expect("generates");
        let (next, made) = keys.prepare().expect("prepares");
        assert!(made && next.name() != old.name());
        let (again, made) = keys.prepare().expect("again");
        assert!(!made && again.name() == next.name(), "a second time changes nothing");
        assert_eq!(keys.read().expect("reads").name(), old.name());
        // As after a kill between the two steps of the promotion.
        keys.keep_obsolete(old.name()).expect("keeps");
        assert!(matches!(keys.promote(&DefinitionKeyName("another".into())), Err(Error::OtherNext { .. })));
        let obsolete = keys.promote(next.name()).expect("promotes").expect("there was one in place");
        assert_eq!(keys.read().expect("reads").name(), next.name());
        assert_eq!(FileDefinitionKeys::read_file(&obsolete).expect("reads").name(), old.name());
        assert!(!keys.next_path().exists());
        assert!(keys.promote(next.name()).expect("has its place").is_none());
    }

    #[test]
    fn an_older_obsolete_key_is_kept() {
        let folder = tempfile::tempdir().expect("folder");
        let keys = FileDefinitionKeys::at(&folder.path().join("definition.key"));
        let first = keys.generate().expect("generates");
        for _ in 0..2 {
            let (next, _) = keys.prepare().expect("prepares");
            keys.promote(next.name()).expect("promotes");
        }
        let kept = with_suffix(&keys.obsolete_path(), &format!(".{:.8}", first.name().0));
        assert_eq!(FileDefinitionKeys::read_file(&kept).expect("reads").name(), first.name());
    }
}
