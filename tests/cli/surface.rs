//! Names, help, exit codes and output of the commands.

use crate::support::{System, bare_command, text};

#[test]
fn every_command_has_help() {
    for command in [
        &[][..],
        &["demo"],
        &["serve"],
        &["import"],
        &["cat"],
        &["encrypt"],
        &["recordings"],
        &["recordings", "list"],
        &["recordings", "show"],
        &["verify"],
        &["keys", "generate"],
        &["keys", "list"],
        &["definition-key", "generate"],
        &["definition-key", "status"],
        &["encryption", "enable"],
        &["encryption", "disable"],
        &["encryption", "status"],
        &["storage", "copy"],
        &["config", "check"],
        &["completions"],
    ] {
        let output = bare_command().args(command).arg("--help").output().expect("runs");
        assert!(output.status.success(), "{command:?}");
        assert!(text(&output.stdout).contains("Usage: sealtape"), "{command:?}");
    }
}

#[test]
fn what_is_no_command_is_a_usage_error() {
    for arguments in [&["playy"][..], &["serve", "--port", "1"], &["keys"], &["keys", "delete", "x"], &[], &["import"]]
    {
        let output = bare_command().args(arguments).output().expect("runs");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn options_stand_before_or_after_the_command() {
    let system = System::with_key();
    let folder = system.data_dir();
    let folder = folder.to_str().expect("UTF-8");
    for arguments in [
        ["--data-dir", folder, "--json", "keys", "list"],
        ["keys", "list", "--data-dir", folder, "--json"],
        ["keys", "--json", "list", "--data-dir", folder],
    ] {
        let output = bare_command().args(arguments).output().expect("runs");
        let keys: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
        assert_eq!(keys.as_array().map(Vec::len), Some(1), "{arguments:?}");
        assert_eq!(keys[0]["state"], "active");
        assert_eq!(keys[0]["origin"], "generated");
        assert_eq!(keys[0]["exported"], false);
    }
}

#[test]
fn without_options_everything_lies_in_one_private_folder() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let output = bare_command().args(["recordings", "list"]).current_dir(folder.path()).output().expect("runs");
    assert!(output.status.success());
    let data = folder.path().join("sealtape-data");
    let mode = |name: &str| std::fs::metadata(data.join(name)).expect(name).permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("definition.key"), mode("sealtape.db"), mode("media")), (0o700, 0o600, 0o600, 0o700));
}

#[test]
fn completions_are_made_for_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let output = bare_command().args(["completions", shell]).output().expect("runs");
        assert!(output.status.success() && text(&output.stdout).contains("definition-key"), "{shell}");
    }
}

#[test]
fn a_pipe_that_closes_early_is_no_fault() {
    let system = System::with_key();
    system.import("call", &crate::support::media(8 << 20));
    let shell = format!(
        "{} --data-dir {} cat call | head -c 10 | wc -c; exit ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_sealtape"),
        system.data_dir().display()
    );
    let output =
        std::process::Command::new("bash").args(["-c", &shell]).envs(system.environment()).output().expect("bash");
    assert_eq!((text(&output.stdout).trim(), text(&output.stderr).as_str(), output.status.code()), ("10", "", Some(0)));
}

#[test]
fn settings_are_shown_as_they_are_in_force() {
    let output = bare_command()
        .env("SEALTAPE_SERVER__LISTEN", "127.0.0.1:9999")
        .args(["config", "check", "--json", "--data-dir", "/nonexistent/x"])
        .output()
        .expect("runs");
    let settings: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(settings["server"]["listen"], "127.0.0.1:9999");
    assert_eq!(settings["database"]["url"], "sqlite:///nonexistent/x/sealtape.db");
    assert!(!std::path::Path::new("/nonexistent").exists(), "nothing is made");
}
