//! Requests that are handed on to the proxy which has a recording in its spool: to no one else, with nothing but what the
//! caller proved themselves with, and cut where that proxy breaks off.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{CHUNK, MEDIA, PATIENCE, ask, free_port, metric, verified, wait_until, wait_until_known};
use crate::live::recorder::Follower;
use crate::support::{Server, System, Upload, get, media, request, text, tool};

const LEN: usize = 100_000;

/// A proxy with a spool, a name and a record of its own, with these settings above what it has by itself.
fn serve(system: &System, name: &str, port: u16, settings: &[(&str, &str)]) -> Server {
    let mut command = system.command(&["serve", "--listen", &format!("127.0.0.1:{port}")]);
    command.env("SEALTAPE_STORAGE__SPOOL", system.path(name));
    command.env("SEALTAPE_SERVER__PEER_URL", format!("http://127.0.0.1:{port}"));
    command.env("SEALTAPE_AUDIT__PATH", system.path(&format!("{name}-audit")));
    command.env("SEALTAPE_AUDIT__INSTANCE", name);
    command.envs(settings.iter().map(|(name, value)| (format!("SEALTAPE_{name}"), value)));
    Server::start(command)
}

/// What a proxy has on record of those who listened, once it has ended.
fn closed(system: &System, name: &str) -> Vec<Value> {
    let record = system.path(&format!("{name}-audit"));
    let shown = system.json(&["audit", "show", record.to_str().expect("UTF-8")]);
    shown.as_array().expect("events").iter().filter(|event| event["event"] == "closed").cloned().collect()
}

fn stopped(server: Server) {
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
}

/// Has the row of the recording name another spool.
fn point_at(system: &System, spool: &str) {
    let _no_row_comes_back: Option<(i64,)> = ask(system, "UPDATE recording SET spool = $1 WHERE id = 'live'", spool);
}

fn token(system: &System, scope: &str, more: &[&str]) -> String {
    let mut arguments = vec!["token", "create", "--scope", scope, "--subject", "ann", "--ttl", "1h"];
    arguments.extend(more);
    format!("Bearer {}", system.json(&arguments)["token"].as_str().expect("a token"))
}

/// The path and query of a link to the recording.
fn link(system: &System) -> String {
    let url = system.json(&["link", "live", "--subject", "bob"])["url"].as_str().expect("a URL").to_owned();
    let (_, path) = url.split_once("/recordings").expect("a path");
    format!("/recordings{path}")
}

/// Takes the place of a proxy: keeps every head that comes, and says the same to each.
struct Listener {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Listener {
    fn at(host: &str, answer: &'static str) -> Self {
        let listener = TcpListener::bind(format!("{host}:0")).expect("bound");
        let address = listener.local_addr().expect("an address").to_string();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heads);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, mut head, mut piece) = (stream.expect("a connection"), Vec::new(), [0; 4096]);
                let number = kept.lock().expect("lock").len();
                kept.lock().expect("lock").push(String::new());
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(read @ 1..) = stream.read(&mut piece) else { break };
                    head.extend_from_slice(&piece[..read]);
                    kept.lock().expect("lock")[number] = text(&head).to_ascii_lowercase();
                }
                let _gone_already = stream.write_all(answer.as_bytes());
            }
        });
        Self { address, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("lock").clone()
    }
}

