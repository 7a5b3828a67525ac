//! Database keys as they lie in their rows.

use super::{DefinitionKey, DefinitionKeyName, Error, Switch};
use crate::base::{Fingerprint, Timestamp};
use crate::crypto::{Key, WrappedRowKey, database_key_fingerprint};

const ROW_LABEL: &[u8] = b"sealtape/v1/database-key-row";

/// Where a database key came from. Generated ones come after imported ones, so that the greatest key of an order is the
/// one that wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyOrigin {
    /// Imported from an export.
    Imported,
    /// Generated here.
    Generated,
}

/// Whether a database key may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It opens recordings, and may wrap new ones.
    Active,
    /// It does neither, until it is activated again.
    Deactivated,
}

impl KeyOrigin {
    /// As rows, `--json` and exports write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generated => "generated",
            Self::Imported => "imported",
        }
    }
}

impl KeyState {
    /// As rows, `--json` and exports write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deactivated => "deactivated",
        }
    }
}

/// A database key, wrapped, with what is said of it. All of it but `exported_at` is bound together by the wrapping, so
/// that whoever can write the database but has no definition key can neither swap keys nor change their states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Of the database key.
    pub fingerprint: Fingerprint,
    /// When it was generated, here or where it was exported.
    pub created_at: Timestamp,
    /// Where it came from.
    pub origin: KeyOrigin,
    /// Whether it may be used.
    pub state: KeyState,
    /// Which definition key wraps it.
    pub definition_key: DefinitionKeyName,
    /// The database key under the definition key.
    pub wrapped: WrappedRowKey,
    /// When a backup of it was last written; none when none ever was.
    pub exported_at: Option<Timestamp>,
}

/// All that the database knows of keys, read at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTable {
    /// Every database key.
    pub rows: Vec<KeyRow>,
    /// The encryption switch.
    pub switch: Switch,
}

impl KeyTable {
    /// The key that wraps the file keys of new recordings, as far as rows tell: the newest active one generated here, or,
    /// when none was, the newest imported one.
    #[must_use]
    pub fn wrapping(&self) -> Option<Fingerprint> {
        let active = self.rows.iter().filter(|row| row.state == KeyState::Active);
        let newest = active.max_by_key(|row| (row.origin, row.created_at, row.fingerprint));
        newest.map(|row| row.fingerprint)
    }

    /// Whether sealed recordings play and new ones are sealed, or refused for want of a key.
    #[must_use]
    pub fn is_encrypting(&self) -> bool {
        match self.switch {
            Switch::Enabled => true,
            Switch::Untouched => !self.rows.is_empty(),
            Switch::Disabled => false,
        }
    }
}

impl KeyRow {
    /// A row for a fresh database key, generated now.
    ///
    /// # Errors
    ///
    /// [`Error::NoRandom`], or what the definition key's holder says.
    pub async fn generate(definition_key: &dyn DefinitionKey, now: Timestamp) -> Result<Self, Error> {
        let key = Key::generate()?;
        let row = Self::unwrapped(&key, now, KeyOrigin::Generated, KeyState::Active);
        row.wrap(&key, definition_key).await
    }

    /// A row for a database key that came from an export, where it was generated at `created_at`.
    ///
    /// # Errors
    ///
    /// What the definition key's holder says.
    pub async fn import(
        definition_key: &dyn DefinitionKey,
        key: &Key,
        created_at: Timestamp,
        state: KeyState,
        now: Timestamp,
    ) -> Result<Self, Error> {
        // The export that it came from is a backup of it.
        let row = Self { exported_at: Some(now), ..Self::unwrapped(key, created_at, KeyOrigin::Imported, state) };
        row.wrap(key, definition_key).await
    }

    /// The same key in another state.
    ///
    /// # Errors
    ///
    /// Those of [`Self::unwrap`].
    pub async fn with_state(&self, state: KeyState, definition_key: &dyn DefinitionKey) -> Result<Self, Error> {
        let key = self.unwrap(definition_key).await?;
        Self { state, ..self.clone() }.wrap(&key, definition_key).await
    }

    /// Rows of the same keys, wrapped by another definition key, which is asked once for all.
    ///
    /// # Errors
    ///
    /// What the holder of `to` says.
    pub async fn wrap_all(rows: &[Self], keys: Vec<Key>, to: &dyn DefinitionKey) -> Result<Vec<Self>, Error> {
        let bound: Vec<_> = keys.into_iter().zip(rows).map(|(key, row)| (key, row.aad())).collect();
        let wrapped = to.wrap_all(&bound).await?;
        let with = |(row, wrapped): (&Self, _)| Self { wrapped, definition_key: to.name().clone(), ..row.clone() };
        Ok(rows.iter().zip(wrapped).map(with).collect())
    }

    /// The database keys of rows that this definition key wraps, which is asked once for all.
    ///
    /// # Errors
    ///
    /// Those of [`Self::unwrap`].
    pub async fn unwrap_all(rows: &[&Self], definition_key: &dyn DefinitionKey) -> Result<Vec<Key>, Error> {
        for row in rows {
            row.check_name(definition_key)?;
        }
        let bound: Vec<_> = rows.iter().map(|row| (row.wrapped.clone(), row.aad())).collect();
        let keys = definition_key.unwrap_all(&bound).await?;
        rows.iter().zip(keys).map(|(row, key)| row.checked(key)).collect()
    }

