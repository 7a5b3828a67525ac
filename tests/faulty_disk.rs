//! Disks that fail as real ones do, below the whole program as it is shipped: reads, writes, syncs, opens and names that fail,
//! are interrupted, come short, are torn, or are taken back after a sync that failed. Nothing wrong is played meanwhile,
//! nothing plain is left, and what was acknowledged is there afterwards, whole.
//!
//! Worlds of which all is made up are in `simulated`; here a server, `rewrap` and `encrypt` run on the calls that they really
//! make, every one of which `faulty_disk/injector.c` may have fail. A seed tells which call of which file does;
//! `SEALTAPE_TESTS_SEED=N` goes through one again, `SEALTAPE_TESTS_FULL=1` through two hundred. Which calls there are is up to
//! threads and clock as well, so that a seed comes back in kind and not to the letter.

mod disk;
mod healed;
mod round;

use std::{
    collections::BTreeMap,
    env, fs, panic,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use disk::{FaultyDisk, KINDS, SORTS, injector};
use round::{Figures, round};

use crate::support::{System, text, tool};

fn seeds() -> u64 {
    if env::var_os("SEALTAPE_TESTS_FULL").is_some() { 200 } else { 4 }
}

#[test]
fn whatever_a_disk_does_nothing_wrong_is_played_and_what_was_acknowledged_is_there() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let library = injector(folder.path());
    if let Ok(seed) = env::var("SEALTAPE_TESTS_SEED") {
        println!("{:#?}", round(&library, seed.parse().expect("SEALTAPE_TESTS_SEED is a number")));
        return;
    }
    let (next, sum, failed) = (AtomicU64::new(0), Mutex::new(Figures::default()), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds() {
                        return;
                    }
                    match panic::catch_unwind(|| round(&library, seed)) {
                        Ok(figures) => sum.lock().expect("whole").add(&figures),
                        Err(told) => {
                            let said = told.downcast_ref::<String>().map(String::as_str);
                            let said = said.or(told.downcast_ref().copied()).unwrap_or_default();
                            failed.lock().expect("whole").insert(seed, said.to_owned());
                        }
                    }
                }
            });
        }
    });
    let (failed, sum) = (failed.into_inner().expect("whole"), sum.into_inner().expect("whole"));
    for (seed, told) in &failed {
        println!("SEALTAPE_TESTS_SEED={seed} shows it: {told}");
    }
    assert!(failed.is_empty(), "of {} seeds these failed: {:?}", seeds(), failed.keys());
    println!("{} seeds: {sum:#?}", seeds());
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
