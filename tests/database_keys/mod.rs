//! Database keys: any number of them, none ever deleted, none changed unnoticed, and what follows from their states.

mod deactivating;
mod meddling;
mod state_table;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{PASSPHRASE, System, bare_command, handmade_export, handmade_key, media, text};

/// Two keys whose fingerprints begin with the same 8 digits: enough were tried until two did.
const ALIKE: [u32; 2] = [24_007, 84_771];

fn keys(system: &System) -> Vec<Value> {
    system.json(&["keys", "list"]).as_array().expect("a list").clone()
}

fn fingerprint(key: &Value) -> String {
    key["fingerprint"].as_str().expect("a fingerprint").to_owned()
}

fn generate(system: &System) -> String {
    fingerprint(&system.json(&["keys", "generate"]))
}

/// What `keys list` says of one key.
fn key(system: &System, wanted: &str) -> Value {
    keys(system).into_iter().find(|key| key["fingerprint"] == wanted).expect("is listed")
}

fn recordings(system: &System) -> Vec<Value> {
    system.json(&["recordings", "list"]).as_array().expect("a list").clone()
}

/// Imports keys from a file that was made by hand; the document that the command prints.
fn import_keys(system: &System, file: &[u8]) -> Value {
    let path = system.file("keys.age", file);
    let output = system
        .command(&["keys", "import", path.to_str().expect("UTF-8"), "--json"])
        .env("SEALTAPE_PASSPHRASE", PASSPHRASE)
        .output()
        .expect("runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON document")
}

