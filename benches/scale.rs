//! What a catalogue's size costs: a thousand recordings and one key against a million and a thousand, in turns.
//!
//! `cargo bench --bench scale` prints the table; with `-- --test` it runs once, with a small one for the large.
//! `SEALTAPE_BENCH_PROGRAM` names another build of the program, to see what became better or worse.

#![allow(
    missing_docs,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark that fails should stop"
)]

#[path = "../tests/support/catalogue.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod catalogue;
#[path = "../tests/support/exports.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod exports;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use catalogue::{AGENT, OLD, OLDEST_MILLIS, RARE, TAG, TEAM, WORDS};
use exports::{PASSPHRASE, handmade_export, handmade_key};

/// How often each thing is done in a turn.
const REPEATS: usize = 40;
/// How many recordings are described, to fill the memory of rows.
const DESCRIBED: u64 = 100_000;

/// How large things are.
struct Size {
    recordings: [u64; 2],
    keys: [u32; 2],
    /// Recordings that are really imported.
    imported: usize,
    turns: usize,
}

const FULL: Size = Size { recordings: [1_000, 1_000_000], keys: [1, 1_000], imported: 300, turns: 5 };
const TEST: Size = Size { recordings: [100, 1_000], keys: [1, 20], imported: 10, turns: 1 };

fn main() {
    let size = if std::env::args().any(|argument| argument == "--test") { TEST } else { FULL };
    let systems = [0, 1].map(|at| System::make(size.recordings[at], size.keys[at], size.imported));
    let mut table = Table::default();
    for _ in 0..size.turns {
        for (column, system) in systems.iter().enumerate() {
            system.measure(&mut |what, sample| table.add(what, column, sample));
        }
    }
    println!(
        "{} recordings, {} key(s) : {} recordings, {} keys",
        size.recordings[0], size.keys[0], size.recordings[1], size.keys[1]
    );
    table.print();
}

/// Samples by what was measured, of the small system and of the large one.
#[derive(Default)]
struct Table {
    rows: BTreeMap<String, [Vec<f64>; 2]>,
    order: Vec<String>,
}

impl Table {
    fn add(&mut self, what: &str, column: usize, sample: f64) {
        if !self.rows.contains_key(what) {
            self.order.push(what.to_owned());
        }
        self.rows.entry(what.to_owned()).or_default()[column].push(sample);
    }

    fn print(&mut self) {
        println!(
            "{:<52} {:>10} {:>10} {:>7}   {:>10} {:>10}",
            "median", "small", "large", "ratio", "p99 small", "p99 large"
        );
        for what in &self.order {
            let samples = self.rows.get_mut(what).expect("is there");
            samples.iter_mut().for_each(|samples| samples.sort_by(f64::total_cmp));
            let at = |column: usize, quantile: f64| {
                let samples: &[f64] = &samples[column];
                samples[((samples.len() - 1) as f64 * quantile).round() as usize]
            };
            let (small, large) = (at(0, 0.5), at(1, 0.5));
            println!(
                "{what:<52} {small:>10.3} {large:>10.3} {:>7.2}   {:>10.3} {:>10.3}",
                large / small,
                at(0, 0.99),
                at(1, 0.99)
            );
        }
    }
}

struct System {
    folder: tempfile::TempDir,
    imported: Vec<String>,
    recordings: u64,
    tokens: BTreeMap<&'static str, String>,
    key: String,
}

