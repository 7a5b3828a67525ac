//! What is seen from outside: metrics that mean what their table says, a log and traces that hold no secret.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::Stdio,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use sealtape::base::metrics::{self, MetricKind, MetricUnit};
use serde_json::Value;

use crate::support::{Server, System, get, media, request, text, tool};

const PATIENCE: Duration = Duration::from_secs(20);

fn serve(system: &System, settings: &[(&str, &str)]) -> Server {
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.envs(settings.iter().copied());
    Server::start(command)
}

/// Samples by name and labels, as the text format has them; the kind of each metric.
struct Scrape {
    samples: BTreeMap<String, f64>,
    kinds: BTreeMap<String, String>,
}

impl Scrape {
    fn of(address: &str) -> Self {
        let reply = get(address, "/metrics", &[]);
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/plain; version=0.0.4")));
        let (mut samples, mut kinds, mut helped) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        for line in text(&reply.body).lines().filter(|line| !line.is_empty()) {
            if let Some(help) = line.strip_prefix("# HELP ") {
                helped.insert(help.split(' ').next().expect("a name").to_owned());
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a name and a kind");
                assert!(helped.contains(name), "{name} says what it is");
                assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} once");
            } else {
                let (key, value) = line.rsplit_once(' ').expect("a sample");
                let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
                assert!(value.is_finite() && value >= 0.0, "{line}");
                assert!(samples.insert(key.to_owned(), value).is_none(), "twice: {line}");
            }
        }
        Self { samples, kinds }
    }

    /// The sum of all samples of a name whose labels hold all of these.
    fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let is_of = |key: &str| {
            let rest = key.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
                && labels.iter().all(|label| key.contains(label))
        };
        self.samples.iter().filter(|(key, _)| is_of(key)).map(|(_, value)| value).sum()
    }
}

#[test]
fn metrics_are_what_their_table_says() {
    let (system, media) = (System::with_key(), media(300_000));
    for id in ["call", "damaged"] {
        system.import(id, &media);
    }
    system.object("damaged").flip(600);
    let fingerprint = system.json(&["keys", "list"])[0]["fingerprint"].as_str().expect("one")[..16].to_owned();
    let server = serve(&system, &[("SEALTAPE_AUTH__MODE", "none")]);
    let mut received = 0;
    for range in ["bytes=0-9999", "bytes=5-", "bytes=0-0,200000-200009"] {
        let reply = server.get_range("/recordings/call/media", range);
        assert_eq!(reply.status, 206);
        received += reply.body.len();
    }
    let whole = server.get("/recordings/call/media").body.len();
    assert_eq!(server.get("/recordings/damaged/media").problem(), "recording-corrupt");
    assert_eq!(server.get("/recordings/none/media").problem(), "recording-not-found");
    let forged = get(&server.address, "/recordings", &[("Authorization", "Bearer x.y.z")]);
    assert_eq!(forged.problem(), "unauthenticated");
    assert_eq!(request(&server.address, "BREW", "/recordings", &[], b"").status, 405);
    // Sessions are counted each second.
    assert!(
        server.wait_until(PATIENCE, |server| Scrape::of(&server.address).sum("sealtape_sessions_active", &[]) > 0.0)
    );

    let scrape = Scrape::of(&server.address);
    for (key, kind) in &scrape.kinds {
        let metric =
            metrics::ALL.iter().find(|metric| metric.name == key).unwrap_or_else(|| panic!("{key} has no row"));
        assert_eq!(metric.kind.as_str(), kind, "{key}");
    }
    for metric in metrics::ALL {
        // What never happened is not there: an operation that failed.
        let is_there = scrape.kinds.contains_key(metric.name) || metric.name == metrics::STORAGE_ERRORS;
        assert!(is_there, "{} was not emitted", metric.name);
        let suffix = match (metric.kind, metric.unit) {
            (MetricKind::Counter, MetricUnit::Bytes) => "_bytes_total",
            (MetricKind::Counter, _) => "_total",
            (MetricKind::Histogram | MetricKind::Gauge, MetricUnit::Seconds) => "_seconds",
            _ => "",
        };
        assert!(metric.name.starts_with("sealtape_") && metric.name.ends_with(suffix), "{}", metric.name);
    }
    let is = |name: &str, labels: &[&str], expected: f64| {
        let found = scrape.sum(name, labels);
        assert!((found - expected).abs() < 0.5, "{name} {labels:?}: {found}, not {expected}");
    };
    let multipart = received - 10_000 - 299_995;
    assert!(multipart > 11, "parts have heads");
    is(metrics::MEDIA_BYTES, &[], (10_000 + 299_995 + 11 + whole) as f64);
    is(metrics::REQUESTS, &["route=\"media\"", "status=\"206\"", "method=\"GET\""], 3.0);
    is(metrics::REQUESTS, &["status=\"401\""], 1.0);
    is(metrics::REQUESTS, &["method=\"_OTHER\"", "status=\"405\""], 1.0);
    is(metrics::PROBLEMS, &["code=\"recording-corrupt\""], 1.0);
    is(metrics::PROBLEMS, &["code=\"link-expired\""], 0.0);
    is(metrics::KEYS, &[], 1.0);
    is(metrics::VERIFICATION_FAILURES, &["kind=\"chunk\""], 1.0);
    is(metrics::BUILD_INFO, &[], 1.0);
    is(metrics::AUDIT_EVENTS_LOST, &[], 0.0);
    assert!(scrape.sum(metrics::KEY_READS, &[&fingerprint]) >= 4.0);
    assert!(scrape.sum(metrics::CACHE_HITS, &["cache="]) >= 2.0);
    let buckets: Vec<f64> = scrape
        .samples
        .iter()
        .filter(|(key, _)| key.starts_with("sealtape_time_to_first_byte_seconds_bucket"))
        .map(|(_, value)| *value)
        .collect();
    assert!(buckets.len() > 5);
    is("sealtape_time_to_first_byte_seconds_count", &[], 4.0);
    is("sealtape_time_to_first_byte_seconds_bucket", &["le=\"+Inf\""], 4.0);
    for key in scrape.samples.keys() {
        for secret in ["call", "damaged", "x.y.z", "127.0.0.1", "local\""] {
            assert!(!key.contains(secret), "{key}");
        }
    }
}

