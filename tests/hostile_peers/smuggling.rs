//! Requests that two servers in a row might cut apart in two ways. Here each is cut as its clause says, or refused, and
//! then nothing more is read: what was hidden in it is never taken for a request. What is recorded so is what was framed.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
    time::Duration,
};

use crate::support::{Server, System, media, text};

/// What is hidden: nothing but this is answered 404. Behind it comes another: if that is answered and the first is not, the
/// answer would be given to somebody else.
pub(super) const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n\
                                 GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/// What each body is, where there is one.
const BODY: &[u8] = b"hello";

/// How a request is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// To its end, with its body; what follows are others.
    Whole,
    /// To its end, and what follows is not read.
    Last,
    /// As one without a body, which a recording must have; what follows are others.
    NoBody,
    /// It is refused as soon as its head is there, and nothing more is read.
    Refused,
    /// It is refused, and what follows are others.
    Unheard,
    /// Its body breaks off, and nothing more is read. Who does not want a body has answered.
    Broken,
}

use Reading::{Broken, Last, NoBody, Refused, Unheard, Whole};

impl Reading {
    /// What is answered to a request that wants no body, and to what follows: 404 stands for what was hidden.
    fn answers(self) -> &'static [u16] {
        match self {
            Whole | NoBody => &[200, 404, 200],
            Last | Broken => &[200],
            Refused => &[400],
            Unheard => &[400, 404, 200],
        }
    }

    /// The same to one that sends a recording.
    fn answers_to_recording(self) -> &'static [u16] {
        match self {
            Whole => &[201, 404, 200],
            Last => &[201],
            Refused | Broken => &[400],
            NoBody | Unheard => &[400, 404, 200],
        }
    }
}

