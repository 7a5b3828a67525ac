//! Storage that takes its time: whoever plays what memory holds is answered while others wait for a disk.
//!
//! Part of the media folder lies on a file system that holds operations back until it is told to go on. Whether
//! somebody was kept waiting is seen by what is answered meanwhile, and never by how long it took.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use sealtape::base::RecordingId;
use sealtape::crypto::Sha256Digest;
use sealtape::media::{MediaKind, MediaObject, MediaStore, Stage};
use sealtape::storage::LocalStore;

use crate::support::{Server, System, get, media};

/// Threads that serve: far fewer than players who wait.
const WORKERS: usize = 2;
/// As long as a slow machine may take; nothing here waits for it.
const LIMIT: Duration = Duration::from_secs(50);
const LEN: usize = 1 << 20;

#[test]
fn players_in_slow_reads_stall_nobody() {
    for players in [64, 600] {
        let archive = Archive::new();
        let server = archive.serve();
        // Two are open already and wait for media; of two the header is waited for. Not from the start: for whoever reads on
        // behind the header the system reads ahead, perhaps only once the store holds it.
        for id in &archive.slow[..2] {
            assert_eq!(server.get_range(&media_of(id), "bytes=500000-500000").status, 206);
        }
        let slow = archive.store.hold("read");
        let waiting = Players::begin(&server, &archive, &archive.slow, players);
        // Of each open file as many as one file may have waiting, and one for each header.
        slow.wait_for_held(2 * 16 + 2);
        others_play(&server, &archive);
        assert_eq!(slow.held(), 2 * 16 + 2, "and no thread more");
        waiting.end_well(slow);
        // Nobody's turn was lost: as many may wait as before.
        let slow = archive.store.hold("read");
        let waiting = Players::begin(&server, &archive, &archive.slow, players);
        slow.wait_for_held(4 * 16);
        waiting.end_well(slow);
    }
}

#[test]
fn players_in_slow_opens_stall_nobody() {
    for players in [64, 600] {
        let archive = Archive::new();
        let server = archive.serve();
        let slow = archive.store.hold("open");
        let waiting = Players::begin(&server, &archive, &archive.slow, players);
        // Whoever opens the same recording waits for the first one.
        slow.wait_for_held(archive.slow.len());
        others_play(&server, &archive);
        assert_eq!(slow.held(), archive.slow.len(), "and no thread more");
        waiting.end_well(slow);
    }
}

#[test]
fn players_whose_names_are_looked_up_slowly_stall_nobody() {
    for players in [64, 600] {
        let archive = Archive::new();
        let server = archive.serve();
        for id in &archive.slow {
            assert_eq!(server.get_range(&media_of(id), "bytes=0-0").status, 206);
        }
        let slow = archive.store.hold("look");
        let waiting = Players::begin(&server, &archive, &archive.slow, players);
        // As many as one folder may have waiting.
        slow.wait_for_held(8);
        others_play(&server, &archive);
        assert_eq!(slow.held(), 8, "and no thread more");
        waiting.end_well(slow);
    }
}

#[test]
fn who_leaves_in_a_slow_read_gives_the_turn_back() {
    let archive = Archive::new();
    let server = archive.serve();
    for id in &archive.slow {
        assert_eq!(server.get_range(&media_of(id), "bytes=0-0").status, 206);
    }
    for _ in 0..3 {
        let slow = archive.store.hold("read");
        let leaving: Vec<TcpStream> = (0..100)
            .map(|n| {
                let mut stream = TcpStream::connect(&server.address).expect("connects");
                let path = media_of(&archive.slow[n % archive.slow.len()]);
                write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nRange: bytes={n}-\r\n\r\n").expect("sent");
                stream
            })
            .collect();
        slow.wait_for_held(4 * 16);
        drop(leaving);
        assert!(server.wait_until(LIMIT, |server| connections(server) <= 1), "they are gone");
        others_play(&server, &archive);
        drop(slow);
    }
    let slow = archive.store.hold("read");
    let waiting = Players::begin(&server, &archive, &archive.slow, 100);
    slow.wait_for_held(4 * 16);
    waiting.end_well(slow);
}

#[test]
fn neither_a_try_nor_a_close_waits_for_the_store() {
    let archive = Archive::new();
    let store = LocalStore::open(&archive.system.data_dir().join("media"), false).expect("opens");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
    let object = MediaObject::media(archive.slow[0].parse().expect("an ID"), MediaKind::Sealed, Stage::Final);
    let file = runtime.block_on(store.open(&object)).expect("opens").expect("is there");
    archive.store.tell("hold close");
    let slow = archive.store.hold("read");
    let within = runtime.handle().clone();
    let serving = thread::spawn(move || {
        let _runtime = within.enter();
        let mut buffer = vec![0; 4096];
        let filled = file.try_read_now(0, &mut buffer).expect("tries");
        drop(file);
        filled
    });
    let begun = Instant::now();
    while !serving.is_finished() && begun.elapsed() < LIMIT {
        thread::sleep(Duration::from_millis(5));
    }
    assert!(serving.is_finished(), "it waits");
    assert_eq!(serving.join().expect("ends"), 0, "it cannot tell what needs no wait");
    slow.wait_for_held(1);
}

