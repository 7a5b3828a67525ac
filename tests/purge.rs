//! How recordings go: on somebody's word, when their time is over, and not at all under legal hold.

use std::{fs, path::PathBuf, thread, time::Duration};

use serde_json::json;

use crate::support::{Server, Stored, System, media, request, text};

fn now_millis() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("in range")
}

fn events(system: &System, kind: &str) -> usize {
    system.ok(&["audit", "show", "--json"]).matches(&format!("\"{kind}\"")).count()
}

/// Another name of the same file, as somebody would who holds on to its blocks; an object has none.
fn hold_on_to(system: &System, stored: &Stored) -> Option<PathBuf> {
    let Stored::File(path) = stored else { return None };
    let link = system.path(&format!("held-{}", path.file_name()?.to_string_lossy()));
    fs::hard_link(path, &link).expect("linked");
    Some(link)
}

#[test]
fn a_purge_takes_the_key_then_the_file_then_the_row() {
    let system = System::with_key();
    for id in ["one", "two", "three"] {
        system.import(id, &media(50_000));
    }
    let server = system.serve();
    let headers = [("Content-Type", "application/json")];
    request(&server.address, "PATCH", "/recordings/one", &headers, br#"{"agent":"x","tags":["t"]}"#);
    let stored = system.object("one");
    let beside =
        system.objects().into_iter().find(|path| path.contains("/one~") || path.contains("/one/~")).expect("metadata");
    let held: Vec<_> = [&stored, &beside].into_iter().filter_map(|stored| hold_on_to(&system, stored)).collect();
    assert!(server.get("/recordings/one/media").body == media(50_000), "it was open");
    let reply = request(&server.address, "DELETE", "/recordings/one", &[], b"");
    assert_eq!((reply.status, reply.body.len()), (204, 0), "{}", text(&reply.body));
    for path in held {
        let bytes = fs::read(path).expect("read");
        assert_eq!(bytes[64..104], [0; 40], "the wrapped key was written over");
        assert!(bytes[104..].iter().any(|byte| *byte != 0));
    }
    assert!(!stored.exists() && !beside.exists());
    for path in ["/recordings/one", "/recordings/one/media", "/recordings/one/sidecars/x"] {
        assert_eq!(server.get(path).problem(), "recording-not-found", "{path}");
    }
    assert_eq!(server.get("/recordings?tag=t").json()["recordings"], json!([]));
    assert_eq!(request(&server.address, "DELETE", "/recordings/one", &[], b"").problem(), "recording-not-found");
    assert!(server.get("/recordings/two/media").body == media(50_000));
    let done = system.run(&["recordings", "delete", "two", "one", "--json"]);
    assert_eq!(done.status.code(), Some(3));
    let document: serde_json::Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!((&document["purged"], &document["failed"][0]["id"]), (&json!(["two"]), &json!("one")));
    let is_gone = |server: &Server| server.get("/recordings/two/media").status == 404;
    assert!(server.wait_until(Duration::from_secs(5), is_gone));
    assert_eq!(
        (events(&system, "recording.delete"), events(&system, "opened")),
        (2, 2),
        "what was heard stays on record"
    );
    system.import("one", &media(10));
    assert!(server.get("/recordings/one/media").body == media(10), "the ID is free again");
    // A file that is gone already, and one that was cut short, go too.
    system.object("one").remove();
    system.object("three").write(b"short");
    system.ok(&["recordings", "delete", "one", "three"]);
    assert_eq!(system.json(&["recordings", "list"]), json!([]));
}

#[test]
fn who_asks_while_it_goes_hears_the_recording_or_that_there_is_none() {
    let system = System::with_key();
    let (media, ids) = (media(20_000), (0..40).map(|n| format!("going-{n}")).collect::<Vec<_>>());
    for id in &ids {
        system.import(id, &media);
    }
    let server = system.serve();
    for id in &ids {
        let path = format!("/recordings/{id}/media");
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    loop {
                        let reply = server.get(&path);
                        if reply.status != 200 {
                            assert_eq!(reply.problem(), "recording-not-found", "{}", text(&reply.body));
                            break;
                        }
                        // Of one whose last bytes were on their way.
                        assert!(media.starts_with(&reply.body) && (reply.is_cut || reply.body.len() == media.len()));
                    }
                });
            }
            assert_eq!(request(&server.address, "DELETE", &format!("/recordings/{id}"), &[], b"").status, 204);
        });
    }
}

#[test]
fn legal_hold_stops_every_purge() {
    let system = System::with_key();
    system.import("case", &media(1000));
    let server = system.serve();
    system.ok(&["recordings", "hold", "case"]);
    assert!(system.ok(&["recordings", "show", "case"]).contains("legal hold  since "));
    assert!(system.fails(1, &["recordings", "delete", "case"]).contains("legal hold"));
    assert_eq!(request(&server.address, "DELETE", "/recordings/case", &[], b"").problem(), "recording-held");
    let headers = [("Content-Type", "application/json")];
    let old = br#"{"started_at":"2000-01-01T00:00:00Z"}"#;
    assert_eq!(request(&server.address, "PATCH", "/recordings/case", &headers, old).status, 200);
    let purge = |arguments: &[&str]| {
        let mut command = system.command(&[&["recordings", "purge", "--json"], arguments].concat());
        let output = command.env("SEALTAPE_RETENTION__DAYS", "30").output().expect("runs");
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON")
    };
    assert_eq!(purge(&[]), json!([]));
    assert_eq!(purge(&["--due"])["purged"], json!([]));
    assert!(server.get("/recordings/case/media").body == media(1000));
    system.ok(&["recordings", "release", "case"]);
    assert_eq!(purge(&[])[0]["id"], "case");
    assert_eq!(purge(&["--due"])["purged"], json!(["case"]));
    assert_eq!((events(&system, "recording.hold"), events(&system, "recording.release")), (1, 1));
    assert!(system.fails(1, &["recordings", "hold", "case"]).contains("no recording"));
}

