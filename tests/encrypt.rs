//! `encrypt`: what lay in plain is sealed, plays as it did, and lies in plain no more.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::support::{
    PlainArchive, Server, Stored, System, files_with_marker, has_marker_in, marked_media, media, text,
    unlinked_with_marker,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// Recordings in plain of every kind: in the store and outside, exempt and not, short and long.
fn system_in_plain() -> (System, PlainArchive) {
    let system = System::empty();
    let mut archive = PlainArchive::new(&system);
    for (name, len) in [("a/one.wav", 1), ("a/short.wav", 1000), ("chunk", 16 << 10), ("b/long.bin", (3 << 20) + 7)] {
        archive.write(name, len);
    }
    archive.import(&system);
    // Before there is a key, what is taken in lies in the store, in plain.
    for (id, len) in [("stored", 100_000), ("stored-piece", 256 << 10)] {
        let media = marked_media(id, len);
        system.import(id, &media);
        archive.media.insert(id.into(), media);
    }
    system.ok(&["keys", "generate"]);
    let exempt = system.file("exempt.source", &marked_media("exempt", 50_000));
    system.ok(&["import", exempt.to_str().expect("UTF-8"), "--id", "exempt", "--exempt"]);
    fs::remove_file(exempt).expect("removed");
    archive.media.insert("exempt".into(), marked_media("exempt", 50_000));
    (system, archive)
}

fn row(system: &System, id: &str) -> Value {
    let listed = system.json(&["recordings", "list"]);
    let mut rows = listed.as_array().expect("recordings").iter();
    rows.find(|row| row["id"] == id).cloned().unwrap_or_else(|| panic!("{id} is not there: {listed}"))
}

fn plain_files(system: &System, archive: &PlainArchive) -> Vec<Stored> {
    let files = files_with_marker(&[&system.data_dir(), &archive.folder]).into_iter().map(Stored::File);
    let objects = if system.is_in_bucket() { system.objects() } else { Vec::new() };
    let in_bucket = objects.into_iter().filter(|object| matches!(object, Stored::Object { .. }));
    files.chain(in_bucket.filter(|object| has_marker_in(&object.read()))).collect()
}

/// Changes rows behind the program's back: how many.
fn in_database(system: &System, statement: &'static str) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(system.data_dir().join("sealtape.db"));
        let mut connection = SqliteConnection::connect_with(&options.busy_timeout(PATIENCE)).await.expect("opens");
        let done = sqlx::query(statement).execute(&mut connection).await.expect("executes");
        connection.close().await.expect("closes");
        done.rows_affected()
    })
}

#[test]
fn what_lay_in_plain_is_sealed_and_plays_as_it_did() {
    let (system, archive) = system_in_plain();
    let server = system.serve();
    archive.assert_plays(&server, "in plain");
    let before: Vec<_> = archive.media.keys().map(|id| row(&system, id)).collect();
    // One is of a single byte, and so without a marker.
    assert_eq!(plain_files(&system, &archive).len(), 6);
    let etag = server.get("/recordings/stored/media").header("etag").map(str::to_owned);

    let done = system.json(&["encrypt", "--all"]);
    assert_eq!((&done["done"], &done["failed"], &done["stopped"]), (&6.into(), &json!([]), &false.into()), "{done}");
    assert_eq!(done["plain_left"], json!({ "exempt": 1, "others": 0, "files": 0 }));
    archive.assert_plays(&server, "sealed, on a server that ran before");
    archive.assert_plays(&system.serve(), "sealed, on another one");
    let left = plain_files(&system, &archive);
    assert!(left.len() == 1 && left[0].ends_with(".plain") && left[0].contains("/exempt"), "{left:?}");
    assert!(!archive.folder.join("a/one.wav").exists());
    for was in before.iter().filter(|was| was["id"] != "exempt") {
        let id = was["id"].as_str().expect("an ID");
        let is = row(&system, id);
        assert_eq!((&is["sealed"], &is["fingerprint"]), (&true.into(), &done["to"]), "{is}");
        for field in ["media_type", "media_len", "created_at", "state", "mended"] {
            assert_eq!(is[field], was[field], "{id}: {field}");
        }
        let location = is["location"].as_str().expect("a location");
        if system.is_in_bucket() {
            assert!(location.ends_with(".sealed") && location.contains(&format!("/{id}/")), "{location}");
        } else {
            assert!(location.ends_with(&format!("/{id}.sealed")) && location.contains("/data/media/"), "{location}");
        }
        let events = system.ok(&["audit", "show", "--recording", id, "--json"]);
        assert_eq!(events.matches("\"recording.encrypt\"").count(), 1, "{events}");
    }
    assert_ne!(
        server.get("/recordings/stored/media").header("etag").map(str::to_owned),
        etag,
        "it is another thing now"
    );

    // Again there is nothing to do; by its name an exempt one is sealed, too.
    let again = system.json(&["encrypt", "--all"]);
    assert_eq!((&again["done"], &again["already"]), (&0.into(), &0.into()), "{again}");
    let named = system.json(&["encrypt", "exempt", "stored"]);
    assert_eq!((&named["done"], &named["already"]), (&1.into(), &1.into()), "{named}");
    archive.assert_plays(&server, "all of them");
    assert!(plain_files(&system, &archive).is_empty());
    assert_eq!(system.json(&["encryption", "status"])["plain"], json!({ "exempt": 0, "others": 0, "files_left": 0 }));
    assert!(system.objects().iter().all(|file| { file.ends_with(".sealed") || file.ends_with(".lock") }));
    // The sealed ones are ordinary ones: they can be wrapped anew and sealed again.
    system.ok(&["keys", "generate"]);
    assert_eq!(system.json(&["rewrap", "--all"])["done"], 7);
    assert_eq!(system.json(&["reseal", "--all"])["done"], 7);
    archive.assert_plays(&server, "under another key");
}