#[test]
fn what_a_player_reads_next_is_fetched_before() {
    const FRAME: usize = 256 << 10;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let root = folder.path().join("media");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
    let store = LocalStore::open(&root, true).expect("opens");
    let object = MediaObject::media("long".parse().expect("an ID"), MediaKind::Sealed, Stage::Final);
    let content = media(16 << 20);
    runtime.block_on(async {
        let mut writer = store.create(&object).await.expect("creates");
        writer.append(content.clone()).await.expect("appends");
        writer.finish().await.expect("finishes");
    });
    let slow = SlowStore::keeping(&root.join(format!("{:02x}", folder_of("long"))));
    let file = runtime.block_on(store.open(&object)).expect("opens").expect("is there");
    let read = |from: usize| {
        let mut buffer = vec![0; FRAME];
        let filled = file.try_read_now(from as u64, &mut buffer).expect("tries");
        let read = runtime.block_on(file.read(from as u64, buffer, filled)).expect("reads");
        assert!(read == content[from..from + FRAME], "at {from}");
    };
    let furthest = || slow.tell("furthest").parse::<usize>().expect("a number");
    // Here and there: nothing but what the system adds by itself, which is less than a frame.
    for from in [6 << 20, 2 << 20, 4 << 20] {
        read(from);
    }
    assert!(furthest() < (6 << 20) + 2 * FRAME, "{}", furthest());
    // Two who read on by turns.
    for frame in 0..8 {
        read(frame * FRAME);
        read((7 << 20) + frame * FRAME);
    }
    // A system that has much to fetch leaves some of what is only advice.
    let (last, begun) = ((7 << 20) + 8 * FRAME, Instant::now());
    while furthest() < last + (1 << 20) {
        assert!(begun.elapsed() < LIMIT, "{} of {}", furthest(), last + (1 << 20));
        thread::sleep(Duration::from_millis(5));
    }
    assert!(furthest() <= last + (4 << 20) + FRAME, "and no more: {}", furthest());
}

/// What everybody else asks for, by eight at a time, is answered.
fn others_play(server: &Server, archive: &Archive) {
    let others: Vec<JoinHandle<()>> = (0..8)
        .map(|other| {
            let (address, cached, expected) = (server.address.clone(), archive.cached.clone(), archive.media.clone());
            thread::spawn(move || {
                for n in 0..25 {
                    let id = &cached[(other + n) % cached.len()];
                    let from = (other * 25 + n) * 4096;
                    let range = format!("bytes={from}-{}", from + 65_535);
                    let reply = get(&address, &media_of(id), &[("Range", &range)]);
                    assert!(reply.status == 206 && reply.body == expected[from..from + 65_536], "{id} {range}");
                }
            })
        })
        .collect();
    for other in others {
        other.join().expect("is answered");
    }
    for path in ["/livez", "/readyz", "/metrics", "/recordings", &format!("/recordings/{}", archive.cached[0])] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    // One that was not asked for before, where the store is quick.
    let fresh = &archive.fresh[archive.played.fetch_add(1, Ordering::Relaxed)];
    let reply = server.get(&media_of(fresh));
    assert!(reply.status == 200 && reply.body == *archive.media);
}

/// Recordings, some of which lie on a slow file system, mounted over one of the media folder's folders.
struct Archive {
    slow: Vec<String>,
    cached: Vec<String>,
    /// Recordings that are quick to be had and were not asked for yet, and how many of them were since.
    fresh: Vec<String>,
    played: AtomicUsize,
    media: Arc<Vec<u8>>,
    /// Let go of before its folder is.
    store: SlowStore,
    system: System,
}

impl Archive {
    fn new() -> Self {
        let (system, media) = (System::with_key(), media(LEN));
        let ids = |name: &str, is_slow: bool| -> Vec<String> {
            let ids = (0..).map(|n| format!("{name}-{n}"));
            ids.filter(|id| (folder_of(id) == SLOW_FOLDER) == is_slow).take(4).collect()
        };
        let (slow, cached, fresh) = (ids("slow", true), ids("cached", false), ids("fresh", false));
        let source = system.file("source", &media);
        for id in slow.iter().chain(&cached).chain(&fresh) {
            let id: RecordingId = id.parse().expect("an ID");
            system.ok(&["import", source.to_str().expect("UTF-8"), "--id", id.as_str()]);
        }
        let store = SlowStore::over(&system.data_dir().join(format!("media/{SLOW_FOLDER:02x}")));
        Self { slow, cached, fresh, played: AtomicUsize::new(0), media: Arc::new(media), store, system }
    }

