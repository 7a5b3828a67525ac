//! Several proxies over one database and one store: what one command changes, all of them see, and their records read as
//! one.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Server, System, Upload, get, media, request, text};

/// The time that is promised.
const WITHIN: Duration = Duration::from_secs(1);
const PROXIES: usize = 3;

/// Three proxies, each with a record, a name and a definition key file of its own.
struct Cluster {
    system: System,
    proxies: Vec<Option<Server>>,
}

impl Cluster {
    fn new() -> Self {
        let system = System::with_key();
        for number in 0..PROXIES {
            let folder = system.path(&format!("proxy-{number}"));
            fs::create_dir(&folder).expect("made");
            copy_key(&system.data_dir().join("definition.key"), &folder.join("definition.key"));
        }
        let mut cluster = Self { system, proxies: Vec::new() };
        for number in 0..PROXIES {
            cluster.proxies.push(Some(cluster.start(number)));
        }
        cluster
    }

    fn folder(&self, number: usize) -> PathBuf {
        self.system.path(&format!("proxy-{number}"))
    }

    fn record(&self, number: usize) -> PathBuf {
        self.folder(number).join("audit")
    }

    fn start(&self, number: usize) -> Server {
        let mut command = self.system.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("SEALTAPE_AUDIT__PATH", self.record(number));
        command.env("SEALTAPE_AUDIT__INSTANCE", format!("proxy-{number}"));
        command.env("SEALTAPE_DEFINITION_KEY__PATH", self.folder(number).join("definition.key"));
        Server::start(command)
    }

    fn running(&self) -> impl Iterator<Item = &Server> {
        self.proxies.iter().flatten()
    }

    /// Runs a command, and waits until every proxy shows what it did; how long the slowest took after it had ended.
    fn all_see(&self, what: &str, arguments: &[&str], is_seen: impl Fn(&Server) -> bool) -> Duration {
        self.system.ok(arguments);
        let ended = Instant::now();
        let mut slowest = Duration::ZERO;
        for proxy in self.running() {
            let left = WITHIN.saturating_sub(ended.elapsed());
            assert!(is_seen(proxy) || proxy.wait_until(left, |proxy| is_seen(proxy)), "{what}: {}", proxy.log());
            slowest = slowest.max(ended.elapsed());
        }
        println!("{what}: seen by all {PROXIES} within {slowest:?}");
        slowest
    }
}

fn copy_key(from: &Path, to: &Path) {
    fs::copy(from, to).expect("copied");
    fs::set_permissions(to, fs::Permissions::from_mode(0o600)).expect("chmod");
}

fn status(server: &Server, path: &str) -> u16 {
    server.get(path).status
}

#[test]
fn all_proxies_see_what_one_command_changed() {
    let cluster = Cluster::new();
    let (system, bytes) = (&cluster.system, media(200_000));
    let first = system.json(&["keys", "list"])[0]["fingerprint"].as_str().expect("a key").to_owned();
    for id in ["one", "case", "gone"] {
        system.import(id, &bytes);
    }
    let plays = |server: &Server, id: &str| server.get(&format!("/recordings/{id}/media")).body == bytes;
    // Everything is open and remembered everywhere.
    for proxy in cluster.running() {
        assert!(["one", "case", "gone"].iter().all(|id| plays(proxy, id)));
    }

    cluster.all_see("encryption disable", &["encryption", "disable"], |proxy| {
        status(proxy, "/recordings/one/media") == 409
    });
    cluster.all_see("encryption enable", &["encryption", "enable"], |proxy| plays(proxy, "one"));

    cluster.all_see("recordings hold", &["recordings", "hold", "case"], |proxy| {
        request(&proxy.address, "DELETE", "/recordings/case", &[], b"").status == 409
    });
    cluster.all_see("recordings delete", &["recordings", "delete", "gone"], |proxy| {
        status(proxy, "/recordings/gone/media") == 404 && status(proxy, "/recordings/gone") == 404
    });
    for proxy in cluster.running() {
        let listed = proxy.get("/recordings").json();
        let ids: Vec<_> = listed["recordings"].as_array().expect("a list").iter().map(|one| &one["id"]).collect();
        assert!(!ids.contains(&&json!("gone")) && ids.len() == 2, "{ids:?}");
    }

    system.ok(&["keys", "generate"]);
    cluster.all_see("keys deactivate", &["keys", "deactivate", &first, "--force"], |proxy| {
        let reply = proxy.get("/recordings/one/media");
        reply.status == 409 && reply.json()["code"] == "key-deactivated"
    });
    cluster.all_see("keys activate", &["keys", "activate", &first], |proxy| plays(proxy, "one"));

    // What one proxy takes in plays on the others at once, under the newest key.
    let put = crate::support::put(
        &cluster.proxies[0].as_ref().expect("runs").address,
        "put",
        &[("Content-Type", "audio/wav")],
        &bytes,
    );
    assert_eq!(put.status, 201);
    for proxy in cluster.running() {
        assert!(plays(proxy, "put"));
    }
    // And what is reset on one is reset on all: a DELETE by way of a proxy.
    let second = &cluster.proxies[1].as_ref().expect("runs").address;
    assert_eq!(request(second, "DELETE", "/recordings/put", &[], b"").status, 204);
    let begun = Instant::now();
    for proxy in cluster.running() {
        assert!(proxy.wait_until(WITHIN, |proxy| status(proxy, "/recordings/put/media") == 404));
    }
    println!("DELETE by a proxy: seen by all within {:?}", begun.elapsed());
}

