//! A system whose definition key lives elsewhere, through the whole life of a key.

use std::process::Output;

use serde_json::Value;

use super::{KINDS, SOON, is_degraded, ready, status};
use crate::support::{
    SoftHsm, System, media,
    pykmip::{PyKmip, key_name},
    text,
};

#[test]
fn a_whole_life() {
    for kind in KINDS {
        let system = System::with_definition_key_in(kind);
        let bytes = media(300_000);
        let said = status(&system);
        assert_eq!((&said["database_keys"], &said["usable"]), (&0.into(), &true.into()), "{kind}: {said}");
        let first = system.json(&["keys", "generate"])["fingerprint"].as_str().expect("text").to_owned();
        system.import("call", &bytes);
        let old = status(&system);
        assert_eq!(old["database_keys"], 1, "{kind}: {old}");
        assert!(!system.data_dir().join("definition.key").exists(), "{kind}: no key lies beside the data");
        let server = system.serve();
        assert!(server.get("/recordings/call/media").body == bytes, "{kind}");
        assert_eq!(ready(&server)["degraded"].as_array().map(Vec::len), Some(0), "{kind}");
        let file = system.object("call").read();

        let said = system.ok(&["definition-key", "cycle"]);
        assert!(said.contains("1 database key(s)") && said.contains("obsolete"), "{kind}: {said}");
        let new = status(&system);
        assert_ne!(new["fingerprint"], old["fingerprint"], "{kind}");
        assert_eq!((&new["database_keys"], &new["database_keys_under_others"]), (&1.into(), &0.into()), "{kind}");
        assert_eq!(system.object("call").read(), file, "{kind}: media files are untouched");
        // A database key made under the new one is one that the running server has only if it found that one.
        system.ok(&["keys", "generate"]);
        system.import("after", &bytes);
        for id in ["call", "after"] {
            assert!(server.get(&format!("/recordings/{id}/media")).body == bytes, "{kind}: {id}");
        }
        system.ok(&["rewrap", "--all"]);
        system.ok(&["keys", "deactivate", &first]);
        assert!(server.wait_until(SOON, |server| server.get("/recordings/call/media").body == bytes), "{kind}");
        system.ok(&["keys", "activate", &first]);
        assert_eq!(system.json(&["keys", "list"]).as_array().map(Vec::len), Some(2), "{kind}");

        // In two halves, with both there in between.
        system.ok(&["definition-key", "cycle", "--prepare"]);
        let between = status(&system);
        assert_eq!((&between["database_keys"], &between["database_keys_under_next"]), (&2.into(), &0.into()), "{kind}");
        assert!(between["next"].is_string(), "{kind}: {between}");
        system.ok(&["definition-key", "cycle", "--finish"]);
        assert_eq!(status(&system)["fingerprint"], between["next"], "{kind}");
        let refused = system.fails(1, &["definition-key", "cycle", "--finish"]);
        assert!(refused.contains("there is no next definition key"), "{kind}: {refused}");
        let refused = system.fails(1, &["definition-key", "generate"]);
        assert!(refused.contains("already"), "{kind}: {refused}");
        assert!(!is_degraded(&server, "definition-key-unavailable"), "{kind}: {}", server.log());
        drop(server);
        let server = system.serve();
        assert!(server.get("/recordings/after/media").body == bytes, "{kind}: after a restart");
    }
}

#[test]
fn a_move_from_each_kind_to_each_other() {
    let mut system = System::in_folder();
    let bytes = media(50_000);
    // Settings of all kinds stand at once.
    let hsm = SoftHsm::in_folder(&system.path("hsm"));
    for (key, value) in hsm.settings().into_iter().chain(PyKmip::shared().settings("encrypt", &key_name())) {
        system.set(&key, &value);
    }
    system.set("SEALTAPE_DEFINITION_KEY__KIND", "file");
    system.ok(&["keys", "generate"]);
    system.import("call", &bytes);
    let with = |kind: &str, arguments: &[&str]| -> Output {
        let mut command = system.command(arguments);
        command.env("SEALTAPE_DEFINITION_KEY__KIND", kind).output().expect("runs")
    };
    let mut made = 0;
    let mut kind = "file";
    for to in ["kmip", "pkcs11", "file", "pkcs11", "embedded", "kmip", "embedded", "pkcs11", "kmip", "file"] {
        let moved = with(kind, &["definition-key", "migrate", "--to", to, "--json"]);
        assert!(moved.status.success(), "{kind} to {to}: {}", text(&moved.stderr));
        let said: Value = serde_json::from_slice(&moved.stdout).expect("JSON");
        assert_eq!(said["rewrapped"], 1, "{kind} to {to}");
        made += usize::from(said["made"] == true);
        assert!(text(&moved.stderr).contains(&format!("definition_key.kind to \"{to}\"")), "{}", text(&moved.stderr));
        assert!(!with(kind, &["cat", "call"]).status.success(), "{kind} has nothing any more");
        assert_eq!(with(to, &["cat", "call"]).stdout, bytes, "{to} has it");
        // A second time, under either kind, changes nothing: what a kill left half-way is brought to its end so.
        for settings in [kind, to] {
            let again = with(settings, &["definition-key", "migrate", "--to", to]);
            assert!(again.status.success(), "{kind} to {to}: {}", text(&again.stderr));
        }
        assert_eq!(with(to, &["cat", "call"]).stdout, bytes, "{to} has it still");
        kind = to;
    }
    assert_eq!(made, 2, "one in the key manager, one in the token; each was found again");
    let nowhere = System::in_folder();
    let refused = nowhere.fails(1, &["definition-key", "migrate", "--to", "kmip"]);
    assert!(refused.contains("definition_key.kmip"), "{refused}");
}

/// Between the two steps by which the next key takes its place there is only the next one.
#[test]
fn a_cycle_that_was_killed_between_two_steps_goes_on() {
    let server = PyKmip::shared();
    for mode in ["encrypt", "get"] {
        let (mut system, name) = (System::in_folder(), key_name());
        for (key, value) in server.settings(mode, &name) {
            system.set(&key, &value);
        }
        system.ok(&["definition-key", "generate"]);
        let bytes = media(50_000);
        system.ok(&["keys", "generate"]);
        system.import("call", &bytes);
        system.ok(&["definition-key", "cycle"]);
        let new = status(&system)["fingerprint"].clone();
        // As a killed command left it: the old one is called obsolete, and the next one is not in place yet.
        server.administer(&format!(
            "a = AttributeFactory().create_attribute(enums.AttributeType.NAME, '{name}.next')\n\
             c.modify_attribute(id_of('{name}'), attribute=a)"
        ));
        let said = status(&system);
        assert_eq!((&said["fingerprint"], &said["database_keys"]), (&new, &1.into()), "{said}");
        assert_eq!(system.run(&["cat", "call"]).stdout, bytes);
        let said = system.json(&["definition-key", "cycle", "--finish"]);
        assert_eq!((&said["fingerprint"], &said["rewrapped"], &said["obsolete"]), (&new, &0.into(), &Value::Null));
        assert_eq!(system.run(&["cat", "call"]).stdout, bytes);
        assert!(system.fails(1, &["definition-key", "cycle", "--finish"]).contains("nothing is left to finish"));
        system.ok(&["definition-key", "cycle"]);
        assert_eq!(system.run(&["cat", "call"]).stdout, bytes, "and the next cycle goes all the way");
    }
}
