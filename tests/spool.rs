//! Media that waits in a spool: it plays through every proxy from its first second, it gets into the store whatever fails
//! meanwhile, and nothing acknowledged is lost. Two servers share one database and one store, which is a folder here.

mod door;
mod kills;
mod peers;
mod trouble;

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::live::recorder::Follower;
use crate::put::killed::end_leases;
use crate::support::{Server, System, Upload, get, media, put, request};

const PATIENCE: Duration = Duration::from_secs(30);
const MEDIA: &str = "/recordings/live/media";
const CHUNK: usize = 4096;

/// What is verified of the first `len` bytes of a recording that goes on.
fn verified(len: usize) -> usize {
    (len - 1) / CHUNK * CHUNK
}

/// A port that is free now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("binds").local_addr().expect("an address").port()
}

/// A server with a spool of that name, which others reach at its own address.
fn serve(system: &System, spool: &str, port: u16) -> Server {
    let mut command = system.command(&["serve", "--listen", &format!("127.0.0.1:{port}")]);
    command.env("SEALTAPE_STORAGE__SPOOL", system.path(spool));
    command.env("SEALTAPE_SERVER__PEER_URL", format!("http://127.0.0.1:{port}"));
    Server::start(command)
}

/// The spool that a recording's row names; none when it names none, or there is no row.
fn spool_of(system: &System, id: &str) -> Option<String> {
    let row: Option<(Option<String>,)> = ask(system, "SELECT spool FROM recording WHERE id = $1", id);
    row.and_then(|(spool,)| spool)
}

/// How many rows name a spool.
fn in_spools(system: &System) -> i64 {
    let row: Option<(i64,)> = ask(system, "SELECT count(*) FROM recording WHERE spool <> $1", "");
    row.expect("a number").0
}

fn ask<T>(system: &System, query: &'static str, value: &str) -> Option<T>
where
    T: for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow> + Send + Unpin,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(system.data_dir().join("sealtape.db"));
        let mut connection = SqliteConnection::connect_with(&options).await.expect("opens");
        let row = sqlx::query_as(query).bind(value).fetch_optional(&mut connection).await.expect("asks");
        connection.close().await.expect("closes");
        row
    })
}

/// Files with media in a spool.
fn waiting(system: &System, spool: &str) -> Vec<PathBuf> {
    let folders = fs::read_dir(system.path(spool)).expect("read").map(|entry| entry.expect("an entry").path());
    folders
        .filter(|folder| folder.is_dir())
        .flat_map(|folder| fs::read_dir(folder).expect("read").map(|entry| entry.expect("an entry").path()))
        .collect()
}

fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < limit, "{what}: not within {limit:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn wait_until_known(server: &Server, media_len: usize) {
    let known = || server.get("/recordings/live").json()["media_len"].as_u64().unwrap_or(0) as usize;
    wait_until("it is known so far", PATIENCE, || known() >= media_len);
}

fn metric(server: &Server, name: &str) -> f64 {
    let scrape = String::from_utf8(server.get("/metrics").body).expect("text");
    let line = scrape.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_else(|| panic!("{name}"));
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
}

