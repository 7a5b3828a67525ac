//! Disks that fail as real ones do, below the whole program as it is shipped: reads, writes, syncs, opens and names that fail,
//! are interrupted, come short, are torn, or are taken back after a sync that failed. Nothing wrong is played meanwhile,
//! nothing plain is left, and what was acknowledged is there afterwards, whole.
//!
//! Worlds of which all is made up are in `simulated`; here a server, `rewrap` and `encrypt` run on the calls that they really
//! make, every one of which `faulty_disk/injector.c` may have fail. A seed tells which call of which file does;
//! `SEALTAPE_TESTS_SEED=N` goes through one again, `A..B` through others, `SEALTAPE_TESTS_FULL=1` through two hundred. Which
//! calls there are is up to threads and clock as well, so that a seed comes back in kind and not to the letter.

mod disk;
mod healed;
mod round;

use std::{fs, path::Path, sync::Mutex};

use disk::{FaultyDisk, KINDS, SORTS, injector};
use round::{Figures, round};

use crate::support::{
    System,
    seeds::{self, Asked},
    text, tool,
};

#[test]
fn whatever_a_disk_does_nothing_wrong_is_played_and_what_was_acknowledged_is_there() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let library = injector(folder.path());
    let seeds = match seeds::asked(4, 200) {
        Asked::One(seed) => return println!("{:#?}", round(&library, seed)),
        Asked::Range(seeds) => seeds,
    };
    let sum = Mutex::new(Figures::default());
    seeds::each(seeds.clone(), |seed| Ok(round(&library, seed)), |figures| sum.lock().expect("whole").add(&figures));
    let sum = sum.into_inner().expect("whole");
    println!("seeds {seeds:?}: {sum:#?}");
    sum.assert_hits();
}

/// Else a disk that does nothing would show nothing.
#[test]
fn the_disk_does_what_it_is_told() {
    let system = System::in_folder();
    let (library, folder) = (injector(&system.path("")), system.path("disk"));
    fs::create_dir(&folder).expect("made");
    let disk = FaultyDisk::new(&library, &folder, system.path("control"), 1);
    let mut python = tool("/usr/bin/python3");
    python.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faulty_disk/try.py"));
    let output = disk.under(python, 0).arg(&folder).arg(system.path("control")).output().expect("runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(disk.came().iter().all(|came| *came > 0), "{:?}", KINDS.iter().zip(disk.came()).collect::<Vec<_>>());
    assert!(disk.calls().iter().all(|calls| *calls > 0), "{:?}", SORTS.iter().zip(disk.calls()).collect::<Vec<_>>());
}
