//! Connections: HTTP/1.1 and HTTP/2, TLS, socket files; times, limits, and stopping in order.

mod half_closed;
pub mod half_open;

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::support::{Reply, Server, System, get, media, text, tool};

const LEN: usize = 8 << 20;
const SECOND: Duration = Duration::from_secs(1);

/// A system with one recording of a few megabytes, and its media.
fn system() -> (System, Vec<u8>) {
    let (system, media) = (System::with_key(), media(LEN));
    system.import("call", &media);
    (system, media)
}

fn serve(system: &System, settings: &[(&str, &str)]) -> Server {
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.envs(settings.iter().map(|(key, value)| (format!("SEALTAPE_SERVER__{key}"), *value)));
    Server::start(command)
}

fn output(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
    output.stdout
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/connections").join(name)
}

/// Runs a case of hand-made HTTP/2.
fn frames(server: &Server, case: &str) -> Value {
    let (host, port) = server.address.split_once(':').expect("an address");
    let mut python = Command::new("/usr/bin/python3");
    python.arg(script("h2_frames.py")).args([case, host, port, "/recordings/call/media", &server.pid().to_string()]);
    serde_json::from_slice(&output(&mut python)).expect("JSON")
}

/// The SHA-256 that Python would name.
fn sha256(system: &System, bytes: &[u8]) -> String {
    let file = system.file("hashed", bytes);
    text(&output(tool("sha256sum").arg(file))).split(' ').next().expect("a hash").to_owned()
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(&server.address).expect("connects");
    stream.set_read_timeout(Some(30 * SECOND)).expect("set");
    stream
}

/// Everything that comes until the other end closes.
fn read_all(stream: &mut TcpStream) -> String {
    let mut came = Vec::new();
    let _reset_is_an_end = stream.read_to_end(&mut came);
    text(&came)
}

