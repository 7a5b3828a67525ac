//! Catalogues plain files where they lie, outside the media store: each is read once, and not copied.

use super::{Error, Ingest, NewRecording, Stop, id};
use crate::base::Location;
use crate::catalogue::{self, Content, Recording, RecordingState};
use crate::crypto::Sha256Digest;
use crate::media::{self, MediaKind, MediaObject, Stage};
use crate::sealed;
use crate::service::{detect_media_type, pieces::Pieces};

impl Ingest {
    /// Catalogues the file at `outside` as plain; none when it is catalogued already. Its digest and length are what
    /// it is held against from then on; `progress` hears how many bytes were read.
    ///
    /// # Errors
    ///
    /// Why it was not catalogued. The file stays as it is in each case.
    pub async fn catalogue_plain(
        &self,
        new: NewRecording,
        outside: Location,
        stop: &Stop,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Option<Recording>, Error> {
        let id = id(&new)?;
        let _claim = self.claims.claim(&id).await;
        if let Some(row) = self.database.recording(&id).await? {
            // Sealed meanwhile, it may be about to go.
            let is_this = row.content.outside() == Some(&outside)
                || (row.is_sealed() && self.database.is_plain_left(&id, &outside).await?);
            return if is_this { Ok(None) } else { Err(catalogue::Error::RecordingExists(id).into()) };
        }
        let object = MediaObject { outside: Some(outside), ..MediaObject::media(id, MediaKind::Plain, Stage::Final) };
        let file = self.store.open(&object).await?.ok_or_else(|| Error::Source(std::io::ErrorKind::NotFound.into()))?;
        let (media_len, mut pieces) = (file.version().len, Pieces::new(&*file));
        let (mut digest, mut media_type) = (Sha256Digest::default(), new.media_type);
        loop {
            let is_first = pieces.position() == 0;
            let piece = pieces.next(media_len).await?;
            if piece.is_empty() {
                break;
            }
            if is_first && sealed::has_magic(piece) {
                return Err(Error::SealedInPlain);
            }
            digest.update(piece);
            progress(piece.len() as u64);
            media_type.get_or_insert_with(|| detect_media_type(piece, new.name.as_deref()));
            if stop.is_asked() {
                return Err(Error::Stopped);
            }
        }
        let Some(media_type) = media_type.filter(|_| media_len > 0) else { return Err(Error::Empty) };
        if self.store.version(&object).await? != Some(file.version()) {
            return Err(media::Error::Changed { location: self.store.location(&object) }.into());
        }
        let recording = Recording {
            id: object.id,
            media_type,
            media_len,
            state: RecordingState::Complete,
            mended: false,
            // Not the file's own time: validators are made of it, and a file time is anybody's to set.
            created_at: (self.clock)(),
            content: Content::Plain { digest: digest.finish(), exempt: new.exempt, outside: object.outside },
            spool: None,
            about: None,
        };
        self.database.add_recording(&recording).await?;
        Ok(Some(recording))
    }
}
