//! What operators do with database keys.

use std::{collections::HashMap, sync::Arc};

use super::{Clock, KeyError as Error};
use crate::base::{Fingerprint, FingerprintPrefix, Timestamp};
use crate::catalogue::{self, Database};
use crate::keys::{
    DefinitionKey, DefinitionKeyHolder, DefinitionKeyName, ExportedKey, KeyOrigin, KeyRing, KeyRow, KeyState, KeyTable,
    definition_key_for_new, definition_key_of, unwrap_rows,
};

/// How often a change is tried that another command's change got in the way of.
const TRIES: usize = 5;

/// Database keys, for operators.
pub struct KeyOps {
    database: Arc<dyn Database>,
    holder: Arc<dyn DefinitionKeyHolder>,
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
    /// When a backup of it was last written; none when none ever was.
    pub exported_at: Option<Timestamp>,
}

/// What became of the keys of an export.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Those that were not here, and the states in which they are now.
    pub added: Vec<(Fingerprint, KeyState)>,
    /// Those that were here, and stay as they are.
    pub there: Vec<Fingerprint>,
}

/// What became of a key whose state was to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// The key.
    pub fingerprint: Fingerprint,
    /// The state that it has now.
    pub state: KeyState,
    /// Whether it had that state before.
    pub is_old: bool,
    /// How many recordings need it.
    pub recordings: u64,
    /// Whether no key is left to seal new recordings under.
    pub leaves_none_active: bool,
}

impl KeyOps {
    /// Over the keys in `database`, wrapped by the definition key that `holder` holds.
    #[must_use]
    pub fn new(database: Arc<dyn Database>, holder: Arc<dyn DefinitionKeyHolder>, clock: Clock) -> Self {
        Self { database, holder, clock }
    }

    /// Generates a database key. It refuses when the keys that are there cannot be unwrapped: a table under two
    /// definition keys would lock a server out.
    ///
    /// # Errors
    ///
    /// The database or the definition key.
    pub async fn generate(&self) -> Result<KeyRow, Error> {
        for _ in 0..TRIES {
            let table = self.verified_table().await?;
            let definition_key = definition_key_for_new(&table, &*self.holder).await?;
            let row = KeyRow::generate(&*definition_key, (self.clock)()).await?;
            match self.database.add_keys(std::slice::from_ref(&row)).await {
                Err(catalogue::Error::KeysChanged) => {}
                other => return other.map(|_| row).map_err(Error::from),
            }
        }
        Err(catalogue::Error::KeysChanged.into())
    }

    /// Every database key, oldest first. No recording is looked at.
    ///
    /// # Errors
    ///
    /// The database or the definition key.
    pub async fn list(&self) -> Result<Vec<KeySummary>, Error> {
        let table = self.database.load_keys().await?;
        let ring = KeyRing::load(&table, &*self.holder).await?;
        Ok(summaries(table, &ring))
    }

    /// The same, where `ring` says which one wraps: no key is unwrapped.
    ///
    /// # Errors
    ///
    /// The database.
    pub async fn list_by(&self, ring: &KeyRing) -> Result<Vec<KeySummary>, Error> {
        Ok(summaries(self.database.load_keys().await?, ring))
    }

    /// How many recordings need each key; those that none needs are not in it. Every recording is counted.
    ///
    /// # Errors
    ///
    /// The database.
    pub async fn recordings(&self) -> Result<HashMap<Fingerprint, u64>, Error> {
        let usage = self.database.key_usage().await?;
        Ok(usage.into_iter().map(|usage| (usage.fingerprint, usage.recordings)).collect())
    }

