//! The record, written and then meddled with.

mod appending;
mod meddling;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{AuditLog, Clock, Event, EventKind, Verification, files, verify};
use crate::base::Timestamp;

fn clock() -> Clock {
    Arc::new(|| Timestamp::from_millis(1_764_000_000_123).expect("a time"))
}

fn event(recording: &str) -> Event {
    Event { recording: Some(recording.into()), ..Event::new(EventKind::Opened) }
}

/// Writes as many events, one a file's append.
async fn write(log: &AuditLog, count: u32) {
    for i in 0..count {
        log.record(event(&format!("r{i}"))).await.expect("recorded");
    }
}

fn verify_folder(folder: &Path) -> Verification {
    verify(&files(folder).expect("listed"), &[]).expect("read")
}

fn only_file(folder: &Path) -> PathBuf {
    let files = files(folder).expect("listed");
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).expect("read").split_inclusive('\n').map(str::to_owned).collect()
}
