//! What operators do with database keys and the switch.

use std::{collections::HashMap, sync::Arc};

use super::{Clock, KeyError as Error};
use crate::base::{Fingerprint, Timestamp};
use crate::catalogue::Database;
use crate::keys::{DefinitionKey, KeyOrigin, KeyRing, KeyRow, KeyState};

/// Database keys and the switch, for operators.
pub struct KeyOps {
    database: Arc<dyn Database>,
    clock: Clock,
}

/// A database key as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySummary {
    /// Its public name.
    pub fingerprint: Fingerprint,
    /// When it was generated.
    pub created_at: Timestamp,
    /// Where it came from.
    pub origin: KeyOrigin,
    /// Whether it may be used.
    pub state: KeyState,
    /// Whether it wraps the file keys of new recordings.
    pub wraps_new: bool,
    /// How many recordings need it.
    pub recordings: u64,
    /// Whether a backup of it was ever written.
    pub exported: bool,
}

impl KeyOps {
    /// Over the keys in `database`.
    #[must_use]
    pub fn new(database: Arc<dyn Database>, clock: Clock) -> Self {
        Self { database, clock }
    }

    /// Generates a database key, wrapped by `definition_key`. It refuses when the keys that are there cannot be
    /// unwrapped: a table under two definition keys would lock a server out.
    ///
    /// # Errors
    ///
    /// The database or the definition key.
    pub async fn generate(&self, definition_key: &dyn DefinitionKey) -> Result<KeyRow, Error> {
        KeyRing::load(&self.database.load_keys().await?, definition_key).await?;
        let row = KeyRow::generate(definition_key, (self.clock)()).await?;
        self.database.add_key(&row).await?;
        Ok(row)
    }

    /// Every database key, oldest first.
    ///
    /// # Errors
    ///
    /// The database or the definition key.
    pub async fn list(&self, definition_key: &dyn DefinitionKey) -> Result<Vec<KeySummary>, Error> {
        let table = self.database.load_keys().await?;
        let usage = self.database.key_usage().await?;
        let usage: HashMap<Fingerprint, u64> =
            usage.into_iter().map(|usage| (usage.fingerprint, usage.recordings)).collect();
        let ring = KeyRing::load(&table, definition_key).await?;
        let wrapping = ring.sealing().ok().flatten().map(|key| key.fingerprint);
        let summaries = table.rows.into_iter().map(|row| KeySummary {
            fingerprint: row.fingerprint,
            created_at: row.created_at,
            origin: row.origin,
            state: row.state,
            wraps_new: wrapping == Some(row.fingerprint),
            recordings: usage.get(&row.fingerprint).copied().unwrap_or(0),
            exported: row.exported,
        });
        Ok(summaries.collect())
    }
}
