//! The bytes of a connection as HTTP sees them. Notes what passes, and gives the refusals that hyper writes by itself,
//! to what it cannot read as a request, the body and the headers that every other refusal has.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::{activity::Activity, limits, socket::Duplex, turns::Turn};
use crate::base::ErrorCode;

/// How long and for how many bytes the other end is still listened to after the last byte was sent. A connection closed
/// upon unread bytes, or sent to afterwards, is reset, and what the other end has not read yet is lost with it: a
/// refusal of a request that was not read to its end, or the end of a stream whose window was just opened further
/// (section 9.6 of RFC 9112).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_LEN_MAX: usize = 1 << 20;
/// How much is read at once of what is not HTTP's yet, or any more.
const PIECE_LEN: usize = 4096;
/// Of HTTP/2: how much it is given between two looks at the clock of a turn, and how much is read for that.
const TURN_PIECE_LEN: usize = 1024;
const TURN_READ_LEN: usize = 16 * 1024;

/// A connection under HTTP.
pub(super) struct Wire {
    io: Box<dyn Duplex>,
    activity: Activity,
    /// A refusal in the place of hyper's own, as far as it is not sent yet.
    refusal: Vec<u8>,
    linger: Option<Linger>,
    /// What came and is not read yet.
    unread: BytesMut,
    /// Of HTTP/2, which is read in turns.
    turn: Option<Turn>,
    beginning: Beginning,
}

/// How often heads were begun to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beginning {
    First,
    /// A head has more fields than were expected: it is read again, and what hyper says of it is not sent.
    Ending,
    Second,
}

struct Linger {
    timer: Pin<Box<Sleep>>,
    left: usize,
}

impl Wire {
    pub(super) fn new(io: Box<dyn Duplex>, activity: Activity) -> Self {
        let (refusal, unread) = (Vec::new(), BytesMut::new());
        Self { io, activity, refusal, linger: None, unread, turn: None, beginning: Beginning::First }
    }

    /// Reads until it is known whether `preface` comes first. What came is read again; so is the end.
    pub(super) fn poll_preface(&mut self, preface: &[u8], cx: &mut Context<'_>) -> Poll<bool> {
        while self.unread.len() < preface.len() && preface.starts_with(&self.unread) {
            let mut piece = [0; PIECE_LEN];
            let mut piece = ReadBuf::new(&mut piece);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut piece)) {
                Ok(()) if !piece.filled().is_empty() => {
                    self.activity.read(piece.filled());
                    self.unread.extend_from_slice(piece.filled());
                }
                Ok(()) | Err(_) => return Poll::Ready(false),
            }
        }
        Poll::Ready(self.unread.starts_with(preface))
    }

    /// From now on reads only for as long as a turn lasts, each of which whoever polls begins.
    pub(super) fn take_turns(&mut self) -> Turn {
        self.turn.insert(Turn::new()).clone()
    }

    /// Whether the head that hyper has given up is to be read again: `unread`, and what comes.
    pub(super) fn begins_again(&mut self, unread: &[u8]) -> bool {
        if self.beginning != Beginning::Ending {
            return false;
        }
        self.beginning = Beginning::Second;
        self.unread = [unread, &self.unread].concat().as_slice().into();
        true
    }

    /// Sends what is left of a refusal.
    fn poll_refusal(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.refusal.is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.refusal))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.refusal.drain(..written);
        }
        Poll::Ready(Ok(()))
    }

    /// Takes `bytes` as written when they are a refusal of hyper's own, and puts another in their place.
    fn replace(&mut self, bytes: &[u8]) -> bool {
        // Between answers nothing else can look like this: HTTP/2 frames begin with a length.
        if !self.activity.is_at_rest() {
            return false;
        }
        if self.beginning == Beginning::First && status_of(bytes) == Some(b"431") {
            self.beginning = Beginning::Ending;
            return true;
        }
        let Some(refusal) = in_place_of(bytes, self.activity.is_in_first_line()) else { return false };
        self.refusal = refusal;
        true
    }

    /// Reads and forgets until the other end closes, too much came, or it took too long.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let begin = || Linger { timer: Box::pin(sleep(LINGER)), left: LINGER_LEN_MAX };
        let linger = self.linger.get_or_insert_with(begin);
        let mut piece = [0; PIECE_LEN];
        while linger.left > 0 && linger.timer.as_mut().poll(cx).is_pending() {
            let mut piece = ReadBuf::new(&mut piece);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut piece)) {
                Ok(()) if !piece.filled().is_empty() => linger.left = linger.left.saturating_sub(piece.filled().len()),
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(())
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut piece_len = usize::MAX;
        if let Some(turn) = &self.turn {
            ready!(turn.poll(cx));
            if self.unread.is_empty() {
                let mut came = [0; TURN_READ_LEN];
                let mut came = ReadBuf::new(&mut came);
                ready!(self.poll_io(cx, &mut came))?;
                self.unread.extend_from_slice(came.filled());
            }
            piece_len = TURN_PIECE_LEN;
        } else if self.unread.is_empty() {
            return self.poll_io(cx, buffer);
        }
        let len = self.unread.len().min(buffer.remaining()).min(piece_len);
        buffer.put_slice(&self.unread.split_to(len));
        if self.unread.is_empty() {
            // Its memory is not held by a connection that waits.
            self.unread = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl Wire {
    fn poll_io(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        self.activity.read(buffer.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_refusal(cx))?;
        if self.replace(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, bytes))?;
        self.activity.wrote();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_refusal(cx))?;
        if let Some(first) = slices.iter().find(|slice| !slice.is_empty())
            && self.replace(first)
        {
            return Poll::Ready(Ok(first.len()));
        }
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, slices))?;
        self.activity.wrote();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(cx))?;
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.activity.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.beginning == Beginning::Ending {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_refusal(cx))?;
        ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
        ready!(self.poll_linger(cx));
        Poll::Ready(Ok(()))
    }
}

