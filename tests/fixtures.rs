//! Systems that earlier versions left behind: every later version must go on with them.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use crate::support::{System, copy_folder};

/// What the recordings of every fixture were made from.
fn media(len: u64) -> Vec<u8> {
    (0..len).map(|i| ((i * i * 31 + i * 7) % 251) as u8).collect()
}

#[test]
fn the_first_schema_goes_on() {
    let system = System::empty();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/schema-1");
    copy_folder(&fixture, &system.data_dir());
    // A checkout keeps no modes.
    let key = system.data_dir().join("definition.key");
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).expect("chmod");
    let listed = system.json(&["recordings", "list"]);
    let ids: Vec<_> = listed.as_array().expect("list").iter().map(|one| one["id"].as_str().expect("id")).collect();
    assert_eq!(ids, ["live", "plain", "sealed"]);
    for (id, len) in [("sealed", 20_000), ("plain", 20_000), ("live", 10_000)] {
        assert!(system.run(&["cat", id]).stdout == media(len), "{id}");
    }
    let server = system.serve();
    let etag = server.get("/recordings/sealed/media").header("etag").map(str::to_owned);
    assert_eq!(etag.as_deref(), Some(SEALED_ETAG), "validators outlive versions");
    system.ok(&["keys", "generate"]);
    system.import("new", &media(100));
    assert!(server.get("/recordings/new/media").body == media(100));
}

const SEALED_ETAG: &str = "\"049b6db7c921bfc355f5c61b3f6b6c0e\"";
