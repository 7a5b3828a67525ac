//! Files of secrets: read only when nobody else may read them, made so that nobody else can.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::base::is_private_mode;
use crate::crypto;

/// Longer than any file of secrets or keys that makes sense.
const LEN_MAX: u64 = 1 << 20;

/// Why a file of secrets or keys cannot be used. Never names what stands in it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The operator: the system does not let it be read or made.
    #[error("{path}: {reason}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The operator: it is not there, and is not made by itself where settings name its place.
    #[error("{path}: it is not there")]
    Missing {
        /// The file.
        path: PathBuf,
        /// How it is made.
        way_out: &'static str,
    },
    /// The operator: others than its owner may read it.
    #[error("{path}: others may read it (mode {mode:04o})")]
    LooseMode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The operator: it is not what it should be.
    #[error("{path}: {reason}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// What can be done about it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Io { .. } => "see that the file can be read and its folder written".into(),
            Self::Missing { way_out, .. } => (*way_out).into(),
            Self::LooseMode { path, .. } => format!("`chmod 600 {}`", path.display()),
            Self::Content { .. } => "correct it there".into(),
        }
    }

    pub(super) fn content(path: &Path, reason: impl ToString) -> Self {
        Self::Content { path: path.to_owned(), reason: reason.to_string() }
    }

    pub(super) fn io(path: &Path, error: &io::Error) -> Self {
        Self::Io { path: path.to_owned(), reason: error.to_string() }
    }
}

/// The text of a file of secrets, wiped when it is dropped.
pub(super) fn read(path: &Path) -> Result<Zeroizing<String>, Error> {
    let file = File::open(path).map_err(|error| Error::io(path, &error))?;
    let metadata = file.metadata().map_err(|error| Error::io(path, &error))?;
    let mode = metadata.mode() & 0o7777;
    if !is_private_mode(mode, metadata.uid(), rustix::process::geteuid().as_raw()) {
        return Err(Error::LooseMode { path: path.to_owned(), mode });
    }
    read_text(path, file)
}

/// The text of a file that everyone may read.
pub(super) fn read_public(path: &Path) -> Result<Zeroizing<String>, Error> {
    read_text(path, File::open(path).map_err(|error| Error::io(path, &error))?)
}

/// Makes a file that only its owner may read; `false` when another was a moment quicker.
pub(super) fn create(path: &Path, text: &str) -> Result<bool, Error> {
    let write = || -> io::Result<()> {
        // Whole before it has its name: a reader never sees half of it.
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        let random = hex::encode(crypto::random::<8>().map_err(io::Error::other)?);
        let draft = folder.join(format!(".{}.{random}", path.file_name().unwrap_or_default().display()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        let named = std::fs::hard_link(&draft, path);
        std::fs::remove_file(&draft)?;
        named?;
        File::open(folder)?.sync_all()
    };
    match write() {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(Error::io(path, &error)),
    }
}

fn read_text(path: &Path, file: File) -> Result<Zeroizing<String>, Error> {
    let len = file.metadata().map_or(0, |metadata| metadata.len()).min(LEN_MAX);
    // Long enough from the start: growing would leave a copy behind that nobody wipes.
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(len).unwrap_or(0) + 1));
    file.take(LEN_MAX).read_to_string(&mut text).map_err(|error| Error::io(path, &error))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_made_is_private_whole_and_never_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secrets");
        assert!(create(&path, "one").expect("made"));
        assert!(!create(&path, "two").expect("there already"));
        assert_eq!(read(&path).expect("read").as_str(), "one");
        assert_eq!(std::fs::read_dir(folder.path()).expect("read").count(), 1, "no draft stays");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("chmod");
        assert!(matches!(read(&path), Err(Error::LooseMode { mode: 0o640, .. })));
        assert_eq!(read_public(&path).expect("read").as_str(), "one");
        assert!(matches!(create(&folder.path().join("none/secrets"), "one"), Err(Error::Io { .. })));
    }

    #[test]
    fn each_error_says_what_can_be_done() {
        let path = || PathBuf::from("/srv/tape/secrets");
        let way_out = "`sealtape token create`";
        for (error, advice) in [
            (Error::Io { path: path(), reason: "no".into() }, "see that the file can be read and its folder written"),
            (Error::Missing { path: path(), way_out }, way_out),
            (Error::LooseMode { path: path(), mode: 0o644 }, "`chmod 600 /srv/tape/secrets`"),
            (Error::content(&path(), "no key"), "correct it there"),
        ] {
            assert_eq!(error.advice(), advice);
        }
    }
}
