//! Cycle, rewrap and reseal are killed at any instant, and nothing is lost; running servers play on through all of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::{fs::FileExt, process::ExitStatusExt},
    path::Path,
    process::{Command, ExitStatus, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::support::{Server, System, copy_folder, media, text};

/// How long something may take that takes a moment.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a sealed file's header is.
const HEADER_LEN: usize = 512;
const CHUNK_LEN: usize = 16 << 10;

/// Kills of each command.
fn rounds() -> usize {
    if std::env::var_os("SEALTAPE_TESTS_FULL").is_some() { 200 } else { 20 }
}

#[test]
fn a_rewrap_killed_at_any_instant_loses_nothing_and_is_finished_by_the_next() {
    let mut archive = Archive::new();
    let figures = Sweep {
        arguments: &["rewrap", "--all"],
        // Now and then the next run meets what the last one left, also under a key that is no longer the newest.
        prepare: |archive, round| {
            if round % 3 != 2 {
                archive.generate_key();
            }
        },
        is_half_done: |archive| archive.under().len() > 1,
        seed: 0x5EA1_0001,
    }
    .run(&mut archive);
    figures.assert_hits();

    archive.generate_key();
    let done = archive.system.json(&["rewrap", "--all"]);
    assert_eq!((&done["failed"], &done["stopped"]), (&serde_json::json!([]), &false.into()));
    let newest = archive.newest_key();
    assert_eq!(archive.under(), BTreeSet::from([newest.clone()]));
    for old in archive.keys().into_iter().filter(|key| *key != newest) {
        archive.system.ok(&["keys", "deactivate", &old]);
    }
    archive.assert_whole("after the end, with every older key deactivated");
    archive.assert_tidy();
}

#[test]
fn a_reseal_of_all_killed_at_any_instant_loses_nothing_and_is_finished_by_the_next() {
    let mut archive = Archive::new();
    let figures = Sweep {
        arguments: &["reseal", "--all"],
        prepare: |_, _| {},
        is_half_done: |archive| !archive.system.json(&["reseal", "--all", "--dry-run"])["resumes"].is_null(),
        seed: 0x5EA1_0002,
    }
    .run(&mut archive);
    figures.assert_hits();

    // What the last kill left is brought to its end, and then all of it is done once more.
    archive.system.ok(&["reseal", "--all"]);
    let before = archive.assert_whole("after the end");
    archive.assert_tidy();
    let done = archive.system.json(&["reseal", "--all"]);
    assert_eq!((&done["failed"], &done["done"]), (&serde_json::json!([]), &archive.sealed().len().into()));
    let after = archive.assert_whole("sealed once more");
    for id in archive.complete() {
        assert!(before[&id].is_some() && before[&id] != after[&id], "{id}: {:?}", after[&id]);
    }
    archive.assert_tidy();
    assert!(archive.system.json(&["reseal", "--all", "--dry-run"])["resumes"].is_null());
}

/// A key became known: nothing may be left under it, however often the work was killed.
#[test]
fn a_reseal_away_from_a_key_killed_at_any_instant_leaves_nothing_under_it() {
    let mut archive = Archive::new();
    let figures = Sweep {
        arguments: &["reseal", "--key", "OLD"],
        prepare: |archive, _| {
            // Goes on with the key that recordings are still under, or takes all of them to yet another one.
            if archive.under() == BTreeSet::from([archive.newest_key()]) {
                archive.generate_key();
            }
        },
        is_half_done: |archive| archive.under().len() > 1,
        seed: 0x5EA1_0003,
    }
    .run(&mut archive);
    figures.assert_hits();

    archive.generate_key();
    let newest = archive.newest_key();
    for old in archive.keys().into_iter().filter(|key| *key != newest) {
        archive.system.ok(&["reseal", "--key", &old]);
        archive.system.ok(&["keys", "deactivate", &old]);
    }
    assert_eq!(archive.under(), BTreeSet::from([newest]));
    archive.assert_whole("after the end, with every older key deactivated");
    archive.assert_tidy();
}

#[test]
fn a_cycle_killed_at_any_instant_loses_no_key_and_is_finished_by_the_next() {
    let mut archive = Archive::new();
    for _ in 0..10 {
        archive.generate_key();
    }
    let figures = Sweep {
        arguments: &["definition-key", "cycle"],
        prepare: |_, _| {},
        is_half_done: |archive| !archive.system.json(&["definition-key", "status"])["next"].is_null(),
        seed: 0x5EA1_0004,
    }
    .run(&mut archive);
    figures.assert_hits();

    archive.system.ok(&["definition-key", "cycle"]);
    let status = archive.system.json(&["definition-key", "status"]);
    assert_eq!((&status["database_keys"], &status["next"]), (&archive.keys().len().into(), &Value::Null));
    assert_eq!((&status["database_keys_under_others"], &status["database_keys_under_next"]), (&0.into(), &0.into()));
    assert!(!archive.system.data_dir().join("definition.key.next").exists());
    let left = archive.names().into_iter().filter(|name| name.ends_with(".new")).collect::<Vec<_>>();
    assert!(left.is_empty(), "keys lie about under names that nobody knows: {left:?}");
    archive.assert_whole("after the end");
    archive.assert_tidy();
}

/// Kills one command again and again.
struct Sweep<'a> {
    /// The command; `OLD` stands for a key that recordings are under and that is not the newest.
    arguments: &'a [&'a str],
    /// Makes work for the round.
    prepare: fn(&mut Archive, usize),
    /// Whether a kill left the work between its beginning and its end.
    is_half_done: fn(&Archive) -> bool,
    seed: u64,
}

