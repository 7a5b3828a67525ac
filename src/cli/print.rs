//! Standard output and error, for people and for programs.

use std::{
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering},
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
    let text = serde_json::to_string_pretty(document).map_err(|error| Failure::new(format!("JSON: {error}")))?;
    line(&text)
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
    let mut widths: Vec<usize> = heads.iter().map(|head| head.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line_of = |cells: &mut dyn Iterator<Item = &str>| {
        let cells: Vec<String> = cells.zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    line(&line_of(&mut heads.iter().copied()))?;
    for row in rows {
        line(&line_of(&mut row.iter().map(String::as_str)))?;
    }
    Ok(())
}

/// A number of bytes as people read it.
pub(super) fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}
