//! What playing remembers, and how much of it: rows of the catalogue, and recordings that are open.
//!
//! Both are bounded by memory, and what is open also by descriptors. Knows nothing of how a recording is opened.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use moka::{Entry, future::Cache};
use tokio::time::{MissedTickBehavior, interval};

use super::{Error, Playback};
use crate::base::RecordingId;
use crate::catalogue::{About, Content, Metadata, Recording, Replacement};
use crate::sealed::HEADER_LEN;
use crate::service::meter::METER;

/// How many bytes of rows are remembered: about 65,000 of the usual length.
const ROWS_BYTES_MAX: u64 = 64 << 20;
/// How many recordings stay open when nobody reads from them: each holds a descriptor.
pub(super) const OPENED_MAX: u64 = 512;
/// The same of those that are being written.
pub(super) const GROWING_MAX: u64 = 128;
/// What one of them takes at most, its path included.
const OPENED_BYTES: u32 = 4096;
/// How long an opened recording that nobody asks for stays open.
const OPENED_IDLE: Duration = Duration::from_secs(60);
/// What an entry takes beside what is in it, as `benches/scale.rs` saw memory grow: its places in the cache, and what
/// the allocator adds to each of its ten pieces.
const ENTRY_BYTES: usize = 732;
/// How often what is due is done when nobody asks for anything, and what is remembered is counted.
const TICK: Duration = Duration::from_secs(1);
/// How many recordings that were open are forgotten at the earliest.
const PRUNED_FROM: usize = 1024;

/// Rows, each with the epoch in which it was read.
pub(super) type Rows = Cache<RecordingId, (u64, Arc<Recording>)>;
pub(super) fn rows() -> Rows {
    Rows::builder()
        .max_capacity(ROWS_BYTES_MAX)
        .weigher(|_, (_, row)| row_bytes(row))
        .eviction_listener(|_, _, cause| METER.rows.count_removal(cause.was_evicted()))
        .build()
}

/// What a remembered row takes, its key included.
fn row_bytes(row: &Recording) -> u32 {
    let header_len = match row.content {
        Content::Sealed { replacement: Some(Replacement::Header { .. }), .. } => HEADER_LEN,
        Content::Sealed { .. } | Content::Plain { .. } => 0,
    };
    let fixed = ENTRY_BYTES + size_of::<RecordingId>() + size_of::<Recording>();
    let about = row.about.as_ref().map_or(0, |about| about_bytes(about));
    let texts = 2 * row.id.as_str().len() + row.media_type.as_str().len() + about;
    u32::try_from(fixed + texts + header_len).unwrap_or(u32::MAX)
}

/// What is known beside, and the allocations that it takes.
fn about_bytes(about: &About) -> usize {
    let Metadata { started_at, duration_s: _, direction, parties, agent, group, tags } = &about.metadata;
    let single = [started_at, direction, agent, group].into_iter().flatten();
    let texts = single.chain(parties).chain(tags).map(String::len);
    let names = about.sidecars.iter().map(|name| name.as_str().len());
    size_of::<About>() + texts.chain(names).map(|len| size_of::<String>() + 16 + len).sum::<usize>()
}

impl Playback {
    /// Lets go of what was not used for a while, and shows how much is remembered, until it is dropped: the caches do
    /// neither of it while nobody asks for anything.
    pub async fn upkeep(self: Arc<Self>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.rows.run_pending_tasks().await;
            self.opened.cache.run_pending_tasks().await;
            self.growing.cache.run_pending_tasks().await;
            METER.rows.show(self.rows.entry_count(), self.rows.weighted_size(), ROWS_BYTES_MAX);
            let limit = (OPENED_MAX + GROWING_MAX) * u64::from(OPENED_BYTES);
            let (opened, growing) = (&self.opened.cache, &self.growing.cache);
            let weighted_size = opened.weighted_size() + growing.weighted_size();
            METER.opened.show(opened.entry_count() + growing.entry_count(), weighted_size, limit);
            METER.show_open(self.opened.in_use.count() + self.growing.in_use.count());
            self.buffers.show();
        }
    }
}

/// What is open, each known by all that must be the same. Concurrent opens are one.
pub(super) struct Shared<K, V> {
    cache: Cache<K, Arc<V>>,
    in_use: InUse<K, V>,
}

impl<K: Clone + Eq + Hash + Send + Sync + 'static, V: Send + Sync + 'static> Shared<K, V> {
    /// Keeps up to `max` open that nobody uses.
    pub(super) fn new(max: u64) -> Self {
        let cache = Cache::builder()
            .max_capacity(max * u64::from(OPENED_BYTES))
            .weigher(|_, _| OPENED_BYTES)
            .time_to_idle(OPENED_IDLE)
            .eviction_listener(|_, _, cause| METER.opened.count_removal(cause.was_evicted()))
            .build();
        Self { cache, in_use: InUse(Mutex::new(Open { by_key: HashMap::new(), full: 0 })) }
    }

