//! A throwaway system on disk, the program run on it, a server over it, and an HTTP client that hides nothing.

#[allow(dead_code, reason = "shared with a benchmark")]
pub mod catalogue;
mod client;
mod exports;
mod plain_archive;
mod server;
mod terminal;
mod upload;

pub use client::{Reply, get, request, send};
pub use exports::{PASSPHRASE, age_file, export_document, fingerprint_of, handmade_export, handmade_key, now};
pub use plain_archive::{PlainArchive, files_with_marker, marked_media, unlinked_with_marker};
pub use server::{Server, peak_memory, signal};
pub use terminal::at_terminal;
pub use upload::{Upload, put};

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// A system in a folder of its own.
pub struct System {
    folder: TempDir,
}

impl System {
    /// An empty folder: nothing was ever run here.
    pub fn empty() -> Self {
        Self { folder: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder") }
    }

    /// A system with one database key.
    pub fn with_key() -> Self {
        let system = Self::empty();
        system.ok(&["keys", "generate"]);
        system
    }

    /// A path beside the data.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn data_dir(&self) -> PathBuf {
        self.path("data")
    }

    /// Writes a file beside the data.
    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("written");
        path
    }

    /// The program with these arguments on this system, not started yet.
    pub fn command(&self, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = bare_command();
        command.arg("--data-dir").arg(self.data_dir()).args(arguments).current_dir(self.folder.path());
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program runs")
    }

    /// Runs the program, which must succeed; its standard output.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs the program with `--json`, which must succeed; the document.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        serde_json::from_str(&self.ok(&arguments)).expect("one JSON document")
    }

    /// Runs the program, which must fail with that code; its standard error, of one or two lines.
    pub fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        error
    }

    /// Imports media under an ID.
    pub fn import(&self, id: &str, media: &[u8]) {
        let file = self.file(&format!("{id}.source"), media);
        self.ok(&["import", file.to_str().expect("UTF-8"), "--id", id]);
        fs::remove_file(file).expect("removed");
    }

    /// The file in which a recording lies.
    pub fn stored(&self, id: &str) -> PathBuf {
        let shown = self.json(&["recordings", "show", id]);
        let location = shown["location"].as_str().expect("location").to_owned();
        PathBuf::from(location.strip_prefix("file://").expect("a file"))
    }

    /// Every file below the media folder.
    pub fn media_files(&self) -> Vec<PathBuf> {
        files_below(&self.data_dir().join("media"))
    }

    pub fn serve(&self) -> Server {
        Server::start(self.command(&["serve", "--listen", "127.0.0.1:0"]))
    }
}

/// The program, without settings from the environment of whoever runs the tests.
pub fn bare_command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealtape"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SEALTAPE_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    // Servers that are stopped stop at once; what comes before that has a test of its own.
    command.env("SEALTAPE_SERVER__DRAIN_DELAY", "0s").stdin(Stdio::null());
    command
}

/// Media in which no two stretches are alike.
pub fn media(len: usize) -> Vec<u8> {
    (0_u32..).flat_map(|i| (i.wrapping_mul(2_654_435_761) ^ 0x5EA1).to_be_bytes()).take(len).collect()
}

/// A sample recording of the project.
pub fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("player-demo/samples").join(name)
}

/// Flips one bit of a file.
pub fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("read");
    bytes[at] ^= 1;
    fs::write(path, bytes).expect("written");
}

/// Copies a folder and all that is in it.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("read") {
        let entry = entry.expect("entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a program that the machine must have.
pub fn tool(name: &str) -> Command {
    let found = Command::new("sh").args(["-c", &format!("command -v {name}")]).output().expect("sh");
    assert!(found.status.success(), "{name} is missing: `tests/run` installs what the tests need");
    Command::new(name)
}

/// A program that only root may use as it is used here.
pub fn as_root(name: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return tool(name);
    }
    let mut command = tool("sudo");
    command.args(["-n", name]);
    command
}

pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return vec![] };
    entries
        .flat_map(|entry| {
            let path = entry.expect("entry").path();
            if path.is_dir() { files_below(&path) } else { vec![path] }
        })
        .collect()
}