    /// What is said of a key, before it is wrapped.
    fn unwrapped(key: &Key, created_at: Timestamp, origin: KeyOrigin, state: KeyState) -> Self {
        Self {
            fingerprint: database_key_fingerprint(key),
            created_at,
            origin,
            state,
            definition_key: DefinitionKeyName(String::new()),
            wrapped: WrappedRowKey { nonce: vec![0; 12], ciphertext: [0; 48] },
            exported_at: None,
        }
    }

    async fn wrap(self, key: &Key, definition_key: &dyn DefinitionKey) -> Result<Self, Error> {
        let wrapped = definition_key.wrap(key, &self.aad()).await?;
        Ok(Self { wrapped, definition_key: definition_key.name().clone(), ..self })
    }

    /// The database key of this row.
    ///
    /// # Errors
    ///
    /// [`Error::OtherDefinitionKey`] when the row names another one, [`Error::RowNotAuthentic`] when anything in it
    /// was changed, or what the definition key's holder says.
    pub async fn unwrap(&self, definition_key: &dyn DefinitionKey) -> Result<Key, Error> {
        self.check_name(definition_key)?;
        self.checked(definition_key.unwrap(&self.wrapped, &self.aad()).await?)
    }

    /// Whether it is the same row, but for when it was last exported: whoever unwrapped one has the other's key.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Self { exported_at: None, ..self.clone() } == Self { exported_at: None, ..other.clone() }
    }

    fn check_name(&self, definition_key: &dyn DefinitionKey) -> Result<(), Error> {
        if self.definition_key == *definition_key.name() {
            return Ok(());
        }
        Err(Error::OtherDefinitionKey {
            fingerprint: self.fingerprint,
            wrapped_by: self.definition_key.clone(),
            configured: definition_key.name().clone(),
        })
    }

    fn checked(&self, key: Option<Key>) -> Result<Key, Error> {
        match key {
            // The fingerprint is in the associated data already; this holds for key managers that ignore it, too.
            Some(key) if database_key_fingerprint(&key) == self.fingerprint => Ok(key),
            _ => Err(Error::RowNotAuthentic(self.fingerprint)),
        }
    }

    fn aad(&self) -> Vec<u8> {
        aad(&self.fingerprint, self.created_at, self.origin, self.state)
    }
}

/// `label ‖ fingerprint ‖ created_at in ms (8 bytes) ‖ origin (1 byte) ‖ state (1 byte)`
fn aad(fingerprint: &Fingerprint, created_at: Timestamp, origin: KeyOrigin, state: KeyState) -> Vec<u8> {
    let mut aad = ROW_LABEL.to_vec();
    aad.extend_from_slice(&fingerprint.0);
    aad.extend_from_slice(&created_at.millis().to_be_bytes());
    aad.push(match origin {
        KeyOrigin::Generated => 0,
        KeyOrigin::Imported => 1,
    });
    aad.push(match state {
        KeyState::Active => 0,
        KeyState::Deactivated => 1,
    });
    aad
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, task};

    use super::*;
    use crate::keys::LocalDefinitionKey;

    /// Runs a future that never waits: local definition keys do not.
    fn ready<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut task::Context::from_waker(task::Waker::noop())) {
            task::Poll::Ready(output) => output,
            task::Poll::Pending => panic!("a local key does not wait"),
        }
    }

    #[test]
    fn whatever_is_changed_in_a_row_is_noticed() {
        let definition_key = LocalDefinitionKey::new(Key::take(&mut [1; 32]));
        let now = Timestamp::from_millis(1_764_000_000_000).expect("in range");
        let row = ready(KeyRow::generate(&definition_key, now)).expect("generates");
        let key = ready(row.unwrap(&definition_key)).expect("unwraps");
        assert_eq!(database_key_fingerprint(&key), row.fingerprint);

        let other = ready(KeyRow::generate(&definition_key, now)).expect("generates");
        let changed: [(&str, KeyRow); 6] = [
            ("fingerprint", KeyRow { fingerprint: other.fingerprint, ..row.clone() }),
            ("time", KeyRow { created_at: Timestamp::from_millis(1).expect("in range"), ..row.clone() }),
            ("origin", KeyRow { origin: KeyOrigin::Imported, ..row.clone() }),
            ("state", KeyRow { state: KeyState::Deactivated, ..row.clone() }),
            ("key", KeyRow { wrapped: other.wrapped.clone(), ..row.clone() }),
            ("nonce", KeyRow { wrapped: WrappedRowKey { nonce: vec![0; 12], ..row.wrapped.clone() }, ..row.clone() }),
        ];
        for (what, row) in changed {
            assert!(matches!(ready(row.unwrap(&definition_key)), Err(Error::RowNotAuthentic(_))), "{what}");
        }
    }

    #[test]
    fn another_definition_key_is_told_by_name() {
        let definition_key = LocalDefinitionKey::new(Key::take(&mut [1; 32]));
        let other = LocalDefinitionKey::new(Key::take(&mut [2; 32]));
        let row = ready(KeyRow::generate(&definition_key, Timestamp::MAX)).expect("generates");
        let error = ready(row.unwrap(&other)).expect_err("another key");
        assert!(error.to_string().contains(&other.name().0) && error.to_string().contains(&definition_key.name().0));
    }
}