#[test]
fn a_recording_in_one_spool_plays_through_another_proxy_from_its_first_second_to_its_end() {
    let (system, media) = (System::with_key(), media(400_000));
    let (a, b) = (serve(&system, "a", free_port()), serve(&system, "b", free_port()));
    let mut upload = Upload::begin(&a.address, "live", &[]);
    upload.send(&media[..20_000]);
    wait_until_known(&b, verified(20_000));
    assert_eq!(spool_of(&system, "live"), Some(format!("http://{}", a.address)));
    assert!(system.media_files().is_empty(), "the store holds nothing that grows: {:?}", system.media_files());
    let document = b.get("/recordings/live").json();
    assert_eq!((&document["state"], &document["playable"]), (&"recording".into(), &true.into()), "{document}");

    let follower = Follower::begin(&b, MEDIA, &[]);
    assert_eq!((follower.status, follower.header("recording-state")), (200, Some("recording")));
    assert_eq!(follower.header("transfer-encoding"), Some("chunked"));
    follower.wait_for(verified(20_000));
    for fed in [60_000, 150_000, 300_000] {
        upload.send(&media[fed_before(fed)..fed]);
        follower.wait_for(verified(fed));
    }
    assert!(!follower.has_ended(), "it goes on");
    // Sought in, asked about, and asked with conditions, as if it lay here.
    let part = b.get_range(MEDIA, "bytes=100000-100099");
    assert_eq!((part.status, part.is_cut), (206, false));
    assert_eq!(part.header("content-range"), Some("bytes 100000-100099/*"));
    assert!(part.body == media[100_000..100_100]);
    assert_eq!(request(&b.address, "HEAD", MEDIA, &[], b"").status, 200);
    assert_eq!(get(&b.address, MEDIA, &[("If-Match", "\"x\"")]).status, 412);
    // What lies beside it goes to the store, wherever its media is.
    let about = br#"{"agent":"ann"}"#;
    let described = request(&b.address, "PATCH", "/recordings/live", &[("Content-Type", "application/json")], about);
    assert_eq!((described.status, &described.json()["metadata"]["agent"]), (200, &"ann".into()), "{described:?}");

    upload.send(&media[300_000..]);
    let reply = upload.finish();
    assert_eq!((reply.status, &reply.json()["catalogued"]), (201, &true.into()));
    let came = follower.into_end();
    assert!(!came.is_cut && came.bytes == media, "{} bytes, cut: {}", came.bytes.len(), came.is_cut);
    wait_until("it is in the store", PATIENCE, || spool_of(&system, "live").is_none());
    assert_eq!(waiting(&system, "a"), Vec::<PathBuf>::new());
    let forwarded = metric(&b, "sealtape_forwards_total{outcome=\"answered\"}");
    assert!(forwarded >= 5.0, "{forwarded}");
    // Each listener is on record once, where they were heard.
    a.signal("TERM");
    assert_eq!(a.wait(), Some(0));
    let events = system.json(&["audit", "show", "--recording", "live"]);
    let closed: Vec<_> = events.as_array().expect("events").iter().filter(|event| event["event"] == "closed").collect();
    assert_eq!(closed.len(), 1, "{closed:?}");
    assert_eq!(closed[0]["spans"], serde_json::json!([[0, media.len() - 1]]), "{closed:?}");
    // Without the proxy that wrote it.
    let whole = b.get(MEDIA);
    assert_eq!((whole.status, whole.header("recording-state")), (200, Some("complete")));
    assert!(whole.header("etag").is_some() && whole.body == media);
    assert_eq!(b.get("/recordings/live").json()["metadata"]["agent"], "ann");
    let report = system.json(&["verify", "--all"]);
    assert_eq!(report["faults"], serde_json::json!([]), "{report}");
}

/// How far it was fed before that.
fn fed_before(fed: usize) -> usize {
    [20_000, 60_000, 150_000].into_iter().rev().find(|before| *before < fed).expect("it begins with less")
}

#[test]
fn a_proxy_that_dies_takes_nothing_with_it_and_others_say_what_is_so() {
    let (system, media) = (System::with_key(), media(200_000));
    let port = free_port();
    let (a, b) = (serve(&system, "a", port), serve(&system, "b", free_port()));
    let mut upload = Upload::begin(&a.address, "live", &[]);
    upload.send(&media);
    wait_until_known(&b, verified(media.len()));
    let follower = Follower::begin(&b, MEDIA, &[]);
    follower.wait_for(verified(media.len()));
    a.signal("KILL");
    assert_eq!(a.wait(), None);
    let came = follower.into_end();
    assert!(came.is_cut && media.starts_with(&came.bytes), "a short body never ends in order");
    let is_told = |b: &Server| {
        let begun = Instant::now();
        let reply = b.get(MEDIA);
        assert_eq!((reply.status, reply.problem().as_str()), (503, "storage-unavailable"));
        assert_eq!(reply.header("retry-after"), Some("5"));
        let document = b.get("/recordings/live").json();
        assert_eq!(
            (&document["playable"], &document["problem"]["code"]),
            (&false.into(), &"storage-unavailable".into())
        );
        let purged = request(&b.address, "DELETE", "/recordings/live", &[], b"");
        assert_eq!((purged.status, purged.problem().as_str()), (503, "storage-unavailable"));
        assert!(begun.elapsed() < 5 * Duration::from_secs(1), "{:?}", begun.elapsed());
    };
    is_told(&b);
    // Whatever the row says.
    end_leases(&system);
    is_told(&b);
    let report = system.json(&["verify", "live"]);
    assert_eq!(report["faults"], serde_json::json!([]), "{report}");
    assert_eq!(report["notes"][0]["kind"], "in-spool", "{report}");

    let a = serve(&system, "a", port);
    wait_until("what there is of it is in the store", PATIENCE, || spool_of(&system, "live").is_none());
    assert_eq!(waiting(&system, "a"), Vec::<PathBuf>::new());
    drop(a);
    let reply = b.get(MEDIA);
    assert_eq!((reply.status, reply.is_cut, reply.header("recording-state")), (200, false, Some("unfinished")));
    assert!(reply.body == media[..verified(media.len())], "{} bytes", reply.body.len());
}