#[derive(Debug, Default)]
struct Figures {
    rounds: usize,
    /// How often the command did not come to its end.
    killed: usize,
    /// How often it left its work half done.
    half_done: usize,
}

impl Figures {
    fn assert_hits(&self) {
        assert!(self.killed * 3 >= self.rounds, "too few kills came before the end: {self:?}");
        assert!(self.half_done > 0, "no kill came in the middle: {self:?}");
    }
}

impl Sweep<'_> {
    fn run(&self, archive: &mut Archive) -> Figures {
        let mut took = self.measure(archive);
        let mut random = Random(self.seed);
        let mut figures = Figures::default();
        // The middle of the work may be short, and is to be hit: more kills, if the first ones all missed it.
        while figures.rounds < rounds() || figures.half_done == 0 && figures.rounds < 5 * rounds() {
            let round = figures.rounds;
            figures.rounds += 1;
            (self.prepare)(archive, round);
            let after = Duration::from_nanos(random.below(took.as_nanos() as u64 * 21 / 20));
            let context = format!("{:?}, seed {:#x}, round {round}, after {after:?}", self.arguments, self.seed);
            let (ended, ran) = self.run_and_kill(archive, after);
            // The machine may be busier than when this was measured, or less so.
            if ended.signal() == Some(9) {
                figures.killed += 1;
                figures.half_done += usize::from((self.is_half_done)(archive));
                took += took / 16;
            } else {
                assert!(ended.success(), "{context}: {ended:?}");
                took = (took + ran) / 2;
            }
            // Every fourth state is left to the next kill as it is.
            if round % 4 != 3 {
                archive.assert_whole(&context);
            }
        }
        println!("{:?}: about {took:?} uninterrupted; {figures:?}", self.arguments);
        archive.assert_whole("after the last kill");
        archive.assert_read_by_cat();
        figures
    }

    /// How long the whole work takes, on a copy.
    fn measure(&self, archive: &Archive) -> Duration {
        let twin = System::empty();
        copy_folder(&archive.system.data_dir(), &twin.data_dir());
        let mut twin = Archive { system: twin, ..archive.clone_without_system() };
        (self.prepare)(&mut twin, 0);
        let begun = Instant::now();
        let ended = twin.system.command(&twin.with_old_key(self.arguments)).stdout(Stdio::null()).status();
        assert!(ended.expect("runs").success());
        begun.elapsed()
    }

    /// How it ended, and after what time at most.
    fn run_and_kill(&self, archive: &Archive, after: Duration) -> (ExitStatus, Duration) {
        let arguments = archive.with_old_key(self.arguments);
        let mut command = archive.system.command(&arguments);
        let begun = Instant::now();
        let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("runs");
        while begun.elapsed() < after && running.try_wait().expect("asks").is_none() {
            thread::sleep((after.saturating_sub(begun.elapsed())).min(Duration::from_millis(1)));
        }
        let ran = begun.elapsed();
        running.kill().expect("killed, or gone already");
        (running.wait().expect("ends"), ran)
    }
}

