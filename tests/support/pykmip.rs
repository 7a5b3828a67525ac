//! A key manager that speaks KMIP: PyKMIP in a folder of its own, on a free port of the loopback, with certificates that
//! were made for it. `tests/run` installs it.

use std::{
    fs::{self, Permissions},
    net::TcpStream,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    background::{free_port, stop_at_exit},
    text, tool,
};

/// How long it may take to begin, on a machine that does much else.
const BEGINS_WITHIN: Duration = Duration::from_secs(60);

/// A server that is stopped when it is dropped.
pub struct PyKmip {
    folder: TempDir,
    pub port: u16,
    child: Mutex<Option<Child>>,
    /// What is changed in it before it runs, in Python.
    patch: &'static str,
}

/// Has it do AES-GCM as if there were no associated data.
const NO_ASSOCIATED_DATA: &str = "
from kmip.services.server.crypto.engine import CryptographyEngine as Engine
def without(work):
    return lambda *a, auth_additional_data=None, **named: work(*a, **named)
Engine._encrypt_symmetric = without(Engine._encrypt_symmetric)
Engine._decrypt_symmetric = without(Engine._decrypt_symmetric)
";

impl PyKmip {
    /// A server for tests that only need keys: started once, and used by all of them.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<PyKmip> = OnceLock::new();
        SHARED.get_or_init(|| {
            let server = Self::start();
            let group = server.child.lock().expect("whole").as_ref().expect("it runs").id();
            // As the shell has it, which knows no `--` there.
            stop_at_exit(&format!("kill -KILL -{group}"), server.folder.path());
            server
        })
    }

    /// A server of one's own, to be stopped and started.
    pub fn start() -> Self {
        Self::patched("")
    }

    /// The same, which does not heed associated data: what it encrypted with some it decrypts with other.
    pub fn without_associated_data() -> Self {
        Self::patched(NO_ASSOCIATED_DATA)
    }

    fn patched(patch: &'static str) -> Self {
        let folder = tempfile::Builder::new().prefix("st-kmip-").tempdir_in("/tmp").expect("a folder");
        let server = Self { port: free_port(), folder, child: Mutex::default(), patch };
        let authority = server.authority("authority");
        authority.issue("server", "DNS:localhost,IP:127.0.0.1", 30);
        authority.issue("client", "", 30);
        fs::create_dir(server.path("policies")).expect("made");
        let path = |name: &str| server.path(name).display().to_string();
        let settings = format!(
            "[server]\nhostname=127.0.0.1\nport={}\ncertificate_path={}\nkey_path={}\nca_path={}\nauth_suite=TLS1.2\n\
             policy_path={}\nenable_tls_client_auth=True\nlogging_level=INFO\ndatabase_path={}\n",
            server.port,
            path("server.pem"),
            path("server.key"),
            path("authority.pem"),
            path("policies"),
            path("keys.db"),
        );
        fs::write(server.path("server.conf"), settings).expect("written");
        server.resume();
        server
    }

    /// Starts it again.
    pub fn resume(&self) {
        let mut command = Command::new(program("python"));
        let main = "from kmip.services.server.server import main\nmain()";
        command.args(["-W", "ignore", "-c", &format!("{}\n{main}", self.patch)]);
        command.arg("-f").arg(self.path("server.conf")).arg("-l").arg(self.path("server.log"));
        let said = fs::File::create(self.path("server.out")).expect("made");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        // It starts others beside it, and they are stopped with it.
        let mut child = command.process_group(0).spawn().expect("PyKMIP runs: `tests/run` installs it");
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let is_over = child.try_wait().expect("asked").is_some() || begun.elapsed() > BEGINS_WITHIN;
            assert!(!is_over, "{}", fs::read_to_string(self.path("server.out")).unwrap_or_default());
            thread::sleep(Duration::from_millis(50));
        }
        *self.child.lock().expect("whole") = Some(child);
    }

    /// Kills it where it stands.
    pub fn kill(&self) {
        if let Some(mut child) = self.child.lock().expect("whole").take() {
            let group = Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]).status();
            assert!(group.expect("kill").success());
            child.wait().expect("ends");
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The authority that the server trusts, and that its own certificate is of.
    pub fn own_authority(&self) -> Authority {
        Authority { folder: self.folder.path().to_owned(), name: "authority".into() }
    }

    /// An authority whose certificates lie beside the server's.
    pub fn authority(&self, name: &str) -> Authority {
        Authority::new(self.folder.path(), name)
    }

    /// Settings of a system whose definition key lies here, in that mode, by that name.
    pub fn settings(&self, mode: &str, name: &str) -> Vec<(String, String)> {
        let path = |name: &str| self.path(name).display().to_string();
        [
            ("KIND", "kmip".to_owned()),
            ("KMIP__ENDPOINTS", format!("127.0.0.1:{}", self.port)),
            ("KMIP__CA", path("authority.pem")),
            ("KMIP__CERT", path("client.pem")),
            ("KMIP__KEY", path("client.key")),
            ("KMIP__MODE", mode.to_owned()),
            ("KMIP__NAME", name.to_owned()),
        ]
        .into_iter()
        .map(|(key, value)| (format!("SEALTAPE_DEFINITION_KEY__{key}"), value))
        .collect()
    }

    /// What its own client says in answer to some lines of Python, as an administrator with our certificate: `c` is the
    /// client, `id_of(name)` finds a key.
    pub fn administer(&self, lines: &str) -> String {
        let script = format!(
            "from kmip.pie.client import ProxyKmipClient\nfrom kmip.pie import objects\nfrom kmip import enums\n\
             from kmip.core.factories.attributes import AttributeFactory\n\
             def id_of(name):\n    a = AttributeFactory().create_attribute(enums.AttributeType.NAME, name)\n    \
             return c.locate(attributes=[a])[0]\n\
             with ProxyKmipClient(hostname='127.0.0.1', port={}, cert='client.pem', key='client.key', \
             ca='authority.pem', ssl_version='PROTOCOL_TLSv1_2', kmip_version=enums.KMIPVersion.KMIP_1_4) as c:\n",
            self.port
        );
        let indented: String = lines.lines().map(|line| format!("    {line}\n")).collect();
        let path = self.path("administer.py");
        let script = script + &indented;
        let output: Output = Command::new(program("python"))
            .args(["-W", "ignore", "-c", &script])
            .current_dir(self.folder.path())
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(output.status.success(), "{lines}: {}", text(&output.stderr));
        text(&output.stdout).trim().to_owned()
    }

    /// Puts a key there that is known, and may be used.
    pub fn register(&self, name: &str, key: &[u8; 32]) -> String {
        self.administer(&format!(
            "k = objects.SymmetricKey(enums.CryptographicAlgorithm.AES, 256, bytes.fromhex('{}'), \
             masks=[enums.CryptographicUsageMask.ENCRYPT, enums.CryptographicUsageMask.DECRYPT], name='{name}')\n\
             i = c.register(k)\nc.activate(i)\nprint(i)",
            hex::encode(key)
        ))
    }
}

