//! Wraps a recording's file key under the newest database key: its header changes, and not a byte after it.
//!
//! The new header is durable in the row before it is written over the old one, so that whoever meets half of it, a
//! reader or the next command after a kill, has the whole of it there.

use super::{Error, Maintenance, Outcome, judge};
use crate::base::{Fingerprint, RecordingId, SealId};
use crate::catalogue::{Content, Recording, RecordingState, Replacement};
use crate::media::{MediaFile, MediaObject};
use crate::sealed::{Corruption, HEADER_LEN};

impl Maintenance {
    /// Wraps one recording's file key under the newest database key.
    ///
    /// # Errors
    ///
    /// Why it stays as it is.
    pub async fn rewrap(&self, id: &RecordingId) -> Result<Outcome, Error> {
        self.keys.refresh().await;
        let (row, is_finished) = self.settled(id).await?;
        let Content::Sealed { fingerprint: catalogued, seal_id, .. } = row.content else { return Err(Error::Plain) };
        let to = self.keys.ring().wrapping()?;
        let (object, file) = self.find(&row).await?;
        let header = self.verified_header(&*file, id).await?;
        if header.seal_id() != seal_id {
            return Err(Corruption::OtherSealing.into());
        }
        let from = header.header().fingerprint;
        if from == to.fingerprint {
            let outcome = self.agree_with_file(&row, catalogued, from, seal_id).await?;
            // On record as done by whoever brought it to its end.
            return Ok(if is_finished { Outcome::Done { fingerprint: from, seal_id } } else { outcome });
        }
        let new = {
            let ring = self.keys.ring();
            header.rewrap(ring.held(&from)?, to.fingerprint, &to.key)?
        };
        let replacement = Replacement::Header { fingerprint: to.fingerprint, header: Box::new(new) };
        let pending = Content::Sealed { fingerprint: catalogued, seal_id, replacement: Some(replacement) };
        self.database.replace_content(id, &row.content, &pending).await?;
        self.write_header(id, &pending, &new, &object, &*file).await?;
        Ok(Outcome::Done { fingerprint: to.fingerprint, seal_id })
    }

    /// Writes a header that a dead command left in the row over the file's, or once more.
    pub(super) async fn finish_rewrap(&self, row: Recording) -> Result<Recording, Error> {
        let Content::Sealed { seal_id, replacement: Some(Replacement::Header { ref header, .. }), .. } = row.content
        else {
            return Ok(row);
        };
        let header = header.clone();
        let (object, file) = self.find(&row).await?;
        let verified = self.verify_header(&*header, &row.id)?;
        if verified.seal_id() != seal_id {
            return Err(Corruption::OtherSealing.into());
        }
        // The file's own header may be half of each; its end says whether it is the file that this header is of.
        judge(verified, &*file, object.stage).await?;
        let content = self.write_header(&row.id, &row.content, &header, &object, &*file).await?;
        Ok(Recording { content, ..row })
    }

    /// Writes the header that `pending` holds, then strikes it from the row: how the recording is sealed now.
    async fn write_header(
        &self,
        id: &RecordingId,
        pending: &Content,
        header: &[u8; HEADER_LEN],
        object: &MediaObject,
        file: &dyn MediaFile,
    ) -> Result<Content, Error> {
        let Content::Sealed { seal_id, replacement: Some(replacement), .. } = pending else {
            return Ok(pending.clone());
        };
        self.store.rewrite_head(object, file.version(), header).await?;
        let done = Content::Sealed { fingerprint: replacement.fingerprint(), seal_id: *seal_id, replacement: None };
        if let Err(error) = self.database.replace_content(id, pending, &done).await {
            // Where the whole object was put in its own place, a recording that was purged meanwhile is back.
            if !self.store.writes_in_place() && self.database.recording(id).await?.is_none_or(|row| row.is_purging()) {
                self.store.remove(object).await?;
            }
            return Err(error.into());
        }
        Ok(done)
    }

    /// The file is under the newest key already; the row may not know, as after a backup of the database was put back.
    pub(super) async fn agree_with_file(
        &self,
        row: &Recording,
        catalogued: Fingerprint,
        found: Fingerprint,
        seal_id: SealId,
    ) -> Result<Outcome, Error> {
        if catalogued == found {
            return Ok(Outcome::Already);
        }
        debug_assert!(!matches!(row.state, RecordingState::Recording { .. }), "its writer is gone");
        let content = Content::Sealed { fingerprint: found, seal_id, replacement: None };
        self.database.replace_content(&row.id, &row.content, &content).await?;
        Ok(Outcome::Done { fingerprint: found, seal_id })
    }
}
