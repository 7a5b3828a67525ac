//! Deactivating: refused while recordings need the key, forced with a list of them, and seen by running servers.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

use serde_json::json;

use super::{fingerprint, generate, key, keys, recordings};
use crate::support::{Server, System, media, text};

const WITHIN_A_SECOND: Duration = Duration::from_secs(1);

#[test]
fn it_is_refused_while_recordings_need_the_key() {
    let system = System::with_key();
    let first = fingerprint(&keys(&system)[0]);
    for id in ["a", "b", "c"] {
        system.import(id, &media(3000));
    }
    let before = (keys(&system), recordings(&system), system.json(&["encryption", "status"]));
    let error = system.fails(1, &["keys", "deactivate", &first]);
    assert!(error.contains("3 recording(s)") && error.contains(&first), "{error}");
    assert!(error.contains("rewrap") && error.contains("--force"), "what to do: {error}");
    assert_eq!((keys(&system), recordings(&system), system.json(&["encryption", "status"])), before);

    let second = generate(&system);
    system.fails(1, &["keys", "deactivate", &first]);
    system.ok(&["rewrap", "--all"]);
    let said = system.json(&["keys", "deactivate", &first]);
    assert_eq!(said, json!({ "fingerprint": first, "state": "deactivated", "changed": true, "unplayable": 0 }));
    assert_eq!(key(&system, &first)["recordings"], 0);
    assert_eq!(
        (key(&system, &first)["state"].as_str(), key(&system, &second)["recordings"].as_u64()),
        (Some("deactivated"), Some(3))
    );
    assert!(system.run(&["cat", "a"]).stdout == media(3000), "nothing needed it");
    let again = system.json(&["keys", "deactivate", &first]);
    assert_eq!((&again["changed"], &again["state"]), (&json!(false), &json!("deactivated")));
    let error = system.fails(1, &["keys", "deactivate", &second]);
    assert!(error.contains("3 recording(s)"), "{error}");
}

#[test]
fn forced_it_says_how_many_do_not_play_and_which() {
    let system = System::with_key();
    let first = fingerprint(&keys(&system)[0]);
    for id in ["kept", "lost-1", "lost-2"] {
        system.import(id, &media(3000));
    }
    let second = generate(&system);
    system.ok(&["rewrap", "kept"]);
    let forced = system.run(&["keys", "deactivate", &first[..16], "--force", "--json"]);
    assert!(forced.status.success());
    let said: serde_json::Value = serde_json::from_slice(&forced.stdout).expect("JSON");
    assert_eq!(said, json!({ "fingerprint": first, "state": "deactivated", "changed": true, "unplayable": 2 }));
    let warning = text(&forced.stderr);
    assert!(warning.contains("2 recording(s)") && warning.contains("lost-1, lost-2"), "{warning}");
    assert!(!warning.contains("kept") && !warning.contains("no key is active"), "{warning}");
    assert_eq!(key(&system, &first)["recordings"], 2, "they need it still");
    for (id, problem) in [("kept", None), ("lost-1", Some("key-deactivated")), ("lost-2", Some("key-deactivated"))] {
        let shown = system.json(&["recordings", "show", id]);
        assert_eq!(
            (shown["playable"].as_bool(), shown["problem"]["code"].as_str()),
            (Some(problem.is_none()), problem)
        );
    }
    let last = text(&system.run(&["keys", "deactivate", &second, "--force"]).stderr);
    assert!(last.contains("1 recording(s)") && last.contains("kept"), "{last}");
    assert!(last.contains("no key is active"), "and what that means: {last}");
    system.ok(&["keys", "activate", &first]);
    assert!(system.run(&["cat", "lost-1"]).stdout == media(3000));
}

#[test]
fn a_running_server_obeys_within_a_second() {
    let system = System::with_key();
    let first = fingerprint(&keys(&system)[0]);
    system.import("old", &media(3000));
    generate(&system);
    system.import("new", &media(5000));
    let server = system.serve();
    assert_eq!(server.get("/recordings/old/media").status, 200);
    let status = |server: &Server| server.get("/recordings/old/media").status;

    system.ok(&["keys", "deactivate", &first, "--force"]);
    assert!(server.wait_until(WITHIN_A_SECOND, |server| status(server) == 409), "deactivated");
    let refused = server.get("/recordings/old/media");
    assert_eq!((refused.problem().as_str(), &refused.json()["fingerprint"]), ("key-deactivated", &json!(first)));
    assert_eq!(refused.header("playback-error"), Some("key-deactivated"));
    let document = server.get("/recordings/old").json();
    assert_eq!((&document["playable"], &document["problem"]["code"]), (&json!(false), &json!("key-deactivated")));
    assert!(server.get("/recordings/new/media").body == media(5000), "under another key");

    system.ok(&["keys", "activate", &first]);
    assert!(server.wait_until(WITHIN_A_SECOND, |server| status(server) == 200), "activated again");
    assert!(server.get("/recordings/old/media").body == media(3000));
}

