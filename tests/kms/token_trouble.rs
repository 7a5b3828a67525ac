//! Tokens that are not there, modules that do not come back, PINs that are wrong, and nonces that somebody else makes.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use super::{SOON, is_degraded, ready, shim::shim};
use crate::support::{Server, SoftHsm, System, media, softhsm, text};

fn system() -> (System, SoftHsm) {
    let mut system = System::in_folder();
    let hsm = SoftHsm::in_folder(&system.path("hsm"));
    hsm.generate();
    for (name, value) in hsm.settings() {
        system.set(&name, &value);
    }
    system.ok(&["keys", "generate"]);
    (system, hsm)
}

/// `keys list` with these settings of the token fails in two lines with these words.
fn says(system: &System, settings: &[(&str, &str)], words: &[&str]) {
    let mut command = system.command(&["keys", "list"]);
    for (key, value) in settings {
        command.env(format!("SEALTAPE_DEFINITION_KEY__PKCS11__{key}"), value);
    }
    let begun = Instant::now();
    let output = command.output().expect("runs");
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 2), "{settings:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{settings:?}: {said}");
    }
    assert!(begun.elapsed() < Duration::from_secs(15), "{settings:?}");
}

#[test]
fn what_is_not_there_or_something_else() {
    let (system, hsm) = system();
    says(&system, &[("MODULE", "/nowhere/libpkcs11.so")], &["/nowhere/libpkcs11.so", "cannot be used", "vendor"]);
    let script = system.file("module.so", b"#!/bin/sh\n");
    says(&system, &[("MODULE", script.to_str().expect("UTF-8"))], &["module.so", "cannot be used"]);
    says(&system, &[("MODULE", "/lib/x86_64-linux-gnu/libm.so.6")], &["libm.so.6", "cannot be used"]);
    says(&system, &[("TOKEN", "ribbon")], &["no token `ribbon`", softhsm::TOKEN, "definition_key.pkcs11.token"]);
    says(&system, &[("LABEL", "nothing")], &["no secret key `nothing`", "definition_key.pkcs11.label"]);
    says(&system, &[("PIN_FILE", "/nowhere/pin")], &["/nowhere/pin", "may read it"]);
    fs::set_permissions(hsm.pin_file(), Permissions::from_mode(0o644)).expect("set");
    says(&system, &[], &["others may read it", "chmod 600"]);
    hsm.write_pin("");
    says(&system, &[], &["holds no PIN"]);
    hsm.write_pin("00000000");
    says(&system, &[], &["refuses the PIN", "definition_key.pkcs11.pin_file"]);
    hsm.write_right_pin();
    system.ok(&["keys", "list"]);
    // A second key of that label, and one for another cipher.
    hsm.pkcs11_tool(&["--keygen", "--key-type", "AES:32", "--label", softhsm::LABEL, "--id", "09"]);
    says(&system, &[], &["several secret keys", softhsm::LABEL]);
    hsm.pkcs11_tool(&["--delete-object", "--type", "secrkey", "--id", "09"]);
    hsm.pkcs11_tool(&["--keygen", "--key-type", "AES:16", "--label", "short", "--id", "0a"]);
    says(&system, &[("LABEL", "short")], &["`short` is not one for AES-256"]);
    system.ok(&["keys", "list"]);
    // Another token with a key of the same label is another key, and its name says so.
    let other = SoftHsm::in_folder(&system.path("other"));
    other.pkcs11_tool(&["--keygen", "--key-type", "AES:32", "--label", softhsm::LABEL, "--id", "0b"]);
    let mut command = system.command(&["keys", "list"]);
    let output = command.env("SOFTHSM2_CONF", other.configuration()).output().expect("runs");
    assert!(text(&output.stderr).contains("pkcs11:id=01"), "{}", text(&output.stderr));
}

