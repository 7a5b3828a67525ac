//! Bodies: a page in memory, or media that streams and is exactly as long as was promised.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::service::{PlaybackError, SpanStream};

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
    /// What the request and its recording are called in the log.
    label: String,
}

/// Why a body was cut.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The playback failed under way.
    #[error(transparent)]
    Playback(#[from] PlaybackError),
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

    pub(super) fn media(stream: SpanStream, len: u64, label: String) -> Self {
        Self::Media(Box::new(MediaBody { stream, left: len, label }))
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
            Self::Media(media) => media.left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Media(media) => SizeHint::with_exact(media.left),
        }
    }
}

impl MediaBody {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.stream.poll_next(cx).map(|frame| {
            let frame = match frame {
                Some(Ok(bytes)) => match self.left.checked_sub(bytes.len() as u64) {
                    Some(left) => {
                        self.left = left;
                        Ok(bytes)
                    }
                    None => Err(Error::Length),
                },
                Some(Err(error)) => Err(error.into()),
                None => Err(Error::Length),
            };
            if let Err(error) = &frame {
                tracing::warn!(request = %self.label, left = self.left, %error, "the connection is cut");
            }
            Some(frame.map(Frame::data))
        })
    }
}
