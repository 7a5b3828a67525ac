//! A range of media and the records that hold it.

use core::ops::Range;

use super::layout::ChunkLen;
use crate::crypto::TAG_LEN;

/// A non-empty range of media within the verified length, and where its whole records lie in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    media: Range<u64>,
    records: Range<u64>,
    file: Range<u64>,
}

impl Span {
    /// The span of `media` in a file of `media_len` verified bytes; `None` when it is empty or reaches past the end.
    ///
    /// Not called `new`: mutation testing passes over what is, and this decides which bytes are served.
    pub(super) fn locate(chunk_len: ChunkLen, media_len: u64, media: Range<u64>) -> Option<Self> {
        if media.is_empty() || media.end > media_len {
            return None;
        }
        let records = media.start / chunk_len.bytes()..(media.end - 1) / chunk_len.bytes() + 1;
        let last = records.end - 1;
        let last_len = chunk_len.bytes().min(media_len - last * chunk_len.bytes());
        let file_end = chunk_len.record_offset(last) + last_len + TAG_LEN as u64;
        Some(Self { media, file: chunk_len.record_offset(records.start)..file_end, records })
    }

    /// The bytes of media.
    #[must_use]
    pub fn media(&self) -> &Range<u64> {
        &self.media
    }

    /// The bytes of the file to read: whole records, one after the other.
    #[must_use]
    pub fn file(&self) -> &Range<u64> {
        &self.file
    }

    /// The indices of those records.
    #[must_use]
    pub fn records(&self) -> &Range<u64> {
        &self.records
    }
}
