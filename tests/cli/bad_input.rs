//! Bad input gets its own clear message that names the thing, and leaves nothing half-done.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt};

use crate::support::{System, bare_command, media, sample, text};

/// One or two lines, the first of which says that the program speaks.
fn assert_clear(error: &str, words: &[&str]) {
    let lines: Vec<&str> = error.lines().collect();
    assert!((1..=2).contains(&lines.len()), "one or two lines:\n{error}");
    assert!(lines[0].starts_with("sealtape: "), "{error}");
    for word in words {
        assert!(error.contains(word), "{word:?} in:\n{error}");
    }
}

/// Nothing was taken in.
fn assert_nothing(system: &System) {
    assert_eq!(system.json(&["recordings", "list"]), serde_json::json!([]));
    assert_eq!(system.objects(), []);
}

#[test]
fn files_that_cannot_be_recordings() {
    let system = System::with_key();
    let empty = system.file("empty.wav", b"");
    let folder = system.path("folder");
    fs::create_dir(&folder).expect("made");
    let spaced = system.file("my call.wav", &media(10));
    let of = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    assert_clear(&system.fails(1, &["import", &of(&empty)]), &["empty.wav", "it is empty"]);
    assert_clear(&system.fails(1, &["import", &of(&folder)]), &["folder", "it is a directory"]);
    assert_clear(&system.fails(1, &["import", &of(&system.path("none.wav"))]), &["none.wav", "No such file"]);
    assert_clear(&system.fails(1, &["import", &of(&spaced)]), &["my call", "no ID", "--id"]);
    assert_nothing(&system);
}

#[test]
fn a_file_that_may_not_be_read() {
    let system = System::with_key();
    // Root may read everything, so the program runs as somebody else.
    let unreadable = system.file("secret.wav", &media(10));
    fs::set_permissions(&unreadable, fs::Permissions::from_mode(0o000)).expect("chmod");
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("chmod");
    let is_root = text(&std::process::Command::new("id").arg("-u").output().expect("id").stdout).trim() == "0";
    let mut command = if is_root {
        // Copied to where anybody may run it.
        let program = folder.path().join("sealtape");
        fs::copy(env!("CARGO_BIN_EXE_sealtape"), &program).expect("copied");
        let open = folder.path().join("secret.wav");
        fs::copy(&unreadable, &open).expect("copied");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o000)).expect("chmod");
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program).arg("import").arg(open);
        command
    } else {
        let mut command = bare_command();
        command.arg("import").arg(&unreadable);
        command
    };
    let output = command.arg("--data-dir").arg(folder.path().join("data")).output().expect("runs");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert_clear(&text(&output.stderr), &["secret.wav", "it cannot be read", "Permission denied"]);
}

#[test]
fn ids_that_cannot_be() {
    let system = System::with_key();
    let file = system.file("call.wav", &media(10));
    let file = file.to_str().expect("UTF-8");
    for id in ["a/b", "../x", ".hidden", "", "a b", &"x".repeat(129)] {
        let error = system.fails(2, &["import", file, "--id", id]);
        assert!(error.contains("recording ID") && error.contains("1 to 128"), "{id:?}: {error}");
    }
    assert_clear(&system.fails(2, &["import", file, file, "--id", "one"]), &["--id", "several files"]);
    assert_clear(&system.fails(2, &["import", "-"]), &["standard input", "--id"]);
    for media_type in ["wav", "audio/", "audio/wav\r\nX: y"] {
        assert!(system.fails(2, &["import", file, "--media-type", media_type]).contains("media type"));
    }
    assert_nothing(&system);

    system.ok(&["import", file]);
    let before = system.object("call").read();
    assert_clear(&system.fails(1, &["import", file]), &["call.wav", "exists", "--id"]);
    assert!(system.object("call").read() == before, "never overwritten");
    assert_eq!(system.objects().len(), 1);
}

