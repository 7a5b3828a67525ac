//! A recording is opened while it is being written, followed to its end, and sought in as far as it goes; what breaks
//! off, is damaged or may not be heard any more never looks like an end.

mod ends;
mod players;
pub mod recorder;
mod watcher;

use std::{
    fs,
    os::unix::fs::FileExt,
    thread,
    time::{Duration, Instant},
};

use self::recorder::{Follower, Recorder, read_until_close};
use crate::support::{Server, System, get, media, request, text, tool};

const SECOND: Duration = Duration::from_secs(1);
const MEDIA: &str = "/recordings/live/media";
/// What a live recording is sealed in.
const CHUNK: usize = 4096;
const RECORD: usize = CHUNK + 16;

fn serve(system: &System, settings: &[(&str, &str)]) -> Server {
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.envs(settings.iter().map(|(key, value)| (format!("SEALTAPE_{key}"), *value)));
    Server::start(command)
}

/// What is verified of the first `len` bytes of a recording that goes on.
fn verified(len: usize) -> usize {
    (len - 1) / CHUNK * CHUNK
}

#[test]
fn all_who_follow_get_every_byte_as_it_is_written_and_an_end_in_order() {
    let (system, media) = (System::with_key(), media(400_000));
    let server = system.serve();
    let mut recorder = Recorder::begin(&system, "live");
    recorder.feed(&media[..100_000]);
    recorder.wait_until_written(&server, verified(100_000));
    let ranges =
        [&[][..], &[("Range", "bytes=0-")], &[("Range", "bytes=-5")], &[("If-Range", "\"x\""), ("Range", "bytes=9-")]];
    let followers: Vec<Follower> = ranges.iter().map(|headers| Follower::begin(&server, MEDIA, headers)).collect();
    for follower in &followers {
        assert_eq!(follower.status, 200);
        assert_eq!(follower.header("transfer-encoding"), Some("chunked"));
        assert_eq!(follower.header("recording-state"), Some("recording"));
        assert_eq!(follower.header("accept-ranges"), Some("bytes"));
        for absent in ["content-length", "content-range", "etag", "last-modified"] {
            assert_eq!(follower.header(absent), None, "{absent}");
        }
    }
    // Other clients, of HTTP/1.1 and HTTP/2.
    let files = [system.path("one"), system.path("two"), system.path("three")];
    let url = server.url(MEDIA);
    let clients = [
        tool("curl").args(["-sS", "--no-buffer", "-o"]).arg(&files[0]).arg(&url).spawn(),
        tool("curl").args(["-sS", "--no-buffer", "--http2-prior-knowledge", "-o"]).arg(&files[1]).arg(&url).spawn(),
        tool("wget").args(["--no-config", "--no-proxy", "-q", "-O"]).arg(&files[2]).arg(&url).spawn(),
    ]
    .map(|client| client.expect("it runs"));
    let old = read_until_close(&server, MEDIA);
    let have = |file| fs::metadata(file).map_or(0, |metadata| metadata.len() as usize);
    for fed in [100_000, 104_000, 180_000, 300_000] {
        recorder.feed_up_to(&media, fed);
        for follower in &followers {
            follower.wait_for(verified(fed));
        }
        for file in &files[..2] {
            assert!(
                server.wait_until(10 * SECOND, |_| have(file) >= verified(fed)),
                "{file:?}: {} of {fed}",
                have(file)
            );
        }
    }
    assert!(followers.iter().all(|follower| !follower.has_ended()), "it goes on");
    recorder.feed_up_to(&media, media.len());
    recorder.end();
    for follower in followers {
        let came = follower.into_end();
        assert!(!came.is_cut && came.bytes == media, "{} bytes, cut: {}", came.bytes.len(), came.is_cut);
    }
    for (mut client, file) in clients.into_iter().zip(&files) {
        assert!(client.wait().expect("ends").success(), "{file:?}");
        assert!(fs::read(file).expect("read") == media, "{file:?}");
    }
    let (came, is_ended) = old.join().expect("read");
    assert!(is_ended && came == media, "HTTP/1.0: {} bytes, in order: {is_ended}", came.len());
    let whole = server.get(MEDIA);
    assert!(whole.header("recording-state") == Some("complete") && whole.body == media);
    // On record once each, with all that they heard.
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    let events = system.json(&["audit", "show", "--recording", "live"]);
    let sessions: Vec<_> =
        events.as_array().expect("events").iter().filter(|event| event["event"] == "closed").collect();
    assert!(!sessions.is_empty(), "{events}");
    for session in &sessions {
        assert_eq!(session["outcome"], "complete", "{session}");
        assert_eq!(session["spans"], serde_json::json!([[0, media.len() - 1]]), "{session}");
    }
    // One for each kind of client: raw sockets, curl, wget.
    assert_eq!(sessions.len(), 3, "{sessions:?}");
}

