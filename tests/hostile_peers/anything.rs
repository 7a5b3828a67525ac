//! Requests of any method to any path, with any fields: from a seed, so that one that does harm does it again.

use std::{
    collections::BTreeMap,
    env,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    sync::Mutex,
    thread,
    time::Duration,
};

use super::{descriptors, settled_descriptors};
use crate::support::{Server, System, media, text};

const SEED: u64 = 0x5EA1_7A9E;
/// How many ask at a time.
const SHARES: u64 = 4;
/// How much more memory may be held at any moment.
const MEMORY_MAX: u64 = 48 << 20;
/// Recordings that there may be in the end, each of which is held open for a while when it was asked for.
const RECORDINGS: usize = 4;
/// At most so many of a hundred are closed without an answer: those that end before they have said what they want.
const CLOSED_PERCENT_MAX: usize = 2;

const METHODS: &[&str] = &["GET", "GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"];
const ODD_METHODS: &[&str] = &["TRACE", "CONNECT", "PROPFIND", "get", "G", "M-SEARCH", "PRI", "\u{e4}", "GET GET", ""];
const PATHS: &[&str] = &[
    "/",
    "*",
    "//",
    "/livez",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/recordings",
    "/recordings/",
    "/recordings/call",
    "/recordings/call/media",
    "/recordings/call/link",
    "/recordings/call/waveform",
    "/recordings/call/sidecars/",
    "/recordings/call/sidecars/notes.txt",
    "/recordings/none/media",
    "/problems/",
    "/problems/internal",
    "/recordings/../recordings/call",
    "/recordings/%2e%2e/call",
    "/recordings/call%00/media",
    "/recordings/call%2Fmedia",
    "/recordings/\u{e4}/media",
    "/demo/encryption",
    "http://localhost/recordings",
    "http://other/recordings",
    "localhost:80",
    "/player/../../etc/passwd",
    "/%",
    "/%zz",
    "/?",
    "/recordings/new-one/media",
];
const QUERIES: &[&str] = &[
    "",
    "?",
    "?limit=0",
    "?limit=99999999999999999999",
    "?limit=-1",
    "?after=%ff",
    "?q=%00",
    "?q=' OR 1=1 --",
    "?points=100000000",
    "?points=x",
    "?link=v1.a.b",
    "?download=../../x",
    "?download=%0d%0aX:%20y",
    "?tag=&tag=&tag=",
    "?from=soon&to=later",
    "?state=whatever",
    "?limit=5&limit=6",
];
/// What is asked of a recording that there is, so that something is answered.
const KEPT: &str = "/recordings/kept/media";
const KEPT_LEN: usize = 50_000;
const KEPT_METHODS: &[&str] = &["GET", "GET", "HEAD", "OPTIONS"];
const KEPT_FIELDS: &[&str] = &[
    "Range: bytes=0-0",
    "Range: bytes=49999-",
    "Range: bytes=-1",
    "Range: bytes=50000-",
    "Range: bytes=0-9,20-29,-1",
    "Range: bytes=0-,0-,0-,0-",
    "Range: bytes=4095-4096,0-50000",
    "Range: lines=1-2",
    "If-Range: Thu, 01 Jan 1970 00:00:00 GMT",
    "If-Range: W/\"x\"",
    "If-Match: \"x\", \"y\"",
    "If-None-Match: \"x\", W/\"y\", *",
    "If-Modified-Since: Fri, 31 Dec 9999 23:59:59 GMT",
    "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT",
];
const FIELDS: &[&str] = &[
    "Range: bytes=0-0",
    "Range: bytes=5-1,,-",
    "Range: bytes=-99999999999999999999",
    "If-Range: \"x\"",
    "If-Match: *",
    "If-None-Match: *",
    "If-Modified-Since: yesterday",
    "Accept-Encoding: gzip;q=banana",
    "Content-Type: text/plain",
    "Content-Type: multipart/form-data; boundary=",
    "Content-Encoding: br",
    "Content-Range: bytes 0-1/2",
    "Expect: 100-continue",
    "Expect: a miracle",
    "Upgrade: h2c",
    "Upgrade: websocket",
    "Origin: null",
    "Origin: http://evil.example",
    "Authorization: Bearer x.y.z",
    "Authorization: Basic Og==",
    "Forwarded: for=\"[::1\"",
    "X-Forwarded-For: 1, 2, 3",
    "X-Request-Id: \u{1F4A9}",
    "X-Request-Id: a b",
    "traceparent: 00-0-0-0",
    "TE: trailers",
    "Cookie: a=b; c",
    "Transfer-Encoding: chunked",
    "Content-Length: 3",
    "Access-Control-Request-Method: PUT",
    "Host: other.example",
    "Connection: upgrade",
    "Priority: u=9",
];
const BODIES: &[&str] =
    &["", "{}", "abc", "{\"ttl\":\"9999999999999999d\"}", "{\"tags\":[[[[[[]]]]]]}", "0\r\n\r\n", "\0\0\0"];

/// What comes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Status(u16),
    /// The connection ends, in order or not, and nothing was answered.
    Closed,
    /// Nothing came at all, and nothing will.
    TimedOut,
}