impl Drop for PyKmip {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A name that no other key has.
pub fn key_name() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("key-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// An authority that signs certificates.
pub struct Authority {
    folder: PathBuf,
    name: String,
}

impl Authority {
    fn new(folder: &Path, name: &str) -> Self {
        let authority = Self { folder: folder.to_owned(), name: name.to_owned() };
        authority.make_key(name);
        let subject = format!("/CN={name}");
        let (key, cert) = (format!("{name}.key"), format!("{name}.pem"));
        authority.openssl(&["req", "-x509", "-new", "-key", &key, "-days", "30", "-subj", &subject, "-out", &cert]);
        authority
    }

    /// `NAME.pem` and `NAME.key`: of a server where other names are given that it has, else of a client. With a negative
    /// number of days it has run out.
    pub fn issue(&self, name: &str, other_names: &str, days: i32) {
        self.make_key(name);
        let (key, cert, request) = (format!("{name}.key"), format!("{name}.pem"), format!("{name}.csr"));
        self.openssl(&["req", "-new", "-key", &key, "-subj", &format!("/CN={name}"), "-out", &request]);
        let extensions = if other_names.is_empty() {
            "extendedKeyUsage=clientAuth\n".to_owned()
        } else {
            format!("extendedKeyUsage=serverAuth\nsubjectAltName={other_names}\n")
        };
        let file = format!("{name}.extensions");
        fs::write(self.folder.join(&file), extensions).expect("written");
        let (ca, ca_key) = (format!("{}.pem", self.name), format!("{}.key", self.name));
        let by = ["x509", "-req", "-in", &request, "-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial"];
        let days = days.to_string();
        let with = ["-days", &days, "-extfile", &file, "-out", &cert];
        self.openssl(&[&by[..], &with].concat());
    }

    /// ECDSA: what PyKMIP and rustls have in common.
    fn make_key(&self, name: &str) {
        let key = format!("{name}.key");
        self.openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &key]);
        fs::set_permissions(self.folder.join(key), Permissions::from_mode(0o600)).expect("set");
    }

    fn openssl(&self, arguments: &[&str]) {
        let output = tool("openssl").args(arguments).current_dir(&self.folder).output().expect("runs");
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    }
}

/// A TLS server that shows a certificate of [`PyKmip`]'s folder, says some bytes to everybody, and no more.
pub struct TlsServer {
    child: Child,
    pub port: u16,
}

impl TlsServer {
    pub fn start(server: &PyKmip, certificate: &str, says: &[u8]) -> Self {
        let port = free_port();
        let said = server.path(&format!("said-{port}"));
        fs::write(&said, says).expect("written");
        let address = format!("127.0.0.1:{port}");
        // What it says comes first; then its end is held open.
        let script = format!(
            "(cat '{}'; sleep 60) | openssl s_server -quiet -accept {address} -cert {certificate}.pem -key {certificate}.key",
            said.display()
        );
        let _there = tool("openssl");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).current_dir(server.folder.path()).process_group(0);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("runs");
        let begun = Instant::now();
        while !is_listened_at(port) {
            assert!(begun.elapsed() < BEGINS_WITHIN, "it does not begin");
            thread::sleep(Duration::from_millis(20));
        }
        Self { child, port }
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        let group = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.child.id())]).status();
        assert!(group.expect("kill").success());
        let _ended = self.child.wait();
    }
}

/// Whether somebody listens there, without connecting: some serve one connection alone.
fn is_listened_at(port: u16) -> bool {
    let wanted = format!("0100007F:{port:04X} 00000000:0000 0A");
    fs::read_to_string("/proc/net/tcp").expect("read").lines().any(|line| line.contains(&wanted))
}

fn program(name: &str) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cache"));
    cache.join("sealtape/tools/pykmip/bin").join(name)
}
