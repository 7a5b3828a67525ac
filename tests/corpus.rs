//! What fuzzing once found worth keeping is tried by every run of the tests, and so is what lies around it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::hostile;

type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 9] = [
    ("audit_tail", hostile::audit_tail),
    ("config", hostile::config),
    ("header", hostile::header),
    ("key_export", hostile::key_export),
    ("links", hostile::links),
    ("range", hostile::range),
    ("records", hostile::records),
    ("token", hostile::token),
    ("waveform", hostile::waveform),
];

/// More than any input needs to say what it says, and than a clone of the project should weigh.
const INPUT_LEN_MAX: usize = 8 << 10;
const ALL_LEN_MAX: usize = 300 << 10;

#[test]
fn what_fuzzing_kept_breaks_no_promise() {
    let mut all_len = 0;
    for (name, target) in TARGETS {
        let inputs = names(&fuzz().join("corpus").join(name));
        assert!(inputs.len() >= 5, "{name} has {} inputs", inputs.len());
        for input in inputs {
            let path = fuzz().join("corpus").join(name).join(&input);
            let bytes = fs::read(&path).expect("read");
            assert!(bytes.len() <= INPUT_LEN_MAX, "{} is long", path.display());
            all_len += bytes.len();
            // Shown when it fails.
            println!("{}", path.display());
            target(&bytes);
            for variation in variations(&bytes) {
                target(&variation);
            }
        }
    }
    assert!(all_len <= ALL_LEN_MAX, "the corpora have {all_len} bytes");
}

#[test]
fn every_target_is_fuzzed_and_has_a_corpus() {
    let known: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&fuzz().join("corpus")), known);
    let programs: BTreeSet<String> = known.iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(names(&fuzz().join("fuzz_targets")), programs);
    let run = fs::read_to_string(fuzz().join("run")).expect("read");
    let list = run.split("all=(").nth(1).and_then(|rest| rest.split(')').next()).expect("a list of targets");
    assert_eq!(list.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>(), known);
}

/// Cut in half, and with a bit changed here and there.
fn variations(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut variations = vec![bytes[..bytes.len() / 2].to_vec()];
    for number in 0..4 {
        let mut changed = bytes.to_vec();
        if let Some(byte) = changed.get_mut(number * bytes.len() / 4 + number) {
            *byte ^= 1 << (number * 2);
            variations.push(changed);
        }
    }
    variations
}

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect()
}