#[test]
fn a_dry_run_changes_nothing() {
    let (system, archive) = system_in_plain();
    let snapshot = || {
        let mut files: Vec<(Stored, Vec<u8>)> = Vec::new();
        for file in plain_files(&system, &archive).into_iter().chain(system.objects()) {
            let bytes = file.read();
            files.push((file, bytes));
        }
        files.sort();
        (
            files,
            system.json(&["recordings", "list"]),
            system.ok(&["audit", "show", "--json"]).matches("encrypt").count(),
        )
    };
    let before = snapshot();
    let plan = system.json(&["encrypt", "--all", "--dry-run"]);
    let bytes: usize = archive.media.iter().filter(|(id, _)| *id != "exempt").map(|(_, media)| media.len()).sum();
    assert_eq!((&plan["recordings"], &plan["bytes"], &plan["exempt_left"]), (&6.into(), &bytes.into(), &1.into()));
    let said = system.ok(&["encrypt", "exempt", "--dry-run"]);
    assert!(said.contains("1 recording(s)"), "{said}");
    let said = system.fails(3, &["encrypt", "exempt", "nobody", "--dry-run"]);
    assert!(said.contains("nobody: there is no recording"), "{said}");
    assert!(snapshot() == before, "something changed");
}

#[test]
fn it_is_refused_where_nothing_could_be_sealed() {
    let system = System::empty();
    let mut archive = PlainArchive::new(&system);
    archive.write("call.wav", 1000);
    archive.import(&system);
    let refused = |reason: &str| {
        for arguments in [&["encrypt", "--all"][..], &["encrypt", "call"], &["encrypt", "--all", "--dry-run"]] {
            let said = system.fails(1, arguments);
            assert!(said.contains(reason), "{arguments:?}: {said}");
        }
        assert_eq!(plain_files(&system, &archive).len(), 1);
    };
    refused("no-active-key");
    system.ok(&["keys", "generate"]);
    system.ok(&["encryption", "disable"]);
    refused("encryption-disabled");
    system.ok(&["encryption", "enable"]);
    let key = system.json(&["keys", "list"])[0]["fingerprint"].as_str().expect("one").to_owned();
    system.ok(&["keys", "deactivate", &key]);
    refused("no-active-key");
    system.ok(&["keys", "activate", &key]);
    for (arguments, code) in [
        (&["encrypt"][..], 2),
        (&["encrypt", "call", "--all"], 2),
        (&["encrypt", "--all", "--rate", "fast"], 2),
        (&["encrypt", "--all", "--rate", "0"], 2),
        (&["encrypt", "nobody"], 1),
        (&["encrypt", "nobody", "call"], 3),
    ] {
        system.fails(code, arguments);
    }
    assert_eq!(row(&system, "call")["sealed"], true);
}

