//! What recorders send by PUT is sealed as it arrives, and kept as far as it came.

use std::{
    fs,
    path::PathBuf,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{Server, System, Upload, get, media, put, request, sample, send, text, tool};

pub mod away;
pub mod full;
pub mod killed;

const PATIENCE: Duration = Duration::from_secs(20);
const CHUNK: usize = 4096;
const RECORD: usize = CHUNK + 16;
const HEADER: usize = 512;

pub fn serve_with(system: &System, settings: &[(&str, &str)]) -> Server {
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.envs(settings.iter().copied());
    Server::start(command)
}

/// A file of the media folder, or of the spool, by its name.
pub fn stored_as(system: &System, name: &str) -> Option<PathBuf> {
    system.media_files().into_iter().find(|file| file.ends_with(name))
}

fn len_of(system: &System, name: &str) -> Option<usize> {
    stored_as(system, name).and_then(|file| fs::metadata(file).ok()).map(|metadata| metadata.len() as usize)
}

pub fn state_of(server: &Server, id: &str) -> Value {
    let reply = server.get(&format!("/recordings/{id}"));
    if reply.status == 200 { reply.json()["state"].clone() } else { Value::Null }
}

fn events(system: &System, recording: &str) -> Vec<Value> {
    let shown = system.json(&["audit", "show", "--recording", recording]);
    let events = shown.as_array().expect("events").iter();
    events.filter(|event| event["event"] == "recording.import").cloned().collect()
}

#[test]
fn a_recording_is_sealed_chunk_by_chunk_as_it_arrives() {
    let (system, media) = (System::with_key(), media(3 * CHUNK + 100));
    let server = system.serve();
    let mut upload = Upload::begin(&server.address, "call@1+2", &[]);
    let len = || len_of(&system, "call@1+2.sealed.part");
    upload.send(&media[..100]);
    assert!(server.wait_until(PATIENCE, |_| len() == Some(HEADER)), "the header first: {:?}", len());
    upload.send(&media[100..CHUNK]);
    thread::sleep(Duration::from_millis(100));
    assert_eq!(len(), Some(HEADER), "a whole chunk waits for the next byte");
    upload.send(&media[CHUNK..=CHUNK]);
    assert!(server.wait_until(PATIENCE, |_| len() == Some(HEADER + RECORD)), "{:?}", len());
    assert_eq!(state_of(&server, "call@1+2"), "recording");
    let so_far = server.get("/recordings/call@1+2/media");
    assert!(so_far.body.is_empty() || media.starts_with(&so_far.body));
    for byte in &media[CHUNK + 1..2 * CHUNK + 1] {
        upload.send(&[*byte]);
    }
    assert!(server.wait_until(PATIENCE, |_| len() == Some(HEADER + 2 * RECORD)), "{:?}", len());
    upload.send(&media[2 * CHUNK + 1..]);
    let reply = upload.finish();
    assert_eq!(reply.status, 201);
    assert_eq!(reply.json(), serde_json::json!({ "id": "call@1+2", "catalogued": true }));
    assert_eq!(reply.header("location"), Some("/recordings/call@1+2/media"));
    assert_eq!(system.object("call@1+2").size(), HEADER + 3 * RECORD + 100 + 16);

    let played = server.get("/recordings/call@1+2/media");
    assert!(played.status == 200 && played.body == media && played.header("etag").is_some());
    let shown = server.get("/recordings/call@1+2").json();
    assert_eq!(
        (&shown["state"], &shown["sealed"], &shown["playable"]),
        (&"complete".into(), &true.into(), &true.into())
    );
    let [event] = &events(&system, "call@1+2")[..] else { panic!("one event") };
    assert_eq!((&event["outcome"], &event["bytes"]), (&"complete".into(), &media.len().into()));
    assert_eq!((&event["subject"], &event["credential"]), (&"local".into(), &"local".into()));
    assert_eq!(event["request_ids"][0].as_str(), reply.header("x-request-id"));
}

#[test]
fn every_length_and_every_way_to_say_it_comes_back_whole() {
    let (system, media) = (System::with_key(), media(300_000));
    let server = system.serve();
    for len in [1, 63, 64, 65, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 32 << 10, (32 << 10) + 1, 300_000] {
        let id = format!("known-{len}");
        assert_eq!(put(&server.address, &id, &[], &media[..len]).status, 201, "{id}");
        assert!(server.get(&format!("/recordings/{id}/media")).body == media[..len], "{id}");
        let id = format!("chunked-{len}");
        let mut upload = Upload::begin(&server.address, &id, &[]);
        media[..len].chunks(1 + len / 7).for_each(|piece| upload.send(piece));
        assert_eq!(upload.finish().status, 201, "{id}");
        assert!(server.get(&format!("/recordings/{id}/media")).body == media[..len], "{id}");
    }
    let scrape = text(&server.get("/metrics").body);
    for line in [
        "sealtape_ingests_total{way=\"put\",outcome=\"complete\"} 22",
        "sealtape_ingests_total{way=\"put\",outcome=\"failed\"} 0",
        "sealtape_recordings_growing 0",
        "sealtape_recordings_uncatalogued 0",
    ] {
        assert!(scrape.lines().any(|found| found == line), "{line}: {scrape}");
    }
}

#[test]
fn the_media_type_is_the_senders_or_told_from_the_content() {
    let system = System::with_key();
    let server = system.serve();
    let wav = fs::read(sample("call-billing-wav-pcm.wav")).expect("read");
    for (id, said, kept) in [
        ("none", None, "audio/wav"),
        ("octets", Some("Application/Octet-Stream"), "audio/wav"),
        ("form", Some("application/x-www-form-urlencoded"), "audio/wav"),
        ("said", Some("audio/x-special; rate=8000"), "audio/x-special; rate=8000"),
    ] {
        let headers: Vec<(&str, &str)> = said.iter().map(|said| ("Content-Type", *said)).collect();
        assert_eq!(put(&server.address, id, &headers, &wav).status, 201, "{id}");
        let played = server.get(&format!("/recordings/{id}/media"));
        assert!(played.header("content-type") == Some(kept) && played.body == wav, "{id}: {:?}", played.headers());
    }
}

#[test]
fn what_cannot_be_taken_is_refused_before_its_first_byte() {
    let (system, media) = (System::with_key(), media(100_000));
    system.import("taken", &media);
    let server = serve_with(&system, &[("SEALTAPE_INGEST__MAX_SIZE", "50kB")]);
    let long_type = format!("audio/{}", "x".repeat(80));
    let known: &[(&str, &str)] = &[("Content-Length", "1000")];
    for (path, headers, status, code) in [
        ("/recordings/taken/media", known, 409, "recording-exists"),
        ("/recordings/a/media", &[("Content-Length", "50001")], 413, "media-too-large"),
        ("/recordings/a/media", &[("Content-Length", "9"), ("Content-Range", "bytes 0-8/9")], 400, "bad-request"),
        (
            "/recordings/a/media",
            &[("Content-Length", "9"), ("Content-Type", "nonsense")],
            415,
            "unsupported-media-type",
        ),
        (
            "/recordings/a/media",
            &[("Content-Length", "9"), ("Content-Type", &long_type)],
            415,
            "unsupported-media-type",
        ),
        (
            "/recordings/a/media",
            &[("Content-Length", "9"), ("Content-Type", "multipart/form-data; boundary=x")],
            415,
            "unsupported-media-type",
        ),
        (
            "/recordings/a/media",
            &[("Content-Length", "9"), ("Content-Encoding", "gzip")],
            415,
            "unsupported-media-type",
        ),
        ("/recordings/a/media", &[("Content-Length", "9"), ("If-Match", "*")], 412, "precondition-failed"),
        ("/recordings/.a/media", known, 400, "bad-request"),
        ("/recordings/a%2Fb/media", known, 400, "bad-request"),
        ("/recordings/a", known, 405, "method-not-allowed"),
        ("/recordings/a/media?x=1", &[("Content-Length", "0")], 400, "bad-request"),
        ("/recordings/a/media", &[("Content-Length", "9"), ("Origin", "https://other.example")], 403, "forbidden"),
    ] {
        // A sender that waits for leave to send gets the refusal in its place.
        for expect in ["Expect: 100-continue\r\n", ""] {
            let mut head = format!("PUT {path} HTTP/1.1\r\nHost: {}\r\n{expect}", server.address);
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str("Connection: close\r\n\r\n");
            let reply = send(&server.address, "PUT", head.as_bytes());
            assert_eq!((reply.status, reply.problem().as_str()), (status, code), "{path} {headers:?}");
        }
    }
    let sealed = system.object("taken").read();
    let reply = put(&server.address, "sealed", &[], &sealed[..40_000]);
    assert_eq!((reply.status, reply.problem().as_str()), (415, "unsupported-media-type"));
    assert_eq!(system.objects().len(), 1, "nothing is left of any of them");
    assert!(server.get("/recordings/taken/media").body == media, "as it was");
    // One that is sent nevertheless is told, too.
    let reply = put(&server.address, "taken", &[], &vec![7; 40_000]);
    assert_eq!((reply.status, reply.problem().as_str()), (409, "recording-exists"));
}

#[test]
fn leave_to_send_is_given_when_all_is_well() {
    let (system, media) = (System::with_key(), media(10_000));
    let server = system.serve();
    let mut upload = Upload::begin(&server.address, "call", &[("Expect", "100-continue")]);
    assert_eq!(text(&upload.read(25)), "HTTP/1.1 100 Continue\r\n\r\n");
    upload.send(&media);
    assert_eq!(upload.finish().status, 201);
    assert!(server.get("/recordings/call/media").body == media);
}

#[test]
fn a_writer_that_vanishes_leaves_what_came_before_and_its_id_taken() {
    let (system, media) = (System::with_key(), media(50_000));
    let server = system.serve();
    for (id, sent) in [("at-a-chunk", 3 * CHUNK), ("in-a-chunk", 3 * CHUNK + 5), ("with-a-length", 20_000)] {
        let part = format!("{id}.sealed.part");
        if id == "with-a-length" {
            let head = format!(
                "PUT /recordings/{id}/media HTTP/1.1\r\nHost: {}\r\nContent-Length: 50000\r\n\r\n",
                server.address
            );
            let mut stream = std::net::TcpStream::connect(&server.address).expect("connects");
            std::io::Write::write_all(&mut stream, &[head.as_bytes(), &media[..sent]].concat()).expect("sent");
        } else {
            let mut upload = Upload::begin(&server.address, id, &[]);
            upload.send(&media[..sent]);
        }
        assert!(server.wait_until(PATIENCE, |server| state_of(server, id) == "unfinished"), "{id}: {}", server.log());
        let whole = sent / CHUNK * CHUNK;
        let played = server.get(&format!("/recordings/{id}/media"));
        assert_eq!((played.status, played.header("recording-state")), (200, Some("unfinished")), "{id}");
        assert!(played.body == media[..whole] && played.header("etag").is_none(), "{id}: {}", played.body.len());
        // What a spool had is in its bucket soon after.
        let len = len_of(&system, &part).unwrap_or_else(|| system.object(id).size());
        assert_eq!(len, HEADER + sent / CHUNK * RECORD, "{id}");
        assert_eq!(put(&server.address, id, &[], &media).problem(), "recording-exists", "{id}");
        assert!(server.wait_until(PATIENCE, |_| !events(&system, id).is_empty()));
        let [event] = &events(&system, id)[..] else { panic!("one event") };
        assert_eq!((&event["outcome"], &event["bytes"]), (&"unfinished".into(), &whole.into()), "{id}");
    }
    let listed = system.json(&["recordings", "list"]);
    assert!(listed.as_array().expect("a list").iter().all(|one| one["state"] == "unfinished"), "{listed}");
    assert_eq!(put(&server.address, "the-rest", &[], &media).status, 201);
    // One that vanishes before there was anything to begin with leaves nothing.
    let mut upload = Upload::begin(&server.address, "hardly", &[]);
    upload.send(b"RIFF");
    drop(upload);
    thread::sleep(Duration::from_millis(200));
    assert_eq!(server.get("/recordings/hardly").status, 404);
    assert_eq!(put(&server.address, "hardly", &[], &media).status, 201);
}

#[test]
fn one_that_is_longer_than_it_may_be_is_kept_as_far_as_it_may() {
    let (system, media) = (System::with_key(), media(200_000));
    let server = serve_with(&system, &[("SEALTAPE_INGEST__MAX_SIZE", "100kB")]);
    let mut upload = Upload::begin(&server.address, "long", &[]);
    upload.send(&media[..60_000]);
    upload.send(&media[60_000..100_000]);
    assert!(server.wait_until(PATIENCE, |server| state_of(server, "long") == "recording"));
    upload.send(&media[100_000..100_001]);
    let reply = upload.reply();
    assert_eq!((reply.status, reply.problem().as_str()), (413, "media-too-large"));
    let is_unfinished =
        |server: &Server| server.get("/recordings/long/media").header("recording-state") == Some("unfinished");
    assert!(server.wait_until(PATIENCE, is_unfinished));
    let played = server.get("/recordings/long/media");
    assert!(played.body.len() > 90_000 && media[..100_000].starts_with(&played.body), "{}", played.body.len());
    assert_eq!(put(&server.address, "just", &[], &media[..100_000]).status, 201);
}

#[test]
fn a_silent_sender_is_cut_and_a_slow_one_is_not() {
    let (system, media) = (System::with_key(), media(10 * CHUNK));
    let server = serve_with(&system, &[("SEALTAPE_SERVER__TIMEOUTS__READ", "2s")]);
    let mut slow = Upload::begin(&server.address, "slow", &[]);
    let mut silent = Upload::begin(&server.address, "silent", &[]);
    silent.send(&media[..3 * CHUNK]);
    for piece in media.chunks(CHUNK) {
        slow.send(piece);
        thread::sleep(Duration::from_millis(400));
    }
    let reply = silent.reply();
    assert_eq!((reply.status, reply.problem().as_str()), (400, "bad-request"));
    assert!(server.get("/recordings/silent/media").body == media[..3 * CHUNK]);
    assert_eq!(slow.finish().status, 201);
    assert!(server.get("/recordings/slow/media").body == media);
}

#[test]
fn of_two_who_send_one_id_one_is_taken() {
    let (system, media) = (System::with_key(), media(500_000));
    let server = system.serve();
    for round in 0..10 {
        let id = format!("call-{round}");
        let statuses: Vec<u16> = thread::scope(|scope| {
            let senders: Vec<_> =
                (0..4).map(|_| scope.spawn(|| put(&server.address, &id, &[], &media).status)).collect();
            senders.into_iter().map(|sender| sender.join().expect("sends")).collect()
        });
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 3, "{statuses:?}");
        assert!(server.get(&format!("/recordings/{id}/media")).body == media);
    }
    // Also while the first is still under way.
    let mut first = Upload::begin(&server.address, "long", &[]);
    first.send(&media);
    assert!(server.wait_until(PATIENCE, |server| state_of(server, "long") == "recording"));
    assert_eq!(put(&server.address, "long", &[], &media).problem(), "recording-exists");
    assert_eq!(first.finish().status, 201);
}

