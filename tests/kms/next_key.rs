//! Next keys that cannot be used, which take nothing from the one in place; keys in tokens that have no ID; and several
//! who exchange keys at once.

use std::{
    fs,
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};
use serde_json::Value;

use super::{is_degraded, status};
use crate::support::{
    SoftHsm, System, media,
    pykmip::{PyKmip, key_name},
    softhsm, text,
};

/// Whatever needs the key in place does as if there were no other.
fn works(system: &System, bytes: &[u8], what: &str) {
    for arguments in [&["keys", "list"][..], &["keys", "generate"], &["encryption", "status"]] {
        system.ok(arguments);
    }
    assert!(system.run(&["cat", "call"]).stdout == bytes, "{what}");
    let server = system.serve();
    assert!(server.get("/recordings/call/media").body == bytes, "{what}");
    assert!(!is_degraded(&server, "definition-key-unavailable"), "{what}: {}", server.log());
}

/// Neither half of an exchange does anything, and says why.
fn is_refused(system: &System, words: &str) {
    let before = status(system);
    for arguments in [&["definition-key", "cycle"][..], &["definition-key", "cycle", "--finish"]] {
        let refused = system.fails(1, arguments);
        assert!(refused.contains(words), "{arguments:?}: {refused}");
    }
    assert_eq!(status(system), before, "{words}");
}

#[test]
fn of_a_key_manager() {
    let server = PyKmip::shared();
    for mode in ["encrypt", "get"] {
        let (mut system, name) = (System::in_folder(), key_name());
        for (key, value) in server.settings(mode, &name) {
            system.set(&key, &value);
        }
        system.ok(&["definition-key", "generate"]);
        system.ok(&["keys", "generate"]);
        let bytes = media(50_000);
        system.import("call", &bytes);
        let next = format!("{name}.next");
        let revoke = |id: &str| {
            server.administer(&format!("c.revoke(enums.RevocationReasonCode.CESSATION_OF_OPERATION, '{id}')"));
        };
        let destroy = |id: &str| server.administer(&format!("c.destroy('{id}')"));

        let revoked = server.register(&next, &[9; 32]);
        revoke(&revoked);
        works(&system, &bytes, mode);
        is_refused(&system, "revoked (deactivated)");
        let twin = server.register(&next, &[10; 32]);
        works(&system, &bytes, mode);
        is_refused(&system, "several keys");
        destroy(&revoked);
        revoke(&twin);
        destroy(&twin);
        // One that may not wrap, which shows only when it is used.
        let other = server.administer(&format!(
            "k = objects.SymmetricKey(enums.CryptographicAlgorithm.AES, 256, bytes(32), \
             masks=[enums.CryptographicUsageMask.SIGN], name='{next}')\ni = c.register(k)\nc.activate(i)\nprint(i)"
        ));
        works(&system, &bytes, mode);
        if mode == "encrypt" {
            is_refused(&system, "Encrypt");
        }
        revoke(&other);
        destroy(&other);
        // Not active yet: that alone is brought to its end.
        server.administer(&format!(
            "c.create(enums.CryptographicAlgorithm.AES, 256, name='{next}', \
             cryptographic_usage_mask=[enums.CryptographicUsageMask.ENCRYPT, enums.CryptographicUsageMask.DECRYPT])"
        ));
        works(&system, &bytes, mode);
        let before = status(&system)["fingerprint"].clone();
        system.ok(&["definition-key", "cycle"]);
        assert_ne!(status(&system)["fingerprint"], before, "{mode}");
        works(&system, &bytes, mode);
    }
}

#[test]
fn of_a_token() {
    let mut system = System::in_folder();
    let hsm = SoftHsm::in_folder(&system.path("hsm"));
    hsm.generate();
    for (name, value) in hsm.settings() {
        system.set(&name, &value);
    }
    system.ok(&["keys", "generate"]);
    let bytes = media(50_000);
    system.import("call", &bytes);
    let next = format!("{}.next", softhsm::LABEL);
    let make = |kind: &str, more: &[&str]| {
        hsm.pkcs11_tool(&[&["--keygen", "--key-type", kind, "--label", &next][..], more].concat());
    };
    let delete = || hsm.pkcs11_tool(&["--delete-object", "--type", "secrkey", "--label", &next]);

    make("AES:16", &["--id", "0c"]);
    works(&system, &bytes, "another kind");
    is_refused(&system, "is not one for AES-256");
    let said = system.run(&["definition-key", "status"]);
    assert!(said.status.success() && text(&said.stderr).contains(&next), "{}", text(&said.stderr));
    delete();
    make("AES:32", &["--id", "0d"]);
    make("AES:32", &["--id", "0e"]);
    works(&system, &bytes, "two of them");
    is_refused(&system, "several secret keys");
    delete();
    delete();
    // Rows would name it by its label, and would not find it in its place.
    make("AES:32", &[]);
    works(&system, &bytes, "one without an ID");
    is_refused(&system, "has no CKA_ID");
    delete();
    system.ok(&["definition-key", "cycle"]);
    works(&system, &bytes, "after all");
}

