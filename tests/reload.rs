//! Keys and switch while a server runs: checked at intervals, at once where something is missing, and kept while the
//! database is away.

use std::{fs, path::PathBuf, thread, time::Duration};

use serde_json::Value;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::support::{Server, System, copy_folder, media, text};

const WITHIN_A_SECOND: Duration = Duration::from_secs(1);

#[test]
fn keys_are_read_at_intervals_though_nothing_changed() {
    let system = System::with_key();
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("SEALTAPE_KEYS__RELOAD_INTERVAL", "1s");
    let (often, seldom) = (Server::start(command), system.serve());
    let (begun_often, begun_seldom) = (checks(&often), checks(&seldom));
    assert!(often.wait_until(Duration::from_secs(10), |server| checks(server) >= begun_often + 3.0));
    assert!((checks(&seldom) - begun_seldom).abs() < 0.5, "15 minutes are not over");
    assert!(health(&often)["loaded_s_ago"].as_u64() < health(&seldom)["loaded_s_ago"].as_u64());
}

#[test]
fn an_unknown_fingerprint_is_looked_for_once_for_all_who_ask() {
    let (system, twin) = (System::with_key(), System::with_key());
    system.import("call", &media(3000));
    twin.import("call", &media(3000));
    system.object("call").write(&twin.object("call").read());
    let server = system.serve();
    let before = checks(&server);
    thread::scope(|scope| {
        let asked: Vec<_> = (0..40).map(|_| scope.spawn(|| server.get("/recordings/call/media").problem())).collect();
        for problem in asked {
            assert_eq!(problem.join().expect("asks"), "key-missing");
        }
    });
    let looks = checks(&server) - before;
    // One, or two where some came more than a second after the first.
    assert!((1.0..=2.0).contains(&looks), "{looks} looks for 40 requests");
    thread::sleep(Duration::from_millis(1100));
    assert_eq!(server.get("/recordings/call/media").problem(), "key-missing");
    assert!(checks(&server) > before + looks, "a fruitless look is remembered for a moment only");
}

#[test]
fn a_failed_check_keeps_the_keys_and_shows_age_and_failure() {
    let system = System::with_key();
    let bytes = media(50_000);
    system.import("call", &bytes);
    let server = system.serve();
    assert_eq!(health(&server)["failure"], Value::Null);
    let away = Away::move_database(&system);
    assert!(server.wait_until(WITHIN_A_SECOND, |server| health(server)["failure"] == "database"));
    let ready = server.get("/readyz");
    assert_eq!((ready.status, &ready.json()["degraded"]), (200, &serde_json::json!(["keys-not-checked"])));
    assert!(metric(&server, "sealtape_key_ring_check_failed") > 0.5);
    let age = metric(&server, "sealtape_key_ring_age_seconds");
    assert!(server.wait_until(Duration::from_secs(3), |server| {
        metric(server, "sealtape_key_ring_age_seconds") > age + 0.5
            && health(server)["loaded_s_ago"].as_u64() >= Some(1)
    }));
    server.assert_says("keys cannot be checked");
    server.assert_says("age_s");
    assert!(server.get("/recordings/call/media").body == bytes, "on the keys in memory");
    away.bring_back();
    assert!(server.wait_until(WITHIN_A_SECOND, |server| health(server)["failure"].is_null()));
    server.assert_says("keys are checked again");
}

#[test]
fn without_its_database_a_server_does_not_start() {
    let system = System::with_key();
    system.import("call", &media(3000));
    let database = system.data_dir().join("sealtape.db");
    let refused = |why: &str| {
        let error = system.fails(1, &["serve", "--listen", "127.0.0.1:0"]);
        assert_eq!(error.lines().count(), 2, "{why}: {error}");
        assert!(error.contains("sealtape.db"), "{why}: {error}");
    };
    let kept = fs::read(&database).expect("read");
    fs::remove_file(&database).expect("removed");
    refused("missing");
    fs::write(&database, vec![0x55; 65_536]).expect("written");
    refused("not a database");
    fs::write(&database, &kept[..kept.len() / 2]).expect("written");
    refused("half of one");
    fs::remove_file(&database).expect("removed");
    fs::create_dir(&database).expect("made");
    refused("a folder");
    fs::remove_dir(&database).expect("removed");
    fs::write(&database, &kept).expect("put back");
    assert!(system.run(&["cat", "call"]).stdout == media(3000));
}

#[test]
fn a_database_that_is_moved_away_leaves_recordings_playing_that_never_played() {
    let system = System::with_key();
    let bytes = media(50_000);
    for id in ["played", "never"] {
        system.import(id, &bytes);
    }
    let plain = system.file("plain.dat", &bytes);
    system.ok(&["import", plain.to_str().expect("UTF-8"), "--exempt"]);
    let server = system.serve();
    assert!(server.get("/recordings/played/media").body == bytes);
    let away = Away::move_database(&system);
    for id in ["played", "never"] {
        let reply = server.get(&format!("/recordings/{id}/media"));
        assert!(reply.status == 200 && reply.body == bytes, "{id}: {reply:?}");
        assert!(reply.header("etag").is_some() && reply.header("content-type").is_some(), "{id}");
    }
    for path in ["/recordings", "/recordings/never", "/recordings/plain/media", "/recordings/nobody-knows/media"] {
        let reply = server.get(path);
        assert_eq!((reply.status, reply.problem().as_str()), (503, "catalogue-unavailable"), "{path}");
        assert!(reply.header("retry-after").is_some(), "{path}");
    }
    let before = files(&system);
    let again = system.file("again.dat", &bytes);
    let error = system.fails(1, &["import", again.to_str().expect("UTF-8")]);
    assert!(error.contains("there is no database here"), "{error}");
    assert_eq!(files(&system), before, "nothing is made in its place, and nothing secret goes to the disk");
    away.bring_back();
    assert!(server.wait_until(WITHIN_A_SECOND, |server| server.get("/recordings").status == 200));
    assert!(server.get("/recordings/plain/media").body == bytes);
    assert_eq!(server.get("/recordings/nobody-knows/media").problem(), "recording-not-found");
}