#[test]
fn writing_needs_its_scope_and_keeps_to_the_callers_recordings() {
    let (system, media) = (System::with_key(), media(10_000));
    let token = |scope: &str, more: &[&str]| {
        let mut arguments = vec!["token", "create", "--scope", scope, "--subject", "recorder-7", "--ttl", "1h"];
        arguments.extend(more);
        format!("Bearer {}", system.json(&arguments)["token"].as_str().expect("a token"))
    };
    let server = serve_with(&system, &[("SEALTAPE_AUTH__MODE", "token")]);
    let put = |id: &str, token: &str| put(&server.address, id, &[("Authorization", token)], &media);
    let writer = token("recordings:write", &["--recordings", "team-1.*"]);
    assert_eq!(crate::support::put(&server.address, "team-1.a", &[], &media).problem(), "unauthenticated");
    assert_eq!(put("team-1.a", &token("recordings:play,recordings:list", &[])).problem(), "forbidden");
    assert_eq!(put("team-1.a", &writer).status, 201);
    assert_eq!(put("team-2.a", &writer).status, 404);
    assert_eq!(system.objects().len(), 1);
    // Whoever may write may not therefore listen.
    let played = get(&server.address, "/recordings/team-1.a/media", &[("Authorization", &writer)]);
    assert_eq!(played.problem(), "forbidden");
    let [event] = &events(&system, "team-1.a")[..] else { panic!("one event") };
    assert_eq!((&event["subject"], &event["credential"]), (&"recorder-7".into(), &"token".into()));
    let link = system.json(&["link", "team-1.a"])["url"].as_str().expect("a URL").to_owned();
    let path = link.split_once("/recordings").expect("a path").1;
    let by_link = request(&server.address, "PUT", &format!("/recordings{path}"), &[], &media);
    assert_eq!(by_link.problem(), "forbidden");
}

