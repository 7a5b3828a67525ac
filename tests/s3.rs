//! The whole program over an object store, and what becomes of players and imports when that fails.

use std::{
    fs,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::support::{Fault, FaultyWay, Garage, PASSPHRASE, Reply, Server, System, media, text};

/// What players are told while the store fails them.
const EXCUSES: [&str; 2] = ["storage-unavailable", "recording-corrupt"];

#[test]
fn recordings_live_in_a_bucket() {
    let garage = Garage::shared();
    let system = System::on_s3(&garage, &garage.node(0), &garage.bucket("lives"));
    system.ok(&["keys", "generate"]);
    let (long, short) = (media(20_000_000), media(70_000));
    system.import("long", &long);
    let source = system.file("short.wav", &short);
    let meta = system.file("short.json", br#"{"agent":"anna","tags":["training"]}"#);
    let sidecar = system.file("transcript.txt", b"hello");
    let path = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    system.ok(&["import", &path(&source), "--meta", &path(&meta), "--sidecar", &path(&sidecar)]);
    let stored = |id: &str| system.json(&["recordings", "show", id])["location"].as_str().expect("text").to_owned();
    let before = stored("long");
    assert!(before.starts_with("s3://lives/media/long/") && before.ends_with(".sealed"), "{before}");
    assert!(!system.data_dir().join("media").exists(), "nothing of it lies here");
    assert!(system.fails(1, &["import", &path(&source)]).contains("exists"));

    let server = system.serve();
    plays_as_ever(&server, "long", &long);
    plays_as_ever(&server, "short", &short);
    let described = server.get("/recordings/short").json();
    assert_eq!(
        (&described["metadata"]["agent"], &described["sidecars"][0]),
        (&"anna".into(), &"transcript.txt".into())
    );
    assert_eq!(server.get("/recordings/short/sidecars/transcript.txt").body, b"hello");
    assert_eq!(server.get("/recordings").json()["recordings"].as_array().map(Vec::len), Some(2));

    let etag = server.get_range("/recordings/long/media", "bytes=0-0").header("etag").map(str::to_owned);
    system.ok(&["keys", "generate"]);
    assert_eq!(system.json(&["rewrap", "--all"])["done"], 2);
    assert_eq!(stored("long"), before, "under the same name");
    plays_as_ever(&server, "long", &long);
    assert_eq!(server.get_range("/recordings/long/media", "bytes=0-0").header("etag").map(str::to_owned), etag);
    assert_eq!(system.json(&["reseal", "long"])["done"], 1);
    assert_ne!(stored("long"), before, "another sealing has another name");
    assert!(server.wait_until(Duration::from_secs(10), |server| server.get("/recordings/long/media").body == long));
    assert_eq!(findings(&system), Vec::<String>::new(), "and the old one is gone");

    system.ok(&["recordings", "delete", "short"]);
    assert_eq!(server.get("/recordings/short/media").status, 404);
    assert_eq!(findings(&system), Vec::<String>::new());
    drop(server);
    loses_its_catalogue(&system, &long);
}

/// Keys come from their export, and recordings from the bucket.
fn loses_its_catalogue(system: &System, long: &[u8]) {
    let export = system.path("keys.age");
    let export = export.to_str().expect("UTF-8");
    let with_passphrase = |arguments: &[&str]| {
        let output = system.command(arguments).env("SEALTAPE_PASSPHRASE", PASSPHRASE).output().expect("runs");
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    };
    with_passphrase(&["keys", "export", "--out", export]);
    for end in ["", "-wal", "-shm"] {
        let _may_be_there = fs::remove_file(system.data_dir().join(format!("sealtape.db{end}")));
    }
    let error = system.fails(1, &["recordings", "list"]);
    assert!(error.contains("sealtape.db"), "no database is made beside a bucket that holds something: {error}");
    with_passphrase(&["keys", "import", export]);
    assert_eq!(system.json(&["recordings", "rebuild"])["catalogued"], serde_json::json!(["long"]));
    assert!(system.run(&["cat", "long"]).stdout == long);
}

#[test]
fn plain_recordings_are_sealed_in_a_bucket() {
    let garage = Garage::shared();
    let system = System::on_s3(&garage, &garage.node(0), &garage.bucket("seals"));
    let (long, short) = (media(20_000_000), media(70_000));
    system.import("long", &long);
    system.import("short", &short);
    let server = system.serve();
    plays_as_ever(&server, "long", &long);
    plays_as_ever(&server, "short", &short);
    system.ok(&["keys", "generate"]);
    assert_eq!(system.json(&["encrypt", "--all"])["done"], 2);
    for (id, media) in [("long", &long), ("short", &short)] {
        let path = format!("/recordings/{id}/media");
        assert!(server.wait_until(Duration::from_secs(10), |server| server.get(&path).body == *media), "{id}");
        assert_eq!(server.get(&format!("/recordings/{id}")).json()["sealed"], true);
    }
    assert_eq!(findings(&system), Vec::<String>::new(), "nothing plain is left");
}

#[test]
fn what_is_missing_is_said() {
    let garage = Garage::shared();
    let system = System::on_s3(&garage, &garage.node(0), &garage.bucket("asks"));
    let shown = system.json(&["config", "check"]);
    assert_eq!(shown["storage"]["url"], "s3://asks/media");
    let secret = garage.variable("AWS_SECRET_ACCESS_KEY").expect("set");
    assert!(!shown.to_string().contains(&secret));
    for command in [&["config", "check"][..], &["recordings", "list"]] {
        let output = system.command(command).env_remove("AWS_SECRET_ACCESS_KEY").output().expect("runs");
        let error = text(&output.stderr);
        assert!(!output.status.success() && error.contains("AWS_SECRET_ACCESS_KEY"), "{error}");
    }
    let plain_http =
        system.command(&["config", "check"]).env("SEALTAPE_STORAGE__S3__ENDPOINT", "http://s3.lan").output();
    assert!(text(&plain_http.expect("runs").stderr).contains("allow_http"));
}

/// Replicated three times, the store goes on without one of its machines, and so do players and imports.
#[test]
fn a_node_of_the_store_dies_and_comes_back() {
    let garage = Garage::start();
    let system = System::on_s3(&garage, &garage.node(0), &garage.bucket("survives"));
    system.ok(&["keys", "generate"]);
    let bytes = media(8_000_000);
    system.import("played", &bytes);
    let server = system.serve();
    let (is_over, played) = (AtomicBool::new(false), AtomicUsize::new(0));
    let troubles: Mutex<Vec<String>> = Mutex::default();
    thread::scope(|scope| {
        for player in 0..4_usize {
            let (server, bytes, is_over, played, troubles) = (&server, &bytes, &is_over, &played, &troubles);
            scope.spawn(move || {
                let mut start = player * 1_234_567;
                while !is_over.load(Ordering::Relaxed) {
                    start = (start + 777_777) % (bytes.len() - 300_000);
                    let range = format!("bytes={start}-{}", start + 299_999);
                    let reply = server.get_range("/recordings/played/media", &range);
                    match judge(&reply, &bytes[start..start + 300_000]) {
                        None => played.fetch_add(1, Ordering::Relaxed),
                        Some(excuse) => {
                            troubles.lock().expect("whole").push(excuse);
                            0
                        }
                    };
                }
            });
        }
        let played_on = |more: usize| {
            let (before, begun) = (played.load(Ordering::Relaxed), Instant::now());
            while played.load(Ordering::Relaxed) < before + more && begun.elapsed() < Duration::from_secs(60) {
                thread::sleep(Duration::from_millis(50));
            }
            played.load(Ordering::Relaxed) >= before + more
        };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            assert!(played_on(20), "before");
            garage.kill(2);
            assert!(played_on(20), "without it");
            system.import("meanwhile", &bytes);
            garage.restart(2);
            assert!(played_on(20), "with it");
        }));
        is_over.store(true, Ordering::Relaxed);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
    garage.wait_until_healthy();
    assert!(server.get("/recordings/meanwhile/media").body == bytes, "what was imported meanwhile is there");
    println!("{} ranges were played, {:?} were not", played.load(Ordering::Relaxed), troubles.lock().expect("whole"));
    assert_eq!(findings(&system), Vec::<String>::new());
}

/// Whatever the way to the store does to what it carries, nothing wrong is served, and it passes by itself.
#[test]
fn a_bad_way_to_the_store() {
    let garage = Garage::shared();
    let way = FaultyWay::to(&garage.node(0));
    let system = System::on_s3(&garage, &way.address, &garage.bucket("faulty"));
    system.ok(&["keys", "generate"]);
    let bytes = media(3_000_000);
    for id in ["known", "unknown"] {
        system.import(id, &bytes);
    }
    let server = system.serve();
    let play = |id: &str| judge(&server.get(&format!("/recordings/{id}/media")), &bytes);
    assert_eq!(play("known"), None);
    // What can be mended by asking again is.
    for fault in [Fault::Flaky, Fault::Delay(Duration::from_secs(1))] {
        way.set(fault);
        assert_eq!(play("known"), None, "{fault:?}");
    }
    for fault in [Fault::Status(500), Fault::Status(503), Fault::Cut, Fault::Short, Fault::Flip] {
        way.set(fault);
        let (answers, begun) = (way.answers(), Instant::now());
        for id in ["known", "unknown"] {
            let excuse = play(id);
            // A body that is cut is asked for from there, so that ever more of it comes.
            assert!(
                excuse.is_some() || matches!(fault, Fault::Cut | Fault::Short),
                "{fault:?}: {id} plays all the same"
            );
        }
        assert!(way.answers() > answers, "{fault:?}: the store was not asked");
        // Half a minute, most of it between one question and the next, and longer where all processors are busy.
        assert!(begun.elapsed() < Duration::from_secs(120), "{fault:?}: players wait for ever");
        way.set(Fault::None);
        assert_eq!(play("known"), None, "after {fault:?}");
        assert_eq!(play("unknown"), None, "after {fault:?}");
    }
    way.set(Fault::Delay(Duration::from_secs(30)));
    let begun = Instant::now();
    assert!(play("known").is_some());
    assert!(begun.elapsed() < Duration::from_secs(25), "nobody waits for ever: {:?}", begun.elapsed());
}

/// None when it is the media; else what players are told instead, who were given nothing that is not the media.
fn judge(reply: &Reply, media: &[u8]) -> Option<String> {
    if reply.status == 200 || reply.status == 206 {
        assert!(media.starts_with(&reply.body), "{} bytes that are not the media", reply.body.len());
        assert_eq!(reply.is_cut, reply.body.len() < media.len(), "short, and cut");
        return reply.is_cut.then(|| "cut".into());
    }
    let code = reply.problem();
    assert!(EXCUSES.contains(&code.as_str()), "{code}");
    Some(code)
}

/// All of it, pieces of it, and what HEAD says.
fn plays_as_ever(server: &Server, id: &str, media: &[u8]) {
    let path = format!("/recordings/{id}/media");
    let all = server.get(&path);
    assert!(all.status == 200 && all.body == media, "{id}: {} bytes, status {}", all.body.len(), all.status);
    let last = media.len() - 1;
    for (start, end) in [(0, 0), (last, last), (1, 40_000), (last - 50_000, last), (last / 2, last)] {
        let reply = server.get_range(&path, &format!("bytes={start}-{end}"));
        assert_eq!(reply.status, 206, "{id}: {start}-{end}");
        assert!(reply.body == media[start..=end], "{id}: {start}-{end}");
    }
    let head = crate::support::request(&server.address, "HEAD", &path, &[], b"");
    assert_eq!(head.header("content-length"), Some(media.len().to_string().as_str()));
}

/// What `verify --all` finds.
fn findings(system: &System) -> Vec<String> {
    let output = system.run(&["verify", "--all", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let of = |name: &str| report[name].as_array().cloned().unwrap_or_else(|| panic!("{report}"));
    [of("faults"), of("notes")].concat().iter().map(ToString::to_string).collect()
}
