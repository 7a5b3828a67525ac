//! One test over many seeds, two at a time.

use std::{
    collections::BTreeMap,
    env,
    ops::Range,
    panic,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

const NAME: &str = "SEALTAPE_TESTS_SEED";

/// What `SEALTAPE_TESTS_SEED` asks for: one seed, to be looked at, or those from one to before another, `A..B`.
pub enum Asked {
    One(u64),
    Range(Range<u64>),
}

/// The seeds that are asked for by the environment; else from 0 to `full` or to `short`, as `SEALTAPE_TESTS_FULL` has it.
pub fn asked(short: u64, full: u64) -> Asked {
    let number =
        |text: &str| text.parse().unwrap_or_else(|_| panic!("{NAME} is a number, or two: A..B, and not {text}"));
    match env::var(NAME) {
        Ok(text) => match text.split_once("..") {
            Some((first, end)) => {
                let seeds = number(first)..number(end);
                assert!(!seeds.is_empty(), "{NAME}: of {text} there is none, and none shows nothing");
                Asked::Range(seeds)
            }
            None => Asked::One(number(&text)),
        },
        Err(_) => Asked::Range(0..if env::var_os("SEALTAPE_TESTS_FULL").is_some() { full } else { short }),
    }
}

/// Runs each seed, and has `add` take what came of it. Fails when a seed fails or panics, and names all that did, with what
/// the first one said.
pub fn each<T>(
    seeds: Range<u64>,
    run: impl Fn(u64) -> Result<T, String> + Sync + panic::RefUnwindSafe,
    add: impl Fn(T) + Sync,
) {
    let (next, failed) = (AtomicU64::new(seeds.start), Mutex::new(BTreeMap::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let outcome = panic::catch_unwind(|| run(seed)).unwrap_or_else(|told| {
                let said = told.downcast_ref::<String>().map(String::as_str);
                Err(said.or(told.downcast_ref().copied()).unwrap_or("it panicked").to_owned())
            });
            match outcome {
                Ok(outcome) => add(outcome),
                Err(failure) => _ = failed.lock().expect("whole").insert(seed, failure),
            }
        }
    };
    thread::scope(|scope| (0..2).for_each(|_| _ = scope.spawn(work)));
    let failed = failed.into_inner().expect("whole");
    if let Some((seed, failure)) = failed.first_key_value() {
        panic!("{} of the seeds {seeds:?} failed: {:?}\n{NAME}={seed} shows: {failure}", failed.len(), failed.keys());
    }
}

#[test]
fn every_seed_counts_and_the_first_that_fails_is_told() {
    let sum = AtomicU64::new(0);
    each(3..103, Ok, |seed| _ = sum.fetch_add(seed, Ordering::Relaxed));
    assert_eq!(sum.into_inner(), (3..103).sum::<u64>());
    let bad = |seed| match seed {
        7 => panic!("seven panics"),
        9 => Err("nine fails".to_owned()),
        _ => Ok(()),
    };
    let told = panic::catch_unwind(|| each(0..20, bad, |()| {})).expect_err("two of them failed");
    let told = told.downcast_ref::<String>().expect("a text");
    assert!(
        told.contains("2 of the seeds 0..20 failed: [7, 9]") && told.contains("SEED=7 shows: seven panics"),
        "{told}"
    );
}
