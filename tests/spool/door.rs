//! The spool at the store's door, with faults behind it: what is there is always found, what is copied is what was
//! written, and nothing is overwritten.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sealtape::{
    base::{RecordingId, SealId, Timestamp},
    catalogue::{Database, RecordingState},
    db::SqliteDatabase,
    kms::FileDefinitionKeys,
    media::{
        Error, Listing, MaintenanceGuard, MediaFile, MediaKind, MediaObject, MediaStore, MediaWriter, Spool, Stage,
        Version,
    },
    sealed::WRAPPED_FILE_KEY,
    service::{Ingest, KeyWatch, NewRecording, Purge, ReaderSource, Stop},
    storage::{LocalStore, SpooledStore},
};

use crate::support::{System, media};

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Away,
    /// Writing fails after the first piece.
    Cut,
    /// One bit of what is written is another.
    Flips,
    /// Each piece takes a while.
    Slow,
}

/// A store with a fault.
struct Faulty(LocalStore, Arc<Mutex<Fault>>);

struct FaultyWriter {
    writer: Box<dyn MediaWriter>,
    fault: Arc<Mutex<Fault>>,
    pieces: usize,
}

impl Faulty {
    fn check(&self) -> Result<(), Error> {
        if *self.1.lock().expect("lock") == Fault::Away { Err(away()) } else { Ok(()) }
    }
}

fn away() -> Error {
    Error::Unavailable { location: "faulty://".into(), reason: "it is away".into() }
}

#[async_trait]
impl MediaStore for Faulty {
    fn try_version_now(&self, object: &MediaObject) -> Option<Version> {
        self.check().ok().and_then(|()| self.0.try_version_now(object))
    }

    async fn version(&self, object: &MediaObject) -> Result<Option<Version>, Error> {
        self.check()?;
        self.0.version(object).await
    }

    async fn open(&self, object: &MediaObject) -> Result<Option<Arc<dyn MediaFile>>, Error> {
        self.check()?;
        self.0.open(object).await
    }

    async fn create(&self, object: &MediaObject) -> Result<Box<dyn MediaWriter>, Error> {
        self.check()?;
        let writer = self.0.create(object).await?;
        Ok(Box::new(FaultyWriter { writer, fault: Arc::clone(&self.1), pieces: 0 }))
    }

    async fn list(&self, after: Option<&str>) -> Result<Listing, Error> {
        self.check()?;
        self.0.list(after).await
    }

    async fn beside(&self, id: &RecordingId) -> Result<Vec<MediaObject>, Error> {
        self.check()?;
        self.0.beside(id).await
    }

    async fn is_being_written(&self, object: &MediaObject) -> Result<bool, Error> {
        self.check()?;
        self.0.is_being_written(object).await
    }

    async fn begin_maintenance(&self) -> Result<MaintenanceGuard, Error> {
        self.0.begin_maintenance().await
    }

    async fn replace(&self, from: &MediaObject, to: &MediaObject) -> Result<(), Error> {
        self.check()?;
        self.0.replace(from, to).await
    }

    async fn keep(&self, object: &MediaObject, seal_id: &SealId) -> Result<String, Error> {
        self.check()?;
        self.0.keep(object, seal_id).await
    }

    async fn remove_kept(&self, id: &RecordingId, blank: Range<usize>) -> Result<(), Error> {
        self.check()?;
        self.0.remove_kept(id, blank).await
    }

    async fn place(&self, from: &MediaObject, to: &MediaObject) -> Result<(), Error> {
        self.check()?;
        self.0.place(from, to).await
    }

    async fn rewrite_head(&self, object: &MediaObject, version: Version, head: &[u8]) -> Result<(), Error> {
        self.check()?;
        self.0.rewrite_head(object, version, head).await
    }

    async fn remove(&self, object: &MediaObject) -> Result<(), Error> {
        self.check()?;
        self.0.remove(object).await
    }

    async fn remove_version(&self, object: &MediaObject, version: Version) -> Result<u64, Error> {
        self.check()?;
        self.0.remove_version(object, version).await
    }

    /// As a bucket does not.
    fn writes_in_place(&self) -> bool {
        false
    }

    fn location(&self, object: &MediaObject) -> String {
        self.0.location(object)
    }
}

#[async_trait]
impl MediaWriter for FaultyWriter {
    async fn append(&mut self, mut bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
        self.pieces += 1;
        let fault = *self.fault.lock().expect("lock");
        match fault {
            Fault::None => {}
            Fault::Cut if self.pieces == 1 => {}
            Fault::Away | Fault::Cut => return Err(away()),
            Fault::Flips => bytes[0] ^= 1,
            Fault::Slow => tokio::time::sleep(Duration::from_millis(100)).await,
        }
        self.writer.append(bytes).await
    }

