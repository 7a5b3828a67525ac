//! A definition key in a file that only its owner may read, and beside it, while one is exchanged for another, the
//! next one. How they are exchanged is in [`super::cycle`].

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

use super::{DefinitionKeyKeeper, Error};
use crate::base::is_private_mode;
use crate::crypto::Key;
use crate::keys::{
    self, DefinitionKey, DefinitionKeyHolder, DefinitionKeyLineError, DefinitionKeyName, LocalDefinitionKey,
    decode_definition_key, encode_definition_key,
};

/// Longer than any line that [`encode_definition_key`] writes, so that a wrong file is not read to its end.
const FILE_LEN_MAX: u64 = 1024;

/// What the name of a key ends in before it has its own.
const BESIDE: &str = ".new";

/// The definition key at a path, and the next one at `PATH.next` when there is one.
pub struct FileDefinitionKeys {
    pub(super) path: PathBuf,
    /// What was read from them, so that they are read once and again only for a name that is not known yet.
    known: Mutex<Vec<Arc<LocalDefinitionKey>>>,
}

impl FileDefinitionKeys {
    /// The keys at `path` and beside it. Nothing is read yet.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), known: Mutex::default() }
    }

    /// Reads the key, or, where it is missing, the next one.
    ///
    /// # Errors
    ///
    /// What is wrong with the file, without a byte of it.
    pub fn read(&self) -> Result<LocalDefinitionKey, Error> {
        match Self::read_file(&self.path) {
            Err(Error::Missing(path)) => self.read_next()?.ok_or(Error::Missing(path)),
            other => other,
        }
    }

    /// Reads the next key; none when there is none.
    ///
    /// # Errors
    ///
    /// What is wrong with the file, without a byte of it.
    pub fn read_next(&self) -> Result<Option<LocalDefinitionKey>, Error> {
        match Self::read_file(&self.next_path()) {
            Ok(key) => Ok(Some(key)),
            Err(Error::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a key, or the next one, is there.
    #[must_use]
    pub fn exist(&self) -> bool {
        self.path.exists() || self.next_path().exists()
    }

    /// Writes a fresh key to the path, which must not exist, readable by its owner alone, and durably.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`], [`Error::Io`], [`Error::NoRandom`].
    pub fn generate(&self) -> Result<LocalDefinitionKey, Error> {
        let _one_at_a_time = self.lock()?;
        self.generate_locked()
    }

    /// The same. The caller holds the lock.
    fn generate_locked(&self) -> Result<LocalDefinitionKey, Error> {
        if self.next_path().exists() {
            return Err(Error::Exists(self.next_path()));
        }
        generate_file(&self.path)
    }

    pub(super) fn read_file(path: &Path) -> Result<LocalDefinitionKey, Error> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Error::Missing(path.into()),
            _ => Error::Io { path: path.into(), error },
        };
        let content = |error| Error::Content { path: path.into(), error };
        // A pipe in its place would be waited for, for ever.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::empty()).map(File::from);
        let file = file.map_err(|error| failed(error.into()))?;
        // Asked of the open file, so that what is checked is what is read.
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(content(DefinitionKeyLineError::OtherContent));
        }
        let mode = metadata.mode() & 0o7777;
        if !is_private_mode(mode, metadata.uid(), rustix::process::geteuid().as_raw()) {
            return Err(Error::LooseMode { path: path.into(), mode });
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
        file.take(FILE_LEN_MAX).read_to_end(&mut bytes).map_err(failed)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| content(DefinitionKeyLineError::OtherContent))?;
        Ok(LocalDefinitionKey::new(decode_definition_key(text).map_err(content)?))
    }

    /// Reads both files again: what could be read, and what was wrong with one that could not.
    fn read_both(&self) -> (Vec<Arc<LocalDefinitionKey>>, Option<Error>) {
        let (mut both, mut trouble) = (Vec::new(), None);
        for path in [self.path.clone(), self.next_path()] {
            match Self::read_file(&path) {
                Ok(key) => both.push(Arc::new(key)),
                Err(Error::Missing(_)) => {}
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        let is_none = both.is_empty() && trouble.is_none();
        (both, if is_none { Some(Error::Missing(self.path.clone())) } else { trouble })
    }

    fn known(&self, name: &DefinitionKeyName) -> Option<Arc<LocalDefinitionKey>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|key| key.name() == name).cloned()
    }
}

