//! Keeps the key ring: loaded at start, looked at again when the database changes, at intervals, and when asked.
//!
//! The first load is fatal when it fails; a later one keeps what is loaded and says so.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;

use super::{back_off::BackOff, meter::METER};
use crate::base::{Fingerprint, FingerprintPrefix};
use crate::catalogue::{self, Database};
use crate::keys::{self, DefinitionKeyHolder, DefinitionKeyName, KeyRing, Switch};

/// How often the database is asked whether anything changed: a change is seen well within a second.
const CHANGE_POLL: Duration = Duration::from_millis(250);
/// How often the holder of the definition key is asked whether it could be used, at most, and while it could not.
const PROBE_INTERVAL: Duration = Duration::from_secs(60);
const PROBE_AGAIN: Duration = Duration::from_secs(5);
/// How long a fruitless look for an unknown fingerprint is remembered.
const FRUITLESS_MEMORY: Duration = Duration::from_secs(1);

/// Why keys could not be loaded, changed or shown.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The operator: the database.
    #[error(transparent)]
    Database(#[from] catalogue::Error),
    /// The operator: the definition key, or a row.
    #[error(transparent)]
    Keys(#[from] keys::Error),
    /// The caller: no key has such a fingerprint.
    #[error("no database key has a fingerprint that begins with {0}")]
    UnknownKey(FingerprintPrefix),
    /// The caller: it does not say which key.
    #[error("more than one database key has a fingerprint that begins with {0}")]
    AmbiguousKey(FingerprintPrefix),
    /// The caller: there is nothing to export.
    #[error("there is no database key")]
    NoKey,
    /// The caller: an export holds nothing that is not here.
    #[error("every key in it ({0}) is here already")]
    NothingNew(usize),
    /// An investigator: an exchange writes every row or none, so somebody else wrote some of them.
    #[error("database keys are wrapped by several definition keys, as no exchange leaves them: {}", listed(.0))]
    SeveralDefinitionKeys(Vec<(DefinitionKeyName, Vec<Fingerprint>)>),
}

fn listed(wrapped: &[(DefinitionKeyName, Vec<Fingerprint>)]) -> String {
    let of_one = |(name, rows): &(DefinitionKeyName, Vec<Fingerprint>)| {
        let rows: Vec<String> = rows.iter().map(ToString::to_string).collect();
        format!("{name} wraps {}", rows.join(", "))
    };
    wrapped.iter().map(of_one).collect::<Vec<_>>().join("; ")
}

/// The key ring of a running process.
pub struct KeyWatch {
    database: Arc<dyn Database>,
    holder: Arc<dyn DefinitionKeyHolder>,
    ring: ArcSwap<KeyRing>,
    /// Grows whenever the database has changed: what was read from it before may be out of date.
    epoch: AtomicU64,
    /// The database's change counter when the ring was last read from it.
    seen: Mutex<Option<u64>>,
    /// The same when the epoch last grew.
    counted: Mutex<Option<u64>>,
    /// Held while the ring is read and replaced, so that an older one never takes a newer one's place.
    reloading: tokio::sync::Mutex<()>,
    /// When keys were last looked for because a fingerprint was unknown, and whether that could be done.
    last_look: tokio::sync::Mutex<Option<(Instant, bool)>>,
    /// When the last refresh began; held while one goes on.
    last_refresh: tokio::sync::Mutex<Option<Instant>>,
    /// Why those who reload by themselves wait, while the definition key is far away and fails.
    back_off: Mutex<Option<BackOff>>,
    health: Mutex<Health>,
}

/// How the last checks went, for `/readyz`.
#[derive(Clone, Debug)]
pub struct Health {
    /// When the ring was last read from the database.
    pub loaded: Instant,
    /// Why the last check failed, when it did.
    pub failure: Option<Failure>,
    /// Why the definition key could not be used when its holder was last asked. Nothing that plays needs it; a start
    /// would, and so would a key that is new.
    pub definition_key: Option<Failure>,
}

/// Why keys could not be checked.
#[derive(Clone, Debug)]
pub struct Failure {
    /// In one word, for whoever may see that something is wrong and not what lies where.
    pub kind: &'static str,
    /// For the log.
    pub reason: String,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let kind = match error {
            Error::Database(_)
            | Error::UnknownKey(_)
            | Error::AmbiguousKey(_)
            | Error::NoKey
            | Error::NothingNew(_)
            | Error::SeveralDefinitionKeys(_) => "database",
            Error::Keys(keys::Error::RowNotAuthentic(_)) => "row-not-authentic",
            Error::Keys(keys::Error::OtherDefinitionKey { .. }) => "other-definition-key",
            Error::Keys(keys::Error::DefinitionKeyUnavailable { .. } | keys::Error::NoRandom) => "definition-key",
        };
        Self { kind, reason: error.to_string() }
    }
}

