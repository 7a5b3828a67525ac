//! The key ring: an immutable snapshot of every database key and of the encryption switch.

use std::collections::HashMap;

use super::{DefinitionKeyHolder, Error, KeyRow, KeyState, KeyTable, unwrap_rows};
use crate::base::{ErrorCode, Fingerprint};
use crate::crypto::Key;

/// The encryption switch, as an operator left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// Never touched: encryption is active as soon as there is a database key.
    Untouched,
    /// Switched on.
    Enabled,
    /// Switched off: new recordings stay plain, sealed ones do not play.
    Disabled,
}

/// Every database key by its fingerprint, and the switch, as they were at one moment. Replaced whole, never changed.
pub struct KeyRing {
    keys: HashMap<Fingerprint, Entry>,
    switch: Switch,
    wrapping: Option<Fingerprint>,
}

struct Entry {
    key: Key,
    /// Where it came from.
    row: KeyRow,
    state: KeyState,
}

/// The database key that wraps the file keys of new recordings.
#[derive(Clone)]
pub struct WrappingKey {
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// The key.
    pub key: Key,
}

/// Encryption is enabled and no active key can wrap: a new recording is refused rather than kept plain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("encryption is enabled and no database key is active")]
pub struct NoActiveKey;

/// Why a sealed recording does not play, though its file may be whole. The first that applies, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpeningRefused {
    /// The operator switched encryption off.
    #[error("encryption is disabled")]
    EncryptionDisabled,
    /// The ring has no such key.
    #[error("no database key has the fingerprint {0}")]
    KeyMissing(Fingerprint),
    /// The operator deactivated the key.
    #[error("database key {0} is deactivated")]
    KeyDeactivated(Fingerprint),
}

impl OpeningRefused {
    /// The name that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::EncryptionDisabled => ErrorCode::EncryptionDisabled,
            Self::KeyMissing(_) => ErrorCode::KeyMissing,
            Self::KeyDeactivated(_) => ErrorCode::KeyDeactivated,
        }
    }

    /// The key that is needed, when one is.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        match self {
            Self::EncryptionDisabled => None,
            Self::KeyMissing(fingerprint) | Self::KeyDeactivated(fingerprint) => Some(*fingerprint),
        }
    }
}

impl KeyRing {
    /// Unwraps every row. One row that does not verify refuses the whole ring: a table that someone changed is not
    /// to be trusted by halves.
    ///
    /// # Errors
    ///
    /// Those of [`unwrap_rows`].
    pub async fn load(table: &KeyTable, holder: &dyn DefinitionKeyHolder) -> Result<Self, Error> {
        Self::load_after(None, table, holder).await
    }

    /// The same, where a ring was loaded `before`: rows that have not changed since were verified then, and their keys
    /// are taken from it. So the holder, which may be far away, is asked for what is new alone.
    ///
    /// # Errors
    ///
    /// Those of [`unwrap_rows`].
    pub async fn load_after(
        before: Option<&Self>,
        table: &KeyTable,
        holder: &dyn DefinitionKeyHolder,
    ) -> Result<Self, Error> {
        let known = |row: &KeyRow| before?.keys.get(&row.fingerprint).filter(|entry| entry.row.is_same(row));
        let new: Vec<&KeyRow> = table.rows.iter().filter(|row| known(row).is_none()).collect();
        let mut unwrapped = unwrap_rows(&new, holder).await?.into_iter();
        let mut keys = HashMap::with_capacity(table.rows.len());
        for row in &table.rows {
            let key = known(row).map(|entry| entry.key.clone()).or_else(|| unwrapped.next());
            let key = key.ok_or(Error::RowNotAuthentic(row.fingerprint))?;
            keys.insert(row.fingerprint, Entry { key, row: row.clone(), state: row.state });
        }
        Ok(Self { keys, switch: table.switch, wrapping: table.wrapping() })
    }

    /// How new recordings are kept: `None` is plain, else sealed under the newest active key generated here, or,
    /// when none was, the newest imported one.
    ///
    /// # Errors
    ///
    /// [`NoActiveKey`] when encryption is enabled and no key is active.
    pub fn sealing(&self) -> Result<Option<WrappingKey>, NoActiveKey> {
        match self.switch {
            Switch::Disabled => Ok(None),
            Switch::Untouched if self.keys.is_empty() => Ok(None),
            Switch::Untouched | Switch::Enabled => self.wrapping().map(Some),
        }
    }

    /// The newest active key, whatever the switch says: for those who wrap anew what is sealed already.
    ///
    /// # Errors
    ///
    /// [`NoActiveKey`].
    pub fn wrapping(&self) -> Result<WrappingKey, NoActiveKey> {
        let fingerprint = self.wrapping.ok_or(NoActiveKey)?;
        let entry = self.keys.get(&fingerprint).ok_or(NoActiveKey)?;
        Ok(WrappingKey { fingerprint, key: entry.key.clone() })
    }

    /// The key that opens what was sealed under `fingerprint`.
    ///
    /// # Errors
    ///
    /// Why it may not, or cannot.
    pub fn opening(&self, fingerprint: &Fingerprint) -> Result<&Key, OpeningRefused> {
        if self.switch == Switch::Disabled {
            return Err(OpeningRefused::EncryptionDisabled);
        }
        self.any(fingerprint)
    }

