//! The door to the key that wraps every database key, wherever it is held.

use core::fmt;

use async_trait::async_trait;

use super::Error;
use crate::crypto::{self, Key, WrappedRowKey, definition_key_fingerprint, unwrap_row_key, wrap_row_key};

/// What a row says of the definition key that wraps it: its fingerprint, or a key manager's name for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionKeyName(pub String);

impl fmt::Display for DefinitionKeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Wraps and unwraps database keys: at start and reload, never for a play, so that playing goes on without it.
///
/// An implementation that keeps the key elsewhere (a key manager, a token) sends the database key and the associated
/// data there; one that holds it uses [`LocalDefinitionKey`].
#[async_trait]
pub trait DefinitionKey: Send + Sync {
    /// The name that rows carry.
    fn name(&self) -> &DefinitionKeyName;

    /// Wraps a database key, bound to `aad`.
    async fn wrap(&self, database_key: &Key, aad: &[u8]) -> Result<WrappedRowKey, Error>;

    /// Unwraps a database key; `None` when it does not verify.
    async fn unwrap(&self, wrapped: &WrappedRowKey, aad: &[u8]) -> Result<Option<Key>, Error>;
}

/// A definition key held in this process's memory.
pub struct LocalDefinitionKey {
    key: Key,
    name: DefinitionKeyName,
}

impl LocalDefinitionKey {
    /// Takes the key; its name is its fingerprint.
    #[must_use]
    pub fn new(key: Key) -> Self {
        let name = DefinitionKeyName(definition_key_fingerprint(&key).to_string());
        Self { key, name }
    }
}

#[async_trait]
impl DefinitionKey for LocalDefinitionKey {
    fn name(&self) -> &DefinitionKeyName {
        &self.name
    }

    async fn wrap(&self, database_key: &Key, aad: &[u8]) -> Result<WrappedRowKey, Error> {
        Ok(wrap_row_key(&self.key, database_key, aad)?)
    }

    async fn unwrap(&self, wrapped: &WrappedRowKey, aad: &[u8]) -> Result<Option<Key>, Error> {
        match unwrap_row_key(&self.key, wrapped, aad) {
            Ok(key) => Ok(Some(key)),
            Err(crypto::Error::NotAuthentic) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