/// A request, with `@` in the place of method and target, and how it is read.
const SHAPES: &[(&str, &str, Reading)] = &[
    ("no body", "@ HTTP/1.1\r\nHost: localhost\r\n\r\n", NoBody),
    ("a body of its length", "@ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", Whole),
    ("chunks", "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", Last),
    ("two lengths", "@ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Length: 68\r\n\r\n", Refused),
    // As one of it (section 8.6 of RFC 9110).
    ("one length twice", "@ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", Whole),
    ("two lengths in one", "@ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0, 68\r\n\r\n", Refused),
    ("a length of two numbers", "@ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0 5\r\n\r\nhello", Refused),
    ("a signed length", "@ HTTP/1.1\r\nHost: localhost\r\nContent-Length: +5\r\n\r\nhello", Refused),
    ("a negative length", "@ HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", Refused),
    ("a length in hexadecimal", "@ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0x5\r\n\r\nhello", Refused),
    (
        "a length past all numbers",
        "@ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 18446744073709551616\r\n\r\n",
        Refused,
    ),
    ("an empty length", "@ HTTP/1.1\r\nHost: localhost\r\nContent-Length:\r\n\r\n", Refused),
    ("a space before the colon", "@ HTTP/1.1\r\nHost: localhost\r\nContent-Length : 5\r\n\r\nhello", Refused),
    (
        "a folded line",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding:\r\n chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Refused,
    ),
    ("a line that begins with a space", "@ HTTP/1.1\r\n Host: localhost\r\nHost: localhost\r\n\r\n", Refused),
    (
        "an unknown coding",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "chunked in quotes",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: \"chunked\"\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "chunked with a parameter",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked;x=y\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "chunked in capitals",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Last,
    ),
    (
        "chunked, and then not",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, identity\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "chunked, and then not, in two lines",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n\
         5\r\nhello\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "chunked, and then nothing",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked,\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "no coding and a length",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello",
        Refused,
    ),
    (
        "an empty coding and a length",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding:\r\nContent-Length: 5\r\n\r\nhello",
        Refused,
    ),
    (
        "chunked behind a vertical tab",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: \x0bchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "chunked, over HTTP/1.0",
        "@ HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Refused,
    ),
    ("a zero in a field", "@ HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n", Refused),
    ("a return in a field", "@ HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n", Refused),
    (
        "a return for the end of a line",
        "@ HTTP/1.1\r\nHost: localhost\r\nX: y\rContent-Length: 5\r\n\r\nhello",
        Refused,
    ),
    (
        "a return for the end of the first line",
        "@ HTTP/1.1\rHost: localhost\r\nContent-Length: 5\r\n\r\nhello",
        Refused,
    ),
    ("returns for all ends of lines", "@ HTTP/1.1\rHost: localhost\rContent-Length: 5\r\rhello", Refused),
    ("a return for the end of the head", "@ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\rhello", Refused),
    ("two returns for one", "@ HTTP/1.1\r\nHost: localhost\r\r\nContent-Length: 5\r\n\r\nhello", Refused),
    (
        "a chunk of no number",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n\r\n",
        Broken,
    ),
    (
        "a chunk of nothing",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n\r\n\r\n",
        Broken,
    ),
    (
        "a chunk past all numbers",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n10000000000000000\r\n\r\n",
        Broken,
    ),
    (
        "a signed chunk",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n+0\r\n\r\n",
        Broken,
    ),
    (
        "a negative chunk",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n-1\r\n\r\n",
        Broken,
    ),
    (
        "a chunk that says 0x",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0x0\r\n\r\n",
        Broken,
    ),
    (
        "a chunk behind a space",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n 5\r\nhello\r\n0\r\n\r\n",
        Broken,
    ),
    (
        "a chunk longer than it says",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello, world\r\n0\r\n\r\n",
        Broken,
    ),
    (
        "a chunk with another end",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
        Broken,
    ),
    (
        "a chunk without an end",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n",
        Broken,
    ),
    (
        "a bare line feed after a chunk",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n",
        Broken,
    ),
    (
        "a bare return after a chunk",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r0\r\n\r\n",
        Broken,
    ),
    (
        "a bare return after a chunk's length",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\rhello\r\n0\r\n\r\n",
        Broken,
    ),
    (
        "a bare line feed after a chunk's length",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\n\r\n",
        Broken,
    ),
    (
        "bare line feeds for the end of chunks",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\n\n",
        Broken,
    ),
    (
        "a bare line feed in an extension",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0;\n\r\n\r\n",
        Broken,
    ),
    (
        "a bare return at the end of chunks",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\rX",
        Broken,
    ),
    (
        "an extension that is one",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5;name=\"value\"\r\nhello\r\n0\r\n\r\n",
        Last,
    ),
    (
        "a trailer",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 68\r\n\r\n",
        Last,
    ),
    // The chunks count, and after the answer the connection ends (section 6.1 of RFC 9112).
    (
        "a length and chunks",
        "@ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Last,
    ),
    (
        "chunks and a length",
        "@ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 83\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Last,
    ),
    // Ends of lines that section 2.2 of RFC 9112 lets a server take for one, and that here divide what they divide.
    ("bare line feeds", "@ HTTP/1.1\nHost: localhost\n\n", NoBody),
    ("bare line feeds and a length", "@ HTTP/1.1\nHost: localhost\nContent-Length: 5\n\nhello", Whole),
    (
        "bare line feeds and chunks",
        "@ HTTP/1.1\nHost: localhost\nTransfer-Encoding: chunked\n\n5\r\nhello\r\n0\r\n\r\n",
        Last,
    ),
    ("one bare line feed before a length", "@ HTTP/1.1\r\nHost: localhost\nContent-Length: 5\r\n\r\nhello", Whole),
    (
        "a bare line feed for the end of the head",
        "@ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\nhello",
        Whole,
    ),
    ("two hosts", "@ HTTP/1.1\r\nHost: localhost\r\nHost: other\r\n\r\n", Unheard),
    ("no host", "@ HTTP/1.1\r\n\r\n", Unheard),
];

