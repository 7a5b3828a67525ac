//! What the machine does to a server: it stops it for a while, gives it no more descriptors or memory, and lets its clock
//! jump. Nothing wrong is served, and afterwards everything goes on.
//!
//! What full disks do is tried in `put`, what kills do in `kills`, what stores and databases that are away do in `moved`,
//! `spool` and `put`.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::Value;

use crate::put::{killed::end_leases, state_of, stored_as};
use crate::support::{Server, System, Upload, media, text};

const LEN: usize = 8 << 20;
const SECOND: Duration = Duration::from_secs(1);

fn system() -> (System, Vec<u8>) {
    let (system, media) = (System::with_key(), media(LEN));
    system.import("call", &media);
    (system, media)
}

/// A player that has the beginning of a recording.
fn begin(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(&server.address).expect("connects");
    stream.set_read_timeout(Some(60 * SECOND)).expect("set");
    let request = b"GET /recordings/call/media HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).expect("sent");
    stream
}

/// Reads an answer to its end, whose head may have been read in part; its body.
fn body(mut came: Vec<u8>, stream: &mut TcpStream) -> Vec<u8> {
    let _reset_is_an_end = stream.read_to_end(&mut came);
    let head = came.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    came.split_off(head)
}

fn limit(server: &Server, resource: Resource, to: Option<u64>) -> Rlimit {
    let pid = Pid::from_raw(server.pid().try_into().expect("a process ID"));
    // What it may have at most stays as it inherited it.
    let maximum = getrlimit(resource).maximum;
    let before = prlimit(pid, resource, Rlimit { current: to, maximum });
    before.expect("whoever started it may")
}

/// As after a night asleep: who waited gets the rest, a recorder goes on, and nobody is told that anybody died.
#[test]
fn a_server_that_stood_still_goes_on() {
    let (system, media) = system();
    let server = system.serve();
    let mut players: Vec<_> = (0..8)
        .map(|_| {
            let mut stream = begin(&server);
            let mut first = vec![0; 200_000];
            stream.read_exact(&mut first).expect("it plays");
            (first, stream)
        })
        .collect();
    let mut recorder = Upload::begin(&server.address, "live", &[]);
    recorder.send(&media[..100_000]);
    assert!(server.wait_until(10 * SECOND, |server| server.get("/recordings/live").status == 200));
    server.signal("STOP");
    let mut late = begin(&server);
    assert!(recorder.try_send(&media[100_000..150_000]), "the system takes it");
    // Longer than a second look at keys; longer than a lease it stands still below.
    thread::sleep(4 * SECOND);
    server.signal("CONT");
    for (first, stream) in &mut players {
        assert!(body(std::mem::take(first), stream) == media, "a player that waited");
    }
    assert!(body(Vec::new(), &mut late) == media, "one that came meanwhile");
    recorder.send(&media[150_000..300_000]);
    assert_eq!(recorder.finish().status, 201);
    assert!(server.get("/recordings/live/media").body == media[..300_000]);
    assert_eq!(server.get("/readyz").json()["degraded"], serde_json::json!([]));
}

/// What others do about a recording whose writer they may hold for dead.
const LOOKS: [&[&str]; 3] =
    [&["recordings", "list"], &["recordings", "rebuild"], &["verify", "--all", "--repair", "--force"]];

/// It stood still for longer than its lease, but holds its file: nobody takes it for dead, and it goes on to its end.
#[test]
fn a_writer_that_stood_still_beyond_its_lease_ends_whole() {
    thread::scope(|scope| {
        for look in LOOKS {
            scope.spawn(move || {
                let mut asleep = Asleep::new();
                asleep.system.run(look);
                let played = asleep.other.get_range("/recordings/live/media", "bytes=0-49999");
                assert!(played.body == asleep.media[..50_000], "{look:?}: {played:?}");
                assert_eq!(asleep.wake(), Some(201), "{look:?}");
                let Asleep { system, server, other, media, .. } = &asleep;
                for server in [server, other] {
                    assert_eq!(state_of(server, "live"), "complete", "{look:?}");
                    assert!(server.get("/recordings/live/media").body == *media, "{look:?}");
                }
                assert!(system.run(&["cat", "live"]).stdout == *media, "{look:?}");
                assert_eq!(system.run(&["verify", "--all"]).status.code(), Some(0), "{look:?}");
            });
        }
    });
}

