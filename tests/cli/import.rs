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
    let stored = system.object("call");
    let file = system.file("call.sealed", &stored.read());
    let imported = twin.json(&["import", file.to_str().expect("UTF-8")]);
    assert_eq!(imported[0]["id"], "call");
    assert!(twin.object("call").read() == stored.read(), "byte for byte");
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
            system.clear();
            system.ok(&["keys", "generate"]);
            continue;
        }
        interrupted += 1;
        assert_eq!(system.objects(), [], "round {round}, {name}: {}", text(&output.stderr));
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
    // It is there while it grows, and plays as far as it is sealed; how it is followed is tried in `live`.
    while server.get("/recordings/live").json()["media_len"].as_u64().unwrap_or(0) < 190_000 {
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", server.get("/recordings/live"));
        thread::sleep(Duration::from_millis(20));
    }
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
    while system.growing("broken.sealed.part") < 95_000 {
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
    while system.growing("killed.sealed.part") < 95_000 {
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
        while system.growing(&format!("{id}.plain.part")) < 100_000 {
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
    while !["media", "spool"].iter().any(|store| system.data_dir().join(store).exists()) {
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

#[test]
fn many_files_at_once_are_all_there_and_told_in_their_order() {
    let system = System::with_key();
    // Around everything that a piece, a chunk and a head may be long; long and short ones in turns.
    let edges = [1, 100, 8191, 8192, 16_383, 16_384, 16_385, 262_143, 262_144, 262_145, 300_000, 1_048_576, 3_000_000];
    let files: Vec<(String, Vec<u8>)> = (0..65_usize)
        .map(|i| {
            let mut media = media(edges[i * 5 % edges.len()] + i / edges.len());
            media[0] = u8::try_from(i).expect("small");
            (format!("call-{i:02}"), media)
        })
        .collect();
    let paths: Vec<_> = files.iter().map(|(id, media)| system.file(&format!("{id}.bin"), media)).collect();
    let output = system.command(&["import", "--json"]).args(&paths).output().expect("runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    let told: Vec<_> = told.as_array().expect("a list").iter().map(|one| one["id"].as_str().expect("an ID")).collect();
    assert!(told.iter().eq(files.iter().map(|(id, _)| id)), "not in their order: {told:?}");
    let listed = system.json(&["recordings", "list"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(files.len()));
    for (id, media) in &files {
        let read = system.run(&["cat", id]);
        assert!(read.status.success() && read.stdout == *media, "{id}: {}", text(&read.stderr));
    }
    assert_eq!(system.objects().len(), files.len(), "and nothing else");
    let events = system.json(&["audit", "show"]);
    let events = events.as_array().expect("a list").iter().filter(|event| event["event"] == "recording.import");
    let mut on_record: Vec<_> = events.map(|event| event["recording"].as_str().expect("an ID").to_owned()).collect();
    on_record.sort();
    assert!(on_record.iter().eq(files.iter().map(|(id, _)| id)), "each once: {on_record:?}");
    system.ok(&["audit", "verify"]);
}

#[test]
fn bad_files_among_many_are_named_and_stop_no_other() {
    let system = System::with_key();
    system.import("taken", &media(100));
    let mut paths: Vec<_> = (0..40).map(|i| system.file(&format!("call-{i:02}.wav"), &media(50_000 + i))).collect();
    let bad = ["empty.wav", "taken.wav", "folder", "missing.wav", "no id.wav", "forged.sealed"];
    system.file("empty.wav", b"");
    system.file("taken.wav", &media(70_000));
    fs::create_dir(system.path("folder")).expect("made");
    system.file("no id.wav", &media(10));
    let mut forged = system.object("taken").read();
    forged[200] ^= 1;
    system.file("forged.sealed", &forged);
    for (i, name) in bad.iter().enumerate() {
        paths.insert(i * 7, system.path(name));
    }
    let output = system.command(&["import"]).args(&paths).output().expect("runs");
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    let errors = text(&output.stderr);
    let named: Vec<_> = errors.lines().filter(|line| line.starts_with("sealtape: ")).collect();
    assert_eq!(named.len(), bad.len(), "{errors}");
    for (line, name) in named.iter().zip(bad) {
        assert!(line.contains(&format!("/{name}: ")), "each, in its order: {errors}");
    }
    let told = text(&output.stdout);
    let told: Vec<_> = told.lines().map(|line| line.split(' ').next().expect("an ID").to_owned()).collect();
    assert!(told.iter().eq((0..40).map(|i| format!("call-{i:02}")).collect::<Vec<_>>().iter()), "{told:?}");
    for i in 0..40 {
        assert!(system.run(&["cat", &format!("call-{i:02}")]).stdout == media(50_000 + i));
    }
    assert!(system.run(&["cat", "taken"]).stdout == media(100), "as it was");
    assert_eq!(system.objects().len(), 41, "nothing of those that failed is left");
}

#[test]
fn of_two_files_of_one_id_the_first_is_kept_and_the_other_named() {
    let system = System::with_key();
    let mut paths = Vec::new();
    for folder in ["a", "b"] {
        fs::create_dir(system.path(folder)).expect("made");
        for i in 0..12_usize {
            // The first of each two takes longer than the second.
            let len = if folder == "a" { 2_000_000 + i } else { 10 + i };
            paths.push(system.file(&format!("{folder}/call-{i:02}.wav"), &media(len)));
        }
    }
    let output = system.command(&["import"]).args(&paths).output().expect("runs");
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    let errors = text(&output.stderr);
    for i in 0..12 {
        let line = format!("b/call-{i:02}.wav: a recording of the ID call-{i:02} exists");
        assert!(errors.lines().filter(|error| error.contains(&line)).count() == 1, "{line}: {errors}");
        assert!(system.run(&["cat", &format!("call-{i:02}")]).stdout == media(2_000_000 + i));
    }
    assert_eq!(errors.lines().filter(|line| line.starts_with("sealtape: ")).count(), 12, "{errors}");
    assert_eq!(system.objects().len(), 12);
    assert!(paths.iter().all(|path| path.exists()), "the files that were named are nobody's to remove");
}

/// The ID lies in the file, not in its name.
#[test]
fn of_sealed_files_of_one_id_one_is_kept_whatever_the_others_are() {
    let (system, twin) = (System::with_key(), System::empty());
    fs::create_dir(twin.data_dir()).expect("made");
    for name in ["sealtape.db", "definition.key"] {
        fs::copy(system.data_dir().join(name), twin.data_dir().join(name)).expect("copied");
    }
    let media = media(3_000_000);
    system.import("call", &media);
    let good = system.object("call").read();
    // Found out only when all of it was copied.
    let mut damaged = good.clone();
    damaged[1_000_000] ^= 1;
    let mut paths = Vec::new();
    for i in 0..6 {
        paths.push(twin.file(&format!("damaged-{i}.sealed"), &damaged));
        paths.push(twin.file(&format!("good-{i}.sealed"), &good));
    }
    let output = twin.command(&["import"]).args(&paths).output().expect("runs");
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).lines().count(), 1, "{}", text(&output.stdout));
    assert_eq!(text(&output.stderr).lines().filter(|line| line.starts_with("sealtape: ")).count(), 11);
    assert!(twin.run(&["cat", "call"]).stdout == media);
    assert_eq!(twin.objects().len(), 1);
    assert!(twin.object("call").read() == good);
}

#[test]
fn an_import_of_many_that_is_interrupted_leaves_whole_recordings_and_nothing_else() {
    let system = System::with_key();
    let sources: Vec<_> = (0..16)
        .map(|i| {
            let source = system.path(&format!("long-{i:02}.bin"));
            fs::File::create(&source).and_then(|file| file.set_len(24 << 20)).expect("a sparse file");
            source
        })
        .collect();
    let (mut interrupted, mut some_done) = (0, 0);
    let rounds = if std::env::var_os("SEALTAPE_TESTS_FULL").is_some() { 100 } else { 12 };
    for round in 0..rounds {
        let import = system
            .command(&["import"])
            .args(&sources)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("runs");
        thread::sleep(Duration::from_millis(20 + (round as u64 * 97) % 600));
        signal(import.id(), ["INT", "TERM", "HUP"][round % 3]);
        let output = import.wait_with_output().expect("ends");
        let (told, errors) = (text(&output.stdout), text(&output.stderr));
        let listed = system.json(&["recordings", "list"]);
        let listed: Vec<_> = listed.as_array().expect("a list").iter().map(|one| one["id"].clone()).collect();
        let stored = system.objects();
        assert!(stored.iter().all(|file| file.ends_with(".sealed")), "{stored:?}");
        assert_eq!((stored.len(), told.lines().count()), (listed.len(), listed.len()), "round {round}: {errors}");
        if !output.status.success() && output.status.code().is_some() {
            interrupted += 1;
            some_done += usize::from(!listed.is_empty());
            assert_eq!(output.status.code(), Some(if listed.is_empty() { 1 } else { 3 }), "round {round}: {errors}");
            let stopped = errors.lines().filter(|line| line.ends_with("stopped; nothing of it was kept")).count();
            assert_eq!(stopped + listed.len(), sources.len(), "round {round}: each is told of: {errors}");
        }
        if let Some(id) = listed.last() {
            let read = system.run(&["cat", id.as_str().expect("an ID")]).stdout;
            assert!(read.len() == 24 << 20 && read.iter().all(|byte| *byte == 0));
        }
        system.clear();
        system.ok(&["keys", "generate"]);
    }
    println!("{interrupted} of {rounds} interrupted, {some_done} with some done");
    assert!(interrupted >= rounds / 4, "{interrupted} of {rounds} were interrupted");
}

impl System {
    /// How long the growing file of that name is by now.
    fn growing(&self, name: &str) -> u64 {
        let file = self.media_files().into_iter().find(|file| file.ends_with(name));
        file.and_then(|file| fs::metadata(file).ok()).map_or(0, |file| file.len())
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("entry").path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
