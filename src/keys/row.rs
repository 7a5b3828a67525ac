//! Database keys as they lie in their rows.

use core::iter;

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
        // What is missing in a short answer did not verify.
        let keys = definition_key.unwrap_all(&bound).await?.into_iter().chain(iter::repeat(None));
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
    use super::*;
    use crate::crypto::unwrap_row_key;
    use crate::keys::LocalDefinitionKey;
    use crate::keys::tests::{ready, time};

    fn definition_key(byte: u8) -> LocalDefinitionKey {
        LocalDefinitionKey::new(Key::take(&mut [byte; 32]))
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

    /// The associated data byte by byte: a row that is there already opens with no other.
    #[test]
    fn a_row_is_bound_as_is_promised() {
        let opens = |row: &KeyRow, rest: [u8; 10]| {
            let aad = [&b"sealtape/v1/database-key-row"[..], &row.fingerprint.0, &rest].concat();
            let key = unwrap_row_key(&Key::take(&mut [1; 32]), &row.wrapped, &aad);
            key.is_ok_and(|key| database_key_fingerprint(&key) == row.fingerprint)
        };
        let at = time(0x0102_0304_0506);
        let generated = ready(KeyRow::generate(&definition_key(1), at)).expect("generates");
        assert!(opens(&generated, [0, 0, 1, 2, 3, 4, 5, 6, 0, 0]));
        let generated = ready(generated.with_state(KeyState::Deactivated, &definition_key(1))).expect("changes");
        assert!(opens(&generated, [0, 0, 1, 2, 3, 4, 5, 6, 0, 1]));
        for (state, byte) in [(KeyState::Active, 0), (KeyState::Deactivated, 1)] {
            let row = ready(KeyRow::import(&definition_key(1), &Key::take(&mut [7; 32]), at, state, time(9)));
            assert!(opens(&row.expect("imports"), [0, 0, 1, 2, 3, 4, 5, 6, 1, byte]));
        }
    }

    #[test]
    fn rows_say_what_became_of_their_keys() {
        let key = Key::take(&mut [7; 32]);
        let generated = ready(KeyRow::generate(&definition_key(1), time(5))).expect("generates");
        assert_eq!((generated.origin, generated.state), (KeyOrigin::Generated, KeyState::Active));
        assert_eq!((generated.created_at, generated.exported_at), (time(5), None));

        let row = ready(KeyRow::import(&definition_key(1), &key, time(5), KeyState::Deactivated, time(9)));
        let row = row.expect("imports");
        assert_eq!((row.origin, row.state), (KeyOrigin::Imported, KeyState::Deactivated));
        assert_eq!((row.created_at, row.exported_at), (time(5), Some(time(9))), "its export is a backup");
        assert_eq!(row.fingerprint, database_key_fingerprint(&key));

        let active = ready(row.with_state(KeyState::Active, &definition_key(1))).expect("changes");
        assert_eq!(ready(active.unwrap(&definition_key(1))).as_ref().ok(), Some(&key));
        assert_eq!(active, KeyRow { state: KeyState::Active, wrapped: active.wrapped.clone(), ..row.clone() });
        let forged = KeyRow { state: KeyState::Active, ..row };
        assert!(ready(forged.with_state(KeyState::Deactivated, &definition_key(1))).is_err(), "it is verified first");
    }

    #[test]
    fn rows_move_to_another_definition_key_all_or_none() {
        let (from, to) = (definition_key(1), definition_key(2));
        let rows = [1, 2, 3].map(|at| ready(KeyRow::generate(&from, time(at))).expect("generates"));
        let all: Vec<&KeyRow> = rows.iter().collect();
        let keys = ready(KeyRow::unwrap_all(&all, &from)).expect("unwraps");
        let moved = ready(KeyRow::wrap_all(&rows, keys.clone(), &to)).expect("wraps");
        assert_eq!((keys.len(), moved.len()), (3, 3));
        for ((row, moved), key) in rows.iter().zip(&moved).zip(&keys) {
            assert_eq!(database_key_fingerprint(key), row.fingerprint, "in their order");
            assert_eq!(ready(moved.unwrap(&to)).as_ref().ok(), Some(key));
            let back = KeyRow { definition_key: from.name().clone(), wrapped: row.wrapped.clone(), ..moved.clone() };
            assert_eq!(back, *row, "nothing else changes");
        }
        let mixed = [&rows[0], &moved[1]];
        let error = ready(KeyRow::unwrap_all(&mixed, &from)).expect_err("another key's");
        assert!(matches!(error, Error::OtherDefinitionKey { fingerprint, .. } if fingerprint == rows[1].fingerprint));
        let forged = KeyRow { state: KeyState::Deactivated, ..rows[2].clone() };
        let error = ready(KeyRow::unwrap_all(&[&rows[0], &forged], &from)).expect_err("forged");
        assert!(matches!(error, Error::RowNotAuthentic(fingerprint) if fingerprint == rows[2].fingerprint));
    }

    /// A key manager that answers so, whatever it is asked.
    struct Answering(DefinitionKeyName, Vec<Option<Key>>);

    #[async_trait::async_trait]
    impl DefinitionKey for Answering {
        fn name(&self) -> &DefinitionKeyName {
            &self.0
        }

        async fn wrap(&self, _: &Key, _: &[u8]) -> Result<WrappedRowKey, Error> {
            Ok(WrappedRowKey { nonce: vec![1; 12], ciphertext: [1; 48] })
        }

        async fn unwrap(&self, _: &WrappedRowKey, _: &[u8]) -> Result<Option<Key>, Error> {
            Ok(self.1.first().cloned().flatten())
        }

        async fn unwrap_all(&self, _: &[(WrappedRowKey, Vec<u8>)]) -> Result<Vec<Option<Key>>, Error> {
            Ok(self.1.clone())
        }
    }

    #[test]
    fn a_key_that_is_not_the_rows_is_refused_whoever_unwraps_it() {
        let far = |answers| Answering(DefinitionKeyName("far".into()), answers);
        let (key, other_key) = (Key::take(&mut [7; 32]), Key::take(&mut [8; 32]));
        let row = |key| ready(KeyRow::import(&far(vec![]), key, time(1), KeyState::Active, time(1))).expect("imports");
        let (row, other) = (row(&key), row(&other_key));
        let [key, other_key] = [key, other_key].map(Some);

        assert_eq!(ready(row.unwrap(&far(vec![key.clone()]))).ok(), key);
        let both = vec![key.clone(), other_key.clone()];
        assert!(ready(KeyRow::unwrap_all(&[&row, &other], &far(both))).is_ok_and(|keys| keys.len() == 2));

        let refused = |error| matches!(error, Error::RowNotAuthentic(fingerprint) if fingerprint == other.fingerprint);
        for answer in [vec![key.clone()], vec![None], vec![]] {
            assert!(ready(other.unwrap(&far(answer))).is_err_and(refused));
        }
        // The last is an answer that is too short.
        for answers in [vec![key.clone(), key.clone()], vec![key.clone(), None], vec![key.clone()]] {
            assert!(ready(KeyRow::unwrap_all(&[&row, &other], &far(answers))).is_err_and(refused));
        }
    }

    /// Rows and exports that are there hold these words.
    #[test]
    fn origins_and_states_are_written_as_ever() {
        assert_eq!([KeyOrigin::Generated, KeyOrigin::Imported].map(KeyOrigin::as_str), ["generated", "imported"]);
        assert_eq!([KeyState::Active, KeyState::Deactivated].map(KeyState::as_str), ["active", "deactivated"]);
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
