//! The conformance suite of [`MediaStore`], run on every implementation.

use std::{
    fs,
    os::unix::{ffi::OsStrExt, fs::FileExt},
    sync::Arc,
};

use object_store::memory::InMemory;
use rustix::fs::{Advice, fadvise};
use sealtape::base::{RecordingId, SealId};
use sealtape::media::{Error, MediaKind, MediaObject, MediaStore, MediaWriter, ObjectRole, Stage};
use sealtape::storage::{BucketLimits, BucketStore, CacheSettings, CachedStore, LocalStore, SpooledStore};

use crate::{
    simulated::{fate::Fate, store::SimulatedStore},
    support::{Garage, media},
};

#[tokio::test]
async fn local() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let store = |name| LocalStore::open(&folder.path().join(name), true).expect("opens");
    conforms(Arc::new(store("media")), Kind::Folder).await;
    conforms(Arc::new(store("waited-for").waiting_here()), Kind::Folder).await;
}

/// Over a store in memory, which has none of what only some stores have.
#[tokio::test]
async fn bucket_in_memory() {
    let objects = Arc::new(InMemory::new());
    for prefix in ["", "archive/of 2026"] {
        let store = BucketStore::over(objects.clone(), "s3://bucket/", prefix, BucketLimits::default());
        conforms(Arc::new(store), Kind::Bucket).await;
    }
}

/// The same over three nodes of Garage.
#[tokio::test]
async fn bucket_on_garage() {
    let garage = Garage::start();
    let bucket = garage.bucket("conformance");
    let store =
        BucketStore::connect(&garage.address(&bucket, "media"), &|name| garage.variable(name)).expect("connects");
    conforms(Arc::new(store.clone()), Kind::Bucket).await;
    assert!(!store.is_empty().await.expect("asks"));
    rewrites_the_head_of_a_long_one(&store).await;
    let other =
        BucketStore::connect(&garage.address(&bucket, "other"), &|name| garage.variable(name)).expect("connects");
    assert!(other.is_empty().await.expect("asks"), "another prefix");
    let nowhere = garage.address("no-such-bucket", "media");
    let nowhere = BucketStore::connect(&nowhere, &|name| garage.variable(name)).expect("connects");
    let object = named(&object(&id("any"), MediaKind::Sealed, Stage::Final), 1);
    for refused in [nowhere.version(&object).await.err(), nowhere.open(&object).await.err()] {
        assert!(matches!(refused, Some(Error::Unavailable { .. })), "without a bucket nothing is missing: {refused:?}");
    }
    let stranger = |name: &str| Some(format!("GK{}", name.len())).filter(|_| name.contains("KEY"));
    let refused = BucketStore::connect(&garage.address(&bucket, "media"), &stranger).expect("connects");
    let refused = refused.version(&object).await.expect_err("strangers are refused");
    assert!(matches!(refused, Error::Unavailable { .. }), "{refused}");
}

/// One that is too long to be sent again: the store copies what is behind its beginning by itself.
async fn rewrites_the_head_of_a_long_one(store: &BucketStore) {
    let (object, media) = (named(&object(&id("long-headed"), MediaKind::Sealed, Stage::Final), 1), media(40 << 20));
    let mut writer = store.create(&object).await.expect("creates");
    writer.append(media.clone()).await.expect("appends");
    writer.finish().await.expect("finishes");
    let playing = store.open(&object).await.expect("opens").expect("is there");
    let version = store.version(&object).await.expect("asks").expect("is there");
    let head: Vec<u8> = media[..512].iter().map(|byte| !byte).collect();
    store.rewrite_head(&object, version, &head).await.expect("writes");
    let all = content(store, &object).await;
    assert!(all[..512] == head && all[512..] == media[512..], "its head, and nothing else");
    // What is behind the head is the same for whoever has it open; the head is not.
    let read = playing.read(20 << 20, vec![0; 1 << 20], 0).await.expect("reads on");
    assert!(read == media[20 << 20..21 << 20]);
    assert!(matches!(store.rewrite_head(&object, version, &head).await, Err(Error::Changed { .. })));
    store.remove(&object).await.expect("removes");
    let late = playing.read(1 << 20, vec![0; 10], 0).await;
    assert!(matches!(late, Err(Error::Changed { .. })), "{late:?}");
}

