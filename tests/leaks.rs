//! No key, passphrase or secret is shown anywhere: a run in which every secret is known, and all that it leaves and says.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    net::TcpStream,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use age::secrecy::SecretString;
use base64::{Engine, engine::general_purpose::STANDARD};
use hkdf::Hkdf;
use sealtape::{
    base::{Fingerprint, Timestamp},
    config::{Settings, Source},
    crypto::{Key, unwrap_file_key},
    keys::{ExportedKey, decode_export},
};
use serde_json::Value;
use sha2::Sha256;
use sqlx::{Connection, SqliteConnection};
use zeroize::Zeroizing;

use crate::support::{Reply, Server, System, copy_folder, flip, get, media, request, send, tool};
use search::Secrets;

mod search;

const PATIENCE: Duration = Duration::from_secs(10);
const PASSPHRASE: &str = "Tr0ub4dor-und-ein-Pferd-das-Klammern-isst";
/// All that can be logged; other crates' doings at their finest have to be asked for by name.
const LOUD: [(&str, &str); 2] = [
    ("RUST_LOG", "trace,sqlx=trace,age=trace,moka=trace,rustls=trace,hyper=trace,h2=trace,tokio=trace"),
    ("RUST_BACKTRACE", "full"),
];
const WRONG_PASSPHRASE: &str = "a passphrase that somebody used elsewhere";

#[test]
fn no_key_is_in_files_database_logs_outputs_answers_or_metrics() {
    let mut run = Run::new();
    run.first_keys_and_recordings();
    run.export_and_import();
    run.plays_and_is_refused();
    run.signs_in();
    run.states_and_switch();
    run.definition_keys();
    run.rewrap_and_reseal();
    run.looks();
    run.broken_files();
    run.lost_database();
    run.assert_nothing_shows();
}

/// A system, what is secret in it, and all that was shown so far.
struct Run {
    system: System,
    /// Other systems with the same keys.
    others: Vec<System>,
    secrets: Secrets,
    /// What was shown, and where.
    shown: Vec<(String, Vec<u8>)>,
    /// The problems that were answered.
    codes: BTreeSet<String>,
    /// The database keys.
    keys: Vec<ExportedKey>,
    server: Option<Server>,
}

impl Run {
    fn new() -> Self {
        let mut secrets = Secrets::default();
        secrets.add("the passphrase", PASSPHRASE.as_bytes());
        secrets.add("a wrong passphrase", WRONG_PASSPHRASE.as_bytes());
        Self {
            system: System::empty(),
            others: vec![],
            secrets,
            shown: vec![],
            codes: BTreeSet::new(),
            keys: vec![],
            server: None,
        }
    }

    fn first_keys_and_recordings(&mut self) {
        self.done_once(&["definition-key", "generate"], &[]);
        self.refused(&["definition-key", "generate"]);
        self.done_once(&["keys", "generate"], &[]);
        let (one, two) = (self.system.file("one.source", &media(100_000)), self.system.file("two", &media(20_000)));
        self.done(&["import", path(&one), "--id", "one"]);
        self.refused(&["import", path(&one), "--id", "one"]);
        self.refused(&["import", path(&one), "--id", "../one"]);
        self.done(&["import", path(&two)]);
        self.done(&["import", path(&two), "--id", "plain", "--exempt"]);
        self.serve(&[]);
        let mut live = self.command(&["import", "-", "--id", "live"]);
        let mut live = live.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
        live.stdin.as_mut().expect("piped").write_all(&media(50_000)).expect("written");
        let output = live.wait_with_output().expect("ends");
        assert!(output.status.success());
        self.show("import -, standard output", output.stdout);
        self.show("import -, standard error", output.stderr);
        // Under a second key, which the running server finds.
        self.done_once(&["keys", "generate", "--json"], &[]);
        self.done(&["import", path(&two), "--id", "three"]);
        assert_eq!(self.ask("/recordings/three/media").status, 200);
    }