/// The same without its hold on the file, as where a file server lost the locks that it had given: it is held for dead while
/// it stands still, and whatever was done about that, all see the same when it is awake again.
#[test]
fn a_writer_that_was_held_for_dead_wakes_and_nothing_wrong_is_played() {
    thread::scope(|scope| {
        for look in LOOKS {
            scope.spawn(move || {
                let mut asleep = Asleep::new();
                // A copy in its place is as one that nobody locks.
                let part = stored_as(&asleep.system, "live.sealed.part").expect("it grows");
                let aside = asleep.system.path("aside");
                fs::rename(&part, &aside).and_then(|()| fs::copy(&aside, &part)).expect("swapped");
                asleep.system.run(look);
                let taken_for = asleep.other.get("/recordings/live").json()["state"].clone();
                println!("{look:?}: {taken_for} while it stands still");
                // Its own file has no name any more: it does not say that all of it was kept.
                let status = asleep.wake();
                assert!(status.is_some_and(|status| status >= 500), "{look:?}: {status:?}");
                let Asleep { system, server, other, media, .. } = &asleep;
                let restarted = system.serve();
                for server in [server, other, &restarted] {
                    // What broke off, or what was made of that.
                    let is_settled = |server: &Server| {
                        ["unfinished", "complete"].map(Value::from).contains(&state_of(server, "live"))
                    };
                    assert!(server.wait_until(10 * SECOND, is_settled), "{look:?}: {}", state_of(server, "live"));
                    let reply = server.get("/recordings/live/media");
                    assert!(reply.status == 200 && !reply.is_cut && reply.body.len() > 90_000, "{look:?}: {reply:?}");
                    assert!(media.starts_with(&reply.body), "{look:?}: {} bytes that are wrong", reply.body.len());
                    assert!(!server.log().contains("panic"), "{look:?}: {}", server.log());
                }
                let verified = system.run(&["verify", "--all"]);
                assert_eq!(verified.status.code(), Some(0), "{look:?}: {}", text(&verified.stdout));
            });
        }
    });
}

/// A server that stands still in the middle of a recording, whose lease is over, and another one beside it.
struct Asleep {
    system: System,
    server: Server,
    other: Server,
    media: Vec<u8>,
    recorder: Option<Upload>,
}

impl Asleep {
    fn new() -> Self {
        let (system, media) = (System::with_key(), media(300_000));
        let (server, other) = (system.serve(), system.serve());
        let mut recorder = Upload::begin(&server.address, "live", &[]);
        recorder.send(&media[..100_000]);
        let is_there = |server: &Server| server.get("/recordings/live").status == 200;
        assert!(server.wait_until(10 * SECOND, is_there) && other.wait_until(10 * SECOND, is_there));
        let part = || stored_as(&system, "live.sealed.part").and_then(|part| fs::metadata(part).ok());
        let is_written = |_: &Server| part().is_some_and(|part| part.len() > 95_000);
        assert!(server.wait_until(10 * SECOND, is_written));
        server.signal("STOP");
        end_leases(&system);
        Self { system, server, other, media, recorder: Some(recorder) }
    }

    /// It goes on with the rest, and says what became of the recording.
    fn wake(&mut self) -> Option<u16> {
        self.server.signal("CONT");
        let mut recorder = self.recorder.take().expect("it was not woken before");
        for piece in self.media[100_000..].chunks(10_000) {
            if !recorder.try_send(piece) {
                break;
            }
        }
        recorder.try_finish().map(|reply| reply.status)
    }
}