#[test]
fn switch_and_keys_decide_what_is_sealed() {
    let (system, media) = (System::empty(), media(10_000));
    let server = serve_with(&system, &[("SEALTAPE_ENCRYPTION__EXEMPT", "fax-*")]);
    let sealed = |id: &str| system.json(&["recordings", "show", id])["sealed"].clone();
    assert_eq!(put(&server.address, "before", &[], &media).status, 201);
    assert_eq!(sealed("before"), false, "no key was ever made");
    let key = system.json(&["keys", "generate"])["fingerprint"].as_str().expect("one").to_owned();
    assert_eq!(put(&server.address, "after", &[], &media).status, 201);
    assert_eq!(sealed("after"), true);
    assert_eq!(put(&server.address, "fax-1", &[], &media).status, 201);
    assert_eq!(sealed("fax-1"), false, "exempt");
    system.ok(&["encryption", "disable"]);
    assert_eq!(put(&server.address, "off", &[], &media).status, 201);
    assert_eq!(sealed("off"), false);
    system.ok(&["encryption", "enable"]);
    system.ok(&["keys", "deactivate", &key, "--force"]);
    let reply = put(&server.address, "none", &[], &media);
    assert_eq!((reply.status, reply.problem().as_str()), (503, "no-active-key"));
    assert_eq!(reply.header("retry-after"), Some("5"));
    assert!(stored_as(&system, "none.plain").is_none() && stored_as(&system, "none.sealed").is_none());
    for id in ["before", "fax-1", "off"] {
        assert!(server.get(&format!("/recordings/{id}/media")).body == media, "{id}");
    }
}

