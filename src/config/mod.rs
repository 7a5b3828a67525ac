//! Settings: from TOML and the environment to validated values, once at start.
//!
//! Knows no adapter: it says what was decided, and `cli::open` builds it. Unknown keys are errors that name the
//! nearest known one. Nothing here is secret, but for a password
//! that may stand in the URL of a database, and is never shown; other secrets lie in files that are named here.

mod access;
mod cache;
mod database;
mod definition_key;
mod ingest;
mod keeping;
mod keys;
mod parse;
mod peers;
mod server;
mod settings;
mod storage;

pub use access::{AuditFailure, AuditSettings, AuthMode, AuthSettings, Jwks};
pub use cache::CacheSettings;
pub use database::{DatabaseSettings, DatabaseUrl, PostgresSettings};
pub use definition_key::{
    DefinitionKeyKind, DefinitionKeySettings, KmipMode, KmipSettings, NonceMaker, Pkcs11Settings,
};
pub use ingest::{IngestSettings, WatchSettings};
pub use keeping::KeepingSettings;
pub(crate) use parse::{parse_duration, parse_listen};
pub use server::{Listen, LogFormat, Peer, ServerSettings, Timeouts, TlsSettings};
pub use settings::Settings;
pub use storage::{BucketAccess, BucketSettings, StorageSettings};

use std::path::PathBuf;

/// Where settings come from, before the environment has its say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A TOML file.
    File(PathBuf),
    /// The one-machine default: everything in one folder.
    DataDir(PathBuf),
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// A key that does not exist.
    #[error("{origin}: there is no setting `{key}`")]
    UnknownKey {
        /// The file or the variable.
        origin: String,
        /// The key, with its section.
        key: String,
        /// What may have been meant.
        nearest: &'static str,
    },
    /// A value that the key cannot have.
    #[error("{origin}: `{key}` cannot be {value}: {reason}")]
    BadValue {
        /// The file or the variable.
        origin: String,
        /// The key, with its section.
        key: String,
        /// The value as it stands.
        value: String,
        /// What it must be.
        reason: String,
    },
}

impl Error {
    /// What can be done about it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Unreadable { .. } => "see that the file is there and can be read".into(),
            Self::Syntax { .. } => "the file must be TOML; see the chapter on configuration in the manual".into(),
            Self::UnknownKey { nearest, .. } => format!("did you mean `{nearest}`?"),
            Self::BadValue { .. } => "correct it there".into(),
        }
    }
}
