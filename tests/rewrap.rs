//! Recordings on their way to another key: wrapped anew, or sealed again.

use std::{
    fs,
    io::Write,
    os::unix::fs::MetadataExt,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::support::{Stored, System, media, signal, text, tool};

/// Fingerprint, wrapped file key, and header tag: what a re-wrapping may change.
const CHANGING: [std::ops::Range<usize>; 2] = [32..104, 480..512];

#[test]
fn rewrap_changes_the_header_and_nothing_else() {
    let system = System::with_key();
    let bytes = media(100_000);
    for id in ["one", "two"] {
        system.import(id, &bytes);
    }
    let stored = system.object("one");
    let server = system.serve();
    let inode = |stored: &Stored| match stored {
        Stored::File(path) => fs::metadata(path).expect("metadata").ino(),
        // One that is written anew is written whole.
        Stored::Object { .. } => 0,
    };
    let before = (stored.read(), inode(&stored));
    let played = server.get("/recordings/one/media");
    let old = fingerprint(&system, "one");
    let new = system.json(&["keys", "generate"])["fingerprint"].as_str().expect("text").to_owned();

    let plan = system.json(&["rewrap", "--all", "--dry-run"]);
    assert_eq!((&plan["recordings"], &plan["bytes"], &plan["to"]), (&2.into(), &200_000.into(), &new.clone().into()));
    assert_eq!(plan["from"], serde_json::json!([{ "fingerprint": old, "recordings": 2 }]));
    assert_eq!(stored.read(), before.0, "a dry run changes nothing");
    assert_eq!(fingerprint(&system, "one"), old);
    assert!(system.fails(1, &["keys", "deactivate", &old]).contains("2 recording(s) need"));

    let done = system.json(&["rewrap", "--all"]);
    assert_eq!((&done["done"], &done["failed"], &done["to"]), (&2.into(), &serde_json::json!([]), &new.clone().into()));
    let after = stored.read();
    let changed = (0..after.len()).filter(|at| after[*at] != before.0[*at]);
    assert!(changed.clone().all(|at| CHANGING.iter().any(|range| range.contains(&at))), "only these bytes");
    assert!(changed.count() > 64, "and those they are");
    assert_eq!(inode(&stored), before.1, "in place");
    assert_eq!(hex::encode(&after[32..64]), new);
    let plays = server.get("/recordings/one/media");
    assert!(plays.body == bytes);
    for name in ["etag", "last-modified", "content-type"] {
        assert_eq!(plays.header(name), played.header(name), "{name}");
    }
    assert_eq!(fingerprint(&system, "one"), new);
    system.ok(&["keys", "deactivate", &old]);
    assert!(server.wait_until(Duration::from_secs(2), |server| server.get("/recordings/two/media").body == bytes));
    assert_eq!(system.json(&["rewrap", "--all"])["done"], 0, "there is nothing left to do");
    assert_eq!(system.json(&["rewrap", "one"])["already"], 1);
    assert_eq!(events(&system, "recording.rewrap"), 2);
}

#[test]
fn what_cannot_be_rewrapped_is_named_and_left() {
    let system = System::with_key();
    let bytes = media(50_000);
    for id in ["good", "damaged", "gone", "swapped"] {
        system.import(id, &bytes);
    }
    let exempt = system.file("plain.dat", &bytes);
    system.ok(&["import", exempt.to_str().expect("UTF-8"), "--exempt"]);
    system.ok(&["keys", "generate"]);
    system.object("damaged").flip(490);
    let damaged = system.object("damaged").read();
    system.object("gone").remove();
    system.object("swapped").write(&system.object("good").read());
    let output = system.run(&["rewrap", "--all", "--json"]);
    assert_eq!(output.status.code(), Some(3), "some failed, one was done");
    let said = text(&output.stderr);
    for (id, code) in [("damaged", "recording-corrupt"), ("gone", "media-missing"), ("swapped", "recording-corrupt")] {
        assert!(said.lines().any(|line| line.contains(id) && line.contains(code)), "{id}: {said}");
    }
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["done"], report["failed"].as_array().map(Vec::len)), (&1.into(), Some(3)));
    assert_eq!(system.object("damaged").read(), damaged, "no tag is made over what did not verify");
    assert!(system.run(&["cat", "good"]).stdout == bytes);
    for (id, why) in [("plain", "in plain"), ("nobody", "no recording of that ID"), ("gone", "media-missing")] {
        assert!(system.fails(1, &["rewrap", id]).contains(why), "{id}");
    }
    for wrong in [&["rewrap"][..], &["rewrap", "--all", "good"], &["reseal"], &["reseal", "--all", "--key", "00000000"]]
    {
        assert_eq!(system.run(wrong).status.code(), Some(2), "{wrong:?}");
    }
    assert!(system.fails(1, &["reseal", "--key", "00000000"]).contains("no database key has a fingerprint"));
}