#[test]
fn writers_may_end_while_the_server_stops_and_are_broken_off_then() {
    let (system, media) = (System::with_key(), media(100_000));
    let server = serve_with(&system, &[("SEALTAPE_SERVER__DRAIN_TIMEOUT", "2s")]);
    let mut ends = Upload::begin(&server.address, "ends", &[]);
    let mut goes_on = Upload::begin(&server.address, "goes-on", &[]);
    ends.send(&media[..50_000]);
    goes_on.send(&media[..50_000]);
    for id in ["ends", "goes-on"] {
        assert!(server.wait_until(PATIENCE, |server| state_of(server, id) == "recording"));
    }
    server.signal("TERM");
    thread::sleep(Duration::from_millis(300));
    ends.send(&media[50_000..]);
    assert_eq!(ends.finish().status, 201);
    let begun = Instant::now();
    while goes_on.try_send(&media[..100]) && begun.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(50));
    }
    assert!(begun.elapsed() < PATIENCE, "it is cut");
    assert_eq!(server.wait(), Some(0));
    let server = system.serve();
    assert!(server.get("/recordings/ends/media").body == media);
    assert_eq!(server.get("/recordings/goes-on").json()["state"], "unfinished");
    let played = server.get("/recordings/goes-on/media").body;
    assert!(played.len() >= 12 * CHUNK && played[..49_152] == media[..49_152], "{}", played.len());
    let [event] = &events(&system, "goes-on")[..] else { panic!("one event") };
    assert_eq!(event["outcome"], "unfinished");
    // By its row, not by a lease that lapsed.
    let listed = system.json(&["recordings", "list"]);
    let row = listed.as_array().expect("rows").iter().find(|row| row["id"] == "goes-on").expect("listed").clone();
    assert_eq!(row["state"], "unfinished");
}

