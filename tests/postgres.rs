//! Keys and catalogue on a PostgreSQL server: many change them at once, several proxies agree, and it may stop, start
//! again and move while players play and recorders record.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use sealtape::base::{Fingerprint, RecordingId, SealId};
use sealtape::catalogue::{Companion, Content, Database, DatabaseGuard, Error, Kept, Metadata};
use sealtape::db::PostgresDatabase;
use sealtape::keys::{KeyRow, KeyState, Switch};
use serde_json::json;
use sqlx::{Connection, Executor};

use crate::db::{definition_key, options, recording, time};
use crate::support::postgres::{PASSWORD, Postgres, url};
use crate::support::{Server, System, Upload, Way, media, put, request, text};

const WITHIN_A_SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(20);

/// A new database with one key, opened by two proxies.
async fn two_proxies(name: &str) -> (Arc<PostgresDatabase>, Arc<PostgresDatabase>, KeyRow) {
    let options = options(&Postgres::shared().database(name));
    let one = PostgresDatabase::make(&options).await.expect("opens");
    let key = KeyRow::generate(&definition_key(), time(1000)).await.expect("generates");
    one.add_keys(std::slice::from_ref(&key)).await.expect("adds");
    let other = PostgresDatabase::open(&options).await.expect("opens beside");
    (Arc::new(one), Arc::new(other), key)
}

fn sealed_by(key: &KeyRow) -> Content {
    Content::Sealed { fingerprint: key.fingerprint, seal_id: SealId([1; 16]), replacement: None }
}

/// The same key in the other state; this suite has no business with what is in a row.
async fn turned(key: &KeyRow) -> KeyRow {
    let state = if key.state == KeyState::Active { KeyState::Deactivated } else { KeyState::Active };
    let by = KeyRow::generate(&definition_key(), time(1)).await.expect("generates");
    KeyRow { state, wrapped: by.wrapped, ..key.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_database_is_made_once_with_keys_in_it() {
    let options = options(&Postgres::shared().database("made-once"));
    assert!(!PostgresDatabase::exists(&options).await.expect("asks"));
    assert!(matches!(PostgresDatabase::open(&options).await.err(), Some(Error::Missing)));
    let holder = definition_key();
    let mut rows = Vec::new();
    for _ in 0..8 {
        rows.push(KeyRow::generate(&holder, time(1000)).await.expect("generates"));
    }
    let fingerprints: Vec<Fingerprint> = rows.iter().map(|row| row.fingerprint).collect();
    // All rows lie under one definition key.
    let making: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let options = options.clone();
            tokio::spawn(async move {
                let database = PostgresDatabase::make(&options).await.expect("opens");
                let before = database.load_keys().await.expect("loads");
                database.add_keys(&[row]).await.expect("adds");
                database.close().await;
                before
            })
        })
        .collect();
    for one in making {
        let before = one.await.expect("runs");
        // Nobody saw tables without keys.
        assert!(before.rows.is_empty() == (before.switch == Switch::Untouched), "{:?}", before.switch);
    }
    let opening: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn({
                let options = options.clone();
                async move { PostgresDatabase::open(&options).await.map(|_| ()) }
            })
        })
        .collect();
    for one in opening {
        one.await.expect("runs").expect("opens");
    }
    let database = PostgresDatabase::open(&options).await.expect("opens");
    let table = database.load_keys().await.expect("loads");
    assert_eq!((table.rows.len(), table.switch), (8, Switch::Enabled));
    assert!(table.rows.iter().all(|row| fingerprints.contains(&row.fingerprint)));
}