#[test]
fn a_stream_on_every_proxy_is_cut_when_the_key_is_deactivated() {
    let cluster = Cluster::new();
    let bytes = media(64 << 20);
    cluster.system.import("long", &bytes);
    let key = cluster.system.json(&["keys", "list"])[0]["fingerprint"].as_str().expect("a key").to_owned();
    let addresses: Vec<String> = cluster.running().map(|proxy| proxy.address.clone()).collect();
    let streams: Vec<_> = addresses
        .into_iter()
        .map(|address| {
            thread::spawn(move || {
                use std::io::{Read, Write};
                let mut stream = std::net::TcpStream::connect(&address).expect("connects");
                stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
                let head = "GET /recordings/long/media HTTP/1.1\r\nHost: localhost\r\n\r\n";
                stream.write_all(head.as_bytes()).expect("sent");
                let (mut len, mut piece) = (0, vec![0; 64 << 10]);
                loop {
                    match stream.read(&mut piece) {
                        Ok(read @ 1..) => len += read,
                        Ok(0) | Err(_) => return (len, Instant::now()),
                    }
                    thread::sleep(Duration::from_millis(5));
                }
            })
        })
        .collect();
    thread::sleep(Duration::from_millis(300));
    cluster.system.ok(&["keys", "deactivate", &key, "--force"]);
    let ended = Instant::now();
    for stream in streams {
        let (len, cut) = stream.join().expect("ends");
        assert!(len < bytes.len() / 2, "{len} bytes came after all");
        // What lies in the buffers of both ends is taken first, at this client's pace.
        assert!(cut.saturating_duration_since(ended) < Duration::from_secs(3), "{:?}", cut - ended);
    }
}

