//! What playing and taking in counts: handles, resolved once.
//!
//! Names and meanings are in [`crate::base::metrics`]; where the counts go is decided in `cli`.

use std::{sync::LazyLock, time::Duration};

use metrics::{Counter, Gauge, counter, gauge};

use crate::base::{Fingerprint, metrics as names};
use crate::catalogue::PlainCount;
use crate::sealed::Corruption;

/// How much of a fingerprint tells keys apart, be there thousands.
const FINGERPRINT_DIGITS: usize = 16;
const KINDS: [&str; 5] = ["header", "place", "end", "chunk", "length"];

/// The counters of the playback path.
pub(super) struct Meter {
    pub rows: CacheMeter,
    pub opened: CacheMeter,
    pub buffers: CacheMeter,
    pub waveforms: CacheMeter,
    open: Gauge,
    plain_exempt: Gauge,
    plain_others: Gauge,
    plain_left: Gauge,
    pub key_checks: Checks,
    growing: Gauge,
    waveforms_active: Gauge,
    ingested_bytes: Counter,
    uncatalogued: Gauge,
    spool_recordings: Gauge,
    spool_bytes: Gauge,
    spool_oldest: Gauge,
    failures: [Counter; KINDS.len()],
}

/// How often something was checked.
pub(super) struct Checks {
    ok: Counter,
    failed: Counter,
}

/// What a cache knew, and what it holds.
pub(super) struct CacheMeter {
    hits: Counter,
    misses: Counter,
    evictions: Counter,
    entries: Gauge,
    bytes: Gauge,
    limit: Gauge,
}

/// Resolved when the first recording is opened or a server starts, after the recorder is in its place.
pub(super) static METER: LazyLock<Meter> = LazyLock::new(|| {
    // At zero from the start, so that the first one is seen as a rise.
    for way in [IngestWay::Put, IngestWay::Watch] {
        for outcome in [IngestOutcome::Complete, IngestOutcome::Unfinished, IngestOutcome::Failed] {
            of_ingests(way, outcome).absolute(0);
        }
    }
    for outcome in WaveformOutcome::ALL {
        of_waveforms(outcome).absolute(0);
    }
    for outcome in ["stored", "failed"] {
        counter!(names::SPOOL_UPLOADS, "outcome" => outcome).absolute(0);
    }
    meter()
});

fn meter() -> Meter {
    Meter {
        rows: CacheMeter::of("rows"),
        opened: CacheMeter::of("opened"),
        buffers: CacheMeter::of("buffers"),
        waveforms: CacheMeter::of("waveforms"),
        open: gauge!(names::RECORDINGS_OPEN),
        plain_exempt: gauge!(names::RECORDINGS_PLAIN, "kind" => "exempt"),
        plain_others: gauge!(names::RECORDINGS_PLAIN, "kind" => "not-exempt"),
        plain_left: gauge!(names::RECORDINGS_PLAIN, "kind" => "left"),
        key_checks: Checks {
            ok: counter!(names::KEY_RING_CHECKS, "outcome" => "ok"),
            failed: counter!(names::KEY_RING_CHECKS, "outcome" => "failed"),
        },
        growing: gauge!(names::RECORDINGS_GROWING),
        waveforms_active: gauge!(names::WAVEFORMS_ACTIVE),
        ingested_bytes: counter!(names::INGESTED_BYTES),
        uncatalogued: gauge!(names::RECORDINGS_UNCATALOGUED),
        spool_recordings: gauge!(names::SPOOL_RECORDINGS),
        spool_bytes: gauge!(names::SPOOL_BYTES),
        spool_oldest: gauge!(names::SPOOL_OLDEST),
        failures: KINDS.map(|kind| counter!(names::VERIFICATION_FAILURES, "kind" => kind)),
    }
}

impl Meter {
    /// Shows how many recordings are open.
    pub(super) fn show_open(&self, count: usize) {
        self.open.set(as_gauge(count as u64));
    }

    /// Shows how many recordings lie in plain.
    pub(super) fn show_plain(&self, count: &PlainCount) {
        self.plain_exempt.set(as_gauge(count.exempt));
        self.plain_others.set(as_gauge(count.others));
        self.plain_left.set(as_gauge(count.left));
    }

    /// Shows how many recordings wait for the catalogue.
    pub(super) fn uncatalogued(&self, count: usize) {
        self.uncatalogued.set(as_gauge(count as u64));
    }

    /// Shows how much is in the spool.
    pub(super) fn show_spool(&self, recordings: usize, len_bytes: u64) {
        self.spool_recordings.set(as_gauge(recordings as u64));
        self.spool_bytes.set(as_gauge(len_bytes));
    }

    /// Shows how long the one in the spool waits that waits longest.
    pub(super) fn show_spool_age(&self, age: Duration) {
        self.spool_oldest.set(age.as_secs_f64());
    }

    /// Counts media that came.
    pub(super) fn count_ingested(&self, len_bytes: usize) {
        self.ingested_bytes.increment(len_bytes as u64);
    }

    /// Counts stored bytes that are not what was written.
    pub(super) fn count_failure(&self, corruption: &Corruption) {
        let kind = kind(corruption);
        if let Some(failures) = KINDS.iter().position(|name| *name == kind).and_then(|at| self.failures.get(at)) {
            failures.increment(1);
        }
    }
}

