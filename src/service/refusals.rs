//! Refusals, told once in a while: whoever is refused a thousand times a second fills no disk.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::Player;
use crate::audit::{Event, EventKind};
use crate::base::{ErrorCode, RecordingId};

/// How long the same refusal is counted before it is told again.
const WINDOW: Duration = Duration::from_secs(10);
/// How many different refusals of a window are told apart; others are counted by their code.
const TOLD_APART_MAX: usize = 64;

/// The refusals of a window.
pub(super) struct Refusals {
    since: Instant,
    /// By subject and peer, recording and code: the event, and how often it came again.
    told: HashMap<(String, String, ErrorCode), (Event, u64)>,
    /// Those that were one too many to be told apart.
    others: HashMap<ErrorCode, u64>,
}

impl Default for Refusals {
    fn default() -> Self {
        Self { since: Instant::now(), told: HashMap::new(), others: HashMap::new() }
    }
}

impl Refusals {
    /// Adds one; the event to record when it is the first of its kind in this window.
    pub(super) fn add(
        &mut self,
        player: Option<&Player>,
        recording: Option<&RecordingId>,
        code: ErrorCode,
        request_id: &str,
    ) -> Option<Event> {
        let who = player.map_or_else(String::new, |player| format!("{}\n{}", player.subject(), player.peer()));
        let key = (who, recording.map_or_else(String::new, ToString::to_string), code);
        if let Some((_, again)) = self.told.get_mut(&key) {
            *again += 1;
            return None;
        }
        if self.told.len() >= TOLD_APART_MAX {
            *self.others.entry(code).or_default() += 1;
            return None;
        }
        let of = player.map_or_else(|| Event::new(EventKind::Refused), |player| player.event(EventKind::Refused));
        let event = Event { recording: recording.map(ToString::to_string), ..of }.with_code(code);
        self.told.insert(key, (event.clone(), 0));
        let request_ids = if request_id.is_empty() { vec![] } else { vec![request_id.to_owned()] };
        Some(Event { request_ids, ..event })
    }

    /// What the window that is over leaves to tell.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Event> {
        if now.saturating_duration_since(self.since) < WINDOW {
            return Vec::new();
        }
        self.since = now;
        self.sum_up()
    }

    /// What is left to tell: how often each came again.
    pub(super) fn sum_up(&mut self) -> Vec<Event> {
        let again = self.told.drain().filter(|(_, (_, again))| *again > 0);
        let mut events: Vec<Event> = again.map(|(_, (event, again))| Event { count: Some(again), ..event }).collect();
        let others = self.others.drain();
        events.extend(
            others.map(|(code, count)| Event { count: Some(count), ..Event::new(EventKind::Refused) }.with_code(code)),
        );
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_told_once_and_then_counted_and_many_different_ones_are_summed_up() {
        let mut refusals = Refusals::default();
        let id = |text: &str| text.parse::<RecordingId>().expect("an ID");
        let first = refusals.add(None, Some(&id("a")), ErrorCode::KeyMissing, "r1").expect("told");
        assert_eq!((first.code, first.recording.as_deref(), first.count), (Some("key-missing"), Some("a"), None));
        assert_eq!(first.request_ids, ["r1"]);
        for _ in 0..3 {
            assert!(refusals.add(None, Some(&id("a")), ErrorCode::KeyMissing, "r2").is_none());
        }
        let told = (0..1000)
            .filter(|i| refusals.add(None, Some(&id(&format!("x{i}"))), ErrorCode::RecordingNotFound, "r").is_some())
            .count();
        assert_eq!(told, TOLD_APART_MAX - 1);
        assert!(refusals.due(Instant::now()).is_empty(), "the window is not over");
        let due = refusals.due(Instant::now() + WINDOW);
        let counts: Vec<_> = due.iter().map(|event| (event.code, event.count)).collect();
        assert_eq!(counts, [(Some("key-missing"), Some(3)), (Some("recording-not-found"), Some(1000 - told as u64))]);
        assert!(refusals.add(None, Some(&id("a")), ErrorCode::KeyMissing, "r").is_some(), "a window later");
    }
}
