//! Playing over a real socket: one player of a long recording, and ranges, with the server in its own process.

#![allow(missing_docs, clippy::expect_used, clippy::panic, reason = "a benchmark that fails should stop")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const LEN: usize = 64 << 20;

struct Server {
    child: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let media = folder.path().join("long.bin");
        let content: Vec<u8> = (0_u32..).flat_map(u32::to_be_bytes).take(LEN).collect();
        std::fs::write(&media, content).expect("written");
        let command = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_sealtape"));
            command.arg("--data-dir").arg(folder.path().join("data")).stderr(Stdio::null());
            command
        };
        for arguments in [&["keys", "generate"][..], &["import", media.to_str().expect("UTF-8")]] {
            assert!(command().args(arguments).stdout(Stdio::null()).status().expect("runs").success());
        }
        let mut child =
            command().args(["serve", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().expect("runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("an address");
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
        Self { child, address: address.to_owned(), _folder: folder }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
    }
}

/// One connection that is kept.
struct Player {
    stream: BufReader<TcpStream>,
    piece: Vec<u8>,
}

impl Player {
    fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("connects");
        stream.set_nodelay(true).expect("set");
        Self { stream: BufReader::with_capacity(16 << 10, stream), piece: vec![0; 256 << 10] }
    }

    /// Asks for a range and reads all of it; the number of bytes.
    fn play(&mut self, first: usize, len: usize) -> usize {
        let last = first + len - 1;
        let request =
            format!("GET /recordings/long/media HTTP/1.1\r\nHost: localhost\r\nRange: bytes={first}-{last}\r\n\r\n");
        self.stream.get_mut().write_all(request.as_bytes()).expect("sent");
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).expect("a head");
            if line == "\r\n" {
                break;
            }
            assert!(!line.starts_with("HTTP/1.1 ") || line.starts_with("HTTP/1.1 206"), "{line}");
        }
        let mut left = len;
        while left > 0 {
            let want = left.min(self.piece.len());
            let read = self.stream.read(&mut self.piece[..want]).expect("reads");
            assert!(read > 0, "cut");
            left -= read;
        }
        len
    }
}

fn playback(criterion: &mut Criterion) {
    let server = Server::start();
    let mut player = Player::connect(&server.address);
    let mut group = criterion.benchmark_group("playback");
    for len in [4 << 10, 64 << 10, 1 << 20, LEN] {
        group.throughput(Throughput::Bytes(len as u64));
        if len == LEN {
            group.sample_size(20);
        }
        let mut first = 0;
        group.bench_function(BenchmarkId::new("range", len), |bencher| {
            bencher.iter(|| {
                // A stride that meets every alignment.
                first = (first + 7_654_321) % (LEN - len + 1);
                player.play(first, len)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, playback);
criterion_main!(benches);
