//! `GET` and `HEAD` of `/recordings/{id}/media`.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    ops::Range,
    sync::Arc,
    time::{Duration, SystemTime},
};

use hyper::{
    HeaderMap, Method, Response, StatusCode, Version,
    header::{self, HeaderName, HeaderValue},
};
use percent_encoding::percent_decode_str;
use tokio::time::Instant;

use super::{
    Problem,
    app::{App, Request},
    body::{Body, Label, Piece},
    decision::{Decision, Representation, decide},
    description::{Description, attachment},
    forward::forward,
    multipart::Multipart,
    range::{Extent, Selection},
};
use crate::base::{ErrorCode, RecordingId};
use crate::service::{FRAME_LEN_MIN, OpenRecording, PlaybackError};

/// How long media of a recording in progress is waited for that is yet to come.
const MORE_TIMEOUT: Duration = Duration::from_secs(5);

/// Header fields of an answer with media.
const HEADERS_LEN: usize = 20;

/// How many digits a position in a recording has at most.
const NUMBER_LEN_MAX: usize = 20;

/// The longest file name that a download is given, in bytes.
const DOWNLOAD_NAME_LEN_MAX: usize = 255;

/// Why there is no media.
enum Refusal {
    /// By what plays.
    Playback(PlaybackError),
    /// By HTTP.
    Problem(Problem),
}

impl From<PlaybackError> for Refusal {
    fn from(error: PlaybackError) -> Self {
        Self::Playback(error)
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// Answers with media, or with the first reason why not.
pub(super) async fn answer(app: &App, request: &Request, id: &RecordingId) -> Result<Response<Body>, Problem> {
    let mut outcome = attempt(app, request, id).await;
    if let Err(Refusal::Playback(error)) = &outcome
        && error.is_of_another_version()
    {
        // An object was replaced or removed since it was looked at: nothing of it was sent, and now that is known.
        outcome = Box::pin(attempt(app, request, id)).await;
    }
    outcome.map_err(|refusal| match refusal {
        Refusal::Playback(error) => {
            let problem = Problem::of_playback(&error, id);
            tracing::debug!(request = %request.id, %id, code = %problem.code(), %error, "does not play");
            problem
        }
        Refusal::Problem(problem) => problem,
    })
}

async fn attempt(app: &App, request: &Request, id: &RecordingId) -> Result<Response<Body>, Refusal> {
    let recording = match app.playback.open(id).await {
        Err(PlaybackError::Spooled(spool)) => match Box::pin(forward(app, request, id, &spool)).await {
            Some(answer) => return Ok(answer),
            None => Box::pin(app.playback.open_despite_spool(id)).await?,
        },
        outcome => outcome?,
    };
    let disposition = disposition(request.uri.query(), &description(&recording))?;
    let now = app.now();
    let (recording, selection) = match select(app, request, recording, now).await? {
        (recording, Decision::Send(selection)) => (recording, selection),
        (recording, Decision::NotModified(_)) => return Ok(not_modified(&recording)),
        (_, Decision::PreconditionFailed(_)) => return Err(Problem::new(ErrorCode::PreconditionFailed).into()),
    };
    let len = (!recording.is_growing()).then_some(recording.media_len);
    // Of the recording as it is sent: one that was waited for may have come to its end.
    let description = description(&recording);

    let mut response = Response::new(Body::empty());
    // As many as an answer with media has at most: a table that grows is filled again each time.
    response.headers_mut().reserve(HEADERS_LEN);
    description.describe(response.headers_mut(), now);
    if let Some(disposition) = disposition {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    }
    let label = Label { request: request.id, recording: Arc::clone(&recording) };
    let sender = Sender { app, request, recording: &recording, label };
    let body = match selection {
        Selection::Whole(_) => {
            let body = sender.whole().await?;
            if request.method == Method::GET {
                body
            } else {
                // What would refuse the GET refused the HEAD.
                if let Some(len) = len {
                    response.headers_mut().insert(header::CONTENT_LENGTH, len.into());
                }
                Body::empty()
            }
        }
        Selection::Part(part) => {
            let (first, last) = (part.start, part.end - 1);
            // Of the length that three numbers have at most: a text that grows is copied each time.
            let mut range = String::with_capacity("bytes -/".len() + 3 * NUMBER_LEN_MAX);
            let _always_written = match len {
                None => write!(range, "bytes {first}-{last}/*"),
                Some(len) => write!(range, "bytes {first}-{last}/{len}"),
            };
            insert(response.headers_mut(), header::CONTENT_RANGE, range);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            sender.part(part).await?
        }
        Selection::Follow { first, last } => {
            insert(response.headers_mut(), header::CONTENT_RANGE, format!("bytes {first}-{last}/*"));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            sender.followed(first..last.saturating_add(1)).await?
        }
        Selection::Parts(parts) => {
            let multipart = Multipart::new(&recording.media_type, len).map_err(|error| {
                tracing::error!(request = %request.id, %id, %error, "no boundary can be made");
                Problem::new(ErrorCode::Internal)
            })?;
            insert(response.headers_mut(), header::CONTENT_TYPE, multipart.content_type());
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            sender.parts(&multipart, parts).await?
        }
        Selection::NotYet | Selection::Unsatisfiable => return Ok(unsatisfiable(request, len)),
    };
    if let Some(len) = body.size_hint().exact().filter(|_| request.method == Method::GET) {
        response.headers_mut().insert(header::CONTENT_LENGTH, len.into());
    }
    *response.body_mut() = body;
    if let Body::Media(_) = response.body() {
        // Last: nothing can refuse it any more, and not a byte of it has left.
        let listener = app.listening.begin(&app.player(request), (&*recording).into(), &request.id).await;
        let listener = listener.map_err(|error| {
            tracing::warn!(request = %request.id, %id, %error, "it is not played");
            Problem::new(error.code())
        })?;
        response.body_mut().tell(listener);
    }
    Ok(response)
}

/// What every answer says of a recording as it is known here: made once for all who ask for it. One in progress is
/// another [`OpenRecording`] whenever more of it is known.
fn description(recording: &OpenRecording) -> Arc<Description> {
    recording.shown(|| Description::new(recording))
}

/// Decides what is sent of a recording. Of one in progress, media that is yet to come is waited for a while, before it
/// is said that there is none.
async fn select(
    app: &App,
    request: &Request,
    mut recording: Arc<OpenRecording>,
    now: SystemTime,
) -> Result<(Arc<OpenRecording>, Decision), PlaybackError> {
    let mut deadline = None;
    loop {
        let len = recording.media_len;
        let representation = Representation {
            validators: recording.validators.as_ref(),
            extent: if recording.is_growing() { Extent::Growing(len) } else { Extent::Fixed(len) },
            unit_len: recording.unit_len(),
        };
        let decision = decide(&request.method, &request.headers, representation, now);
        if decision != Decision::Send(Selection::NotYet) {
            return Ok((recording, decision));
        }
        let now = Instant::now();
        let deadline = *deadline.get_or_insert(now + MORE_TIMEOUT);
        if now >= deadline {
            return Ok((recording, decision));
        }
        // In a place of its own: most requests wait for nothing.
        recording = Box::pin(app.playback.open_grown(&recording, deadline)).await?;
    }
}

/// Makes bodies of a recording's media. What comes first is verified before there is a body.
struct Sender<'a> {
    app: &'a App,
    request: &'a Request,
    recording: &'a Arc<OpenRecording>,
    /// What request and recording are called in the log.
    label: Label,
}

impl Sender<'_> {
    /// All of it; of a recording in progress, also what comes.
    async fn whole(self) -> Result<Body, PlaybackError> {
        if self.recording.is_growing() {
            return self.followed(0..u64::MAX).await;
        }
        let len = self.recording.media_len;
        self.part(0..len).await
    }

