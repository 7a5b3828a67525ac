//! The switch, turned by somebody who can write the database's rows and no command: it carries no tag, so it counts. What
//! tells of it, and what mends it.

use super::{planted::on_sqlite, run_with};
use crate::support::{System, media, put, text};

#[test]
fn a_switch_that_is_turned_in_the_database_keeps_new_recordings_plain_and_is_told_of() {
    let (system, before) = (System::in_folder(), media(50_000));
    system.ok(&["keys", "generate"]);
    system.import("before", &before);
    let server = system.serve();
    let status = |path: &str| server.get(path).status;
    assert_eq!(status("/recordings/before/media"), 200);

    on_sqlite(&system, "UPDATE setting SET value = 'disabled' WHERE name = 'encryption'");
    assert!(server.wait_until(super::WITHIN_A_SECOND * 10, |_| status("/recordings/before/media") == 409));
    assert_eq!(server.get("/recordings/before/media").problem(), "encryption-disabled", "what is sealed stops playing");
    server.assert_says("encryption was switched off");
    let meanwhile = media(20_000);
    assert_eq!(put(&server.address, "meanwhile", &[], &meanwhile).status, 201);
    assert!(system.object("meanwhile").read() == meanwhile, "it lies there in plain");

    // What tells of it, beside what does not play.
    let shown = system.json(&["encryption", "status"]);
    assert_eq!((&shown["switch"], &shown["plain"]["others"]), (&"disabled".into(), &1.into()), "{shown}");
    assert_eq!(system.json(&["recordings", "show", "meanwhile"])["sealed"], false);
    let record = system.json(&["audit", "show"]);
    let of = |kind: &str| record.as_array().expect("a list").iter().filter(|event| event["event"] == kind).count();
    assert_eq!((of("encryption.disable"), of("recording.import")), (0, 2), "no command turned it");

    // Where nothing in plain may play, nothing of it does.
    drop(server);
    on_sqlite(&system, "UPDATE setting SET value = 'enabled' WHERE name = 'encryption'");
    let strict = ("SEALTAPE_ENCRYPTION__ALLOW_PLAIN", "false");
    let refused = run_with(&system, &[strict], &["cat", "meanwhile"]);
    assert!(!refused.status.success() && refused.stdout.is_empty(), "{}", text(&refused.stderr));
    assert!(run_with(&system, &[strict], &["cat", "before"]).stdout == before);

    // What mends it.
    system.ok(&["encryption", "enable"]);
    system.ok(&["encrypt", "meanwhile"]);
    assert!(system.object("meanwhile").read().starts_with(b"\x89STP"));
    assert!(system.run(&["cat", "meanwhile"]).stdout == meanwhile);
}

/// To take the row away turns nothing off.
#[test]
fn without_its_row_the_switch_is_on_where_there_are_keys() {
    let system = System::in_folder();
    system.ok(&["keys", "generate"]);
    on_sqlite(&system, "DELETE FROM setting WHERE name = 'encryption'");
    system.import("after", &media(5000));
    assert_eq!(system.json(&["recordings", "show", "after"])["sealed"], true);
}