#[test]
fn a_definition_key_is_cycled_under_all_of_them() {
    let cluster = Cluster::new();
    let (system, bytes) = (&cluster.system, media(50_000));
    system.import("call", &bytes);
    let old = system.json(&["definition-key", "status"])["fingerprint"].clone();
    let is_well = |proxy: &Server| {
        proxy.get("/readyz").json()["keys"]["failure"].is_null() && proxy.get("/recordings/call/media").body == bytes
    };

    let here = system.data_dir().join("definition.key");
    cluster.all_see("definition-key cycle --prepare", &["definition-key", "cycle", "--prepare"], is_well);
    for number in 0..PROXIES {
        let next = cluster.folder(number).join("definition.key.next");
        copy_key(&here.with_extension("key.next"), &next);
    }
    cluster.all_see("definition-key cycle --finish", &["definition-key", "cycle", "--finish"], is_well);
    assert_ne!(system.json(&["definition-key", "status"])["fingerprint"], old);

    // A key made under the new definition key: whoever has not the new one cannot open what it seals.
    system.ok(&["keys", "generate"]);
    system.import("after", &bytes);
    for proxy in cluster.running() {
        assert!(proxy.get("/recordings/after/media").body == bytes, "{}", proxy.log());
    }
    // The halves of the others, which only move files; and one that starts anew.
    for number in 0..PROXIES {
        let mut command = system.command(&["definition-key", "cycle", "--finish"]);
        command.env("SEALTAPE_DEFINITION_KEY__PATH", cluster.folder(number).join("definition.key"));
        let output = command.output().expect("runs");
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let anew = cluster.start(0);
    assert!(anew.get("/recordings/after/media").body == bytes);
    assert!(cluster.running().all(is_well));
}

#[test]
fn the_records_of_all_read_as_one_history() {
    let mut cluster = Cluster::new();
    let bytes = media(100_000);
    for id in ["one", "two", "three"] {
        cluster.system.import(id, &bytes);
    }
    for round in 0..3 {
        for (number, id) in ["one", "two", "three"].into_iter().enumerate() {
            let proxy = cluster.proxies[(number + round) % PROXIES].as_ref().expect("runs");
            let agent = [("User-Agent", format!("player-{round}"))];
            let headers: Vec<(&str, &str)> = agent.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert!(get(&proxy.address, &format!("/recordings/{id}/media"), &headers).body == bytes);
            thread::sleep(Duration::from_millis(5));
        }
    }
    let early = cluster.system.path("early.jsonl");
    fs::copy(cluster.record(0).join("playback-000001.jsonl"), &early).expect("copied");
    // One is killed while somebody listens and records; the others stop in order.
    let killed = cluster.proxies[1].take().expect("runs");
    let mut upload = Upload::begin(&killed.address, "cut-off", &[("Content-Type", "audio/wav")]);
    upload.send(&bytes);
    killed.signal("KILL");
    drop((upload, killed));
    let again = cluster.start(1);
    assert!(again.get("/recordings/one/media").body == bytes);
    cluster.proxies[1] = Some(again);
    for proxy in &mut cluster.proxies {
        let proxy = proxy.take().expect("runs");
        proxy.signal("TERM");
        assert_eq!(proxy.wait(), Some(0));
    }

    let records: Vec<String> = (0..PROXIES).map(|number| cluster.record(number).display().to_string()).collect();
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    let system = &cluster.system;
    let verified = system.json(&[&["audit", "verify"], &records[..]].concat());
    assert_eq!((&verified["sound"], &verified["faults"]), (&true.into(), &json!([])), "{verified}");
    let chains = verified["chains"].as_array().expect("chains");
    let mut names: Vec<_> = chains.iter().map(|chain| chain["instances"].clone()).collect();
    names.sort_by_key(Value::to_string);
    assert_eq!(names, [json!(["proxy-0"]), json!(["proxy-1"]), json!(["proxy-2"])]);

    let history = events(system, &records);
    let times: Vec<_> = history.iter().map(|event| event["at"].as_str().expect("a time")).collect();
    assert!(times.is_sorted(), "{times:?}");
    let lines: u64 = chains.iter().filter_map(|chain| chain["lines"].as_u64()).sum();
    assert_eq!(history.len() as u64, lines);
    let mut opened: BTreeMap<&str, u32> = BTreeMap::new();
    for event in &history {
        let by = event["instance"].as_str().expect("each line says who wrote it");
        if event["event"] == "opened" {
            *opened.entry(by).or_default() += 1;
        }
    }
    assert_eq!(opened, BTreeMap::from([("proxy-0", 3), ("proxy-1", 4), ("proxy-2", 3)]));
    let of_one = system.json(&[&["audit", "show", "--recording", "one"], &records[..]].concat());
    let opened_one = of_one.as_array().expect("events").iter().filter(|event| event["event"] == "opened").count();
    assert_eq!(opened_one, 4, "{of_one}");

    meddle(&cluster, &records, &early, &verified);
}

/// Copies are read once; lines that are changed, missing or cut off are named, whoever wrote them.
fn meddle(cluster: &Cluster, records: &[&str], early: &Path, verified: &Value) {
    let system = &cluster.system;
    let early = early.to_str().expect("UTF-8");
    let with_copy = [records, &[early, records[2]]].concat();
    let twice = system.json(&[&["audit", "verify"], &with_copy[..]].concat());
    assert_eq!((&twice["sound"], twice["copies"].as_array().map(Vec::len)), (&true.into(), Some(2)), "{twice}");
    assert!(twice["copies"][0]["file"].is_string() && twice["copies"].to_string().contains(early), "{twice}");
    assert_eq!(events(system, &with_copy), events(system, records), "and shown once");

    let heads: Vec<&str> =
        verified["chains"].as_array().expect("chains").iter().filter_map(|chain| chain["head"].as_str()).collect();
    let with_heads: Vec<&str> =
        heads.iter().flat_map(|head| ["--head", *head]).chain(records.iter().copied()).collect();
    assert!(system.run(&[&["audit", "verify"], &with_heads[..]].concat()).status.success());

    let file = cluster.record(1).join("playback-000001.jsonl");
    let whole = fs::read_to_string(&file).expect("read");
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let faults = |content: String, arguments: &[&str]| {
        fs::write(&file, content).expect("written");
        let output = system.run(&[&["audit", "verify", "--json"], arguments].concat());
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
        let said: Value = serde_json::from_slice(&output.stdout).expect("a document");
        said["faults"].to_string()
    };
    let named = file.to_str().expect("UTF-8");
    let missing = faults([&lines[..3], &lines[5..]].concat().concat(), records);
    assert!(missing.contains("lines 4 to 5 are missing") && missing.contains(named), "{missing}");
    let changed = faults(whole.replacen("\"one\"", "\"two\"", 1), records);
    assert!(changed.contains("it was changed") && changed.contains(named), "{changed}");
    let moved = faults([&lines[..2], &lines[3..4], &lines[2..3], &lines[4..]].concat().concat(), records);
    assert!(moved.contains("moved, repeated or put in") && moved.contains(named), "{moved}");
    let cut = faults(lines[..lines.len() - 1].concat(), &with_heads);
    assert!(cut.contains("its end was cut off") && cut.contains(named), "{cut}");
    let gone =
        faults(whole.clone(), &with_heads.iter().copied().filter(|path| *path != records[1]).collect::<Vec<_>>());
    assert!(gone.contains("is not there at all"), "{gone}");
    assert!(system.run(&[&["audit", "verify"], &with_heads[..]].concat()).status.success(), "as it was");
    let error = system.fails(1, &["audit", "verify", system.path("proxy-0").to_str().expect("UTF-8")]);
    assert!(error.contains("no playback record"), "{error}");
}

fn events(system: &System, records: &[&str]) -> Vec<Value> {
    let shown = system.json(&[&["audit", "show"], records].concat());
    shown.as_array().expect("events").clone()
}
