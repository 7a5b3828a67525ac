//! Rows of several definition keys, and the rings that are loaded from them. What stands first is for the tests of the
//! other files here, too.

use std::{
    collections::BTreeSet,
    pin::pin,
    slice,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task,
};

use async_trait::async_trait;

use super::{
    DefinitionKey, DefinitionKeyHolder, DefinitionKeyName, Error, KeyRing, KeyRow, KeyState, KeyTable,
    LocalDefinitionKey, OpeningRefused, Switch, definition_key_for_new, definition_key_of, unwrap_rows,
};
use crate::base::{ErrorCode, Fingerprint, Timestamp};
use crate::crypto::{Key, WrappedRowKey, database_key_fingerprint};

/// Runs a future that never waits: local definition keys do not.
pub(super) fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut task::Context::from_waker(task::Waker::noop())) {
        task::Poll::Ready(output) => output,
        task::Poll::Pending => panic!("a local key does not wait"),
    }
}

pub(super) fn time(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis).expect("in range")
}

/// A definition key that counts how often it is asked, and for how many keys.
struct Counted {
    key: LocalDefinitionKey,
    asked: AtomicUsize,
    unwrapped: AtomicUsize,
}

#[async_trait]
impl DefinitionKey for Counted {
    fn name(&self) -> &DefinitionKeyName {
        self.key.name()
    }

    async fn wrap(&self, database_key: &Key, aad: &[u8]) -> Result<WrappedRowKey, Error> {
        self.key.wrap(database_key, aad).await
    }

    async fn unwrap(&self, wrapped: &WrappedRowKey, aad: &[u8]) -> Result<Option<Key>, Error> {
        self.key.unwrap(wrapped, aad).await
    }

    async fn unwrap_all(&self, wrapped: &[(WrappedRowKey, Vec<u8>)]) -> Result<Vec<Option<Key>>, Error> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.unwrapped.fetch_add(wrapped.len(), Ordering::Relaxed);
        self.key.unwrap_all(wrapped).await
    }
}

/// Holds two definition keys, the first of which wraps where nothing says otherwise.
struct Two([Arc<Counted>; 2]);

impl Two {
    fn new() -> Self {
        Self([1, 2].map(|byte| {
            let key = LocalDefinitionKey::new(Key::take(&mut [byte; 32]));
            Arc::new(Counted { key, asked: AtomicUsize::new(0), unwrapped: AtomicUsize::new(0) })
        }))
    }

    /// Of each: how often it was asked, and for how many keys, since this was last called.
    fn asked(&self) -> [(usize, usize); 2] {
        let taken = |count: &AtomicUsize| count.swap(0, Ordering::Relaxed);
        [0, 1].map(|at| (taken(&self.0[at].asked), taken(&self.0[at].unwrapped)))
    }

    /// A fresh row, wrapped by the definition key of that place.
    fn row(&self, at: usize, millis: u64) -> KeyRow {
        ready(KeyRow::generate(&*self.0[at], time(millis))).expect("generates")
    }
}

#[async_trait]
impl DefinitionKeyHolder for Two {
    async fn find(&self, name: &DefinitionKeyName) -> Result<Option<Arc<dyn DefinitionKey>>, Error> {
        let found = self.0.iter().find(|key| key.name() == name);
        Ok(found.map(|key| Arc::clone(key) as Arc<dyn DefinitionKey>))
    }

    async fn first(&self) -> Result<Arc<dyn DefinitionKey>, Error> {
        Ok(Arc::clone(&self.0[0]) as Arc<dyn DefinitionKey>)
    }
}

/// A row whose definition key nobody here holds.
fn strange_row() -> KeyRow {
    ready(KeyRow::generate(&LocalDefinitionKey::new(Key::take(&mut [9; 32])), time(1))).expect("generates")
}

fn table(rows: &[KeyRow]) -> KeyTable {
    KeyTable { rows: rows.to_vec(), switch: Switch::Untouched }
}