/// The catalogue's word is what counts: a file that somebody changed is named, and left as it is.
#[test]
fn a_plain_file_that_was_changed_is_refused_and_kept() {
    let (system, mut archive) = system_in_plain();
    let changed = archive.folder.join("a/short.wav");
    let mut bytes = fs::read(&changed).expect("read");
    bytes[999] ^= 1;
    fs::write(&changed, &bytes).expect("written");
    let cut = system.object("stored");
    cut.write(&archive.media["stored"][..99_999]);
    let gone = archive.folder.join("chunk");
    fs::remove_file(&gone).expect("removed");
    let output = system.run(&["encrypt", "--all", "--json"]);
    let done: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(output.status.code(), Some(3), "{done}");
    let mut failed: Vec<_> = done["failed"].as_array().expect("a list").iter().map(|one| one["id"].as_str()).collect();
    failed.sort_unstable();
    assert_eq!((failed, &done["done"]), (vec![Some("chunk"), Some("short"), Some("stored")], &3.into()), "{done}");
    let said = text(&output.stderr);
    for (id, reason) in [("short", "recording-corrupt"), ("stored", "recording-corrupt"), ("chunk", "media-missing")] {
        let named = said.lines().any(|line| line.contains(&format!("{id}: ")) && line.contains(reason));
        assert!(named, "{id}: {said}");
        assert_eq!(row(&system, id)["sealed"], false);
    }
    assert!(fs::read(&changed).expect("kept") == bytes && cut.size() == 99_999);
    assert!(system.objects().iter().all(|file| !file.ends_with(".next")), "no copy of it is left");
    // The bytes that were catalogued are brought back.
    fs::write(&changed, &archive.media["short"]).expect("written");
    cut.write(&archive.media["stored"]);
    archive.media.remove("chunk");
    let output = system.run(&["encrypt", "--all", "--json"]);
    assert_eq!(output.status.code(), Some(3), "the one that is gone is gone");
    archive.assert_plays(&system.serve(), "brought back");
}

