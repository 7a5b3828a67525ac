//! A repair is killed at any instant: every recording plays what it should, and every old file is kept.

use std::{collections::BTreeMap, fs, os::unix::process::ExitStatusExt, process::Stdio, thread, time::Duration};

use serde_json::json;

use super::{CHUNK_LEN, cut, kept, leave_unfinished, offset, verify};
use crate::support::{System, copy_folder, flip, media};

fn rounds() -> usize {
    if std::env::var_os("SEALTAPE_TESTS_FULL").is_some() { 200 } else { 20 }
}

/// What a recording plays when it is mended, and the file that is kept then.
struct Expected {
    mended: Vec<u8>,
    old: Vec<u8>,
    /// What it plays before: nothing of one that is refused as damaged.
    before: Option<Vec<u8>>,
}

#[test]
fn a_repair_killed_at_any_instant_loses_nothing_and_is_finished_by_the_next() {
    let (model, bytes) = (System::with_key(), media(3 << 20));
    let mut expected = BTreeMap::new();
    for n in 0..3 {
        let id = format!("unfinished-{n}");
        let played = leave_unfinished(&model, &id, &bytes[..bytes.len() - n * 5000], "TERM");
        let old = fs::read(super::named(&model, &format!("{id}.sealed.part")).expect("it grew")).expect("read");
        expected.insert(id, Expected { mended: played.clone(), old, before: Some(played) });
    }
    for (n, chunk) in [150, 20].into_iter().enumerate() {
        let id = format!("damaged-{n}");
        model.import(&id, &bytes);
        let stored = model.stored(&id);
        if n == 0 {
            cut(&stored, offset(chunk * CHUNK_LEN) as u64)
        } else {
            flip(&stored, offset(chunk * CHUNK_LEN))
        }
        let (mended, old) = (bytes[..chunk * CHUNK_LEN].to_vec(), fs::read(&stored).expect("read"));
        expected.insert(id, Expected { mended, old, before: None });
    }
    model.import("whole", &bytes);

    let twin = copy_of(&model);
    assert_eq!(verify(&twin, REPAIR).0, Some(0));
    assert_done(&twin, &expected, "undisturbed");
    let (mut random, mut killed, mut half_done) = (0x5EA1_0021_u64, 0, 0);
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    for round in 0..rounds() {
        let system = copy_of(&model);
        // Killed up to three times, at any instant, and each time it goes on from whatever that left.
        for _ in 0..3 {
            // Once so many files are being written, or kept, and a little later.
            let (files, after) = (next(expected.len() + 1), Duration::from_micros(next(60_000) as u64));
            let context = format!("round {round}, {after:?} after {files} files");
            let mut running = system.command(&[&["verify"], REPAIR].concat());
            let mut running = running.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("runs");
            while under_way(&system) < files && running.try_wait().expect("asks").is_none() {
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(after);
            running.kill().expect("killed, or gone already");
            killed += usize::from(running.wait().expect("ends").signal() == Some(9));
            half_done += usize::from(assert_nothing_lost(&system, &expected, &context));
        }
        let (code, report) = verify(&system, REPAIR);
        assert_eq!((code, &report["faults"]), (Some(0), &json!([])), "round {round}: {report}");
        assert_done(&system, &expected, &format!("round {round}"));
        assert!(system.run(&["cat", "whole"]).stdout == bytes);
    }
    println!("of {} rounds {killed} kills, {half_done} half done", rounds());
    assert!(killed >= rounds() && half_done > 0, "{killed} kills, {half_done} half done");
}

const REPAIR: &[&str] = &["--all", "--repair", "--force"];

/// How many files were begun or kept.
fn under_way(system: &System) -> usize {
    let is_of_repair = |name: &str| name.ends_with(".next") || name.contains(".damaged-");
    let files = system.media_files().into_iter();
    files.filter(|file| file.file_name().is_some_and(|name| is_of_repair(&name.to_string_lossy()))).count()
}

fn copy_of(model: &System) -> System {
    let twin = System::empty();
    copy_folder(&model.data_dir(), &twin.data_dir());
    twin
}

/// Each recording plays as before or as mended, and its old file lies under one name or the other; whether some are
/// mended, and others not.
fn assert_nothing_lost(system: &System, expected: &BTreeMap<String, Expected>, context: &str) -> bool {
    let server = system.serve();
    let mut mended = 0;
    for (id, Expected { mended: after, old, before }) in expected {
        let reply = server.get(&format!("/recordings/{id}/media"));
        let is_whole = reply.status == 200 && !reply.is_cut;
        let is_mended = is_whole && reply.body == *after && reply.header("etag").is_some();
        let is_before = match before {
            Some(before) => is_whole && reply.body == *before,
            None => !is_whole,
        };
        assert!(is_mended || is_before, "{context}: {id}: {} {}", reply.status, reply.body.len());
        mended += usize::from(is_mended);
        let files = system.media_files().into_iter().filter(|file| {
            let name = file.file_name().expect("a name").to_string_lossy().into_owned();
            name.starts_with(&format!("{id}.sealed")) && !name.ends_with(".next")
        });
        assert!(
            files.map(|file| fs::read(file).expect("read")).any(|file| file == *old),
            "{context}: {id}: the old file is gone"
        );
    }
    mended > 0 && mended < expected.len()
}

fn assert_done(system: &System, expected: &BTreeMap<String, Expected>, context: &str) {
    for (id, Expected { mended, old, .. }) in expected {
        let output = system.run(&["cat", id]);
        assert!(output.status.success() && output.stdout == *mended, "{context}: {id}: {}", output.stdout.len());
        let [evidence] = &kept(system, id)[..] else { panic!("{context}: {id}: {:?}", kept(system, id)) };
        assert!(evidence.read() == *old, "{context}: {id}");
    }
    let files = system.media_files();
    let name = |file: &std::path::PathBuf| file.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(files.iter().map(name).all(|name| !name.ends_with(".part") && !name.ends_with(".next")), "{files:?}");
}