    /// The same, whatever the switch says: for those who keep an archive in order rather than play from it.
    ///
    /// # Errors
    ///
    /// [`OpeningRefused::KeyMissing`], [`OpeningRefused::KeyDeactivated`].
    pub fn any(&self, fingerprint: &Fingerprint) -> Result<&Key, OpeningRefused> {
        let entry = self.keys.get(fingerprint).ok_or(OpeningRefused::KeyMissing(*fingerprint))?;
        match entry.state {
            KeyState::Active => Ok(&entry.key),
            KeyState::Deactivated => Err(OpeningRefused::KeyDeactivated(*fingerprint)),
        }
    }

    /// The key of that fingerprint, in any state: for those who take recordings away from it.
    ///
    /// # Errors
    ///
    /// [`OpeningRefused::KeyMissing`].
    pub fn held(&self, fingerprint: &Fingerprint) -> Result<&Key, OpeningRefused> {
        self.keys.get(fingerprint).map(|entry| &entry.key).ok_or(OpeningRefused::KeyMissing(*fingerprint))
    }

    /// Whether the ring has a key of that fingerprint, in any state.
    #[must_use]
    pub fn has(&self, fingerprint: &Fingerprint) -> bool {
        self.keys.contains_key(fingerprint)
    }

    /// The switch.
    #[must_use]
    pub fn switch(&self) -> Switch {
        self.switch
    }

    /// Whether sealed recordings play and new ones are sealed, or refused for want of a key.
    #[must_use]
    pub fn is_encrypting(&self) -> bool {
        match self.switch {
            Switch::Enabled => true,
            Switch::Untouched => !self.keys.is_empty(),
            Switch::Disabled => false,
        }
    }

    /// How many keys there are, in any state.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use crate::crypto::WrappedRowKey;
    use crate::keys::{DefinitionKeyName, KeyOrigin};

    fn ring(keys: &[(u8, KeyOrigin, u64, KeyState)], switch: Switch) -> KeyRing {
        let row = |&(byte, origin, millis, state): &(u8, KeyOrigin, u64, KeyState)| KeyRow {
            fingerprint: Fingerprint([byte; 32]),
            created_at: Timestamp::from_millis(millis).expect("in range"),
            origin,
            state,
            definition_key: DefinitionKeyName(String::new()),
            wrapped: WrappedRowKey { nonce: vec![0; 12], ciphertext: [0; 48] },
            exported_at: None,
        };
        let table = KeyTable { rows: keys.iter().map(row).collect(), switch };
        let entry = |row: &KeyRow| {
            let entry = Entry { key: Key::take(&mut [row.fingerprint.0[0]; 32]), row: row.clone(), state: row.state };
            (row.fingerprint, entry)
        };
        let ring = KeyRing { keys: table.rows.iter().map(entry).collect(), switch, wrapping: table.wrapping() };
        assert_eq!(ring.is_encrypting(), table.is_encrypting());
        ring
    }

    fn wraps(ring: &KeyRing) -> Result<Option<u8>, NoActiveKey> {
        Ok(ring.sealing()?.map(|key| key.fingerprint.0[0]))
    }

    use KeyOrigin::{Generated, Imported};
    use KeyState::{Active, Deactivated};

    /// "What is sealed, and when", row by row.
    #[test]
    fn the_table_holds() {
        let mine = Fingerprint([1; 32]);
        let unknown = Fingerprint([9; 32]);

        let untouched = ring(&[], Switch::Untouched);
        assert_eq!(wraps(&untouched), Ok(None));
        assert_eq!(untouched.opening(&mine).err(), Some(OpeningRefused::KeyMissing(mine)));

        for switch in [Switch::Untouched, Switch::Enabled] {
            let active = ring(&[(1, Generated, 1, Active), (2, Generated, 2, Deactivated)], switch);
            assert_eq!(wraps(&active), Ok(Some(1)));
            assert!(active.opening(&mine).is_ok());
            let other = Fingerprint([2; 32]);
            assert_eq!(active.opening(&other).err(), Some(OpeningRefused::KeyDeactivated(other)));
            assert_eq!(active.opening(&unknown).err(), Some(OpeningRefused::KeyMissing(unknown)));

            let none_active = ring(&[(1, Generated, 1, Deactivated)], switch);
            assert_eq!(wraps(&none_active), Err(NoActiveKey));
            assert_eq!(none_active.opening(&mine).err(), Some(OpeningRefused::KeyDeactivated(mine)));
        }

        let disabled = ring(&[(1, Generated, 1, Active)], Switch::Disabled);
        assert_eq!(wraps(&disabled), Ok(None));
        for fingerprint in [mine, unknown] {
            assert_eq!(disabled.opening(&fingerprint).err(), Some(OpeningRefused::EncryptionDisabled));
        }
        assert!(disabled.any(&mine).is_ok());
    }

    #[test]
    fn the_newest_generated_key_wraps() {
        for (keys, expected) in [
            (&[(1, Generated, 5, Active), (2, Generated, 6, Active)][..], 2),
            (&[(1, Generated, 5, Active), (2, Generated, 5, Active)], 2),
            (&[(3, Generated, 5, Active), (2, Generated, 5, Active)], 3),
            (&[(1, Generated, 5, Active), (2, Imported, 9, Active)], 1),
            (&[(1, Generated, 5, Deactivated), (2, Imported, 1, Active), (3, Imported, 2, Active)], 3),
        ] {
            assert_eq!(wraps(&ring(keys, Switch::Untouched)), Ok(Some(expected)));
        }
    }
}
