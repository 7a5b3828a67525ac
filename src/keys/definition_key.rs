//! The doors to the key that wraps every database key: one such key, and the place that holds it.

use core::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Error, KeyRow, KeyTable};
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

    /// Wraps several, each bound to what stands beside it; all or none. Whoever asks somebody far away asks once.
    async fn wrap_all(&self, keys: &[(Key, Vec<u8>)]) -> Result<Vec<WrappedRowKey>, Error> {
        let mut all = Vec::with_capacity(keys.len());
        for (key, aad) in keys {
            all.push(self.wrap(key, aad).await?);
        }
        Ok(all)
    }

    /// Unwraps several, in their order.
    async fn unwrap_all(&self, wrapped: &[(WrappedRowKey, Vec<u8>)]) -> Result<Vec<Option<Key>>, Error> {
        let mut all = Vec::with_capacity(wrapped.len());
        for (wrapped, aad) in wrapped {
            all.push(self.unwrap(wrapped, aad).await?);
        }
        Ok(all)
    }
}

/// Where definition keys are held. While one is exchanged for another there are two, and rows say which is theirs.
///
/// Every implementation runs the conformance suite in `tests/definition_keys`.
#[async_trait]
pub trait DefinitionKeyHolder: Send + Sync {
    /// The key of that name; none when it is not held here. What was not known before is looked for, so that a running
    /// process finds a key that was put there since it began.
    async fn find(&self, name: &DefinitionKeyName) -> Result<Option<Arc<dyn DefinitionKey>>, Error>;

    /// The key that wraps where no row says which one does.
    async fn first(&self) -> Result<Arc<dyn DefinitionKey>, Error>;

    /// Whether a definition key could be had and used now, as a start would need it. One in this process's memory, or on
    /// its disk, is not asked for.
    async fn probe(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Whether it is so far away that whoever asks in vain should not ask again at once.
    fn is_far_away(&self) -> bool {
        false
    }
}

/// The definition key of a row.
///
/// # Errors
///
/// [`Error::OtherDefinitionKey`] when the holder does not have it, or what the holder says.
pub async fn definition_key_of(
    row: &KeyRow,
    holder: &dyn DefinitionKeyHolder,
) -> Result<Arc<dyn DefinitionKey>, Error> {
    if let Some(key) = holder.find(&row.definition_key).await? {
        return Ok(key);
    }
    Err(Error::OtherDefinitionKey {
        fingerprint: row.fingerprint,
        wrapped_by: row.definition_key.clone(),
        configured: holder.first().await?.name().clone(),
    })
}

/// The database keys of rows, in their order. Each definition key is asked once, for all that it wraps.
///
/// # Errors
///
/// Those of [`definition_key_of`] and of [`KeyRow::unwrap`].
pub async fn unwrap_rows(rows: &[&KeyRow], holder: &dyn DefinitionKeyHolder) -> Result<Vec<Key>, Error> {
    let mut keys: Vec<Option<Key>> = vec![None; rows.len()];
    for (first, row) in rows.iter().enumerate() {
        if keys[first].is_some() {
            continue;
        }
        let definition_key = definition_key_of(row, holder).await?;
        let its: Vec<usize> = (first..rows.len()).filter(|at| rows[*at].definition_key == row.definition_key).collect();
        let of_it: Vec<&KeyRow> = its.iter().map(|at| rows[*at]).collect();
        for (at, key) in its.into_iter().zip(KeyRow::unwrap_all(&of_it, &*definition_key).await?) {
            keys[at] = Some(key);
        }
    }
    Ok(keys.into_iter().flatten().collect())
}

/// The definition key that new rows are wrapped by: the one of those that are there, so that a table never lies under
/// two, else the holder's first.
///
/// # Errors
///
/// Those of [`definition_key_of`].
pub async fn definition_key_for_new(
    table: &KeyTable,
    holder: &dyn DefinitionKeyHolder,
) -> Result<Arc<dyn DefinitionKey>, Error> {
    match table.rows.first() {
        Some(row) => definition_key_of(row, holder).await,
        None => holder.first().await,
    }
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
