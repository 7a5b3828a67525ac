//! Simulated worlds: ingest and playback over a store, a database and a clock that go wrong in every way they can, driven by
//! a seed, and held against a model of what may be heard and what must be there.
//!
//! No time passes while they wait, so that hundreds of worlds take seconds. `SEALTAPE_TESTS_SEED=N` replays one, and shows
//! all that happened in it; `SEALTAPE_TESTS_FULL=1` goes through ten thousand.

mod actors;
mod arrival;
mod caretakers;
pub mod database;
mod disk;
pub mod fate;
mod model;
mod peace;
mod player;
mod scripts;
mod server;
pub mod store;
mod tally;
mod world;

use std::{
    env, panic,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use tally::Tally;
use world::{Outcome, run};

fn seeds() -> u64 {
    if env::var_os("SEALTAPE_TESTS_FULL").is_some() { 50_000 } else { 300 }
}

fn run_or_tell(seed: u64) -> Outcome {
    panic::catch_unwind(|| run(seed)).unwrap_or_else(|_| panic!("the world of seed {seed} panicked"))
}

/// What was wrong in a seed's world, and the end of its trace; none when nothing was.
fn failure(seed: u64, Outcome { trace, wrongs, .. }: &Outcome) -> Option<String> {
    let last = trace.iter().skip(trace.len().saturating_sub(40));
    let last: Vec<&str> = last.map(String::as_str).collect();
    (!wrongs.is_empty())
        .then(|| format!("SEALTAPE_TESTS_SEED={seed} shows it: {}\n  {}", wrongs.join("; "), last.join("\n  ")))
}

#[test]
fn no_world_breaks_a_promise() {
    if let Ok(seed) = env::var("SEALTAPE_TESTS_SEED") {
        let Outcome { trace, wrongs, tally } = run(seed.parse().expect("SEALTAPE_TESTS_SEED is a number"));
        println!("{}\n{tally}", trace.join("\n"));
        assert!(wrongs.is_empty(), "{wrongs:#?}");
        return;
    }
    let (next, failed, tally) = (AtomicU64::new(0), Mutex::new(Vec::new()), Mutex::new(Tally::default()));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds() {
                        return;
                    }
                    let outcome = run_or_tell(seed);
                    tally.lock().expect("whole").add(&outcome.tally);
                    if let Some(failure) = failure(seed, &outcome) {
                        failed.lock().expect("whole").push((seed, failure));
                    }
                }
            });
        }
    });
    let (mut failed, tally) = (failed.into_inner().expect("whole"), tally.into_inner().expect("whole"));
    println!("{} worlds\n{tally}", seeds());
    failed.sort();
    let wrong: Vec<u64> = failed.iter().map(|(seed, _)| *seed).collect();
    assert!(failed.is_empty(), "{} worlds, of seeds {wrong:?}; the first:\n{}", failed.len(), failed[0].1);
    let seldom = tally.too_seldom(seeds());
    assert!(seldom.is_empty(), "too little happened for that to show anything: {seldom:#?}");
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
