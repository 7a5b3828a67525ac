//! What a million recordings, a thousand keys and thousands of players cost: what few of them cost.
//!
//! Counts of work, descriptors and bytes, never times; `benches/scale.rs` measures those.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sealtape::access::RecordingSet;
use sealtape::base::Timestamp;
use sealtape::catalogue::{Cursor, Database, Filter, ListedState, Recording, RecordingState};
use sealtape::db::SqliteDatabase;
use sealtape::kms::FileDefinitionKeys;
use sealtape::service::{KeyWatch, Playback, PlaybackSettings};
use sealtape::storage::LocalStore;
use serde_json::Value;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, Row};

use crate::support::catalogue::{
    AGENT, OLDEST_MILLIS, RARE, RARE_COUNT, TAG, WORDS, connect, describe as describe_all, fill,
};
use crate::support::{PASSPHRASE, Server, System, get, handmade_export, handmade_key, now, peak_memory, text};

/// Of the large catalogue.
fn many() -> u64 {
    if is_full() { 1_000_000 } else { 20_000 }
}

fn is_full() -> bool {
    std::env::var_os("SEALTAPE_TESTS_FULL").is_some()
}

/// A system with so many recordings, one of them real, under so many keys.
async fn catalogue(recordings: u64, keys: u32) -> System {
    let system = System::with_key();
    system.import("real", b"media");
    if keys > 1 {
        let keys: Vec<_> = (1..keys).map(|number| handmade_key(number, "2024-01-01T00:00:00Z", "active")).collect();
        let export = system.file("keys.age", &handmade_export(&keys));
        let mut import = system.command(&["keys", "import", export.to_str().expect("UTF-8")]);
        assert!(import.env("SEALTAPE_PASSPHRASE", PASSPHRASE).output().expect("runs").status.success());
    }
    fill(&database(&system), recordings - 1).await;
    system
}

fn database(system: &System) -> std::path::PathBuf {
    system.data_dir().join("sealtape.db")
}

/// Every statement that SQLite is asked, by its name.
fn statements() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/db/sql");
    let folders = [folder.join("sqlite"), folder];
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("a folder"));
    let mut statements: Vec<_> = entries
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_stem().expect("a name").to_str().expect("UTF-8").to_owned();
            (name, fs::read_to_string(path).expect("read"))
        })
        .collect();
    statements.sort();
    statements
}

/// Keys are few, and are read whole; a count of every recording has to meet every recording.
const READ_WHOLE: [&str; 6] =
    ["key_usage", "key_usage_to_come", "keys_count", "keys_count_active", "keys_count_under_others", "keys_load"];
/// Of what a caller was granted, the newest that fit on a page.
const SORTS: [&str; 3] = ["keys_load", "recordings_page_all", "recordings_page_near"];

#[tokio::test]
async fn an_index_answers_every_statement() {
    let system = catalogue(1000, 1).await;
    let mut connection = connect(&database(&system)).await;
    let mut seen = 0;
    for (name, statement) in statements() {
        let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")));
        let plan = plan.fetch_all(&mut connection).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        for step in plan.iter().map(|step| step.get::<String, _>("detail")) {
            seen += 1;
            let is_scan = ["recording", "granted", "database_key", "setting"]
                .iter()
                .any(|table| step == format!("SCAN {table}") || step.starts_with(&format!("SCAN {table} ")));
            assert!(!is_scan || READ_WHOLE.contains(&name.as_str()), "{name}: {step}");
            let is_sort = step.contains("TEMP B-TREE");
            assert!(!is_sort || SORTS.contains(&name.as_str()), "{name}: {step}");
        }
    }
    assert!(seen > 20, "{seen} steps");
}

/// What a parameter of a statement is.
#[derive(Clone)]
enum Parameter {
    Int(i64),
    Text(String),
    Key(Vec<u8>),
}

/// How many instructions SQLite's machine takes for a statement, and how many rows it gives.
async fn work(connection: &mut SqliteConnection, statement: &'static str, values: &[Parameter]) -> (u64, usize) {
    let instructions = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&instructions);
    let mut query = sqlx::query(statement);
    for value in values {
        query = match value.clone() {
            Parameter::Int(number) => query.bind(number),
            Parameter::Text(text) => query.bind(text),
            Parameter::Key(key) => query.bind(key),
        };
    }
    let count = move || {
        counter.fetch_add(1, Ordering::Relaxed);
        true
    };
    connection.lock_handle().await.expect("locks").set_progress_handler(1, count);
    let rows = query.fetch_all(&mut *connection).await.expect("asks").len();
    connection.lock_handle().await.expect("locks").remove_progress_handler();
    (instructions.load(Ordering::Relaxed), rows)
}

