//! Takes in files that are sealed already: as they are, under the ID that they carry, and only when they verify.

use std::sync::Arc;

use super::{
    Error, Ingest, Ingested, NewRecording, Stop,
    incoming::{self, joined},
    object_of,
};
use crate::catalogue::{self, Content, Recording, RecordingState};
use crate::media::{MediaFile, MediaKind, MediaObject, MediaWriter, Stage};
use crate::sealed::{HEADER_LEN, NameClaim, Opener, Role, UnverifiedHeader};
use crate::service::{Source, source::Piece};

/// How much media is verified at a time.
const VERIFY_LEN: u64 = 1 << 20;

impl Ingest {
    /// Copies the sealed bytes, then verifies header, end and every record of the copy, then catalogues it.
    pub(super) async fn ingest_sealed(
        &self,
        new: NewRecording,
        head: Piece,
        source: &mut impl Source,
        stop: &mut Stop,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Ingested, Error> {
        if new.media_type.is_some() || new.exempt {
            return Err(Error::SealedAlready);
        }
        let mut head = head;
        while head.len() < HEADER_LEN {
            let piece = next(source, stop, progress, Piece::default()).await?;
            if piece.is_empty() {
                break;
            }
            head = joined(&head, &piece);
        }
        let header = UnverifiedHeader::read(&head).map_err(Error::NotVerified)?;
        // Whether encryption is switched on or off: the file is sealed, and stays so.
        let key = self.keys.ring().any(&header.fingerprint()).map_err(Error::KeyRefused)?.clone();
        let verified = header.clone().verify(&key).map_err(Error::NotVerified)?;
        let id = verified.header().id.clone();
        if new.id.is_some_and(|given| given != id) {
            return Err(Error::OtherId { carried: id });
        }
        let _claim = self.claims.claim(&id).await;
        if self.database.recording(&id).await?.is_some() {
            return Err(catalogue::Error::RecordingExists(id).into());
        }
        let verified = verified.expect_place(&id, &Role::Media).map_err(Error::NotVerified)?;
        // Only a file that says by its name that it was growing may be one whose end is missing.
        let is_part = new.name.as_deref().is_some_and(|name| name.extension().is_some_and(|end| end == "part"));
        let claim = if is_part { NameClaim::Part } else { NameClaim::Final };

        let sealing = Some(verified.seal_id());
        let object = MediaObject { sealing, ..MediaObject::media(id.clone(), MediaKind::Sealed, Stage::Final) };
        // Lives until what it wrote is gone, if it is to go: the name would be another writer's as soon as it is let go.
        let mut writer = self.store.create(&object).await?;
        let copied = async {
            self.copy(head, source, stop, progress, &mut *writer).await?;
            let part = MediaObject { stage: Stage::Part, ..object.clone() };
            let file = self.store.open(&part).await?.ok_or(Error::Stopped)?;
            let file_len = file.version().len;
            let tail = verified.tail(file_len).map_err(Error::NotVerified)?;
            let tail = read(&file, tail.start, tail.end).await?;
            let opener = verified.judge(file_len, &tail, claim).map_err(Error::NotVerified)?;
            verify_every_record(&opener, &file).await?;
            Ok(opener)
        };
        let opener: Opener = match copied.await {
            Ok(opener) => opener,
            Err(error) => {
                self.take_away(object).await;
                return Err(error);
            }
        };
        let is_complete = opener.state().is_complete();
        // What is unfinished stays under the name that it has.
        let settled = if is_complete { writer.finish().await } else { writer.sync().await };
        if let Err(error) = settled {
            self.take_away(object).await;
            return Err(error.into());
        }
        let header = opener.header();
        let recording = Recording {
            id,
            media_type: header.media_type.clone(),
            media_len: opener.state().media_len(),
            state: if is_complete { RecordingState::Complete } else { RecordingState::Unfinished },
            mended: header.mended,
            created_at: header.sealed_at,
            content: Content::Sealed { fingerprint: header.fingerprint, seal_id: opener.seal_id(), replacement: None },
            spool: self.store.spool().map(|spool| spool.location().clone()),
            about: None,
        };
        tracing::debug!(file = %self.store.location(&object_of(&recording)), "taken in as it is");
        let broken_off = (!is_complete).then(|| "it was unfinished before".into());
        self.catalogue(recording, broken_off, stop).await
    }

    async fn copy(
        &self,
        head: Piece,
        source: &mut impl Source,
        stop: &mut Stop,
        progress: &(dyn Fn(u64) + Send + Sync),
        writer: &mut dyn MediaWriter,
    ) -> Result<(), Error> {
        let mut piece = head;
        while !piece.is_empty() {
            // Ciphertext: nothing of it needs to be wiped on the way.
            piece = Piece::new(writer.append(core::mem::take(&mut *piece)).await?);
            piece = next(source, stop, progress, piece).await?;
        }
        self.shelf.put_piece(piece);
        Ok(writer.sync_content().await?)
    }
}

async fn next(
    source: &mut impl Source,
    stop: &mut Stop,
    progress: &(dyn Fn(u64) + Send + Sync),
    piece: Piece,
) -> Result<Piece, Error> {
    let piece = incoming::next(source, stop, piece).await?;
    progress(piece.len() as u64);
    Ok(piece)
}

async fn verify_every_record(opener: &Opener, file: &Arc<dyn MediaFile>) -> Result<(), Error> {
    let media_len = opener.state().media_len();
    let mut start = 0;
    while start < media_len {
        let end = media_len.min(start + VERIFY_LEN);
        let Some(span) = opener.span(start..end) else { break };
        let sealed = read(file, span.file().start, span.file().end).await?;
        opener.verify_span(&span, &sealed).map_err(|corruption| Error::NotVerified(corruption.into()))?;
        start = end;
    }
    Ok(())
}

async fn read(file: &Arc<dyn MediaFile>, start: u64, end: u64) -> Result<Vec<u8>, Error> {
    let len = usize::try_from(end - start).unwrap_or(usize::MAX);
    Ok(file.read(start, vec![0; len], 0).await?)
}
