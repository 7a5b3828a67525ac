//! The conformance suite of [`Database`], run on every implementation, and what is SQLite's own.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use sealtape::access::RecordingSet;
use sealtape::base::{Fingerprint, RecordingId, SealId, Timestamp};
use sealtape::catalogue::{Content, Database, Error, PlainLeft, Recording, RecordingState, Replacement, ResealRun};
use sealtape::crypto::Key;
use sealtape::db::{PostgresDatabase, PostgresOptions, SqliteDatabase};
use sealtape::keys::{KeyRow, KeyState, LocalDefinitionKey, Switch};

use crate::simulated::{database::SimulatedDatabase, fate::Fate};
use crate::support::postgres::Postgres;

#[tokio::test]
async fn sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.db");
    let database = Arc::new(SqliteDatabase::open(&path, true).await.expect("opens"));
    conforms(database, async {
        Arc::new(SqliteDatabase::open(&path, true).await.expect("opens beside")) as Arc<dyn Database>
    })
    .await;
}

#[tokio::test]
async fn postgres() {
    let options = options(&Postgres::shared().database("conformance"));
    let database = Arc::new(PostgresDatabase::make(&options).await.expect("opens"));
    conforms(database, async {
        Arc::new(PostgresDatabase::open(&options).await.expect("opens beside")) as Arc<dyn Database>
    })
    .await;
}

/// What simulated worlds rest on holds of their database, too.
#[tokio::test]
async fn simulated() {
    let database = SimulatedDatabase::new(&Fate::new(0));
    keys_and_switch(&database).await;
    changes_of_keys(&database).await;
    recordings(&database).await;
    keys_that_recordings_need(&database).await;
    replacements(&database).await;
    progress(&database).await;
    settlements(&database).await;
    purges(&database).await;
}

/// What holds of every implementation; `open_beside` opens an empty database a second time.
async fn conforms(database: Arc<dyn Database>, open_beside: impl Future<Output = Arc<dyn Database>>) {
    keys_and_switch(&*database).await;
    changes_of_keys(&*database).await;
    recordings(&*database).await;
    keys_that_recordings_need(&*database).await;
    replacements(&*database).await;
    plain_ones(&*database).await;
    adds_side_by_side(Arc::clone(&database)).await;
    progress(&*database).await;
    settlements(&*database).await;
    purges(&*database).await;
    spools(&*database).await;
    let again = open_beside.await;
    changes_are_seen(&*database, &*again).await;
    maintenance_is_one_at_a_time(&*database, &*again).await;
    let keys = again.load_keys().await.expect("loads");
    assert_eq!(keys, database.load_keys().await.expect("loads"), "what was written is there");
    again.close().await;
    database.close().await;
    assert!(matches!(database.load_keys().await, Err(Error::Unavailable(_))), "it was closed");
}

