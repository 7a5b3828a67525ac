//! Seals a recording again under a new file key: after a key was compromised, wrapping it anew is not enough.
//!
//! The new file is written beside the old one, read back and compared, named in the row, and then takes the old one's
//! place at once. Who plays the old one goes on with it to its end.

use std::{ops::Range, time::Duration};

use zeroize::Zeroizing;

use super::super::objects::media_object;
use super::{Error, Maintenance, Outcome, judge, read};
use crate::base::{RecordingId, SealId};
use crate::catalogue::{Content, Recording, Replacement, ResealRun};
use crate::keys::WrappingKey;
use crate::media::{MediaFile, MediaKind, MediaObject, Stage};
use crate::sealed::{ChunkLen, Corruption, Opener, Role, Sealer, Sealing, State};
use crate::service::{Stop, checksum::Checksum};

/// How much media is sealed at a time; a whole number of chunks.
const PIECE_LEN: u64 = 1 << 20;

impl Maintenance {
    /// The run over every recording, under the newest key, that has not come to its end; else begins one now. What was
    /// sealed under that key since then need not be sealed again. Gives whether it was begun before.
    ///
    /// # Errors
    ///
    /// The catalogue, or no active key.
    pub async fn begin_reseal_of_all(&self) -> Result<(ResealRun, bool), Error> {
        if let Some(run) = self.unfinished_reseal_of_all().await? {
            return Ok((run, true));
        }
        let run = ResealRun { begun: (self.clock)(), to: self.keys.ring().wrapping()?.fingerprint };
        self.database.note_reseal(Some(&run)).await?;
        // What is sealed from here on is sealed at a later millisecond.
        tokio::time::sleep(Duration::from_millis(2)).await;
        Ok((run, false))
    }

    /// The same, without beginning one. One that sealed under another key than the newest is none: nothing of what it
    /// did counts.
    ///
    /// # Errors
    ///
    /// The catalogue, or no active key.
    pub async fn unfinished_reseal_of_all(&self) -> Result<Option<ResealRun>, Error> {
        let newest = self.keys.ring().wrapping()?.fingerprint;
        Ok(self.database.unfinished_reseal().await?.filter(|run| run.to == newest))
    }

    /// Says that a run over every recording came to its end.
    ///
    /// # Errors
    ///
    /// The catalogue.
    pub async fn end_reseal_of_all(&self) -> Result<(), Error> {
        Ok(self.database.note_reseal(None).await?)
    }

