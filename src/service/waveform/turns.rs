//! Threads that decode: a few at a time, since players need the rest of the machine.
//!
//! A decoder looks at the time between packets alone, and a file can be made for which it is at one of them for hours. Its
//! thread cannot be ended, so that it keeps its turn: what is lost then is waveforms, and not the machine.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

/// Why work has no outcome.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// No turn came in time.
    NoTurn,
    /// It panicked.
    Ended,
    /// It does not come to an end.
    Endless,
}

/// As many turns as there may be threads.
pub(super) struct Turns {
    turns: Arc<Semaphore>,
    /// How long work may take, and how long one waits for a turn.
    time_max: Duration,
}

impl Turns {
    pub(super) fn new(count: usize, time_max: Duration) -> Self {
        Self { turns: Arc::new(Semaphore::new(count)), time_max }
    }

    /// Has a thread do `work` once it has a turn.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Lost> {
        let turn = timeout(self.time_max, Arc::clone(&self.turns).acquire_owned()).await;
        // Never closed.
        let turn = turn.ok().and_then(Result::ok).ok_or(Lost::NoTurn)?;
        let working = spawn_blocking(move || {
            // Held until the work ends, also when nobody waits for it any more.
            let _turn = turn;
            work()
        });
        match timeout(self.time_max, working).await {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(_)) => Err(Lost::Ended),
            Err(_) => Err(Lost::Endless),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// One that never ends costs its turn until it does, and whoever comes meanwhile is told, after a while.
    #[tokio::test]
    async fn what_does_not_end_keeps_its_turn() {
        let patient = Turns::new(1, Duration::from_secs(60));
        assert_eq!(patient.run(|| 1).await, Ok(1));
        assert_eq!(patient.run(|| panic!("as a decoder may")).await, Err::<u8, _>(Lost::Ended));
        assert_eq!(patient.run(|| 2).await, Ok(2), "the turn came back");
        // Of the same turn.
        let hasty = Turns { turns: Arc::clone(&patient.turns), time_max: Duration::from_millis(50) };
        let (end, until) = mpsc::channel::<()>();
        assert_eq!(hasty.run(move || until.recv().is_ok()).await, Err(Lost::Endless));
        let (begun, is_begun) = mpsc::channel::<()>();
        assert_eq!(hasty.run(move || begun.send(()).is_ok()).await, Err(Lost::NoTurn));
        assert!(is_begun.recv().is_err(), "no second thread");
        end.send(()).expect("it waits");
        assert_eq!(patient.run(|| 3).await, Ok(3), "and back again");
    }
}
