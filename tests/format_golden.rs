//! The golden files are what the independent writer makes, today as on the day they were added.

use crate::support::{text, tool};

#[test]
fn the_independent_writer_makes_the_same_files() {
    let root = env!("CARGO_MANIFEST_DIR");
    // Debian's Python, because its `cryptography` comes with it.
    let checked = tool("/usr/bin/python3")
        .arg(format!("{root}/tests/format/golden.py"))
        .args(["check", &format!("{root}/src/sealed/golden")])
        .output()
        .expect("Python runs");
    assert!(checked.status.success(), "{}{}", text(&checked.stdout), text(&checked.stderr));
}
