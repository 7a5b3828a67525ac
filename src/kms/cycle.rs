//! Exchanges the definition key in a file for another, in steps each of which can be the last: `PATH.next` is written,
//! database keys are wrapped by it (that is the database's step), then PATH becomes `PATH.obsolete` and `PATH.next`
//! becomes PATH. At no instant is there no PATH.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use super::file::{Error, FileDefinitionKeys, UNNAMED, generate_file, sync_folder};
use crate::keys::{DefinitionKey, DefinitionKeyName, LocalDefinitionKey};

/// Held while keys are exchanged: two who do it at once do it one after the other.
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

    /// Waits until nobody else exchanges keys here.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn lock(&self) -> Result<CycleLock, Error> {
        let folder = folder_of(&self.path);
        let locked = File::open(folder).and_then(|folder| {
            flock(&folder, FlockOperation::LockExclusive)?;
            Ok(folder)
        });
        locked.map(CycleLock).map_err(|error| Error::Io { path: folder.into(), error })
    }

    /// Writes the next key, unless one is there: whether it was made now. To be called under the lock.
    ///
    /// # Errors
    ///
    /// What is wrong with the files.
    pub fn prepare(&self) -> Result<(LocalDefinitionKey, bool), Error> {
        self.remove_unnamed();
        if let Some(next) = self.read_next()? {
            return Ok((next, false));
        }
        match generate_file(&self.next_path()) {
            Ok(next) => Ok((next, true)),
            Err(Error::Exists(_)) => {
                self.read_next()?.map(|next| (next, false)).ok_or(Error::Missing(self.next_path()))
            }
            Err(error) => Err(error),
        }
    }

    /// Takes away what a run left that was killed before its key had a name, or before the other name was gone.
    fn remove_unnamed(&self) {
        let Ok(entries) = fs::read_dir(folder_of(&self.path)) else { return };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let unnamed = path.extension().and_then(|extension| extension.to_str()?.strip_prefix(UNNAMED));
            let is_number = unnamed.is_some_and(|number| number.len() == 16 && u64::from_str_radix(number, 16).is_ok());
            let is_ours = [self.path.clone(), self.next_path()]
                .iter()
                .any(|key| key.with_extension("") == path.with_extension(""));
            if is_number && is_ours {
                // The next run tries again.
                let _best_effort = fs::remove_file(path);
            }
        }
    }

    /// Gives the next key its place, when every database key is wrapped by it: where the old one lies now.
    ///
    /// # Errors
    ///
    /// What is wrong with the files.
    pub fn promote(&self) -> Result<PathBuf, Error> {
        let (next, obsolete) = (self.next_path(), self.obsolete_path());
        match Self::read_file(&self.path) {
            Ok(old) => self.keep_obsolete(old.name())?,
            // Taken away by hand, or by another program's rename: the next one takes its place all the same.
            Err(Error::Missing(_)) => {}
            Err(error) => return Err(error),
        }
        fs::rename(&next, &self.path)
            .and_then(|()| sync_folder(&self.path))
            .map_err(|error| Error::Io { path: next, error })?;
        Ok(obsolete)
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

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
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
        let obsolete = keys.promote().expect("promotes");
        assert_eq!(keys.read().expect("reads").name(), next.name());
        assert_eq!(FileDefinitionKeys::read_file(&obsolete).expect("reads").name(), old.name());
        assert!(!keys.next_path().exists());
    }

    #[test]
    fn what_a_killed_run_left_is_taken_away_and_nothing_else() {
        let folder = tempfile::tempdir().expect("folder");
        let keys = FileDefinitionKeys::at(&folder.path().join("definition.key"));
        keys.generate().expect("generates");
        let of_ours = ["definition.new-0123456789abcdef", "definition.key.new-0123456789abcdef"];
        let of_others =
            ["other.key.new-0123456789abcdef", "definition.key.new-copy", "definition.key.0123456789abcdef"];
        for name in of_ours.iter().chain(&of_others) {
            fs::write(folder.path().join(name), "x").expect("written");
        }
        keys.prepare().expect("prepares");
        assert!(of_ours.iter().all(|name| !folder.path().join(name).exists()));
        assert!(of_others.iter().all(|name| folder.path().join(name).exists()));
        assert!(keys.read().is_ok() && keys.next_path().exists());
    }

    #[test]
    fn an_older_obsolete_key_is_kept() {
        let folder = tempfile::tempdir().expect("folder");
        let keys = FileDefinitionKeys::at(&folder.path().join("definition.key"));
        let first = keys.generate().expect("generates");
        for _ in 0..2 {
            keys.prepare().expect("prepares");
            keys.promote().expect("promotes");
        }
        let kept = with_suffix(&keys.obsolete_path(), &format!(".{:.8}", first.name().0));
        assert_eq!(FileDefinitionKeys::read_file(&kept).expect("reads").name(), first.name());
    }
}