/// Recordings of every kind that there is, and what must be read back.
struct Archive {
    system: System,
    media: BTreeMap<String, Vec<u8>>,
    /// The database keys that were ever seen.
    keys: BTreeSet<String>,
    /// The definition keys that were ever seen, by the check in their lines.
    definition_keys: BTreeSet<String>,
}

impl Archive {
    fn new() -> Self {
        let system = System::with_key();
        let mut all = BTreeMap::new();
        for (id, len) in [
            ("one-byte", 1),
            ("short", 1000),
            ("one-chunk", CHUNK_LEN),
            ("a-byte-more", CHUNK_LEN + 1),
            ("chunks", 3 * CHUNK_LEN + 5),
            ("a-piece", 1 << 20),
            ("long", (3 << 20) + 7),
        ] {
            // No two of them have the same media: a file in another's place is seen.
            let media = media(len + all.len()).split_off(all.len());
            system.import(id, &media);
            all.insert(id.to_owned(), media);
        }
        let plain = system.file("plain.source", &media(50_000));
        system.ok(&["import", plain.to_str().expect("UTF-8"), "--id", "plain", "--exempt"]);
        all.insert("plain".into(), media(50_000));
        for (id, signal) in [("broken-off", "TERM"), ("killed", "KILL")] {
            let kept = leave_unfinished(&system, id, signal);
            all.insert(id.into(), kept);
        }
        let mut archive = Self { system, media: all, keys: BTreeSet::new(), definition_keys: BTreeSet::new() };
        archive.assert_whole("at the beginning");
        archive
    }

    fn clone_without_system(&self) -> Self {
        Self {
            system: System::empty(),
            media: self.media.clone(),
            keys: self.keys.clone(),
            definition_keys: self.definition_keys.clone(),
        }
    }

    /// Without a repair, everything is there and can be read: the validators of the recordings.
    fn assert_whole(&mut self, context: &str) -> BTreeMap<String, Option<String>> {
        let keys = self.keys();
        assert!(keys.is_superset(&self.keys), "{context}: a key is lost: {keys:?}, {:?}", self.keys);
        let status = self.system.json(&["definition-key", "status"]);
        let wrapped = status["database_keys"].as_u64().zip(status["database_keys_under_next"].as_u64());
        assert_eq!(wrapped.map(|(by_this, by_next)| by_this + by_next), Some(keys.len() as u64), "{context}: {status}");
        self.keys = keys;
        let definition_keys = self.definition_keys_there();
        assert!(definition_keys.is_superset(&self.definition_keys), "{context}: a definition key is lost");
        self.definition_keys = definition_keys;
        let ids: BTreeSet<String> = self.listed().into_iter().map(|(id, _)| id).collect();
        assert!(ids.iter().eq(self.media.keys()), "{context}: {ids:?}");

        let server = self.system.serve();
        let mut validators = BTreeMap::new();
        for (id, media) in &self.media {
            let reply = server.get(&format!("/recordings/{id}/media"));
            assert_eq!(reply.status, 200, "{context}: {id}: {reply:?}");
            assert!(!reply.is_cut && reply.body == *media, "{context}: {id} is read back with other bytes");
            validators.insert(id.clone(), reply.header("etag").map(str::to_owned));
        }
        validators
    }

    fn assert_read_by_cat(&self) {
        for (id, media) in &self.media {
            let output = self.system.run(&["cat", id]);
            assert!(output.status.success() && output.stdout == *media, "{id}: {output:?}");
        }
    }

    /// Nothing but the recordings lies in the media store, and nothing but keys where keys are.
    fn assert_tidy(&self) {
        let name = |file: &Path| file.file_name().expect("a name").to_string_lossy().into_owned();
        let mut files: Vec<String> = self.system.media_files().iter().map(|file| name(file)).collect();
        files.retain(|name| name != ".lock");
        assert_eq!(files.len(), self.media.len(), "{files:?}");
        assert!(files.iter().all(|name| !name.ends_with(".next")), "{files:?}");
    }

