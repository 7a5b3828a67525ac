//! A file read front to back, in pieces, into one buffer that is wiped in the end.

use std::ops::Range;

use zeroize::Zeroizing;

use crate::media::{self, MediaFile};

/// How much is read at a time: what is read and what is made of it stay in a core's own cache.
pub(super) const PIECE_LEN: u64 = 256 << 10;

/// The pieces of a file, from its first byte on.
pub(super) struct Pieces<'a> {
    file: &'a dyn MediaFile,
    position: u64,
    buffer: Zeroizing<Vec<u8>>,
}

impl<'a> Pieces<'a> {
    pub fn new(file: &'a dyn MediaFile) -> Self {
        Self { file, position: 0, buffer: Zeroizing::default() }
    }

    /// How many bytes were read.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next bytes, up to a piece's length and not beyond `end`; none at the end of the file, or at `end`.
    pub async fn next(&mut self, end: u64) -> Result<&[u8], media::Error> {
        let end = end.min(self.file.version().len).min(self.position + PIECE_LEN);
        let start = self.position;
        self.at(start..end.max(start)).await
    }

    /// These bytes, which must be there; what comes next is what follows them.
    pub async fn at(&mut self, range: Range<u64>) -> Result<&[u8], media::Error> {
        let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        if self.buffer.capacity() < len {
            // Growing it would leave a copy behind that nobody wipes.
            self.buffer = Zeroizing::new(Vec::with_capacity(len));
        }
        self.buffer.resize(len, 0);
        let filled = self.file.try_read_now(range.start, &mut self.buffer)?;
        if filled < len {
            let buffer = core::mem::take(&mut *self.buffer);
            *self.buffer = self.file.read(range.start, buffer, filled).await?;
        }
        self.position = range.end;
        Ok(&self.buffer)
    }
}