    async fn part(self, media: Range<u64>) -> Result<Body, PlaybackError> {
        if media.is_empty() {
            return Ok(Body::empty());
        }
        let mut stream = self.app.playback.stream(self.recording, media.clone());
        stream.prime(self.first_frame_len(&media)).await?;
        Ok(Body::media(stream, media, false, self.label))
    }

    /// What is there of a recording in progress, and what comes.
    async fn followed(self, media: Range<u64>) -> Result<Body, PlaybackError> {
        let mut stream = self.app.playback.follow(self.recording, media.clone());
        if media.start < self.recording.media_len {
            stream.prime(FRAME_LEN_MIN).await?;
        }
        Ok(Body::media(stream, media, true, self.label))
    }

    /// About how long the first frame is, which is made before it can be asked for: a large one for who has taken all so
    /// far, and would take it.
    fn first_frame_len(&self, media: &Range<u64>) -> u64 {
        let connection = &self.request.connection;
        let is_short = media.end - media.start <= FRAME_LEN_MIN;
        if is_short || self.request.version == Version::HTTP_2 { FRAME_LEN_MIN } else { connection.flow.frame_len() }
    }

    async fn parts(self, multipart: &Multipart<'_>, parts: Vec<Range<u64>>) -> Result<Body, PlaybackError> {
        let mut pieces = VecDeque::with_capacity(2 * parts.len() + 1);
        for part in parts {
            let is_first = pieces.is_empty();
            pieces.push_back(Piece::Text(multipart.head(&part, is_first).into()));
            let mut stream = self.app.playback.stream(self.recording, part.clone());
            if is_first {
                stream.prime(FRAME_LEN_MIN).await?;
            }
            pieces.push_back(Piece::Media(Box::new(stream), part));
        }
        pieces.push_back(Piece::Text(multipart.tail().into()));
        Ok(Body::pieces(pieces, self.label))
    }
}

/// 304: of what a 200 would say, what RFC 9110, section 15.4.5, asks for, and what is no metadata of the media.
/// `Last-Modified` is not needed beside an entity tag, and without one there is none.
fn not_modified(recording: &Arc<OpenRecording>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    description(recording).describe_resource(response.headers_mut());
    response
}

/// A download when that was asked for by `?download=NAME`, and for whatever a browser could run as a page.
fn disposition(query: Option<&str>, description: &Description) -> Result<Option<HeaderValue>, Problem> {
    let asked = query.and_then(|query| query.split('&').find_map(|part| part.strip_prefix("download=")));
    let name = match asked {
        Some(name) => {
            let bad = || Problem::new(ErrorCode::BadRequest).with_detail("the name in ?download= is not a file name");
            let name = percent_decode_str(name).decode_utf8().map_err(|_| bad())?.into_owned();
            if name.is_empty()
                || name.len() > DOWNLOAD_NAME_LEN_MAX
                || name.contains(|c: char| c.is_control() || "/\\".contains(c))
            {
                return Err(bad());
            }
            name
        }
        None => return Ok(description.disposition()),
    };
    Ok(attachment(&name))
}

fn unsatisfiable(request: &Request, len: Option<u64>) -> Response<Body> {
    let mut response = Problem::new(ErrorCode::RangeNotSatisfiable).answer(&request.id, true);
    if let Some(len) = len {
        insert(response.headers_mut(), header::CONTENT_RANGE, format!("bytes */{len}"));
    }
    response
}

/// Inserts a value that holds printable ASCII by its making.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}