#[test]
fn http2_and_tls_take_recordings_too() {
    let (system, media) = (System::with_key(), media(3_000_000));
    let source = system.file("source", &media);
    let (cert, key) = (system.path("cert.pem"), system.path("key.pem"));
    let made = tool("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{}", text(&made.stderr));
    let tls = [
        ("SEALTAPE_SERVER__TLS__CERT", cert.to_str().expect("UTF-8")),
        ("SEALTAPE_SERVER__TLS__KEY", key.to_str().expect("UTF-8")),
    ];
    let send = |server: &Server, scheme: &str, id: &str, options: &[&str], input: Stdio, from: &str| {
        let output = tool("curl")
            .args(["-sS", "--max-time", "60", "-w", "\n%{http_version} %{http_code}", "-T", from])
            .args(options)
            .arg(format!("{scheme}://{}/recordings/{id}/media", server.address))
            .stdin(input)
            .output()
            .expect("curl runs");
        assert!(output.status.success(), "{id}: {}", text(&output.stderr));
        text(&output.stdout).lines().last().expect("a line").to_owned()
    };
    let path = source.to_str().expect("UTF-8");
    let clear = system.serve();
    let opened = || Stdio::from(fs::File::open(&source).expect("opens"));
    assert_eq!(send(&clear, "http", "h1", &[], Stdio::null(), path), "1.1 201");
    assert_eq!(send(&clear, "http", "h1-pipe", &[], opened(), "-"), "1.1 201");
    assert_eq!(send(&clear, "http", "h2", &["--http2-prior-knowledge"], Stdio::null(), path), "2 201");
    assert_eq!(send(&clear, "http", "h2-pipe", &["--http2-prior-knowledge"], opened(), "-"), "2 201");
    assert_eq!(send(&clear, "http", "h2", &["--http2-prior-knowledge"], Stdio::null(), path), "2 409");
    let over_tls = serve_with(&system, &tls);
    let trusted = ["--cacert", cert.to_str().expect("UTF-8")];
    assert_eq!(send(&over_tls, "https", "tls-h2", &trusted, opened(), "-"), "2 201");
    let old = [&trusted[..], &["--http1.1"]].concat();
    assert_eq!(send(&over_tls, "https", "tls-h1", &old, opened(), "-"), "1.1 201");
    for id in ["h1", "h1-pipe", "h2", "h2-pipe", "tls-h2", "tls-h1"] {
        assert!(clear.get(&format!("/recordings/{id}/media")).body == media, "{id}");
    }
    // A stream of HTTP/2 that is reset is a writer that vanished.
    let mut child = tool("curl")
        .args(["-sS", "--http2-prior-knowledge", "-T", "-", "-o", "/dev/null"])
        .arg(clear.url("/recordings/reset/media"))
        .stdin(Stdio::piped())
        .spawn()
        .expect("curl runs");
    let mut input = child.stdin.take().expect("piped");
    std::io::Write::write_all(&mut input, &media[..200_000]).expect("written");
    assert!(clear.wait_until(PATIENCE, |server| state_of(server, "reset") == "recording"), "{}", clear.log());
    child.kill().expect("killed");
    child.wait().expect("ends");
    assert!(clear.wait_until(PATIENCE, |server| state_of(server, "reset") == "unfinished"), "{}", clear.log());
    let played = clear.get("/recordings/reset/media").body;
    assert!(!played.is_empty() && media.starts_with(&played));
}

