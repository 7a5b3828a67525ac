//! What is known about recordings, what lies beside them, and how they are found.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::support::{Reply, Server, Stored, System, media, request, text};

const CALL: &str = "/recordings/call-1";

fn call() -> Value {
    json!({
        "started_at": "2026-11-27T10:00:00+01:00", "duration_s": 92.5, "direction": "inbound",
        "parties": ["+49 30 1234567", "Zoë Marker"], "agent": "agent-marker-7", "group": "group-marker-42",
        "tags": ["complaint", "to-marker-check"],
    })
}

fn patch(server: &Server, path: &str, body: &Value) -> Reply {
    let body = serde_json::to_vec(body).expect("JSON");
    request(&server.address, "PATCH", path, &[("Content-Type", "application/json")], &body)
}

fn listed(server: &Server, query: &str) -> Vec<String> {
    let reply = server.get(&format!("/recordings?{query}"));
    assert_eq!(reply.status, 200, "{query}: {}", text(&reply.body));
    ids(&reply.json())
}

fn ids(page: &Value) -> Vec<String> {
    let recordings = page["recordings"].as_array().expect("a list");
    recordings.iter().map(|recording| recording["id"].as_str().expect("an ID").to_owned()).collect()
}

/// What lies beside recordings: a sidecar by its name, and metadata.
fn beside(system: &System, name: Option<&str>) -> Stored {
    let sidecars = ["notes.xml~", "transcript.json~"];
    let mut files = system.objects().into_iter().filter(|file| file.contains("~"));
    let found = match name {
        Some(name) => files.find(|file| file.contains(&format!("{name}~"))),
        None => files.find(|file| !sidecars.iter().any(|name| file.contains(name))),
    };
    found.expect("its file")
}

/// What is stored and holds these bytes.
fn stored_with(system: &System, marker: &[u8]) -> Vec<String> {
    let holds = |file: &Stored| file.read().windows(marker.len()).any(|window| window == marker);
    system.objects().iter().filter(|file| holds(file)).map(ToString::to_string).collect()
}

/// Files below a folder that hold these bytes.
fn holding(folder: &Path, marker: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("read") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            found.extend(holding(&path, marker));
        } else if fs::read(&path).expect("read").windows(marker.len()).any(|window| window == marker) {
            found.push(path.file_name().expect("a name").to_string_lossy().into_owned());
        }
    }
    found
}

#[test]
fn what_is_known_is_replaced_whole_and_sealed() {
    let system = System::with_key();
    system.import("call-1", &media(5000));
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("SEALTAPE_ENCRYPTION__INDEX", "direction");
    let server = Server::start(command);
    assert_eq!(server.get(CALL).json()["metadata"], json!({}));
    let reply = patch(&server, CALL, &call());
    assert_eq!((reply.status, &reply.json()["metadata"]), (200, &call()), "{}", text(&reply.body));
    assert_eq!(server.get(CALL).json()["metadata"], call());
    assert_eq!(server.get(CALL).json()["playable"], true);
    let page = server.get("/recordings").json();
    assert_eq!(page["recordings"][0]["metadata"], json!({ "direction": "inbound" }), "no file is opened");
    assert_eq!(holding(&system.data_dir(), b"marker"), [""; 0], "nothing of the rest lies anywhere in clear");
    assert_eq!(stored_with(&system, b"marker"), [""; 0], "nor where recordings are");
    let reply = patch(&server, CALL, &json!({ "agent": "b" }));
    assert_eq!(reply.json()["metadata"], json!({ "agent": "b" }), "what is left out is not known any more");
    assert_eq!(system.objects().iter().filter(|path| path.contains("~")).count(), 1);
    assert_eq!(patch(&server, CALL, &json!({})).json()["metadata"], json!({}));
    assert!(server.get(&format!("{CALL}/media")).body == media(5000));
    let events = system.ok(&["audit", "show", "--json"]);
    assert_eq!(events.matches("\"recording.describe\"").count(), 3);
    assert_eq!(system.json(&["recordings", "show", "call-1"])["metadata"], json!({}));
}

