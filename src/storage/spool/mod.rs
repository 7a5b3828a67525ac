//! A store whose media is written into a folder of this machine first, the spool, and uploaded when it ends.
//!
//! An object store holds no object that grows: what is being recorded waits, as ciphertext, until it is whole, or until
//! its writer died. Whatever is asked for is looked for in the spool first and then in the store, into which it is copied
//! before it leaves the spool, so that it is always found. What lies beside media goes straight to the store. When
//! something is uploaded is decided above ([`crate::service::Spooler`]).

mod listing;
mod upload;

use std::{ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::time::{Instant, sleep, timeout};

use super::local::{Claim, LocalStore};
use crate::base::{Location, RecordingId, SealId};
use crate::media::{
    Error, Listing, MaintenanceGuard, MediaFile, MediaKind, MediaObject, MediaStore, MediaWriter, ObjectRole, Spool,
    SpoolClaim, Stage, Version,
};

/// How long the store is asked whether it has a recording of that name before one is begun without its answer: the
/// catalogue has said already that there is none.
const LOOK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long an upload that is under way is waited for by those who take its recording away or seal it anew.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(20);
const CLAIM_TICK: Duration = Duration::from_millis(50);

/// A store with a spool before it.
pub struct SpooledStore {
    spool: LocalStore,
    remote: Arc<dyn MediaStore>,
    location: Location,
}

/// Where an object lies.
enum Side {
    /// In the spool, and nobody moves it while this is held.
    Spool(Claim),
    Remote,
}

impl SpooledStore {
    /// `remote` with the folder of `spool` before it, which rows call `location`.
    #[must_use]
    pub fn new(spool: LocalStore, remote: Arc<dyn MediaStore>, location: Location) -> Self {
        Self { spool, remote, location }
    }

    /// Where an object lies that is about to be changed.
    async fn side(&self, object: &MediaObject) -> Result<Side, Error> {
        if !may_wait(object) || self.spool.version(object).await?.is_none() {
            return Ok(Side::Remote);
        }
        let claim = self.claimed(&object.id).await?;
        // It may have gone meanwhile to where it was on its way to.
        Ok(if self.spool.version(object).await?.is_some() { Side::Spool(claim) } else { Side::Remote })
    }

    /// A claim on what waits of a recording; an upload that has it is waited for a while.
    async fn claimed(&self, id: &RecordingId) -> Result<Claim, Error> {
        let deadline = Instant::now() + CLAIM_TIMEOUT;
        loop {
            match self.spool.claim(id).await? {
                Some(claim) => return Ok(claim),
                None if Instant::now() < deadline => sleep(CLAIM_TICK).await,
                None => {
                    let location =
                        self.spool.location(&MediaObject::media(id.clone(), MediaKind::Sealed, Stage::Final));
                    return Err(Error::Unavailable { location, reason: "it is being uploaded now".into() });
                }
            }
        }
    }

    /// Whether media of a recording waits.
    async fn holds(&self, id: &RecordingId) -> Result<bool, Error> {
        for kind in [MediaKind::Sealed, MediaKind::Plain] {
            for stage in [Stage::Final, Stage::Part] {
                if self.spool.version(&MediaObject::media(id.clone(), kind, stage)).await?.is_some() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Fails when the store has an object of that name already, as far as it says so in time.
    async fn check_free(&self, object: &MediaObject) -> Result<(), Error> {
        for stage in [Stage::Final, Stage::Part] {
            let there = MediaObject { stage, ..object.clone() };
            match timeout(LOOK_TIMEOUT, self.remote.version(&there)).await {
                Ok(Ok(None)) => {}
                Ok(Ok(Some(_))) => {
                    let being_written = self.remote.is_being_written(&there).await?;
                    return Err(Error::Exists { location: self.remote.location(&there), being_written });
                }
                // It is recorded all the same: that is what the spool is for.
                Ok(Err(_)) | Err(_) => return Ok(()),
            }
        }
        Ok(())
    }
}

/// Whether an object is one that may lie in the spool.
fn may_wait(object: &MediaObject) -> bool {
    object.role == ObjectRole::Media && object.outside.is_none()
}

#[async_trait]
impl MediaStore for SpooledStore {
    fn try_version_now(&self, object: &MediaObject) -> Option<Version> {
        if object.role == ObjectRole::Media
            && let Some(version) = self.spool.try_version_now(object)
        {
            return Some(version);
        }
        self.remote.try_version_now(object)
    }

    async fn version(&self, object: &MediaObject) -> Result<Option<Version>, Error> {
        if object.outside.is_some() {
            return self.spool.version(object).await;
        }
        if !may_wait(object) {
            return self.remote.version(object).await;
        }
        match self.spool.version(object).await {
            Ok(Some(version)) => Ok(Some(version)),
            Ok(None) => self.remote.version(object).await,
            // A spool that is gone takes nothing along but what waited in it.
            Err(error) => self.remote.version(object).await?.map(Some).ok_or(error),
        }
    }

    async fn open(&self, object: &MediaObject) -> Result<Option<Arc<dyn MediaFile>>, Error> {
        if object.outside.is_some() {
            return self.spool.open(object).await;
        }
        if !may_wait(object) {
            return self.remote.open(object).await;
        }
        match self.spool.open(object).await {
            Ok(Some(file)) => Ok(Some(file)),
            Ok(None) => self.remote.open(object).await,
            Err(error) => self.remote.open(object).await?.map(Some).ok_or(error),
        }
    }

    async fn create(&self, object: &MediaObject) -> Result<Box<dyn MediaWriter>, Error> {
        match object.stage {
            _ if !may_wait(object) => self.remote.create(object).await,
            // Where that lies whose place it is to take.
            Stage::Next if !self.holds(&object.id).await? => self.remote.create(object).await,
            Stage::Next => self.spool.create(object).await,
            Stage::Final | Stage::Part => {
                self.check_free(object).await?;
                self.spool.create(object).await
            }
        }
    }

    async fn list(&self, after: Option<&str>) -> Result<Listing, Error> {
        self.page(after).await
    }

    async fn media_of(&self, id: &RecordingId) -> Result<Vec<MediaObject>, Error> {
        let mut found = self.spool.media_of(id).await?;
        // An upload is under way, or died when it was.
        let is_other =
            |object: &MediaObject| !found.iter().any(|one| (one.kind, one.stage) == (object.kind, object.stage));
        let in_store: Vec<MediaObject> = self.remote.media_of(id).await?.into_iter().filter(is_other).collect();
        found.extend(in_store);
        Ok(found)
    }

    /// None of it waits in the spool.
    async fn beside(&self, id: &RecordingId) -> Result<Vec<MediaObject>, Error> {
        self.remote.beside(id).await
    }

    async fn is_being_written(&self, object: &MediaObject) -> Result<bool, Error> {
        if may_wait(object) && self.spool.version(object).await?.is_some() {
            return self.spool.is_being_written(object).await;
        }
        self.remote.is_being_written(object).await
    }

    async fn begin_maintenance(&self) -> Result<MaintenanceGuard, Error> {
        let remote = self.remote.begin_maintenance().await?;
        let deadline = Instant::now() + CLAIM_TIMEOUT;
        loop {
            // Uploads that are under way are waited for; none is begun from then on.
            match self.spool.begin_maintenance().await {
                Err(Error::Busy { .. }) if Instant::now() < deadline => sleep(CLAIM_TICK).await,
                spool => return Ok(Box::new((remote, spool?))),
            }
        }
    }

    async fn replace(&self, from: &MediaObject, to: &MediaObject) -> Result<(), Error> {
        match self.side(from).await? {
            Side::Spool(_claim) => self.spool.replace(from, to).await,
            Side::Remote => self.remote.replace(from, to).await,
        }
    }

    async fn keep(&self, object: &MediaObject, seal_id: &SealId) -> Result<String, Error> {
        match self.side(object).await? {
            // Not in the spool, which only this machine sees, and a purge by another one would not reach.
            Side::Spool(_claim) => upload::keep(&self.spool, &*self.remote, object, seal_id).await.map(|(_, url)| url),
            Side::Remote => self.remote.keep(object, seal_id).await,
        }
    }

    async fn remove_kept(&self, id: &RecordingId, blank: Range<usize>) -> Result<(), Error> {
        self.spool.remove_kept(id, blank.clone()).await?;
        self.remote.remove_kept(id, blank).await
    }

    async fn place(&self, from: &MediaObject, to: &MediaObject) -> Result<(), Error> {
        match self.side(from).await? {
            Side::Spool(_claim) => {
                self.check_free(&MediaObject { stage: Stage::Final, ..to.clone() }).await?;
                self.spool.place(from, to).await
            }
            Side::Remote if may_wait(to) && self.spool.version(to).await?.is_some() => {
                Err(Error::Exists { location: self.spool.location(to), being_written: false })
            }
            Side::Remote => self.remote.place(from, to).await,
        }
    }

    async fn rewrite_head(&self, object: &MediaObject, version: Version, head: &[u8]) -> Result<(), Error> {
        match self.side(object).await? {
            Side::Spool(_claim) => self.spool.rewrite_head(object, version, head).await,
            Side::Remote => self.remote.rewrite_head(object, version, head).await,
        }
    }

    async fn remove(&self, object: &MediaObject) -> Result<(), Error> {
        if object.outside.is_some() {
            return self.spool.remove(object).await;
        }
        if may_wait(object) {
            let _claim = self.claimed(&object.id).await?;
            self.spool.remove(object).await?;
        }
        // An upload that died may have left it there, too.
        self.remote.remove(object).await
    }

    async fn remove_version(&self, object: &MediaObject, version: Version) -> Result<u64, Error> {
        if object.outside.is_some() {
            return self.spool.remove_version(object, version).await;
        }
        match self.side(object).await? {
            Side::Spool(_claim) => self.spool.remove_version(object, version).await,
            Side::Remote => self.remote.remove_version(object, version).await,
        }
    }

    fn location(&self, object: &MediaObject) -> String {
        // Whoever asks has just looked for it, so that the system remembers.
        if object.outside.is_some() || may_wait(object) && self.spool.try_version_now(object).is_some() {
            return self.spool.location(object);
        }
        self.remote.location(object)
    }

    fn kept(&self, location: &str) -> Option<(MediaObject, SealId)> {
        self.spool.kept(location).or_else(|| self.remote.kept(location))
    }

    async fn open_kept(&self, object: &MediaObject, seal_id: &SealId) -> Result<Option<Arc<dyn MediaFile>>, Error> {
        match self.spool.open_kept(object, seal_id).await? {
            Some(file) => Ok(Some(file)),
            None => self.remote.open_kept(object, seal_id).await,
        }
    }

    fn writes_in_place(&self) -> bool {
        self.remote.writes_in_place()
    }

    fn spool(&self) -> Option<&dyn Spool> {
        Some(self)
    }
}

#[async_trait]
impl Spool for SpooledStore {
    fn location(&self) -> &Location {
        &self.location
    }

    async fn version(&self, object: &MediaObject) -> Result<Option<Version>, Error> {
        if may_wait(object) { self.spool.version(object).await } else { Ok(None) }
    }

    async fn list(&self, after: Option<&str>) -> Result<Listing, Error> {
        self.spool.list(after).await
    }

    async fn claim(&self, id: &RecordingId) -> Result<Option<SpoolClaim>, Error> {
        Ok(self.spool.claim_for_move(id).await?.map(|claim| Box::new(claim) as SpoolClaim))
    }

    async fn upload(&self, object: &MediaObject) -> Result<Version, Error> {
        upload::upload(&self.spool, &*self.remote, object).await
    }

    async fn keep(&self, object: &MediaObject, seal_id: &SealId) -> Result<Version, Error> {
        upload::keep(&self.spool, &*self.remote, object, seal_id).await.map(|(version, _)| version)
    }

    async fn release(&self, object: &MediaObject, version: Version) -> Result<(), Error> {
        self.spool.remove_version(object, version).await.map(|_| ())
    }
}
