//! A lost catalogue is filled again from the files, and the manual's way back is walked as it stands there.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::support::{System, bare_command, media, text, tool};

const PASSPHRASE: (&str, &str) = ("SEALTAPE_PASSPHRASE", "correct horse battery staple");

#[test]
fn what_verifies_is_catalogued_as_it_was() {
    let system = System::with_key();
    let bytes = media(50_000);
    system.import("call", &bytes);
    system.ok(&["keys", "generate"]);
    system.import("later.wav", &bytes);
    system.ok(&["rewrap", "call"]);
    broken_off(&system, "unfinished", &bytes);
    let plain = system.file("plain.dat", &bytes);
    system.ok(&["import", plain.to_str().expect("UTF-8"), "--exempt"]);
    let before = recordings(&system);
    lose_database(&system);
    let report = system.json(&["recordings", "rebuild"]);
    assert_eq!(report["catalogued"].as_array().map(Vec::len), Some(3), "{report}");
    assert_eq!((&report["left_plain"], &report["faults"]), (&serde_json::json!(["plain"]), &serde_json::json!([])));
    let after = recordings(&system);
    for id in ["call", "later.wav", "unfinished"] {
        assert_eq!(find(&after, id), find(&before, id), "{id}");
    }
    assert!(system.run(&["cat", "call"]).stdout == bytes && system.run(&["cat", "later.wav"]).stdout == bytes);
    assert!(system.fails(1, &["cat", "plain"]).contains("recording-not-found"), "a plain file is not believed");
    let again = system.json(&["recordings", "rebuild"]);
    assert_eq!((&again["catalogued"], &again["already"]), (&serde_json::json!([]), &3.into()), "a second time");
    let with_plain = system.json(&["recordings", "rebuild", "--plain"]);
    assert_eq!(with_plain["catalogued"], serde_json::json!(["plain"]));
    assert!(system.run(&["cat", "plain"]).stdout == bytes);
    assert_eq!(system.json(&["recordings", "show", "plain"])["sealed"], false);
}

#[test]
fn without_keys_nothing_can_be_told() {
    let system = System::empty();
    let error = system.fails(1, &["recordings", "rebuild"]);
    assert!(error.contains("no database key") && error.contains("keys import"), "{error}");
}

#[test]
fn what_does_not_verify_is_named() {
    let (system, stranger) = (System::with_key(), System::with_key());
    let bytes = media(50_000);
    for id in ["good", "damaged-head", "damaged-end", "short"] {
        system.import(id, &bytes);
    }
    stranger.import("of-another", &bytes);
    let place = |id: &str| system.object(id);
    place("damaged-head").flip(200);
    let end = place("damaged-end").size() - 1;
    place("damaged-end").flip(end);
    place("short").cut(300);
    copy_into(&system, &stranger.stored("of-another"), "of-another.sealed");
    // Another recording's file under a name of its own, a file in the wrong folder, and one that is none.
    copy_into(&system, place("good").path(), "renamed.sealed");
    let media_folder = system.data_dir().join("media");
    fs::create_dir_all(media_folder.join("zz")).expect("made");
    fs::write(media_folder.join("notes.txt"), "x").expect("written");
    let misplaced = place("good").path().with_file_name("misplaced.sealed");
    fs::copy(place("good").path(), misplaced).expect("copied");
    lose_database(&system);
    let output = system.run(&["recordings", "rebuild", "--json"]);
    assert_eq!(output.status.code(), Some(3));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["catalogued"], serde_json::json!(["good"]));
    let faults = report["faults"].as_array().expect("faults");
    for (name, reason) in [
        ("damaged-head.sealed", "recording-corrupt"),
        ("damaged-end.sealed", "recording-corrupt"),
        ("short.sealed", "recording-corrupt"),
        ("of-another.sealed", "key-missing"),
        ("renamed.sealed", "recording-corrupt"),
        ("misplaced.sealed", "not in its place"),
        ("notes.txt", "no file of a recording"),
        ("zz", "no file of a recording"),
    ] {
        let fault = faults.iter().find(|fault| fault["locations"].to_string().contains(name));
        let fault = fault.unwrap_or_else(|| panic!("{name} is not named: {report}"));
        assert!(fault["reason"].as_str().expect("text").contains(reason), "{name}: {fault}");
        assert!(text(&output.stderr).contains(name), "{name} is named to people, too");
    }
    assert_eq!(faults.len(), 8, "{report}");
}