    /// Activates a key, or deactivates it: that is refused while recordings need it, unless `despite_recordings`.
    ///
    /// # Errors
    ///
    /// No key, or more than one, begins so; [`catalogue::Error::KeyNeeded`]; the database or the definition key.
    pub async fn change_state(
        &self,
        key: &FingerprintPrefix,
        state: KeyState,
        despite_recordings: bool,
    ) -> Result<StateChange, Error> {
        for _ in 0..TRIES {
            let table = self.verified_table().await?;
            let row = find(&table, key)?;
            let others_active =
                table.rows.iter().any(|other| other.fingerprint != row.fingerprint && other.state == KeyState::Active);
            let change = |is_old, recordings| StateChange {
                fingerprint: row.fingerprint,
                state,
                is_old,
                recordings,
                leaves_none_active: state == KeyState::Deactivated && !others_active,
            };
            if row.state == state {
                return Ok(change(true, self.database.key_usage_of(&row.fingerprint).await?));
            }
            let definition_key = definition_key_of(row, &*self.holder).await?;
            let new = row.with_state(state, &*definition_key).await?;
            match self.database.change_key_state(row, &new, despite_recordings).await {
                Err(catalogue::Error::KeysChanged) => {}
                outcome => return Ok(change(false, outcome?)),
            }
        }
        Err(catalogue::Error::KeysChanged.into())
    }

    /// Database keys out of their rows, for a backup: those named, or all.
    ///
    /// # Errors
    ///
    /// No key, or more than one, begins so; there is none at all; the database or the definition key.
    pub async fn export(&self, keys: &[FingerprintPrefix]) -> Result<Vec<ExportedKey>, Error> {
        let table = self.verified_table().await?;
        let named = keys.iter().map(|key| find(&table, key)).collect::<Result<Vec<_>, _>>()?;
        let is_wanted = |row: &&KeyRow| keys.is_empty() || named.iter().any(|one| one.fingerprint == row.fingerprint);
        let mut exported = Vec::new();
        for row in table.rows.iter().filter(is_wanted) {
            let key = row.unwrap(&*definition_key_of(row, &*self.holder).await?).await?;
            exported.push(ExportedKey {
                fingerprint: row.fingerprint,
                key,
                created_at: row.created_at,
                state: row.state,
            });
        }
        if exported.is_empty() { Err(Error::NoKey) } else { Ok(exported) }
    }

    /// Says of keys that a backup of them was written now.
    ///
    /// # Errors
    ///
    /// The database.
    pub async fn mark_exported(&self, fingerprints: &[Fingerprint]) -> Result<(), Error> {
        Ok(self.database.mark_exported(fingerprints, (self.clock)()).await?)
    }

    /// Adds the keys of an export that are not here yet, all or none; those that are here stay as they are.
    ///
    /// # Errors
    ///
    /// [`Error::NothingNew`] when every one of them is here; the database or the definition key.
    pub async fn import(&self, keys: &[ExportedKey]) -> Result<Imported, Error> {
        for _ in 0..TRIES {
            let table = self.verified_table().await?;
            let is_here = |key: &&ExportedKey| table.rows.iter().any(|row| row.fingerprint == key.fingerprint);
            let there: Vec<Fingerprint> = keys.iter().filter(is_here).map(|key| key.fingerprint).collect();
            if there.len() == keys.len() {
                return Err(Error::NothingNew(there.len()));
            }
            let definition_key = definition_key_for_new(&table, &*self.holder).await?;
            let mut rows = Vec::new();
            for ExportedKey { key, created_at, state, .. } in keys.iter().filter(|key| !is_here(key)) {
                rows.push(KeyRow::import(&*definition_key, key, *created_at, *state, (self.clock)()).await?);
            }
            match self.database.add_keys(&rows).await {
                Err(catalogue::Error::KeysChanged) => {}
                Ok(meanwhile) if !meanwhile.is_empty() => {}
                outcome => {
                    let _none_were_there = outcome?;
                    return Ok(Imported {
                        added: rows.iter().map(|row| (row.fingerprint, row.state)).collect(),
                        there,
                    });
                }
            }
        }
        Err(catalogue::Error::KeysChanged.into())
    }

    /// Whether every database key could be moved to another definition key, as far as rows tell: the one that wraps them
    /// now; none where there is no row.
    ///
    /// # Errors
    ///
    /// [`Error::SeveralDefinitionKeys`], or the database.
    pub async fn check_exchange(&self) -> Result<Option<DefinitionKeyName>, Error> {
        let rows = self.database.load_keys().await?.rows;
        refuse_several(&rows)?;
        Ok(rows.into_iter().next().map(|row| row.definition_key))
    }

