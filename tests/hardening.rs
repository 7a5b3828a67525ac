//! Keys in memory are kept from core dumps, from other processes and from the swap.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::{MetadataExt, chown},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::support::{Server, System, bare_command, media, text, tool};

/// A user whom nothing belongs to.
const NOBODY: u32 = 65534;
/// How long something may take that takes a moment.
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn a_server_dumps_no_core_and_locks_its_keys() {
    let system = System::with_key();
    let server = system.serve();
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).expect("it runs");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    let words: Vec<&str> = core.split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{core}");
    assert!(locked_kib(&server) > 0, "{}", server.log());
}

/// What belongs to root here cannot be attached to, nor its memory be read, by others of the same user.
#[test]
fn other_processes_of_the_same_user_cannot_look_into_it() {
    let user = Unprivileged::new();
    let server = user.serve("64");
    let environ = |pid: u32| PathBuf::from(format!("/proc/{pid}/environ"));
    if is_root() {
        let sleeping = Killed(user.limited("64", "sleep").arg("600").spawn().expect("sleep runs"));
        let is_theirs = server.wait_until(PATIENCE, |_| owner(&environ(sleeping.0.id())) == NOBODY);
        assert!(is_theirs, "an ordinary process belongs to its user");
        assert_eq!(owner(&environ(server.pid())), 0);
    } else {
        println!("not root: that reading is refused is looked at, not whom it belongs to");
        let refused = fs::read(environ(server.pid())).expect_err("refused");
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    }
}

#[test]
fn a_small_limit_locks_the_keys_alone() {
    let user = Unprivileged::new();
    let server = user.serve("64");
    assert_eq!(server.get("/recordings/one/media").body, media(100_000));
    assert!((1..=64).contains(&locked_kib(&server)), "{} KiB", locked_kib(&server));
    assert!(!server.log().contains("LimitMEMLOCK"), "{}", server.log());
}

#[test]
fn where_nothing_may_be_locked_it_serves_and_says_so() {
    let user = Unprivileged::new();
    let server = user.serve("0");
    assert_eq!(server.get("/recordings/one/media").body, media(100_000));
    assert_eq!(locked_kib(&server), 0);
    let says_so = server.wait_until(PATIENCE, |server| server.log().contains("LimitMEMLOCK="));
    assert!(says_so && server.log().matches("LimitMEMLOCK=").count() == 1, "{}", server.log());
}

#[test]
fn without_a_limit_everything_is_locked() {
    let user = Unprivileged::new();
    let allowed = user.limited("unlimited", "true").status().expect("sh runs").success();
    if !allowed {
        println!("SKIPPED: this machine's hard limit on locked memory cannot be lifted (ulimit -H -l)");
        return;
    }
    let server = user.serve("unlimited");
    assert_eq!(server.get("/recordings/one/media").body, media(100_000));
    // Stacks and reserves count, filled or not.
    assert!(locked_kib(&server) > 4096, "{} KiB", locked_kib(&server));
    assert!(server.peak_memory() < 64 << 20, "only what is used is filled: {} MiB", server.peak_memory() >> 20);
}

/// The program as a user who may lock no more than the limit says: root may lock all it likes.
struct Unprivileged {
    folder: TempDir,
}

impl Unprivileged {
    /// With a recording that is sealed, in a folder that this user can reach; the checkout need not be.
    fn new() -> Self {
        let user = Self { folder: tempfile::tempdir().expect("a folder") };
        // By a process of its own: a descriptor for writing that a neighbour's child held for a moment would keep the
        // copy from being run.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_sealtape")).arg(user.program()).status();
        assert!(copied.expect("cp runs").success());
        let source = user.folder.path().join("one");
        fs::write(&source, media(100_000)).expect("written");
        if is_root() {
            for path in [user.folder.path(), &source] {
                chown(path, Some(NOBODY), Some(NOBODY)).expect("given away");
            }
        }
        user.ok(&["keys", "generate"]);
        user.ok(&["import", source.to_str().expect("UTF-8")]);
        user
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("sealtape")
    }

    fn serve(&self, limit_kib: &str) -> Server {
        let mut command = self.sealtape(limit_kib);
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        Server::start(command)
    }

    fn ok(&self, arguments: &[&str]) {
        let output = self.sealtape("64").args(arguments).output().expect("it runs");
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    }

    fn sealtape(&self, limit_kib: &str) -> Command {
        let mut command = self.limited(limit_kib, self.program().to_str().expect("UTF-8"));
        for (name, value) in bare_command().get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.arg("--data-dir").arg(self.folder.path().join("data"));
        command
    }

    /// A program that becomes this very process, whose number is therefore the child's.
    fn limited(&self, limit_kib: &str, program: &str) -> Command {
        let mut command = if is_root() {
            let mut command = tool("setpriv");
            let user = NOBODY.to_string();
            command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "sh"]);
            command
        } else {
            Command::new("sh")
        };
        command.args(["-c", &format!("ulimit -l {limit_kib} && exec \"$@\""), "sh", program]);
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }
}

/// A process that ends with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _gone_already = self.0.wait();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn owner(path: &PathBuf) -> u32 {
    fs::metadata(path).expect("it runs").uid()
}

/// How much memory a server has locked.
fn locked_kib(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmLck:")).expect("VmLck");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}