/// Tokens lock themselves after a few wrong PINs: a server that asks again and again must not do that to them.
#[test]
fn a_wrong_pin_is_tried_once() {
    let (mut system, hsm) = system();
    system.set("SEALTAPE_KEYS__RELOAD_INTERVAL", "200ms");
    let bytes = media(50_000);
    system.import("call", &bytes);
    let server = system.serve();
    hsm.write_pin("00000000");
    let is_away = |server: &Server| is_degraded(server, "definition-key-unavailable");
    assert!(server.wait_until(SOON, is_away), "{}", ready(&server));
    std::thread::sleep(Duration::from_secs(2));
    server.signal("HUP");
    assert!(server.get("/recordings/call/media").body == bytes);
    assert_eq!(server.log().matches("refuses the PIN").count(), 1, "{}", server.log());
    hsm.write_right_pin();
    assert!(server.wait_until(SOON, |server| !is_away(server)), "{}", server.log());
}

#[test]
fn a_module_that_hangs_is_left_to_itself() {
    let (mut system, _hsm) = system();
    let bytes = media(50_000);
    system.import("call", &bytes);
    let (module, hangs) = (shim(&system.path("")), system.path("hangs"));
    system.set("SEALTAPE_DEFINITION_KEY__PKCS11__MODULE", module.to_str().expect("UTF-8"));
    system.set("SEALTAPE_DEFINITION_KEY__PKCS11__TIMEOUT", "500ms");
    system.set("SEALTAPE_KEYS__RELOAD_INTERVAL", "300ms");
    system.set("SHIM_HANGS_WHILE", hangs.to_str().expect("UTF-8"));
    let server = system.serve();
    assert!(!is_degraded(&server, "definition-key-unavailable"));
    fs::write(&hangs, "").expect("written");
    let is_away = |server: &Server| is_degraded(server, "definition-key-unavailable");
    assert!(server.wait_until(SOON, is_away), "{}", ready(&server));
    let is_named = |server: &Server| {
        let log = server.log();
        log.contains("does not answer within 500ms") && log.contains("pkcs11-1")
    };
    assert!(server.wait_until(SOON, is_named), "{}", server.log());
    let begun = Instant::now();
    for _ in 0..20 {
        assert!(server.get("/recordings/call/media").body == bytes);
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "nobody who plays waits for it");
    says(&system, &[], &["does not answer within 500ms", "shim.so"]);
    // A server that is stopped does not wait for it either.
    let stopped = system.command(&["serve", "--listen", "127.0.0.1:0"]).output().expect("runs");
    assert_eq!(stopped.status.code(), Some(1), "it does not start");
    fs::remove_file(&hangs).expect("removed");
    assert!(server.wait_until(SOON, |server| !is_away(server)), "{}", server.log());
    system.ok(&["keys", "generate"]);
    system.import("after", &bytes);
    assert!(server.get("/recordings/after/media").body == bytes, "{}", server.log());
    fs::write(&hangs, "").expect("written");
    server.signal("TERM");
    let begun = Instant::now();
    assert_eq!(server.wait(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(10), "it ended in {:?}", begun.elapsed());
}

/// Wherever in the module it hangs, a command says so at its deadline, and ends.
#[test]
fn a_module_that_hangs_keeps_no_command() {
    let (mut system, _hsm) = system();
    let (module, hangs) = (shim(&system.path("")), system.path("hangs"));
    system.set("SEALTAPE_DEFINITION_KEY__PKCS11__MODULE", module.to_str().expect("UTF-8"));
    system.set("SEALTAPE_DEFINITION_KEY__PKCS11__TIMEOUT", "500ms");
    system.set("SHIM_HANGS_WHILE", hangs.to_str().expect("UTF-8"));
    fs::write(&hangs, "").expect("written");
    for (place, arguments) in [
        ("initialize", &["keys", "list"][..]),
        ("login", &["keys", "list"]),
        ("find", &["keys", "list"]),
        ("find", &["definition-key", "status"]),
        ("find", &["definition-key", "cycle"]),
        ("encrypt", &["keys", "generate"]),
        ("encrypt", &["definition-key", "cycle"]),
    ] {
        system.set("SHIM_HANGS_AT", place);
        let begun = Instant::now();
        let said = system.fails(1, arguments);
        assert!(said.contains("does not answer within 500ms") && said.contains("shim.so"), "{place}: {said}");
        assert!(said.contains("pkcs11-1") && said.contains("see to the token"), "{place}: {said}");
        // A command asks several times in a row; none of them is waited for twice.
        assert!(begun.elapsed() < Duration::from_secs(10), "{place}: {:?}", begun.elapsed());
    }
    fs::remove_file(&hangs).expect("removed");
    assert_eq!(system.json(&["keys", "list"]).as_array().map(Vec::len), Some(1), "nothing was added meanwhile");
    system.ok(&["definition-key", "cycle"]);
}

/// A token may make a key and say that it did not: there are never two because of that.
#[test]
fn a_key_is_made_once_or_not_at_all() {
    let mut system = System::in_folder();
    let hsm = SoftHsm::in_folder(&system.path("hsm"));
    for (name, value) in hsm.settings() {
        system.set(&name, &value);
    }
    let (module, tries) = (shim(&system.path("")), system.path("tries"));
    system.set("SEALTAPE_DEFINITION_KEY__PKCS11__MODULE", module.to_str().expect("UTF-8"));
    system.set("SHIM_TRIES", tries.to_str().expect("UTF-8"));
    let keys = || text(&hsm.pkcs11_tool(&["--list-objects", "--type", "secrkey"]).stdout).matches("label:").count();
    system.set("SHIM_GENERATE", "refuses");
    let begun = Instant::now();
    let refused = system.fails(1, &["definition-key", "generate"]);
    assert!(refused.contains("C_GenerateKey failed: DeviceError") && refused.contains("see to the token"), "{refused}");
    assert_eq!(refused.lines().count(), 2, "{refused}");
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(keys(), 0);

    fs::remove_file(&tries).expect("it was tried");
    system.set("SHIM_GENERATE", "made");
    system.ok(&["definition-key", "generate"]);
    assert_eq!(fs::read(&tries).expect("read"), b".", "what was made is found, and not made again");
    assert_eq!(keys(), 1);
    system.ok(&["keys", "generate"]);
    system.ok(&["definition-key", "cycle"]);
    assert_eq!(fs::read(&tries).expect("read"), b"..", "the next one likewise");
    assert_eq!(keys(), 2, "the one in place, and the obsolete one");
    assert_eq!(super::status(&system)["database_keys"], 1);
}

#[test]
fn nonces_that_the_token_makes() {
    let (mut system, _hsm) = system();
    let module = shim(&system.path(""));
    // SoftHSM makes none: zeros, time and again, would give the key away.
    system.set("SEALTAPE_DEFINITION_KEY__PKCS11__NONCE", "token");
    let refused = system.fails(1, &["keys", "generate"]);
    assert!(refused.contains("makes no nonces of its own") && refused.contains("\"host\""), "{refused}");
    system.set("SEALTAPE_DEFINITION_KEY__PKCS11__MODULE", module.to_str().expect("UTF-8"));
    let bytes = media(50_000);
    for kind in ["in-place", "after", "sixteen"] {
        system.set("SHIM_NONCE", kind);
        system.ok(&["keys", "generate"]);
        system.import(kind, &bytes);
        assert_eq!(system.run(&["cat", kind]).stdout, bytes, "{kind}");
    }
    system.set("SEALTAPE_DEFINITION_KEY__PKCS11__NONCE", "host");
    let refused = system.fails(1, &["keys", "generate"]);
    assert!(refused.contains("made a nonce of its own") && refused.contains("\"token\""), "{refused}");
    assert_eq!(system.json(&["keys", "list"]).as_array().map(Vec::len), Some(4), "what is there unwraps all the same");
}
