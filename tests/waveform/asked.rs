//! Who gets a waveform, what refuses it, and how much work it is: once for all who ask, and for nobody who has left.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    thread,
    time::Duration,
};

use super::{HALF_ON_THE_LEFT, channel, import, made, metric, outcomes, waveform};
use crate::support::{Server, System, Upload, get, request, sample, text};

const PATH: &str = "/recordings/call/waveform";
const SECOND: Duration = Duration::from_secs(1);

fn with_call() -> System {
    let system = System::with_key();
    import(&system, &sample("call-billing-wav-pcm.wav"), "call");
    system
}

/// A call of so many hours, at 8 kHz in mu-law.
#[expect(clippy::little_endian_bytes, reason = "WAV has its numbers so")]
fn long_call(system: &System, hours: u32) -> PathBuf {
    let len = hours * 3600 * 8000;
    let mut head = Vec::new();
    head.extend(b"RIFF");
    head.extend((len + 38).to_le_bytes());
    head.extend(b"WAVEfmt ");
    head.extend([18, 0, 0, 0, 7, 0, 1, 0]);
    head.extend(8000_u32.to_le_bytes());
    head.extend(8000_u32.to_le_bytes());
    head.extend([1, 0, 8, 0, 0, 0]);
    head.extend(b"data");
    head.extend(len.to_le_bytes());
    let path = system.file("long.wav", &head);
    fs::File::options().write(true).open(&path).expect("opens").set_len(46 + u64::from(len)).expect("grown");
    path
}