impl System {
    fn make(recordings: u64, keys: u32, imported: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut system = Self { folder, imported: Vec::new(), recordings, tokens: BTreeMap::new(), key: String::new() };
        // Really imported ones lie under a few keys that were generated here; the others came from an export.
        let generated = (keys / 100).clamp(1, 10);
        for round in 0..generated {
            system.ok(&["keys", "generate"]);
            let mut files = Vec::new();
            for number in (round as usize..imported).step_by(generated as usize) {
                let id = format!("team-{:02}.imported-{number}", number * 7 % 100);
                let path = system.folder.path().join(format!("{id}.bin"));
                let content: Vec<u8> = (0..20_000_u32).flat_map(|at| (at ^ number as u32).to_be_bytes()).collect();
                fs::write(&path, content).expect("written");
                files.push(path.to_str().expect("UTF-8").to_owned());
                system.imported.push(id);
            }
            let arguments: Vec<&str> = ["import"].into_iter().chain(files.iter().map(String::as_str)).collect();
            system.ok(&arguments);
        }
        if keys > generated {
            let list: Vec<_> =
                (generated..keys).map(|number| handmade_key(number, "2024-01-01T00:00:00Z", "active")).collect();
            let export = system.folder.path().join("keys.age");
            fs::write(&export, handmade_export(&list)).expect("written");
            system.ok(&["keys", "import", export.to_str().expect("UTF-8")]);
        }
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let rest = recordings - system.imported.len() as u64;
        runtime.block_on(catalogue::fill(&system.database(), rest));
        runtime.block_on(catalogue::describe(&system.database()));
        for (name, only) in [("all", None), (RARE, Some(RARE)), (OLD, Some(OLD)), (TEAM, Some(TEAM))] {
            let mut arguments = vec!["token", "create", "--scope", "recordings:list,recordings:play", "--subject", "b"];
            arguments.extend(["--ttl", "8h", "--json"]);
            arguments.extend(only.into_iter().flat_map(|prefix| ["--recordings", prefix]));
            system.tokens.insert(name, field(&system.ok(&arguments), "token"));
        }
        let some: Vec<String> = system.imported.iter().take(50).cloned().collect();
        let mut arguments =
            vec!["token", "create", "--scope", "recordings:list", "--subject", "b", "--ttl", "8h", "--json"];
        arguments.extend(some.iter().flat_map(|id| ["--recording", id.as_str()]));
        let token = field(&system.ok(&arguments), "token");
        system.tokens.insert("ids", token);
        system.key = field(&system.ok(&["keys", "list", "--json"]), "fingerprint");
        system
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("data/sealtape.db")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let program = std::env::var("SEALTAPE_BENCH_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_sealtape").into());
        let mut command = Command::new(program);
        command.arg("--data-dir").arg(self.folder.path().join("data")).args(arguments);
        command.env("SEALTAPE_PASSPHRASE", PASSPHRASE).env("SEALTAPE_SERVER__DRAIN_DELAY", "0s").stdin(Stdio::null());
        command
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// One turn.
    fn measure(&self, add: &mut dyn FnMut(&str, f64)) {
        let begun = Instant::now();
        let server = Server::start(self);
        let mut client = Client::connect(&server.address, &self.tokens["all"]);
        while client.get("/readyz", None).status != 200 {}
        add("start until /readyz is 200, ms", ms(begun.elapsed()));
        add("memory after the start, MiB", server.memory_mib());
        for id in &self.imported {
            let answer = client.get(&format!("/recordings/{id}/media"), Some("bytes=0-999"));
            assert_eq!((answer.status, answer.body.len()), (206, 1000), "{id}");
            add("first byte of a recording never played, ms", ms(answer.first_byte));
        }
        for id in &self.imported {
            let answer = client.get(&format!("/recordings/{id}/media"), Some("bytes=0-999"));
            add("first byte of a recording played before, ms", ms(answer.first_byte));
            let answer = client.get(&format!("/recordings/{id}"), None);
            assert!(answer.status == 200 && text(&answer.body).contains("\"playable\":true"), "{id}");
            add("GET /recordings/{id}, ms", ms(answer.whole));
        }
        let first = String::new();
        let at = |number: u64| format!("&after={}~zz", OLDEST_MILLIS + number * 1000);
        // The last ones are as many in both.
        let (middle, last) = (at(self.recordings / 2), at(self.recordings.min(1000) / 12));
        for (page, after) in [("first", &first), ("middle", &middle), ("last", &last)] {
            self.list(&server, "all", after, &format!("GET /recordings, {page} page, ms"), add);
        }
        for (name, set) in
            [(RARE, "7 of the oldest"), (TEAM, "one in a hundred"), (OLD, "a fifth, all old"), ("ids", "50 IDs")]
        {
            for (page, after) in [("first", &first), ("last", &last)] {
                self.list(&server, name, after, &format!("the same of {set}, {page} page, ms"), add);
            }
        }
        let [often, seldom] = WORDS;
        let until = OLDEST_MILLIS + self.recordings.min(1000) / 12 * 1000;
        let days = format!(
            "from=2023-11-14T00:00:00Z&to={}",
            jiff::Timestamp::from_millisecond(until.cast_signed()).expect("a time")
        );
        for (wish, what) in [
            (format!("tag={TAG}"), "of a tag that one in five has"),
            (format!("agent={AGENT}"), "of an agent who has one in five"),
            ("group=call-7".into(), "of a group of two"),
            ("state=complete".into(), "of complete ones"),
            ("state=unfinished".into(), "of unfinished ones, of which there are none"),
            (days, "of a stretch of time"),
            (format!("q={often}"), "with a word that all have"),
            (format!("q={seldom}"), "with a word that 7 of the oldest have"),
            (format!("tag={TAG}&agent={AGENT}"), "of a tag and an agent that never meet"),
            (format!("tag={TAG}&q={often}"), "of a tag, with a word that all have"),
        ] {
            for (page, after) in [("first", &first), ("last", &last)] {
                self.list(
                    &server,
                    "all",
                    &format!("{after}&{wish}"),
                    &format!("the same {what}, {page} page, ms"),
                    add,
                );
            }
        }
        self.describe_many(&mut client);
        add("memory after 100,000 were asked for, MiB", server.memory_mib());
        drop(server);
        let mut timed = |what: &str, arguments: &[&str], code: i32, per: f64| {
            let begun = Instant::now();
            let output = self.command(arguments).output().expect("runs");
            add(what, ms(begun.elapsed()) / per);
            assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        };
        timed("sealtape recordings list, ms a thousand", &["recordings", "list"], 0, self.recordings as f64 / 1000.0);
        timed("sealtape keys list, ms", &["keys", "list"], 0, 1.0);
        timed("sealtape keys deactivate, refused, ms", &["keys", "deactivate", &self.key], 1, 1.0);
        timed("sealtape recordings show, ms", &["recordings", "show", &self.imported[0]], 0, 1.0);
    }

