//! The conformance suite of [`MediaStore`], run on every implementation.

use std::sync::Arc;

use sealtape::base::RecordingId;
use sealtape::media::{Error, MediaKind, MediaObject, MediaStore, MediaWriter, Stage};
use sealtape::storage::LocalStore;

use crate::support::media;

#[tokio::test]
async fn local() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let store = |name| LocalStore::open(&folder.path().join(name), true).expect("opens");
    conforms(Arc::new(store("media"))).await;
    conforms(Arc::new(store("waited-for").waiting_here())).await;
}

async fn conforms(store: Arc<dyn MediaStore>) {
    for kind in [MediaKind::Sealed, MediaKind::Plain] {
        grows_under_its_part_name(&*store, kind).await;
        keeps_long_ones_whole(&*store, kind).await;
        never_overwrites(&*store, kind).await;
        reads_any_range_of_one_version(&*store, kind).await;
        gives_another_object_its_place(&*store, kind).await;
        writes_over_a_head(&*store, kind).await;
    }
    lists_what_is_there(&*store).await;
    lets_one_at_a_time_replace(&*store).await;
}

async fn gives_another_object_its_place(store: &dyn MediaStore, kind: MediaKind) {
    let id = id("replaced");
    let (next, last) = (object(&id, kind, Stage::Next), object(&id, kind, Stage::Final));
    write(store.create(&id, kind).await.expect("creates"), b"old").await;
    let playing = store.open(&last).await.expect("opens").expect("is there");
    let mut dead = store.create_replacement(&id, kind).await.expect("creates");
    dead.append(b"left by a dead command".to_vec()).await.expect("appends");
    drop(dead);
    write(store.create_replacement(&id, kind).await.expect("begins anew"), b"new!").await;
    assert_eq!(content(store, &last).await, b"old", "finished, and in nobody's place yet");
    assert_eq!(content(store, &next).await, b"new!");
    store.replace(&next, &last).await.expect("replaces");
    assert_eq!(content(store, &last).await, b"new!");
    assert!(store.version(&next).await.expect("asks").is_none());
    assert_eq!(playing.read(0, vec![0; 3]).await.expect("reads"), b"old", "who plays goes on");
    assert!(store.replace(&next, &last).await.is_err(), "there is nothing to take its place");
    assert_eq!(content(store, &last).await, b"new!");
    store.remove(&last).await.expect("removes");
}

async fn writes_over_a_head(store: &dyn MediaStore, kind: MediaKind) {
    let id = id("headed");
    let last = object(&id, kind, Stage::Final);
    write(store.create(&id, kind).await.expect("creates"), b"old head, and the rest").await;
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

async fn lists_what_is_there(store: &dyn MediaStore) {
    let mut expected = Vec::new();
    for n in 0..40 {
        let id = id(&format!("listed-{n}"));
        write(store.create(&id, MediaKind::Sealed).await.expect("creates"), b"x").await;
        expected.push(object(&id, MediaKind::Sealed, Stage::Final));
    }
    let growing = store.create(&id("listed-7.part"), MediaKind::Plain).await.expect("creates");
    assert!(store.is_being_written(&object(&id("listed-7.part"), MediaKind::Plain, Stage::Part)).await.expect("asks"));
    assert!(!store.is_being_written(&expected[0]).await.expect("asks"));
    drop(growing);
    expected.push(object(&id("listed-7.part"), MediaKind::Plain, Stage::Part));
    write(store.create_replacement(&id("listed-0"), MediaKind::Sealed).await.expect("creates"), b"y").await;
    expected.push(object(&id("listed-0"), MediaKind::Sealed, Stage::Next));
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
        let mut names: Vec<String> = objects.iter().map(|object| format!("{object:?}")).collect();
        names.sort();
        names
    };
    assert_eq!(names(&found), names(&expected), "each once");
}

async fn lets_one_at_a_time_replace(store: &dyn MediaStore) {
    let guard = store.begin_maintenance().await.expect("begins");
    assert!(matches!(store.begin_maintenance().await.err(), Some(Error::Busy { .. })));
    drop(guard);
    store.begin_maintenance().await.expect("the next one begins");
}

/// Long enough that the disk is asked to take some of it before the end.
async fn keeps_long_ones_whole(store: &dyn MediaStore, kind: MediaKind) {
    let id = id("long");
    let content_written = media(50 << 20);
    let mut writer = store.create(&id, kind).await.expect("creates");
    let (most, end) = content_written.split_at(content_written.len() - 16);
    for piece in most.chunks(3 << 20) {
        writer.append(piece.to_vec()).await.expect("appends");
    }
    writer.sync_content().await.expect("syncs");
    let part = object(&id, kind, Stage::Part);
    assert_eq!(store.version(&part).await.expect("asks").map(|version| version.len), Some(most.len() as u64));
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
    file.read(0, vec![0; file.version().len as usize]).await.expect("reads")
}

async fn grows_under_its_part_name(store: &dyn MediaStore, kind: MediaKind) {
    let id = id("grows");
    let (part, last) = (object(&id, kind, Stage::Part), object(&id, kind, Stage::Final));
    assert!(store.version(&part).await.expect("asks").is_none());
    let mut writer = store.create(&id, kind).await.expect("creates");
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
    let writer = store.create(&id, kind).await.expect("creates");
    assert!(matches!(store.create(&id, kind).await.err(), Some(Error::Exists { being_written: true, .. })));
    drop(writer);
    assert!(matches!(store.create(&id, kind).await.err(), Some(Error::Exists { being_written: false, .. })));
    store.remove(&object(&id, kind, Stage::Part)).await.expect("removes");
    store.create(&id, kind).await.expect("creates").finish().await.expect("finishes");
    assert!(matches!(store.create(&id, kind).await.err(), Some(Error::Exists { being_written: false, .. })));
}

async fn reads_any_range_of_one_version(store: &dyn MediaStore, kind: MediaKind) {
    let (id, media) = (id("reads"), media(100_000));
    let mut writer = store.create(&id, kind).await.expect("creates");
    writer.append(media.clone()).await.expect("appends");
    writer.finish().await.expect("finishes");
    let object = object(&id, kind, Stage::Final);
    let file = store.open(&object).await.expect("opens").expect("is there");
    assert_eq!(Some(file.version()), store.version(&object).await.expect("asks"));
    for (from, to) in [(0, 1), (0, 100_000), (99_999, 100_000), (4095, 4097), (50_000, 50_000)] {
        let read = file.read(from as u64, vec![0; to - from]).await.expect("reads");
        assert!(read == media[from..to], "{from}..{to}");
        let mut now = vec![0; to - from];
        if file.try_read_now(from as u64, &mut now).expect("reads") {
            assert!(now == media[from..to], "{from}..{to} now");
        }
    }
    assert!(matches!(file.read(99_000, vec![0; 2000]).await, Err(Error::ShortRead { .. })));
    // What is open stays what it is, whatever happens to the name.
    store.remove(&object).await.expect("removes");
    assert!(file.read(0, vec![0; 100_000]).await.expect("reads") == media);
}

fn id(text: &str) -> RecordingId {
    text.parse().expect("an ID")
}

fn object(id: &RecordingId, kind: MediaKind, stage: Stage) -> MediaObject {
    MediaObject { id: id.clone(), kind, stage }
}
