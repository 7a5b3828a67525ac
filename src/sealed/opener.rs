//! From sealed records to verified plaintext, at any position.

use core::ops::Range;
use std::sync::Arc;

use super::state::{self, verify_record};
use super::{ChunkLen, Corruption, Error, Header, NameClaim, Span, State, VerifiedHeader};
use crate::base::SealId;
use crate::crypto::{ChunkKind, TAG_LEN};

/// A sealed file whose header and tail have verified: it turns records into plaintext.
///
/// Stateless and shared: any number of readers may open spans at once.
#[derive(Clone)]
pub struct Opener {
    /// Shared with the openers of the same file when it was shorter or is longer.
    verified: Arc<VerifiedHeader>,
    state: State,
}

/// A record that does not verify, and how much of the span before it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// What is wrong.
    pub corruption: Corruption,
    /// How many bytes of the span's media, from its start, have verified and are decrypted.
    pub verified_len: usize,
}

impl VerifiedHeader {
    /// The bytes of the file, which is `file_len` bytes long now, that [`Self::judge`] must be shown.
    /// At most two records: 2 MiB and 32 bytes.
    ///
    /// # Errors
    ///
    /// [`Corruption::ShortHeader`], [`Corruption::TooLong`].
    pub fn tail(&self, file_len: u64) -> Result<Range<u64>, Error> {
        state::tail(self.header.chunk_len, file_len)
    }

    /// Decides from the bytes of [`Self::tail`] how far the file goes, and makes it readable that far.
    ///
    /// # Errors
    ///
    /// [`Corruption::Tail`] when the end does not verify; [`Corruption::NotComplete`] when the name claims a complete
    /// file and it is not; [`Corruption::ShortRead`] when `tail` is not what was asked for.
    pub fn judge(self, file_len: u64, tail: &[u8], claim: NameClaim) -> Result<Opener, Error> {
        let state = state::judge(&self.keys.tag_key, self.header.chunk_len, file_len, tail)?;
        if claim == NameClaim::Final && !state.is_complete() {
            return Err(Corruption::NotComplete.into());
        }
        Ok(Opener { verified: Arc::new(self), state })
    }

    /// Makes the file of a live writer readable, before anything of it is known: no byte of media yet. Go on with
    /// [`Opener::grown`].
    #[must_use]
    pub fn begin(self) -> Opener {
        Opener { verified: Arc::new(self), state: State::Unfinished { media_len: 0 } }
    }

    /// Makes whatever still verifies of a damaged file readable: one whose end does not verify, or is not there. Where
    /// `catalogued_len` bytes of media, and the final record after them, fit into the file, they are presumed to lie
    /// there; else as many chunks as the file has whole records.
    ///
    /// [`Opener::state`] is a presumption then and no length to promise. Each record is verified all the same before a
    /// byte of it is released, and what a cut left of one is not among them.
    ///
    /// # Errors
    ///
    /// [`Corruption::ShortHeader`], [`Corruption::TooLong`].
    pub fn presume(self, file_len: u64, catalogued_len: Option<u64>) -> Result<Opener, Error> {
        let chunk_len = self.header.chunk_len;
        let whole_len = state::whole_len(chunk_len, file_len)?;
        let state = match catalogued_len {
            Some(media_len) if chunk_len.file_len(media_len).is_some_and(|len| len <= file_len) => {
                State::Complete { media_len }
            }
            _ => State::Unfinished { media_len: whole_len },
        };
        Ok(Opener { verified: Arc::new(self), state })
    }
}