#[test]
fn an_answer_is_private_and_says_as_much_as_was_asked_for() {
    let system = with_call();
    let server = system.serve();
    let whole = server.get(PATH);
    assert_eq!(whole.status, 200);
    assert_eq!(whole.header("cache-control"), Some("private, no-store"));
    assert_eq!(whole.json()["channels"][0].as_array().expect("parts").len(), 1000);
    let head = request(&server.address, "HEAD", PATH, &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    for name in ["content-type", "cache-control"] {
        assert_eq!(head.header(name), whole.header(name), "{name}");
    }
    for points in ["0", "10001", "-1", "ten", "", "1.5", "99999999999999999999"] {
        for method in ["GET", "HEAD"] {
            let reply = request(&server.address, method, &format!("{PATH}?points={points}"), &[], b"");
            assert_eq!((reply.status, reply.header("playback-error")), (400, Some("bad-request")), "{points}");
        }
        let detail = server.get(&format!("{PATH}?points={points}")).json()["detail"].as_str().expect("text").to_owned();
        assert!(detail.contains("`points`") && detail.contains("1 to 10000"), "{detail}");
    }
    let posted = request(&server.address, "POST", PATH, &[], b"");
    assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD")));
    assert_eq!(outcomes(&server, "made"), 1.0, "what is known is not decoded again");
}

/// First match, in the order of the media's.
#[test]
fn what_refuses_the_media_refuses_its_waveform() {
    let system = with_call();
    let other = System::with_key();
    for id in ["foreign", "damaged", "damaged-later", "gone"] {
        import(&system, &sample("call-billing-wav-pcm.wav"), id);
    }
    import(&other, &sample("call-billing-wav-pcm.wav"), "foreign");
    system.object("foreign").write(&other.object("foreign").read());
    system.object("damaged").flip(700);
    system.object("damaged-later").flip(300_000);
    system.object("gone").remove();
    import(&system, &system.file("page.pdf", b"%PDF-1.7\n%%EOF\n"), "page");
    system.object("page").flip(515);
    let server = system.serve();
    for (id, problem) in [
        ("foreign", "key-missing"),
        ("damaged", "recording-corrupt"),
        ("page", "recording-corrupt"),
        ("gone", "media-missing"),
        ("nobody", "recording-not-found"),
    ] {
        for method in ["GET", "HEAD"] {
            let ask = |what: &str| request(&server.address, method, &format!("/recordings/{id}/{what}"), &[], b"");
            let (media, waveform) = (ask("media"), ask("waveform"));
            assert_eq!(media.header("playback-error"), Some(problem), "{method} {id}");
            assert_eq!(waveform.header("playback-error"), Some(problem), "{method} {id}");
            assert_eq!(waveform.status, media.status, "{method} {id}");
        }
        let mut documents = ["media", "waveform"].map(|what| server.get(&format!("/recordings/{id}/{what}")).json());
        documents.iter_mut().for_each(|document| document["instance"] = "".into());
        assert_eq!(documents[0], documents[1], "{id}: the same, but for the request's ID");
    }
    assert_eq!(server.get("/recordings/damaged-later/waveform").problem(), "recording-corrupt");
    assert_eq!(outcomes(&server, "failed"), 1.0);
    assert_eq!(outcomes(&server, "made"), 0.0);
}

#[test]
fn the_switch_and_a_deactivated_key_take_it_away_also_what_is_known() {
    let system = with_call();
    let server = system.serve();
    assert_eq!(server.get(PATH).status, 200);
    system.ok(&["encryption", "disable"]);
    assert!(server.wait_until(2 * SECOND, |server| server.get(PATH).status == 409));
    assert_eq!(server.get(PATH).problem(), "encryption-disabled");
    assert_eq!(server.get(&format!("{PATH}?points=0")).problem(), "encryption-disabled", "before what is asked for");
    system.ok(&["encryption", "enable"]);
    assert!(server.wait_until(2 * SECOND, |server| server.get(PATH).status == 200));
    let key = system.json(&["keys", "list"])[0]["fingerprint"].as_str().expect("a fingerprint").to_owned();
    system.ok(&["keys", "deactivate", &key, "--force"]);
    assert!(server.wait_until(2 * SECOND, |server| server.get(PATH).status == 409));
    assert_eq!(server.get(PATH).problem(), "key-deactivated");
    system.ok(&["keys", "activate", &key]);
    assert!(server.wait_until(2 * SECOND, |server| server.get(PATH).status == 200));
    assert_eq!(outcomes(&server, "made"), 1.0, "it was known all the while");
    system.ok(&["recordings", "delete", "call"]);
    assert!(server.wait_until(2 * SECOND, |server| server.get(PATH).status == 404));
}

#[test]
fn who_may_play_may_see_and_it_is_on_record() {
    let system = with_call();
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("SEALTAPE_AUTH__MODE", "token");
    command.env("SEALTAPE_SERVER__CORS__ALLOW_ORIGINS", "https://qa.example");
    let server = Server::start(command);
    let token = |scope: &str| {
        let arguments = ["token", "create", "--scope", scope, "--subject", "ann", "--ttl", "1h"];
        system.json(&arguments)["token"].as_str().expect("a token").to_owned()
    };
    let ask = |scope: &str| get(&server.address, PATH, &[("Authorization", &format!("Bearer {}", token(scope)))]);
    assert_eq!(server.get(PATH).problem(), "unauthenticated");
    assert_eq!(ask("recordings:list").problem(), "forbidden");
    assert_eq!(ask("recordings:play").status, 200);
    let url = system.json(&["link", "call", "--subject", "bob"])["url"].as_str().expect("a URL").to_owned();
    let link = url.split_once('?').expect("a query").1;
    let by_link = get(&server.address, &format!("{PATH}?points=5&{link}"), &[("Origin", "https://qa.example")]);
    assert_eq!((by_link.status, by_link.json()["channels"][0].as_array().expect("parts").len()), (200, 5));
    assert_eq!(by_link.header("access-control-allow-origin"), Some("https://qa.example"));
    assert_eq!(by_link.header("cross-origin-resource-policy"), Some("cross-origin"));
    import(&system, &sample("call-billing-wav-pcm.wav"), "other");
    assert_eq!(server.get(&format!("/recordings/other/waveform?{link}")).problem(), "forbidden");
    // What says nothing of a sound is no reading of it.
    let head = request(&server.address, "HEAD", &format!("{PATH}?{link}"), &[], b"");
    assert_eq!(head.status, 200);

    let shown = system.json(&["audit", "show", "--recording", "call"]);
    let events = shown.as_array().expect("events");
    let read: Vec<_> = events.iter().filter(|event| event["event"] == "waveform.read").collect();
    assert_eq!(read.len(), 2, "{shown}");
    assert_eq!((&read[0]["subject"], &read[0]["credential"]), (&"ann".into(), &"token".into()));
    assert_eq!((&read[1]["subject"], &read[1]["credential"]), (&"bob".into(), &"link".into()));
    assert_eq!(read[1]["request_ids"][0].as_str(), by_link.header("x-request-id"));
    assert!(read[0]["seal_id"].is_string() && read[0]["fingerprint"].is_string());
    let refused = events.iter().filter(|event| event["event"] == "refused").count();
    assert!(refused >= 2, "{shown}");
}

#[test]
fn those_who_ask_meanwhile_share_one_decoding() {
    let system = System::with_key();
    import(&system, &long_call(&system, 4), "call");
    let server = system.serve();
    let answers: Vec<_> = thread::scope(|scope| {
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| waveform(&server, "call", 500))).collect();
        asking.into_iter().map(|asked| asked.join().expect("answered")).collect()
    });
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(answers[0]["duration_s"], 4.0 * 3600.0);
    assert_eq!(outcomes(&server, "made"), 1.0);
    assert_eq!(metric(&server, "sealtape_waveforms_active"), 0.0);
    assert_eq!(metric(&server, "sealtape_cache_misses_total{cache=\"waveforms\"}"), 8.0);
    assert_eq!(waveform(&server, "call", 7)["duration_s"], 4.0 * 3600.0);
    assert_eq!(outcomes(&server, "made"), 1.0);
    assert_eq!(metric(&server, "sealtape_cache_hits_total{cache=\"waveforms\"}"), 1.0);
}

