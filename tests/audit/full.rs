//! The file system of the record is full: nothing plays that is not on record, unless settings say otherwise, and once
//! there is room again, all of it is there.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use super::{PATIENCE, of_kind, stop};
use crate::put::full::Small;
use crate::support::{Reply, Server, System, get, media, text};

/// A system whose record lies on a file system of its own.
fn system() -> (System, Vec<u8>, Small) {
    let (system, media) = (System::in_folder(), media(600_000));
    fs::create_dir(system.data_dir()).expect("made");
    let small = Small::mount(system.data_dir().join("audit"), 1 << 20);
    system.ok(&["keys", "generate"]);
    system.import("call", &media);
    (system, media, small)
}

/// Takes all room that there is; the file that is in the way.
fn fill(folder: &Path) -> PathBuf {
    let ballast = folder.join("ballast");
    let mut file = File::create(&ballast).expect("made");
    while file.write_all(&[0x77; 4096]).is_ok() {}
    ballast
}

fn play(server: &Server, agent: &str) -> Reply {
    // Long names: what is left of the last page of the record is soon full, too.
    let agent = format!("{agent}-{}", "x".repeat(400));
    get(&server.address, "/recordings/call/media", &[("User-Agent", &agent), ("Range", "bytes=0-9")])
}

/// Who is on record as having listened.
fn opened(system: &System) -> BTreeSet<String> {
    let name = |agent: &str| agent.split('-').next().expect("a name").to_owned();
    of_kind(system, "opened").iter().map(|event| name(event["user_agent"].as_str().expect("one"))).collect()
}

#[test]
fn while_the_file_system_of_the_record_is_full_nobody_hears_what_is_not_on_it() {
    let (system, _, small) = system();
    let server = system.serve();
    assert_eq!(play(&server, "before").status, 206);
    let ballast = fill(small.path());
    let (mut heard, mut refused) = (BTreeSet::from(["before".to_owned()]), BTreeSet::new());
    for number in 0..30 {
        let (name, reply) = (format!("full{number}"), play(&server, &format!("full{number}")));
        if reply.status == 206 {
            heard.insert(name);
        } else {
            assert_eq!((reply.status, reply.problem().as_str()), (503, "audit-unavailable"), "{name}");
            refused.insert(name);
        }
    }
    assert!(refused.len() >= 15, "a page takes a few lines: {heard:?}");
    assert_eq!(server.get("/readyz").json()["degraded"], serde_json::json!(["audit-unavailable"]));
    for arguments in [&["keys", "generate"][..], &["encryption", "disable"], &["cat", "call"], &["link", "call"]] {
        let output = system.run(arguments);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(1) && output.stdout.is_empty(), "{arguments:?}: {said}");
        assert!(said.contains("playback record") && said.contains("room"), "{arguments:?}: {said}");
    }
    assert_eq!(system.json(&["keys", "list"]).as_array().map(Vec::len), Some(1), "nothing was done");

    fs::remove_file(ballast).expect("removed");
    assert!(server.wait_until(PATIENCE, |server| play(server, "after").status == 206));
    heard.insert("after".into());
    assert!(server.wait_until(PATIENCE, |server| server.get("/readyz").json()["degraded"] == serde_json::json!([])));
    stop(server);
    assert_eq!(system.json(&["audit", "verify"])["sound"], true);
    assert_eq!(opened(&system), heard, "who heard something, and nobody else");
}

#[test]
fn with_continue_a_full_file_system_silences_nobody_and_the_record_catches_up() {
    let (system, media, small) = system();
    let server = Server::start({
        let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("SEALTAPE_AUDIT__ON_FAILURE", "continue");
        command
    });
    let ballast = fill(small.path());
    let heard: BTreeSet<String> = (0..30).map(|number| format!("full{number}")).collect();
    for name in &heard {
        let reply = play(&server, name);
        assert!(reply.status == 206 && reply.body == media[..10], "{name}: {}", reply.status);
    }
    assert_eq!(server.get("/readyz").json()["degraded"], serde_json::json!(["audit-unavailable"]));
    assert!(opened(&system).len() < heard.len(), "there is no room for all of them");
    fs::remove_file(ballast).expect("removed");
    assert!(server.wait_until(PATIENCE, |_| opened(&system) == heard), "{:?}", opened(&system));
    stop(server);
    assert_eq!(system.json(&["audit", "verify"])["sound"], true);
}