#[test]
fn without_an_active_key_nothing_is_wrapped_or_sealed() {
    let system = System::with_key();
    system.import("call", &media(3000));
    let key = fingerprint(&system, "call");
    system.ok(&["keys", "deactivate", "--force", &key]);
    for command in ["rewrap", "reseal"] {
        let error = system.fails(1, &[command, "--all"]);
        assert!(error.contains("no database key is active") && error.contains("keys generate"), "{error}");
    }
}

#[test]
fn a_recording_that_is_being_recorded_waits_for_its_end() {
    let system = System::with_key();
    let bytes = media(50_000);
    system.import("done", &bytes);
    let mut recorder = recorder(&system, "live");
    let stdin = recorder.stdin.as_mut().expect("piped");
    stdin.write_all(&bytes[..20_000]).and_then(|()| stdin.flush()).expect("written");
    while system.run(&["recordings", "show", "live"]).status.code() != Some(0) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let new = system.json(&["keys", "generate"])["fingerprint"].clone();
    for command in ["rewrap", "reseal"] {
        let output = system.run(&[command, "done", "live"]);
        assert_eq!(output.status.code(), Some(3));
        assert!(text(&output.stderr).contains("live: it is being recorded now"), "{}", text(&output.stderr));
    }
    recorder.stdin.take().expect("piped").write_all(&bytes[20_000..]).expect("written");
    assert!(recorder.wait().expect("ends").success());
    system.ok(&["rewrap", "--all"]);
    assert!(system.run(&["cat", "live"]).stdout == bytes);
    assert_eq!(system.json(&["recordings", "show", "live"])["fingerprint"], new);
}

#[test]
fn the_recordings_of_a_recorder_that_was_killed_move_too() {
    let system = System::with_key();
    let bytes = media(50_000);
    let mut recorder = recorder(&system, "killed");
    let stdin = recorder.stdin.as_mut().expect("piped");
    stdin.write_all(&bytes).and_then(|()| stdin.flush()).expect("written");
    // The chunk that is still open at the kill is lost; the ones before it are in the file.
    let part = loop {
        std::thread::sleep(Duration::from_millis(20));
        let part = system.objects().into_iter().find(|path| path.ends_with(".part"));
        if let Some(part) = part.filter(|part| part.size() > 45_000) {
            break part;
        }
    };
    recorder.kill().and_then(|()| recorder.wait().map(|_| ())).expect("killed");
    let played = system.run(&["cat", "killed"]).stdout;
    assert!(played.len() >= 45_000 - 4096 && bytes.starts_with(&played));
    // Its lease says that it may be at work, and the lock on its file that it is not.
    system.ok(&["keys", "generate"]);
    let error = system.fails(1, &["rewrap", "killed"]);
    assert!(error.contains("being recorded"), "{error}");
    set_lease(&system, "killed", 1);
    for command in ["rewrap", "reseal"] {
        system.ok(&[command, "killed"]);
        assert!(system.run(&["cat", "killed"]).stdout == played, "{command}");
        let shown = system.json(&["recordings", "show", "killed"]);
        assert_eq!((&shown["state"], &shown["media_len"]), (&"unfinished".into(), &(played.len() as u64).into()));
    }
    assert!(part.exists(), "under the name that claims no end");
}

