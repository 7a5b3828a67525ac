//! What objects are the same, and what stores, files and writers do that say no more than they must.

use std::{
    hash::BuildHasherDefault,
    pin::pin,
    task::{Context, Poll, Waker},
};

use super::*;

fn id(text: &str) -> RecordingId {
    text.parse().expect("an ID")
}

fn sealed(name: &str) -> MediaObject {
    MediaObject::media(id(name), MediaKind::Sealed, Stage::Final)
}

fn seal_id(byte: u8) -> Option<SealId> {
    Some(SealId([byte; 16]))
}

#[test]
fn an_object_may_be_another_that_does_not_say_which_sealing_it_is() {
    let [unsaid, one, two] = [None, seal_id(1), seal_id(2)].map(|sealing| MediaObject { sealing, ..sealed("a") });
    for (left, right, expected) in [
        (&unsaid, &unsaid, true),
        (&unsaid, &one, true),
        (&one, &unsaid, true),
        (&one, &one, true),
        (&one, &two, false),
    ] {
        assert_eq!(left.may_be(right), expected, "{left:?} {right:?}");
    }
}

#[test]
fn objects_that_differ_in_anything_else_are_never_the_same() {
    let version = SealId([7; 16]);
    let name = "notes.txt".parse().expect("a name");
    let others = [
        MediaObject { id: id("b"), ..sealed("a") },
        MediaObject { role: ObjectRole::Metadata { version }, ..sealed("a") },
        MediaObject { role: ObjectRole::Sidecar { name, version }, ..sealed("a") },
        MediaObject { kind: MediaKind::Plain, ..sealed("a") },
        MediaObject { stage: Stage::Part, ..sealed("a") },
        MediaObject { stage: Stage::Next, ..sealed("a") },
        MediaObject { outside: Some("file:///srv/a.wav".parse().expect("a location")), ..sealed("a") },
    ];
    for other in others {
        for (left, right) in [(None, None), (seal_id(1), None), (None, seal_id(1)), (seal_id(1), seal_id(1))] {
            let one = MediaObject { sealing: left, ..sealed("a") };
            let other = MediaObject { sealing: right, ..other.clone() };
            assert!(!one.may_be(&other) && !other.may_be(&one), "{one:?} {other:?}");
        }
    }
}

#[test]
fn objects_of_many_recordings_are_spread_in_a_map() {
    type Hashing = BuildHasherDefault<std::hash::DefaultHasher>;
    let hash = |object| std::hash::BuildHasher::hash_one(&Hashing::default(), object);
    assert_eq!(hash(sealed("a")), hash(sealed("a")), "equal ones are found");
    assert_ne!(hash(sealed("a")), hash(sealed("b")));
}

#[test]
fn an_object_that_grows_stays_the_same() {
    let [early, later] = [(5, [1, 2, 3, 4]), (9, [1, 2, 30, 40])].map(|(len, stamp)| Version { len, stamp });
    assert_ne!(early, later);
    assert_eq!((early.identity(), later.identity()), ([1, 2], [1, 2]));
}

#[test]
fn a_store_names_the_media_of_one_recording_by_asking_for_each() {
    let object = |name, kind, stage| MediaObject::media(id(name), kind, stage);
    let mut all: Vec<MediaObject> = Vec::new();
    for kind in [MediaKind::Sealed, MediaKind::Plain] {
        all.extend([Stage::Final, Stage::Part, Stage::Next].map(|stage| object("a", kind, stage)));
    }
    for there in [all.clone(), all[1..4].to_vec(), vec![]] {
        let mut store = Plainest { objects: there.clone() };
        store.objects.push(sealed("b"));
        store.objects.push(MediaObject { role: ObjectRole::Metadata { version: SealId([7; 16]) }, ..sealed("a") });
        assert_eq!(at_once(store.media_of(&id("a"))).expect("asks"), there);
    }
    let failed = at_once(Plainest { objects: all }.media_of(&id(BROKEN)));
    assert!(matches!(failed, Err(Error::Unavailable { .. })), "what cannot be told is not left out: {failed:?}");
}

/// Whoever blanks a key wants to know whether it is gone.
#[test]
fn a_store_is_taken_to_write_in_place() {
    assert!(Plainest { objects: vec![] }.writes_in_place());
}

#[test]
fn a_file_without_copies_is_read_as_any_other() {
    let file = Text(b"0123456789");
    assert!(!file.has_copies());
    assert_eq!(at_once(file.len_now()).expect("asks"), 10);
    assert_eq!(at_once(file.read_once(3, vec![0; 4])).expect("reads"), b"3456");
    assert_eq!(at_once(file.read_anew(3, b"xxxx".to_vec())).expect("reads"), b"3456", "nothing that was seen stays");
    for failed in [at_once(file.read_once(8, vec![0; 4])), at_once(file.read_anew(8, vec![0; 4]))] {
        assert!(matches!(failed, Err(Error::ShortRead { .. })), "{failed:?}");
    }
}

