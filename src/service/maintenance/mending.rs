//! Mends a recording whose end is missing, or that is damaged: what verifies before the damage, sealed again as a complete
//! recording, under a new file key. The old file is kept beside it.
//!
//! The steps are those of sealing again, and one more before the old file's name passes on: it gets another one. A writer
//! that died left its file under a name that claims no end; the mended one takes the name that does, and then the old
//! one lets go of its own.

use super::super::objects::media_object;
use super::{Error, Maintenance};
use crate::base::SealId;
use crate::catalogue::{Content, Recording, RecordingState, Replacement};
use crate::keys::WrappingKey;
use crate::media::{self, MediaFile, MediaObject, Stage};
use crate::sealed::{Header, Opener};
use crate::service::Stop;

/// A recording that was mended.
pub(super) struct Mended {
    /// Its row now.
    pub row: Recording,
    /// Where the old file is kept.
    pub kept: String,
}

/// The file that a mended one takes the place of, open as far as it verifies.
pub(super) struct Old<'a> {
    pub place: &'a MediaObject,
    pub file: &'a dyn MediaFile,
    pub opener: &'a Opener,
}

impl Maintenance {
    /// Seals the first `mended_len` bytes of the old file's media, all of which verify, as a complete recording.
    pub(super) async fn mend(
        &self,
        row: &Recording,
        Old { place, file, opener }: Old<'_>,
        mended_len: u64,
        stop: &Stop,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Mended, Error> {
        let Content::Sealed { fingerprint, seal_id, .. } = row.content else { return Err(Error::Plain) };
        let to = self.sealing_key()?;
        let (next, last) = (media_object(row, Stage::Next), media_object(row, Stage::Final));
        if *place != last && self.store.version(&last).await?.is_some() {
            // Of two files neither displaces the other.
            let location = self.store.location(&last);
            return Err(media::Error::Exists { location, being_written: false }.into());
        }
        let new = match self.write_replacement(opener, Some(mended_len), file, &to, stop, progress).await {
            Ok(new) => new,
            Err(error) => {
                // The error is the one that tells; what is left is taken away by the next run, too.
                let _best_effort = self.store.remove(&next).await;
                return Err(error);
            }
        };
        let replacement = Replacement::Sealing { fingerprint: to.fingerprint, seal_id: new };
        let pending = Content::Sealed { fingerprint, seal_id, replacement: Some(replacement) };
        self.name_replacement(row, &pending, &MediaObject { sealing: Some(new), ..next }).await?;
        let pending = Recording { content: pending, ..row.clone() };
        self.give_mended_place(&pending, place, mended_len).await
    }

    /// The key that mended recordings are sealed under.
    pub(super) fn sealing_key(&self) -> Result<WrappingKey, Error> {
        self.keys.ring().sealing()?.ok_or(Error::NotEncrypting)
    }

    /// Keeps the old file, gives the mended one its final name, and says so in the row.
    async fn give_mended_place(
        &self,
        pending: &Recording,
        place: &MediaObject,
        mended_len: u64,
    ) -> Result<Mended, Error> {
        let Content::Sealed { seal_id, .. } = &pending.content else { return Err(Error::Plain) };
        let kept = self.store.keep(place, seal_id).await?;
        let last = media_object(pending, Stage::Final);
        self.store.replace(&media_object(pending, Stage::Next), &last).await?;
        self.settle_mended(pending, place, mended_len, kept).await
    }

    /// The mended file has its final name: the old one lets go of its own, under which it is found no more, and then
    /// the row says what there is.
    async fn settle_mended(
        &self,
        pending: &Recording,
        place: &MediaObject,
        mended_len: u64,
        kept: String,
    ) -> Result<Mended, Error> {
        let Content::Sealed { replacement: Some(Replacement::Sealing { fingerprint, seal_id }), .. } = &pending.content
        else {
            return Err(Error::Plain);
        };
        if place.stage != Stage::Final {
            self.store.remove(place).await?;
        }
        let row = Recording {
            media_len: mended_len,
            state: RecordingState::Complete,
            mended: true,
            content: Content::Sealed { fingerprint: *fingerprint, seal_id: *seal_id, replacement: None },
            ..pending.clone()
        };
        self.database.settle_recording(&pending.content, &row).await?;
        Ok(Mended { row, kept })
    }

    /// Brings a mending that a dead command left to its end; none when the row's replacement is none.
    pub(super) async fn finish_mending(&self, row: &Recording) -> Result<Option<Recording>, Error> {
        let Content::Sealed { seal_id: old, replacement: Some(Replacement::Sealing { seal_id, .. }), .. } = row.content
        else {
            return Ok(None);
        };
        let (next, last) = (media_object(row, Stage::Next), media_object(row, Stage::Final));
        let mended = MediaObject { sealing: Some(seal_id), ..last.clone() };
        if let Some(len) = self.mended_len(row, &mended, seal_id).await? {
            if self.store.version(&next).await?.is_some() {
                // A copy of it took its place, and what was to go then is there yet.
                self.store.replace(&next, &last).await?;
            }
            // Whatever lies under the name of a growing file is the old one, which was kept before.
            let part = media_object(row, Stage::Part);
            let place = if self.store.version(&part).await?.is_some() {
                self.store.keep(&part, &old).await?;
                part
            } else {
                last
            };
            return Ok(Some(self.settle_mended(row, &place, len, String::new()).await?.row));
        }
        if let Some(len) = self.mended_len(row, &next, seal_id).await? {
            let (place, _) = self.find(row).await?;
            return Ok(Some(self.give_mended_place(row, &place, len).await?.row));
        }
        Ok(None)
    }

    /// How long the mended recording is that the object is the whole of; none when it is not, or is what the row says
    /// already, but for its sealing.
    async fn mended_len(&self, row: &Recording, object: &MediaObject, seal_id: SealId) -> Result<Option<u64>, Error> {
        let Some(opener) = self.whole(object, seal_id, Stage::Final).await? else { return Ok(None) };
        let (Header { mended, .. }, len) = (opener.header(), opener.state().media_len());
        let is_told = row.state == RecordingState::Complete && row.mended && row.media_len == len;
        Ok((*mended && !is_told).then_some(len))
    }
}