#[test]
fn of_two_files_with_one_id_neither_displaces_the_other() {
    let (system, twin) = (System::with_key(), System::empty());
    crate::support::copy_folder(&system.data_dir(), &twin.data_dir());
    let bytes = media(50_000);
    system.import("call", &bytes);
    broken_off(&twin, "call", &bytes);
    let final_file = system.stored("call");
    let part = final_file.with_extension("sealed.part");
    fs::copy(twin.stored("call"), &part).expect("copied");
    let both_named = |output: &std::process::Output| {
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{said}");
        let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned() + " and ";
        assert!(said.contains(&name(&final_file)) && said.contains("call.sealed.part: "), "{said}");
    };
    // The catalogue knows one of them.
    both_named(&system.run(&["recordings", "rebuild"]));
    assert!(system.run(&["cat", "call"]).stdout == bytes, "the catalogue stays as it is");
    // The catalogue knows neither.
    lose_database(&system);
    both_named(&system.run(&["recordings", "rebuild"]));
    assert!(system.fails(1, &["cat", "call"]).contains("recording-not-found"));
    // The catalogue knows another one than the only file.
    fs::remove_file(&final_file).expect("removed");
    system.ok(&["recordings", "rebuild"]);
    fs::remove_file(&part).expect("removed");
    system.ok(&["recordings", "list"]);
    twin.import("other", &bytes);
    let shown = system.json(&["recordings", "show", "call"]);
    assert_eq!(shown["problem"]["code"], "media-missing");
}

#[test]
fn a_recording_that_grows_is_left_to_its_writer() {
    use std::io::Write;
    let system = System::with_key();
    let bytes = media(50_000);
    let mut command = system.command(&["import", "-", "--id", "live"]);
    let mut recorder = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("runs");
    let mut stdin = recorder.stdin.take().expect("piped");
    stdin.write_all(&bytes[..20_000]).and_then(|()| stdin.flush()).expect("written");
    while system.objects().is_empty() || system.json(&["recordings", "list"]).as_array().map(Vec::len) != Some(1) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let report = system.json(&["recordings", "rebuild"]);
    assert_eq!((&report["already"], &report["faults"]), (&1.into(), &serde_json::json!([])));
    stdin.write_all(&bytes[20_000..]).expect("written");
    drop(stdin);
    assert!(recorder.wait().expect("ends").success());
    assert!(system.run(&["cat", "live"]).stdout == bytes);
}

/// What SQLite kept beside a database that is lost does not come back into the new one.
#[test]
fn the_log_of_a_lost_database_is_put_aside() {
    let system = System::with_key();
    let bytes = media(50_000);
    system.import("call", &bytes);
    let backup = system.path("keys.age");
    let out = backup.to_str().expect("UTF-8");
    assert!(system.command(&["keys", "export", "--out", out]).envs([PASSPHRASE]).status().expect("runs").success());
    let server = system.serve();
    for n in 0..20 {
        system.import(&format!("more-{n}"), &media(100));
    }
    assert!(system.data_dir().join("sealtape.db-wal").exists(), "the server keeps it open");
    server.signal("KILL");
    server.wait();
    fs::remove_file(system.data_dir().join("sealtape.db")).expect("removed");
    let back = system.command(&["keys", "import", out]).envs([PASSPHRASE]).output().expect("runs");
    assert!(back.status.success(), "{}", text(&back.stderr));
    assert!(text(&back.stderr).contains("sealtape.db.lost-wal"), "{}", text(&back.stderr));
    assert_eq!(system.json(&["recordings", "list"]).as_array().map(Vec::len), Some(0), "a new catalogue");
    assert_eq!(system.json(&["recordings", "rebuild"])["catalogued"].as_array().map(Vec::len), Some(21));
    assert!(system.run(&["cat", "call"]).stdout == bytes);
}

