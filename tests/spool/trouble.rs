//! What goes wrong around a spool: no room in it, two recordings of one ID, one that is mended there. All that was
//! acknowledged plays, and nothing stays behind unseen.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{PATIENCE, free_port, metric, serve, spool_of, verified, wait_until, wait_until_known, waiting};
use crate::put::{away::Away, full::Small, killed::end_leases};
use crate::support::{Garage, Server, System, Upload, files_below, media, put, text};

const MIB: usize = 1 << 20;

#[test]
fn a_full_spool_says_so_and_what_it_took_plays_and_is_uploaded_when_there_is_room() {
    let (system, media) = (System::with_key(), media(MIB));
    let small = Small::mount(system.path("small"), 6 * MIB);
    let spool = small.path().join("spool");
    let port = free_port();
    let mut command = system.command(&["serve", "--listen", &format!("127.0.0.1:{port}")]);
    command.env("SEALTAPE_STORAGE__SPOOL", &spool);
    command.env("SEALTAPE_SERVER__PEER_URL", format!("http://127.0.0.1:{port}"));
    let server = Server::start(command);
    let (store, away) = (system.data_dir().join("media"), system.data_dir().join("away"));
    fs::rename(&store, &away).expect("moved");
    let (mut acknowledged, mut refused) = (Vec::new(), Vec::new());
    for number in 0..9 {
        let (id, len) = (format!("call-{number}"), MIB - number);
        let reply = put(&server.address, &id, &[], &media[..len]);
        match reply.status {
            201 => acknowledged.push((id, len)),
            _ => {
                assert_eq!((reply.status, reply.problem().as_str()), (507, "storage-full"), "{id}");
                refused.push((id, len));
            }
        }
    }
    assert!(acknowledged.len() >= 4 && refused.len() >= 3, "{acknowledged:?} {refused:?}");
    let all_play = || {
        for (id, len) in &acknowledged {
            assert!(server.get(&format!("/recordings/{id}/media")).body == media[..*len], "{id}");
        }
        for (id, len) in &refused {
            let reply = server.get(&format!("/recordings/{id}/media"));
            let is_beginning = reply.status == 200 && media[..*len].starts_with(&reply.body);
            assert!(is_beginning || reply.status == 404 || reply.status == 503, "{id}: {}", reply.status);
        }
    };
    all_play();
    fs::rename(&away, &store).expect("moved back");
    wait_until("the spool is empty", 2 * PATIENCE, || {
        files_below(&spool).iter().all(|file| fs::metadata(file).is_ok_and(|file| file.len() < 512))
    });
    all_play();
    for (id, _) in &acknowledged {
        assert_eq!(spool_of(&system, id), None, "{id}");
    }
    // What was played stays open for a minute, and takes room for so long.
    let mut tried = 0;
    wait_until("there is room", 4 * PATIENCE, || {
        tried += 1;
        thread::sleep(Duration::from_secs(1));
        put(&server.address, &format!("after-{tried}"), &[], &media).status == 201
    });
    let after = server.get(&format!("/recordings/after-{tried}/media"));
    assert!(after.status == 200 && after.body == media);
}

#[test]
fn how_long_something_waits_is_told_when_it_is_asked_for() {
    let (system, media) = (System::with_key(), media(50_000));
    let server = serve(&system, "a", free_port());
    fs::rename(system.data_dir().join("media"), system.data_dir().join("away")).expect("moved");
    assert_eq!(put(&server.address, "live", &[], &media).status, 201);
    let age = || metric(&server, "sealtape_spool_oldest_seconds");
    let (first, begun) = (age(), Instant::now());
    for _ in 0..5 {
        thread::sleep(Duration::from_millis(700));
        let (waited, told) = (begun.elapsed().as_secs_f64(), age() - first);
        assert!((told - waited).abs() < 0.3, "{told} after {waited}");
    }
}

/// Two proxies that took one ID while the database was away, and what both have of it by then.
fn two_of_one(system: &System) -> (Server, Server, [Vec<u8>; 2]) {
    let both = [media(40_000), media(70_000)[30_000..].to_vec()];
    let (a, b) = (serve(system, "a", free_port()), serve(system, "b", free_port()));
    let away = Away::new(system);
    for (server, media) in [(&a, &both[0]), (&b, &both[1])] {
        let reply = put(&server.address, "call", &[], media);
        assert_eq!((reply.status, &reply.json()["catalogued"]), (201, &false.into()), "{reply:?}");
        assert!(server.get("/recordings/call/media").body == *media, "it plays where it is");
    }
    drop(away);
    (a, b, both)
}