/// With a spool before it, and whatever is written still in it.
#[tokio::test]
async fn spooled() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let local = |name: &str| LocalStore::open(&folder.path().join(name), true).expect("opens");
    let url = || "http://127.0.0.1:1".parse().expect("a location");
    conforms(Arc::new(SpooledStore::new(local("spool"), Arc::new(local("media")), url())), Kind::Folder).await;
    let (spool, remote) = (local("spool-waited-for").waiting_here(), local("media-waited-for").waiting_here());
    conforms(Arc::new(SpooledStore::new(spool, Arc::new(remote), url())), Kind::Folder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cached() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    // Hardly any room, so that much of it goes while it is read; then room for all.
    for (name, size_bytes) in [("small", 1 << 20), ("large", 1 << 30)] {
        let local = LocalStore::open(&folder.path().join(format!("media-{name}")), true).expect("opens");
        let settings = CacheSettings::new(folder.path().join(name), size_bytes);
        let store = CachedStore::open(Arc::new(local), settings).await.expect("opens");
        assert!(store.is_in_use());
        conforms(Arc::new(store), Kind::Folder).await;
    }
}

/// The double of the simulated world, where nothing goes wrong: what it does of its own is what any store may do.
#[tokio::test]
async fn simulated() {
    for (seed, has_copies) in [(1, false), (2, true)] {
        let store = SimulatedStore::new(&Arc::default(), &Fate::new(seed), has_copies);
        conforms(Arc::new(store), Kind::Folder).await;
    }
}

/// Of a file of which the system holds a part in memory, that part comes at once, and is not read again.
#[tokio::test]
async fn local_reads_what_memory_holds_and_waits_for_the_rest() {
    const LEN: usize = 8 << 20;
    const HELD: usize = 128 << 10;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let store = LocalStore::open(&folder.path().join("media"), true).expect("opens");
    let (object, media) = (object(&id("partly"), MediaKind::Sealed, Stage::Final), media(LEN));
    let mut writer = store.create(&object).await.expect("creates");
    writer.append(media.clone()).await.expect("appends");
    writer.finish().await.expect("finishes");
    let path = store.location(&object).strip_prefix("file://").expect("a file").to_owned();
    let other = fs::File::open(&path).expect("opens");
    fadvise(&other, 0, None, Advice::DontNeed).expect("forgets");
    fadvise(&other, 0, None, Advice::Random).expect("reads nothing ahead");
    other.read_exact_at(&mut vec![0; HELD], 0).expect("reads");

    let file = store.open(&object).await.expect("opens").expect("is there");
    let mut buffer = vec![0; LEN];
    let filled = file.try_read_now(0, &mut buffer).expect("reads");
    assert!((HELD..LEN).contains(&filled) && buffer[..filled] == media[..filled], "{filled} now");
    // Marked, so that it would be seen if these were read again.
    buffer[..filled].fill(0xAA);
    let read = file.read(0, buffer, filled).await.expect("reads");
    assert!(read[..filled].iter().all(|byte| *byte == 0xAA), "the first {filled} bytes are read once");
    assert!(read[filled..] == media[filled..]);
    let mut buffer = vec![0; LEN];
    assert_eq!(file.try_read_now(0, &mut buffer).expect("reads"), LEN, "all of it is held now");
    assert!(buffer == media);
}

/// What is read once takes nobody's place in memory: what was held for others still is, and the rest is not held.
#[tokio::test]
async fn local_reads_once_without_a_trace() {
    const LEN: usize = 8 << 20;
    const HELD: usize = 1 << 20;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let store = LocalStore::open(&folder.path().join("media"), true).expect("opens");
    let (object, media) = (object(&id("once"), MediaKind::Sealed, Stage::Final), media(LEN));
    let mut writer = store.create(&object).await.expect("creates");
    writer.append(media.clone()).await.expect("appends");
    writer.finish().await.expect("finishes");
    let path = store.location(&object).strip_prefix("file://").expect("a file").to_owned();
    let other = fs::File::open(&path).expect("opens");
    fadvise(&other, 0, None, Advice::DontNeed).expect("forgets");
    fadvise(&other, 0, None, Advice::Random).expect("reads nothing ahead");
    other.read_exact_at(&mut vec![0; HELD], 0).expect("reads");

    let file = store.open(&object).await.expect("opens").expect("is there");
    for start in (0..LEN).step_by(256 << 10) {
        let read = file.read_once(start as u64, vec![0; 256 << 10]).await.expect("reads");
        assert!(read == media[start..start + (256 << 10)], "{start}");
    }
    let held = |start: usize, len: usize| file.try_read_now(start as u64, &mut vec![0; len]).expect("reads");
    assert_eq!(held(0, HELD), HELD, "what others had in memory is there still");
    assert_eq!(held(HELD + (512 << 10), 4096), 0, "and what nobody had is not");
}