    fn keys(&self) -> BTreeSet<String> {
        let keys = self.system.json(&["keys", "list"]);
        keys.as_array().expect("keys").iter().map(|key| string(&key["fingerprint"])).collect()
    }

    fn newest_key(&self) -> String {
        let keys = self.system.json(&["keys", "list"]);
        let newest = keys.as_array().expect("keys").iter().find(|key| key["wraps_new"] == true).expect("one wraps");
        string(&newest["fingerprint"])
    }

    fn generate_key(&mut self) {
        let made = self.system.json(&["keys", "generate"]);
        self.keys.insert(string(&made["fingerprint"]));
    }

    /// What lies in the folder of the data.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.system.data_dir()).expect("read").map(|entry| entry.expect("entry"));
        entries.map(|entry| entry.file_name().into_string().expect("UTF-8")).collect()
    }

    /// The definition keys in files of their names, whole or not at all.
    fn definition_keys_there(&self) -> BTreeSet<String> {
        let is_key = |name: &String| name.starts_with("definition.key") && !name.ends_with(".new");
        let names = self.names().into_iter().filter(is_key);
        let lines = names.map(|name| fs::read_to_string(self.system.data_dir().join(name)).expect("read"));
        lines.map(|line| line.trim_end().split(' ').nth(2).expect("whole").to_owned()).collect()
    }

    /// Every recording, and the key that it is under.
    fn listed(&self) -> Vec<(String, Option<String>)> {
        let listed = self.system.json(&["recordings", "list"]);
        let rows = listed.as_array().expect("recordings").iter();
        rows.map(|row| (string(&row["id"]), row["fingerprint"].as_str().map(str::to_owned))).collect()
    }

    /// The keys that recordings are under.
    fn under(&self) -> BTreeSet<String> {
        self.listed().into_iter().filter_map(|(_, key)| key).collect()
    }

    fn sealed(&self) -> Vec<String> {
        self.listed().into_iter().filter(|(_, key)| key.is_some()).map(|(id, _)| id).collect()
    }

    /// Those with a validator.
    fn complete(&self) -> Vec<String> {
        self.sealed().into_iter().filter(|id| !["broken-off", "killed"].contains(&id.as_str())).collect()
    }

    fn with_old_key(&self, arguments: &[&str]) -> Vec<String> {
        let newest = || self.newest_key();
        let old = || self.under().into_iter().find(|key| *key != newest()).expect("recordings are under an older key");
        arguments.iter().map(|word| if *word == "OLD" { old() } else { (*word).to_owned() }).collect()
    }
}

/// A live recording whose writer is gone, for long: what plays of it.
fn leave_unfinished(system: &System, id: &str, signal: &str) -> Vec<u8> {
    let media = media(100_000);
    let mut import = system
        .command(&["import", "-", "--id", id])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("runs");
    import.stdin.as_mut().expect("piped").write_all(&media).expect("written");
    let name = format!("{id}.sealed.part");
    let part = || system.media_files().into_iter().find(|file| file.ends_with(&name));
    let begun = Instant::now();
    while part().and_then(|part| fs::metadata(part).ok()).map_or(0, |metadata| metadata.len()) < 95_000 {
        assert!(begun.elapsed() < PATIENCE, "it does not grow");
        thread::sleep(Duration::from_millis(10));
    }
    // Held open: waiting would close it, and its end would be an end in order.
    let stdin = import.stdin.take();
    crate::support::signal(import.id(), signal);
    import.wait().expect("ends");
    drop(stdin);
    if signal == "KILL" {
        // A writer that is at work renews its lease; this one's is over at once.
        assert_eq!(in_database(system, "UPDATE recording SET lease_until = 1 WHERE state = 0", &[]), 1);
    }
    let kept = system.run(&["cat", id]).stdout;
    assert!(kept.len() >= 90_000 && kept == media[..kept.len()], "{}", kept.len());
    kept
}