    /// A server with few threads, and with the cached recordings played once.
    fn serve(&self) -> Server {
        let mut command = self.system.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("TOKIO_WORKER_THREADS", WORKERS.to_string());
        let server = Server::start(command);
        for id in &self.cached {
            assert!(server.get(&media_of(id)).body == *self.media);
        }
        server
    }
}

const SLOW_FOLDER: u8 = 0x5e;

/// The number of the media folder's folder in which a recording lies.
fn folder_of(id: &str) -> u8 {
    let mut digest = Sha256Digest::default();
    digest.update(id.as_bytes());
    digest.finish()[0]
}

/// Players that wait.
struct Players {
    players: Vec<JoinHandle<()>>,
    answered: Arc<AtomicUsize>,
}

impl Players {
    /// Begins them, each with a range of its own, until the server has taken every connection.
    fn begin(server: &Server, archive: &Archive, ids: &[String], count: usize) -> Self {
        let answered = Arc::new(AtomicUsize::new(0));
        let players = (0..count)
            .map(|n| {
                let (address, path) = (server.address.clone(), media_of(&ids[n % ids.len()]));
                let (expected, answered) = (Arc::clone(&archive.media), Arc::clone(&answered));
                let player = move || {
                    let (from, to) = (n * 1500, LEN - n);
                    let range = format!("bytes={from}-{}", to - 1);
                    let reply = get(&address, &path, &[("Range", &range)]);
                    answered.fetch_add(1, Ordering::Relaxed);
                    assert!(
                        reply.status == 206 && reply.body == expected[from..to],
                        "{path} {range}: {}",
                        reply.status
                    );
                };
                thread::Builder::new().stack_size(256 << 10).spawn(player).expect("a thread")
            })
            .collect();
        assert!(server.wait_until(LIMIT, |server| connections(server) > count), "all are connected");
        Self { players, answered }
    }

    /// Lets the store go on; until then nobody was answered, and then all are, with the right bytes.
    fn end_well(self, slow: Held) {
        assert_eq!(self.answered.load(Ordering::Relaxed), 0, "the store held them all");
        drop(slow);
        for player in self.players {
            player.join().expect("is answered");
        }
    }
}

/// How many connections the server has, with the one that asks.
fn connections(server: &Server) -> usize {
    let metrics = String::from_utf8(server.get("/metrics").body).expect("UTF-8");
    let line = metrics.lines().find_map(|line| line.strip_prefix("sealtape_connections_active "));
    line.and_then(|count| count.parse().ok()).expect("a count")
}

fn media_of(id: &str) -> String {
    format!("/recordings/{id}/media")
}

/// The file system of `cold/slow_store.py`, mounted.
struct SlowStore {
    process: Child,
    pipes: std::sync::Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

/// Operations that are held until this is dropped.
struct Held<'a>(&'a SlowStore);

impl SlowStore {
    fn over(folder: &Path) -> Self {
        Self::mount(folder, &[])
    }

    /// One of which the system keeps what it read.
    fn keeping(folder: &Path) -> Self {
        Self::mount(folder, &["0", "keep"])
    }

    fn mount(folder: &Path, options: &[&str]) -> Self {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cold/slow_store.py");
        let mut process = Command::new("/usr/bin/python3")
            .arg(script)
            .arg(folder)
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python runs");
        let stdin = process.stdin.take().expect("piped");
        let mut stdout = BufReader::new(process.stdout.take().expect("piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("says something");
        assert_eq!(
            line, "mounted\n",
            "a file system cannot be mounted here: that needs /dev/fuse, the right to mount, and python3-pyfuse3 (`tests/run` installs it)"
        );
        Self { process, pipes: std::sync::Mutex::new((stdin, stdout)) }
    }

    fn tell(&self, command: &str) -> String {
        let mut pipes = self.pipes.lock().expect("whole");
        writeln!(pipes.0, "{command}").expect("told");
        let mut answer = String::new();
        pipes.1.read_line(&mut answer).expect("answers");
        answer.trim_end().to_owned()
    }

    fn hold(&self, operation: &str) -> Held<'_> {
        assert_eq!(self.tell(&format!("hold {operation}")), "ok");
        Held(self)
    }
}

impl Held<'_> {
    fn held(&self) -> usize {
        self.0.tell("held").parse().expect("a number")
    }

    fn wait_for_held(&self, count: usize) {
        let begun = Instant::now();
        while self.held() < count {
            assert!(begun.elapsed() < LIMIT, "{} of {count} wait", self.held());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Also when a test fails: nobody who waits in the system can be stopped.
        self.0.tell("go");
    }
}

impl Drop for SlowStore {
    fn drop(&mut self) {
        let pipes = self.pipes.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (stdin, rest) = (&mut pipes.0, &mut pipes.1);
        let _gone_already = stdin.write_all(b"stop\n");
        let mut said = String::new();
        let _until_it_ends = rest.read_to_string(&mut said);
        let _ended = self.process.wait();
    }
}
