//! A recorder that writes what it is told, and one who follows and keeps what came and when.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, ChildStdin, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};

use crate::support::{Server, System, signal};

const PATIENCE: Duration = Duration::from_secs(20);

/// `sealtape import -`, fed by the test.
pub struct Recorder {
    child: Child,
    stdin: Option<ChildStdin>,
    id: String,
    fed: usize,
}

impl Recorder {
    pub fn begin(system: &System, id: &str) -> Self {
        Self::begin_with(system, id, &[])
    }

    pub fn begin_with(system: &System, id: &str, arguments: &[&str]) -> Self {
        let mut command = system.command(&["import", "-", "--id", id]);
        let piped = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("runs");
        let stdin = child.stdin.take();
        Self { child, stdin, id: id.to_owned(), fed: 0 }
    }

    /// Records these bytes.
    pub fn feed(&mut self, media: &[u8]) {
        self.stdin.as_mut().expect("it goes on").write_all(media).expect("taken");
        self.fed += media.len();
    }

    /// Records what comes next of `media`, up to `end`.
    pub fn feed_up_to(&mut self, media: &[u8], end: usize) {
        let fed = self.fed;
        self.feed(&media[fed..end]);
    }

    /// Waits until a server knows so much of it.
    pub fn wait_until_written(&self, server: &Server, media_len: usize) {
        let path = format!("/recordings/{}", self.id);
        let known = || server.get(&path).json()["media_len"].as_u64().unwrap_or(0) as usize;
        assert!(server.wait_until(PATIENCE, |_| known() >= media_len), "{} of {media_len}", known());
    }

    /// The file that grows.
    pub fn file(&self, system: &System) -> PathBuf {
        let name = format!("{}.sealed.part", self.id);
        system.media_files().into_iter().find(|file| file.ends_with(&name)).expect("it is there")
    }

    /// There is nothing more to record.
    pub fn end(mut self) {
        drop(self.stdin.take());
        let mut said = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
        assert!(self.child.wait().expect("ends").success(), "{said}");
    }

    /// Ends the program by a signal.
    pub fn kill(mut self, name: &str) {
        signal(self.child.id(), name);
        self.child.wait().expect("ends");
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
    }
}

/// One who reads an answer as it comes.
pub struct Follower {
    pub status: u16,
    headers: Vec<(String, String)>,
    came: Arc<Mutex<Came>>,
    reading: JoinHandle<()>,
}

#[derive(Clone, Default)]
pub struct Came {
    pub bytes: Vec<u8>,
    /// When there were how many.
    pub times: Vec<(Instant, usize)>,
    pub has_ended: bool,
    /// Whether it ended before it should.
    pub is_cut: bool,
}

/// One whose answer is not read yet.
pub struct Unread(BufReader<TcpStream>);

impl Follower {
    pub fn begin(server: &Server, path: &str, headers: &[(&str, &str)]) -> Self {
        Self::begin_later(server, path, headers).head()
    }

    /// Asks and does not read.
    pub fn begin_later(server: &Server, path: &str, headers: &[(&str, &str)]) -> Unread {
        let stream = TcpStream::connect(&server.address).expect("connects");
        ask(stream, path, headers)
    }

    /// Asks, has little room for what comes, and does not read.
    pub fn begin_stalled(server: &Server, path: &str) -> Unread {
        let address: SocketAddr = server.address.parse().expect("an address");
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(16 << 10).expect("set");
        socket.connect(&address.into()).expect("connects");
        ask(socket.into(), path, &[])
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    pub fn has_ended(&self) -> bool {
        self.came.lock().expect("lock").has_ended
    }

    pub fn len(&self) -> usize {
        self.came.lock().expect("lock").bytes.len()
    }

    /// Waits until so many bytes came.
    pub fn wait_for(&self, len: usize) {
        let begun = Instant::now();
        while self.len() < len {
            assert!(begun.elapsed() < PATIENCE && !self.has_ended(), "{} of {len}", self.len());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until it ends, for so long at most; how long it took.
    pub fn wait_for_end(&self, limit: Duration) -> Duration {
        let begun = Instant::now();
        while !self.has_ended() {
            assert!(begun.elapsed() < limit, "it goes on, with {} bytes", self.len());
            thread::sleep(Duration::from_millis(10));
        }
        begun.elapsed()
    }

    /// All that came, once it ended.
    pub fn into_end(self) -> Came {
        self.reading.join().expect("read");
        self.came.lock().expect("lock").clone()
    }
}

impl Unread {
    /// Reads the head, and begins to read the rest.
    pub fn head(mut self) -> Follower {
        let mut line = || {
            let mut line = String::new();
            self.0.read_line(&mut line).expect("a line");
            line.trim_end().to_owned()
        };
        let status = line().split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let mut headers = Vec::new();
        while let Some((name, value)) = line().split_once(": ") {
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let came = Arc::new(Mutex::new(Came::default()));
        let (kept, mut reader) = (Arc::clone(&came), self.0);
        let reading = thread::spawn(move || {
            let ended = read_chunks(&mut reader, &kept);
            let mut came = kept.lock().expect("lock");
            (came.has_ended, came.is_cut) = (true, ended.is_none());
        });
        Follower { status, headers, came, reading }
    }

    /// Reads everything now.
    pub fn resume(self) -> Came {
        self.head().into_end()
    }
}

fn ask(mut stream: TcpStream, path: &str, headers: &[(&str, &str)]) -> Unread {
    stream.set_read_timeout(Some(Duration::from_secs(120))).expect("set");
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    Unread(BufReader::new(stream))
}

/// Reads an answer of HTTP/1.0, whose end is the connection's: its body, and whether that was an end in order.
pub fn read_until_close(server: &Server, path: &str) -> JoinHandle<(Vec<u8>, bool)> {
    let mut stream = TcpStream::connect(&server.address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(120))).expect("set");
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).expect("sent");
    thread::spawn(move || {
        let mut came = Vec::new();
        let is_ended = stream.read_to_end(&mut came).is_ok();
        let head = came.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
        (came.split_off(head), is_ended)
    })
}

/// Keeps what comes; none when it ends before it should.
fn read_chunks(reader: &mut impl BufRead, came: &Mutex<Came>) -> Option<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let len = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut piece = vec![0; len];
        reader.read_exact(&mut piece).ok()?;
        reader.read_line(&mut line).ok()?;
        if len == 0 {
            return Some(());
        }
        let mut came = came.lock().expect("lock");
        came.bytes.extend_from_slice(&piece);
        let len = came.bytes.len();
        came.times.push((Instant::now(), len));
    }
}