#[test]
fn what_makes_no_sense_changes_nothing() {
    let system = System::with_key();
    system.import("call-1", &media(100));
    let server = system.serve();
    patch(&server, CALL, &call());
    for (body, told) in [
        ("[]", "JSON object"),
        ("{", "JSON object"),
        ("\"x\"", "JSON object"),
        (r#"["2026-11-27T10:00:00Z",1,"in",[],"a","g",[]]"#, "JSON object"),
        (r#"{"colour":"red"}"#, "started_at"),
        (r#"{"started_at":"today"}"#, "started_at"),
        (r#"{"duration_s":"9"}"#, "duration_s"),
        (r#"{"duration_s":-1}"#, "duration_s"),
        (r#"{"tags":"one"}"#, "tags"),
        (r#"{"tags":[""]}"#, "tags"),
        (r#"{"parties":[{"name":"x"}]}"#, "parties"),
        (r#"{"agent":"a\nb"}"#, "agent"),
    ] {
        let headers = [("Content-Type", "application/json")];
        let reply = request(&server.address, "PATCH", CALL, &headers, body.as_bytes());
        assert_eq!(reply.problem(), "bad-request", "{body}");
        assert!(reply.json()["detail"].as_str().expect("text").contains(told), "{body}: {}", text(&reply.body));
    }
    let long = format!("{{\"agent\":\"{}\"}}", "x".repeat(257));
    let huge = format!("{{\"agent\":\"{}\"}}", "x".repeat(70_000));
    for body in [long, huge] {
        let headers = [("Content-Type", "application/json")];
        assert_eq!(request(&server.address, "PATCH", CALL, &headers, body.as_bytes()).problem(), "bad-request");
    }
    let reply = request(&server.address, "PATCH", CALL, &[("Content-Type", "text/plain")], b"{}");
    assert_eq!(reply.problem(), "unsupported-media-type");
    assert_eq!(patch(&server, "/recordings/other", &call()).problem(), "recording-not-found");
    let elsewhere = [("Content-Type", "application/json"), ("Origin", "https://evil.example")];
    assert_eq!(request(&server.address, "PATCH", CALL, &elsewhere, b"{}").problem(), "forbidden");
    assert_eq!(request(&server.address, "DELETE", CALL, &elsewhere[1..], b"").problem(), "forbidden");
    assert_eq!(server.get(CALL).json()["metadata"], call());
}

#[test]
fn recordings_are_found_by_what_is_known() {
    let system = System::with_key();
    for number in 0..12 {
        system.import(&format!("call-{number}"), &media(100));
    }
    let server = system.serve();
    for number in 0..12 {
        let metadata = json!({
            "started_at": format!("2026-11-{:02}T10:00:00Z", 1 + number),
            "agent": if number % 2 == 0 { "Even" } else { "odd.one" },
            "group": format!("g{}", number / 3),
            "tags": if number % 4 == 0 { vec!["Vier", "x y"] } else { vec![] },
            "parties": [format!("+49 30 55{number:02}")],
        });
        assert_eq!(patch(&server, &format!("/recordings/call-{number}"), &metadata).status, 200);
    }
    let numbers = |numbers: &[u32]| numbers.iter().map(|number| format!("call-{number}")).collect::<Vec<_>>();
    for (query, found) in [
        ("", &[11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0][..]),
        ("agent=Even", &[10, 8, 6, 4, 2, 0]),
        ("agent=even", &[]),
        ("group=g1", &[5, 4, 3]),
        ("tag=Vier", &[8, 4, 0]),
        ("tag=x+y", &[8, 4, 0]),
        ("tag=x", &[]),
        ("tag=Vier&agent=Even&group=g1", &[4]),
        ("from=2026-11-10", &[11, 10, 9]),
        ("to=2026-11-03", &[1, 0]),
        ("from=2026-11-04&to=2026-11-06T10:00:00Z", &[4, 3]),
        ("from=2026-11-04&to=2026-11-06T10:00:01Z", &[5, 4, 3]),
        ("q=EVEN", &[10, 8, 6, 4, 2, 0]),
        ("q=one", &[11, 9, 7, 5, 3, 1]),
        ("q=odd+5503", &[3]),
        ("q=55", &[11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
        ("q=call-1", &[11, 10, 1]),
        ("q=call-1+even", &[10]),
        ("q=call-1&agent=Even", &[10]),
        ("q=vier&tag=Vier&to=2026-11-05", &[0]),
        ("q=nothing", &[]),
        ("state=complete&group=g0", &[2, 1, 0]),
        ("state=unfinished", &[]),
        ("state=recording", &[]),
    ] {
        assert_eq!(listed(&server, query), numbers(found), "{query}");
        // The same in pages of two.
        let (mut ids_of_pages, mut after) = (Vec::new(), String::new());
        for _ in 0..=found.len() / 2 {
            let page = server.get(&format!("/recordings?limit=2{after}&{query}")).json();
            ids_of_pages.extend(ids(&page));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(ids_of_pages, numbers(found), "{query} in pages");
    }
    for bad in ["state=done", "from=soon", "q=x", "to=1"] {
        assert_eq!(server.get(&format!("/recordings?{bad}")).problem(), "bad-request", "{bad}");
    }
    let found = system.json(&["recordings", "list", "--agent", "Even", "--from", "2026-11-08"]);
    assert_eq!(found.as_array().map(Vec::len), Some(2));
    system.fails(2, &["recordings", "list", "--from", "soon"]);
    system.fails(2, &["recordings", "list", "--q", "x"]);
    // A caller who may know of some finds those alone.
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("SEALTAPE_AUTH__MODE", "token");
    let server = Server::start(command);
    let token =
        ["token", "create", "--scope", "recordings:list", "--subject", "a", "--ttl", "1h", "--recordings", "call-1*"];
    let token = format!("Bearer {}", system.json(&token)["token"].as_str().expect("a token"));
    for (query, found) in
        [("agent=Even", &[10][..]), ("q=55", &[11, 10, 1]), ("tag=Vier", &[]), ("q=call", &[11, 10, 1])]
    {
        let page = crate::support::get(&server.address, &format!("/recordings?{query}"), &[("Authorization", &token)]);
        assert_eq!(ids(&page.json()), numbers(found), "{query}");
    }
    let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
    assert_eq!(request(&server.address, "PATCH", "/recordings/call-1", &headers, b"{}").problem(), "forbidden");
    assert_eq!(request(&server.address, "DELETE", "/recordings/call-1", &headers, b"").problem(), "forbidden");
    assert_eq!(request(&server.address, "DELETE", "/recordings/call-2", &headers, b"").problem(), "forbidden");
}

/// A recording with metadata and two sidecars.
fn imported(environment: &[(&str, &str)]) -> System {
    let system = System::with_key();
    let audio = system.file("call-1.bin", &media(70_000));
    let meta = system.file("meta.json", &serde_json::to_vec(&call()).expect("JSON"));
    let transcript = system.file("transcript.json", br#"{"text":"a marker said"}"#);
    let notes = system.file("notes.xml", b"<notes>marker</notes>");
    let files = [&audio, &meta, &transcript, &notes].map(|path| path.to_str().expect("UTF-8"));
    let mut command =
        system.command(&["import", files[0], "--meta", files[1], "--sidecar", files[2], "--sidecar", files[3]]);
    let output = command.envs(environment.iter().copied()).output().expect("runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    for path in [audio, meta, transcript, notes] {
        fs::remove_file(path).expect("removed");
    }
    system
}

#[test]
fn sidecars_come_with_a_recording() {
    let system = imported(&[]);
    let shown = system.json(&["recordings", "show", "call-1"]);
    assert_eq!((&shown["metadata"], &shown["sidecars"]), (&call(), &json!(["notes.xml", "transcript.json"])));
    assert_eq!(stored_with(&system, b"marker"), [""; 0], "sealed");
    let server = system.serve();
    let reply = server.get(&format!("{CALL}/sidecars/transcript.json"));
    assert_eq!((reply.status, reply.body.as_slice()), (200, &br#"{"text":"a marker said"}"#[..]));
    for (name, value) in [
        ("content-type", "application/json"),
        ("content-disposition", "attachment; filename=\"transcript.json\""),
        ("cache-control", "private, no-store"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(reply.header(name), Some(value));
    }
    let head = request(&server.address, "HEAD", &format!("{CALL}/sidecars/notes.xml"), &[], b"");
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("21"), 0));
    assert_eq!(server.get(&format!("{CALL}/sidecars/other")).problem(), "not-found");
    assert_eq!(server.get("/recordings/other/sidecars/notes.xml").problem(), "recording-not-found");
    let link = request(&server.address, "POST", &format!("{CALL}/link"), &[], b"").json();
    let link = link["url"].as_str().expect("a URL").split("link=").nth(1).expect("a link").to_owned();
    assert_eq!(server.get(&format!("{CALL}/sidecars/notes.xml?link={link}")).status, 200);
    assert_eq!(system.ok(&["audit", "show", "--json"]).matches("\"sidecar.read\"").count(), 2);
    // One byte of a file, or the file of another one.
    let (notes, transcript) = (beside(&system, Some("notes.xml")), beside(&system, Some("transcript.json")));
    notes.flip(520);
    assert_eq!(server.get(&format!("{CALL}/sidecars/notes.xml")).problem(), "recording-corrupt");
    notes.write(&transcript.read());
    assert_eq!(server.get(&format!("{CALL}/sidecars/notes.xml")).problem(), "recording-corrupt");
    notes.remove();
    assert_eq!(server.get(&format!("{CALL}/sidecars/notes.xml")).problem(), "media-missing");
    system.ok(&["encryption", "disable"]);
    let is_disabled = |server: &Server| {
        let reply = server.get(&format!("{CALL}/sidecars/transcript.json"));
        reply.status == 409 && reply.problem() == "encryption-disabled"
    };
    assert!(server.wait_until(std::time::Duration::from_secs(5), is_disabled));
    assert_eq!(patch(&server, CALL, &call()).problem(), "encryption-disabled", "never plain beside what is sealed");
    assert_eq!(server.get(CALL).json()["metadata"]["agent"], "agent-marker-7", "what the catalogue knows");
}

#[test]
fn sidecars_may_be_plain_and_bad_ones_take_nothing_in() {
    let system = imported(&[("SEALTAPE_ENCRYPTION__PLAIN_SIDECARS", "true")]);
    let plain = stored_with(&system, b"marker");
    assert_eq!(plain.len(), 2, "{plain:?}");
    let server = system.serve();
    assert_eq!(server.get(&format!("{CALL}/sidecars/notes.xml")).body, b"<notes>marker</notes>");
    beside(&system, Some("notes.xml")).flip(3);
    assert_eq!(server.get(&format!("{CALL}/sidecars/notes.xml")).problem(), "recording-corrupt");

    let audio = system.file("call-2.bin", &media(100));
    let audio = audio.to_str().expect("UTF-8");
    let bad = system.file("bad.json", br#"{"agnet":"x"}"#);
    let spaced = system.file("no name", b"x");
    for (arguments, told) in [
        (vec!["--meta", bad.to_str().expect("UTF-8")], "agnet"),
        (vec!["--sidecar", spaced.to_str().expect("UTF-8")], "not a sidecar name"),
        (vec!["--sidecar", "missing.json"], "cannot be read"),
        (vec!["--sidecar", audio, "--sidecar", audio], "two sidecars"),
    ] {
        let error = system.fails(1, &[vec!["import", audio], arguments].concat());
        assert!(
            error.contains(told) && error.contains("nothing was taken in") | error.contains("another name"),
            "{error}"
        );
        system.fails(1, &["recordings", "show", "call-2"]);
    }
    system.fails(2, &["import", audio, audio, "--meta", "x"]);
}

#[test]
fn a_lost_catalogue_is_filled_again_with_all_of_it() {
    let system = imported(&[]);
    let server = system.serve();
    // Of two versions the later one counts, also when a dead writer left the other.
    let old = beside(&system, None);
    let kept = old.read();
    let later = json!({ "agent": "later", "tags": ["new"] });
    patch(&server, CALL, &later);
    drop(server);
    old.write(&kept);
    let export = system.path("keys.age");
    let export = export.to_str().expect("UTF-8");
    let with_passphrase = |arguments: &[&str]| {
        let output = system.command(arguments).env("SEALTAPE_PASSPHRASE", crate::support::PASSPHRASE).output();
        let output = output.expect("runs");
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    with_passphrase(&["keys", "export", "--out", export]);
    fs::remove_file(system.data_dir().join("sealtape.db")).expect("lost");
    with_passphrase(&["keys", "import", export]);
    let rebuilt = system.json(&["recordings", "rebuild"]);
    assert_eq!((&rebuilt["catalogued"], &rebuilt["beside"]), (&json!(["call-1"]), &json!(3)));
    let shown = system.json(&["recordings", "show", "call-1"]);
    assert_eq!((&shown["metadata"], &shown["sidecars"]), (&later, &json!(["notes.xml", "transcript.json"])));
    let server = system.serve();
    assert_eq!(listed(&server, "tag=new"), ["call-1"]);
    assert_eq!(listed(&server, "tag=complaint"), [""; 0]);
    assert_eq!(system.json(&["recordings", "rebuild"])["beside"], 0, "it is there");
}

#[test]
fn what_lies_beside_moves_to_another_key_too() {
    let system = imported(&[]);
    let old = system.json(&["keys", "list"])[0]["fingerprint"].as_str().expect("text").to_owned();
    system.ok(&["keys", "generate"]);
    let files = system.objects();
    system.ok(&["rewrap", "--all"]);
    assert_eq!(needed(&system, &old), 0);
    system.ok(&["keys", "deactivate", &old]);
    let server = system.serve();
    assert_eq!(server.get(CALL).json()["metadata"], call());
    assert_eq!(server.get(&format!("{CALL}/sidecars/notes.xml")).status, 200);
    let now: Vec<_> = system.objects().into_iter().filter(|file| !file.ends_with("/.lock")).collect();
    let kept = now.iter().filter(|file| files.contains(file)).count();
    assert_eq!((now.len(), kept), (files.len(), 1), "the media's file alone");
    // Metadata alone may hold a key.
    system.ok(&["keys", "activate", &old]);
    let newest = system.json(&["keys", "generate"])["fingerprint"].as_str().expect("text").to_owned();
    system.ok(&["rewrap", "--all"]);
    system.ok(&["keys", "generate"]);
    system.ok(&["rewrap", "--all"]);
    assert_eq!(system.json(&["reseal", "--all"])["beside"], 3);
    assert!(system.run(&["keys", "deactivate", &newest]).status.success());
    assert_eq!(system.json(&["recordings", "show", "call-1"])["metadata"], call());
    system.import("bare", &media(10));
    let newest = system.json(&["keys", "generate"])["fingerprint"].as_str().expect("text").to_owned();
    assert_eq!(needed(&system, &newest), 0);
    assert_eq!(patch(&server, "/recordings/bare", &json!({ "agent": "x" })).status, 200);
    assert_eq!(needed(&system, &newest), 1, "the metadata needs it, and the media another one");
    assert!(system.fails(1, &["keys", "deactivate", &newest]).contains("1 recording(s) need"));
}

/// How many recordings need a key.
fn needed(system: &System, fingerprint: &str) -> u64 {
    let keys = system.json(&["keys", "list"]);
    let key = keys.as_array().expect("a list").iter().find(|key| key["fingerprint"] == fingerprint);
    key.expect("the key")["recordings"].as_u64().expect("a count")
}

#[test]
fn what_lies_beside_is_verified_with_the_recordings() {
    let system = imported(&[]);
    let verify = |code: i32| -> Value {
        let output = system.run(&["verify", "--all", "--json"]);
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    assert_eq!(verify(0)["faults"], json!([]));
    let (metadata, notes, transcript) =
        (beside(&system, None), beside(&system, Some("notes.xml")), beside(&system, Some("transcript.json")));
    let kept = metadata.read();
    for (path, at, kind) in [(&metadata, 520, "corrupt-chunk"), (&notes, 490, "corrupt-header")] {
        path.flip(at);
        let faults = verify(3)["faults"].clone();
        assert_eq!((faults.as_array().map(Vec::len), &faults[0]["id"]), (Some(1), &json!("call-1")), "{faults}");
        assert_eq!(faults[0]["kind"], kind, "{faults}");
        path.flip(at);
    }
    transcript.remove();
    let faults = verify(3)["faults"].clone();
    assert_eq!((&faults[0]["kind"], faults.as_array().map(Vec::len)), (&json!("media-missing"), Some(1)));
    assert_eq!(system.run(&["verify", "call-1"]).status.code(), Some(3), "also of this one alone");
    // What a writer left that was killed between two steps is no fault.
    let server = system.serve();
    patch(&server, CALL, &json!({ "agent": "later" }));
    metadata.write(&kept);
    let report = verify(3);
    assert_eq!(report["faults"].as_array().map(Vec::len), Some(1), "{report}");
    assert!(report.to_string().contains("left-over"), "{report}");
}