#[test]
fn reseal_makes_new_file_keys_and_keeps_the_recording() {
    let system = System::with_key();
    let bytes = media(3 << 20);
    system.import("call", &bytes);
    let server = system.serve();
    let stored = system.object("call");
    let before = stored.read();
    let (shown, played) = (system.json(&["recordings", "show", "call"]), server.get("/recordings/call/media"));
    let old = fingerprint(&system, "call");
    let error = system.fails(1, &["reseal", "--key", &old]);
    assert!(
        error.contains("is the one that recordings are sealed under") && error.contains("keys generate"),
        "{error}"
    );
    // What an operator does who hears that a key is out.
    system.ok(&["keys", "generate"]);
    system.ok(&["keys", "deactivate", "--force", &old]);
    assert!(system.fails(1, &["cat", "call"]).contains("key-deactivated"));
    let plan = system.json(&["reseal", "--key", &old, "--dry-run"]);
    assert_eq!((&plan["recordings"], &plan["bytes"]), (&1.into(), &(3 << 20).into()));
    assert_eq!(stored.read(), before, "a dry run changes nothing");
    assert_eq!(system.json(&["reseal", "--key", &old])["done"], 1);

    let plays = server.get("/recordings/call/media");
    assert!(plays.body == bytes, "under its new key");
    assert_ne!(plays.header("etag"), played.header("etag"), "it is another sealing");
    let after = system.object("call").read();
    assert_eq!(after.len(), before.len());
    assert_ne!(after[16..32], before[16..32], "another salt");
    let same = after[512..].iter().zip(&before[512..]).filter(|(one, other)| one == other).count();
    assert!(same < after.len() / 128, "another keystream: {same} bytes are the same, and a 256th is chance");
    let now = system.json(&["recordings", "show", "call"]);
    for field in ["id", "media_type", "media_len", "created_at", "state", "mended"] {
        assert_eq!(now[field], shown[field], "{field}");
    }
    assert_eq!(now["location"] == shown["location"], !system.is_in_bucket(), "in a bucket each sealing has its own");
    assert_eq!(system.objects().iter().filter(|path| path.ends_with(".next")).count(), 0);
    assert_eq!(system.json(&["reseal", "--key", &old])["done"], 0, "nothing is under it any more");
    assert_eq!(system.json(&["reseal", "--all"])["done"], 1, "all means all");
    assert!(server.get("/recordings/call/media").body == bytes);
    assert_eq!(events(&system, "recording.reseal"), 2);
}

#[test]
fn a_damaged_recording_is_not_sealed_again_and_stays() {
    let system = System::with_key();
    let bytes = media(200_000);
    for id in ["good", "damaged"] {
        system.import(id, &bytes);
    }
    let stored = system.object("damaged");
    stored.flip(100_000);
    let before = stored.read();
    let output = system.run(&["reseal", "--all"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("damaged: ") && text(&output.stderr).contains("recording-corrupt"));
    assert_eq!(stored.read(), before, "not a byte of it");
    let left = system.objects().into_iter().filter(|file| !file.ends_with("/.lock")).count();
    assert_eq!(left, 2, "two recordings: nothing is left over");
    assert!(system.run(&["cat", "good"]).stdout == bytes);
}

#[test]
fn a_run_that_is_stopped_goes_on_where_it_was() {
    let system = System::with_key();
    let bytes = media(8 << 20);
    for n in 0..12 {
        system.import(&format!("call-{n}"), &bytes);
    }
    let mut running = system.command(&["reseal", "--all"]).stderr(Stdio::piped()).spawn().expect("runs");
    let log = || events(&system, "recording.reseal");
    while log() < 2 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let busy = system.fails(1, &["rewrap", "--all"]);
    assert!(busy.contains("another command"), "{busy}");
    signal(running.id(), "TERM");
    let code = running.wait().expect("ends").code();
    let done = log();
    assert_eq!(code, Some(1), "stopped");
    assert!((2..12).contains(&done), "{done} of 12");
    let plan = system.json(&["reseal", "--all", "--dry-run"]);
    assert!(plan["resumes"].is_string(), "{plan}");
    let rest = system.json(&["reseal", "--all"]);
    assert_eq!((&rest["done"], &rest["already"]), (&(12 - done).into(), &done.into()), "each is sealed again once");
    assert!(system.json(&["reseal", "--all", "--dry-run"])["resumes"].is_null(), "and a new run is a new one");
    for n in 0..12 {
        assert!(system.run(&["cat", &format!("call-{n}")]).stdout == bytes);
    }
}

#[test]
fn a_dry_run_says_what_cannot_be_done() {
    let system = System::with_key();
    system.import("call", &media(3000));
    let plain = system.file("plain.dat", &media(100));
    system.ok(&["import", plain.to_str().expect("UTF-8"), "--exempt"]);
    let output = system.run(&["reseal", "--dry-run", "--json", "call", "plain", "nobody"]);
    assert_eq!(output.status.code(), Some(3));
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&plan["recordings"], plan["failed"].as_array().map(Vec::len)), (&1.into(), Some(2)), "{plan}");
    assert!(system.fails(1, &["rewrap", "--dry-run", "nobody"]).contains("no recording of that ID"));
}