#[test]
fn the_manual_and_the_dashboard_show_every_metric() {
    let manual = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/manual/observing.md")).expect("read");
    let dashboard = concat!(env!("CARGO_MANIFEST_DIR"), "/src/manual/grafana-dashboard.json");
    let dashboard: Value = serde_json::from_slice(&fs::read(dashboard).expect("read")).expect("JSON");
    let expressions: Vec<&str> = dashboard["panels"]
        .as_array()
        .expect("panels")
        .iter()
        .flat_map(|panel| panel["targets"].as_array().expect("targets"))
        .map(|target| target["expr"].as_str().expect("an expression"))
        .collect();
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut shown = BTreeSet::new();
    for expression in &expressions {
        for word in expression.split(|c| !is_of_name(c)).filter(|word| word.starts_with("sealtape_")) {
            let name = word.strip_suffix("_bucket").unwrap_or(word);
            assert!(metrics::ALL.iter().any(|metric| metric.name == name), "{name} in {expression}");
            shown.insert(name.to_owned());
        }
    }
    for metric in metrics::ALL {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (kind, unit) = (metric.kind.as_str(), metric.unit.as_str());
        let row = format!("| `{}` | {kind} | {unit} | {} | {} |", metric.name, labels.join(", "), metric.meaning);
        assert!(manual.contains(&row), "the manual lacks: {row}");
        assert!(shown.contains(metric.name), "the dashboard does not show {}", metric.name);
    }
}

/// Everything that must never be seen, in pieces long enough to be told from chance.
fn pieces(secret: &str) -> Vec<String> {
    let chars: Vec<char> = secret.chars().collect();
    chars.chunks(24).filter(|piece| piece.len() >= 16).map(|piece| piece.iter().collect()).collect()
}

#[test]
fn no_log_at_any_level_holds_a_token_or_a_link() {
    let (system, media) = (System::with_key(), media(50_000));
    system.import("call", &media);
    let arguments = ["token", "create", "--scope", "recordings:play", "--subject", "ann", "--ttl", "1h"];
    let token = system.json(&arguments)["token"].as_str().expect("a token").to_owned();
    let link = system.json(&["link", "call"])["url"].as_str().expect("a URL").to_owned();
    let link = link.split_once("link=").expect("a link").1.to_owned();
    let secret = fs::read_to_string(system.data_dir().join("link.secrets")).expect("read").trim().to_owned();
    let key = fs::read_to_string(system.data_dir().join("definition.key")).expect("read");
    let key = key.split(' ').nth(1).expect("a key").to_owned();
    for (format, level) in [("json", "trace"), ("pretty", "trace"), ("json", "trace,hyper=trace,h2=trace,rustls=trace")]
    {
        let settings = [("SEALTAPE_AUTH__MODE", "token"), ("SEALTAPE_SERVER__LOG", format), ("RUST_LOG", level)];
        let server = serve(&system, &settings);
        let bearer = format!("Bearer {token}");
        let path = format!("/recordings/call/media?link={link}");
        let played = get(&server.address, "/recordings/call/media", &[("Authorization", &bearer)]);
        assert!(played.body == media);
        let id = played.header("x-request-id").expect("an ID").to_owned();
        assert_eq!(server.get(&path).status, 200);
        // Forged ones are as secret: a slip of the tongue is often all but right.
        assert_eq!(server.get(&format!("{path}A")).status, 403);
        assert_eq!(get(&server.address, "/recordings", &[("Authorization", &format!("{bearer}A"))]).status, 401);
        assert_eq!(
            request(&server.address, "POST", "/recordings/call/link", &[("Authorization", &bearer)], b"").status,
            200
        );
        for url in [server.url(&path), server.url("/recordings/call/media")] {
            let output = tool("nghttp").args(["-n", "-H", &format!("authorization: {bearer}")]).arg(url).output();
            assert!(output.expect("nghttp runs").status.success());
        }
        // A head that cannot be read.
        let mut stream = TcpStream::connect(&server.address).expect("connects");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization : {bearer}\r\n\r\n").expect("sent");
        let mut answer = Vec::new();
        let _reset_is_an_end = stream.read_to_end(&mut answer);
        assert!(answer.starts_with(b"HTTP/1.1 400"), "{}", text(&answer));
        server.signal("TERM");
        thread::sleep(Duration::from_millis(300));
        let log = server.log();
        assert!(log.contains(&id) && log.len() > 1000, "{log}");
        for secret in [&token, &link, &secret, &key] {
            for piece in pieces(secret) {
                assert!(!log.contains(&piece), "{piece} in the log at {level}");
            }
        }
        if format == "json" {
            let lines = log.lines().filter(|line| !line.starts_with("warning: "));
            for line in lines {
                let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
                assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
            }
        }
    }
}