#[test]
fn a_database_that_is_cut_or_replaced_is_away() {
    let system = System::with_key();
    let bytes = media(50_000);
    system.import("never", &bytes);
    let database = system.data_dir().join("sealtape.db");
    let server = system.serve();
    // Another one, which knows nothing of these recordings, takes its place.
    let twin = System::with_key();
    let away = Away::move_database(&system);
    copy_folder(&twin.data_dir(), &system.path("twin"));
    fs::copy(system.path("twin").join("sealtape.db"), &database).expect("copied");
    assert!(server.get("/recordings/never/media").body == bytes, "replaced");
    assert_eq!(server.get("/recordings").problem(), "catalogue-unavailable");
    fs::remove_file(&database).expect("removed");
    away.bring_back();
    assert!(server.wait_until(WITHIN_A_SECOND, |server| server.get("/recordings").status == 200));
    for name in ["sealtape.db", "sealtape.db-wal"] {
        let path = system.data_dir().join(name);
        if path.exists() {
            fs::OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(0)).expect("cut");
        }
    }
    assert!(server.get("/recordings/never/media").body == bytes, "cut");
    assert_eq!(server.get("/recordings/nobody-knows/media").status, 503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_somebody_holds_locked_stops_nobody_who_plays() {
    let system = System::with_key();
    let bytes = media(50_000);
    system.import("call", &bytes);
    let server = system.serve();
    let mut holder = connect(&system).await;
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut holder).await.expect("locks");
    assert!(server.get("/recordings/call/media").body == bytes);
    assert_eq!(server.get("/recordings").status, 200);
    let error = system.fails(1, &["keys", "generate"]);
    assert!(error.contains("database is locked"), "{error}");
    sqlx::query("ROLLBACK").execute(&mut holder).await.expect("lets go");
    system.ok(&["keys", "generate"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_writes_nothing_to_the_tables_of_keys() {
    let system = System::with_key();
    let bytes = media(50_000);
    system.import("call", &bytes);
    let mut connection = connect(&system).await;
    for table in ["database_key", "setting", "_sqlx_migrations"] {
        for change in ["INSERT", "UPDATE", "DELETE"] {
            let trigger = format!(
                "CREATE TRIGGER no_{change}_{table} BEFORE {change} ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END"
            );
            sqlx::query(sqlx::AssertSqlSafe(trigger)).execute(&mut connection).await.expect("forbids");
        }
    }
    connection.close().await.expect("closes");
    assert_eq!(system.run(&["keys", "generate"]).status.code(), Some(1), "it is forbidden");
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("SEALTAPE_KEYS__RELOAD_INTERVAL", "1s");
    let server = Server::start(command);
    let begun = checks(&server);
    assert!(server.get("/recordings/call/media").body == bytes);
    assert!(server.wait_until(Duration::from_secs(10), |server| checks(server) >= begun + 2.0));
    assert!(health(&server)["failure"].is_null());
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
}

/// What is left of a database must not be taken for a new system: new recordings would be plain in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_an_empty_file_nor_lost_keys_make_new_recordings_plain() {
    let system = System::with_key();
    let bytes = media(3000);
    system.import("call", &bytes);
    let database = system.data_dir().join("sealtape.db");
    let file = system.file("more.dat", &bytes);
    let more = ["import", file.to_str().expect("UTF-8")];
    let kept = fs::read(&database).expect("read");
    fs::write(&database, b"").expect("cut to nothing");
    for arguments in [&more[..], &["keys", "list"], &["keys", "generate"], &["serve"]] {
        let error = system.fails(1, arguments);
        assert!(error.contains("there is no database here"), "{arguments:?}: {error}");
    }
    fs::write(&database, kept).expect("put back");
    let mut connection = connect(&system).await;
    sqlx::query("DELETE FROM database_key").execute(&mut connection).await.expect("deletes");
    connection.close().await.expect("closes");
    let error = system.fails(1, &more);
    assert!(error.contains("no database key is active"), "{error}");
    assert_eq!(system.objects().len(), 1, "nothing lies in plain");
}

/// The files of a database, moved away.
struct Away(Vec<(PathBuf, PathBuf)>);

impl Away {
    fn move_database(system: &System) -> Self {
        let mut moved = Vec::new();
        for name in ["sealtape.db", "sealtape.db-wal", "sealtape.db-shm"] {
            let (from, to) = (system.data_dir().join(name), system.path(&format!("away-{name}")));
            if from.exists() {
                fs::rename(&from, &to).expect("moved");
                moved.push((from, to));
            }
        }
        Self(moved)
    }

    fn bring_back(self) {
        for (from, to) in self.0 {
            fs::rename(to, from).expect("moved back");
        }
    }
}

async fn connect(system: &System) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(system.data_dir().join("sealtape.db"));
    SqliteConnection::connect_with(&options).await.expect("connects")
}

fn health(server: &Server) -> Value {
    server.get("/readyz").json()["keys"].clone()
}

fn checks(server: &Server) -> f64 {
    metric(server, "sealtape_key_ring_checks_total")
}

/// The sum over a metric's labels.
fn metric(server: &Server, name: &str) -> f64 {
    let scrape = text(&server.get("/metrics").body);
    let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
    scrape.lines().filter(of_name).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Everything in the data folder but the playback record.
fn files(system: &System) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![system.data_dir()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("read") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
