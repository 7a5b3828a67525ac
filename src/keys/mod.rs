//! The envelope: one definition key wraps database keys, the newest active database key wraps file keys.
//!
//! Knows the states of keys and which key may do what; not where rows are kept (`catalogue::Database`) nor how a
//! definition key is held (the traits [`DefinitionKey`] and [`DefinitionKeyHolder`], whose adapters live in `kms`).
//! Start with [`KeyRing`].
//!
//! Invariant: a recording is opened with the key that its header names or with none; no other key is ever tried.

mod definition_key;
mod definition_key_line;
mod ring;
mod row;
#[cfg(test)]
mod tests;
#[cfg(feature = "app")]
mod transfer;

pub use definition_key::{
    DefinitionKey, DefinitionKeyHolder, DefinitionKeyName, LocalDefinitionKey, definition_key_for_new,
    definition_key_of, unwrap_rows,
};
pub use definition_key_line::{DefinitionKeyLineError, decode_definition_key, encode_definition_key};
pub use ring::{KeyRing, NoActiveKey, OpeningRefused, Switch, WrappingKey};
pub use row::{KeyOrigin, KeyRow, KeyState, KeyTable};
#[cfg(feature = "app")]
pub use transfer::{
    ExportError, ExportedKey, decode_export, decode_export_document, decode_export_within, encode_export,
};

use crate::base::Fingerprint;

/// Why keys cannot be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The operator: the row was wrapped under another definition key than the one configured.
    #[error(
        "database key {fingerprint} is wrapped by definition key {wrapped_by}, and the one configured is {configured}"
    )]
    OtherDefinitionKey {
        /// The database key.
        fingerprint: Fingerprint,
        /// What its row names.
        wrapped_by: DefinitionKeyName,
        /// What was tried.
        configured: DefinitionKeyName,
    },
    /// An investigator: the row of a database key was changed by someone without the definition key.
    #[error(
        "the row of database key {0} does not verify: fingerprint, time, origin, state or key was changed in the database"
    )]
    RowNotAuthentic(Fingerprint),
    /// The operator: the key manager that holds the definition key does not answer.
    #[error("the definition key cannot be used: {reason}")]
    DefinitionKeyUnavailable {
        /// What its holder says.
        reason: String,
        /// What can be done about it.
        advice: String,
    },
    /// The operator's machine gives no random numbers.
    #[error("the operating system gives no random numbers")]
    NoRandom,
}

impl From<crate::crypto::Error> for Error {
    fn from(error: crate::crypto::Error) -> Self {
        match error {
            crate::crypto::Error::NoRandom => Self::NoRandom,
            crate::crypto::Error::NotAuthentic => Self::DefinitionKeyUnavailable {
                reason: "the wrapped key does not verify".into(),
                advice: "see to the definition key".into(),
            },
        }
    }
}
