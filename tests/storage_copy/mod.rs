//! `storage copy`: an archive moved to another store is the same archive, whatever happens on the way.

mod faults;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{fs::FileExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Server, System, Upload, at_terminal, files_below, media, put, text};

const PATIENCE: Duration = Duration::from_secs(30);
/// Long enough that a copy is killed on the way.
const LONG: usize = (12 << 20) + 5;

/// Recordings of every kind, with what lies beside them.
struct Archive {
    system: System,
    media: BTreeMap<String, Vec<u8>>,
}

impl Archive {
    fn new() -> Self {
        let (system, mut all) = (System::with_key(), BTreeMap::new());
        for (id, len) in [("one", 1), ("chunk", 16 << 10), ("short", 70_000), ("long", LONG)] {
            all.insert(id.to_owned(), media(len));
            system.import(id, &all[id]);
        }
        let exempt = system.file("exempt.bin", &media(300_000));
        system.ok(&["import", path(&exempt), "--exempt"]);
        all.insert("exempt".into(), media(300_000));
        let (meta, beside) = (system.file("meta.json", br#"{"agent":"ann"}"#), system.file("notes.txt", b"a note"));
        let noted = system.file("noted.wav", &media(40_000));
        system.ok(&["import", path(&noted), "--meta", path(&meta), "--sidecar", path(&beside)]);
        all.insert("noted".into(), media(40_000));
        Self { system, media: all }
    }

    /// One whose writer is killed.
    fn leave_unfinished(&mut self, id: &str) {
        let server = self.system.serve();
        let mut upload = Upload::begin(&server.address, id, &[("Content-Type", "audio/wav")]);
        upload.send(&media(100_000));
        let is_there = |server: &Server| {
            let shown = server.get(&format!("/recordings/{id}"));
            shown.status == 200 && shown.json()["media_len"].as_u64().is_some_and(|len| len >= 90_000)
        };
        assert!(server.wait_until(PATIENCE, is_there), "it is recorded");
        server.signal("KILL");
        drop((upload, server));
        let after = self.system.serve();
        let is_unfinished = |server: &Server| server.get(&format!("/recordings/{id}")).json()["state"] == "unfinished";
        assert!(after.wait_until(PATIENCE, is_unfinished));
        let reply = after.get(&format!("/recordings/{id}/media"));
        assert!(reply.body.len() >= 90_000 && media(100_000).starts_with(&reply.body));
        self.media.insert(id.into(), reply.body);
    }

    /// One that was damaged, and mended by force: the damaged file is kept.
    fn leave_evidence(&mut self, id: &str) {
        let bytes = media(80_000);
        self.system.import(id, &bytes);
        flip(&self.system.stored(id), 512 + 3 * (16 << 10) + 3 * 16 + 9);
        self.system.ok(&["verify", id, "--repair", "--force"]);
        self.media.insert(id.into(), bytes[..3 << 14].to_vec());
    }

    fn target(&self) -> PathBuf {
        self.system.path("target")
    }

    fn url(&self) -> String {
        format!("file://{}", self.target().display())
    }

    fn copy(&self, options: &[&str]) -> Output {
        self.system.run(&[&["storage", "copy", "--to", &self.url(), "--json"], options].concat())
    }

    fn copied(&self, options: &[&str]) -> Value {
        let output = self.copy(options);
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("a document")
    }

    /// A server over the target.
    fn serve_target(&self) -> Server {
        let mut command = self.system.command(&["serve", "--listen", "127.0.0.1:0"]);
        Server::start({
            command.env("SEALTAPE_STORAGE__URL", self.url());
            command
        })
    }

    /// Everything plays from the target as it did, and verifies.
    fn assert_moved(&self, context: &str) {
        let server = self.serve_target();
        for (id, media) in &self.media {
            let reply = server.get(&format!("/recordings/{id}/media"));
            assert_eq!(reply.status, 200, "{context}: {id}: {reply:?}");
            assert!(!reply.is_cut && reply.body == *media, "{context}: {id} plays with other bytes");
        }
        assert_eq!(server.get("/recordings/noted/sidecars/notes.txt").body, b"a note", "{context}");
        assert_eq!(server.get("/recordings/noted").json()["metadata"]["agent"], "ann", "{context}");
        let mut verify = self.system.command(&["verify", "--all", "--json"]);
        let verified = verify.env("SEALTAPE_STORAGE__URL", self.url()).output().expect("runs");
        assert!(verified.status.success(), "{context}: {}", text(&verified.stdout));
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn flip(file: &Path, at: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(file).expect("opens");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("read");
    file.write_all_at(&[byte[0] ^ 1], at).expect("written");
}

/// Every file below a folder by its name, but for the lock.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let name = |file: &PathBuf| file.strip_prefix(folder).expect("below").display().to_string();
    let files = files_below(folder).into_iter().filter(|file| !file.ends_with(".lock"));
    files.map(|file| (name(&file), fs::read(&file).expect("read"))).collect()
}

#[test]
fn an_archive_is_copied_whole_and_plays_from_there() {
    let mut archive = Archive::new();
    archive.leave_unfinished("broken-off");
    archive.leave_evidence("mended");
    let source = archive.system.data_dir().join("media");
    let before = files(&source);
    assert!(before.keys().any(|name| name.contains(".damaged-")), "{:?}", before.keys());

    let planned = archive.copied(&["--dry-run"]);
    assert!(!archive.target().exists(), "nothing is made");
    assert_eq!((&planned["copied"], &planned["already"]), (&before.len().into(), &0.into()), "{planned}");
    let done = archive.copied(&[]);
    assert_eq!((&done["copied"], &done["failed"]), (&before.len().into(), &json!([])), "{done}");
    assert_eq!(done["bytes"], before.values().map(|bytes| bytes.len() as u64).sum::<u64>());
    // Plain media and evidence, which does not verify, have no tags.
    assert_eq!(done["verified"], json!({ "tags": before.len() - 2, "digest": 2 }), "{done}");
    assert!(files(&source) == before, "the source is as it was");
    assert!(files(&archive.target()) == before, "and the target the same");
    archive.assert_moved("after one run");

    let again = archive.copied(&[]);
    assert_eq!((&again["copied"], &again["already"]), (&0.into(), &before.len().into()), "{again}");
    let checked = archive.copied(&["--recheck"]);
    assert_eq!((&checked["copied"], &checked["already"]), (&0.into(), &before.len().into()), "{checked}");
    let events: Vec<Value> = serde_json::from_str(&archive.system.ok(&["audit", "show", "--json"])).expect("events");
    let ours: Vec<_> = events.iter().filter(|event| event["event"] == "storage.copy").collect();
    assert_eq!(
        ours.iter().map(|event| event["outcome"].as_str().expect("said")).collect::<Vec<_>>(),
        ["begun", "done", "begun", "done", "begun", "done"]
    );
    assert_eq!(ours[1]["count"], before.len());
    assert!(ours[0]["detail"].as_str().is_some_and(|detail| detail.contains(&archive.url())), "{}", ours[0]);
}

#[test]
fn what_is_being_written_is_left_for_another_run() {
    let mut archive = Archive::new();
    let server = archive.system.serve();
    let bytes = media(200_000);
    let mut upload = Upload::begin(&server.address, "now", &[("Content-Type", "audio/wav")]);
    upload.send(&bytes[..100_000]);
    assert!(server.wait_until(PATIENCE, |server| server.get("/recordings/now").status == 200));
    let output = archive.copy(&[]);
    let first: Value = serde_json::from_slice(&output.stdout).expect("a document");
    assert_eq!(output.status.code(), Some(0), "{first}");
    assert!(first["being_written"][0].as_str().is_some_and(|url| url.ends_with("/now.sealed.part")), "{first}");
    assert!(text(&output.stderr).contains("left for another run"), "{}", text(&output.stderr));
    assert!(!files(&archive.target()).keys().any(|name| name.contains("/now.")));

    upload.send(&bytes[100_000..]);
    assert_eq!(upload.finish().status, 201);
    let second = archive.copied(&[]);
    assert_eq!((&second["copied"], &second["being_written"]), (&1.into(), &json!([])), "{second}");
    archive.media.insert("now".into(), bytes);
    archive.assert_moved("after the second run");
}

#[test]
fn a_second_run_follows_what_was_done_since() {
    let mut archive = Archive::new();
    archive.copied(&[]);
    archive.system.ok(&["keys", "generate"]);
    archive.system.ok(&["rewrap", "short", "one"]);
    archive.system.ok(&["reseal", "chunk"]);
    archive.system.ok(&["encrypt", "exempt"]);
    archive.system.ok(&["recordings", "delete", "long"]);
    archive.media.remove("long");
    archive.system.import("new", &media(5000));
    archive.media.insert("new".into(), media(5000));

    let done = archive.copied(&[]);
    // Two headers and a sealing; the sealed file of the plain one, and the new one.
    assert_eq!((&done["copied"], &done["took_place"], &done["failed"]), (&5.into(), &3.into(), &json!([])), "{done}");
    let others = done["only_at_target"].as_array().expect("URLs");
    let names: Vec<_> = others.iter().map(|url| url.as_str().and_then(|url| url.rsplit('/').next())).collect();
    assert_eq!(names.len(), 2, "{done}");
    assert!(names.contains(&Some("long.sealed")) && names.contains(&Some("exempt.plain")), "{done}");
    for url in others {
        fs::remove_file(url.as_str().and_then(|url| url.strip_prefix("file://")).expect("a file")).expect("removed");
    }
    assert!(files(&archive.target()) == files(&archive.system.data_dir().join("media")));
    archive.assert_moved("after the second run");
}

#[test]
fn what_does_not_verify_is_named_and_copied_only_when_told() {
    let archive = Archive::new();
    flip(&archive.system.stored("long"), 6 << 20);
    flip(&archive.system.stored("short"), 70);
    // The name of its key.
    flip(&archive.system.stored("chunk"), 40);
    flip(&archive.system.stored("exempt"), 1000);
    let output = archive.copy(&[]);
    let done: Value = serde_json::from_slice(&output.stdout).expect("a document");
    assert_eq!(output.status.code(), Some(3), "{done}");
    let failed = done["failed"].as_array().expect("a list");
    let has = |id: &str, why: &str| {
        failed.iter().any(|one| {
            let said = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
            said("location").contains(&format!("/{id}.")) && said("reason").contains(why)
        })
    };
    assert_eq!(failed.len(), 4, "{done}");
    assert!(
        has("chunk", "recording-corrupt")
            && has("long", "recording-corrupt")
            && has("short", "recording-corrupt")
            && has("exempt", "catalogued"),
        "{done}"
    );
    let target = files(&archive.target());
    assert!(!target.keys().any(|name| ["/long.", "/short.", "/exempt."].iter().any(|id| name.contains(id))));
    assert!(text(&output.stderr).contains("--damaged"), "{}", text(&output.stderr));

    let done = archive.copied(&["--damaged"]);
    assert_eq!((&done["copied"], done["damaged"].as_array().map(Vec::len)), (&4.into(), Some(4)), "{done}");
    assert!(files(&archive.target()) == files(&archive.system.data_dir().join("media")), "as it is");
}

#[test]
fn nothing_at_the_target_is_overwritten() {
    let archive = Archive::new();
    archive.copied(&[]);
    let other = System::with_key();
    other.import("one", b"2");
    let theirs = fs::read(other.stored("one")).expect("read");
    let file = files_below(&archive.target()).into_iter().find(|file| file.ends_with("one.sealed")).expect("copied");
    fs::write(&file, &theirs).expect("written");
    // Of the same length, and other bytes in the middle.
    let long = files_below(&archive.target()).into_iter().find(|file| file.ends_with("long.sealed")).expect("copied");
    flip(&long, 5 << 20);
    let output = archive.copy(&["--recheck"]);
    let done: Value = serde_json::from_slice(&output.stdout).expect("a document");
    assert_eq!((output.status.code(), done["failed"].as_array().map(Vec::len)), (Some(3), Some(2)), "{done}");
    assert!(fs::read(&file).expect("read") == theirs, "it is left as it was");
    assert!(text(&output.stderr).contains("is something else"), "{}", text(&output.stderr));
}

#[test]
fn without_the_key_length_and_digest_are_what_is_compared() {
    let archive = Archive::new();
    let before = files(&archive.system.data_dir().join("media"));
    // Another system, which has the files and none of the keys.
    let blind = System::with_key();
    let from = format!("file://{}", archive.system.data_dir().join("media").display());
    let done = blind.json(&["storage", "copy", "--from", &from, "--to", &archive.url()]);
    assert_eq!(done["verified"], json!({ "tags": 0, "digest": before.len() }), "{done}");
    assert!(files(&archive.target()) == before);
    archive.assert_moved("by whoever has no key");
}

#[test]
fn stores_that_cannot_be_named_or_are_one_are_refused() {
    let archive = Archive::new();
    let media = archive.system.data_dir().join("media");
    let own = format!("file://{}", media.display());
    let inside = format!("file://{}/deeper/still", media.display());
    for to in [&own, &inside] {
        let error = archive.system.fails(1, &["storage", "copy", "--to", to]);
        assert!(error.contains("one lies in the other") && error.contains("--to"), "{error}");
    }
    assert!(!media.join("deeper").exists(), "nothing is made");
    let error =
        archive.system.fails(1, &["storage", "copy", "--from", "file:///nowhere/at/all", "--to", &archive.url()]);
    assert!(error.contains("/nowhere/at/all"), "{error}");
    let error = archive.system.fails(1, &["storage", "copy", "--to", "tape"]);
    assert!(error.contains("--to tape") && error.contains("file:///"), "{error}");
    archive.system.fails(2, &["storage", "copy"]);
    archive.system.fails(2, &["storage", "copy", "--to", &archive.url(), "--rate", "quickly"]);
}

#[test]
fn people_see_a_bar_and_a_rate_is_kept() {
    let archive = Archive::new();
    let begun = Instant::now();
    let shown =
        at_terminal(&archive.system.command(&["storage", "copy", "--to", &archive.url(), "--rate", "6MB/s"]), &[]);
    let took = begun.elapsed();
    assert_eq!(shown.code, 0, "{}", shown.text);
    assert!(
        shown.text.contains("/s") && shown.text.contains("copied to") && shown.text.contains("every tag"),
        "{}",
        shown.text
    );
    // 13 MB at 6 MB/s; the last piece is not waited for.
    assert!(took >= Duration::from_millis(1800), "{took:?}");
    archive.assert_moved("slowly");
}

#[test]
fn stopped_it_says_so_and_goes_on_when_it_is_run_again() {
    let archive = Archive::new();
    let mut command = archive.system.command(&["storage", "copy", "--to", &archive.url(), "--rate", "2MB/s", "--json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    thread::sleep(Duration::from_millis(1500));
    crate::support::signal(child.id(), "TERM");
    let output = child.wait_with_output().expect("ends");
    let done: Value = serde_json::from_slice(&output.stdout).expect("a document");
    assert_eq!((output.status.code(), &done["stopped"]), (Some(1), &true.into()), "{done}");
    assert!(files(&archive.target()).keys().all(|name| !name.ends_with(".next")), "nothing is left half done");
    assert!(!files(&archive.target()).keys().any(|name| name.contains("/long.")));
    archive.copied(&[]);
    archive.assert_moved("after the second run");
}

/// So that what is killed is at work, and not only beginning or ending.
const PACE: [&str; 2] = ["--rate", "20MB/s"];

/// What has its name is whole, at every instant.
#[test]
fn killed_at_any_instant_it_goes_on_and_nothing_half_done_has_a_name() {
    let archive = Archive::new();
    for number in 0..30 {
        archive.system.import(&format!("call-{number:02}"), &media(20_000 + number * 7919));
    }
    let source = files(&archive.system.data_dir().join("media"));
    let begun = Instant::now();
    archive.copied(&PACE);
    let took = begun.elapsed();
    let rounds = if std::env::var_os("SEALTAPE_TESTS_FULL").is_some() { 200 } else { 20 };
    let mut killed = 0;
    for round in 0..rounds {
        if round % 2 == 0 {
            fs::remove_dir_all(archive.target()).expect("removed");
        }
        let url = archive.url();
        let mut command = archive.system.command(&[&["storage", "copy", "--to", &url], &PACE[..]].concat());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("runs");
        // Another instant in each round, over the whole of it.
        thread::sleep(took.mul_f64(f64::from((round * 7 + 3) % rounds) / f64::from(rounds)));
        let _ended_already = child.kill();
        killed += u32::from(child.wait().expect("ends").signal() == Some(9));
        for (name, bytes) in files(&archive.target()) {
            if !name.ends_with(".next") {
                assert!(source.get(&name) == Some(&bytes), "round {round}: {name} is not what it was");
            }
        }
    }
    println!("killed {killed} of {rounds} times; {took:?} uninterrupted");
    assert!(killed * 3 >= rounds, "too few kills came before the end: {killed} of {rounds}");
    archive.copied(&[]);
    assert!(files(&archive.target()) == source, "and nothing else is left");
    let events = archive.system.ok(&["audit", "verify"]);
    assert!(events.contains("No change"), "{events}");
}

/// Recordings that come in while an archive is copied are there after the next run; a server plays all the while.
#[test]
fn a_server_goes_on_while_it_is_copied() {
    let mut archive = Archive::new();
    let server = archive.system.serve();
    let mut command = archive.system.command(&["storage", "copy", "--to", &archive.url(), "--rate", "8MB/s", "--json"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("runs");
    let mut number = 0;
    while child.try_wait().expect("asked").is_none() {
        let (id, bytes) = (format!("meanwhile-{number}"), media(30_000 + number));
        assert_eq!(put(&server.address, &id, &[("Content-Type", "audio/wav")], &bytes).status, 201);
        assert!(server.get(&format!("/recordings/{id}/media")).body == bytes);
        assert!(server.get("/recordings/long/media").body == archive.media["long"]);
        archive.media.insert(id, bytes);
        number += 1;
    }
    assert!(child.wait().expect("ended").success() && number > 2, "{number} came in meanwhile");
    archive.copied(&[]);
    archive.assert_moved("after the second run");
}
