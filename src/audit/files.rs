//! The files of a record, and their lines.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Take},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use super::{Error, LINE_LEN_MAX, unavailable};

const PREFIX: &str = "playback-";
const SUFFIX: &str = ".jsonl";
/// The file that every writer locks for one append.
pub(super) const LOCK: &str = "lock";

/// The files of a folder's record, in the order in which they were written.
///
/// # Errors
///
/// The folder cannot be read.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    Ok(numbers(folder)?.into_iter().map(|number| folder.join(name(number))).collect())
}

pub(super) fn name(number: u64) -> String {
    format!("{PREFIX}{number:06}{SUFFIX}")
}

/// The numbers of a folder's files, in order.
pub(super) fn numbers(folder: &Path) -> Result<Vec<u64>, Error> {
    let failed = |error| unavailable(folder, &error);
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?.file_name();
        let number = entry.to_str().and_then(|text| text.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok());
        // Only names as they are written here: another one would be found under two names.
        numbers.extend(number.filter(|number| entry.to_str() == Some(&name(*number))));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The lines of a file, one at a time, up to where the file ended when it was opened.
pub struct Lines {
    reader: Take<BufReader<File>>,
    path: PathBuf,
    number: u64,
    buffer: Vec<u8>,
}

/// A line as it lies in the file.
pub struct RawLine<'a> {
    /// Counted from 1.
    pub number: u64,
    /// Without the newline.
    pub bytes: &'a [u8],
    /// Whether it ends, and is no longer than a line may be.
    pub is_whole: bool,
}

impl Lines {
    /// Opens a file. A writer that is at it is waited for, so that none of its lines is seen half written.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |error| unavailable(path, &error);
        // A copy elsewhere has no lock, and no writer.
        let lock = path.parent().and_then(|folder| File::open(folder.join(LOCK)).ok());
        let locked = lock.as_ref().map(|lock| flock(lock, FlockOperation::LockShared));
        let file = File::open(path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        drop((locked, lock));
        Ok(Self {
            reader: BufReader::with_capacity(LINE_LEN_MAX, file).take(len),
            path: path.to_owned(),
            number: 0,
            buffer: Vec::new(),
        })
    }

    /// The next line; none at the end.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn next_line(&mut self) -> Result<Option<RawLine<'_>>, Error> {
        self.read().map_err(|error| unavailable(&self.path, &error)).map(|found| {
            found.map(|is_whole| RawLine {
                number: self.number,
                bytes: self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer),
                is_whole,
            })
        })
    }

    fn read(&mut self) -> io::Result<Option<bool>> {
        self.buffer.clear();
        let limit = LINE_LEN_MAX as u64;
        if self.reader.by_ref().take(limit).read_until(b'\n', &mut self.buffer)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let is_whole = self.buffer.ends_with(b"\n");
        if !is_whole {
            // The rest of a line that is too long is skipped, a piece at a time.
            let mut rest = Vec::new();
            while self.reader.by_ref().take(limit).read_until(b'\n', &mut rest)? > 0 && !rest.ends_with(b"\n") {
                rest.clear();
            }
        }
        Ok(Some(is_whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_in_the_order_of_their_numbers_and_others_are_none() {
        let folder = tempfile::tempdir().expect("folder");
        for name in ["playback-000010.jsonl", "playback-000002.jsonl", "playback-1000000.jsonl"] {
            fs::write(folder.path().join(name), "").expect("written");
        }
        for other in
            ["playback-2.jsonl", "playback-000003.jsonl.gz", "lock", "playback-x.jsonl", "playback-+00001.jsonl"]
        {
            fs::write(folder.path().join(other), "").expect("written");
        }
        assert_eq!(numbers(folder.path()).expect("read"), [2, 10, 1_000_000]);
    }

    #[test]
    fn lines_are_counted_and_long_ones_skipped() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("x");
        let long = "x".repeat(3 * LINE_LEN_MAX);
        fs::write(&path, format!("a\n\n{long}\nb\nc")).expect("written");
        let mut lines = Lines::open(&path).expect("opened");
        let mut seen = Vec::new();
        while let Some(line) = lines.next_line().expect("read") {
            seen.push((line.number, line.bytes.len(), line.is_whole));
        }
        assert_eq!(seen, [(1, 1, true), (2, 0, true), (3, LINE_LEN_MAX, false), (4, 1, true), (5, 1, false)]);
    }
}