/// As a recorder would: sound is made, encoded and sent at the pace at which it is heard.
#[test]
fn what_an_encoder_sends_as_it_makes_it_plays() {
    let system = System::with_key();
    let server = system.serve();
    for (id, format, media_type) in [
        ("wav", "wav", "audio/wav"),
        ("ogg", "ogg", "audio/ogg"),
        ("mp3", "mp3", "audio/mpeg"),
        ("webm", "webm", "video/webm"),
    ] {
        let mut command = tool("ffmpeg");
        command.args(["-v", "error", "-re", "-f", "lavfi", "-i", "sine=frequency=440:duration=3"]);
        if format == "webm" {
            command.args(["-re", "-f", "lavfi", "-i", "testsrc=size=64x48:rate=10:duration=3", "-c:v", "libvpx"]);
        }
        command.args(["-flush_packets", "1", "-f", format, "-method", "PUT"]);
        let mut encoder =
            command.arg(server.url(&format!("/recordings/{id}/media"))).stdin(Stdio::null()).spawn().expect("runs");
        assert!(server.wait_until(PATIENCE, |server| state_of(server, id) == "recording"), "{id}: {}", server.log());
        assert!(encoder.wait().expect("ends").success(), "{id}");
        assert!(server.wait_until(PATIENCE, |server| state_of(server, id) == "complete"), "{id}: {}", server.log());
        let played = server.get(&format!("/recordings/{id}/media"));
        assert!(
            played.header("content-type").is_some_and(|found| found.starts_with(media_type)),
            "{:?}",
            played.headers()
        );
        let probed = tool("ffprobe")
            .args(["-v", "error", "-show_entries", "stream=codec_type", "-of", "csv=p=0"])
            .arg(server.url(&format!("/recordings/{id}/media")))
            .output()
            .expect("ffprobe runs");
        assert!(text(&probed.stdout).contains("audio"), "{id}: {probed:?}");
        let decoded = tool("ffmpeg")
            .args(["-v", "error", "-i", &server.url(&format!("/recordings/{id}/media"))])
            .args(["-vn", "-f", "s16le", "-ac", "1", "-ar", "8000", "-"])
            .output()
            .expect("ffmpeg runs");
        let seconds = decoded.stdout.len() as f64 / 16_000.0;
        assert!((2.5..3.5).contains(&seconds), "{id}: {seconds} s: {}", text(&decoded.stderr));
    }
}
