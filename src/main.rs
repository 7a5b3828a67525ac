//! The `sealtape` program: see `sealtape --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    sealtape::cli::run()
}