/// The refusal in the place of one that hyper wrote: a head alone, of one of three statuses.
fn in_place_of(bytes: &[u8], is_in_first_line: bool) -> Option<Vec<u8>> {
    let status = status_of(bytes).filter(|_| bytes.ends_with(b"\r\n\r\n"))?;
    let code = match status {
        b"400" => ErrorCode::BadRequest,
        // hyper reads up to a bound and does not ask which part of the head was too long.
        b"431" if is_in_first_line => ErrorCode::UriTooLong,
        b"414" => ErrorCode::UriTooLong,
        b"431" => ErrorCode::HeadersTooLarge,
        _ => return None,
    };
    let (refusal, document) = limits::refuse_unread(code);
    let mut text = format!("HTTP/1.1 {}\r\n", refusal.status()).into_bytes();
    let date = bytes.split(|byte| *byte == b'\n').find(|line| line.starts_with(b"date: "));
    for (name, value) in refusal.headers() {
        text.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    if let Some(date) = date {
        text.extend_from_slice(date);
        text.push(b'\n');
    }
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(&document);
    Some(text)
}

/// The status of an answer; to one who asked in HTTP/1.0 before, hyper answers so.
fn status_of(bytes: &[u8]) -> Option<&[u8]> {
    bytes.strip_prefix(b"HTTP/1.1 ").or_else(|| bytes.strip_prefix(b"HTTP/1.0 "))?.get(..3)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const OWN: &[u8] =
        b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: now\r\n\r\n";

    #[tokio::test]
    async fn a_refusal_of_hyper_gets_a_document_and_an_answer_is_left_alone() {
        let (near, mut far) = duplex(1 << 16);
        let activity = Activity::new();
        let mut wire = Wire::new(Box::new(near), activity.clone());
        // Media that looks like a refusal.
        let request = activity.begin(hyper::Version::HTTP_11);
        wire.write_all(OWN).await.expect("written");
        drop(request);
        wire.write_all(OWN).await.expect("written");
        wire.flush().await.expect("flushed");
        let mut came = vec![0; 2 * OWN.len()];
        far.read_exact(&mut came).await.expect("as it was");
        assert_eq!(came, OWN.repeat(2));
        activity.read(b"GET / HTTP/1.1\r\n");
        // Of a head with more fields than were expected nothing is said yet: it is read again.
        assert!(!wire.begins_again(b""));
        wire.write_all(OWN).await.expect("written");
        wire.flush().await.expect("flushed");
        wire.shutdown().await.expect("nothing happens");
        assert!(wire.begins_again(b"GET"));
        let mut again = [0; 3];
        wire.read_exact(&mut again).await.expect("what was not read");
        assert_eq!(&again, b"GET");
        wire.write_all(OWN).await.expect("written");
        wire.flush().await.expect("flushed");
        drop(wire);
        let mut came = String::new();
        far.read_to_string(&mut came).await.expect("text");
        let (head, document) = came.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{head}");
        for line in ["content-type: application/problem+json", "connection: close", "date: now", "x-request-id: "] {
            assert_eq!(head.matches(line).count(), 1, "{line} in {head}");
        }
        assert!(head.contains(&format!("content-length: {}", document.len())), "{head}");
        assert!(document.contains("\"code\":\"headers-too-large\""), "{document}");
    }

    #[tokio::test]
    async fn in_turns_no_more_is_read_once_one_is_over_and_nothing_is_lost() {
        let sent: Vec<u8> = (0..20 * TURN_PIECE_LEN).map(|at| (at % 251) as u8).collect();
        let (near, mut far) = duplex(1 << 16);
        far.write_all(&sent).await.expect("written");
        drop(far);
        let mut wire = Wire::new(Box::new(near), Activity::new());
        let turn = wire.take_turns();
        let mut came = vec![0; sent.len()];
        let mut buffer = ReadBuf::new(&mut came);
        let mut polls = Vec::new();
        // Woken each time that more is there than it reads.
        poll_fn(|cx| {
            turn.begin();
            polls.push(Pin::new(&mut wire).poll_read(cx, &mut buffer).is_ready());
            std::thread::sleep(Duration::from_millis(1));
            for _ in 0..2 {
                polls.push(Pin::new(&mut wire).poll_read(cx, &mut buffer).is_ready());
            }
            if buffer.filled().len() == sent.len() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        assert_eq!(polls, [true, false, false].repeat(20));
        assert!(came == sent);
    }

    #[test]
    fn a_head_that_is_all_first_line_has_too_long_a_url() {
        let text = in_place_of(OWN, true).expect("replaced");
        assert!(text.starts_with(b"HTTP/1.1 414 URI Too Long\r\n"));
        assert!(in_place_of(b"HTTP/1.1 200 OK\r\n\r\n", true).is_none());
        assert!(in_place_of(b"HTTP/1.1 400 Bad Request\r\n\r\n{}", true).is_none(), "one that has a body");
    }
}