#[test]
fn retention_purges_what_is_due_and_nothing_else() {
    let system = System::with_key();
    let server = system.serve();
    let headers = [("Content-Type", "application/json")];
    for (id, days_ago, tags) in [
        ("new", 1, "[]"),
        ("old", 40, "[]"),
        ("old-kept", 40, "[\"keep\"]"),
        ("training", 8, "[\"training\"]"),
        ("both", 8, "[\"training\",\"keep\"]"),
        ("training-new", 6, "[\"training\"]"),
    ] {
        system.import(id, &media(100));
        let started = sealtape::base::Timestamp::from_millis(now_millis() - days_ago * 24 * 60 * 60 * 1000);
        let started = started.expect("a time");
        let body = format!("{{\"started_at\":\"{started}\",\"tags\":{tags}}}");
        assert_eq!(
            request(&server.address, "PATCH", &format!("/recordings/{id}"), &headers, body.as_bytes()).status,
            200
        );
    }
    assert!(system.fails(1, &["recordings", "purge", "--due"]).contains("for how long"));
    let purge = |arguments: &[&str]| {
        let mut command = system.command(&[&["recordings", "purge"], arguments].concat());
        command.env("SEALTAPE_RETENTION__DAYS", "30").env("SEALTAPE_RETENTION__BY_TAG", "training=7,keep=3650");
        let output = command.output().expect("runs");
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let due: serde_json::Value = serde_json::from_str(&purge(&["--json"])).expect("JSON");
    let ids: Vec<_> = due.as_array().expect("a list").iter().map(|one| one["id"].as_str().expect("an ID")).collect();
    assert_eq!(ids, ["training", "old"], "newest first");
    assert!(purge(&[]).contains("training"), "for people");
    assert_eq!(system.json(&["recordings", "list"]).as_array().map(Vec::len), Some(6), "nothing has gone");
    assert!(purge(&["--due"]).contains("2 recording(s) purged"));
    assert_eq!(system.json(&["recordings", "list"]).as_array().map(Vec::len), Some(4));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&purge(&["--json"])).expect("JSON"), json!([]));
}

#[test]
fn what_no_row_names_beside_a_recording_goes_with_it() {
    let system = System::with_key();
    system.import("one", &media(100));
    system.import("one-more", &media(100));
    let server = system.serve();
    let patch = |id: &str, agent: &str| {
        let (body, headers) = (json!({ "agent": agent }).to_string(), [("Content-Type", "application/json")]);
        request(&server.address, "PATCH", &format!("/recordings/{id}"), &headers, body.as_bytes()).status
    };
    let beside = |id: &str| {
        let files = system.objects().into_iter();
        files
            .filter(|path| [format!("/{id}~"), format!("/{id}/~")].iter().any(|name| path.contains(name)))
            .collect::<Vec<_>>()
    };
    assert_eq!((patch("one", "x"), patch("one-more", "x")), (200, 200));
    let [old] = &beside("one")[..] else { panic!("{:?}", system.objects()) };
    let bytes = old.read();
    assert_eq!(patch("one", "y"), 200);
    // As whoever was killed before it took the old one away leaves it.
    old.write(&bytes);
    let held = hold_on_to(&system, old);
    assert_eq!(beside("one").len(), 2);
    system.ok(&["recordings", "delete", "one"]);
    assert_eq!(beside("one"), []);
    if let Some(path) = held {
        assert_eq!(fs::read(path).expect("read")[64..104], [0; 40], "its key was written over");
    }
    assert_eq!(beside("one-more").len(), 1);
}

#[test]
fn what_was_kept_of_a_damaged_recording_goes_with_it() {
    let system = System::with_key();
    system.import("one", &media(100_000));
    system.import("other", &media(100));
    let stored = system.object("one");
    stored.flip(90_000);
    system.ok(&["verify", "one", "--repair", "--force"]);
    let kept = |system: &System| {
        let files = system.objects().into_iter();
        files.filter(|path| path.contains(".damaged-")).collect::<Vec<_>>()
    };
    let [evidence] = &kept(&system)[..] else { panic!("{:?}", system.objects()) };
    let held = hold_on_to(&system, evidence);
    system.ok(&["recordings", "delete", "one"]);
    assert_eq!(kept(&system), []);
    if let Some(path) = held {
        assert_eq!(fs::read(path).expect("read")[64..104], [0; 40], "its key was written over");
    }
    assert!(system.object("other").exists());
}