async fn maintenance_is_one_at_a_time(database: &dyn Database, again: &dyn Database) {
    let guard = again.begin_maintenance().await.expect("begins");
    for other in [database, again] {
        assert!(matches!(other.begin_maintenance().await.err(), Some(Error::Busy)));
    }
    drop(guard);
    let begun = Instant::now();
    while let Err(error) = database.begin_maintenance().await {
        assert!(matches!(error, Error::Busy) && begun.elapsed() < Duration::from_secs(5), "{error}: it was let go");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// However many come at once: each has its own outcome, and is there when it has it.
async fn adds_side_by_side(database: Arc<dyn Database>) {
    let mut adding = tokio::task::JoinSet::new();
    for i in 0..200_u64 {
        let database = Arc::clone(&database);
        adding.spawn(async move {
            // Every tenth wants an ID that another one has, or will have.
            let id = if i % 10 == 9 { format!("side-{}", i - 1) } else { format!("side-{i}") };
            let added = recording(&id, 1000 + i, Content::Plain { digest: [8; 32], exempt: true, outside: None });
            let outcome = database.add_recording(&added).await;
            if outcome.is_ok() {
                assert_eq!(database.recording(&added.id).await.expect("finds"), Some(added), "acknowledged, not there");
            }
            (id, outcome)
        });
        if i % 50 == 49 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
    // Whoever gives up waiting takes nobody else's row away.
    adding.spawn({
        let database = Arc::clone(&database);
        async move {
            let left = recording("side-left", 1, Content::Plain { digest: [8; 32], exempt: true, outside: None });
            let _given_up = tokio::time::timeout(std::time::Duration::ZERO, database.add_recording(&left)).await;
            ("side-left".into(), Ok(()))
        }
    });
    let outcomes = adding.join_all().await;
    let (done, refused): (Vec<_>, Vec<_>) = outcomes.iter().partition(|(_, outcome)| outcome.is_ok());
    assert_eq!((done.len(), refused.len()), (181, 20));
    for (id, outcome) in refused {
        assert!(matches!(outcome, Err(Error::RecordingExists(taken)) if taken.as_str() == id), "{id}: {outcome:?}");
    }
}

/// Media that waits, by the spool in which it does; and that it does no more, as long as it is kept as it was.
async fn spools(database: &dyn Database) {
    let (here, elsewhere) = ("http://10.0.0.1:8080", "file://host/var/spool");
    let spool = |text: &str| Some(text.parse().expect("a location"));
    let sealed = |name: &str, at: &str| Recording { spool: spool(at), ..recording(name, 5000, sealed_under(1)) };
    let plain = Content::Plain { digest: [9; 32], exempt: true, outside: None };
    for added in [
        sealed("spool-b", here),
        sealed("spool-a", here),
        sealed("spool-c", elsewhere),
        Recording { spool: spool(here), ..recording("spool-d", 5000, plain) },
    ] {
        database.restore_recording(&added).await.expect("adds");
        assert_eq!(database.recording(&added.id).await.expect("finds"), Some(added));
    }
    let waiting = async |at: &str, after: Option<&str>, limit| {
        let (at, after) = (at.parse().expect("a location"), after.map(id));
        let rows = database.spooled_recordings(&at, after.as_ref(), limit).await.expect("lists");
        rows.into_iter().map(|row| row.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(waiting(here, None, 10).await, ["spool-a", "spool-b", "spool-d"]);
    assert_eq!(waiting(here, None, 1).await, ["spool-a"]);
    assert_eq!(waiting(here, Some("spool-a"), 10).await, ["spool-b", "spool-d"]);
    assert_eq!(waiting(elsewhere, None, 10).await, ["spool-c"]);
    // It was sealed again meanwhile: what was uploaded is not what counts.
    let content = Content::Sealed { fingerprint: Fingerprint([1; 32]), seal_id: SealId([7; 16]), replacement: None };
    let stale = Recording { content, ..sealed("spool-a", here) };
    assert!(matches!(database.note_stored(&stale).await, Err(Error::RecordingChanged(_))));
    assert!(matches!(database.note_stored(&sealed("spool-none", here)).await, Err(Error::RecordingChanged(_))));
    for name in ["spool-a", "spool-d"] {
        let row = database.recording(&id(name)).await.expect("asks").expect("is there");
        for _ in 0..2 {
            database.note_stored(&row).await.expect("notes, and again");
        }
        let stored = database.recording(&id(name)).await.expect("asks");
        assert_eq!(stored, Some(Recording { spool: None, ..row }), "and nothing else is another");
    }
    assert_eq!(waiting(here, None, 10).await, ["spool-b"]);
}

async fn keys_and_switch(database: &dyn Database) {
    let definition_key = LocalDefinitionKey::new(Key::generate().expect("random"));
    let empty = database.load_keys().await.expect("loads");
    assert_eq!((empty.rows.len(), empty.switch), (0, Switch::Untouched));
    assert!(matches!(database.set_encryption(true).await, Err(Error::NoActiveKey)));
    assert_eq!(database.load_keys().await.expect("loads").switch, Switch::Untouched, "nothing was changed");
    let row = KeyRow::generate(&definition_key, time(1000)).await.expect("generates");
    assert_eq!(database.add_keys(std::slice::from_ref(&row)).await.expect("adds"), []);
    assert_eq!(database.add_keys(std::slice::from_ref(&row)).await.expect("is there"), [row.fingerprint]);
    let loaded = database.load_keys().await.expect("loads");
    assert_eq!(loaded.rows, std::slice::from_ref(&row), "every column comes back");
    loaded.rows[0].unwrap(&definition_key).await.expect("and unwraps");
    for (enabled, switch) in [(true, Switch::Enabled), (false, Switch::Disabled), (true, Switch::Enabled)] {
        database.set_encryption(enabled).await.expect("switches");
        assert_eq!(database.load_keys().await.expect("loads").switch, switch);
    }
}

async fn recordings(database: &dyn Database) {
    let sealed = recording("sealed", 5, sealed_under(7));
    let plain = recording("plain", 5, Content::Plain { digest: [3; 32], exempt: true, outside: None });
    let replaced = Recording {
        content: Content::Sealed {
            fingerprint: Fingerprint([7; 32]),
            seal_id: SealId([1; 16]),
            replacement: Some(Replacement::Sealing { fingerprint: Fingerprint([6; 32]), seal_id: SealId([2; 16]) }),
        },
        mended: true,
        state: RecordingState::Unfinished,
        ..recording("replaced", 6, sealed_under(7))
    };
    for recording in [&sealed, &plain, &replaced] {
        database.add_recording(recording).await.expect("adds");
        assert_eq!(database.recording(&recording.id).await.expect("asks").as_ref(), Some(recording));
        assert!(
            matches!(database.add_recording(recording).await, Err(Error::RecordingExists(id)) if id == recording.id)
        );
    }
    assert_eq!(database.recording(&id("Sealed")).await.expect("asks"), None, "IDs differ in case");
    let usage = database.key_usage().await.expect("counts");
    let mut usage: Vec<_> = usage.iter().map(|usage| (usage.fingerprint.0[0], usage.recordings)).collect();
    usage.sort_unstable();
    assert_eq!(usage, [(6, 1), (7, 2)], "one on its way needs both keys");
    for (key, recordings) in [(6, 1), (7, 2), (8, 0)] {
        let needed = database.key_usage_of(&Fingerprint([key; 32])).await.expect("counts");
        assert_eq!(needed, recordings, "of key {key}");
    }

    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = database.recordings(after.as_ref(), 1, &RecordingSet::All).await.expect("lists");
        assert_eq!(page.recordings.len(), 1);
        ids.extend(page.recordings.into_iter().map(|recording| recording.id.to_string()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(ids, ["replaced", "sealed", "plain"], "newest first, IDs downwards within a millisecond");
    for (items, expected) in [
        (vec!["sealed", "plain"], vec!["sealed", "plain"]),
        (vec!["p*", "sealed*"], vec!["sealed", "plain"]),
        (vec!["*"], vec!["replaced", "sealed", "plain"]),
        (vec!["Sealed", "seale", "pl%", "p_ain", "sealed*x", "'", "\"]"], vec![]),
        (vec![], vec![]),
    ] {
        let set = RecordingSet::Listed(items.iter().map(ToString::to_string).collect());
        let page = database.recordings(None, 10, &set).await.expect("lists");
        let found: Vec<String> = page.recordings.iter().map(|recording| recording.id.to_string()).collect();
        assert_eq!((found, page.next), (expected.iter().map(ToString::to_string).collect(), None), "{items:?}");
        assert!(page.recordings.iter().all(|recording| set.has(&recording.id)));
    }
    let set = RecordingSet::Listed(vec!["p*".into(), "replaced".into()]);
    let first = database.recordings(None, 1, &set).await.expect("lists");
    let second = database.recordings(first.next.as_ref(), 1, &set).await.expect("lists");
    assert_eq!((first.recordings[0].id.as_str(), second.recordings[0].id.as_str()), ("replaced", "plain"));
    assert_eq!((first.next.expect("there is more").id.as_str(), second.next), ("replaced", None));
}

async fn changes_of_keys(database: &dyn Database) {
    let (one, other) = (definition_key(), definition_key());
    let old = database.load_keys().await.expect("loads").rows;
    let strange = KeyRow::generate(&one, time(2000)).await.expect("generates");
    assert!(
        matches!(database.add_keys(std::slice::from_ref(&strange)).await, Err(Error::KeysChanged)),
        "a table never lies under two definition keys"
    );
    assert_eq!(database.load_keys().await.expect("loads").rows, old);

    // The rows as another definition key wraps them: this suite has no business with what is in them.
    let mut new = Vec::new();
    for row in &old {
        let wrapped = KeyRow::generate(&one, row.created_at).await.expect("generates");
        new.push(KeyRow { fingerprint: row.fingerprint, ..wrapped });
    }
    assert!(matches!(database.replace_keys(&new, &old).await, Err(Error::KeysChanged)), "not what is there");
    assert!(matches!(database.replace_keys(&[], &[]).await, Err(Error::KeysChanged)), "not all that is there");
    assert_eq!(database.load_keys().await.expect("loads").rows, old, "nothing was changed");
    database.replace_keys(&old, &new).await.expect("replaces");
    assert_eq!(database.load_keys().await.expect("loads").rows, new);
    assert_eq!(database.add_keys(std::slice::from_ref(&strange)).await.expect("adds"), [], "under the same one now");

    let state = |row: &KeyRow, state, by: &KeyRow| KeyRow { state, wrapped: by.wrapped.clone(), ..row.clone() };
    let by = KeyRow::generate(&other, time(1)).await.expect("generates");
    let deactivated = state(&strange, KeyState::Deactivated, &by);
    assert_eq!(database.change_key_state(&strange, &deactivated, false).await.expect("changes"), 0);
    let again = database.change_key_state(&strange, &deactivated, false).await;
    assert!(matches!(again, Err(Error::KeysChanged)), "the row is not what it was");
    database.change_key_state(&deactivated, &strange, false).await.expect("and back");

    database.mark_exported(&[strange.fingerprint], time(3000)).await.expect("marks");
    let rows = database.load_keys().await.expect("loads").rows;
    let marked: Vec<_> = rows.iter().filter(|row| row.exported_at == Some(time(3000))).collect();
    assert_eq!((marked.len(), marked[0].fingerprint), (1, strange.fingerprint));
}

async fn keys_that_recordings_need(database: &dyn Database) {
    let rows = database.load_keys().await.expect("loads").rows;
    let row = rows.last().expect("a key");
    let content = |fingerprint| Content::Sealed { fingerprint, seal_id: SealId([4; 16]), replacement: None };
    let needing = recording("needs", 7, content(row.fingerprint));
    database.add_recording(&needing).await.expect("adds");
    let by = KeyRow::generate(&definition_key(), time(1)).await.expect("generates");
    let deactivated = KeyRow { state: KeyState::Deactivated, wrapped: by.wrapped, ..row.clone() };
    match database.change_key_state(row, &deactivated, false).await {
        Err(Error::KeyNeeded { fingerprint, recordings: 1 }) if fingerprint == row.fingerprint => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(database.load_keys().await.expect("loads").rows, rows, "nothing was changed");
    assert_eq!(database.change_key_state(row, &deactivated, true).await.expect("forced"), 1);
    let late = recording("late", 8, content(row.fingerprint));
    match database.add_recording(&late).await {
        Err(Error::KeyDeactivated(fingerprint)) if fingerprint == row.fingerprint => {}
        other => panic!("{other:?}"),
    }
    database.restore_recording(&late).await.expect("what is there already is catalogued all the same");
    assert!(matches!(database.restore_recording(&late).await, Err(Error::RecordingExists(_))));
    let under = async |after: Option<&str>| {
        let after = after.map(id);
        let under = database.recordings_under(&row.fingerprint, after.as_ref(), 1).await.expect("lists");
        under.into_iter().map(|recording| recording.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(under(None).await, ["late"], "by ID, a page at a time");
    assert_eq!(under(Some("late")).await, ["needs"]);
    assert!(under(Some("needs")).await.is_empty());
}

async fn replacements(database: &dyn Database) {
    let old = sealed_under(9);
    database.add_recording(&recording("moves", 10, old.clone())).await.expect("adds");
    let pending = |replacement| Content::Sealed {
        fingerprint: Fingerprint([9; 32]),
        seal_id: SealId([1; 16]),
        replacement: Some(replacement),
    };
    let header = pending(Replacement::Header { fingerprint: Fingerprint([5; 32]), header: Box::new([0xAB; 512]) });
    let sealing = pending(Replacement::Sealing { fingerprint: Fingerprint([5; 32]), seal_id: SealId([2; 16]) });
    let new = Content::Sealed { fingerprint: Fingerprint([5; 32]), seal_id: SealId([2; 16]), replacement: None };
    let content = || async { database.recording(&id("moves")).await.expect("asks").expect("is there").content };
    for (from, to) in [(&old, &header), (&header, &old), (&old, &sealing), (&sealing, &new)] {
        for other in [&old, &header, &sealing, &new].into_iter().filter(|other| *other != from) {
            let refused = database.replace_content(&id("moves"), other, to).await;
            assert!(matches!(refused, Err(Error::RecordingChanged(_))), "{other:?} is not what is there");
        }
        database.replace_content(&id("moves"), from, to).await.expect("replaces");
        assert_eq!(content().await, *to, "every column comes back");
    }
    let gone = database.replace_content(&id("none"), &old, &new).await;
    assert!(matches!(gone, Err(Error::RecordingChanged(_))));
    let growing = Recording {
        state: RecordingState::Recording { lease_until: time(100) },
        ..recording("written", 11, old.clone())
    };
    database.add_recording(&growing).await.expect("adds");
    let early = database.replace_content(&growing.id, &old, &new).await;
    assert!(matches!(early, Err(Error::RecordingChanged(_))), "a writer is at work");

    assert_eq!(database.unfinished_reseal().await.expect("asks"), None);
    let run = ResealRun { begun: time(77), to: Fingerprint([5; 32]) };
    database.note_reseal(Some(&run)).await.expect("notes");
    assert_eq!(database.unfinished_reseal().await.expect("asks"), Some(run));
    database.note_reseal(None).await.expect("strikes");
    assert_eq!(database.unfinished_reseal().await.expect("asks"), None);
}

async fn settlements(database: &dyn Database) {
    let before =
        Recording { state: RecordingState::Unfinished, media_len: 5, ..recording("settles", 11, sealed_under(9)) };
    database.add_recording(&before).await.expect("adds");
    let content = Content::Sealed { fingerprint: Fingerprint([5; 32]), seal_id: SealId([2; 16]), replacement: None };
    let after = Recording { media_len: 77, state: RecordingState::Complete, mended: true, content, ..before.clone() };
    let other = database.settle_recording(&after.content, &after).await;
    assert!(matches!(other, Err(Error::RecordingChanged(_))), "it is not sealed so");
    database.settle_recording(&before.content, &after).await.expect("settles");
    assert_eq!(database.recording(&before.id).await.expect("asks"), Some(after.clone()));
    let late = database.settle_recording(&before.content, &after).await;
    assert!(matches!(late, Err(Error::RecordingChanged(_))), "it is not as it was");
    let plain = |digest| Content::Plain { digest: [digest; 32], exempt: true, outside: None };
    let kept = recording("settles-plain", 12, plain(1));
    database.add_recording(&kept).await.expect("adds");
    let told = Recording { media_len: 1234, ..kept.clone() };
    let other = database.settle_recording(&plain(2), &told).await;
    assert!(matches!(other, Err(Error::RecordingChanged(_))), "of other bytes");
    database.settle_recording(&kept.content, &told).await.expect("settles");
    let growing = Recording {
        state: RecordingState::Recording { lease_until: time(1) },
        ..recording("settles-not", 13, sealed_under(9))
    };
    database.add_recording(&growing).await.expect("adds");
    let ended = Recording { state: RecordingState::Complete, ..growing.clone() };
    let early = database.settle_recording(&growing.content, &ended).await;
    assert!(early.is_err(), "its writer may be at work");

    let mut found = database.recordings_of(&["settles", "none", "settles-plain"].map(id)).await.expect("asks");
    found.sort_by(|one, other| one.id.as_str().cmp(other.id.as_str()));
    assert_eq!(found, [after, told]);
    assert_eq!(database.recordings_of(&[]).await.expect("asks"), []);
}

/// From its beginning to its end a purge is told by the row; it may begin more than once.
async fn purges(database: &dyn Database) {
    let goes = recording("goes", 1, Content::Plain { digest: [8; 32], exempt: true, outside: None });
    database.add_recording(&goes).await.expect("adds");
    for _ in 0..2 {
        database.begin_purge(&goes.id, Timestamp::from_millis(2).expect("in range")).await.expect("begins");
        assert!(database.recording(&goes.id).await.expect("finds").is_some_and(|row| row.is_purging()));
    }
    // Else what takes its place could come to lie behind whoever takes away what there is.
    let other = Content::Plain { digest: [9; 32], exempt: true, outside: None };
    let replaced = database.replace_content(&goes.id, &goes.content, &other).await;
    assert!(matches!(replaced, Err(Error::RecordingChanged(_))), "{replaced:?}");
    let settled = database.settle_recording(&goes.content, &Recording { content: other, ..goes.clone() }).await;
    assert!(matches!(settled, Err(Error::RecordingChanged(_))), "{settled:?}");
    database.end_purge(&goes.id).await.expect("ends");
    assert_eq!(database.recording(&goes.id).await.expect("finds"), None);
    let begun = database.begin_purge(&goes.id, Timestamp::from_millis(2).expect("in range")).await;
    assert!(matches!(begun, Err(Error::RecordingNotFound(_))), "{begun:?}");
}

async fn plain_ones(database: &dyn Database) {
    let counted = database.plain_count().await.expect("counts");
    let outside: Option<sealtape::base::Location> = Some("file:///srv/archive/a%20b.wav".parse().expect("a URL"));
    let plain = |name: &str, exempt, outside| recording(name, 20, Content::Plain { digest: [3; 32], exempt, outside });
    let (lies_outside, stored) = (plain("zz-outside", false, outside.clone()), plain("zz-stored", false, None));
    let exempt = plain("zz-exempt", true, outside.clone());
    for recording in [&lies_outside, &stored, &exempt] {
        database.add_recording(recording).await.expect("adds");
        let found = database.recording(&recording.id).await.expect("asks");
        assert_eq!(found.as_ref(), Some(recording), "every column comes back");
    }
    let count = database.plain_count().await.expect("counts");
    assert_eq!((count.exempt - counted.exempt, count.others - counted.others, count.left), (1, 2, 0));
    let first = database.plain_recordings(Some(&id("zz")), 1).await.expect("lists");
    assert_eq!(first, std::slice::from_ref(&lies_outside), "by ID, a page at a time, and no exempt one");
    let rest = database.plain_recordings(Some(&lies_outside.id), 10).await.expect("lists");
    assert_eq!(rest, std::slice::from_ref(&stored));

    let keys = database.load_keys().await.expect("loads").rows;
    let deactivated = keys.iter().find(|key| key.state == KeyState::Deactivated).expect("one was").fingerprint;
    let key = Fingerprint([0x77; 32]);
    let sealed = |of: &Recording, fingerprint| Recording {
        content: Content::Sealed { fingerprint, seal_id: SealId([9; 16]), replacement: None },
        ..of.clone()
    };
    let left = |of: &Recording| PlainLeft {
        id: of.id.clone(),
        outside: of.content.outside().cloned(),
        is_part: false,
        len: of.media_len,
        digest: [3; 32],
    };
    let content = |digest, exempt, outside| Content::Plain { digest: [digest; 32], exempt, outside };
    for (other, what) in [
        (Recording { media_len: 1, ..lies_outside.clone() }, "length"),
        (Recording { content: content(4, false, outside.clone()), ..lies_outside.clone() }, "digest"),
        (Recording { content: content(3, true, outside.clone()), ..lies_outside.clone() }, "exemption"),
        (Recording { content: content(3, false, None), ..lies_outside.clone() }, "place"),
        (Recording { state: RecordingState::Unfinished, ..lies_outside.clone() }, "state"),
        (Recording { id: id("zz-none"), ..lies_outside.clone() }, "ID"),
    ] {
        let refused = database.seal_recording(&other, &sealed(&other, key), &left(&other)).await;
        assert!(matches!(refused, Err(Error::RecordingChanged(_))), "another {what}: {refused:?}");
    }
    let refused = database.seal_recording(&stored, &sealed(&stored, deactivated), &left(&stored)).await;
    assert!(matches!(refused, Err(Error::KeyDeactivated(_))), "{refused:?}");
    assert_eq!(database.plain_left(0, 10).await.expect("lists"), [], "nothing was noted");
    for recording in [&lies_outside, &stored, &exempt] {
        database.seal_recording(recording, &sealed(recording, key), &left(recording)).await.expect("seals");
        let found = database.recording(&recording.id).await.expect("asks");
        assert_eq!(found, Some(sealed(recording, key)), "every column comes back");
        let again = database.seal_recording(recording, &sealed(recording, key), &left(recording)).await;
        assert!(matches!(again, Err(Error::RecordingChanged(_))), "it is sealed already");
    }
    let count = database.plain_count().await.expect("counts");
    assert_eq!((count.exempt, count.others, count.left), (counted.exempt, counted.others, 3));
    let page = database.plain_left(0, 2).await.expect("lists");
    assert_eq!(page.iter().map(|(_, left)| left.clone()).collect::<Vec<_>>(), [left(&lies_outside), left(&stored)]);
    for (place, is_left) in [(outside.clone(), true), (Some("file:///srv/other".parse().expect("a URL")), false)] {
        let place = place.expect("a place");
        assert_eq!(database.is_plain_left(&lies_outside.id, &place).await.expect("asks"), is_left, "{place}");
    }
    let rest = database.plain_left(page[1].0, 2).await.expect("lists");
    assert_eq!((rest.len(), &rest[0].1), (1, &left(&exempt)));
    for recording in [&lies_outside, &stored, &exempt, &exempt] {
        database.forget_plain_left(&left(recording)).await.expect("strikes, once or twice");
    }
    assert_eq!(database.plain_left(0, 10).await.expect("lists"), []);
}

async fn progress(database: &dyn Database) {
    let state = |until| RecordingState::Recording { lease_until: time(until) };
    let growing = Recording { state: state(100), ..recording("growing", 9, sealed_under(8)) };
    database.add_recording(&growing).await.expect("adds");
    let at = |media_len, state| Recording { media_len, state, ..growing.clone() };
    database.update_progress(&at(4096, state(200))).await.expect("renews");
    let now = database.recording(&growing.id).await.expect("asks").expect("is there");
    assert_eq!((now.media_len, now.state), (4096, state(200)));
    assert_eq!(now.state_at(time(200)), state(200));
    assert_eq!(now.state_at(time(201)), RecordingState::Unfinished, "a lease that lapsed");
    database.update_progress(&at(5000, RecordingState::Complete)).await.expect("ends");
    let late = database.update_progress(&at(1, RecordingState::Unfinished)).await;
    assert!(matches!(late, Err(Error::RecordingNotFound(_))), "what has ended does not go on");
    assert_eq!(database.recording(&growing.id).await.expect("asks").expect("is there").media_len, 5000);
}

async fn changes_are_seen(one: &dyn Database, other: &dyn Database) {
    let counted = async |before: u64, what: &str| {
        let deadline = Instant::now() + Duration::from_secs(1);
        loop {
            let now = one.change_counter().await.expect("counts");
            if now != before {
                return now;
            }
            assert!(Instant::now() < deadline, "{what} is not seen within a second");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let settled = async || {
        one.change_counter().await.expect("counts");
        tokio::time::sleep(Duration::from_millis(300)).await;
        one.change_counter().await.expect("counts")
    };
    let before = settled().await;
    assert_eq!(before, settled().await, "nothing changed");
    other.set_encryption(false).await.expect("switches");
    counted(before, "another process's change").await;
    let before = settled().await;
    one.set_encryption(true).await.expect("switches");
    assert_ne!(before, one.change_counter().await.expect("counts"), "its own change, at once");
    let held = other.recording(&id("plain")).await.expect("asks").expect("is there");
    for (what, change) in [("a hold", Some(time(5))), ("the end of a hold", None)] {
        let before = settled().await;
        other.hold(&held.id, change).await.expect("holds");
        counted(before, what).await;
    }
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.db");
    SqliteDatabase::open(&path, true).await.expect("opens").close().await;
    make_newer(&path).await;
    let before = std::fs::read(&path).expect("read");
    match SqliteDatabase::open(&path, true).await.err() {
        Some(Error::NewerVersion { found: 9999, known: 7 }) => {}
        other => panic!("{other:?}"),
    }
    assert!(std::fs::read(&path).expect("read") == before);
}

#[tokio::test]
async fn a_database_that_is_missing_or_replaced_is_not_made_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.db");
    assert!(matches!(SqliteDatabase::open(&path, false).await.err(), Some(Error::Missing)));
    assert!(!path.exists());
    let database = SqliteDatabase::open(&path, true).await.expect("opens");
    database.change_counter().await.expect("counts");
    std::fs::rename(&path, folder.path().join("moved.db")).expect("moved");
    assert!(matches!(database.change_counter().await, Err(Error::Unavailable(_))));
    let lost = database.add_recording(&recording("lost", 1, sealed_under(1))).await;
    assert!(matches!(lost, Err(Error::Unavailable(_))), "nothing is acknowledged that would be lost");
    assert!(!path.exists());
    SqliteDatabase::open(&path, true).await.expect("another one");
    assert!(matches!(database.change_counter().await, Err(Error::Unavailable(_))), "another file in its place");
}

#[tokio::test]
async fn many_open_a_new_database_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.db");
    let opened: Vec<_> = (0..8)
        .map(|_| {
            let path = path.clone();
            tokio::spawn(async move { SqliteDatabase::open(&path, true).await.map(|_database| ()) })
        })
        .collect();
    for one in opened {
        one.await.expect("runs").expect("opens");
    }
}

/// Adds a migration that this build does not know.
pub async fn make_newer(path: &Path) {
    use sqlx::Connection;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("connects");
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'x', 1, x'00', 0)",
    )
    .execute(&mut connection)
    .await
    .expect("inserts");
    connection.close().await.expect("closes");
}

pub fn options(url: &str) -> PostgresOptions {
    PostgresOptions {
        url: url.to_owned(),
        max_connections: 8,
        connect_timeout: Duration::from_secs(5),
        statement_timeout: Duration::from_secs(15),
        lock_timeout: Duration::from_secs(5),
    }
}

pub fn definition_key() -> LocalDefinitionKey {
    LocalDefinitionKey::new(Key::generate().expect("random"))
}

pub fn recording(name: &str, millis: u64, content: Content) -> Recording {
    Recording {
        id: id(name),
        media_type: "audio/ogg; codecs=opus".parse().expect("a media type"),
        media_len: 1 << 40,
        state: RecordingState::Complete,
        mended: false,
        created_at: time(millis),
        content,
        spool: None,
        about: None,
    }
}

fn sealed_under(key: u8) -> Content {
    Content::Sealed { fingerprint: Fingerprint([key; 32]), seal_id: SealId([1; 16]), replacement: None }
}

pub fn id(text: &str) -> RecordingId {
    text.parse().expect("an ID")
}

pub fn time(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis).expect("in range")
}
