//! Whoever writes is killed at any instant: nothing plain is on a disk, nothing acknowledged is lost, and what is
//! unfinished plays to its last whole chunk.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::Path,
    process::{Child, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{CHUNK, HEADER, RECORD, stored_as};
use crate::support::{Server, System, Upload, signal, tool};

/// In every 32 bytes of what is sent.
const MARKER: &str = "PLAIN-AS-IT-WAS-";
const WRITERS: usize = 4;

pub fn rounds() -> usize {
    if std::env::var_os("SEALTAPE_TESTS_FULL").is_some() { 200 } else { 20 }
}

/// Media that shows what it is, wherever it lies.
pub fn marked(id: &str, len: usize) -> Vec<u8> {
    let mut media = Vec::with_capacity(len + 64);
    let mut line = 0_u64;
    while media.len() < len {
        write!(media, "{MARKER}{:>8}{line:08x}", &id[..id.len().min(8)]).expect("written");
        line += 1;
    }
    media.truncate(len);
    media
}

/// What was sent under an ID, and whether all of it was acknowledged.
pub type Sent = BTreeMap<String, (Vec<u8>, bool)>;

#[test]
fn writers_killed_at_any_instant_leave_nothing_plain_and_lose_nothing_acknowledged() {
    let system = System::with_key();
    fs::create_dir(system.path("tmp")).expect("made");
    let mut random = Random(0x5EA1_0005);
    let (mut acknowledged, mut unfinished) = (0, 0);
    let mut server = serve(&system);
    for round in 0..rounds() {
        let sent = Mutex::new(Sent::new());
        let is_over = AtomicBool::new(false);
        let after = Duration::from_micros(random.below(500_000));
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (address, sent, is_over, seed) = (&server.address, &sent, &is_over, random.below(u64::MAX));
                scope.spawn(move || write_on(address, &format!("w{round}-{writer}"), Random(seed), sent, is_over));
            }
            let id = format!("import-{round}");
            let mut import = import(&system, &id);
            let (piped, sent) = (import.stdin.take().expect("piped"), &sent);
            scope.spawn(move || feed(piped, &id, sent));
            thread::sleep(after);
            for pid in [server.pid(), import.id()] {
                assert_nothing_plain_is_open(pid);
            }
            server.signal("KILL");
            signal(import.id(), "KILL");
            is_over.store(true, Ordering::Relaxed);
            import.wait().expect("ends");
        });
        assert_nothing_plain(&system);
        let wait_for_end = server.wait();
        assert_eq!(wait_for_end, None, "round {round}: killed");
        // Their leases would lapse in half a minute.
        end_leases(&system);
        server = serve(&system);
        for (id, (media, is_acknowledged)) in sent.into_inner().expect("not poisoned") {
            let context = format!("round {round}, after {after:?}: {id}");
            let reply = server.get(&format!("/recordings/{id}/media"));
            if is_acknowledged {
                assert!(reply.status == 200 && reply.body == media, "{context}: {} {}", reply.status, reply.body.len());
                acknowledged += 1;
                continue;
            }
            let Some(part) = stored_as(&system, &format!("{id}.sealed.part")) else {
                // All of it was there and nobody was told any more, or nothing was.
                assert!(reply.status == 404 || reply.body == media, "{context}: {reply:?}");
                continue;
            };
            let whole = fs::metadata(&part).expect("there").len() as usize;
            let whole = whole.saturating_sub(HEADER) / RECORD * CHUNK;
            if reply.status == 404 {
                assert_eq!(whole, 0, "{context}: what could be played is not catalogued");
                continue;
            }
            assert_eq!(reply.status, 200, "{context}: {reply:?}");
            assert!(!reply.is_cut && media.starts_with(&reply.body), "{context}");
            // Killed between its last record and its name it is all there.
            assert!(reply.body.len() == whole || reply.body == media, "{context}: {} of {whole}", reply.body.len());
            assert_eq!(server.get(&format!("/recordings/{id}")).json()["state"], "unfinished", "{context}");
            unfinished += 1;
        }
    }
    println!("{acknowledged} acknowledged, {unfinished} unfinished");
    assert!(acknowledged >= rounds() && unfinished >= rounds(), "{acknowledged} acknowledged, {unfinished} unfinished");
    assert_nothing_plain(&system);
}

