//! Key managers that die and come back, and tokens that are made anew, while a server runs.

use std::time::{Duration, Instant};

use super::{SOON, is_degraded, ready, status};
use crate::support::{
    Server, SoftHsm, System, Way, media,
    pykmip::{PyKmip, key_name},
    softhsm,
};

/// What is asked again at an interval is asked often here.
const OFTEN: (&str, &str) = ("SEALTAPE_KEYS__RELOAD_INTERVAL", "300ms");

#[test]
fn a_key_manager_that_is_killed_and_comes_back() {
    for mode in ["encrypt", "get"] {
        let (server, name) = (PyKmip::start(), key_name());
        let mut system = System::in_folder();
        for (key, value) in server.settings(mode, &name) {
            system.set(&key, &value);
        }
        system.set(OFTEN.0, OFTEN.1);
        system.ok(&["definition-key", "generate"]);
        system.ok(&["keys", "generate"]);
        let bytes = media(300_000);
        system.import("call", &bytes);
        let proxy = system.serve();
        assert!(proxy.get("/recordings/call/media").body == bytes, "{mode}");
        assert!(!is_degraded(&proxy, "definition-key-unavailable"), "{mode}");

        server.kill();
        let is_away = |proxy: &Server| is_degraded(proxy, "definition-key-unavailable");
        assert!(proxy.wait_until(SOON, is_away), "{mode}: {}", ready(&proxy));
        assert_eq!(ready(&proxy)["keys"]["definition_key_usable"], false, "{mode}");
        // What is there plays, and what has not changed is read again.
        assert!(proxy.get("/recordings/call/media").body == bytes, "{mode}: it plays on");
        proxy.signal("HUP");
        assert!(proxy.get("/recordings/call/media").body == bytes, "{mode}: after a reload, too");
        assert!(ready(&proxy)["keys"]["failure"].is_null(), "{mode}: {}", ready(&proxy));
        // What needs it is refused, and says what was tried; and so is a start.
        let endpoint = format!("127.0.0.1:{}", server.port);
        for arguments in [&["keys", "generate"][..], &["keys", "list"], &["serve", "--listen", "127.0.0.1:0"]] {
            let refused = system.fails(1, arguments);
            assert!(refused.contains(&endpoint) && refused.contains("cannot be reached"), "{mode}: {refused}");
            assert!(refused.lines().count() <= 2, "{mode}: {refused}");
        }
        let output = system.run(&["definition-key", "status", "--json"]);
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!((output.status.code(), &said["usable"]), (Some(1), &false.into()), "{mode}: {said}");
        assert_eq!(said["database_keys_under_others"], 1, "{mode}: what can be told is told");

        server.resume();
        let is_back = |proxy: &Server| !is_away(proxy);
        assert!(proxy.wait_until(SOON, is_back), "{mode}: {}", ready(&proxy));
        proxy.assert_says("can be used again");
        system.ok(&["keys", "generate"]);
        system.import("after", &bytes);
        assert!(proxy.get("/recordings/after/media").body == bytes, "{mode}: a key that is new");
        assert_eq!(status(&system)["database_keys"], 2, "{mode}");
    }
}

