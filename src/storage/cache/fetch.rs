//! One fetch for all who wait for a block, which goes on when they leave.
//!
//! A flight looks at the disk first, and fetches what does not lie there or is not what was written. Those who wait get
//! the bytes before they are written down; until they are, whoever comes gets them too.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::spawn_blocking,
};

use super::{
    blocks::{Blocks, len_of},
    key::FileKey,
    meter::{Fetching, METER},
};
use crate::media::{Error, MediaFile};
use crate::sealed::HEADER_LEN;

/// How many blocks are fetched at a time, of all files and of one: a store that hangs on some stalls no others.
const FETCHES_MAX: usize = 256;
pub(super) const FETCHES_OF_FILE_MAX: usize = 16;
/// How many of them for nobody yet.
const AHEAD_MAX: usize = 24;

/// Blocks that are on their way.
pub(super) struct Flights {
    under_way: Mutex<HashMap<(FileKey, u64), Flight>>,
    fetches: Arc<Semaphore>,
    ahead: Arc<Semaphore>,
}

/// One that is.
#[derive(Clone)]
pub(super) struct Flight {
    outcome: watch::Receiver<Option<Outcome>>,
    /// Set when what came does not verify: it is not to be kept.
    is_distrusted: Arc<AtomicBool>,
}

/// A whole block, or why the store does not give it.
pub(super) type Outcome = Result<Arc<Vec<u8>>, Error>;

/// An object whose blocks are fetched.
pub(super) struct Source {
    pub remote: Arc<dyn MediaFile>,
    pub key: FileKey,
    pub len: u64,
    pub blocks: Arc<Blocks>,
    /// Whether what is fetched may be kept.
    pub keeps: Arc<AtomicBool>,
    /// The line of its own fetches.
    pub line: Arc<Semaphore>,
}

impl Default for Flights {
    fn default() -> Self {
        Self {
            under_way: Mutex::default(),
            fetches: Arc::new(Semaphore::new(FETCHES_MAX)),
            ahead: Arc::new(Semaphore::new(AHEAD_MAX)),
        }
    }
}

impl Flights {
    /// A turn to fetch what nobody waits for yet, if there is one.
    pub(super) fn turn_ahead(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.ahead).try_acquire_owned().ok()
    }

    /// Forgets a flight that came with bytes of which `seen`, from `at` of the block on, does not verify. Whether there
    /// is another one that is better waited for.
    pub(super) fn distrust(&self, key: &FileKey, block: u64, at: usize, seen: &[u8]) -> bool {
        let mut under_way = self.lock();
        let Some(flight) = under_way.get(&(*key, block)) else { return false };
        let is_seen = match &*flight.outcome.borrow() {
            None => false,
            Some(Ok(bytes)) => bytes.get(at..).is_some_and(|bytes| bytes.starts_with(seen)),
            Some(Err(_)) => true,
        };
        if is_seen {
            flight.is_distrusted.store(true, Ordering::Release);
            under_way.remove(&(*key, block));
        }
        !is_seen
    }

    /// A thread that panicked left it whole.
    fn lock(&self) -> MutexGuard<'_, HashMap<(FileKey, u64), Flight>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight {
    /// The block, if it has come.
    pub(super) fn outcome_now(&self) -> Option<Outcome> {
        self.outcome.borrow().clone()
    }

    /// The block, when it has come; none when its flight was broken off.
    pub(super) async fn outcome(mut self) -> Option<Outcome> {
        self.outcome.wait_for(Option::is_some).await.ok()?.clone()
    }
}

impl Source {
    /// The part of a block that is kept: all but the header. A header holds a wrapped key, and what is purged must not
    /// have left one behind; and it is what changes when keys do.
    pub(super) fn stored(&self, block: u64) -> Range<u64> {
        let (start, block_len) = (block * self.blocks.block_len, self.blocks.block_len);
        start.max(HEADER_LEN as u64)..(start + block_len).min(self.len)
    }