    /// A backup, good and bad ones, and a second system that it restores.
    fn export_and_import(&mut self) {
        let passphrase = self.private_file("passphrase", PASSPHRASE);
        let backup = self.system.path("backup.age");
        let from_file = ["--passphrase-file", path(&passphrase)];
        let export = ["keys", "export", "--out", path(&backup), from_file[0], from_file[1]];
        self.refused_once(&["keys", "export", "0123456789", "--out", path(&backup), from_file[0], from_file[1]], &[]);
        self.done_once(&export, &[]);
        self.refused(&export);
        self.learn_database_keys();
        assert_eq!(self.keys.len(), 2);

        let import = ["keys", "import", path(&backup)];
        self.refused_once(&import, &[("SEALTAPE_PASSPHRASE", WRONG_PASSPHRASE)]);
        self.refused_once(&import, &[("SEALTAPE_PASSPHRASE", "")]);
        self.refused_once(&import, &[]);
        self.refused_once(&import, &[("SEALTAPE_PASSPHRASE", PASSPHRASE)]);
        let mut bytes = fs::read(&backup).expect("read");
        let end = bytes.len() - 5;
        bytes[end] ^= 1;
        let damaged = self.system.file("damaged.age", &bytes);
        self.refused_once(&["keys", "import", path(&damaged)], &[("SEALTAPE_PASSPHRASE", PASSPHRASE)]);
        self.refused_once(&["keys", "import", path(&passphrase)], &[("SEALTAPE_PASSPHRASE", PASSPHRASE)]);
        for (number, document) in self.documents_that_are_none().into_iter().enumerate() {
            let file = self.system.file(&format!("bad-{number}.age"), &around(&document));
            self.refused_once(&["keys", "import", path(&file)], &[("SEALTAPE_PASSPHRASE", PASSPHRASE)]);
        }

        let restored = System::empty();
        let output = restored
            .command(&["keys", "import", path(&backup), "--json", "--passphrase-file", path(&passphrase)])
            .envs(LOUD)
            .output()
            .expect("runs");
        assert!(output.status.success());
        self.show("import elsewhere, standard output", output.stdout);
        self.show("import elsewhere, standard error", output.stderr);
        self.others.push(restored);
    }

    /// Exports made by hand in which a key stands where something is wrong.
    fn documents_that_are_none(&self) -> Vec<String> {
        let ExportedKey { fingerprint, key, .. } = &self.keys[0];
        let key = hex::encode(key.expose());
        let good = format!(
            r#"{{"sealtape":"keys","version":1,"keys":[{{"fingerprint":"{fingerprint}","key":"{key}","created_at":"2025-01-01T00:00:00Z","state":"active"}}]}}"#
        );
        let fingerprint = fingerprint.to_string();
        vec![
            good.replace(&key, &key[..63]),
            good.replace(&key, &format!("{}x", &key[..63])),
            good.replace(&fingerprint, &key),
            good.replace("active", &key),
            good.replace("2025-01-01T00:00:00Z", &key),
            good.replace("\"version\":1", &format!("\"version\":\"{key}\"")),
            good.replace("\"keys\",", &format!("\"{key}\",")),
            good.replace(&format!("\"{key}\""), &format!("[\"{key}\"]")),
            key.clone(),
            good[..good.len() - 60].to_owned(),
        ]
    }

    fn plays_and_is_refused(&mut self) {
        for path in [
            "/",
            "/livez",
            "/readyz",
            "/metrics",
            "/openapi.json",
            "/recordings",
            "/recordings?limit=1",
            "/recordings?limit=x",
            "/recordings/one",
            "/recordings/plain",
            "/recordings/one/media?download=x",
            "/recordings/plain/media",
            "/recordings/live/media",
            "/recordings/none",
            "/recordings/none/media",
            "/recordings/%00/media",
            "/recordings/one/media?link=v1.AAAA.AAAA",
            "/problems/key-missing",
            "/problems/none",
            "/nothing/here",
        ] {
            self.ask(path);
        }
        let one = "/recordings/one/media";
        for headers in [
            &[("Range", "bytes=0-99")][..],
            &[("Range", "bytes=-1")],
            &[("Range", "bytes=0-9,50000-60000")],
            &[("Range", "bytes=999999-")],
            &[("Range", "bytes=9-0")],
            &[("Range", "lines=1")],
            &[("If-None-Match", "*")],
            &[("If-Match", "\"none\"")],
            &[("Authorization", "Bearer no.to.ken")],
            &[("Host", "elsewhere.example")],
        ] {
            self.ask_with(one, headers);
        }
        for (method, path) in [
            ("HEAD", one),
            ("DELETE", "/recordings/none"),
            ("PATCH", "/recordings/one"),
            ("PUT", one),
            ("PUT", "/livez"),
            ("POST", "/recordings/one/link"),
        ] {
            let reply = request(&self.address(), method, path, &[], b"");
            self.take(&format!("{method} {path}"), &reply);
        }
        let long = "x".repeat(40_000);
        for head in [
            "nonsense\r\n\r\n".to_owned(),
            format!("GET /{long} HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\nX: {long}\r\n\r\n"),
            "GET / HTTP/1.1\r\nConnection: close\r\nHost : localhost\r\n\r\n".to_owned(),
            "GET / HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(),
        ] {
            let reply = send(&self.address(), "GET", head.as_bytes());
            self.take(&format!("{:.20}", head), &reply);
        }

        // Files that are not what they were.
        let theirs = System::with_key();
        theirs.import("three", &media(20_000));
        let (one, three) = (self.system.stored("one"), self.system.stored("three"));
        let good = [fs::read(&one).expect("read"), fs::read(&three).expect("read")];
        for at in [8, 70, 200, 500, 600, good[0].len() - 1] {
            flip(&one, at);
            self.ask("/recordings/one/media");
            self.ask("/recordings/one");
            self.refused(&["cat", "one"]);
            fs::write(&one, &good[0]).expect("written");
        }
        fs::copy(theirs.stored("three"), &three).expect("copied");
        self.ask("/recordings/three/media");
        self.refused(&["cat", "three"]);
        self.refused(&["rewrap", "three"]);
        fs::remove_file(&three).expect("removed");
        self.ask("/recordings/three/media");
        self.refused(&["cat", "three"]);
        fs::write(&three, &good[1]).expect("written");
        fs::set_permissions(&three, fs::Permissions::from_mode(0o600)).expect("set");
        self.done(&["cat", "one"]);
        self.done(&["cat", "one", "--range", "50-60"]);
        self.refused(&["cat", "one", "--range", "999999-"]);
        self.refused(&["cat", "none"]);
    }

