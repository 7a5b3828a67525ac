//! nginx, with the settings of the manual, before one server and before two.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{free_port, read};
use crate::support::{
    Reply, Server, System, Upload, files_with_marker, get, marked_media, media, request, signal, text, tool,
    unlinked_with_marker,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// nginx in a folder of its own.
struct Balancer {
    child: Child,
    folder: PathBuf,
    address: String,
}

impl Balancer {
    /// Before these servers, with the settings of the manual, as `change` makes them.
    fn start(folder: PathBuf, servers: &[&str], change: impl Fn(String) -> String) -> Self {
        fs::create_dir_all(folder.join("temp")).expect("made");
        let address = format!("127.0.0.1:{}", free_port());
        let upstreams: String =
            servers.iter().map(|server| format!("    server {server} max_fails=1 fail_timeout=5s;\n")).collect();
        let mut settings = String::new();
        for line in read("nginx.conf").lines() {
            let line = line.trim_end();
            match line.trim_start() {
                "listen 443 ssl http2;" => settings.push_str(&format!("listen {address};\n")),
                // Another name and no certificate; the rest stands as it is shipped.
                start if start.starts_with("ssl_") => {}
                start if start.starts_with("server proxy-1.internal:8080 ") => settings.push_str(&upstreams),
                start if start.starts_with("server proxy-2.internal:8080 ") => {}
                _ => settings.push_str(&format!("{}\n", line.replace("/var/log/nginx", &folder.display().to_string()))),
            }
        }
        let replaced = [address.as_str(), servers[0]].iter().all(|one| settings.contains(one));
        assert!(replaced && !settings.contains("internal:"), "{settings}");
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {}/temp/{kind};\n", folder.display()))
            .collect();
        let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
        let main = format!(
            "{user}worker_processes 2;\ndaemon off;\npid {}/pid;\nevents {{}}\nhttp {{\n{temporary}{}}}\n",
            folder.display(),
            change(settings)
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, main).expect("written");
        let mut command = tool("nginx");
        command.arg("-e").arg(folder.join("start.log")).arg("-c").arg(&file).stderr(Stdio::null());
        let child = command.spawn().expect("nginx runs");
        let balancer = Self { child, folder, address };
        let begun = Instant::now();
        while TcpStream::connect(&balancer.address).is_err() {
            let said = fs::read_to_string(balancer.folder.join("start.log")).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "nginx does not listen: {said}");
            thread::sleep(Duration::from_millis(20));
        }
        balancer
    }

    fn before(system: &System, servers: &[&Server]) -> Self {
        let servers: Vec<&str> = servers.iter().map(|server| server.address.as_str()).collect();
        Self::start(system.path("nginx"), &servers, |settings| settings)
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        get(&self.address, path, headers)
    }

    /// Every process of it.
    fn pids(&self) -> Vec<u32> {
        let master = self.child.id();
        let children = fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap_or_default();
        children.split_whitespace().filter_map(|pid| pid.parse().ok()).chain([master]).collect()
    }

    /// Files, with a name or without, that hold media.
    fn plain(&self) -> Vec<PathBuf> {
        let named = files_with_marker(&[&self.folder]);
        named.into_iter().chain(self.pids().into_iter().flat_map(unlinked_with_marker)).collect()
    }

    /// Temporary files of any content.
    fn temporary(&self) -> Vec<PathBuf> {
        let open = self.pids().into_iter().flat_map(|pid| {
            let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            open.filter_map(|entry| fs::read_link(entry.path()).ok()).collect::<Vec<_>>()
        });
        let is_temporary = |path: &PathBuf| {
            path.starts_with(self.folder.join("temp")) || path.to_string_lossy().ends_with(" (deleted)")
        };
        let is_memory = |path: &PathBuf| path.starts_with("/dev/zero") || path.starts_with("/memfd:");
        let named = crate::support::files_below(&self.folder.join("temp"));
        open.filter(is_temporary).filter(|path| !is_memory(path)).chain(named).collect()
    }

    fn memory(&self) -> u64 {
        self.pids().into_iter().filter_map(crate::support::peak_memory).sum()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        signal(self.child.id(), "TERM");
        let _ended = self.child.wait();
    }
}

/// Asks for media, takes some of it, and then nothing more.
fn stall(address: &str, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("sent");
    stream.read_exact(&mut vec![0; 256 << 10]).expect("it plays");
    stream
}

