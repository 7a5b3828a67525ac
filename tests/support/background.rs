//! Servers that tests share: where they listen, and how they end.

use std::{
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
};

/// A port that nobody listened at a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// A static is never dropped: a program that waits for this one's end runs `kill` then, and removes the folder.
#[expect(clippy::zombie_processes, reason = "it ends after this program")]
pub fn stop_at_exit(kill: &str, folder: &Path) {
    let script = format!(
        "while kill -0 {} 2>/dev/null; do sleep 1; done; {kill}; sleep 1; rm -rf '{}'",
        std::process::id(),
        folder.display()
    );
    Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a watcher");
}