#[test]
fn a_recording_that_is_being_written_is_left_and_one_without_an_end_is_sealed_as_it_is() {
    let system = System::empty();
    let mut import = system
        .command(&["import", "-", "--id", "live"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("runs");
    let written = marked_media("live", 100_000);
    import.stdin.as_mut().expect("piped").write_all(&written).expect("written");
    let part = || system.objects().into_iter().find(|file| file.ends_with("live.plain.part"));
    let begun = Instant::now();
    while part().map_or(0, |part| part.size()) < 100_000 {
        assert!(begun.elapsed() < PATIENCE, "it does not grow");
        thread::sleep(Duration::from_millis(10));
    }
    system.ok(&["keys", "generate"]);
    let done = system.json(&["encrypt", "--all"]);
    assert_eq!((&done["done"], &done["being_recorded"]), (&0.into(), &json!(["live"])), "{done}");
    assert!(system.fails(1, &["encrypt", "live"]).contains("being recorded"));
    import.kill().expect("killed");
    import.wait().expect("ends");
    assert_eq!(in_database(&system, "UPDATE recording SET lease_until = 1 WHERE state = 0"), 1);
    let done = system.json(&["encrypt", "--all"]);
    assert_eq!(done["done"], 1, "{done}");
    let is = row(&system, "live");
    assert_eq!((&is["sealed"], &is["state"], &is["mended"]), (&true.into(), &"complete".into(), &true.into()), "{is}");
    assert!(system.run(&["cat", "live"]).stdout == written, "not a byte of it is lost");
    assert!(files_with_marker(&[&system.data_dir()]).is_empty());
}

/// What runs that were killed leave, one by one; sweeps are in `encrypt_faults`.
#[test]
fn whatever_a_killed_run_left_is_brought_to_its_end() {
    let (system, archive) = system_in_plain();
    // The copy has its name, and the catalogue does not know.
    let twin = System::empty();
    crate::support::copy_folder(&system.data_dir(), &twin.data_dir());
    let key = twin.data_dir().join("definition.key");
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).expect("chmod");
    twin.ok(&["encrypt", "stored", "stored-piece"]);
    let copy = |id: &str| {
        let (from, plain) = (twin.stored(id), system.stored(id));
        let to = plain.with_file_name(format!("{id}.sealed"));
        fs::copy(from, &to).expect("copied");
        to
    };
    let (placed, other) = (copy("stored"), copy("stored-piece"));
    // Of which one holds something else by now.
    crate::support::flip(&other, 5000);
    // Half of a copy, under the name that it grew under.
    let half = system.stored("exempt").with_file_name("exempt.sealed.next");
    fs::write(&half, &fs::read(&placed).expect("read")[..50_000]).expect("written");
    let sealed_before = fs::read(&placed).expect("read");

    let output = system.run(&["encrypt", "stored", "stored-piece", "exempt", "--json"]);
    let done: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), &done["done"]), (Some(3), &2.into()), "{done}");
    let said = text(&output.stderr);
    assert!(said.contains("stored-piece.sealed is in the way"), "{said}");
    assert!(fs::read(&placed).expect("there") == sealed_before, "the copy that was there is the one");
    assert!(!half.exists());
    assert_eq!(row(&system, "stored-piece")["sealed"], false);
    fs::remove_file(&other).expect("moved away");
    archive.assert_plays(&system.serve(), "one is in plain still");

    // The catalogue says that it is sealed, and the plain file is there.
    let kept = archive.folder.join("kept");
    let long = archive.folder.join("b/long.bin");
    fs::copy(&long, &kept).expect("copied");
    system.ok(&["encrypt", "--all"]);
    assert!(!long.exists());
    let left = |digest: &str| -> &'static str {
        let note = format!(
            "INSERT INTO plain_left (id, location, is_part, len, digest) VALUES ('long', 'file://{}', 0, {}, x'{digest}')",
            long.display(),
            (3 << 20) + 7
        );
        note.leak()
    };
    fs::rename(&kept, &long).expect("as if it had never been removed");
    let digest = text(&crate::support::tool("sha256sum").arg(&long).output().expect("runs").stdout)[..64].to_owned();
    assert_eq!(in_database(&system, left(&digest)), 1);
    assert_eq!(system.json(&["encryption", "status"])["plain"]["files_left"], 1);
    let done = system.json(&["encrypt", "--all"]);
    assert_eq!((&done["finished"], &done["plain_left"]["files"]), (&1.into(), &0.into()), "{done}");
    assert!(!long.exists(), "it is gone now");
    let events = system.ok(&["audit", "show", "--recording", "long", "--json"]);
    assert_eq!(events.matches("\"recording.encrypt\"").count(), 2, "by whoever brought it to its end: {events}");

    // Another file lies there by now: it is nobody's to remove.
    fs::write(&long, b"a new recording of that name").expect("written");
    assert_eq!(in_database(&system, left(&digest)), 1);
    let said = system.fails(1, &["encrypt", "--all"]);
    assert!(said.contains("b/long.bin is to go, and is not the file that was sealed"), "{said}");
    assert!(long.exists());
    fs::remove_file(&long).expect("moved away");
    assert_eq!(system.json(&["encrypt", "--all"])["plain_left"]["files"], 0);
    archive.assert_plays(&system.serve(), "in the end");
    assert!(plain_files(&system, &archive).is_empty());
}

/// A note of a plain file must not take a later recording of the same ID with it.
#[test]
fn a_later_plain_recording_of_the_same_id_is_not_removed() {
    let system = System::with_key();
    let mut archive = PlainArchive::new(&system);
    let path = archive.write("call.wav", 10_000);
    archive.import(&system);
    let note = format!(
        "INSERT INTO plain_left (id, location, is_part, len, digest) VALUES ('call', 'file://{}', 0, 10000, (SELECT digest FROM recording))",
        path.display()
    );
    assert_eq!(in_database(&system, note.leak()), 1);
    system.ok(&["import", system.file("x.wav", b"x").to_str().expect("UTF-8"), "--exempt"]);
    system.ok(&["encrypt", "x"]);
    assert!(path.exists() && row(&system, "call")["sealed"] == false);
    archive.assert_plays(&system.serve(), "it is a recording of its own");
}