#[test]
fn there_is_any_number_of_keys_and_the_newest_wraps() {
    let system = System::empty();
    let mut generated = Vec::new();
    for number in 1..=20 {
        generated.push(generate(&system));
        assert_eq!(keys(&system).len(), number);
    }
    let listed = keys(&system);
    assert_eq!(listed.iter().map(fingerprint).collect::<Vec<_>>(), generated, "oldest first");
    for key in &listed {
        let fields: BTreeSet<&str> = key.as_object().expect("an object").keys().map(String::as_str).collect();
        let expected = ["created_at", "exported", "fingerprint", "origin", "recordings", "state", "wraps_new"];
        assert_eq!(fields, BTreeSet::from(expected));
        let digits = fingerprint(key);
        assert!(digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
        let created_at = key["created_at"].as_str().expect("a time");
        assert!(created_at.ends_with('Z') && created_at.parse::<sealtape::base::Timestamp>().is_ok(), "{created_at}");
        let said = json!([key["origin"], key["state"], key["recordings"], key["exported"]]);
        assert_eq!(said, json!(["generated", "active", 0, false]));
        assert_eq!(key["wraps_new"], json!(digits == generated[19]));
    }
    let newest = listed.iter().map(|key| (key["created_at"].as_str(), fingerprint(key))).max().expect("keys");
    assert_eq!(newest.1, generated[19]);
    system.import("call", &media(3000));
    assert_eq!(system.json(&["recordings", "show", "call"])["fingerprint"], generated[19].as_str());
    assert_eq!(key(&system, &generated[19])["recordings"], 1);
    let table = system.ok(&["keys", "list"]);
    assert!(generated.iter().all(|fingerprint| table.contains(fingerprint.as_str())), "people see them whole");
}

#[test]
fn keys_are_named_by_the_start_of_their_fingerprint() {
    let system = System::empty();
    let (first, second) = (generate(&system), generate(&system));
    let upper = first[..12].to_uppercase();
    for (named, state) in
        [(&first[..8], "deactivated"), (&upper, "active"), (&first[..63], "deactivated"), (&first, "active")]
    {
        let command = if state == "active" { "activate" } else { "deactivate" };
        let said = system.json(&["keys", command, named]);
        assert_eq!(said, json!({ "fingerprint": first, "state": state, "changed": true, "unplayable": 0 }), "{named}");
        assert_eq!(
            (key(&system, &first)["state"].as_str(), key(&system, &second)["state"].as_str()),
            (Some(state), Some("active"))
        );
    }
    let before = keys(&system);
    // A digit that neither begins with.
    let other = ["0", "1", "2"].into_iter().find(|digit| !first.starts_with(digit) && !second.starts_with(digit));
    let unknown = other.expect("three digits, two keys").repeat(8);
    for command in ["activate", "deactivate"] {
        let error = system.fails(1, &["keys", command, &unknown]);
        assert!(error.contains(&unknown) && error.contains("keys list"), "{error}");
        let too_long = format!("{first}0");
        for bad in [&first[..7], "nothexadecimal", "", "12345678-", &too_long] {
            let error = system.fails(2, &["keys", command, bad]);
            assert!(error.contains("FP"), "{error}");
        }
        system.fails(2, &["keys", command]);
    }
    assert_eq!(keys(&system), before, "nothing was changed");
}

#[test]
fn a_start_that_two_fingerprints_share_names_neither() {
    let system = System::with_key();
    let alike = ALIKE.map(|number| handmade_key(number, "2020-01-02T03:04:05Z", "active"));
    let [one, other] = [fingerprint(&alike[0]), fingerprint(&alike[1])];
    assert!(one[..8] == other[..8] && one != other, "{one} {other}");
    import_keys(&system, &handmade_export(&alike));
    let before = keys(&system);
    for command in ["activate", "deactivate"] {
        let error = system.fails(1, &["keys", command, &one[..8]]);
        assert!(error.contains(&one[..8]) && error.contains("more than one"), "{error}");
    }
    assert_eq!(keys(&system), before, "nothing was changed");
    let more = one.bytes().zip(other.bytes()).position(|(a, b)| a != b).expect("they differ") + 1;
    system.ok(&["keys", "deactivate", &one[..more]]);
    assert_eq!(key(&system, &one)["state"], "deactivated");
    assert_eq!(key(&system, &other)["state"], "active");
}

#[test]
fn no_command_deletes_a_key() {
    let system = System::with_key();
    let first = fingerprint(&keys(&system)[0]);
    for command in ["delete", "remove", "rm", "purge", "destroy", "drop"] {
        for arguments in [&["keys", command][..], &["keys", command, &first], &["keys", command, "--force", &first]] {
            system.fails(2, arguments);
        }
    }
    let help = text(&bare_command().args(["keys", "--help"]).output().expect("runs").stdout);
    let commands = help.split("Commands:").nth(1).expect("commands").split("Options:").next().expect("before options");
    // Lines that go on are indented further.
    let names: Vec<&str> = commands
        .lines()
        .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' '))?.split(' ').next())
        .collect();
    assert_eq!(names, ["generate", "list", "deactivate", "activate", "export", "import"]);
    assert!(!help.to_lowercase().contains("delete") && !help.to_lowercase().contains("remove"), "{help}");

    // Whatever else is done to them, none disappears.
    let mut ever = BTreeSet::from([first.clone()]);
    let see = |ever: &BTreeSet<String>| {
        assert_eq!(keys(&system).iter().map(fingerprint).collect::<BTreeSet<_>>(), *ever);
    };
    system.import("call", &media(3000));
    system.ok(&["keys", "deactivate", &first, "--force"]);
    see(&ever);
    ever.insert(generate(&system));
    see(&ever);
    let more =
        [handmade_key(1, "2020-01-01T00:00:00Z", "active"), handmade_key(2, "2021-01-01T00:00:00Z", "deactivated")];
    import_keys(&system, &handmade_export(&more));
    ever.extend(more.iter().map(fingerprint));
    see(&ever);
    system.ok(&["encryption", "disable"]);
    see(&ever);
    for fingerprint in &ever {
        system.ok(&["keys", "deactivate", fingerprint, "--force"]);
        see(&ever);
    }
    system.object("call").remove();
    see(&ever);
    let summed: u64 = keys(&system).iter().filter_map(|key| key["recordings"].as_u64()).sum();
    assert_eq!(summed, 1, "the one recording is still counted");
}