#[test]
fn keys_come_in_the_order_of_their_rows_and_each_definition_key_is_asked_once() {
    let holder = Two::new();
    let rows = [(0, 1), (1, 2), (0, 3), (1, 4), (1, 5)].map(|(at, millis)| holder.row(at, millis));
    let all: Vec<&KeyRow> = rows.iter().collect();
    let keys = ready(unwrap_rows(&all, &holder)).expect("unwraps");
    let fingerprints: Vec<Fingerprint> = keys.iter().map(database_key_fingerprint).collect();
    assert_eq!(fingerprints, rows.map(|row| row.fingerprint));
    assert_eq!(holder.asked(), [(1, 2), (1, 3)]);
    assert_eq!(ready(unwrap_rows(&[], &holder)).ok(), Some(Vec::new()));
    assert_eq!(holder.asked(), [(0, 0); 2], "nobody is asked for nothing");
}

#[test]
fn a_row_whose_definition_key_is_not_held_refuses_them_all() {
    let holder = Two::new();
    let (mine, strange) = (holder.row(0, 1), strange_row());
    let named = |error| {
        let Error::OtherDefinitionKey { fingerprint, wrapped_by, configured } = error else { return false };
        (fingerprint, &wrapped_by, &configured) == (strange.fingerprint, &strange.definition_key, holder.0[0].name())
    };
    assert!(ready(unwrap_rows(&[&mine, &strange], &holder)).is_err_and(named));
    assert!(ready(definition_key_of(&strange, &holder)).is_err_and(named));
    assert!(ready(definition_key_for_new(&table(slice::from_ref(&strange)), &holder)).is_err_and(named));
    assert!(ready(KeyRing::load(&table(&[mine, strange.clone()]), &holder)).is_err_and(named));
}

/// A table never lies under two definition keys.
#[test]
fn new_rows_are_wrapped_as_those_that_are_there() {
    let holder = Two::new();
    for (rows, at) in [(vec![], 0), (vec![holder.row(0, 1)], 0), (vec![holder.row(1, 1)], 1)] {
        let key = ready(definition_key_for_new(&table(&rows), &holder)).expect("is held");
        assert_eq!(key.name(), holder.0[at].name());
    }
}

#[test]
fn a_ring_opens_what_its_table_says() {
    let holder = Two::new();
    let mut rows = [(0, 1), (1, 2), (1, 3)].map(|(at, millis)| holder.row(at, millis));
    rows[2] = ready(rows[2].with_state(KeyState::Deactivated, &*holder.0[1])).expect("changes");
    let ring = ready(KeyRing::load(&table(&rows), &holder)).expect("loads");
    let [old, new, off] = rows.each_ref().map(|row| row.fingerprint);
    let unknown = Fingerprint([9; 32]);

    let of = |key: Result<&Key, OpeningRefused>| key.map(database_key_fingerprint);
    for known in [old, new] {
        assert_eq!([of(ring.opening(&known)), of(ring.any(&known)), of(ring.held(&known))], [Ok(known); 3]);
    }
    assert_eq!([of(ring.opening(&off)), of(ring.any(&off))], [Err(OpeningRefused::KeyDeactivated(off)); 2]);
    assert_eq!(of(ring.held(&off)), Ok(off), "whoever takes recordings away from it may");
    let missing = Err(OpeningRefused::KeyMissing(unknown));
    assert_eq!([of(ring.opening(&unknown)), of(ring.any(&unknown)), of(ring.held(&unknown))], [missing; 3]);
    assert_eq!([old, new, off, unknown].map(|fingerprint| ring.has(&fingerprint)), [true, true, true, false]);

    let wrapping = ring.sealing().expect("a key is active").expect("encrypting");
    assert_eq!((wrapping.fingerprint, database_key_fingerprint(&wrapping.key)), (new, new));
    assert_eq!((ring.len(), ring.is_empty(), ring.switch()), (3, false, Switch::Untouched));

    let none = ready(KeyRing::load(&table(&[]), &holder)).expect("loads");
    assert_eq!((none.len(), none.is_empty()), (0, true));

    let mut meddled = table(&rows);
    meddled.rows[2].state = KeyState::Active;
    let refused = ready(KeyRing::load(&meddled, &holder));
    assert!(refused.is_err_and(|error| matches!(error, Error::RowNotAuthentic(fingerprint) if fingerprint == off)));
}

