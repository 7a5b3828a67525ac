//! Seals recordings that lie in plain: in the store, or where they were catalogued.
//!
//! The sealed file is written beside whatever there is, read back and compared, and takes its name; then one
//! transaction says that the recording is sealed and that the plain file is to go; and only then that goes. Whoever is
//! killed in between leaves the recording playable, and the next run brings it to its end. A plain file that is not
//! what was catalogued is refused and left. Who plays the plain file goes on with it: it is unlinked, never written to.

use super::{
    Candidate, Error, Maintenance, PAGE_LEN, Selection, judge,
    plain::{Check, Plain, checksum_of_sealed, digest_of_file, digest_of_sealed},
};
use crate::base::{Fingerprint, RecordingId, SealId};
use crate::catalogue::{self, Content, PlainCount, PlainLeft, Recording, RecordingState};
use crate::keys::{NoActiveKey, OpeningRefused, Switch, WrappingKey};
use crate::media::{self, MediaKind, MediaObject, Stage};
use crate::sealed::{ChunkLen, Corruption, Role, Sealer, Sealing};
use crate::service::{RatePace, Stop, checksum::Checksum, pieces::Pieces};

/// What became of a recording that was to be sealed.
#[derive(Debug)]
pub enum Encryption {
    /// It is sealed.
    Done(Box<Encrypted>),
    /// It was sealed before.
    Already,
}

/// A recording that lay in plain and is sealed.
#[derive(Debug)]
pub struct Encrypted {
    /// As it is catalogued now.
    pub recording: Recording,
    /// The plain file; whoever has put the sealing on record says so with [`Maintenance::end_encryption`].
    pub left: PlainLeft,
    /// How many other names the bytes of the plain file have, under which they still lie on the disk.
    pub other_names: u64,
    /// Why the plain file is still there, when it is. The next run tries again.
    pub stays: Option<Error>,
}

/// What was sealed, and under which name.
struct Copy {
    fingerprint: Fingerprint,
    seal_id: SealId,
    /// SHA-256 of the media.
    digest: [u8; 32],
}

/// How a run may be slowed down or stopped, and who hears how far it is.
#[derive(Clone, Copy)]
pub struct Conduct<'a> {
    /// Media bytes a second.
    pub pace: &'a RatePace,
    /// The wish to stop.
    pub stop: &'a Stop,
    /// Hears of media bytes, twice of each: written, and read back.
    pub progress: &'a (dyn Fn(u64) + Send + Sync),
}

impl Maintenance {
    /// The key that plain recordings would be sealed under.
    ///
    /// # Errors
    ///
    /// Encryption is switched off, or there is no active key.
    pub fn encrypting(&self) -> Result<WrappingKey, Error> {
        let ring = self.keys.ring();
        match ring.sealing()? {
            Some(key) => Ok(key),
            None if ring.switch() == Switch::Disabled => Err(OpeningRefused::EncryptionDisabled.into()),
            None => Err(NoActiveKey.into()),
        }
    }

    /// How many recordings lie in plain.
    ///
    /// # Errors
    ///
    /// The catalogue.
    pub async fn plain_count(&self) -> Result<PlainCount, Error> {
        Ok(self.database.plain_count().await?)
    }

    /// The recordings of a selection that lie in plain, a page at a time: those asked for by ID, whatever they are, or
    /// all that are not exempt.
    ///
    /// # Errors
    ///
    /// The catalogue, or what `each` says.
    pub async fn for_each_plain_page<E: From<Error>>(
        &self,
        selection: &Selection,
        mut each: impl AsyncFnMut(Vec<Candidate>) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Selection::Ids(ids) = selection {
            return each(self.candidates(ids).await?).await;
        }
        let mut after = None;
        loop {
            let rows = self.database.plain_recordings(after.as_ref(), PAGE_LEN).await.map_err(Error::from)?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(last.id.clone());
            each(rows.into_iter().map(Candidate::from).collect()).await?;
        }
    }

    /// Seals one recording, exempt or not.
    ///
    /// # Errors
    ///
    /// Why it stays plain, as it was.
    pub async fn encrypt(&self, id: &RecordingId, conduct: Conduct<'_>) -> Result<Encryption, Error> {
        self.keys.refresh().await;
        let row = self.database.recording(id).await?.ok_or(Error::NotFound)?;
        if row.is_sealed() {
            return Ok(Encryption::Already);
        }
        let to = self.encrypting()?;
        let row = self.without_dead_writer(row).await?;
        let (place, file) = self.find(&row).await?;
        let plain = Plain { row: &row, place: &place, file: &*file };
        let copy = match self.copy_from_before(&plain, &to, conduct).await? {
            Some(copy) => copy,
            None => self.seal_copy(&plain, &to, conduct).await?,
        };
        self.take_place(&plain, copy).await.map(Box::new).map(Encryption::Done)
    }

