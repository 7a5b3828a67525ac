//! A throwaway system on disk, the program run on it, a server over it, and an HTTP client that hides nothing.

mod background;
#[allow(dead_code, reason = "shared with a benchmark")]
pub mod catalogue;
mod client;
mod exports;
mod faulty_way;
mod garage;
mod plain_archive;
pub mod postgres;
pub mod pykmip;
pub mod seeds;
mod server;
pub mod softhsm;
mod stored;
mod terminal;
mod upload;
mod way;

pub use client::{Reply, get, request, send};
pub use exports::{PASSPHRASE, age_file, export_document, fingerprint_of, handmade_export, handmade_key, now};
pub use faulty_way::{Fault, FaultyWay};
pub use garage::Garage;
pub use plain_archive::{PlainArchive, files_with_marker, has_marker_in, marked_media, unlinked_with_marker};
pub use server::{Server, peak_memory, signal};
pub use softhsm::SoftHsm;
pub use stored::{Place, Stored};
pub use terminal::at_terminal;
pub use upload::{Upload, put};
pub use way::Way;

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use serde_json::Value;
use tempfile::TempDir;

/// A system in a folder of its own.
pub struct System {
    folder: TempDir,
    /// What of its settings comes by the environment.
    environment: Vec<(String, String)>,
    /// Where its media lies, if that is not its folder.
    place: Option<Arc<Place>>,
}

impl System {
    /// An empty folder: nothing was ever run here. Its media goes to an object store where the environment asks for that
    /// (`tests/run`), with the spool before it that is there unless settings say otherwise.
    pub fn empty() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mut system = match std::env::var("SEALTAPE_TESTS_DEFINITION_KEY").as_deref() {
            Ok("file") | Err(_) => Self::in_folder(),
            Ok(kind) => Self::with_definition_key_in(kind),
        };
        let is_cached = match std::env::var("SEALTAPE_TESTS_STORAGE").as_deref() {
            Ok("file") | Err(_) => return system,
            Ok("s3") => false,
            Ok("s3-cached") => true,
            Ok(other) => panic!("SEALTAPE_TESTS_STORAGE cannot be {other}"),
        };
        let place = Place::new(&format!("system-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        system.environment.extend(place.settings());
        if is_cached {
            let cache = system.path("cache").display().to_string();
            system.environment.push(("SEALTAPE_STORAGE__CACHE__PATH".into(), cache));
        }
        system.place = Some(place);
        system
    }

    /// The same, whose media lies in its folder whatever the environment asks for: for tests that are about that.
    pub fn in_folder() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        Self { folder, environment: Vec::new(), place: None }
    }

    /// The same, whose definition key lies elsewhere: in a key manager that wraps by it (`kmip`) or gives it away
    /// (`kmip-get`), or in a token (`pkcs11`).
    pub fn with_definition_key_in(kind: &str) -> Self {
        let mut system = Self::in_folder();
        system.environment = match kind {
            "kmip" => pykmip::PyKmip::shared().settings("encrypt", &pykmip::key_name()),
            "kmip-get" => pykmip::PyKmip::shared().settings("get", &pykmip::key_name()),
            "pkcs11" => {
                let hsm = SoftHsm::in_folder(&system.path("hsm"));
                hsm.generate();
                hsm.settings()
            }
            other => panic!("SEALTAPE_TESTS_DEFINITION_KEY cannot be {other}"),
        };
        if kind != "pkcs11" {
            // On another folder, so that nothing was ever run on this one.
            let other = system.path("other");
            let mut command = bare_command();
            command.arg("--data-dir").arg(&other).args(["definition-key", "generate"]).envs(system.environment());
            let output = command.output().expect("the program runs");
            assert!(output.status.success(), "{}", text(&output.stderr));
            fs::remove_dir_all(other).expect("removed");
        }
        system
    }

    /// The same, whose media lies in a bucket, which is reached at `address`.
    pub fn on_s3(garage: &Garage, address: &str, bucket: &str) -> Self {
        let settings = [
            ("SEALTAPE_STORAGE__URL", format!("s3://{bucket}/media")),
            ("SEALTAPE_STORAGE__S3__ENDPOINT", format!("http://{address}")),
        ];
        let variables = settings.into_iter().chain(garage.variables());
        Self { environment: variables.map(|(name, value)| (name.to_owned(), value)).collect(), ..Self::in_folder() }
    }

