//! What a thief can do with stolen links, tokens, and what signs them, and what takes it back.

use std::{fs, path::Path, time::Duration};

use super::{PATH, get, ids, link, refused, system, token, token_mode, unauthenticated, with_token};
use crate::support::{System, media};

const THEIRS: &str = "/recordings/team-b.1/media";
const PATIENCE: Duration = Duration::from_secs(10);

/// A thief with a system of their own, in which a file that was stolen lies.
fn thief_with(system: &System, name: &str) -> System {
    let thief = System::in_folder();
    thief.ok(&["keys", "generate"]);
    thief.import("team-b.1", &media(100));
    fs::copy(system.data_dir().join(name), thief.data_dir().join(name)).expect("copied");
    thief
}

fn forged_link(thief: &System) -> String {
    let arguments = ["link", "team-b.1", "--ttl", "720h", "--subject", "the director"];
    let url = thief.json(&arguments)["url"].as_str().expect("a URL").to_owned();
    format!("{THEIRS}?{}", url.split_once('?').expect("a query").1)
}

#[test]
fn with_stolen_secrets_links_to_anything_are_signed_until_they_are_exchanged() {
    let system = system();
    let server = token_mode(&system);
    let own = link(&system, &[]);
    let thief = thief_with(&system, "link.secrets");
    let forged = forged_link(&thief);
    assert!(server.get(&forged).body == media(5000), "to what it never was minted for, as whoever they say");
    let opened = system.json(&["audit", "show", "--subject", "the director"]);
    let opened = opened.as_array().expect("a list");
    assert!(!opened.is_empty(), "it is on record as they say");
    let minted = system.json(&["audit", "show", "--recording", "team-b.1"]);
    let is_minted = |event: &serde_json::Value| event["event"] == "link.mint";
    assert!(!minted.as_array().expect("a list").iter().any(is_minted), "and who minted it here is not");

    let file = system.data_dir().join("link.secrets");
    fs::write(&file, format!("{}\n", "b".repeat(64))).expect("written");
    assert!(server.wait_until(PATIENCE, |server| server.get(&forged).status == 403));
    assert_eq!(refused(&server.get(&own)), (403, "forbidden".into()), "all older links end with it");
    assert_eq!(refused(&server.get(&forged_link(&thief))), (403, "forbidden".into()));
    assert_eq!(server.get(&link(&system, &[])).status, 200);
}

#[test]
fn with_a_stolen_signing_key_tokens_for_anything_are_signed_until_it_is_exchanged() {
    let system = system();
    let server = token_mode(&system);
    let own = token(&system, "recordings:play", &[]);
    let thief = thief_with(&system, "token.key");
    let everything = "recordings:list,recordings:play,recordings:write,recordings:delete";
    let forged = token(&thief, everything, &[]);
    assert!(with_token(&server, THEIRS, &forged).body == media(5000));
    assert_eq!(ids(&with_token(&server, "/recordings", &forged)).len(), 3);

    fs::remove_file(system.data_dir().join("token.key")).expect("removed");
    let new = token(&system, "recordings:play", &[]);
    assert!(server.wait_until(PATIENCE, |server| with_token(server, PATH, &new).status == 200));
    for old in [&own, &forged, &token(&thief, everything, &[])] {
        assert_eq!(refused(&with_token(&server, THEIRS, old)), unauthenticated(), "none of the old key's");
    }
}

/// A link that was minted with a stolen token ends with it; what ends both sooner ends them at once.
#[test]
fn a_stolen_token_or_link_is_worth_what_it_says_until_what_signed_it_is_exchanged() {
    let system = system();
    let server = token_mode(&system);
    let stolen = token(&system, "recordings:play", &["--recordings", "team-a."]);
    assert!(with_token(&server, PATH, &stolen).body == media(5000), "by whoever has it");
    assert_eq!(with_token(&server, THEIRS, &stolen).status, 404);
    assert_eq!(refused(&with_token(&server, "/recordings", &stolen)), (403, "forbidden".into()));
    let link = link(&system, &[]);
    assert!(get(&server.address, &link, &[]).body == media(5000), "by whoever has it");
    let elsewhere = link.replace("/recordings/team-a.1/", "/recordings/team-a.2/");
    assert_eq!(refused(&server.get(&elsewhere)), (403, "forbidden".into()));

    exchange(&system.data_dir());
    let is_over = |server: &crate::support::Server| {
        with_token(server, PATH, &stolen).status == 401 && server.get(&link).status == 403
    };
    assert!(server.wait_until(PATIENCE, is_over));
    assert_eq!(server.get("/livez").status, 200);
}

/// Both files that sign, taken away; the next token and link make new ones in the one-machine default.
fn exchange(data_dir: &Path) {
    for name in ["token.key", "link.secrets"] {
        fs::remove_file(data_dir.join(name)).expect("removed");
    }
}
