//! The bytes of a connection as the system takes them. Here alone it is known whether a client takes anything at all:
//! layers above, TLS among them, hold bytes back. Knows no HTTP.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::outflow::Outflow;

/// A stream of bytes both ways.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection whose writes fail once the other end has taken no byte for too long.
pub(super) struct Socket {
    io: Box<dyn Duplex>,
    outflow: Outflow,
    timeout: Duration,
    /// Runs while `is_waiting`.
    timer: Pin<Box<Sleep>>,
    is_waiting: bool,
}

impl Socket {
    pub(super) fn new(io: Box<dyn Duplex>, outflow: Outflow, timeout: Duration) -> Self {
        Self { io, outflow, timeout, timer: Box::pin(sleep(timeout)), is_waiting: false }
    }

    /// The outcome of a write, or of waiting too long for one.
    fn check(&mut self, written: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            if self.is_waiting {
                self.is_waiting = false;
                self.outflow.unblock();
            }
            return written;
        }
        if !self.is_waiting {
            self.is_waiting = true;
            self.outflow.block();
            self.timer.as_mut().reset(Instant::now() + self.timeout);
        }
        self.timer.as_mut().poll(cx).map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Who waits hears that it is gone.
        self.outflow.unblock();
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.check(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.check(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn one_who_takes_a_little_now_and_then_is_served_and_one_who_stops_is_not() {
        let timeout = Duration::from_secs(1);
        let (near, mut far) = duplex(16);
        let mut socket = Socket::new(Box::new(near), Outflow::default(), timeout);
        let reader = tokio::spawn(async move {
            for _ in 0..5 {
                tokio::time::sleep(timeout / 3).await;
                far.read_exact(&mut [0]).await.expect("a byte");
            }
            far
        });
        let begun = Instant::now();
        let error = socket.write_all(&[7; 64]).await.expect_err("it takes 5 of 64, and 16 are under way");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= 5 * timeout / 3 + timeout, "{:?}", begun.elapsed());
        drop(reader.await.expect("ends"));
    }
}
