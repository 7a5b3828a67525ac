//! A recording's media as something that can be read and sought in, on a thread that may wait.
//!
//! For whoever looks into containers, which anybody may have made: what is read is bounded, in bytes and in time, and why
//! reading ended is remembered, because a reader of containers may take any fault for an end. Knows no container.

use std::{
    future::poll_fn,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use bytes::{Buf, Bytes};
use symphonia::core::io::MediaSource;
use tokio::{runtime::Handle, time::timeout};

use super::{FRAME_LEN_MAX, OpenRecording, Playback, PlaybackError, SpanStream};

/// How much is asked for at once after a seek, and how much of what is read in order.
const STRETCH_LEN_MIN: u64 = 64 << 10;
const STRETCH_LEN_MAX: u64 = 8 << 20;

/// Why there is nothing more to read before the end.
#[derive(Clone, Debug)]
pub(super) enum Cut {
    /// The media does not play on.
    Playback(PlaybackError),
    /// It took too long, or more than was allowed.
    Bounds,
    /// Nobody waits for it any more.
    Abandoned,
}

/// What the reading thread and whoever waits for it both know.
#[derive(Clone, Default)]
pub(super) struct Reading(Arc<ReadingState>);

#[derive(Default)]
struct ReadingState {
    is_abandoned: AtomicBool,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    /// How many more bytes may be read until that is said anew.
    allowance: u64,
    cut: Option<Cut>,
}

impl Reading {
    /// Lets that many bytes be read from now on.
    pub(super) fn allow(&self, len_bytes: u64) {
        self.progress().allowance = len_bytes;
    }

    /// Nobody waits any more.
    pub(super) fn abandon(&self) {
        self.0.is_abandoned.store(true, Ordering::Relaxed);
    }

    /// Whether nobody does.
    pub(super) fn is_abandoned(&self) -> bool {
        self.0.is_abandoned.load(Ordering::Relaxed)
    }

    /// Takes `len_bytes` of what may be read; whether there was anything left of it.
    pub(super) fn spend(&self, len_bytes: u64) -> bool {
        let mut progress = self.progress();
        let had_some = progress.allowance > 0;
        progress.allowance = progress.allowance.saturating_sub(len_bytes);
        had_some
    }

    /// Reading ends here, and that is why, unless it ended before.
    pub(super) fn end(&self, cut: Cut) {
        self.progress().cut.get_or_insert(cut);
    }

    /// Why reading ended, if it was not the end.
    pub(super) fn cut(&self) -> Option<Cut> {
        self.progress().cut.clone()
    }

    /// A thread that panicked left it whole.
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.0.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a recording. One that grows has the length that is known of it now.
pub(super) struct MediaReader {
    playback: Arc<Playback>,
    recording: Arc<OpenRecording>,
    runtime: Handle,
    reading: Reading,
    deadline: Instant,
    position: u64,
    /// What was read and not taken yet, from `position` on.
    piece: Bytes,
    /// What comes after that, and where it begins and ends. Behind a lock that nobody waits for: a reader of containers
    /// wants what threads may share.
    stream: Option<(Mutex<SpanStream>, Range<u64>)>,
    stretch_len: u64,
}

impl MediaReader {
    /// Reads by `deadline`, and as much as `reading` allows. Must be called within a runtime.
    pub(super) fn new(
        playback: &Arc<Playback>,
        recording: Arc<OpenRecording>,
        reading: Reading,
        deadline: Instant,
    ) -> Self {
        Self {
            playback: Arc::clone(playback),
            recording,
            runtime: Handle::current(),
            reading,
            deadline,
            position: 0,
            piece: Bytes::new(),
            stream: None,
            stretch_len: STRETCH_LEN_MIN,
        }
    }

    fn next_piece(&mut self) -> Result<Bytes, Cut> {
        if let Some(cut) = self.reading.cut() {
            return Err(cut);
        }
        if self.reading.is_abandoned() {
            return Err(Cut::Abandoned);
        }
        if self.position >= self.recording.media_len {
            return Ok(Bytes::new());
        }
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || self.reading.progress().allowance == 0 {
            return Err(Cut::Bounds);
        }
        let runtime = self.runtime.clone();
        let stream = self.stream_here();
        // Made where it runs: a timeout needs a runtime.
        let read = async { timeout(left, poll_fn(|cx| stream.poll_next(FRAME_LEN_MAX, cx))).await };
        let piece = runtime.block_on(read).map_err(|_| Cut::Bounds)?;
        let piece = piece.transpose().map_err(Cut::Playback)?.unwrap_or_default();
        let len = piece.len() as u64;
        if let Some((_, rest)) = &mut self.stream {
            rest.start += len;
        }
        self.reading.spend(len);
        Ok(piece)
    }

    /// What reads on from `position`: ever more at once of what is read in order, so that who jumps about asks for little.
    fn stream_here(&mut self) -> &mut SpanStream {
        let goes_on = self.stream.take().filter(|(_, rest)| rest.start == self.position);
        let (stream, rest) = match goes_on {
            Some((stream, rest)) if !rest.is_empty() => (stream, rest),
            used_up => {
                self.stretch_len = match used_up {
                    Some(_) => (2 * self.stretch_len).min(STRETCH_LEN_MAX),
                    None => STRETCH_LEN_MIN,
                };
                let end = self.recording.media_len.min(self.position + self.stretch_len);
                let rest = self.position..end;
                (Mutex::new(self.playback.stream(&self.recording, rest.clone())), rest)
            }
        };
        self.stream.insert((stream, rest)).0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Read for MediaReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            self.piece = self.next_piece().map_err(|cut| {
                self.reading.end(cut);
                io::Error::from(io::ErrorKind::TimedOut)
            })?;
        }
        let len = self.piece.len().min(buffer.len());
        self.piece.copy_to_slice(&mut buffer[..len]);
        self.position += len as u64;
        Ok(len)
    }
}

impl Seek for MediaReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.recording.media_len.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        let position = position.ok_or(io::ErrorKind::InvalidInput)?;
        let ahead = position.checked_sub(self.position).and_then(|ahead| usize::try_from(ahead).ok());
        match ahead.filter(|ahead| *ahead <= self.piece.len()) {
            Some(ahead) => self.piece.advance(ahead),
            None => self.piece = Bytes::new(),
        }
        self.position = position;
        Ok(position)
    }
}

impl MediaSource for MediaReader {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.recording.media_len)
    }
}