#[test]
fn what_is_written_can_be_sought_in() {
    let (system, media) = (System::with_key(), media(200_000));
    let server = system.serve();
    let mut recorder = Recorder::begin(&system, "live");
    recorder.feed(&media);
    let len = verified(media.len());
    recorder.wait_until_written(&server, len);
    let document = server.get("/recordings/live").json();
    assert_eq!((&document["media_len"], &document["state"]), (&len.into(), &"recording".into()));
    assert_eq!((&document["playable"], &document["problem"]), (&true.into(), &serde_json::Value::Null));

    for (range, first, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=4095-4096", 4095, 4097),
        ("bytes=1-", 1, len),
        ("bytes=100000-", 100_000, len),
        ("bytes=150000-99999999", 150_000, len),
        ("bytes=0-9007199254740990", 0, len),
    ] {
        let reply = server.get_range(MEDIA, range);
        assert_eq!((reply.status, reply.is_cut), (206, false), "{range}");
        assert_eq!(reply.header("content-range"), Some(format!("bytes {first}-{}/*", end - 1).as_str()), "{range}");
        assert_eq!(reply.header("content-length"), Some((end - first).to_string().as_str()), "{range}");
        assert_eq!((reply.header("etag"), reply.header("recording-state")), (None, Some("recording")), "{range}");
        assert!(reply.body == media[first..end], "{range}");
    }
    // Several, of what is there.
    let several = server.get_range(MEDIA, "bytes=5-9,100000-100009,-3");
    assert_eq!((several.status, several.is_cut), (206, false));
    assert!(several.header("content-type").is_some_and(|kind| kind.starts_with("multipart/byteranges")));
    for (first, end) in [(5, 10), (100_000, 100_010), (len - 3, len)] {
        let part =
            [format!("Content-Range: bytes {first}-{}/*\r\n\r\n", end - 1).as_bytes(), &media[first..end]].concat();
        assert!(several.body.windows(part.len()).any(|window| window == part), "{first}");
    }
    // Without validators conditions match nothing.
    let with = |name, value| get(&server.address, MEDIA, &[("Range", "bytes=0-9"), (name, value)]).status;
    assert_eq!(with("If-None-Match", "\"x\""), 206);
    assert_eq!(with("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"), 206);
    assert_eq!((with("If-Match", "\"x\""), with("If-Match", "*"), with("If-None-Match", "*")), (412, 206, 304));
    for headers in [&[][..], &[("Range", "bytes=0-9")], &[("Range", "bytes=99999999-")]] {
        let head = request(&server.address, "HEAD", MEDIA, headers, b"");
        assert_eq!((head.status, head.body.len(), head.header("recording-state")), (200, 0, Some("recording")));
        assert_eq!(
            (head.header("content-length"), head.header("content-range"), head.header("etag")),
            (None, None, None)
        );
    }
    recorder.end();
    // What was valid stays so.
    for range in [100..200, 4095..4097, 100_000..len] {
        let reply = server.get_range(MEDIA, &format!("bytes={}-{}", range.start, range.end - 1));
        assert!(reply.status == 206 && reply.body == media[range.clone()], "{range:?}");
    }
}