/// Waits until both play the same, as the catalogue has it; neither is ever told that it is damaged. Which of them.
fn agreed(a: &Server, b: &Server, both: &[Vec<u8>; 2]) -> usize {
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < 2 * PATIENCE, "{}\n{}", a.log(), b.log());
        let replies = [a, b].map(|server| server.get("/recordings/call/media"));
        for reply in &replies {
            assert!([200, 404, 503].contains(&reply.status), "{}", text(&reply.body));
        }
        let which = replies.map(|reply| both.iter().position(|media| *media == reply.body));
        let is_left = a.log().contains("another recording of this ID is in")
            || b.log().contains("another recording of this ID is in");
        if let ([Some(one), Some(other)], true) = (which, is_left)
            && one == other
        {
            return one;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn two_proxies_that_took_one_id_without_the_database_play_the_same_and_both_are_kept() {
    let system = System::with_key();
    let (a, b, both) = two_of_one(&system);
    let which = agreed(&a, &b, &both);
    for spool in ["a", "b"] {
        wait_until("nothing waits", PATIENCE, || waiting(&system, spool).is_empty());
    }
    let report = system.json(&["verify", "--all"]);
    assert_eq!(report["faults"], serde_json::json!([]), "{report}");
    let [note] = &report["notes"].as_array().expect("notes")[..] else { panic!("{report}") };
    assert_eq!(note["kind"], "kept-evidence", "{report}");
    assert_eq!(system.media_files().len(), 2, "{:?}", system.media_files());
    drop((a, b));
    assert!(system.run(&["cat", "call"]).stdout == both[which]);
}

#[test]
fn in_a_bucket_both_lie_side_by_side_and_verify_names_them() {
    let garage = Garage::shared();
    let system = System::on_s3(&garage, &garage.node(0), &garage.bucket("twice"));
    system.ok(&["keys", "generate"]);
    let (a, b, both) = two_of_one(&system);
    agreed(&a, &b, &both);
    let output = system.run(&["verify", "call", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(output.status.code(), Some(3), "{report}");
    let [fault] = &report["faults"].as_array().expect("faults")[..] else { panic!("{report}") };
    assert_eq!((&fault["kind"], &fault["id"]), (&"two-files".into(), &"call".into()), "{report}");
    let locations: Vec<&str> =
        fault["locations"].as_array().expect("both").iter().map(|one| one.as_str().expect("a URL")).collect();
    assert!(locations.len() == 2 && locations.iter().all(|one| one.starts_with("s3://twice/media/call/")), "{report}");
    assert_ne!(locations[0], locations[1]);
    // Nothing of either is left after a purge.
    system.ok(&["recordings", "delete", "call"]);
    let report = system.json(&["verify", "--all"]);
    assert_eq!((&report["faults"], &report["notes"]), (&serde_json::json!([]), &serde_json::json!([])), "{report}");
}

fn is_evidence(path: &Path) -> bool {
    path.to_string_lossy().contains(".damaged-")
}

#[test]
fn what_is_kept_of_one_that_is_mended_in_the_spool_is_in_the_store() {
    let (system, media) = (System::with_key(), media(200_000));
    let port = free_port();
    let server = serve(&system, "a", port);
    let mut upload = Upload::begin(&server.address, "live", &[]);
    upload.send(&media);
    wait_until_known(&server, verified(media.len()));
    server.signal("KILL");
    server.wait();
    end_leases(&system);
    let [part] = &waiting(&system, "a")[..] else { panic!("it waits") };
    let old = fs::read(part).expect("read");
    let mut repair = system.command(&["verify", "live", "--repair", "--json"]);
    repair.env("SEALTAPE_STORAGE__SPOOL", system.path("a"));
    repair.env("SEALTAPE_SERVER__PEER_URL", format!("http://127.0.0.1:{port}"));
    let output = repair.output().expect("runs");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(report["repaired"][0]["repair"], "mended", "{report}");
    assert!(!waiting(&system, "a").iter().any(|path| is_evidence(path)), "{:?}", waiting(&system, "a"));
    let evidence: Vec<PathBuf> = system.media_files().into_iter().filter(|path| is_evidence(path)).collect();
    let [evidence] = &evidence[..] else { panic!("{evidence:?}") };
    assert_eq!(report["repaired"][0]["kept"], format!("file://{}", evidence.display()));
    assert!(fs::read(evidence).expect("read") == old, "not a byte of it is another one");
    let server = serve(&system, "a", port);
    wait_until("it is in the store", PATIENCE, || spool_of(&system, "live").is_none());
    assert!(server.get("/recordings/live/media").body == media[..verified(media.len())]);
    // Whoever purges it, wherever, takes that along.
    let other = system.serve();
    assert_eq!(crate::support::request(&other.address, "DELETE", "/recordings/live", &[], b"").status, 204);
    let left: Vec<PathBuf> = system.media_files().into_iter().filter(|path| !path.ends_with(".lock")).collect();
    assert_eq!(left, Vec::<PathBuf>::new());
}
