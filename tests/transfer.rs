//! Export and import of database keys: an ordinary age file, every recording back, and one clear error for each thing
//! that can be wrong, with nothing changed.

use std::{
    fmt::Debug,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{
    PASSPHRASE, System, age_file, at_terminal, copy_folder, export_document, fingerprint_of, flip, handmade_export,
    handmade_key, media, now, text, tool,
};

const PATIENCE: Duration = Duration::from_secs(10);
const PAST: &str = "2020-01-02T03:04:05.678Z";

fn keys(system: &System) -> Vec<Value> {
    system.json(&["keys", "list"]).as_array().expect("a list").clone()
}

fn fingerprint(key: &Value) -> String {
    key["fingerprint"].as_str().expect("a fingerprint").to_owned()
}

fn arg(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A command that gets its passphrase from the environment.
fn with_passphrase(system: &System, passphrase: &str, arguments: &[&str]) -> Output {
    system.command(arguments).env("SEALTAPE_PASSPHRASE", passphrase).output().expect("runs")
}

fn succeeds(system: &System, arguments: &[&str]) -> Value {
    let output = with_passphrase(system, PASSPHRASE, &[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON document")
}

/// The command fails, and says so in one or two lines.
fn refused(system: &System, passphrase: &str, arguments: &[&str]) -> String {
    let output = with_passphrase(system, passphrase, arguments);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
    assert!(output.stdout.is_empty() && (1..=2).contains(&error.lines().count()), "{arguments:?}: {error}");
    error
}

/// All that an import could change.
fn state(system: &System) -> impl PartialEq + Debug + use<> {
    let mut files: Vec<_> = system.objects();
    files.sort();
    let files: Vec<_> = files.into_iter().map(|file| (file.read(), file)).collect();
    let mut names: Vec<String> = fs::read_dir(system.data_dir())
        .expect("read")
        .map(|entry| entry.expect("entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    (keys(system), system.json(&["encryption", "status"]), system.json(&["recordings", "list"]), files, names)
}

/// Events of one kind that the playback record has.
fn events(system: &System, kind: &str) -> Vec<Value> {
    let shown = system.json(&["audit", "show"]);
    shown.as_array().expect("a list").iter().filter(|event| event["event"] == kind).cloned().collect()
}

#[test]
fn debians_age_opens_an_export() {
    tool("age");
    let system = System::with_key();
    system.import("call", &media(3000));
    system.ok(&["keys", "generate"]);
    let listed = keys(&system);
    system.ok(&["keys", "deactivate", &fingerprint(&listed[0]), "--force"]);
    let listed = keys(&system);
    let (out, passphrase) =
        (system.path("export.age"), system.file("passphrase", format!("{PASSPHRASE}\nmore").as_bytes()));
    fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).expect("its owner's");
    let mut command =
        system.command(&["keys", "export", "--out", arg(&out), "--passphrase-file", arg(&passphrase), "--json"]);
    // The file comes first.
    let output = command.env("SEALTAPE_PASSPHRASE", "another one than the file's").output().expect("runs");
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let fingerprints: Vec<String> = listed.iter().map(fingerprint).collect();
    assert_eq!(said, json!({ "out": arg(&out), "exported": fingerprints }), "{}", text(&output.stderr));
    assert_eq!(fs::metadata(&out).expect("is there").permissions().mode() & 0o7777, 0o600);
    let head = text(&fs::read(&out).expect("read"));
    let mut lines = head.lines();
    assert_eq!(lines.next(), Some("age-encryption.org/v1"));
    let stanza: Vec<&str> = lines.next().expect("a second line").split(' ').collect();
    assert_eq!((&stanza[..2], stanza[3], stanza.len()), (&["->", "scrypt"][..], "18", 4));

    let opened = system.path("opened.json");
    let mut age = Command::new("age");
    age.args(["-d", "-o", arg(&opened), arg(&out)]);
    let shown = at_terminal(&age, &["not the passphrase"]);
    assert!(shown.code != 0 && !opened.exists(), "{shown:?}");
    let shown = at_terminal(&age, &[PASSPHRASE]);
    assert_eq!((shown.code, shown.answered), (0, 1), "{shown:?}");
    let document: Value = serde_json::from_slice(&fs::read(&opened).expect("read")).expect("JSON");
    let secrets: Vec<&str> =
        document["keys"].as_array().expect("a list").iter().map(|key| key["key"].as_str().expect("a key")).collect();
    let expected: Vec<Value> = listed
        .iter()
        .zip(&secrets)
        .map(|(key, secret)| {
            json!({
                "fingerprint": key["fingerprint"], "key": secret, "created_at": key["created_at"], "state": key["state"],
            })
        })
        .collect();
    assert_eq!(document, export_document(&expected), "these fields and no other");
    let mut shown = format!("{}{}", text(&output.stdout), text(&output.stderr));
    shown.push_str(&system.json(&["audit", "show"]).to_string());
    shown.push_str(&text(&system.run(&["keys", "list"]).stdout));
    for (key, secret) in listed.iter().zip(secrets) {
        assert!(secret.len() == 64 && secret.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
        assert_eq!(fingerprint_of(secret), fingerprint(key));
        assert!(!shown.contains(secret) && !shown.contains(PASSPHRASE), "a secret was shown");
    }
    assert!(keys(&system).iter().all(|key| key["exported"] == true), "exported, and known to be");
}

#[test]
fn what_debians_age_encrypted_is_imported() {
    tool("age");
    let system = System::with_key();
    let (active, deactivated) =
        (handmade_key(1, PAST, "active"), handmade_key(2, "1999-12-31T23:59:59Z", "deactivated"));
    for (number, (key, options)) in [(&active, &["-p"][..]), (&deactivated, &["-p", "-a"])].into_iter().enumerate() {
        let document = export_document(std::slice::from_ref(key)).to_string();
        let (plain, encrypted) =
            (system.file("plain.json", document.as_bytes()), system.path(&format!("{number}.age")));
        let mut age = Command::new("age");
        age.args(options).args(["-o", arg(&encrypted), arg(&plain)]);
        let shown = at_terminal(&age, &[PASSPHRASE, PASSPHRASE]);
        assert_eq!((shown.code, shown.answered), (0, 2), "{shown:?}");
        let is_text = fs::read(&encrypted).expect("read").starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----");
        assert_eq!(is_text, options.contains(&"-a"));
        let said = succeeds(&system, &["keys", "import", arg(&encrypted)]);
        assert_eq!(said, json!({ "imported": [key["fingerprint"]], "already": [] }));
        let now =
            keys(&system).into_iter().find(|listed| listed["fingerprint"] == key["fingerprint"]).expect("is listed");
        let time = |key: &Value| key["created_at"].as_str().expect("a time").parse::<sealtape::base::Timestamp>();
        assert_eq!(time(&now), time(key));
        let said = json!([now["origin"], now["state"], now["exported"], now["recordings"], now["wraps_new"]]);
        assert_eq!(said, json!(["imported", key["state"], true, 0, false]), "an own key is active, and wraps");
    }
    assert_eq!(keys(&system).len(), 3);
}

#[test]
fn a_terminal_is_asked_twice_for_an_export_and_once_for_an_import() {
    let (system, other) = (System::with_key(), System::with_key());
    let out = system.path("export.age");
    let export = system.command(&["keys", "export", "--out", arg(&out)]);
    let differing = at_terminal(&export, &[PASSPHRASE, "correct horse battery stable"]);
    assert_eq!((differing.code, differing.answered), (1, 2), "{differing:?}");
    assert!(differing.text.contains("differ") && !out.exists(), "{differing:?}");
    let empty = at_terminal(&export, &[""]);
    assert!(empty.code == 1 && empty.text.contains("empty") && !out.exists(), "{empty:?}");
    assert_eq!(keys(&system)[0]["exported"], false);
    // A third answer is not asked for.
    let shown = at_terminal(&export, &[PASSPHRASE, PASSPHRASE, "never asked for"]);
    assert_eq!((shown.code, shown.answered), (0, 2), "{shown:?}");
    assert!(!shown.text.contains("horse") && out.exists(), "nothing is echoed: {shown:?}");

    let import = other.command(&["keys", "import", arg(&out)]);
    let shown = at_terminal(&import, &[PASSPHRASE, "never asked for"]);
    assert_eq!((shown.code, shown.answered), (0, 1), "{shown:?}");
    assert!(!shown.text.contains("horse"), "nothing is echoed: {shown:?}");
    let theirs: Vec<String> = keys(&other).iter().map(fingerprint).collect();
    assert!(theirs.contains(&fingerprint(&keys(&system)[0])) && theirs.len() == 2);

    // Without a terminal, and without a passphrase: every way is named.
    let again = system.path("again.age");
    let mut nowhere = tool("setsid");
    let command = system.command(&["keys", "export", "--out", arg(&again)]);
    nowhere.arg("--wait").arg(command.get_program()).args(command.get_args()).env_remove("SEALTAPE_PASSPHRASE");
    let output = nowhere.output().expect("runs");
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("--passphrase-file") && error.contains("SEALTAPE_PASSPHRASE"), "{error}");
    assert!(!again.exists());
}

/// A system with recordings under two keys.
fn archive() -> (System, Vec<(String, Vec<u8>)>) {
    let system = System::with_key();
    let recordings: Vec<_> = (0..4).map(|number| (format!("call-{number}"), media(70_000 * number + 1))).collect();
    for (number, (id, media)) in recordings.iter().enumerate() {
        if number == 2 {
            system.ok(&["keys", "generate"]);
        }
        system.import(id, media);
    }
    (system, recordings)
}

/// Every recording plays, byte for byte, from a server.
fn everything_plays(system: &System, recordings: &[(String, Vec<u8>)]) {
    let server = system.serve();
    for (id, media) in recordings {
        let reply = server.get(&format!("/recordings/{id}/media"));
        assert!(reply.status == 200 && reply.body == *media, "{id}: {}", reply.status);
    }
    assert_eq!(system.json(&["recordings", "list"]).as_array().map(Vec::len), Some(recordings.len()));
}

fn lose_database(system: &System) {
    for name in ["sealtape.db", "sealtape.db-wal", "sealtape.db-shm"] {
        let _not_all_are_there = fs::remove_file(system.data_dir().join(name));
    }
    assert!(!system.data_dir().join("sealtape.db").exists());
}

#[test]
fn an_import_brings_every_recording_back_to_a_system_that_lost_its_database() {
    let (system, recordings) = archive();
    everything_plays(&system, &recordings);
    let before: Vec<_> = keys(&system).iter().map(|key| json!([key["fingerprint"], key["created_at"]])).collect();
    let export = system.path("export.age");
    succeeds(&system, &["keys", "export", "--out", arg(&export)]);
    lose_database(&system);
    let error = system.fails(1, &["recordings", "list"]);
    assert!(error.contains("keys import"), "what to do: {error}");

    let imported = with_passphrase(&system, PASSPHRASE, &["keys", "import", arg(&export)]);
    assert!(imported.status.success(), "{}", text(&imported.stderr));
    assert!(text(&imported.stderr).contains("recordings rebuild"), "what next: {}", text(&imported.stderr));
    let after: Vec<_> = keys(&system).iter().map(|key| json!([key["fingerprint"], key["created_at"]])).collect();
    assert_eq!(after, before);
    let rebuilt = system.json(&["recordings", "rebuild"]);
    assert_eq!((rebuilt["catalogued"].as_array().map(Vec::len), &rebuilt["faults"]), (Some(4), &json!([])));
    everything_plays(&system, &recordings);
    assert_eq!(keys(&system).iter().map(|key| key["recordings"].clone()).collect::<Vec<_>>(), [2, 2]);
    let newest = fingerprint(&keys(&system)[1]);
    system.import("new", &media(3000));
    assert_eq!(system.json(&["recordings", "show", "new"])["fingerprint"], newest, "and the newest wraps again");
    system.ok(&["keys", "generate"]);
}

#[test]
fn an_import_into_an_empty_system_opens_a_copy_of_the_media() {
    let (system, recordings) = archive();
    let deactivated = fingerprint(&keys(&system)[0]);
    let export = system.path("export.age");
    succeeds(&system, &["keys", "export", "--out", arg(&export)]);
    let other = System::empty();
    copy_folder(&system.data_dir().join("media"), &other.data_dir().join("media"));
    let said = succeeds(&other, &["keys", "import", arg(&export)]);
    assert_eq!((said["imported"].as_array().map(Vec::len), &said["already"]), (Some(2), &json!([])));
    other.ok(&["recordings", "rebuild"]);
    everything_plays(&other, &recordings);

    // A running server finds them, too, and a state comes along.
    system.ok(&["keys", "deactivate", &deactivated, "--force"]);
    let third = System::with_key();
    let server = third.serve();
    fs::remove_file(&export).expect("removed");
    succeeds(&system, &["keys", "export", "--out", arg(&export)]);
    succeeds(&third, &["keys", "import", arg(&export)]);
    let sealed = |number: usize| system.stored(&format!("call-{number}"));
    third.ok(&["import", arg(&sealed(3))]);
    assert!(server.get("/recordings/call-3/media").body == recordings[3].1);
    let error = third.fails(1, &["import", arg(&sealed(1))]);
    assert!(error.contains(&deactivated) && error.contains("deactivated"), "{error}");
    third.ok(&["keys", "activate", &deactivated]);
    third.ok(&["import", arg(&sealed(1))]);
    assert!(
        server.wait_until(PATIENCE, |server| server.get("/recordings/call-1/media").body == recordings[1].1),
        "activated"
    );
}

#[test]
fn keys_that_are_here_stay_as_they_are() {
    let system = System::empty();
    let [one, two, three] = [1, 2, 3].map(|number| handmade_key(number, PAST, "active"));
    let export = |name: &str, keys: &[&Value]| {
        let keys: Vec<Value> = keys.iter().map(|key| (*key).clone()).collect();
        system.file(name, &handmade_export(&keys))
    };
    succeeds(&system, &["keys", "import", arg(&export("first.age", &[&one]))]);
    system.ok(&["keys", "deactivate", &fingerprint(&one)]);
    let here = keys(&system)[0].clone();

    let before = state(&system);
    let error = refused(&system, PASSPHRASE, &["keys", "import", arg(&system.path("first.age"))]);
    assert!(error.contains("here already") && error.contains("nothing was changed"), "{error}");
    assert_eq!(state(&system), before, "nothing was changed");

    let changed = handmade_key(1, "2021-01-01T00:00:00Z", "active");
    let some = export("some.age", &[&two, &changed, &three]);
    let said = succeeds(&system, &["keys", "import", arg(&some)]);
    assert_eq!(
        said,
        json!({ "imported": [two["fingerprint"], three["fingerprint"]], "already": [one["fingerprint"]] })
    );
    let listed = keys(&system);
    assert_eq!(listed.len(), 3);
    assert!(listed.contains(&here), "still deactivated, with its own time: {listed:?}");

    let before = state(&system);
    let error = refused(&system, PASSPHRASE, &["keys", "import", arg(&some)]);
    assert!(error.contains("here already"), "{error}");
    assert_eq!(state(&system), before, "nothing was changed");

    // For people: which are which.
    let four = handmade_key(4, PAST, "active");
    let output = with_passphrase(&system, PASSPHRASE, &["keys", "import", arg(&export("people.age", &[&one, &four]))]);
    let said = text(&output.stdout);
    let line = |key: &Value| said.lines().find(|line| line.contains(&fingerprint(key))).expect("a line").to_owned();
    assert!(line(&four).contains("imported") && line(&one).contains("here already"), "{said}");
}

/// A file that is wrong, and what the error must say.
struct Wrong {
    what: &'static str,
    file: Vec<u8>,
    passphrase: &'static str,
    says: Vec<String>,
}

fn wrong_files(system: &System) -> Vec<Wrong> {
    let says = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let wrong = |what, file, words: &[&str]| Wrong { what, file, passphrase: PASSPHRASE, says: says(words) };
    let key = handmade_key(7, PAST, "active");
    let good = handmade_export(&[handmade_key(6, PAST, "active"), key.clone()]);
    let with = |field: &str, value: Value| {
        let mut changed = key.clone();
        changed[field] = value;
        handmade_export(&[handmade_key(6, PAST, "active"), changed])
    };
    let around = |document: Value| age_file(&document.to_string());
    let name = fingerprint(&key);
    let other = fingerprint(&handmade_key(8, PAST, "active"));
    let future = sealtape::base::Timestamp::from_millis(now().millis() + 600_000).expect("in range").to_string();
    let head_len = good.windows(5).position(|bytes| bytes == b"\n--- ").expect("the header's end") + 1;
    let head_end = head_len + good[head_len..].iter().position(|byte| *byte == b'\n').expect("a line");
    let salt = good.windows(7).position(|bytes| bytes == b"scrypt ").expect("a stanza") + 7;
    let with_byte = |at: usize, byte: u8| {
        let mut file = good.clone();
        file[at] = byte;
        file
    };
    let flipped = |at: usize| with_byte(at, good[at] ^ 1);
    let with_work = |log_n: &str| {
        let (head, rest) = good.split_at(good.windows(3).position(|bytes| bytes == b" 2\n").expect("log N"));
        [head, format!(" {log_n}\n").as_bytes(), &rest[3..]].concat()
    };
    let identity = system.path("identity.txt");
    let mut files = vec![
        Wrong {
            what: "another passphrase",
            file: good.clone(),
            passphrase: "correct horse battery stable",
            says: says(&["passphrase does not open it"]),
        },
        wrong("no age file", b"not an export, whatever its name says".to_vec(), &["not an age file"]),
        wrong("an empty file", vec![], &["not an age file"]),
        wrong(
            "the document, not encrypted",
            export_document(std::slice::from_ref(&key)).to_string().into_bytes(),
            &["not an age file"],
        ),
        wrong(
            "a changed MAC",
            with_byte(head_len + 8, if good[head_len + 8] == b'A' { b'B' } else { b'A' }),
            &["damaged"],
        ),
        wrong("a MAC of other characters", with_byte(head_len + 8, b'!'), &["damaged"]),
        wrong("a header of other characters", with_byte(salt + 1, b'!'), &["damaged"]),
        wrong("another version of age", with_byte(20, b'2'), &["another version than 1"]),
        wrong("a changed nonce", flipped(head_end + 1), &["damaged"]),
        wrong("a changed byte", flipped(head_end + 40), &["damaged"]),
        wrong("a changed last byte", flipped(good.len() - 1), &["damaged"]),
        wrong("a byte too many", [&good[..], b"\n"].concat(), &["damaged"]),
        wrong("too much work", with_work("23"), &["2^23", "2^22"]),
        wrong("a fingerprint of another key", with("fingerprint", json!(other)), &["key 2", &name]),
        wrong("no fingerprint", with("fingerprint", json!("abc")), &["key 2", "64 hexadecimal digits"]),
        wrong("a key that is too short", with("key", json!("ab")), &["key 2", "64"]),
        wrong("a key that is not hexadecimal", with("key", json!("x".repeat(64))), &["key 2", "hexadecimal"]),
        wrong("a time in the future", with("created_at", json!(future)), &[&name, &future, "later than now"]),
        wrong("no time", with("created_at", json!("yesterday")), &[&name, "created_at"]),
        wrong("an unknown state", with("state", json!("revoked")), &[&name, "state"]),
        wrong("a key twice", handmade_export(&[key.clone(), key.clone()]), &[&name, "twice"]),
        wrong("no keys", handmade_export(&[]), &["no keys"]),
        wrong("an unknown version", around(json!({ "sealtape": "keys", "version": 2, "keys": [key] })), &["version 2"]),
        wrong(
            "another word",
            around(json!({ "sealtape": "links", "version": 1, "keys": [key] })),
            &["not an export of keys"],
        ),
        wrong("something else", age_file("dear diary"), &["not an export of keys"]),
        wrong("a missing field", around(json!({ "sealtape": "keys", "version": 1 })), &["line 1"]),
        wrong("to a key of age", to_a_key_of_age(&identity), &["not with a passphrase"]),
    ];
    for len in
        [1, 10, 22, 40, head_len, head_len + 10, head_end, head_end + 1, head_end + 16, good.len() - 20, good.len() - 1]
    {
        files.push(wrong("cut short", good[..len].to_vec(), &["damaged or cut short"]));
    }
    files
}

/// A file that no passphrase opens.
fn to_a_key_of_age(identity: &Path) -> Vec<u8> {
    let made = tool("age-keygen").arg("-o").arg(identity).output().expect("runs");
    assert!(made.status.success(), "{}", text(&made.stderr));
    let said = text(&made.stderr);
    let recipient = said.split_whitespace().find(|word| word.starts_with("age1")).expect("a recipient");
    let encrypted = tool("age").args(["-r", recipient, arg(identity)]).output().expect("runs");
    assert!(encrypted.status.success(), "{}", text(&encrypted.stderr));
    encrypted.stdout
}

#[test]
fn whatever_is_wrong_with_a_file_is_said_and_nothing_is_changed() {
    let (system, empty) = (System::with_key(), System::empty());
    system.import("call", &media(3000));
    let before = state(&system);
    for Wrong { what, file, passphrase, says } in wrong_files(&system) {
        let path = system.file("wrong.age", &file);
        for system in [&system, &empty] {
            let error = refused(system, passphrase, &["keys", "import", arg(&path)]);
            assert!(says.iter().all(|word| error.contains(word.as_str())), "{what} ({} bytes): {error}", file.len());
            assert!(error.contains("wrong.age") && error.contains("nothing was changed"), "{what}: {error}");
            assert!(!error.contains(passphrase), "{what}: {error}");
        }
        assert_eq!(state(&system), before, "{what}");
        let made = fs::read_dir(empty.data_dir()).map(|entries| entries.map(|entry| entry.expect("entry").file_name()));
        let made: Vec<_> = made.into_iter().flatten().collect();
        assert!(made.is_empty(), "{what} made {made:?}");
    }
    assert_eq!(events(&system, "keys.import"), Vec::<Value>::new());
    // Missing files and passphrases.
    let error = refused(&system, PASSPHRASE, &["keys", "import", "none.age"]);
    assert!(error.contains("none.age: No such file"), "{error}");
    let good = system.file("good.age", &handmade_export(&[handmade_key(6, PAST, "active")]));
    let error = refused(&system, "", &["keys", "import", arg(&good)]);
    assert!(error.contains("SEALTAPE_PASSPHRASE is empty"), "{error}");
    let error = system.fails(1, &["keys", "import", arg(&good), "--passphrase-file", "none.txt"]);
    assert!(error.contains("none.txt: No such file"), "{error}");
    assert_eq!(state(&system), before);
    succeeds(&system, &["keys", "import", arg(&good)]);
    succeeds(&empty, &["keys", "import", arg(&good)]);
}

#[test]
fn an_export_is_enough_when_the_definition_key_is_lost() {
    // The rows open no more; once they are out of the way, the export is all that is needed.
    let (system, recordings) = archive();
    let export = system.path("export.age");
    succeeds(&system, &["keys", "export", "--out", arg(&export)]);
    let definition_key = system.data_dir().join("definition.key");
    fs::remove_file(&definition_key).expect("removed");
    let error = refused(&system, PASSPHRASE, &["keys", "import", arg(&export)]);
    assert!(error.contains("definition.key"), "{error}");
    assert!(!definition_key.exists(), "a fresh one would open none of the rows");
    lose_database(&system);
    succeeds(&system, &["keys", "import", arg(&export)]);
    system.ok(&["recordings", "rebuild"]);
    everything_plays(&system, &recordings);
    // What was exported once is not worn out.
    flip(&export, 200);
    refused(&system, PASSPHRASE, &["keys", "import", arg(&export)]);
    flip(&export, 200);
    let other = System::with_key();
    succeeds(&other, &["keys", "import", arg(&export)]);
}

#[test]
fn an_export_is_never_written_over_a_file() {
    let system = System::with_key();
    let listing = |system: &System| {
        let entries = fs::read_dir(system.path("")).expect("read");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("entry").file_name()).collect();
        names.sort();
        names
    };
    let file = system.file("there.age", b"somebody's only backup");
    let folder = system.path("folder");
    fs::create_dir(&folder).expect("made");
    symlink(system.path("nowhere"), system.path("dangling")).expect("linked");
    symlink(&file, system.path("linked")).expect("linked");
    let before = listing(&system);
    for name in ["there.age", "folder", "dangling", "linked"] {
        let error = refused(&system, PASSPHRASE, &["keys", "export", "--out", name]);
        assert!(error.contains(name) && error.contains("a file is here already"), "{error}");
    }
    let error = refused(&system, PASSPHRASE, &["keys", "export", "--out", "missing/folder.age"]);
    assert!(error.contains("missing/folder") && error.contains("No such file"), "{error}");
    assert_eq!(fs::read(&file).expect("read"), b"somebody's only backup");
    assert_eq!(listing(&system), before, "nothing else was made");
    assert_eq!(keys(&system)[0]["exported"], false);
    system.fails(2, &["keys", "export"]);

    let nothing = System::empty();
    let error = refused(&nothing, PASSPHRASE, &["keys", "export", "--out", "none.age"]);
    assert!(error.contains("no database key") && !nothing.path("none.age").exists(), "{error}");
}

#[test]
fn only_the_keys_that_are_named_are_exported() {
    let system = System::with_key();
    system.ok(&["keys", "generate"]);
    system.ok(&["keys", "generate"]);
    let names: Vec<String> = keys(&system).iter().map(fingerprint).collect();
    let warning = |system: &System| text(&system.run(&["keys", "list"]).stderr);
    assert!(warning(&system).contains("3 database key(s) were never exported"), "{}", warning(&system));
    let error = refused(&system, PASSPHRASE, &["keys", "export", "0123456789", "--out", "some.age"]);
    assert!(error.contains("0123456789") && !system.path("some.age").exists(), "{error}");
    let (upper, twice) = (names[0][..10].to_uppercase(), &names[2][..8]);
    let said = succeeds(&system, &["keys", "export", &upper, twice, &names[2], "--out", "some.age"]);
    assert_eq!(said["exported"], json!([names[0], names[2]]));
    let exported: Vec<_> = keys(&system).iter().map(|key| key["exported"] == true).collect();
    assert_eq!(exported, [true, false, true]);
    assert!(warning(&system).contains("1 database key(s) were never exported"), "{}", warning(&system));
    let other = System::empty();
    let some = system.path("some.age");
    let said = succeeds(&other, &["keys", "import", arg(&some)]);
    assert_eq!(said["imported"], json!([names[0], names[2]]));
}

#[test]
fn exports_and_imports_are_on_record() {
    let system = System::with_key();
    system.ok(&["keys", "generate"]);
    let names: Vec<String> = keys(&system).iter().map(fingerprint).collect();
    succeeds(&system, &["keys", "export", "--out", "export.age"]);
    let exported = events(&system, "keys.export");
    let said: Vec<_> = exported.iter().map(|event| event["fingerprint"].as_str().expect("a fingerprint")).collect();
    assert_eq!(said, names);
    let [one, two] = [1, 2].map(|number| handmade_key(number, PAST, "active"));
    let import = |keys: &[Value]| {
        let file = system.file("import.age", &handmade_export(keys));
        succeeds(&system, &["keys", "import", arg(&file)])
    };
    import(std::slice::from_ref(&one));
    import(&[one.clone(), two.clone()]);
    let imported = events(&system, "keys.import");
    let said: Vec<_> = imported.iter().map(|event| event["fingerprint"].clone()).collect();
    assert_eq!(said, [one["fingerprint"].clone(), two["fingerprint"].clone()], "those that were here are no event");
    for event in exported.iter().chain(&imported) {
        let subject = event["subject"].as_str().expect("a subject");
        assert!(subject.starts_with("cli:uid-") && event["credential"] == "command", "{event}");
        assert!(event["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{event}");
    }
    assert_eq!(system.json(&["audit", "verify"])["sound"], true);
}
