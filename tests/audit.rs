//! The playback record: what is on it, that nothing can be changed unseen, and that it survives whatever kills a writer.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::support::{Server, System, get, media, request, signal, text};

mod full;
mod names;

const PATIENCE: Duration = Duration::from_secs(20);

fn system() -> (System, Vec<u8>) {
    let (system, media) = (System::with_key(), media(600_000));
    system.import("call", &media);
    (system, media)
}

fn events(system: &System, arguments: &[&str]) -> Vec<Value> {
    let mut all = vec!["audit", "show"];
    all.extend(arguments);
    system.json(&all).as_array().expect("a list").clone()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().expect("a kind")).collect()
}

fn of_kind(system: &System, kind: &str) -> Vec<Value> {
    events(system, &[]).into_iter().filter(|event| event["event"] == kind).collect()
}

fn stop(server: Server) {
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
}

fn record_files(system: &System) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(system.data_dir().join("audit"))
        .expect("a folder")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .collect();
    files.sort();
    files
}

#[test]
fn the_many_ranges_of_one_player_are_one_session() {
    let (system, media) = system();
    let fingerprint = system.json(&["keys", "list"])[0]["fingerprint"].clone();
    let server = system.serve();
    let play = |agent: &str, range: &str| {
        get(&server.address, "/recordings/call/media", &[("User-Agent", agent), ("Range", range)])
    };
    let mut request_ids = Vec::new();
    for i in 0..20 {
        let reply = play("player one", &format!("bytes={}-{}", i * 10_000, i * 10_000 + 9_999));
        assert_eq!(reply.status, 206);
        request_ids.push(reply.header("x-request-id").expect("an ID").to_owned());
    }
    assert_eq!(play("player one", "bytes=500000-500009,599990-").status, 206, "parts are spans");
    let opened = of_kind(&system, "opened");
    assert_eq!(opened.len(), 1, "on record while it plays");
    assert!(get(&server.address, "/recordings/call/media", &[("User-Agent", "player two")]).body == media);
    // None of these is listening.
    let etag = play("quiet", "bytes=600000-").header("content-range").map(str::to_owned);
    assert_eq!(etag.as_deref(), Some("bytes */600000"));
    assert_eq!(request(&server.address, "HEAD", "/recordings/call/media", &[("User-Agent", "quiet")], b"").status, 200);
    assert_eq!(
        get(&server.address, "/recordings/call/media", &[("User-Agent", "quiet"), ("If-None-Match", "*")]).status,
        304
    );
    assert_eq!(get(&server.address, "/recordings/call", &[("User-Agent", "quiet")]).status, 200);
    stop(server);

    let record = events(&system, &["--recording", "call"]);
    let of =
        |agent: &str| -> Vec<Value> { record.iter().filter(|event| event["user_agent"] == agent).cloned().collect() };
    assert!(of("quiet").is_empty(), "{:?}", of("quiet"));
    let one = of("player one");
    assert_eq!(kinds(&one), ["opened", "closed"]);
    assert_eq!(one[0]["session"], one[1]["session"]);
    for event in &one {
        assert_eq!(
            (&event["subject"], &event["credential"], &event["peer"]),
            (&"local".into(), &"local".into(), &"127.0.0.1".into())
        );
        assert_eq!(event["fingerprint"], fingerprint);
        assert_eq!(event["seal_id"].as_str().map(str::len), Some(32));
    }
    assert_eq!(one[1]["spans"], serde_json::json!([[0, 199_999], [500_000, 500_009], [599_990, 599_999]]));
    assert_eq!((&one[1]["bytes"], &one[1]["requests"]), (&200_020.into(), &21.into()));
    assert_eq!((&one[1]["outcome"], &one[1]["verification"]), (&"left".into(), &"verified".into()));
    assert_eq!(one[0]["request_ids"][0], request_ids[0].as_str());
    let two = of("player two");
    assert_eq!((&two[1]["outcome"], &two[1]["spans"]), (&"complete".into(), &serde_json::json!([[0, 599_999]])));
    assert!(kinds(&events(&system, &[])).ends_with(&["server.stop"]));
}