#[test]
fn a_start_that_is_yet_to_come_is_waited_for_and_then_refused() {
    let (system, media) = (System::with_key(), media(60_000));
    let server = system.serve();
    let mut recorder = Recorder::begin(&system, "live");
    recorder.feed(&media[..30_000]);
    recorder.wait_until_written(&server, verified(30_000));
    // It comes in time.
    thread::scope(|scope| {
        let early = scope.spawn(|| server.get_range(MEDIA, "bytes=30000-30099"));
        let very_large = Follower::begin_later(&server, MEDIA, &[("Range", "bytes=30000-9007199254740991")]);
        thread::sleep(SECOND);
        recorder.feed_up_to(&media, 50_000);
        let reply = early.join().expect("answered");
        assert_eq!((reply.status, reply.header("content-range")), (206, Some("bytes 30000-30099/*")));
        assert!(reply.body == media[30_000..30_100]);
        let follower = very_large.head();
        assert_eq!((follower.status, follower.header("content-range")), (206, Some("bytes 30000-9007199254740991/*")));
        follower.wait_for(verified(50_000) - 30_000);
    });
    // It does not.
    for range in ["bytes=55000-", "bytes=55000-9007199254740991", "bytes=55000-55001,60000-"] {
        let begun = Instant::now();
        let reply = server.get_range(MEDIA, range);
        assert_eq!((reply.status, reply.problem().as_str()), (416, "range-not-satisfiable"), "{range}");
        assert_eq!(reply.header("content-range"), None, "{range}");
        assert!(begun.elapsed() >= Duration::from_millis(4900), "{range}: {:?}", begun.elapsed());
    }
    // What never comes is not waited for: some players ask for the end of what has none.
    let reply = server.get_range(MEDIA, "bytes=9223372036854775807-");
    assert_eq!((reply.status, reply.header("content-range")), (416, None));
    // The end comes meanwhile, and then its length can be told.
    thread::scope(|scope| {
        let past = scope.spawn(|| server.get_range(MEDIA, "bytes=70000-"));
        let last = scope.spawn(|| server.get_range(MEDIA, "bytes=59990-"));
        thread::sleep(SECOND);
        recorder.feed_up_to(&media, media.len());
        recorder.end();
        let reply = past.join().expect("answered");
        assert_eq!((reply.status, reply.header("content-range")), (416, Some("bytes */60000")));
        // It is described as it is when it is sent, not as it was when it was asked for.
        let reply = last.join().expect("answered");
        assert!(reply.status == 206 && reply.body == media[59_990..]);
        let is_complete = reply.header("recording-state") == Some("complete");
        let total = if is_complete { "60000" } else { "*" };
        assert_eq!(reply.header("content-range"), Some(format!("bytes 59990-59999/{total}").as_str()));
        let validators = (reply.header("etag").is_some(), reply.header("last-modified").is_some());
        assert_eq!(validators, (is_complete, is_complete));
    });
    let whole = server.get(MEDIA);
    assert_eq!((whole.header("recording-state"), whole.header("content-length")), (Some("complete"), Some("60000")));
    assert!(whole.header("etag").is_some() && whole.header("last-modified").is_some());
}

/// RFC 8673: a very large last position asks for what is there, and for what comes.
#[test]
fn a_very_large_end_is_followed_from_anywhere() {
    let (system, media) = (System::with_key(), media(150_000));
    let server = system.serve();
    let mut recorder = Recorder::begin(&system, "live");
    recorder.feed(&media[..70_000]);
    recorder.wait_until_written(&server, verified(70_000));
    let followers = [
        (0, "9007199254740991"),
        (5000, "9007199254740991"),
        (verified(70_000) - 1, "9007199254740992"),
        (5000, "18446744073709551615"),
    ]
    .map(|(first, last)| {
        let follower = Follower::begin(&server, MEDIA, &[("Range", &format!("bytes={first}-{last}"))]);
        assert_eq!(follower.status, 206);
        assert_eq!(follower.header("content-range"), Some(format!("bytes {first}-{last}/*").as_str()));
        assert_eq!(follower.header("content-length"), None);
        (first, follower)
    });
    recorder.feed_up_to(&media, media.len());
    for (first, follower) in &followers {
        follower.wait_for(verified(media.len()) - first);
    }
    recorder.end();
    for (first, follower) in followers {
        let came = follower.into_end();
        assert!(!came.is_cut && came.bytes == media[first..], "from {first}: {} bytes", came.bytes.len());
    }
}

#[test]
fn a_plain_recording_is_followed_too() {
    let (system, media) = (System::empty(), media(100_000));
    system.ok(&["recordings", "list"]);
    let server = system.serve();
    let mut recorder = Recorder::begin(&system, "live");
    recorder.feed(&media[..30_000]);
    recorder.wait_until_written(&server, 30_000);
    let follower = Follower::begin(&server, MEDIA, &[]);
    assert_eq!((follower.status, follower.header("recording-state")), (200, Some("recording")));
    follower.wait_for(30_000);
    recorder.feed_up_to(&media, 30_010);
    follower.wait_for(30_010);
    recorder.feed_up_to(&media, media.len());
    recorder.end();
    let came = follower.into_end();
    assert!(!came.is_cut && came.bytes == media, "{} bytes", came.bytes.len());
}

