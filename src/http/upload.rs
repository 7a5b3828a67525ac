//! A request's body as a source of media: at whatever pace it comes, for as long as it comes, and no longer than it may.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Buf, Bytes};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::{Version, body::Incoming};

use crate::service::{MediaPiece, Source};

/// How much is handed on at a time, at most.
const PIECE_LEN: usize = 32 << 10;
/// How long and for how many bytes a body is still taken that was refused, as [`super::server`] does for a connection.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_LEN_MAX: usize = 1 << 20;

/// The body of a request that sends media.
pub(super) struct Upload {
    body: Incoming,
    /// What came and is not handed on yet.
    rest: Bytes,
    /// How long a sender may send nothing.
    patience: Duration,
    taken_len: u64,
    len_max: Option<u64>,
    /// Why there is no more, once it is known.
    end: Option<End>,
}

/// Why a body gives no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It ended in order.
    InOrder,
    /// It is longer than a recording may be here.
    TooLong,
    /// Nothing came for too long.
    Silent,
    /// The sender has vanished, or broke off, or broke the protocol.
    Cut,
}

impl Upload {
    pub(super) fn new(body: Incoming, patience: Duration, len_max: Option<u64>) -> Self {
        Self { body, rest: Bytes::new(), patience, taken_len: 0, len_max, end: None }
    }

    /// Why there is no more; none while there may be.
    pub(super) fn end(&self) -> Option<End> {
        self.end
    }

    /// Whether it says itself that it is longer than it may be.
    pub(super) fn is_too_long(&self) -> bool {
        self.body.size_hint().exact().zip(self.len_max).is_some_and(|(len, len_max)| len > len_max)
    }

    /// Waits for more. Does not lose any when it is given up.
    async fn more(&mut self) -> Result<(), End> {
        while self.rest.is_empty() {
            match tokio::time::timeout(self.patience, self.body.frame()).await {
                // Trailers say nothing about media.
                Ok(Some(Ok(frame))) => self.take(frame.into_data().unwrap_or_default())?,
                Ok(Some(Err(_))) => return Err(End::Cut),
                Ok(None) => return Err(End::InOrder),
                Err(_) => return Err(End::Silent),
            }
        }
        Ok(())
    }

    /// Takes what is there already, if anything is.
    fn more_now(&mut self) -> Result<(), End> {
        while self.rest.is_empty() {
            // Nobody is woken by this look: whoever waits for more looks again.
            match Pin::new(&mut self.body).poll_frame(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Some(Ok(frame))) => self.take(frame.into_data().unwrap_or_default())?,
                Poll::Ready(Some(Err(_))) => return Err(End::Cut),
                Poll::Ready(None) => return Err(End::InOrder),
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    /// Lets go of a body that is refused. Over HTTP/2 a body that is dropped resets its stream, and there are clients
    /// that take the reset for the answer: some of it is still taken, and forgotten, while they read the answer. Over
    /// HTTP/1.1 the connection lingers.
    pub(super) fn refuse(self, version: Version) {
        if version != Version::HTTP_2 || self.end.is_some_and(|end| end != End::TooLong) {
            return;
        }
        let Self { mut body, .. } = self;
        tokio::spawn(tokio::time::timeout(LINGER, async move {
            let mut left = LINGER_LEN_MAX;
            while let Some(Ok(frame)) = body.frame().await {
                left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
                if left == 0 {
                    break;
                }
            }
        }));
    }

    fn take(&mut self, data: Bytes) -> Result<(), End> {
        self.taken_len += data.len() as u64;
        if self.len_max.is_some_and(|len_max| self.taken_len > len_max) {
            return Err(End::TooLong);
        }
        self.rest = data;
        Ok(())
    }

    fn fill(&mut self, piece: &mut MediaPiece) {
        let len = self.rest.len().min(PIECE_LEN - piece.len());
        piece.extend_from_slice(self.rest.get(..len).unwrap_or_default());
        self.rest.advance(len);
    }
}

impl Source for Upload {
    async fn next(&mut self, mut piece: MediaPiece) -> io::Result<MediaPiece> {
        if piece.capacity() < PIECE_LEN {
            // Growing it would leave a copy behind that nobody wipes.
            piece = MediaPiece::new(Vec::with_capacity(PIECE_LEN));
        }
        piece.clear();
        if self.end.is_none() {
            self.end = self.more().await.err();
        }
        while !self.rest.is_empty() && piece.len() < PIECE_LEN {
            self.fill(&mut piece);
            // What has come is handed on before it is told that no more will.
            if self.end.is_none() {
                self.end = self.more_now().err();
            }
        }
        match self.end {
            None | Some(End::InOrder) => Ok(piece),
            Some(_) if !piece.is_empty() => Ok(piece),
            Some(End::TooLong) => Err(io::Error::other("it is longer than a recording may be here")),
            Some(End::Silent) => Err(io::Error::new(io::ErrorKind::TimedOut, "nothing more came for too long")),
            Some(End::Cut) => Err(io::Error::new(io::ErrorKind::ConnectionReset, "the sender broke off")),
        }
    }
}