#[test]
fn progress_is_told_while_it_plays() {
    let (system, _) = system();
    let long = media(48 << 20);
    system.import("long", &long);
    let server = system.serve();
    let mut stream = TcpStream::connect(&server.address).expect("connects");
    write!(stream, "GET /recordings/long/media HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut piece = vec![0; 1 << 20];
    stream.read_exact(&mut piece).expect("it plays");
    // The connection takes some more by itself; what it took is told within a few seconds.
    let told = server.wait_until(PATIENCE, |_| !of_kind(&system, "progress").is_empty());
    assert!(told, "{:?}", events(&system, &[]));
    let progress = of_kind(&system, "progress");
    let given = progress[0]["bytes"].as_u64().expect("bytes");
    assert!(given >= 1 << 20 && given < long.len() as u64, "{given}");
    assert_eq!(progress[0]["spans"], serde_json::json!([[0, given - 1]]));
    drop(stream);
    stop(server);
    assert_eq!(of_kind(&system, "closed").last().expect("closed")["outcome"], "left");
}

#[test]
fn damage_under_way_is_on_record() {
    let (system, _) = system();
    system.object("call").flip(512 + 30 * (16_384 + 16) + 5);
    let server = system.serve();
    assert!(server.get("/recordings/call/media").is_cut);
    stop(server);
    let closed = of_kind(&system, "closed");
    assert_eq!(
        (&closed[0]["outcome"], &closed[0]["verification"]),
        (&"cut:recording-corrupt".into(), &"failed".into())
    );
    assert_eq!(closed[0]["spans"], serde_json::json!([[0, 30 * 16_384 - 1]]), "what verified, and nothing more");
}

#[test]
fn what_is_changed_or_read_by_commands_and_requests_is_on_record() {
    let (system, media) = system();
    let second = system.json(&["keys", "generate"])["fingerprint"].clone();
    system.ok(&["encryption", "disable"]);
    system.ok(&["encryption", "enable"]);
    let range = system.command(&["cat", "call", "--range", "10-19"]).output().expect("runs").stdout;
    assert!(range == media[10..20]);
    system.fails(1, &["cat", "none"]);
    let link =
        system.json(&["link", "call", "--subject", "bob", "--ttl", "1h"])["url"].as_str().expect("a URL").to_owned();
    let token = system.json(&["token", "create", "--scope", "recordings:play", "--subject", "ann", "--ttl", "1h"]);
    let token = token["token"].as_str().expect("a token").to_owned();
    let server = Server::start({
        let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("SEALTAPE_AUTH__MODE", "token");
        command
    });
    let (_, path) = link.split_once("8080").expect("a port");
    assert_eq!(server.get(path).status, 200);
    let bearer = format!("Bearer {token}");
    let minted = request(&server.address, "POST", "/recordings/call/link", &[("Authorization", &bearer)], b"");
    assert_eq!(minted.status, 200);
    let asked = minted.header("x-request-id").expect("an ID").to_owned();
    stop(server);

    let record = events(&system, &[]);
    let expected = [
        "begun",
        "definition-key.generate",
        "keys.generate",
        "recording.import",
        "keys.generate",
        "encryption.disable",
        "encryption.enable",
        "opened",
        "closed",
        "refused",
        "link.mint",
        "token.create",
        "server.start",
        "opened",
        "link.mint",
        "closed",
        "server.stop",
    ];
    assert_eq!(kinds(&record), expected);
    assert_eq!(record[4]["fingerprint"], second);
    let subject = record[4]["subject"].as_str().expect("a subject");
    assert!(subject.starts_with("cli:uid-"), "{subject}");
    assert_eq!((&record[3]["recording"], &record[3]["bytes"]), (&"call".into(), &600_000.into()));
    assert_eq!((&record[8]["spans"], &record[8]["credential"]), (&serde_json::json!([[10, 19]]), &"command".into()));
    assert_eq!((&record[9]["code"], &record[9]["recording"]), (&"recording-not-found".into(), &"none".into()));
    assert!(record[10]["detail"].as_str().is_some_and(|detail| detail.starts_with("for bob until 20")));
    assert!(record[11]["detail"].as_str().is_some_and(|detail| detail.contains("for ann: recordings:play")));
    let by_link = &record[13];
    assert_eq!(
        (&by_link["subject"], &by_link["credential"], &by_link["minted_by"]),
        (&"bob".into(), &"link".into(), &subject.into())
    );
    assert_eq!((&record[14]["subject"], &record[14]["request_ids"][0]), (&"ann".into(), &asked.into()));

    assert_eq!(events(&system, &["--subject", "bob"]).len(), 2);
    assert_eq!(events(&system, &["--since", "2099-01-01T00:00:00Z"]).len(), 0);
    assert_eq!(events(&system, &["--since", "1h", "--recording", "none"]).len(), 1);
    assert!(system.ok(&["audit", "show", "--subject", "ann"]).contains("link.mint"));
    // Nothing on it opens anything.
    let text = fs::read_to_string(&record_files(&system)[0]).expect("read");
    let key = fs::read_to_string(system.data_dir().join("definition.key")).expect("read");
    let secret = fs::read_to_string(system.data_dir().join("link.secrets")).expect("read");
    let link = link.split_once("link=").expect("a link").1;
    for secret in [
        key.split(' ').nth(1).expect("a key"),
        secret.trim(),
        &token,
        link,
        token.rsplit('.').next().expect("a signature"),
    ] {
        assert!(secret.len() > 20 && !text.contains(secret), "{secret}");
    }
}

#[test]
fn refusals_are_on_record_and_many_alike_are_counted() {
    let (system, _) = system();
    let server = Server::start({
        let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("SEALTAPE_AUTH__MODE", "token");
        command
    });
    for _ in 0..300 {
        assert_eq!(server.get("/recordings/call/media").status, 401);
    }
    assert_eq!(server.get("/recordings/call/media?link=v1.a.b").status, 403);
    stop(server);
    let refused = of_kind(&system, "refused");
    let of = |code: &str| refused.iter().filter(|event| event["code"] == code).cloned().collect::<Vec<_>>();
    let unknown = of("unauthenticated");
    assert!((2..20).contains(&unknown.len()), "{}", unknown.len());
    let counted: u64 = unknown.iter().map(|event| event["count"].as_u64().unwrap_or(1)).sum();
    assert_eq!(counted, 300);
    assert_eq!((&unknown[0]["subject"], &unknown[0]["recording"]), (&"unknown".into(), &"call".into()));
    assert_eq!(of("forbidden").len(), 1);
}

#[test]
fn many_processes_write_one_chain() {
    let (system, _) = system();
    let server = system.serve();
    thread::scope(|scope| {
        for i in 0..8 {
            let (system, address) = (&system, &server.address);
            scope.spawn(move || {
                for k in 0..4 {
                    system.ok(&["link", "call", "--subject", &format!("s{i}-{k}")]);
                    assert_eq!(
                        get(address, "/recordings/call/media", &[("User-Agent", &format!("p{i}-{k}"))]).status,
                        200
                    );
                }
            });
        }
    });
    stop(server);
    let verified = system.json(&["audit", "verify"]);
    assert_eq!((&verified["sound"], verified["chains"].as_array().map(Vec::len)), (&true.into(), Some(1)));
    assert_eq!((of_kind(&system, "link.mint").len(), of_kind(&system, "opened").len()), (32, 32));
}

#[test]
fn whatever_is_changed_is_named_by_file_and_line() {
    let (system, _) = system();
    for _ in 0..5 {
        system.ok(&["link", "call"]);
    }
    let head = system.json(&["audit", "verify"])["chains"][0]["head"].as_str().expect("a head").to_owned();
    let path = record_files(&system).pop().expect("a file");
    let good = fs::read_to_string(&path).expect("read");
    let lines: Vec<&str> = good.lines().collect();
    let verify = |changed: &[&str], arguments: &[&str]| {
        fs::write(&path, changed.join("\n") + "\n").expect("written");
        let mut all = vec!["audit", "verify"];
        all.extend(arguments);
        let output = system.run(&all);
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let edited: Vec<String> = lines.iter().map(|line| line.replace("cli:uid-", "cli:uie-")).collect();
    let edited: Vec<&str> =
        lines[..3].iter().copied().chain([edited[3].as_str()]).chain(lines[4..].iter().copied()).collect();
    let without = [&lines[..3], &lines[4..]].concat();
    let mut swapped = lines.clone();
    swapped.swap(3, 4);
    let repeated = [&lines[..4], &lines[3..]].concat();
    for (what, changed, place, words) in [
        ("changed", edited, ":4:", "it was changed"),
        ("missing", without, ":4:", "lines 4 to 4 are missing"),
        ("swapped", swapped, ":4:", "missing"),
        ("repeated", repeated, ":5:", "repeated"),
        ("cut at the front", lines[1..].to_vec(), ":1:", "what came before is not among these files"),
    ] {
        let (code, said) = verify(&changed, &[]);
        assert_eq!(code, Some(1), "{what}: {said}");
        assert!(said.contains(place) && said.contains(words), "{what}: {said}");
    }
    // An end that was cut off is found by a head that was kept.
    let cut = &lines[..lines.len() - 1];
    assert_eq!(verify(cut, &[]).0, Some(0));
    let (code, said) = verify(cut, &["--head", &head]);
    assert!(code == Some(1) && said.contains("cut off"), "{said}");
    assert_eq!(verify(&lines, &["--head", &head]).0, Some(0));
    assert_eq!(system.run(&["audit", "verify", "--head", "x"]).status.code(), Some(2));
    // Several systems' records at once.
    let (other, _) = self::system();
    let theirs = record_files(&other).pop().expect("a file");
    let both = system.json(&["audit", "verify", path.to_str().expect("UTF-8"), theirs.to_str().expect("UTF-8")]);
    assert_eq!(both["chains"].as_array().map(Vec::len), Some(2));
    // A record whose end was changed is not gone on from.
    fs::write(&path, good.replace("\"recording\":\"call\",\"detail\"", "\"recording\":\"cell\",\"detail\""))
        .expect("written");
    let error = system.fails(1, &["link", "call"]);
    assert!(error.contains("not as it was written") && error.contains("audit verify"), "{error}");
}

#[test]
fn a_torn_end_is_cut_off_and_told() {
    let (system, _) = system();
    let path = record_files(&system).pop().expect("a file");
    let good = fs::read(&path).expect("read");
    fs::write(&path, [&good[..], b"{\"seq\":4,\"chain\":\"ab"].concat()).expect("written");
    assert!(system.fails(1, &["audit", "verify"]).contains("fault"));
    system.ok(&["link", "call"]);
    assert_eq!(system.json(&["audit", "verify"])["sound"], true);
    let repaired = of_kind(&system, "repaired");
    assert_eq!(repaired.len(), 1);
    assert!(fs::read(&path).expect("read").starts_with(&good), "nothing whole was touched");
}

fn break_record(system: &System) {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    let (folder, elsewhere) = (system.data_dir().join("audit"), system.path("audit-elsewhere"));
    fs::write(&elsewhere, "a file in its place").expect("written");
    // At once, for a server makes a folder that is missing.
    renameat_with(CWD, &folder, CWD, &elsewhere, RenameFlags::EXCHANGE).expect("exchanged");
}

fn mend_record(system: &System) {
    let folder = system.data_dir().join("audit");
    fs::remove_file(&folder).expect("removed");
    fs::rename(system.path("audit-elsewhere"), &folder).expect("moved back");
}

#[test]
fn what_cannot_be_recorded_is_not_played_unless_settings_say_so() {
    let (system, media) = system();
    let server = system.serve();
    let play = |agent: &str| get(&server.address, "/recordings/call/media", &[("User-Agent", agent)]);
    assert!(play("before").body == media);
    break_record(&system);
    let refused = play("meanwhile");
    assert_eq!((refused.status, refused.problem().as_str()), (503, "audit-unavailable"));
    assert!(refused.header("retry-after").is_some());
    let ready = server.get("/readyz");
    assert_eq!((ready.status, ready.json()["degraded"].clone()), (200, serde_json::json!(["audit-unavailable"])));
    for arguments in [&["keys", "generate"][..], &["encryption", "disable"], &["cat", "call"], &["link", "call"]] {
        let output = system.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(
            text(&output.stderr).contains("playback record") && output.stdout.is_empty(),
            "{}",
            text(&output.stderr)
        );
    }
    assert_eq!(system.json(&["keys", "list"]).as_array().map(Vec::len), Some(1), "nothing was done");
    mend_record(&system);
    assert!(server.wait_until(PATIENCE, |_| play("after").status == 200));
    assert!(server.wait_until(PATIENCE, |server| server.get("/readyz").json()["degraded"] == serde_json::json!([])));
    stop(server);
    assert_eq!(system.json(&["audit", "verify"])["sound"], true);
    let agents: BTreeSet<String> =
        of_kind(&system, "opened").iter().map(|event| event["user_agent"].as_str().expect("one").to_owned()).collect();
    assert_eq!(agents, ["after".to_owned(), "before".to_owned()].into());
}

#[test]
fn with_continue_it_plays_on_and_catches_up() {
    let (system, media) = system();
    let server = Server::start({
        let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("SEALTAPE_AUDIT__ON_FAILURE", "continue");
        command
    });
    break_record(&system);
    let reply = get(&server.address, "/recordings/call/media", &[("User-Agent", "meanwhile")]);
    assert!(reply.status == 200 && reply.body == media);
    assert_eq!(server.get("/readyz").json()["degraded"], serde_json::json!(["audit-unavailable"]));
    mend_record(&system);
    let is_told = |_: &Server| of_kind(&system, "opened").iter().any(|event| event["user_agent"] == "meanwhile");
    assert!(server.wait_until(PATIENCE, is_told), "what was held is written");
    stop(server);
    assert_eq!(system.json(&["audit", "verify"])["sound"], true);
}

/// The must of the record: a server is killed at any instant under load, and whoever received a byte is on record.
#[test]
fn a_kill_at_any_instant_loses_no_listener() {
    let (system, _) = system();
    let rounds = if std::env::var_os("SEALTAPE_TESTS_FULL").is_some() { 200 } else { 20 };
    let heard = Mutex::new(BTreeSet::new());
    let next = AtomicU64::new(0);
    for round in 0..rounds {
        let server = system.serve();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        let agent = format!("player-{}", next.fetch_add(1, Ordering::Relaxed));
                        if receives_a_byte(&server.address, &agent) {
                            heard.lock().expect("not poisoned").insert(agent);
                        }
                    }
                });
            }
            // Other instants in each round, over about half a second.
            thread::sleep(Duration::from_millis(30 + (round * 7919) % 450));
            signal(server.pid(), "KILL");
            is_over.store(true, Ordering::Relaxed);
        });
        assert_eq!(server.wait(), None, "killed");
    }
    // The next writer cuts off what is torn.
    system.ok(&["link", "call"]);
    let verified = system.json(&["audit", "verify"]);
    assert_eq!(verified["sound"], true, "{verified}");
    let opened: BTreeSet<String> = of_kind(&system, "opened")
        .iter()
        .map(|event| event["user_agent"].as_str().expect("an agent").to_owned())
        .collect();
    let heard = heard.into_inner().expect("not poisoned");
    let lost: Vec<&String> = heard.difference(&opened).collect();
    println!("{rounds} kills: {} players heard something, {} sessions are on record", heard.len(), opened.len());
    assert!(lost.is_empty(), "{lost:?}");
    assert!(heard.len() > 20 * rounds as usize / 4, "a load: {}", heard.len());
}