    async fn sync(&mut self) -> Result<(), Error> {
        self.writer.sync().await
    }

    async fn finish(self: Box<Self>) -> Result<(), Error> {
        self.writer.finish().await
    }
}

/// A spool before a store with a fault.
struct Bench {
    _folder: tempfile::TempDir,
    store: Arc<SpooledStore>,
    /// What is behind it, without the fault.
    remote: LocalStore,
    fault: Arc<Mutex<Fault>>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let local = |name: &str| LocalStore::open(&folder.path().join(name), true).expect("opens");
        let (fault, remote) = (Arc::new(Mutex::new(Fault::None)), local("media"));
        let faulty = Arc::new(Faulty(remote.clone(), Arc::clone(&fault)));
        let store = SpooledStore::new(local("spool"), faulty, "http://127.0.0.1:1".parse().expect("a location"));
        Self { store: Arc::new(store), remote, fault, _folder: folder }
    }

    fn has(&self, fault: Fault) {
        *self.fault.lock().expect("lock") = fault;
    }

    fn spool(&self) -> &dyn Spool {
        self.store.spool().expect("it has one")
    }

    async fn write(&self, object: &MediaObject, content: &[u8]) {
        let mut writer = self.store.create(object).await.expect("creates");
        writer.append(content.to_vec()).await.expect("appends");
        writer.finish().await.expect("finishes");
    }

    async fn release(&self, object: &MediaObject, version: Version) {
        self.spool().release(object, version).await.expect("lets go");
    }
}

fn object(id: &str, stage: Stage) -> MediaObject {
    MediaObject::media(id.parse().expect("an ID"), MediaKind::Sealed, stage)
}

async fn content(store: &dyn MediaStore, object: &MediaObject) -> Option<Vec<u8>> {
    let file = store.open(object).await.expect("opens")?;
    Some(file.read(0, vec![0; file.version().len as usize], 0).await.expect("reads"))
}

#[tokio::test]
async fn what_is_copied_is_what_was_written_or_it_is_not_there() {
    let (bench, media) = (Bench::new(), media(3 << 20));
    let (last, part) = (object("a", Stage::Final), object("a", Stage::Part));
    bench.write(&last, &media).await;
    for fault in [Fault::Away, Fault::Cut, Fault::Flips, Fault::Cut] {
        bench.has(fault);
        let outcome = bench.spool().upload(&last).await;
        assert!(matches!(outcome, Err(Error::Unavailable { .. })), "{fault:?}: {outcome:?}");
        assert_eq!(content(&bench.remote, &last).await, None, "{fault:?}: a name claims that it is whole");
        assert!(content(&*bench.store, &last).await.as_ref() == Some(&media), "{fault:?}: it is where it was");
    }
    // What the last one left gives way.
    assert_eq!(content(&bench.remote, &part).await.map(|left| left.len()), Some(1 << 20));
    bench.has(Fault::None);
    let version = bench.spool().upload(&last).await.expect("uploads");
    assert_eq!(bench.spool().upload(&last).await.expect("and again"), version);
    assert!(content(&bench.remote, &last).await.as_ref() == Some(&media));
    assert_eq!(content(&bench.remote, &part).await, None);
    let reader = bench.store.open(&last).await.expect("opens").expect("is there");
    bench.release(&last, version).await;
    assert_eq!(Spool::version(&*bench.store, &last).await.expect("asks"), None);
    assert!(content(&*bench.store, &last).await.as_ref() == Some(&media), "it is found where it is now");
    assert!(reader.read(0, vec![0; media.len()], 0).await.expect("reads") == media, "who has it open reads on");
    assert!(matches!(bench.spool().upload(&last).await, Err(Error::Changed { .. })), "it waits no more");
}

