//! Complete, unfinished or corrupt: what the last records say, before any length is promised.

use core::ops::Range;

use super::layout::{ChunkLen, Shape};
use super::{Corruption, Error};
use crate::crypto::{ChunkKind, TAG_LEN, TagKey};

/// What the name of a file claims, which the file itself cannot tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameClaim {
    /// `ID.sealed`: complete, or corrupt.
    Final,
    /// `ID.sealed.part`: growing, or left behind by a writer that died.
    Part,
}

/// How far a file goes, by tags that have verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The final record is there.
    Complete {
        /// Bytes of media.
        media_len: u64,
    },
    /// The writer has not written a final record; what follows the last whole record is ignored.
    Unfinished {
        /// Bytes of media in whole records.
        media_len: u64,
    },
}

impl State {
    /// Bytes of media that can be played.
    #[must_use]
    pub fn media_len(self) -> u64 {
        match self {
            Self::Complete { media_len } | Self::Unfinished { media_len } => media_len,
        }
    }

    /// Whether the final record is there.
    #[must_use]
    pub fn is_complete(self) -> bool {
        matches!(self, Self::Complete { .. })
    }
}

/// The bytes of a file that decide its state: its last whole record and what follows it.
pub(super) fn tail(chunk_len: ChunkLen, file_len: u64) -> Result<Range<u64>, Error> {
    let shape = chunk_len.shape(file_len)?;
    Ok(chunk_len.record_offset(shape.full.saturating_sub(1))..file_len)
}

/// Bytes of media in the whole records of a file.
pub(super) fn whole_len(chunk_len: ChunkLen, file_len: u64) -> Result<u64, Error> {
    Ok(chunk_len.shape(file_len)?.full * chunk_len.bytes())
}

/// The same of a file that is being written, and the whole record before them, which decides when they are not there
/// yet.
pub(super) fn growing_tail(chunk_len: ChunkLen, file_len: u64) -> Result<Range<u64>, Error> {
    let shape = chunk_len.shape(file_len)?;
    Ok(chunk_len.record_offset(shape.full.saturating_sub(2))..file_len)
}

/// Decides the state of a file that is being written, from the bytes of its [`growing_tail`]: as [`judge`], but for a
/// last record that does not verify, which may not be whole yet. The one before it was followed by another, and counts.
pub(super) fn judge_growing(
    tag_key: &TagKey,
    chunk_len: ChunkLen,
    file_len: u64,
    growing_tail: &[u8],
) -> Result<State, Error> {
    let Shape { full, .. } = chunk_len.shape(file_len)?;
    let record_len = usize::try_from(chunk_len.record_bytes()).map_err(|_| Corruption::TooLong)?;
    let (before, tail) = if full < 2 {
        (&[][..], growing_tail)
    } else {
        growing_tail.split_at_checked(record_len).ok_or(Corruption::ShortRead)?
    };
    match judge(tag_key, chunk_len, file_len, tail) {
        Err(Error::Corrupt(Corruption::Tail)) => {}
        judged => return judged,
    }
    if full >= 2 {
        verify_record(tag_key, ChunkKind::Inner, full - 2, before)?;
    }
    Ok(State::Unfinished { media_len: full.saturating_sub(1) * chunk_len.bytes() })
}

/// Decides the state of a file from the bytes of its [`tail`], by the four rules of the format, in their order.
pub(super) fn judge(tag_key: &TagKey, chunk_len: ChunkLen, file_len: u64, tail: &[u8]) -> Result<State, Error> {
    let Shape { full, rest } = chunk_len.shape(file_len)?;
    let rest_len = usize::try_from(rest).map_err(|_| Corruption::TooLong)?;
    let Some(whole_len) = tail.len().checked_sub(rest_len) else { return Err(Corruption::ShortRead.into()) };
    let (last_whole, short) = tail.split_at(whole_len);
    if last_whole.len() as u64 != if full == 0 { 0 } else { chunk_len.record_bytes() } {
        return Err(Corruption::ShortRead.into());
    }
    let verifies = |kind, index, record| verify_record(tag_key, kind, index, record).is_ok();
    let tag_len = TAG_LEN as u64;
    let may_be_short_final = rest > tag_len || (rest == tag_len && full == 0);
    if may_be_short_final && verifies(ChunkKind::Final, full, short) {
        return Ok(State::Complete { media_len: full * chunk_len.bytes() + rest - tag_len });
    }
    if rest == 0 && full > 0 && verifies(ChunkKind::Final, full - 1, last_whole) {
        return Ok(State::Complete { media_len: full * chunk_len.bytes() });
    }
    if full == 0 || verifies(ChunkKind::Inner, full - 1, last_whole) {
        return Ok(State::Unfinished { media_len: full * chunk_len.bytes() });
    }
    Err(Corruption::Tail.into())
}

/// Checks one record: ciphertext ‖ tag.
pub(super) fn verify_record(tag_key: &TagKey, kind: ChunkKind, index: u64, record: &[u8]) -> Result<(), Corruption> {
    let damaged = Corruption::Chunk(index);
    let Some((ciphertext, tag)) = record.split_last_chunk::<TAG_LEN>() else { return Err(damaged) };
    tag_key.verify(kind, index, ciphertext, tag).map_err(|_| damaged)
}
