//! What the cache counts: handles, resolved once.

use std::sync::LazyLock;

use metrics::{Counter, Gauge, counter, gauge};

use super::index::Fill;
use crate::base::metrics as names;

pub(super) struct Meter {
    /// Reads of which a block lay on disk, or was on its way for somebody else.
    pub hits: Counter,
    /// Reads for which a block was fetched.
    pub misses: Counter,
    pub evictions: Counter,
    entries: Gauge,
    bytes: Gauge,
    limit: Gauge,
    pub read_bytes: Counter,
    pub fetched_bytes: Counter,
    fetches: Gauge,
    pub errors: Counter,
    pub distrusted: Counter,
}

/// Resolved when a server starts or a cache is opened, after the recorder is in its place.
pub(super) static METER: LazyLock<Meter> = LazyLock::new(|| Meter {
    hits: counter!(names::CACHE_HITS, "cache" => "ciphertext"),
    misses: counter!(names::CACHE_MISSES, "cache" => "ciphertext"),
    evictions: counter!(names::CACHE_EVICTIONS, "cache" => "ciphertext"),
    entries: gauge!(names::CACHE_ENTRIES, "cache" => "ciphertext"),
    bytes: gauge!(names::CACHE_BYTES, "cache" => "ciphertext"),
    limit: gauge!(names::CACHE_LIMIT, "cache" => "ciphertext"),
    read_bytes: counter!(names::CACHE_READ_BYTES),
    fetched_bytes: counter!(names::CACHE_FETCHED_BYTES),
    fetches: gauge!(names::CACHE_FETCHES_ACTIVE),
    errors: counter!(names::CACHE_ERRORS),
    distrusted: counter!(names::CACHE_DISTRUSTED),
});

impl Meter {
    /// Shows what there is.
    #[expect(clippy::cast_precision_loss, reason = "gauges are such; exact up to nine petabytes")]
    pub(super) fn show(&self, fill: &Fill) {
        self.entries.set(fill.entries as f64);
        self.bytes.set(fill.used_bytes as f64);
        self.limit.set(fill.limit_bytes as f64);
    }
}

/// Counts a fetch for as long as it is under way.
pub(super) struct Fetching(());

impl Fetching {
    pub(super) fn count() -> Self {
        METER.fetches.increment(1);
        Self(())
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        METER.fetches.decrement(1);
    }
}
