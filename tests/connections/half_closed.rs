//! Players that say that they will say no more, and wait for their answer: that is no reason not to give it. A connection
//! of TCP ends each way on its own, and a request that came whole is answered whole (section 8 of RFC 9112).

use std::{
    io::{Read, Write},
    net::Shutdown,
};

use super::{connect, serve, system};

#[test]
fn a_player_who_half_closes_gets_its_whole_answer() {
    let (system, media) = system();
    let server = serve(&system, &[]);
    let mut wrong = Vec::new();
    for (what, request) in [
        ("closing", "GET /recordings/call/media HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
        ("staying", "GET /recordings/call/media HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("old", "GET /recordings/call/media HTTP/1.0\r\nHost: localhost\r\n\r\n"),
        ("listing", "GET /recordings HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ] {
        for _ in 0..5 {
            let mut stream = connect(&server);
            stream.write_all(request.as_bytes()).expect("sent");
            stream.shutdown(Shutdown::Write).expect("it is open");
            let mut came = Vec::new();
            let _reset_is_an_end = stream.read_to_end(&mut came);
            let body = came.windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|end| &came[end + 4..]);
            let is_whole = match what {
                "listing" => body.is_some_and(|body| serde_json::from_slice::<serde_json::Value>(body).is_ok()),
                _ => body.is_some_and(|body| body == media),
            };
            if !is_whole {
                wrong.push(format!("{what}: {} bytes", came.len()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
