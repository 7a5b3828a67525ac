//! "What is sealed, and when", through the program and a running server.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::support::{System, media, sample, text};

const WITHIN_A_SECOND: Duration = Duration::from_secs(1);

#[test]
fn before_the_first_key_everything_is_plain() {
    let system = System::empty();
    let media = media(3000);
    system.import("early", &media);
    let shown = system.json(&["recordings", "show", "early"]);
    assert_eq!((shown["sealed"].as_bool(), shown["fingerprint"].is_null()), (Some(false), true));
    assert!(system.object("early").read() == media, "plain, as the catalogue says");
    assert!(system.fails(1, &["encryption", "enable"]).contains("keys generate"));

    system.ok(&["keys", "generate"]);
    system.import("late", &media);
    let stored = system.object("late").read();
    assert!(stored.starts_with(b"\x89STP") && !contains(&stored, &media[..64]), "sealed");
    let server = system.serve();
    assert!(server.get("/recordings/early/media").body == media, "what was plain plays on");
    assert!(server.get("/recordings/late/media").body == media);
}

#[test]
fn a_running_server_notices_the_switch_within_a_second() {
    let system = System::with_key();
    let media = media(3000);
    system.import("sealed", &media);
    let exempt = system.file("exempt.dat", &media);
    system.ok(&["import", exempt.to_str().expect("UTF-8"), "--exempt"]);
    let server = system.serve();
    assert_eq!(server.get("/recordings/sealed/media").status, 200);

    system.ok(&["encryption", "disable"]);
    let code = |server: &crate::support::Server| server.get("/recordings/sealed/media").status;
    assert!(server.wait_until(WITHIN_A_SECOND, |server| code(server) == 409), "disabled");
    let refused = server.get("/recordings/sealed/media");
    assert_eq!(refused.problem(), "encryption-disabled");
    assert_eq!(refused.header("playback-error"), Some("encryption-disabled"));
    let document = server.get("/recordings/sealed").json();
    assert_eq!(
        (document["playable"].as_bool(), &document["problem"]["code"]),
        (Some(false), &"encryption-disabled".into())
    );
    let listed = server.get("/recordings").json();
    let problems: Vec<_> =
        listed["recordings"].as_array().expect("list").iter().map(|one| one["problem"]["code"].clone()).collect();
    assert!(problems.contains(&"encryption-disabled".into()) && problems.contains(&serde_json::Value::Null));
    assert!(server.get("/recordings/exempt/media").body == media, "exempt recordings play on");
    system.import("meanwhile", &media);
    assert_eq!(system.json(&["recordings", "show", "meanwhile"])["sealed"], false);

    system.ok(&["encryption", "enable"]);
    assert!(server.wait_until(WITHIN_A_SECOND, |server| code(server) == 200), "enabled again");
    assert!(server.get("/recordings/sealed/media").body == media);
}

#[test]
fn a_hangup_makes_it_look_at_once() {
    let system = System::with_key();
    system.import("sealed", &media(3000));
    let server = system.serve();
    system.ok(&["encryption", "disable"]);
    server.signal("HUP");
    assert!(server.wait_until(Duration::from_secs(1), |server| server.get("/recordings/sealed/media").status == 409));
    server.assert_says("as asked");
}

