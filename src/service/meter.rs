//! What playing counts: handles, resolved once.
//!
//! Names and meanings are in [`crate::base::metrics`]; where the counts go is decided in `cli`.

use std::sync::LazyLock;

use metrics::{Counter, counter};

use crate::base::{Fingerprint, metrics as names};
use crate::sealed::Corruption;

/// How much of a fingerprint tells keys apart: the ring holds a handful.
const FINGERPRINT_DIGITS: usize = 16;
const KINDS: [&str; 5] = ["header", "place", "end", "chunk", "length"];

/// The counters of the playback path.
pub(super) struct Meter {
    pub rows: Lookups,
    pub opened: Lookups,
    pub key_checks: Checks,
    failures: [Counter; KINDS.len()],
}

/// How often something was checked.
pub(super) struct Checks {
    ok: Counter,
    failed: Counter,
}

/// How often a cache knew.
pub(super) struct Lookups {
    hits: Counter,
    misses: Counter,
}

/// Resolved when the first recording is opened or a server starts, after the recorder is in its place.
pub(super) static METER: LazyLock<Meter> = LazyLock::new(|| Meter {
    rows: Lookups::of("rows"),
    opened: Lookups::of("opened"),
    key_checks: Checks {
        ok: counter!(names::KEY_RING_CHECKS, "outcome" => "ok"),
        failed: counter!(names::KEY_RING_CHECKS, "outcome" => "failed"),
    },
    failures: KINDS.map(|kind| counter!(names::VERIFICATION_FAILURES, "kind" => kind)),
});

impl Meter {
    /// Counts stored bytes that are not what was written.
    pub(super) fn count_failure(&self, corruption: &Corruption) {
        let kind = kind(corruption);
        if let Some(failures) = KINDS.iter().position(|name| *name == kind).and_then(|at| self.failures.get(at)) {
            failures.increment(1);
        }
    }
}

impl Checks {
    pub(super) fn count(&self, is_ok: bool) {
        if is_ok { self.ok.increment(1) } else { self.failed.increment(1) }
    }
}

impl Lookups {
    fn of(cache: &'static str) -> Self {
        Self {
            hits: counter!(names::CACHE_HITS, "cache" => cache),
            misses: counter!(names::CACHE_MISSES, "cache" => cache),
        }
    }

    pub(super) fn count(&self, is_hit: bool) {
        if is_hit { self.hits.increment(1) } else { self.misses.increment(1) }
    }
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