/// Rows name a key without an ID by its label, which an exchange changes when nothing needs it any more.
#[test]
fn a_key_in_place_that_has_no_id() {
    let mut system = System::in_folder();
    let hsm = SoftHsm::in_folder(&system.path("hsm"));
    hsm.pkcs11_tool(&["--keygen", "--key-type", "AES:32", "--label", softhsm::LABEL, "--sensitive"]);
    for (name, value) in hsm.settings() {
        system.set(&name, &value);
    }
    system.ok(&["keys", "generate"]);
    let bytes = media(50_000);
    system.import("call", &bytes);
    assert_eq!(status(&system)["fingerprint"], format!("pkcs11:object={}", softhsm::LABEL));
    let server = system.serve();
    works(&system, &bytes, "by its label");
    system.ok(&["definition-key", "cycle", "--prepare"]);
    works(&system, &bytes, "with a next one");
    let said = system.ok(&["definition-key", "cycle", "--finish"]);
    assert!(said.contains(&format!("{}.obsolete", softhsm::LABEL)), "{said}");
    let after = status(&system);
    assert!(after["fingerprint"].as_str().expect("text").starts_with("pkcs11:id="), "{after}");
    assert_eq!((&after["database_keys"], &after["database_keys_under_others"]), (&3.into(), &0.into()), "{after}");
    works(&system, &bytes, "by its ID");
    system.import("after", &bytes);
    assert!(server.get("/recordings/after/media").body == bytes, "{}", server.log());
    // The other way round, by hand: told, and not lost sight of.
    let id = after["fingerprint"].as_str().expect("text").trim_start_matches("pkcs11:id=").to_owned();
    hsm.pkcs11_tool(&["--delete-object", "--type", "secrkey", "--id", &id]);
    let refused = system.fails(1, &["keys", "list"]);
    assert!(refused.contains(&format!("no secret key `{}`", softhsm::LABEL)), "{refused}");
}

/// A system under a file, and settings of all other kinds beside it.
fn movable() -> (System, Vec<u8>) {
    let mut system = System::in_folder();
    let hsm = SoftHsm::in_folder(&system.path("hsm"));
    for (key, value) in hsm.settings().into_iter().chain(PyKmip::shared().settings("encrypt", &key_name())) {
        system.set(&key, &value);
    }
    system.set("SEALTAPE_DEFINITION_KEY__KIND", "file");
    let bytes = media(50_000);
    system.ok(&["keys", "generate"]);
    system.ok(&["keys", "generate"]);
    system.import("call", &bytes);
    (system, bytes)
}

fn begin(system: &System, arguments: &[&str]) -> Child {
    let mut command = system.command(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs")
}

#[test]
fn two_who_move_at_once_do_it_one_after_the_other() {
    let (mut system, bytes) = movable();
    for to in ["pkcs11", "kmip", "file"] {
        if to == "file" {
            fs::remove_file(system.data_dir().join("definition.key")).expect("removed");
        }
        let moving: Vec<Child> =
            (0..3).map(|_| begin(&system, &["definition-key", "migrate", "--to", to, "--json"])).collect();
        let said: Vec<Value> = moving
            .into_iter()
            .map(|one| {
                let output = one.wait_with_output().expect("ends");
                assert!(output.status.success(), "{to}: {}", text(&output.stderr));
                serde_json::from_slice(&output.stdout).expect("JSON")
            })
            .collect();
        assert_eq!(said.iter().filter(|said| said["made"] == true).count(), 1, "{to}: one key is made: {said:?}");
        assert_eq!(said.iter().filter_map(|said| said["rewrapped"].as_u64()).sum::<u64>(), 2, "{to}: {said:?}");
        system.set("SEALTAPE_DEFINITION_KEY__KIND", to);
        let after = status(&system);
        assert_eq!((&after["database_keys"], &after["database_keys_under_others"]), (&2.into(), &0.into()), "{to}");
        assert_eq!(system.run(&["cat", "call"]).stdout, bytes, "{to}");
    }
}

#[test]
fn two_who_exchange_at_once_do_it_one_after_the_other() {
    for kind in super::KINDS {
        let system = System::with_definition_key_in(kind);
        let bytes = media(50_000);
        system.ok(&["keys", "generate"]);
        system.import("call", &bytes);
        let before = status(&system)["fingerprint"].clone();
        let cycling: Vec<Child> = (0..2).map(|_| begin(&system, &["definition-key", "cycle", "--json"])).collect();
        let mut made = vec![before];
        for one in cycling {
            let output = one.wait_with_output().expect("ends");
            assert!(output.status.success(), "{kind}: {}", text(&output.stderr));
            let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            made.push(said["fingerprint"].clone());
        }
        let after = status(&system);
        assert!(made[1] != made[2] && made[1..].contains(&after["fingerprint"]) && after["fingerprint"] != made[0]);
        assert_eq!((&after["database_keys"], &after["next"]), (&1.into(), &Value::Null), "{kind}: {after}");
        assert_eq!(system.run(&["cat", "call"]).stdout, bytes, "{kind}");
    }
}

#[test]
fn who_moves_waits_for_who_exchanges_and_not_for_ever() {
    let (system, bytes) = movable();
    let folder = fs::File::open(system.data_dir()).expect("opened");
    let hold = || flock(&folder, FlockOperation::NonBlockingLockExclusive).expect("held");
    hold();
    let refused = system.fails(1, &["definition-key", "migrate", "--to", "pkcs11"]);
    assert!(refused.contains("another command makes or exchanges definition keys here"), "{refused}");
    assert_eq!(status(&system)["database_keys"], 2, "nothing was moved");
    let mut waiting = begin(&system, &["definition-key", "migrate", "--to", "pkcs11"]);
    thread::sleep(Duration::from_secs(2));
    assert!(waiting.try_wait().expect("asked").is_none(), "it waits");
    assert_eq!(status(&system)["database_keys"], 2, "nothing was moved");
    flock(&folder, FlockOperation::Unlock).expect("let go");
    assert!(waiting.wait().expect("ends").success());
    let mut cat = system.command(&["cat", "call"]);
    assert_eq!(cat.env("SEALTAPE_DEFINITION_KEY__KIND", "pkcs11").output().expect("runs").stdout, bytes);
}
