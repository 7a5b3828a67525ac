//! Finds whatever was changed in records: lines changed, missing, repeated, moved, of another chain, or cut off.
//!
//! A chain that was cut at its end is as whole as before: only a head that was kept elsewhere ([`KnownHead`]) tells.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use super::{
    Copied, Error, Head, Lines,
    history::without_copies,
    line::{self, Line},
};

/// How many faults are named.
const FAULTS_MAX: usize = 1000;

/// What was found.
#[derive(Debug, Default)]
pub struct Verification {
    /// Each chain, by its name.
    pub chains: Vec<ChainSummary>,
    /// What is wrong, in the order of chains, files and lines.
    pub faults: Vec<Fault>,
    /// Files that are copies of others, and were not looked at again.
    pub copies: Vec<Copied>,
    /// How many more there are.
    pub faults_left_out: u64,
}

/// One chain, as far as the files hold it.
#[derive(Clone, Debug)]
pub struct ChainSummary {
    /// Its name.
    pub chain: String,
    /// How many files hold it.
    pub files: u64,
    /// How many lines.
    pub lines: u64,
    /// The number of the first line.
    pub first_seq: u64,
    /// Where it ends.
    pub head: Head,
    /// The times of its first and last lines, as they say them; empty when there is none.
    pub time: [String; 2],
    /// What those who wrote it are called.
    pub instances: BTreeSet<String>,
}

/// A place that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; 0 where the whole file is meant.
    pub line: u64,
    /// What is wrong.
    pub what: String,
}

/// A head that somebody kept: `CHAIN:SEQ:HASH`, as it was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownHead {
    /// The chain's name.
    pub chain: String,
    /// How far it went then.
    pub head: Head,
}

impl FromStr for KnownHead {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (chain, rest) = text.split_once(':')?;
            let (seq, hash) = rest.split_once(':')?;
            let seq = seq.parse().ok().filter(|seq| *seq < line::SEQ_END)?;
            let head = Head { seq, hash: line::hash_of(hash.as_bytes())? };
            (!chain.is_empty()).then(|| Self { chain: chain.to_owned(), head })
        };
        parse().ok_or("it must be a head as `sealtape audit verify` shows it: CHAIN:SEQ:HASH")
    }
}

impl fmt::Display for KnownHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.chain, self.head.seq, hex::encode(self.head.hash))
    }
}

/// Verifies files, of one chain or several, in any order. `known` are heads that were kept: each must be found again,
/// and a chain may begin right after one.
///
/// # Errors
///
/// A file that cannot be read.
pub fn verify(files: &[PathBuf], known: &[KnownHead]) -> Result<Verification, Error> {
    let mut verification = Verification::default();
    let mut chains: BTreeMap<String, Vec<(u64, &PathBuf)>> = BTreeMap::new();
    for path in files {
        match first_line(path)? {
            Some(line) => chains.entry(line.chain).or_default().push((line.head.seq, path)),
            None if path.metadata().is_ok_and(|metadata| metadata.len() == 0) => {}
            None => verification.fault(path, 0, "it holds no line of a record".into()),
        }
    }
    for (chain, mut files) in chains {
        files.sort();
        let (files, copies) = without_copies(files.into_iter().map(|(seq, path)| (seq, path.clone())).collect())?;
        verification.copies.extend(copies);
        let known: Vec<&KnownHead> = known.iter().filter(|known| known.chain == chain).collect();
        let mut walk = Walk {
            chain: &chain,
            known: &known,
            first_seq: 0,
            lines: 0,
            head: None,
            time: <[String; 2]>::default(),
            instances: BTreeSet::new(),
        };
        for (at, (_, path)) in files.iter().enumerate() {
            walk.file(path, at + 1 == files.len(), &mut verification)?;
        }
        let head = walk.head.unwrap_or(Head::START);
        let last = files.last().map_or(Path::new(""), |(_, path)| path.as_path());
        for known in known.iter().filter(|known| known.head.seq > head.seq) {
            let what =
                format!("the chain went to line {} and ends at {}: its end was cut off", known.head.seq, head.seq);
            verification.fault(last, 0, what);
        }
        let Walk { first_seq, lines, time, instances, .. } = walk;
        let files = files.len() as u64;
        verification.chains.push(ChainSummary { chain, files, lines, first_seq, head, time, instances });
    }
    for known in known {
        if !verification.chains.iter().any(|summary| summary.chain == known.chain) {
            verification.fault(Path::new("-"), 0, format!("the chain {} is not there at all", known.chain));
        }
    }
    Ok(verification)
}

