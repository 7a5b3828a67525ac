//! One look at a file serves all who follow it, and nobody looks when nobody follows: counted at the store's door.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use sealtape::{
    base::{RecordingId, SealId, Timestamp},
    catalogue::Database,
    db::SqliteDatabase,
    kms::FileDefinitionKeys,
    media::{Error, Listing, MaintenanceGuard, MediaFile, MediaObject, MediaStore, MediaWriter, Version},
    service::{FRAME_LEN_MAX, KeyWatch, Playback, PlaybackSettings, SpanStream},
    storage::LocalStore,
};

use super::*;

const FOLLOWERS: usize = 300;

/// A store that counts how often the length of a file that is open is looked at.
struct Counting(LocalStore, Arc<AtomicU64>);

struct CountingFile(Arc<dyn MediaFile>, Arc<AtomicU64>);

#[async_trait]
impl MediaStore for Counting {
    fn try_version_now(&self, object: &MediaObject) -> Option<Version> {
        self.0.try_version_now(object)
    }

    async fn version(&self, object: &MediaObject) -> Result<Option<Version>, Error> {
        self.0.version(object).await
    }

    async fn open(&self, object: &MediaObject) -> Result<Option<Arc<dyn MediaFile>>, Error> {
        let file = self.0.open(object).await?;
        Ok(file.map(|file| Arc::new(CountingFile(file, Arc::clone(&self.1))) as Arc<dyn MediaFile>))
    }

    async fn create(&self, object: &MediaObject) -> Result<Box<dyn MediaWriter>, Error> {
        self.0.create(object).await
    }

    async fn keep(&self, object: &MediaObject, seal_id: &SealId) -> Result<String, Error> {
        self.0.keep(object, seal_id).await
    }

    async fn remove_kept(&self, id: &RecordingId, blank: std::ops::Range<usize>) -> Result<(), Error> {
        self.0.remove_kept(id, blank).await
    }

    async fn place(&self, from: &MediaObject, to: &MediaObject) -> Result<(), Error> {
        self.0.place(from, to).await
    }

    async fn remove_version(&self, object: &MediaObject, version: Version) -> Result<u64, Error> {
        self.0.remove_version(object, version).await
    }

    async fn list(&self, after: Option<&str>) -> Result<Listing, Error> {
        self.0.list(after).await
    }

    async fn beside(&self, id: &RecordingId) -> Result<Vec<MediaObject>, Error> {
        self.0.beside(id).await
    }

    async fn is_being_written(&self, object: &MediaObject) -> Result<bool, Error> {
        self.0.is_being_written(object).await
    }

    async fn begin_maintenance(&self) -> Result<MaintenanceGuard, Error> {
        self.0.begin_maintenance().await
    }

    async fn replace(&self, from: &MediaObject, to: &MediaObject) -> Result<(), Error> {
        self.0.replace(from, to).await
    }

    async fn rewrite_head(&self, object: &MediaObject, version: Version, head: &[u8]) -> Result<(), Error> {
        self.0.rewrite_head(object, version, head).await
    }

    async fn remove(&self, object: &MediaObject) -> Result<(), Error> {
        self.0.remove(object).await
    }

    fn location(&self, object: &MediaObject) -> String {
        self.0.location(object)
    }
}

#[async_trait]
impl MediaFile for CountingFile {
    fn version(&self) -> Version {
        self.0.version()
    }

    async fn len_now(&self) -> Result<u64, Error> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.len_now().await
    }

    fn try_read_now(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Error> {
        self.0.try_read_now(offset, buffer)
    }

    async fn read(&self, offset: u64, buffer: Vec<u8>, filled: usize) -> Result<Vec<u8>, Error> {
        self.0.read(offset, buffer, filled).await
    }
}

/// Everything that a stream gives, at the pace of its writer.
async fn follow(mut stream: SpanStream, came: Arc<AtomicU64>) -> Vec<u8> {
    let mut media = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| stream.poll_next(FRAME_LEN_MAX, cx)).await {
        let frame = frame.expect("verifies");
        media.extend_from_slice(&frame);
        came.fetch_add(frame.len() as u64, Ordering::Relaxed);
    }
    media
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < 20 * SECOND, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_watcher_looks_for_all_who_follow_and_none_when_nobody_does() {
    let (system, media) = (System::with_key(), media(150_000));
    let mut recorder = Recorder::begin(&system, "live");
    recorder.feed(&media[..100_000]);
    let known = verified(100_000);
    let written =
        || system.media_files().iter().any(|file| fs::metadata(file).is_ok_and(|file| file.len() > known as u64));
    until("it is written", written).await;

    let database = SqliteDatabase::open(&system.data_dir().join("sealtape.db"), false).await.expect("opens");
    let database: Arc<dyn Database> = Arc::new(database);
    let holder = Arc::new(FileDefinitionKeys::at(&system.data_dir().join("definition.key")));
    let keys = KeyWatch::load(Arc::clone(&database), holder).await.expect("loads");
    let looks = Arc::new(AtomicU64::new(0));
    let store = LocalStore::open(&system.data_dir().join("media"), false).expect("opens");
    let store = Arc::new(Counting(store, Arc::clone(&looks)));
    let now =
        || Timestamp::from_millis(std::time::UNIX_EPOCH.elapsed().expect("past 1970").as_millis() as u64).expect("now");
    let settings = PlaybackSettings { allow_plain: true };
    let playback = Playback::new(Arc::clone(&database), store, keys, Arc::new(now), settings);
    let recording = playback.open(&"live".parse().expect("an ID")).await.expect("opens");
    assert!(recording.is_growing() && recording.media_len == known as u64, "{}", recording.media_len);
    let count = || looks.load(Ordering::Relaxed);

    // Opened, and followed by nobody.
    let before = count();
    tokio::time::sleep(SECOND).await;
    assert_eq!(count(), before, "nobody looks");

    let came = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let begin = || tokio::spawn(follow(playback.follow(&recording, 0..u64::MAX), Arc::clone(&came)));
    let followers: Vec<_> = (0..FOLLOWERS).map(|_| begin()).collect();
    let all_have = |each: usize| came.load(Ordering::Relaxed) >= (FOLLOWERS * each) as u64;
    until("all have what is there", || all_have(known)).await;
    tokio::time::sleep(3 * SECOND).await;
    let (looked, most) = (count() - before, begun.elapsed().as_millis() as u64 / 100 + 5);
    println!("{FOLLOWERS} follow for {:?}: {looked} looks", begun.elapsed());
    assert!((3..=most).contains(&looked), "{looked} looks, and not {most} or fewer");

    // They leave, and nobody looks any more.
    followers.iter().for_each(tokio::task::JoinHandle::abort);
    for follower in followers {
        assert!(follower.await.expect_err("it was told to go").is_cancelled());
    }
    tokio::time::sleep(SECOND).await;
    let before = count();
    tokio::time::sleep(SECOND).await;
    assert_eq!(count(), before, "nobody looks");

    // Others come, and hear the rest.
    came.store(0, Ordering::Relaxed);
    let followers: Vec<_> = (0..FOLLOWERS).map(|_| begin()).collect();
    recorder.feed_up_to(&media, media.len());
    until("all have what came", || all_have(verified(media.len()))).await;
    tokio::task::block_in_place(|| recorder.end());
    for follower in followers {
        assert!(follower.await.expect("ends in order") == media);
    }
    let before = count();
    tokio::time::sleep(SECOND).await;
    assert_eq!(count(), before, "it has ended");
    database.close().await;
}
