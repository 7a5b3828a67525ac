//! Definition keys: the conformance suite of their holders, and what commands do with them.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use sealtape::base::Timestamp;
use sealtape::keys::{DefinitionKeyHolder, DefinitionKeyName, KeyRow};
use sealtape::kms::{EmbeddedDefinitionKey, FileDefinitionKeys, SeveralHolders};

use crate::support::{Server, System, media, text};

mod planted;
mod stolen;
mod turned;

const EMBEDDED: (&str, &str) = ("SEALTAPE_DEFINITION_KEY__KIND", "embedded");
const WITHIN_A_SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn holders() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = FileDefinitionKeys::at(&folder.path().join("definition.key"));
    file.generate().expect("generates");
    holder(&file).await;
    holder(&EmbeddedDefinitionKey::new()).await;
    let several =
        SeveralHolders::new(vec![std::sync::Arc::new(EmbeddedDefinitionKey::new()), std::sync::Arc::new(file)]);
    holder(&several).await;
}

/// What every holder promises.
async fn holder(holder: &dyn DefinitionKeyHolder) {
    let first = holder.first().await.expect("has one");
    let again = holder.find(first.name()).await.expect("looks").expect("and finds it by its name");
    let row = KeyRow::generate(&*first, Timestamp::MAX).await.expect("wraps");
    assert_eq!(row.definition_key, *first.name(), "rows carry the name");
    row.unwrap(&*again).await.expect("unwraps");
    let strange = DefinitionKeyName("0".repeat(64));
    assert!(holder.find(&strange).await.expect("looks").is_none(), "no other key in its place");
}

#[tokio::test]
async fn a_next_key_is_found_by_a_process_that_began_before_it_was_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("definition.key");
    let (running, command) = (FileDefinitionKeys::at(&path), FileDefinitionKeys::at(&path));
    let old = command.generate().expect("generates");
    let name = sealtape::keys::DefinitionKey::name(&old).clone();
    assert!(running.find(&name).await.expect("looks").is_some());
    let (next, _) = command.prepare().expect("prepares");
    let next = sealtape::keys::DefinitionKey::name(&next).clone();
    assert!(running.find(&next).await.expect("looks").is_some(), "as PATH.next");
    command.promote(&next).expect("promotes");
    assert!(running.find(&next).await.expect("looks").is_some(), "as PATH");
    assert!(FileDefinitionKeys::at(&path).find(&name).await.expect("looks").is_none(), "the old one is obsolete");
}

#[tokio::test]
async fn a_next_key_that_cannot_be_used_keeps_nobody_from_the_one_in_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("definition.key");
    let command = FileDefinitionKeys::at(&path);
    let old = command.generate().expect("generates");
    let (next, _) = command.prepare().expect("prepares");
    let (old, next) = (sealtape::keys::DefinitionKey::name(&old), sealtape::keys::DefinitionKey::name(&next));
    fs::set_permissions(command.next_path(), fs::Permissions::from_mode(0o644)).expect("chmod");
    let begun_anew = FileDefinitionKeys::at(&path);
    assert!(begun_anew.find(old).await.expect("looks").is_some());
    assert_eq!(begun_anew.first().await.expect("has one").name(), old);
    assert!(begun_anew.find(next).await.is_err(), "it may be the one that cannot be read");
}