/// One chain being walked.
struct Walk<'a> {
    chain: &'a str,
    known: &'a [&'a KnownHead],
    first_seq: u64,
    lines: u64,
    /// Where the line before ended, by what it says itself: one change is then one fault.
    head: Option<Head>,
    time: [String; 2],
    instances: BTreeSet<String>,
}

impl Walk<'_> {
    fn file(&mut self, path: &Path, is_last: bool, verification: &mut Verification) -> Result<(), Error> {
        let mut lines = Lines::open(path)?;
        while let Some(raw) = lines.next_line()? {
            self.lines += 1;
            let read = line::read(raw.bytes);
            if !raw.is_whole {
                let what = match (is_last, read.is_some()) {
                    (true, _) => "the last line is not whole: a writer was killed, and the next one cuts it off",
                    (false, _) => "the line is not whole",
                };
                verification.fault(path, raw.number, what.into());
            }
            match read {
                None if raw.is_whole => verification.fault(path, raw.number, "it is not a line of a record".into()),
                None => {}
                Some(line) => {
                    self.note(&line);
                    for what in self.line(&line) {
                        verification.fault(path, raw.number, what);
                    }
                }
            }
        }
        Ok(())
    }

    /// When a line was written, and by whom.
    fn note(&mut self, line: &Line) {
        let [first, last] = &mut self.time;
        line.at.clone_into(last);
        if first.is_empty() {
            first.clone_from(last);
        }
        if let Some(instance) = line.instance.as_ref().filter(|instance| !self.instances.contains(*instance)) {
            self.instances.insert(instance.clone());
        }
    }

    /// What is wrong with a line, after the ones before it.
    fn line(&mut self, line: &Line) -> Vec<String> {
        let mut faults = Vec::new();
        let seq = line.head.seq;
        if line.chain != self.chain {
            faults.push(format!("it belongs to another chain, {}", line.chain));
        }
        if !line.is_intact {
            faults.push("it was changed: its hash is not that of its content".into());
        }
        match self.head {
            None => {
                self.first_seq = seq;
                let follows_known = self.known.iter().any(|known| is_next(&known.head, line));
                if !is_next(&Head::START, line) && !follows_known {
                    faults.push(match seq {
                        0 | 1 => "it says that it is the first, and follows from another".into(),
                        _ => {
                            format!("the chain begins with line {seq} here: what came before is not among these files")
                        }
                    });
                }
            }
            Some(head) if seq > head.seq + 1 => {
                faults.push(format!("lines {} to {} are missing before it", head.seq + 1, seq - 1));
            }
            Some(head) if seq <= head.seq => {
                faults.push(format!("line {seq} stands after line {}: it was moved, repeated or put in", head.seq));
            }
            Some(head) if head.hash != line.prev => {
                faults.push("it does not follow from the line before: one of them was exchanged".into());
            }
            Some(_) => {}
        }
        if self.known.iter().any(|known| known.head.seq == seq && known.head.hash != line.head.hash) {
            faults.push("its hash is not the one that was kept: the chain was written again".into());
        }
        self.head = Some(line.head);
        faults
    }
}

impl Verification {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }

    /// Notes it as a fault when a folder holds more than one chain.
    pub fn expect_one_chain(&mut self, folder: &Path) {
        if self.chains.len() > 1 {
            let names: Vec<&str> = self.chains.iter().map(|chain| chain.chain.as_str()).collect();
            let what = format!("it holds {} chains, and a system writes one: {}", names.len(), names.join(", "));
            self.fault(folder, 0, what);
        }
    }

    fn fault(&mut self, file: &Path, line: u64, what: String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault { file: file.to_owned(), line, what });
        } else {
            self.faults_left_out += 1;
        }
    }
}

fn is_next(head: &Head, line: &Line) -> bool {
    line.head.seq == head.seq + 1 && line.prev == head.hash
}

/// The first line that is one, by which files are put in order.
fn first_line(path: &Path) -> Result<Option<Line>, Error> {
    let mut lines = Lines::open(path)?;
    while let Some(raw) = lines.next_line()? {
        if let Some(line) = line::read(raw.bytes) {
            return Ok(Some(line));
        }
    }
    Ok(None)
}