#[test]
fn a_writer_syncs_its_content_with_its_name_and_at_once() {
    let mut writer = Counting { synced: 0, is_full: false };
    at_once(writer.sync_content()).expect("syncs");
    assert_eq!(writer.synced, 1);
    assert!(at_once(writer.begin_sync()).expect("syncs"), "it was begun");
    assert_eq!(writer.synced, 2);
    writer.is_full = true;
    assert!(matches!(at_once(writer.sync_content()), Err(Error::Full { .. })));
    assert!(matches!(at_once(writer.begin_sync()), Err(Error::Full { .. })));
}

/// There is no runtime here, and nothing that waits.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

/// A recording of which the store cannot tell anything.
const BROKEN: &str = "broken";

/// A store that knows what is there, and does only what it must.
struct Plainest {
    objects: Vec<MediaObject>,
}

#[async_trait]
impl MediaStore for Plainest {
    fn try_version_now(&self, _: &MediaObject) -> Option<Version> {
        None
    }

    async fn version(&self, object: &MediaObject) -> Result<Option<Version>, Error> {
        if object.id.as_str() == BROKEN {
            return Err(Error::Unavailable { location: self.location(object), reason: "it does not answer".into() });
        }
        Ok(self.objects.contains(object).then_some(Version { len: 1, stamp: [1; 4] }))
    }

    async fn open(&self, _: &MediaObject) -> Result<Option<Arc<dyn MediaFile>>, Error> {
        unreachable!()
    }

    async fn create(&self, _: &MediaObject) -> Result<Box<dyn MediaWriter>, Error> {
        unreachable!()
    }

    async fn list(&self, _: Option<&str>) -> Result<Listing, Error> {
        unreachable!()
    }

    async fn beside(&self, _: &RecordingId) -> Result<Vec<MediaObject>, Error> {
        unreachable!()
    }

    async fn is_being_written(&self, _: &MediaObject) -> Result<bool, Error> {
        unreachable!()
    }

    async fn begin_maintenance(&self) -> Result<MaintenanceGuard, Error> {
        unreachable!()
    }

    async fn replace(&self, _: &MediaObject, _: &MediaObject) -> Result<(), Error> {
        unreachable!()
    }

    async fn keep(&self, _: &MediaObject, _: &SealId) -> Result<String, Error> {
        unreachable!()
    }

    async fn place(&self, _: &MediaObject, _: &MediaObject) -> Result<(), Error> {
        unreachable!()
    }

    async fn remove_kept(&self, _: &RecordingId, _: Range<usize>) -> Result<(), Error> {
        unreachable!()
    }

    async fn rewrite_head(&self, _: &MediaObject, _: Version, _: &[u8]) -> Result<(), Error> {
        unreachable!()
    }

    async fn remove(&self, _: &MediaObject) -> Result<(), Error> {
        unreachable!()
    }

    async fn remove_version(&self, _: &MediaObject, _: Version) -> Result<u64, Error> {
        unreachable!()
    }

    fn location(&self, object: &MediaObject) -> String {
        format!("test:///{}", object.id)
    }
}

/// A file that is all in memory, and is read as it must be.
struct Text(&'static [u8]);

#[async_trait]
impl MediaFile for Text {
    fn version(&self) -> Version {
        Version { len: self.0.len() as u64, stamp: [1; 4] }
    }

    fn try_read_now(&self, _: u64, _: &mut [u8]) -> Result<usize, Error> {
        Ok(0)
    }

    async fn read(&self, offset: u64, mut buffer: Vec<u8>, filled: usize) -> Result<Vec<u8>, Error> {
        let from = usize::try_from(offset).expect("a short one") + filled;
        let rest = buffer.get_mut(filled..).expect("no more is filled than there is room for");
        let source = self.0.get(from..from + rest.len());
        rest.copy_from_slice(source.ok_or_else(|| Error::ShortRead { location: "test:///text".into() })?);
        Ok(buffer)
    }
}

/// A writer that is told to be durable, and counts how often.
struct Counting {
    synced: u32,
    is_full: bool,
}

#[async_trait]
impl MediaWriter for Counting {
    async fn append(&mut self, _: Vec<u8>) -> Result<Vec<u8>, Error> {
        unreachable!()
    }

    async fn sync(&mut self) -> Result<(), Error> {
        self.synced += 1;
        if self.is_full { Err(Error::Full { location: "test:///full".into() }) } else { Ok(()) }
    }

    async fn finish(self: Box<Self>) -> Result<(), Error> {
        unreachable!()
    }
}