    /// A system with one database key; on a server where the environment asks for that (`tests/run`).
    pub fn with_key() -> Self {
        match std::env::var("SEALTAPE_TESTS_DATABASE").as_deref() {
            Ok("postgres") => Self::with_key_on_postgres(),
            Ok(other) if other != "sqlite" => panic!("SEALTAPE_TESTS_DATABASE cannot be {other}"),
            _ => {
                let system = Self::empty();
                system.ok(&["keys", "generate"]);
                system
            }
        }
    }

    /// The same, in a database of its own on the server that all tests share.
    pub fn with_key_on_postgres() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("system-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let system = Self::on_postgres(postgres::Postgres::shared().database(&name));
        system.ok(&["keys", "generate"]);
        system
    }

    /// A system with a definition key and nothing in its database, which is on a server.
    pub fn on_postgres(url: String) -> Self {
        let mut system = Self::empty();
        system.environment.push(("SEALTAPE_DATABASE__URL".into(), url));
        fs::create_dir(system.data_dir()).expect("made");
        system.ok(&["definition-key", "generate"]);
        // Where settings say where the database is, nothing secret is made without a word.
        let secrets = system.data_dir().join("link.secrets");
        fs::write(&secrets, format!("{:064x}\n", 0x5EA1_u32)).expect("written");
        let key = system.data_dir().join("token.key");
        let made = tool("openssl").args(["genpkey", "-algorithm", "ed25519", "-out"]).arg(&key).status();
        assert!(made.expect("runs").success());
        for path in [secrets, key] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("set");
        }
        system
    }

    /// Another machine's folder, over the same database and the same media: `definition.key` is a copy.
    pub fn beside(&self) -> Self {
        let other = Self { environment: self.environment.clone(), place: self.place.clone(), ..Self::in_folder() };
        fs::create_dir(other.data_dir()).expect("made");
        fs::copy(self.data_dir().join("definition.key"), other.data_dir().join("definition.key")).expect("copied");
        std::os::unix::fs::symlink(self.data_dir().join("media"), other.data_dir().join("media")).expect("linked");
        other
    }

    /// A setting that commands find in their environment from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
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
        command.envs(self.environment());
        command
    }

    /// What of its settings comes by the environment, for whoever starts the program by way of another one.
    pub fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()))
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
        match self.object(id) {
            Stored::File(path) => path,
            Stored::Object { key, .. } => panic!("{key} is no file"),
        }
    }

    /// What a recording lies in: a file, or an object.
    pub fn object(&self, id: &str) -> Stored {
        let shown = self.json(&["recordings", "show", id]);
        let location = shown["location"].as_str().expect("location");
        let object = self.place.as_ref().and_then(|place| place.at(location));
        object.unwrap_or_else(|| Stored::File(PathBuf::from(location.strip_prefix("file://").expect("a file"))))
    }

    /// Whether media lies in a bucket: what is deleted there is gone, also for those who have it open.
    pub fn is_in_bucket(&self) -> bool {
        self.place.is_some()
    }

    /// Everything in the media folder, or in the bucket and in the spool before it.
    pub fn objects(&self) -> Vec<Stored> {
        let files = self.media_files().into_iter().map(Stored::File);
        self.place.iter().flat_map(|place| place.all()).chain(files).collect()
    }

    /// Every file below the media folder, or in the spool before a bucket.
    pub fn media_files(&self) -> Vec<PathBuf> {
        match self.place {
            None => files_below(&self.data_dir().join("media")),
            Some(_) => {
                let waiting = files_below(&self.data_dir().join("spool"));
                waiting.into_iter().filter(|file| !file.ends_with(".lock")).collect()
            }
        }
    }

    /// Begins again from nothing.
    pub fn clear(&self) {
        self.objects().iter().for_each(Stored::remove);
        fs::remove_dir_all(self.data_dir()).expect("removed");
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
