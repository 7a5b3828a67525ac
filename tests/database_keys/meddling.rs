//! Whoever can write the database and has no definition key changes nothing unnoticed.

use serde_json::{Value, json};
use sqlx::Connection;

use super::{fingerprint, generate, keys};
use crate::support::{PASSPHRASE, Server, System, handmade_export, handmade_key, media, text};

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// A system with three keys, each with recordings under it: an active one, one that wraps, and a deactivated one.
struct Meddled {
    system: System,
    active: String,
    wrapping: String,
    deactivated: String,
}

/// What somebody does to the table, how it is undone, the keys of which one is named then, and what a server calls it.
struct Change {
    what: &'static str,
    done: String,
    undone: String,
    keys: Vec<String>,
    failure: &'static str,
}

impl Meddled {
    fn new(recordings: usize) -> Self {
        let system = System::empty();
        let take_in = |kind: &str| {
            let key = generate(&system);
            for number in 0..recordings {
                system.import(&format!("{kind}-{number}"), &media(3000 + number));
            }
            key
        };
        let (deactivated, active, wrapping) = (take_in("deactivated"), take_in("active"), take_in("wrapping"));
        system.ok(&["keys", "deactivate", &deactivated, "--force"]);
        Self { system, active, wrapping, deactivated }
    }

    fn changes(&self) -> Vec<Change> {
        let Self { active, wrapping, deactivated, .. } = self;
        let set = |what, set: &str, back: &str, key: &String, failure| Change {
            what,
            done: format!("UPDATE database_key SET {set} WHERE fingerprint = x'{key}'"),
            undone: format!("UPDATE database_key SET {back} WHERE fingerprint = x'{key}'"),
            keys: vec![key.clone()],
            failure,
        };
        let swap = |what, columns: &[&str]| {
            let columns = columns.iter().map(|column| {
                format!("{column} = (SELECT {column} FROM old WHERE old.fingerprint <> database_key.fingerprint)")
            });
            let two = format!("WHERE fingerprint IN (x'{active}', x'{wrapping}')");
            let done = format!(
                "BEGIN IMMEDIATE; CREATE TEMP TABLE old AS SELECT * FROM database_key {two}; \
                 UPDATE database_key SET {} {two}; COMMIT",
                columns.collect::<Vec<_>>().join(", ")
            );
            let keys = vec![active.clone(), wrapping.clone()];
            Change { what, undone: done.clone(), done, keys, failure: "row-not-authentic" }
        };
        let flip_state = ("state = 1 - state", "row-not-authentic");
        let set_same = |what, both: (&str, &'static str), key| set(what, both.0, both.0, key, both.1);
        let bound = "row-not-authentic";
        vec![
            swap("keys swapped", &["nonce", "ciphertext"]),
            swap("ciphertexts swapped", &["ciphertext"]),
            swap("nonces swapped", &["nonce"]),
            set_same("deactivated", flip_state, active),
            set_same("activated", flip_state, deactivated),
            set("made newer", "created_at = created_at + 60000", "created_at = created_at - 60000", active, bound),
            set(
                "made older by a millisecond",
                "created_at = created_at - 1",
                "created_at = created_at + 1",
                wrapping,
                bound,
            ),
            set_same("of another origin", ("origin = 1 - origin", bound), wrapping),
            set(
                "of another definition key",
                "definition_key = 'x' || definition_key",
                "definition_key = substr(definition_key, 2)",
                active,
                "other-definition-key",
            ),
        ]
    }

    fn sql(&self, statements: &str) {
        sql(&self.system, statements);
    }
}

/// Runs statements on the database's file, as somebody else would.
pub(super) fn sql(system: &System, statements: &str) {
    with_database(system, async |connection| {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statements.to_owned())).execute(connection).await.expect("runs");
    });
}

/// Every row of the keys and of the switch.
fn rows(system: &System) -> Vec<String> {
    with_database(system, async |connection| {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT hex(fingerprint) || created_at || origin || state || definition_key || hex(nonce) || \
             hex(ciphertext) || coalesce(exported_at, '-') FROM database_key UNION ALL \
             SELECT name || value FROM setting ORDER BY 1",
        )
        .fetch_all(connection)
        .await
        .expect("reads");
        rows.into_iter().map(|row| row.0).collect()
    })
}

fn with_database<T>(system: &System, work: impl AsyncFnOnce(&mut sqlx::SqliteConnection) -> T) -> T {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(system.data_dir().join("sealtape.db"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("connects");
        let outcome = work(&mut connection).await;
        connection.close().await.expect("closes");
        outcome
    })
}

