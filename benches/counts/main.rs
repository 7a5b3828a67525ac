//! Kept fast: how many instructions the ways take that every player waits for, against the counts of a baseline.
//!
//! ```text
//! cargo bench --locked --bench counts               compares; fails beyond a tolerance
//! cargo bench --locked --bench counts -- --renew    makes the baseline anew
//! cargo bench --locked --bench counts -- --test     does each case once and counts nothing
//! ```
//!
//! Instructions do not depend on how busy a machine is, so that a change of a few percent is seen where a clock sees
//! noise. They are not time: a cache that is missed and a system call cost nothing here. Time is measured by the other
//! benchmarks.
//!
//! This program runs itself under valgrind, once for each case, and counts within one function and one thread alone:
//! what prepares a case is not in its figure. [`codec`] and [`playback`] hold the cases, [`baseline`] compares.
//!
//! What valgrind shows is not quite this machine. It has AES-NI and AVX2, and neither VAES nor AVX-512 nor the
//! instructions for SHA, so that ciphers and digests take the ways of such a processor: the same on every machine, but
//! a fault of the wider ways alone is not seen, and digests weigh more than they do. An instruction that repeats itself,
//! as those that fill and copy memory do, counts once for each time.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a benchmark that fails should stop, and says what it found"
)]

mod baseline;
mod codec;
mod playback;

use std::{
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
};

use baseline::Baseline;

/// What is counted.
struct Case {
    name: &'static str,
    /// How often it is done under valgrind; the figure is the mean.
    times: u32,
    /// By how many percent a figure may differ from the baseline's.
    tolerance_percent: u64,
    /// The function whose instructions count, with all that it calls.
    counted: &'static str,
    /// Prepares it, does it once so that what is made at first use is made, and gives back what does it again.
    prepare: fn() -> Box<dyn FnMut()>,
}

/// [`again`], as its symbol names it.
const ALL: &str = "counts::again";

/// Does a case several times. Its name is what valgrind is told to count in, so it stays a function.
#[inline(never)]
fn again(times: u32, case: &mut dyn FnMut()) {
    for _ in 0..times {
        case();
    }
}

fn cases() -> impl Iterator<Item = &'static Case> {
    codec::CASES.iter().chain(playback::CASES)
}

fn main() -> ExitCode {
    // cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        [] => compare(),
        ["--renew"] => {
            println!("{}", Baseline::here(count_all()).write());
            ExitCode::SUCCESS
        }
        ["--test"] => {
            for case in cases() {
                (case.prepare)()();
                println!("{}: done", case.name);
            }
            ExitCode::SUCCESS
        }
        ["--counted", name] => {
            let case = cases().find(|case| case.name == name).expect("a case of that name");
            again(case.times, &mut *(case.prepare)());
            ExitCode::SUCCESS
        }
        _ => {
            println!("usage: cargo bench --locked --bench counts [-- --renew | --test]");
            ExitCode::from(2)
        }
    }
}

fn compare() -> ExitCode {
    let Some(baseline) = Baseline::read() else {
        println!("****************************************************************************************");
        println!(
            "NOTHING WAS COMPARED: there are no instruction counts for {} in benches/counts.",
            std::env::consts::ARCH
        );
        println!("****************************************************************************************");
        return ExitCode::SUCCESS;
    };
    let (is_good, text) = baseline.compare(&Baseline::here(count_all()), cases());
    println!("{text}");
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn count_all() -> Vec<(String, u64)> {
    cases().map(|case| (case.name.to_owned(), count(case))).collect()
}

/// The instructions of a case, as valgrind counts them.
fn count(case: &Case) -> u64 {
    let profile = profile(case.name);
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--error-exitcode=1"])
        .arg(format!("--toggle-collect={}", case.counted))
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(std::env::current_exe().expect("this program"))
        .args(["--counted", case.name])
        // Settings of whoever runs this, for the allocator perhaps, have no say.
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .expect("valgrind runs: Debian's package `valgrind` holds it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} fails under valgrind:\n{said}", case.name);
    let total = said.lines().find_map(|line| line.split("Collected : ").nth(1)).and_then(|total| total.parse().ok());
    let total: u64 = total.unwrap_or_else(|| panic!("valgrind counts nothing:\n{said}"));
    // Else the function is not there under this name, or was merged into its caller.
    assert!(total > 0, "{}: no instruction of `{}` was executed", case.name, case.counted);
    (total + u64::from(case.times) / 2) / u64::from(case.times)
}

/// Where valgrind writes which functions took the instructions of a case.
fn profile(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("counts");
    std::fs::create_dir_all(&folder).expect("made");
    folder.join(format!("{name}.callgrind"))
}
