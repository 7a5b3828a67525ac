//! Verifies all recordings again and again beside whoever listens, so that damage is found while a backup still has what
//! is lost.
//!
//! One recording at a time, at such a rate that a round takes half of its interval; the next one begins an interval after
//! it did. While the database or the store is away it waits, and goes on where it was. Where it is, is not kept beyond the
//! process: a server that is started anew begins anew.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
    time::Duration,
};

use metrics::{Counter, Gauge, counter, gauge};
use tokio::{sync::watch, time::Instant};

use super::{Checked, Error, Finding, FindingKind, Looks, Pace, Verifier};
use crate::access::RecordingSet;
use crate::base::metrics as names;
use crate::catalogue::Cursor;
use crate::service::{Clock, Stop};

/// How many recordings are told of together: what is done again when the database goes away in the middle.
const PAGE_LEN: u32 = 100;
/// How long it waits while the database or the store is away.
const PATIENCE: Duration = Duration::from_secs(2);
/// The least and the most that is read in a second: a small archive is not stretched over days, and a disk is not kept
/// busy by a large one.
const RATE_MIN: u64 = 1 << 20;
const RATE_MAX: u64 = 64 << 20;

/// Verifies everything at intervals.
pub struct Scrub {
    verifier: Arc<Verifier>,
    interval: Duration,
    clock: Clock,
    /// Never asked for: it ends with the process.
    stop: (watch::Sender<bool>, Stop),
}

/// What a round came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Recordings that were verified.
    pub recordings: u64,
    /// Bytes of media that verified.
    pub bytes: u64,
    /// Faults of each kind.
    pub faults: BTreeMap<FindingKind, u64>,
}

impl Scrub {
    /// One over what `verifier` verifies.
    #[must_use]
    pub fn new(verifier: Arc<Verifier>, interval: Duration, clock: Clock) -> Self {
        Self { verifier, interval, clock, stop: Stop::channel() }
    }

    /// Shows that nothing was scrubbed yet, also where nothing ever will be.
    pub fn announce() {
        LazyLock::force(&METER);
    }

    /// Scrubs until it is dropped; `ended` hears of each round.
    pub async fn run(self, ended: impl Fn(&Round) + Send) {
        loop {
            let begun = Instant::now();
            let round = self.round().await;
            METER.completed.set(seconds((self.clock)().millis()));
            METER.show(&round.faults);
            let faults: u64 = round.faults.values().sum();
            tracing::info!(recordings = round.recordings, faults, took = ?begun.elapsed(), "all recordings were scrubbed");
            ended(&round);
            tokio::time::sleep_until(begun + self.interval).await;
        }
    }

    async fn round(&self) -> Round {
        let bytes = loop {
            match self.verifier.extent().await {
                Ok((_, bytes)) => break bytes,
                Err(error) => wait(&error).await,
            }
        };
        let rate = rate(bytes, self.interval);
        let pace = Arc::new(Pace::slow(self.stop.1.clone(), rate, |bytes| METER.bytes.increment(bytes)));
        let (mut round, mut cursor) = (Round::default(), None);
        loop {
            match self.page(cursor.as_ref(), &pace).await {
                Ok((checked, next)) => {
                    checked.iter().for_each(|checked| round.add(checked));
                    METER.show_at_least(&round.faults);
                    cursor = next;
                    if cursor.is_none() {
                        break;
                    }
                }
                Err(error) => wait(&error).await,
            }
        }
        loop {
            match self.verifier.faults_beside(&pace).await {
                Ok(faults) => {
                    faults.iter().for_each(|checked| round.add_faults(checked));
                    return round;
                }
                Err(error) => wait(&error).await,
            }
        }
    }

    async fn page(&self, after: Option<&Cursor>, pace: &Arc<Pace>) -> Result<(Vec<Checked>, Option<Cursor>), Error> {
        let page = self.verifier.database.recordings(after, PAGE_LEN, &RecordingSet::All).await?;
        let mut all = Vec::with_capacity(page.recordings.len());
        let mut looks = Looks::new(&self.verifier, page.recordings, pace);
        while let Some(checked) = looks.next().await? {
            all.push(checked);
        }
        Ok((all, page.next))
    }
}

impl Round {
    fn add(&mut self, checked: &Checked) {
        self.recordings += 1;
        self.bytes += checked.verified_len;
        METER.recordings.increment(1);
        self.add_faults(checked);
    }

    fn add_faults(&mut self, checked: &Checked) {
        for Finding { id, kind, locations, detail, .. } in checked.findings.iter().filter(|it| it.kind.is_fault()) {
            *self.faults.entry(*kind).or_default() += 1;
            let (id, location) = (id.as_ref().map(ToString::to_string), locations.join(" and "));
            tracing::error!(id, kind = kind.code(), detail, location, "a recording is not what was written");
        }
    }
}

/// Whoever is away is told of in the log by those who need it more.
async fn wait(error: &Error) {
    tracing::debug!(%error, "the scrub waits");
    tokio::time::sleep(PATIENCE).await;
}

/// Bytes in a second.
fn rate(bytes: u64, interval: Duration) -> u64 {
    (bytes / (interval.as_secs() / 2).max(1)).clamp(RATE_MIN, RATE_MAX)
}

struct Meter {
    completed: Gauge,
    recordings: Counter,
    bytes: Counter,
    faults: Vec<(FindingKind, Gauge)>,
}

/// Handles, resolved once, after the recorder is in its place.
static METER: LazyLock<Meter> = LazyLock::new(|| {
    let faults = FindingKind::ALL.iter().filter(|kind| kind.is_fault());
    let meter = Meter {
        completed: gauge!(names::SCRUB_COMPLETED),
        recordings: counter!(names::SCRUB_RECORDINGS),
        bytes: counter!(names::SCRUB_BYTES),
        faults: faults.map(|kind| (*kind, gauge!(names::SCRUB_FAULTS, "kind" => kind.code()))).collect(),
    };
    meter.completed.set(0);
    meter.show(&BTreeMap::new());
    meter
});

impl Meter {
    /// What a whole round found.
    fn show(&self, faults: &BTreeMap<FindingKind, u64>) {
        for (kind, gauge) in &self.faults {
            gauge.set(number(faults, *kind));
        }
    }

    /// What a round under way has found; whether the rest is as it was is not known yet.
    fn show_at_least(&self, faults: &BTreeMap<FindingKind, u64>) {
        for (kind, gauge) in &self.faults {
            let known = number(faults, *kind);
            if known > 0 {
                gauge.set(known);
            }
        }
    }
}

fn number(faults: &BTreeMap<FindingKind, u64>, kind: FindingKind) -> u32 {
    u32::try_from(faults.get(&kind).copied().unwrap_or_default()).unwrap_or(u32::MAX)
}

/// Exactly: times of this age are far below 2^53 milliseconds.
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_takes_half_its_interval_within_bounds() {
        let week = Duration::from_secs(7 * 24 * 60 * 60);
        assert_eq!(rate(302_400 * (20 << 20), week), 20 << 20);
        assert_eq!(rate(1 << 30, week), RATE_MIN);
        assert_eq!(rate(u64::MAX, week), RATE_MAX);
        assert_eq!(rate(100, Duration::from_millis(1)), RATE_MIN);
    }
}
