//! Rows of database keys that somebody put there who can write the database and has no definition key: none of them is
//! ever wrapped anew, and so trusted.

use std::fs;

use super::{EMBEDDED, run_with};
use crate::support::{System, media, postgres::Postgres, text};

/// Two systems, ours and theirs, and what can be done to their databases.
struct Scene<'a> {
    ours: &'a System,
    theirs: &'a System,
    /// Puts all of their rows beside ours.
    plant: &'a dyn Fn(),
    on_ours: &'a dyn Fn(&str),
    on_theirs: &'a dyn Fn(&str),
    /// How a fingerprint is written in a statement.
    literal: fn(&str) -> String,
}

#[test]
fn in_a_file() {
    let (ours, theirs) = (System::in_folder(), System::in_folder());
    let plant = || {
        let from = theirs.data_dir().join("sealtape.db");
        let insert = "INSERT INTO database_key SELECT * FROM theirs.database_key";
        on_sqlite(&ours, &format!("ATTACH '{}' AS theirs; {insert}; DETACH theirs", from.display()));
    };
    nothing_that_was_planted_is_trusted(&Scene {
        ours: &ours,
        theirs: &theirs,
        plant: &plant,
        on_ours: &|statement| on_sqlite(&ours, statement),
        on_theirs: &|statement| on_sqlite(&theirs, statement),
        literal: |fingerprint| format!("x'{fingerprint}'"),
    });
}

#[test]
fn on_a_server() {
    let server = Postgres::shared();
    let (here, there) = ("planted-ours", "planted-theirs");
    let (ours, theirs) = (System::on_postgres(server.database(here)), System::on_postgres(server.database(there)));
    let plant = || {
        let statements = server.text(
            there,
            "SELECT string_agg('INSERT INTO database_key SELECT (jsonb_populate_record(NULL::database_key, ' || \
             quote_literal(to_jsonb(row)) || '::jsonb)).*', ';') FROM database_key AS row",
        );
        statements.split(';').for_each(|statement| server.execute(here, statement));
    };
    nothing_that_was_planted_is_trusted(&Scene {
        ours: &ours,
        theirs: &theirs,
        plant: &plant,
        on_ours: &|statement| server.execute(here, statement),
        on_theirs: &|statement| server.execute(there, statement),
        literal: |fingerprint| format!("'\\x{fingerprint}'"),
    });
}

fn nothing_that_was_planted_is_trusted(scene: &Scene) {
    let Scene { ours, theirs, plant, on_ours, on_theirs, literal } = scene;
    ours.ok(&["keys", "generate"]);
    let bytes = media(50_000);
    ours.import("call", &bytes);
    let own = ours.json(&["keys", "list"])[0]["fingerprint"].as_str().expect("text").to_owned();
    let delete = |from: &dyn Fn(&str), fingerprint: &str| {
        from(&format!("DELETE FROM database_key WHERE fingerprint = {}", literal(fingerprint)));
    };
    let made = |settings: &[(&str, &str)]| {
        let output = run_with(theirs, settings, &["keys", "generate", "--json"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let made: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        made["fingerprint"].as_str().expect("text").to_owned()
    };
    let path = ours.data_dir().join("definition.key");
    let next = path.with_extension("key.next");
    let files = || (fs::read(&path).expect("read"), fs::read(&next).ok());
    let refuse = |arguments: &[&str], settings: &[(&str, &str)], words: &[&str]| {
        let before = files();
        let output = run_with(ours, settings, arguments);
        let refused = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {refused}");
        for word in words {
            assert!(refused.contains(word), "{arguments:?}, {word}: {refused}");
        }
        assert!(files() == before, "{arguments:?}: no key is made, or moved");
    };
    let (to_file, to_embedded) =
        (["definition-key", "migrate", "--to", "file"], ["definition-key", "migrate", "--to", "embedded"]);
    let (cycle, prepare) = (["definition-key", "cycle"], ["definition-key", "cycle", "--prepare"]);

    // Beside ours, under the key that everybody has.
    let planted = made(&[EMBEDDED]);
    plant();
    for arguments in [&to_file[..], &to_embedded, &cycle, &prepare] {
        refuse(arguments, &[], &["several definition keys", &planted, "nothing was changed"]);
    }
    refuse(&to_file, &[EMBEDDED], &["several definition keys", &planted]);
    delete(on_ours, &planted);
    assert_eq!(ours.run(&["cat", "call"]).stdout, bytes, "our key is where it was");

    // In place of ours: then it is not told by what stands beside it.
    on_ours("CREATE TABLE kept AS SELECT * FROM database_key");
    delete(on_ours, &own);
    plant();
    for arguments in [&["keys", "list"][..], &["keys", "generate"], &["serve", "--listen", "127.0.0.1:0"], &cycle] {
        refuse(arguments, &[], &["that is the embedded one", "definition_key.kind", "restored from a backup"]);
    }
    refuse(&to_file, &[], &["embedded definition key", "nothing was changed", "find out who can write it"]);
    delete(on_ours, &planted);
    on_ours("INSERT INTO database_key SELECT * FROM kept");
    on_ours("DROP TABLE kept");
    delete(on_theirs, &planted);
    assert_eq!(ours.run(&["cat", "call"]).stdout, bytes, "our key is where it was");

    // Beside ours, under one that is held here and not in place: as whoever has an old key could write it.
    let planted = made(&[]);
    plant();
    fs::copy(theirs.data_dir().join("definition.key"), &next).expect("copied");
    for arguments in [&to_file[..], &to_embedded, &cycle, &["definition-key", "cycle", "--finish"]] {
        refuse(arguments, &[], &["several definition keys", &planted, "nothing was changed"]);
    }
    delete(on_ours, &planted);
    fs::remove_file(&next).expect("removed");
    assert_eq!(ours.run(&["cat", "call"]).stdout, bytes, "our key is where it was");
    ours.ok(&["definition-key", "cycle"]);
}

pub(super) fn on_sqlite(system: &System, statement: &str) {
    use sqlx::{Connection, Executor};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(system.data_dir().join("sealtape.db"));
        let options = options.busy_timeout(std::time::Duration::from_secs(10));
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("connects");
        connection.execute(sqlx::AssertSqlSafe(statement)).await.expect("executes");
        connection.close().await.expect("closes");
    });
}
