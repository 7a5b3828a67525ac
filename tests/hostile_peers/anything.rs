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
/// How much memory may grow meanwhile.
const MEMORY_MAX: u64 = 48 << 20;

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

#[test]
fn whatever_is_asked_is_answered_and_nothing_breaks() {
    let count = if env::var_os("SEALTAPE_TESTS_FULL").is_some() { 100_000 } else { 3_000 };
    let (system, media) = (System::with_key(), media(50_000));
    system.import("kept", &media);
    let server = system.serve();
    // What is made once is made before anything is counted.
    let mut numbers = Numbers(SEED ^ 1);
    for _ in 0..300 {
        ask(&server, &request(&mut numbers));
    }
    let before = descriptors(&server);
    let (memory, statuses) = (server.memory(), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        for share in 0..SHARES {
            let (server, statuses) = (&server, &statuses);
            scope.spawn(move || {
                let mut numbers = Numbers(SEED + share);
                for number in 0..count / SHARES {
                    let request = request(&mut numbers);
                    let status = ask(server, &request);
                    // None of what goes wrong here is the server's fault.
                    let is_good = status.is_none_or(|status| (200..500).contains(&status));
                    assert!(is_good, "{number} of share {share}: {status:?} to {:?}", text(&request));
                    *statuses.lock().expect("whole").entry(status).or_insert(0) += 1;
                }
            });
        }
    });
    let statuses = statuses.into_inner().expect("whole");
    println!("{count} requests: {statuses:?}");
    assert!(server.get("/recordings/kept/media").body == media, "it plays on");
    assert!(!server.log().contains("panic"), "{}", server.log());
    let (after, grown) = (settled_descriptors(&server, before), server.memory().saturating_sub(memory));
    println!("{before} descriptors before and {after} after; {} KiB of memory more", grown >> 10);
    assert!(after <= before, "{before} descriptors before, {after} after");
    assert!(grown < MEMORY_MAX, "{} MiB more", grown >> 20);
}

/// A request; never one that takes the recording away.
fn request(numbers: &mut Numbers) -> Vec<u8> {
    let mut path = format!("{}{}", numbers.pick(PATHS), numbers.pick(QUERIES));
    if numbers.below(8) == 0 {
        path = format!("/{}", numbers.garbage(60));
    }
    let methods = if numbers.below(8) == 0 { ODD_METHODS } else { METHODS };
    let method = numbers.pick(methods);
    let version = if numbers.below(20) == 0 { numbers.below(10) } else { 1 };
    let mut head = format!("{method} {path} HTTP/1.{version}\r\n");
    if numbers.below(20) > 0 {
        head.push_str("Host: localhost\r\n");
    }
    for _ in 0..numbers.below(5) {
        head.push_str(numbers.pick(FIELDS));
        head.push_str("\r\n");
    }
    if numbers.below(10) == 0 {
        head.push_str(&format!("{}\r\n", numbers.garbage(200)));
    }
    let body = numbers.pick(BODIES);
    if numbers.below(3) == 0 {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    head.push_str(body);
    head.into_bytes()
}

/// The first status that is answered but a provisional one; none when there is no answer. Where none comes at once, the
/// server may wait for a body: it is told that there is no more of it.
fn ask(server: &Server, request: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(&server.address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_millis(200))).expect("set");
    stream.write_all(request).ok()?;
    let (mut came, mut piece, mut is_ended) = (Vec::new(), [0; 1024], false);
    loop {
        let said = text(&came);
        let status = said.split("HTTP/1.").skip(1).filter_map(|head| head.get(2..5)?.parse().ok());
        if let Some(status) = status.into_iter().find(|status| *status != 100) {
            return Some(status);
        }
        match stream.read(&mut piece) {
            Ok(read @ 1..) => came.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock && !is_ended => {
                is_ended = true;
                stream.shutdown(Shutdown::Write).ok()?;
                stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
            }
            Ok(0) | Err(_) => return None,
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

    /// Characters of any kind that end no line.
    fn garbage(&mut self, len_max: usize) -> String {
        let len = self.below(len_max) + 1;
        let any = (0..len).map(|_| char::from(self.below(256) as u8));
        any.filter(|character| !"\r\n".contains(*character)).collect()
    }
}
