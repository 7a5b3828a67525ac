//! What others notice of an attack: the slowest hundredth of what a player waits for without it, with it, and while the same
//! attack is at another server of this machine, turn by turn in one run. Whoever attacks takes a share of the machine's
//! cores here, as nobody's attackers do elsewhere; what is more than that, the server did not hold off. A figure of the
//! machine that it runs on, and so only for `tests/run full`.

use std::{
    env,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::support::{Server, System, media};

const LEN: usize = 4 << 20;
/// What a player asks for at a time, and how often in a turn.
const RANGE_LEN: usize = 64 << 10;
const ASKED: usize = 2000;
const TURNS: usize = 5;
/// By how much the attack may slow the slowest hundredth: against none, and against one that is at another server.
const FACTOR_MAX: f64 = 10.0;
const FACTOR_ELSEWHERE_MAX: f64 = 3.0;

/// The slowest hundredth of what a player waits for.
fn p99(server: &Server, media: &[u8]) -> Duration {
    let mut waits: Vec<Duration> = (0..ASKED)
        .map(|number| {
            let start = number * 7919 % (LEN - RANGE_LEN);
            let begun = Instant::now();
            let reply = server.get_range("/recordings/call/media", &format!("bytes={start}-{}", start + RANGE_LEN - 1));
            assert!(reply.body == media[start..start + RANGE_LEN], "{}", reply.status);
            begun.elapsed()
        })
        .collect();
    waits.sort_unstable();
    waits[ASKED * 99 / 100]
}

fn median(mut of: Vec<Duration>) -> Duration {
    of.sort_unstable();
    of[of.len() / 2]
}

struct Attack {
    floods: Vec<Child>,
    /// Open for as long as it lasts.
    _stalled: Vec<TcpStream>,
}

impl Attack {
    /// Resets in a rush, again and again, and readers that stop.
    fn begin(server: &Server) -> Self {
        let (host, port) = server.address.split_once(':').expect("an address");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile_peers/h2_floods.py");
        let flood = |case: &str| {
            let again = format!(
                "while :; do nice -n 5 /usr/bin/python3 {} {case} {host} {port} /recordings/call/media; done",
                script.display()
            );
            Command::new("setsid")
                .args(["sh", "-c", &again])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("sh runs")
        };
        let floods = vec![flood("rapid-reset"), flood("continuation")];
        let stalled = (0..200)
            .map(|_| {
                let mut stream = TcpStream::connect(&server.address).expect("connects");
                stream.write_all(b"GET /recordings/call/media HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
                stream.read_exact(&mut [0; 100]).expect("it begins");
                stream
            })
            .collect();
        Self { floods, _stalled: stalled }
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        for child in &mut self.floods {
            // With all that it started: it leads a group of its own.
            let _gone_already = Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]).status();
            let _gone_already = child.wait();
        }
    }
}

#[test]
fn others_play_on_during_an_attack() {
    if env::var_os("SEALTAPE_TESTS_FULL").is_none() {
        println!("SKIPPED: times are looked at in `tests/run full`");
        return;
    }
    let (system, media) = (System::with_key(), media(LEN));
    system.import("call", &media);
    let server = system.serve();
    let other_system = System::with_key();
    other_system.import("call", &media);
    let other = other_system.serve();
    let during = |attacked: &Server| {
        let attack = Attack::begin(attacked);
        thread::sleep(Duration::from_millis(500));
        let p99 = p99(&server, &media);
        drop(attack);
        thread::sleep(Duration::from_millis(500));
        p99
    };
    p99(&server, &media);
    let (mut quiet, mut elsewhere, mut attacked) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        quiet.push(p99(&server, &media));
        elsewhere.push(during(&other));
        attacked.push(during(&server));
    }
    println!("p99 of 64 KiB: {quiet:?} without, {elsewhere:?} with an attack elsewhere, {attacked:?} with one here");
    let seconds = |of: Vec<Duration>| median(of).as_secs_f64().max(0.002);
    let [quiet, elsewhere, attacked] = [quiet, elsewhere, attacked].map(seconds);
    assert!(attacked < FACTOR_MAX * quiet, "{quiet} s, then {attacked} s");
    assert!(attacked < FACTOR_ELSEWHERE_MAX * elsewhere, "{elsewhere} s, then {attacked} s");
}
