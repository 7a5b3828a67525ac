//! Whether the system would take bytes of a connection now, asked before they are made.
//!
//! A player that pauses stops reading, and what was made for it meanwhile would wait in memory for as long as it does.
//! What is made only when there is room for it waits nowhere. Knows no HTTP.

use std::{
    io,
    net::Shutdown,
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, write, writev};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::{TcpStream, UnixStream},
    time::{Sleep, sleep},
};

use crate::service::{FRAME_LEN_MAX, FRAME_LEN_MIN};

/// After how many bytes without a wait media flows: more than one who takes nothing lets the system take, which is what
/// the other end's system takes unread, and what this one holds.
const FLOWING_LEN: u64 = 256 * 1024;

/// A connection, shared by those who read and write it and those who ask for room.
#[derive(Clone)]
pub(in crate::http) struct Connected(Arc<Flow>);

struct Flow {
    stream: Stream,
    /// How many bytes of media were given since there was no room for any, from one answer to the next.
    flowing_len: AtomicU64,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Asks for the room of one connection, for one answer. Only the task that writes to the connection may ask: a socket
/// wakes one.
pub(super) struct Room {
    connected: Connected,
    timeout: Duration,
    /// Runs while there is none.
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether the first frame was asked for, which is there already: it was made before anybody could ask.
    has_begun: bool,
}

impl Room {
    /// Of a connection whose client may take nothing for `timeout`.
    pub(super) fn new(connected: Connected, timeout: Duration) -> Self {
        Self { connected, timeout, timer: None, has_begun: false }
    }

    /// Has the connection end by a reset when it is let go of: for a client to which the end of the connection is the end
    /// of the answer, and that would take a cut for an end in order. What the system has not sent by then is lost.
    pub(super) fn reset_at_end(&self) {
        // A connection that cannot be told is gone already.
        let _gone_already = SockRef::from(&self.connected.0.stream).set_linger(Some(Duration::ZERO));
    }

    /// Ready when the system would take bytes, with how many: as many as it takes at once, and more for a client that
    /// has let it take whatever came.
    ///
    /// # Errors
    ///
    /// The client took nothing for too long, or the connection is gone.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        if self.has_begun && self.connected.poll_room(cx)?.is_pending() {
            let timeout = self.timeout;
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(timeout)));
            let is_over = timer.as_mut().poll(cx);
            return is_over.map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")));
        }
        if self.timer.take().is_some() {
            self.connected.0.flowing_len.store(0, Ordering::Relaxed);
        }
        self.has_begun = true;
        Poll::Ready(Ok(if self.connected.is_flowing() { FRAME_LEN_MAX } else { FRAME_LEN_MIN }))
    }

    /// So many bytes of media were made.
    pub(super) fn gave(&self, len: usize) {
        self.connected.0.flowing_len.fetch_add(len as u64, Ordering::Relaxed);
    }
}

impl Connected {
    pub(super) fn tcp(stream: TcpStream) -> Self {
        Self::new(Stream::Tcp(stream))
    }

    pub(super) fn unix(stream: UnixStream) -> Self {
        Self::new(Stream::Unix(stream))
    }

    fn new(stream: Stream) -> Self {
        Self(Arc::new(Flow { stream, flowing_len: AtomicU64::new(0) }))
    }

    /// How long the first frame of an answer may be, about. Asks the system where it may be large.
    pub(in crate::http) fn frame_len(&self) -> u64 {
        let has_room = self.is_flowing() && has_room(self.0.stream.as_fd()).is_ok();
        if has_room { FRAME_LEN_MAX } else { FRAME_LEN_MIN }
    }

    fn is_flowing(&self) -> bool {
        self.0.flowing_len.load(Ordering::Relaxed) >= FLOWING_LEN
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            // Looked at within, so that room that comes at this moment is not forgotten together with what was before.
            match self.try_io(Interest::WRITABLE, || has_room(self.0.stream.as_fd())) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                looked => return Poll::Ready(looked),
            }
            ready!(self.poll_ready(Interest::WRITABLE, cx))?;
        }
    }

    /// Moves bytes once. Less than was `wanted` shows that there is no more for now: that is noted without asking the
    /// system again.
    fn poll_moved(
        &self,
        interest: Interest,
        wanted: usize,
        cx: &mut Context<'_>,
        mut transfer: impl FnMut(&Stream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_ready(interest, cx))?;
            let mut moved = 0;
            let outcome = self.try_io(interest, || {
                moved = transfer(&self.0.stream)?;
                if 0 < moved && moved < wanted { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
            });
            match outcome {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && moved == 0 => {}
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Poll::Ready(Err(error)),
                _ => return Poll::Ready(Ok(moved)),
            }
        }
    }

    fn try_io<T>(&self, interest: Interest, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match &self.0.stream {
            Stream::Tcp(stream) => stream.try_io(interest, operation),
            Stream::Unix(stream) => stream.try_io(interest, operation),
        }
    }

    fn poll_ready(&self, interest: Interest, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match (&self.0.stream, interest) {
            (Stream::Tcp(stream), Interest::READABLE) => stream.poll_read_ready(cx),
            (Stream::Unix(stream), Interest::READABLE) => stream.poll_read_ready(cx),
            (Stream::Tcp(stream), _) => stream.poll_write_ready(cx),
            (Stream::Unix(stream), _) => stream.poll_write_ready(cx),
        }
    }
}

/// Whether the system would take bytes now. A connection that is gone is found by whoever writes to it.
fn has_room(socket: BorrowedFd<'_>) -> io::Result<()> {
    let mut asked = [PollFd::from_borrowed_fd(socket, PollFlags::OUT)];
    match poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
        Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

impl AsyncRead for Connected {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wanted = buffer.remaining();
        let moved = self.poll_moved(Interest::READABLE, wanted, cx, |stream| match stream {
            Stream::Tcp(stream) => stream.try_read_buf(buffer),
            Stream::Unix(stream) => stream.try_read_buf(buffer),
        });
        ready!(moved)?;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connected {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_moved(Interest::WRITABLE, bytes.len(), cx, |stream| Ok(write(stream, bytes)?))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = slices.iter().map(|slice| slice.len()).sum();
        self.poll_moved(Interest::WRITABLE, len, cx, |stream| Ok(writev(stream, slices)?))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&self.0.stream).shutdown(Shutdown::Write))
    }
}