impl KeyWatch {
    /// Loads every key.
    ///
    /// # Errors
    ///
    /// Why they could not be loaded; nothing should be served then.
    pub async fn load(database: Arc<dyn Database>, holder: Arc<dyn DefinitionKeyHolder>) -> Result<Arc<Self>, Error> {
        // Counted before it is read: a change in between is seen again, never missed.
        let seen = database.change_counter().await.ok();
        let table = database.load_keys().await?;
        if table.rows.is_empty() {
            // Else the first one that is generated, here or beside, would be the first that cannot be had.
            holder.probe().await?;
        }
        let ring = KeyRing::load(&table, &*holder).await?;
        METER.key_checks.count(true);
        Ok(Arc::new(Self {
            database,
            holder,
            ring: ArcSwap::from_pointee(ring),
            epoch: AtomicU64::new(0),
            seen: Mutex::new(seen),
            counted: Mutex::new(seen),
            reloading: tokio::sync::Mutex::new(()),
            last_look: tokio::sync::Mutex::new(None),
            last_refresh: tokio::sync::Mutex::new(None),
            back_off: Mutex::new(None),
            health: Mutex::new(Health { loaded: Instant::now(), failure: None, definition_key: None }),
        }))
    }

    /// The ring as it is now.
    #[must_use]
    pub fn ring(&self) -> Arc<KeyRing> {
        self.ring.load_full()
    }

    /// Grows whenever the database has changed.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// How the last checks went.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads keys and switch again and replaces the ring whole; on failure the old one stays.
    ///
    /// # Errors
    ///
    /// Why they could not be read.
    pub async fn reload(&self) -> Result<(), Error> {
        self.reload_unless_put_off(Duration::ZERO).await
    }

    /// The same, for those who do it by themselves, at such an interval at most: keys that could not be had a moment ago
    /// are not asked for again.
    async fn reload_unless_put_off(&self, interval: Duration) -> Result<(), Error> {
        let _one_at_a_time = self.reloading.lock().await;
        let counter = self.database.change_counter().await.ok();
        // Whatever becomes of the keys, rows that were read before are old if anything has changed.
        if self.may_have_changed(counter) {
            self.epoch.fetch_add(1, Ordering::AcqRel);
        }
        let read = self.read(counter, interval).await;
        METER.key_checks.count(read.is_ok());
        let failure = read.as_ref().err().map(Failure::from);
        match read {
            Ok(ring) => {
                let turned = (self.ring.load().switch() == Switch::Disabled, ring.switch() == Switch::Disabled);
                self.ring.store(ring);
                // A command that turns it is on record; a row that somebody else changed is not.
                match turned {
                    (false, true) => tracing::warn!("encryption was switched off: new recordings stay plain"),
                    (true, false) => tracing::info!("encryption was switched on"),
                    (true, true) | (false, false) => {}
                }
                *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = counter;
                self.note(Ok(()));
                Ok(())
            }
            Err(error) => {
                if let Some(failure) = failure {
                    self.note(Err(failure));
                }
                Err(error)
            }
        }
    }

    /// Reloads if the database says that something changed; for those who are about to seal and do not watch.
    /// While it cannot be asked, what is loaded stays.
    pub async fn refresh(&self) {
        let asked = Instant::now();
        let mut last_refresh = self.last_refresh.lock().await;
        // All who waited for one that had begun already share the next.
        if last_refresh.is_some_and(|begun| begun > asked) {
            return;
        }
        let begun = Instant::now();
        match self.database.change_counter().await {
            Ok(counter) if self.seen() == Some(counter) => {}
            // The one before has just asked somebody far away in vain.
            Ok(counter) if self.is_put_off(Some(counter), Duration::MAX) => {}
            Ok(_) => {
                let was_failing = self.health().failure.is_some();
                if let Err(error) = self.reload_unless_put_off(Duration::MAX).await
                    && !was_failing
                {
                    tracing::warn!(%error, "keys could not be read again; those in memory are used");
                }
            }
            Err(error) => self.note(Err(Failure::from(&Error::from(error)))),
        }
        // Not before: one that was given up half-way has found nothing for those who wait.
        *last_refresh = Some(begun);
    }

