//! Which chunks of an open file do not verify: every tag is looked at, and nothing is decrypted.

use std::ops::Range;

use super::Pace;
use crate::media::{self, MediaFile};
use crate::sealed::Opener;

/// How much media is read at a time: a whole number of chunks, and much for a disk.
const PIECE_LEN: u64 = 1 << 20;
/// The same at a low rate: a piece is short beside a second's worth.
const SLOW_PIECE_LEN: u64 = 256 << 10;
/// How many stretches of damage are told apart in one file; the last one stands for all that follow.
pub(super) const STRETCHES_MAX: usize = 100;

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Records {
    /// Every chunk was looked at; these do not verify.
    Looked(Vec<Range<u64>>),
    /// It was stopped.
    Stopped,
}

impl Pace {
    /// Reads a range of a file.
    pub(super) async fn read(
        &self,
        file: &dyn MediaFile,
        range: &Range<u64>,
        buffer: Vec<u8>,
    ) -> Result<Vec<u8>, media::Error> {
        let mut buffer = buffer;
        buffer.resize(usize::try_from(range.end - range.start).unwrap_or(usize::MAX), 0);
        if self.is_slow() {
            return file.read_once(range.start, buffer).await;
        }
        let filled = file.try_read_now(range.start, &mut buffer)?;
        if filled == buffer.len() { Ok(buffer) } else { file.read(range.start, buffer, filled).await }
    }

    /// Looks at every chunk.
    pub(super) async fn look_at(&self, opener: &Opener, file: &dyn MediaFile) -> Result<Records, media::Error> {
        let (mut bad, mut buffer, mut start) = (Vec::new(), Vec::new(), 0);
        let (media_len, chunk_len) = (opener.state().media_len(), opener.header().chunk_len.bytes());
        let piece_len = if self.is_slow() { SLOW_PIECE_LEN.max(chunk_len) } else { PIECE_LEN };
        while start < media_len {
            let end = media_len.min(start + piece_len);
            let Some(span) = opener.span(start..end) else { break };
            buffer = match self.read(file, span.file(), buffer).await {
                Ok(buffer) => buffer,
                // It is shorter than it was a moment ago.
                Err(media::Error::ShortRead { .. }) => {
                    add(&mut bad, start / chunk_len..media_len.div_ceil(chunk_len));
                    break;
                }
                Err(error) => return Err(error),
            };
            if opener.verify_span(&span, &buffer).is_err() {
                look_closer(opener, start..end, &buffer, &mut bad);
            }
            if !self.go_on(span.file().end - span.file().start).await {
                return Ok(Records::Stopped);
            }
            start = end;
        }
        Ok(Records::Looked(bad))
    }
}

/// One chunk after the other.
fn look_closer(opener: &Opener, piece: Range<u64>, sealed: &[u8], bad: &mut Vec<Range<u64>>) {
    let chunk_len = opener.header().chunk_len.bytes();
    let Some(origin) = opener.span(piece.clone()).map(|span| span.file().start) else { return };
    let mut start = piece.start;
    while start < piece.end {
        let end = piece.end.min(start + chunk_len);
        let Some(span) = opener.span(start..end) else { break };
        let index = |at| usize::try_from(at - origin).unwrap_or(usize::MAX);
        let record = sealed.get(index(span.file().start)..index(span.file().end)).unwrap_or_default();
        if opener.verify_span(&span, record).is_err() {
            add(bad, span.records().clone());
        }
        start = end;
    }
}

/// Adds a stretch after all others.
fn add(bad: &mut Vec<Range<u64>>, chunks: Range<u64>) {
    let is_full = bad.len() >= STRETCHES_MAX;
    match bad.last_mut() {
        Some(last) if last.end == chunks.start || is_full => last.end = chunks.end,
        _ => bad.push(chunks),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_joined_and_bounded() {
        let mut bad = Vec::new();
        for chunks in [1..2, 2..3, 5..7] {
            add(&mut bad, chunks);
        }
        assert_eq!(bad, [1..3, 5..7]);
        for at in 10..1000 {
            add(&mut bad, 2 * at..2 * at + 1);
        }
        assert_eq!((bad.len(), bad.last().map(|last| last.end)), (STRETCHES_MAX, Some(1999)));
    }
}
