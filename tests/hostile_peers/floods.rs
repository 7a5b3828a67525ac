//! HTTP/2 as nobody speaks it who wants an answer (`h2_floods.py`): each flood is ended, or costs nothing.

use std::{path::Path, process::Command};

use serde_json::Value;

use super::{descriptors, settled_descriptors};
use crate::support::{Server, System, media, text};

/// What a flood may cost in memory.
const MEMORY_MAX: u64 = 48 << 20;

fn attack(server: &Server, case: &str) -> Value {
    let (host, port) = server.address.split_once(':').expect("an address");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile_peers/h2_floods.py");
    let mut python = Command::new("/usr/bin/python3");
    let output = python.arg(script).args([case, host, port, "/recordings/call/media"]).output().expect("Python runs");
    assert!(output.status.success(), "{case}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn floods_end_or_cost_nothing() {
    let (system, media) = (System::with_key(), media(4 << 20));
    system.import("call", &media);
    let server = system.serve();
    assert!(server.get("/recordings/call/media").body == media);
    let (before, memory) = (descriptors(&server), server.memory());
    // With which code the server ends a connection: by section 7 of RFC 9113, 0x1 is a fault of the protocol, 0x3 one of
    // flow control, and 0xb says that it was too much.
    for (case, goaways) in [
        ("rapid-reset", &[0xb][..]),
        ("made-to-reset", &[0xb]),
        ("continuation", &[0x1, 0xb]),
        ("empty-continuation", &[0x1, 0xb]),
        ("overflow", &[0x3]),
        ("nothing-more", &[0x1]),
        ("too-wide", &[0x1, 0x3]),
    ] {
        let outcome = attack(&server, case);
        assert!(outcome["closed"] == true, "{case}: {outcome}");
        // What was said last is lost with a connection that is reset.
        let code = outcome["goaway"].as_u64();
        assert!(code.is_none_or(|code| goaways.contains(&code)), "{case}: {outcome}");
        println!("{case}: {outcome}");
    }
    for case in ["tiny-windows", "seesaw", "settings", "pings", "empty-data"] {
        let outcome = attack(&server, case);
        println!("{case}: {outcome}");
    }
    assert!(server.get("/recordings/call/media").body == media, "it plays on");
    let after = settled_descriptors(&server, before);
    assert!(after <= before, "{before} descriptors before, {after} after");
    let grown = server.peak_memory().saturating_sub(memory);
    println!("all floods: {} MiB more at most", grown >> 20);
    assert!(grown < MEMORY_MAX, "{} MiB more", grown >> 20);
    assert_eq!(server.get("/recordings/of-nothing").status, 404, "nothing was recorded");
}