    /// Seals one recording again under a new file key, wrapped by the newest database key; one that `run` has
    /// sealed already stays as it is. `progress` hears of media bytes, twice of each: written, and read back.
    ///
    /// # Errors
    ///
    /// Why it stays as it is.
    pub async fn reseal(
        &self,
        id: &RecordingId,
        run: Option<&ResealRun>,
        stop: &Stop,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Outcome, Error> {
        self.keys.refresh().await;
        let (row, is_finished) = self.settled(id).await?;
        let Content::Sealed { fingerprint, seal_id, .. } = row.content else { return Err(Error::Plain) };
        let to = self.keys.ring().wrapping()?;
        let (place, file) = self.find(&row).await?;
        let header = self.verified_header(&*file, id).await?;
        if header.seal_id() != seal_id {
            return Err(Corruption::OtherSealing.into());
        }
        let (sealed_at, now) = (header.header().sealed_at, (self.clock)());
        // By its key and its time, for either alone can be wrong: a key that was wrapped anew, a clock that was ahead.
        let is_done = |run: &ResealRun| {
            header.header().fingerprint == run.to
                && run.to == to.fingerprint
                && sealed_at > run.begun
                && sealed_at <= now
        };
        if run.is_some_and(is_done) {
            return Ok(if is_finished {
                Outcome::Done { fingerprint: to.fingerprint, seal_id }
            } else {
                Outcome::Already
            });
        }
        let old = judge(header, &*file, place.stage).await?;
        let next = media_object(&row, Stage::Next);
        let new = match self.write_replacement(&old, None, &*file, &to, stop, progress).await {
            Ok(new) => new,
            Err(error) => {
                // The error is the one that tells; what is left is taken away by the next run, too.
                let _best_effort = self.store.remove(&next).await;
                return Err(error);
            }
        };
        let replacement = Replacement::Sealing { fingerprint: to.fingerprint, seal_id: new };
        let pending = Content::Sealed { fingerprint, seal_id, replacement: Some(replacement) };
        let next = MediaObject { sealing: Some(new), ..next };
        self.name_replacement(&row, &pending, &next).await?;
        self.give_place(id, &pending, &next, &place).await?;
        Ok(Outcome::Done { fingerprint: to.fingerprint, seal_id: new })
    }

    /// Names a replacement that is whole in the recording's row. Where that has gone or has become another one meanwhile, the
    /// replacement goes, too: nobody would look for it, and what is purged leaves no copy.
    pub(super) async fn name_replacement(
        &self,
        row: &Recording,
        pending: &Content,
        next: &MediaObject,
    ) -> Result<(), Error> {
        let Err(error) = self.database.replace_content(&row.id, &row.content, pending).await else { return Ok(()) };
        let is_named = match self.database.recording(&row.id).await {
            Ok(row) => row.is_some_and(|row| !row.is_purging() && row.content.seal_ids().contains(&next.sealing)),
            // It may be: the next run brings it to its end, or takes it away.
            Err(_) => true,
        };
        if !is_named {
            self.store.remove(next).await?;
        }
        Err(error.into())
    }

    /// Brings a replacement that a dead command left in the row to its end: the new file takes its place if it is
    /// whole, else the row forgets it.
    pub(super) async fn finish_reseal(&self, row: Recording) -> Result<Recording, Error> {
        let Content::Sealed {
            fingerprint,
            seal_id,
            replacement: Some(Replacement::Sealing { seal_id: new, fingerprint: new_key }),
        } = row.content
        else {
            return Ok(row);
        };
        if let Some(done) = self.finish_mending(&row).await? {
            return Ok(done);
        }
        let (place, file) = self.find(&row).await?;
        let next = media_object(&row, Stage::Next);
        let content = if self.verified_header(&*file, &row.id).await?.seal_id() == new {
            let done = Content::Sealed { fingerprint: new_key, seal_id: new, replacement: None };
            self.database.replace_content(&row.id, &row.content, &done).await?;
            // Where it is not the same file under another name, it may be there still.
            self.store.remove(&next).await?;
            done
        } else if self.is_whole(&next, new, &place, &*file, &row.id).await? {
            self.give_place(&row.id, &row.content, &next, &place).await?
        } else {
            let undone = Content::Sealed { fingerprint, seal_id, replacement: None };
            self.database.replace_content(&row.id, &row.content, &undone).await?;
            undone
        };
        Ok(Recording { content, ..row })
    }

    /// Writes the replacement and reads it back: the name of its sealing. With `mended_len` it is a complete one that
    /// holds so much of the old one's media, and says so.
    pub(super) async fn write_replacement(
        &self,
        old: &Opener,
        mended_len: Option<u64>,
        file: &dyn MediaFile,
        to: &WrappingKey,
        stop: &Stop,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<SealId, Error> {
        let header = old.header();
        let sealing = Sealing {
            id: header.id.clone(),
            role: Role::Media,
            media_type: header.media_type.clone(),
            chunk_len: header.chunk_len,
            mended: header.mended || mended_len.is_some(),
            sealed_at: (self.clock)(),
        };
        let (mut sealer, head) = Sealer::new(sealing, to.fingerprint, &to.key)?;
        let next = MediaObject {
            sealing: Some(sealer.seal_id()),
            ..MediaObject::media(header.id.clone(), MediaKind::Sealed, Stage::Next)
        };
        let mut writer = self.store.create(&next).await?;
        writer.append(head.to_vec()).await?;
        let mut records = Vec::new();
        let mut media_written = Checksum::default();
        let new_state = mended_len.map_or(old.state(), |media_len| State::Complete { media_len });
        let mut start = 0;
        while let Some(plaintext) = open_piece(old, file, start..new_state.media_len(), stop).await? {
            media_written.update(&plaintext);
            sealer.update(&plaintext, &mut records)?;
            if !records.is_empty() {
                records = writer.append(records).await?;
            }
            progress(plaintext.len() as u64);
            start += plaintext.len() as u64;
        }
        // Everything before the final record is durable before that is written.
        writer.sync().await?;
        let sealed = match new_state {
            State::Complete { .. } => sealer.finish(&mut records),
            State::Unfinished { .. } => sealer.break_off(&mut records),
        };
        if !records.is_empty() {
            writer.append(records).await?;
        }
        writer.finish().await?;
        let written = Written { seal_id: sealed.seal_id, state: new_state, checksum: media_written.finish() };
        self.read_back(&next, &written, stop, progress).await?;
        Ok(sealed.seal_id)
    }

    /// The old file is about to go: the new one must open, from the disk, to the same media.
    async fn read_back(
        &self,
        next: &MediaObject,
        written: &Written,
        stop: &Stop,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), Error> {
        let file = self.store.open(next).await?.ok_or(Error::MediaMissing)?;
        let header = self.verified_header(&*file, &next.id).await?;
        let stage = if written.state.is_complete() { Stage::Final } else { Stage::Part };
        let new = judge(header, &*file, stage).await?;
        let mut media_read = Checksum::default();
        let mut start = 0;
        while let Some(plaintext) = open_piece(&new, &*file, start..new.state().media_len(), stop).await? {
            media_read.update(&plaintext);
            progress(plaintext.len() as u64);
            start += plaintext.len() as u64;
        }
        if new.state() != written.state || new.seal_id() != written.seal_id || media_read.finish() != written.checksum {
            return Err(Corruption::OtherSealing.into());
        }
        Ok(())
    }

    /// Whether the object is there, and the whole of that sealing: every record of it, for the old file goes when it
    /// takes its place, and as many as the old one has.
    async fn is_whole(
        &self,
        next: &MediaObject,
        seal_id: SealId,
        place: &MediaObject,
        old: &dyn MediaFile,
        id: &RecordingId,
    ) -> Result<bool, Error> {
        let Some(new) = self.whole(next, seal_id, place.stage).await? else { return Ok(false) };
        let old = judge(self.verified_header(old, id).await?, old, place.stage).await?;
        Ok(new.state() == old.state())
    }

    /// The object, if it is there and the whole of that sealing: every record of it.
    pub(super) async fn whole(
        &self,
        object: &MediaObject,
        seal_id: SealId,
        claim: Stage,
    ) -> Result<Option<Opener>, Error> {
        let Some(file) = self.store.open(object).await? else { return Ok(None) };
        let verified = async {
            let opener = judge(self.verified_header(&*file, &object.id).await?, &*file, claim).await?;
            if opener.seal_id() != seal_id {
                return Err(Corruption::OtherSealing.into());
            }
            match verified_len(&opener, &*file, None, &|_| {}).await? {
                len if len == opener.state().media_len() => Ok(opener),
                _ => Err(Corruption::ShortRead.into()),
            }
        };
        match verified.await {
            Ok(opener) => Ok(Some(opener)),
            Err(Error::Sealed(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives the new file the old one's name, then strikes the old sealing from the row: how the recording is sealed
    /// now.
    async fn give_place(
        &self,
        id: &RecordingId,
        pending: &Content,
        next: &MediaObject,
        place: &MediaObject,
    ) -> Result<Content, Error> {
        let Content::Sealed { replacement: Some(Replacement::Sealing { fingerprint, seal_id }), .. } = pending else {
            return Ok(pending.clone());
        };
        self.store.replace(next, place).await?;
        let done = Content::Sealed { fingerprint: *fingerprint, seal_id: *seal_id, replacement: None };
        self.database.replace_content(id, pending, &done).await?;
        Ok(done)
    }
}

/// What a replacement must be found to be.
struct Written {
    seal_id: SealId,
    state: State,
    checksum: u64,
}

/// How much media verifies, from the first byte on, without a gap; `progress` hears of it.
pub(super) async fn verified_len(
    opener: &Opener,
    file: &dyn MediaFile,
    stop: Option<&Stop>,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<u64, Error> {
    let (mut start, chunk_len) = (0, opener.header().chunk_len.bytes());
    while start < opener.state().media_len() {
        if stop.is_some_and(Stop::is_asked) {
            return Err(Error::Stopped);
        }
        let end = opener.state().media_len().min(start + PIECE_LEN);
        let Some(span) = opener.span(start..end) else { break };
        let sealed = read(file, span.file().start, span.file().end).await?;
        match opener.verify_span(&span, &sealed) {
            Ok(()) => progress(end - start),
            Err(Corruption::Chunk(index)) => return Ok(index * chunk_len),
            Err(other) => return Err(other.into()),
        }
        start = end;
    }
    Ok(start)
}

/// The next piece of `media`, decrypted from records that verify; none at the end.
async fn open_piece(
    opener: &Opener,
    file: &dyn MediaFile,
    media: Range<u64>,
    stop: &Stop,
) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    const _: () = assert!(PIECE_LEN.is_multiple_of(ChunkLen::MAX_BYTES), "no record is read twice");
    let piece = media.start..media.end.min(media.start + PIECE_LEN);
    let Some(span) = opener.span(piece.clone()) else { return Ok(None) };
    if stop.is_asked() {
        return Err(Error::Stopped);
    }
    let sealed = read(file, span.file().start, span.file().end).await?;
    let mut plaintext = Zeroizing::new(vec![0; usize::try_from(piece.end - piece.start).unwrap_or(usize::MAX)]);
    opener.open_span(&span, &sealed, &mut plaintext).map_err(|damage| damage.corruption)?;
    Ok(Some(plaintext))
}