/// However many they are, they share a descriptor; one who stops reading holds nobody up, and goes on with every byte
/// right.
#[test]
fn many_followers_share_one_descriptor_and_none_holds_up_the_others() {
    let followers = if std::env::var_os("SEALTAPE_TESTS_FULL").is_some() { 1000 } else { 200 };
    let (system, media) = (System::with_key(), media(6 << 20));
    let server = serve(&system, &[("SERVER__TIMEOUTS__WRITE", "30m"), ("SERVER__MAX_CONNECTIONS", "2000")]);
    let mut recorder = Recorder::begin(&system, "live");
    recorder.feed(&media[..100_000]);
    recorder.wait_until_written(&server, verified(100_000));
    let stalled = Follower::begin_stalled(&server, MEDIA);
    let all: Vec<Follower> = (0..followers).map(|_| Follower::begin(&server, MEDIA, &[])).collect();
    for follower in &all {
        follower.wait_for(verified(100_000));
    }
    let open = fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("it runs");
    let open = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let files = open.filter(|path| path.to_string_lossy().contains("live.sealed")).count();
    assert_eq!(files, 1, "one descriptor for {followers} followers");
    // A megabyte to each would take long; the first of them hear the rest.
    let mut all = all;
    all.truncate(5);
    recorder.feed_up_to(&media, media.len());
    for follower in &all {
        follower.wait_for(verified(media.len()));
    }
    recorder.end();
    for follower in all {
        let came = follower.into_end();
        assert!(!came.is_cut && came.bytes == media, "{} bytes", came.bytes.len());
    }
    let came = stalled.resume();
    assert!(!came.is_cut && came.bytes == media, "{} bytes", came.bytes.len());
}

/// One who waits for the writer waits for us; one who takes nothing makes us wait.
#[test]
fn a_pause_of_the_writer_cuts_nobody_and_a_client_that_takes_nothing_is_cut() {
    let (system, media) = (System::with_key(), media(16 << 20));
    let times = ["IDLE", "WRITE", "HEADERS"].map(|name| format!("SERVER__TIMEOUTS__{name}"));
    let settings: Vec<(&str, &str)> = times.iter().map(|name| (name.as_str(), "1s")).collect();
    let server = serve(&system, &settings);
    let mut recorder = Recorder::begin(&system, "live");
    recorder.feed(&media[..100_000]);
    recorder.wait_until_written(&server, verified(100_000));
    let follower = Follower::begin(&server, MEDIA, &[]);
    let file = system.path("two");
    let mut client = tool("curl")
        .args(["-sS", "--http2-prior-knowledge", "-o"])
        .arg(&file)
        .arg(server.url(MEDIA))
        .spawn()
        .expect("it runs");
    follower.wait_for(verified(100_000));
    thread::sleep(5 * SECOND);
    assert!(!follower.has_ended() && client.try_wait().expect("asked").is_none() && streams(&server) == 2);
    let stalled = Follower::begin_stalled(&server, MEDIA);
    recorder.feed_up_to(&media, media.len());
    follower.wait_for(verified(media.len()));
    // Of three, two are left.
    assert!(server.wait_until(20 * SECOND, |server| streams(server) == 2), "{} streams", streams(&server));
    recorder.end();
    let came = follower.into_end();
    assert!(!came.is_cut && came.bytes == media, "{} bytes", came.bytes.len());
    assert!(client.wait().expect("ends").success() && fs::read(&file).expect("read") == media);
    let came = stalled.resume();
    assert!(came.is_cut && came.bytes.len() < media.len() && media.starts_with(&came.bytes), "{}", came.bytes.len());
}

#[test]
fn what_is_read_from_the_command_line_ends_where_it_is_verified() {
    let (system, media) = (System::with_key(), media(50_000));
    let server = system.serve();
    let mut recorder = Recorder::begin(&system, "live");
    recorder.feed(&media);
    recorder.wait_until_written(&server, verified(media.len()));
    let output = system.run(&["cat", "live"]);
    assert!(output.status.success() && output.stdout == media[..verified(media.len())], "{}", text(&output.stderr));
    recorder.end();
}

/// How many answers with media are on their way.
fn streams(server: &Server) -> u64 {
    let metrics = text(&server.get("/metrics").body);
    let line = metrics.lines().find(|line| line.starts_with("sealtape_streams_active ")).expect("a gauge");
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
}

/// Flips a bit of a file in place, and changes nothing else of it.
fn flip_in_place(path: &std::path::Path, at: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).expect("opens");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("read");
    file.write_all_at(&[byte[0] ^ 1], at).expect("written");
}