    /// Tokens and links, good and bad, and the files that hold what signs them.
    fn signs_in(&mut self) {
        let token = ["token", "create", "--subject", "ann", "--ttl", "1h", "--scope"];
        self.refused(&[&token[..], &["recordings:nothing"]].concat());
        let token = self.done(&[&token[..], &["recordings:list,recordings:play"]].concat());
        let token = token["token"].as_str().expect("a token").to_owned();
        self.refused(&["link", "none"]);
        let link = self.done(&["link", "one"])["url"].as_str().expect("a URL").to_owned();
        let expired = self.done(&["link", "one", "--ttl", "1ms"])["url"].as_str().expect("a URL").to_owned();

        let secrets = fs::read_to_string(self.system.data_dir().join("link.secrets")).expect("read");
        for line in secrets.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            self.secrets.add("a secret of links", &hex::decode(line.trim()).expect("hexadecimal"));
        }
        let pem = fs::read_to_string(self.system.data_dir().join("token.key")).expect("read");
        let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let pkcs8 = STANDARD.decode(base64).expect("base64");
        // Of PKCS#8 (RFC 8410), the octets of the private key.
        let at = pkcs8.windows(4).position(|bytes| bytes == [0x04, 0x22, 0x04, 0x20]).expect("Ed25519") + 4;
        self.secrets.add("the key of tokens", &pkcs8[at..at + 32]);

