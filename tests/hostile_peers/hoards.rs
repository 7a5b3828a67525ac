//! Answers that are asked for and not taken (`h2_floods.py`): what waits for a client is bounded, whatever it says that it
//! could take.

use serde_json::json;

use super::{
    descriptors,
    floods::{attack, plays_on, serve},
};

/// Who opens its windows as far as they go and reads nothing has made for it what each stream may have waiting, and no
/// more: a frame or two of 64 KiB, each in a buffer that could hold the records around it, of 100 streams.
#[test]
fn a_hundred_answers_that_nobody_reads_cost_what_waits_for_them() {
    const EACH_MAX: u64 = 100 * 2 * (160 << 10);
    for (case, connections) in [("one-hoard", 1), ("twenty-hoards", 20)] {
        let (_system, server, media) = serve();
        let (before, memory) = (descriptors(&server), server.memory());
        let outcome = attack(&server, case);
        assert_eq!((&outcome["answers"], &outcome["closed"]), (&json!(100), &json!(false)), "{outcome}");
        let grown = server.peak_memory().saturating_sub(memory);
        println!("{case}: {} MiB more at most, {} KiB a stream", grown >> 20, (grown / connections / 100) >> 10);
        plays_on(&server, &media, before);
        assert!(grown < connections * EACH_MAX + (16 << 20), "{case}: {} MiB more", grown >> 20);
    }
}
