//! The playback record's end: whatever lies there, what was whole stays byte for byte, and nothing is added to a chain
//! that does not hold.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use sealtape::{
    audit::{AuditLog, Clock, Event, EventKind, Verification, verify},
    base::Timestamp,
};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

const LINES: usize = 6;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));
static FOLDER: LazyLock<TempDir> = LazyLock::new(folder);

/// A record as it is written, a line an element.
static WRITTEN: LazyLock<Vec<String>> = LazyLock::new(|| {
    let folder = folder();
    let log = AuditLog::new(folder.path(), clock());
    for number in 0..LINES {
        let event = Event { recording: Some(format!("call-{number}")), ..Event::new(EventKind::Opened) };
        RUNTIME.block_on(log.record(event)).expect("recorded");
    }
    drop(log);
    let text = fs::read_to_string(file(folder.path())).expect("read");
    text.split_inclusive('\n').map(str::to_owned).collect()
});

/// The first byte says how many lines of a real record come first, the second whether the last line after them is given
/// the hash that it should have; the rest lies behind.
pub fn audit_tail(data: &[u8]) {
    let [keep, how, rest @ ..] = data else { return };
    let kept = usize::from(*keep) % (WRITTEN.len() + 1);
    let mut before: Vec<u8> = WRITTEN[..kept].concat().into_bytes();
    let hashed = if how & 1 == 1 { with_hash(rest, &before) } else { rest.to_vec() };
    before.extend_from_slice(&hashed);
    let path = file(FOLDER.path());
    fs::write(&path, &before).expect("written");
    let found_before = look(&path);
    let whole_len = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);

    let log = AuditLog::new(FOLDER.path(), clock());
    let recorded = RUNTIME.block_on(log.record(Event::new(EventKind::Opened)));
    drop(log);
    let after = fs::read(&path).expect("read");
    assert_eq!(after.get(..whole_len), before.get(..whole_len), "what was whole is not as it was");
    let found_after = look(&path);
    match recorded {
        Ok(()) => {
            assert!(after.ends_with(b"}\n"));
            if found_before.faults.is_empty() {
                assert!(found_after.faults.is_empty(), "{:?}", found_after.faults);
            }
            // A torn end is a fault until it is cut off; no other comes from adding.
            assert!(found_after.faults.len() <= found_before.faults.len(), "{:?}", found_after.faults);
        }
        Err(_) => {
            assert_eq!(after, before, "refused, and changed all the same");
            assert!(!found_before.faults.is_empty(), "a sound record takes events");
        }
    }
}

fn look(path: &Path) -> Verification {
    verify(&[path.to_owned()], &[]).expect("it can be read")
}

/// The last line of `rest` as somebody writes it who knows how: with the hash of the line before, and its own. `PREV` in
/// it stands for the former.
fn with_hash(rest: &[u8], before: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(rest);
    let prev =
        before.strip_suffix(b"\"}\n").and_then(|before| before.last_chunk::<64>()).copied().unwrap_or([b'0'; 64]);
    let content = text.replace("PREV", &String::from_utf8_lossy(&prev)).replace('\n', " ");
    let hash = hex::encode(Sha256::digest(content.as_bytes()));
    format!("{content},\"hash\":\"{hash}\"}}\n").into_bytes()
}

/// In memory, where there is such a place: each input is a few writes that are synced.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    folder.expect("a folder")
}

fn file(folder: &Path) -> PathBuf {
    folder.join("playback-000001.jsonl")
}

fn clock() -> Clock {
    Arc::new(|| Timestamp::from_millis(1_764_000_000_123).expect("a time"))
}