#[test]
fn cycle_exchanges_the_key_and_a_running_server_goes_on() {
    let system = System::with_key();
    system.ok(&["keys", "generate"]);
    let bytes = media(3 << 20);
    system.import("call", &bytes);
    let (path, stored) = (system.data_dir().join("definition.key"), system.object("call"));
    let server = system.serve();
    let (old_line, old_file) = (fs::read_to_string(&path).expect("read"), stored.read());
    let old = status(&system)["fingerprint"].clone();
    let etag = server.get("/recordings/call/media").header("etag").map(str::to_owned);

    let said = system.ok(&["definition-key", "cycle"]);
    let obsolete = path.with_extension("key.obsolete");
    assert!(said.contains(&format!("{} is obsolete", obsolete.display())), "{said}");
    assert_eq!(fs::read_to_string(&obsolete).expect("kept"), old_line);
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    let new = status(&system);
    assert_ne!(new["fingerprint"], old);
    assert_eq!((&new["database_keys"], &new["next"]), (&2.into(), &serde_json::Value::Null));
    assert_eq!(stored.read(), old_file, "media files are untouched");

    // A key made under the new definition key is one that the running server has only if it found that one.
    system.ok(&["keys", "generate"]);
    system.import("after", &bytes);
    for id in ["call", "after"] {
        assert!(server.get(&format!("/recordings/{id}/media")).body == bytes, "{id}");
    }
    assert_eq!(server.get("/recordings/call/media").header("etag").map(str::to_owned), etag);
    assert!(server.wait_until(WITHIN_A_SECOND, |server| keys_health(server)["failure"].is_null()));

    // The old key alone opens nothing any more.
    fs::write(&path, &old_line).expect("put back");
    let refused = system.fails(1, &["keys", "list"]);
    assert!(refused.contains(old.as_str().expect("text")), "{refused}");
}

#[test]
fn cycle_in_two_halves_for_several_hosts() {
    let system = System::with_key();
    let bytes = media(50_000);
    system.import("call", &bytes);
    let here = system.data_dir().join("definition.key");
    // Another host: the same database and media, a definition key file of its own.
    let there = system.path("there");
    fs::create_dir(&there).expect("made");
    let there = there.join("definition.key");
    copy_key(&here, &there);
    let on_the_other = |arguments: &[&str]| -> Output {
        let path = ("SEALTAPE_DEFINITION_KEY__PATH", there.to_str().expect("UTF-8"));
        run_with(&system, &[path], arguments)
    };
    let plays = |output: Output| output.status.success() && output.stdout == bytes;

    let said = system.ok(&["definition-key", "cycle", "--prepare"]);
    let next = here.with_extension("key.next");
    assert!(said.contains(&next.display().to_string()), "{said}");
    assert_eq!(system.ok(&["definition-key", "cycle", "--prepare"]), said, "a second time changes nothing");
    assert!(plays(system.run(&["cat", "call"])) && plays(on_the_other(&["cat", "call"])), "nothing is exchanged yet");
    copy_key(&next, &there.with_extension("key.next"));

    system.ok(&["definition-key", "cycle", "--finish"]);
    assert!(plays(system.run(&["cat", "call"])), "under PATH here");
    assert!(plays(on_the_other(&["cat", "call"])), "under PATH.next there");
    assert!(on_the_other(&["keys", "generate"]).status.success(), "and keys are made under it");
    let finished = on_the_other(&["definition-key", "cycle", "--finish"]);
    assert!(finished.status.success(), "{}", text(&finished.stderr));
    assert!(plays(on_the_other(&["cat", "call"])));
    assert_eq!(fs::read(&here).expect("read"), fs::read(&there).expect("read"), "the same key in the same place");
    assert!(!there.with_extension("key.next").exists() && there.with_extension("key.obsolete").exists());
    let error = system.fails(1, &["definition-key", "cycle", "--finish"]);
    assert!(error.contains("there is no next definition key") && error.contains("--prepare"), "{error}");
}

