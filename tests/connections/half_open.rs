//! Connections that stop half-way: within a handshake, within what HTTP/2 begins with, or with a ping to be answered.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use super::{SECOND, connect, read_all, serve, serve_tls};
use crate::support::{System, tool};

/// Times that never end here, so that what ends a connection is the one that a test is about.
const LONG: &str = "600s";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const PING: u8 = 6;

/// What a client of OpenSSL says first over TLS, whole.
pub fn client_hello(arguments: &[&str]) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("an address").to_string();
    let mut client = tool("openssl");
    client.args(["s_client", "-connect", &address]).args(arguments);
    client.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut client = client.spawn().expect("openssl runs");
    let (mut stream, _) = listener.accept().expect("it connects");
    let mut said = vec![0; 5];
    stream.read_exact(&mut said).expect("a record's head");
    let len = usize::from(u16::from_be_bytes([said[3], said[4]]));
    said.resize(5 + len, 0);
    stream.read_exact(&mut said[5..]).expect("the record");
    client.kill().expect("it runs");
    client.wait().expect("it ends");
    said
}

/// How long the other end takes to end the connection, whatever it says before; at most as long as reading is waited for.
fn time_to_end(mut stream: TcpStream) -> Duration {
    let begun = Instant::now();
    let (mut came, mut piece) = (0, [0; 4096]);
    loop {
        match stream.read(&mut piece) {
            Ok(read @ 1..) => came += read,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("it goes on after {came} bytes"),
            Ok(0) | Err(_) => return begun.elapsed(),
        }
    }
}

#[test]
fn a_handshake_that_stops_half_way_is_cut() {
    let system = System::with_key();
    let settings = [
        ("TIMEOUTS__HANDSHAKE", "1s"),
        ("TIMEOUTS__HEADERS", LONG),
        ("TIMEOUTS__IDLE", LONG),
        ("TIMEOUTS__WRITE", LONG),
    ];
    let server = serve_tls(&system, &settings);
    let hello = client_hello(&[]);
    // Before a word, within the first, and after the server's answer, to which nothing is said.
    let stopped = [0, hello.len() / 2, hello.len()].map(|len| {
        let mut stream = connect(&server);
        stream.write_all(&hello[..len]).expect("sent");
        stream
    });
    let times = stopped.map(time_to_end);
    println!("after {times:?}");
    // The second began with the first, of which it was waited for.
    assert!(times[0] >= SECOND / 2 && times.iter().sum::<Duration>() < 15 * SECOND, "{times:?}");
}

#[test]
fn half_of_what_http2_begins_with_is_cut() {
    let system = System::with_key();
    let settings = [("TIMEOUTS__HEADERS", "1s"), ("TIMEOUTS__IDLE", LONG), ("TIMEOUTS__WRITE", LONG)];
    let server = serve(&system, &settings);
    let settings_frame = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1];
    let beginnings = [PREFACE[..20].to_vec(), PREFACE.to_vec(), [PREFACE, &settings_frame[..10]].concat()];
    let stopped = beginnings.map(|beginning| {
        let mut stream = connect(&server);
        stream.write_all(&beginning).expect("sent");
        stream
    });
    let times = stopped.map(time_to_end);
    println!("after {times:?}");
    assert!(times[0] >= SECOND / 2 && times.iter().sum::<Duration>() < 15 * SECOND, "{times:?}");
    // Half of it and then something else is no request either.
    let mut stream = connect(&server);
    stream.write_all(&[&PREFACE[..20], b"\r\nHost: localhost\r\n\r\n"].concat()).expect("sent");
    let came = read_all(&mut stream);
    assert!(came.starts_with("HTTP/1.1 4") && came.matches("HTTP/1.1").count() == 1, "{came}");
}

/// Answers pings of HTTP/2 until so many came.
fn answer_pings(mut stream: TcpStream, count: usize) -> TcpStream {
    let mut answered = 0;
    while answered < count {
        let mut head = [0; 9];
        stream.read_exact(&mut head).expect("it goes on");
        let mut body = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
        stream.read_exact(&mut body).expect("a frame");
        if head[3] == PING && head[4] == 0 {
            head[4] = 1;
            stream.write_all(&[&head, body.as_slice()].concat()).expect("it goes on");
            answered += 1;
        }
    }
    stream
}

#[test]
fn who_answers_no_ping_is_cut_and_who_does_is_not() {
    let system = System::with_key();
    let settings = [("TIMEOUTS__WRITE", "1s"), ("TIMEOUTS__HEADERS", LONG), ("TIMEOUTS__IDLE", LONG)];
    let server = serve(&system, &settings);
    let begin = || {
        let mut stream = connect(&server);
        stream.write_all(&[PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat()).expect("sent");
        stream
    };
    let (silent, lively) = (begin(), begin());
    let lively = thread::spawn(|| answer_pings(lively, 6));
    let time = time_to_end(silent);
    println!("after {time:?}");
    // A ping after a second, and then three for its answer.
    assert!((2 * SECOND..20 * SECOND).contains(&time), "{time:?}");
    answer_pings(lively.join().expect("it is pinged and goes on"), 1);
}