#[tokio::test]
async fn a_page_takes_as_much_work_in_a_large_catalogue_as_in_a_small_one() {
    let few = 1000;
    let mut seen = Vec::new();
    for (count, keys) in [(few, 1), (many(), if is_full() { 1000 } else { 20 })] {
        let system = catalogue(count, keys).await;
        let mut connection = connect(&database(&system)).await;
        let key: (Vec<u8>,) = sqlx::query_as("SELECT fingerprint FROM recording WHERE id LIKE 'rare.%'")
            .fetch_one(&mut connection)
            .await
            .expect("a key");
        let key = || Parameter::Key(key.0.clone());
        let from = |number: u64| {
            let millis = OLDEST_MILLIS + number * 1000;
            vec![Parameter::Int(millis.cast_signed()), Parameter::Text("zz".into()), Parameter::Int(101)]
        };
        let newest = || vec![Parameter::Int(i64::MAX), Parameter::Text(String::new()), Parameter::Int(101)];
        let rare = || Parameter::Text(format!(r#"[["{RARE}","{RARE}\u007f"]]"#));
        let page = include_str!("../src/db/sql/recordings_page.sql");
        let page_near = include_str!("../src/db/sql/sqlite/recordings_page_near.sql");
        let page_all = include_str!("../src/db/sql/sqlite/recordings_page_all.sql");
        let under = include_str!("../src/db/sql/sqlite/recordings_under.sql");
        let find = include_str!("../src/db/sql/recording_find.sql");
        let mut works = Vec::new();
        for (what, statement, values) in [
            ("the first page", page, newest()),
            ("a page in the middle", page, from(count / 2)),
            ("the last page", page, from(90)),
            ("the few oldest, looked for near", page_near, [newest(), vec![rare(), Parameter::Int(500)]].concat()),
            ("the few oldest", page_all, [newest(), vec![rare()]].concat()),
            ("one recording", find, vec![Parameter::Text("real".into())]),
            ("a page under a key", under, vec![key(), Parameter::Text(String::new()), Parameter::Int(10)]),
        ] {
            works.push((what, work(&mut connection, statement, &values).await));
        }
        connection.close().await.expect("closes");
        seen.push(works);
    }
    for ((what, (small, rows)), (_, (large, rows_of_large))) in seen[0].iter().zip(&seen[1]) {
        println!("{what}: {small} : {large} instructions, {rows} : {rows_of_large} rows");
        assert!(*small > 10, "{what}: {small} instructions are counted");
        assert!(*large <= small + small / 10 + 20, "{what}: {small} instructions, and {large} among many");
        assert!(rows_of_large.abs_diff(*rows) <= rows / 2, "{what}: {rows} rows, and {rows_of_large}");
    }
}

/// Whatever a caller was granted, their pages are those of the whole catalogue without all else.
#[tokio::test]
async fn the_pages_of_a_grant_are_those_of_the_catalogue() {
    let system = catalogue(many().min(20_000), 20).await;
    let database = SqliteDatabase::open(&database(&system), false).await.expect("opens");
    let all = pages(&database, &RecordingSet::All, 1000).await;
    assert_eq!(all.len() as u64, many().min(20_000));
    assert!(all.is_sorted_by(|a, b| (a.created_at, &a.id) > (b.created_at, &b.id)), "newest first");
    let ids = |every: usize| all.iter().step_by(every).map(|recording| recording.id.to_string()).collect::<Vec<_>>();
    let prefixes = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    for (items, limit) in [
        (prefixes(&["rare.*"]), 3),
        (prefixes(&["rare.*", "real"]), 100),
        (prefixes(&["old.*"]), 1000),
        (prefixes(&["old.*", "team-17.*", "old.0*", "team-1*"]), 1000),
        (prefixes(&["team-17.*"]), 7),
        (prefixes(&["*"]), 1000),
        (prefixes(&["r*", "nobody", "team-17.0*"]), 2),
        (ids(700), 5),
        // More than are compared with the newest recordings one by one.
        (ids(5), 1000),
        ([ids(5), prefixes(&["team-5*"])].concat(), 1000),
        (prefixes(&["none.*"]), 10),
    ] {
        let set = RecordingSet::Listed(items);
        let expected: Vec<_> = all.iter().filter(|recording| set.has(&recording.id)).collect();
        let found = pages(&database, &set, limit).await;
        assert!(found.iter().eq(expected.iter().copied()), "{set:?}: {} of {}", found.len(), expected.len());
    }
    let rare = RecordingSet::Listed(vec![format!("{RARE}*")]);
    assert_eq!(pages(&database, &rare, 100).await.len() as u64, RARE_COUNT);
    database.close().await;
}

/// Whatever is looked for, the pages are those of the whole catalogue without all else, however seldom wishes meet.
#[tokio::test]
async fn the_pages_of_a_search_are_those_of_the_catalogue() {
    let system = catalogue(many().min(300_000), 1).await;
    describe_all(&database(&system)).await;
    let database = SqliteDatabase::open(&database(&system), false).await.expect("opens");
    let all = pages(&database, &RecordingSet::All, 1000).await;
    let text = |text: &str| Some(text.to_owned());
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    let [often, seldom] = WORDS;
    let unfinished = Some(ListedState::Unfinished(Timestamp::MAX));
    let team = RecordingSet::Listed(vec!["team-17.*".into()]);
    let rare = RecordingSet::Listed(vec![format!("{RARE}*")]);
    for (filter, set, limit) in [
        // They never meet.
        (Filter { tag: text(TAG), agent: text(AGENT), ..Filter::default() }, RecordingSet::All, 100),
        (Filter { agent: text(AGENT), state: unfinished, ..Filter::default() }, RecordingSet::All, 100),
        (Filter { tag: text(TAG), words: words(&[often, "nobody"]), ..Filter::default() }, RecordingSet::All, 100),
        (Filter { state: unfinished, words: words(&[often]), ..Filter::default() }, RecordingSet::All, 100),
        (Filter { tag: text("usual"), words: words(&["nobody"]), ..Filter::default() }, rare.clone(), 1),
        // Seldom.
        (Filter { tag: text(TAG), ..Filter::default() }, rare.clone(), 100),
        (Filter { agent: text(AGENT), words: words(&[seldom]), ..Filter::default() }, RecordingSet::All, 1),
        (Filter { tag: text(TAG), words: words(&[seldom]), ..Filter::default() }, RecordingSet::All, 1),
        (Filter { group: text("call-7"), tag: text(TAG), ..Filter::default() }, RecordingSet::All, 1),
        (Filter { tag: text(TAG), ..Filter::default() }, team.clone(), 10),
        (Filter { words: words(&[often]), ..Filter::default() }, rare, 2),
        // Always.
        (Filter { words: words(&[often]), state: Some(ListedState::Complete), ..Filter::default() }, team, 1000),
        (Filter { tag: text(TAG), words: words(&[often]), ..Filter::default() }, RecordingSet::All, 1000),
    ] {
        let expected: Vec<_> = all.iter().filter(|one| set.has(&one.id) && has(one, &filter)).collect();
        let (mut found, mut after, mut asked) = (Vec::new(), None, 0);
        loop {
            let page = database.search(&filter, after.as_ref(), limit, &set).await.expect("answers in time");
            assert!(page.recordings.len() <= limit as usize);
            found.extend(page.recordings);
            asked += 1;
            let Some(next) = page.next else { break };
            assert!(after.is_none_or(|after: Cursor| (next.listed_at, &next.id) < (after.listed_at, &after.id)));
            after = Some(next);
        }
        println!("{filter:?}: {} in {asked} pages of {limit}", found.len());
        assert!(found.iter().eq(expected.iter().copied()), "{filter:?}: {} of {}", found.len(), expected.len());
    }
    database.close().await;
}

/// What a filter means, as a person would say it.
fn has(recording: &Recording, filter: &Filter) -> bool {
    let about = recording.about.as_deref();
    let metadata = about.map(|about| about.metadata.clone()).unwrap_or_default();
    let spoken = metadata.parties.iter().chain(&metadata.agent).flat_map(|text| text.split([' ', '-']));
    // As `describe` says them: the agent whole, and one word that only the oldest have.
    let is_old = recording.listed_at().millis() < OLDEST_MILLIS + 7000 && about.is_some();
    let known: Vec<&str> = spoken
        .chain(metadata.agent.as_deref())
        .chain(is_old.then_some(WORDS[1]))
        .chain([recording.id.as_str()])
        .collect();
    filter.tag.as_ref().is_none_or(|tag| metadata.tags.contains(tag))
        && filter.agent.as_ref().is_none_or(|agent| metadata.agent.as_ref() == Some(agent))
        && filter.group.as_ref().is_none_or(|group| metadata.group.as_ref() == Some(group))
        && filter.words.iter().all(|word| known.iter().any(|known| known.starts_with(word.as_str())))
        && match filter.state {
            None => true,
            Some(ListedState::Complete) => recording.state == RecordingState::Complete,
            Some(ListedState::Recording(_) | ListedState::Unfinished(_)) => recording.state != RecordingState::Complete,
        }
}

/// Every page of a set.
async fn pages(database: &SqliteDatabase, set: &RecordingSet, limit: u32) -> Vec<Recording> {
    let (mut recordings, mut after): (Vec<Recording>, Option<Cursor>) = (Vec::new(), None);
    loop {
        let page = database.recordings(after.as_ref(), limit, set).await.expect("lists");
        let is_full_page = page.recordings.len() as u32 == limit;
        assert!(page.next.is_none() || is_full_page, "a page is short only at the end");
        recordings.extend(page.recordings);
        after = page.next;
        if after.is_none() {
            return recordings;
        }
    }
}

/// A server starts, and a key is made, without a look at a single recording: here there is nothing to look at.
#[tokio::test]
async fn neither_a_start_nor_a_new_key_looks_at_recordings() {
    let system = catalogue(1000, 20).await;
    let mut connection = connect(&database(&system)).await;
    sqlx::query("DROP TABLE recording").execute(&mut connection).await.expect("dropped");
    connection.close().await.expect("closes");
    let server = system.serve();
    assert_eq!(server.get("/readyz").status, 200);
    system.ok(&["keys", "generate"]);
    let error = system.fails(1, &["keys", "list"]);
    assert!(error.contains("recording"), "that one counts them: {error}");
}

#[tokio::test]
async fn keys_are_listed_with_their_recordings_and_are_not_deactivated() {
    let keys = if is_full() { 1000 } else { 50 };
    let system = catalogue(many(), keys).await;
    let listed = system.json(&["keys", "list"]);
    let listed = listed.as_array().expect("a list");
    let of = |at: usize| listed[at]["recordings"].as_u64().expect("a count");
    assert_eq!(listed.len(), keys as usize);
    assert_eq!((0..listed.len()).map(of).sum::<u64>(), many());
    for (at, key) in listed.iter().enumerate() {
        assert!(of(at).abs_diff(many() / u64::from(keys)) <= 1, "{key}");
    }
    let fingerprint = listed[7]["fingerprint"].as_str().expect("a fingerprint");
    let error = system.fails(1, &["keys", "deactivate", fingerprint]);
    assert!(error.contains(&of(7).to_string()), "{error}");
    system.ok(&["keys", "deactivate", fingerprint, "--force"]);
    let again = system.json(&["keys", "deactivate", fingerprint, "--force"]);
    assert_eq!((again["unplayable"].as_u64(), again["changed"].as_bool()), (Some(of(7)), Some(false)));
}

/// A catalogue is listed a page at a time, and that cannot be seen.
#[tokio::test]
async fn a_list_of_any_length_takes_little_memory() {
    let system = catalogue(many(), 20).await;
    for json in [true, false] {
        let out = system.path("list");
        let mut command = system.command(&["recordings", "list"]);
        command.args(json.then_some("--json")).stdout(fs::File::create(&out).expect("made"));
        let mut list = command.spawn().expect("runs");
        let mut peak = 0;
        while list.try_wait().expect("waits").is_none() {
            peak = peak.max(peak_memory(list.id()).unwrap_or(0));
            std::thread::sleep(Duration::from_millis(5));
        }
        println!("{} recordings listed in {} MiB", many(), peak >> 20);
        assert!(peak > 0 && peak < 64 << 20, "{} MiB", peak >> 20);
        let text = fs::read_to_string(&out).expect("read");
        if json {
            let document: Value = serde_json::from_str(&text).expect("one document");
            assert_eq!(document.as_array().expect("a list").len() as u64, many());
            assert!(text.starts_with("[\n  {\n    \"id\": ") && text.ends_with("\n  }\n]\n"), "as if printed at once");
            assert_eq!(text.matches("\n  },\n  {\n").count() as u64, many() - 1);
        } else {
            assert_eq!(text.lines().count() as u64, many() + 1);
            assert!(text.starts_with("ID "), "{:.100}", text);
        }
    }
    let none = System::with_key();
    assert_eq!(none.ok(&["recordings", "list", "--json"]), "[]\n");
}

/// The sealed files of a system that a process has open.
fn open_media(pid: u32, system: &System) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs");
    let names = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let media = system.data_dir().join("media");
    let below = names.filter(|path| path.starts_with(&media)).map(|path| path.display().to_string());
    below.filter(|path| path.contains(".sealed")).collect()
}

/// What `/metrics` says of a name and its labels.
fn metric(server: &Server, name: &str) -> u64 {
    let page = text(&server.get("/metrics").body);
    let line = page.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_else(|| panic!("{name}"));
    line.rsplit_once(' ').expect("a value").1.parse().unwrap_or_else(|_| panic!("{line}"))
}

/// Asks for a recording and reads the first bytes of it; whoever holds this goes on playing.
fn begin_to_play(server: &Server, id: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&server.address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
    write!(stream, "GET /recordings/{id}/media HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut head = [0; 16];
    stream.read_exact(&mut head).expect("begins");
    assert!(head.starts_with(b"HTTP/1.1 200"), "{}", text(&head));
    stream
}

/// Recordings of so many bytes, imported by one command.
fn import_many(system: &System, count: usize, len: usize) -> Vec<String> {
    let folder = system.path("many");
    fs::create_dir(&folder).expect("made");
    let ids: Vec<String> = (0..count).map(|number| format!("call-{number:05}")).collect();
    let mut arguments = vec!["import".to_owned()];
    for id in &ids {
        let path = folder.join(format!("{id}.bin"));
        fs::write(&path, vec![id.as_bytes()[9]; len]).expect("written");
        arguments.push(path.to_str().expect("UTF-8").to_owned());
    }
    system.ok(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    fs::remove_dir_all(folder).expect("removed");
    ids
}

/// How many recordings stay open when nobody plays them.
const IDLE_MAX: usize = 512;
/// What a cache may hold for a moment above its limit.
const LATE: usize = 400;

#[test]
fn a_recording_has_one_descriptor_however_many_play_it() {
    let players = if is_full() { 1000 } else { 50 };
    let system = System::with_key();
    system.import("long", &vec![7; 64 << 20]);
    let server = system.serve();
    let playing: Vec<_> = (0..players).map(|_| begin_to_play(&server, "long")).collect();
    assert_eq!(open_media(server.pid(), &system).len(), 1, "{players} players of one recording");
    let open = |server: &Server| metric(server, "sealtape_recordings_open");
    assert!(server.wait_until(Duration::from_secs(20), |server| open(server) == 1));
    assert_eq!(metric(&server, "sealtape_streams_active"), players, "they do play");
    drop(playing);
}

/// More recordings are played at once than stay open by themselves, each by several, who come one after the other.
#[tokio::test]
async fn whoever_comes_late_shares_what_is_open() {
    let count = if is_full() { 2000 } else { 700 };
    let system = System::with_key();
    let ids = import_many(&system, count, 1000);
    let database = SqliteDatabase::open(&database(&system), false).await.expect("opens");
    let database: Arc<dyn Database> = Arc::new(database);
    let holder = Arc::new(FileDefinitionKeys::at(&system.data_dir().join("definition.key")));
    let keys = KeyWatch::load(Arc::clone(&database), holder).await.expect("loads");
    let store = Arc::new(LocalStore::open(&system.data_dir().join("media"), false).expect("opens"));
    let settings = PlaybackSettings { allow_plain: true };
    let playback = Playback::new(Arc::clone(&database), store, keys, Arc::new(now), settings);
    let mut players = Vec::new();
    for _ in 0..3 {
        for id in &ids {
            players.push(playback.open(&id.parse().expect("an ID")).await.expect("opens"));
        }
    }
    let open = open_media(std::process::id(), &system);
    println!("{} players of {count} recordings: {} descriptors", players.len(), open.len());
    assert_eq!(open.len(), count, "each recording is open, and none twice");
    for (first, late) in players[..count].iter().zip(&players[2 * count..]) {
        assert!(Arc::ptr_eq(first, late), "{}", first.id.as_str());
    }
    drop((players, playback));
    // Files are closed on threads that may wait for that.
    let deadline = Instant::now() + Duration::from_secs(20);
    while !open_media(std::process::id(), &system).is_empty() {
        assert!(Instant::now() < deadline, "files of recordings that nobody plays stay open");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    database.close().await;
}

#[test]
fn however_many_are_played_few_stay_open() {
    let count = if is_full() { 10_000 } else { 1000 };
    let system = System::with_key();
    let ids = import_many(&system, count, 1000);
    let server = system.serve();
    let mut most = 0;
    for (at, id) in ids.iter().enumerate() {
        assert_eq!(get(&server.address, &format!("/recordings/{id}/media"), &[]).body.len(), 1000);
        if at % 100 == 0 {
            most = most.max(open_media(server.pid(), &system).len());
        }
    }
    println!("{count} recordings played: at most {most} open");
    assert!(most <= IDLE_MAX + LATE, "{most} were open");
    let is_let_go = |server: &Server| open_media(server.pid(), &system).len() <= IDLE_MAX;
    assert!(
        server.wait_until(Duration::from_secs(20), is_let_go),
        "{} are open",
        open_media(server.pid(), &system).len()
    );
    let of = |cache: &str, name: &str| metric(&server, &format!("sealtape_cache_{name}{{cache=\"{cache}\"}}"));
    let count = count as u64;
    assert!(server.wait_until(Duration::from_secs(20), |_| of("rows", "entries") == count));
    assert_eq!(of("rows", "evictions_total"), 0, "there is room for all rows");
    assert_eq!(of("opened", "entries"), IDLE_MAX as u64);
    assert_eq!(of("opened", "evictions_total"), count - IDLE_MAX as u64);
    for cache in ["rows", "opened"] {
        assert!(of(cache, "bytes") > 0 && of(cache, "bytes") <= of(cache, "limit_bytes"), "{cache}");
        assert!(of(cache, "misses_total") >= count, "{cache}: {} misses", of(cache, "misses_total"));
    }
    if is_full() {
        std::thread::sleep(Duration::from_secs(65));
        assert_eq!(open_media(server.pid(), &system), Vec::<String>::new(), "a minute later");
    }
}

/// Rows that are remembered are bounded, and it can be seen.
#[tokio::test]
async fn what_is_remembered_of_a_large_catalogue_is_bounded() {
    let system = catalogue(many(), 20).await;
    let server = system.serve();
    let mut stream = std::io::BufReader::new(TcpStream::connect(&server.address).expect("connects"));
    let asked = if is_full() { 100_000 } else { 4000 };
    let count = many() - 1;
    for number in count / 5..count / 5 + asked {
        let id = format!("team-{:02}.{:08x}", number * 37 % 100, (number * 2_654_435_761) & 0xFFFF_FFFF);
        assert!(describe(&mut stream, &id).contains("\"media-missing\""), "{id} is in the catalogue, and not a file");
    }
    let of = |name: &str| metric(&server, &format!("sealtape_cache_{name}{{cache=\"rows\"}}"));
    let is_counted = |_: &Server| of("entries") > 0 && of("entries") + of("evictions_total") >= asked;
    assert!(server.wait_until(Duration::from_secs(20), is_counted), "{} entries", of("entries"));
    let (entries, bytes) = (of("entries"), of("bytes"));
    println!("{entries} rows remembered in {} KiB, {} let go", bytes >> 10, of("evictions_total"));
    assert!(bytes <= of("limit_bytes") && entries <= asked);
    assert!(if is_full() { of("evictions_total") > 0 } else { entries == asked });
    assert!(server.peak_memory() < 160 << 20, "{} MiB", server.peak_memory() >> 20);
}

/// Asks for the description of a recording on a connection that is kept.
fn describe(stream: &mut std::io::BufReader<TcpStream>, id: &str) -> String {
    use std::io::BufRead;
    let head = format!("GET /recordings/{id} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.get_mut().write_all(head.as_bytes()).expect("sent");
    let (mut len, mut line) = (0, String::new());
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).expect("a head");
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            len = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; len];
    stream.read_exact(&mut body).expect("a body");
    text(&body)
}
