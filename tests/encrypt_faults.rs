//! `encrypt` killed at any instant, and on disks that fill up at any byte: every recording plays at every stage, nothing
//! is lost, and in the end not a byte lies in plain.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::{
    PlainArchive, Server, System, as_root, files_with_marker, marked_media, text, unlinked_with_marker,
};

fn is_full() -> bool {
    std::env::var_os("SEALTAPE_TESTS_FULL").is_some()
}

/// Files of a round: some are of a few bytes, some of several pieces.
const FILES: usize = 24;

/// An archive in plain, outside and in the store, that grows by some files a round.
struct Growing {
    system: System,
    archive: PlainArchive,
    random: Random,
    files: usize,
}

impl Growing {
    fn new(seed: u64) -> Self {
        let system = System::with_key();
        let archive = PlainArchive::new(&system);
        Self { system, archive, random: Random(seed), files: 0 }
    }

    /// Adds files, until there are `count` in plain.
    fn fill(&mut self, count: usize) {
        let in_plain = self.in_plain();
        let mut stored = Vec::new();
        for _ in in_plain..count {
            let number = self.files;
            self.files += 1;
            let len = match number % 4 {
                0 => self.random.below(600_000) + 1,
                1 => self.random.below(40_000) + 1,
                2 => (self.random.below(4) + 1) * (16 << 10),
                _ => self.random.below(200) + 1,
            };
            let id = format!("call-{number:05}");
            if number.is_multiple_of(5) {
                let media = marked_media(&id, len as usize);
                stored.push(self.system.file(&format!("{id}.wav"), &media));
                self.archive.media.insert(id, media);
            } else {
                self.archive.write(&format!("{}/{id}.wav", number % 3), len as usize);
            }
        }
        self.archive.import(&self.system);
        if !stored.is_empty() {
            // In the store, and in plain.
            self.system.ok(&["encryption", "disable"]);
            let paths = stored.iter().map(|path| path.to_str().expect("UTF-8"));
            self.system.ok(&["import"].into_iter().chain(paths).collect::<Vec<_>>());
            self.system.ok(&["encryption", "enable"]);
            stored.iter().for_each(|path| fs::remove_file(path).expect("removed"));
        }
    }

    fn in_plain(&self) -> usize {
        let plain = &self.system.json(&["encryption", "status"])["plain"];
        plain["others"].as_u64().expect("a count") as usize
    }

    /// Every recording is listed and plays, whatever was done to it.
    fn assert_whole(&self, context: &str) {
        let listed = self.system.json(&["recordings", "list"]);
        let ids: Vec<_> = listed.as_array().expect("a list").iter().map(|one| one["id"].as_str()).collect();
        assert_eq!(ids.len(), self.archive.media.len(), "{context}: {ids:?}");
        self.archive.assert_plays(&self.system.serve(), context);
    }

    /// Nothing lies in plain, under no name and under none.
    fn assert_nothing_in_plain(&self, temporary: &Path, server: Server) {
        let left = files_with_marker(&[&self.system.path(""), temporary]);
        assert!(left.is_empty(), "in plain still: {left:?}");
        let pid = server.pid();
        drop(server);
        let running = fs::read_dir("/proc").expect("read").flatten();
        let running = running.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let is_ours = |pid: &u32| {
            let said = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            text(&said).contains(&*self.system.data_dir().to_string_lossy())
        };
        for pid in running.filter(is_ours).chain([pid]) {
            assert!(unlinked_with_marker(pid).is_empty(), "process {pid} has some of it open");
        }
        let names = self.system.media_files();
        let is_tidy = |file: &PathBuf| file.extension().is_some_and(|end| end == "sealed") || file.ends_with(".lock");
        assert!(names.iter().all(is_tidy), "{names:?}");
        assert_eq!(names.len(), self.archive.media.len() + 1);
    }
}