    /// Asks for a page again and again.
    fn list(&self, server: &Server, token: &str, after: &str, what: &str, add: &mut dyn FnMut(&str, f64)) {
        let mut client = Client::connect(&server.address, &self.tokens[token]);
        for _ in 0..REPEATS {
            let answer = client.get(&format!("/recordings?limit=100{after}"), None);
            assert_eq!(answer.status, 200, "{}", text(&answer.body));
            add(what, ms(answer.whole));
        }
    }

    /// Asks for recordings that nobody asked for before, as many as there are.
    fn describe_many(&self, client: &mut Client) {
        let count = self.recordings - self.imported.len() as u64;
        for number in
            (0..count.min(DESCRIBED)).map(|number| number + count / 5 + 1).take_while(|number| *number < count)
        {
            let digits = (number * 2_654_435_761) & 0xFFFF_FFFF;
            let id = format!("team-{:02}.{digits:08x}", number * 37 % 100);
            let answer = client.get(&format!("/recordings/{id}"), None);
            assert_eq!(answer.status, 200, "{id}");
        }
    }
}

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(system: &System) -> Self {
        let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("SEALTAPE_AUTH__MODE", "token").stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("an address");
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
        Self { child, address: address.trim().to_owned() }
    }

    /// What it holds in memory now.
    fn memory_mib(&self) -> f64 {
        let path = Path::new("/proc").join(self.child.id().to_string()).join("status");
        let status = fs::read_to_string(path).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
        line.split_whitespace().nth(1).expect("a number").parse::<f64>().expect("a number") / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
    }
}

/// One connection that is kept.
struct Client {
    stream: BufReader<TcpStream>,
    token: String,
}

struct Answer {
    status: u16,
    body: Vec<u8>,
    first_byte: Duration,
    whole: Duration,
}

impl Client {
    fn connect(address: &str, token: &str) -> Self {
        let stream = TcpStream::connect(address).expect("connects");
        stream.set_nodelay(true).expect("set");
        Self { stream: BufReader::with_capacity(64 << 10, stream), token: token.to_owned() }
    }

    fn get(&mut self, path: &str, range: Option<&str>) -> Answer {
        let begun = Instant::now();
        let range = range.map(|range| format!("Range: {range}\r\n")).unwrap_or_default();
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n{range}\r\n", self.token);
        self.stream.get_mut().write_all(head.as_bytes()).expect("sent");
        let (mut status, mut len, mut line) = (0, 0, String::new());
        loop {
            line.clear();
            self.stream.read_line(&mut line).expect("a head");
            let lower = line.to_ascii_lowercase();
            match (lower.strip_prefix("http/1.1 "), lower.strip_prefix("content-length: ")) {
                (Some(rest), _) => status = rest[..3].parse().expect("a status"),
                (_, Some(value)) => len = value.trim().parse().expect("a length"),
                _ if line == "\r\n" => break,
                _ => {}
            }
        }
        let mut body = vec![0; len];
        let first = len.min(1);
        self.stream.read_exact(&mut body[..first]).expect("a byte");
        let first_byte = begun.elapsed();
        self.stream.read_exact(&mut body[first..]).expect("the rest");
        Answer { status, body, first_byte, whole: begun.elapsed() }
    }
}

/// A field of the first object in a JSON document.
fn field(document: &str, name: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(document).expect("JSON");
    let object = value.get(0).unwrap_or(&value);
    object[name].as_str().expect("a text").to_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