/// A name that the system does not remember, and one that is another file from one moment to the next.
#[tokio::test]
async fn local_names_are_looked_up_each_time() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let root = folder.path().join("media");
    let store = LocalStore::open(&root, true).expect("opens");
    let object = object(&id("named"), MediaKind::Sealed, Stage::Final);
    assert!(store.version(&object).await.expect("asks").is_none());
    write(store.create(&object).await.expect("creates"), b"one").await;
    let path = store.location(&object).strip_prefix("file://").expect("a file").to_owned();
    let (other, aside) = (folder.path().join("other"), folder.path().join("aside"));
    fs::write(&other, b"other").expect("written");
    let (mut seen, mut open) = (Vec::new(), None);
    for number in 0..200 {
        // From then on as for a recording that is played: its path is kept, and is one and the other file all the same.
        if number == 100 {
            open = store.open(&object).await.expect("opens");
            assert!(open.is_some());
        }
        let version = store.version(&object).await.expect("asks").expect("is there");
        assert!(store.try_version_now(&object).is_none_or(|now| now == version));
        seen.push(version);
        fs::rename(&path, &aside).expect("renamed");
        assert!(store.version(&object).await.expect("asks").is_none());
        fs::rename(&other, &path).expect("renamed");
        fs::rename(&aside, &other).expect("renamed");
    }
    let lens: Vec<u64> = seen.iter().map(|version| version.len).collect();
    assert!(lens.chunks(2).all(|pair| pair == [3, 5]), "{lens:?}");
    drop(open);
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("made");
    assert!(matches!(store.version(&object).await, Err(Error::Unavailable { .. })), "it is no file");
    fs::remove_dir(&path).expect("removed");
    // Another folder in the store's place holds nothing of it.
    fs::rename(&root, folder.path().join("moved")).expect("renamed");
    assert!(matches!(store.version(&object).await, Err(Error::Unavailable { .. })), "the store is gone");
}

/// What kind of store it is: names that hold whatever is current and show what grows, or a name for each sealing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Folder,
    Bucket,
}

async fn conforms(store: Arc<dyn MediaStore>, store_kind: Kind) {
    for kind in [MediaKind::Sealed, MediaKind::Plain] {
        match store_kind {
            Kind::Folder => {
                grows_under_its_part_name(&*store, kind).await;
                never_overwrites(&*store, kind).await;
            }
            Kind::Bucket => is_there_at_its_end(&*store, kind).await,
        }
        keeps_long_ones_whole(&*store, kind, store_kind).await;
        reads_any_range_of_one_version(&*store, kind, store_kind).await;
        reads_in_order(&store, kind).await;
        // Nothing takes the place of what is plain under its own name.
        if kind == MediaKind::Sealed || store_kind == Kind::Folder {
            gives_another_object_its_place(&*store, kind, store_kind).await;
            writes_over_a_head(&*store, kind).await;
            keeps_what_another_takes_the_place_of(&*store, kind, store_kind).await;
            gives_a_name_that_is_free(&*store, kind).await;
            removes_one_version(&*store, kind, store_kind).await;
        }
    }
    lists_what_is_there(&*store, store_kind).await;
    lets_one_at_a_time_replace(&*store).await;
}

/// The object as that one of its sealings; what is plain is named by what it holds.
fn named(object: &MediaObject, sealing: u8) -> MediaObject {
    let sealing = (object.kind == MediaKind::Sealed).then_some(SealId([sealing; 16]));
    MediaObject { sealing, ..object.clone() }
}

/// Nothing of it before, and nothing of one that was given up; then the whole of it, once.
async fn is_there_at_its_end(store: &dyn MediaStore, kind: MediaKind) {
    let last = object(&id("whole"), kind, Stage::Final);
    for len in [0, 1, 12 << 20] {
        let content_written = media(len);
        let given_up = async {
            let mut writer = store.create(&named(&last, 1)).await.expect("creates");
            let buffer = writer.append(content_written.clone()).await.expect("appends");
            assert!(buffer.is_empty());
            writer.sync().await.expect("there is nothing to sync");
            for stage in [Stage::Part, Stage::Next, Stage::Final] {
                let object = MediaObject { stage, ..last.clone() };
                assert!(store.version(&object).await.expect("asks").is_none(), "{stage:?}");
            }
            writer
        };
        drop(given_up.await);
        given_up_again(store, &last, &content_written).await;
    }
    let mut unnamed = store.create(&last).await;
    if kind == MediaKind::Sealed {
        assert!(matches!(unnamed.as_mut().err(), Some(Error::Unavailable { .. })), "it names no sealing");
    }
}

