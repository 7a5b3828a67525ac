//! Objects held against each other, and against what verifies.

use std::ops::Range;

use zeroize::Zeroizing;

use super::{Copying, Error};
use crate::base::SealId;
use crate::catalogue::{Content, Recording};
use crate::crypto::Sha256Digest;
use crate::media::{MediaFile, MediaKind, MediaObject, ObjectRole, Stage};
use crate::sealed::{self, Corruption, HEADER_LEN, NameClaim, Role, UnverifiedHeader, VerifiedHeader};
use crate::service::{
    Conduct, Stop,
    pieces::{PIECE_LEN, Pieces},
};

/// How much of each end is compared of what is there already: headers, and several records.
const END_LEN: u64 = 64 << 10;
/// How much is verified at a time; a power of two, and so a whole number of records.
const SPAN_LEN: u64 = 1 << 20;

/// What an object says of itself.
pub(super) struct Identity {
    /// Which sealing, or which plain media, as far as that can be told.
    pub sealing: Option<SealId>,
    /// What its header says; none when its key is not here, or it is no sealed one.
    pub header: Option<VerifiedHeader>,
    /// What is wrong with it.
    pub damage: Option<Error>,
}

/// How two objects differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Difference {
    None,
    /// In their headers alone.
    Head,
    Other,
}

/// What was read back.
pub(super) struct Seen {
    pub digest: [u8; 32],
    /// Whether every tag was looked at, and what did not verify.
    pub tags: Option<Result<(), sealed::Error>>,
}

impl Copying {
    /// Which sealing an object of the source is: by its own header where the key is here, else by its row.
    pub(super) async fn identity(
        &self,
        object: &MediaObject,
        row: Option<&Recording>,
        file: &dyn MediaFile,
        stop: &Stop,
    ) -> Result<Identity, Error> {
        let of_row = row.filter(|_| object.role == ObjectRole::Media);
        let (sealing, header, damage) = match object.kind {
            MediaKind::Plain => (self.plain_sealing(object, of_row, file, stop).await?, None, None),
            MediaKind::Sealed => match self.header(object, file).await {
                Ok(Some(header)) => {
                    let seal_id = header.seal_id();
                    let is_known = match (&object.role, of_row) {
                        (ObjectRole::Metadata { version } | ObjectRole::Sidecar { version, .. }, _) => {
                            *version == seal_id
                        }
                        (ObjectRole::Media, Some(row)) => row.content.seal_ids().contains(&Some(seal_id)),
                        (ObjectRole::Media, None) => true,
                    };
                    let damage = (!is_known).then(|| Error::Sealed(Corruption::OtherSealing.into()));
                    (Some(seal_id), Some(header), damage)
                }
                Ok(None) => {
                    let named = UnverifiedHeader::read(&read(file, 0..HEADER_LEN as u64).await?)?.fingerprint();
                    let is_known = of_row.and_then(|row| row.fingerprint()).is_none_or(|known| known == named);
                    let damage = (!is_known).then(|| Error::Sealed(Corruption::OtherSealing.into()));
                    (of_row.and_then(|row| row.content.seal_ids()[0]), None, damage)
                }
                Err(Error::Sealed(error)) => {
                    (of_row.and_then(|row| row.content.seal_ids()[0]), None, Some(error.into()))
                }
                Err(error) => return Err(error),
            },
        };
        let sealing = if object.role == ObjectRole::Media { object.sealing.or(sealing) } else { None };
        Ok(Identity { sealing, header, damage })
    }

    /// The verified header of a sealed object; none when its key is not here.
    pub(super) async fn header(
        &self,
        object: &MediaObject,
        file: &dyn MediaFile,
    ) -> Result<Option<VerifiedHeader>, Error> {
        let head = read(file, 0..file.version().len.min(HEADER_LEN as u64)).await?;
        let header = UnverifiedHeader::read(&head)?;
        let ring = self.keys.ring();
        let Ok(key) = ring.held(&header.fingerprint()) else { return Ok(None) };
        Ok(Some(header.verify(key)?.expect_place(&object.id, &role(&object.role))?))
    }

    /// What a store that never overwrites calls plain media: the first bytes of its digest.
    async fn plain_sealing(
        &self,
        object: &MediaObject,
        row: Option<&Recording>,
        file: &dyn MediaFile,
        stop: &Stop,
    ) -> Result<Option<SealId>, Error> {
        if object.role != ObjectRole::Media || object.stage != Stage::Final {
            return Ok(None);
        }
        match row.map(|row| &row.content) {
            Some(Content::Plain { digest, .. }) if *digest != [0; 32] => Ok(Some(SealId::of_plain(digest))),
            _ => Ok(Some(SealId::of_plain(&digest_of(file, stop).await?))),
        }
    }

