//! Framing that is taken and should not be.
//!
//! Recordings under a transfer coding that nobody here undoes. What is left after the chunks is not the media yet: to keep it
//! as media would be to play what was never recorded. "A server that receives a request message with a transfer coding it
//! does not understand SHOULD respond with 501" (section 6.1 of RFC 9112); 400 says as much. And what is cut into chunks
//! twice, which nobody may send, two servers in a row might undo once and twice.

use super::smuggling::{HIDDEN, serve, statuses};
use crate::support::System;

const CODINGS: &[&str] = &[
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: xchunked, chunked\r\n",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked, chunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
];

#[test]
fn what_is_coded_before_it_is_cut_into_chunks_is_refused() {
    let system = System::with_key();
    let server = serve(&system);
    let mut wrong = Vec::new();
    for (number, coding) in CODINGS.iter().enumerate() {
        let head = format!("PUT /recordings/coded-{number}/media HTTP/1.1\r\nHost: localhost\r\n{coding}\r\n");
        let statuses = statuses(&server, format!("{head}5\r\nhello\r\n0\r\n\r\n{HIDDEN}").as_bytes());
        let shown = server.get(&format!("/recordings/coded-{number}")).status;
        if !matches!(statuses.as_slice(), [400 | 501] | [501, 404, 200]) || shown != 404 {
            wrong.push(format!("{coding:?}: {statuses:?}, and then {shown} for the recording"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Trailers of which a line ends in a bare line feed: that is an end of a line, or a fault. What comes behind is never a part
/// of them: to swallow a request and answer the one behind it is to give its answer to somebody else.
#[test]
fn what_comes_behind_trailers_is_not_swallowed() {
    let system = System::with_key();
    let server = serve(&system);
    let mut wrong = Vec::new();
    for trailers in ["X: y\n\r\n", "X: y\r\n\n", "X: y\n\n"] {
        let head = "GET /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
        let statuses = statuses(&server, format!("{head}5\r\nhello\r\n0\r\n{trailers}{HIDDEN}").as_bytes());
        if statuses != [200] && statuses != [200, 404, 200] {
            wrong.push(format!("{trailers:?}: {statuses:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