#[test]
fn nothing_of_a_recording_is_on_the_balancers_disk() {
    let system = System::with_key();
    let server = system.serve();
    let balancer = Balancer::before(&system, &[&server]);
    let bytes = marked_media("large", 200 << 20);
    let mut upload = Upload::begin(&balancer.address, "large", &[("Content-Type", "video/mp4")]);
    for (number, piece) in bytes.chunks(1 << 20).enumerate() {
        upload.send(piece);
        if number % 40 == 39 {
            assert!(balancer.plain().is_empty() && balancer.temporary().is_empty(), "{:?}", balancer.temporary());
        }
    }
    assert_eq!(upload.finish().status, 201);
    // One that says how long it is.
    let sized = marked_media("sized", 20 << 20);
    let reply = request(&balancer.address, "PUT", "/recordings/sized/media", &[("Content-Type", "audio/wav")], &sized);
    assert_eq!(reply.status, 201, "{}", text(&reply.body));

    let stalled: Vec<_> = (0..4).map(|_| stall(&balancer.address, "/recordings/large/media")).collect();
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(100));
        assert!(balancer.plain().is_empty() && balancer.temporary().is_empty(), "{:?}", balancer.temporary());
    }
    drop(stalled);
    assert!(balancer.get("/recordings/large/media", &[]).body == bytes, "and it plays");
    assert!(balancer.plain().is_empty() && balancer.temporary().is_empty());
    assert!(balancer.memory() < 200 << 20, "{} bytes", balancer.memory());
    drop(balancer);

    // With its own settings instead, nginx does spool, and that is found.
    let ours = ["proxy_buffering", "proxy_request_buffering", "proxy_max_temp_file_size"];
    let spooling = Balancer::start(system.path("spooling"), &[&server.address], |settings| {
        let is_kept = |line: &&str| !ours.iter().any(|key| line.trim_start().starts_with(key));
        settings
            .lines()
            .filter(is_kept)
            .map(|line| format!("{line}\n"))
            .collect::<String>()
            .replace("proxy_cache off;", "proxy_cache off;\nproxy_ignore_headers X-Accel-Buffering;")
    });
    let _stalled = stall(&spooling.address, "/recordings/large/media");
    let begun = Instant::now();
    while spooling.plain().is_empty() {
        assert!(begun.elapsed() < PATIENCE, "the search finds nothing where something is");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn ranges_conditions_and_links_go_through_and_links_are_not_logged() {
    let system = System::with_key();
    let bytes = media(3_000_000);
    system.import("call", &bytes);
    let server = system.serve();
    let balancer = Balancer::before(&system, &[&server]);
    let path = "/recordings/call/media";
    let straight = server.get(path);
    let etag = straight.header("etag").expect("an entity tag").to_owned();
    for range in ["bytes=0-0", "bytes=1000000-1999999", "bytes=2999999-", "bytes=-1", "bytes=0-9,2000000-2000009"] {
        let (one, other) = (server.get_range(path, range), balancer.get(path, &[("Range", range)]));
        assert_eq!((one.status, one.header("content-range")), (other.status, other.header("content-range")), "{range}");
        assert_eq!(one.body.len(), other.body.len(), "{range}");
        assert!(other.status == 206 && (range.contains(',') || one.body == other.body), "{range}");
    }
    assert_eq!(balancer.get(path, &[("If-None-Match", &etag)]).status, 304);
    let resumed = balancer.get(path, &[("Range", "bytes=5-"), ("If-Range", &etag)]);
    assert!(resumed.status == 206 && resumed.body == bytes[5..]);
    assert_eq!(balancer.get(path, &[("Range", "bytes=4000000-")]).status, 416);
    let reply = request(&balancer.address, "HEAD", path, &[], b"");
    assert_eq!((reply.status, reply.header("content-length")), (200, Some("3000000")));
    assert_eq!(straight.header("x-accel-buffering"), Some("no"));

    let secret = "v1.not-a-link-but-as-secret-as-one";
    let refused = balancer.get(&format!("{path}?link={secret}"), &[]);
    assert!(refused.status == 403 || refused.status == 401 || refused.status == 200, "{refused:?}");
    let logged = fs::read_to_string(balancer.folder.join("sealtape.log")).expect("a log");
    assert!(logged.contains(path), "{logged}");
    for entry in fs::read_dir(&balancer.folder).expect("read").flatten().filter(|entry| entry.path().is_file()) {
        assert!(!text(&fs::read(entry.path()).expect("read")).contains(secret), "{:?}", entry.path());
    }
}

#[test]
fn a_recording_in_progress_is_followed_through_it() {
    let system = System::with_key();
    let server = system.serve();
    let balancer = Balancer::before(&system, &[&server]);
    let bytes = media(400_000);
    let mut upload = Upload::begin(&balancer.address, "live", &[("Content-Type", "audio/wav")]);
    upload.send(&bytes[..100_000]);
    assert!(server.wait_until(PATIENCE, |server| server.get("/recordings/live").status == 200));
    let mut player = TcpStream::connect(&balancer.address).expect("connects");
    player.set_read_timeout(Some(PATIENCE)).expect("set");
    write!(player, "GET /recordings/live/media HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", balancer.address)
        .expect("sent");
    let mut came = Vec::new();
    let mut wait_for = |len: usize| {
        let begun = Instant::now();
        let mut piece = [0; 16 << 10];
        while came.len() < len {
            let read = player.read(&mut piece).expect("it comes");
            came.extend_from_slice(&piece[..read]);
            assert!(begun.elapsed() < PATIENCE);
        }
        begun.elapsed()
    };
    wait_for(90_000);
    for end in [200_000, 300_000] {
        upload.send(&bytes[end - 100_000..end]);
        let took = wait_for(end - 10_000);
        assert!(took < Duration::from_secs(2), "it comes while it is recorded: {took:?}");
    }
    upload.send(&bytes[300_000..]);
    assert_eq!(upload.finish().status, 201);
    assert!(balancer.get("/recordings/live/media", &[]).body == bytes);
}

/// What a player does that was cut: it asks again from where it is.
fn play(address: &str, path: &str, len: usize) -> (Vec<u8>, u32, Duration) {
    let (mut came, mut cuts, mut longest) = (Vec::new(), 0, Duration::ZERO);
    let mut etag = String::new();
    while came.len() < len {
        let asked = Instant::now();
        let Ok(mut stream) = TcpStream::connect(address) else { panic!("nginx is gone") };
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        let condition = if etag.is_empty() { String::new() } else { format!("If-Range: {etag}\r\n") };
        let range = format!("Range: bytes={}-\r\n{condition}", came.len());
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{range}\r\n").expect("sent");
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
            head.push(byte[0]);
        }
        let head = text(&head);
        assert!(head.starts_with("HTTP/1.1 206"), "at {}: {head:?}", came.len());
        longest = longest.max(asked.elapsed());
        let fields = || head.lines().filter_map(|line| line.split_once(": "));
        let tag = fields().find(|(name, _)| name.eq_ignore_ascii_case("etag")).expect("an entity tag").1.to_owned();
        assert!(etag.is_empty() || etag == tag, "it is the same on both");
        etag = tag;
        let mut piece = vec![0; 64 << 10];
        while let Ok(read @ 1..) = stream.read(&mut piece) {
            came.extend_from_slice(&piece[..read]);
            thread::sleep(Duration::from_millis(4));
        }
        cuts += u32::from(came.len() < len);
    }
    (came, cuts, longest)
}

