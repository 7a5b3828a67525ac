//! Players that close their side of the connection: over HTTP/1 they are taken to have left, as whoever went while a
//! recording pauses has, who must not be waited for. What they hear until then is right, and never ends as if it were all.

use std::{
    io::{Read, Write},
    net::Shutdown,
};

use super::{connect, serve, system};

#[test]
fn a_player_who_half_closes_has_left_and_hears_nothing_wrong() {
    let (system, media) = system();
    let server = serve(&system, &[]);
    for head in [
        "HTTP/1.1\r\nHost: localhost\r\nConnection: close",
        "HTTP/1.1\r\nHost: localhost",
        "HTTP/1.0\r\nHost: localhost",
    ] {
        for _ in 0..5 {
            let mut stream = connect(&server);
            write!(stream, "GET /recordings/call/media {head}\r\n\r\n").expect("sent");
            stream.shutdown(Shutdown::Write).expect("it is open");
            let mut came = Vec::new();
            let _reset_is_an_end = stream.read_to_end(&mut came);
            let Some(end) = came.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
                assert!(came.is_empty(), "half a head: {}", String::from_utf8_lossy(&came));
                continue;
            };
            let (head, body) = (String::from_utf8_lossy(&came[..end]), &came[end + 4..]);
            assert!(head.contains(&format!("content-length: {}", media.len())), "a cut shows: {head}");
            assert!(media.starts_with(body), "{} bytes, and others", body.len());
        }
    }
    assert!(server.get("/recordings/call/media").body == media, "others play on");
}
