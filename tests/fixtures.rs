//! Systems that earlier versions left behind: every later version must go on with them.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use sealtape::audit::EventKind;
use sha2::{Digest, Sha256};

use crate::support::{System, copy_folder, files_below, postgres::Postgres, softhsm, text};

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

/// What `make.py` put into the system of 0.1.0, and how long it is.
const OF_0_1_0: [(&str, u64); 14] = [
    ("sealed", 20_000),
    ("rewrapped", 20_000),
    ("resealed", 20_000),
    ("edge", 16_384),
    ("described", 20_000),
    ("exempt", 5_000),
    ("plain", 20_000),
    ("encrypted", 9_000),
    ("unfinished", 36_864),
    ("mended", 36_864),
    ("foreign", 20_000),
    ("found", 20_000),
    ("live", 10_000),
    ("deactivated", 3_000),
];
/// Of the exports among the fixtures.
const PASSPHRASE: &str = "a passphrase for a fixture";

/// Something of everything: keys of each origin and state, recordings of each kind and each way in.
#[test]
fn version_0_1_0_goes_on() {
    let system = System::in_folder();
    take_over(&fixture("0.1.0/data"), &system);
    plays(&system, &OF_0_1_0);
    let shown = |id: &str| system.json(&["recordings", "show", id]);
    assert_eq!((&shown("mended")["mended"], &shown("mended")["state"]), (&true.into(), &"complete".into()));
    assert_eq!(shown("unfinished")["state"], "unfinished");
    assert_eq!(shown("described")["metadata"]["parties"], serde_json::json!(["+49 30 1", "+49 30 2"]));
    assert_eq!(shown("live")["metadata"]["tags"], serde_json::json!(["praise"]));
    assert_eq!(shown("deactivated")["problem"]["code"], "key-deactivated");
    assert!(system.fails(1, &["recordings", "delete", "described"]).contains("legal hold"));
    let keys = system.json(&["keys", "list"]);
    let keys: BTreeSet<_> = keys
        .as_array()
        .expect("a list")
        .iter()
        .map(|key| (key["origin"].as_str().expect("text"), key["state"].as_str().expect("text")))
        .collect();
    assert_eq!(keys, [("generated", "active"), ("generated", "deactivated"), ("imported", "active")].into());

    let sound = system.run(&["cat", "sound"]).stdout;
    assert!(sound.starts_with(b"RIFF") && sound.len() == 44 + 8_000 && sound.ends_with(&media(8_000)));

    let server = system.serve();
    assert_eq!(server.get("/recordings/described/sidecars/notes.xml").body, b"<call><agent>ann</agent></call>\n");
    assert_eq!(server.get("/recordings?tag=complaint").json()["recordings"][0]["id"], "described");
    let etag = server.get("/recordings/sealed/media").header("etag").map(str::to_owned);
    assert_eq!(etag.as_deref(), Some("\"863886a688f6e99f4c80eb278872746a\""), "validators outlive versions");
    drop(server);
    system.ok(&["keys", "generate"]);
    system.import("new", &media(100));
    system.run(&["rewrap", "--all"]);
    let (deactivated, others) = OF_0_1_0.split_last().expect("some");
    assert_eq!(system.run(&["cat", deactivated.0]).stdout, media(deactivated.1), "it is under the new key now");
    plays(&system, others);
    system.ok(&["definition-key", "cycle"]);
    plays(&system, others);
}

#[test]
fn the_record_of_version_0_1_0_is_whole_and_carried_on() {
    let record = fixture("0.1.0/data/audit/playback-000001.jsonl");
    let system = System::in_folder();
    let found = system.json(&["audit", "verify", record.to_str().expect("UTF-8")]);
    assert_eq!(found["faults"], serde_json::json!([]), "{found}");
    let lines = fs::read_to_string(&record).expect("read");
    let kinds: BTreeSet<&str> = EventKind::ALL
        .iter()
        .map(|kind| kind.as_str())
        .filter(|kind| lines.contains(&format!("\"event\":\"{kind}\"")))
        .collect();
    // What is added later is in the fixtures of that version; events are lost only where nothing can be written for long.
    assert_eq!(kinds.len(), KINDS_OF_0_1_0, "{kinds:?}");
    assert!(!kinds.contains("lost"));

    take_over(&fixture("0.1.0/data"), &system);
    system.import("new", &media(100));
    system.ok(&["audit", "verify"]);
    assert!(
        fs::read_to_string(system.data_dir().join("audit/playback-000001.jsonl")).expect("read").starts_with(&lines)
    );
}

