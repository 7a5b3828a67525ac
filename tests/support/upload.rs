//! A recorder: sends a recording by PUT piece by piece, over HTTP/1.1 in chunks, and breaks off when it is told to.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use super::{
    Reply,
    client::{read_reply, request},
};

/// A recording on its way to a server.
pub struct Upload {
    stream: TcpStream,
}

impl Upload {
    /// Begins to send, of unknown length.
    pub fn begin(address: &str, id: &str, headers: &[(&str, &str)]) -> Self {
        Self::try_begin(address, id, headers).expect("it is taken")
    }

    /// The same; none when nobody listens there any more.
    pub fn try_begin(address: &str, id: &str, headers: &[(&str, &str)]) -> Option<Self> {
        let mut stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
        stream.set_nodelay(true).expect("set");
        let mut head = format!("PUT /recordings/{id}/media HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("Transfer-Encoding: chunked\r\n\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        Some(Self { stream })
    }

    /// Sends some of it; whether the connection took it.
    pub fn try_send(&mut self, media: &[u8]) -> bool {
        let chunk = [format!("{:x}\r\n", media.len()).as_bytes(), media, b"\r\n"].concat();
        self.stream.write_all(&chunk).is_ok()
    }

    /// Sends some of it.
    pub fn send(&mut self, media: &[u8]) {
        assert!(self.try_send(media), "the connection is cut");
    }

    /// Says that this was all, and reads the answer.
    pub fn finish(mut self) -> Reply {
        self.stream.write_all(b"0\r\n\r\n").expect("sent");
        self.reply()
    }

    /// The same; none when the connection ends without an answer.
    pub fn try_finish(mut self) -> Option<Reply> {
        self.stream.write_all(b"0\r\n\r\n").ok()?;
        self.stream.peek(&mut [0]).ok().filter(|read| *read > 0)?;
        Some(self.reply())
    }

    /// Reads an answer that comes before the end.
    pub fn reply(self) -> Reply {
        read_reply(self.stream, "PUT")
    }

    /// What came back so far, at least this much of it.
    pub fn read(&mut self, len: usize) -> Vec<u8> {
        let mut came = vec![0; len];
        self.stream.read_exact(&mut came).expect("it comes");
        came
    }
}

/// Sends a whole recording.
pub fn put(address: &str, id: &str, headers: &[(&str, &str)], media: &[u8]) -> Reply {
    request(address, "PUT", &format!("/recordings/{id}/media"), headers, media)
}