#[test]
fn when_the_last_client_leaves_the_work_ends() {
    let system = System::with_key();
    import(&system, &long_call(&system, 24), "call");
    let server = system.serve();
    let ask = || {
        let mut stream = TcpStream::connect(&server.address).expect("connects");
        write!(stream, "GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
        stream
    };
    let active = |server: &Server| metric(server, "sealtape_waveforms_active");
    let (first, second) = (ask(), ask());
    assert!(server.wait_until(5 * SECOND, |server| active(server) == 1.0));
    drop(first);
    thread::sleep(SECOND / 2);
    assert_eq!((active(&server), outcomes(&server, "abandoned")), (1.0, 0.0), "one waits on");
    drop(second);
    assert!(server.wait_until(SECOND, |server| active(server) == 0.0), "{} are made", active(&server));
    assert_eq!((outcomes(&server, "abandoned"), outcomes(&server, "made")), (1.0, 0.0));
    // Whoever comes later is not told of that.
    let mut later = ask();
    let mut line = [0; 12];
    later.set_read_timeout(Some(120 * SECOND)).expect("set");
    later.read_exact(&mut line).expect("answered");
    assert_eq!(text(&line), "HTTP/1.1 200");
}

#[test]
fn a_recording_in_progress_shows_what_is_there() {
    let system = System::with_key();
    let file = made(&system, "call.wav", HALF_ON_THE_LEFT, &["-c:a", "pcm_s16le", "-ar", "8000"]);
    let media = fs::read(file).expect("read");
    let server = system.serve();
    let mut upload = Upload::begin(&server.address, "call", &[("Content-Type", "audio/wav")]);
    let known = |server: &Server| server.get("/recordings/call").json()["media_len"].as_u64().unwrap_or(0);
    let mut last = 0.0;
    for third in media.chunks(media.len().div_ceil(3)) {
        let before = known(&server);
        upload.send(third);
        assert!(server.wait_until(10 * SECOND, |server| known(server) > before + 10_000));
        let document = waveform(&server, "call", 30);
        let duration = document["duration_s"].as_f64().expect("known");
        assert!(duration > last + 0.5 && duration <= 3.001, "{duration} after {last}");
        last = duration;
    }
    assert_eq!(upload.finish().status, 201);
    let document = waveform(&server, "call", 30);
    assert_eq!(document["duration_s"], 3.0);
    assert_eq!(channel(&document, 0)[15], (-0.5, 0.5));
    assert_eq!(metric(&server, "sealtape_cache_hits_total{cache=\"waveforms\"}"), 0.0, "nothing was remembered of it");
}
