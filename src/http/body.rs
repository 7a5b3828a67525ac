//! Bodies: a page in memory, or media that streams and is exactly as long as was promised.

use std::{
    collections::VecDeque,
    fmt,
    ops::Range,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::{
    forward::PeerBody,
    observe::{Active, count_media},
    request_id::RequestId,
};
use crate::base::ErrorCode;
use crate::service::{Listener, OpenRecording, PlaybackError, SpanStream};

/// How long a cut waits for good bytes to be on their way, at most, and how often it looks.
const LAST_BYTES_TIMEOUT: Duration = Duration::from_secs(10);
const LAST_BYTES_TICK: Duration = Duration::from_millis(5);

/// The body of an answer.
pub(super) enum Body {
    /// Bytes in memory.
    Full(Option<Bytes>),
    /// Media on its way.
    Media(Box<MediaBody>),
    /// What another proxy answers.
    Peer(Box<PeerBody>),
}

/// Media on its way. It ends in order only when every promised byte was given; else the connection is cut.
pub(super) struct MediaBody {
    pieces: VecDeque<Piece>,
    /// Bytes of all pieces that are still to be given.
    left: u64,
    /// A recording in progress has no length to promise: its media ends where its writer ends it.
    is_open_ended: bool,
    /// What the request and its recording are called in the log.
    label: Label,
    /// Held by every frame that the connection has not sent yet.
    unsent: Arc<()>,
    cut: Option<Cut>,
    _active: Active,
    /// The listening session that hears it; none of a body that is not recorded.
    listener: Option<Listener>,
    /// The request's span, which ends with the body.
    span: tracing::Span,
}

/// What a request and its recording are called.
pub(super) struct Label {
    pub request: RequestId,
    pub recording: Arc<OpenRecording>,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.request, self.recording.id)
    }
}

/// What a body is made of, one after the other.
pub(super) enum Piece {
    /// What stands around the parts of an answer with several.
    Text(Bytes),
    /// Media, and where in the recording what is left of it lies.
    Media(Box<SpanStream>, Range<u64>),
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
    /// The client took nothing for too long.
    #[error("the client takes nothing")]
    Stalled,
    /// The proxy that was asked broke off.
    #[error("the proxy that was asked broke off")]
    Peer,
    /// More or less came than was promised: a fault of this program.
    #[error("the media is not as long as was promised")]
    Length,
}

impl Error {
    /// The name that the playback record gives it.
    fn code(&self) -> ErrorCode {
        match self {
            Self::Playback(error) => error.code(),
            Self::Peer => ErrorCode::StorageUnavailable,
            Self::Length | Self::Stalled => ErrorCode::Internal,
        }
    }
}

impl Body {
    pub(super) fn full(bytes: impl Into<Bytes>) -> Self {
        Self::Full(Some(bytes.into()))
    }

    pub(super) fn empty() -> Self {
        Self::Full(None)
    }

    /// The media that a stream gives; its length is promised unless the answer is open-ended: then it is no longer than
    /// `media`.
    pub(super) fn media(stream: SpanStream, media: Range<u64>, is_open_ended: bool, label: Label) -> Self {
        let pieces = [Piece::Media(Box::new(stream), media)].into();
        Self::Media(Box::new(MediaBody { is_open_ended, ..MediaBody::new(pieces, label) }))
    }

    /// Text and media by turns. A stream holds nothing before its turn comes.
    pub(super) fn pieces(pieces: VecDeque<Piece>, label: Label) -> Self {
        Self::Media(Box::new(MediaBody::new(pieces, label)))
    }

    /// What another proxy answers.
    pub(super) fn peer(body: PeerBody) -> Self {
        Self::Peer(Box::new(body))
    }

    /// Whether it is on its way, and made, or taken from another proxy, as it is asked for.
    pub(super) fn is_media(&self) -> bool {
        matches!(self, Self::Media(_) | Self::Peer(_))
    }

    /// Tells a listening session what is handed over.
    pub(super) fn tell(&mut self, listener: Listener) {
        if let Self::Media(media) = self {
            media.listener = Some(listener);
        }
    }

    /// Keeps a span open until the last byte of media was handed over.
    pub(super) fn keep(&mut self, span: tracing::Span) {
        if let Self::Media(media) = self {
            media.span = span;
        }
    }
}