/// A mark that is older than the newest key, or a clock that was ahead, leaves nothing under a key that is out.
#[test]
fn a_run_that_was_left_long_ago_does_not_count_for_another_key() {
    let system = System::with_key();
    let bytes = media(50_000);
    system.import("call", &bytes);
    let old = fingerprint(&system, "call");
    execute(&system, &format!("INSERT INTO setting (name, value) VALUES ('reseal', '1 {old}')"));
    system.ok(&["keys", "generate"]);
    assert_eq!(system.json(&["reseal", "--all"])["done"], 1);
    assert_ne!(fingerprint(&system, "call"), old);
    // One that counts says so.
    let new = fingerprint(&system, "call");
    execute(&system, &format!("INSERT INTO setting (name, value) VALUES ('reseal', '1 {new}')"));
    let output = system.run(&["reseal", "--all"]);
    assert!(
        text(&output.stderr).contains("1970-01-01") && text(&output.stderr).contains("goes on"),
        "{}",
        text(&output.stderr)
    );
}

/// The old file is still there: a replacement that is damaged does not take its place.
#[test]
fn a_damaged_replacement_that_a_dead_command_left_is_dropped() {
    let system = System::with_key();
    let bytes = media(100_000);
    system.import("call", &bytes);
    let stored = system.object("call");
    let before = stored.read();
    let old_seal = seal_id(&system);
    system.ok(&["reseal", "call"]);
    let (mut after, new_seal, key) = (stored.read(), seal_id(&system), fingerprint(&system, "call"));
    for is_damaged in [true, false] {
        stored.write(&before);
        after[50_000] ^= u8::from(is_damaged);
        stored.with_end(".sealed", ".sealed.next").write(&after);
        after[50_000] ^= u8::from(is_damaged);
        execute(
            &system,
            &format!(
                "UPDATE recording SET seal_id = x'{old_seal}', replacement_seal_id = x'{new_seal}', replacement_fingerprint = x'{key}'"
            ),
        );
        let outcome = system.json(&["rewrap", "call"]);
        assert_eq!(outcome["done"], 1, "it was brought to an end, and that is on record");
        assert!(system.run(&["cat", "call"]).stdout == bytes, "damaged: {is_damaged}");
        assert_eq!(seal_id(&system), if is_damaged { &old_seal } else { &new_seal }.clone());
    }
}

#[test]
fn a_terminal_shows_a_bar_and_a_pipe_does_not() {
    let system = System::with_key();
    system.import("call", &media(8 << 20));
    let piped = system.run(&["reseal", "--all"]);
    assert!(piped.status.success() && piped.stderr.is_empty(), "{}", text(&piped.stderr));
    let inner = system.command(&["reseal", "--all"]);
    let mut on_terminal: Command = tool("python3");
    on_terminal.args(["-c", "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]))"]).arg(inner.get_program());
    let output =
        on_terminal.args(inner.get_args()).envs(system.environment()).env("TERM", "xterm").output().expect("runs");
    let said = text(&output.stdout);
    assert!(said.contains("MiB/s"), "{said}");
    assert!(said.contains("sealed again"), "{said}");
}

fn recorder(system: &System, id: &str) -> Child {
    let mut command = system.command(&["import", "-", "--id", id]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("runs")
}

fn fingerprint(system: &System, id: &str) -> String {
    system.json(&["recordings", "show", id])["fingerprint"].as_str().expect("sealed").to_owned()
}

fn events(system: &System, kind: &str) -> usize {
    let mut folder: Vec<_> = fs::read_dir(system.data_dir().join("audit")).expect("read").collect();
    folder.retain(|entry| entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|end| end == "jsonl")));
    let lines: String =
        folder.into_iter().map(|entry| fs::read_to_string(entry.expect("entry").path()).expect("read")).collect();
    lines.lines().filter(|line| line.contains(&format!("\"{kind}\""))).count()
}

fn set_lease(system: &System, id: &str, millis: i64) {
    execute(system, &format!("UPDATE recording SET lease_until = {millis} WHERE id = '{id}'"));
}

/// The sealing of the only recording, as the catalogue names it.
fn seal_id(system: &System) -> String {
    let server = system.serve();
    let etag = server.get("/recordings/call/media").header("etag").expect("sealed").to_owned();
    etag.trim_matches('"').to_owned()
}

/// Changes the database as no command does.
fn execute(system: &System, statement: &str) {
    use sqlx::Connection;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(system.data_dir().join("sealtape.db"));
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("connects");
        let done = sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.expect("executes");
        assert_eq!(done.rows_affected(), 1);
        connection.close().await.expect("closes");
    });
}