/// Two at once are one after the other, and each database has its keys.
#[test]
fn imports_at_once_into_a_lost_database() {
    let system = System::with_key();
    system.import("call", &media(50_000));
    lose_database(&system);
    let backup = system.path("keys.age");
    fs::remove_file(system.data_dir().join("sealtape.db")).expect("removed");
    let imports: Vec<_> = (0..4)
        .map(|_| {
            let mut command = system.command(&["keys", "import", backup.to_str().expect("UTF-8")]);
            command.envs([PASSPHRASE]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("runs")
        })
        .collect();
    let succeeded =
        imports.into_iter().filter_map(|mut import| import.wait().expect("ends").code()).filter(|code| *code == 0);
    assert_eq!(succeeded.count(), 1, "for the others every key is here already");
    assert_eq!(system.json(&["keys", "list"]).as_array().map(Vec::len), Some(1));
    system.ok(&["recordings", "rebuild"]);
    assert!(system.run(&["cat", "call"]).stdout == media(50_000));
}

#[test]
fn a_lesser_file_does_not_take_the_place_of_a_damaged_one() {
    let system = System::with_key();
    let bytes = media(50_000);
    system.import("call", &bytes);
    let stored = system.object("call");
    let forged = stored.with_end(".sealed", ".plain");
    forged.write(b"forged");
    stored.flip(200);
    lose_database(&system);
    let output = system.run(&["recordings", "rebuild", "--plain"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains(&format!("{stored}: ")) && said.contains(&format!("{forged}: ")), "{said}");
    assert_eq!(recordings(&system).as_array().map(Vec::len), Some(0), "neither");
    stored.flip(200);
    forged.remove();
    system.ok(&["recordings", "rebuild"]);
    assert!(system.run(&["cat", "call"]).stdout == bytes);
}

#[test]
fn files_from_before_a_rewrap_are_counted_under_their_key_again() {
    let system = System::with_key();
    let bytes = media(50_000);
    system.import("call", &bytes);
    let (stored, old) = (system.object("call"), system.json(&["keys", "list"])[0]["fingerprint"].clone());
    let backup = stored.read();
    system.ok(&["keys", "generate"]);
    system.ok(&["rewrap", "--all"]);
    stored.write(&backup);
    assert_eq!(system.json(&["recordings", "rebuild"])["already"], 1);
    let error = system.fails(1, &["keys", "deactivate", old.as_str().expect("text")]);
    assert!(error.contains("1 recording(s) need"), "{error}");
    system.ok(&["rewrap", "--all"]);
    system.ok(&["keys", "deactivate", old.as_str().expect("text")]);
    assert!(system.run(&["cat", "call"]).stdout == bytes);
}

/// The walk-through in the manual's chapter on keys, command by command as it stands there.
#[test]
fn the_way_back_in_the_manual_leads_back() {
    let manual = include_str!("../src/manual/keys.md");
    let (_, rest) = manual.split_once("<!-- the way back, walked by a test -->").expect("the walk-through is marked");
    let (_, rest) = rest.split_once("```sh\n").expect("a block of commands");
    let (script, _) = rest.split_once("```").expect("its end");
    assert!(script.contains("keys import") && script.contains("recordings rebuild"), "{script}");
    let system = System::empty();
    let program = Path::new(env!("CARGO_BIN_EXE_sealtape")).parent().expect("a folder").to_owned();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").expect("PATH"));
    let bytes = media(50_000);
    fs::create_dir(system.path("recordings")).expect("made");
    fs::write(system.path("recordings/call-1.wav"), &bytes).expect("written");
    fs::write(system.path("recordings/call-2.wav"), media(3 << 20)).expect("written");
    let environment = bare_command();
    let mut shell: Command = tool("bash");
    shell.args(["-euo", "pipefail", "-c", script]).current_dir(system.path(".")).stdin(Stdio::null());
    for (name, value) in environment.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let output = shell.env("PATH", path).env(PASSPHRASE.0, PASSPHRASE.1).output().expect("runs");
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    let mut cat = bare_command();
    cat.args(["--data-dir", "sealtape-data", "cat", "call-1"]).current_dir(system.path("."));
    assert!(cat.output().expect("runs").stdout == bytes, "it plays again");
}

/// A live recording whose source broke off.
fn broken_off(system: &System, id: &str, bytes: &[u8]) {
    use std::io::Write;
    let mut command = system.command(&["import", "-", "--id", id]);
    let mut recorder = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("runs");
    let mut stdin = recorder.stdin.take().expect("piped");
    stdin.write_all(bytes).and_then(|()| stdin.flush()).expect("written");
    let is_there = || system.json(&["recordings", "list"]).to_string().contains(&format!("\"{id}\""));
    while !is_there() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // What was written is read before the signal is obeyed.
    std::thread::sleep(std::time::Duration::from_millis(300));
    crate::support::signal(recorder.id(), "TERM");
    recorder.wait().expect("ends");
    assert_eq!(system.json(&["recordings", "show", id])["state"], "unfinished");
}

/// The database is gone, and its keys come back from a backup that was made before.
fn lose_database(system: &System) {
    let backup = system.path("keys.age");
    if !backup.exists() {
        let out = backup.to_str().expect("UTF-8");
        let made = system.command(&["keys", "export", "--out", out]).envs([PASSPHRASE]).output().expect("runs");
        assert!(made.status.success(), "{}", text(&made.stderr));
    }
    for name in ["sealtape.db", "sealtape.db-wal", "sealtape.db-shm"] {
        let _not_all_are_there = fs::remove_file(system.data_dir().join(name));
    }
    let back =
        system.command(&["keys", "import", backup.to_str().expect("UTF-8")]).envs([PASSPHRASE]).output().expect("runs");
    assert!(back.status.success(), "{}", text(&back.stderr));
}

/// Puts a file where a recording of that name would lie.
fn copy_into(system: &System, from: &Path, name: &str) {
    let id = name.trim_end_matches(".sealed");
    let output = tool("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().and_then(|mut child| {
        use std::io::Write;
        child.stdin.take().expect("piped").write_all(id.as_bytes())?;
        child.wait_with_output()
    });
    let digest = text(&output.expect("runs").stdout);
    let folder = system.data_dir().join("media").join(&digest[..2]);
    fs::create_dir_all(&folder).expect("made");
    fs::copy(from, folder.join(name)).expect("copied");
}

fn recordings(system: &System) -> Value {
    system.json(&["recordings", "list"])
}

fn find(recordings: &Value, id: &str) -> Value {
    let found = recordings.as_array().expect("list").iter().find(|recording| recording["id"] == id);
    found.unwrap_or_else(|| panic!("{id} is not in {recordings}")).clone()
}