#[test]
fn killed_at_any_instant_it_loses_nothing_and_the_next_run_finishes_it() {
    let rounds = if is_full() { 200 } else { 20 };
    let mut growing = Growing::new(0x5EA1_0101);
    let temporary = growing.system.path("temporary");
    fs::create_dir(&temporary).expect("made");
    let encrypt = |system: &System| {
        let mut command = system.command(&["encrypt", "--all"]);
        command.env("TMPDIR", &temporary).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    growing.fill(FILES);
    let begun = Instant::now();
    assert!(encrypt(&growing.system).status().expect("runs").success());
    let mut took = begun.elapsed();
    let (mut killed, mut half_done, mut copies, mut notes) = (0, 0, 0, 0);
    for round in 0..rounds {
        growing.fill(FILES);
        let after = Duration::from_nanos(growing.random.below(took.as_nanos() as u64 * 21 / 20));
        let begun = Instant::now();
        let mut running = encrypt(&growing.system).spawn().expect("runs");
        while begun.elapsed() < after && running.try_wait().expect("asks").is_none() {
            thread::sleep(after.saturating_sub(begun.elapsed()).min(Duration::from_millis(1)));
        }
        let ran = begun.elapsed();
        running.kill().expect("killed, or gone already");
        let ended = running.wait().expect("ends");
        let context = format!("round {round}, after {after:?}");
        // The machine may be busier than when this was measured, or less so.
        if ended.signal() == Some(9) {
            killed += 1;
            let in_plain = growing.in_plain();
            half_done += usize::from(in_plain > 0 && in_plain < FILES);
            copies +=
                growing.system.media_files().iter().filter(|file| file.to_string_lossy().ends_with(".next")).count();
            notes += growing.system.json(&["encryption", "status"])["plain"]["files_left"].as_u64().expect("a count");
            took += took / 16;
        } else {
            assert!(ended.success(), "{context}: {ended:?}");
            took = (took + ran) / 2;
        }
        // Every fourth state is left to the next kill as it is.
        if round % 4 != 3 {
            growing.assert_whole(&context);
        }
    }
    println!(
        "about {took:?}; {killed} of {rounds} killed, {half_done} half done, {copies} copies and {notes} notes left"
    );
    assert!(killed * 3 >= rounds && half_done > 0, "too few kills came before the end: {killed}, {half_done}");

    // A server that has played all of them in plain sees the last run.
    let server = growing.system.serve();
    growing.archive.assert_plays(&server, "before the last run");
    let done = growing.system.json(&["encrypt", "--all"]);
    assert_eq!((&done["failed"], &done["stopped"]), (&json!([]), &false.into()), "{done}");
    assert_eq!(done["plain_left"], json!({ "exempt": 0, "others": 0, "files": 0 }));
    growing.archive.assert_plays(&server, "after the last run");
    growing.assert_whole("in the end");
    let audit = growing.system.json(&["audit", "verify"]);
    assert_eq!(audit["sound"], true, "{audit}");
    let events = growing.system.ok(&["audit", "show", "--json"]);
    for id in growing.archive.media.keys() {
        let is_of = |line: &str| line.contains("recording.encrypt");
        let told = events.split("\"recording\"").filter(|part| part.contains(&format!("\"{id}\""))).count();
        assert!(told >= 2 && events.lines().any(is_of), "{id} is on record: {told}");
    }
    growing.assert_nothing_in_plain(&temporary, server);
}

#[test]
fn on_a_disk_that_fills_up_nothing_is_lost() {
    let mut filled_up = 0;
    for (round, at) in
        (0..if is_full() { 40 } else { 8 }).map(|round| (round, Random(0x5EA1_0102 + round).below(2_500_000)))
    {
        let mut growing = Growing { system: System::empty(), ..Growing::new(0x5EA1_0103 + round) };
        growing.archive = PlainArchive::new(&growing.system);
        // Now the media alone lies on it, now the database and the record, too.
        let folder = growing.system.data_dir().join(if round % 2 == 0 { "media" } else { "" });
        fs::create_dir_all(&folder).expect("made");
        let disk = SmallDisk::mount(&folder);
        growing.system.ok(&["keys", "generate"]);
        growing.fill(FILES);
        disk.leave(at);
        let context = format!("round {round}, {at} bytes free");
        let output = growing.system.run(&["encrypt", "--all"]);
        let said = text(&output.stderr);
        if !output.status.success() {
            filled_up += 1;
            assert!(matches!(output.status.code(), Some(1 | 3)), "{context}: {:?}: {said}", output.status);
            assert!(said.contains("room") || said.contains("full"), "{context}: {said}");
        }
        // Whoever listens is on record, for which there is no room either.
        disk.leave(if round % 2 == 0 { at } else { 1 << 20 });
        growing.assert_whole(&context);
        disk.leave(64 << 20);
        let done = growing.system.json(&["encrypt", "--all"]);
        assert_eq!(done["failed"], json!([]), "{context}: {done}");
        growing.assert_whole(&context);
        growing.assert_nothing_in_plain(&growing.system.path("none"), growing.system.serve());
    }
    println!("{filled_up} rounds filled up");
    assert!(filled_up > 0, "no disk filled up");
}

/// A file system in memory that is as small as it is told to be.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: &Path) -> Self {
        let mut mount = as_root("mount");
        // Whoever runs the tests owns it.
        let owner = format!("size=512m,mode=0700,uid={}", rustix::process::geteuid().as_raw());
        mount.args(["-t", "tmpfs", "-o", &owner, "tmpfs"]).arg(folder);
        assert!(mount.status().expect("runs").success(), "tmpfs cannot be mounted here: that needs root, or sudo");
        Self(folder.to_owned())
    }

    /// Leaves that many bytes free.
    fn leave(&self, bytes: u64) {
        let found = rustix::fs::statvfs(&self.0).expect("asks");
        let used = (found.f_blocks - found.f_bfree) * found.f_frsize;
        let size = format!("remount,size={}", (used + bytes).next_multiple_of(4096));
        let mut mount = as_root("mount");
        assert!(mount.args(["-o", &size]).arg(&self.0).status().expect("runs").success(), "{size}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _told_by_the_test = as_root("umount").arg("-l").arg(&self.0).status();
    }
}

/// Numbers that look random and are the same in each run (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16) % end.max(1)
    }
}