#[test]
fn a_running_server_plays_on_through_cycle_rewrap_and_reseal() {
    let system = System::with_key();
    let (long, short) = (media(48 << 20), media(100_000));
    system.import("long", &long);
    system.import("short", &short);
    for i in 0..10 {
        system.import(&format!("other-{i}"), &media(1000));
    }
    let server = system.serve();
    let etag_at_first = etag(&server);
    for (arguments, keeps_sealing) in [
        (&["definition-key", "cycle"][..], true),
        (&["rewrap", "--all"], true),
        (&["reseal", "--all"], false),
        // Once more over what these left.
        (&["definition-key", "cycle"], true),
    ] {
        let etag_before = etag(&server);
        system.ok(&["keys", "generate"]);
        let is_over = AtomicBool::new(false);
        let asked = thread::scope(|scope| {
            let slow = scope.spawn(|| read_slowly(&server, "/recordings/long/media", &is_over));
            let others = scope.spawn(|| {
                let mut asked = 0;
                while !is_over.load(Ordering::Relaxed) || asked < 3 {
                    let reply = server.get("/recordings/short/media");
                    assert_eq!(reply.status, 200, "{arguments:?}: {reply:?}");
                    assert!(reply.body == short, "{arguments:?}: other bytes");
                    let is_same = reply.header("etag") == Some(&etag_before);
                    assert!(is_same || !keeps_sealing, "{arguments:?}: {reply:?}");
                    let reply = server.get_range("/recordings/long/media", "bytes=30000000-30099999");
                    assert_eq!(reply.status, 206, "{arguments:?}: {reply:?}");
                    assert!(reply.body == long[30_000_000..30_100_000], "{arguments:?}: other bytes");
                    asked += 1;
                }
                asked
            });
            let done = system.run(arguments);
            // Some more is asked for after the end, too.
            thread::sleep(Duration::from_millis(300));
            is_over.store(true, Ordering::Relaxed);
            assert!(done.status.success(), "{arguments:?}: {done:?}");
            assert!(slow.join().expect("reads") == long, "{arguments:?}: a slow reader has other bytes");
            others.join().expect("asks")
        });
        println!("{arguments:?}: asked {asked} times meanwhile");
        assert_eq!(etag(&server) == etag_before, keeps_sealing, "{arguments:?}");
    }
    assert_ne!(etag(&server), etag_at_first);
}

/// In a container every process has the same number, also the one that was killed.
#[test]
fn what_a_killed_process_left_stops_nobody() {
    let system = System::with_key();
    let backup = system.path("backup.age");
    let export = ["keys", "export", "--out", backup.to_str().expect("UTF-8")];
    for (left, arguments) in
        [("data/definition.key.next.new", &["definition-key", "cycle"][..]), ("backup.new-$$", &export)]
    {
        let command = system.command(arguments);
        let mut same_number = Command::new("sh");
        same_number.args(["-c", &format!("echo half > {left} && exec \"$@\""), "sh"]);
        same_number.arg(command.get_program()).args(command.get_args()).current_dir(system.path(""));
        let output = same_number.env("SEALTAPE_PASSPHRASE", "a passphrase of some length").output().expect("runs");
        assert!(output.status.success(), "{left}: {}", text(&output.stderr));
    }
    assert!(backup.exists());
    assert!(!system.data_dir().join("definition.key.next.new").exists(), "and a key that nobody names does not stay");
}

fn etag(server: &Server) -> String {
    server.get("/recordings/short/media").header("etag").expect("one").to_owned()
}

/// Reads a little and pauses, again and again, and has a good part yet to come until it is over.
fn read_slowly(server: &Server, path: &str, is_over: &AtomicBool) -> Vec<u8> {
    let mut stream = TcpStream::connect(&server.address).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("sent");
    let mut came = Vec::new();
    let mut piece = vec![0; 64 << 10];
    while !is_over.load(Ordering::Relaxed) {
        if came.len() < 24 << 20 {
            let read = stream.read(&mut piece).expect("it plays");
            assert!(read > 0, "cut after {} bytes", came.len());
            came.extend_from_slice(&piece[..read]);
        }
        thread::sleep(Duration::from_millis(1));
    }
    stream.read_to_end(&mut came).expect("it plays on");
    let head = came.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head") + 4;
    assert!(came.starts_with(b"HTTP/1.1 200"));
    came.split_off(head)
}

