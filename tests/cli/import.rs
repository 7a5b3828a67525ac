//! Taking recordings in: whole, or not at all; and live ones as far as they came.

use std::{
    fs,
    io::Write,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use crate::support::{System, media, sample, signal, text};

#[test]
fn media_types_come_from_the_content() {
    let system = System::with_key();
    for (name, media_type) in [
        ("call-billing-wav-pcm.wav", "audio/wav"),
        ("call-dispatch-wav-mulaw.wav", "audio/wav"),
        ("call-archive-wav-gsm.wav", "audio/wav"),
        ("call-reminder-mp3.mp3", "audio/mpeg"),
        ("call-triage-opus.ogg", "audio/ogg; codecs=opus"),
        ("screen-transfer-mp4.mp4", "video/mp4"),
        ("screen-form-webm.webm", "video/webm"),
    ] {
        // Under a name that tells nothing, and one that tells the wrong thing.
        for (i, ending) in ["bin", "txt"].iter().enumerate() {
            let copy = system.path(&format!("{}-{i}.{ending}", name.split('.').next().expect("a stem")));
            fs::copy(sample(name), &copy).expect("copied");
            let imported = system.json(&["import", copy.to_str().expect("UTF-8")]);
            assert_eq!(imported[0]["media_type"], media_type, "{name} as .{ending}");
        }
    }
    let given = system.file("given.bin", &media(10));
    let imported =
        system.json(&["import", given.to_str().expect("UTF-8"), "--media-type", "audio/x-special; rate=8000"]);
    assert_eq!(imported[0]["media_type"], "audio/x-special; rate=8000");
}

#[test]
fn a_sealed_file_is_taken_in_as_it_is() {
    let (system, twin) = (System::with_key(), System::empty());
    // The twin has the same keys, as after a restore.
    fs::create_dir(twin.data_dir()).expect("made");
    for name in ["sealtape.db", "definition.key"] {
        fs::copy(system.data_dir().join(name), twin.data_dir().join(name)).expect("copied");
    }
    let media = media(100_000);
    system.import("call", &media);
    let stored = system.stored("call");
    let imported = twin.json(&["import", stored.to_str().expect("UTF-8")]);
    assert_eq!(imported[0]["id"], "call");
    assert!(fs::read(twin.stored("call")).expect("read") == fs::read(&stored).expect("read"), "byte for byte");
    assert!(twin.run(&["cat", "call"]).stdout == media);
    let etag = |system: &System| system.serve().get("/recordings/call/media").header("etag").map(str::to_owned);
    assert_eq!(etag(&twin), etag(&system), "the same sealing");
}

#[test]
fn an_interrupted_import_leaves_nothing() {
    let system = System::with_key();
    let source = system.path("long.bin");
    fs::File::create(&source).and_then(|file| file.set_len(256 << 20)).expect("a sparse file");
    let rounds = if std::env::var_os("SEALTAPE_TESTS_FULL").is_some() { 200 } else { 24 };
    let (mut interrupted, mut finished) = (0, 0);
    for round in 0..rounds {
        let name = ["INT", "TERM", "HUP"][round % 3];
        let mut import = system
            .command(&["import", source.to_str().expect("UTF-8")])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("runs");
        // From before the first byte to about the end.
        thread::sleep(Duration::from_millis(15 + (round as u64 * 37) % 400));
        if import.try_wait().expect("asks").is_none() {
            signal(import.id(), name);
        }
        let output = import.wait_with_output().expect("ends");
        if output.status.success() {
            finished += 1;
            fs::remove_dir_all(system.data_dir()).expect("removed");
            system.ok(&["keys", "generate"]);
            continue;
        }
        interrupted += 1;
        assert_eq!(
            system.media_files(),
            Vec::<std::path::PathBuf>::new(),
            "round {round}, {name}: {}",
            text(&output.stderr)
        );
        assert_eq!(system.json(&["recordings", "list"]), serde_json::json!([]), "round {round}");
    }
    println!("{interrupted} interrupted, {finished} finished first");
    assert!(interrupted >= rounds / 4, "{interrupted} of {rounds} were interrupted");
    let imported = system.json(&["import", source.to_str().expect("UTF-8")]);
    assert_eq!(imported[0]["media_len"], 256 << 20, "and it can be taken in afterwards");
}

#[test]
fn standard_input_is_sealed_as_it_streams() {
    let system = System::with_key();
    let media = media(300_000);
    let mut import = system
        .command(&["import", "-", "--id", "live", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("runs");
    let mut stdin = import.stdin.take().expect("piped");
    stdin.write_all(&media[..200_000]).expect("written");
    let server = system.serve();
    let begun = Instant::now();
    // It is there while it grows, and plays as far as it is sealed.
    while server.get("/recordings/live").json()["media_len"].as_u64().unwrap_or(0) < 190_000 {
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", server.get("/recordings/live"));
        thread::sleep(Duration::from_millis(20));
    }
    let growing = server.get("/recordings/live/media");
    assert_eq!((growing.status, growing.header("recording-state")), (200, Some("recording")));
    assert_eq!((growing.header("etag"), growing.header("content-length")), (None, None));
    assert!(growing.body.len() >= 190_000 && growing.body == media[..growing.body.len()]);
    assert!(growing.is_cut, "what goes on does not end in order");
    let part = server.get_range("/recordings/live/media", "bytes=100-199");
    assert_eq!((part.status, part.header("content-range")), (206, Some("bytes 100-199/*")));
    assert!(part.body == media[100..200]);
    stdin.write_all(&media[200_000..]).expect("written");
    drop(stdin);
    let output = import.wait_with_output().expect("ends");
    assert!(output.status.success());
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&document[0]["state"], &document[0]["media_len"]), (&"complete".into(), &300_000.into()));
    assert!(server.wait_until(Duration::from_secs(1), |server| {
        let whole = server.get("/recordings/live/media");
        whole.header("recording-state") == Some("complete") && whole.body == media
    }));
}

#[test]
fn a_live_recording_that_breaks_off_is_unfinished_and_plays() {
    let system = System::with_key();
    let media = media(100_000);
    let mut import = system
        .command(&["import", "-", "--id", "broken"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    import.stdin.as_mut().expect("piped").write_all(&media).expect("written");
    let begun = Instant::now();
    while fs::metadata(system.stored_part("broken")).map_or(0, |metadata| metadata.len()) < 95_000 {
        assert!(begun.elapsed() < Duration::from_secs(10));
        thread::sleep(Duration::from_millis(20));
    }
    signal(import.id(), "TERM");
    let stdin = import.stdin.take();
    let output = import.wait_with_output().expect("ends");
    drop(stdin);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("broken is unfinished"), "{}", text(&output.stderr));
    let shown = system.json(&["recordings", "show", "broken"]);
    assert_eq!((&shown["state"], &shown["playable"]), (&"unfinished".into(), &true.into()));
    let len = usize::try_from(shown["media_len"].as_u64().expect("a length")).expect("short");
    assert!(len >= 95_000 && len % 4096 == 0, "{len}");
    assert!(system.run(&["cat", "broken"]).stdout == media[..len]);
    let again = system.file("broken.wav", &media);
    assert!(system.fails(1, &["import", again.to_str().expect("UTF-8")]).contains("exists"), "its ID is taken");
}

#[test]
fn a_killed_live_recording_is_kept_as_far_as_it_came() {
    let system = System::with_key();
    let media = media(100_000);
    let mut import = system.command(&["import", "-", "--id", "killed"]).stdin(Stdio::piped()).spawn().expect("runs");
    import.stdin.as_mut().expect("piped").write_all(&media).expect("written");
    let begun = Instant::now();
    while fs::metadata(system.stored_part("killed")).map_or(0, |metadata| metadata.len()) < 95_000 {
        assert!(begun.elapsed() < Duration::from_secs(10));
        thread::sleep(Duration::from_millis(20));
    }
    let stdin = import.stdin.take();
    import.kill().expect("killed");
    import.wait().expect("ends");
    drop(stdin);
    let kept = system.run(&["cat", "killed"]).stdout;
    assert!(kept.len() >= 95_000 && kept == media[..kept.len()], "{}", kept.len());
}

#[test]
fn a_live_recording_that_stays_plain_is_kept_all_the_same() {
    let system = System::with_key();
    let media = media(100_000);
    for (id, name, code) in [("stopped", "TERM", Some(1)), ("killed", "KILL", None)] {
        let mut import = system
            .command(&["import", "-", "--id", id, "--exempt"])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("runs");
        import.stdin.as_mut().expect("piped").write_all(&media).expect("written");
        let begun = Instant::now();
        let part = |system: &System| {
            let name = format!("{id}.plain.part");
            system.media_files().into_iter().find(|file| file.ends_with(&name)).unwrap_or_default()
        };
        while fs::metadata(part(&system)).map_or(0, |metadata| metadata.len()) < 100_000 {
            assert!(begun.elapsed() < Duration::from_secs(10));
            thread::sleep(Duration::from_millis(20));
        }
        // Held open: waiting would close it, and its end would be an end in order.
        let stdin = import.stdin.take();
        signal(import.id(), name);
        assert_eq!(import.wait().expect("ends").code(), code);
        drop(stdin);
        assert!(system.run(&["cat", id]).stdout == media, "{id}");
    }
    assert_eq!(system.json(&["recordings", "show", "stopped"])["state"], "unfinished");
}

#[test]
fn a_reader_that_leaves_does_not_stop_the_work() {
    let system = System::with_key();
    let files: Vec<_> = (0..5).map(|i| system.file(&format!("call-{i}.wav"), &media(1000 + i))).collect();
    let mut import = system.command(&["import"]).args(&files).stdout(Stdio::piped()).spawn().expect("runs");
    drop(import.stdout.take());
    assert_eq!(import.wait().expect("ends").code(), Some(0));
    assert_eq!(system.json(&["recordings", "list"]).as_array().map(Vec::len), Some(5));
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    let system = System::with_key();
    let pipe = system.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let error = system.fails(1, &["import", pipe.to_str().expect("UTF-8")]);
    assert!(error.contains("not a file") && error.contains("import -"), "{error}");
    // In the place of a recording's file, and of the definition key.
    system.import("call", &media(1000));
    let stored = system.stored("call");
    let server = system.serve();
    fs::remove_file(&stored).expect("removed");
    assert!(std::process::Command::new("mkfifo").arg(&stored).status().expect("mkfifo").success());
    assert_eq!(server.get("/recordings/call/media").problem(), "storage-unavailable");
    let key = system.data_dir().join("definition.key");
    fs::remove_file(&key).expect("removed");
    assert!(std::process::Command::new("mkfifo").args(["-m", "600"]).arg(&key).status().expect("mkfifo").success());
    assert!(system.fails(1, &["serve"]).contains("not a definition key"));
}

#[test]
fn a_switch_turned_meanwhile_counts_for_the_next_file() {
    let system = System::empty();
    let mut import = system
        .command(&["import", "-", "--id", "late", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("runs");
    let begun = Instant::now();
    while !system.data_dir().join("media").exists() {
        assert!(begun.elapsed() < Duration::from_secs(10));
        thread::sleep(Duration::from_millis(20));
    }
    thread::sleep(Duration::from_millis(200));
    system.ok(&["keys", "generate"]);
    import.stdin.take().expect("piped").write_all(&media(1000)).expect("written");
    let output = import.wait_with_output().expect("ends");
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(document[0]["sealed"], true);
}

#[test]
fn nothing_plain_lies_on_disk() {
    let system = System::with_key();
    let marker = b"PLAIN-MARKER-8a4f21c6";
    let media: Vec<u8> = marker.repeat(20_000);
    let source = tempfile::NamedTempFile::new().expect("a file");
    fs::write(source.path(), &media).expect("written");
    system.ok(&["import", source.path().to_str().expect("UTF-8"), "--id", "call"]);
    let server = system.serve();
    assert!(server.get("/recordings/call/media").body == media);
    for file in walk(&system.data_dir()) {
        let bytes = fs::read(&file).expect("read");
        assert!(!bytes.windows(marker.len()).any(|window| window == marker), "{}", file.display());
    }
}

impl System {
    /// The growing file of a live recording.
    fn stored_part(&self, id: &str) -> std::path::PathBuf {
        let files = self.media_files();
        let name = format!("{id}.sealed.part");
        files.into_iter().find(|file| file.ends_with(&name)).unwrap_or_default()
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("entry").path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
