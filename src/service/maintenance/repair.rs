//! Repairs one recording, as far as what verifies allows: nothing is thrown away, and nothing is made up.

use super::super::objects::media_object;
use super::{
    Error, Maintenance, Rebuilt, judge,
    mending::{Mended, Old},
    read,
    reseal::verified_len,
};
use crate::base::{RecordingId, SealId};
use crate::catalogue::{Content, Recording, RecordingState};
use crate::crypto::Sha256Digest;
use crate::media::{MediaKind, MediaObject, Stage};
use crate::sealed::{Corruption, Opener};
use crate::service::Stop;

/// How much of a plain file is read at a time.
const PIECE_LEN: u64 = 1 << 20;

/// What was done for a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repaired {
    /// There was nothing to do.
    Nothing,
    /// What a dead command had left half done was brought to its end.
    Settled,
    /// Its file is sound, and its row says now what the file says.
    Corrected,
    /// It had no row, and has one now.
    Catalogued,
    /// What verified of it is a complete recording now.
    Mended {
        /// Bytes of media.
        media_len: u64,
        /// Where the old file is kept.
        kept: String,
        /// The sealing that lies under its name now.
        seal_id: SealId,
    },
}

impl Repaired {
    /// As reports write it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Settled => "settled",
            Self::Corrected => "corrected",
            Self::Catalogued => "catalogued",
            Self::Mended { .. } => "mended",
        }
    }
}

impl Maintenance {
    /// Whether anything could be sealed again.
    ///
    /// # Errors
    ///
    /// [`Error::NotEncrypting`], [`Error::NoActiveKey`].
    pub fn check_can_mend(&self) -> Result<(), Error> {
        self.sealing_key().map(|_| ())
    }

    /// Repairs one recording. One that was catalogued complete is mended only with `force`: a mended one holds what
    /// verifies before the first damage, and no more.
    ///
    /// # Errors
    ///
    /// Why it stays as it is.
    pub async fn repair(
        &self,
        id: &RecordingId,
        force: bool,
        stop: &Stop,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Repaired, Error> {
        self.keys.refresh().await;
        let Some(row) = self.database.recording(id).await? else { return self.catalogue_orphan(id, stop).await };
        if !row.is_sealed() {
            return self.correct_plain(row, stop, progress).await;
        }
        let (row, was_left) = self.settled(id).await?;
        let Content::Sealed { seal_id, .. } = row.content else { return Err(Error::Plain) };
        let (place, file) = self.find(&row).await?;
        let header = self.verified_header(&*file, id).await?;
        if header.seal_id() != seal_id {
            return Err(Corruption::OtherSealing.into());
        }
        let (old, is_judged) = match judge(header, &*file, place.stage).await {
            Ok(opener) => (opener, true),
            Err(Error::Sealed(_)) => {
                let catalogued = (row.state == RecordingState::Complete).then_some(row.media_len);
                (self.verified_header(&*file, id).await?.presume(file.version().len, catalogued)?, false)
            }
            Err(error) => return Err(error),
        };
        let verified = verified_len(&old, &*file, Some(stop), progress).await?;
        if is_judged && place.stage == Stage::Final && verified == old.state().media_len() {
            let is_changed = self.agree_with(&row, &old).await?;
            return Ok(match (is_changed, was_left) {
                (true, _) => Repaired::Corrected,
                (false, true) => Repaired::Settled,
                (false, false) => Repaired::Nothing,
            });
        }
        if row.state == RecordingState::Complete && !force {
            return Err(Error::NeedsForce);
        }
        if verified == 0 {
            return Err(Error::NothingVerifies);
        }
        let old = Old { place: &place, file: &*file, opener: &old };
        let Mended { row, kept } = self.mend(&row, old, verified, stop, progress).await?;
        let Content::Sealed { seal_id, .. } = row.content else { return Err(Error::Plain) };
        Ok(Repaired::Mended { media_len: row.media_len, kept, seal_id })
    }

    /// Has the row say what a complete file says that verified whole; whether it said anything else.
    async fn agree_with(&self, row: &Recording, file: &Opener) -> Result<bool, Error> {
        let header = file.header();
        let content = Content::Sealed { fingerprint: header.fingerprint, seal_id: file.seal_id(), replacement: None };
        let told = Recording {
            media_len: file.state().media_len(),
            state: RecordingState::Complete,
            mended: header.mended,
            content,
            ..row.clone()
        };
        if told == *row {
            return Ok(false);
        }
        self.database.settle_recording(&row.content, &told).await?;
        Ok(true)
    }

    async fn correct_plain(
        &self,
        row: Recording,
        stop: &Stop,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Repaired, Error> {
        if row.state != RecordingState::Complete {
            // Nothing in it says how much of it is good.
            return Err(Error::Plain);
        }
        let media_len = self.plain_len(&row, stop, progress).await?;
        if media_len == row.media_len {
            return Ok(Repaired::Nothing);
        }
        self.database.settle_recording(&row.content, &Recording { media_len, ..row.clone() }).await?;
        Ok(Repaired::Corrected)
    }

    /// Whether a plain file is what was stored, and how long it is.
    async fn plain_len(
        &self,
        row: &Recording,
        stop: &Stop,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<u64, Error> {
        let Content::Plain { digest, .. } = row.content else { return Err(Error::Plain) };
        let file = self.store.open(&media_object(row, Stage::Final)).await?.ok_or(Error::MediaMissing)?;
        let (len, mut found, mut start) = (file.version().len, Sha256Digest::default(), 0);
        while start < len {
            if stop.is_asked() {
                return Err(Error::Stopped);
            }
            let end = len.min(start + PIECE_LEN);
            found.update(&read(&*file, start, end).await?);
            progress(end - start);
            start = end;
        }
        if found.finish() == digest { Ok(len) } else { Err(Error::PlainChanged) }
    }

    /// A sealed file without a row is catalogued when every record of it verifies, as filling a lost catalogue does.
    async fn catalogue_orphan(&self, id: &RecordingId, stop: &Stop) -> Result<Repaired, Error> {
        let object = MediaObject::media(id.clone(), MediaKind::Sealed, Stage::Final);
        let file = self.store.open(&object).await?.ok_or(Error::NotFound)?;
        let opener = judge(self.verified_header(&*file, id).await?, &*file, Stage::Final).await?;
        let verified = verified_len(&opener, &*file, Some(stop), &|_| {}).await?;
        if verified < opener.state().media_len() {
            return Err(Corruption::Chunk(verified / opener.header().chunk_len.bytes()).into());
        }
        let mut objects = vec![object];
        for kind in [MediaKind::Sealed, MediaKind::Plain] {
            for stage in [Stage::Final, Stage::Part] {
                let other = MediaObject::media(id.clone(), kind, stage);
                if !objects.contains(&other) && self.store.version(&other).await?.is_some() {
                    objects.push(other);
                }
            }
        }
        let rebuilt = self.rebuild_one(&objects, false).await?;
        if rebuilt.iter().any(|rebuilt| matches!(rebuilt, Rebuilt::Catalogued(_))) {
            return Ok(Repaired::Catalogued);
        }
        // Another file of this recording is in the way; neither displaces the other.
        Ok(Repaired::Nothing)
    }
}