#[test]
fn a_host_without_the_next_key_says_which_one_is_missing() {
    let system = System::with_key();
    let bytes = media(50_000);
    system.import("call", &bytes);
    let here = system.data_dir().join("definition.key");
    let there = system.path("definition.key");
    copy_key(&here, &there);
    let path = ("SEALTAPE_DEFINITION_KEY__PATH", there.to_str().expect("UTF-8"));
    let server = serve_with(&system, &[path], "127.0.0.1:0");
    system.ok(&["definition-key", "cycle"]);
    let new = status(&system)["fingerprint"].as_str().expect("text").to_owned();
    assert!(
        server.wait_until(WITHIN_A_SECOND, |server| keys_health(server)["failure"] == "other-definition-key"),
        "{}",
        keys_health(&server)
    );
    assert!(server.get("/recordings/call/media").body == bytes, "it plays on");
    server.assert_says(&new);
    let refused = run_with(&system, &[path], &["keys", "list"]);
    assert!(text(&refused.stderr).contains(&new), "{}", text(&refused.stderr));
    // Distributed late, it is found.
    copy_key(&here, &there.with_extension("key.next"));
    server.signal("HUP");
    assert!(server.wait_until(WITHIN_A_SECOND, |server| keys_health(server)["failure"].is_null()));
}

