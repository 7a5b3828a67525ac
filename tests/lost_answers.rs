//! Answers that are lost: the database has done what it was asked, and whoever asked is cut off before he hears it. Nothing
//! that was kept is lost by that, and whatever was under way can be done again.
//!
//! A PostgreSQL server waits with its answer to a commit for another one that never comes; whoever waits is cut off. Each
//! commit of a command is that commit once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::support::postgres::Postgres;
use crate::support::{Server, System, media, put, request, text};

/// More changes than any command makes here.
const MANY: u64 = 60;

/// In every table: counts what changes it, and of the one that is armed lets the commit wait.
const COUNTING: &str = "
    CREATE SCHEMA lost;
    CREATE SEQUENCE lost.changes;
    CREATE TABLE lost.armed (change bigint);
    INSERT INTO lost.armed VALUES (0);
    CREATE FUNCTION lost.count() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('lost.changes') = (SELECT change FROM lost.armed) THEN
            PERFORM set_config('lost.is_armed', 'yes', true);
        END IF;
        IF current_setting('lost.is_armed', true) IS DISTINCT FROM 'yes' THEN
            PERFORM set_config('synchronous_commit', 'local', true);
        ELSE
            PERFORM set_config('synchronous_commit', 'on', true);
        END IF;
        RETURN NULL;
    END $$;
    DO $$
    DECLARE name text;
    BEGIN
        FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
            EXECUTE format(
                'CREATE TRIGGER lost AFTER INSERT OR UPDATE OR DELETE ON public.%I
                 FOR EACH STATEMENT EXECUTE FUNCTION lost.count()', name);
        END LOOP;
    END $$";

const CUT_OFF: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";

/// A server that can lose the answer to a commit.
struct Losing {
    postgres: Postgres,
    cuts: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    cutting: Option<JoinHandle<()>>,
}

impl Losing {
    /// One with a system on it.
    fn start() -> (Self, System) {
        let postgres = Postgres::start();
        let system = System::on_postgres(postgres.database("lost"));
        system.ok(&["keys", "generate"]);
        postgres.execute("lost", COUNTING);
        postgres.execute("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
        postgres.execute("postgres", "SELECT pg_reload_conf()");
        let (cuts, is_over): (Arc<AtomicU64>, Arc<AtomicBool>) = (Arc::default(), Arc::default());
        let (url, counted, is_done) = (postgres.url("postgres"), Arc::clone(&cuts), Arc::clone(&is_over));
        let cutting = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let mut connection = PgConnection::connect(&url).await.expect("connects");
                while !is_done.load(Ordering::Relaxed) {
                    let cut: i64 = sqlx::query_scalar(CUT_OFF).fetch_one(&mut connection).await.expect("asks");
                    counted.fetch_add(cut.unsigned_abs(), Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
        });
        (Self { postgres, cuts, is_over, cutting: Some(cutting) }, system)
    }

    /// Loses the answer to the commit of that change, counted from 1, of what `work` does; whether there was one.
    fn lose(&self, change: u64, work: impl FnOnce()) -> bool {
        let arm = |change: u64| {
            let statement = format!("SELECT setval('lost.changes', 1, false); UPDATE lost.armed SET change = {change}");
            self.postgres.execute("lost", &format!("SET synchronous_commit = local; {statement}"));
        };
        arm(change);
        let before = self.cuts.load(Ordering::Relaxed);
        work();
        arm(0);
        self.cuts.load(Ordering::Relaxed) > before
    }
}

impl Drop for Losing {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // One that failed has said so.
        let _ended = self.cutting.take().map(JoinHandle::join);
    }
}

/// What is kept, and must stay.
struct Kept<'a> {
    system: &'a System,
    media: BTreeMap<String, Vec<u8>>,
}

impl Kept<'_> {
    fn check(&self, when: &str) {
        for (id, media) in &self.media {
            let played = self.system.run(&["cat", id]);
            assert!(played.status.success(), "{when}: {id}: {}", text(&played.stderr));
            assert!(played.stdout == *media, "{when}: {id} is another one");
        }
    }

    /// The first one with all that lies beside it.
    fn check_beside(&self, server: &Server, when: &str) -> Value {
        let sidecar = server.get("/recordings/first/sidecars/notes.txt");
        assert_eq!((sidecar.status, text(&sidecar.body).as_str()), (200, "what was noted"), "{when}");
        let shown = self.system.json(&["recordings", "show", "first"]);
        shown["metadata"]["agent"].clone()
    }
}

