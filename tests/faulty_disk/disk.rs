//! The faulty disk before the system's own: `injector.c`, compiled for the test, and the words by which it is told what goes
//! wrong.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{text, tool};

/// What may go wrong, in the order of the words in `injector.c`.
pub const KINDS: [&str; 17] = [
    "read fails",
    "read is interrupted",
    "read is short",
    "write fails",
    "write finds no room",
    "write is interrupted",
    "write is short",
    "write is torn",
    "sync fails",
    "sync is interrupted",
    "sync fails and loses what was written",
    "open fails",
    "open finds no room",
    "open is interrupted",
    "name is not given or taken away",
    "name finds no room",
    "look fails",
];

/// The sorts of calls, in the order of the words in `injector.c`.
pub const SORTS: [&str; 6] = ["read", "write", "sync", "open", "name", "look"];

/// Where the counts of faults and of calls begin, and how many words there are.
const COUNTS: usize = 24;
const CALLS: usize = 48;
const WORDS: usize = 64;

/// The injector, compiled into that folder.
pub fn injector(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faulty_disk/injector.c");
    let library = folder.join("injector.so");
    let mut compiler = tool("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&library).arg(source);
    let output = compiler.output().expect("runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    library
}

/// A disk below a folder, for all that is started on it.
pub struct FaultyDisk {
    library: PathBuf,
    below: PathBuf,
    control: PathBuf,
    words: File,
    seed: u64,
}

impl FaultyDisk {
    /// One without faults so far; its words lie in the file `control`.
    pub fn new(library: &Path, below: &Path, control: PathBuf, seed: u64) -> Self {
        fs::write(&control, [0; WORDS * 8]).expect("written");
        let words = File::options().read(true).write(true).open(&control).expect("opens");
        Self { library: library.to_owned(), below: below.to_owned(), control, words, seed }
    }

    /// Has a command meet the disk. Commands of different numbers meet different faults.
    pub fn under(&self, mut command: Command, number: u64) -> Command {
        let seed = self.seed.wrapping_mul(1 << 20).wrapping_add(number);
        command.env("LD_PRELOAD", &self.library).env("FAULTY_DISK_BELOW", &self.below);
        command.env("FAULTY_DISK_CONTROL", &self.control).env("FAULTY_DISK_SEED", seed.to_string());
        command
    }

    /// How often each kind comes from now on, in a million calls.
    pub fn set(&self, rates: [u64; KINDS.len()]) {
        let bytes: Vec<u8> = rates.iter().flat_map(|rate| rate.to_ne_bytes()).collect();
        self.words.write_all_at(&bytes, 0).expect("written");
    }

    /// The same of one kind, by its name, and of no other.
    pub fn set_one(&self, kind: &str, rate: u64) {
        assert!(KINDS.contains(&kind), "{kind}");
        self.set(KINDS.map(|known| if known == kind { rate } else { 0 }));
    }

    pub fn heal(&self) {
        self.set([0; KINDS.len()]);
    }

    /// How often each kind came so far.
    pub fn came(&self) -> [u64; KINDS.len()] {
        self.read(COUNTS)
    }

    /// How many calls of each sort there were so far.
    pub fn calls(&self) -> [u64; SORTS.len()] {
        self.read(CALLS)
    }

    #[expect(clippy::host_endian_bytes, reason = "memory of this machine, which the injector has as well")]
    fn read<const N: usize>(&self, first: usize) -> [u64; N] {
        std::array::from_fn(|at| {
            let mut word = [0; 8];
            self.words.read_exact_at(&mut word, (first + at) as u64 * 8).expect("read");
            u64::from_ne_bytes(word)
        })
    }
}