#[test]
fn a_stream_under_way_is_cut_when_encryption_is_switched_off() {
    let system = System::with_key();
    let media = media(64 << 20);
    system.import("long", &media);
    let server = system.serve();
    let mut stream = TcpStream::connect(&server.address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    write!(stream, "GET /recordings/long/media HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut some = vec![0; 1 << 20];
    stream.read_exact(&mut some).expect("it plays");
    system.ok(&["encryption", "disable"]);
    assert!(server.wait_until(WITHIN_A_SECOND, |server| server.get("/recordings/long/media").status == 409));
    let mut rest = Vec::new();
    let _reset_is_an_end = stream.read_to_end(&mut rest);
    let came = some.len() + rest.len();
    assert!(came < media.len() / 2, "{came} bytes came after all");
}

/// Also by whoever writes rows, and says so to nobody.
#[test]
fn a_server_says_in_its_log_when_the_switch_is_turned() {
    let system = System::with_key();
    let server = system.serve();
    for (turn, says) in [("disable", "encryption was switched off"), ("enable", "encryption was switched on")] {
        assert!(!server.log().contains(says), "{}", server.log());
        system.ok(&["encryption", turn]);
        assert!(server.wait_until(WITHIN_A_SECOND, |server| server.log().contains(says)), "{}", server.log());
    }
}

#[test]
fn a_key_generated_while_it_runs_wraps_and_opens() {
    let system = System::with_key();
    let server = system.serve();
    let second = system.json(&["keys", "generate"]);
    assert_eq!(second["wraps_new"], true);
    let media = media(3000);
    system.import("new", &media);
    assert_eq!(system.json(&["recordings", "show", "new"])["fingerprint"], second["fingerprint"]);
    assert!(server.get("/recordings/new/media").body == media, "found at once: an unknown fingerprint is looked for");
    let keys = system.json(&["keys", "list"]);
    let wraps: Vec<bool> = keys.as_array().expect("keys").iter().filter_map(|key| key["wraps_new"].as_bool()).collect();
    assert_eq!(wraps, [false, true], "oldest first, and the newest wraps");
}

#[test]
fn recordings_of_another_system_are_missing_their_key() {
    let (ours, theirs) = (System::with_key(), System::with_key());
    theirs.import("call", &media(3000));
    ours.import("call", &media(3000));
    ours.object("call").write(&theirs.object("call").read());
    let theirs_key = theirs.json(&["keys", "list"])[0]["fingerprint"].clone();
    let reply = ours.serve().get("/recordings/call/media");
    assert_eq!((reply.status, reply.problem().as_str()), (409, "key-missing"));
    assert_eq!(reply.json()["fingerprint"], theirs_key);
    assert!(ours.fails(1, &["cat", "call"]).contains("key-missing"));
}

#[test]
fn the_status_commands_say_how_things_stand() {
    let system = System::empty();
    let status = system.json(&["encryption", "status"]);
    assert_eq!(
        status,
        serde_json::json!({ "switch": "untouched", "active": false, "wraps_new": null, "database_keys": 0,
            "plain": { "exempt": 0, "others": 0, "files_left": 0 } })
    );
    let fingerprint = system.json(&["keys", "generate"])["fingerprint"].clone();
    assert_eq!(system.json(&["encryption", "status"])["wraps_new"], fingerprint);
    assert_eq!(system.json(&["encryption", "disable"])["switch"], "disabled");
    let definition = system.json(&["definition-key", "status"]);
    assert_eq!((&definition["kind"], &definition["database_keys"]), (&"file".into(), &1.into()));
    let warned = system.run(&["definition-key", "status"]);
    assert!(text(&warned.stderr).contains("lies beside the data"), "{}", text(&warned.stderr));
    assert!(system.run(&["keys", "generate"]).stderr.starts_with(b"reminder: `sealtape keys export"));
}

#[test]
fn a_definition_key_elsewhere_is_not_warned_of() {
    let system = System::empty();
    let config = system.file(
        "sealtape.toml",
        format!(
            "[database]\nurl = \"sqlite://{data}/s.db\"\n[storage]\nurl = \"file://{data}/media\"\n\
             [definition_key]\nkind = \"file\"\npath = \"{keys}/definition.key\"\n",
            data = system.path("d").display(),
            keys = system.path("k").display()
        )
        .as_bytes(),
    );
    fs::create_dir(system.path("d")).expect("made");
    fs::create_dir(system.path("k")).expect("made");
    let run = |arguments: &[&str]| {
        let mut command = crate::support::bare_command();
        command.arg("--config").arg(&config).args(arguments).output().expect("runs")
    };
    let refused = run(&["serve"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("there is no database here"), "{}", text(&refused.stderr));
    assert!(!system.path("d").join("s.db").exists(), "and none is made by a server");
    let made = run(&["definition-key", "generate"]);
    assert!(made.status.success() && made.stderr.is_empty(), "{}", text(&made.stderr));
    assert!(run(&["keys", "generate"]).status.success());
    assert!(run(&["import", sample("call-reminder-mp3.mp3").to_str().expect("UTF-8")]).status.success());
    assert!(run(&["config", "check"]).status.success());
    let media = run(&["cat", "call-reminder-mp3"]).stdout;
    assert!(media == fs::read(sample("call-reminder-mp3.mp3")).expect("read"));
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
