//! Players that people have, against a running demo.

use std::{fs, process::Command, time::Duration};

use crate::support::{Server, System, bare_command, media, request, sample, text, tool};

/// The demo on a free port.
pub fn demo() -> Server {
    let mut command = bare_command();
    command.args(["demo", "--listen", "127.0.0.1:0"]);
    Server::start(command)
}

#[test]
fn the_demo_lists_samples_and_failures() {
    let server = demo();
    let listed = server.get("/recordings").json();
    let recordings = listed["recordings"].as_array().expect("recordings").clone();
    let code = |id: &str| {
        let reply = server.get(&format!("/recordings/{id}/media"));
        reply.header("playback-error").map(str::to_owned)
    };
    assert_eq!(recordings.len(), 11);
    for (id, problem) in [
        ("failure-key-missing", Some("key-missing")),
        ("failure-corrupt", Some("recording-corrupt")),
        ("failure-media-missing", Some("media-missing")),
        ("failure-unfinished", None),
    ] {
        assert_eq!(code(id).as_deref(), problem, "{id}");
    }
    let unfinished = server.get("/recordings/failure-unfinished/media");
    assert_eq!(unfinished.header("recording-state"), Some("unfinished"));
    assert_eq!((unfinished.header("etag"), unfinished.header("last-modified")), (None, None), "no validators");
    let media = fs::read(sample("call-billing-wav-pcm.wav")).expect("read");
    assert!(!unfinished.body.is_empty() && unfinished.body == media[..unfinished.body.len()]);
    for (id, file) in SAMPLES {
        let reply = server.get(&format!("/recordings/{id}/media"));
        assert!(reply.body == fs::read(sample(file)).expect("read"), "{id}");
    }
    server.signal("INT");
    let folder = server.said[0].rsplit("in ").next().expect("a folder").trim_end_matches("/media").to_owned();
    assert!(fs::exists(&folder).expect("asked"), "{folder}");
    assert_eq!(server.wait(), Some(0));
    assert!(!fs::exists(&folder).expect("asked"), "everything is removed");
}

const SAMPLES: [(&str, &str); 7] = [
    ("call-billing-wav-pcm", "call-billing-wav-pcm.wav"),
    ("call-dispatch-wav-mulaw", "call-dispatch-wav-mulaw.wav"),
    ("call-archive-wav-gsm", "call-archive-wav-gsm.wav"),
    ("call-reminder-mp3", "call-reminder-mp3.mp3"),
    ("call-triage-opus", "call-triage-opus.ogg"),
    ("screen-transfer-mp4", "screen-transfer-mp4.mp4"),
    ("screen-form-webm", "screen-form-webm.webm"),
];

#[test]
fn the_demo_switch_is_turned_by_its_own_page_alone() {
    let server = demo();
    let turn = |body: &str, headers: &[(&str, &str)]| {
        request(&server.address, "POST", "/demo/encryption", headers, body.as_bytes())
    };
    let own = server.url("").trim_end_matches('/').to_owned();
    for headers in [&[][..], &[("Origin", own.as_str())]] {
        assert_eq!(turn("{\"enabled\":false}", headers).json(), serde_json::json!({ "enabled": false }));
        assert_eq!(server.get("/recordings/call-reminder-mp3/media").problem(), "encryption-disabled");
        assert_eq!(turn("{\"enabled\":true}", headers).json(), serde_json::json!({ "enabled": true }));
        assert_eq!(server.get("/recordings/call-reminder-mp3/media").status, 200);
    }
    for origin in ["https://example.org", "null", "http://localhost:1"] {
        assert_eq!(turn("{\"enabled\":false}", &[("Origin", origin)]).problem(), "forbidden", "{origin}");
    }
    for bad in ["", "{}", "{\"enabled\":1}", "{\"enabled\":true,\"x\":1}", &"x".repeat(5000)] {
        assert_eq!(turn(bad, &[]).problem(), "bad-request", "{bad:.20}");
    }
    assert_eq!(server.get("/demo/encryption").json(), serde_json::json!({ "enabled": true }));
}

/// `ffmpeg -ss … -i URL` seeks by ranges; it must decode the same sound as from the file.
#[test]
fn ffmpeg_seeks_and_decodes_the_same_sound() {
    let server = demo();
    for (id, file) in SAMPLES {
        for at in ["0", "7.5", "11"] {
            let url = server.url(&format!("/recordings/{id}/media"));
            let (played, local) = (decode(&url, at), decode(sample(file).to_str().expect("UTF-8"), at));
            assert!(
                !local.is_empty() && played == local,
                "{id} from {at} s: {} and {} bytes",
                played.len(),
                local.len()
            );
        }
    }
}

fn decode(input: &str, at: &str) -> Vec<u8> {
    let output = tool("ffmpeg")
        .args(["-v", "error", "-nostdin", "-ss", at, "-i", input, "-t", "1", "-vn", "-f", "s16le", "-ac", "1", "-"])
        .output()
        .expect("ffmpeg runs");
    assert!(output.status.success(), "{input}: {}", text(&output.stderr));
    output.stdout
}

#[test]
fn curl_resumes_a_download() {
    let server = demo();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("call.wav");
    let media = fs::read(sample("call-billing-wav-pcm.wav")).expect("read");
    fs::write(&path, &media[..100_000]).expect("written");
    let mut curl: Command = tool("curl");
    let done = curl
        .args(["-sS", "-C", "-", "-o", path.to_str().expect("UTF-8")])
        .arg(server.url("/recordings/call-billing-wav-pcm/media"))
        .output()
        .expect("curl runs");
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(fs::read(&path).expect("read") == media);
}

#[test]
fn wget_resumes_a_download() {
    let (system, media) = (System::with_key(), media(3_000_001));
    system.import("call", &media);
    let server = system.serve();
    let path = system.file("call.part", &media[..1_234_567]);
    let mut wget: Command = tool("wget");
    let done = wget
        .args(["--no-config", "--no-proxy", "-nv", "-S", "-c", "-O", path.to_str().expect("UTF-8")])
        .arg(server.url("/recordings/call/media"))
        .output()
        .expect("wget runs");
    let said = text(&done.stderr);
    assert!(done.status.success(), "{said}");
    assert!(said.contains("206 Partial Content"), "it did not resume: {said}");
    assert!(said.contains("bytes 1234567-3000000/3000001"), "{said}");
    assert!(fs::read(&path).expect("read") == media);
}

/// Four connections, each with ranges of its own.
#[test]
fn aria2_downloads_in_parallel_ranges() {
    let (system, media) = (System::with_key(), media(9_000_001));
    system.import("call", &media);
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("RUST_LOG", "sealtape=debug");
    let server = Server::start(command);
    let mut aria2: Command = tool("aria2c");
    let done = aria2
        .args(["--no-conf", "--all-proxy=", "-x4", "-s4", "-k1M", "--file-allocation=none", "-o", "call.bin", "-d"])
        .arg(system.path(""))
        .arg(server.url("/recordings/call/media"))
        .output()
        .expect("aria2c runs");
    assert!(done.status.success(), "{}{}", text(&done.stdout), text(&done.stderr));
    assert!(fs::read(system.path("call.bin")).expect("read") == media);
    let is_part = |line: &&str| line.contains("status") && line.contains("206");
    let are_parts = |server: &Server| server.log().lines().filter(is_part).count() >= 3;
    assert!(server.wait_until(Duration::from_secs(10), are_parts), "fewer answers were parts: {}", server.log());
}