#[test]
fn players_resume_on_the_other_proxy_when_one_is_killed() {
    let system = System::with_key();
    let bytes = media(24 << 20);
    system.import("long", &bytes);
    let (one, other) = (system.serve(), system.serve());
    let balancer = Balancer::before(&system, &[&one, &other]);
    let players: Vec<_> = (0..8)
        .map(|_| {
            let (address, len) = (balancer.address.clone(), bytes.len());
            thread::spawn(move || play(&address, "/recordings/long/media", len))
        })
        .collect();
    thread::sleep(Duration::from_millis(700));
    one.signal("KILL");
    let killed = Instant::now();
    // Whoever comes now is not told of it.
    for number in 0..50 {
        let reply = balancer.get("/recordings/long/media", &[("Range", "bytes=7-1000")]);
        assert!(reply.status == 206 && reply.body == bytes[7..=1000], "request {number}, {:?}", killed.elapsed());
    }
    let (mut cut, mut longest) = (0, Duration::ZERO);
    for player in players {
        let (came, cuts, took) = player.join().expect("plays to the end");
        assert!(came == bytes, "byte for byte");
        (cut, longest) = (cut + cuts, longest.max(took));
    }
    println!("{cut} of 8 players were cut and went on; the longest wait for an answer was {longest:?}");
    assert!((1..=8).contains(&cut), "{cut}");
    drop(one);
    assert!(!other.log().contains("panic"), "{}", other.log());
}