#[test]
fn a_stream_under_way_is_cut() {
    let system = System::with_key();
    let media = media(64 << 20);
    system.import("long", &media);
    let server = system.serve();
    let mut stream = TcpStream::connect(&server.address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    write!(stream, "GET /recordings/long/media HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut some = vec![0; 1 << 20];
    stream.read_exact(&mut some).expect("it plays");
    system.ok(&["keys", "deactivate", &fingerprint(&keys(&system)[0]), "--force"]);
    assert!(server.wait_until(WITHIN_A_SECOND, |server| server.get("/recordings/long/media").status == 409));
    let mut rest = Vec::new();
    let _reset_is_an_end = stream.read_to_end(&mut rest);
    let came = some.len() + rest.len();
    assert!(came < media.len() / 2, "{came} bytes came after all");
}

/// The count and the change are one transaction: whoever of the two is first, no recording is sealed under a key that
/// was deactivated because nothing needed it.
#[test]
fn imports_that_race_it_leave_no_recording_behind_a_deactivated_key() {
    const IMPORTS: usize = 2;
    let system = System::with_key();
    let rounds = if std::env::var_os("SEALTAPE_TESTS_FULL").is_some() { 150 } else { 30 };
    // Long enough that a change often comes while it is being sealed.
    let source = system.file("source.dat", &media(4 << 20));
    let (mut deactivated, mut needed, mut refused) = (0, 0, 0);
    for round in 0..rounds {
        let newest = generate(&system);
        let (change, imports) = thread::scope(|scope| {
            let imports: Vec<_> = (0..IMPORTS)
                .map(|number| {
                    let (system, source) = (&system, source.to_str().expect("UTF-8"));
                    scope.spawn(move || {
                        thread::sleep(Duration::from_millis((round * 7 + number as u64 * 11) % 30));
                        system.run(&["import", source, "--id", &format!("r{round}-{number}")])
                    })
                })
                .collect();
            // Other instants in each round: before all imports, among them, after the last.
            thread::sleep(Duration::from_millis((round * 13) % 70));
            let change = system.run(&["keys", "deactivate", &newest]);
            (change, imports.into_iter().map(|import| import.join().expect("runs")).collect::<Vec<_>>())
        });
        let now = key(&system, &newest);
        let mut under = 0;
        for (number, import) in imports.iter().enumerate() {
            let id = format!("r{round}-{number}");
            match import.status.code() {
                Some(0) => {
                    let shown = system.json(&["recordings", "show", &id]);
                    assert_eq!(shown["problem"], json!(null), "{id} plays: {shown}");
                    under += u64::from(shown["fingerprint"] == newest.as_str());
                }
                Some(1) => {
                    refused += 1;
                    assert!(text(&import.stderr).contains("deactivated"), "{}", text(&import.stderr));
                    system.fails(1, &["recordings", "show", &id]);
                }
                other => panic!("{other:?}: {}", text(&import.stderr)),
            }
        }
        assert_eq!(now["recordings"], under);
        if change.status.success() {
            deactivated += 1;
            assert_eq!((now["state"].as_str(), under), (Some("deactivated"), 0), "round {round}");
        } else {
            needed += 1;
            let error = text(&change.stderr);
            assert!(change.status.code() == Some(1) && error.contains("recording(s) need database key"), "{error}");
            assert!(now["state"] == "active" && under > 0, "round {round}: {now}");
        }
    }
    println!("{deactivated} times deactivated, {needed} times needed, {refused} imports refused");
    let catalogued: BTreeSet<String> = recordings(&system)
        .iter()
        .map(|recording| recording["location"].as_str().expect("a location").to_owned())
        .collect();
    let stored: BTreeSet<String> = system.objects().iter().map(ToString::to_string).collect();
    assert_eq!(stored, catalogued, "what was refused left nothing in the store");
}
