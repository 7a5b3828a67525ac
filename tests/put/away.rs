//! While the database is away recorders go on, and what they sent is catalogued when it returns.

use std::{fs, process::Stdio, time::Duration};

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{PATIENCE, serve_with, state_of, stored_as};
use crate::support::{Server, System, Upload, copy_folder, media, put, text};

/// The database under another name; back under its own when this is dropped.
pub struct Away<'a>(&'a System);

const FILES: [&str; 3] = ["sealtape.db", "sealtape.db-wal", "sealtape.db-shm"];

impl<'a> Away<'a> {
    pub fn new(system: &'a System) -> Self {
        for name in FILES {
            let _not_all_are_there = fs::rename(system.data_dir().join(name), system.path(name));
        }
        Self(system)
    }
}

impl Drop for Away<'_> {
    fn drop(&mut self) {
        for name in FILES {
            let _not_all_are_there = fs::rename(self.0.path(name), self.0.data_dir().join(name));
        }
    }
}

fn catalogued(reply: &crate::support::Reply) -> bool {
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.json()["catalogued"].as_bool().expect("whether it is catalogued")
}

fn uncatalogued(server: &Server) -> String {
    let scrape = text(&server.get("/metrics").body);
    scrape.lines().find(|line| line.starts_with("sealtape_recordings_uncatalogued ")).unwrap_or_default().to_owned()
}

#[test]
fn recordings_are_sealed_without_the_database_and_catalogued_when_it_returns() {
    let (system, media) = (System::with_key(), media(50_000));
    system.import("earlier", &media);
    let server = system.serve();
    let away = Away::new(&system);
    for (id, len) in [("one", 50_000), ("two", 4096)] {
        assert!(!catalogued(&put(&server.address, id, &[], &media[..len])));
        assert!(server.get(&format!("/recordings/{id}/media")).body == media[..len], "{id}: it plays at once");
    }
    let mut broken = Upload::begin(&server.address, "broken", &[]);
    broken.send(&media[..10_000]);
    assert!(server.wait_until(PATIENCE, |_| stored_as(&system, "broken.sealed.part").is_some()));
    drop(broken);
    for id in ["one", "earlier"] {
        assert_eq!(put(&server.address, id, &[], &media).problem(), "recording-exists", "{id}: a file says so");
    }
    assert!(server.wait_until(PATIENCE, |server| uncatalogued(server) == "sealtape_recordings_uncatalogued 3"));
    drop(away);
    for (id, state) in [("one", "complete"), ("two", "complete"), ("broken", "unfinished")] {
        assert!(server.wait_until(PATIENCE, |server| state_of(server, id) == state), "{id}: {}", server.log());
    }
    assert!(server.wait_until(PATIENCE, |server| uncatalogued(server) == "sealtape_recordings_uncatalogued 0"));
    assert!(server.get("/recordings/one/media").body == media && server.get("/recordings/earlier/media").body == media);
    assert!(server.get("/recordings/broken/media").body == media[..8192]);
    assert_eq!(system.json(&["recordings", "list"]).as_array().expect("a list").len(), 4);
}

#[test]
fn one_that_begins_with_the_database_and_one_that_ends_with_it() {
    let (system, media) = (System::with_key(), media(60_000));
    let server = system.serve();
    let mut begins_with = Upload::begin(&server.address, "begins-with", &[]);
    begins_with.send(&media[..20_000]);
    assert!(server.wait_until(PATIENCE, |server| state_of(server, "begins-with") == "recording"));
    let away = Away::new(&system);
    begins_with.send(&media[20_000..]);
    let mut ends_with = Upload::begin(&server.address, "ends-with", &[]);
    ends_with.send(&media[..20_000]);
    assert!(!catalogued(&begins_with.finish()), "the catalogue does not know that it is complete");
    assert!(server.wait_until(PATIENCE, |_| stored_as(&system, "ends-with.sealed.part").is_some()));
    drop(away);
    assert!(server.wait_until(PATIENCE, |server| state_of(server, "begins-with") == "complete"), "{}", server.log());
    // Told in between that it goes on.
    assert!(server.wait_until(PATIENCE, |server| state_of(server, "ends-with") == "recording"), "{}", server.log());
    ends_with.send(&media[20_000..]);
    assert!(catalogued(&ends_with.finish()));
    for id in ["begins-with", "ends-with"] {
        assert!(server.get(&format!("/recordings/{id}/media")).body == media, "{id}");
        assert_eq!(state_of(&server, id), "complete");
    }
}

