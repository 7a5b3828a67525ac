//! Every metric by name, unit and meaning: the one table behind `/metrics`, the manual and the dashboard.
//!
//! Plain data. Who counts is in `service`, `storage`, `http` and `audit`; who renders is in `cli`.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// As Prometheus knows it.
    pub name: &'static str,
    /// How its values are to be read.
    pub kind: MetricKind,
    /// Of its values.
    pub unit: MetricUnit,
    /// What its values are told apart by. No label ever holds an ID, a subject, a link or a token.
    pub labels: &'static [&'static str],
    /// One sentence, for people.
    pub meaning: &'static str,
}

/// How values are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows, from zero at each start.
    Counter,
    /// As it is now.
    Gauge,
    /// Counts in buckets, with a sum.
    Histogram,
}

/// What a value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricUnit {
    /// Things.
    Count,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// 0 or 1.
    Truth,
}

impl MetricKind {
    /// As Prometheus calls it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl MetricUnit {
    /// As the manual calls it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Bytes => "bytes",
            Self::Seconds => "seconds",
            Self::Truth => "0 or 1",
        }
    }
}

macro_rules! metrics {
    ($($(#[doc = $meaning:literal])+ $constant:ident = $name:literal, $kind:ident, $unit:ident, $labels:expr;)*) => {
        $(
            $(#[doc = $meaning])+
            pub const $constant: &str = $name;
        )*

        /// Every metric.
        pub const ALL: &[Metric] = &[$(Metric {
            name: $name,
            kind: MetricKind::$kind,
            unit: MetricUnit::$unit,
            labels: &$labels,
            meaning: concat!($($meaning),+).trim_ascii(),
        },)*];
    };
}

metrics! {
    /// Requests answered, by what was asked for.
    REQUESTS = "sealtape_requests_total", Counter, Count, ["route", "method", "status"];
    /// Problems told to clients, by their code.
    PROBLEMS = "sealtape_problems_total", Counter, Count, ["code"];
    /// From a request's head to the first verified byte of media that it asked for.
    TIME_TO_FIRST_BYTE = "sealtape_time_to_first_byte_seconds", Histogram, Seconds, [];
    /// Media handed to the transport, after verification.
    MEDIA_BYTES = "sealtape_media_bytes_total", Counter, Bytes, [];
    /// Answers with media that are under way.
    STREAMS_ACTIVE = "sealtape_streams_active", Gauge, Count, [];
    /// Listening sessions that are open: players that asked for media within the last half minute.
    SESSIONS_ACTIVE = "sealtape_sessions_active", Gauge, Count, [];
    /// Connections that are open.
    CONNECTIONS_ACTIVE = "sealtape_connections_active", Gauge, Count, [];
    /// Lookups that found what they looked for in memory (catalogue rows, opened recordings, buffers, waveforms) or on the local disk
    /// (ciphertext).
    CACHE_HITS = "sealtape_cache_hits_total", Counter, Count, ["cache"];
    /// Lookups that had to ask the database, the media store, or the system for memory.
    CACHE_MISSES = "sealtape_cache_misses_total", Counter, Count, ["cache"];
    /// Entries that a cache had no room for, or that were not asked for in a while.
    CACHE_EVICTIONS = "sealtape_cache_evictions_total", Counter, Count, ["cache"];
    /// What is kept: catalogue rows, opened recordings, idle buffers, waveforms, files of ciphertext.
    CACHE_ENTRIES = "sealtape_cache_entries", Gauge, Count, ["cache"];
    /// Memory that the entries of a cache are reckoned to take; room on the disk, of ciphertext.
    CACHE_BYTES = "sealtape_cache_bytes", Gauge, Bytes, ["cache"];
    /// Memory that the entries of a cache may take; room on the disk, of ciphertext.
    CACHE_LIMIT = "sealtape_cache_limit_bytes", Gauge, Bytes, ["cache"];
    /// Ciphertext that was read from the local cache.
    CACHE_READ_BYTES = "sealtape_cache_read_bytes_total", Counter, Bytes, [];
    /// Ciphertext that was fetched from the media store for the local cache.
    CACHE_FETCHED_BYTES = "sealtape_cache_fetched_bytes_total", Counter, Bytes, [];
    /// Blocks of ciphertext that are being fetched, each for all who wait for it.
    CACHE_FETCHES_ACTIVE = "sealtape_cache_fetches_active", Gauge, Count, [];
    /// Reads and writes that the disk of the local cache failed; players went on without.
    CACHE_ERRORS = "sealtape_cache_errors_total", Counter, Count, [];
    /// Blocks of the local cache that did not verify, and were given up.
    CACHE_DISTRUSTED = "sealtape_cache_distrusted_total", Counter, Count, [];
    /// Recordings that are open, each with one descriptor: those in the cache, and those that are played.
    RECORDINGS_OPEN = "sealtape_recordings_open", Gauge, Count, [];
    /// Since the key ring was last read from the database.
    KEY_RING_AGE = "sealtape_key_ring_age_seconds", Gauge, Seconds, [];
    /// Whether the last check of keys and switch failed; those in memory are used on.
    KEY_RING_CHECK_FAILED = "sealtape_key_ring_check_failed", Gauge, Truth, [];
    /// Reads of keys and switch from the database: at start, when something changed, at intervals, when asked, and when
    /// a fingerprint is not known.
    KEY_RING_CHECKS = "sealtape_key_ring_checks_total", Counter, Count, ["outcome"];
    /// Database keys in memory, in any state.
    KEYS = "sealtape_keys", Gauge, Count, [];
    /// Reads of sealed recordings by the key that they need: the first 16 digits of its fingerprint.
    KEY_READS = "sealtape_key_reads_total", Counter, Count, ["fingerprint"];
    /// Stored bytes that are not what was written, by where that was seen: header, place, end, chunk, length.
    VERIFICATION_FAILURES = "sealtape_verification_failures_total", Counter, Count, ["kind"];
    /// When all recordings were last scrubbed, in Unix time; 0 before that.
    SCRUB_COMPLETED = "sealtape_scrub_completed_seconds", Gauge, Seconds, [];
    /// Recordings that were scrubbed.
    SCRUB_RECORDINGS = "sealtape_scrub_recordings_total", Counter, Count, [];
    /// Bytes of files that were read for that.
    SCRUB_BYTES = "sealtape_scrub_bytes_total", Counter, Bytes, [];
    /// Faults that the last scrub found, or the one under way.
    SCRUB_FAULTS = "sealtape_scrub_faults", Gauge, Count, ["kind"];
    /// Recordings that lie in plain, by whether they are exempt, and plain files of sealed ones that are still to go
    /// (`left`).
    RECORDINGS_PLAIN = "sealtape_recordings_plain", Gauge, Count, ["kind"];
    /// How long the media store took; reads that memory answers at once are not in it.
    STORAGE_TIME = "sealtape_storage_seconds", Histogram, Seconds, ["operation"];
    /// Operations that the media store failed.
    STORAGE_ERRORS = "sealtape_storage_errors_total", Counter, Count, ["operation"];
    /// Recordings that are being written now.
    RECORDINGS_GROWING = "sealtape_recordings_growing", Gauge, Count, [];
    /// Waveforms that were asked for and not known, by what became of them: made, none (no sound that can be decoded, or not
    /// in time), failed (the recording does not play to its end), abandoned (nobody waited for it any more).
    WAVEFORMS = "sealtape_waveforms_total", Counter, Count, ["outcome"];
    /// Waveforms that are being made now.
    WAVEFORMS_ACTIVE = "sealtape_waveforms_active", Gauge, Count, [];
    /// Media that was taken in, before it was sealed.
    INGESTED_BYTES = "sealtape_ingested_bytes_total", Counter, Bytes, [];
    /// Recordings that came by PUT or from a watch folder, by what became of them: complete, unfinished, failed.
    INGESTS = "sealtape_ingests_total", Counter, Count, ["way", "outcome"];
    /// Recordings that are on disk and wait for the database to be catalogued.
    RECORDINGS_UNCATALOGUED = "sealtape_recordings_uncatalogued", Gauge, Count, [];
    /// Recordings whose media waits in the spool, be it that they are still being recorded.
    SPOOL_RECORDINGS = "sealtape_spool_recordings", Gauge, Count, [];
    /// Bytes of them.
    SPOOL_BYTES = "sealtape_spool_bytes", Gauge, Bytes, [];
    /// Since when the one waits that has ended and waits longest; 0 when none does.
    SPOOL_OLDEST = "sealtape_spool_oldest_seconds", Gauge, Seconds, [];
    /// Uploads out of the spool, by what became of them: stored, failed.
    SPOOL_UPLOADS = "sealtape_spool_uploads_total", Counter, Count, ["outcome"];
    /// Requests that were handed on to the proxy in whose spool a recording lies, by what became of them: answered,
    /// unreachable, refused (no peer, or handed on before), cut.
    FORWARDS = "sealtape_forwards_total", Counter, Count, ["outcome"];
    /// Whether the server is about to stop.
    DRAINING = "sealtape_draining", Gauge, Truth, [];
    /// Always 1; the label says which version this is.
    BUILD_INFO = "sealtape_build_info", Gauge, Truth, ["version"];
    /// Events appended to the playback record.
    AUDIT_EVENTS = "sealtape_audit_events_total", Counter, Count, [];
    /// Events that could not be written, where the settings say to go on without.
    AUDIT_EVENTS_LOST = "sealtape_audit_events_lost_total", Counter, Count, [];
    /// How long it took to make a group of events durable.
    AUDIT_COMMIT_TIME = "sealtape_audit_commit_seconds", Histogram, Seconds, [];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_they_count() {
        let mut names: Vec<&str> = ALL.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len(), "names are unique");
        for Metric { name, kind, unit, meaning, .. } in ALL {
            assert!(name.starts_with("sealtape_"), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == MetricKind::Counter, "{name}");
            assert_eq!(name.contains("_seconds"), *unit == MetricUnit::Seconds, "{name}");
            assert_eq!(name.contains("_bytes"), *unit == MetricUnit::Bytes, "{name}");
            assert!(meaning.ends_with('.') && meaning.chars().next().is_some_and(char::is_uppercase), "{meaning}");
        }
    }
}
