//! Media in memory, read within the same bounds as media in a store: for decoders that are tried without one.

use std::{
    io::{self, Cursor, Read, Seek, SeekFrom},
    time::Instant,
};

use symphonia::core::io::MediaSource;

use super::media_reader::{Cut, Reading};

/// Reads what is in memory, by `deadline`, and as much as `reading` allows.
pub(super) struct MemoryReader {
    media: Cursor<Vec<u8>>,
    reading: Reading,
    deadline: Instant,
}

impl MemoryReader {
    pub(super) fn new(media: Vec<u8>, reading: Reading, deadline: Instant) -> Self {
        Self { media: Cursor::new(media), reading, deadline }
    }
}

impl Read for MemoryReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let is_over = self.reading.cut().is_some() || Instant::now() >= self.deadline;
        let len = self.media.read(buffer)?;
        if is_over || (len > 0 && !self.reading.spend(len as u64)) {
            self.reading.end(Cut::Bounds);
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(len)
    }
}

impl Seek for MemoryReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.media.seek(to)
    }
}

impl MediaSource for MemoryReader {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.media.get_ref().len() as u64)
    }
}