#[test]
fn a_database_that_is_locked_or_written_over_stops_no_recorder() {
    let (system, media) = (System::with_key(), media(50_000));
    let server = system.serve();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(system.data_dir().join("sealtape.db"));
        let mut connection = SqliteConnection::connect_with(&options).await.expect("opens");
        sqlx::query("BEGIN EXCLUSIVE").execute(&mut connection).await.expect("locked");
        let (address, sent) = (server.address.clone(), media.clone());
        let reply = tokio::task::spawn_blocking(move || put(&address, "locked", &[], &sent)).await.expect("sends");
        assert!(!catalogued(&reply));
        sqlx::query("ROLLBACK").execute(&mut connection).await.expect("let go");
        connection.close().await.expect("closes");
    });
    assert!(server.wait_until(PATIENCE, |server| state_of(server, "locked") == "complete"), "{}", server.log());

    for name in FILES {
        let path = system.data_dir().join(name);
        if path.exists() {
            fs::copy(&path, system.path(name)).expect("a backup");
            fs::write(path, vec![0x55; 65_536]).expect("written");
        }
    }
    let is_away = |server: &Server| server.get("/recordings").status == 503;
    assert!(server.wait_until(PATIENCE, is_away));
    assert!(!catalogued(&put(&server.address, "written-over", &[], &media)));
    assert!(server.get("/recordings/written-over/media").body == media);
    server.signal("KILL");
    server.wait();
    for name in FILES {
        let _not_all_are_there = fs::remove_file(system.data_dir().join(name));
        let _not_all_are_there = fs::copy(system.path(name), system.data_dir().join(name));
    }
    // The backup is from before it; its file is found again, and nobody has to ask for that.
    let server = system.serve();
    assert!(server.wait_until(PATIENCE, |server| state_of(server, "written-over") == "complete"), "{}", server.log());
    assert!(server.get("/recordings/written-over/media").body == media);
}

#[test]
fn an_id_that_turns_out_to_be_taken_displaces_nobody() {
    let (system, media) = (System::with_key(), media(50_000));
    system.import("call", &media);
    let server = system.serve();
    let stored = system.stored("call");
    let away = Away::new(&system);
    // The file of the one that is catalogued is on a disk that is not mounted now, so to speak.
    fs::rename(&stored, system.path("call.elsewhere")).expect("moved");
    assert!(!catalogued(&put(&server.address, "call", &[], &media[..30_000])));
    drop(away);
    let is_named =
        |server: &Server| server.log().contains("both stay as they are") && server.log().contains("call.sealed");
    assert!(server.wait_until(PATIENCE, is_named), "{}", server.log());
    assert!(stored.exists(), "it is kept");
    assert_eq!(system.json(&["recordings", "show", "call"])["media_len"], 50_000, "the row stays");
    assert_eq!(server.get("/recordings/call/media").problem(), "recording-corrupt", "never the one for the other");
    fs::rename(&stored, system.path("call.other")).expect("moved");
    fs::rename(system.path("call.elsewhere"), &stored).expect("back");
    assert!(server.wait_until(Duration::from_secs(5), |server| server.get("/recordings/call/media").body == media));
}

#[test]
fn what_would_be_plain_waits_for_the_database() {
    let (system, media) = (System::empty(), media(10_000));
    system.import("first", &media);
    let server = serve_with(&system, &[("SEALTAPE_ENCRYPTION__EXEMPT", "fax-*")]);
    let away = Away::new(&system);
    assert_eq!(put(&server.address, "plain", &[], &media).problem(), "catalogue-unavailable");
    drop(away);
    assert!(server.wait_until(PATIENCE, |server| server.get("/readyz").json()["degraded"] == serde_json::json!([])));
    system.ok(&["keys", "generate"]);
    let away = Away::new(&system);
    assert_eq!(put(&server.address, "fax-1", &[], &media).problem(), "catalogue-unavailable");
    assert_eq!(put(&server.address, "first", &[], &media).problem(), "recording-exists", "no plain file is displaced");
    assert_eq!(system.objects().len(), 1);
    drop(away);
}

#[test]
fn what_a_killed_server_left_is_found_by_the_next() {
    let (system, media) = (System::with_key(), media(50_000));
    system.import("earlier", &media);
    let server = system.serve();
    let away = Away::new(&system);
    assert!(!catalogued(&put(&server.address, "whole", &[], &media)));
    let mut cut = Upload::begin(&server.address, "cut", &[]);
    cut.send(&media[..20_000]);
    let len =
        |name: &str| stored_as(&system, name).and_then(|path| fs::metadata(path).ok()).map_or(0, |file| file.len());
    assert!(server.wait_until(PATIENCE, |_| len("cut.sealed.part") >= 512 + 4 * 4112));
    server.signal("KILL");
    server.wait();
    drop((away, cut));
    // What an import left that was killed is nobody's recording: it is imported again.
    let twin = System::empty();
    copy_folder(&system.data_dir(), &twin.data_dir());
    twin.import("killed-import", &media);
    let of_import = twin.stored("killed-import");
    let part =
        system.data_dir().join(of_import.strip_prefix(twin.data_dir()).expect("below")).with_extension("sealed.part");
    fs::create_dir_all(part.parent().expect("a folder")).expect("made");
    fs::write(&part, &fs::read(of_import).expect("read")[..17_000]).expect("written");

    let server = system.serve();
    for (id, state, len) in [("whole", "complete", 50_000), ("cut", "unfinished", 16_384)] {
        assert!(server.wait_until(PATIENCE, |server| state_of(server, id) == state), "{id}: {}", server.log());
        assert!(server.get(&format!("/recordings/{id}/media")).body == media[..len], "{id}");
    }
    assert_eq!(server.get("/recordings/killed-import").status, 404);
    let shown = system.json(&["audit", "show"]);
    let found = shown.as_array().expect("events").iter().filter(|event| event["event"] == "catalogue.rebuild");
    assert_eq!(found.count(), 2, "each is on record: {shown}");
    let verified = system.command(&["audit", "verify"]).stdout(Stdio::null()).status().expect("runs");
    assert!(verified.success());
}
