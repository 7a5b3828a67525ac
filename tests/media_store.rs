//! The conformance suite of [`MediaStore`], run on every implementation.

use std::sync::Arc;

use sealtape::base::RecordingId;
use sealtape::media::{Error, MediaKind, MediaObject, MediaStore, Stage};
use sealtape::storage::LocalStore;

use crate::support::media;

#[tokio::test]
async fn local() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    conforms(Arc::new(LocalStore::open(&folder.path().join("media"), true).expect("opens"))).await;
}

async fn conforms(store: Arc<dyn MediaStore>) {
    for kind in [MediaKind::Sealed, MediaKind::Plain] {
        grows_under_its_part_name(&*store, kind).await;
        never_overwrites(&*store, kind).await;
        reads_any_range_of_one_version(&*store, kind).await;
    }
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