#[test]
fn some_items_fail_while_others_are_done() {
    let system = System::with_key();
    let (good, bad) = (system.file("good.wav", &media(10)), system.file("bad.wav", b""));
    let error = system.fails(3, &["import", bad.to_str().expect("UTF-8"), good.to_str().expect("UTF-8")]);
    assert_clear(&error, &["bad.wav", "empty"]);
    assert_eq!(system.json(&["recordings", "show", "good"])["media_len"], 10);
}

#[test]
fn a_sealed_file_that_does_not_verify_or_is_another() {
    let (system, other) = (System::with_key(), System::with_key());
    // Sealed by a twin with the same keys, so that its file can be taken in here.
    let twin = System::empty();
    fs::create_dir(twin.data_dir()).expect("made");
    for name in ["sealtape.db", "definition.key"] {
        fs::copy(system.data_dir().join(name), twin.data_dir().join(name)).expect("copied");
    }
    twin.import("call", &media(50_000));
    let good = twin.object("call").read();
    let mut flipped = good.clone();
    flipped[20_000] ^= 1;
    for (name, bytes, words) in [
        ("flipped", flipped, &["chunk 1 does not verify"][..]),
        ("cut", good[..good.len() - 1].to_vec(), &["its end is missing"]),
        ("short", good[..300].to_vec(), &["shorter than a header"]),
        ("newer", [&good[..8], &[2], &good[9..]].concat(), &["format version 2"]),
    ] {
        let file = system.file(name, &bytes);
        let error = system.fails(1, &["import", file.to_str().expect("UTF-8")]);
        assert_clear(&error, words);
        assert_nothing(&system);
    }
    let file = system.file("call.sealed", &good);
    let file = file.to_str().expect("UTF-8");
    assert_clear(&system.fails(1, &["import", file, "--id", "other"]), &["carries the ID call"]);
    assert_clear(&system.fails(1, &["import", file, "--exempt"]), &["sealed file"]);
    assert_nothing(&system);
    system.ok(&["import", file]);
    assert_clear(&system.fails(1, &["import", file]), &["exists"]);
    assert_clear(&other.fails(1, &["import", file]), &["no database key has the fingerprint"]);
    assert_nothing(&other);
    assert_eq!(system.objects().len(), 1);
}

#[tokio::test]
async fn a_database_of_a_newer_version() {
    let system = System::with_key();
    crate::db::make_newer(&system.data_dir().join("sealtape.db")).await;
    for arguments in [&["serve"][..], &["recordings", "list"], &["keys", "generate"]] {
        assert_clear(&system.fails(1, arguments), &["sealtape.db", "newer version", "nothing was changed"]);
    }
}

#[test]
fn a_database_that_is_none() {
    let system = System::with_key();
    fs::write(system.data_dir().join("sealtape.db"), b"this is not a database, but a letter to a friend")
        .expect("written");
    assert_clear(&system.fails(1, &["serve"]), &["sealtape.db", "not a database"]);
}

#[test]
fn definition_keys_that_are_wrong() {
    let system = System::with_key();
    let path = system.data_dir().join("definition.key");
    let good = fs::read_to_string(&path).expect("read");
    let write = |text: &str| fs::write(&path, text).expect("written");
    let digits = good.split(' ').nth(1).expect("digits");
    for (content, words) in [
        (good.replace(digits, &digits[..62]), &["definition.key", "62 digits", "64"][..]),
        (good.replace(digits, &digits.replace(&digits[..1], "x")), &["not hexadecimal"]),
        ("-----BEGIN PRIVATE KEY-----\n".into(), &["not a definition key"]),
        (String::new(), &["not a definition key"]),
        (mistype(&good), &["check digits", "mistyped or damaged"]),
    ] {
        write(&content);
        assert_clear(&system.fails(1, &["serve"]), words);
    }
    write(&good);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
    assert_clear(&system.fails(1, &["serve"]), &["others may read", "0644", "chmod 600"]);
    fs::remove_file(&path).expect("removed");
    assert_clear(&system.fails(1, &["serve"]), &["there is no definition key"]);
    // No command makes another in its place: it would hide that the right one is missing.
    assert_clear(&system.fails(1, &["definition-key", "generate"]), &["missing", "1 database key"]);
    assert!(!path.exists());
    fs::copy(System::with_key().data_dir().join("definition.key"), &path).expect("copied");
    assert_clear(&system.fails(1, &["serve"]), &["is wrapped by definition key"]);
    fs::remove_file(&path).expect("removed");
    write(&good);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
    assert_clear(&system.fails(1, &["definition-key", "generate"]), &["is here already", "nothing was changed"]);
    assert_eq!(fs::read_to_string(&path).expect("read"), good);
}