    /// Reads an object of the target from its first byte to its last: its digest, and whether every tag verifies.
    pub(super) async fn read_back(
        &self,
        object: &MediaObject,
        stage: Stage,
        file: &dyn MediaFile,
        conduct: Conduct<'_>,
    ) -> Result<Seen, Error> {
        let file_len = file.version().len;
        let mut reading = Reading { file, conduct, digest: Sha256Digest::default(), position: 0 };
        let tags = match object.kind {
            MediaKind::Plain => None,
            MediaKind::Sealed => match self.header(object, file).await {
                Ok(None) => None,
                Ok(Some(header)) => match reading.verify(header, stage).await {
                    Ok(()) => Some(Ok(())),
                    Err(Error::Sealed(error)) => Some(Err(error)),
                    Err(error) => return Err(error),
                },
                Err(Error::Sealed(error)) => Some(Err(error)),
                Err(error) => return Err(error),
            },
        };
        while reading.position < file_len {
            reading.take(file_len.min(reading.position + SPAN_LEN)).await?;
        }
        Ok(Seen { digest: reading.digest.finish(), tags })
    }
}

/// An object being read back.
struct Reading<'a> {
    file: &'a dyn MediaFile,
    conduct: Conduct<'a>,
    digest: Sha256Digest,
    position: u64,
}

impl Reading<'_> {
    /// Looks at every tag.
    async fn verify(&mut self, header: VerifiedHeader, stage: Stage) -> Result<(), Error> {
        let file_len = self.file.version().len;
        let tail = read(self.file, header.tail(file_len)?).await?;
        let claim = if stage == Stage::Part { NameClaim::Part } else { NameClaim::Final };
        let opener = header.judge(file_len, &tail, claim)?;
        self.take(HEADER_LEN as u64).await?;
        let media_len = opener.state().media_len();
        let mut start = 0;
        while start < media_len {
            let end = media_len.min(start + SPAN_LEN);
            let Some(span) = opener.span(start..end) else { break };
            let records = self.take(span.file().end).await?;
            opener.verify_span(&span, &records).map_err(sealed::Error::from)?;
            start = end;
        }
        Ok(())
    }

    /// Everything from where it is to `end`.
    async fn take(&mut self, end: u64) -> Result<Zeroizing<Vec<u8>>, Error> {
        if self.conduct.stop.is_asked() {
            return Err(Error::Stopped);
        }
        let bytes = read(self.file, self.position..end).await?;
        self.digest.update(&bytes);
        self.position = end;
        (self.conduct.progress)(bytes.len() as u64);
        Ok(bytes)
    }
}

/// Compares two objects: whole, or at both ends.
pub(super) async fn difference(
    from: &dyn MediaFile,
    to: &dyn MediaFile,
    whole: bool,
    stop: &Stop,
) -> Result<Difference, Error> {
    let len = from.version().len;
    if to.version().len != len {
        return Ok(Difference::Other);
    }
    let head_len = len.min(HEADER_LEN as u64);
    let is_same_head = read(from, 0..head_len).await? == read(to, 0..head_len).await?;
    let first_len = if whole { len } else { END_LEN };
    let ranges = [head_len..len.min(first_len), len.saturating_sub(END_LEN).max(head_len)..len];
    for range in ranges {
        let mut start = range.start;
        while start < range.end {
            if stop.is_asked() {
                return Err(Error::Stopped);
            }
            let piece = start..range.end.min(start + PIECE_LEN);
            start = piece.end;
            if read(from, piece.clone()).await? != read(to, piece).await? {
                return Ok(Difference::Other);
            }
        }
    }
    Ok(if is_same_head { Difference::None } else { Difference::Head })
}

async fn digest_of(file: &dyn MediaFile, stop: &Stop) -> Result<[u8; 32], Error> {
    let (mut pieces, mut digest) = (Pieces::new(file), Sha256Digest::default());
    loop {
        let piece = pieces.next(u64::MAX).await?;
        if piece.is_empty() {
            return Ok(digest.finish());
        }
        digest.update(piece);
        if stop.is_asked() {
            return Err(Error::Stopped);
        }
    }
}

/// Wiped in the end: it may be media in plain.
async fn read(file: &dyn MediaFile, range: Range<u64>) -> Result<Zeroizing<Vec<u8>>, Error> {
    let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
    let mut buffer = vec![0; len];
    let filled = file.try_read_now(range.start, &mut buffer)?;
    let buffer = if filled < len { file.read(range.start, buffer, filled).await? } else { buffer };
    Ok(Zeroizing::new(buffer))
}

/// As its header says it.
fn role(role: &ObjectRole) -> Role {
    match role {
        ObjectRole::Media => Role::Media,
        ObjectRole::Metadata { .. } => Role::Metadata,
        ObjectRole::Sidecar { name, .. } => Role::Sidecar(name.clone()),
    }
}