    /// A run that was killed may have given the copy its name, and not have told the catalogue. It is taken as it is
    /// when it holds the very media; one under another key than the newest is made again.
    async fn copy_from_before(
        &self,
        plain: &Plain<'_>,
        to: &WrappingKey,
        conduct: Conduct<'_>,
    ) -> Result<Option<Copy>, Error> {
        let place = sealed(&plain.row.id, Stage::Final);
        let Some(file) = self.store.open(&place).await? else { return Ok(None) };
        let opened = async {
            let opener = judge(self.verified_header(&*file, &plain.row.id).await?, &*file, Stage::Final).await?;
            let digest = digest_of_sealed(&opener, &*file, conduct.stop, conduct.progress).await?;
            Ok((opener, digest))
        };
        let (opener, digest) = match opened.await {
            Ok(opened) => opened,
            Err(Error::Sealed(_) | Error::Refused(_)) => return Err(self.in_the_way(&place)),
            Err(error) => return Err(error),
        };
        if digest != plain.digest(conduct.stop).await? {
            return Err(self.in_the_way(&place));
        }
        let fingerprint = opener.header().fingerprint;
        if fingerprint != to.fingerprint {
            self.store.remove(&place).await?;
            return Ok(None);
        }
        Ok(Some(Copy { fingerprint, seal_id: opener.seal_id(), digest }))
    }

    /// Writes the sealed copy, reads it back, and gives it its name.
    async fn seal_copy(&self, plain: &Plain<'_>, to: &WrappingKey, conduct: Conduct<'_>) -> Result<Copy, Error> {
        let id = &plain.row.id;
        let next = sealed(id, Stage::Next);
        let copy = match self.write_copy(plain, to, conduct).await {
            Ok(copy) => copy,
            Err(error) => {
                // The error is the one that tells; what is left is taken away by the next run, too.
                let _best_effort = self.store.remove(&next).await;
                return Err(error);
            }
        };
        let sealing = Some(copy.seal_id);
        let (next, place) = (MediaObject { sealing, ..next }, MediaObject { sealing, ..sealed(id, Stage::Final) });
        match self.store.place(&next, &place).await {
            Err(media::Error::Exists { .. }) => {
                let _best_effort = self.store.remove(&next).await;
                Err(self.in_the_way(&place))
            }
            placed => placed.map(|()| copy).map_err(Error::from),
        }
    }

    async fn write_copy(&self, plain: &Plain<'_>, to: &WrappingKey, conduct: Conduct<'_>) -> Result<Copy, Error> {
        let row = plain.row;
        let sealing = Sealing {
            id: row.id.clone(),
            role: Role::Media,
            media_type: row.media_type.clone(),
            chunk_len: ChunkLen::FILE,
            mended: is_mended(row),
            sealed_at: (self.clock)(),
        };
        let (mut sealer, header) = Sealer::new(sealing, to.fingerprint, &to.key)?;
        let next = MediaObject { sealing: Some(sealer.seal_id()), ..sealed(&row.id, Stage::Next) };
        let mut writer = self.store.create(&next).await?;
        let mut records = writer.append(header.to_vec()).await?;
        let mut pieces = Pieces::new(plain.file);
        let (mut check, mut written) = (Check::new(plain)?, Checksum::default());
        loop {
            let piece = pieces.next(check.next_stop()).await?;
            if piece.is_empty() {
                break;
            }
            check.update(piece)?;
            written.update(piece);
            sealer.update(piece, &mut records)?;
            let len = piece.len() as u64;
            if !records.is_empty() {
                records = writer.append(records).await?;
            }
            conduct.pace.take(len, conduct.stop).await;
            (conduct.progress)(len);
            if conduct.stop.is_asked() {
                return Err(Error::Stopped);
            }
        }
        let digest = check.finish()?;
        // A copy whose end became durable before its middle is no danger: until all of it is, and has been read back, it
        // has a name that only the next run looks at, to take it away.
        let seal_id = sealer.finish(&mut records).seal_id;
        writer.append(records).await?;
        writer.finish().await?;
        self.read_copy_back(&next, seal_id, written.finish(), conduct).await?;
        Ok(Copy { fingerprint: to.fingerprint, seal_id, digest })
    }

    /// The plain file is about to go: the copy must open, as it lies there, to the same media.
    async fn read_copy_back(
        &self,
        next: &MediaObject,
        seal_id: SealId,
        written: u64,
        conduct: Conduct<'_>,
    ) -> Result<(), Error> {
        let file = self.store.open(next).await?.ok_or(Error::MediaMissing)?;
        let opener = judge(self.verified_header(&*file, &next.id).await?, &*file, Stage::Final).await?;
        if opener.seal_id() != seal_id
            || checksum_of_sealed(&opener, &*file, conduct.stop, conduct.progress).await? != written
        {
            return Err(Corruption::OtherSealing.into());
        }
        Ok(())
    }

