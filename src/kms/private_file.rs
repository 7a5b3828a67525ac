//! Reads a small file that only its owner may read: what proves to a key manager who asks.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

use crate::base::is_private_mode;

/// Longer than any private key in PEM, so that a wrong file is not read to its end.
const FILE_LEN_MAX: u64 = 64 << 10;

/// Why a file that a key manager needs cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operator: the system does not let it be read.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The operator: others than its owner may read it.
    #[error("{}: others may read it (mode {mode:04o})", path.display())]
    LooseMode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The operator: it holds something else.
    #[error("{} {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

impl FileError {
    /// What the operator can do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Io { .. } => "see that the file is there and that this user may read it".into(),
            Self::LooseMode { path, .. } => format!("run `chmod 600 {}`", path.display()),
            Self::Content { .. } => "see that the settings name the right file".into(),
        }
    }
}

/// Its bytes.
pub(super) fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let failed = |error: io::Error| FileError::Io { path: path.into(), error };
    // A pipe in its place would be waited for, for ever.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).map(File::from).map_err(|error| failed(error.into()))?;
    // Asked of the open file, so that what is checked is what is read.
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.mode() & 0o7777;
    if !metadata.is_file() {
        return Err(FileError::Content { path: path.into(), what: "is not a file".into() });
    }
    if !is_private_mode(mode, metadata.uid(), rustix::process::geteuid().as_raw()) {
        return Err(FileError::LooseMode { path: path.into(), mode });
    }
    let room = usize::try_from(metadata.len().min(FILE_LEN_MAX)).unwrap_or_default() + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(FILE_LEN_MAX).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
