//! Verified plaintext of a media range, frame by frame, at the pace of whoever takes it.

use std::{
    future::Future,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;

use super::{
    KeyWatch, OpenRecording, PlaybackError as Error,
    buffers::{Buffer, BufferPool},
    growth::{Follower, News},
    meter::METER,
    opened::OpenContent,
};
use crate::media;
use crate::sealed::Corruption;

/// About how much media a frame carries for one who takes all at once: large enough that its costs do not count, small
/// enough for a core's cache.
pub const FRAME_LEN_MAX: u64 = 256 * 1024;
/// The same for one who makes us wait, and of the first frame: what may lie in memory for as long as that takes.
pub const FRAME_LEN_MIN: u64 = 64 * 1024;

type Reading = Pin<Box<dyn Future<Output = Result<Vec<u8>, media::Error>> + Send>>;

/// A range of a recording's media. One frame at a time is held, whatever the length of the range.
///
/// After an error the stream ends; what came before it is good.
pub struct SpanStream {
    recording: Arc<OpenRecording>,
    keys: Arc<KeyWatch>,
    buffers: BufferPool,
    rest: Range<u64>,
    reading: Option<(Range<u64>, Reading)>,
    /// A frame that was asked for before anybody took it, so that its faults were known in time.
    ready: Option<Bytes>,
    failed: Option<Error>,
    /// What of the range is yet to be written.
    following: Option<Following>,
}

/// A recording that is being written is followed to its end, or to that of the range.
struct Following {
    follower: Follower,
    end: u64,
}

impl SpanStream {
    pub(super) fn new(
        recording: Arc<OpenRecording>,
        keys: Arc<KeyWatch>,
        buffers: BufferPool,
        media: Range<u64>,
    ) -> Self {
        Self { recording, keys, buffers, rest: media, reading: None, ready: None, failed: None, following: None }
    }

    /// The same, going on to `end` as the recording is written.
    pub(super) fn followed(self, follower: Follower, end: u64) -> Self {
        Self { following: Some(Following { follower, end }), ..self }
    }

    /// The recording, as far as it is known here: at the end of a stream that followed it, how it ended.
    #[must_use]
    pub fn recording(&self) -> &OpenRecording {
        &self.recording
    }

    /// Verifies the first frame now, of about `frame_len` bytes, so that a fault in it is known before anything is
    /// promised. A record within the first [`FRAME_LEN_MIN`] that does not verify is an error here, also when others
    /// before it do.
    ///
    /// # Errors
    ///
    /// What [`Self::poll_next`] would have said.
    pub async fn prime(&mut self, frame_len: u64) -> Result<(), Error> {
        let first = std::future::poll_fn(|cx| self.poll_next(frame_len, cx)).await.transpose()?;
        let good_len = first.as_ref().map_or(0, |frame| frame.len() as u64);
        match self.failed.take() {
            Some(error) if good_len < FRAME_LEN_MIN => return Err(error),
            later => self.failed = later,
        }
        self.ready = first;
        Ok(())
    }

    /// The next frame, of about `frame_len` bytes; `None` at the end.
    ///
    /// # Errors
    ///
    /// The key or the switch was withdrawn, the store failed, or a record does not verify.
    pub fn poll_next(&mut self, frame_len: u64, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if let Some(frame) = self.ready.take() {
            return Poll::Ready(Some(Ok(frame)));
        }
        if let Some(error) = self.failed.take() {
            self.stop();
            return Poll::Ready(Some(Err(error)));
        }
        if self.reading.is_none() && self.rest.is_empty() {
            match ready!(self.poll_growth(cx)) {
                Ok(true) => {}
                Ok(false) => return Poll::Ready(None),
                Err(error) => {
                    self.stop();
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        let frame = ready!(self.poll_frame(frame_len, cx));
        if frame.is_err() {
            self.stop();
        }
        Poll::Ready(Some(frame))
    }

    fn stop(&mut self) {
        self.rest.start = self.rest.end;
        self.following = None;
    }

    /// Whether there is more of the range, once that is known: it may be yet to be written.
    fn poll_growth(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        let Some(Following { follower, end }) = &mut self.following else { return Poll::Ready(Ok(false)) };
        let position = self.rest.start;
        if position >= *end {
            return Poll::Ready(Ok(false));
        }
        loop {
            // Also of one who only waits: it ends within a moment.
            if let Some(fingerprint) = self.recording.fingerprint() {
                self.keys.ring().opening(&fingerprint)?;
            }
            match follower.heard(position) {
                Some(News::More(recording)) => {
                    self.rest.end = recording.media_len.min(*end);
                    self.recording = recording;
                    return Poll::Ready(Ok(true));
                }
                Some(News::End(recording, outcome)) => {
                    self.recording = recording;
                    self.following = None;
                    return Poll::Ready(outcome.map_or(Ok(false), Err));
                }
                None => ready!(follower.poll_changed(cx)),
            }
        }
    }

    fn poll_frame(&mut self, frame_len: u64, cx: &mut Context<'_>) -> Poll<Result<Bytes, Error>> {
        let (media, bytes) = match self.reading.take() {
            Some((media, mut reading)) => match reading.as_mut().poll(cx) {
                Poll::Pending => {
                    self.reading = Some((media, reading));
                    return Poll::Pending;
                }
                Poll::Ready(bytes) => (media, bytes?.into()),
            },
            None => {
                // A key or switch withdrawn stops a stream under way within a frame.
                if let Some(fingerprint) = self.recording.fingerprint() {
                    self.keys.ring().opening(&fingerprint)?;
                }
                let media = self.recording.frame(self.rest.start, self.rest.end, frame_len);
                let file = self.file_range(&media)?;
                let mut buffer = self.buffers.take(len_of(&file));
                let filled = self.recording.file.try_read_now(file.start, &mut buffer)?;
                if filled == buffer.len() {
                    (media, buffer)
                } else {
                    let source = Arc::clone(&self.recording.file);
                    let mut reading: Reading =
                        Box::pin(async move { source.read(file.start, buffer.into_vec(), filled).await });
                    match reading.as_mut().poll(cx) {
                        Poll::Pending => {
                            self.reading = Some((media, reading));
                            return Poll::Pending;
                        }
                        Poll::Ready(bytes) => (media, bytes?.into()),
                    }
                }
            }
        };
        let frame = self.open_frame(media.clone(), bytes)?;
        self.rest.start = media.start + frame.len() as u64;
        Poll::Ready(Ok(frame))
    }

    fn file_range(&self, media: &Range<u64>) -> Result<Range<u64>, Error> {
        match &self.recording.content {
            OpenContent::Plain => Ok(media.clone()),
            OpenContent::Sealed { opener, .. } => {
                let span = opener.span(media.clone()).ok_or(Error::Corrupt(Corruption::ShortRead))?;
                Ok(span.file().clone())
            }
        }
    }

    fn open_frame(&mut self, media: Range<u64>, bytes: Buffer) -> Result<Bytes, Error> {
        let OpenContent::Sealed { opener, .. } = &self.recording.content else {
            return Ok(self.buffers.lend(bytes, usize::MAX));
        };
        let span = opener.span(media.clone()).ok_or(Error::Corrupt(Corruption::ShortRead))?;
        let mut plaintext = self.buffers.take(len_of(&media));
        let opened = opener.open_span(&span, &bytes, &mut plaintext);
        self.buffers.put(bytes);
        match opened {
            Ok(()) => Ok(self.buffers.lend(plaintext, usize::MAX)),
            Err(damage) if damage.verified_len == 0 => {
                METER.count_failure(&damage.corruption);
                self.buffers.put_wiped(plaintext);
                Err(Error::Corrupt(damage.corruption))
            }
            Err(damage) => {
                METER.count_failure(&damage.corruption);
                // What verified may be heard; the stream breaks where the damage begins.
                self.failed = Some(Error::Corrupt(damage.corruption));
                Ok(self.buffers.lend(plaintext, damage.verified_len))
            }
        }
    }
}

/// The length of a frame or its records: a few MiB at most.
fn len_of(range: &Range<u64>) -> usize {
    usize::try_from(range.end - range.start).unwrap_or(usize::MAX)
}
