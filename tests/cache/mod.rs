//! The local cache of remote ciphertext: one fetch for all, bounded, crash-safe, and never a wrong byte.
//!
//! Here by the door of the store, with a remote that counts; in `served` through the program.

mod remote;
mod served;

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use remote::{Remote, Way};
use sealtape::{
    base::{SealId, Timestamp},
    catalogue::Database,
    db::SqliteDatabase,
    kms::FileDefinitionKeys,
    media::{Error, MediaFile, MediaKind, MediaObject, MediaStore, Stage},
    service::{FRAME_LEN_MAX, KeyWatch, Playback, PlaybackSettings},
    storage::{CacheSettings, CachedStore},
};
use tempfile::TempDir;

use crate::support::{System, media};

const BLOCK: usize = 256 << 10;
const HEADER: u64 = 512;
/// What a file of 64 blocks takes, with its page.
const SEGMENT: u64 = 64 * BLOCK as u64 + 4096;
const LARGE: u64 = 1 << 30;

/// A remote and a cache's folder beside it.
struct Place {
    folder: TempDir,
    delay: Duration,
}

impl Place {
    fn new(delay: Duration) -> Self {
        Self { folder: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder"), delay }
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    async fn open(&self, size_bytes: u64) -> (CachedStore, Arc<Way>) {
        let remote = Remote::new(&self.folder.path().join("media"), self.delay);
        let way = Arc::clone(&remote.way);
        let settings = CacheSettings::new(self.cache(), size_bytes);
        (CachedStore::open(Arc::new(remote), settings).await.expect("opens"), way)
    }
}

fn object(id: &str) -> MediaObject {
    let object = MediaObject::media(id.parse().expect("an ID"), MediaKind::Sealed, Stage::Final);
    MediaObject { sealing: Some(SealId([7; 16])), ..object }
}

async fn put(store: &dyn MediaStore, object: &MediaObject, bytes: &[u8]) {
    let mut writer = store.create(object).await.expect("creates");
    writer.append(bytes.to_vec()).await.expect("appends");
    writer.finish().await.expect("finishes");
}

async fn open(store: &dyn MediaStore, object: &MediaObject) -> Arc<dyn MediaFile> {
    store.open(object).await.expect("opens").expect("is there")
}

/// As a player reads: what is there at once, then the rest.
async fn read(file: &dyn MediaFile, range: Range<usize>) -> Result<Vec<u8>, Error> {
    let mut buffer = vec![0; range.len()];
    let filled = file.try_read_now(range.start as u64, &mut buffer)?;
    if filled == buffer.len() { Ok(buffer) } else { file.read(range.start as u64, buffer, filled).await }
}

/// Reads all of a file in frames, each of which is what it should be.
async fn play(file: &dyn MediaFile, expected: &[u8]) {
    let mut start = 0;
    while start < expected.len() {
        let end = expected.len().min(start + 262_400);
        assert!(read(file, start..end).await.expect("reads") == expected[start..end], "{start}..{end}");
        start = end;
    }
}

/// Waits until nothing more is written to a folder; the room that its files take.
async fn settled(folder: &Path) -> u64 {
    let mut before = (0, u64::MAX);
    loop {
        let now = room(folder);
        if now == before {
            return now.1;
        }
        before = now;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// How many files lie in a cache's folder, and the room that they take.
fn room(folder: &Path) -> (usize, u64) {
    use std::os::unix::fs::MetadataExt;
    let files = files(folder);
    let rooms = files.iter().filter_map(|file| fs::metadata(file).ok()).map(|metadata| 512 * metadata.blocks());
    (files.len(), rooms.sum())
}

/// The files of a cache.
fn files(folder: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(folder).expect("read").map(|entry| entry.expect("entry").path());
    let folders = folders.filter(|path| path.is_dir());
    folders.flat_map(|path| fs::read_dir(path).expect("read").map(|entry| entry.expect("entry").path())).collect()
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What is fetched of an object of that length, block by block: all but its header.
fn blocks(len: usize) -> Vec<(Range<u64>, u64)> {
    let starts = (0..len).step_by(BLOCK);
    starts.map(|start| (start.max(HEADER as usize) as u64..len.min(start + BLOCK) as u64, 1)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_players_of_one_recording_cost_one_fetch_a_block() {
    let place = Place::new(Duration::from_millis(20));
    let (store, way) = place.open(LARGE).await;
    let bytes = Arc::new(media(5_000_000));
    put(&store, &object("call"), &bytes).await;
    let file = open(&store, &object("call")).await;
    let players: Vec<_> = (0..1000)
        .map(|_| {
            let (file, bytes) = (Arc::clone(&file), Arc::clone(&bytes));
            tokio::spawn(async move {
                let mut start = HEADER as usize;
                while start < bytes.len() {
                    let end = bytes.len().min(start + 262_400);
                    assert!(read(&*file, start..end).await.expect("reads") == bytes[start..end], "{start}");
                    start = end;
                }
            })
        })
        .collect();
    for player in players {
        player.await.expect("plays");
    }
    assert_eq!(way.take_reads(), blocks(bytes.len()), "each block once");
    // Another one, opened anew: not a byte but the header.
    drop(file);
    settled(&place.cache()).await;
    play(&*open(&store, &object("call")).await, &bytes).await;
    assert_eq!(way.take_reads(), [(0..HEADER, 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_goes_on_when_whoever_began_it_leaves() {
    let place = Place::new(Duration::ZERO);
    let (store, way) = place.open(LARGE).await;
    let bytes = media(3 * BLOCK);
    put(&store, &object("call"), &bytes).await;
    let file = open(&store, &object("call")).await;
    way.hold(true);
    let leaving = Arc::clone(&file);
    let first = tokio::spawn(async move { read(&*leaving, BLOCK + 5..BLOCK + 10).await });
    until("it is asked for", || way.reads_now() == 1).await;
    let staying = Arc::clone(&file);
    let second = tokio::spawn(async move { read(&*staying, BLOCK + 7..BLOCK + 20).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    first.abort();
    assert!(first.await.is_err_and(|ended| ended.is_cancelled()));
    way.hold(false);
    assert!(second.await.expect("ends").expect("reads") == bytes[BLOCK + 7..BLOCK + 20]);
    let one = [(BLOCK as u64..2 * BLOCK as u64, 1)];
    assert_eq!(way.take_reads(), one, "a few bytes cost a block and no more");
    // Nobody stays: the block is kept all the same.
    way.hold(true);
    let leaving = Arc::clone(&file);
    let alone = tokio::spawn(async move { read(&*leaving, 2 * BLOCK..2 * BLOCK + 1).await });
    until("it is asked for", || way.reads_now() == 1).await;
    alone.abort();
    way.hold(false);
    settled(&place.cache()).await;
    assert!(read(&*file, 2 * BLOCK..3 * BLOCK).await.expect("reads") == bytes[2 * BLOCK..]);
    assert_eq!(way.take_reads().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_on_has_blocks_ahead_and_who_jumps_has_none() {
    let place = Place::new(Duration::ZERO);
    let (store, way) = place.open(LARGE).await;
    let bytes = media(64 * BLOCK);
    put(&store, &object("call"), &bytes).await;
    let file = open(&store, &object("call")).await;
    for block in [9, 60, 3, 33, 20] {
        read(&*file, block * BLOCK + 100..block * BLOCK + 200).await.expect("reads");
    }
    settled(&place.cache()).await;
    assert_eq!(way.take_reads().len(), 5, "one block for each jump");
    let mut fetched = Vec::new();
    for frame in 0..4 {
        read(&*file, 40 * BLOCK + frame * BLOCK..41 * BLOCK + frame * BLOCK).await.expect("reads");
        settled(&place.cache()).await;
        fetched.push(way.take_reads().len());
    }
    // Twice as many each time, for those who stay.
    assert_eq!(fetched, [1, 2, 2, 3]);
    for frame in 4..20 {
        read(&*file, 40 * BLOCK + frame * BLOCK..41 * BLOCK + frame * BLOCK).await.expect("reads");
    }
    settled(&place.cache()).await;
    let furthest = way.take_reads().iter().map(|(range, _)| range.end).max();
    assert!(furthest <= Some(64 * BLOCK as u64), "{furthest:?}: not beyond the end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_takes_the_room_that_it_may_and_keeps_what_is_played() {
    let place = Place::new(Duration::ZERO);
    let limit = 5 * SEGMENT;
    let (store, way) = place.open(limit).await;
    let bytes = media(40 * BLOCK);
    for n in 0..16 {
        put(&store, &object(&format!("call-{n}")), &bytes).await;
    }
    let played = open(&store, &object("call-0")).await;
    play(&*played, &bytes).await;
    settled(&place.cache()).await;
    for n in 1..16 {
        play(&*open(&store, &object(&format!("call-{n}"))).await, &bytes).await;
        let (_, room) = room(&place.cache());
        assert!(room <= limit + 64 * 4096, "{room} bytes after {n}: {limit} are allowed");
        // What is played a while later counts as another use.
        if n < 3 {
            tokio::time::sleep(Duration::from_secs(11)).await;
            play(&*played, &bytes[..4 * BLOCK]).await;
        }
    }
    let room = settled(&place.cache()).await;
    assert!(room > limit / 2 && room <= limit, "{room} of {limit}");
    way.take_reads();
    play(&*played, &bytes).await;
    assert_eq!(way.take_reads(), [(0..HEADER, 1)], "15 others were read through beside it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_version_is_never_served_from_the_old() {
    let place = Place::new(Duration::ZERO);
    let (store, way) = place.open(LARGE).await;
    let (old, new) = (media(3 * BLOCK), vec![9; 3 * BLOCK]);
    put(&store, &object("call"), &old).await;
    let playing = open(&store, &object("call")).await;
    play(&*playing, &old).await;
    settled(&place.cache()).await;
    assert_eq!(files(&place.cache()).len(), 1);
    // As long as before, and of the same name: by this store, then behind its back.
    put(&store, &MediaObject { stage: Stage::Next, ..object("call") }, &new).await;
    store.replace(&MediaObject { stage: Stage::Next, ..object("call") }, &object("call")).await.expect("replaces");
    assert!(files(&place.cache()).is_empty(), "the old one is gone");
    play(&*open(&store, &object("call")).await, &new).await;
    play(&*playing, &old).await;
    let path = store.location(&object("call"));
    let path = path.strip_prefix("file://").expect("a file");
    fs::write(format!("{path}.other"), &old).and_then(|()| fs::rename(format!("{path}.other"), path)).expect("written");
    let file = open(&store, &object("call")).await;
    play(&*file, &old).await;
    settled(&place.cache()).await;
    assert_eq!(files(&place.cache()).len(), 1, "what was kept of others is gone");
    // Another header: the rest of that version is asked for again, and is the same.
    way.take_reads();
    store.rewrite_head(&object("call"), file.version(), &[3; 512]).await.expect("writes");
    let rewritten = [&[3; 512], &old[512..]].concat();
    play(&*open(&store, &object("call")).await, &rewritten).await;
    assert!(way.take_reads().contains(&(0..HEADER, 1)));
    // Without its sealing, as while the catalogue is away, it is found by its version.
    settled(&place.cache()).await;
    way.take_reads();
    play(&*open(&store, &MediaObject { sealing: None, ..object("call") }).await, &rewritten).await;
    assert_eq!(way.take_reads(), [(0..HEADER, 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_removed_leaves_nothing_behind_also_while_it_is_played() {
    let place = Place::new(Duration::ZERO);
    let (store, way) = place.open(LARGE).await;
    let bytes = media(70 * BLOCK);
    for id in ["call", "other"] {
        put(&store, &object(id), &bytes).await;
    }
    let (playing, other) = (open(&store, &object("call")).await, open(&store, &object("other")).await);
    play(&*other, &bytes).await;
    play(&*playing, &bytes[..20 * BLOCK]).await;
    // One that is on its way when it goes.
    way.hold(true);
    let late = Arc::clone(&playing);
    let late = tokio::spawn(async move { read(&*late, 50 * BLOCK..51 * BLOCK).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    store.remove(&object("call")).await.expect("removes");
    way.hold(false);
    assert!(late.await.expect("ends").expect("reads") == bytes[50 * BLOCK..51 * BLOCK]);
    play(&*playing, &bytes).await;
    settled(&place.cache()).await;
    let left = files(&place.cache());
    assert_eq!(left.len(), 2, "of the other: {left:?}");
    way.take_reads();
    play(&*other, &bytes).await;
    assert_eq!(way.take_reads(), [(0..HEADER, 1)]);
    // By a process that does not own the cache.
    let remote = Arc::new(Remote::new(&place.folder.path().join("media"), Duration::ZERO));
    let beside = CachedStore::beside(remote, place.cache());
    assert!(!beside.is_in_use());
    beside.remove(&object("other")).await.expect("removes");
    assert!(files(&place.cache()).is_empty());
    play(&*other, &bytes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_fails_is_told_to_all_who_wait_and_asked_again() {
    let place = Place::new(Duration::from_millis(20));
    let (store, way) = place.open(LARGE).await;
    let bytes = media(4 * BLOCK);
    put(&store, &object("call"), &bytes).await;
    let file = open(&store, &object("call")).await;
    play(&*file, &bytes[..BLOCK]).await;
    settled(&place.cache()).await;
    way.take_reads();
    way.fail(true);
    // Held until all of them have asked: whoever comes after a failure asks anew.
    way.hold(true);
    let mut waiting: Vec<_> = (0..50).map(|_| Box::pin(read(&*file, 3 * BLOCK..4 * BLOCK))).collect();
    let asked =
        std::future::poll_fn(|cx| Poll::Ready(waiting.iter_mut().all(|one| one.as_mut().poll(cx).is_pending())));
    assert!(asked.await);
    way.hold(false);
    for one in waiting {
        assert!(matches!(one.await, Err(Error::Unavailable { .. })));
    }
    assert_eq!(way.take_reads(), [(3 * BLOCK as u64..4 * BLOCK as u64, 1)], "asked once for all");
    assert!(read(&*file, 600..BLOCK).await.expect("from the disk") == bytes[600..BLOCK]);
    way.fail(false);
    play(&*file, &bytes).await;
}

/// Of many who saw that a block does not verify, one fetches it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_is_distrusted_is_fetched_once_for_all() {
    let place = Place::new(Duration::from_millis(20));
    let (store, way) = place.open(LARGE).await;
    let bytes = media(4 * BLOCK);
    put(&store, &object("call"), &bytes).await;
    let file = open(&store, &object("call")).await;
    way.give_wrong_bytes(0, 3);
    let range = BLOCK / 2..2 * BLOCK + BLOCK / 2 + 10;
    let seen = read(&*file, range.clone()).await.expect("reads");
    assert!(seen != bytes[range.clone()], "the way changed a byte");
    settled(&place.cache()).await;
    assert!(read(&*file, range.clone()).await.expect("reads") == seen, "and the cache keeps it");
    way.take_reads();
    let healing: Vec<_> = (0..200)
        .map(|_| {
            let (file, seen) = (Arc::clone(&file), seen.clone());
            tokio::spawn(async move { file.read_anew((BLOCK / 2) as u64, seen).await })
        })
        .collect();
    for one in healing {
        assert!(one.await.expect("ends").expect("reads") == bytes[range.clone()]);
    }
    assert!(way.take_reads().iter().all(|(_, times)| *times == 1), "each block once");
    settled(&place.cache()).await;
    assert!(read(&*file, range.clone()).await.expect("reads") == bytes[range.clone()]);
    assert_eq!(way.take_reads(), [], "and it is kept as it is now");
}

/// Header, end, or anything between: what does not verify is read again before a recording is called corrupt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_byte_on_the_way_is_heard_by_nobody() {
    let (system, media) = (System::with_key(), media(1_500_000));
    system.import("call", &media);
    let data = system.data_dir();
    let database = SqliteDatabase::open(&data.join("sealtape.db"), false).await.expect("opens");
    let database: Arc<dyn Database> = Arc::new(database);
    let keys = Arc::new(FileDefinitionKeys::at(&data.join("definition.key")));
    let keys = KeyWatch::load(Arc::clone(&database), keys).await.expect("loads");
    let mut wrong = 0;
    for skipped in 0.. {
        let remote = Remote::new(&data.join("media"), Duration::ZERO);
        let way = Arc::clone(&remote.way);
        let folder = system.path(&format!("cache-{skipped}"));
        let store = CachedStore::open(Arc::new(remote), CacheSettings::new(folder, LARGE)).await.expect("opens");
        let settings = PlaybackSettings { allow_plain: false };
        let clock: sealtape::service::Clock = Arc::new(|| Timestamp::MAX);
        let playback = Playback::new(Arc::clone(&database), Arc::new(store), Arc::clone(&keys), clock, settings);
        way.give_wrong_bytes(skipped, 1);
        let open = playback.open(&"call".parse().expect("an ID")).await.expect("opens");
        let (mut stream, mut heard) = (playback.stream(&open, 0..media.len() as u64), Vec::new());
        while let Some(frame) = std::future::poll_fn(|cx| stream.poll_next(FRAME_LEN_MAX, cx)).await {
            heard.extend_from_slice(&frame.unwrap_or_else(|error| panic!("read {skipped}: {error}")));
        }
        assert!(heard == media, "read {skipped} was wrong");
        if way.was_right_throughout() {
            break;
        }
        wrong += 1;
    }
    assert!(wrong >= 7, "the header and six blocks: {wrong}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_what_is_there_and_what_is_torn_is_seen() {
    let place = Place::new(Duration::ZERO);
    let bytes = media(130 * BLOCK + 777);
    {
        let (store, _) = place.open(LARGE).await;
        put(&store, &object("call"), &bytes).await;
        play(&*open(&store, &object("call")).await, &bytes).await;
        settled(&place.cache()).await;
    }
    let reopened = || async {
        let mut opened = place.open(LARGE).await;
        while !opened.0.is_in_use() {
            // Those who wrote last may hold it for a moment still.
            tokio::time::sleep(Duration::from_millis(50)).await;
            opened = place.open(LARGE).await;
        }
        opened
    };
    {
        let (store, way) = reopened().await;
        play(&*open(&store, &object("call")).await, &bytes).await;
        assert_eq!(way.take_reads(), [(0..HEADER, 1)], "all of it is there still");
    }
    // As a power cut may leave it: blocks of zeros, half a block, a file that ends early, a page that is not there.
    use std::os::unix::fs::FileExt;
    let mut files = files(&place.cache());
    files.sort();
    assert_eq!(files.len(), 3);
    let edit = |file: &Path| fs::OpenOptions::new().write(true).open(file).expect("opens");
    let at = |block: usize| (4096 + block * BLOCK) as u64;
    edit(&files[0]).write_all_at(&vec![0; BLOCK], at(5)).expect("written");
    edit(&files[0]).write_all_at(&[1; 100], at(9) + 1000).expect("written");
    edit(&files[0]).set_len(at(60)).expect("cut");
    edit(&files[1]).write_all_at(&[0; 4096], 0).expect("written");
    let (store, way) = reopened().await;
    play(&*open(&store, &object("call")).await, &bytes).await;
    let read: Vec<u64> = way.take_reads().iter().map(|(range, _)| range.start / BLOCK as u64).collect();
    let expected: Vec<u64> = [0, 5, 9].into_iter().chain(60..128).collect();
    assert_eq!(read, expected, "what was torn is fetched, and nothing else");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_has_the_cache_and_the_next_one_takes_it_over() {
    let place = Place::new(Duration::ZERO);
    let (first, _) = place.open(LARGE).await;
    let bytes = media(2 * BLOCK);
    put(&first, &object("call"), &bytes).await;
    play(&*open(&first, &object("call")).await, &bytes).await;
    settled(&place.cache()).await;
    let (second, way) = place.open(LARGE).await;
    assert!(first.is_in_use() && !second.is_in_use());
    play(&*open(&second, &object("call")).await, &bytes).await;
    assert!(way.take_reads().len() > 1, "it reads from the store itself");
    drop(first);
    until("it takes the cache over", || second.is_in_use()).await;
    play(&*open(&second, &object("call")).await, &bytes).await;
    assert_eq!(way.take_reads(), [(0..HEADER, 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_holds_something_else_is_refused_and_left_as_it_is() {
    let place = Place::new(Duration::ZERO);
    fs::create_dir(place.cache()).expect("made");
    fs::write(place.cache().join("letters"), "dear").expect("written");
    let remote = Arc::new(Remote::new(&place.folder.path().join("media"), Duration::ZERO));
    let refused = CachedStore::open(remote, CacheSettings::new(place.cache(), LARGE)).await;
    assert!(refused.is_err_and(|error| error.to_string() == "it holds something else"));
    assert_eq!(fs::read_dir(place.cache()).expect("read").count(), 1);
}