        self.serve(&[("SEALTAPE_AUTH__MODE", "token"), ("SEALTAPE_SERVER__LOG", "json")]);
        let bearer = format!("Bearer {token}");
        self.ask("/recordings/one/media");
        for path in ["/recordings", "/recordings/one/media", "/recordings/none", "/metrics"] {
            self.ask_with(path, &[("Authorization", &bearer)]);
        }
        self.ask_with("/recordings", &[("Authorization", &format!("{bearer}A"))]);
        let path_of = |url: &str| url[url.find("/recordings").expect("a path")..].to_owned();
        for path in [path_of(&link), path_of(&expired), format!("{}A", path_of(&link))] {
            self.ask(&path);
        }
        let reply = request(
            &self.address(),
            "POST",
            "/recordings/one/link",
            &[("Authorization", &bearer)],
            b"{\"ttl\":\"1s\"}",
        );
        self.take("POST link", &reply);
        let reply = request(&self.address(), "DELETE", "/recordings/one", &[("Authorization", &bearer)], b"");
        self.take("DELETE", &reply);
        self.serve(&[("SEALTAPE_SERVER__LOG", "json")]);
    }

    fn states_and_switch(&mut self) {
        let first = self.keys[0].fingerprint.to_string();
        self.refused(&["keys", "deactivate", &first]);
        self.refused(&["keys", "deactivate", "00000000"]);
        self.refused(&["keys", "deactivate", "no fingerprint"]);
        self.done(&["keys", "deactivate", &first[..16], "--force"]);
        self.until("/recordings/one/media", 409);
        self.refused(&["cat", "one"]);
        self.done(&["keys", "list"]);
        let second = self.keys[1].fingerprint.to_string();
        self.done(&["keys", "deactivate", &second, "--force"]);
        let more = self.system.file("more", &media(1000));
        self.refused(&["import", path(&more)]);
        self.refused(&["encryption", "enable"]);
        self.refused(&["rewrap", "--all"]);
        self.done(&["keys", "activate", &first]);
        self.done(&["keys", "activate", &second]);
        self.until("/recordings/one/media", 200);
        self.done(&["encryption", "disable"]);
        self.until("/recordings/one/media", 409);
        self.ask("/recordings/one");
        self.done(&["encryption", "status"]);
        self.done(&["encryption", "enable"]);
        self.until("/recordings/one/media", 200);
    }

    fn definition_keys(&mut self) {
        self.learn_definition_keys();
        self.done(&["definition-key", "status"]);
        self.refused(&["definition-key", "cycle", "--finish"]);
        self.done_once(&["definition-key", "cycle", "--prepare", "--json"], &[]);
        self.learn_definition_keys();
        self.done(&["definition-key", "status"]);
        self.done_once(&["definition-key", "cycle", "--finish"], &[]);
        self.done(&["definition-key", "cycle"]);
        self.learn_definition_keys();
        self.ask("/recordings/one/media");
        self.refused(&["definition-key", "migrate", "--to", "nowhere"]);
        self.done(&["definition-key", "migrate", "--to", "embedded"]);
        let embedded = [("SEALTAPE_DEFINITION_KEY__KIND", "embedded")];
        self.done_once(&["definition-key", "status"], &embedded);
        self.done_once(&["keys", "list"], &embedded);
        self.refused_once(&["definition-key", "cycle"], &embedded);
        self.done_once(&["config", "check"], &embedded);
        // Everybody has the embedded key: it has to be said that it was in use here.
        self.refused(&["definition-key", "migrate", "--to", "file"]);
        self.done_once(&["definition-key", "migrate", "--to", "file"], &embedded);
        self.done(&["definition-key", "migrate", "--to", "file"]);
        self.done(&["definition-key", "status"]);
    }

    fn rewrap_and_reseal(&mut self) {
        self.learn_file_keys();
        self.done_once(&["keys", "generate"], &[]);
        self.learn_database_keys();
        for command in ["rewrap", "reseal"] {
            self.done(&[command, "--all", "--dry-run"]);
            self.anew(&[command, "one"]);
            self.refused(&[command, "none"]);
            self.refused(&[command, "plain"]);
            self.refused(&[command]);
            self.ask("/recordings/one/media");
        }
        self.anew(&["reseal", "--key", &self.keys[0].fingerprint.to_string()]);
        let newest = self.keys.iter().max_by_key(|key| key.created_at).expect("one").fingerprint.to_string();
        self.refused(&["reseal", "--key", &newest]);
        self.anew(&["rewrap", "--all"]);
        self.anew(&["reseal", "--all"]);
        self.ask("/recordings/one/media");
    }

    /// As for people and with `--json`; the file keys of each time are known.
    fn anew(&mut self, arguments: &[&str]) {
        for json in [&[][..], &["--json"]] {
            self.done_once(&[arguments, json].concat(), &[]);
            self.learn_file_keys();
        }
    }

    fn looks(&mut self) {
        for arguments in [
            &["recordings", "list"][..],
            &["recordings", "show", "one"],
            &["recordings", "show", "plain"],
            &["keys", "list"],
            &["encryption", "status"],
            &["audit", "show"],
            &["audit", "verify"],
            &["config", "check"],
            &["recordings", "rebuild"],
        ] {
            self.done(arguments);
        }
        self.refused(&["recordings", "show", "none"]);
        self.refused(&["nothing"]);
        self.refused_once(&["config", "check"], &[("SEALTAPE_KEYS__NONE", "x")]);
        self.refused_once(&["config", "check"], &[("SEALTAPE_DEFINITION_KEY__KIND", "x")]);
        for path in ["/metrics", "/readyz", "/recordings"] {
            self.ask(path);
        }
    }

    /// Files of keys with something wrong in them, in a copy; what is said of each must not quote it.
    fn broken_files(&mut self) {
        let copy = System::empty();
        copy_folder(&self.system.data_dir(), &copy.data_dir());
        self.others.push(copy);
        let folder = self.others.last().expect("the copy").data_dir();
        let definition_key = folder.join("definition.key");
        let good = fs::read_to_string(&definition_key).expect("read");
        let digits = good.split(' ').nth(1).expect("digits").to_owned();
        let (link_secrets, token_key) = (folder.join("link.secrets"), folder.join("token.key"));
        let secret = fs::read_to_string(&link_secrets).expect("read").trim_end().to_owned();
        let pem = fs::read_to_string(&token_key).expect("read");
        let last = |digits: &str| if digits.ends_with('0') { "1" } else { "0" };
        for (path, content) in [
            (&definition_key, good.replace(&digits, &digits[..62])),
            (&definition_key, good.replace(&digits, &format!("{}{}", &digits[..63], last(&digits)))),
            (&definition_key, good.replace(&digits, &format!("{}x", &digits[..63]))),
            (&definition_key, good.replace("definition-key-1", "definition-key-2")),
            (&definition_key, digits.clone()),
            (&definition_key, pem.clone()),
            (&link_secrets, secret[..secret.len() - 1].to_owned()),
            (&link_secrets, format!("{secret}\n{digits}x\n")),
            (&token_key, pem.replace("PRIVATE", "SECRET")),
            (&token_key, pem.chars().filter(|char| *char != 'M').collect()),
            (&token_key, secret.clone()),
        ] {
            let before = fs::read(path).expect("read");
            fs::write(path, content).expect("written");
            self.refused_elsewhere(&["serve", "--listen", "127.0.0.1:0"], &[("SEALTAPE_AUTH__MODE", "token")]);
            for arguments in [
                &["definition-key", "status"][..],
                &["definition-key", "cycle"],
                &["keys", "list"],
                &["config", "check"],
                &["link", "one"],
                &["token", "create", "--scope", "recordings:list", "--subject", "x", "--ttl", "1h"],
            ] {
                self.run_elsewhere(arguments, &[]);
            }
            fs::write(path, before).expect("written");
        }
        for path in [&definition_key, &link_secrets, &token_key] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("set");
            self.refused_elsewhere(&["serve", "--listen", "127.0.0.1:0"], &[("SEALTAPE_AUTH__MODE", "token")]);
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("set");
        }
        // A row that somebody changed.
        in_database(&folder, "UPDATE database_key SET ciphertext = zeroblob(48) WHERE origin = 0");
        self.refused_elsewhere(&["serve", "--listen", "127.0.0.1:0"], &[]);
        self.refused_elsewhere(&["cat", "one"], &[]);
        self.refused_elsewhere(&["definition-key", "cycle"], &[]);
    }

    /// A server whose database is overwritten, and which meets a key that it does not know.
    fn lost_database(&mut self) {
        let copy = System::empty();
        copy_folder(&self.system.data_dir(), &copy.data_dir());
        let theirs = System::with_key();
        theirs.import("two", &media(20_000));
        let (stored, foreign) = (copy.stored("two"), theirs.stored("two"));
        let mut command = copy.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.envs(LOUD);
        let server = Server::start(command);
        let reply = server.get("/recordings/two/media");
        self.take("before the database is lost", &reply);
        for name in ["sealtape.db", "sealtape.db-wal", "sealtape.db-shm"] {
            fs::write(copy.data_dir().join(name), vec![0x55; 65_536]).expect("written");
        }
        fs::copy(foreign, stored).expect("copied");
        for path in ["/recordings", "/recordings/one/media", "/recordings/two/media", "/readyz", "/metrics"] {
            let reply = server.get(path);
            self.take(path, &reply);
        }
        // A page that SQLite still holds in memory may answer for a moment, and what it said is remembered for another.
        let two = "/recordings/two/media";
        assert!(server.wait_until(PATIENCE, |server| server.get(two).problem() == "keys-unavailable"));
        self.take(two, &server.get(two));
        self.show("log of a server without a database", server.log_bytes());
        drop(server);
        self.others.push(copy);
        self.refused_elsewhere(&["keys", "list"], &[]);
    }

    /// Everything that was shown, and everything that lies on the disk and is not itself a file of keys.
    fn assert_nothing_shows(mut self) {
        let pid = self.server.as_ref().expect("it runs").pid();
        let cmdline = fs::read(format!("/proc/{pid}/cmdline")).expect("it runs");
        assert!(!cmdline.is_empty());
        self.show("/proc/PID/cmdline", cmdline);
        // Only root can read it.
        self.show("/proc/PID/environ", fs::read(format!("/proc/{pid}/environ")).unwrap_or_default());
        let wal = self.system.data_dir().join("sealtape.db-wal");
        assert!(wal.exists(), "the database is looked at while it is open, too");
        self.learn_definition_keys();
        self.learn_file_keys();

        let mut key_files = Vec::new();
        let systems = [&self.system].into_iter().chain(&self.others);
        for file in systems.flat_map(|system| files_below(&system.path(""))).collect::<Vec<_>>() {
            let name = file.file_name().expect("a name").to_string_lossy().into_owned();
            let is_of_keys = name.starts_with("definition.key")
                || ["token.key", "link.secrets", "passphrase"].contains(&name.as_str());
            let bytes = fs::read(&file).expect("read");
            if is_of_keys { key_files.push((name, bytes)) } else { self.show(&file.display().to_string(), bytes) }
        }
        self.end_server();

        assert!(self.secrets.count("database key") >= 3 && self.secrets.count("definition key") >= 4);
        assert!(self.secrets.count("file key") >= 12, "{}", self.secrets.count("file key"));
        let search = self.secrets.search();
        // What is looked for is what lies in the files of keys.
        for (name, bytes) in &key_files {
            assert!(!search.find(bytes).is_empty(), "{name} holds no secret that is known");
        }
        let names: BTreeSet<&str> = key_files.iter().map(|(name, _)| name.as_str()).collect();
        assert!(
            ["definition.key", "definition.key.obsolete", "token.key", "link.secrets", "passphrase"]
                .iter()
                .all(|name| names.contains(name)),
            "{names:?}"
        );
        for code in [
            "bad-request",
            "catalogue-unavailable",
            "encryption-disabled",
            "forbidden",
            "key-deactivated",
            "key-missing",
            "keys-unavailable",
            "link-expired",
            "media-missing",
            "method-not-allowed",
            "not-found",
            "precondition-failed",
            "range-not-satisfiable",
            "recording-corrupt",
            "recording-not-found",
            "unauthenticated",
            "unsupported-format",
        ] {
            assert!(self.codes.contains(code), "{code} was not provoked: {:?}", self.codes);
        }

        let (mut len, mut leaks) = (0, Vec::new());
        for (place, bytes) in &self.shown {
            len += bytes.len();
            leaks.extend(search.find(bytes).into_iter().map(|what| format!("{what}: in {place}")));
        }
        // As the program tells of one, and as Rust does before that is set up.
        let is_panic = |window: &[u8]| window == b"a panic" || window == b"panicked";
        let has_panic = |bytes: &[u8]| bytes.windows(7).chain(bytes.windows(8)).any(is_panic);
        let panics = self.shown.iter().filter(|(_, bytes)| has_panic(bytes));
        assert_eq!(
            panics.map(|(place, _)| place).collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "nothing provokes a panic"
        );
        println!(
            "{} secrets in {} forms were looked for in {} outputs and files of {} KiB",
            self.secrets.len(),
            search.len(),
            self.shown.len(),
            len >> 10
        );
        assert!(len > 1 << 20 && self.shown.len() > 300, "much was shown");
        assert!(leaks.is_empty(), "{leaks:#?}");
    }

    /// Every database key, out of an export.
    fn learn_database_keys(&mut self) {
        let out = self.system.path("learn.age");
        let _not_there_at_first = fs::remove_file(&out);
        self.done_once(&["keys", "export", "--out", path(&out)], &[("SEALTAPE_PASSPHRASE", PASSPHRASE)]);
        let export = fs::read(&out).expect("read");
        let passphrase = Zeroizing::new(PASSPHRASE.to_owned());
        let late = Timestamp::from_millis(4_000_000_000_000).expect("in range");
        self.keys = decode_export(&export, &passphrase, late).expect("opens");
        for key in &self.keys {
            self.secrets.add(format!("database key {:.8}", key.fingerprint.to_string()), key.key.expose());
            let shown = format!("{key:?} {key:#?}");
            self.shown.push(("Debug of an exported key".into(), shown.into_bytes()));
        }
    }

    /// Every definition key, out of its file.
    fn learn_definition_keys(&mut self) {
        let systems = [&self.system].into_iter().chain(&self.others);
        for file in systems.flat_map(|system| files_below(&system.data_dir())).collect::<Vec<_>>() {
            let name = file.file_name().expect("a name").to_string_lossy().into_owned();
            if name.starts_with("definition.key") {
                let line = fs::read_to_string(&file).expect("read");
                let digits = line.split(' ').nth(1).expect("a key");
                self.secrets.add(format!("definition key in {name}"), &hex::decode(digits).expect("hexadecimal"));
            }
        }
    }

    /// Every file key, unwrapped from its header, and what is derived from it.
    fn learn_file_keys(&mut self) {
        for file in self.system.media_files() {
            let header = fs::read(&file).expect("read");
            if !header.starts_with(b"\x89STP") {
                continue;
            }
            let name = file.file_name().expect("a name").to_string_lossy().into_owned();
            let fingerprint = Fingerprint(header[32..64].try_into().expect("32 bytes"));
            let key = self.keys.iter().find(|key| key.fingerprint == fingerprint).expect("a key that is known");
            let wrapped: &[u8; 40] = header[64..104].try_into().expect("40 bytes");
            let file_key: Key = unwrap_file_key(&key.key, wrapped).expect("unwraps");
            self.secrets.add(format!("file key of {name}"), file_key.expose());
            let (_, derived) = Hkdf::<Sha256>::extract(Some(&header[16..32]), file_key.expose());
            for label in ["media", "tag", "header"] {
                let mut key = [0; 32];
                derived.expand(format!("sealtape/v1/{label}").as_bytes(), &mut key).expect("short");
                self.secrets.add(format!("{label} key of {name}"), &key);
            }
        }
    }

    /// A server that says all that it can.
    fn serve(&mut self, settings: &[(&str, &str)]) {
        self.end_server();
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.envs(settings.iter().copied());
        let server = Server::start(command);
        self.show("what a server says", server.said.join("\n").into_bytes());
        self.server = Some(server);
    }

    /// Stops the server that runs, if any, and keeps what it logged.
    fn end_server(&mut self) {
        let Some(server) = self.server.take() else { return };
        server.signal("TERM");
        assert!(server.wait_until(PATIENCE, |server| TcpStream::connect(&server.address).is_err()), "it goes on");
        thread::sleep(Duration::from_millis(100));
        self.show("log of a server", server.log_bytes());
    }

    fn address(&self) -> String {
        self.server.as_ref().expect("it runs").address.clone()
    }

    fn ask(&mut self, path: &str) -> Reply {
        self.ask_with(path, &[])
    }

    fn ask_with(&mut self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let reply = get(&self.address(), path, headers);
        self.take(path, &reply);
        reply
    }

    /// Asks until the answer is that, which what was done a moment ago brings about.
    fn until(&mut self, path: &str, status: u16) {
        let server = self.server.as_ref().expect("it runs");
        assert!(server.wait_until(PATIENCE, |server| server.get(path).status == status), "{path} is not {status}");
        self.ask(path);
    }

    fn take(&mut self, what: &str, reply: &Reply) {
        let head = format!("{} {:?}", reply.status, reply.headers());
        self.show(&format!("head of {what}"), head.into_bytes());
        if reply.header("content-type") == Some("application/problem+json") && !reply.body.is_empty() {
            self.codes.insert(reply.problem());
        }
        if let Some(code) = reply.header("playback-error") {
            self.codes.insert(code.to_owned());
        }
        self.show(&format!("body of {what}"), reply.body.clone());
    }

    fn show(&mut self, place: &str, bytes: Vec<u8>) {
        self.shown.push((place.to_owned(), bytes));
    }

    /// Runs a command that must succeed, as for people and with `--json`: the document.
    fn done(&mut self, arguments: &[&str]) -> Value {
        self.done_once(arguments, &[]);
        if arguments[0] == "cat" || arguments.contains(&"import") {
            return Value::Null;
        }
        let document = self.done_once(&[arguments, &["--json"]].concat(), &[]);
        serde_json::from_slice(&document).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
    }

    fn done_once(&mut self, arguments: &[&str], settings: &[(&str, &str)]) -> Vec<u8> {
        let (is_done, output) = self.run(arguments, settings);
        assert!(is_done, "{arguments:?}: {}", String::from_utf8_lossy(&self.shown.last().expect("one").1));
        output
    }

    /// Runs a command that must fail, as for people and with `--json`.
    fn refused(&mut self, arguments: &[&str]) {
        self.refused_once(arguments, &[]);
        self.refused_once(&[arguments, &["--json"]].concat(), &[]);
    }

    fn refused_once(&mut self, arguments: &[&str], settings: &[(&str, &str)]) {
        let (is_done, _) = self.run(arguments, settings);
        assert!(!is_done, "{arguments:?} is not refused");
    }

    fn run(&mut self, arguments: &[&str], settings: &[(&str, &str)]) -> (bool, Vec<u8>) {
        let command = self.command(arguments);
        self.run_command(command, arguments, settings)
    }

    /// The same on the system that was added last.
    fn run_elsewhere(&mut self, arguments: &[&str], settings: &[(&str, &str)]) -> bool {
        let command = self.others.last().expect("another").command(arguments);
        self.run_command(command, arguments, settings).0
    }

    fn refused_elsewhere(&mut self, arguments: &[&str], settings: &[(&str, &str)]) {
        assert!(!self.run_elsewhere(arguments, settings), "{arguments:?} is not refused");
    }

    /// Runs to the end and keeps what is said.
    fn run_command(&mut self, mut command: Command, arguments: &[&str], settings: &[(&str, &str)]) -> (bool, Vec<u8>) {
        command.envs(LOUD).envs(settings.iter().copied());
        // Without a terminal nobody can be asked for a passphrase.
        let mut alone = tool("setsid");
        alone.arg("--wait").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => alone.env(name, value),
                None => alone.env_remove(name),
            };
        }
        let output = alone.stdin(Stdio::null()).output().expect("runs");
        self.show(&format!("standard output of {arguments:?}"), output.stdout.clone());
        self.show(&format!("standard error of {arguments:?}"), output.stderr);
        (output.status.success(), output.stdout)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.system.command(arguments);
        command.envs(LOUD);
        command
    }

    fn private_file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.system.path(name);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).expect("made");
        file.write_all(content.as_bytes()).expect("written");
        path
    }
}