/// Asks for a range as a player of that name, and says whether a byte of media came.
fn receives_a_byte(address: &str, agent: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let head = format!(
        "GET /recordings/call/media HTTP/1.1\r\nHost: localhost\r\nUser-Agent: {agent}\r\nRange: bytes=0-99999\r\n\
         Connection: close\r\n\r\n"
    );
    let mut came = Vec::new();
    let mut piece = [0; 4096];
    if stream.write_all(head.as_bytes()).is_err() {
        return false;
    }
    while let Ok(read @ 1..) = stream.read(&mut piece) {
        came.extend_from_slice(&piece[..read]);
        let body = came.windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|at| at + 4);
        if came.starts_with(b"HTTP/1.1 206") && body.is_some_and(|body| came.len() > body) {
            return true;
        }
    }
    false
}

#[test]
fn the_record_is_private_and_said_to_be_missing() {
    use std::os::unix::fs::PermissionsExt;
    let (system, _) = system();
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&system.data_dir().join("audit")), mode(&record_files(&system)[0])), (0o700, 0o600));
    let empty = System::empty();
    assert!(empty.fails(1, &["audit", "verify"]).contains("there is no playback record here"));
    assert!(empty.fails(1, &["audit", "show"]).contains("there is no playback record here"));
}

/// A disk that fills up in the middle of a line: what was half written is taken back, nothing plays meanwhile, and
/// nothing that was on record is lost.
#[test]
fn a_disk_that_fills_up_in_the_middle_of_a_line_loses_nothing() {
    let (system, _) = system();
    let server = system.serve();
    let play = |server: &Server, name: &str| {
        // A long name makes long lines, and the record the longest file of the system.
        let agent = format!("{name}-{}", "x".repeat(400));
        get(&server.address, "/recordings/call/media", &[("User-Agent", &agent), ("Range", "bytes=0-9")])
    };
    for i in 0..300 {
        assert_eq!(play(&server, &format!("before{i}")).status, 206);
    }
    stop(server);
    let path = record_files(&system).pop().expect("a file");
    let len = fs::metadata(&path).expect("there").len();
    assert!(len > 200_000, "{len}");

    // The system refuses to make a file longer than this: as on a full disk, a part of a write may get through.
    let plain = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    let mut limited = std::process::Command::new("bash");
    limited.args(["-c", &format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", len / 1024 + 5)]);
    limited.arg(plain.get_program()).args(plain.get_args()).envs(system.environment());
    limited.env("SEALTAPE_SERVER__DRAIN_DELAY", "0s");
    let server = Server::start(limited);
    let mut heard = BTreeSet::new();
    let mut refused = 0;
    for i in 0..40 {
        let reply = play(&server, &format!("full{i}"));
        match reply.status {
            206 => assert!(heard.insert(format!("full{i}"))),
            _ => {
                assert_eq!(reply.problem(), "audit-unavailable");
                refused += 1;
            }
        }
    }
    assert!(!heard.is_empty() && refused > 0, "{} heard, {refused} refused", heard.len());
    server.signal("KILL");
    assert_eq!(server.wait(), None);

    system.ok(&["link", "call"]);
    let verified = system.json(&["audit", "verify"]);
    assert_eq!(verified["sound"], true, "{verified}");
    let opened: BTreeSet<String> = of_kind(&system, "opened")
        .iter()
        .map(|event| event["user_agent"].as_str().expect("one").split('-').next().expect("a name").to_owned())
        .collect();
    assert!(heard.iter().all(|name| opened.contains(name)), "{heard:?}");
    assert_eq!(opened.iter().filter(|name| name.starts_with("before")).count(), 300);
}