/// Every kind but `lost`.
const KINDS_OF_0_1_0: usize = 34;

/// The database and the definition key are gone: what is left is the store and the export.
#[test]
fn an_export_of_version_0_1_0_opens_its_files() {
    let system = System::in_folder();
    fs::create_dir(system.data_dir()).expect("made");
    let export = fixture("0.1.0/keys.age");
    let imported = system
        .command(&["keys", "import", export.to_str().expect("UTF-8")])
        .env("SEALTAPE_PASSPHRASE", PASSPHRASE)
        .output()
        .expect("runs");
    assert!(imported.status.success(), "{}", text(&imported.stderr));
    copy_folder(&fixture("0.1.0/data/media"), &system.data_dir().join("media"));
    system.run(&["recordings", "rebuild"]);
    let sealed = OF_0_1_0.into_iter().filter(|(id, _)| !["plain", "exempt", "deactivated"].contains(id));
    plays(&system, &sealed.collect::<Vec<_>>());
    let shown = system.json(&["recordings", "show", "described"]);
    assert_eq!((&shown["metadata"]["agent"], &shown["sidecars"][0]), (&"ann".into(), &"notes.xml".into()));
}

#[test]
fn a_database_of_version_0_1_0_on_a_server_goes_on() {
    let server = Postgres::shared();
    let url = server.database("fixture-0.1.0");
    server.execute("fixture-0.1.0", &fs::read_to_string(fixture("0.1.0/postgres/dump.sql")).expect("read"));
    let mut system = System::in_folder();
    system.set("SEALTAPE_DATABASE__URL", &url);
    take_over(&fixture("0.1.0/postgres"), &system);
    let recordings =
        [("sealed", 20_000), ("described", 5_000), ("exempt", 5_000), ("plain", 3_000), ("unfinished", 36_864)];
    plays(&system, &recordings);
    assert_eq!(system.json(&["recordings", "show", "deactivated"])["problem"]["code"], "key-deactivated");
    assert!(system.fails(1, &["recordings", "delete", "described"]).contains("legal hold"));
    system.ok(&["keys", "generate"]);
    system.import("new", &media(100));
    system.ok(&["rewrap", "sealed", "described"]);
    plays(&system, &recordings);
}

/// Its database keys are wrapped by a key that never left its token, which is files of SoftHSM.
#[test]
fn rows_that_a_token_wrapped_for_version_0_1_0_go_on() {
    let mut system = System::in_folder();
    take_over(&fixture("0.1.0/pkcs11/data"), &system);
    let (tokens, pin, configuration) = (system.path("tokens"), system.path("pin"), system.path("softhsm2.conf"));
    copy_folder(&fixture("0.1.0/pkcs11/tokens"), &tokens);
    fs::copy(fixture("0.1.0/pkcs11/pin"), &pin).expect("copied");
    fs::set_permissions(&pin, fs::Permissions::from_mode(0o600)).expect("chmod");
    let settings =
        format!("directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n", tokens.display());
    fs::write(&configuration, settings).expect("written");
    for (name, value) in [
        ("SEALTAPE_DEFINITION_KEY__KIND", "pkcs11"),
        ("SEALTAPE_DEFINITION_KEY__PKCS11__MODULE", softhsm::module().to_str().expect("UTF-8")),
        ("SEALTAPE_DEFINITION_KEY__PKCS11__TOKEN", softhsm::TOKEN),
        ("SEALTAPE_DEFINITION_KEY__PKCS11__LABEL", softhsm::LABEL),
        ("SEALTAPE_DEFINITION_KEY__PKCS11__PIN_FILE", pin.to_str().expect("UTF-8")),
        ("SOFTHSM2_CONF", configuration.to_str().expect("UTF-8")),
    ] {
        system.set(name, value);
    }
    let recordings = [("sealed", 20_000), ("rewrapped", 20_000), ("edge", 16_384), ("exempt", 5_000)];
    plays(&system, &recordings);
    let status = system.json(&["definition-key", "status"]);
    assert_eq!((&status["kind"], &status["database_keys"]), (&"pkcs11".into(), &2.into()), "{status}");
    let keys = system.json(&["keys", "list"]);
    let counts: Vec<_> = keys.as_array().expect("list").iter().map(|key| key["recordings"].as_u64()).collect();
    assert_eq!(counts, [Some(1), Some(2)]);
    system.ok(&["keys", "generate"]);
    system.import("new", &media(100));
    system.ok(&["rewrap", "--all"]);
    plays(&system, &recordings);
    // Away from the token, and on without it.
    system.ok(&["definition-key", "migrate", "--to", "file"]);
    system.set("SEALTAPE_DEFINITION_KEY__KIND", "file");
    fs::remove_dir_all(tokens).expect("removed");
    plays(&system, &recordings);
    system.ok(&["verify", "--all"]);
}

