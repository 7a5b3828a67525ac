//! Targets that do not keep what they are given, or have no room: told at the store's door.

use std::sync::Arc;

use async_trait::async_trait;
use sealtape::{
    base::{RecordingId, SealId, Timestamp},
    catalogue::Database,
    db::SqliteDatabase,
    kms::FileDefinitionKeys,
    media::{Error, Listing, MaintenanceGuard, MediaFile, MediaObject, MediaStore, MediaWriter, Version},
    service::{Conduct, Copied, CopyError, CopyItem, CopyParts, CopyWishes, Copying, KeyWatch, Proof, RatePace, Stop},
    storage::LocalStore,
};

use super::{files, media};
use crate::support::System;

/// What goes wrong with objects of one recording.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// A bit of what is written is another one.
    Flips,
    /// The last piece is left out.
    Forgets,
    /// There is no room for it.
    Full,
}

struct Faulty {
    store: LocalStore,
    id: RecordingId,
    fault: Fault,
}

struct FaultyWriter {
    writer: Box<dyn MediaWriter>,
    fault: Fault,
    appended: u64,
}

#[async_trait]
impl MediaWriter for FaultyWriter {
    async fn append(&mut self, mut bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
        self.appended += bytes.len() as u64;
        match self.fault {
            Fault::Flips if self.appended > 100_000 => bytes[1000] ^= 4,
            Fault::Forgets if self.appended > 300_000 => bytes.clear(),
            Fault::Full if self.appended > 300_000 => return Err(Error::Full { location: "file:///full".into() }),
            Fault::Flips | Fault::Forgets | Fault::Full => {}
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

#[async_trait]
impl MediaStore for Faulty {
    fn try_version_now(&self, object: &MediaObject) -> Option<Version> {
        self.store.try_version_now(object)
    }

    async fn version(&self, object: &MediaObject) -> Result<Option<Version>, Error> {
        self.store.version(object).await
    }

    async fn open(&self, object: &MediaObject) -> Result<Option<Arc<dyn MediaFile>>, Error> {
        self.store.open(object).await
    }

    async fn create(&self, object: &MediaObject) -> Result<Box<dyn MediaWriter>, Error> {
        let writer = self.store.create(object).await?;
        if object.id != self.id {
            return Ok(writer);
        }
        Ok(Box::new(FaultyWriter { writer, fault: self.fault, appended: 0 }))
    }

    async fn keep(&self, object: &MediaObject, seal_id: &SealId) -> Result<String, Error> {
        self.store.keep(object, seal_id).await
    }

    async fn remove_kept(&self, id: &RecordingId, blank: std::ops::Range<usize>) -> Result<(), Error> {
        self.store.remove_kept(id, blank).await
    }

    async fn place(&self, from: &MediaObject, to: &MediaObject) -> Result<(), Error> {
        self.store.place(from, to).await
    }

    async fn remove_version(&self, object: &MediaObject, version: Version) -> Result<u64, Error> {
        self.store.remove_version(object, version).await
    }

    async fn list(&self, after: Option<&str>) -> Result<Listing, Error> {
        self.store.list(after).await
    }

    async fn beside(&self, id: &RecordingId) -> Result<Vec<MediaObject>, Error> {
        self.store.beside(id).await
    }

    async fn is_being_written(&self, object: &MediaObject) -> Result<bool, Error> {
        self.store.is_being_written(object).await
    }

    async fn begin_maintenance(&self) -> Result<MaintenanceGuard, Error> {
        self.store.begin_maintenance().await
    }

    async fn replace(&self, from: &MediaObject, to: &MediaObject) -> Result<(), Error> {
        self.store.replace(from, to).await
    }

    async fn rewrite_head(&self, object: &MediaObject, version: Version, head: &[u8]) -> Result<(), Error> {
        self.store.rewrite_head(object, version, head).await
    }

    async fn remove(&self, object: &MediaObject) -> Result<(), Error> {
        self.store.remove(object).await
    }

    fn location(&self, object: &MediaObject) -> String {
        self.store.location(object)
    }
}

/// What becomes of each recording, by ID, on a target with this fault.
async fn outcomes(system: &System, fault: Fault, wishes: CopyWishes) -> Vec<(String, Result<Copied, CopyError>)> {
    let data = system.data_dir();
    let database: Arc<dyn Database> =
        Arc::new(SqliteDatabase::open(&data.join("sealtape.db"), false).await.expect("opens"));
    let holder = Arc::new(FileDefinitionKeys::at(&data.join("definition.key")));
    let keys = KeyWatch::load(Arc::clone(&database), holder).await.expect("keys");
    let from = Arc::new(LocalStore::open(&data.join("media"), false).expect("opens"));
    let store = LocalStore::open(&system.path("target"), true).expect("opens");
    let to = Arc::new(Faulty { store, id: "faulty".parse().expect("an ID"), fault });
    let clock = Arc::new(|| Timestamp::from_millis(1_800_000_000_000).expect("a time"));
    let parts = CopyParts { database: Arc::clone(&database), keys, clock, from, to };
    let copying = Copying::begin(parts, wishes).await.expect("begins");
    let ((_sender, stop), pace) = (Stop::channel(), RatePace::new(None));
    let (mut after, mut outcomes) = (None, Vec::new());
    loop {
        let page = copying.page(after.as_deref()).await.expect("lists");
        for item in page.items {
            let CopyItem::Object { object, .. } = &item else { panic!("{item:?}") };
            let conduct = Conduct { pace: &pace, stop: &stop, progress: &|_| {} };
            outcomes.push((object.id.to_string(), copying.copy(&item, conduct).await));
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    database.close().await;
    outcomes
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_target_does_not_keep_has_no_name_there() {
    for fault in [Fault::Flips, Fault::Forgets, Fault::Full] {
        // Whether or not damage is copied: this is none of the source's.
        for damaged in [false, true] {
            let system = System::with_key();
            for id in ["faulty", "good"] {
                system.import(id, &media(600_000));
            }
            let plain = system.file("plain.bin", &media(600_000));
            system.ok(&["import", plain.to_str().expect("UTF-8"), "--exempt"]);
            let wishes = CopyWishes { damaged, ..CopyWishes::default() };
            for (id, outcome) in outcomes(&system, fault, wishes).await {
                match (id.as_str(), outcome) {
                    ("faulty", Err(CopyError::Store(Error::Full { .. }))) => assert!(fault == Fault::Full),
                    ("faulty", Err(CopyError::NotKept(url))) => {
                        assert!(fault != Fault::Full && url.contains("/faulty."), "{url}");
                    }
                    ("good", Ok(Copied::Done { proof: Proof::Tags, is_damaged: false, .. }))
                    | ("plain", Ok(Copied::Done { proof: Proof::Digest, is_damaged: false, .. })) => {}
                    (id, other) => panic!("{id}: {other:?}"),
                }
            }
            let there: Vec<String> = files(&system.path("target")).into_keys().collect();
            assert!(there.len() == 2 && !there.iter().any(|name| name.contains("faulty")), "{there:?}");
        }
    }
}
