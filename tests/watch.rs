//! Files that recorders drop into watch folders become recordings, and go.

use std::{
    fs,
    io::Write,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::support::{Server, System, media, sample, text};

const PATIENCE: Duration = Duration::from_secs(20);

/// A watch folder of a system.
fn folder(system: &System) -> PathBuf {
    let path = system.path("drop");
    fs::create_dir_all(&path).expect("made");
    path
}

fn watch(system: &System, more: &str, settings: &[(&str, &str)]) -> Server {
    let watched = format!("[{{ path = {:?}{more} }}]", folder(system));
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("SEALTAPE_INGEST__WATCH", watched).envs(settings.iter().copied());
    Server::start(command)
}

const SOON: &str = ", settle = \"300ms\"";

fn is_complete(server: &Server, id: &str) -> bool {
    let reply = server.get(&format!("/recordings/{id}"));
    reply.status == 200 && reply.json()["state"] == "complete"
}

fn told(server: &Server, name: &str) -> usize {
    server.log().lines().filter(|line| line.contains("not taken in") && line.contains(name)).count()
}

fn metric(server: &Server, name: &str) -> String {
    let scrape = text(&server.get("/metrics").body);
    scrape
        .lines()
        .find(|line| line.starts_with(name))
        .map(|line| line[name.len()..].trim().to_owned())
        .unwrap_or_default()
}

fn left(system: &System) -> Vec<String> {
    let entries = fs::read_dir(folder(system)).expect("read").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_file_that_lies_still_is_taken_in_and_removed() {
    let (system, media) = (System::with_key(), media(300_000));
    let drop = folder(&system);
    fs::write(drop.join("early.wav"), &media).expect("dropped");
    let server = watch(&system, ", settle = \"300ms\", pattern = \"*.{wav,ogg}\"", &[]);
    let wav = fs::read(sample("call-billing-wav-pcm.wav")).expect("read");
    fs::write(drop.join("call@7.wav"), &wav).expect("dropped");
    for (name, content) in [("other.mp3", &media), (".hidden.wav", &media), ("x.wav.part", &media), ("y.tmp", &media)] {
        fs::write(drop.join(name), content).expect("dropped");
    }
    fs::create_dir(drop.join("folder.wav")).expect("made");
    let outside = system.file("outside.wav", &media);
    symlink(&outside, drop.join("link.wav")).expect("made");
    for (id, media) in [("early", &media), ("call@7", &wav)] {
        assert!(server.wait_until(PATIENCE, |server| is_complete(server, id)), "{id}: {}", server.log());
        assert!(server.get(&format!("/recordings/{id}/media")).body == *media, "{id}");
    }
    let others = [".hidden.wav", "folder.wav", "link.wav", "other.mp3", "x.wav.part", "y.tmp"];
    assert!(server.wait_until(PATIENCE, |_| left(&system) == others), "{:?}", left(&system));
    let shown = server.get("/recordings/call@7").json();
    assert_eq!((&shown["media_type"], &shown["sealed"]), (&"audio/wav".into(), &true.into()));
    let stored = system.object("call@7").read();
    assert_eq!(stored[10], 14, "16 KiB chunks: it does not grow any more");
    let early = system.object("early").read();
    assert!(!early.windows(64).any(|window| window == &media[1000..1064]), "nothing of it is plain");
    let events = system.json(&["audit", "show", "--recording", "call@7"]);
    let events: Vec<&Value> =
        events.as_array().expect("events").iter().filter(|event| event["event"] == "recording.import").collect();
    let [event] = &events[..] else { panic!("one event: {events:?}") };
    assert_eq!((&event["subject"], &event["outcome"]), (&"watch-folder".into(), &"complete".into()));
    assert_eq!(event["bytes"], wav.len());
    assert_eq!(metric(&server, "sealtape_ingests_total{way=\"watch\",outcome=\"complete\"}"), "2");
    thread::sleep(Duration::from_millis(700));
    assert!(outside.exists() && left(&system) == others);
}

#[test]
fn one_that_still_grows_is_left_alone() {
    let (system, media) = (System::with_key(), media(100_000));
    let server = watch(&system, ", settle = \"1500ms\"", &[]);
    let path = folder(&system).join("call.wav");
    let mut file = fs::File::create(&path).expect("made");
    for piece in media.chunks(5000) {
        file.write_all(piece).expect("written");
        thread::sleep(Duration::from_millis(200));
        assert_eq!(server.get("/recordings/call").status, 404);
    }
    drop(file);
    assert!(server.wait_until(PATIENCE, |server| is_complete(server, "call")), "{}", server.log());
    assert!(server.get("/recordings/call/media").body == media);
    assert!(server.wait_until(PATIENCE, |_| !path.exists()));
}

#[test]
fn what_cannot_be_taken_in_stays_is_told_once_and_tried_again_when_it_changes() {
    let (system, media) = (System::with_key(), media(50_000));
    system.import("taken", &media);
    let server = watch(&system, SOON, &[]);
    let drop = folder(&system);
    let bad: [(&str, &[u8]); 4] = [
        ("taken.wav", &media[..1000]),
        ("no id.wav", &media),
        ("empty.wav", b""),
        ("unreadable.sealed", b"\x89STP\r\n\x1a\nand no more"),
    ];
    for (name, content) in bad {
        fs::write(drop.join(name), content).expect("dropped");
    }
    for (name, _) in bad {
        assert!(server.wait_until(PATIENCE, |server| told(server, name) == 1), "{name}: {}", server.log());
    }
    // Others go on beside them.
    fs::write(drop.join("good.wav"), &media).expect("dropped");
    assert!(server.wait_until(PATIENCE, |server| is_complete(server, "good")), "{}", server.log());
    thread::sleep(Duration::from_secs(1));
    for (name, content) in bad {
        assert_eq!(told(&server, name), 1, "{name}: {}", server.log());
        assert!(fs::read(drop.join(name)).expect("there") == content, "{name} is as it was");
    }
    assert_eq!(metric(&server, "sealtape_ingests_total{way=\"watch\",outcome=\"failed\"}"), "4");
    assert!(server.get("/recordings/taken/media").body == media);

    fs::rename(drop.join("taken.wav"), drop.join("free.wav")).expect("renamed");
    fs::write(drop.join("empty.wav"), &media).expect("written");
    fs::write(drop.join("no id.wav"), &media[..100]).expect("written");
    assert!(server.wait_until(PATIENCE, |server| is_complete(server, "free") && is_complete(server, "empty")));
    assert!(server.wait_until(PATIENCE, |server| told(server, "no id.wav") == 2), "{}", server.log());
    assert!(
        server.wait_until(PATIENCE, |_| left(&system) == ["no id.wav", "unreadable.sealed"]),
        "{:?}",
        left(&system)
    );
}

#[test]
fn what_is_not_the_files_fault_passes() {
    let (system, media) = (System::with_key(), media(50_000));
    let key = system.json(&["keys", "list"])[0]["fingerprint"].as_str().expect("one").to_owned();
    let server = watch(&system, SOON, &[("SEALTAPE_ENCRYPTION__EXEMPT", "fax-*")]);
    let drop = folder(&system);
    let is_told = |said: &'static str| move |server: &Server| server.log().contains(said);
    // The database is away.
    let database = system.data_dir().join("sealtape.db");
    fs::rename(&database, system.path("away")).expect("moved");
    fs::write(drop.join("one.wav"), &media).expect("dropped");
    let is_waiting = |server: &Server| {
        let log = server.log();
        log.contains("it is tried again") || log.contains("is catalogued when the database returns")
    };
    assert!(server.wait_until(PATIENCE, is_waiting), "{}", server.log());
    assert!(drop.join("one.wav").exists());
    fs::rename(system.path("away"), &database).expect("back");
    assert!(server.wait_until(PATIENCE, |server| is_complete(server, "one")), "{}", server.log());
    assert!(server.wait_until(PATIENCE, |_| left(&system).is_empty()));
    // No key is active.
    system.ok(&["keys", "deactivate", &key, "--force"]);
    fs::write(drop.join("two.wav"), &media).expect("dropped");
    fs::write(drop.join("fax-1.wav"), &media).expect("dropped");
    assert!(server.wait_until(PATIENCE, |server| is_complete(server, "fax-1")), "exempt: {}", server.log());
    assert!(server.wait_until(PATIENCE, is_told("no database key is active")), "{}", server.log());
    assert!(drop.join("two.wav").exists() && server.get("/recordings/two").status == 404);
    system.ok(&["keys", "generate"]);
    assert!(server.wait_until(PATIENCE, |server| is_complete(server, "two")), "{}", server.log());
    for (id, sealed) in [("two", true), ("fax-1", false)] {
        assert_eq!(server.get(&format!("/recordings/{id}")).json()["sealed"], sealed, "{id}");
        assert!(server.get(&format!("/recordings/{id}/media")).body == media, "{id}");
    }
    assert!(server.wait_until(PATIENCE, |_| left(&system).is_empty()));
    // The folder itself is not there for a while.
    fs::rename(&drop, system.path("unmounted")).expect("moved");
    assert!(server.wait_until(PATIENCE, is_told("it cannot be read")), "{}", server.log());
    fs::rename(system.path("unmounted"), &drop).expect("back");
    fs::write(drop.join("three.wav"), &media).expect("dropped");
    assert!(server.wait_until(PATIENCE, |server| is_complete(server, "three")), "{}", server.log());
}

#[test]
fn a_file_that_was_sealed_elsewhere_is_taken_in_as_it_is() {
    let (system, media) = (System::with_key(), media(50_000));
    let twin = System::empty();
    crate::support::copy_folder(&system.data_dir(), &twin.data_dir());
    twin.import("travelled", &media);
    let sealed = twin.object("travelled").read();
    let server = watch(&system, SOON, &[]);
    fs::write(folder(&system).join("any-name.sealed"), &sealed).expect("dropped");
    assert!(server.wait_until(PATIENCE, |server| is_complete(server, "travelled")), "{}", server.log());
    assert!(system.object("travelled").read() == sealed);
    assert!(server.get("/recordings/travelled/media").body == media);
}

/// A server that stops leaves a file or a recording.
#[test]
fn stopping_leaves_nothing_half_done() {
    let system = System::with_key();
    let drop = folder(&system);
    let large = |path: &Path| fs::File::create(path).and_then(|file| file.set_len(64 << 20)).expect("a sparse file");
    for round in 0..4 {
        let path = drop.join(format!("large-{round}.bin"));
        large(&path);
        let server = watch(&system, ", settle = \"50ms\"", &[]);
        thread::sleep(Duration::from_millis(150 + 150 * round));
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0));
        let stored = system.objects();
        assert!(stored.iter().all(|file| file.ends_with(".sealed")), "{stored:?}");
        let listed = system.json(&["recordings", "list"]).as_array().expect("a list").len();
        // One that was being uploaded is in the spool and in the bucket.
        let is_stored = |number: &u64| stored.iter().any(|file| file.contains(&format!("/large-{number}")));
        let kept = (0..=round).filter(is_stored).count();
        assert_eq!((listed, left(&system).len()), (kept, round as usize + 1 - listed), "a file or a recording");
    }
}