async fn given_up_again(store: &dyn MediaStore, last: &MediaObject, content_written: &[u8]) {
    write(store.create(&named(last, 1)).await.expect("creates"), content_written).await;
    assert!(content(store, last).await == content_written, "{} bytes", content_written.len());
    if last.kind == MediaKind::Sealed {
        let again = store.create(&named(last, 1)).await.err();
        assert!(matches!(again, Some(Error::Exists { being_written: false, .. })), "{again:?}");
        // Another sealing has a name of its own; then only the catalogue can tell which is meant.
        write(store.create(&named(last, 2)).await.expect("creates"), b"another").await;
        assert!(matches!(store.version(last).await, Err(Error::Unavailable { .. })));
        assert!(content(store, &named(last, 1)).await == content_written);
        assert_eq!(content(store, &named(last, 2)).await, b"another");
        assert!(store.location(&named(last, 2)).contains(&format!("whole/{}", SealId([2; 16]))));
    }
    store.remove(last).await.expect("removes all of that name");
    assert!(store.version(last).await.expect("asks").is_none());
    assert!(store.open(&named(last, 1)).await.expect("asks").is_none());
    store.remove(&named(last, 1)).await.expect("removing what is gone is no error");
}

/// Whoever says what they will read gets what is there, however they ask for it.
async fn reads_in_order(store: &Arc<dyn MediaStore>, kind: MediaKind) {
    let (last, media) = (object(&id("in-order"), kind, Stage::Final), media(20 << 20));
    let mut writer = store.create(&named(&last, 1)).await.expect("creates");
    writer.append(media.clone()).await.expect("appends");
    writer.finish().await.expect("finishes");
    let file = store.open(&last).await.expect("opens").expect("is there");
    for (range, step) in [(512..20 << 20, 257 << 10), (3 << 20..(3 << 20) + 65_552, 65_552), (0..700, 13)] {
        let reader = Arc::clone(&file).read_in_order(range.start as u64..range.end as u64);
        let reader = reader.unwrap_or_else(|| Arc::clone(&file));
        let mut start: usize = range.start;
        while start < range.end {
            let end = range.end.min(start + step);
            let mut buffer = vec![0; end - start];
            let filled = reader.try_read_now(start as u64, &mut buffer).expect("reads");
            let read = if filled == buffer.len() {
                buffer
            } else {
                reader.read(start as u64, buffer, filled).await.expect("reads")
            };
            assert!(read == media[start..end], "{start}..{end}");
            start = end;
        }
        // And whoever does something else.
        let elsewhere = reader.read(5, vec![0; 1000], 0).await.expect("reads");
        assert!(elsewhere == media[5..1005]);
    }
    store.remove(&last).await.expect("removes");
}

async fn gives_another_object_its_place(store: &dyn MediaStore, kind: MediaKind, store_kind: Kind) {
    let id = id("replaced");
    let (next, last) = (object(&id, kind, Stage::Next), object(&id, kind, Stage::Final));
    write(store.create(&named(&object(&id, kind, Stage::Final), 1)).await.expect("creates"), b"old").await;
    let playing = store.open(&last).await.expect("opens").expect("is there");
    let mut dead = store.create(&named(&object(&id, kind, Stage::Next), 2)).await.expect("creates");
    dead.append(b"left by a dead command".to_vec()).await.expect("appends");
    drop(dead);
    write(store.create(&named(&object(&id, kind, Stage::Next), 2)).await.expect("begins anew"), b"new!").await;
    assert_eq!(content(store, &last).await, b"old", "finished, and in nobody's place yet");
    assert_eq!(content(store, &next).await, b"new!");
    store.replace(&next, &last).await.expect("replaces");
    assert_eq!(content(store, &last).await, b"new!");
    assert!(store.version(&next).await.expect("asks").is_none());
    if store_kind == Kind::Folder {
        assert_eq!(playing.read(0, vec![0; 3], 0).await.expect("reads"), b"old", "who plays goes on");
    }
    assert!(store.replace(&next, &last).await.is_err(), "there is nothing to take its place");
    assert_eq!(content(store, &last).await, b"new!");
    store.remove(&last).await.expect("removes");
}

async fn gives_a_name_that_is_free(store: &dyn MediaStore, kind: MediaKind) {
    let id = id("placed");
    let (next, last) = (object(&id, kind, Stage::Next), object(&id, kind, Stage::Final));
    write(store.create(&named(&object(&id, kind, Stage::Next), 1)).await.expect("begins"), b"one").await;
    store.place(&next, &last).await.expect("is free");
    assert_eq!(content(store, &last).await, b"one");
    assert!(store.version(&next).await.expect("asks").is_none());
    write(store.create(&named(&object(&id, kind, Stage::Next), 1)).await.expect("begins"), b"two").await;
    assert!(matches!(store.place(&next, &last).await, Err(Error::Exists { .. })), "nothing is overwritten");
    assert_eq!((content(store, &last).await, content(store, &next).await), (b"one".to_vec(), b"two".to_vec()));
    store.remove(&next).await.expect("removes");
    store.remove(&last).await.expect("removes");
    assert!(store.place(&next, &last).await.is_err(), "there is nothing to be given a name");
}