#[test]
fn whoever_can_write_rows_gets_no_credentials_sent_anywhere() {
    let (system, media) = (System::with_key(), media(LEN));
    let token_mode = ("AUTH__MODE", "token");
    let a = serve(&system, "a", free_port(), &[token_mode]);
    let (play, write) = (token(&system, "recordings:play", &[]), token(&system, "recordings:write", &[]));
    let delete = token(&system, "recordings:delete", &[]);
    let mut upload = Upload::begin(&a.address, "live", &[("Authorization", &write)]);
    upload.send(&media);
    let as_one = |server: &Server, method: &str, path: &str, token: &str| {
        request(&server.address, method, path, &[("Authorization", token)], b"")
    };
    wait_until("it is known", PATIENCE, || {
        as_one(&a, "GET", "/recordings/live", &play).json()["media_len"].as_u64() >= Some(verified(LEN) as u64)
    });
    let link = link(&system);
    let hostile = Listener::at("127.0.0.2", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    let (_, port) = hostile.address.split_once(':').expect("a port");
    let b = serve(&system, "b", free_port(), &[token_mode]);
    let ask_all = |b: &Server| {
        let get = as_one(b, "GET", MEDIA, &play);
        let heads = as_one(b, "HEAD", MEDIA, &play);
        let deleted = as_one(b, "DELETE", "/recordings/live", &delete);
        (get, [heads.status, b.get(&link).status, deleted.status])
    };
    for spool in [
        format!("http://{}", hostile.address),
        format!("http://{}/tape", hostile.address),
        format!("http://{}@{}", a.address, hostile.address),
        format!("http://{}#@127.0.0.1:1", hostile.address),
        format!("https://{}", hostile.address),
        format!("http://127.0.0.2:{port}/?x=127.0.0.1:8080"),
        format!("http://localhost:{port}"),
    ] {
        point_at(&system, &spool);
        let (refused, others) = ask_all(&b);
        assert_eq!((refused.status, refused.problem().as_str()), (503, "storage-unavailable"), "{spool}");
        assert_eq!(others, [503; 3], "{spool}");
        let told = text(&refused.body);
        assert!(told.contains("another proxy") && !told.contains("127.0.0"), "{told}");
        b.assert_says("server.peers");
        assert!(!b.log().contains("eyJ"), "{}", b.log());
    }
    assert_eq!(hostile.heads(), Vec::<String>::new(), "not so much as a connection");
    assert_eq!(scrape(&b, "refused") + scrape(&b, "unreachable"), 28.0);
    assert!(scrape(&b, "refused") >= 24.0, "but for what is no URL at all");
    // The same one gets it all when the settings say that it is a proxy.
    point_at(&system, &format!("http://{}", hostile.address));
    let allowed =
        serve(&system, "c", free_port(), &[token_mode, ("SERVER__PEERS", &format!("http://{}", hostile.address))]);
    let (given, others) = ask_all(&allowed);
    assert_eq!((given.status, given.body.as_slice(), others), (200, &b"evil"[..], [200; 3]));
    assert_eq!(hostile.heads().len(), 4);

    // Nobody is followed who sends one elsewhere.
    let moved: &str = Box::leak(
        format!("HTTP/1.1 307 Moved\r\nLocation: http://{}{MEDIA}\r\nContent-Length: 0\r\n\r\n", hostile.address)
            .into_boxed_str(),
    );
    let mover = Listener::at("127.0.0.1", moved);
    point_at(&system, &format!("http://{}", mover.address));
    let refused = as_one(&b, "GET", MEDIA, &play);
    assert_eq!((refused.status, refused.problem().as_str()), (503, "storage-unavailable"));
    assert_eq!((mover.heads().len(), hostile.heads().len()), (1, 4));
}

fn scrape(server: &Server, outcome: &str) -> f64 {
    metric(server, &format!("sealtape_forwards_total{{outcome=\"{outcome}\"}}"))
}

#[test]
fn tokens_and_links_are_handed_on_and_those_who_listen_are_on_record_once() {
    let (system, media) = (System::with_key(), media(LEN));
    let settings = [("AUTH__MODE", "token"), ("SERVER__TRUSTED_PROXIES", "127.0.0.1")];
    let (a, b) = (serve(&system, "a", free_port(), &settings), serve(&system, "b", free_port(), &settings));
    let (play, write) = (token(&system, "recordings:play", &[]), token(&system, "recordings:write", &[]));
    let elsewhere = token(&system, "recordings:play", &["--recordings", "other-"]);
    let mut upload = Upload::begin(&a.address, "live", &[("Authorization", &write)]);
    upload.send(&media);
    let range = format!("bytes=0-{}", 2 * CHUNK - 1);
    let ranged = |server: &Server, path: &str, more: &[(&str, &str)]| {
        let mut headers = vec![("Range", range.as_str()), ("X-Forwarded-For", "198.51.100.7")];
        headers.extend(more);
        get(&server.address, path, &headers)
    };
    wait_until("it is known", PATIENCE, || ranged(&a, MEDIA, &[("Authorization", &play)]).status == 206);
    let link = link(&system);
    let by_token = ranged(&b, MEDIA, &[("Authorization", &play)]);
    let by_link = ranged(&b, &link, &[("Authorization", "Bearer not.a.token")]);
    for reply in [&by_token, &by_link] {
        assert!(reply.status == 206 && reply.body == media[..2 * CHUNK], "{reply:?}");
    }
    assert_eq!(ranged(&b, MEDIA, &[]).problem(), "unauthenticated");
    assert_eq!(ranged(&b, MEDIA, &[("Authorization", &elsewhere)]).problem(), "recording-not-found");
    assert_eq!(ranged(&b, &link.replace("link=v1.", "link=v1.A"), &[]).problem(), "forbidden");
    assert_eq!(scrape(&b, "answered"), 2.0, "who may not listen was told so here");
    drop(upload);
    stopped(a);
    stopped(b);
    let mut heard: Vec<_> = closed(&system, "a");
    heard.retain(|event| event["request_ids"].as_array().is_some_and(|ids| !ids.is_empty()));
    let who = |event: &Value| {
        let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
        (text("subject"), text("credential"), text("peer"))
    };
    let mut who: Vec<_> = heard.iter().map(who).collect();
    who.sort();
    who.dedup();
    let one = |subject: &str, credential: &str| (subject.to_owned(), credential.to_owned(), "198.51.100.7".to_owned());
    assert_eq!(who, [one("ann", "token"), one("bob", "link")], "as they came to the other one");
    assert_eq!(closed(&system, "b"), Vec::<Value>::new(), "once, where they were heard");
}

#[test]
fn behind_a_sign_in_nobody_chooses_who_they_are() {
    let (system, media) = (System::with_key(), media(LEN));
    let settings = [
        ("AUTH__MODE", "proxy"),
        ("AUTH__PROXY__PEERS", "127.0.0.1"),
        ("AUTH__PROXY__SCOPES", "recordings:list,recordings:play,recordings:write"),
    ];
    let (a, b) = (serve(&system, "a", free_port(), &settings), serve(&system, "b", free_port(), &settings));
    let mut upload = Upload::begin(&a.address, "live", &[("X-Remote-User", "recorder")]);
    upload.send(&media);
    let range = ("Range", "bytes=0-99");
    wait_until("it is known", PATIENCE, || get(&a.address, MEDIA, &[range, ("X-Remote-User", "probe")]).status == 206);
    let link = link(&system);
    let by_name = get(&b.address, MEDIA, &[range, ("X-Remote-User", "ann")]);
    // Whoever comes by a link may say what they like of themselves.
    let by_link = get(&b.address, &link, &[range, ("X-Remote-User", "root")]);
    for reply in [by_name, by_link] {
        assert!(reply.status == 206 && reply.body == media[..100], "{reply:?}");
    }
    let twice = get(&b.address, MEDIA, &[range, ("X-Remote-User", "ann"), ("X-Remote-User", "root")]);
    assert_eq!(twice.problem(), "unauthenticated");
    // What is sent there, and what is not.
    let other = Listener::at("127.0.0.1", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine");
    point_at(&system, &format!("http://{}", other.address));
    let noise = [
        ("X-Remote-User", "root"),
        ("Authorization", "Basic cm9vdDpyb290"),
        ("Cookie", "session=1"),
        ("Sealtape-Forwarded", "1, 2"),
        ("Origin", "https://evil.example"),
        ("X-Anything", "1"),
        ("Range", "bytes=5-"),
        ("If-Match", "\"x\""),
        ("User-Agent", "player"),
    ];
    assert_eq!(get(&b.address, &link, &noise).body, b"mine");
    let heads = other.heads();
    let [head] = &heads[..] else { panic!("{heads:?}") };
    for sent in ["range: bytes=5-", "if-match: \"x\"", "user-agent: player", "x-forwarded-for: 127.0.0.1", "link=v1."] {
        assert!(head.contains(sent), "{sent} in {head}");
    }
    for kept in ["remote-user", "root", "authorization", "cookie", "origin", "anything"] {
        assert!(!head.contains(kept), "{kept} in {head}");
    }
    let mark = head.lines().find_map(|line| line.strip_prefix("sealtape-forwarded: ")).expect("a mark");
    assert!(mark.starts_with("1, 2, ") && mark.len() == 22, "{mark}");
    drop(upload);
    stopped(a);
    stopped(b);
    let mut who: Vec<String> =
        closed(&system, "a").iter().map(|event| event["subject"].as_str().expect("a subject").to_owned()).collect();
    who.sort();
    who.dedup();
    assert_eq!(who, ["ann", "bob", "probe"]);
}

#[test]
fn a_proxy_that_is_down_is_told_of_without_its_name_and_named_to_operators() {
    let (system, media) = (System::with_key(), media(LEN));
    let (port, admin) = (free_port(), free_port());
    let a = serve(&system, "a", port, &[]);
    let b = serve(&system, "b", free_port(), &[("SERVER__ADMIN_LISTEN", &format!("127.0.0.1:{admin}"))]);
    let mut upload = Upload::begin(&a.address, "live", &[]);
    upload.send(&media);
    wait_until_known(&b, verified(LEN));
    a.signal("KILL");
    assert_eq!(a.wait(), None);
    let named = format!("http://127.0.0.1:{port}");
    let reply = b.get(MEDIA);
    assert_eq!(
        (reply.status, reply.problem().as_str(), reply.header("retry-after")),
        (503, "storage-unavailable", Some("5"))
    );
    assert!(text(&reply.body).contains("on another proxy, which cannot be reached"), "{}", text(&reply.body));
    let document = b.get("/recordings/live");
    assert!(text(&document.body).contains("on another proxy, which cannot be reached"), "{}", text(&document.body));
    let ready = b.get("/readyz");
    assert_eq!((ready.status, &ready.json()["degraded"]), (200, &serde_json::json!(["peer-unreachable"])));
    for public in [&reply, &document, &ready] {
        assert!(!text(&public.body).contains(&format!(":{port}")), "{}", text(&public.body));
    }
    let told = get(&format!("127.0.0.1:{admin}"), "/readyz", &[]).json();
    assert_eq!(told["peers_unreachable"], serde_json::json!([named]));
    b.assert_says(&named);
    let a = serve(&system, "a", port, &[]);
    wait_until("it plays", PATIENCE, || b.get(MEDIA).status == 200);
    drop(a);
}

/// A balancer's address in `server.peer_url`, or one another's: whoever asks is told, and soon.
#[test]
fn proxies_that_name_one_another_hand_a_request_on_once() {
    let (system, media) = (System::with_key(), media(LEN));
    let (one, other) = (free_port(), free_port());
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let a = serve(&system, "a", one, &[("SERVER__PEER_URL", &url(other))]);
    let b = serve(&system, "b", other, &[("SERVER__PEER_URL", &url(one))]);
    let mut upload = Upload::begin(&a.address, "live", &[]);
    upload.send(&media);
    let is_known = || a.get("/recordings/live").json()["media_len"].as_u64() >= Some(verified(LEN) as u64);
    wait_until("it is known", PATIENCE, is_known);
    let begun = Instant::now();
    let reply = b.get(MEDIA);
    assert_eq!((reply.status, reply.problem().as_str()), (503, "storage-unavailable"));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!((scrape(&b, "answered"), scrape(&b, "refused")), (1.0, 1.0), "to itself, and there it ends");
    b.assert_says("it came back");
    // A mark from outside names nobody.
    assert_eq!(get(&a.address, MEDIA, &[("Range", "bytes=0-9"), ("Sealtape-Forwarded", "1")]).status, 206);
}

#[test]
fn a_proxy_that_breaks_off_a_body_of_known_length_cuts_it_here() {
    let (system, media) = (System::with_key(), media(LEN));
    let (a, b) = (serve(&system, "a", free_port(), &[]), serve(&system, "b", free_port(), &[]));
    let mut upload = Upload::begin(&a.address, "live", &[]);
    upload.send(&media);
    wait_until_known(&b, verified(LEN));
    let answer =
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-999/*\r\nContent-Length: 1000\r\n\r\n0123456789";
    let short = Listener::at("127.0.0.1", answer);
    point_at(&system, &format!("http://{}", short.address));
    let reply = b.get_range(MEDIA, "bytes=0-999");
    assert!(reply.status == 206 && reply.is_cut && reply.body == b"0123456789", "{reply:?}");
    let curl = tool("curl")
        .args(["-sS", "--http2-prior-knowledge", "-o", "/dev/null", "-r", "0-999"])
        .arg(b.url(MEDIA))
        .output()
        .expect("runs");
    assert_eq!(curl.status.code(), Some(92), "the stream is reset: {}", text(&curl.stderr));
    assert_eq!(scrape(&b, "cut"), 2.0);
}

/// A key and a certificate for this machine's own address, and what vouches for it.
struct Authority {
    ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
}

impl Authority {
    fn new(system: &System) -> Self {
        let path = |name: &str| system.path(name);
        let new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
        let made = |command: &mut Command| assert!(command.output().expect("runs").status.success(), "{command:?}");
        made(
            tool("openssl")
                .args(new)
                .args(["-x509", "-subj", "/CN=private authority", "-keyout"])
                .arg(path("ca.key"))
                .arg("-out")
                .arg(path("ca.pem")),
        );
        made(
            tool("openssl")
                .args(new)
                .args(["-x509", "-subj", "/CN=proxy", "-addext", "subjectAltName=IP:127.0.0.1"])
                .args(["-addext", "basicConstraints=critical,CA:FALSE", "-CA"])
                .arg(path("ca.pem"))
                .arg("-CAkey")
                .arg(path("ca.key"))
                .arg("-keyout")
                .arg(path("proxy.key"))
                .arg("-out")
                .arg(path("proxy.pem")),
        );
        Self { ca: path("ca.pem"), cert: path("proxy.pem"), key: path("proxy.key") }
    }

    fn serve(&self, system: &System, name: &str, port: u16, trusts: bool) -> Server {
        let mut command = system.command(&["serve", "--listen", &format!("127.0.0.1:{port}")]);
        command.env("SEALTAPE_STORAGE__SPOOL", system.path(name));
        command.env("SEALTAPE_SERVER__PEER_URL", format!("https://127.0.0.1:{port}"));
        command.env("SEALTAPE_SERVER__TLS__CERT", &self.cert).env("SEALTAPE_SERVER__TLS__KEY", &self.key);
        if trusts {
            command.env("SSL_CERT_FILE", &self.ca);
        }
        Server::start(command)
    }

    fn curl(&self, server: &Server, path: &str, arguments: &[&str]) -> Command {
        let mut curl = tool("curl");
        curl.args(["-sS", "--max-time", "60", "--cacert"]).arg(&self.ca).args(arguments);
        curl.arg(format!("https://{}{path}", server.address));
        curl
    }

    fn fetch(&self, server: &Server, path: &str, arguments: &[&str]) -> Vec<u8> {
        let output = self.curl(server, path, arguments).output().expect("runs");
        assert!(output.status.success(), "{}", text(&output.stderr));
        output.stdout
    }
}

/// Media as far as it came to a program.
fn reading(mut curl: Command, to: PathBuf) -> Child {
    curl.stdout(fs::File::create(to).expect("made")).stderr(Stdio::null()).spawn().expect("runs")
}

#[test]
fn over_tls_a_private_authority_vouches_for_peers_and_http2_in_front_changes_nothing() {
    let (system, media) = (System::with_key(), media(400_000));
    let authority = Authority::new(&system);
    let a = authority.serve(&system, "a", free_port(), true);
    let b = authority.serve(&system, "b", free_port(), true);
    let stranger = authority.serve(&system, "c", free_port(), false);
    let mut recorder = authority.curl(&a, MEDIA, &["-T", "-", "--http1.1", "-H", "Expect:"]);
    let mut recorder = recorder.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("runs");
    let mut feed = recorder.stdin.take().expect("piped");
    feed.write_all(&media[..200_000]).expect("fed");
    feed.flush().expect("fed");
    let known = || {
        let document = authority.fetch(&b, "/recordings/live", &[]);
        serde_json::from_slice::<Value>(&document).expect("JSON")["media_len"].as_u64().unwrap_or(0)
    };
    wait_until("it is known through the other one", PATIENCE, || known() >= 150_000);
    for version in ["--http1.1", "--http2"] {
        let part = authority.fetch(&b, MEDIA, &[version, "-r", "100000-100099"]);
        assert!(part == media[100_000..100_100], "{version}: {} bytes", part.len());
        let head = text(&authority.fetch(&b, MEDIA, &[version, "-I"])).to_ascii_lowercase();
        assert!(head.contains("200") && head.contains("recording-state: recording"), "{version}: {head}");
    }
    // Told by its certificate alone, which nobody vouches for there.
    let refused = authority.fetch(&stranger, MEDIA, &["-w", "%{http_code}", "-o", "/dev/null"]);
    assert_eq!(text(&refused), "503");
    let is_told = |stranger: &Server| stranger.log().to_ascii_lowercase().contains("certificate");
    assert!(stranger.wait_until(PATIENCE, is_told), "{}", stranger.log());

    let (to_end, to_cut) = (system.path("to-end"), system.path("to-cut"));
    let mut follower = reading(authority.curl(&b, MEDIA, &["--http2", "-N"]), to_end.clone());
    feed.write_all(&media[200_000..]).expect("fed");
    drop(feed);
    assert!(recorder.wait().expect("ends").success());
    assert!(follower.wait().expect("ends").success(), "it came to its end in order");
    assert!(fs::read(&to_end).expect("read") == media);

    // And one whose proxy dies.
    let mut recorder = authority.curl(&a, "/recordings/second/media", &["-T", "-", "--http1.1", "-H", "Expect:"]);
    let mut recorder =
        recorder.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("runs");
    let mut feed = recorder.stdin.take().expect("piped");
    feed.write_all(&media[..200_000]).expect("fed");
    let mut follower = None;
    wait_until("it is followed", PATIENCE, || {
        let probe = authority.curl(&b, "/recordings/second/media", &["-r", "0-99"]).output().expect("runs");
        if probe.stdout == media[..100] {
            let curl = authority.curl(&b, "/recordings/second/media", &["--http2", "-N"]);
            follower = Some(reading(curl, to_cut.clone()));
        }
        follower.is_some()
    });
    let came = || fs::metadata(&to_cut).map_or(0, |file| file.len());
    wait_until("it comes", PATIENCE, || came() > 50_000);
    a.signal("KILL");
    let ended = follower.expect("begun").wait().expect("ends");
    assert_eq!(ended.code(), Some(92), "the stream is reset");
    let came = fs::read(&to_cut).expect("read");
    assert!(media.starts_with(&came) && came.len() < media.len(), "{} bytes", came.len());
    drop(feed);
    let _broken_off = recorder.wait();
    a.wait();
}

#[test]
fn a_mark_is_no_way_around_and_a_stalled_peer_is_given_up() {
    let (system, media) = (System::with_key(), media(LEN));
    let (a, b) = (serve(&system, "a", free_port(), &[]), serve(&system, "b", free_port(), &[]));
    let mut upload = Upload::begin(&a.address, "live", &[]);
    upload.send(&media);
    wait_until_known(&b, verified(LEN));
    let marked = Follower::begin(&b, MEDIA, &[("Sealtape-Forwarded", "0123456789abcdef")]);
    marked.wait_for(verified(LEN));
    drop(marked);
    // Nobody answers there.
    let silent = TcpListener::bind("127.0.0.1:0").expect("bound");
    point_at(&system, &format!("http://{}", silent.local_addr().expect("an address")));
    let held = thread::spawn(move || silent.accept().map(|(stream, _)| stream));
    let begun = Instant::now();
    assert_eq!(b.get(MEDIA).problem(), "storage-unavailable");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let _stream: Option<TcpStream> = held.join().expect("ends").ok();
}
