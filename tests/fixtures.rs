//! Systems that earlier versions left behind: every later version must go on with them.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use crate::support::{System, copy_folder};

/// What the recordings of every fixture were made from.
fn media(len: u64) -> Vec<u8> {
    (0..len).map(|i| ((i * i * 31 + i * 7) % 251) as u8).collect()
}

#[test]
fn the_first_schema_goes_on() {
    goes_on("schema-1", &[("sealed", 20_000), ("plain", 20_000), ("live", 10_000)], "049b6db7c921bfc355f5c61b3f6b6c0e");
}

/// With recordings under two keys, one of them re-wrapped.
#[test]
fn the_second_schema_goes_on() {
    let recordings = [("rewrapped", 20_000), ("sealed", 20_000), ("plain", 20_000), ("live", 10_000)];
    let system = goes_on("schema-2", &recordings, "ddb1d429e6ccd5fffe14539012f62a4b");
    let keys = system.json(&["keys", "list"]);
    let counts: Vec<_> = keys.as_array().expect("list").iter().map(|key| key["recordings"].as_u64()).collect();
    assert_eq!(counts, [Some(2), Some(1), Some(1)]);
}

/// With metadata, a sidecar, a legal hold and an exempt recording.
#[test]
fn the_fifth_schema_goes_on() {
    let recordings =
        [("described", 20_000), ("plain", 20_000), ("sealed", 20_000), ("live", 10_000), ("exempt", 5_000)];
    let system = goes_on("schema-5", &recordings, "b0a6d2c5650fe535573bf6b31fe65852");
    let shown = system.json(&["recordings", "show", "described"]);
    assert_eq!((&shown["metadata"]["agent"], &shown["metadata"]["group"]), (&"ann".into(), &"call-7".into()));
    assert_eq!(shown["sidecars"], serde_json::json!(["notes.xml"]));
    let server = system.serve();
    assert_eq!(server.get("/recordings/described/sidecars/notes.xml").body, b"<call><agent>ann</agent></call>\n");
    let found = server.get("/recordings?tag=complaint").json();
    assert_eq!(found["recordings"][0]["id"], "described");
    assert!(system.fails(1, &["recordings", "delete", "sealed"]).contains("legal hold"), "held for ever");
    system.ok(&["verify", "--all"]);
}

/// Recordings of a fixture, and how long they are, oldest first; `etag` is the one of `sealed`.
fn goes_on(fixture: &str, recordings: &[(&str, u64)], etag: &str) -> System {
    let system = System::empty();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(fixture);
    copy_folder(&fixture, &system.data_dir());
    // A checkout keeps no modes.
    let key = system.data_dir().join("definition.key");
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).expect("chmod");
    let listed = system.json(&["recordings", "list"]);
    let ids: Vec<_> = listed.as_array().expect("list").iter().map(|one| one["id"].as_str().expect("id")).collect();
    assert!(ids.iter().eq(recordings.iter().rev().map(|(id, _)| id)), "{ids:?}");
    for (id, len) in recordings {
        assert!(system.run(&["cat", id]).stdout == media(*len), "{id}");
    }
    let server = system.serve();
    let shown = server.get("/recordings/sealed/media").header("etag").map(str::to_owned);
    assert_eq!(shown, Some(format!("\"{etag}\"")), "validators outlive versions");
    system.ok(&["keys", "generate"]);
    system.import("new", &media(100));
    assert!(server.get("/recordings/new/media").body == media(100));
    system
}