#[test]
fn the_embedded_key_works_and_is_warned_of_at_every_start() {
    let system = System::empty();
    let bytes = media(50_000);
    let file = system.file("call.wav", &bytes);
    assert!(run_with(&system, &[EMBEDDED], &["keys", "generate"]).status.success());
    assert!(run_with(&system, &[EMBEDDED], &["import", file.to_str().expect("UTF-8")]).status.success());
    assert!(!system.data_dir().join("definition.key").exists(), "there is exactly one in use");
    let server = serve_with(&system, &[EMBEDDED], "127.0.0.1:0");
    assert!(server.get("/recordings/call/media").body == bytes);
    assert!(server.wait_until(WITHIN_A_SECOND, |server| server.log().contains("protects nothing")));
    for arguments in [&["keys", "list"][..], &["cat", "call"], &["definition-key", "status"], &["config", "check"]] {
        let output = run_with(&system, &[EMBEDDED], arguments);
        let said = text(&output.stderr);
        assert!(output.status.success() && said.matches("protects nothing").count() == 1, "{arguments:?}: {said}");
    }
    let refused = run_with(&system, &[EMBEDDED], &["definition-key", "cycle"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("migrate --to file"), "{}", text(&refused.stderr));
    let refused = run_with(&system, &[EMBEDDED], &["definition-key", "generate"]);
    assert_eq!(refused.status.code(), Some(1));
    let unknown = run_with(&system, &[("SEALTAPE_DEFINITION_KEY__KIND", "paper")], &["keys", "list"]);
    assert!(text(&unknown.stderr).contains("embedded"), "{}", text(&unknown.stderr));
}

#[test]
fn the_embedded_key_is_refused_where_other_machines_can_reach_it() {
    let system = System::empty();
    assert!(run_with(&system, &[EMBEDDED], &["keys", "generate"]).status.success());
    let token = ("SEALTAPE_AUTH__MODE", "token");
    let refused = run_with(&system, &[EMBEDDED, token], &["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(said.contains("allow_embedded") && said.contains("0.0.0.0"), "{said}");
    let allowed = ("SEALTAPE_DEFINITION_KEY__ALLOW_EMBEDDED", "true");
    let server = serve_with(&system, &[EMBEDDED, token, allowed], "0.0.0.0:0");
    assert!(server.said.iter().any(|line| line.contains("0.0.0.0")), "{:?}", server.said);
}

#[test]
fn migrate_moves_to_the_embedded_key_and_back() {
    let system = System::with_key();
    let bytes = media(50_000);
    system.import("call", &bytes);
    let before = status(&system)["fingerprint"].clone();
    let moved = system.run(&["definition-key", "migrate", "--to", "embedded"]);
    assert!(moved.status.success(), "{}", text(&moved.stderr));
    assert!(text(&moved.stderr).contains("definition_key.kind to \"embedded\""), "{}", text(&moved.stderr));
    assert!(system.fails(1, &["cat", "call"]).contains("definition_key.kind"), "the settings name the old kind still");
    assert_eq!(run_with(&system, &[EMBEDDED], &["cat", "call"]).stdout, bytes);
    system.ok(&["definition-key", "migrate", "--to", "embedded"]);
    let back = run_with(&system, &[EMBEDDED], &["definition-key", "migrate", "--to", "file"]);
    assert!(back.status.success(), "{}", text(&back.stderr));
    assert_eq!(status(&system)["fingerprint"], before, "the file that was there");
    assert_eq!(system.run(&["cat", "call"]).stdout, bytes);
    system.ok(&["definition-key", "migrate", "--to", "file"]);
    // Away from the file with the settings of either kind, for they may be changed before or after.
    assert!(run_with(&system, &[EMBEDDED], &["definition-key", "migrate", "--to", "embedded"]).status.success());
    assert_eq!(run_with(&system, &[EMBEDDED], &["cat", "call"]).stdout, bytes);
    // Where no file is, one is made.
    fs::remove_file(system.data_dir().join("definition.key")).expect("removed");
    let back = run_with(&system, &[EMBEDDED], &["definition-key", "migrate", "--to", "file"]);
    assert!(back.status.success(), "{}", text(&back.stderr));
    assert_ne!(status(&system)["fingerprint"], before);
    assert_eq!(system.run(&["cat", "call"]).stdout, bytes);
    let unknown = system.run(&["definition-key", "migrate", "--to", "paper"]);
    assert_eq!(unknown.status.code(), Some(2));
}

#[test]
fn old_keys_are_warned_of() {
    let system = System::with_key();
    let old = ("SEALTAPE_DEFINITION_KEY__MAX_AGE", "1ms");
    let said = |settings: &[(&str, &str)], arguments: &[&str]| text(&run_with(&system, settings, arguments).stderr);
    let warned = said(&[old], &["definition-key", "status"]);
    assert!(warned.contains("days old") && warned.contains("definition-key cycle"), "{warned}");
    let warned = said(&[("SEALTAPE_KEYS__MAX_AGE", "1ms")], &["keys", "list"]);
    assert!(warned.contains("days old") && warned.contains("keys generate"), "{warned}");
    assert!(warned.contains("never exported") && warned.contains("keys export"), "{warned}");
    let young = said(&[], &["keys", "list"]) + &said(&[], &["definition-key", "status"]);
    assert!(!young.contains("days old"), "{young}");
    // Where database and media are elsewhere, the key lies beside nothing.
    let is_beside = young.contains("beside the data");
    let server = serve_with(&system, &[old, ("SEALTAPE_KEYS__MAX_AGE", "1ms")], "127.0.0.1:0");
    assert!(server.wait_until(WITHIN_A_SECOND, |server| {
        let log = server.log();
        let is_said = log.matches("days old").count() == 2 && log.contains("never exported");
        is_said && log.contains("beside the data") == is_beside
    }));
    let export = system.path("keys.age");
    let out = export.to_str().expect("UTF-8");
    let passphrase = ("SEALTAPE_PASSPHRASE", "a passphrase for a test");
    assert!(run_with(&system, &[passphrase], &["keys", "export", "--out", out]).status.success());
    assert!(!said(&[], &["keys", "list"]).contains("never exported"));
}

fn status(system: &System) -> serde_json::Value {
    system.json(&["definition-key", "status"])
}

fn keys_health(server: &Server) -> serde_json::Value {
    server.get("/readyz").json()["keys"].clone()
}

fn copy_key(from: &Path, to: &PathBuf) {
    fs::copy(from, to).expect("copied");
    fs::set_permissions(to, fs::Permissions::from_mode(0o600)).expect("chmod");
}

fn run_with(system: &System, settings: &[(&str, &str)], arguments: &[&str]) -> Output {
    system.command(arguments).envs(settings.iter().copied()).output().expect("the program runs")
}

fn serve_with(system: &System, settings: &[(&str, &str)], listen: &str) -> Server {
    let mut command = system.command(&["serve", "--listen", listen]);
    command.envs(settings.iter().copied());
    Server::start(command)
}
