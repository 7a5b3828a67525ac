//! What a connection is doing, as far as its clock must know: waiting for a request, reading a head, or answering.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hyper::Version;
use tokio::time::Instant;

use super::Timeouts;

/// What a connection is doing. Shared by its bytes, its requests, and the task that watches its clock.
#[derive(Clone)]
pub(super) struct Activity(Arc<Mutex<State>>);

struct State {
    /// Requests that were handed over and whose answers have not ended.
    requests: usize,
    /// Known from the first request on.
    is_http2: bool,
    /// When the head began, or the last request ended.
    since: Instant,
    has_head_begun: bool,
    /// Whether a line of the head has ended.
    has_line_end: bool,
    /// Whether every byte of earlier answers is with the system.
    is_flushed: bool,
}

/// How long one who is told to go may take to go.
const GOODBYE: Duration = Duration::from_secs(2);

/// A request on its way; ends when dropped.
pub(super) struct InFlight(Activity);

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            requests: 0,
            is_http2: false,
            since: Instant::now(),
            has_head_begun: false,
            has_line_end: false,
            is_flushed: true,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request was handed over.
    pub(super) fn begin(&self, version: Version) -> InFlight {
        let mut state = self.state();
        state.requests += 1;
        state.is_http2 = version == Version::HTTP_2;
        state.has_head_begun = false;
        state.is_flushed = false;
        InFlight(self.clone())
    }

    /// Bytes came.
    pub(super) fn read(&self, bytes: &[u8]) {
        let mut state = self.state();
        // Over HTTP/2 bytes come for many reasons; one who sends heads by the byte there gets the idle time.
        if state.requests > 0 || state.is_http2 || bytes.is_empty() {
            return;
        }
        if !state.has_head_begun {
            state.has_head_begun = true;
            state.has_line_end = false;
            state.since = Instant::now();
        }
        state.has_line_end |= bytes.contains(&b'\n');
    }

    /// Bytes were taken.
    pub(super) fn wrote(&self) {
        let mut state = self.state();
        state.is_flushed = false;
        // The end of an answer may be on its way long after its body was given. HTTP/2 writes of its own accord.
        if state.requests == 0 && !state.is_http2 && !state.has_head_begun {
            state.since = Instant::now();
        }
    }

    /// Everything that was written is with the system.
    pub(super) fn flushed(&self) {
        let mut state = self.state();
        state.is_flushed = state.requests == 0;
    }

    /// Whether no answer to any request is on its way, so that what is written now is the protocol's own.
    pub(super) fn is_at_rest(&self) -> bool {
        let state = self.state();
        state.requests == 0 && state.is_flushed
    }

    /// Whether the head that is being read is still in its first line.
    pub(super) fn is_in_first_line(&self) -> bool {
        !self.state().has_line_end
    }

    /// How long the client may take to go once it is told to. Over HTTP/2 the end of an answer may be on its way.
    pub(super) fn goodbye(&self, timeouts: &Timeouts) -> Duration {
        if self.state().is_http2 { GOODBYE.max(timeouts.write) } else { GOODBYE }
    }

    /// When the client has taken too long; none while it waits for us.
    pub(super) fn deadline(&self, timeouts: &Timeouts) -> Option<Instant> {
        let state = self.state();
        match (state.requests, state.has_head_begun) {
            (0, true) => Some(state.since + timeouts.headers),
            // The end of an answer may be on its way: a little of it is taken at least once in `write`.
            (0, false) if !state.is_flushed && !state.is_http2 => Some(state.since + timeouts.idle.max(timeouts.write)),
            (0, false) => Some(state.since + timeouts.idle),
            _ => None,
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.requests -= 1;
        state.since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: Timeouts = Timeouts {
        handshake: Duration::from_secs(1),
        headers: Duration::from_secs(30),
        idle: Duration::from_secs(75),
        write: Duration::from_secs(60),
    };

    /// Whether the deadline lies `seconds` after something that happened just now.
    fn is_from_now(activity: &Activity, seconds: u64) -> bool {
        let deadline = activity.deadline(&TIMEOUTS).expect("a deadline") - Duration::from_secs(seconds);
        deadline.elapsed() < Duration::from_secs(10) && deadline <= Instant::now()
    }

    #[tokio::test]
    async fn each_phase_has_its_own_time() {
        let pass = || tokio::time::sleep(Duration::from_millis(2));
        let activity = Activity::new();
        assert!(is_from_now(&activity, 75), "before the first byte");
        activity.read(b"GET / HT");
        assert!(is_from_now(&activity, 30), "from the first byte of the head");
        assert!(activity.is_in_first_line());
        let deadline = activity.deadline(&TIMEOUTS);
        pass().await;
        activity.read(b"TP/1.1\r\n");
        assert_eq!(activity.deadline(&TIMEOUTS), deadline, "which later ones do not put off");
        assert!(!activity.is_in_first_line() && activity.is_at_rest());
        let request = activity.begin(Version::HTTP_11);
        assert_eq!(activity.deadline(&TIMEOUTS), None, "while it is answered");
        assert!(!activity.is_at_rest());
        drop(request);
        assert!(!activity.is_at_rest(), "its last bytes are not out yet");
        assert!(is_from_now(&activity, 75));
        let deadline = activity.deadline(&TIMEOUTS);
        pass().await;
        activity.wrote();
        activity.flushed();
        assert!(activity.deadline(&TIMEOUTS) > deadline, "from the last byte of the answer");
        assert!(activity.is_at_rest());
    }

    #[tokio::test]
    async fn frames_of_http2_do_not_put_the_idle_time_off() {
        let activity = Activity::new();
        let (first, second) = (activity.begin(Version::HTTP_2), activity.begin(Version::HTTP_2));
        drop(first);
        assert_eq!(activity.deadline(&TIMEOUTS), None);
        drop(second);
        let deadline = activity.deadline(&TIMEOUTS);
        tokio::time::sleep(Duration::from_millis(2)).await;
        activity.read(b"a ping");
        activity.wrote();
        assert_eq!(activity.deadline(&TIMEOUTS), deadline);
    }
}
