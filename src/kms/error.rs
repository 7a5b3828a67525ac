//! Why a definition key cannot be had where it is held.

use std::{io, path::PathBuf};

use super::{KmipError, Pkcs11Error};
use crate::crypto;
use crate::keys::{self, DefinitionKeyLineError, DefinitionKeyName};

/// Why a holder does not give, make or use a definition key.
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
    /// The operator, later: another command makes or exchanges keys there.
    #[error("{0}: another command makes or exchanges definition keys here")]
    Busy(PathBuf),
    /// The operator: it is not the one that database keys were moved to.
    #[error("{place}: the next definition key is {found}, and database keys were moved to {wanted}")]
    OtherNext {
        /// Where it lies.
        place: String,
        /// What lies there.
        found: DefinitionKeyName,
        /// What should.
        wanted: DefinitionKeyName,
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
    /// The operator, or whoever runs the key manager.
    #[error(transparent)]
    Kmip(#[from] KmipError),
    /// The operator, or whoever runs the token.
    #[error(transparent)]
    Pkcs11(#[from] Pkcs11Error),
}

impl Error {
    /// What the operator can do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Missing(path) => format!(
                "put it back at {}; where no database key was ever wrapped by one, `sealtape definition-key generate` makes it",
                path.display()
            ),
            Self::Exists(_) => "nothing was changed; a definition key is never overwritten".into(),
            Self::LooseMode { path, .. } => format!("run `chmod 600 {}`", path.display()),
            Self::Busy(_) => "run it again when that is done".into(),
            Self::OtherNext { wanted, .. } => {
                format!(
                    "no key was moved; put {wanted} back in that place, for database keys need it, and run it again"
                )
            }
            Self::Content { .. } => "restore the file from your backup".into(),
            Self::Io { .. } | Self::NoRandom(_) => "see what the system says".into(),
            Self::Kmip(error) => error.advice(),
            Self::Pkcs11(error) => error.advice(),
        }
    }

    /// Whether it says that a key is there already, which another process may have made a moment ago.
    #[must_use]
    pub fn is_there_already(&self) -> bool {
        matches!(
            self,
            Self::Exists(_) | Self::Kmip(KmipError::Exists { .. }) | Self::Pkcs11(Pkcs11Error::Exists { .. })
        )
    }
}

impl From<Error> for keys::Error {
    fn from(error: Error) -> Self {
        Self::DefinitionKeyUnavailable { reason: error.to_string(), advice: error.advice() }
    }
}

/// The answer to one question that was asked as several.
pub(super) fn only<T>(all: Vec<T>) -> Result<T, keys::Error> {
    all.into_iter().next().ok_or_else(|| keys::Error::DefinitionKeyUnavailable {
        reason: "nothing came back".into(),
        advice: "see to the key manager".into(),
    })
}
