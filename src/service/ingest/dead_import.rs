//! What an import left that was killed: the beginning of a recording whose source is whole, and which nobody was promised.
//! It gives way to the next import of that ID.

use super::{Error, Ingest};
use crate::catalogue;
use crate::media::{self, MediaFile, MediaKind, MediaObject, MediaWriter, Stage};
use crate::sealed::{ChunkLen, HEADER_LEN, Role, UnverifiedHeader};

impl Ingest {
    /// Begins the file of an import that is in no row, in the place of what a dead one left there.
    pub(super) async fn create_again(&self, object: &MediaObject) -> Result<Box<dyn MediaWriter>, Error> {
        let taken = match self.store.create(object).await {
            Err(error @ media::Error::Exists { being_written: false, .. }) => error,
            outcome => return Ok(outcome?),
        };
        let part = MediaObject::media(object.id.clone(), object.kind, Stage::Part);
        match self.store.open(&part).await? {
            Some(file) if self.is_of_dead_import(&part, &*file).await? => {
                // Whoever began since the catalogue was asked, and has broken off, has its row, and this is what it left.
                if self.database.recording(&object.id).await?.is_some() {
                    return Err(catalogue::Error::RecordingExists(object.id.clone()).into());
                }
                tracing::warn!(file = %self.store.location(&part), "left by an import that was killed, and removed");
                self.store.remove(&part).await?;
                Ok(self.store.create(object).await?)
            }
            Some(_) | None => Err(taken.into()),
        }
    }

    /// Whether a growing file is an import's and nobody writes it. One that was recorded live is all that there is of a
    /// recording, and stays.
    async fn is_of_dead_import(&self, part: &MediaObject, file: &dyn MediaFile) -> Result<bool, Error> {
        // One that has only just been made may not be held by its writer yet.
        let is_begun = file.version().len >= if part.kind == MediaKind::Sealed { HEADER_LEN as u64 } else { 1 };
        if !is_begun || self.store.is_being_written(part).await? {
            return Ok(false);
        }
        match part.kind {
            // Without a row it is nobody's recording: a live one has its row before its first byte.
            MediaKind::Plain => Ok(true),
            MediaKind::Sealed => {
                let head = file.read(0, vec![0; HEADER_LEN], 0).await?;
                let Ok(header) = UnverifiedHeader::read(&head) else { return Ok(false) };
                let ring = self.keys.ring();
                let Ok(key) = ring.held(&header.fingerprint()) else { return Ok(false) };
                let verified = header.verify(key).and_then(|header| header.expect_place(&part.id, &Role::Media));
                Ok(verified.is_ok_and(|verified| verified.header().chunk_len == ChunkLen::FILE))
            }
        }
    }
}