/// A key that is new while its holder is away: the old ring stays, and its age is told.
#[test]
fn a_new_key_while_the_key_manager_is_away() {
    let (server, name) = (PyKmip::start(), key_name());
    let mut system = System::in_folder();
    for (key, value) in server.settings("encrypt", &name) {
        system.set(&key, &value);
    }
    system.ok(&["definition-key", "generate"]);
    system.ok(&["keys", "generate"]);
    let bytes = media(50_000);
    system.import("call", &bytes);
    // This one has another way to the key manager, which leads nowhere soon.
    let way = Way::to(server.port);
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("SEALTAPE_DEFINITION_KEY__KMIP__ENDPOINTS", format!("127.0.0.1:{}", way.port()));
    command.env(OFTEN.0, OFTEN.1);
    let proxy = Server::start(command);
    way.lead_to(None);
    // Keys that have not changed need nobody, so the switch is followed.
    system.ok(&["encryption", "disable"]);
    let is_off = |proxy: &Server| proxy.get("/recordings/call/media").status == 409;
    assert!(proxy.wait_until(SOON, is_off), "{}", ready(&proxy));
    system.ok(&["encryption", "enable"]);
    let plays = |proxy: &Server| proxy.get("/recordings/call/media").body == bytes;
    assert!(proxy.wait_until(SOON, plays), "{}", ready(&proxy));
    assert!(ready(&proxy)["keys"]["failure"].is_null(), "{}", ready(&proxy));
    system.ok(&["keys", "generate"]);
    let is_noticed = |proxy: &Server| ready(proxy)["keys"]["failure"] == "definition-key";
    assert!(proxy.wait_until(SOON, is_noticed), "{}", ready(&proxy));
    assert!(is_degraded(&proxy, "keys-not-checked"));
    std::thread::sleep(Duration::from_millis(1_100));
    assert!(ready(&proxy)["keys"]["loaded_s_ago"].as_u64() >= Some(1), "its age is told");
    assert!(proxy.get("/recordings/call/media").body == bytes, "the old ring is kept");
    way.lead_to(Some(server.port));
    let is_over = |proxy: &Server| ready(proxy)["keys"]["failure"].is_null();
    assert!(proxy.wait_until(SOON, is_over), "{}", ready(&proxy));
    system.import("after", &bytes);
    assert!(proxy.get("/recordings/after/media").body == bytes);
}

/// However many rows have changed, one connection does for all of them.
#[test]
fn one_connection_a_reload() {
    let (server, name) = (PyKmip::shared(), key_name());
    let mut system = System::in_folder();
    for (key, value) in server.settings("encrypt", &name) {
        system.set(&key, &value);
    }
    system.ok(&["definition-key", "generate"]);
    for _ in 0..8 {
        system.ok(&["keys", "generate"]);
    }
    let way = Way::to(server.port);
    let mut command = system.command(&["keys", "list"]);
    command.env("SEALTAPE_DEFINITION_KEY__KMIP__ENDPOINTS", format!("127.0.0.1:{}", way.port()));
    let begun = Instant::now();
    assert!(command.output().expect("runs").status.success());
    println!("8 database keys were unwrapped by the key manager in {:?}, start included", begun.elapsed());
    assert_eq!(way.tried(), 1, "looking for the key and unwrapping all rows");
    let mut command = system.command(&["definition-key", "cycle"]);
    command.env("SEALTAPE_DEFINITION_KEY__KMIP__ENDPOINTS", format!("127.0.0.1:{}", way.port()));
    assert!(command.output().expect("runs").status.success());
    assert!(way.tried() < 10, "{} for a cycle of 8 keys", way.tried());
}

#[test]
fn a_token_that_is_made_anew() {
    let mut system = System::in_folder();
    let hsm = SoftHsm::in_folder(&system.path("hsm"));
    let key: Vec<u8> = (0..32_u8).map(|byte| byte.wrapping_mul(37) ^ 0x5A).collect();
    hsm.import(&key);
    for (name, value) in hsm.settings() {
        system.set(&name, &value);
    }
    system.set(OFTEN.0, OFTEN.1);
    system.ok(&["keys", "generate"]);
    let bytes = media(300_000);
    system.import("call", &bytes);
    let proxy = system.serve();
    for round in 0..2 {
        hsm.initialize_again();
        let is_away = |proxy: &Server| is_degraded(proxy, "definition-key-unavailable");
        assert!(proxy.wait_until(SOON, is_away), "{round}: {}", ready(&proxy));
        assert!(proxy.get("/recordings/call/media").body == bytes, "{round}: it plays on");
        let refused = system.fails(1, &["keys", "generate"]);
        let missing = format!("no secret key `{}`", softhsm::LABEL);
        assert!(refused.contains(&missing), "{round}: {refused}");
        // From the backup that is made there.
        hsm.import(&key);
        assert!(proxy.wait_until(SOON, |proxy| !is_away(proxy)), "{round}: {}", proxy.log());
        system.ok(&["keys", "generate"]);
        let id = format!("after-{round}");
        system.import(&id, &bytes);
        assert!(proxy.get(&format!("/recordings/{id}/media")).body == bytes, "{round}: {}", proxy.log());
    }
    assert_eq!(status(&system)["database_keys"], 3);
}