/// How many lines of `SHA256SUMS` there were when one was last added, and the SHA-256 of those: lines are added behind
/// them, and none is ever changed.
const LISTED: (usize, &str) = (71, "0635db81d0787c95d2836f43a1474edbcf2bd48e6724235d5e15341ddb70758f");
/// What makes fixtures is none.
const NOT_FROZEN: [&str; 3] = ["SHA256SUMS", "make.py", "make_pkcs11.py"];

/// What an earlier version wrote is not made anew by a later one, nor is anything left out.
#[test]
fn what_is_frozen_is_as_it_was_and_nothing_lies_beside_it() {
    let list = fs::read_to_string(fixture("SHA256SUMS")).expect("read");
    let (lines, digest) = LISTED;
    let first: String = list.split_inclusive('\n').take(lines).collect();
    assert_eq!(hex::encode(Sha256::digest(&first)), digest, "a line of SHA256SUMS is another one");
    assert_eq!(list.lines().count(), lines, "what was added to SHA256SUMS is to be added to LISTED, too");
    let listed: BTreeSet<String> = list
        .lines()
        .map(|line| line.split_once("  ").expect("a digest and a path"))
        .map(|(digest, path)| format!("{path} {digest}"))
        .collect();
    assert_eq!(listed.len(), lines, "each once");
    let root = fixture("");
    let there: BTreeSet<String> = files_below(&root)
        .into_iter()
        .map(|file| (file.strip_prefix(&root).expect("below").to_str().expect("UTF-8").to_owned(), file))
        .filter(|(name, _)| !NOT_FROZEN.contains(&name.as_str()))
        .map(|(name, file)| format!("{name} {}", hex::encode(Sha256::digest(fs::read(file).expect("read")))))
        .collect();
    let changed: Vec<&String> = there.symmetric_difference(&listed).collect();
    assert!(changed.is_empty(), "changed, gone, or not listed: {changed:#?}");
}

/// Whatever of these does not play is deactivated; what does is, byte for byte, what was recorded.
fn plays(system: &System, recordings: &[(&str, u64)]) {
    for (id, len) in recordings {
        let played = system.run(&["cat", id]);
        if *id == "deactivated" {
            assert!(!played.status.success() && played.stdout.is_empty(), "{id}");
        } else {
            assert!(played.stdout == media(*len), "{id}: {} bytes, {}", played.stdout.len(), text(&played.stderr));
        }
    }
}

/// The folder of an earlier version, as this one finds it. A checkout keeps no modes.
fn take_over(fixture: &Path, system: &System) {
    copy_folder(fixture, &system.data_dir());
    for secret in ["definition.key", "link.secrets", "token.key"] {
        let path = system.data_dir().join(secret);
        if path.exists() {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("chmod");
        }
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Recordings of a fixture, and how long they are, oldest first; `etag` is the one of `sealed`.
fn goes_on(fixture: &str, recordings: &[(&str, u64)], etag: &str) -> System {
    let system = System::empty();
    take_over(&self::fixture(fixture), &system);
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
