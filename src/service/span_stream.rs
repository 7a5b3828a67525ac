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
use crate::media::{self, MediaFile};
use crate::sealed::Corruption;

/// About how much media a frame carries for one who takes all at once: large enough that its costs do not count, small
/// enough for a core's cache.
pub const FRAME_LEN_MAX: u64 = 256 * 1024;
/// The same for one who makes us wait, and of the first frame: what may lie in memory for as long as that takes.
pub const FRAME_LEN_MIN: u64 = 64 * 1024;

type Read = Pin<Box<dyn Future<Output = Result<Vec<u8>, media::Error>> + Send>>;

/// A range of a recording's media. One frame at a time is held, whatever the length of the range.
///
/// After an error the stream ends; what came before it is good.
pub struct SpanStream {
    recording: Arc<OpenRecording>,
    keys: Arc<KeyWatch>,
    buffers: BufferPool,
    rest: Range<u64>,
    /// The file, where it is better read by one who said what they will read; made when the first frame is asked for.
    in_order: Option<Option<Arc<dyn MediaFile>>>,
    reading: Option<Reading>,
    /// A frame that was asked for before anybody took it, so that its faults were known in time.
    ready: Option<Bytes>,
    failed: Option<Error>,
    /// What of the range is yet to be written.
    following: Option<Following>,
}

/// A frame that is waited for.
struct Reading {
    media: Range<u64>,
    read: Read,
    /// Whether it is read once more, from the object itself.
    is_anew: bool,
}

/// What came of opening a frame.
enum Opened {
    Frame(Bytes),
    /// It does not verify, and was read from a copy.
    Distrusted(Buffer),
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
        Self {
            recording,
            keys,
            buffers,
            rest: media,
            in_order: None,
            reading: None,
            ready: None,
            failed: None,
            following: None,
        }
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
        loop {
            let (media, bytes, is_anew) = match self.reading.take() {
                Some(mut reading) => match reading.read.as_mut().poll(cx) {
                    Poll::Pending => {
                        self.reading = Some(reading);
                        return Poll::Pending;
                    }
                    Poll::Ready(bytes) => (reading.media, bytes?.into(), reading.is_anew),
                },
                None => {
                    // A key or switch withdrawn stops a stream under way within a frame.
                    if let Some(fingerprint) = self.recording.fingerprint() {
                        self.keys.ring().opening(&fingerprint)?;
                    }
                    let media = self.recording.frame(self.rest.start, self.rest.end, frame_len);
                    let file = self.file_range(&media)?;
                    let mut buffer = self.buffers.take(len_of(&file));
                    let filled = self.source()?.try_read_now(file.start, &mut buffer)?;
                    if filled < buffer.len() {
                        let source = Arc::clone(self.source()?);
                        let read: Read =
                            Box::pin(async move { source.read(file.start, buffer.into_vec(), filled).await });
                        self.reading = Some(Reading { media, read, is_anew: false });
                        continue;
                    }
                    (media, buffer, false)
                }
            };
            match self.open_frame(media.clone(), bytes, is_anew)? {
                Opened::Frame(frame) => {
                    self.rest.start = media.start + frame.len() as u64;
                    return Poll::Ready(Ok(frame));
                }
                Opened::Distrusted(seen) => self.begin_anew(media, seen)?,
            }
        }
    }

    /// Reads a frame once more. In a place of its own: it is rare.
    #[cold]
    fn begin_anew(&mut self, media: Range<u64>, seen: Buffer) -> Result<(), Error> {
        let (source, start) = (Arc::clone(&self.recording.file), self.file_range(&media)?.start);
        let read: Read = Box::pin(async move { source.read_anew(start, seen.into_vec()).await });
        self.reading = Some(Reading { media, read, is_anew: true });
        Ok(())
    }

    /// What this stream reads from.
    fn source(&mut self) -> Result<&Arc<dyn MediaFile>, Error> {
        if self.in_order.is_none() {
            let all = self.file_range(&self.rest)?;
            self.in_order = Some(Arc::clone(&self.recording.file).read_in_order(all));
        }
        Ok(self.in_order.as_ref().and_then(Option::as_ref).unwrap_or(&self.recording.file))
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

    /// Verifies and decrypts a frame. What does not verify is an error only once it was read from the object itself.
    fn open_frame(&mut self, media: Range<u64>, bytes: Buffer, is_anew: bool) -> Result<Opened, Error> {
        let OpenContent::Sealed { opener, .. } = &self.recording.content else {
            return Ok(Opened::Frame(self.buffers.lend(bytes, usize::MAX)));
        };
        let span = opener.span(media.clone()).ok_or(Error::Corrupt(Corruption::ShortRead))?;
        let mut plaintext = self.buffers.take(len_of(&media));
        let opened = opener.open_span(&span, &bytes, &mut plaintext);
        if opened.is_err() && !is_anew && self.recording.file.has_copies() {
            self.buffers.put_wiped(plaintext);
            return Ok(Opened::Distrusted(bytes));
        }
        self.buffers.put(bytes);
        match opened {
            Ok(()) => Ok(Opened::Frame(self.buffers.lend(plaintext, usize::MAX))),
            Err(damage) if damage.verified_len == 0 => {
                METER.count_failure(&damage.corruption);
                self.buffers.put_wiped(plaintext);
                Err(Error::Corrupt(damage.corruption))
            }
            Err(damage) => {
                METER.count_failure(&damage.corruption);
                // What verified may be heard; the stream breaks where the damage begins.
                self.failed = Some(Error::Corrupt(damage.corruption));
                Ok(Opened::Frame(self.buffers.lend(plaintext, damage.verified_len)))
            }
        }
    }
}

/// The length of a frame or its records: a few MiB at most.
fn len_of(range: &Range<u64>) -> usize {
    usize::try_from(range.end - range.start).unwrap_or(usize::MAX)
}