    /// The flight of a block, and whether it was begun now; `turn` is held by one that nobody waits for. Must be called
    /// within a runtime.
    pub(super) fn flight(self: &Arc<Self>, block: u64, turn: Option<OwnedSemaphorePermit>) -> (Flight, bool) {
        let mut under_way = self.blocks.flights.lock();
        if let Some(flight) = under_way.get(&(self.key, block)) {
            return (flight.clone(), false);
        }
        let (sender, outcome) = watch::channel(None);
        let flight = Flight { outcome, is_distrusted: Arc::default() };
        under_way.insert((self.key, block), flight.clone());
        drop(under_way);
        let landing = Landing { source: Arc::clone(self), block, is_distrusted: Arc::clone(&flight.is_distrusted) };
        tokio::spawn(async move {
            let source = &landing.source;
            let (outcome, is_new) = source.obtain(block, turn.is_some()).await;
            drop(turn);
            sender.send_replace(Some(outcome.clone()));
            if let (Ok(bytes), true) = (outcome, is_new) {
                source.keep(block, bytes, &landing.is_distrusted).await;
            }
        });
        (flight, true)
    }

    /// A block from the disk, or else from the store, and then it is new here.
    async fn obtain(self: &Arc<Self>, block: u64, is_ahead: bool) -> (Outcome, bool) {
        let range = self.stored(block);
        if self.blocks.may_hold(&self.key, block)
            && let Some(turn) = self.blocks.turn_to_read().await
        {
            let (source, stored) = (Arc::clone(self), range.clone());
            let load = move || {
                let _held = turn;
                source.blocks.load(&source.key, block, &stored)
            };
            if let Ok(Some(bytes)) = spawn_blocking(load).await {
                if !is_ahead {
                    METER.hits.increment(1);
                    METER.read_bytes.increment(bytes.len() as u64);
                }
                return (Ok(Arc::new(bytes)), false);
            }
        }
        // The narrow line first, so that one who waits there holds nothing of the wide one. Neither is ever closed.
        let _narrow = self.line.acquire().await;
        let _wide = self.blocks.flights.fetches.acquire().await;
        let _counted = Fetching::count();
        if !is_ahead {
            METER.misses.increment(1);
        }
        let fetched = self.remote.read(range.start, vec![0; len_of(&range)], 0).await;
        if fetched.is_ok() {
            METER.fetched_bytes.increment(range.end - range.start);
        }
        (fetched.map(Arc::new), true)
    }

    /// Writes a block down, unless the disk is slower than the store.
    async fn keep(self: &Arc<Self>, block: u64, bytes: Arc<Vec<u8>>, is_distrusted: &Arc<AtomicBool>) {
        let Ok(turn) = Arc::clone(&self.blocks.writes).try_acquire_owned() else { return };
        let (source, is_distrusted) = (Arc::clone(self), Arc::clone(is_distrusted));
        let write = move || {
            let _held = turn;
            let stored = source.stored(block);
            if !is_distrusted.load(Ordering::Acquire) {
                source.blocks.store(&source.key, block, &stored, &bytes, &source.keeps);
            }
            // Somebody found out meanwhile.
            if is_distrusted.load(Ordering::Acquire) {
                source.blocks.take_away_if(&source.key, stored.start, &bytes);
            }
        };
        // A thread that panicked kept nothing.
        let _kept_or_not = spawn_blocking(write).await;
    }
}

/// Ends a flight, also one that panics.
struct Landing {
    source: Arc<Source>,
    block: u64,
    is_distrusted: Arc<AtomicBool>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let key = (self.source.key, self.block);
        let mut under_way = self.source.blocks.flights.lock();
        // Another one may be on its way in its place.
        if under_way.get(&key).is_some_and(|flight| Arc::ptr_eq(&flight.is_distrusted, &self.is_distrusted)) {
            under_way.remove(&key);
        }
    }
}