#[test]
fn without_descriptors_those_who_play_go_on_and_others_can_come_later() {
    let (system, media) = system();
    system.import("other", &media);
    let server = system.serve();
    assert!(server.get("/recordings/call/media").body == media);
    let mut stream = begin(&server);
    let mut first = vec![0; 200_000];
    stream.read_exact(&mut first).expect("it plays");
    let mut kept = TcpStream::connect(&server.address).expect("connects");
    kept.set_read_timeout(Some(30 * SECOND)).expect("set");
    kept.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    kept.read_exact(&mut [0; 12]).expect("it answers");
    // Not one more than it has: every file, socket and database connection that it would open fails.
    let before = limit(&server, Resource::Nofile, Some(3));
    assert!(body(first, &mut stream) == media, "who plays goes on");
    // On a connection that is there: a recording whose file would have to be opened cannot be told from one that cannot
    // be read.
    kept.write_all(b"GET /recordings/other/media HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let mut came = Vec::new();
    let _reset_is_an_end = kept.read_to_end(&mut came);
    let said = text(&came);
    let answers: Vec<&str> = said.split("HTTP/1.1 ").skip(1).map(|head| &head[..3]).collect();
    assert_eq!(answers.last(), Some(&"503"), "{said}");
    assert!(said.contains("storage-unavailable") || said.contains("catalogue-unavailable"), "{said}");
    // Whoever comes now waits, and is served when there are descriptors again.
    let waiting: Vec<_> = (0..10).map(|_| begin(&server)).collect();
    thread::sleep(2 * SECOND);
    limit(&server, Resource::Nofile, before.current);
    for mut stream in waiting {
        assert!(body(Vec::new(), &mut stream) == media, "one that waited");
    }
    assert!(server.get("/recordings/other/media").body == media, "and all is as it was");
    assert!(server.wait_until(10 * SECOND, |server| server.get("/recordings").status == 200));
    assert!(!server.log().contains("panic"), "{}", server.log());
}

/// It refuses, or it ends: what came until then is right, and what was acknowledged is there afterwards.
#[test]
fn without_memory_nothing_wrong_is_served() {
    let (system, media) = system();
    let server = system.serve();
    assert!(server.get("/recordings/call/media").body == media);
    let kept = crate::support::put(&server.address, "kept", &[], &media[..3_000_000]);
    assert_eq!(kept.status, 201);
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("it runs");
    // What may be written to: address space that is only set aside, as each thread does for its heap, is no memory.
    let line = status.lines().find(|line| line.starts_with("VmData:")).expect("VmData");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number");
    limit(&server, Resource::Data, Some((kib << 10) + (16 << 20)));
    // Each is given something before the first is read on.
    const PLAYERS: usize = 600;
    let mut players: Vec<_> = (0..PLAYERS).filter_map(|_| try_begin(&server)).collect();
    let outcomes: Vec<Vec<u8>> = players.iter_mut().filter_map(try_finish).collect();
    let whole = outcomes.iter().filter(|body| **body == media).count();
    for came in &outcomes {
        assert!(media.starts_with(came) || came.starts_with(b"{"), "{} bytes that are wrong", came.len());
    }
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap_or_default();
    let how = if status.contains("State:\tZ") { "it ended" } else { "it lives" };
    let some = outcomes.iter().filter(|body| !body.is_empty() && body.len() < media.len()).count();
    println!("{whole} of {PLAYERS} players heard all, and {some} a part, where no memory could be had, {how}");
    assert!(whole < PLAYERS, "there was memory for all of them");
    assert!(whole + some > 50, "nothing was served");
    server.signal("KILL");
    server.wait();
    let server = system.serve();
    for (id, media) in [("call", &media[..]), ("kept", &media[..3_000_000])] {
        assert!(server.get(&format!("/recordings/{id}/media")).body == media, "{id}");
    }
}

/// A player; none when the server is gone.
fn try_begin(server: &Server) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(&server.address).ok()?;
    stream.set_read_timeout(Some(60 * SECOND)).ok()?;
    let request = b"GET /recordings/call/media HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).ok()?;
    Some(stream)
}

/// What came of it, if anything.
fn try_finish(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut came = Vec::new();
    let _reset_is_an_end = stream.read_to_end(&mut came);
    let head = came.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    Some(came.split_off(head))
}

/// The wall clock is put a day forward and back while it serves (libfaketime, which reads the time to tell from a file).
#[test]
fn a_clock_that_jumps_harms_nobody() {
    const LIBRARIES: &[&str] = &[
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
        "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    ];
    let library = LIBRARIES.iter().find(|path| std::path::Path::new(path).exists());
    let library = library.expect("libfaketime is missing: `tests/run` installs what the tests need");
    let (system, media) = system();
    let file = system.file("time", b"+0");
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", &file).env("FAKETIME_NO_CACHE", "1");
    // Timers are told by another clock, which no jump moves.
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let server = Server::start(command);
    let mut recorder = Upload::begin(&server.address, "live", &[]);
    recorder.send(&media[..100_000]);
    assert!(server.wait_until(10 * SECOND, |server| server.get("/recordings/live").status == 200));
    let mut days = Vec::new();
    for (turn, jump) in ["+1d", "-1d", "+30d", "+0"].into_iter().enumerate() {
        system.file("time", jump.as_bytes());
        thread::sleep(SECOND);
        assert!(server.get("/recordings/call/media").body == media, "{jump}");
        let id = format!("at-{turn}");
        let put = crate::support::put(&server.address, &id, &[], &media[..50_000]);
        assert_eq!(put.status, 201, "{jump}: {put:?}");
        let created_at = server.get(&format!("/recordings/{id}")).json()["created_at"].clone();
        days.push(created_at.as_str().expect("a time")[..10].to_owned());
        assert!(server.get(&format!("/recordings/{id}/media")).body == media[..50_000], "{jump}");
        // Its writer is alive, whatever its lease says by that clock.
        let live = server.get("/recordings/live").json();
        assert!(live["playable"] == true, "{jump}: {live}");
        recorder.send(&media[100_000 + turn * 10_000..][..10_000]);
    }
    days.sort();
    days.dedup();
    assert_eq!(days.len(), 4, "it jumped each time: {days:?}");
    assert_eq!(recorder.finish().status, 201);
    assert!(server.get("/recordings/live/media").body == media[..140_000]);
    assert!(!server.log().contains("panic"), "{}", server.log());
}
