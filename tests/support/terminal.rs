//! Programs that ask a person at a terminal.

use std::{path::Path, process::Command};

use super::text;

/// How a program ended that ran at a terminal.
#[derive(Debug)]
pub struct Shown {
    pub code: i64,
    /// Everything that stood on the terminal.
    pub text: String,
    /// How many answers it asked for.
    pub answered: u64,
}

/// Runs a program at a terminal of its own and answers its prompts, one after another.
pub fn at_terminal(command: &Command, answers: &[&str]) -> Shown {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/terminal.py");
    let mut python = Command::new("/usr/bin/python3");
    python.arg(script).arg(serde_json::json!(answers).to_string());
    python.arg(command.get_program()).args(command.get_args());
    // What can be drawn there does not depend on where the tests run.
    python.env("TERM", "xterm-256color");
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => python.env(name, value),
            None => python.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        python.current_dir(folder);
    }
    let output = python.output().expect("python runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    Shown {
        code: shown["code"].as_i64().expect("a code"),
        text: shown["shown"].as_str().expect("a text").to_owned(),
        answered: shown["answered"].as_u64().expect("a number"),
    }
}
