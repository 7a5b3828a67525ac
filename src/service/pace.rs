//! How fast work that nobody waits for may go, so that whoever plays meanwhile has the disk.

use std::{
    num::NonZeroU64,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::Stop;

/// A rate that all who share it keep together.
#[derive(Debug)]
pub struct Pace {
    bytes_per_second: Option<NonZeroU64>,
    /// When what was taken so far is paid for.
    paid_at: Mutex<Option<Instant>>,
}

impl Pace {
    /// At most that many bytes a second; without a limit when there is none.
    #[must_use]
    pub fn new(bytes_per_second: Option<NonZeroU64>) -> Self {
        Self { bytes_per_second, paid_at: Mutex::new(None) }
    }

    /// Takes `bytes`, and returns when those that were taken before are paid for, or when a stop is asked for.
    pub(super) async fn take(&self, bytes: u64, stop: &Stop) {
        let wait = self.wait(bytes, Instant::now());
        if wait > Duration::ZERO {
            let mut stop = stop.clone();
            tokio::select! {
                () = stop.asked() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// How long whoever takes `bytes` at `now` waits first. Time in which nobody took anything is not saved up.
    fn wait(&self, bytes: u64, now: Instant) -> Duration {
        let Some(rate) = self.bytes_per_second else { return Duration::ZERO };
        let price = Duration::from_nanos(
            u64::try_from(u128::from(bytes) * 1_000_000_000 / u128::from(rate.get())).unwrap_or(u64::MAX),
        );
        // Nothing that holds it can panic half-way.
        let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = paid_at.map_or(now, |paid_at| paid_at.max(now));
        *paid_at = begin.checked_add(price).or(Some(begin));
        begin - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_share_it_keep_the_rate_together() {
        let (pace, begun) = (Pace::new(NonZeroU64::new(1_000_000)), Instant::now());
        // Four at a time, each of whom waits as long as it is told to before it takes more.
        let mut at = [begun; 4];
        let mut taken = 0;
        while at.iter().max().is_some_and(|at| *at < begun + Duration::from_secs(10)) {
            let next = at.iter_mut().min().expect("four");
            *next += pace.wait(100_000, *next);
            taken += 100_000;
        }
        assert!((9_900_000..=10_500_000).contains(&taken), "{taken} bytes in 10 s at 1 MB/s");
    }

    #[test]
    fn idle_time_is_not_saved_up_and_no_limit_is_none() {
        let (pace, begun) = (Pace::new(NonZeroU64::new(1000)), Instant::now());
        assert_eq!(pace.wait(1000, begun), Duration::ZERO, "the first waits for nobody");
        assert_eq!(pace.wait(1000, begun), Duration::from_secs(1));
        let later = begun + Duration::from_secs(100);
        assert_eq!(pace.wait(5000, later), Duration::ZERO);
        assert_eq!(pace.wait(1, later), Duration::from_secs(5));
        assert_eq!(Pace::new(None).wait(u64::MAX, begun), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_stop_ends_the_wait() {
        let pace = Pace::new(NonZeroU64::new(1));
        let (sender, stop) = Stop::channel();
        pace.take(1 << 30, &stop).await;
        sender.send(true).expect("heard");
        let waited = tokio::time::timeout(Duration::from_secs(60), pace.take(1, &stop)).await;
        assert!(waited.is_ok(), "years are not waited for");
    }
}