async fn removes_one_version(store: &dyn MediaStore, kind: MediaKind, store_kind: Kind) {
    let id = id("versioned");
    let last = object(&id, kind, Stage::Final);
    write(store.create(&named(&object(&id, kind, Stage::Final), 1)).await.expect("creates"), b"one").await;
    let one = store.open(&last).await.expect("opens").expect("is there");
    write(store.create(&named(&object(&id, kind, Stage::Next), 2)).await.expect("begins"), b"two").await;
    store.replace(&object(&id, kind, Stage::Next), &last).await.expect("replaces");
    let changed = store.remove_version(&last, one.version()).await;
    assert!(matches!(changed, Err(Error::Changed { .. })), "{changed:?}");
    let two = store.open(&last).await.expect("opens").expect("is there");
    assert_eq!(store.remove_version(&last, two.version()).await.expect("removes"), 0);
    assert_eq!(store.remove_version(&last, two.version()).await.expect("what is gone is no error"), 0);
    assert!(store.version(&last).await.expect("asks").is_none());
    if store_kind == Kind::Folder {
        assert_eq!(two.read(0, vec![0; 3], 0).await.expect("reads"), b"two", "who has it open reads on");
    }
}

/// Files that lie elsewhere are read and removed through the store, by their URL; links there lead nowhere.
#[tokio::test]
async fn local_reads_what_lies_outside() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let store = LocalStore::open(&folder.path().join("media"), true).expect("opens");
    let archive = folder.path().join("an archive, ä");
    fs::create_dir(&archive).expect("made");
    let path = archive.join(std::ffi::OsStr::from_bytes(b"call \xff%.wav"));
    fs::write(&path, b"plain").expect("written");
    let outside = Some(LocalStore::location_of(&path).expect("a URL"));
    let object = MediaObject { outside, ..MediaObject::media(id("call"), MediaKind::Plain, Stage::Final) };
    assert!(
        store.location(&object).ends_with("/an%20archive,%20%C3%A4/call%20%FF%25.wav"),
        "{}",
        store.location(&object)
    );
    let version = store.version(&object).await.expect("asks").expect("is there");
    let file = store.open(&object).await.expect("opens").expect("is there");
    assert_eq!((file.version(), version.len), (version, 5));
    assert_eq!(content(&store, &object).await, b"plain");
    // While it is open its path is kept, and is not the path of the recording's own place in the store.
    let within = MediaObject { outside: None, ..object.clone() };
    assert!(store.try_version_now(&object).is_none_or(|now| now == version));
    assert!(store.try_version_now(&within).is_none() && store.version(&within).await.expect("asks").is_none());
    write(store.create(&within).await.expect("creates"), b"within").await;
    let _open = store.open(&within).await.expect("opens").expect("is there");
    assert_eq!(store.version(&within).await.expect("asks").expect("is there").len, 6);
    assert_eq!(store.version(&object).await.expect("asks"), Some(version));
    fs::hard_link(&path, archive.join("other name")).expect("linked");
    assert!(
        matches!(store.remove_version(&object, version).await, Err(Error::Changed { .. })),
        "its inode was changed"
    );
    let version = store.version(&object).await.expect("asks").expect("is there");
    assert_eq!(store.remove_version(&object, version).await.expect("removes"), 1, "it has another name");
    assert!(!path.exists() && store.version(&object).await.expect("asks").is_none());
    std::os::unix::fs::symlink(archive.join("other name"), &path).expect("linked");
    assert!(store.version(&object).await.is_err() && store.open(&object).await.is_err(), "links lead nowhere");
    fs::remove_file(&path).expect("removed");
    assert!(store.open(&object).await.expect("asks").is_none());
    fs::remove_dir_all(&archive).expect("removed");
    assert!(matches!(store.version(&object).await, Err(Error::Unavailable { .. })), "its folder is away");
    let elsewhere = Some("s3://bucket/call.wav".parse().expect("a location"));
    let elsewhere = MediaObject { outside: elsewhere, ..object };
    assert!(matches!(store.open(&elsewhere).await, Err(Error::Unavailable { .. })), "it is no file of this machine");
    assert!(LocalStore::location_of(std::path::Path::new("relative")).is_err());
}

