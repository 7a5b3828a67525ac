//! A PKCS#11 module with faults that SoftHSM does not have, before SoftHSM's own: `shim.c`, compiled for the test.

use std::path::{Path, PathBuf};

use crate::support::{text, tool};

/// The module, in that folder.
pub fn shim(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kms/shim.c");
    let module = folder.join("shim.so");
    let mut compiler = tool("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(&module).arg(source).arg("-ldl");
    let output = compiler.output().expect("runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    module
}
