//! One recording's way out of the spool: its media is copied to the store, leaves the spool, and then the row says so.
//!
//! In this order, so that a row names a spool for as long as that may hold anything of the recording. Whoever is killed in
//! between finds the spool without it and the store with it, and tells the row.

use super::super::objects::media_objects;
use super::{Error, Maintenance};
use crate::base::{Location, RecordingId, SealId};
use crate::catalogue::{Content, Recording, RecordingState};
use crate::media::{self, MediaKind, MediaObject, Spool, Stage};
use crate::sealed::Corruption;

/// What became of media that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spooled {
    /// It is in the store, and the catalogue knows.
    Stored,
    /// It is not its time yet.
    NotYet(NotYet),
}

/// Why media is not uploaded now, and nothing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotYet {
    /// Somebody else is at it, or recordings are being wrapped or sealed anew.
    Claimed,
    /// It is being recorded.
    BeingRecorded,
    /// The catalogue does not know it.
    NotCatalogued,
    /// The catalogue has another recording of its ID, which lies in another spool and goes first.
    OtherFirst,
}

impl Maintenance {
    /// Brings what waits of a recording to the store, if it is time. Done again it changes nothing.
    ///
    /// # Errors
    ///
    /// The store or the catalogue cannot be asked, or what waits is not what the catalogue says.
    pub async fn upload_spooled(&self, id: &RecordingId) -> Result<Spooled, Error> {
        let Some(spool) = self.store.spool() else { return Ok(Spooled::Stored) };
        let Some(_claim) = spool.claim(id).await? else { return Ok(Spooled::NotYet(NotYet::Claimed)) };
        let Some(row) = self.database.recording(id).await? else {
            return Ok(Spooled::NotYet(NotYet::NotCatalogued));
        };
        let others = self.of_others(spool, &row).await?;
        if !others.is_empty() && row.spool.as_ref().is_some_and(|named| named != spool.location()) {
            return Ok(Spooled::NotYet(NotYet::OtherFirst));
        }
        for (object, seal_id) in &others {
            self.set_aside(spool, object, seal_id).await?;
        }
        let Some(row) = self.ended(row).await? else { return Ok(Spooled::NotYet(NotYet::BeingRecorded)) };
        match waiting(spool, &row).await? {
            Some(object) => {
                let version = spool.upload(&self.named(spool, &row, object.clone()).await?).await?;
                spool.release(&object, version).await?;
            }
            // Nothing waits, and nothing is to be told.
            None if row.spool.as_ref() != Some(spool.location()) => return Ok(Spooled::Stored),
            None => self.check_stored(&row).await?,
        }
        self.database.note_stored(&row).await?;
        Ok(Spooled::Stored)
    }

    /// What waits of other recordings of that ID, which were made while the catalogue was away: each with its sealing.
    async fn of_others(&self, spool: &dyn Spool, row: &Recording) -> Result<Vec<(MediaObject, SealId)>, Error> {
        let mut others = Vec::new();
        for stage in [Stage::Final, Stage::Part] {
            let object = MediaObject::media(row.id.clone(), MediaKind::Sealed, stage);
            if spool.version(&object).await?.is_none() || self.store.is_being_written(&object).await? {
                continue;
            }
            let Some(file) = self.store.open(&object).await? else { continue };
            // One whose key is not here may be the row's own.
            if let Ok(header) = self.verified_header(&*file, &row.id).await
                && !row.content.seal_ids().contains(&Some(header.seal_id()))
            {
                others.push((object, header.seal_id()));
            }
        }
        Ok(others)
    }

    /// Brings one of those to the store, beside the one that the catalogue has: neither displaces the other, and both
    /// are told of. Where one name holds whatever is current it is kept under another one.
    async fn set_aside(&self, spool: &dyn Spool, object: &MediaObject, seal_id: &SealId) -> Result<(), Error> {
        let other = MediaObject { sealing: Some(*seal_id), ..object.clone() };
        let version = match spool.upload(&other).await {
            Err(media::Error::Exists { being_written: false, .. }) => spool.keep(object, seal_id).await?,
            outcome => outcome?,
        };
        spool.release(object, version).await?;
        tracing::error!(
            id = %object.id, sealing = %seal_id,
            "another recording of this ID is in the catalogue; both are in the media store, and `sealtape verify` names this one"
        );
        Ok(())
    }

    /// The row of a recording that nobody writes any more; that of a dead writer is brought to its end.
    async fn ended(&self, row: Recording) -> Result<Option<Recording>, Error> {
        if !matches!(row.state, RecordingState::Recording { .. }) {
            return Ok(Some(row));
        }
        if row.is_sealed() {
            self.settle_dead_writer(&row.id).await?;
        } else {
            match self.without_dead_writer(row.clone()).await {
                Ok(_) => {}
                Err(Error::BeingRecorded) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let row = self.database.recording(&row.id).await?;
        Ok(row.filter(|row| !matches!(row.state, RecordingState::Recording { .. })))
    }

    /// What waits, by the name that its sealing has in the store.
    async fn named(&self, spool: &dyn Spool, row: &Recording, object: MediaObject) -> Result<MediaObject, Error> {
        if !row.is_sealed() {
            return Ok(object);
        }
        let file = self.store.open(&object).await?.ok_or(Error::MediaMissing)?;
        match self.verified_header(&*file, &row.id).await {
            Ok(header) if row.content.seal_ids().contains(&Some(header.seal_id())) => {
                Ok(MediaObject { sealing: Some(header.seal_id()), ..object })
            }
            Ok(_) => Err(Corruption::OtherSealing.into()),
            // Its key is not here. It was written here under a name that only one can have.
            Err(Error::Refused(_))
                if row.spool.as_ref() == Some(spool.location())
                    && matches!(row.content, Content::Sealed { replacement: None, .. }) =>
            {
                Ok(object)
            }
            Err(error) => Err(error),
        }
    }

    /// In which spool a file of a recording lies, for its row; in none when it is in the store.
    pub(super) async fn spool_of(&self, object: &MediaObject) -> Result<Option<Location>, Error> {
        let Some(spool) = self.store.spool() else { return Ok(None) };
        Ok(spool.version(object).await?.map(|_| spool.location().clone()))
    }

    /// Media that left the spool is in the store.
    async fn check_stored(&self, row: &Recording) -> Result<(), Error> {
        for object in media_objects(row, row.state) {
            if self.store.version(&object).await?.is_some() {
                return Ok(());
            }
        }
        Err(Error::MediaMissing)
    }
}

/// What waits of a recording.
async fn waiting(spool: &dyn Spool, row: &Recording) -> Result<Option<MediaObject>, Error> {
    for object in media_objects(row, row.state) {
        if spool.version(&object).await?.is_some() {
            return Ok(Some(object));
        }
    }
    Ok(None)
}
