//! Simulated worlds: ingest and playback over a store, a database and a clock that go wrong in every way they can, driven by
//! a seed, and held against a model of what may be heard and what must be there.
//!
//! No time passes while they wait, so that hundreds of worlds take seconds. `SEALTAPE_TESTS_SEED=N` replays one, and shows
//! all that happened in it; `SEALTAPE_TESTS_FULL=1` goes through ten thousand.

mod actors;
pub mod database;
mod disk;
pub mod fate;
mod model;
mod player;
mod server;
pub mod store;
mod world;

use std::{
    env, panic,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use world::{Outcome, run};

/// Seeds whose worlds once showed a fault.
const ONCE_WRONG: &[u64] = &[
    // Recorded again under the ID of one that was played and purged, it was called damaged while the catalogue was away.
    4577,
    // An import took what a recorder left that had begun after it, and broken off, for a dead import's, and removed it.
    239,
];

fn seeds() -> u64 {
    if env::var_os("SEALTAPE_TESTS_FULL").is_some() { 10_000 } else { 300 }
}

fn run_or_tell(seed: u64) -> Outcome {
    panic::catch_unwind(|| run(seed)).unwrap_or_else(|_| panic!("the world of seed {seed} panicked"))
}

/// The seed's world, when something was wrong in it: what, and the end of the trace.
fn failure(seed: u64) -> Option<String> {
    let Outcome { trace, wrongs } = run_or_tell(seed);
    let last = trace.iter().skip(trace.len().saturating_sub(40));
    let last: Vec<&str> = last.map(String::as_str).collect();
    (!wrongs.is_empty())
        .then(|| format!("SEALTAPE_TESTS_SEED={seed} shows it: {}\n  {}", wrongs.join("; "), last.join("\n  ")))
}

#[test]
fn no_world_breaks_a_promise() {
    if let Ok(seed) = env::var("SEALTAPE_TESTS_SEED") {
        let Outcome { trace, wrongs } = run(seed.parse().expect("SEALTAPE_TESTS_SEED is a number"));
        println!("{}", trace.join("\n"));
        assert!(wrongs.is_empty(), "{wrongs:#?}");
        return;
    }
    let (next, failed) = (AtomicU64::new(0), std::sync::Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds() {
                        return;
                    }
                    if let Some(failure) = failure(seed) {
                        failed.lock().expect("whole").push((seed, failure));
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().expect("whole");
    failed.sort();
    let seeds: Vec<u64> = failed.iter().map(|(seed, _)| *seed).collect();
    assert!(failed.is_empty(), "{} worlds, of seeds {seeds:?}; the first:\n{}", failed.len(), failed[0].1);
}

#[test]
fn what_was_wrong_once_stays_right() {
    let failed: Vec<String> = ONCE_WRONG.iter().filter_map(|seed| failure(*seed)).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Else a seed that failed would show nothing.
#[test]
fn a_seed_is_the_same_world_each_time() {
    for seed in 0..60 {
        let (one, again) = (run_or_tell(seed).trace, run_or_tell(seed).trace);
        let differs = one.iter().zip(&again).find(|(line, other)| line != other);
        assert!(one.len() == again.len() && differs.is_none(), "seed {seed}: {differs:?}");
    }
}