async fn writes_over_a_head(store: &dyn MediaStore, kind: MediaKind) {
    let id = id("headed");
    let last = object(&id, kind, Stage::Final);
    write(store.create(&named(&object(&id, kind, Stage::Final), 1)).await.expect("creates"), b"old head, and the rest")
        .await;
    let version = store.version(&last).await.expect("asks").expect("is there");
    store.rewrite_head(&last, version, b"new head").await.expect("writes");
    assert_eq!(content(store, &last).await, b"new head, and the rest");
    assert_ne!(store.version(&last).await.expect("asks"), Some(version), "it is another version");
    let late = store.rewrite_head(&last, version, b"old head").await;
    assert!(matches!(late, Err(Error::Changed { .. })), "{late:?}");
    assert_eq!(content(store, &last).await, b"new head, and the rest");
    store.remove(&last).await.expect("removes");
    assert!(store.rewrite_head(&last, version, b"new head").await.is_err());
}

async fn keeps_what_another_takes_the_place_of(store: &dyn MediaStore, kind: MediaKind, store_kind: Kind) {
    let id = id("kept");
    let (next, last) = (object(&id, kind, Stage::Next), object(&id, kind, Stage::Final));
    let seal_id = |byte| SealId([byte; 16]);
    assert!(store.keep(&last, &seal_id(1)).await.is_err(), "there is nothing to keep");
    let all_kept = async || {
        let (mut kept, mut after) = (Vec::new(), None);
        loop {
            let listing = store.list(after.as_deref()).await.expect("lists");
            assert_eq!(listing.strangers, [], "what is kept is known as such");
            kept.extend(listing.kept);
            after = listing.next;
            if after.is_none() {
                return kept;
            }
        }
    };
    let before = all_kept().await.len();
    write(store.create(&named(&object(&id, kind, Stage::Final), 1)).await.expect("creates"), b"damaged").await;
    let location = store.keep(&last, &seal_id(1)).await.expect("keeps");
    assert_eq!(store.keep(&last, &seal_id(1)).await.expect("again"), location);
    write(store.create(&named(&object(&id, kind, Stage::Next), 2)).await.expect("begins"), b"mended").await;
    store.replace(&next, &last).await.expect("replaces");
    let is_damaged_kept = async || match location.strip_prefix("file://") {
        Some(path) => fs::read(path).expect("read") == b"damaged",
        None => match store.open_kept(&last, &seal_id(1)).await.expect("opens") {
            Some(file) => file.read(0, vec![0; 7], 0).await.expect("reads") == b"damaged",
            None => store_kind == Kind::Bucket,
        },
    };
    assert!(is_damaged_kept().await);
    assert_eq!(content(store, &last).await, b"mended");
    if store_kind == Kind::Folder {
        assert!(matches!(store.keep(&last, &seal_id(1)).await, Err(Error::Exists { .. })), "never over another");
    }
    let other = store.keep(&last, &seal_id(2)).await.expect("under another name");
    let kept = all_kept().await;
    assert_eq!(kept.len(), before + 2, "{kept:?}");
    assert!(kept.contains(&location) && kept.contains(&other), "{kept:?}");
    store.remove(&last).await.expect("removes");
    assert!(is_damaged_kept().await, "whatever becomes of that");
    store.remove_kept(&id, 64..104).await.expect("removes");
    assert_eq!(all_kept().await.len(), before);
}

async fn lists_what_is_there(store: &dyn MediaStore, store_kind: Kind) {
    let mut expected = Vec::new();
    for n in 0..40_u8 {
        let id = id(&format!("listed-{n}"));
        write(store.create(&named(&object(&id, MediaKind::Sealed, Stage::Final), n)).await.expect("creates"), b"x")
            .await;
        expected.push(object(&id, MediaKind::Sealed, Stage::Final));
    }
    if store_kind == Kind::Folder {
        let growing = object(&id("listed-7.part"), MediaKind::Plain, Stage::Part);
        let writer = store.create(&MediaObject { stage: Stage::Final, ..growing.clone() }).await.expect("creates");
        assert!(store.is_being_written(&growing).await.expect("asks"));
        drop(writer);
        expected.push(growing);
    }
    assert!(!store.is_being_written(&expected[0]).await.expect("asks"));
    let next = object(&id("listed-0"), MediaKind::Sealed, Stage::Next);
    write(store.create(&named(&next, 77)).await.expect("creates"), b"y").await;
    expected.push(next);
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let listing = store.list(after.as_deref()).await.expect("lists");
        assert_eq!(listing.strangers, []);
        found.extend(listing.objects.into_iter().filter(|object| object.id.as_str().starts_with("listed")));
        after = listing.next;
        if after.is_none() {
            break;
        }
    }
    let names = |objects: &[MediaObject]| {
        let names = objects.iter().map(|object| format!("{:?}", MediaObject { sealing: None, ..object.clone() }));
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    };
    assert_eq!(names(&found), names(&expected), "each once");
    names_the_media_of_one(store, store_kind).await;
}

