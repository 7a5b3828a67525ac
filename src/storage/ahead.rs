//! What players who read on will ask for next, so that it is on its way before they do.
//!
//! The places of all who share a file are remembered. How it is asked for is the business of whoever knows where the
//! file lies.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Mutex, PoisonError},
};

/// How much is asked for beyond what a player read, at first and at most.
const LEN_MIN: u64 = 256 << 10;
const LEN_MAX: u64 = 4 << 20;
/// How many players of a file are told apart.
const PLAYERS_MAX: usize = 16;

/// For each player of a file, from where it has read to what was asked for; who read last comes first.
#[derive(Default)]
pub(super) struct Ahead(Mutex<VecDeque<Range<u64>>>);

impl Ahead {
    /// What to ask for after a read, if whoever read goes on where a read ended before. Twice as much each time, for the
    /// longer somebody reads on, the likelier it is that they will.
    pub(super) fn next(&self, read: &Range<u64>) -> Range<u64> {
        let mut players = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = players.iter().position(|asked| (asked.start..=asked.end).contains(&read.start));
        let (asked, len) = match same.and_then(|at| players.remove(at)) {
            Some(asked) => (asked.end, (2 * (asked.end - asked.start)).clamp(LEN_MIN, LEN_MAX)),
            // Somebody who asks for one piece here and one there is left alone.
            None => (read.end, 0),
        };
        let wanted = asked.max(read.end)..read.end.saturating_add(len);
        players.truncate(PLAYERS_MAX - 1);
        players.push_front(read.end..wanted.end.max(asked));
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1 << 10;

    #[test]
    fn each_player_who_reads_on_has_ever_more_ahead() {
        let ahead = Ahead::default();
        let (mut asked_to, mut most) = ([0; 4], 0);
        for frame in 0..40 {
            for player in 0..4_u64 {
                let start = player * (1 << 30) + frame * 256 * KIB;
                let read = start..start + 256 * KIB;
                let wanted = ahead.next(&read);
                if frame == 0 {
                    assert!(wanted.is_empty(), "nobody knows yet whether it goes on");
                } else {
                    let before = asked_to[player as usize];
                    assert_eq!(wanted.start, read.end.max(before), "frame {frame}: without a gap, and nothing twice");
                    most = most.max(wanted.end - read.end);
                    asked_to[player as usize] = wanted.end;
                }
            }
        }
        assert_eq!(most, LEN_MAX);
    }

    #[test]
    fn who_asks_here_and_there_has_nothing_read_ahead() {
        let ahead = Ahead::default();
        for n in 0..1000_u64 {
            let start = (n * 7919 % 1000) * 4096 * KIB;
            let wanted = ahead.next(&(start..start + 64 * KIB));
            assert!(wanted.is_empty(), "{wanted:?}");
        }
        assert!(ahead.0.lock().expect("whole").len() <= PLAYERS_MAX);
    }
}