fn certificate(system: &System, name: &str) {
    let path = |end: &str| system.path(&format!("{end}.pem"));
    output(
        tool("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
            .args(["-subj", &format!("/CN={name}"), "-keyout"])
            .arg(path("key"))
            .arg("-out")
            .arg(path("cert")),
    );
}

fn serve_tls(system: &System, settings: &[(&str, &str)]) -> Server {
    certificate(system, "first");
    let (cert, key) = (system.path("cert.pem"), system.path("key.pem"));
    let tls = [("TLS__CERT", cert.to_str().expect("UTF-8")), ("TLS__KEY", key.to_str().expect("UTF-8"))];
    serve(system, &[&tls, settings].concat())
}

fn curl(server: &Server, path: &str, arguments: &[&str]) -> Vec<u8> {
    let url = format!("https://{}{path}", server.address);
    output(tool("curl").args(["-sS", "-k", "--max-time", "30"]).args(arguments).arg(url))
}

#[test]
fn nghttp_and_h2load_are_served_with_the_right_bytes() {
    let (system, media) = system();
    let server = serve(&system, &[]);
    let url = server.url("/recordings/call/media");
    let part = output(tool("nghttp").args(["-H", "range: bytes=100000-299999", &url]));
    assert!(part == media[100_000..300_000], "{} bytes", part.len());
    let load = text(&output(tool("h2load").args(["-n", "200", "-c", "8", "-m", "8", &server.url("/livez")])));
    assert!(load.contains("200 2xx, 0 3xx, 0 4xx, 0 5xx"), "{load}");
    let tls = serve_tls(&system, &[]);
    let url = format!("https://{}/recordings/call/media", tls.address);
    let part = output(tool("nghttp").args(["-H", "range: bytes=100000-299999", &url]));
    assert!(part == media[100_000..300_000], "{} bytes by ALPN", part.len());
}

#[test]
fn frames_by_hand() {
    let (system, media) = system();
    let server = serve(&system, &[]);
    let range = frames(&server, "range");
    assert_eq!((&range[0]["status"], &range[0]["len"]), (&206.into(), &1000.into()));
    assert_eq!(range[0]["sha256"], sha256(&system, &media[1000..2000]));
    assert_eq!((&range[1]["status"], &range[1]["len"]), (&200.into(), &0.into()));
    assert_eq!(range[1]["headers"]["content-length"], LEN.to_string());
    for (head, status) in [(&range[2], 200), (&range[3], 404)] {
        assert_eq!((&head["status"], &head["len"]), (&status.into(), &0.into()), "a head alone: {head}");
        assert!(head["headers"]["content-length"].as_str().is_some_and(|len| len != "0"), "{head}");
    }
    let after = frames(&server, "cancel");
    assert_eq!(after["sha256"], sha256(&system, &media[1000..2000]), "the server goes on");
    let both = frames(&server, "interleaved");
    let whole = sha256(&system, &media);
    assert_eq!((&both["a"]["sha256"], &both["b"]["sha256"]), (&whole.clone().into(), &whole.into()));
    assert!(both["switches"].as_u64() > Some(2), "{}", both["switches"]);
    let long = frames(&server, "long");
    for (stream, status, code) in [(&long[0], 414, "uri-too-long"), (&long[1], 431, "headers-too-large")] {
        let document: Value = serde_json::from_str(stream["text"].as_str().expect("text")).expect("JSON");
        assert_eq!((&stream["status"], &document["code"]), (&status.into(), &code.into()));
        assert_eq!(document["instance"], stream["headers"]["x-request-id"]);
        assert_eq!(stream["headers"]["playback-error"], code);
    }
    assert_eq!(long[2]["status"], 200, "many small fields within 16 KiB are read");
}

#[test]
fn a_client_that_opens_no_window_is_reset_and_costs_little() {
    let (system, _) = system();
    let server = serve(&system, &[("TIMEOUTS__WRITE", "2s"), ("TIMEOUTS__IDLE", "60s")]);
    let before = server.peak_memory();
    let outcome = frames(&server, "closed-window");
    for stream in outcome["streams"].as_array().expect("streams") {
        assert_eq!((&stream["status"], &stream["reset"]), (&200.into(), &8.into()), "{stream}");
    }
    assert_eq!(outcome["live"]["status"], 200);
    // Twenty streams of 8 MiB were asked for.
    let grown = server.peak_memory() - before;
    assert!(grown < 48 << 20, "{} MiB more", grown >> 20);
}

/// How many sockets a server holds.
fn sockets(server: &Server) -> usize {
    let open = fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("it runs, and belongs to us");
    // One that was closed in between is none.
    let open = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    open.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}

#[test]
fn slow_heads_idle_connections_and_slow_readers_are_cut() {
    let (system, _) = system();
    let settings = [("TIMEOUTS__HEADERS", "1s"), ("TIMEOUTS__IDLE", "3s"), ("TIMEOUTS__WRITE", "2s")];
    let server = serve(&system, &settings);
    // Of a recording that is longer than what lies under way, nothing is read.
    let before = sockets(&server);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(16 << 10).expect("set");
    socket.connect(&server.address.parse::<SocketAddr>().expect("an address").into()).expect("connects");
    let mut stopped = TcpStream::from(socket);
    stopped.write_all(b"GET /recordings/call/media HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let begun = Instant::now();
    assert!(server.wait_until(15 * SECOND, |server| sockets(server) > before), "it begins");
    assert!(server.wait_until(15 * SECOND, |server| sockets(server) <= before), "it is cut");
    assert!(begun.elapsed() >= SECOND, "{:?}", begun.elapsed());
    let came = read_all(&mut stopped);
    assert!(came.starts_with("HTTP/1.1 200") && came.len() < LEN, "{} bytes", came.len());
    // A byte now and then does not put it off.
    let mut drip = connect(&server);
    let begun = Instant::now();
    while begun.elapsed() < 20 * SECOND && drip.write_all(b"G").is_ok() {
        thread::sleep(SECOND / 5);
    }
    assert!((SECOND..15 * SECOND).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    let mut silent = connect(&server);
    let begun = Instant::now();
    assert_eq!(read_all(&mut silent), "");
    assert!((2 * SECOND..15 * SECOND).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    let mut idle = connect(&server);
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let begun = Instant::now();
    assert!(read_all(&mut idle).starts_with("HTTP/1.1 200"));
    assert!((2 * SECOND..15 * SECOND).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    let over_http2 = frames(&server, "idle");
    assert_eq!((&over_http2["status"], &over_http2["goaway"]), (&200.into(), &true.into()));
    let seconds = over_http2["seconds"].as_f64().expect("seconds");
    assert!((2.0..15.0).contains(&seconds), "{seconds}");
}

#[test]
fn a_reader_that_stops_over_http1_is_cut() {
    let (system, media) = (System::with_key(), media(64 << 20));
    system.import("call", &media);
    let server = serve(&system, &[("TIMEOUTS__WRITE", "2s")]);
    let mut stream = connect(&server);
    stream.write_all(b"GET /recordings/call/media HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    thread::sleep(5 * SECOND);
    let mut came = Vec::new();
    let _reset_is_an_end = stream.read_to_end(&mut came);
    assert!(came.len() < media.len(), "all of it came");
    assert!(server.get("/livez").status == 200);
}

/// An answer to raw bytes.
fn raw(server: &Server, bytes: &[u8]) -> (String, Value) {
    let mut stream = connect(server);
    stream.write_all(bytes).expect("sent");
    let came = read_all(&mut stream);
    let (head, body) = came.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{came:?}"));
    let document = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {came}"));
    (head.to_ascii_lowercase(), document)
}

#[test]
fn what_is_not_a_request_and_what_is_too_long_gets_a_problem_document() {
    let system = System::with_key();
    let server = serve(&system, &[]);
    let long = |len: usize| "a".repeat(len);
    for (bytes, status, code) in [
        ("NOT HTTP\r\n\r\n".to_owned(), 400, "bad-request"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n".into(), 400, "bad-request"),
        (format!("GET /{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", long(9000)), 414, "uri-too-long"),
        (format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", long(100_000)), 414, "uri-too-long"),
        (
            format!("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: {}\r\n\r\n", long(17_000)),
            431,
            "headers-too-large",
        ),
        (format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", long(200_000)), 431, "headers-too-large"),
    ] {
        let (head, document) = raw(&server, bytes.as_bytes());
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
        assert_eq!((&document["code"], &document["status"]), (&code.into(), &status.into()));
        let id = document["instance"].as_str().expect("an ID");
        for line in [
            "content-type: application/problem+json".to_owned(),
            format!("x-request-id: {id}"),
            format!("playback-error: {code}"),
            "connection: close".into(),
            "x-content-type-options: nosniff".into(),
            "date: ".into(),
        ] {
            assert_eq!(head.matches(&line).count(), 1, "{line} in {head}");
        }
    }
    // Heads of up to 16 KiB are always read.
    let head = |len: usize| {
        let head = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: ";
        format!("{head}{}\r\n\r\n", long(len - head.len() - 4))
    };
    let (head, _) = raw(&server, head(16 * 1024).as_bytes());
    assert!(head.starts_with("http/1.1 200 "), "{head}");
}

#[test]
fn heads_of_many_fields_are_read_wherever_they_begin() {
    let system = System::with_key();
    let server = serve(&system, &[]);
    let request = |fields: usize, last: &str| {
        format!("GET /livez HTTP/1.1\r\nHost: localhost\r\n{last}{}\r\n", "a:\r\n".repeat(fields))
    };
    let close = "Connection: close\r\n";
    // As many as fit into 16 KiB, alone, and in one breath with others.
    for breath in [
        request(4060, close),
        request(0, "") + &request(4060, close),
        request(101, "") + &request(0, "") + &request(4060, "") + &request(1, close),
    ] {
        let mut stream = connect(&server);
        stream.write_all(breath.as_bytes()).expect("sent");
        let came = read_all(&mut stream);
        let answers = came.matches("HTTP/1.1 200 OK\r\n").count();
        assert_eq!((answers, came.matches("{}").count()), (breath.matches("GET ").count(), answers), "{came}");
    }
    // Too many are refused, once and by name.
    let (head, document) = raw(&server, request(9000, close).as_bytes());
    assert!(head.starts_with("http/1.1 431 "), "{head}");
    assert_eq!(document["code"], "headers-too-large");
}

#[test]
fn a_flood_is_told_so_and_passes() {
    let system = System::with_key();
    let server = serve(&system, &[("MAX_CONNECTIONS", "4")]);
    let held: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut stream = connect(&server);
            stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
            let mut first = [0; 12];
            stream.read_exact(&mut first).expect("an answer");
            assert_eq!(&first, b"HTTP/1.1 200");
            stream
        })
        .collect();
    let refused: Reply = server.get("/recordings");
    assert_eq!((refused.status, refused.problem().as_str()), (503, "overloaded"));
    assert_eq!((refused.header("retry-after"), refused.header("connection")), (Some("5"), Some("close")));
    assert_eq!(server.get("/livez").status, 200, "it lives");
    drop(held);
    assert!(server.wait_until(10 * SECOND, |server| server.get("/recordings").status == 200));
}

#[test]
fn a_socket_file() {
    let (system, media) = system();
    let path = system.path("socket");
    let listen = format!("unix:{}", path.display());
    let server = Server::start(system.command(&["serve", "--listen", &listen]));
    assert_eq!(server.address, path.to_str().expect("UTF-8"));
    let mut curl = tool("curl");
    let fetched = output(curl.args(["-sS", "--unix-socket"]).arg(&path).arg("http://localhost/recordings/call/media"));
    assert!(fetched == media);
    let error = system.fails(1, &["serve", "--listen", &listen]);
    assert!(error.contains(path.to_str().expect("UTF-8")) && error.contains("in use"), "{error}");
    server.signal("KILL");
    server.wait();
    assert!(path.exists(), "left by a server that was killed");
    let server = Server::start(system.command(&["serve", "--listen", &listen]));
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    assert!(!path.exists(), "removed at the end");
}

#[test]
fn tls_of_two_versions_and_no_older() {
    let (system, media) = system();
    let server = serve_tls(&system, &[]);
    for arguments in [["--tlsv1.2", "--tls-max", "1.2", "--http1.1"], ["--tlsv1.3", "--tls-max", "1.3", "--http2"]] {
        assert!(curl(&server, "/recordings/call/media", &arguments) == media, "{arguments:?}");
    }
    let version = curl(&server, "/livez", &["-o", "/dev/null", "-w", "%{http_version}"]);
    assert_eq!(text(&version), "2", "by ALPN");
    let mut old = tool("openssl");
    old.args(["s_client", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", "-connect", &server.address]);
    let old = old.stdin(std::process::Stdio::null()).output().expect("it runs");
    assert!(!old.status.success() && text(&old.stderr).contains("alert"), "{}", text(&old.stderr));
}

#[test]
fn certificates_are_read_again_and_bad_ones_never_used() {
    let system = System::with_key();
    let server = serve_tls(&system, &[]);
    let subject = |server: &Server| {
        let mut client = tool("openssl");
        client.args(["s_client", "-connect", &server.address]).stdin(std::process::Stdio::null());
        text(&client.output().expect("it runs").stdout)
    };
    assert!(subject(&server).contains("CN = first"));
    fs::write(system.path("cert.pem"), "nothing of the kind").expect("written");
    assert!(server.wait_until(20 * SECOND, |server| server.log().contains("stay as they were")), "{}", server.log());
    assert!(subject(&server).contains("CN = first"), "the old one goes on");
    certificate(&system, "second");
    assert!(server.wait_until(20 * SECOND, |server| subject(server).contains("CN = second")));
    drop(server);
    fs::write(system.path("key.pem"), "nothing of the kind").expect("written");
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("SEALTAPE_SERVER__TLS__CERT", system.path("cert.pem"));
    command.env("SEALTAPE_SERVER__TLS__KEY", system.path("key.pem"));
    let failed = command.output().expect("it runs");
    let error = text(&failed.stderr);
    assert_eq!((failed.status.code(), error.lines().count()), (Some(1), 2), "{error}");
    assert!(error.contains("key.pem holds no private key"), "{error}");
}

#[test]
fn readiness_fails_first_then_the_listener_closes_then_streams_finish() {
    let (system, media) = system();
    let server = serve(&system, &[("DRAIN_DELAY", "3s"), ("DRAIN_TIMEOUT", "60s")]);
    let mut stream = connect(&server);
    stream
        .write_all(b"GET /recordings/call/media HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let mut came = vec![0; 1000];
    stream.read_exact(&mut came).expect("it plays");
    server.signal("TERM");
    assert!(server.wait_until(2 * SECOND, |server| server.get("/readyz").status == 503));
    assert_eq!(server.get("/readyz").json()["degraded"], serde_json::json!(["draining"]));
    assert_eq!(server.get("/recordings").status, 200, "others are still served");
    assert!(server.wait_until(20 * SECOND, |server| TcpStream::connect(&server.address).is_err()), "it closes");
    stream.read_to_end(&mut came).expect("to the end");
    let body = came.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head") + 4;
    assert!(came[body..] == media, "whole");
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn a_drained_http2_connection_is_told_to_go_and_a_second_signal_ends_it() {
    let (system, media) = system();
    let server = serve(&system, &[("DRAIN_TIMEOUT", "120s")]);
    let drained = frames(&server, "drain");
    assert_eq!((&drained["goaway"], &drained["a"]["ended"]), (&true.into(), &true.into()));
    assert_eq!(drained["a"]["sha256"], sha256(&system, &media));
    assert_eq!(server.wait(), Some(0));
    let server = serve(&system, &[("DRAIN_DELAY", "600s")]);
    server.signal("TERM");
    assert!(server.wait_until(10 * SECOND, |server| server.get("/readyz").status == 503));
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0), "without waiting");
}

#[test]
fn systemd_passes_a_socket_and_is_told() {
    let system = System::with_key();
    let mut parent = Command::new("/usr/bin/python3");
    parent.arg(script("systemd_parent.py")).arg(system.path("")).arg(env!("CARGO_BIN_EXE_sealtape"));
    parent.arg("--data-dir").arg(system.data_dir()).arg("serve").env("SEALTAPE_SERVER__DRAIN_DELAY", "0s");
    let seen: Value = serde_json::from_slice(&output(&mut parent)).expect("JSON");
    let states = ["READY=1", "RELOADING=1", "STOPPING=1", "WATCHDOG=1"];
    assert_eq!(seen, serde_json::json!({ "status": 200, "seen": states, "code": 0 }));
}

#[test]
fn metrics_and_readiness_have_a_listener_of_their_own() {
    let (system, _) = system();
    let server = serve(&system, &[("ADMIN_LISTEN", "127.0.0.1:0")]);
    let line = server.said.iter().find(|line| line.starts_with("metrics")).expect("a line").clone();
    let admin = line.rsplit("http://").next().expect("an address").trim_end_matches('/').to_owned();
    assert_eq!(get(&admin, "/livez", &[]).status, 200);
    assert!(get(&admin, "/readyz", &[]).json()["keys"]["loaded_s_ago"].is_u64());
    for path in ["/recordings", "/recordings/call", "/recordings/call/media", "/"] {
        assert_eq!(get(&admin, path, &[]).problem(), "not-found", "{path}");
    }
    let ready = server.get("/readyz").json();
    assert_eq!(ready, serde_json::json!({ "degraded": [] }), "no detail beside recordings");
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    let failed = command.env("SEALTAPE_SERVER__ADMIN_LISTEN", "0.0.0.0:0").output().expect("it runs");
    assert!(text(&failed.stderr).contains("can be reached from other machines"), "{}", text(&failed.stderr));
}
