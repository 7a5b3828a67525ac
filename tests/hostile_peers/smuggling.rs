//! Requests that two servers in a row might cut apart in two ways. Here each is cut as its clause says, or refused, and
//! then nothing more is read: what was hidden in it is never taken for a request.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::support::{Server, System, media, text};

/// What is hidden: nothing but this is answered 404.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// A request as far as its body, and what is answered to it and what follows: 404 stands for what was hidden.
type Shape = (&'static str, &'static str, &'static [u16]);

/// Refused, and nothing after it is read.
const REFUSED: &[u16] = &[400];
/// A request of its own, and then another.
const BOTH: &[u16] = &[200, 404];
/// What would have hidden is body, which nobody reads.
const FIRST_ALONE: &[u16] = &[200];

const SHAPES: &[Shape] = &[
    ("no body", "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", BOTH),
    ("a body of its length", "GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", BOTH),
    (
        "chunks",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        BOTH,
    ),
    (
        "two lengths",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Length: 68\r\n\r\n",
        REFUSED,
    ),
    ("two lengths in one", "GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0, 68\r\n\r\n", REFUSED),
    ("a signed length", "GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: +0\r\n\r\n", REFUSED),
    ("a negative length", "GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", REFUSED),
    ("a length in hexadecimal", "GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0x0\r\n\r\n", REFUSED),
    (
        "a length past all numbers",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 18446744073709551616\r\n\r\n",
        REFUSED,
    ),
    ("an empty length", "GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length:\r\n\r\n", REFUSED),
    ("a space before the colon", "GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length : 5\r\n\r\nhello", REFUSED),
    (
        "a folded line",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        REFUSED,
    ),
    ("a line that begins with a space", "GET /livez HTTP/1.1\r\n Host: localhost\r\nHost: localhost\r\n\r\n", REFUSED),
    (
        "an unknown coding",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        REFUSED,
    ),
    (
        "chunked, and then not",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        REFUSED,
    ),
    (
        "chunked behind a vertical tab",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        REFUSED,
    ),
    (
        "chunked, over HTTP/1.0",
        "GET /livez HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        REFUSED,
    ),
    ("a zero in a field", "GET /livez HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n", REFUSED),
    ("a return in a field", "GET /livez HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n", REFUSED),
    (
        "a chunk of no number",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n\r\n",
        FIRST_ALONE,
    ),
    (
        "a chunk past all numbers",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n",
        FIRST_ALONE,
    ),
    (
        "a signed chunk",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n+0\r\n\r\n",
        FIRST_ALONE,
    ),
    (
        "a chunk that says 0x",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
        FIRST_ALONE,
    ),
    (
        "a chunk longer than it says",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello, world\r\n0\r\n\r\n",
        FIRST_ALONE,
    ),
    (
        "a bare line feed in an extension",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0;\n\r\n\r\n",
        FIRST_ALONE,
    ),
    (
        "a bare line feed after a chunk's length",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\n\r\n",
        FIRST_ALONE,
    ),
    (
        "an extension that is one",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5;name=\"value\"\r\nhello\r\n0\r\n\r\n",
        BOTH,
    ),
    (
        "a trailer",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 68\r\n\r\n",
        BOTH,
    ),
    // The chunks count, and after the answer the connection ends (section 6.1 of RFC 9112).
    (
        "a length and chunks",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        FIRST_ALONE,
    ),
    (
        "chunks and a length",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 73\r\n\r\n0\r\n\r\n",
        FIRST_ALONE,
    ),
    // Ends of lines that section 2.2 of RFC 9112 lets a server take for one, and that here divide what they divide.
    ("bare line feeds", "GET /livez HTTP/1.1\nHost: localhost\n\n", BOTH),
    ("two hosts", "GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: other\r\n\r\n", &[400, 404]),
    ("no host", "GET /livez HTTP/1.1\r\n\r\n", &[400, 404]),
];

#[test]
fn nothing_hidden_is_taken_for_a_request() {
    let system = System::with_key();
    let server = system.serve();
    let mut wrong = Vec::new();
    for (what, shape, expected) in SHAPES {
        let statuses = statuses(&server, format!("{shape}{HIDDEN}").as_bytes());
        if statuses != *expected {
            wrong.push(format!("{what}: {statuses:?} in the place of {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is recorded is what was framed, and never what came after it.
#[test]
fn a_recording_ends_where_its_framing_ends() {
    let system = System::with_key();
    let server = system.serve();
    let media = media(10_000);
    let head =
        "PUT /recordings/framed/media HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2710;x=y\r\n";
    let request = [head.as_bytes(), &media, b"\r\n0\r\n\r\n", HIDDEN.as_bytes()].concat();
    assert_eq!(statuses(&server, &request), [201, 404]);
    assert!(server.get("/recordings/framed/media").body == media);
    // A chunk that is cut by what is no length: what came before it is kept as unfinished, and nothing after it.
    let head = "PUT /recordings/cut/media HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2710\r\n";
    let request = [head.as_bytes(), &media, b"\r\n+5\r\nhello\r\n0\r\n\r\n", HIDDEN.as_bytes()].concat();
    let statuses = statuses(&server, &request);
    assert!(!statuses.contains(&404) && !statuses.contains(&201), "{statuses:?}");
    let shown = server.get("/recordings/cut");
    assert_eq!((shown.status, &shown.json()["state"]), (200, &"unfinished".into()), "{shown:?}");
    let kept = server.get("/recordings/cut/media").body;
    assert!(media.starts_with(&kept) && kept.len() >= 8192, "{} bytes are kept", kept.len());
}

/// The statuses of all that is answered on one connection.
fn statuses(server: &Server, bytes: &[u8]) -> Vec<u16> {
    let mut stream = TcpStream::connect(&server.address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    stream.write_all(bytes).expect("sent");
    let mut came = Vec::new();
    let _reset_is_an_end = stream.read_to_end(&mut came);
    let came = text(&came);
    let heads = came.split("HTTP/1.").skip(1);
    heads.map(|head| head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)).collect()
}
