//! Simulated worlds: ingest and playback over a store, a database and a clock that go wrong in every way they can, driven by
//! a seed, and held against a model of what may be heard and what must be there.
//!
//! No time passes while they wait, so that hundreds of worlds take seconds. `SEALTAPE_TESTS_SEED=N` replays one, and shows
//! all that happened in it, and `A..B` goes through others; `SEALTAPE_TESTS_FULL=1` goes through fifty thousand.

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

use std::sync::Mutex;

use tally::Tally;
use world::{Outcome, run};

use crate::support::seeds::{self, Asked};

/// What was wrong in a world, and the end of its trace.
fn failure(Outcome { trace, wrongs, .. }: &Outcome) -> String {
    let last = &trace[trace.len().saturating_sub(40)..];
    format!("{}\n  {}", wrongs.join("; "), last.join("\n  "))
}

#[test]
fn no_world_breaks_a_promise() {
    let seeds = match seeds::asked(300, 50_000) {
        Asked::One(seed) => {
            let Outcome { trace, wrongs, tally } = run(seed);
            println!("{}\n{tally}", trace.join("\n"));
            return assert!(wrongs.is_empty(), "{wrongs:#?}");
        }
        Asked::Range(seeds) => seeds,
    };
    let tally = Mutex::new(Tally::default());
    let outcome_of = |seed| match run(seed) {
        outcome if outcome.wrongs.is_empty() => Ok(outcome.tally),
        outcome => Err(failure(&outcome)),
    };
    seeds::each(seeds.clone(), outcome_of, |of_one| tally.lock().expect("whole").add(&of_one));
    let tally = tally.into_inner().expect("whole");
    println!("worlds {seeds:?}\n{tally}");
    let seldom = tally.too_seldom(seeds.end - seeds.start);
    assert!(seldom.is_empty(), "too little happened for that to show anything: {seldom:#?}");
}

/// Else a seed that failed would show nothing.
#[test]
fn a_seed_is_the_same_world_each_time() {
    for seed in 0..60 {
        let (one, again) = (run(seed).trace, run(seed).trace);
        let differs = one.iter().zip(&again).find(|(line, other)| line != other);
        assert!(one.len() == again.len() && differs.is_none(), "seed {seed}: {differs:?}");
    }
}