#[test]
fn while_the_store_is_away_recordings_are_taken_in_and_play_and_they_follow_when_it_is_back() {
    let (system, media) = (System::with_key(), media(100_000));
    let (a, b) = (serve(&system, "a", free_port()), serve(&system, "b", free_port()));
    let (store, away) = (system.data_dir().join("media"), system.data_dir().join("away"));
    fs::rename(&store, &away).expect("moved");
    let begun = Instant::now();
    let reply = put(&a.address, "live", &[], &media);
    assert_eq!((reply.status, &reply.json()["catalogued"]), (201, &true.into()));
    assert!(begun.elapsed() < Duration::from_secs(5), "acknowledged by the spool alone: {:?}", begun.elapsed());
    for server in [&a, &b] {
        let reply = server.get(MEDIA);
        assert!(reply.status == 200 && reply.body == media && reply.header("etag").is_some(), "{reply:?}");
    }
    assert_eq!(spool_of(&system, "live"), Some(format!("http://{}", a.address)));
    let described = request(
        &a.address,
        "PATCH",
        "/recordings/live",
        &[("Content-Type", "application/json")],
        br#"{"agent":"ann"}"#,
    );
    assert_eq!((described.status, described.problem().as_str()), (503, "storage-unavailable"));
    // It shows.
    assert_eq!(a.get("/readyz").json()["degraded"], serde_json::json!([]));
    wait_until("it shows", Duration::from_secs(60), || {
        a.get("/readyz").json()["degraded"] == serde_json::json!(["spool-waiting"])
    });
    assert_eq!(metric(&a, "sealtape_spool_recordings"), 1.0);
    assert!(metric(&a, "sealtape_spool_bytes") > media.len() as f64);
    assert!(metric(&a, "sealtape_spool_oldest_seconds") >= 29.0);
    assert!(metric(&a, "sealtape_spool_uploads_total{outcome=\"failed\"}") >= 3.0);
    fs::rename(&away, &store).expect("moved back");
    wait_until("it is in the store", Duration::from_secs(60), || spool_of(&system, "live").is_none());
    wait_until("it shows no more", PATIENCE, || a.get("/readyz").json()["degraded"] == serde_json::json!([]));
    assert_eq!(waiting(&system, "a"), Vec::<PathBuf>::new());
    drop(a);
    let reply = b.get(MEDIA);
    assert!(reply.status == 200 && reply.body == media, "{reply:?}");
}

#[test]
fn a_purge_reaches_what_waits_elsewhere_and_nothing_comes_back() {
    let (system, media) = (System::with_key(), media(100_000));
    let port = free_port();
    let (a, b) = (serve(&system, "a", port), serve(&system, "b", free_port()));
    let mut upload = Upload::begin(&a.address, "live", &[]);
    upload.send(&media);
    wait_until_known(&b, verified(media.len()));
    let refused = request(&b.address, "DELETE", "/recordings/live", &[], b"");
    assert_eq!((refused.status, refused.problem().as_str()), (409, "recording-in-progress"), "by that proxy");
    drop(upload);
    wait_until("it broke off, and is in the store", PATIENCE, || {
        a.get("/recordings/live").json()["state"] == "unfinished" && spool_of(&system, "live").is_none()
    });
    assert_eq!(request(&b.address, "DELETE", "/recordings/live", &[], b"").status, 204);
    assert!(system.media_files().is_empty(), "{:?}", system.media_files());
    assert_eq!(put(&a.address, "other", &[], &media).status, 201);
    wait_until("it is in the store", PATIENCE, || spool_of(&system, "other").is_none());
    assert_eq!(request(&a.address, "DELETE", "/recordings/other", &[], b"").status, 204);
    drop(a);
    let a = serve(&system, "a", port);
    thread::sleep(Duration::from_secs(3));
    for server in [&a, &b] {
        for id in ["live", "other"] {
            assert_eq!(server.get(&format!("/recordings/{id}/media")).status, 404, "{id}");
        }
    }
}

#[test]
fn settings_that_cannot_be_are_told_and_what_is_missing_is_warned_of() {
    let system = System::with_key();
    let run = |name: &str, value: &str, arguments: &[&str]| {
        let mut command = system.command(arguments);
        command.env(name, value).output().expect("runs")
    };
    let within = system.data_dir().join("media/spool");
    let refused = run("SEALTAPE_STORAGE__SPOOL", within.to_str().expect("UTF-8"), &["recordings", "list"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && said.contains("storage.spool"), "{said}");
    let refused = run("SEALTAPE_SERVER__PEER_URL", "10.0.0.1:8080", &["recordings", "list"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("server.peer_url"), "{said}");
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("SEALTAPE_STORAGE__SPOOL", system.path("spool"));
    let server = Server::start(command);
    assert!(server.wait_until(PATIENCE, |server| server.log().contains("server.peer_url")), "{}", server.log());
    // Imports go through it, too, and are in the store when the command ends.
    let file = system.file("call.bin", &media(50_000));
    let imported = run(
        "SEALTAPE_STORAGE__SPOOL",
        system.path("spool").to_str().expect("UTF-8"),
        &["import", file.to_str().expect("UTF-8")],
    );
    assert!(imported.status.success() && imported.stderr.is_empty(), "{}", String::from_utf8_lossy(&imported.stderr));
    assert_eq!((spool_of(&system, "call"), system.media_files().len()), (None, 1));
    assert_eq!(server.get("/recordings/call/media").body, media(50_000));
}