#[async_trait]
impl DefinitionKeyHolder for FileDefinitionKeys {
    async fn find(&self, name: &DefinitionKeyName) -> Result<Option<Arc<dyn DefinitionKey>>, keys::Error> {
        if let Some(key) = self.known(name) {
            return Ok(Some(key));
        }
        let (read, trouble) = self.read_both();
        let found = read.iter().find(|key| key.name() == name).cloned();
        if found.is_some() || trouble.is_none() {
            *self.known.lock().unwrap_or_else(PoisonError::into_inner) = read;
        }
        match (found, trouble) {
            (Some(key), _) => Ok(Some(key)),
            // It may be the one that cannot be read.
            (None, Some(error)) => Err(error.into()),
            (None, None) => Ok(None),
        }
    }

    async fn first(&self) -> Result<Arc<dyn DefinitionKey>, keys::Error> {
        Ok(Arc::new(self.read()?))
    }
}

#[async_trait]
impl DefinitionKeyKeeper for FileDefinitionKeys {
    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn next_place(&self) -> String {
        self.next_path().display().to_string()
    }

    async fn exist(&self) -> Result<bool, Error> {
        Ok(Self::exist(self))
    }

    async fn next(&self) -> Result<Option<Arc<dyn DefinitionKey>>, Error> {
        Ok(self.read_next()?.map(|key| -> Arc<dyn DefinitionKey> { Arc::new(key) }))
    }

    async fn generate(&self) -> Result<Arc<dyn DefinitionKey>, Error> {
        Ok(Arc::new(self.generate_locked()?))
    }

    async fn prepare(&self) -> Result<(Arc<dyn DefinitionKey>, bool), Error> {
        Self::prepare(self).map(|(key, is_made)| -> (Arc<dyn DefinitionKey>, bool) { (Arc::new(key), is_made) })
    }

    async fn promote(&self, to: &DefinitionKeyName) -> Result<Option<String>, Error> {
        Ok(Self::promote(self, to)?.map(|path| path.display().to_string()))
    }

    async fn obsolete(&self) -> Result<Option<String>, Error> {
        let path = self.obsolete_path();
        Ok(path.exists().then(|| path.display().to_string()))
    }
}

/// Writes a fresh key to `path`, which must not exist, readable by its owner alone, and durably. The caller holds the
/// lock, so that a file that lies beside it was left by one who was killed: a second link to a key, which must not stay.
pub(super) fn generate_file(path: &Path) -> Result<LocalDefinitionKey, Error> {
    let key = Key::generate()?;
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists(path.into()),
        _ => Error::Io { path: path.into(), error },
    };
    // Written beside and then linked: nobody ever reads half a key.
    let beside = with_suffix(path, BESIDE);
    remove_left_over(path).map_err(failed)?;
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(encode_definition_key(&key).as_bytes())?;
        file.sync_all()?;
        fs::hard_link(&beside, path)
    })();
    // There only when it could be made; the first error is the one that tells.
    let _best_effort = fs::remove_file(&beside);
    written.and_then(|()| sync_folder(path)).map_err(failed)?;
    Ok(LocalDefinitionKey::new(key))
}

/// Removes what lies beside a key that is being made. The caller holds the lock.
pub(super) fn remove_left_over(path: &Path) -> io::Result<()> {
    match fs::remove_file(with_suffix(path, BESIDE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::keys::DefinitionKey;

    #[test]
    fn a_generated_key_is_private_and_reads_back() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("definition.key");
        let made = FileDefinitionKeys::at(&path).generate().expect("generates");
        let mode = fs::metadata(&path).expect("metadata").permissions().mode() & 0o7777;
        assert_eq!(mode, 0o600);
        assert_eq!(FileDefinitionKeys::at(&path).read().expect("reads").name(), made.name());
        assert!(matches!(FileDefinitionKeys::at(&path).generate(), Err(Error::Exists(_))));
    }

    #[test]
    fn every_loose_mode_is_refused() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("definition.key");
        FileDefinitionKeys::at(&path).generate().expect("generates");
        for mode in [0o640, 0o604, 0o660, 0o666, 0o644, 0o610, 0o601] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
            assert!(matches!(FileDefinitionKeys::at(&path).read(), Err(Error::LooseMode { .. })), "{mode:o}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("chmod");
        assert!(FileDefinitionKeys::at(&path).read().is_ok());
    }
}
