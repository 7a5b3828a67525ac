//! What a thief has of a stolen definition key: nothing by it alone, everything with the database of its time, and nothing
//! of what was sealed again since.

use std::fs;

use super::copy_key;
use crate::support::{PASSPHRASE, System, copy_folder, handmade_export, handmade_key, media, text};

/// A system whose recording is worth stealing, in a folder wherever the tests run.
fn system() -> (System, Vec<u8>) {
    let (system, bytes) = (System::in_folder(), media(50_000));
    system.ok(&["keys", "generate"]);
    system.import("call", &bytes);
    (system, bytes)
}

/// A thief's copy of all of it: database, definition key, store.
fn stolen_from(system: &System) -> System {
    let thief = System::in_folder();
    copy_folder(&system.data_dir(), &thief.data_dir());
    thief
}

/// The thief takes the store again, as it is now.
fn take_store(thief: &System, system: &System) {
    let store = thief.data_dir().join("media");
    if store.exists() {
        fs::remove_dir_all(&store).expect("removed");
    }
    copy_folder(&system.data_dir().join("media"), &store);
}

/// No command gives a byte of media, and neither does a server.
fn assert_opens_nothing(thief: &System, code: &str) {
    let rebuilt = thief.run(&["recordings", "rebuild", "--json"]);
    let said = text(&rebuilt.stderr);
    assert!(rebuilt.status.code() == Some(3) && said.contains("call.sealed") && said.contains("key-missing"), "{said}");
    let played = thief.run(&["cat", "call"]);
    assert!(played.status.code() == Some(1) && played.stdout.is_empty(), "{} bytes", played.stdout.len());
    assert!(text(&played.stderr).contains(code), "{}", text(&played.stderr));
    let reply = thief.serve().get("/recordings/call/media");
    assert_eq!((reply.status >= 400, reply.problem().as_str()), (true, code));
}

#[test]
fn a_definition_key_and_the_store_open_nothing_without_the_database() {
    let (system, bytes) = system();
    let (thief, definition_key) = (System::in_folder(), system.data_dir().join("definition.key"));
    fs::create_dir(thief.data_dir()).expect("made");
    copy_key(&definition_key, &thief.data_dir().join("definition.key"));
    take_store(&thief, &system);
    for arguments in [&["recordings", "rebuild"][..], &["cat", "call"], &["keys", "list"], &["keys", "generate"]] {
        let output = thief.run(arguments);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(1) && output.stdout.is_empty(), "{arguments:?}: {said}");
        assert!(said.contains("there is no database here"), "{arguments:?}: {said}");
    }

    // With a database of their own, under the stolen key.
    fs::remove_dir_all(thief.data_dir().join("media")).expect("removed");
    thief.ok(&["keys", "generate"]);
    take_store(&thief, &system);
    assert_opens_nothing(&thief, "recording-not-found");

    // The stolen key taken for one that wraps file keys.
    let line = fs::read_to_string(&definition_key).expect("read");
    let digits = line.split(' ').nth(1).expect("a key");
    let mut key = handmade_key(1, "2026-01-01T00:00:00.000Z", "active");
    key["key"] = digits.into();
    key["fingerprint"] = crate::support::fingerprint_of(digits).into();
    let export = thief.file("guess.age", &handmade_export(&[key]));
    let mut import = thief.command(&["keys", "import", export.to_str().expect("UTF-8")]);
    let imported = import.env("SEALTAPE_PASSPHRASE", PASSPHRASE).output().expect("runs");
    assert!(imported.status.success(), "{}", text(&imported.stderr));
    assert_opens_nothing(&thief, "recording-not-found");

    // All that was missing is the database.
    fs::copy(system.data_dir().join("sealtape.db"), thief.data_dir().join("sealtape.db")).expect("copied");
    assert!(thief.run(&["cat", "call"]).stdout == bytes);
}

