//! The same through the program, with everything that may happen to the folder of the cache while players play.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::{FileExt, PermissionsExt},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::files;
use crate::support::{Server, System, media, request, text, tool};

const PATIENCE: Duration = Duration::from_secs(20);
const LEN: usize = 5_000_000;
/// A chunk of 16 KiB and its tag.
const RECORD: usize = 16_400;

struct Cached {
    system: System,
}

impl Cached {
    fn new() -> Self {
        Self { system: System::with_key() }
    }

    fn cache(&self) -> PathBuf {
        self.system.path("cache")
    }

    fn serve(&self) -> Server {
        self.serve_in(&self.cache())
    }

    fn serve_in(&self, cache: &Path) -> Server {
        let mut command = self.system.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("SEALTAPE_STORAGE__CACHE__PATH", cache).env("SEALTAPE_STORAGE__CACHE__SIZE", "64MiB");
        Server::start(command)
    }
}

fn play(server: &Server, id: &str, media: &[u8]) {
    let reply = server.get(&format!("/recordings/{id}/media"));
    assert_eq!((reply.status, reply.body.len()), (200, media.len()), "{id}: {}", server.log());
    assert!(reply.body == media, "{id}: other bytes");
}

/// The sum of a metric's samples.
fn count(server: &Server, name: &str) -> u64 {
    let metrics = text(&server.get("/metrics").body);
    let samples = metrics
        .lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ') || rest.starts_with('{')));
    let whole = |line: &str| line.rsplit(' ').next()?.split('.').next()?.parse::<u64>().ok();
    samples.map(|line| whole(line).expect("a number")).sum()
}

/// Waits until nothing more is written down; how much was fetched.
fn settle(server: &Server, cache: &Path) -> u64 {
    let mut before = (u64::MAX, 0);
    assert!(server.wait_until(PATIENCE, |server| {
        thread::sleep(Duration::from_millis(200));
        let now = (count(server, "sealtape_cache_fetched_bytes_total"), super::room(cache).1);
        let is_settled = now == before && count(server, "sealtape_cache_fetches_active") == 0;
        before = now;
        is_settled
    }));
    before.0
}

#[test]
fn a_recording_is_fetched_once_also_across_a_restart() {
    let (cached, media) = (Cached::new(), media(LEN));
    cached.system.import("call", &media);
    let stored_len = fs::metadata(cached.system.stored("call")).expect("there").len();
    {
        let server = cached.serve();
        let playing: Vec<_> = (0..20)
            .map(|_| {
                let address = server.address.clone();
                thread::spawn(move || crate::support::get(&address, "/recordings/call/media", &[]).body)
            })
            .collect();
        for player in playing {
            assert!(player.join().expect("plays") == media);
        }
        assert_eq!(settle(&server, &cached.cache()), stored_len - 512, "all of it but the header, once");
        assert_eq!(fs::metadata(cached.cache()).expect("there").permissions().mode() & 0o777, 0o700);
        for file in files(&cached.cache()) {
            assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        }
    }
    let server = cached.serve();
    play(&server, "call", &media);
    let range = server.get_range("/recordings/call/media", "bytes=3000000-3999999");
    assert!(range.status == 206 && range.body == media[3_000_000..4_000_000]);
    assert_eq!(settle(&server, &cached.cache()), 0, "not a byte");
    assert!(count(&server, "sealtape_cache_read_bytes_total") > LEN as u64);
}

#[test]
fn any_damage_in_the_folder_is_healed_and_nobody_notices() {
    let (cached, media) = (Cached::new(), media(LEN));
    cached.system.import("call", &media);
    let server = cached.serve();
    play(&server, "call", &media);
    settle(&server, &cached.cache());
    let file = &files(&cached.cache())[0];
    let flip = |at: u64| {
        let file = fs::OpenOptions::new().read(true).write(true).open(file).expect("opens");
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).expect("read");
        file.write_all_at(&[byte[0] ^ 1], at).expect("written");
    };
    let stored_len = fs::metadata(cached.system.stored("call")).expect("there").len();
    // In the first record, in the midst, in the last one and its tag: read now, and when it is opened anew.
    // In the first record, in the midst, in the last one and its tag.
    for at in [600, 512 + RECORD as u64 - 1, 2_500_000, stored_len - 100, stored_len - 1] {
        flip(4096 + at);
        play(&server, "call", &media);
        settle(&server, &cached.cache());
        // A range finds it too.
        flip(4096 + at);
        let from = (at as usize).saturating_sub(40_000).min(LEN - 1);
        let range = server.get_range("/recordings/call/media", &format!("bytes={from}-"));
        assert!(range.status == 206 && range.body == media[from..], "{at}");
        settle(&server, &cached.cache());
    }
    assert!(count(&server, "sealtape_cache_distrusted_total") >= 10);
    assert_eq!(count(&server, "sealtape_verification_failures_total"), 0, "no recording was called corrupt");
    // All of it, while fifty play.
    let bytes = fs::metadata(file).expect("there").len();
    let playing: Vec<_> = (0..50)
        .map(|n| {
            let address = server.address.clone();
            let range = format!("bytes={}-", n * 60_000);
            thread::spawn(move || (n, crate::support::get(&address, "/recordings/call/media", &[("Range", &range)])))
        })
        .collect();
    for at in (4096..bytes).step_by(10_007) {
        flip(at);
    }
    for player in playing {
        let (n, reply) = player.join().expect("plays");
        assert!(reply.status == 206 && reply.body == media[n * 60_000..], "{n}");
    }
    assert_eq!(count(&server, "sealtape_verification_failures_total"), 0);
}