    /// The copy has its name: the catalogue says so, and then the plain file goes.
    async fn take_place(&self, plain: &Plain<'_>, copy: Copy) -> Result<Encrypted, Error> {
        let Plain { row, place, file } = plain;
        let len = file.version().len;
        let recording = Recording {
            media_len: len,
            state: RecordingState::Complete,
            mended: is_mended(row),
            content: Content::Sealed { fingerprint: copy.fingerprint, seal_id: copy.seal_id, replacement: None },
            ..Recording::clone(row)
        };
        let left = PlainLeft {
            id: row.id.clone(),
            outside: place.outside.clone(),
            is_part: place.stage == Stage::Part,
            len,
            digest: copy.digest,
        };
        if let Err(error) = self.database.seal_recording(row, &recording, &left).await {
            use catalogue::Error::{KeyDeactivated, RecordingChanged};
            if matches!(error, RecordingChanged(_) | KeyDeactivated(_)) {
                // Nothing needs it. Whatever else went wrong, the row may name it already.
                let sealing = Some(copy.seal_id);
                let _best_effort = self.store.remove(&MediaObject { sealing, ..sealed(&row.id, Stage::Final) }).await;
            }
            return Err(error.into());
        }
        let removed = self.store.remove_version(place, file.version()).await;
        let (other_names, stays) = match removed {
            Ok(other_names) => (other_names, None),
            Err(error) => (0, Some(error.into())),
        };
        Ok(Encrypted { recording, left, other_names, stays })
    }

    /// Plain files that are to go, and that a run which was killed, or could not remove them, left; each with its
    /// number, from the one after `after` on.
    ///
    /// # Errors
    ///
    /// The catalogue.
    pub async fn plain_left(&self, after: u64) -> Result<Vec<(u64, PlainLeft)>, Error> {
        Ok(self.database.plain_left(after, PAGE_LEN).await?)
    }

    /// Removes such a file; none when there is nothing to put on record. It stays when it is not the one that was
    /// sealed any more, or when the sealed one does not open to the same media.
    ///
    /// # Errors
    ///
    /// Why it stays.
    pub async fn remove_plain_left(&self, left: &PlainLeft, conduct: Conduct<'_>) -> Result<Option<Encrypted>, Error> {
        let row = self.database.recording(&left.id).await?;
        if row.as_ref().is_some_and(|row| !row.is_sealed() && row.content.outside() == left.outside.as_ref()) {
            // What lies there now is another recording's, of the same ID.
            return Ok(None);
        }
        let stage = if left.is_part { Stage::Part } else { Stage::Final };
        let outside = left.outside.clone();
        let sealing = Some(SealId::of_plain(&left.digest));
        let place = MediaObject { sealing, outside, ..MediaObject::media(left.id.clone(), MediaKind::Plain, stage) };
        let mut other_names = 0;
        if let Some(file) = self.store.open(&place).await? {
            if digest_of_file(&*file, conduct.stop).await? != left.digest {
                return Err(Error::PlainLeftChanged(self.store.location(&place)));
            }
            if let Some(row) = row.as_ref().filter(|row| row.is_sealed()) {
                let (sealed_place, sealed_file) = self.find(row).await?;
                let header = self.verified_header(&*sealed_file, &row.id).await?;
                let opener = judge(header, &*sealed_file, sealed_place.stage).await?;
                if digest_of_sealed(&opener, &*sealed_file, conduct.stop, conduct.progress).await? != left.digest {
                    return Err(Corruption::OtherSealing.into());
                }
            }
            other_names = self.store.remove_version(&place, file.version()).await?;
        }
        let recording = row.filter(Recording::is_sealed);
        Ok(recording.map(|recording| Encrypted { recording, left: left.clone(), other_names, stays: None }))
    }

    /// Says that the plain file is gone, and that its sealing is on record.
    ///
    /// # Errors
    ///
    /// The catalogue.
    pub async fn end_encryption(&self, left: &PlainLeft) -> Result<(), Error> {
        Ok(self.database.forget_plain_left(left).await?)
    }

    fn in_the_way(&self, place: &MediaObject) -> Error {
        Error::InTheWay(self.store.location(place))
    }
}

fn sealed(id: &RecordingId, stage: Stage) -> MediaObject {
    MediaObject::media(id.clone(), MediaKind::Sealed, stage)
}

/// A recording whose end is missing is sealed with all that there is of it, and says so.
fn is_mended(row: &Recording) -> bool {
    row.mended || row.state != RecordingState::Complete
}