/// Of one recording alone, and of every sealing of it where each has a name.
async fn names_the_media_of_one(store: &dyn MediaStore, store_kind: Kind) {
    let (id, other) = (id("one-of-many"), id("one-of-many-others"));
    assert_eq!(store.media_of(&id).await.expect("asks"), []);
    let (last, next) = (object(&id, MediaKind::Sealed, Stage::Final), object(&id, MediaKind::Sealed, Stage::Next));
    let beside = MediaObject { role: ObjectRole::Metadata { version: SealId([9; 16]) }, ..last.clone() };
    write(store.create(&named(&last, 1)).await.expect("creates"), b"one").await;
    write(store.create(&named(&next, 2)).await.expect("creates"), b"two").await;
    assert_eq!(store.beside(&id).await.expect("asks"), []);
    write(store.create(&beside).await.expect("creates"), b"beside it").await;
    let of_other = object(&other, MediaKind::Sealed, Stage::Final);
    write(store.create(&named(&of_other, 3)).await.expect("creates"), b"another").await;
    let beside_other = MediaObject { id: other, ..beside.clone() };
    write(store.create(&beside_other).await.expect("creates"), b"beside the other").await;
    assert_eq!(store.beside(&id).await.expect("asks"), [beside]);
    let mut expected = vec![last.clone(), next.clone()];
    if store_kind == Kind::Bucket {
        write(store.create(&named(&last, 4)).await.expect("creates"), b"another sealing").await;
        expected = vec![named(&last, 1), named(&last, 4), named(&next, 2)];
    }
    let mut found = store.media_of(&id).await.expect("asks");
    found.sort_by_key(|object| format!("{:?} {:?}", object.stage, object.sealing));
    assert_eq!(found, expected);
}

async fn lets_one_at_a_time_replace(store: &dyn MediaStore) {
    let guard = store.begin_maintenance().await.expect("begins");
    assert!(matches!(store.begin_maintenance().await.err(), Some(Error::Busy { .. })));
    drop(guard);
    store.begin_maintenance().await.expect("the next one begins");
}

/// Long enough that the disk is asked to take some of it before the end.
async fn keeps_long_ones_whole(store: &dyn MediaStore, kind: MediaKind, store_kind: Kind) {
    let id = id("long");
    let content_written = media(50 << 20);
    let mut writer = store.create(&named(&object(&id, kind, Stage::Final), 1)).await.expect("creates");
    let (most, end) = content_written.split_at(content_written.len() - 16);
    for piece in most.chunks(3 << 20) {
        writer.append(piece.to_vec()).await.expect("appends");
    }
    writer.sync_content().await.expect("syncs");
    let part = object(&id, kind, Stage::Part);
    if store_kind == Kind::Folder {
        assert_eq!(store.version(&part).await.expect("asks").map(|version| version.len), Some(most.len() as u64));
    }
    writer.append(end.to_vec()).await.expect("appends");
    writer.finish().await.expect("finishes");
    let last = object(&id, kind, Stage::Final);
    assert!(content(store, &last).await == content_written, "other bytes");
    store.remove(&last).await.expect("removes");
}

async fn write(mut writer: Box<dyn MediaWriter>, bytes: &[u8]) {
    writer.append(bytes.to_vec()).await.expect("appends");
    writer.finish().await.expect("finishes");
}

async fn content(store: &dyn MediaStore, object: &MediaObject) -> Vec<u8> {
    let file = store.open(object).await.expect("opens").expect("is there");
    file.read(0, vec![0; file.version().len as usize], 0).await.expect("reads")
}

async fn grows_under_its_part_name(store: &dyn MediaStore, kind: MediaKind) {
    let id = id("grows");
    let (part, last) = (object(&id, kind, Stage::Part), object(&id, kind, Stage::Final));
    assert!(store.version(&part).await.expect("asks").is_none());
    let mut writer = store.create(&object(&id, kind, Stage::Final)).await.expect("creates");
    let buffer = writer.append(b"one".to_vec()).await.expect("appends");
    assert!(buffer.is_empty() && buffer.capacity() >= 3, "the buffer comes back");
    writer.append(b"two".to_vec()).await.expect("appends");
    writer.sync().await.expect("syncs");
    assert_eq!(store.version(&part).await.expect("asks").map(|version| version.len), Some(6));
    assert!(store.version(&last).await.expect("asks").is_none());
    writer.finish().await.expect("finishes");
    assert!(store.version(&part).await.expect("asks").is_none());
    assert_eq!(store.version(&last).await.expect("asks").map(|version| version.len), Some(6));
    assert!(store.location(&last).contains("grows"));
    store.remove(&last).await.expect("removes");
    assert!(store.version(&last).await.expect("asks").is_none());
    store.remove(&last).await.expect("removing what is gone is no error");
    assert!(store.open(&last).await.expect("asks").is_none());
}