    /// Wraps every database key by `to` instead of the definition key that wraps it now; all or none. Gives how many
    /// were not wrapped by it before. When it returns, each has been unwrapped with `to`: nothing needs the other key.
    ///
    /// # Errors
    ///
    /// Those of [`Self::check_exchange`], or a definition key.
    pub async fn exchange_definition_key(&self, to: &dyn DefinitionKey) -> Result<usize, Error> {
        for _ in 0..TRIES {
            let table = self.database.load_keys().await?;
            refuse_several(&table.rows)?;
            if table.rows.iter().all(|row| row.definition_key == *to.name()) {
                return self.see_all_under(to).await.map(|()| 0);
            }
            let keys = unwrap_rows(&table.rows.iter().collect::<Vec<_>>(), &*self.holder).await?;
            let new = KeyRow::wrap_all(&table.rows, keys, to).await?;
            match self.database.replace_keys(&table.rows, &new).await {
                Err(catalogue::Error::KeysChanged) => {}
                outcome => {
                    outcome?;
                    return self.see_all_under(to).await.map(|()| new.len());
                }
            }
        }
        Err(catalogue::Error::KeysChanged.into())
    }

    /// Unwraps every database key with `to`. What a row names is not bound by its wrapping.
    async fn see_all_under(&self, to: &dyn DefinitionKey) -> Result<(), Error> {
        let rows = self.database.load_keys().await?.rows;
        KeyRow::unwrap_all(&rows.iter().collect::<Vec<_>>(), to).await?;
        Ok(())
    }

    /// The whole fingerprint of a key that is here.
    ///
    /// # Errors
    ///
    /// No key, or more than one, begins so; the database.
    pub async fn resolve(&self, key: &FingerprintPrefix) -> Result<Fingerprint, Error> {
        Ok(find(&self.database.load_keys().await?, key)?.fingerprint)
    }

    /// The table, when every row in it verifies.
    async fn verified_table(&self) -> Result<KeyTable, Error> {
        let table = self.database.load_keys().await?;
        KeyRing::load(&table, &*self.holder).await?;
        Ok(table)
    }
}

fn summaries(table: KeyTable, ring: &KeyRing) -> Vec<KeySummary> {
    let wrapping = ring.sealing().ok().flatten().map(|key| key.fingerprint);
    let summary = |row: KeyRow| KeySummary {
        fingerprint: row.fingerprint,
        created_at: row.created_at,
        origin: row.origin,
        state: row.state,
        wraps_new: wrapping == Some(row.fingerprint),
        exported_at: row.exported_at,
    };
    table.rows.into_iter().map(summary).collect()
}

/// Refuses rows under more than one definition key, whichever they are. An exchange writes all rows or none, and a row is
/// added only under the key of those that are there, so no program left them so; to wrap them anew would make authentic
/// what somebody wrote who has an old definition key, or the one that everybody has.
fn refuse_several(rows: &[KeyRow]) -> Result<(), Error> {
    let mut wrapped: Vec<(DefinitionKeyName, Vec<Fingerprint>)> = Vec::new();
    for row in rows {
        match wrapped.iter_mut().find(|(name, _)| *name == row.definition_key) {
            Some((_, its)) => its.push(row.fingerprint),
            None => wrapped.push((row.definition_key.clone(), vec![row.fingerprint])),
        }
    }
    if wrapped.len() > 1 { Err(Error::SeveralDefinitionKeys(wrapped)) } else { Ok(()) }
}

/// The one row whose fingerprint begins so.
fn find<'a>(table: &'a KeyTable, key: &FingerprintPrefix) -> Result<&'a KeyRow, Error> {
    let mut matching = table.rows.iter().filter(|row| key.matches(&row.fingerprint));
    match (matching.next(), matching.next()) {
        (Some(row), None) => Ok(row),
        (Some(_), Some(_)) => Err(Error::AmbiguousKey(key.clone())),
        (None, _) => Err(Error::UnknownKey(key.clone())),
    }
}