/// Where the archive cannot be written, the recording is sealed, and what is still to do is not forgotten.
#[test]
fn a_plain_file_that_cannot_be_removed_is_told_and_tried_again() {
    let system = System::with_key();
    let mut archive = PlainArchive::new(&system);
    let path = archive.write("call.wav", 10_000);
    archive.import(&system);
    let folder = path.parent().expect("a folder");
    // Root may do what the mode forbids; nobody may write to what is immutable, or mounted for reading.
    let guard = ReadOnly::mount(folder);
    let output = system.run(&["encrypt", "--all", "--json"]);
    let done: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), &done["done"]), (Some(3), &1.into()), "{done}");
    assert_eq!(done["plain_left"], json!({ "exempt": 0, "others": 0, "files": 1 }));
    assert!(text(&output.stderr).contains("its plain file is still there"), "{}", text(&output.stderr));
    assert!(path.exists());
    archive.assert_plays(&system.serve(), "sealed");
    drop(guard);
    let done = system.json(&["encrypt", "--all"]);
    assert_eq!((&done["finished"], &done["plain_left"]["files"]), (&1.into(), &0.into()), "{done}");
    assert!(!path.exists());
}

/// A folder mounted over itself for reading alone.
struct ReadOnly(PathBuf);

impl ReadOnly {
    fn mount(folder: &Path) -> Self {
        for arguments in [&["--bind"][..], &["-o", "remount,bind,ro"]] {
            let mut mount = crate::support::as_root("mount");
            mount.args(arguments);
            if arguments == ["--bind"] {
                mount.arg(folder);
            }
            assert!(mount.arg(folder).status().expect("runs").success(), "mount {arguments:?}");
        }
        Self(folder.to_owned())
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _told_by_the_test = crate::support::as_root("umount").arg(&self.0).status();
    }
}

#[test]
fn other_names_of_a_plain_file_are_told() {
    let system = System::with_key();
    let mut archive = PlainArchive::new(&system);
    let path = archive.write("call.wav", 10_000);
    let other = system.path("other-name");
    fs::hard_link(&path, &other).expect("linked");
    archive.import(&system);
    let output = system.run(&["encrypt", "call"]);
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("1 other name(s) (hard links)"), "{said}");
    assert!(!path.exists() && fs::read(&other).expect("there") == archive.media["call"], "it is not written to");
}

#[test]
fn two_of_them_do_not_work_at_once() {
    let system = System::with_key();
    let mut archive = PlainArchive::new(&system);
    archive.write("call.wav", 3_000_000);
    archive.import(&system);
    let slow = ["encrypt", "--all", "--rate", "1MB/s"];
    let mut running = system.command(&slow).stdout(Stdio::null()).spawn().expect("runs");
    let begun = Instant::now();
    // In a bucket there is nothing of it before its end.
    let has_begun = || match system.is_in_bucket() {
        true => begun.elapsed() > Duration::from_secs(1),
        false => system.objects().iter().any(|file| file.ends_with(".next")),
    };
    while !has_begun() {
        assert!(begun.elapsed() < PATIENCE, "it does not begin");
        thread::sleep(Duration::from_millis(10));
    }
    let said = system.fails(1, &["encrypt", "call"]);
    assert!(said.contains("another command"), "{said}");
    // And one that is asked to stop does so at once, and in order.
    crate::support::signal(running.id(), "INT");
    let ended = running.wait().expect("ends");
    assert_eq!(ended.code(), Some(1));
    assert!(begun.elapsed() < PATIENCE);
    assert!(system.objects().iter().all(|file| !file.ends_with(".next")), "nothing is left of it");
    archive.assert_plays(&system.serve(), "stopped");
    system.ok(&["encrypt", "--all"]);
    archive.assert_plays(&system.serve(), "done");
}

#[test]
fn a_rate_is_kept() {
    let system = System::with_key();
    let mut archive = PlainArchive::new(&system);
    for i in 0..8 {
        archive.write(&format!("call-{i}.wav"), 1_000_000);
    }
    archive.import(&system);
    let begun = Instant::now();
    system.ok(&["encrypt", "--all", "--rate", "2MB/s"]);
    let took = begun.elapsed();
    // 8 MB at 2 MB/s are four seconds; the last pieces need not be waited for.
    assert!(took > Duration::from_millis(2500), "{took:?}");
    archive.assert_plays(&system.serve(), "at their pace");
}

