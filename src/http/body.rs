//! Bodies: a page in memory, or media that streams and is exactly as long as was promised.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::observe::{Active, count_media};
use crate::service::{PlaybackError, SpanStream};

/// How long a cut waits for good bytes to be on their way, at most, and how often it looks.
const LAST_BYTES_TIMEOUT: Duration = Duration::from_secs(10);
const LAST_BYTES_TICK: Duration = Duration::from_millis(5);

/// The body of an answer.
pub(super) enum Body {
    /// Bytes in memory.
    Full(Option<Bytes>),
    /// Media on its way.
    Media(Box<MediaBody>),
}

/// Media on its way. It ends in order only when every promised byte was given; else the connection is cut.
pub(super) struct MediaBody {
    stream: SpanStream,
    left: u64,
    /// A recording in progress has no length to promise.
    is_open_ended: bool,
    /// What the request and its recording are called in the log.
    label: String,
    /// Held by every frame that the connection has not sent yet.
    unsent: Arc<()>,
    cut: Option<Cut>,
    _active: Active,
    /// The request's span, which ends with the body.
    span: tracing::Span,
}

/// A cut that waits. A connection that is cut forgets what it was given and has not sent, and good bytes that came
/// before the damage are to be heard.
struct Cut {
    error: Error,
    ticks: Interval,
    deadline: Instant,
    is_last_tick: bool,
}

/// A frame, and the knowledge that it is not sent yet.
struct Unsent {
    bytes: Bytes,
    _unsent: Arc<()>,
}

impl AsRef<[u8]> for Unsent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Why a body was cut.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The playback failed under way.
    #[error(transparent)]
    Playback(#[from] PlaybackError),
    /// The recording goes on, and following it is not there yet: an end in order would say that this was all.
    #[error("the recording goes on")]
    NotFollowed,
    /// More or less came than was promised: a fault of this program.
    #[error("the media is not as long as was promised")]
    Length,
}

impl Body {
    pub(super) fn full(bytes: impl Into<Bytes>) -> Self {
        Self::Full(Some(bytes.into()))
    }

    pub(super) fn empty() -> Self {
        Self::Full(None)
    }

    /// `len` bytes of media; the length is promised unless the answer is open-ended.
    pub(super) fn media(stream: SpanStream, len: u64, is_open_ended: bool, label: String) -> Self {
        Self::Media(Box::new(MediaBody {
            stream,
            left: len,
            is_open_ended,
            label,
            unsent: Arc::new(()),
            cut: None,
            _active: Active::stream(),
            span: tracing::Span::none(),
        }))
    }

    /// Keeps a span open until the last byte of media was handed over.
    pub(super) fn keep(&mut self, span: tracing::Span) {
        if let Self::Media(media) = self {
            media.span = span;
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.get_mut() {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Media(media) => media.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_none(),
            Self::Media(media) => media.left == 0 && !media.is_open_ended,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Media(media) if media.is_open_ended => SizeHint::default(),
            Self::Media(media) => SizeHint::with_exact(media.left),
        }
    }
}

impl MediaBody {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.cut.is_some() {
            return self.poll_cut(cx);
        }
        if self.left == 0 && !self.is_open_ended {
            return Poll::Ready(None);
        }
        let error = match ready!(self.stream.poll_next(cx)) {
            Some(Ok(bytes)) => match self.left.checked_sub(bytes.len() as u64) {
                Some(left) => {
                    self.left = left;
                    count_media(bytes.len());
                    let unsent = Unsent { bytes, _unsent: Arc::clone(&self.unsent) };
                    return Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(unsent)))));
                }
                None => Error::Length,
            },
            Some(Err(error)) => Error::Playback(error),
            None if self.is_open_ended => Error::NotFollowed,
            None => Error::Length,
        };
        if !matches!(error, Error::NotFollowed) {
            tracing::warn!(request = %self.label, left = self.left, %error, "the connection is cut");
        }
        // Who may not play any more is not waited for.
        let is_withdrawn = matches!(error, Error::Playback(PlaybackError::Refused(_)));
        let mut ticks = interval(LAST_BYTES_TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let deadline = Instant::now() + if is_withdrawn { Duration::ZERO } else { LAST_BYTES_TIMEOUT };
        self.cut = Some(Cut { error, ticks, deadline, is_last_tick: is_withdrawn });
        self.poll_cut(cx)
    }

    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        while let Some(cut) = &mut self.cut {
            if cut.is_last_tick {
                return Poll::Ready(self.cut.take().map(|cut| Err(cut.error)));
            }
            let now = ready!(cut.ticks.poll_tick(cx));
            // One tick more, for what the connection has copied and not yet sent.
            cut.is_last_tick = Arc::strong_count(&self.unsent) == 1 || now >= cut.deadline;
            if cut.is_last_tick && now < cut.deadline {
                ready!(cut.ticks.poll_tick(cx));
            }
        }
        Poll::Ready(None)
    }
}