    /// What is open under `key`, if anything is and the cache knows it.
    pub(super) async fn get(&self, key: &K) -> Option<Arc<V>> {
        let opened = self.cache.get(key).await;
        if opened.is_some() {
            METER.opened.count(true);
        }
        opened
    }

    /// What is open under `key`, or else what `opening` opens. Those who ask meanwhile wait for it.
    pub(super) async fn get_or_open(
        &self,
        key: &K,
        opening: impl Future<Output = Result<Arc<V>, Error>>,
    ) -> Result<Arc<V>, Error> {
        let is_new = AtomicBool::new(false);
        let find_or_open = async {
            if let Some(open) = self.in_use.find(key) {
                return Ok(open);
            }
            is_new.store(true, Ordering::Relaxed);
            let opened = opening.await?;
            self.in_use.note(key, &opened);
            Ok(opened)
        };
        let opened = self.cache.entry_by_ref(key).or_try_insert_with(find_or_open).await;
        METER.opened.count(opened.is_ok() && !is_new.load(Ordering::Relaxed));
        opened.map(Entry::into_value).map_err(|error: Arc<Error>| Error::clone(&error))
    }

    /// Forgets one; who uses it goes on.
    pub(super) async fn forget(&self, key: &K) {
        self.in_use.lock().by_key.remove(key);
        self.cache.invalidate(key).await;
    }
}

/// Everything that is open, also when the cache has let go of it: as long as somebody plays it, whoever comes
/// shares it, so that there is one descriptor for each recording and not for each player.
struct InUse<K, V>(Mutex<Open<K, V>>);

struct Open<K, V> {
    by_key: HashMap<K, Weak<V>>,
    /// At how many entries those that nobody has any more are looked for.
    full: usize,
}

impl<K: Clone + Eq + Hash, V> InUse<K, V> {
    fn find(&self, key: &K) -> Option<Arc<V>> {
        self.lock().by_key.get(key)?.upgrade()
    }

    fn note(&self, key: &K, opened: &Arc<V>) {
        let mut open = self.lock();
        if open.by_key.len() >= open.full {
            open.prune();
        }
        open.by_key.insert(key.clone(), Arc::downgrade(opened));
    }

    /// How many there are.
    fn count(&self) -> usize {
        let mut open = self.lock();
        open.prune();
        open.by_key.len()
    }

    /// A thread that panicked left it whole.
    fn lock(&self) -> MutexGuard<'_, Open<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash, V> Open<K, V> {
    /// Twice as many may come before it is done again: it costs each of them the same, however many there are.
    fn prune(&mut self) {
        self.by_key.retain(|_, opened| opened.strong_count() > 0);
        self.full = PRUNED_FROM.max(2 * self.by_key.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Fingerprint, SealId, Timestamp};
    use crate::catalogue::RecordingState;

    fn row(id: &str, replacement: Option<Replacement>) -> Recording {
        Recording {
            id: id.parse().expect("an ID"),
            media_type: "audio/ogg; codecs=opus".parse().expect("a media type"),
            media_len: 1,
            state: RecordingState::Complete,
            mended: false,
            created_at: Timestamp::MAX,
            content: Content::Sealed { fingerprint: Fingerprint([1; 32]), seal_id: SealId([2; 16]), replacement },
            spool: None,
            about: None,
        }
    }

    #[test]
    fn rows_weigh_what_they_take() {
        let usual = row_bytes(&row("team-17.2026-11-25.0001", None));
        assert!((900..=1024).contains(&usual), "{usual} bytes: 65,000 of them are remembered");
        let long = "x".repeat(RecordingId::LEN_MAX);
        assert_eq!(row_bytes(&row(&long, None)) - usual, 2 * (128 - 23));
        let header = Replacement::Header { fingerprint: Fingerprint([3; 32]), header: Box::new([0; HEADER_LEN]) };
        assert_eq!(row_bytes(&row(&long, Some(header))) - row_bytes(&row(&long, None)), 512);
    }

    /// However many there are, and however long.
    #[tokio::test]
    async fn rows_are_bounded_by_memory() {
        for (len, count) in [(8, 200_000_u64), (RecordingId::LEN_MAX, 100_000)] {
            let rows = rows();
            for number in 0..count {
                let id = format!("{number:0len$}");
                rows.insert(id.parse().expect("an ID"), (0, Arc::new(row(&id, None)))).await;
            }
            rows.run_pending_tasks().await;
            let each = u64::from(row_bytes(&row(&"0".repeat(len), None)));
            assert_eq!(rows.weighted_size(), rows.entry_count() * each);
            assert!(rows.weighted_size() <= ROWS_BYTES_MAX, "{} bytes", rows.weighted_size());
            assert!(
                rows.weighted_size() > ROWS_BYTES_MAX - each,
                "{} bytes: no room is left empty",
                rows.weighted_size()
            );
        }
    }
}
