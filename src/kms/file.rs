//! A definition key in a file that only its owner may read.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

use crate::crypto::{self, Key};
use crate::keys::{DefinitionKeyLineError, LocalDefinitionKey, decode_definition_key, encode_definition_key};

/// Longer than any line that [`encode_definition_key`] writes, so that a wrong file is not read to its end.
const FILE_LEN_MAX: u64 = 1024;

/// The definition key file.
pub struct FileDefinitionKey;

/// Why the file does not give a definition key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operator: it is not there.
    #[error("{0}: there is no definition key here")]
    Missing(PathBuf),
    /// The operator: generating must not replace a key.
    #[error("{0}: a definition key is here already")]
    Exists(PathBuf),
    /// The operator: others than its owner may read it.
    #[error("{path}: others may read this definition key (mode {mode:04o})")]
    LooseMode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The operator: it is not a definition key, or a damaged one.
    #[error("{path}: {error}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with its line.
        error: DefinitionKeyLineError,
    },
    /// The operator: the system does not let it be read or written.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The operator's machine gives no random numbers.
    #[error(transparent)]
    NoRandom(#[from] crypto::Error),
}

impl Error {
    /// What the operator can do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Missing(path) => format!(
                "put it back at {}, or run `sealtape definition-key generate` if no database key was ever wrapped by one",
                path.display()
            ),
            Self::Exists(_) => "nothing was changed; a definition key is never overwritten".into(),
            Self::LooseMode { path, .. } => format!("run `chmod 600 {}`", path.display()),
            Self::Content { .. } => "restore the file from your backup".into(),
            Self::Io { .. } | Self::NoRandom(_) => "see what the system says".into(),
        }
    }
}

impl FileDefinitionKey {
    /// Reads the key from `path`.
    ///
    /// # Errors
    ///
    /// What is wrong with the file, without a byte of it.
    pub fn read(path: &Path) -> Result<LocalDefinitionKey, Error> {
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
        if mode & 0o077 != 0 {
            return Err(Error::LooseMode { path: path.into(), mode });
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
        file.take(FILE_LEN_MAX).read_to_end(&mut bytes).map_err(failed)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| content(DefinitionKeyLineError::OtherContent))?;
        Ok(LocalDefinitionKey::new(decode_definition_key(text).map_err(content)?))
    }

    /// Writes a fresh key to `path`, which must not exist, readable by its owner alone, and durably.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`], [`Error::Io`], [`Error::NoRandom`].
    pub fn generate(path: &Path) -> Result<LocalDefinitionKey, Error> {
        let key = Key::generate()?;
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => Error::Exists(path.into()),
            _ => Error::Io { path: path.into(), error },
        };
        // Written beside and then linked: nobody ever reads half a key, and of two who generate at once one is told.
        let beside = path.with_extension(format!("new-{}", std::process::id()));
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
}

fn sync_folder(path: &Path) -> io::Result<()> {
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
        let made = FileDefinitionKey::generate(&path).expect("generates");
        let mode = fs::metadata(&path).expect("metadata").permissions().mode() & 0o7777;
        assert_eq!(mode, 0o600);
        assert_eq!(FileDefinitionKey::read(&path).expect("reads").name(), made.name());
        assert!(matches!(FileDefinitionKey::generate(&path), Err(Error::Exists(_))));
    }

    #[test]
    fn every_loose_mode_is_refused() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("definition.key");
        FileDefinitionKey::generate(&path).expect("generates");
        for mode in [0o640, 0o604, 0o660, 0o666, 0o644, 0o610, 0o601] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
            assert!(matches!(FileDefinitionKey::read(&path), Err(Error::LooseMode { .. })), "{mode:o}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("chmod");
        assert!(FileDefinitionKey::read(&path).is_ok());
    }
}