    /// Whether rows may be others than when the epoch last grew. A database that was away may be another one.
    fn may_have_changed(&self, counter: Option<u64>) -> bool {
        let before = {
            let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *counted, counter)
        };
        counter.is_none() || before != counter || self.was_database_away()
    }

    fn was_database_away(&self) -> bool {
        self.health().failure.is_some_and(|failure| failure.kind == "database")
    }

    /// Whether it is not time yet for another reload, and the database is as it was.
    fn is_put_off(&self, counter: Option<u64>, interval: Duration) -> bool {
        // One that was away is read again in any case, so that nobody says any more that it is.
        if self.was_database_away() {
            return false;
        }
        let back_off = self.back_off.lock().unwrap_or_else(PoisonError::into_inner);
        back_off.as_ref().is_some_and(|it| it.holds(counter, interval))
    }

    fn seen(&self) -> Option<u64> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks for keys at once, because one is missing. All who wait share one look, and a fruitless one is
    /// remembered for a moment, so that nobody can make the database busy by asking for what is not there.
    ///
    /// Gives whether the database could be asked.
    pub async fn look_again(&self, fingerprint: &Fingerprint) -> bool {
        let asked = Instant::now();
        let mut last_look = self.last_look.lock().await;
        if self.ring().has(fingerprint) {
            return true;
        }
        if let Some((at, could_ask)) = *last_look
            && (at >= asked || asked.duration_since(at) < FRUITLESS_MEMORY)
        {
            return could_ask;
        }
        let could_ask = self.reload().await.is_ok();
        let was_fruitless = !self.ring().has(fingerprint);
        *last_look = was_fruitless.then(|| (Instant::now(), could_ask));
        could_ask
    }

    /// Takes note that the database did not answer somebody else, so that it is looked at soon.
    pub(super) fn note_trouble(&self, error: &catalogue::Error) {
        self.note(Err(Failure::from(&Error::from(error.clone()))));
    }

    /// Watches until it is dropped: reloads when the database says that something changed, and every `interval`; and
    /// beside that asks whether the definition key could be used.
    pub async fn watch(self: Arc<Self>, interval: Duration) {
        tokio::join!(self.watch_changes(interval), self.watch_holder(interval));
    }

    /// Asks the holder of the definition key, for it may be far away. Nothing waits for its answer.
    async fn watch_holder(&self, interval: Duration) {
        let mut was_away = false;
        loop {
            let failure = self.holder.probe().await.err().map(|error| Failure::from(&Error::from(error)));
            let is_away = failure.is_some();
            match (&failure, was_away) {
                (Some(Failure { reason, .. }), false) => {
                    tracing::warn!(%reason, "playing on with the keys in memory; a restart would fail");
                }
                (None, true) => tracing::info!("the definition key can be used again"),
                (Some(_), true) | (None, false) => {}
            }
            was_away = is_away;
            self.health.lock().unwrap_or_else(PoisonError::into_inner).definition_key = failure;
            let pause = if is_away { PROBE_AGAIN } else { PROBE_INTERVAL };
            tokio::time::sleep(pause.min(interval)).await;
        }
    }

    async fn watch_changes(&self, interval: Duration) {
        let mut next_reload = Instant::now() + interval;
        let mut was_away = false;
        loop {
            tokio::time::sleep(CHANGE_POLL).await;
            let counter = self.database.change_counter().await;
            let is_changed = match &counter {
                Ok(counter) => self.seen() != Some(*counter),
                Err(error) => {
                    self.note(Err(Failure::from(&Error::from(error.clone()))));
                    false
                }
            };
            // A database that came back is read again, whether or not anything changed meanwhile.
            let is_back = counter.is_ok() && self.health().failure.is_some();
            let is_put_off = self.is_put_off(counter.ok(), interval);
            if !is_put_off && (is_changed || is_back || Instant::now() >= next_reload) {
                // What comes of it is noted in the health, which is logged below.
                let _noted = self.reload_unless_put_off(interval).await;
                next_reload = Instant::now() + interval;
            }
            match (self.health().failure, was_away) {
                (Some(Failure { reason, .. }), false) => {
                    let age_s = self.health().loaded.elapsed().as_secs();
                    tracing::warn!(%reason, age_s, "keys cannot be checked; playing on with those in memory");
                    was_away = true;
                }
                (None, true) => {
                    tracing::info!("keys are checked again");
                    was_away = false;
                }
                (Some(_), true) | (None, false) => {}
            }
        }
    }

    async fn read(&self, counter: Option<u64>, interval: Duration) -> Result<Arc<KeyRing>, Error> {
        let table = self.database.load_keys().await?;
        let back_off = || self.back_off.lock().unwrap_or_else(PoisonError::into_inner);
        let put_off = back_off().as_mut().and_then(|it| it.holds_for(&table, counter, interval));
        if let Some(error) = put_off {
            return Err(error.into());
        }
        let read = KeyRing::load_after(Some(&self.ring()), &table, &*self.holder).await;
        let mut back_off = back_off();
        let before = back_off.take();
        if let Err(error) = &read
            && self.holder.is_far_away()
        {
            *back_off = Some(BackOff::after(before.as_ref(), table, error.clone(), counter));
        }
        Ok(Arc::new(read?))
    }

    fn note(&self, outcome: Result<(), Failure>) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(()) => {
                health.loaded = Instant::now();
                health.failure = None;
            }
            Err(failure) => health.failure = Some(failure),
        }
    }
}