/// A server that does not wait for long for what might follow.
pub(super) fn serve(system: &System) -> Server {
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("SEALTAPE_SERVER__TIMEOUTS__IDLE", "2s");
    Server::start(command)
}

#[test]
fn nothing_hidden_is_taken_for_a_request() {
    let system = System::with_key();
    let server = serve(&system);
    let mut wrong = Vec::new();
    for (what, shape, reading) in SHAPES {
        let request = shape.replace('@', "GET /livez") + HIDDEN;
        let statuses = statuses(&server, request.as_bytes());
        if statuses != reading.answers() {
            wrong.push(format!("{what}: {statuses:?} in the place of {:?}", reading.answers()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_recorded_is_what_was_framed() {
    let system = System::with_key();
    let server = serve(&system);
    let mut wrong = Vec::new();
    for (number, (what, shape, reading)) in SHAPES.iter().enumerate() {
        let request = shape.replace('@', &format!("PUT /recordings/shape-{number}/media")) + HIDDEN;
        let statuses = statuses(&server, request.as_bytes());
        let kept = server.get(&format!("/recordings/shape-{number}/media"));
        let kept = (kept.status == 200).then_some(kept.body);
        let expected = matches!(reading, Whole | Last).then(|| BODY.to_vec());
        if statuses != reading.answers_to_recording() || kept != expected {
            let kept = kept.map(|kept| text(&kept));
            wrong.push(format!("{what}: {statuses:?} in the place of {:?}, {kept:?}", reading.answers_to_recording()));
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
    // In chunks: the last of its connection.
    assert_eq!(statuses(&server, &request), [201]);
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

/// Over HTTP/2 a length is only said, and a field is never a line (`h2_shapes.py`): what contradicts itself or could be cut
/// apart where it is passed on is malformed (section 8.1.1 of RFC 9113), and the stream or the connection ends.
#[test]
fn what_could_be_two_requests_over_http1_is_none_over_http2() {
    const GOOD: &[(&str, [&str; 2])] = &[
        ("good", ["200", "404"]),
        ("trailers", ["200", "404"]),
        // The authority counts (section 8.3.1 of RFC 9113).
        ("another host", ["200", "404"]),
        ("of its length", ["201", "404"]),
    ];
    let system = System::with_key();
    let server = serve(&system);
    let (host, port) = server.address.split_once(':').expect("an address");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile_peers/h2_shapes.py");
    let output = Command::new("/usr/bin/python3").arg(script).args([host, port]).output().expect("Python runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let became: BTreeMap<String, [String; 2]> = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(became.len() > 35, "{became:?}");
    for (what, outcome) in &became {
        let outcome = outcome.each_ref().map(String::as_str);
        match GOOD.iter().find(|(good, _)| good == what) {
            Some((_, expected)) => assert_eq!(&outcome, expected, "{what}"),
            // A fault of the protocol: its stream is reset, or the connection ends.
            None => assert!([["reset 1", "404"], ["goaway 1", "goaway 1"]].contains(&outcome), "{what}: {outcome:?}"),
        }
    }
    assert_eq!(server.get("/recordings/of-its-length/media").body, BODY);
    for recording in server.get("/recordings").json()["recordings"].as_array().expect("a list") {
        let is_good = recording["id"] == "of-its-length" || recording["state"] != "complete";
        assert!(is_good, "{recording}");
    }
    assert!(!server.log().contains("panic"), "{}", server.log());
}

/// The statuses of all that is answered on one connection.
pub(super) fn statuses(server: &Server, bytes: &[u8]) -> Vec<u16> {
    let mut stream = TcpStream::connect(&server.address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    stream.write_all(bytes).expect("sent");
    let mut came = Vec::new();
    let _reset_is_an_end = stream.read_to_end(&mut came);
    let came = text(&came);
    let heads = came.split("HTTP/1.").skip(1);
    heads.map(|head| head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)).collect()
}