#[test]
fn a_holder_is_asked_for_what_is_new_alone() {
    let holder = Two::new();
    let mut rows = vec![holder.row(0, 1), holder.row(0, 2), holder.row(1, 3)];
    let before = ready(KeyRing::load(&table(&rows), &holder)).expect("loads");
    assert_eq!(holder.asked(), [(1, 2), (1, 1)]);

    // A backup changes nothing that is bound.
    rows[0].exported_at = Some(time(7));
    rows.insert(1, holder.row(1, 4));
    rows[2] = ready(rows[2].with_state(KeyState::Deactivated, &*holder.0[0])).expect("changes");
    let after = ready(KeyRing::load_after(Some(&before), &table(&rows), &holder)).expect("loads");
    assert_eq!(holder.asked(), [(1, 1), (1, 1)], "the one that is new, and the one whose state changed");
    for row in &rows {
        assert_eq!(after.held(&row.fingerprint).map(database_key_fingerprint), Ok(row.fingerprint));
    }
    assert!(after.opening(&rows[2].fingerprint).is_err(), "it is deactivated now");

    rows[0].exported_at = Some(time(8));
    rows.pop();
    let after = ready(KeyRing::load_after(Some(&after), &table(&rows), &holder)).expect("loads");
    assert_eq!(
        (holder.asked(), after.len()),
        ([(0, 0); 2], 3),
        "nor does the next one, and a row that is gone is gone"
    );

    // What was verified before says nothing of what was changed since.
    rows[0].state = KeyState::Deactivated;
    assert!(ready(KeyRing::load_after(Some(&after), &table(&rows), &holder)).is_err());
}

#[test]
fn keys_are_wrapped_and_unwrapped_together_as_one_by_one() {
    let key = LocalDefinitionKey::new(Key::take(&mut [1; 32]));
    let bound: Vec<(Key, Vec<u8>)> = (2..5).map(|byte| (Key::take(&mut [byte; 32]), vec![byte])).collect();
    let wrapped = ready(key.wrap_all(&bound)).expect("wraps");
    let nonces: BTreeSet<&[u8]> = wrapped.iter().map(|wrapped| wrapped.nonce.as_slice()).collect();
    assert_eq!((wrapped.len(), nonces.len()), (3, 3), "no nonce twice");
    let mut wrapped: Vec<(WrappedRowKey, Vec<u8>)> = wrapped.into_iter().zip([vec![2], vec![3], vec![4]]).collect();
    let keys: Vec<Option<Key>> = bound.into_iter().map(|(key, _)| Some(key)).collect();
    assert_eq!(ready(key.unwrap_all(&wrapped)).as_ref().ok(), Some(&keys));
    wrapped[1].1 = vec![4];
    let one_bad = [keys[0].clone(), None, keys[2].clone()];
    assert_eq!(ready(key.unwrap_all(&wrapped)).ok().as_deref(), Some(&one_bad[..]));
}

/// Nobody waits before asking one that is at hand again, unless it says that it is far away.
#[test]
fn a_holder_is_at_hand_unless_it_says_otherwise() {
    assert!(!Two::new().is_far_away());
    assert!(ready(Two::new().probe()).is_ok());
}

#[test]
fn refusals_say_what_must_be_done() {
    let fingerprint = Fingerprint([1; 32]);
    for (refused, code, of) in [
        (OpeningRefused::EncryptionDisabled, ErrorCode::EncryptionDisabled, None),
        (OpeningRefused::KeyMissing(fingerprint), ErrorCode::KeyMissing, Some(fingerprint)),
        (OpeningRefused::KeyDeactivated(fingerprint), ErrorCode::KeyDeactivated, Some(fingerprint)),
    ] {
        assert_eq!((refused.code(), refused.fingerprint()), (code, of));
    }
}
