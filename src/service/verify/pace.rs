//! How quickly files are read, and whether to go on.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::service::Stop;

/// How much may be made up for after a wait for something else.
const BURST: Duration = Duration::from_millis(500);

/// How files are read: as quickly as they come, or so that nobody else notices.
pub struct Pace {
    stop: Stop,
    heard: Box<dyn Fn(u64) + Send + Sync>,
    limit: Option<Limit>,
}

struct Limit {
    bytes_per_second: u64,
    /// When what was read so far should have been read.
    due: Mutex<Instant>,
}

impl Pace {
    /// As quickly as they come; `heard` is told how many bytes of files were read.
    #[must_use]
    pub fn quick(stop: Stop, heard: impl Fn(u64) + Send + Sync + 'static) -> Self {
        Self { stop, heard: Box::new(heard), limit: None }
    }

    /// So many bytes in a second on the whole, and without filling memory with what nobody else reads.
    #[must_use]
    pub fn slow(stop: Stop, bytes_per_second: u64, heard: impl Fn(u64) + Send + Sync + 'static) -> Self {
        let limit = Limit { bytes_per_second: bytes_per_second.max(1), due: Mutex::new(Instant::now()) };
        Self { stop, heard: Box::new(heard), limit: Some(limit) }
    }

    /// Whether a stop was asked for.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.is_asked()
    }

    pub(super) fn is_slow(&self) -> bool {
        self.limit.is_some()
    }

    /// So many bytes were read: waits for as long as they should have taken; whether to go on.
    pub(super) async fn go_on(&self, bytes: u64) -> bool {
        (self.heard)(bytes);
        if let Some(limit) = &self.limit {
            let due = limit.due(bytes, Instant::now());
            tokio::time::sleep_until(due).await;
        }
        !self.is_stopped()
    }
}

impl Limit {
    fn due(&self, bytes: u64, now: Instant) -> Instant {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second);
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        *due = (*due).max(earliest) + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        *due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_due_at_the_rate_and_little_is_made_up_for() {
        let now = Instant::now();
        let limit = Limit { bytes_per_second: 1000, due: Mutex::new(now) };
        assert_eq!(limit.due(500, now), now + Duration::from_millis(500));
        assert_eq!(limit.due(500, now), now + Duration::from_secs(1));
        let later = now + Duration::from_secs(60);
        assert_eq!(limit.due(1000, later), later - BURST + Duration::from_secs(1));
    }
}
