//! Plain files held against what the catalogue says of them, and copies against what was sealed.

use zeroize::Zeroizing;

use super::Error;
use crate::catalogue::{Content, Recording, RecordingState};
use crate::crypto::Sha256Digest;
use crate::media::{MediaFile, MediaObject};
use crate::sealed::Opener;
use crate::service::{
    Stop,
    checksum::Checksum,
    pieces::{PIECE_LEN, Pieces},
};

/// A plain file, open, and the row that it is held against.
pub(super) struct Plain<'a> {
    pub row: &'a Recording,
    pub place: &'a MediaObject,
    pub file: &'a dyn MediaFile,
}

impl Plain<'_> {
    /// SHA-256 of the file, if it is what its row says.
    pub async fn digest(&self, stop: &Stop) -> Result<[u8; 32], Error> {
        let (mut pieces, mut check) = (Pieces::new(self.file), Check::new(self)?);
        loop {
            let piece = pieces.next(check.next_stop()).await?;
            if piece.is_empty() {
                return check.finish();
            }
            check.update(piece)?;
            if stop.is_asked() {
                return Err(Error::Stopped);
            }
        }
    }
}

/// Holds a plain file against its row while it is read: length and digest as catalogued; of one whose end is missing,
/// as much as the catalogue heard of.
pub(super) struct Check<'a> {
    plain: &'a Plain<'a>,
    media: Sha256Digest,
    position: u64,
}

impl<'a> Check<'a> {
    pub fn new(plain: &'a Plain<'a>) -> Result<Self, Error> {
        let (found, row) = (plain.file.version().len, plain.row);
        let is_whole = row.state == RecordingState::Complete;
        if found < row.media_len || (is_whole && found > row.media_len) {
            return Err(Error::PlainChanged);
        }
        Ok(Self { plain, media: Sha256Digest::default(), position: 0 })
    }

    /// Where the catalogued length ends, or else the file: no piece that is read passes it.
    pub fn next_stop(&self) -> u64 {
        let catalogued = self.plain.row.media_len;
        if self.position < catalogued { catalogued } else { self.plain.file.version().len }
    }

    /// Takes in the next piece.
    pub fn update(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.media.update(piece);
        self.position += piece.len() as u64;
        if self.position == self.plain.row.media_len { self.compare() } else { Ok(()) }
    }

    /// SHA-256 of all of it.
    pub fn finish(self) -> Result<[u8; 32], Error> {
        // Of an empty one there was no piece to compare.
        if self.position == 0 && self.plain.row.state == RecordingState::Complete {
            self.compare()?;
        }
        Ok(self.media.finish())
    }

    fn compare(&self) -> Result<(), Error> {
        match &self.plain.row.content {
            Content::Plain { digest, .. } if self.media.clone().finish() == *digest => Ok(()),
            Content::Plain { .. } | Content::Sealed { .. } => Err(Error::PlainChanged),
        }
    }
}

/// SHA-256 of a file, whatever it is.
pub(super) async fn digest_of_file(file: &dyn MediaFile, stop: &Stop) -> Result<[u8; 32], Error> {
    let (mut pieces, mut media) = (Pieces::new(file), Sha256Digest::default());
    loop {
        let piece = pieces.next(u64::MAX).await?;
        if piece.is_empty() {
            return Ok(media.finish());
        }
        media.update(piece);
        if stop.is_asked() {
            return Err(Error::Stopped);
        }
    }
}

/// SHA-256 of the media in a sealed file, every record of which verifies.
pub(super) async fn digest_of_sealed(
    opener: &Opener,
    file: &dyn MediaFile,
    stop: &Stop,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<[u8; 32], Error> {
    let mut media = Sha256Digest::default();
    open_all(opener, file, stop, progress, |plaintext| media.update(plaintext)).await?;
    Ok(media.finish())
}

/// The checksum of the media in a sealed file, every record of which must verify.
pub(super) async fn checksum_of_sealed(
    opener: &Opener,
    file: &dyn MediaFile,
    stop: &Stop,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<u64, Error> {
    let mut media = Checksum::default();
    open_all(opener, file, stop, progress, |plaintext| media.update(plaintext)).await?;
    Ok(media.finish())
}

/// All media in a sealed file, piece by piece.
async fn open_all(
    opener: &Opener,
    file: &dyn MediaFile,
    stop: &Stop,
    progress: &(dyn Fn(u64) + Send + Sync),
    mut each: impl FnMut(&[u8]) + Send,
) -> Result<(), Error> {
    // Both are powers of two: a whole number of records, none of which is read twice.
    let piece_len = PIECE_LEN.max(opener.header().chunk_len.bytes());
    let media_len = opener.state().media_len();
    let (mut records, mut plaintext) = (Pieces::new(file), Zeroizing::new(Vec::new()));
    let mut start = 0;
    while start < media_len {
        if stop.is_asked() {
            return Err(Error::Stopped);
        }
        let end = media_len.min(start + piece_len);
        let Some(span) = opener.span(start..end) else { break };
        let records = records.at(span.file().clone()).await?;
        if plaintext.is_empty() {
            *plaintext = vec![0; usize::try_from(end - start).unwrap_or(usize::MAX)];
        }
        plaintext.truncate(usize::try_from(end - start).unwrap_or(usize::MAX));
        opener.open_span(&span, records, &mut plaintext).map_err(|damage| damage.corruption)?;
        each(&plaintext);
        progress(end - start);
        start = end;
    }
    Ok(())
}