#[tokio::test]
async fn nothing_is_overwritten_and_what_changes_meanwhile_is_not_taken_for_what_was_copied() {
    let bench = Bench::new();
    let (last, part) = (object("a", Stage::Final), object("a", Stage::Part));
    bench.write(&last, b"what was recorded").await;
    // Somebody else's, whole or growing.
    let mut writer = bench.remote.create(&last).await.expect("creates");
    writer.append(b"something else".to_vec()).await.expect("appends");
    let growing = bench.spool().upload(&last).await;
    assert!(matches!(growing, Err(Error::Exists { being_written: true, .. })), "{growing:?}");
    drop(writer);
    let left = bench.spool().upload(&last).await;
    assert!(matches!(left, Err(Error::Exists { being_written: false, .. })), "{left:?}");
    assert_eq!(content(&bench.remote, &part).await.as_deref(), Some(&b"something else"[..]));
    bench.remote.place(&part, &last).await.expect("placed");
    let other = bench.spool().upload(&last).await;
    assert!(matches!(other, Err(Error::Exists { .. })), "{other:?}");
    assert_eq!(content(&bench.remote, &last).await.as_deref(), Some(&b"something else"[..]));
    assert_eq!(content(&*bench.store, &last).await.as_deref(), Some(&b"what was recorded"[..]));
    assert!(matches!(bench.store.create(&last).await.err(), Some(Error::Exists { .. })));

    // One whose end is missing keeps its name; a copy of it that was cut gives way as well.
    let ended = object("b", Stage::Part);
    let mut writer = bench.store.create(&object("b", Stage::Final)).await.expect("creates");
    writer.append(media(2 << 20)).await.expect("appends");
    writer.sync().await.expect("syncs");
    drop(writer);
    bench.has(Fault::Cut);
    assert!(bench.spool().upload(&ended).await.is_err());
    bench.has(Fault::None);
    let version = bench.spool().upload(&ended).await.expect("uploads");
    assert!(content(&bench.remote, &ended).await == Some(media(2 << 20)));
    bench.store.rewrite_head(&ended, version, b"another head").await.expect("writes");
    assert!(
        matches!(bench.spool().release(&ended, version).await, Err(Error::Changed { .. })),
        "it is another one now"
    );
    assert!(content(&*bench.store, &ended).await.is_some_and(|it| it.starts_with(b"another head")));
}

/// Whoever looks while it moves finds the one or the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_moves_is_found_at_every_moment() {
    let (bench, media) = (Bench::new(), media(300_000));
    let is_over = Arc::new(AtomicBool::new(false));
    let (store, over) = (Arc::clone(&bench.store), Arc::clone(&is_over));
    let ids: Vec<String> = (0..60).map(|number| format!("m{number}")).collect();
    for id in &ids {
        bench.write(&object(id, Stage::Final), &media).await;
    }
    let looking = tokio::spawn({
        let (ids, media) = (ids.clone(), media.clone());
        async move {
            let mut looks = 0;
            while !over.load(Ordering::Relaxed) {
                for id in &ids {
                    let object = object(id, Stage::Final);
                    assert!(MediaStore::version(&*store, &object).await.expect("asks").is_some(), "{id}");
                    assert!(content(&*store, &object).await.as_ref() == Some(&media), "{id}");
                    looks += 1;
                }
            }
            looks
        }
    });
    for id in &ids {
        let object = object(id, Stage::Final);
        let _claim = bench.spool().claim(&object.id).await.expect("asks").expect("nobody else is at it");
        let version = bench.spool().upload(&object).await.expect("uploads");
        bench.release(&object, version).await;
    }
    is_over.store(true, Ordering::Relaxed);
    assert!(looking.await.expect("always found") >= ids.len());
    let mut listed = Vec::new();
    let mut after = None;
    loop {
        let page = MediaStore::list(&*bench.store, after.as_deref()).await.expect("lists");
        listed.extend(page.objects.into_iter().map(|object| object.id.to_string()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    listed.sort();
    let mut expected = ids;
    expected.sort();
    assert_eq!(listed, expected, "each once");
}

/// An upload keeps others from taking its recording away, and they come after it; none is begun while recordings are
/// wrapped or sealed anew.
#[tokio::test]
async fn a_purge_waits_for_an_upload_and_leaves_nothing_of_it() {
    let bench = Bench::new();
    let last = object("a", Stage::Final);
    bench.write(&last, &media(5 << 20)).await;
    bench.has(Fault::Slow);
    let guard = bench.store.begin_maintenance().await.expect("begins");
    assert!(bench.spool().claim(&last.id).await.expect("asks").is_none(), "recordings are sealed anew");
    drop(guard);
    let uploading = async {
        let _claim = bench.spool().claim(&last.id).await.expect("asks").expect("free");
        assert!(bench.spool().claim(&last.id).await.expect("asks").is_none(), "by one at a time");
        let version = bench.spool().upload(&last).await.expect("uploads");
        bench.release(&last, version).await;
    };
    let removing = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        bench.store.remove(&last).await.expect("removes");
    };
    tokio::join!(uploading, removing);
    assert_eq!(content(&*bench.store, &last).await, None);
    assert_eq!(content(&bench.remote, &last).await, None);
}

/// A command says so when the store does not take what it took in, and a server sees to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_command_cannot_bring_to_the_store_a_server_does() {
    let (system, bench, media) = (System::with_key(), Bench::new(), media(100_000));
    let (ingest, database) = ingest_over(&system, &bench).await;
    bench.has(Fault::Away);
    let new = |id: &str| NewRecording {
        id: Some(id.parse().expect("an ID")),
        media_type: None,
        name: None,
        exempt: false,
        is_live: true,
    };
    let (_sender, mut stop) = Stop::channel();
    let mut source = ReaderSource::new(std::io::Cursor::new(media.clone()), 4096);
    let ingested = ingest.ingest(new("a"), &mut source, &mut stop, &|_| {}).await.expect("taken in");
    assert!(ingested.is_waiting && ingested.is_catalogued);
    let id: RecordingId = "a".parse().expect("an ID");
    let row = database.recording(&id).await.expect("asks").expect("is there");
    assert_eq!((row.state, row.spool.as_ref()), (RecordingState::Complete, Some(bench.spool().location())));

    let spooler = Arc::clone(ingest.spooler().expect("there is a spool"));
    let running = tokio::spawn(Arc::clone(&spooler).run());
    bench.has(Fault::None);
    let begun = std::time::Instant::now();
    while database.recording(&id).await.expect("asks").expect("is there").spool.is_some() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it stays in the spool");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    running.abort();
    let last = object("a", Stage::Final);
    assert!(bench.remote.version(&last).await.expect("asks").is_some_and(|version| version.len > media.len() as u64));
    assert_eq!(bench.spool().version(&last).await.expect("asks"), None);
    // At once, where the store takes it.
    let mut source = ReaderSource::new(std::io::Cursor::new(media), 4096);
    let ingested = ingest.ingest(new("b"), &mut source, &mut stop, &|_| {}).await.expect("taken in");
    assert!(!ingested.is_waiting);
    assert!(bench.remote.version(&object("b", Stage::Final)).await.expect("asks").is_some());
    database.close().await;
}

