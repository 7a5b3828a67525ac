//! A way to an object store that can be made bad: slow, refusing, cutting, short, or changing what it carries.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// What becomes of an answer to a request that reads a range of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Another answer: 500 or 503.
    Status(u16),
    /// Every second answer is 503.
    Flaky,
    /// The body ends half-way, with the connection.
    Cut,
    /// The body ends half-way, and says that this is all of it.
    Short,
    /// A bit in the middle of the body is another one.
    Flip,
    /// It comes late.
    Delay(Duration),
}

/// A proxy before one address.
pub struct FaultyWay {
    pub address: String,
    shared: Arc<Shared>,
}

struct Shared {
    to: String,
    fault: std::sync::Mutex<Fault>,
    answers: AtomicUsize,
    is_over: AtomicBool,
}

impl FaultyWay {
    pub fn to(address: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let way = listener.local_addr().expect("an address").to_string();
        let shared = Arc::new(Shared {
            to: address.to_owned(),
            fault: Fault::None.into(),
            answers: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                if serving.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let (client, shared) = (client.expect("a client"), Arc::clone(&serving));
                // A client that goes away in the middle is none of its business.
                thread::spawn(move || shared.serve(&client));
            }
        });
        Self { address: way, shared }
    }

    pub fn set(&self, fault: Fault) {
        *self.shared.fault.lock().expect("whole") = fault;
    }

    /// Answers to range requests that went through, or should have.
    pub fn answers(&self) -> usize {
        self.shared.answers.load(Ordering::Relaxed)
    }
}

impl Drop for FaultyWay {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let _wakes_it = TcpStream::connect(&self.address);
    }
}

impl Shared {
    fn serve(&self, client: &TcpStream) -> std::io::Result<()> {
        let mut from = BufReader::new(client.try_clone()?);
        loop {
            let head = head(&mut from)?;
            let mut body = vec![0; content_length(&head)];
            from.read_exact(&mut body)?;
            let mut store = TcpStream::connect(&self.to)?;
            store.write_all(head.replacen("\r\n", "\r\nConnection: close\r\n", 1).as_bytes())?;
            store.write_all(&body)?;
            let mut store = BufReader::new(store);
            let answer = self::head(&mut store)?;
            let mut body = Vec::new();
            if !head.starts_with("HEAD") {
                store.read_to_end(&mut body)?;
            }
            let answer = answer.replace("connection: close\r\n", "");
            // Of what was read, what comes in pieces whose lengths are told would have to be put together again.
            let is_range = head.starts_with("GET") && head.to_lowercase().contains("\r\nrange:");
            let fault = if is_range { *self.fault.lock().expect("whole") } else { Fault::None };
            let number = if is_range { self.answers.fetch_add(1, Ordering::Relaxed) } else { 0 };
            let half = body.len() / 2;
            match fault {
                Fault::None => write(client, &answer, &body)?,
                Fault::Flaky if number % 2 == 0 => write(client, &answer, &body)?,
                Fault::Status(status) => refuse(client, status)?,
                Fault::Flaky => refuse(client, 503)?,
                Fault::Cut => {
                    write(client, &answer, &body[..half])?;
                    return Ok(());
                }
                Fault::Short => {
                    let said = format!("content-length: {}", body.len());
                    write(client, &answer.replace(&said, &format!("content-length: {half}")), &body[..half])?;
                }
                Fault::Flip => {
                    if let Some(byte) = body.get_mut(half) {
                        *byte ^= 1;
                    }
                    write(client, &answer, &body)?;
                }
                Fault::Delay(time) => {
                    thread::sleep(time);
                    write(client, &answer, &body)?;
                }
            }
            if !answer.to_lowercase().contains("content-length:") && !head.starts_with("HEAD") {
                return Ok(());
            }
        }
    }
}

fn refuse(client: &TcpStream, status: u16) -> std::io::Result<()> {
    write(client, &format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n"), b"")
}

fn write(mut client: &TcpStream, head: &str, body: &[u8]) -> std::io::Result<()> {
    client.write_all(head.as_bytes())?;
    client.write_all(body)
}

fn head(from: &mut impl BufRead) -> std::io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

fn content_length(head: &str) -> usize {
    let line = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:").map(str::to_owned));
    line.and_then(|length| length.trim().parse().ok()).unwrap_or(0)
}