impl Body {
    /// The next bytes: of media about `frame_len`.
    pub(super) fn poll_frame(
        &mut self,
        frame_len: u64,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Media(media) => media.poll_frame(frame_len, cx),
            Self::Peer(peer) => peer.poll_frame(cx),
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_none(),
            Self::Media(media) => media.left == 0 && !media.is_open_ended,
            Self::Peer(peer) => peer.is_end_stream(),
        }
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Media(media) if media.is_open_ended => SizeHint::default(),
            Self::Media(media) => SizeHint::with_exact(media.left),
            Self::Peer(peer) => peer.size_hint(),
        }
    }
}

impl Piece {
    fn len(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Media(_, media) => media.end - media.start,
        }
    }
}

impl MediaBody {
    fn new(pieces: VecDeque<Piece>, label: Label) -> Self {
        // Parts do not overlap, and what stands around them is short.
        let left = pieces.iter().map(Piece::len).sum();
        Self {
            pieces,
            left,
            is_open_ended: false,
            label,
            unsent: Arc::new(()),
            cut: None,
            _active: Active::stream(),
            listener: None,
            span: tracing::Span::none(),
        }
    }

    fn poll_frame(&mut self, frame_len: u64, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.cut.is_some() {
            return self.poll_cut(cx);
        }
        match ready!(self.poll_bytes(frame_len, cx)) {
            Some(Ok(bytes)) => {
                self.left -= bytes.len() as u64;
                let unsent = Unsent { bytes, _unsent: Arc::clone(&self.unsent) };
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(unsent)))))
            }
            Some(Err(error)) => {
                self.cut(error);
                self.poll_cut(cx)
            }
            None => Poll::Ready(None),
        }
    }

    /// The next bytes of the piece whose turn it is: never more than were promised of it.
    fn poll_bytes(&mut self, frame_len: u64, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            match self.pieces.front_mut() {
                None => return Poll::Ready(None),
                Some(Piece::Media(_, media)) if media.is_empty() && !self.is_open_ended => {}
                Some(Piece::Media(stream, media)) => {
                    return Poll::Ready(Some(match ready!(stream.poll_next(frame_len, cx)) {
                        Some(Ok(bytes)) if bytes.len() as u64 <= media.end - media.start => {
                            let given = media.start..media.start + bytes.len() as u64;
                            media.start = given.end;
                            count_media(bytes.len());
                            if let Some(listener) = &self.listener {
                                listener.handed(given);
                            }
                            Ok(bytes)
                        }
                        Some(Ok(_)) => Err(Error::Length),
                        Some(Err(error)) => {
                            if let Some(listener) = &self.listener {
                                listener.knows(&stream.recording().into());
                            }
                            Err(Error::Playback(error))
                        }
                        None if self.is_open_ended => {
                            if let Some(listener) = &self.listener {
                                listener.knows(&stream.recording().into());
                            }
                            self.pieces.clear();
                            return Poll::Ready(None);
                        }
                        None => Err(Error::Length),
                    }));
                }
                Some(Piece::Text(text)) => {
                    let text = std::mem::take(text);
                    self.pieces.pop_front();
                    return Poll::Ready(Some(Ok(text)));
                }
            }
            self.pieces.pop_front();
        }
    }

    fn cut(&mut self, error: Error) {
        if matches!(error, Error::Playback(PlaybackError::BrokenOff)) {
            // All that there is of it was given: no failure of whoever gave it, and its end is no end in order.
            tracing::info!(request = %self.label, %error, "the connection is cut");
        } else {
            let left = (!self.is_open_ended).then_some(self.left);
            tracing::warn!(request = %self.label, left, %error, "the connection is cut");
            if let Some(listener) = &self.listener {
                listener.failed(error.code());
            }
        }
        // Who may not play any more is not waited for.
        let is_withdrawn = matches!(error, Error::Playback(PlaybackError::Refused(_)));
        let mut ticks = interval(LAST_BYTES_TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let deadline = Instant::now() + if is_withdrawn { Duration::ZERO } else { LAST_BYTES_TIMEOUT };
        self.cut = Some(Cut { error, ticks, deadline, is_last_tick: is_withdrawn });
        // What was to come is not held any longer.
        self.pieces.clear();
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
