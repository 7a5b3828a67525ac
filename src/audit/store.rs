//! Appends to the chain of a folder, together with other processes. Synchronous: [`super::AuditLog`] calls it from a
//! thread of its own.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use super::{
    Error, Event, EventKind, Head, LINE_LEN_MAX,
    files::{LOCK, name, numbers},
    line, tail, unavailable,
};
use crate::base::Timestamp;

/// How lines are written.
const VERSION: u32 = 1;
/// Whoever waits for the lock holds this one meanwhile, so that a busy writer does not overtake for ever.
const TURN: &str = "turn";
/// How much of what was cut off is kept in the chain, in bytes.
const TORN_KEPT_MAX: usize = 4096;

/// A folder of a record, and what this process knows of its chain.
pub(super) struct Store {
    folder: PathBuf,
    file_len_max: u64,
    /// Who writes, as each line says it.
    instance: Option<String>,
    lock: Option<Locks>,
    tail: Option<Tail>,
    /// What was found out about the chain, and is to be written before anything else.
    findings: Vec<Event>,
}

struct Locks {
    turn: File,
    lock: File,
}

/// The chain's end, as this process left it.
struct Tail {
    number: u64,
    file: File,
    len: u64,
    chain: String,
    head: Head,
}

/// The lock, held for one append.
struct Held<'a>(&'a File);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // It ends with the process at the latest.
        let _held_no_more = flock(self.0, FlockOperation::Unlock);
    }
}

impl Store {
    pub(super) fn new(folder: &Path, file_len_max: u64, instance: Option<String>) -> Self {
        Self { folder: folder.to_owned(), file_len_max, instance, lock: None, tail: None, findings: Vec::new() }
    }

    /// Appends events, all of them durably or none; without events, sees that the chain is whole and can be written.
    /// The lock is waited for.
    pub(super) fn append(&mut self, now: Timestamp, events: &[(Timestamp, Event)]) -> Result<(), Error> {
        self.make_folder()?;
        let locks = self.locks()?;
        let outcome = {
            let _held = locks.acquire().map_err(|error| unavailable(&self.folder, &error))?;
            self.append_locked(now, events)
        };
        self.lock = Some(locks);
        outcome
    }

    fn append_locked(&mut self, now: Timestamp, events: &[(Timestamp, Event)]) -> Result<(), Error> {
        let mut tail = self.current_tail()?;
        let findings: Vec<(Timestamp, Event)> = self.findings.iter().map(|event| (now, event.clone())).collect();
        let (mut bytes, mut head) = (Vec::new(), tail.head);
        for (at, event) in findings.iter().chain(events) {
            let author = line::Author { chain: &tail.chain, instance: self.instance.as_deref() };
            head = line::write(&mut bytes, author, head, *at, event);
        }
        if bytes.is_empty() {
            self.tail = Some(tail);
            return self.check_room();
        }
        if tail.len > 0 && tail.len + bytes.len() as u64 > self.file_len_max {
            match self.open(tail.number + 1) {
                Ok(file) => tail = Tail { number: tail.number + 1, file, len: 0, ..tail },
                Err(error) => {
                    self.tail = Some(tail);
                    return Err(error);
                }
            }
        }
        let path = self.folder.join(name(tail.number));
        let written = (&tail.file).write_all(&bytes).and_then(|()| tail.file.sync_data());
        if written.is_ok() {
            tail.len += bytes.len() as u64;
            tail.head = head;
            self.findings.clear();
        } else {
            // Half a batch must not stay. Should this fail as well, the end is found torn the next time.
            let _found_next_time = tail.file.set_len(tail.len);
        }
        self.tail = Some(tail);
        written.map_err(|error| unavailable(&path, &error))
    }

    /// The chain's end: as this process left it if nobody else wrote since, else from the disk.
    fn current_tail(&mut self) -> Result<Tail, Error> {
        match self.tail.take() {
            Some(tail) if self.is_current(&tail) => Ok(tail),
            known => {
                let found = self.read_tail(known.as_ref());
                if found.is_err() {
                    self.tail = known;
                }
                found
            }
        }
    }

    fn is_current(&self, tail: &Tail) -> bool {
        let (Ok(here), Ok(there)) = (tail.file.metadata(), fs::metadata(self.folder.join(name(tail.number)))) else {
            return false;
        };
        let is_newest = fs::symlink_metadata(self.folder.join(name(tail.number + 1)))
            .is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        is_newest && here.ino() == there.ino() && here.dev() == there.dev() && there.len() == tail.len
    }

    /// Whether there is room for a line: who asks is about to do something that will be recorded.
    fn check_room(&self) -> Result<(), Error> {
        let failed = |error: rustix::io::Errno| unavailable(&self.folder, &error.into());
        let room = rustix::fs::statvfs(&self.folder).map_err(failed)?;
        // A file system that does not count says that it has no blocks at all.
        if room.f_blocks > 0 && room.f_bavail.saturating_mul(room.f_frsize) < LINE_LEN_MAX as u64 {
            return Err(unavailable(&self.folder, &std::io::ErrorKind::StorageFull.into()));
        }
        Ok(())
    }

