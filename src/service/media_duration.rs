//! How long a recording plays, told from its container's head and end, and from nothing else of it.
//!
//! The work is bounded, because a hostile file may send its reader to and fro: so many bytes and so much time, and then
//! it counts as not known.

use std::{
    io::{self, Read, Seek, SeekFrom},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes};
use symphonia::core::{
    formats::{FormatOptions, probe::Hint},
    io::{MediaSource, MediaSourceStream},
    meta::MetadataOptions,
};
use tokio::{runtime::Handle, sync::Semaphore, task::spawn_blocking, time::timeout};

use super::{OpenRecording, Playback, PlaybackError, SpanStream, span_stream::FRAME_LEN_MAX};
use crate::base::RecordingId;

/// How much is read, at most: a head with its index, and the end.
const READ_LEN_MAX: u64 = 16 << 20;
const TIME_MAX: Duration = Duration::from_secs(2);
/// How many recordings are looked into at a time; others wait.
static PROBES: Semaphore = Semaphore::const_new(4);
/// How much is read at a time.
const PIECE_LEN: u64 = 64 << 10;

impl Playback {
    /// How long the recording plays; none when it does not play, or when its container does not say, or not soon.
    pub async fn media_duration(self: &Arc<Self>, id: &RecordingId) -> Option<Duration> {
        self.duration_of(self.open(id).await.ok()?).await
    }

    /// The same of a recording that is open.
    pub async fn duration_of(self: &Arc<Self>, recording: Arc<OpenRecording>) -> Option<Duration> {
        let is_timed =
            ["audio/", "video/", "application/ogg"].iter().any(|kind| recording.media_type.as_str().starts_with(kind));
        if !is_timed {
            return None;
        }
        let permit = timeout(TIME_MAX, PROBES.acquire()).await.ok()?.ok()?;
        let media = Media {
            playback: Arc::clone(self),
            recording,
            runtime: Handle::current(),
            position: 0,
            piece: Bytes::new(),
            read_len: 0,
            deadline: Instant::now() + TIME_MAX,
        };
        let probing = spawn_blocking(move || {
            // Held until the work ends, also when nobody waits for it any more.
            let _permit = permit;
            probe(media)
        });
        timeout(TIME_MAX, probing).await.ok()?.ok()?
    }
}

fn probe(media: Media) -> Option<Duration> {
    let stream = MediaSourceStream::new(Box::new(media), Default::default());
    let probe = symphonia::default::get_probe();
    let format = probe.probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default()).ok()?;
    let info = format.media_info();
    let time = info.time_base?.calc_duration(info.duration?)?;
    u64::try_from(time.as_nanos()).ok().map(Duration::from_nanos)
}

/// A recording's media as something that can be read and sought in, on a thread that may wait.
struct Media {
    playback: Arc<Playback>,
    recording: Arc<OpenRecording>,
    runtime: Handle,
    position: u64,
    /// What was read and not taken yet, from `position` on.
    piece: Bytes,
    read_len: u64,
    deadline: Instant,
}

impl Media {
    fn next_piece(&mut self) -> io::Result<Bytes> {
        let end = self.recording.media_len.min(self.position.saturating_add(PIECE_LEN));
        if self.position >= end {
            return Ok(Bytes::new());
        }
        if self.read_len >= READ_LEN_MAX || Instant::now() >= self.deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut stream: SpanStream = self.playback.stream(&self.recording, self.position..end);
        let read = timeout(TIME_MAX, std::future::poll_fn(|cx| stream.poll_next(FRAME_LEN_MAX, cx)));
        let piece = self.runtime.block_on(read).map_err(|_| io::ErrorKind::TimedOut)?;
        let piece = piece.transpose().map_err(|error: PlaybackError| io::Error::other(error))?.unwrap_or_default();
        self.read_len += piece.len() as u64;
        Ok(piece)
    }
}

impl Read for Media {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            self.piece = self.next_piece()?;
        }
        let len = self.piece.len().min(buffer.len());
        self.piece.copy_to_slice(&mut buffer[..len]);
        self.position += len as u64;
        Ok(len)
    }
}

impl Seek for Media {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.recording.media_len.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        self.piece = Bytes::new();
        Ok(self.position)
    }
}

impl MediaSource for Media {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.recording.media_len)
    }
}