/// What is wrong with the recording itself is told as before, by its name.
#[test]
fn a_recording_that_is_corrupt_in_the_store_is_still_called_so() {
    let (cached, media) = (Cached::new(), media(LEN));
    cached.system.import("call", &media);
    crate::support::flip(&cached.system.stored("call"), 512 + 20 * RECORD + 7);
    let server = cached.serve();
    for _ in 0..3 {
        let whole = server.get("/recordings/call/media");
        assert!(whole.status == 200 && whole.is_cut && media[..20 * 16_384].starts_with(&whole.body));
        assert!(whole.body.len() >= 19 * 16_384, "what verified was sent: {}", whole.body.len());
        let within = server.get_range("/recordings/call/media", "bytes=327700-327710");
        assert_eq!((within.status, within.problem().as_str()), (500, "recording-corrupt"));
        let after = server.get_range("/recordings/call/media", "bytes=400000-");
        assert!(after.status == 206 && after.body == media[400_000..]);
        settle(&server, &cached.cache());
    }
    let at = fs::metadata(cached.system.stored("call")).expect("there").len() as usize - 3;
    crate::support::flip(&cached.system.stored("call"), at);
    assert_eq!(server.get("/recordings/call/media").problem(), "recording-corrupt");
}

#[test]
fn a_server_killed_while_it_writes_leaves_nothing_wrong() {
    let (cached, media) = (Cached::new(), media(LEN));
    let rounds = if std::env::var_os("SEALTAPE_TESTS_FULL").is_some() { 60 } else { 10 };
    for n in 0..3 {
        cached.system.import(&format!("call-{n}"), &media);
    }
    for round in 0..rounds {
        let server = cached.serve();
        let streams: Vec<TcpStream> = (0..3)
            .map(|n| {
                let mut stream = TcpStream::connect(&server.address).expect("connects");
                write!(stream, "GET /recordings/call-{n}/media HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
                stream
            })
            .collect();
        let reading: Vec<_> = streams
            .into_iter()
            .map(|mut stream| {
                thread::spawn(move || {
                    let mut came = Vec::new();
                    let _cut_is_an_end = stream.read_to_end(&mut came);
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(3 * round));
        server.signal("KILL");
        server.wait();
        for reader in reading {
            reader.join().expect("ends");
        }
        let server = cached.serve();
        for n in 0..3 {
            play(&server, &format!("call-{n}"), &media);
        }
        assert_eq!(count(&server, "sealtape_verification_failures_total"), 0);
        assert_eq!(count(&server, "sealtape_cache_distrusted_total"), 0, "what is torn is seen by its sum");
        if round % 2 == 0 {
            drop(server);
            fs::remove_dir_all(cached.cache()).expect("removed");
        }
    }
}

/// A file system in memory, mounted for as long as this is held.
struct Small(PathBuf);

impl Small {
    fn mount(path: PathBuf, len: usize) -> Self {
        fs::create_dir(&path).expect("made");
        let options = format!("size={len},mode=700");
        let mounted =
            tool("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&path).output().expect("mount runs");
        assert!(mounted.status.success(), "this needs the right to mount: {}", text(&mounted.stderr));
        Self(path)
    }

    fn grow(&self, len: usize) {
        let options = format!("remount,size={len}");
        assert!(tool("mount").args(["-o", &options]).arg(&self.0).status().expect("mount runs").success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _gone_with_the_namespace = tool("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_is_full_or_fails_stops_no_player() {
    let (cached, media) = (Cached::new(), media(LEN));
    for n in 0..4 {
        cached.system.import(&format!("call-{n}"), &media);
    }
    let small = Small::mount(cached.system.path("small"), 8 << 20);
    let server = cached.serve_in(&small.0);
    for _ in 0..3 {
        for n in 0..4 {
            play(&server, &format!("call-{n}"), &media);
        }
    }
    assert!(count(&server, "sealtape_cache_errors_total") > 0, "it was full");
    server.assert_says("the cache fails; players go on without it");
    assert_eq!(server.log().matches("the cache fails").count(), 1, "and it is told once a minute");
    // Room again: it is used again, once the pause is over.
    small.grow(64 << 20);
    thread::sleep(Duration::from_secs(3));
    for n in 0..4 {
        play(&server, &format!("call-{n}"), &media);
    }
    let fetched = settle(&server, &small.0);
    for n in 0..4 {
        play(&server, &format!("call-{n}"), &media);
    }
    assert_eq!(settle(&server, &small.0), fetched, "all of it is there now");
    // Others fill it: what is there is played, and what is new is not kept.
    let mut ballast = fs::File::create(small.0.join("ballast")).expect("made");
    while ballast.write_all(&[0x77; 4096]).is_ok() {}
    cached.system.import("new", &media);
    play(&server, "new", &media);
    play(&server, "call-1", &media);
    // Files that end early, or are gone.
    settle(&server, &small.0);
    for file in files(&small.0) {
        fs::OpenOptions::new().write(true).open(file).and_then(|file| file.set_len(5000)).expect("cut");
    }
    for n in 0..4 {
        play(&server, &format!("call-{n}"), &media);
    }
    settle(&server, &small.0);
    for number in 0..256 {
        fs::remove_dir_all(small.0.join(format!("{number:02x}"))).expect("removed");
    }
    for n in 0..4 {
        play(&server, &format!("call-{n}"), &media);
    }
    assert_eq!(count(&server, "sealtape_verification_failures_total"), 0);
    // A server that starts where there can be no cache plays without.
    let other = cached.serve_in(&small.0.join("ballast/cache"));
    other.assert_says("the cache cannot be used");
    play(&other, "call-1", &media);
}

#[test]
fn the_folder_holds_no_header_nothing_plain_and_nothing_of_what_was_purged() {
    let (cached, media) = (Cached::new(), media(2_000_000));
    for id in ["call", "deleted", "purged"] {
        cached.system.import(id, &media);
    }
    let plain = cached.system.file("plain.wav", &media);
    cached.system.ok(&["import", "--exempt", plain.to_str().expect("UTF-8"), "--id", "plain"]);
    let headers: Vec<Vec<u8>> = ["call", "deleted", "purged"]
        .iter()
        .map(|id| fs::read(cached.system.stored(id)).expect("read")[..512].to_vec())
        .collect();
    let server = cached.serve();
    for id in ["call", "deleted", "purged", "plain"] {
        play(&server, id, &media);
        server.get(&format!("/recordings/{id}"));
    }
    settle(&server, &cached.cache());
    assert_eq!(files(&cached.cache()).len(), 3, "three sealed ones");
    let holds = |piece: &[u8]| {
        files(&cached.cache())
            .iter()
            .any(|file| fs::read(file).expect("read").windows(piece.len()).any(|bytes| bytes == piece))
    };
    for header in &headers {
        // The wrapped key, the fingerprint of the key that wraps it, the salt, the tag.
        for part in [64..104, 32..64, 16..32, 480..512] {
            assert!(!holds(&header[part.clone()]), "{part:?} of a header");
        }
    }
    assert!(!holds(&media[1000..1032]) && !holds(&media[1_500_000..1_500_032]), "plaintext");
    let names = format!("{:?}", files(&cached.cache()));
    assert!(!names.contains("call") && !names.contains("purged"), "{names}");
    // By the server, and by a command beside it.
    assert_eq!(request(&server.address, "DELETE", "/recordings/deleted", &[], b"").status, 204);
    assert_eq!(files(&cached.cache()).len(), 2);
    let mut purge = cached.system.command(&["recordings", "delete", "purged"]);
    let purged = purge.env("SEALTAPE_STORAGE__CACHE__PATH", cached.cache()).output().expect("runs");
    assert!(purged.status.success(), "{}", text(&purged.stderr));
    assert_eq!(files(&cached.cache()).len(), 1);
    play(&server, "call", &media);
}

#[test]
fn a_recording_under_another_key_or_sealing_plays_as_it_is_now() {
    let (cached, media) = (Cached::new(), media(LEN));
    cached.system.import("call", &media);
    let server = cached.serve();
    play(&server, "call", &media);
    settle(&server, &cached.cache());
    for arguments in [&["keys", "generate"][..], &["rewrap", "call"], &["reseal", "call"], &["rewrap", "--all"]] {
        cached.system.ok(arguments);
        play(&server, "call", &media);
        // What is still being fetched for the older one would be written after that was given up.
        settle(&server, &cached.cache());
    }
    assert!(server.wait_until(PATIENCE, |_| files(&cached.cache()).len() == 1), "older ones are gone");
    assert_eq!(count(&server, "sealtape_verification_failures_total"), 0);
    // A key that is withdrawn refuses what lies in the cache too.
    cached.system.ok(&["encryption", "disable"]);
    assert!(server.wait_until(PATIENCE, |server| server.get("/recordings/call/media").status == 409));
}

#[test]
fn a_second_server_plays_without_until_the_first_has_gone() {
    let (cached, media) = (Cached::new(), media(LEN));
    cached.system.import("call", &media);
    let first = cached.serve();
    play(&first, "call", &media);
    settle(&first, &cached.cache());
    let second = cached.serve();
    assert!(second.wait_until(PATIENCE, |second| second.log().contains("another process has the cache")));
    play(&second, "call", &media);
    assert_eq!(count(&second, "sealtape_cache_read_bytes_total"), 0);
    drop(first);
    assert!(second.wait_until(PATIENCE, |second| second.log().contains("the cache is in use here now")));
    cached.system.import("new", &media);
    play(&second, "new", &media);
    let fetched = settle(&second, &cached.cache());
    play(&second, "new", &media);
    assert_eq!(settle(&second, &cached.cache()), fetched);
    assert!(fetched > LEN as u64 && files(&cached.cache()).len() == 2);
}

#[test]
fn settings_of_the_cache_are_shown_and_checked() {
    let cached = Cached::new();
    let check = |path: &Path, size: &str| {
        let mut command = cached.system.command(&["config", "check", "--json"]);
        command.env("SEALTAPE_STORAGE__CACHE__PATH", path).env("SEALTAPE_STORAGE__CACHE__SIZE", size);
        command.output().expect("runs")
    };
    let output = check(&cached.cache(), "1GiB");
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(shown["storage"]["cache"]["size"], 1 << 30);
    assert_eq!(shown["storage"]["cache"]["path"], cached.cache().to_str().expect("UTF-8"));
    assert!(!cached.cache().exists(), "nothing is made");
    fs::create_dir(cached.cache()).expect("made");
    fs::write(cached.cache().join("letters"), "dear").expect("written");
    let inside = cached.system.data_dir().join("media/cache");
    for (path, size, word) in [
        (cached.cache(), "1GiB", "it holds something else"),
        (cached.system.path("data/sealtape.db"), "1GiB", "storage.cache.path"),
        (cached.system.path("new"), "1MiB", "64MiB"),
        (cached.system.path("new"), "much", "storage.cache.size"),
        (inside, "1GiB", "a folder of its own"),
    ] {
        let output = check(&path, size);
        let error = text(&output.stderr);
        assert!(!output.status.success() && error.contains(word), "{}: {error}", path.display());
        assert!(error.trim_end().lines().count() <= 2, "{error}");
    }
}
