//! What others notice of an attack: the slowest hundredth of what a player waits for without it and with it, turn by turn
//! in one run. Attackers and the player share one processor, where the attackers take what the player leaves, and the
//! server has the other: what others notice, the server did not hold off. Attackers go on as fast as they can, so that the
//! server's processor has no time left. A figure of the machine that it runs on, and so only for `tests/run full`; that
//! each attack is one, every run sees.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{Server, System, media};

const LEN: usize = 4 << 20;
/// What a player asks for at a time, and for how long in a turn; for how long where times are not looked at.
const RANGE_LEN: usize = 64 << 10;
const TURN: Duration = Duration::from_secs(5);
const SHORT_TURN: Duration = Duration::from_secs(4);
const TURNS: usize = 7;
/// So many waits have a slowest hundredth.
const ASKED_MIN: usize = 300;
/// By how much all kinds at once may slow the slowest hundredth, the median of turns, of half a millisecond at least; and
/// those whose work is stopped before it is done.
const FACTOR_MAX: f64 = 4.0;
const STOPPED_FACTOR_MAX: f64 = 2.0;
/// Players that stop reading.
const STALLED: usize = 200;

/// An attack of `attacks.py`, what those who make it must be told, how often at least, and what else they may be.
type Kind = (&'static str, &'static str, u64, &'static [&'static str]);

/// Who gets no turn of the machine for longer than a head may take is told to go in order.
const TOO_SLOW: &str = "goaway 0";

const KINDS: &[Kind] = &[
    ("rapid-reset", "goaway 11", 5, &[TOO_SLOW]),
    ("continuation", "goaway 11", 5, &[TOO_SLOW]),
    ("windows", "answered", 5, &[TOO_SLOW]),
    ("pings", "answered", 5, &[TOO_SLOW]),
    ("slow-heads", "cut", 20, &[]),
    // What is no request, what names another host, and what ends before it says anything.
    ("nonsense", "400", 200, &["403", "closed"]),
];

/// What asks for work that is owed, and so takes as many turns as a player does, with no time left between them.
const OWED: &[&str] = &["windows", "pings"];

/// The slowest hundredth of what a player waits for, which asks for so long.
fn p99(server: &Server, media: &[u8], turn: Duration) -> Duration {
    let (begun, mut waits) = (Instant::now(), Vec::new());
    while begun.elapsed() < turn || waits.len() < ASKED_MIN {
        let start = waits.len() * 7919 % (LEN - RANGE_LEN);
        let asked = Instant::now();
        let reply = server.get_range("/recordings/call/media", &format!("bytes={start}-{}", start + RANGE_LEN - 1));
        assert!(reply.body == media[start..start + RANGE_LEN], "{}", reply.status);
        waits.push(asked.elapsed());
    }
    waits.sort_unstable();
    waits[waits.len() * 99 / 100]
}

/// Has this thread, and whatever it starts from now on, run on one processor.
fn stay_on(processor: &str) {
    let thread = fs::read_link("/proc/thread-self").expect("it runs");
    let id = thread.file_name().expect("a number");
    let mut taskset = Command::new("taskset");
    taskset.args(["--cpu-list", "--pid", processor]).arg(id).stdout(Stdio::null());
    assert!(taskset.status().expect("taskset runs").success());
}

/// Has this thread wake as soon as something comes for it. The system would have it wait for the next tick of its clock
/// while an attacker runs, which is not what the server is asked about. Whatever this thread starts has it, too.
fn come_first() {
    let thread = fs::read_link("/proc/thread-self").expect("it runs");
    let mut chrt = Command::new("chrt");
    chrt.args(["--rr", "--pid", "1"]).arg(thread.file_name().expect("a number"));
    assert!(chrt.status().expect("chrt runs").success(), "only root may come first");
}

fn median(mut of: Vec<Duration>) -> Duration {
    of.sort_unstable();
    of[of.len() / 2]
}

struct Attack {
    attackers: Vec<Attacker>,
    /// Open for as long as it lasts.
    _stalled: Vec<TcpStream>,
}