fn mistype(line: &str) -> String {
    let at = line.find(' ').expect("a space") + 1;
    let digit = if line.as_bytes()[at] == b'0' { "1" } else { "0" };
    format!("{}{digit}{}", &line[..at], &line[at + 1..])
}

#[test]
fn addresses_that_cannot_be_served() {
    let system = System::with_key();
    let taken = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = taken.local_addr().expect("an address").to_string();
    assert_clear(&system.fails(1, &["serve", "--listen", &address]), &[&address, "in use", "--listen"]);
    let mut demo = bare_command();
    let output = demo.args(["demo", "--listen", &address]).output().expect("runs");
    assert_eq!(output.status.code(), Some(1));
    assert_clear(&text(&output.stderr), &[&address, "in use"]);
    assert_clear(&system.fails(1, &["serve", "--listen", "0.0.0.0:0"]), &["0.0.0.0:0", "other machines"]);
    assert!(system.fails(2, &["serve", "--listen", "8080"]).contains("127.0.0.1:8080"));
}

#[test]
fn settings_that_do_not_exist() {
    let system = System::empty();
    let config = system.file("s.toml", b"[server]\nlistne = \"127.0.0.1:1\"\n");
    let run = |config: &std::path::Path| {
        bare_command().arg("--config").arg(config).args(["config", "check"]).output().expect("runs")
    };
    let output = run(&config);
    assert_eq!(output.status.code(), Some(1));
    assert_clear(&text(&output.stderr), &["s.toml", "server.listne", "did you mean `server.listen`?"]);
    assert_clear(&text(&run(&system.path("none.toml")).stderr), &["none.toml", "No such file"]);
    let broken = system.file("b.toml", b"[server\n");
    assert_clear(&text(&run(&broken).stderr), &["b.toml", "line 1"]);
    let output = bare_command().env("SEALTAPE_SERVER__LISTN", "x").args(["config", "check"]).output().expect("runs");
    assert_clear(&text(&output.stderr), &["SEALTAPE_SERVER__LISTN", "server.listen"]);
}

#[test]
fn a_range_past_the_end_and_a_recording_that_is_not() {
    let system = System::with_key();
    system.import("call", &media(100));
    assert_clear(&system.fails(1, &["cat", "call", "--range", "100-200"]), &["past its end", "100 bytes"]);
    assert!(system.fails(2, &["cat", "call", "--range", "9-1"]).contains("0-999"));
    assert_clear(&system.fails(1, &["cat", "none"]), &["none", "recording-not-found"]);
    assert_clear(&system.fails(1, &["recordings", "show", "none"]), &["none", "no recording"]);
    assert_eq!(system.run(&["cat", "call", "--range", "10-19"]).stdout, media(100)[10..20]);
    assert_eq!(system.run(&["cat", "call", "--range", "90-1000"]).stdout, media(100)[90..]);
}

#[test]
fn a_store_that_cannot_be_used() {
    let system = System::with_key();
    fs::remove_dir(system.data_dir().join("media")).expect("removed");
    fs::write(system.data_dir().join("media"), b"").expect("written");
    let call = sample("call-reminder-mp3.mp3");
    assert_clear(&system.fails(1, &["import", call.to_str().expect("UTF-8")]), &["media"]);
}