/// Loses the answer to each commit of a command, one after the other, and has it run again then, which must succeed.
fn at_each_commit(
    losing: &Losing,
    kept: &Kept<'_>,
    what: &str,
    before: impl Fn(u64),
    command: impl Fn(u64) -> Vec<String>,
) {
    for change in 1..MANY {
        before(change);
        let arguments = command(change);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let was_lost = losing.lose(change, || drop(kept.system.run(&arguments)));
        let when = format!("{what}, change {change}");
        kept.check(&when);
        let again = kept.system.run(&arguments);
        let said = text(&again.stderr);
        // What was done is told as that.
        let is_done = again.status.success() || said.contains("exists") || said.contains("no recording");
        assert!(is_done, "{when}, again: {said}");
        kept.check(&format!("{when}, again"));
        if !was_lost {
            println!("{what}: {} answers lost", change - 1);
            assert!(change > 1, "{what} changes something");
            return;
        }
    }
    panic!("{what} does not end");
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn system_with_recordings() -> (Losing, System, BTreeMap<String, Vec<u8>>) {
    let (losing, system) = Losing::start();
    let (first, second) = (media(70_000), media(9000));
    let files = [system.file("first", &first), system.file("notes.txt", b"what was noted")];
    let [audio, notes] = files.each_ref().map(|path| path.to_str().expect("UTF-8"));
    let about = system.file("about.json", json!({ "agent": "one" }).to_string().as_bytes());
    let about = about.to_str().expect("UTF-8");
    system.ok(&["import", "--id", "first", audio, "--meta", about, "--sidecar", notes]);
    system.import("second", &second);
    (losing, system, BTreeMap::from([("first".into(), first), ("second".into(), second)]))
}

#[test]
fn nothing_that_is_kept_is_lost_with_an_answer() {
    let (losing, system, media_of) = system_with_recordings();
    let kept = Kept { system: &system, media: media_of };
    let server = system.serve();
    let generate = |_| drop(system.ok(&["keys", "generate"]));
    let beside = |when: &str| assert_eq!(kept.check_beside(&server, when), "one", "{when}");
    at_each_commit(&losing, &kept, "rewrap", generate, |_| words("rewrap --all"));
    beside("after rewrap");
    at_each_commit(&losing, &kept, "reseal", |_| (), |_| words("reseal --all"));
    beside("after reseal");
    at_each_commit(&losing, &kept, "definition-key cycle", |_| (), |_| words("definition-key cycle"));
    at_each_commit(&losing, &kept, "keys generate", |_| (), |_| words("keys generate"));
    let plain = |change: u64| {
        let file = system.file(&format!("plain-{change}"), &media(5000));
        system.ok(&["import", "--exempt", file.to_str().expect("UTF-8")]);
    };
    at_each_commit(&losing, &kept, "encrypt", plain, |change| words(&format!("encrypt plain-{change}")));
    let file = |change: u64| drop(system.file(&format!("file-{change}"), &media(5000)));
    let path = |change: u64| system.path(&format!("file-{change}")).to_str().expect("UTF-8").to_owned();
    at_each_commit(&losing, &kept, "import", file, |change| vec!["import".into(), path(change)]);
    beside("in the end");
    for id in ["plain-1", "file-1"] {
        let played = system.run(&["cat", id]);
        assert!(played.stdout == media(5000), "{id}: {}", text(&played.stderr));
    }
    let names: Vec<String> = system.objects().iter().map(ToString::to_string).collect();
    assert_eq!(names.iter().find(|name| name.contains(".plain")), None, "nothing plain is left");
    let verified = system.run(&["verify", "--all"]);
    assert!(verified.status.success(), "{}{}", text(&verified.stdout), text(&verified.stderr));
}

#[test]
fn what_was_purged_is_gone_whether_that_was_heard_or_not() {
    let (losing, system, media_of) = system_with_recordings();
    let kept = Kept { system: &system, media: media_of };
    let server = system.serve();
    for change in 1..MANY {
        let id = format!("gone-{change}");
        system.import(&id, &media(5000));
        let path = format!("/recordings/{id}");
        // What a change that was not heard of leaves beside it.
        for agent in ["one", "two"] {
            let (body, headers) = (json!({ "agent": agent }).to_string(), [("Content-Type", "application/json")]);
            losing.lose(change, || drop(request(&server.address, "PATCH", &path, &headers, body.as_bytes())));
        }
        let purge = || request(&server.address, "DELETE", &path, &[], b"").status;
        let mut status = 0;
        let was_lost = losing.lose(change, || status = purge());
        if status != 204 {
            assert_eq!(status, 503, "{id}");
            let again = purge();
            assert!([204, 404].contains(&again), "{id}: {again}");
        }
        let names: Vec<String> = system.objects().iter().map(ToString::to_string).collect();
        assert_eq!(names.iter().find(|name| name.contains(&id)), None, "nothing of it is left");
        assert_eq!(server.get(&path).status, 404);
        kept.check(&id);
        if !was_lost {
            assert!(change > 1, "a purge changes something");
            println!("purge: {} answers lost", change - 1);
            return;
        }
    }
    panic!("that does not end");
}

#[test]
fn a_server_that_does_not_hear_of_its_commits_keeps_what_it_answers_for() {
    let (losing, system, media_of) = system_with_recordings();
    let kept = Kept { system: &system, media: media_of };
    let server = system.serve();
    let mut lost = [0, 0];
    for change in 1..MANY {
        let (id, sent) = (format!("put-{change}"), media(30_000));
        let mut status = 0;
        let was_lost = losing.lose(change, || status = put(&server.address, &id, &[], &sent).status);
        let played = server.get(&format!("/recordings/{id}/media"));
        match status {
            201 => assert!(played.status == 200 && played.body == sent, "{id}: {}", played.status),
            // It may be there all the same, and then whole.
            status => assert!(status == 503 && (played.status == 404 || played.body == sent), "{id}: {status}"),
        }
        lost[0] += u64::from(was_lost);
        let agent = format!("agent-{change}");
        let old = kept.check_beside(&server, &id);
        let (body, headers) = (json!({ "agent": agent }).to_string(), [("Content-Type", "application/json")]);
        let mut status = 0;
        let is_lost_too = losing.lose(change, || {
            status = request(&server.address, "PATCH", "/recordings/first", &headers, body.as_bytes()).status;
        });
        let now = kept.check_beside(&server, &id);
        assert!(now == agent || (status != 200 && now == old), "{id}: {status}: {now} and not {agent} or {old}");
        lost[1] += u64::from(is_lost_too);
        kept.check(&id);
        if !was_lost && !is_lost_too {
            println!("{lost:?} answers lost");
            assert!(lost[0] > 0 && lost[1] > 0, "{lost:?}");
            let verified = system.run(&["verify", "--all"]);
            assert!(verified.status.success(), "{}{}", text(&verified.stdout), text(&verified.stderr));
            return;
        }
    }
    panic!("that does not end");
}
