//! Standard output and error, for people and for programs.

use std::{
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use serde::Serialize;

use super::Failure;

/// Whether nobody reads standard output any more.
static IS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether nobody reads standard output any more, so that what is only printed need not be made.
pub(super) fn is_closed() -> bool {
    IS_CLOSED.load(Ordering::Relaxed)
}

/// Prints a line.
pub(super) fn line(text: &str) -> Result<(), Failure> {
    bytes(format!("{text}\n").as_bytes())
}

/// Prints one JSON document.
pub(super) fn json(document: &impl Serialize) -> Result<(), Failure> {
    line(&pretty(document)?)
}

/// Prints bytes as they are.
pub(super) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        // Whoever read it has read enough; what else there is to do is done all the same.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            IS_CLOSED.store(true, Ordering::Relaxed);
            Ok(())
        }
        other => other.map_err(|error| Failure::new(format!("standard output: {error}"))),
    }
}

/// Prints a line to standard error. If that is closed there is nobody left to tell.
pub(super) fn error_line(text: &str) {
    let _nobody = writeln!(io::stderr().lock(), "{text}");
}

/// Columns of text, as wide as their widest cell.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
    Table::new(heads).rows(rows)
}

/// A table that is printed some rows at a time: columns are as wide as their widest cell so far.
pub(super) struct Table<'a> {
    heads: Option<&'a [&'a str]>,
    widths: Vec<usize>,
}

impl<'a> Table<'a> {
    /// One with these heads above its first rows.
    pub(super) fn new(heads: &'a [&'a str]) -> Self {
        Self { heads: Some(heads), widths: heads.iter().map(|head| head.chars().count()).collect() }
    }

    /// Prints rows.
    pub(super) fn rows(&mut self, rows: &[Vec<String>]) -> Result<(), Failure> {
        for row in rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        if let Some(heads) = self.heads.take() {
            self.add_line(&mut text, &mut heads.iter().copied());
        }
        for row in rows {
            self.add_line(&mut text, &mut row.iter().map(String::as_str));
        }
        bytes(text.as_bytes())
    }

    fn add_line(&self, text: &mut String, cells: &mut dyn Iterator<Item = &str>) {
        let cells: Vec<String> = cells.zip(&self.widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
}

/// A JSON array that is printed some items at a time, as it would be printed at once.
#[derive(Default)]
pub(super) struct JsonArray {
    is_begun: bool,
}

impl JsonArray {
    /// Prints items.
    pub(super) fn items(&mut self, items: &[impl Serialize]) -> Result<(), Failure> {
        let mut text = String::new();
        for item in items {
            text.push_str(if self.is_begun { ",\n" } else { "[\n" });
            self.is_begun = true;
            // No line break stands within a JSON text.
            let lines = pretty(item)?;
            text.push_str(&lines.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"));
        }
        bytes(text.as_bytes())
    }

    /// Ends it.
    pub(super) fn end(self) -> Result<(), Failure> {
        line(if self.is_begun { "\n]" } else { "[]" })
    }
}

fn pretty(document: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(document).map_err(|error| Failure::new(format!("JSON: {error}")))
}

/// A part of a time, in proportion to bytes.
pub(super) fn share(whole: Duration, byte: u64, len: u64) -> Duration {
    if len == 0 { Duration::ZERO } else { whole.mul_f64(byte as f64 / len as f64) }
}

/// A time within media: `1:02:03.456`, without hours when there are none.
pub(super) fn media_time(time: Duration) -> String {
    let (seconds, millis) = (time.as_secs(), time.subsec_millis());
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}.{millis:03}")
    } else {
        format!("{minutes}:{seconds:02}.{millis:03}")
    }
}

/// A number of bytes as people read it.
pub(super) fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}
