//! What requests are called: in answers, in the log, in the playback record. Knows no request.

use std::{
    collections::hash_map::RandomState,
    fmt,
    hash::BuildHasher,
    ops::Deref,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use hyper::header::HeaderValue;

/// A request's name: 16 hexadecimal digits, fresh for each request. It is no secret, and grants nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RequestId([u8; LEN]);

const LEN: usize = 16;

/// Numbers requests, and hashes the numbers under a key that the operating system has drawn: names that are as random
/// as drawn ones, for this process and those after it, and none of them asks the system.
struct Names {
    key: RandomState,
    next: AtomicU64,
}

static NAMES: LazyLock<Names> = LazyLock::new(Names::new);

impl RequestId {
    /// A fresh one.
    pub(super) fn fresh() -> Self {
        NAMES.fresh()
    }

    /// As a header says it.
    pub(super) fn to_header(self) -> Option<HeaderValue> {
        HeaderValue::from_bytes(&self.0).ok()
    }
}

impl Deref for RequestId {
    type Target = str;

    fn deref(&self) -> &str {
        // Digits are text.
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl Names {
    fn new() -> Self {
        Self { key: RandomState::new(), next: AtomicU64::new(0) }
    }

    fn fresh(&self) -> RequestId {
        let name = self.key.hash_one(self.next.fetch_add(1, Ordering::Relaxed));
        let mut digits = [0; LEN];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(name.to_be_bytes()) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 0xF)]);
        }
        RequestId(digits)
    }
}

/// The hexadecimal digit of a number below 16.
fn digit(number: u8) -> u8 {
    if number < 10 { b'0' + number } else { b'a' + number - 10 }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_are_the_same_within_a_process_and_across_a_restart() {
        // Another process draws another key, and counts from zero as well.
        let processes = [Names::new(), Names::new()];
        let mut seen = HashSet::new();
        for _ in 0..50_000 {
            for names in &processes {
                let id = names.fresh();
                assert!(id.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')), "{id}");
                assert!(seen.insert(id), "{id} was given before");
            }
        }
        let id = RequestId::fresh();
        assert_eq!(id.to_header().expect("printable"), id.to_string());
    }

    #[test]
    fn a_name_tells_nothing_of_the_next() {
        let names = Names::new();
        let ids: Vec<RequestId> = (0..1000).map(|_| names.fresh()).collect();
        let differing = |pair: &[RequestId]| pair[0].bytes().zip(pair[1].bytes()).filter(|(a, b)| a != b).count();
        let total: usize = ids.windows(2).map(differing).sum();
        // Fifteen sixteenths of 16 digits, of random ones.
        assert!((14_500..15_500).contains(&total), "{total} digits of 999 pairs differ");
    }
}
