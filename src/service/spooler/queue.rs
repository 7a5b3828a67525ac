//! What waits to be uploaded, since when, and when each is tried next.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::NotYet;
use crate::base::RecordingId;
use crate::crypto::random;

/// How long after a failure it is tried again: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How often it is looked whether a recording has ended that nobody told of: its writer is another process, or died.
const WRITER_PAUSE: Duration = Duration::from_secs(5);
/// How soon what somebody else is at is looked at again.
const CLAIM_PAUSE: Duration = Duration::from_millis(300);

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Queue(HashMap<RecordingId, Entry>);

#[derive(Debug)]
struct Entry {
    /// Since when it could be in the store; none while it is being recorded, or that is not known.
    ready_since: Option<Instant>,
    failures: u32,
    next: Instant,
    is_under_way: bool,
    /// Whether it ended while it was under way, so that what comes of that is old.
    is_to_try_again: bool,
}

/// What came of trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    NotYet(NotYet),
    Failed,
}

impl Queue {
    /// A recording has ended: it is tried now.
    pub fn ended(&mut self, id: &RecordingId, now: Instant) {
        let entry = self.entry(id, now);
        entry.next = now;
        entry.ready_since.get_or_insert(now);
        entry.is_to_try_again = entry.is_under_way;
    }

    /// This is all that waits, when `is_all`; else there may be more.
    pub fn found(&mut self, ids: impl Iterator<Item = RecordingId>, now: Instant, is_all: bool) {
        let Self(entries) = self;
        let mut left = if is_all { entries.keys().cloned().collect() } else { Vec::new() };
        for id in ids {
            left.retain(|other| *other != id);
            self.entry(&id, now);
        }
        let Self(entries) = self;
        entries.retain(|id, entry| entry.is_under_way || entry.next <= now || !left.contains(id));
    }

    /// Those that are to be tried now; each is told of by [`Self::tried`] before it is due again.
    pub fn take_due(&mut self, now: Instant) -> Vec<RecordingId> {
        let Self(entries) = self;
        let due = entries.iter_mut().filter(|(_, entry)| !entry.is_under_way && entry.next <= now);
        due.map(|(id, entry)| {
            entry.is_under_way = true;
            id.clone()
        })
        .collect()
    }

    /// When the next one is to be tried.
    pub fn next_due(&self) -> Option<Instant> {
        let Self(entries) = self;
        entries.values().filter(|entry| !entry.is_under_way).map(|entry| entry.next).min()
    }

    /// What came of trying one.
    pub fn tried(&mut self, id: &RecordingId, outcome: Outcome, now: Instant) {
        let Self(entries) = self;
        if outcome == Outcome::Done {
            entries.remove(id);
            return;
        }
        let Some(entry) = entries.get_mut(id) else { return };
        entry.is_under_way = false;
        let is_old = core::mem::take(&mut entry.is_to_try_again);
        entry.next = match outcome {
            Outcome::Done => now,
            Outcome::NotYet(_) if is_old => now,
            Outcome::NotYet(NotYet::Claimed) => now + CLAIM_PAUSE,
            Outcome::NotYet(NotYet::BeingRecorded) => {
                (entry.ready_since, entry.failures) = (None, 0);
                now + WRITER_PAUSE
            }
            Outcome::NotYet(NotYet::NotCatalogued | NotYet::OtherFirst) => now + WRITER_PAUSE,
            Outcome::Failed => {
                entry.ready_since.get_or_insert(now);
                entry.failures = entry.failures.saturating_add(1);
                now + pause(entry.failures)
            }
        };
    }

    /// How often an upload failed; none when nothing waits.
    pub fn failures(&self, id: &RecordingId) -> Option<u32> {
        let Self(entries) = self;
        entries.get(id).map(|entry| entry.failures)
    }

    /// How long the one waits that waits longest and could be in the store.
    pub fn oldest(&self, now: Instant) -> Option<Duration> {
        let Self(entries) = self;
        entries.values().filter_map(|entry| entry.ready_since).map(|since| now - since).max()
    }

    fn entry(&mut self, id: &RecordingId, now: Instant) -> &mut Entry {
        let Self(entries) = self;
        let fresh = || Entry { ready_since: None, failures: 0, next: now, is_under_way: false, is_to_try_again: false };
        entries.entry(id.clone()).or_insert_with(fresh)
    }
}

/// Twice as long each time, and not at the same moment for all that waits.
fn pause(failures: u32) -> Duration {
    let longest = PAUSE_MIN.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(PAUSE_MAX);
    // Without random numbers all of it is waited.
    let [part] = random::<1>().unwrap_or([u8::MAX]);
    longest / 2 + longest / 2 * u32::from(part) / u32::from(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> RecordingId {
        text.parse().expect("an ID")
    }

    #[test]
    fn what_fails_is_tried_again_later_and_later_and_for_ever() {
        for failures in 1..200 {
            let longest = Duration::from_millis(500 << (failures - 1).min(20)).min(PAUSE_MAX);
            let pause = pause(failures);
            assert!(pause <= longest && pause >= longest / 2, "{failures}: {pause:?}");
        }
        let pauses: std::collections::HashSet<Duration> = (0..50).map(|_| pause(8)).collect();
        assert!(pauses.len() > 10, "not at the same moment: {pauses:?}");
        let (mut queue, begun) = (Queue::default(), Instant::now());
        queue.ended(&id("a"), begun);
        let mut now = begun;
        for failures in 0..100 {
            assert_eq!(queue.failures(&id("a")), Some(failures));
            assert_eq!(queue.take_due(now), [id("a")]);
            assert_eq!(queue.take_due(now + PAUSE_MAX), [], "it is under way");
            queue.tried(&id("a"), Outcome::Failed, now);
            assert_eq!(queue.take_due(now), [], "not at once");
            now = queue.next_due().expect("it is tried again");
        }
        assert_eq!(queue.oldest(now), Some(now - begun));
        assert_eq!(queue.take_due(now), [id("a")]);
        queue.tried(&id("a"), Outcome::Done, now);
        assert_eq!((queue.failures(&id("a")), queue.oldest(now), queue.next_due()), (None, None, None));
    }

    #[test]
    fn what_is_recorded_does_not_wait_yet_and_what_is_gone_waits_no_more() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.found([id("live"), id("gone")].into_iter(), now, true);
        assert_eq!(queue.take_due(now).len(), 2);
        for of in ["live", "gone"] {
            queue.tried(&id(of), Outcome::NotYet(NotYet::BeingRecorded), now);
        }
        assert_eq!(queue.oldest(now + PAUSE_MAX), None);
        queue.found([id("live")].into_iter(), now, false);
        assert_eq!(queue.failures(&id("gone")), Some(0), "there may be more");
        queue.found([id("live")].into_iter(), now, true);
        assert_eq!((queue.failures(&id("gone")), queue.failures(&id("live"))), (None, Some(0)));
        assert_eq!(queue.take_due(now), [], "its writer is at work");
        queue.ended(&id("live"), now);
        assert_eq!(queue.take_due(now), [id("live")]);
        assert_eq!(queue.oldest(now + WRITER_PAUSE), Some(WRITER_PAUSE));
        // It ends once more, as it were, while it is looked at: what is seen of it then is old.
        queue.ended(&id("live"), now);
        queue.tried(&id("live"), Outcome::NotYet(NotYet::BeingRecorded), now);
        assert_eq!(queue.take_due(now), [id("live")]);
    }
}
