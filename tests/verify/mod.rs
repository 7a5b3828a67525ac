//! Verifying: each fault that there can be is named, and nothing else is; what can be repaired is, and nothing is lost.

mod beside;
mod faults;
mod kills;
mod repair;
mod salvage;
mod scrub;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{Stored, System, text};

/// How long something may take that takes a moment.
const PATIENCE: Duration = Duration::from_secs(30);
const CHUNK_LEN: usize = 16 << 10;

/// Verifies with `--json`: the exit code and the document.
fn verify(system: &System, arguments: &[&str]) -> (Option<i32>, Value) {
    verify_with(system, arguments, &[])
}

fn verify_with(system: &System, arguments: &[&str], settings: &[(&str, &str)]) -> (Option<i32>, Value) {
    let arguments = [&["verify", "--json"], arguments].concat();
    let output = system.command(&arguments).envs(settings.iter().copied()).output().expect("runs");
    (output.status.code(), report(&output))
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", text(&output.stdout), text(&output.stderr)))
}

/// `ID kind`, and of damaged chunks `ID kind FIRST-LAST`, in order.
fn told(list: &Value) -> Vec<String> {
    let mut told: Vec<String> = list
        .as_array()
        .expect("an array")
        .iter()
        .map(|finding| {
            let id = finding["id"].as_str().unwrap_or("-");
            let chunks = if finding["kind"] == "corrupt-chunk" {
                format!(" {}-{}", finding["chunk"], finding["last_chunk"])
            } else {
                String::new()
            };
            format!("{id} {}{chunks}", finding["kind"].as_str().expect("a kind"))
        })
        .collect();
    told.sort();
    told
}

fn fault<'a>(report: &'a Value, id: &str) -> &'a Value {
    report["faults"].as_array().expect("faults").iter().find(|fault| fault["id"] == id).expect("a fault")
}

/// Changes the database as no command does: how many rows.
fn execute(system: &System, statement: &str) -> u64 {
    use sqlx::Connection;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(system.data_dir().join("sealtape.db"));
        let options = options.busy_timeout(PATIENCE);
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("connects");
        let done = sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.expect("executes");
        connection.close().await.expect("closes");
        done.rows_affected()
    })
}

fn newest_key(system: &System) -> String {
    let keys = system.json(&["keys", "list"]);
    let newest = keys.as_array().expect("keys").iter().find(|key| key["wraps_new"] == true).expect("one wraps");
    newest["fingerprint"].as_str().expect("text").to_owned()
}

/// Where in its file a byte of a recording's media lies.
fn offset(byte: usize) -> usize {
    512 + byte / CHUNK_LEN * (CHUNK_LEN + 16) + byte % CHUNK_LEN
}

/// Where in its file a byte of a recording's media lies that arrived live.
fn live_offset(byte: usize) -> usize {
    512 + byte / 4096 * (4096 + 16) + byte % 4096
}

fn cut(path: &Path, len: u64) {
    fs::OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(len)).expect("cut");
}

fn file_len(path: &Path) -> u64 {
    fs::metadata(path).expect("metadata").len()
}

/// A file of the media folder, or of the spool, by its name.
fn named(system: &System, name: &str) -> Option<PathBuf> {
    system.media_files().into_iter().find(|file| file.ends_with(name))
}

/// What is kept of a recording beside the one that took its place.
fn kept(system: &System, id: &str) -> Vec<Stored> {
    let (file, object) = (format!("/{id}.sealed.damaged-"), format!("/{id}/"));
    let is_kept = |kept: &Stored| kept.contains(&file) || kept.contains(&object) && kept.contains(".sealed.damaged-");
    system.objects().into_iter().filter(is_kept).collect()
}

/// A live recording under way, of which so much has been written.
fn recorder(system: &System, id: &str, media: &[u8], written: u64) -> Child {
    let mut import = system
        .command(&["import", "-", "--id", id])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("runs");
    import.stdin.as_mut().expect("piped").write_all(media).expect("written");
    let name = format!("{id}.sealed.part");
    let begun = Instant::now();
    while named(system, &name).and_then(|part| fs::metadata(part).ok()).map_or(0, |metadata| metadata.len()) < written {
        assert!(begun.elapsed() < PATIENCE, "it does not grow");
        thread::sleep(Duration::from_millis(10));
    }
    import
}

/// A live recording whose writer is gone: what plays of it.
fn leave_unfinished(system: &System, id: &str, media: &[u8], signal: &str) -> Vec<u8> {
    let mut import = recorder(system, id, media, media.len() as u64 - 5000);
    // Held open: waiting would close it, and its end would be an end in order.
    let stdin = import.stdin.take();
    crate::support::signal(import.id(), signal);
    import.wait().expect("ends");
    drop(stdin);
    if signal == "KILL" {
        // A writer that is at work renews its lease; this one's is over at once.
        assert_eq!(execute(system, "UPDATE recording SET lease_until = 1 WHERE state = 0"), 1);
    }
    let kept = system.run(&["cat", id]).stdout;
    assert!(!kept.is_empty() && media.starts_with(&kept), "{}", kept.len());
    kept
}
