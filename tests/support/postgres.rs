//! A PostgreSQL server of its own, from Debian's programs: in a folder, on a free port of the loopback, as an ordinary
//! user.

use std::{
    fs::{self, Permissions},
    io::Write,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;

use super::{
    background::{free_port, stop_at_exit},
    text, tool,
};

/// Where Debian keeps the programs.
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
/// The user that the server runs as where the tests run as root: the server refuses to.
const NOBODY: u32 = 65534;
/// Who may do everything there, and the database that is his. Nobody but the tests is ever him.
const ADMINISTRATOR: &str = "postgres";
/// Whom the program is: he owns its databases, and no more.
const USER: &str = "sealtape";
/// Asked for by every connection, and so looked for wherever it must not be.
pub const PASSWORD: &str = "pg-s3cret-of-the-test";

/// A server that is stopped when it is dropped.
pub struct Postgres {
    folder: TempDir,
    port: u16,
}

impl Postgres {
    /// A server for tests that only need databases: started once, and used by all of them.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| {
            let server = Self::start();
            stop_at_exit(&format!("kill -QUIT {}", server.pid().expect("it runs")), server.folder.path());
            server
        })
    }

    /// A server of one's own, to be stopped and started.
    pub fn start() -> Self {
        // A short path: a socket's may have 107 bytes.
        let folder = tempfile::Builder::new().prefix("st-pg-").tempdir_in("/tmp").expect("a folder");
        let server = Self { folder, port: free_port() };
        give_away(server.folder.path());
        let password = server.folder.path().join("password");
        fs::write(&password, PASSWORD).expect("written");
        give_away(&password);
        // A collation that orders otherwise than bytes do, as most have it.
        let mut initdb = server.program("initdb");
        initdb.args(["--username", ADMINISTRATOR, "--auth", "scram-sha-256", "--encoding", "UTF8", "--no-sync"]);
        initdb.args(["--locale-provider", "icu", "--icu-locale", "de", "--pwfile"]).arg(&password);
        run(initdb.arg("--pgdata").arg(server.data()));
        let settings = format!(
            "port = {}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\nfsync = off\n\
             max_connections = 200\nshared_buffers = 32MB\nlog_min_messages = warning\n",
            server.port,
            server.folder.path().display()
        );
        let path = server.data().join("postgresql.conf");
        let old = fs::read_to_string(&path).expect("read");
        fs::write(path, old + &settings).expect("written");
        server.resume();
        server.user(USER);
        server
    }

    /// Makes a user who may log in, and nothing else.
    pub fn user(&self, name: &str) {
        self.execute(ADMINISTRATOR, &format!("CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'"));
    }

    /// Starts it again.
    pub fn resume(&self) {
        let log = self.folder.path().join("log");
        run(self
            .program("pg_ctl")
            .args(["start", "--wait", "--silent"])
            .arg("--log")
            .arg(log)
            .arg("-D")
            .arg(self.data()));
    }

    /// Starts it again at another port: the same data, behind another address.
    pub fn resume_elsewhere(&mut self) {
        self.listen_at(free_port());
        self.resume();
    }

    fn listen_at(&mut self, port: u16) {
        self.port = port;
        let path = self.data().join("postgresql.conf");
        let old = fs::read_to_string(&path).expect("read");
        fs::write(path, format!("{old}port = {port}\n")).expect("written");
    }

    /// A copy that follows this one, and can only be read until it is promoted.
    pub fn standby(&self) -> Self {
        let folder = tempfile::Builder::new().prefix("st-pg-").tempdir_in("/tmp").expect("a folder");
        let mut copy = Self { folder, port: 0 };
        give_away(copy.folder.path());
        let mut backup = copy.program("pg_basebackup");
        backup.args(["--write-recovery-conf", "--checkpoint", "fast", "--no-sync", "--dbname"]);
        backup.arg(self.url_of(ADMINISTRATOR, ADMINISTRATOR));
        run(backup.arg("--pgdata").arg(copy.data()));
        let sockets = format!("unix_socket_directories = '{}'\n", copy.folder.path().display());
        let mut settings = fs::File::options().append(true).open(copy.data().join("postgresql.conf")).expect("opens");
        settings.write_all(sockets.as_bytes()).expect("written");
        copy.listen_at(free_port());
        copy.resume();
        copy
    }

    /// Makes a standby a server of its own.
    pub fn promote(&self) {
        run(self.program("pg_ctl").args(["promote", "--wait", "--silent"]).arg("-D").arg(self.data()));
    }

    /// Stops it at once, whoever is connected.
    pub fn stop(&self) {
        run(self.program("pg_ctl").args(["stop", "--wait", "--silent", "--mode", "fast"]).arg("-D").arg(self.data()));
    }

    /// Has it stand still, connections and all, as if its machine were gone; or go on.
    pub fn stand_still(&self, is_still: bool) {
        let signal = if is_still { "-STOP" } else { "-CONT" };
        let Some(pid) = self.pid() else { return };
        let children = tool("pgrep").args(["-P", &pid]).output().expect("runs");
        // Some of them may end meanwhile.
        let children = text(&children.stdout);
        let _done =
            Command::new("kill").arg(signal).arg(&pid).args(children.split_whitespace()).output().expect("runs");
    }

    fn pid(&self) -> Option<String> {
        let pid = fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        pid.lines().next().map(str::to_owned)
    }

    /// Has it speak TLS with a certificate for `localhost`, and nothing else; the certificate.
    pub fn speak_tls(&self) -> PathBuf {
        let (certificate, key) = (self.folder.path().join("server.crt"), self.folder.path().join("server.key"));
        let mut openssl = tool("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
        openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE", "-out"]);
        run(openssl.arg(&certificate).arg("-keyout").arg(&key));
        for path in [&certificate, &key] {
            fs::set_permissions(path, Permissions::from_mode(0o600)).expect("set");
            give_away(path);
        }
        self.execute(ADMINISTRATOR, &format!("ALTER SYSTEM SET ssl_cert_file = '{}'", certificate.display()));
        self.execute(ADMINISTRATOR, &format!("ALTER SYSTEM SET ssl_key_file = '{}'", key.display()));
        self.execute(ADMINISTRATOR, "ALTER SYSTEM SET ssl = on");
        let access = self.data().join("pg_hba.conf");
        fs::write(&access, "hostssl all all 127.0.0.1/32 scram-sha-256\n").expect("written");
        self.stop();
        self.resume();
        certificate
    }

    /// The port at which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// An empty database of the program's, by the URL of its name.
    pub fn database(&self, name: &str) -> String {
        let statement = format!("CREATE DATABASE \"{name}\" OWNER {USER}");
        self.execute(ADMINISTRATOR, &statement);
        self.url(name)
    }

    pub fn url(&self, name: &str) -> String {
        self.url_of(USER, name)
    }

    /// The URL of a database for that user.
    pub fn url_of(&self, user: &str, name: &str) -> String {
        url_of(user, self.port, name)
    }

    /// Runs a statement in a database as the program, who owns it; in `postgres`, as who may do everything.
    pub fn execute(&self, database: &str, statement: &str) {
        let statement = statement.to_owned();
        self.connected(database, async |connection| {
            connection.execute(AssertSqlSafe(statement)).await.expect("executes");
        });
    }

    /// The number that a query answers with.
    pub fn count(&self, database: &str, query: &str) -> i64 {
        let query = query.to_owned();
        self.connected(database, async |connection| {
            let answer = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(connection).await;
            answer.expect("a number")
        })
    }

    /// The text that a query answers with.
    pub fn text(&self, database: &str, query: &str) -> String {
        let query = query.to_owned();
        self.connected(database, async |connection| {
            let answer = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(connection).await;
            answer.expect("a text")
        })
    }

    fn connected<T: Send + 'static>(
        &self,
        database: &str,
        work: impl AsyncFnOnce(&mut PgConnection) -> T + Send + 'static,
    ) -> T {
        let url = self.url_of(if database == ADMINISTRATOR { ADMINISTRATOR } else { USER }, database);
        // On a thread of its own, for whoever calls may be within a runtime already.
        let done = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let mut connection = PgConnection::connect(&url).await.expect("connects");
                let outcome = work(&mut connection).await;
                connection.close().await.expect("closes");
                outcome
            })
        });
        done.join().expect("done")
    }

    /// What the server wrote to its log.
    pub fn log(&self) -> String {
        fs::read(self.folder.path().join("log")).map(|log| text(&log)).unwrap_or_default()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn program(&self, name: &str) -> Command {
        let path = Path::new(PROGRAMS).join(name);
        assert!(path.exists(), "{} is missing: `tests/run` installs what the tests need", path.display());
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = tool("setpriv");
            command.args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        command.current_dir(self.folder.path()).env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stand_still(false);
        let mut stop = self.program("pg_ctl");
        let _may_be_stopped =
            stop.args(["stop", "--wait", "--silent", "--mode", "immediate"]).arg("-D").arg(self.data()).output();
    }
}

/// The URL of a database behind a port of the loopback.
pub fn url(port: u16, name: &str) -> String {
    url_of(USER, port, name)
}

fn url_of(user: &str, port: u16, name: &str) -> String {
    format!("postgres://{user}:{PASSWORD}@127.0.0.1:{port}/{name}?sslmode=disable")
}

/// To the user that the server runs as.
fn give_away(path: &Path) {
    if rustix::process::geteuid().is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("given away");
    }
}

fn run(command: &mut Command) {
    let begun = Instant::now();
    // What is left running holds no pipe of this process's.
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("runs");
    assert!(status.success(), "{command:?} after {:?}", begun.elapsed().min(Duration::from_secs(600)));
}