    fn read_tail(&mut self, known: Option<&Tail>) -> Result<Tail, Error> {
        let numbers = numbers(&self.folder)?;
        let Some(newest) = numbers.last().copied() else { return self.tail_in_empty_folder(known) };
        let mut file = self.open(newest)?;
        let path = self.folder.join(name(newest));
        let mut end = tail::read(&mut file, &path)?;
        if !end.torn.is_empty() {
            file.set_len(end.whole_len).map_err(|error| unavailable(&path, &error))?;
            self.findings.push(repaired(&end.torn));
        }
        let len = end.whole_len;
        // A file was begun and nothing written to it: the chain ends in an earlier one. A file whose only line is the
        // last must follow from the file before it.
        let mut end_path = path;
        for number in numbers.iter().rev().skip(1) {
            if end.last.is_some() && end.continues.is_none() {
                break;
            }
            let earlier_path = self.folder.join(name(*number));
            let mut earlier = File::open(&earlier_path).map_err(|error| unavailable(&earlier_path, &error))?;
            let earlier = tail::read(&mut earlier, &earlier_path)?;
            match (&end.continues, &earlier.last) {
                (_, None) => continue,
                (Some(prev), Some((_, head))) if *prev == head.hash => break,
                (Some(_), Some(_)) => {
                    let path = end_path.display().to_string();
                    let what = "the first line does not follow from the file before it";
                    return Err(Error::Broken { path, line: 1, what });
                }
                (None, Some(_)) => {
                    (end, end_path) = (tail::FileEnd { continues: None, ..earlier }, earlier_path);
                }
            }
        }
        let Some((chain, head)) = end.last else {
            let begun = self.tail_in_empty_folder(known)?;
            return Ok(Tail { number: newest, file, len, ..begun });
        };
        let is_rewound = known.is_some_and(|known| {
            known.chain == chain && (known.head.seq > head.seq || known.head.seq == head.seq && known.head != head)
        });
        if is_rewound {
            return Err(Error::Rewound { path: end_path.display().to_string() });
        }
        Ok(Tail { number: newest, file, len, chain, head })
    }

    /// Nothing is there. A chain that this process knows goes on all the same, so that the gap shows; else one begins.
    fn tail_in_empty_folder(&mut self, known: Option<&Tail>) -> Result<Tail, Error> {
        let number = known.map_or(1, |known| known.number + 1);
        let (chain, head) = match known {
            Some(known) => (known.chain.clone(), known.head),
            None => {
                self.findings.retain(|event| event.kind != EventKind::Begun);
                self.findings.insert(0, Event { version: Some(VERSION), ..Event::new(EventKind::Begun) });
                (line::random_name().ok_or(Error::NoRandom)?, Head::START)
            }
        };
        Ok(Tail { number, file: self.open(number)?, len: 0, chain, head })
    }

    /// Opens a file to append to; its name is durable then.
    fn open(&self, number: u64) -> Result<File, Error> {
        let path = self.folder.join(name(number));
        let open = || {
            let is_new = !path.exists();
            let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path)?;
            if is_new {
                File::open(&self.folder)?.sync_all()?;
            }
            Ok(file)
        };
        open().map_err(|error| unavailable(&path, &error))
    }

    fn make_folder(&self) -> Result<(), Error> {
        let failed = |error| unavailable(&self.folder, &error);
        if self.folder.is_dir() {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(failed)?;
        let parent = self.folder.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new("."))).and_then(|parent| parent.sync_all()).map_err(failed)
    }

    /// The lock files; opened again when the folder was exchanged.
    fn locks(&mut self) -> Result<Locks, Error> {
        let path = self.folder.join(LOCK);
        let is_same = |locks: &Locks| match (locks.lock.metadata(), fs::metadata(&path)) {
            (Ok(here), Ok(there)) => here.ino() == there.ino() && here.dev() == there.dev(),
            _ => false,
        };
        if let Some(locks) = self.lock.take().filter(is_same) {
            return Ok(locks);
        }
        let open = |name| {
            let path = self.folder.join(name);
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            options.open(&path).map_err(|error| unavailable(&path, &error))
        };
        Ok(Locks { turn: open(TURN)?, lock: open(LOCK)? })
    }
}

impl Locks {
    fn acquire(&self) -> io::Result<Held<'_>> {
        flock(&self.turn, FlockOperation::LockExclusive)?;
        let _turn = Held(&self.turn);
        flock(&self.lock, FlockOperation::LockExclusive)?;
        Ok(Held(&self.lock))
    }
}

/// Says what was cut off.
fn repaired(torn: &[u8]) -> Event {
    let kept = torn.get(..torn.len().min(TORN_KEPT_MAX)).unwrap_or_default();
    let detail = format!("sha256 {}: {}", hex::encode(line::digest(torn)), String::from_utf8_lossy(kept));
    debug_assert!(detail.len() < LINE_LEN_MAX / 4);
    Event { bytes: Some(torn.len() as u64), detail: Some(detail), ..Event::new(EventKind::Repaired) }
}