/// A collector of traces: takes what is posted, and answers.
struct Collector {
    address: String,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Collector {
    fn start(answers: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("an address").to_string();
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bodies);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                thread::spawn(move || collect(stream, &kept, answers));
            }
        });
        Self { address, bodies }
    }

    fn holds(&self, wanted: &[u8]) -> bool {
        let bodies = self.bodies.lock().expect("not poisoned");
        bodies.iter().any(|body| body.windows(wanted.len()).any(|window| window == wanted))
    }
}

fn collect(stream: TcpStream, kept: &Mutex<Vec<Vec<u8>>>, answers: bool) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut len, mut line) = (0, String::new());
        let mut is_first = true;
        loop {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            assert!(!is_first || line.starts_with("POST /v1/traces "), "{line}");
            is_first = false;
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                len = value.trim().parse().expect("a length");
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; len];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        kept.lock().expect("not poisoned").push(body);
        if answers {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
            if reader.get_mut().write_all(head.as_bytes()).is_err() {
                return;
            }
        } else {
            thread::sleep(Duration::from_secs(60));
        }
    }
}

#[test]
fn traces_reach_a_collector_and_name_nobody() {
    let system = System::with_key();
    system.import("secret-call", &media(50_000));
    let link = system.json(&["link", "secret-call"])["url"].as_str().expect("a URL").to_owned();
    let link = link.split_once("link=").expect("a link").1.to_owned();
    let collector = Collector::start(true);
    let endpoint = format!("http://{}", collector.address);
    let server = serve(&system, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]);
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let reply = get(&server.address, &format!("/recordings/secret-call/media?link={link}"), &[("traceparent", parent)]);
    assert_eq!(reply.status, 200);
    let id = reply.header("x-request-id").expect("an ID").to_owned();
    assert_eq!(server.get("/recordings/none").status, 404);
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    // What was last asked is sent before it ends.
    for wanted in [
        b"GET /recordings/{id}/media".as_slice(),
        b"GET /recordings/{id}",
        b"\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c",
        b"\xb7\xad\x6b\x71\x69\x20\x33\x31",
        id.as_bytes(),
        b"sealtape",
    ] {
        assert!(collector.holds(wanted), "{}", String::from_utf8_lossy(wanted));
    }
    assert!(!collector.holds(b"secret-call"), "no recording is named");
    for piece in pieces(&link) {
        assert!(!collector.holds(piece.as_bytes()), "no link is shown");
    }
}

#[test]
fn a_collector_that_is_away_or_silent_disturbs_nobody() {
    let (system, media) = (System::with_key(), media(50_000));
    system.import("call", &media);
    let silent = Collector::start(false);
    for endpoint in ["http://127.0.0.1:9".to_owned(), format!("http://{}", silent.address), "https://x".to_owned()] {
        let server = serve(&system, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]);
        for _ in 0..20 {
            assert!(server.get("/recordings/call/media").body == media, "{endpoint}");
        }
        let begun = Instant::now();
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0), "{endpoint}");
        assert!(begun.elapsed() < PATIENCE, "{endpoint}: {:?}", begun.elapsed());
    }
}

#[test]
fn nothing_is_sent_unless_the_environment_says_where() {
    let system = System::with_key();
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("OTEL_SDK_DISABLED", "true").env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    command.stdin(Stdio::null());
    let server = Server::start(command);
    assert_eq!(server.get("/recordings").status, 200);
    assert!(!server.log().contains("traces"), "{}", server.log());
}