async fn never_overwrites(store: &dyn MediaStore, kind: MediaKind) {
    let id = id("once");
    // What was begun and holds nothing stands in nobody's way, once nobody holds it.
    drop(store.create(&object(&id, kind, Stage::Final)).await.expect("creates"));
    let mut writer = store.create(&object(&id, kind, Stage::Final)).await.expect("creates in its place");
    assert!(matches!(
        store.create(&object(&id, kind, Stage::Final)).await.err(),
        Some(Error::Exists { being_written: true, .. })
    ));
    writer.append(b"something".to_vec()).await.expect("appends");
    drop(writer);
    assert!(matches!(
        store.create(&object(&id, kind, Stage::Final)).await.err(),
        Some(Error::Exists { being_written: false, .. })
    ));
    store.remove(&object(&id, kind, Stage::Part)).await.expect("removes");
    store.create(&object(&id, kind, Stage::Final)).await.expect("creates").finish().await.expect("finishes");
    assert!(matches!(
        store.create(&object(&id, kind, Stage::Final)).await.err(),
        Some(Error::Exists { being_written: false, .. })
    ));
}

async fn reads_any_range_of_one_version(store: &dyn MediaStore, kind: MediaKind, store_kind: Kind) {
    let (id, media) = (id("reads"), media(100_000));
    let mut writer = store.create(&named(&object(&id, kind, Stage::Final), 1)).await.expect("creates");
    writer.append(media.clone()).await.expect("appends");
    writer.finish().await.expect("finishes");
    let object = object(&id, kind, Stage::Final);
    let file = store.open(&object).await.expect("opens").expect("is there");
    assert_eq!(Some(file.version()), store.version(&object).await.expect("asks"));
    for (from, to) in [(0, 1), (0, 100_000), (99_999, 100_000), (4095, 4097), (50_000, 50_000)] {
        let read = file.read(from as u64, vec![0; to - from], 0).await.expect("reads");
        assert!(read == media[from..to], "{from}..{to}");
        let once = file.read_once(from as u64, vec![0; to - from]).await.expect("reads");
        assert!(once == media[from..to], "{from}..{to}, once");
        let mut now = vec![0; to - from];
        let filled = file.try_read_now(from as u64, &mut now).expect("reads");
        assert!(now[..filled] == media[from..from + filled], "{from}..{to}: {filled} now");
        // What was had at once is kept, and the rest is added.
        for filled in [filled, (to - from) / 2, to - from] {
            let mut buffer = vec![0; to - from];
            buffer[..filled].copy_from_slice(&media[from..from + filled]);
            let read = file.read(from as u64, buffer, filled).await.expect("reads");
            assert!(read == media[from..to], "{from}..{to} after {filled}");
        }
    }
    let mut beyond = vec![0; 2000];
    let filled = file.try_read_now(99_000, &mut beyond).expect("reads what there is");
    assert!(filled <= 1000 && beyond[..filled] == media[99_000..99_000 + filled], "{filled} at the end");
    assert!(matches!(file.read(99_000, beyond, filled).await, Err(Error::ShortRead { .. })), "after {filled}");
    assert!(file.try_read_now(200_000, &mut [0; 10]).expect("there is nothing") == 0);
    assert!(matches!(file.read(99_000, vec![0; 2000], 0).await, Err(Error::ShortRead { .. })));
    assert!(matches!(file.read_once(99_000, vec![0; 2000]).await, Err(Error::ShortRead { .. })));
    // What is open stays what it is, whatever happens to the name.
    store.remove(&object).await.expect("removes");
    let late = file.read(0, vec![0; 100_000], 0).await;
    match store_kind {
        Kind::Folder => assert!(late.expect("reads") == media),
        // Nobody is given anything else under its name.
        Kind::Bucket => assert!(matches!(late, Err(Error::Changed { .. })), "{late:?}"),
    }
}

fn id(text: &str) -> RecordingId {
    text.parse().expect("an ID")
}

fn object(id: &RecordingId, kind: MediaKind, stage: Stage) -> MediaObject {
    MediaObject::media(id.clone(), kind, stage)
}