/// Attacks of one kind until it is told to stop, or whoever runs it ends.
struct Attacker {
    kind: Kind,
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Attack {
    /// Of several kinds at once, each again and again, and readers that stop. All have begun.
    fn begin(server: &Server, of: impl Fn(&Kind) -> bool) -> Self {
        let kinds = KINDS.iter().filter(|kind| of(kind));
        let mut attackers: Vec<_> = kinds.map(|kind| Attacker::start(server, *kind)).collect();
        attackers.iter_mut().for_each(|attacker| assert_eq!(attacker.line(), "begun\n", "{}", attacker.kind.0));
        let stalled = (0..STALLED)
            .map(|_| {
                let mut stream = TcpStream::connect(&server.address).expect("connects");
                stream.write_all(b"GET /recordings/call/media HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
                stream.read_exact(&mut [0; 100]).expect("it begins");
                stream
            })
            .collect();
        Self { attackers, _stalled: stalled }
    }

    /// Ends it. It was an attack: as many of each kind were made as should be, and each ended as it should. On a machine
    /// that has no time for attackers that takes longer.
    fn end(mut self) {
        for attacker in &mut self.attackers {
            assert_eq!(attacker.line(), "enough\n", "{}", attacker.kind.0);
        }
        for mut attacker in self.attackers {
            drop(attacker.child.stdin.take());
            let document = attacker.line();
            let seen: Value = serde_json::from_str(&document).unwrap_or_else(|error| panic!("{error}: {document:?}"));
            assert!(attacker.child.wait().expect("it ends").success());
            let (kind, end, count_min, other_ends) = attacker.kind;
            println!("{kind}: {}", seen["ended"]);
            let ended = seen["ended"].as_object().expect("a document");
            assert!(ended.get(end).and_then(Value::as_u64) >= Some(count_min), "{kind}: {seen}");
            assert!(ended.keys().all(|seen| seen == end || other_ends.contains(&seen.as_str())), "{kind}: {seen}");
        }
    }
}

impl Attacker {
    fn start(server: &Server, kind: Kind) -> Self {
        let (host, port) = server.address.split_once(':').expect("an address");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile_peers/attacks.py");
        let mut idle = Command::new("chrt");
        idle.args(["--idle", "0", "/usr/bin/python3"]).arg(script);
        idle.args([kind.0, kind.1, &kind.2.to_string(), "300", host, port]);
        idle.arg("/recordings/call/media").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = idle.spawn().expect("chrt runs");
        let said = BufReader::new(child.stdout.take().expect("piped"));
        Self { kind, child, said }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).expect("text");
        line
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _gone_already = self.child.wait();
    }
}

/// A server with one recording that soon gives those up who send their heads by the byte.
fn serve(media: &[u8]) -> (System, Server) {
    let system = System::with_key();
    system.import("call", media);
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("SEALTAPE_SERVER__TIMEOUTS__HEADERS", "2s");
    let server = Server::start(command);
    (system, server)
}

#[test]
fn each_attack_is_one_and_is_told_what_it_should_be() {
    let media = media(LEN);
    let (_system, server) = serve(&media);
    let attack = Attack::begin(&server, |_| true);
    p99(&server, &media, SHORT_TURN);
    attack.end();
    assert!(server.get("/recordings/call/media").body == media, "it plays on");
    assert!(!server.log().contains("panic"), "{}", server.log());
}

#[test]
fn others_play_on_during_an_attack() {
    if env::var_os("SEALTAPE_TESTS_FULL").is_none() {
        println!("SKIPPED: times are looked at in `tests/run full`");
        return;
    }
    let media = media(LEN);
    stay_on("0");
    let (_system, server) = serve(&media);
    stay_on("1");
    come_first();
    p99(&server, &media, TURN);
    let during = |of: &dyn Fn(&Kind) -> bool| {
        let attack = Attack::begin(&server, of);
        let p99 = p99(&server, &media, TURN);
        attack.end();
        p99
    };
    let (mut quiet, mut stopped, mut attacked) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        quiet.push(p99(&server, &media, TURN));
        stopped.push(during(&|kind| !OWED.contains(&kind.0)));
        attacked.push(during(&|_| true));
    }
    println!("p99 of 64 KiB: {quiet:?} without, {stopped:?} with all attacks but {OWED:?}, {attacked:?} with all");
    let [quiet, stopped, attacked] = [quiet, stopped, attacked].map(|of| median(of).as_secs_f64());
    assert!(stopped < STOPPED_FACTOR_MAX * quiet.max(0.0005), "{quiet} s, then {stopped} s");
    assert!(attacked < FACTOR_MAX * quiet.max(0.0005), "{quiet} s, then {attacked} s");
    assert!(!server.log().contains("panic"), "{}", server.log());
}