/// Who began before hears the old bytes to the end, and who comes later the same ones.
#[test]
fn players_play_across_the_sealing() {
    let system = System::with_key();
    let mut archive = PlainArchive::new(&system);
    archive.write("long.wav", 48 << 20);
    archive.write("short.wav", 100_000);
    archive.import(&system);
    let stored = system.file("stored.wav", &marked_media("stored", 24 << 20));
    system.ok(&["encryption", "disable"]);
    system.ok(&["import", stored.to_str().expect("UTF-8")]);
    system.ok(&["encryption", "enable"]);
    fs::remove_file(stored).expect("removed");
    archive.media.insert("stored".into(), marked_media("stored", 24 << 20));
    let server = system.serve();
    let mut playing: Vec<_> = ["long", "stored", "long"].map(|id| (id, Playing::begin(&server, id))).into();
    for (_, player) in &mut playing {
        player.read(1 << 20);
    }
    thread::scope(|scope| {
        let others = scope.spawn(|| {
            let mut etags = std::collections::BTreeSet::new();
            let begun = Instant::now();
            // Until it was heard in plain and sealed.
            while etags.len() < 2 {
                assert!(begun.elapsed() < PATIENCE, "{etags:?}");
                let reply = server.get("/recordings/short/media");
                assert!(reply.status == 200 && reply.body == archive.media["short"], "{reply:?}");
                etags.insert(reply.header("etag").expect("one").to_owned());
                let reply = server.get_range("/recordings/long/media", "bytes=30000000-30099999");
                assert!(
                    reply.status == 206 && reply.body == archive.media["long"][30_000_000..30_100_000],
                    "{reply:?}"
                );
            }
        });
        thread::sleep(Duration::from_millis(200));
        let done = system.json(&["encrypt", "--all"]);
        assert_eq!(done["done"], 3, "{done}");
        others.join().expect("asks");
    });
    assert!(plain_files(&system, &archive).is_empty());
    for (id, player) in playing {
        let (heard, whole) = (player.finish(), &archive.media[id]);
        // An object that is deleted is gone also for those who hear it: they are cut.
        let may_be_cut = id == "stored" && system.is_in_bucket();
        let is_good = heard == *whole || may_be_cut && whole.starts_with(&heard);
        assert!(is_good, "{id}: whoever plays hears something else after {} bytes", heard.len());
    }
    archive.assert_plays(&server, "afterwards");
    if std::env::var_os("SEALTAPE_TESTS_FULL").is_some() {
        // The server lets go of the plain files that nobody listens to any more.
        let limit = Duration::from_secs(180);
        assert!(
            server.wait_until(limit, |server| unlinked_with_marker(server.pid()).is_empty()),
            "they are still open"
        );
    }
    let pid = server.pid();
    drop(server);
    assert!(unlinked_with_marker(pid).is_empty());
}

/// A player that reads when it is told to.
struct Playing {
    stream: TcpStream,
    came: Vec<u8>,
}

impl Playing {
    fn begin(server: &Server, id: &str) -> Self {
        let mut stream = TcpStream::connect(&server.address).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        write!(stream, "GET /recordings/{id}/media HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .expect("sent");
        Self { stream, came: Vec::new() }
    }

    fn read(&mut self, len: usize) {
        let mut piece = vec![0; len];
        self.stream.read_exact(&mut piece).expect("it plays");
        self.came.extend_from_slice(&piece);
    }

    fn finish(mut self) -> Vec<u8> {
        self.stream.read_to_end(&mut self.came).expect("it plays on");
        assert!(self.came.starts_with(b"HTTP/1.1 200"));
        let head = self.came.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head") + 4;
        self.came.split_off(head)
    }
}

/// As `media` in a sealed one: what was never catalogued as plain is none of its business.
#[test]
fn sealed_recordings_are_left_alone() {
    let system = System::with_key();
    system.import("sealed", &media(10_000));
    let stored = system.object("sealed");
    let before = stored.read();
    // A plain file under a name of the store, of which the catalogue says nothing.
    let beside = stored.with_end(".sealed", ".plain");
    beside.write(b"plain");
    let done = system.json(&["encrypt", "sealed"]);
    assert_eq!((&done["done"], &done["already"]), (&0.into(), &1.into()), "{done}");
    assert_eq!(system.json(&["encrypt", "--all"])["done"], 0);
    assert!(stored.read() == before);
    assert!(beside.exists());
}
