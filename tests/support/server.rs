//! A server that runs for as long as it is held.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use super::{Reply, get, text};

pub struct Server {
    child: Child,
    /// `127.0.0.1:PORT`, or the path of a socket file.
    pub address: String,
    /// Everything that it said before its address.
    pub said: Vec<String>,
    log: Arc<Mutex<Vec<u8>>>,
}

impl Server {
    /// Starts it and waits for the line with its address.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
        let log = Arc::new(Mutex::new(Vec::new()));
        let (mut stderr, kept) = (child.stderr.take().expect("piped"), Arc::clone(&log));
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(read @ 1..) = stderr.read(&mut piece) {
                kept.lock().expect("log").extend_from_slice(&piece[..read]);
            }
        });
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut said = Vec::new();
        let address = loop {
            let Some(Ok(line)) = lines.next() else {
                let _ended = child.wait();
                thread::sleep(Duration::from_millis(100));
                panic!("it did not start: {}", text(&log.lock().expect("log")));
            };
            let address = address_in(&line);
            said.push(line);
            if let Some(address) = address {
                break address;
            }
        };
        Self { child, address, said, log }
    }

    pub fn get(&self, path: &str) -> Reply {
        get(&self.address, path, &[])
    }

    pub fn get_range(&self, path: &str, range: &str) -> Reply {
        get(&self.address, path, &[("Range", range)])
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to its log so far.
    pub fn log(&self) -> String {
        text(&self.log_bytes())
    }

    /// The same, byte for byte.
    pub fn log_bytes(&self) -> Vec<u8> {
        self.log.lock().expect("log").clone()
    }

    /// That its log has `what`, or will in a moment: it is written and read a little after what it tells of.
    #[track_caller]
    pub fn assert_says(&self, what: &str) {
        let is_said = self.wait_until(Duration::from_secs(10), |server| server.log().contains(what));
        assert!(is_said, "{what} is not in its log: {}", self.log());
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Waits until `condition` holds, at most for `limit`.
    pub fn wait_until(&self, limit: Duration, mut condition: impl FnMut(&Self) -> bool) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            if condition(self) {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// The most memory that it ever held, in bytes.
    pub fn peak_memory(&self) -> u64 {
        peak_memory(self.pid()).expect("it runs")
    }

    /// What of its memory is resident now, in bytes.
    pub fn memory(&self) -> u64 {
        memory_of(self.pid(), "VmRSS:").expect("it runs")
    }

    /// Waits for it to end by itself; its exit code.
    pub fn wait(mut self) -> Option<i32> {
        self.child.wait().expect("ends").code()
    }
}

/// The address in the line that says where the recordings are.
fn address_in(line: &str) -> Option<String> {
    if line.starts_with("metrics") {
        return None;
    }
    if let Some((_, path)) = line.split_once(" unix:") {
        return Some(path.to_owned());
    }
    line.split_once("://").and_then(|(_, rest)| rest.split('/').next()).map(str::to_owned)
}

impl Drop for Server {
    fn drop(&mut self) {
        // In order first, so that the demo removes its folder.
        if matches!(self.child.try_wait(), Ok(None)) {
            signal(self.pid(), "TERM");
        }
        for _ in 0..100 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
    }
}

/// Sends a signal by name.
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().expect("kill");
    assert!(sent.success(), "kill -{name} {pid}");
}

/// The most memory that a process ever held, in bytes; none when it is gone.
pub fn peak_memory(pid: u32) -> Option<u64> {
    memory_of(pid, "VmHWM:")
}

fn memory_of(pid: u32, line: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|said| said.starts_with(line))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}
