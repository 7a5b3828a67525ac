//! Which HTTP a client speaks, and how each is spoken.
//!
//! The first bytes tell, over TLS and elsewhere (section 3.4 of RFC 9113). Heads of HTTP/1.1 are read with a table for
//! as many fields as requests have; a head that has more is read again, with a table for as many as fit. That one
//! costs more than all the rest of a short answer, and almost no request needs it.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::{
    Request, Response,
    body::Incoming,
    server::conn::{http1, http2},
    service::Service,
};
use hyper_util::rt::{TokioIo, TokioTimer};

use super::{
    limits::HEAD_LEN_MAX,
    streams::{Streams, Watched},
    turns::Turn,
    wire::Wire,
};

/// What a client of HTTP/2 sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// As many fields as fit into a head that is read: `a:\r\n` is the shortest.
const HEADERS_MAX: usize = HEAD_LEN_MAX / 4;
/// What HTTP/1.1 reads at most before it knows where a head ends, so that one somewhat too long can be answered.
const HTTP1_BUFFER_LEN: usize = 2 * HEAD_LEN_MAX;
/// The same for HTTP/2, which counts 32 bytes more for each field than are sent (section 6.5.2 of RFC 9113).
const HTTP2_HEAD_LEN_MAX: usize = 2 * HEAD_LEN_MAX + 33 * HEADERS_MAX;
/// Streams at a time of one client.
const HTTP2_STREAMS: u32 = 100;
/// What one stream may have waiting in the connection before no more of its media is read, while the socket takes what is
/// sent; while it does not, none is (`outflow`).
const HTTP2_SEND_BUFFER_LEN: usize = 64 * 1024;
/// What a client may send before it is told to go on: per stream, and for all of them.
const HTTP2_STREAM_WINDOW: u32 = 256 * 1024;
const HTTP2_CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Streams that were opened and reset before anybody looked, and streams that were reset for faults of the client:
/// one who makes more of them is not after answers (CVE-2023-44487, CVE-2025-8671).
const HTTP2_PENDING_RESETS: usize = 20;
const HTTP2_FAULTY_RESETS: usize = 256;

/// What answers requests.
pub(super) trait Answer:
    Service<Request<Incoming>, Response = Response<Watched>, Error = Infallible, Future: Send + 'static> + Unpin
{
}

impl<S> Answer for S where
    S: Service<Request<Incoming>, Response = Response<Watched>, Error = Infallible, Future: Send + 'static> + Unpin
{
}

/// HTTP on one connection, until it ends.
pub(super) struct Http<S: Answer> {
    speaking: Speaking<S>,
    streams: Streams,
    /// How long a client may take nothing.
    patience: Duration,
    /// What is being answered is the last.
    is_leaving: bool,
}

#[expect(clippy::large_enum_variant, reason = "HTTP/1 is what most speak, and a connection has one of these")]
enum Speaking<S: Answer> {
    /// What came does not tell yet.
    Unknown(Wire, S),
    Http1(http1::Connection<TokioIo<Wire>, S>),
    Http2(Box<http2::Connection<TokioIo<Wire>, S, Streams>>, Turn),
    /// Nothing is to be said any more.
    Ended,
}

impl<S: Answer> Http<S> {
    pub(super) fn new(wire: Wire, answer: S, streams: Streams, patience: Duration) -> Self {
        Self { speaking: Speaking::Unknown(wire, answer), streams, patience, is_leaving: false }
    }

    /// Answers what was asked, and nothing more.
    pub(super) fn graceful_shutdown(&mut self) {
        self.is_leaving = true;
        match &mut self.speaking {
            // Who has not said a word waits for none.
            Speaking::Unknown(..) => self.speaking = Speaking::Ended,
            Speaking::Http1(connection) => Pin::new(connection).graceful_shutdown(),
            Speaking::Http2(connection, _) => Pin::new(&mut **connection).graceful_shutdown(),
            Speaking::Ended => {}
        }
    }
}

impl<S: Answer> Future for Http<S> {
    type Output = Result<(), hyper::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let ended = match &mut self.speaking {
                Speaking::Unknown(wire, _) => {
                    let preface = ready!(wire.poll_preface(PREFACE, cx));
                    if let Speaking::Unknown(mut wire, answer) = std::mem::replace(&mut self.speaking, Speaking::Ended)
                    {
                        self.speaking = if preface {
                            let (turn, io) = (wire.take_turns(), TokioIo::new(wire));
                            let connection = http2(&self.streams, self.patience).serve_connection(io, answer);
                            Speaking::Http2(Box::new(connection), turn)
                        } else {
                            Speaking::Http1(http1(None).serve_connection(TokioIo::new(wire), answer))
                        };
                    }
                    continue;
                }
                Speaking::Http1(connection) => ready!(Pin::new(connection).poll(cx)),
                Speaking::Http2(connection, turn) => {
                    turn.begin();
                    return Pin::new(&mut **connection).poll(cx);
                }
                Speaking::Ended => return Poll::Ready(Ok(())),
            };
            if let Speaking::Http1(connection) = std::mem::replace(&mut self.speaking, Speaking::Ended) {
                let parts = connection.into_parts();
                let mut wire = parts.io.into_inner();
                if !wire.begins_again(&parts.read_buf) {
                    return Poll::Ready(ended);
                }
                let mut builder = http1(Some(HEADERS_MAX));
                builder.keep_alive(!self.is_leaving);
                let connection = builder.serve_connection(TokioIo::new(wire), parts.service);
                self.speaking = Speaking::Http1(connection);
            }
        }
    }
}

/// HTTP/1.1 with a table for so many fields, or for as many as requests have.
fn http1(headers_max: Option<usize>) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // Heads are timed by who watches the connection, from their first byte on; hyper would count the time between
    // requests in.
    builder.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HTTP1_BUFFER_LEN);
    if let Some(headers_max) = headers_max {
        builder.max_headers(headers_max);
    }
    builder
}

fn http2(streams: &Streams, patience: Duration) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(streams.clone());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS)
        .max_header_list_size(u32::try_from(HTTP2_HEAD_LEN_MAX).unwrap_or(u32::MAX))
        .max_send_buf_size(HTTP2_SEND_BUFFER_LEN)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
        .max_pending_accept_reset_streams(HTTP2_PENDING_RESETS)
        .max_local_error_reset_streams(HTTP2_FAULTY_RESETS)
        // One who has vanished is noticed as soon as one who takes nothing.
        .keep_alive_interval(patience)
        // An answer comes back behind all that one who is slow has not taken yet.
        .keep_alive_timeout(3 * patience);
    builder
}