/// The spool is a folder, whatever the store behind it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_of_what_waits_is_gone_before_anything_else_is() {
    let (system, bench, media) = (System::with_key(), Bench::new(), media(100_000));
    let (ingest, database) = ingest_over(&system, &bench).await;
    let store: Arc<dyn MediaStore> = Arc::clone(&bench.store) as _;
    bench.has(Fault::Away);
    let id: RecordingId = "a".parse().expect("an ID");
    let new = NewRecording { id: Some(id.clone()), media_type: None, name: None, exempt: false, is_live: true };
    let (_sender, mut stop) = Stop::channel();
    let mut source = ReaderSource::new(std::io::Cursor::new(media), 4096);
    assert!(ingest.ingest(new, &mut source, &mut stop, &|_| {}).await.expect("taken in").is_waiting);

    // Whatever becomes of its name: these are the blocks.
    let last = object("a", Stage::Final);
    let file = std::path::PathBuf::from(store.location(&last).trim_start_matches("file://"));
    let blocks = system.path("blocks");
    std::fs::hard_link(&file, &blocks).expect("linked");
    let before = std::fs::read(&blocks).expect("read");
    assert!(before[WRAPPED_FILE_KEY].iter().any(|byte| *byte != 0));
    let purge = Purge::new(Arc::clone(&database), Arc::clone(&store), Arc::new(now));
    let begun = purge.purge(&id).await;
    assert!(begun.is_err(), "the store is away, and may hold more of it");
    let after = std::fs::read(&blocks).expect("read");
    assert!(after[WRAPPED_FILE_KEY].iter().all(|byte| *byte == 0), "nobody can open it any more");
    assert!(after.len() == before.len() && after[WRAPPED_FILE_KEY.end..] == before[WRAPPED_FILE_KEY.end..]);
    bench.has(Fault::None);
    purge.purge(&id).await.expect("purged");
    assert_eq!(Spool::version(&*bench.store, &last).await.expect("asks"), None);
    assert!(database.recording(&id).await.expect("asks").is_none());
    database.close().await;
}

/// Recordings come in over `bench`, and are catalogued and wrapped as those of `system` are.
async fn ingest_over(system: &System, bench: &Bench) -> (Ingest, Arc<dyn Database>) {
    let database = SqliteDatabase::open(&system.data_dir().join("sealtape.db"), false).await.expect("opens");
    let database: Arc<dyn Database> = Arc::new(database);
    let holder = Arc::new(FileDefinitionKeys::at(&system.data_dir().join("definition.key")));
    let keys = KeyWatch::load(Arc::clone(&database), holder).await.expect("loads");
    let store: Arc<dyn MediaStore> = Arc::clone(&bench.store) as _;
    (Ingest::new(Arc::clone(&database), store, keys, Arc::new(now)), database)
}

fn now() -> Timestamp {
    Timestamp::from_millis(std::time::UNIX_EPOCH.elapsed().expect("past 1970").as_millis() as u64).expect("a time")
}