/// A file taken from a watch folder is a recording or still there, and never something between.
#[test]
fn a_watch_folder_whose_server_is_killed_at_any_instant_is_emptied_in_the_end() {
    let system = System::with_key();
    let drop_folder = system.path("drop");
    fs::create_dir(&drop_folder).expect("made");
    let mut random = Random(0x5EA1_0006);
    let mut dropped = BTreeMap::new();
    for round in 0..rounds() {
        for file in 0..3 {
            let id = format!("f{round}-{file}");
            let media = marked(&id, 1 + random.below(3_000_000) as usize);
            fs::write(drop_folder.join(format!("{id}.bin")), &media).expect("dropped");
            dropped.insert(id, media);
        }
        let server = watch(&system, &drop_folder);
        thread::sleep(Duration::from_micros(100_000 + random.below(400_000)));
        server.signal("KILL");
        server.wait();
    }
    let server = watch(&system, &drop_folder);
    let is_empty = |_: &Server| fs::read_dir(&drop_folder).expect("read").next().is_none();
    // One that was a recording already when its file was still to be removed is told of, and left to its owner.
    let left = |server: &Server| server.log().matches("not taken in").count();
    let is_done =
        |server: &Server| is_empty(server) || fs::read_dir(&drop_folder).expect("read").count() == left(server);
    // What two hundred servers were killed over takes longer than what twenty were.
    let patience = Duration::from_secs(40 + rounds() as u64);
    assert!(server.wait_until(patience, is_done), "{}", server.log());
    for entry in fs::read_dir(&drop_folder).expect("read") {
        fs::remove_file(entry.expect("an entry").path()).expect("removed");
    }
    for (id, media) in &dropped {
        let media_path = format!("/recordings/{id}/media");
        // What has no row yet, a server that has begun finds in its own time.
        server.wait_until(super::PATIENCE, |server| server.get(&media_path).status == 200);
        let reply = server.get(&media_path);
        let told = || server.log().lines().filter(|line| line.contains(id.as_str())).collect::<Vec<_>>().join("\n");
        assert!(reply.status == 200 && reply.body == *media, "{id}: {} {}\n{}", reply.status, reply.body.len(), told());
    }
    assert_nothing_plain(&system);
    assert!(system.media_files().iter().all(|file| !file.to_string_lossy().ends_with(".part")));
}

fn serve(system: &System) -> Server {
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("TMPDIR", system.path("tmp"));
    Server::start(command)
}

fn watch(system: &System, folder: &Path) -> Server {
    let setting = format!("[{{ path = {folder:?}, settle = \"50ms\" }}]");
    super::serve_with(system, &[("SEALTAPE_INGEST__WATCH", &setting)])
}

fn import(system: &System, id: &str) -> Child {
    let mut command = system.command(&["import", "-", "--id", id]);
    command.env("TMPDIR", system.path("tmp")).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("runs")
}

/// Sends one recording after the other until the connection is cut.
pub fn write_on(address: &str, name: &str, mut random: Random, sent: &Mutex<Sent>, is_over: &AtomicBool) {
    for number in 0.. {
        let id = format!("{name}-{number}");
        let media = marked(&id, 1 + random.below(200_000) as usize);
        sent.lock().expect("not poisoned").insert(id.clone(), (media.clone(), false));
        let Some(mut upload) = Upload::try_begin(address, &id, &[]) else { return };
        let mut rest = &media[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(1 + random.below(9000) as usize));
            if is_over.load(Ordering::Relaxed) || !upload.try_send(piece) {
                return;
            }
            rest = after;
            thread::sleep(Duration::from_micros(random.below(3000)));
        }
        match upload.try_finish() {
            Some(reply) if reply.status == 201 && !reply.is_cut => {
                sent.lock().expect("not poisoned").insert(id, (media, true));
            }
            _ => return,
        }
    }
}

fn feed(mut piped: impl Write, id: &str, sent: &Mutex<Sent>) {
    let media = marked(id, 4_000_000);
    sent.lock().expect("not poisoned").insert(id.to_owned(), (media.clone(), false));
    for piece in media.chunks(5000) {
        if piped.write_all(piece).is_err() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    // Held open until it is killed: an end would be one in order.
    thread::sleep(Duration::from_secs(1));
}

/// No file below the system's folder shows what was sent: data, temporary files, where the programs were started.
pub fn assert_nothing_plain(system: &System) {
    let found = tool("grep").args(["-rlaF", MARKER]).arg(system.path("")).output().expect("grep runs");
    assert!(found.stdout.is_empty(), "{}", String::from_utf8_lossy(&found.stdout));
    assert_eq!(found.status.code(), Some(1), "{}", String::from_utf8_lossy(&found.stderr));
}

/// No file that a process holds open does, be its name gone.
pub fn assert_nothing_plain_is_open(pid: u32) {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return };
    for descriptor in descriptors.flatten() {
        let path = descriptor.path();
        if fs::metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
            let content = fs::read(&path).unwrap_or_default();
            let is_plain = content.windows(MARKER.len()).step_by(1).any(|window| window == MARKER.as_bytes());
            assert!(!is_plain, "{:?} is plain", fs::read_link(&path));
        }
    }
}

pub fn end_leases(system: &System) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(system.data_dir().join("sealtape.db"));
        let mut connection = SqliteConnection::connect_with(&options).await.expect("opens");
        let ended = sqlx::query("UPDATE recording SET lease_until = 1 WHERE state = 0");
        ended.execute(&mut connection).await.expect("executes");
        connection.close().await.expect("closes");
    });
}

/// Numbers that look random and are the same in each run (xorshift64*).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.max(1);
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % end.max(1)
    }
}