/// An age file around any text, made with no work to speak of.
fn around(text: &str) -> Vec<u8> {
    let mut recipient = age::scrypt::Recipient::new(SecretString::from(PASSPHRASE));
    recipient.set_work_factor(2);
    let encryptor = age::Encryptor::with_recipients([&recipient as &dyn age::Recipient].into_iter()).expect("made");
    let mut writer = encryptor.wrap_output(Vec::new()).expect("wraps");
    writer.write_all(text.as_bytes()).expect("written");
    writer.finish().expect("ends")
}

fn in_database(folder: &Path, statement: &'static str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let path = folder.join("sealtape.db");
    runtime.block_on(async {
        let mut connection = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.expect("opens");
        let done = sqlx::query(statement).execute(&mut connection).await.expect("executes");
        assert!(done.rows_affected() > 0);
        connection.close().await.expect("closes");
    });
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("read").map(|entry| entry.expect("entry").path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// With every setting set, and secrets in every file that one names.
#[test]
fn the_whole_configuration_shows_no_secret() {
    let system = System::with_key();
    system.import("one", &media(1000));
    system.ok(&["link", "one"]);
    system.ok(&["token", "create", "--scope", "recordings:list", "--subject", "x", "--ttl", "1h"]);
    let data = system.data_dir();
    let read = |name: &str| fs::read_to_string(data.join(name)).expect("read");
    let mut secrets = Secrets::default();
    let definition_key = read("definition.key");
    secrets.add("definition key", &hex::decode(definition_key.split(' ').nth(1).expect("a key")).expect("hexadecimal"));
    let secret = read("link.secrets");
    let secret = secret.lines().rfind(|line| !line.starts_with('#')).expect("one");
    secrets.add("a secret of links", &hex::decode(secret.trim()).expect("hexadecimal"));
    let pem = read("token.key");
    secrets.add("the key of tokens, as its file has it", pem.lines().nth(1).expect("a line").as_bytes());
    secrets.add("the key of TLS", pem.lines().nth(1).expect("a line").as_bytes());
    let toml = format!(
        r#"
        [server]
        listen = "127.0.0.1:9000"
        admin_listen = "127.0.0.1:9001"
        public_url = "https://recordings.example"
        trusted_proxies = ["127.0.0.1"]
        tls.cert = "{data}/token.key"
        tls.key = "{data}/token.key"
        cors.allow_origins = ["https://a.example"]
        log = "json"
        [database]
        url = "sqlite://{data}/sealtape.db"
        [storage]
        url = "file://{data}/media"
        [definition_key]
        kind = "file"
        path = "{data}/definition.key"
        [auth]
        mode = "token"
        jwks = "{data}/link.secrets"
        issuer = "https://idp.example"
        audience = "sealtape"
        token_key_file = "{data}/token.key"
        link_secrets_file = "{data}/link.secrets"
        proxy.peers = ["unix"]
        [audit]
        path = "{data}/audit"
        "#,
        data = data.display()
    );
    let file = system.file("sealtape.toml", toml.as_bytes());
    let settings = Settings::load(&Source::File(file.clone()), std::iter::empty()).expect("good");
    let search = secrets.search();
    for shown in [format!("{settings:?}"), format!("{settings:#?}")] {
        assert!(shown.contains("token.key") && shown.contains("link.secrets"), "the files are named: {shown}");
        assert_eq!(search.find(shown.as_bytes()), Vec::<String>::new());
    }
    for name in ["definition.key", "link.secrets", "token.key"] {
        assert!(!search.find(read(name).as_bytes()).is_empty(), "{name} holds what is looked for");
    }
}
