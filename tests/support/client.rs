//! An HTTP/1.1 client that sends what it is told and shows what came, cut or not.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

/// An answer, as it came.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the body ended before it should.
    pub is_cut: bool,
}

impl Reply {
    /// The value of a header; the name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// Every header, as it came.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of a problem, which header, body and status must agree on.
    pub fn problem(&self) -> String {
        let document = self.json();
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(document["status"], self.status);
        assert_eq!(document["instance"].as_str(), self.header("x-request-id"));
        let code = document["code"].as_str().expect("code").to_owned();
        assert_eq!(document["type"], format!("/problems/{code}"));
        code
    }
}

/// Sends a GET with these headers.
pub fn get(address: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    request(address, "GET", path, headers, b"")
}

/// Sends a request and reads the whole answer.
pub fn request(address: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str(&format!("Host: {address}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    send(address, method, &[head.as_bytes(), body].concat())
}

/// Sends these bytes and reads the answer until the connection ends; `method` tells whether it has a body.
pub fn send(address: &str, method: &str, request: &[u8]) -> Reply {
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
    stream.write_all(request).expect("sent");
    read_reply(stream, method)
}

pub fn read_reply(stream: TcpStream, method: &str) -> Reply {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).expect("a status line");
    let status = line.split(' ').nth(1).unwrap_or_default().parse().unwrap_or_else(|_| panic!("{line:?}"));
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a header");
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let mut reply = Reply { status, headers, body: Vec::new(), is_cut: false };
    if method == "HEAD" {
        reader.read_to_end(&mut reply.body).expect("the end");
        return reply;
    }
    if reply.header("transfer-encoding") == Some("chunked") {
        reply.is_cut = read_chunks(&mut reader, &mut reply.body).is_none();
        return reply;
    }
    let len = reply.header("content-length").map(|len| len.parse().expect("a length"));
    // A connection that is reset is one that is cut.
    let _reset_is_cut = reader.read_to_end(&mut reply.body);
    reply.is_cut = len.is_some_and(|len: usize| reply.body.len() != len);
    reply
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> Option<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let len = usize::from_str_radix(line.trim(), 16).ok()?;
        let start = body.len();
        body.resize(start + len, 0);
        reader.read_exact(&mut body[start..]).ok()?;
        reader.read_line(&mut line).ok()?;
        if len == 0 {
            return Some(());
        }
    }
}
