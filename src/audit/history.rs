//! The records of several proxies read as one: line after line, in order of time.
//!
//! Lines of one chain keep their order, whatever the clocks did; between chains the time decides. A file that is only a
//! copy of another one's beginning is left out. Whether lines are as they were written is for [`super::verify`] to say.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use super::{Error, Lines, line};

/// Lines of any number of chains, in order of time.
pub struct History {
    chains: Vec<Chain>,
    /// Which chain is next: the time of its next line, and its number.
    next: BinaryHeap<Reverse<(String, usize)>>,
    copies: Vec<Copied>,
    unreadable: u64,
}

/// One chain, file after file.
struct Chain {
    files: VecDeque<PathBuf>,
    lines: Option<Lines>,
    /// Its next line.
    line: Option<Map<String, Value>>,
    /// The latest time so far: a clock that went back does not bring lines out of their order.
    at: String,
}

impl History {
    /// Begins to read files, of one chain or several, in any order.
    ///
    /// # Errors
    ///
    /// A file that cannot be read.
    pub fn open(files: &[PathBuf]) -> Result<Self, Error> {
        let mut by_chain: BTreeMap<String, Vec<Numbered>> = BTreeMap::new();
        let mut unreadable = 0;
        for path in files {
            match first(path)? {
                Some((chain, seq)) => by_chain.entry(chain).or_default().push((seq, path.clone())),
                None => unreadable += u64::from(path.metadata().is_ok_and(|metadata| metadata.len() > 0)),
            }
        }
        let mut history = Self { chains: Vec::new(), next: BinaryHeap::new(), copies: Vec::new(), unreadable };
        for mut files in by_chain.into_values() {
            files.sort();
            let (files, copies) = without_copies(files)?;
            history.copies.extend(copies);
            let files = files.into_iter().map(|(_, path)| path).collect();
            history.chains.push(Chain { files, lines: None, line: None, at: String::new() });
            history.advance(history.chains.len() - 1)?;
        }
        Ok(history)
    }

    /// The next line's fields; none at the end.
    ///
    /// # Errors
    ///
    /// A file that cannot be read.
    pub fn next_event(&mut self) -> Result<Option<Map<String, Value>>, Error> {
        let Some(Reverse((_, number))) = self.next.pop() else { return Ok(None) };
        let event = self.chains.get_mut(number).and_then(|chain| chain.line.take());
        self.advance(number)?;
        Ok(event)
    }

    /// Files that were left out.
    #[must_use]
    pub fn copies(&self) -> &[Copied] {
        &self.copies
    }

    /// How many lines, or files without any, could not be read, so far.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// Reads a chain's next line.
    fn advance(&mut self, number: usize) -> Result<(), Error> {
        let Some(chain) = self.chains.get_mut(number) else { return Ok(()) };
        loop {
            let lines = match (&mut chain.lines, chain.files.pop_front()) {
                (Some(lines), next) => {
                    next.into_iter().for_each(|file| chain.files.push_front(file));
                    lines
                }
                (None, Some(file)) => chain.lines.insert(Lines::open(&file)?),
                (None, None) => return Ok(()),
            };
            let Some(raw) = lines.next_line()? else {
                chain.lines = None;
                continue;
            };
            let Some(event) = line::parse(raw.bytes) else {
                self.unreadable += 1;
                continue;
            };
            // Times as lines write them are in order as texts.
            let at = event.get("at").and_then(Value::as_str).unwrap_or_default();
            if *at > *chain.at {
                at.clone_into(&mut chain.at);
            }
            chain.line = Some(event);
            self.next.push(Reverse((chain.at.clone(), number)));
            return Ok(());
        }
    }
}

/// A file that holds nothing but what another one begins with: an older copy of it, or the same one given twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The file.
    pub file: PathBuf,
    /// The one that it is a copy of.
    pub of: PathBuf,
}

/// A file, after the number of its first line.
pub(super) type Numbered = (u64, PathBuf);

/// Files of one chain in the order of their first lines, without those that are copies of others.
pub(super) fn without_copies(files: Vec<Numbered>) -> Result<(Vec<Numbered>, Vec<Copied>), Error> {
    let (mut kept, mut copies): (Vec<Numbered>, Vec<Copied>) = (Vec::new(), Vec::new());
    for (seq, path) in files {
        match kept.last() {
            Some((other_seq, other)) if *other_seq == seq && begins_with(other, &path)? => {
                copies.push(Copied { file: path, of: other.clone() });
            }
            Some((other_seq, other)) if *other_seq == seq && begins_with(&path, other)? => {
                copies.push(Copied { file: other.clone(), of: path.clone() });
                kept.pop();
                kept.push((seq, path));
            }
            _ => kept.push((seq, path)),
        }
    }
    Ok((kept, copies))
}

/// Whether all that a file holds is what another one begins with.
fn begins_with(longer: &Path, shorter: &Path) -> Result<bool, Error> {
    let (mut one, mut other) = (Lines::open(longer)?, Lines::open(shorter)?);
    while let Some(line) = other.next_line()? {
        if one.next_line()?.is_none_or(|same| (same.bytes, same.is_whole) != (line.bytes, line.is_whole)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The chain of a file, and the number of its first line.
fn first(path: &Path) -> Result<Option<(String, u64)>, Error> {
    let mut lines = Lines::open(path)?;
    while let Some(raw) = lines.next_line()? {
        let Some(fields) = line::parse(raw.bytes) else { continue };
        let chain = fields.get("chain").and_then(Value::as_str);
        if let (Some(chain), Some(seq)) = (chain, fields.get("seq").and_then(Value::as_u64)) {
            return Ok(Some((chain.to_owned(), seq)));
        }
    }
    Ok(None)
}
