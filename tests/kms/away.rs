//! What goes on while a key manager is away: the switch, what is known of keys, and how seldom it is asked.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use super::{SOON, ready};
use crate::support::{
    Server, System, Way, media, put,
    pykmip::{PyKmip, key_name},
    text,
};

/// A system in a key manager with one database key and one recording; and a way to the key manager.
fn system(bytes: &[u8]) -> (System, Way) {
    let (server, name) = (PyKmip::shared(), key_name());
    let mut system = System::in_folder();
    for (key, value) in server.settings("encrypt", &name) {
        system.set(&key, &value);
    }
    system.ok(&["definition-key", "generate"]);
    system.ok(&["keys", "generate"]);
    system.import("call", bytes);
    (system, Way::to(server.port))
}

/// A server that reaches the key manager by that way.
fn serve(system: &System, way: &Way) -> Server {
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("SEALTAPE_DEFINITION_KEY__KMIP__ENDPOINTS", format!("127.0.0.1:{}", way.port()));
    Server::start(command)
}

#[test]
fn it_is_asked_now_and_then() {
    let bytes = media(20_000);
    let (system, way) = system(&bytes);
    let proxy = serve(&system, &way);
    way.lead_to(None);
    system.ok(&["keys", "generate"]);
    let is_noticed = |proxy: &Server| ready(proxy)["keys"]["failure"] == "definition-key";
    assert!(proxy.wait_until(SOON, is_noticed), "{}", ready(&proxy));
    // The database changes with each recording, and whoever takes one in looks whether keys have changed.
    let (before, begun) = (way.tried(), Instant::now());
    for number in 0..20 {
        assert_eq!(put(&proxy.address, &format!("taken-{number}"), &[], &bytes).status, 201);
        thread::sleep(Duration::from_millis(150));
    }
    thread::sleep(Duration::from_secs(1));
    let (tried, took) = (way.tried() - before, begun.elapsed());
    // It is put off for 5 seconds at first; what is asked every five seconds anyway comes beside that.
    let most = 2 + usize::try_from(took.as_secs()).expect("a few") * 2 / 5;
    assert!(tried <= most, "{tried} times in {took:?}, and not {most}");
    assert!(proxy.get("/recordings/taken-19/media").body == bytes);
    let told =
        proxy.log().matches("cannot be checked").count() + proxy.log().matches("could not be read again").count();
    assert!(told <= 2, "it is told once: {}", proxy.log());
    // A key that changes is asked for at once.
    let before = way.tried();
    system.ok(&["keys", "generate"]);
    assert!(proxy.wait_until(SOON, |_| way.tried() > before), "{}", ready(&proxy));
    // And whoever says so has it asked at once.
    way.lead_to(Some(PyKmip::shared().port));
    proxy.signal("HUP");
    let is_over = |proxy: &Server| ready(proxy)["keys"]["failure"].is_null();
    assert!(proxy.wait_until(SOON, is_over), "{}", ready(&proxy));
}

#[test]
fn the_switch_is_turned_off_and_shown_without_it() {
    let bytes = media(20_000);
    let (mut system, way) = system(&bytes);
    let fingerprint = system.json(&["keys", "list"])[0]["fingerprint"].clone();
    let proxy = system.serve();
    way.lead_to(None);
    let endpoint = format!("127.0.0.1:{}", way.port());
    system.set("SEALTAPE_DEFINITION_KEY__KMIP__ENDPOINTS", &endpoint);

    let output = system.run(&["encryption", "status", "--json"]);
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!((&said["switch"], &said["wraps_new"], &said["active"]), (&"enabled".into(), &fingerprint, &true.into()));
    let warned = text(&output.stderr);
    assert!(warned.contains(&endpoint) && warned.contains("what the database says"), "{warned}");

    // In an emergency nobody waits for a key manager: it is not even asked.
    let before = way.tried();
    let said = system.json(&["encryption", "disable"]);
    assert_eq!(
        (&said["switch"], &said["active"], &said["wraps_new"]),
        (&"disabled".into(), &false.into(), &serde_json::Value::Null)
    );
    assert_eq!(way.tried(), before);
    let is_off = |proxy: &Server| proxy.get("/recordings/call/media").status == 409;
    assert!(proxy.wait_until(SOON, is_off), "{}", ready(&proxy));

    let refused = system.fails(1, &["encryption", "enable"]);
    assert!(refused.contains("encryption was not switched on") && refused.contains(&endpoint), "{refused}");
    assert_eq!(refused.lines().count(), 2, "{refused}");
    assert_eq!(system.json(&["encryption", "status"])["switch"], "disabled");
    way.lead_to(Some(PyKmip::shared().port));
    system.ok(&["encryption", "enable"]);
    assert!(proxy.wait_until(SOON, |proxy| proxy.get("/recordings/call/media").body == bytes), "{}", ready(&proxy));
}

/// The same where the key lies in a file that is gone.
#[test]
fn the_switch_is_turned_off_without_the_file() {
    let system = System::in_folder();
    system.ok(&["keys", "generate"]);
    let bytes = media(20_000);
    system.import("call", &bytes);
    let (path, aside) = (system.data_dir().join("definition.key"), system.path("aside"));
    fs::rename(&path, &aside).expect("moved");
    let output = system.run(&["encryption", "status"]);
    assert!(output.status.success() && text(&output.stdout).contains("is active"), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("definition.key"), "{}", text(&output.stderr));
    system.ok(&["encryption", "disable"]);
    let refused = system.fails(1, &["encryption", "enable"]);
    assert!(refused.contains("not switched on") && refused.contains("definition.key"), "{refused}");
    fs::rename(&aside, &path).expect("moved back");
    assert!(system.fails(1, &["cat", "call"]).contains("encryption-disabled"));
    system.ok(&["encryption", "enable"]);
    assert_eq!(system.run(&["cat", "call"]).stdout, bytes);
}
