//! How long whoever reloads by itself waits, when what it last asked for was far away and failed.

use std::time::{Duration, Instant};

use crate::keys::{Error, KeyTable};

/// At first, and at most.
const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);

/// A reload that is put off: the same keys would be asked for in vain.
pub(super) struct BackOff {
    pause: Duration,
    since: Instant,
    /// What could not be had.
    table: KeyTable,
    error: Error,
    /// The database's change counter when the table was last seen to be that one.
    counter: Option<u64>,
}

impl BackOff {
    /// Each time twice as long.
    pub(super) fn after(before: Option<&Self>, table: KeyTable, error: Error, counter: Option<u64>) -> Self {
        let pause = before.map_or(FIRST, |before| before.pause.saturating_mul(2)).min(LONGEST);
        Self { pause, since: Instant::now(), table, error, counter }
    }

    /// Whether it is not time yet, and nothing in the database has changed; nobody waits longer than `interval`.
    pub(super) fn holds(&self, counter: Option<u64>, interval: Duration) -> bool {
        counter == self.counter && self.is_soon(interval)
    }

    /// Why those keys cannot be had, where it is not time yet: recordings come and go in the database, and change nothing
    /// about that.
    pub(super) fn holds_for(&mut self, table: &KeyTable, counter: Option<u64>, interval: Duration) -> Option<Error> {
        if !self.is_soon(interval) || *table != self.table {
            return None;
        }
        self.counter = counter;
        Some(self.error.clone())
    }

    fn is_soon(&self, interval: Duration) -> bool {
        self.since.elapsed() < self.pause.min(interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Switch;

    const NO_MORE: Duration = Duration::MAX;

    fn table(switch: Switch) -> KeyTable {
        KeyTable { rows: Vec::new(), switch }
    }

    fn after(before: Option<&BackOff>) -> BackOff {
        BackOff::after(before, table(Switch::Enabled), Error::NoRandom, Some(7))
    }

    #[test]
    fn it_grows_and_never_outlasts_the_interval() {
        let mut last = after(None);
        assert!(last.holds(Some(7), NO_MORE) && !last.holds(Some(7), Duration::ZERO));
        let mut pauses = vec![last.pause.as_secs()];
        for _ in 0..4 {
            last = after(Some(&last));
            pauses.push(last.pause.as_secs());
        }
        assert_eq!(pauses, [5, 10, 20, 40, 60]);
        let since = Instant::now().checked_sub(FIRST).expect("it runs for longer");
        let mut over = BackOff { since, ..after(None) };
        assert!(!over.holds(Some(7), NO_MORE));
        assert!(over.holds_for(&table(Switch::Enabled), Some(7), NO_MORE).is_none());
    }

    #[test]
    fn what_changes_in_the_database_ends_it_only_where_keys_have_changed() {
        let mut back_off = after(None);
        assert!(!back_off.holds(Some(8), NO_MORE) && !back_off.holds(None, NO_MORE));
        assert!(back_off.holds_for(&table(Switch::Disabled), Some(8), NO_MORE).is_none());
        assert!(back_off.holds_for(&table(Switch::Enabled), Some(8), NO_MORE).is_some());
        assert!(back_off.holds(Some(8), NO_MORE), "and is not looked at again for that");
    }
}