/// What became of a waveform that was to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaveformOutcome {
    /// It is known.
    Made,
    /// There is nothing to be seen.
    Nothing,
    /// The recording does not play to its end.
    Failed,
    /// Nobody waited for it any more.
    Abandoned,
}

impl WaveformOutcome {
    const ALL: [Self; 4] = [Self::Made, Self::Nothing, Self::Failed, Self::Abandoned];
}

/// Counts what became of one.
pub(super) fn count_waveform(outcome: WaveformOutcome) {
    of_waveforms(outcome).increment(1);
}

fn of_waveforms(outcome: WaveformOutcome) -> Counter {
    let outcome = match outcome {
        WaveformOutcome::Made => "made",
        WaveformOutcome::Nothing => "none",
        WaveformOutcome::Failed => "failed",
        WaveformOutcome::Abandoned => "abandoned",
    };
    counter!(names::WAVEFORMS, "outcome" => outcome)
}

/// Counts a waveform for as long as it is made.
pub(super) struct ActiveWaveform(());

impl ActiveWaveform {
    pub(super) fn count() -> Self {
        METER.waveforms_active.increment(1);
        Self(())
    }
}

impl Drop for ActiveWaveform {
    fn drop(&mut self) {
        METER.waveforms_active.decrement(1);
    }
}

/// Counts a recording for as long as it is written.
pub(super) struct Growing(());

impl Growing {
    pub(super) fn count() -> Self {
        METER.growing.increment(1);
        Self(())
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        METER.growing.decrement(1);
    }
}

/// By which way a server takes recordings in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IngestWay {
    /// A request.
    Put,
    /// A watch folder.
    Watch,
}

/// What became of one that was to be taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IngestOutcome {
    /// All of it is kept.
    Complete,
    /// What came of it is kept.
    Unfinished,
    /// Nothing of it is kept.
    Failed,
}

/// Counts what became of one.
pub fn count_ingest(way: IngestWay, outcome: IngestOutcome) {
    of_ingests(way, outcome).increment(1);
}

fn of_ingests(way: IngestWay, outcome: IngestOutcome) -> Counter {
    let way = match way {
        IngestWay::Put => "put",
        IngestWay::Watch => "watch",
    };
    let outcome = match outcome {
        IngestOutcome::Complete => "complete",
        IngestOutcome::Unfinished => "unfinished",
        IngestOutcome::Failed => "failed",
    };
    counter!(names::INGESTS, "way" => way, "outcome" => outcome)
}

impl Checks {
    pub(super) fn count(&self, is_ok: bool) {
        if is_ok { self.ok.increment(1) } else { self.failed.increment(1) }
    }
}

impl CacheMeter {
    fn of(cache: &'static str) -> Self {
        Self {
            hits: counter!(names::CACHE_HITS, "cache" => cache),
            misses: counter!(names::CACHE_MISSES, "cache" => cache),
            evictions: counter!(names::CACHE_EVICTIONS, "cache" => cache),
            entries: gauge!(names::CACHE_ENTRIES, "cache" => cache),
            bytes: gauge!(names::CACHE_BYTES, "cache" => cache),
            limit: gauge!(names::CACHE_LIMIT, "cache" => cache),
        }
    }

    pub(super) fn count(&self, is_hit: bool) {
        if is_hit { self.hits.increment(1) } else { self.misses.increment(1) }
    }

    /// Counts an entry that is not there any more, if it was the cache that had no room or no time for it.
    pub(super) fn count_removal(&self, is_eviction: bool) {
        if is_eviction {
            self.evictions.increment(1);
        }
    }

    /// Shows what it holds, and how many bytes it may hold.
    pub(super) fn show(&self, entries: u64, bytes: u64, limit_bytes: u64) {
        self.entries.set(as_gauge(entries));
        self.bytes.set(as_gauge(bytes));
        self.limit.set(as_gauge(limit_bytes));
    }
}

/// What is shown here is far below 2^32.
fn as_gauge(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The counter of reads that need a key. Asked for only when the ring has that key, so there are no more of them than
/// keys ever were on it.
pub(super) fn reads(fingerprint: &Fingerprint) -> Counter {
    let mut digits = fingerprint.to_string();
    digits.truncate(FINGERPRINT_DIGITS);
    counter!(names::KEY_READS, "fingerprint" => digits)
}

fn kind(corruption: &Corruption) -> &'static str {
    match corruption {
        Corruption::ShortHeader
        | Corruption::Magic
        | Corruption::Unwrap
        | Corruption::HeaderTag
        | Corruption::ChunkLen
        | Corruption::Flags
        | Corruption::Role
        | Corruption::Reserved
        | Corruption::SealedAt
        | Corruption::MediaType
        | Corruption::RecordingId
        | Corruption::SidecarName => "header",
        Corruption::OtherId | Corruption::OtherRole | Corruption::OtherSidecar | Corruption::OtherSealing => "place",
        Corruption::NotComplete | Corruption::Tail | Corruption::TooLong => "end",
        Corruption::Chunk(_) => "chunk",
        Corruption::ShortRead => "length",
    }
}