#[test]
fn whatever_is_asked_is_answered_and_nothing_breaks() {
    let is_full = env::var_os("SEALTAPE_TESTS_FULL").is_some();
    let count = if is_full { 100_000 } else { 3_000 };
    let (system, media) = (System::with_key(), media(KEPT_LEN));
    system.import("kept", &media);
    let server = system.serve();
    // What is made once is made before anything is counted.
    let mut numbers = Numbers(SEED ^ 1);
    for _ in 0..300 {
        ask(&server, &request(&mut numbers));
    }
    let before = descriptors(&server);
    let (memory, outcomes) = (server.memory(), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        for share in 0..SHARES {
            let (server, outcomes) = (&server, &outcomes);
            scope.spawn(move || {
                let mut numbers = Numbers(SEED + share);
                for number in 0..count / SHARES {
                    let request = request(&mut numbers);
                    let outcome = ask(server, &request);
                    let is_good = match outcome {
                        // None of what goes wrong here is the server's fault.
                        Outcome::Status(status) => (200..500).contains(&status),
                        Outcome::Closed => true,
                        Outcome::TimedOut => false,
                    };
                    assert!(is_good, "{number} of share {share}: {outcome:?} to {:?}", text(&request));
                    *outcomes.lock().expect("whole").entry(outcome).or_insert(0) += 1;
                }
            });
        }
    });
    let outcomes: BTreeMap<Outcome, usize> = outcomes.into_inner().expect("whole");
    println!("{count} requests: {outcomes:?}");
    let of = |outcome| outcomes.get(&outcome).copied().unwrap_or(0);
    for status in [200, 204, 206, 304, 400, 404, 412, 416] {
        assert!(of(Outcome::Status(status)) > 0, "no {status}: {outcomes:?}");
    }
    let asked: usize = outcomes.values().sum();
    assert!(of(Outcome::Closed) * 100 <= asked * CLOSED_PERCENT_MAX, "{outcomes:?}");
    assert!(server.get(KEPT).body == media, "it plays on");
    assert!(!server.log().contains("panic"), "{}", server.log());
    // Until the last recording is closed that nobody plays, a minute may pass.
    let before = if is_full { before } else { before + RECORDINGS };
    let after = settled_descriptors(&server, before);
    let grown = server.peak_memory().saturating_sub(memory);
    println!("{before} descriptors before and {after} after; {} KiB of memory more at most", grown >> 10);
    assert!(after <= before, "{before} descriptors before, {after} after");
    assert!(grown < MEMORY_MAX, "{} MiB more", grown >> 20);
}

/// A request; never one that takes the recording away.
fn request(numbers: &mut Numbers) -> Vec<u8> {
    let is_kept = numbers.below(6) == 0;
    let mut path = numbers.pick(PATHS).as_bytes().to_vec();
    if numbers.below(8) == 0 {
        path = [b"/", numbers.garbage(60).as_slice()].concat();
    }
    let methods = if numbers.below(8) == 0 { ODD_METHODS } else { METHODS };
    let mut method = numbers.pick(methods);
    if is_kept {
        (path, method) = (KEPT.into(), numbers.pick(KEPT_METHODS));
    }
    let version = if numbers.below(20) == 0 { numbers.below(10) } else { 1 };
    let query = numbers.pick(QUERIES);
    let mut head = [method.as_bytes(), b" ", &path, query.as_bytes()].concat();
    head.extend_from_slice(format!(" HTTP/1.{version}\r\n").as_bytes());
    if numbers.below(20) > 0 {
        head.extend_from_slice(b"Host: localhost\r\n");
    }
    for _ in 0..numbers.below(5) {
        let fields = if is_kept && numbers.below(4) > 0 { KEPT_FIELDS } else { FIELDS };
        head.extend_from_slice(numbers.pick(fields).as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    if numbers.below(10) == 0 {
        head.extend_from_slice(&numbers.garbage(200));
        head.extend_from_slice(b"\r\n");
    }
    let body = numbers.pick(BODIES);
    if numbers.below(3) == 0 {
        head.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    [&head, b"\r\n".as_slice(), body.as_bytes()].concat()
}

/// The first status that is answered but a provisional one. Where none comes at once, the server may wait for a body: it is
/// told that there is no more of it.
fn ask(server: &Server, request: &[u8]) -> Outcome {
    let mut stream = TcpStream::connect(&server.address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_millis(200))).expect("set");
    // What it does not take, it has an answer to, or has closed upon.
    let _answered_or_closed = stream.write_all(request);
    let (mut came, mut piece, mut is_ended) = (Vec::new(), [0; 1024], false);
    loop {
        let said = text(&came);
        let status = said.split("HTTP/1.").skip(1).filter_map(|head| head.get(2..5)?.parse().ok());
        if let Some(status) = status.into_iter().find(|status| *status != 100) {
            return Outcome::Status(status);
        }
        match stream.read(&mut piece) {
            Ok(read @ 1..) => came.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock && !is_ended => {
                is_ended = true;
                // One that cannot be told any more has closed, or has an answer on its way.
                let _gone_already = stream.shutdown(Shutdown::Write);
                stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Outcome::TimedOut,
            Ok(0) | Err(_) => return Outcome::Closed,
        }
    }
}

/// Numbers that follow from a seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn pick(&mut self, of: &[&'static str]) -> &'static str {
        of[self.below(of.len())]
    }

    /// Bytes of any kind that end no line.
    fn garbage(&mut self, len_max: usize) -> Vec<u8> {
        let len = self.below(len_max) + 1;
        let any = (0..len).map(|_| self.below(256) as u8);
        any.filter(|byte| !b"\r\n".contains(byte)).collect()
    }
}
