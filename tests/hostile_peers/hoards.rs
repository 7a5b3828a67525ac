//! Answers that are asked for and not taken (`h2_floods.py`): what waits for a client is bounded, whatever it says that it
//! could take.

use serde_json::json;

use super::{
    descriptors,
    floods::{attack, plays_on, serve},
};

/// Who opens its windows as far as they go and reads nothing has made for it what the socket takes, and a little more,
/// however many streams it asks for. Who opens them by next to nothing has a frame or two made for each: of twenty who do,
/// those are cut who make it too much, and nobody else is.
#[test]
fn a_hundred_answers_that_nobody_takes_cost_what_waits_for_them() {
    /// What a server takes for a hundred answers at once, also of those who read.
    const SERVER_MAX: u64 = 48 << 20;
    /// What waits for one that does not read.
    const UNREAD_MAX: u64 = 4 << 20;
    /// What may wait for all (`src/http/server/held.rs`), and for one that is being cut.
    const ALL_MAX: u64 = (128 + 2 * 25) << 20;
    for (case, max) in
        [("one-hoard", UNREAD_MAX), ("twenty-hoards", 20 * UNREAD_MAX), ("twenty-narrow-hoards", ALL_MAX)]
    {
        let (_system, server, media) = serve();
        let (before, memory) = (descriptors(&server), server.memory());
        let outcome = attack(&server, case);
        let grown = server.peak_memory().saturating_sub(memory);
        println!("{case}: {} MiB more at most", grown >> 20);
        plays_on(&server, &media, before);
        assert!(grown < SERVER_MAX + max, "{case}: {} MiB more", grown >> 20);
        if max == ALL_MAX {
            assert_ne!(outcome["cut"], 0, "{case}: {outcome}");
        } else {
            let told = [&outcome["answers"], &outcome["closed"], &outcome["cut"]];
            assert_eq!(told, [&json!(100), &json!(false), &json!(0)], "{case}: {outcome}");
        }
    }
}