#[test]
fn after_cycle_generate_and_reseal_a_stolen_pair_opens_nothing_that_is_stored() {
    let (system, bytes) = system();
    let stored = system.stored("call");
    let (old_file, old_key) = (fs::read(&stored).expect("read"), system.data_dir().join("definition.key"));
    let thief = stolen_from(&system);
    assert!(thief.run(&["cat", "call"]).stdout == bytes, "they have what there was");
    let fingerprint = || system.json(&["recordings", "show", "call"])["fingerprint"].clone();
    let old = fingerprint();

    // Neither of the first two steps takes anything back, nor does to wrap anew: the file key is the same one.
    system.ok(&["definition-key", "cycle"]);
    take_store(&thief, &system);
    assert!(thief.run(&["cat", "call"]).stdout == bytes, "cycle alone changes no file");
    system.ok(&["keys", "generate"]);
    system.ok(&["rewrap", "--all"]);
    let with_old_header = |file: &[u8]| [&old_file[..512], &file[512..]].concat();
    take_store(&thief, &system);
    assert_opens_nothing(&thief, "key-missing");
    let taken = thief.stored("call");
    fs::write(&taken, with_old_header(&fs::read(&stored).expect("read"))).expect("written");
    assert!(thief.run(&["cat", "call"]).stdout == bytes, "an old header opens what is only wrapped anew");

    system.ok(&["reseal", "--all"]);
    system.import("later", &bytes);
    assert_ne!(fingerprint(), old);
    take_store(&thief, &system);
    assert_opens_nothing(&thief, "key-missing");
    assert!(thief.run(&["cat", "later"]).stdout.is_empty());
    fs::write(&taken, with_old_header(&fs::read(&stored).expect("read"))).expect("written");
    let spliced = thief.run(&["cat", "call"]);
    assert!(spliced.stdout.is_empty() && text(&spliced.stderr).contains("recording-corrupt"), "another file key");

    // The database of today, taken as well, names a definition key that was not.
    let obsolete = fs::read(thief.data_dir().join("definition.key")).expect("read");
    assert_eq!(obsolete, fs::read(old_key.with_extension("key.obsolete")).expect("kept"));
    take_store(&thief, &system);
    fs::copy(system.data_dir().join("sealtape.db"), thief.data_dir().join("sealtape.db")).expect("copied");
    for arguments in [&["cat", "call"][..], &["keys", "list"], &["recordings", "rebuild"]] {
        let output = thief.run(arguments);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(1) && output.stdout.is_empty(), "{arguments:?}: {said}");
        assert!(said.contains("definition key"), "{arguments:?}: {said}");
    }
    assert!(system.run(&["cat", "call"]).stdout == bytes, "and its owner plays it");
}

#[test]
fn a_stolen_folder_opens_everything_unless_the_definition_key_lies_elsewhere() {
    let (system, bytes) = system();
    assert!(stolen_from(&system).run(&["cat", "call"]).stdout == bytes);
    let warned = text(&system.run(&["definition-key", "status"]).stderr);
    assert!(warned.contains("lies beside the data") && warned.contains("moved elsewhere"), "{warned}");

    let mut system = system;
    let elsewhere = system.path("elsewhere");
    fs::create_dir(&elsewhere).expect("made");
    let elsewhere = elsewhere.join("definition.key");
    fs::rename(system.data_dir().join("definition.key"), &elsewhere).expect("moved");
    system.set("SEALTAPE_DEFINITION_KEY__PATH", elsewhere.to_str().expect("UTF-8"));
    assert!(system.run(&["cat", "call"]).stdout == bytes);
    assert!(!text(&system.run(&["definition-key", "status"]).stderr).contains("beside the data"));
    let thief = stolen_from(&system);
    for arguments in [&["cat", "call"][..], &["recordings", "rebuild"], &["keys", "generate"]] {
        let output = thief.run(arguments);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(1) && output.stdout.is_empty(), "{arguments:?}: {said}");
        assert!(said.contains("definition key"), "{arguments:?}: {said}");
    }
}