#[tokio::test]
async fn one_that_is_given_up_leaves_nothing() {
    let options = options(&Postgres::shared().database("given-up"));
    let database = PostgresDatabase::make(&options).await.expect("opens");
    assert!(matches!(database.set_encryption(true).await, Err(Error::NoActiveKey)));
    let early = database
        .add_recording(&recording("early", 1, Content::Plain { digest: [1; 32], exempt: true, outside: None }))
        .await;
    assert!(matches!(early, Err(Error::Unavailable(_))), "it would be kept in plain: {early:?}");
    assert!(!PostgresDatabase::exists(&options).await.expect("asks"), "no tables without keys");
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let server = Postgres::shared();
    let (one, other, _) = two_proxies("newer").await;
    one.close().await;
    other.close().await;
    server.execute(
        "newer",
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'x', TRUE, '\\x00', 0)",
    );
    match PostgresDatabase::open(&options(&server.url("newer"))).await.err() {
        Some(Error::NewerVersion { found: 9999, known: 2 }) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_recording_comes_under_a_key_while_it_is_deactivated() {
    let (one, other, mut key) = two_proxies("deactivating").await;
    let (mut refused, mut done) = (0, 0);
    for round in 0..30_u64 {
        let mut adding = tokio::task::JoinSet::new();
        for i in 0..6_u64 {
            let (database, content) = (Arc::clone(if i % 2 == 0 { &one } else { &other }), sealed_by(&key));
            adding.spawn(async move {
                tokio::time::sleep(Duration::from_micros(300 * (i * 7 + round * 5) % 4000)).await;
                let added = recording(&format!("r{round}-{i}"), 10, content);
                database.add_recording(&added).await.map(|()| added.id)
            });
        }
        let new = turned(&key).await;
        tokio::time::sleep(Duration::from_micros(100 * round)).await;
        let outcome = one.change_key_state(&key, &new, false).await;
        let mut added: Vec<RecordingId> = Vec::new();
        for outcome in adding.join_all().await {
            match outcome {
                Ok(id) => added.push(id),
                Err(Error::KeyDeactivated(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        match outcome {
            Ok(0) => {
                done += 1;
                assert!(added.is_empty(), "round {round}: {added:?} came under a key that none needed");
                other.change_key_state(&new, &key, false).await.expect("and back");
            }
            Err(Error::KeyNeeded { recordings, .. }) => {
                refused += 1;
                assert!(recordings >= 1 && !added.is_empty(), "round {round}: {recordings} of {added:?}");
            }
            other => panic!("{other:?}"),
        }
        for id in added {
            one.begin_purge(&id, time(99)).await.expect("begins");
            one.end_purge(&id).await.expect("ends");
        }
        key = one.load_keys().await.expect("loads").rows.remove(0);
    }
    assert!(refused > 0 && done > 0, "both were to be met: {refused} refused, {done} done");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_come_while_all_are_wrapped_anew_lie_under_the_same_definition_key() {
    let (one, other, key) = two_proxies("rewrapping").await;
    let mut current = vec![key];
    for round in 0..20_u64 {
        let (old, new) = (current.clone(), definition_key());
        let mut wrapped = Vec::new();
        for row in &old {
            let by = KeyRow::generate(&new, row.created_at).await.expect("generates");
            wrapped.push(KeyRow { definition_key: by.definition_key, wrapped: by.wrapped, ..row.clone() });
        }
        // Under the definition key that was, as a command has it that began before.
        let by = KeyRow::generate(&definition_key(), time(2000 + round)).await.expect("generates");
        let late = KeyRow { definition_key: old[0].definition_key.clone(), ..by };
        let adding = tokio::spawn({
            let (other, late) = (Arc::clone(&other), late.clone());
            async move {
                tokio::time::sleep(Duration::from_micros(150 * round)).await;
                other.add_keys(&[late]).await
            }
        });
        tokio::time::sleep(Duration::from_micros(1500)).await;
        let replaced = one.replace_keys(&old, &wrapped).await;
        let added = adding.await.expect("runs");
        let table = one.load_keys().await.expect("loads").rows;
        let names: std::collections::BTreeSet<_> = table.iter().map(|row| row.definition_key.0.clone()).collect();
        assert_eq!(names.len(), 1, "round {round}: {replaced:?}, {added:?}");
        assert!(replaced.is_ok() != added.is_ok(), "round {round}: one of them was first: {replaced:?}, {added:?}");
        current = table;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_beside_a_recording_that_goes_is_not_left() {
    let (one, other, key) = two_proxies("beside").await;
    for round in 0..30_u64 {
        let goes = recording(&format!("goes-{round}"), 10, sealed_by(&key));
        one.add_recording(&goes).await.expect("adds");
        let mut putting = tokio::task::JoinSet::new();
        for (i, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
            let (database, id, kept) = (
                Arc::clone(if i % 2 == 0 { &one } else { &other }),
                goes.id.clone(),
                Kept::Sealed { fingerprint: key.fingerprint },
            );
            putting.spawn(async move {
                tokio::time::sleep(Duration::from_micros(200 * (i as u64 + round) % 3000)).await;
                let companion = Companion {
                    id,
                    name: Some(name.parse().expect("a name")),
                    version: SealId([i as u8; 16]),
                    media_type: "text/plain".parse().expect("a media type"),
                    content_len: 5,
                    kept,
                };
                database.put_companion(&companion, None::<&Metadata>).await
            });
        }
        tokio::time::sleep(Duration::from_micros(100 * round)).await;
        if round % 3 == 0 {
            for outcome in putting.join_all().await {
                outcome.expect("puts");
            }
            let about = one.recording(&goes.id).await.expect("asks").expect("is there").about.expect("is known");
            let names: Vec<String> = about.sidecars.iter().map(ToString::to_string).collect();
            assert_eq!(names, ["a", "b", "c", "d"], "none of those that came at once is forgotten");
            one.begin_purge(&goes.id, time(99)).await.expect("begins");
            one.end_purge(&goes.id).await.expect("ends");
        } else {
            one.begin_purge(&goes.id, time(99)).await.expect("begins");
            one.end_purge(&goes.id).await.expect("ends");
            for outcome in putting.join_all().await {
                assert!(matches!(outcome, Ok(_) | Err(Error::RecordingNotFound(_))), "{outcome:?}");
            }
        }
        assert_eq!(one.companions(&goes.id).await.expect("asks"), [], "round {round}");
    }
    assert_eq!(one.key_usage_of(&key.fingerprint).await.expect("counts"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_with_one_id_one_is_taken_and_none_waits_in_a_circle() {
    let (one, other, key) = two_proxies("same").await;
    let begun = Instant::now();
    for round in 0..10 {
        let mut adding = tokio::task::JoinSet::new();
        for i in 0..100 {
            for (database, i) in [(&one, i), (&other, 99 - i)] {
                let (database, added) =
                    (Arc::clone(database), recording(&format!("s{round}-{i}"), 10, sealed_by(&key)));
                adding.spawn(async move { database.add_recording(&added).await });
            }
        }
        let outcomes = adding.join_all().await;
        let taken = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        let refused = outcomes.iter().filter(|outcome| matches!(outcome, Err(Error::RecordingExists(_)))).count();
        assert_eq!((taken, refused), (100, 100), "{:?}", outcomes.iter().find(|outcome| outcome.is_err()));
    }
    // A circle is only looked for after a second.
    println!("2000 recordings by two proxies, half of them twice: {:?}", begun.elapsed());
}

#[tokio::test]
async fn what_a_player_waits_for_ends_when_the_server_does_not_answer() {
    let server = Postgres::shared();
    let (one, _, key) = two_proxies("silent").await;
    let there = recording("there", 10, sealed_by(&key));
    one.add_recording(&there).await.expect("adds");
    let url = server.url("silent");
    let mut blocker = sqlx::PgConnection::connect(&url).await.expect("connects");
    blocker.execute("BEGIN; LOCK TABLE recording IN ACCESS EXCLUSIVE MODE").await.expect("locked");
    let begun = Instant::now();
    let asked = one.recording(&there.id).await;
    assert!(matches!(asked, Err(Error::Unavailable(_))), "{asked:?}");
    assert!(begun.elapsed() < Duration::from_millis(2500), "{:?}", begun.elapsed());
    let written = one.hold(&there.id, Some(time(1))).await;
    assert!(matches!(&written, Err(Error::Unavailable(reason)) if reason.contains("55P03")), "{written:?}");
    blocker.execute("ROLLBACK").await.expect("let go");
    assert_eq!(one.recording(&there.id).await.expect("asks"), Some(there));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_met_others_in_a_circle_is_tried_again() {
    let server = Postgres::shared();
    let (one, _, key) = two_proxies("circle").await;
    let there = recording("there", 10, sealed_by(&key));
    one.add_recording(&there).await.expect("adds");
    let beside = |version| Companion {
        id: there.id.clone(),
        name: Some("notes".parse().expect("a name")),
        version: SealId([version; 16]),
        media_type: "text/plain".parse().expect("a media type"),
        content_len: 5,
        kept: Kept::Sealed { fingerprint: key.fingerprint },
    };
    one.put_companion(&beside(1), None).await.expect("puts");
    // Another one takes the same rows in the other order, as no transaction of ours does.
    let mut other = sqlx::PgConnection::connect(&server.url("circle")).await.expect("connects");
    other.execute("BEGIN; UPDATE companion SET content_len = 6").await.expect("holds one row");
    let putting = tokio::spawn({
        let (one, companion) = (Arc::clone(&one), beside(2));
        async move { one.put_companion(&companion, None).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    other.execute("UPDATE recording SET agent = 'x'").await.expect("the other one gave way");
    other.execute("COMMIT").await.expect("commits");
    let old = putting.await.expect("runs").expect("it was tried again");
    assert_eq!(old.map(|old| (old.version, old.content_len)), Some((SealId([1; 16]), 6)));
    assert_eq!(one.companions(&there.id).await.expect("asks"), [beside(2)]);
    let log = server.log();
    assert!(log.contains("deadlock detected"), "there was a circle: {log}");
}

#[tokio::test]
async fn tls_is_as_the_url_says() {
    let server = Postgres::start();
    server.database("tls");
    let certificate = server.speak_tls();
    let url =
        |host: &str, ssl: &str| options(&format!("postgres://sealtape:{PASSWORD}@{host}:{}/tls?{ssl}", server.port()));
    let verified = format!("sslmode=verify-full&sslrootcert={}", certificate.display());
    let database = PostgresDatabase::make(&url("localhost", &verified)).await.expect("opens");
    let key = KeyRow::generate(&definition_key(), time(1000)).await.expect("generates");
    database.add_keys(&[key]).await.expect("adds");
    database.change_counter().await.expect("listens");
    database.close().await;
    PostgresDatabase::open(&url("127.0.0.1", "sslmode=require")).await.expect("encrypted, whoever it is");
    for (host, ssl) in [
        ("localhost", "sslmode=disable"),
        ("localhost", "sslmode=verify-full"),
        ("127.0.0.1", verified.as_str()),
        ("localhost", "sslmode=verify-full&sslrootcert=/nonexistent"),
    ] {
        let refused = PostgresDatabase::open(&url(host, ssl)).await.err();
        assert!(matches!(refused, Some(Error::Unavailable(_))), "{host}, {ssl}: {refused:?}");
    }
}

#[tokio::test]
async fn one_command_at_a_time_rewrites_objects_wherever_it_runs() {
    let server = Postgres::shared();
    let (one, other, _) = two_proxies("maintenance").await;
    let guard = one.begin_maintenance().await.expect("begins");
    assert!(matches!(other.begin_maintenance().await.err(), Some(Error::Busy)));
    drop(guard);
    let lost = begin_soon(&other).await;
    server.execute(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = \
         (SELECT oid FROM pg_database WHERE datname = 'maintenance')",
    );
    // Whoever is cut off holds nothing, once the server has come to it.
    let _again = begin_soon(&one).await;
    drop(lost);
}

/// What another lets go of is free a moment later.
async fn begin_soon(database: &PostgresDatabase) -> DatabaseGuard {
    let deadline = Instant::now() + WITHIN_A_SECOND;
    loop {
        match database.begin_maintenance().await {
            Ok(guard) => return guard,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_counts_as_a_change() {
    let server = Postgres::shared();
    let (one, other, _) = two_proxies("lost").await;
    let before = one.change_counter().await.expect("counts");
    server.execute(
        "lost",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'lost' AND pid <> pg_backend_pid()",
    );
    let deadline = Instant::now() + WITHIN_A_SECOND;
    while one.change_counter().await.ok().is_none_or(|now| now == before) {
        assert!(Instant::now() < deadline, "not within a second");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let before = one.change_counter().await.expect("counts");
    other.set_encryption(false).await.expect("the pool found its connections dead, and made others");
    while one.change_counter().await.ok().is_none_or(|now| now == before) {
        assert!(Instant::now() < deadline + WITHIN_A_SECOND, "it listens again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(one.load_keys().await.expect("loads").switch, Switch::Disabled);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_database_in_its_place_is_not_taken_for_it() {
    let (server, elsewhere) = (Postgres::shared(), Postgres::start());
    let key = KeyRow::generate(&definition_key(), time(1000)).await.expect("generates");
    for at in [server, &elsewhere] {
        let made = PostgresDatabase::make(&options(&at.database("twin"))).await.expect("opens");
        made.add_keys(std::slice::from_ref(&key)).await.expect("adds");
        made.close().await;
    }
    let way = Way::to(server.port());
    let database = PostgresDatabase::open(&options(&url(way.port(), "twin"))).await.expect("opens");
    let added = recording("here", 10, sealed_by(&key));
    database.add_recording(&added).await.expect("adds");
    database.change_counter().await.expect("counts");
    way.lead_to(Some(elsewhere.port()));
    let deadline = Instant::now() + Duration::from_secs(5);
    let reason = loop {
        match database.recording(&added.id).await {
            Err(Error::Unavailable(reason)) if reason.contains("another database") => break reason,
            Err(Error::Unavailable(_)) => {}
            other => panic!("another one's word: {other:?}"),
        }
        assert!(Instant::now() < deadline, "it is told why");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(reason.contains("restart"), "{reason}");
    let lost = database.add_recording(&recording("lost", 10, sealed_by(&key))).await;
    assert!(matches!(lost, Err(Error::Unavailable(_))), "nothing is acknowledged that would be lost: {lost:?}");
    way.lead_to(Some(server.port()));
    let deadline = Instant::now() + Duration::from_secs(5);
    while database.recording(&added.id).await.is_err() {
        assert!(Instant::now() < deadline, "and it is found again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn a_new_system_is_made_with_its_first_key() {
    let system = System::on_postgres(Postgres::shared().database("new-system"));
    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["keys", "list"], &["recordings", "list"]] {
        let error = system.fails(1, arguments);
        assert!(error.contains("there is no database here") && error.contains("keys generate"), "{error}");
    }
    let runs: Vec<_> = (0..3).map(|_| system.command(&["keys", "generate"]).spawn().expect("runs")).collect();
    for mut run in runs {
        assert!(run.wait().expect("ends").success());
    }
    assert_eq!(system.json(&["keys", "list"]).as_array().map(Vec::len), Some(3));
    let error = system.fails(1, &["definition-key", "generate"]);
    assert!(error.contains("definition.key"), "{error}");
    system.import("call", &media(3000));
    assert!(system.run(&["cat", "call"]).stdout == media(3000));
}

#[test]
fn a_lost_definition_key_is_not_hidden_by_a_fresh_one() {
    let system = System::with_key_on_postgres();
    std::fs::remove_file(system.data_dir().join("definition.key")).expect("lost");
    let error = system.fails(1, &["definition-key", "generate"]);
    assert!(error.contains("1 database key(s) are wrapped by it"), "{error}");
}

#[test]
fn passwords_are_never_shown() {
    let server = Postgres::start();
    let system = System::on_postgres(server.database("quiet"));
    system.ok(&["keys", "generate"]);
    let mut said = Vec::new();
    let mut says = |arguments: &[&str]| {
        let output = system.command(arguments).env("RUST_LOG", "trace").output().expect("runs");
        said.extend([output.stdout, output.stderr].concat());
    };
    for arguments in
        [&["config", "check"][..], &["config", "check", "--json"], &["keys", "list"], &["definition-key", "status"]]
    {
        says(arguments);
    }
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("RUST_LOG", "trace");
    let proxy = Server::start(command);
    assert_eq!(proxy.get("/recordings").status, 200);
    server.stop();
    assert!(proxy.wait_until(PATIENCE, |proxy| proxy.get("/recordings").status == 503));
    says(&["keys", "list"]);
    says(&["serve", "--listen", "127.0.0.1:0"]);
    drop(server);
    said.extend(proxy.log_bytes());
    said.extend(proxy.get("/readyz").body);
    let said = text(&said);
    assert!(said.contains("postgres://sealtape@127.0.0.1"), "the URL is: {said}");
    assert!(!said.contains(PASSWORD), "{said}");
}

/// By the URL, as everywhere else here, or by what PostgreSQL's own programs read.
#[test]
fn a_password_comes_by_a_variable_or_by_a_file_of_its_owner_alone() {
    let whole = Postgres::shared().database("password");
    let (start, rest) = whole.split_once(&format!(":{PASSWORD}@")).expect("a password");
    let without = format!("{start}@{rest}");
    let system = System::on_postgres(whole.clone());
    system.ok(&["keys", "generate"]);
    let file = system.file("pgpass", format!("*:*:*:sealtape:{PASSWORD}\n").as_bytes());
    let lists = |name: &str, value: &str| {
        let mut list = system.command(&["keys", "list"]);
        list.env("SEALTAPE_DATABASE__URL", &without).env("HOME", system.path("nowhere")).env(name, value);
        list.output().expect("runs").status.success()
    };
    let mode = |mode: u32| std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(mode));
    mode(0o600).expect("set");
    assert!(lists("PGPASSWORD", PASSWORD) && lists("PGPASSFILE", file.to_str().expect("UTF-8")));
    mode(0o640).expect("set");
    assert!(!lists("PGPASSFILE", file.to_str().expect("UTF-8")), "others could read it");
    assert!(!lists("PGPASSWORD", "another") && !lists("UNRELATED", ""));
}

/// What several proxies over one database are to agree on, each within a second.
#[test]
fn several_proxies_agree() {
    let (here, bytes) = (System::with_key_on_postgres(), media(50_000));
    let there = here.beside();
    let (one, other) = (here.serve(), there.serve());
    for id in ["goes", "held", "stays"] {
        assert_eq!(put(&one.address, id, &[], &bytes).status, 201);
        assert!(other.get(&format!("/recordings/{id}/media")).body == bytes, "{id}: at once");
    }
    let status = |path: &str| (one.get(path).status, other.get(path).status);
    let within = |what: &str, condition: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !condition() {
            assert!(begun.elapsed() < WITHIN_A_SECOND, "{what}: not within a second");
            thread::sleep(Duration::from_millis(10));
        }
    };
    here.ok(&["recordings", "hold", "held"]);
    let refused = request(&other.address, "DELETE", "/recordings/held", &[], b"");
    assert_eq!(refused.problem(), "recording-held");
    assert_eq!(request(&one.address, "DELETE", "/recordings/goes", &[], b"").status, 204);
    within("a purge", &|| status("/recordings/goes/media") == (404, 404));
    there.ok(&["encryption", "disable"]);
    within("the switch", &|| status("/recordings/stays/media") == (409, 409));
    here.ok(&["encryption", "enable"]);
    within("the switch back", &|| status("/recordings/stays/media") == (200, 200));
    let first = here.json(&["keys", "list"])[0]["fingerprint"].as_str().expect("a key").to_owned();
    there.ok(&["keys", "deactivate", &first, "--force"]);
    within("a key's state", &|| status("/recordings/stays/media") == (409, 409));
    assert_eq!(other.get("/recordings/stays/media").problem(), "key-deactivated");
    there.ok(&["keys", "activate", &first]);
    within("and back", &|| status("/recordings/stays/media") == (200, 200));
    here.ok(&["keys", "generate"]);
    there.ok(&["rewrap", "--all"]);
    here.ok(&["keys", "deactivate", &first]);
    within("recordings under another key", &|| {
        one.get("/recordings/stays/media").body == bytes && other.get("/recordings/stays/media").body == bytes
    });
}

/// The failure list: stopped for a while, started again, moved to another address; nothing needs a hand.
#[test]
fn players_play_and_recorders_record_while_the_server_stops_starts_and_moves() {
    let server = Postgres::start();
    server.database("fails");
    let (way, bytes) = (Way::to(server.port()), media(200_000));
    let system = System::on_postgres(url(way.port(), "fails"));
    system.ok(&["keys", "generate"]);
    for id in ["played", "never"] {
        system.import(id, &bytes);
    }
    let proxy = system.serve();
    assert!(proxy.get("/recordings/played/media").body == bytes);
    let mut live = Upload::begin(&proxy.address, "live", &[]);
    live.send(&bytes[..20_000]);
    assert!(proxy.wait_until(PATIENCE, |proxy| proxy.get("/recordings/live").status == 200));

    for (what, outage) in [("stopped", &(|| server.stop()) as &dyn Fn()), ("cut off", &|| way.lead_to(None))] {
        outage();
        let begun = Instant::now();
        for id in ["played", "never"] {
            let reply = proxy.get(&format!("/recordings/{id}/media"));
            assert!(reply.status == 200 && reply.body == bytes, "{what}, {id}: {reply:?}");
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{what}: nobody waits long: {:?}", begun.elapsed());
        let reply = proxy.get("/recordings");
        assert_eq!(reply.problem(), "catalogue-unavailable", "{what}");
        let ready = proxy.get("/readyz");
        assert_eq!(ready.status, 200, "{what}: {ready:?}");
        assert!(
            proxy.wait_until(PATIENCE, |proxy| proxy.get("/readyz").json()["degraded"] == json!(["keys-not-checked"])),
            "{what}"
        );
        let id = format!("during-{}", what.replace(' ', "-"));
        let reply = put(&proxy.address, &id, &[], &bytes);
        assert_eq!((reply.status, &reply.json()["catalogued"]), (201, &json!(false)), "{what}");
        assert!(proxy.get(&format!("/recordings/{id}/media")).body == bytes, "{what}: it plays at once");
        live.send(&bytes[20_000..40_000]);
        match what {
            "stopped" => server.resume(),
            _ => way.lead_to(Some(server.port())),
        }
        let back = Instant::now();
        assert!(proxy.wait_until(PATIENCE, |proxy| proxy.get("/recordings").status == 200), "{what}: {}", proxy.log());
        println!("{what}: it answers {:?} after it is back", back.elapsed());
        let complete = |proxy: &Server| {
            let reply = proxy.get(&format!("/recordings/{id}"));
            reply.status == 200 && reply.json()["state"] == "complete"
        };
        assert!(proxy.wait_until(PATIENCE, complete), "{what}: it is catalogued: {}", proxy.log());
        assert!(proxy.wait_until(PATIENCE, |proxy| proxy.get("/readyz").json()["degraded"] == json!([])), "{what}");
        // Changes are heard of again.
        let first = system.json(&["keys", "list"])[0]["fingerprint"].as_str().expect("a key").to_owned();
        system.ok(&["encryption", "disable"]);
        assert!(
            proxy.wait_until(WITHIN_A_SECOND, |proxy| proxy.get("/recordings/never/media").status == 409),
            "{what}"
        );
        system.ok(&["encryption", "enable"]);
        assert!(
            proxy.wait_until(WITHIN_A_SECOND, |proxy| proxy.get("/recordings/never/media").status == 200),
            "{first}"
        );
    }

    // Restarted under its players, and without a pause.
    server.stop();
    server.resume();
    assert!(proxy.get("/recordings/played/media").body == bytes);
    assert!(proxy.wait_until(PATIENCE, |proxy| proxy.get("/recordings").status == 200));
    live.send(&bytes[40_000..50_000]);
    let reply = live.finish();
    assert_eq!((reply.status, &reply.json()["catalogued"]), (201, &json!(true)), "{}", proxy.log());
    let recorded = [&bytes[..20_000], &bytes[20_000..40_000], &bytes[20_000..40_000], &bytes[40_000..50_000]].concat();
    assert!(proxy.get("/recordings/live/media").body == recorded);
    assert_eq!(system.json(&["recordings", "list"]).as_array().map(Vec::len), Some(5));
    let verified = system.run(&["verify", "--all"]);
    assert!(verified.status.success(), "{}", text(&verified.stdout));
    assert!(!server.log().contains("PANIC"), "{}", server.log());
}

/// Its machine is gone without a word: nothing answers, and no connection ends.
#[test]
fn players_play_on_while_the_server_stands_still() {
    let server = Postgres::start();
    let (system, bytes) = (System::on_postgres(server.database("still")), media(200_000));
    system.ok(&["keys", "generate"]);
    for id in ["played", "never", "never-either"] {
        system.import(id, &bytes);
    }
    let proxy = system.serve();
    assert!(proxy.get("/recordings/played/media").body == bytes);
    let mut live = Upload::begin(&proxy.address, "live", &[]);
    live.send(&bytes[..20_000]);
    assert!(proxy.wait_until(PATIENCE, |proxy| proxy.get("/recordings/live").status == 200));
    server.stand_still(true);
    for id in ["played", "never"] {
        let begun = Instant::now();
        let reply = proxy.get(&format!("/recordings/{id}/media"));
        assert!(reply.status == 200 && reply.body == bytes, "{id}: {reply:?}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{id}: {:?}", begun.elapsed());
    }
    let is_known = |proxy: &Server| {
        let begun = Instant::now();
        proxy.get("/recordings").status == 503 && begun.elapsed() < Duration::from_millis(500)
    };
    assert!(proxy.wait_until(Duration::from_secs(10), is_known), "it is known to be away: {}", proxy.log());
    assert_eq!(proxy.get("/readyz").json()["degraded"], json!(["keys-not-checked"]));
    let begun = Instant::now();
    assert!(proxy.get("/recordings/never-either/media").body == bytes);
    assert!(begun.elapsed() < WITHIN_A_SECOND, "and nobody waits for it any more: {:?}", begun.elapsed());
    let begun = Instant::now();
    let reply = put(&proxy.address, "during", &[], &bytes);
    assert_eq!((reply.status, &reply.json()["catalogued"]), (201, &json!(false)));
    println!("a PUT while the server stands still: {:?}", begun.elapsed());
    live.send(&bytes[20_000..40_000]);
    server.stand_still(false);
    assert!(proxy.wait_until(PATIENCE, |proxy| proxy.get("/recordings/during").status == 200), "{}", proxy.log());
    assert!(proxy.wait_until(PATIENCE, |proxy| proxy.get("/readyz").json()["degraded"] == json!([])));
    let reply = live.finish();
    assert_eq!((reply.status, &reply.json()["catalogued"]), (201, &json!(true)), "{}", proxy.log());
    assert!(proxy.get("/recordings/live/media").body == bytes[..40_000]);
}

#[test]
fn without_its_server_a_proxy_does_not_start_and_says_why() {
    let server = Postgres::start();
    let system = System::on_postgres(server.database("down"));
    system.ok(&["keys", "generate"]);
    server.stop();
    let error = system.fails(1, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(error.contains("Connection refused") && error.contains("postgres://"), "{error}");
    assert_eq!(error.lines().count(), 2, "{error}");
    server.resume();
    drop(system.serve());
}