impl Opener {
    /// The fields of the header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.verified.header
    }

    /// How far the file goes.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// The bytes of the file, which is `file_len` bytes long now and still being written, that [`Self::grown`] must be
    /// shown. At most three records: 3 MiB and 48 bytes.
    ///
    /// # Errors
    ///
    /// [`Corruption::ShortHeader`], [`Corruption::TooLong`].
    pub fn growing_tail(&self, file_len: u64) -> Result<Range<u64>, Error> {
        state::growing_tail(self.chunk_len(), file_len)
    }

    /// The same file, as far as its live writer got with `file_len` bytes, by the bytes of [`Self::growing_tail`]. A
    /// last record that does not verify may not be whole yet: it is left for the next look. Complete, when the final
    /// record is there.
    ///
    /// # Errors
    ///
    /// [`Corruption::Chunk`] when a record that others follow does not verify, or one that has verified does not any
    /// more; [`Corruption::ShortRead`] when `tail` is not what was asked for.
    pub fn grown(&self, file_len: u64, tail: &[u8]) -> Result<Self, Error> {
        let state = state::judge_growing(&self.verified.keys.tag_key, self.chunk_len(), file_len, tail)?;
        if state.media_len() < self.state.media_len() {
            return Err(Corruption::Chunk(state.media_len() / self.chunk_len().bytes()).into());
        }
        Ok(Self { verified: Arc::clone(&self.verified), state })
    }

    /// The same file after its writer has gone, judged once more as any other: by [`VerifiedHeader::tail`] of
    /// `file_len` bytes.
    ///
    /// # Errors
    ///
    /// As [`VerifiedHeader::judge`].
    pub fn ended(&self, file_len: u64, tail: &[u8]) -> Result<Self, Error> {
        let state = state::judge(&self.verified.keys.tag_key, self.chunk_len(), file_len, tail)?;
        if state.media_len() < self.state.media_len() {
            return Err(Corruption::ShortRead.into());
        }
        Ok(Self { verified: Arc::clone(&self.verified), state })
    }

    /// The bytes that [`Self::ended`] must be shown.
    ///
    /// # Errors
    ///
    /// As [`VerifiedHeader::tail`].
    pub fn tail(&self, file_len: u64) -> Result<Range<u64>, Error> {
        self.verified.tail(file_len)
    }

    /// How many bytes of the file hold what is known of it: header and records.
    #[must_use]
    pub fn file_len(&self) -> u64 {
        let (chunk_len, media_len) = (self.chunk_len(), self.state.media_len());
        match self.state {
            State::Unfinished { .. } => chunk_len.record_offset(media_len / chunk_len.bytes()),
            State::Complete { .. } => {
                // A final record has at least a byte of media, unless it is all there is.
                let last = media_len.saturating_sub(1) / chunk_len.bytes();
                chunk_len.record_offset(last) + (media_len - last * chunk_len.bytes()) + TAG_LEN as u64
            }
        }
    }

    /// The sealing's public name.
    #[must_use]
    pub fn seal_id(&self) -> SealId {
        self.verified.keys.seal_id
    }

    /// Which records hold a range of media; `None` when the range is empty or reaches past the verified end.
    #[must_use]
    pub fn span(&self, media: Range<u64>) -> Option<Span> {
        Span::locate(self.chunk_len(), self.state.media_len(), media)
    }

    /// Verifies the records of a span, as read from [`Span::file`], and decrypts its media into `plaintext`.
    ///
    /// Each record is verified before a byte of it is decrypted, from the very bytes that are then decrypted.
    ///
    /// # Errors
    ///
    /// [`Damage`] at the first record that does not verify; what comes before it in `plaintext` is good, what comes
    /// after it is untouched.
    ///
    /// # Panics
    ///
    /// When `plaintext` is not as long as the span's media.
    pub fn open_span(&self, span: &Span, sealed: &[u8], plaintext: &mut [u8]) -> Result<(), Damage> {
        let media = span.media();
        assert_eq!(plaintext.len() as u64, media.end - media.start, "the plaintext is as long as the span");
        let mut plaintext = plaintext;
        let mut position = media.start;
        self.for_each_record(span, sealed, |index, ciphertext| {
            let chunk_start = index * self.chunk_len().bytes();
            // Both differences are below a chunk's length, so they fit.
            let skip = as_index(position - chunk_start);
            let take = (ciphertext.len() - skip).min(plaintext.len());
            let (now, later) = core::mem::take(&mut plaintext).split_at_mut(take);
            self.verified.keys.keystream.apply_into(position, &ciphertext[skip..skip + take], now);
            plaintext = later;
            position += take as u64;
        })
        .map_err(|corruption| Damage { corruption, verified_len: as_index(position - media.start) })
    }

    /// Verifies the records of a span, as read from [`Span::file`], without decrypting.
    ///
    /// # Errors
    ///
    /// The [`Corruption`] of the first record that does not verify.
    pub fn verify_span(&self, span: &Span, sealed: &[u8]) -> Result<(), Corruption> {
        self.for_each_record(span, sealed, |_, _| {})
    }

    fn for_each_record(&self, span: &Span, sealed: &[u8], mut then: impl FnMut(u64, &[u8])) -> Result<(), Corruption> {
        if sealed.len() as u64 != span.file().end - span.file().start {
            return Err(Corruption::ShortRead);
        }
        let record_len = as_index(self.chunk_len().record_bytes());
        for (index, record) in span.records().clone().zip(sealed.chunks(record_len)) {
            verify_record(&self.verified.keys.tag_key, self.kind(index), index, record)?;
            then(index, &record[..record.len() - TAG_LEN]);
        }
        Ok(())
    }

    /// The kind that the record must have been tagged with, which its own bytes do not say.
    fn kind(&self, index: u64) -> ChunkKind {
        match self.state {
            State::Complete { media_len } if (index + 1) * self.chunk_len().bytes() >= media_len => ChunkKind::Final,
            State::Complete { .. } | State::Unfinished { .. } => ChunkKind::Inner,
        }
    }

    fn chunk_len(&self) -> ChunkLen {
        self.verified.header.chunk_len
    }
}

/// A number of bytes below a few records' length as an index; the layout asserts 64-bit machines.
fn as_index(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