#[test]
fn every_command_refuses_and_no_server_starts() {
    let meddled = Meddled::new(1);
    let system = &meddled.system;
    let new = system.file("new.dat", &media(100));
    let export = system.file("keys.age", &handmade_export(&[handmade_key(1, "2020-01-01T00:00:00Z", "active")]));
    let (new, export) = (new.to_str().expect("UTF-8"), export.to_str().expect("UTF-8"));
    let commands = [
        &["keys", "list"][..],
        &["keys", "generate"],
        &["keys", "activate", &meddled.deactivated],
        &["keys", "activate", &meddled.active],
        &["keys", "deactivate", &meddled.wrapping, "--force"],
        &["keys", "export", "--out", "out.age"],
        &["keys", "import", export],
        &["encryption", "status"],
        &["encryption", "enable"],
        &["import", new],
        &["recordings", "list"],
        &["recordings", "show", "active-0"],
        &["recordings", "rebuild"],
        &["cat", "active-0"],
        &["link", "active-0"],
        &["rewrap", "--all"],
        &["reseal", "--all"],
        &["definition-key", "cycle"],
        &["serve", "--listen", "127.0.0.1:0"],
    ];
    let untouched = rows(system);
    let files = system.media_files();
    for change in meddled.changes() {
        meddled.sql(&change.done);
        let before = rows(system);
        assert_ne!(before, untouched, "{}", change.what);
        for arguments in commands {
            let mut command = system.command(arguments);
            let output = command.env("SEALTAPE_PASSPHRASE", PASSPHRASE).output().expect("runs");
            let error = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{}, {arguments:?}: {error}", change.what);
            assert!(output.stdout.is_empty(), "{}, {arguments:?}: {}", change.what, text(&output.stdout));
            let is_named = change.keys.iter().any(|key| error.contains(key.as_str()));
            assert!(is_named && error.lines().count() <= 2, "{}, {arguments:?}: {error}", change.what);
        }
        assert_eq!((rows(system), system.media_files()), (before, files.clone()), "{}", change.what);
        assert!(!system.path("out.age").exists(), "{}", change.what);
        meddled.sql(&change.undone);
        assert_eq!(rows(system), untouched, "{}", change.what);
        assert_eq!(keys(system).len(), 3, "{}", change.what);
    }
    assert!(system.run(&["cat", "active-0"]).stdout == media(3000), "what was put right is right");
}

#[test]
fn a_running_server_plays_on_by_the_keys_that_it_has() {
    let count = Meddled::new(0).changes().len();
    let meddled = Meddled::new(count);
    let system = &meddled.system;
    let server = system.serve();
    let ready = |server: &Server| server.get("/readyz").json();
    assert_eq!((&ready(&server)["degraded"], &ready(&server)["keys"]["failure"]), (&json!([]), &Value::Null));
    for (number, change) in meddled.changes().into_iter().enumerate() {
        let what = change.what;
        meddled.sql(&change.done);
        let is_noticed = |server: &Server| {
            let ready = ready(server);
            ready["degraded"] == json!(["keys-not-checked"]) && ready["keys"]["failure"] == change.failure
        };
        assert!(server.wait_until(PATIENCE, is_noticed), "{what}: {}", ready(&server));
        assert_eq!(server.get("/readyz").status, 200, "{what}");
        let is_told = |server: &Server| change.keys.iter().any(|key| server.log().contains(key.as_str()));
        assert!(server.wait_until(PATIENCE, is_told), "{what}: {}", server.log());
        // Some that never played before.
        let expected = media(3000 + number);
        for kind in ["active", "wrapping"] {
            assert!(server.get(&format!("/recordings/{kind}-{number}/media")).body == expected, "{what}, {kind}");
        }
        let refused = server.get(&format!("/recordings/deactivated-{number}/media"));
        assert_eq!((refused.status, refused.problem().as_str()), (409, "key-deactivated"), "{what}");

        meddled.sql(&change.undone);
        let is_well = |server: &Server| {
            let ready = ready(server);
            ready["degraded"] == json!([]) && ready["keys"]["failure"].is_null()
        };
        assert!(server.wait_until(PATIENCE, is_well), "{what}: {}", ready(&server));
        // And goes by the table again.
        system.ok(&["keys", "deactivate", &meddled.active, "--force"]);
        let path = format!("/recordings/active-{number}/media");
        assert!(server.wait_until(PATIENCE, |server| server.get(&path).status == 409), "{what}");
        system.ok(&["keys", "activate", &meddled.active]);
        assert!(server.wait_until(PATIENCE, |server| server.get(&path).status == 200), "{what}");
    }
    let now = keys(system);
    assert_eq!(
        now.iter().map(fingerprint).collect::<Vec<_>>(),
        [meddled.deactivated.clone(), meddled.active.clone(), meddled.wrapping.clone()]
    );
}
