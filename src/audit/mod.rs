//! The playback record: who listened to what, and who changed what, as a chain of lines that shows every change.
//!
//! Knows no HTTP, no player and no command; [`crate::service::Listening`] decides what is an event. Start with
//! [`AuditLog`], and with [`verify`] for whoever reads.
//!
//! # Construction
//!
//! A folder holds one chain in files `playback-000001.jsonl`, `playback-000002.jsonl` and so on; a line is one event,
//! a JSON object, and ends in a newline:
//!
//! ```text
//! {"seq":7,"chain":"…","at":"…","prev":"HASH OF LINE 6","event":"opened", … ,"hash":"HASH OF THIS LINE"}
//! ```
//!
//! `hash` is the SHA-256, in lower-case hexadecimal, of the line's bytes before `,"hash":"`; they hold `prev`, so that
//! each hash stands for all lines before it. `seq` counts from 1; `prev` of the first line is 64 zeros; `chain` is a
//! random name that is the same on every line, `instance` what the proxy that wrote it is called. A new file carries the chain on. No key is involved: whoever can write
//! the folder can write another chain, and whoever kept a hash elsewhere sees it.
//!
//! Several processes write: each holds a lock on the folder for one append, and reads where the chain ends unless it
//! was the last to write. An append is one write of whole lines and one `fdatasync`; what was half written is cut off
//! before anything else is written.

mod event;
mod files;
mod history;
mod line;
mod log;
mod spans;
mod store;
mod tail;
#[cfg(test)]
mod tests;
mod verify;

pub use event::{Event, EventKind, bounded};
pub use files::{Lines, RawLine, files};
pub use history::{Copied, History};
pub use line::Head;
pub use log::{AuditLog, Clock};
pub use spans::Spans;
pub use verify::{ChainSummary, Fault, KnownHead, Verification, verify};

use std::{io, path::Path};

use crate::base::ErrorCode;

/// The longest line, in bytes; every field is bounded so that none is longer.
pub const LINE_LEN_MAX: usize = 64 << 10;

/// Why an event is not recorded.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The operator: the folder or a file in it cannot be read or written.
    #[error("{path}: {message}")]
    Unavailable {
        /// The file or folder.
        path: String,
        /// What the system says.
        message: String,
    },
    /// An investigator: the chain's end is not as it was written, and nothing is added to it.
    #[error("{path}, line {line}: {what}")]
    Broken {
        /// The file.
        path: String,
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// An investigator: lines that this process wrote are not there any more.
    #[error("{path}: lines that were written are gone or changed since")]
    Rewound {
        /// The file that now holds the chain's end.
        path: String,
    },
    /// The operator: the folder was locked by another process, or the disk did not answer, for too long.
    #[error("{path}: it did not take an event in time")]
    Timeout {
        /// The folder.
        path: String,
    },
    /// The operator: more events wait to be written than are held.
    #[error("too many events wait to be written")]
    Overloaded,
    /// The operator: without random numbers a chain has no name.
    #[error("the operating system gives no random numbers")]
    NoRandom,
    /// Nobody: the program ends.
    #[error("the record is closed")]
    Closed,
}

impl Error {
    /// The name that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unavailable { .. }
            | Self::Broken { .. }
            | Self::Rewound { .. }
            | Self::Timeout { .. }
            | Self::Overloaded
            | Self::NoRandom
            | Self::Closed => ErrorCode::AuditUnavailable,
        }
    }

    /// What can be done about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "see that the folder of the record (audit.path) can be written and has room",
            Self::Broken { .. } | Self::Rewound { .. } => {
                "find out who changed it (`sealtape audit verify` names each place); keep the folder as evidence, and \
                 move it away to begin another chain"
            }
            Self::Timeout { .. } => {
                "see which process holds the lock in the folder of the record, and that its disk answers"
            }
            Self::Overloaded | Self::Closed => "try again",
            Self::NoRandom => "see to the machine",
        }
    }
}

fn unavailable(path: &Path, error: &io::Error) -> Error {
    Error::Unavailable { path: path.display().to_string(), message: error.to_string() }
}
