//! Where a chain ends: the last whole line of a file, what was left behind it, and whether it may be gone on from.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use super::{Error, Head, LINE_LEN_MAX, line, unavailable};

/// The end of one file.
#[derive(Debug, Default)]
pub(super) struct FileEnd {
    /// The chain's name and its head; none when the file has no whole line.
    pub last: Option<(String, Head)>,
    /// The `prev` of the last line, when it is the file's first line as well.
    pub continues: Option<[u8; 32]>,
    /// The length of the whole lines, in bytes.
    pub whole_len: u64,
    /// What lies behind the last newline.
    pub torn: Vec<u8>,
}

/// Reads the end of a file, as little of it as tells.
pub(super) fn read(file: &mut File, path: &Path) -> Result<FileEnd, Error> {
    let failed = |error| unavailable(path, &error);
    let len = file.metadata().map_err(failed)?.len();
    // Two lines and what is torn fit into the first window, unless somebody else wrote here.
    let mut window = 4 * LINE_LEN_MAX as u64;
    loop {
        let start = len.saturating_sub(window);
        let bytes = read_from(file, start).map_err(failed)?;
        let newlines = bytes.iter().rev().filter(|byte| **byte == b'\n').take(3).count();
        if start == 0 || newlines == 3 {
            return judge(&bytes, start, || {
                let before = read_from(file, 0).map_err(failed)?;
                Ok(before.iter().filter(|byte| **byte == b'\n').count() as u64)
            })
            .map_err(|broken| match broken {
                Broken::Line { line, what } => Error::Broken { path: path.display().to_string(), line, what },
                Broken::Unread(error) => error,
            });
        }
        window *= 4;
    }
}

enum Broken {
    Line { line: u64, what: &'static str },
    Unread(Error),
}

fn judge(bytes: &[u8], start: u64, count: impl FnOnce() -> Result<u64, Error>) -> Result<FileEnd, Broken> {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let torn = bytes.get(whole..).unwrap_or_default().to_vec();
    let whole_len = start + whole as u64;
    let mut lines = bytes.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n').rev().skip(1);
    let Some(last) = lines.next() else { return Ok(FileEnd { whole_len, torn, ..FileEnd::default() }) };
    let broken = |what| match count() {
        Ok(line) => Broken::Line { line, what },
        Err(error) => Broken::Unread(error),
    };
    let Some(last) = line::read(last).filter(|line| line.is_intact && line.head.seq < line::SEQ_END - 1) else {
        return Err(broken("the last line is not as it was written"));
    };
    let continues = match lines.next() {
        None => Some(last.prev),
        Some(before) => match line::read(before) {
            Some(before)
                if before.chain == last.chain
                    && before.head.hash == last.prev
                    && before.head.seq + 1 == last.head.seq =>
            {
                None
            }
            _ => return Err(broken("the last line does not follow from the one before it")),
        },
    };
    Ok(FileEnd { last: Some((last.chain, last.head)), continues, whole_len, torn })
}

fn read_from(file: &mut File, start: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
