//! HTTP/2 as nobody speaks it who wants an answer (`h2_floods.py`): each flood is ended by name, or answered to its last
//! frame, and costs little either way.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use super::{descriptors, settled_descriptors};
use crate::support::{Server, System, media, text};

const LEN: usize = 4 << 20;
/// What all floods may cost in memory.
const MEMORY_MAX: u64 = 48 << 20;
/// With which code the server ends a connection, by section 7 of RFC 9113: a fault of the protocol, one of flow control,
/// and "it was too much". A stream has codes of its own: what comes after its end is the last of these.
const PROTOCOL: u64 = 0x1;
const FLOW_CONTROL: u64 = 0x3;
const TOO_MUCH: u64 = 0xb;
const STREAM_CLOSED: u64 = 0x5;

pub(super) fn attack(server: &Server, case: &str) -> Value {
    let (host, port) = server.address.split_once(':').expect("an address");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile_peers/h2_floods.py");
    let mut python = Command::new("/usr/bin/python3");
    let output = python.arg(script).args([case, host, port, "/recordings/call/media"]).output().expect("Python runs");
    assert!(output.status.success(), "{case}: {}", text(&output.stderr));
    let outcome = serde_json::from_slice(&output.stdout).expect("JSON");
    println!("{case}: {outcome}");
    outcome
}

/// A server with one recording.
pub(super) fn serve() -> (System, Server, Vec<u8>) {
    let (system, media) = (System::with_key(), media(LEN));
    system.import("call", &media);
    let server = system.serve();
    assert!(server.get("/recordings/call/media").body == media);
    (system, server, media)
}

/// That nothing broke: it plays on, and holds open no more than before.
pub(super) fn plays_on(server: &Server, media: &[u8], before: usize) {
    assert!(server.get("/recordings/call/media").body == media, "it plays on");
    let after = settled_descriptors(server, before);
    assert!(after <= before, "{before} descriptors before, {after} after");
    assert!(!server.log().contains("panic"), "{}", server.log());
}

#[test]
fn floods_are_ended_by_name_or_answered() {
    let (_system, server, media) = serve();
    let (before, memory) = (descriptors(&server), server.memory());
    for (case, goaways) in [
        ("rapid-reset", &[TOO_MUCH][..]),
        ("made-to-reset", &[TOO_MUCH]),
        ("continuation", &[TOO_MUCH]),
        ("empty-continuation", &[TOO_MUCH]),
        ("overflow", &[FLOW_CONTROL]),
        ("nothing-more", &[PROTOCOL]),
        ("too-wide", &[PROTOCOL, FLOW_CONTROL]),
        ("empty-data", &[TOO_MUCH]),
        ("table-bomb", &[TOO_MUCH]),
    ] {
        let outcome = attack(&server, case);
        // None of them may be closed without a word: the server listens on after its last one, for longer than any of
        // these sends, so that what it said is not lost.
        assert!(outcome["goaway"].as_u64().is_some_and(|code| goaways.contains(&code)), "{case}: {outcome}");
        assert!(outcome["closed"] == true && outcome["answers"] == 0, "{case}: {outcome}");
    }
    // Who sends a head that grows is stopped at its beginning.
    assert!(attack(&server, "continuation")["sent"].as_u64() < Some(100));
    // What is no fault is answered, to the last byte and frame: 50 streams of which a byte may come, and then another,
    // 200 times; as many of which one may come and no more, and 20,000 settings; and what was sent without being read.
    let tiny = attack(&server, "tiny-windows");
    assert_eq!((&tiny["answers"], &tiny["bodies"], &tiny["sent"]), (&json!(50), &json!([201]), &tiny["most"]));
    let seesaw = attack(&server, "seesaw");
    assert_eq!((&seesaw["answers"], &seesaw["bodies"], &seesaw["sent"]), (&json!(50), &json!([1]), &seesaw["most"]));
    assert_eq!(seesaw["acked"], 20_001, "each of the settings, and the first");
    for (case, others) in [("settings", 1), ("pings", 1)] {
        let outcome = attack(&server, case);
        let [sent, acked] = ["sent", "acked"].map(|name| outcome[name].as_u64().expect("a number"));
        assert!(sent > 10_000 && acked == sent + others, "{case}: {outcome}");
        assert_eq!((&outcome["goaway"], &outcome["closed"]), (&Value::Null, &json!(false)), "{case}");
    }
    let grown = server.peak_memory().saturating_sub(memory);
    println!("all floods: {} MiB more at most", grown >> 20);
    assert!(grown < MEMORY_MAX, "{} MiB more", grown >> 20);
    assert_eq!(server.get("/recordings/of-nothing").status, 404, "nothing was recorded");
    plays_on(&server, &media, before);
}

#[test]
fn what_is_sent_past_the_window_is_not_taken() {
    let (_system, server, media) = serve();
    let (before, memory) = (descriptors(&server), server.memory());
    let outcome = attack(&server, "past-the-window");
    // A fault of that stream alone (section 5.4.2 of RFC 9113); what comes for it later comes for one that is closed.
    let resets: Vec<u64> = serde_json::from_value(outcome["reset"].clone()).expect("codes");
    let is_told = outcome["goaway"] == FLOW_CONTROL || resets.contains(&FLOW_CONTROL);
    assert!(is_told && resets.iter().all(|code| [FLOW_CONTROL, STREAM_CLOSED].contains(code)), "{outcome}");
    assert_eq!(outcome["answers"], 0, "it is no recording");
    // What of it was kept before, if anything was, is what might be sent.
    let shown = server.get("/recordings/past-the-window");
    if shown.status != 404 {
        assert_eq!(shown.json()["state"], "unfinished", "{shown:?}");
        let kept = server.get("/recordings/past-the-window/media").body;
        assert!(kept.len() as u64 <= outcome["window"].as_u64().expect("a number"), "{} bytes, {outcome}", kept.len());
        assert!(kept.iter().all(|byte| *byte == 0), "what was sent, and nothing else");
    }
    let grown = server.peak_memory().saturating_sub(memory);
    assert!(grown < MEMORY_MAX, "{} MiB more", grown >> 20);
    plays_on(&server, &media, before);
}