/// A rewrap that was stopped while it wrote the header, at any byte: what of the new one had come, then the old one.
#[test]
fn a_header_that_is_half_written_is_read_from_the_catalogue_and_finished_by_the_next_rewrap() {
    let system = System::with_key();
    let media = media(100_000);
    system.import("call", &media);
    let stored = system.stored("call");
    let old_header = header(&stored);
    system.ok(&["keys", "generate"]);
    let server = system.serve();
    let etag = server.get("/recordings/call/media").header("etag").expect("one").to_owned();
    system.ok(&["rewrap", "call"]);
    let new_header = header(&stored);
    assert!(new_header != old_header && new_header[104..480] == old_header[104..480]);
    let set_row = "UPDATE recording SET fingerprint = $1, replacement_fingerprint = $2, replacement_header = $3 \
                   WHERE id = 'call' AND sealed = 1";
    let cuts = [0, 1, 31, 32, 33, 48, 63, 64, 65, 80, 103, 104, 105, 300, 479, 480, 481, 496, 511, HEADER_LEN];
    for cut in cuts {
        let torn = [&new_header[..cut], &old_header[cut..]].concat();
        // Whether the file holds the one, the other, or neither.
        let is_torn = torn != old_header && torn != new_header;
        assert_eq!(is_torn, (33..512).contains(&cut), "{cut}");
        in_database(&system, set_row, &[&old_header[32..64], &new_header[32..64], &new_header]);
        write_header(&stored, &torn);
        let after_restart = system.serve();
        for (server, which) in [(&server, "running"), (&after_restart, "restarted")] {
            let reply = server.get("/recordings/call/media");
            assert!(
                reply.status == 200 && reply.body == media,
                "{which}, {cut}: {} {:?}",
                reply.status,
                reply.headers()
            );
            assert_eq!(reply.header("etag"), Some(etag.as_str()), "{which}, {cut}");
        }
        let read = system.run(&["cat", "call"]);
        assert!(read.status.success() && read.stdout == media, "{cut}: {read:?}");
        system.ok(&["rewrap", "call"]);
        assert!(header(&stored) == new_header, "{cut}: it is not finished");
        let struck = "UPDATE recording SET exempt = NULL WHERE id = 'call' AND fingerprint = $1 \
                      AND replacement_fingerprint IS NULL AND replacement_header IS NULL";
        assert_eq!(in_database(&system, struck, &[&new_header[32..64]]), 1, "{cut}: the row does not say so");
        assert!(server.get("/recordings/call/media").body == media, "{cut}");
    }
    // Without the header in the row it is what it looks like: damage.
    write_header(&stored, &[&new_header[..80], &old_header[80..]].concat());
    // (The server that ran all along may remember the row from a moment ago.)
    let reply = system.serve().get("/recordings/call/media");
    assert_eq!((reply.status, reply.header("playback-error")), (500, Some("recording-corrupt")));
    assert!(system.fails(1, &["cat", "call"]).contains("recording-corrupt"));
}

fn header(path: &Path) -> Vec<u8> {
    fs::read(path).expect("read")[..HEADER_LEN].to_vec()
}

/// In place, as the program does it, and at another time than the last: what a server remembers of the file is void.
fn write_header(path: &Path, header: &[u8]) {
    let file = fs::File::options().write(true).open(path).expect("opens");
    let modified = || file.metadata().and_then(|metadata| metadata.modified()).expect("a time");
    let before = modified();
    while modified() == before {
        file.write_all_at(header, 0).expect("written");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Changes rows behind the program's back: how many.
fn in_database(system: &System, statement: &'static str, values: &[&[u8]]) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(system.data_dir().join("sealtape.db"));
        let options = options.busy_timeout(PATIENCE);
        let mut connection = SqliteConnection::connect_with(&options).await.expect("opens");
        let query = values.iter().fold(sqlx::query(statement), |query, value| query.bind(value.to_vec()));
        let done = query.execute(&mut connection).await.expect("executes");
        connection.close().await.expect("closes");
        done.rows_affected()
    })
}

fn string(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

/// Numbers that look random and are the same in each run (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % end.max(1)
    }
}
