//! `GET` and `HEAD` of `/recordings/{id}/waveform`: what a recording's sound looks like, for players that show it.
//!
//! Whatever refuses the media refuses this, too, and it is on record like what lies beside a recording: it tells when
//! somebody speaks. What has no sound, or none that can be decoded here, has no channels, and players show a plain line.

use std::sync::Arc;

use hyper::{
    Method, Response,
    header::{self, HeaderValue},
};
use serde::Serialize;

use super::{
    App, Problem,
    app::{Request, json},
    body::Body,
    forward::forward,
};
use crate::audit::{Event, EventKind};
use crate::base::{ErrorCode, RecordingId};
use crate::service::{FRAME_LEN_MIN, OpenRecording, PlaybackError, WaveformError};

const POINTS_DEFAULT: u64 = 1000;
/// More than any screen is wide.
const POINTS_MAX: u64 = 10_000;
const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-store");

/// The body.
#[derive(Serialize)]
struct Document {
    channels: Vec<Vec<[f64; 2]>>,
    duration_s: Option<f64>,
}

/// Why there is none.
enum Refusal {
    Waveform(WaveformError),
    Problem(Problem),
}

impl From<PlaybackError> for Refusal {
    fn from(error: PlaybackError) -> Self {
        Self::Waveform(error.into())
    }
}

impl From<WaveformError> for Refusal {
    fn from(error: WaveformError) -> Self {
        Self::Waveform(error)
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// Answers with the waveform, or with the first reason why not.
pub(super) async fn answer(app: &App, request: &Request, id: &RecordingId) -> Result<Response<Body>, Problem> {
    let mut outcome = attempt(app, request, id).await;
    if let Err(Refusal::Waveform(WaveformError::Playback(error))) = &outcome
        && error.is_of_another_version()
    {
        // An object was replaced or removed since it was looked at, and now that is known.
        outcome = attempt(app, request, id).await;
    }
    outcome.map_err(|refusal| match refusal {
        Refusal::Waveform(error) => {
            tracing::debug!(request = %request.id, %id, code = %error.code(), %error, "has no waveform");
            match error {
                WaveformError::Playback(error) => Problem::of_playback(&error, id),
                WaveformError::TooMany => Problem::new(error.code()),
            }
        }
        Refusal::Problem(problem) => problem,
    })
}

async fn attempt(app: &App, request: &Request, id: &RecordingId) -> Result<Response<Body>, Refusal> {
    let recording = match app.playback.open(id).await {
        Err(PlaybackError::Spooled(spool)) => match forward(app, request, id, &spool).await {
            Some(answer) => return Ok(answer),
            None => app.playback.open_despite_spool(id).await?,
        },
        outcome => outcome?,
    };
    let count = points(request.uri.query())?;
    check_first(app, &recording).await?;
    if request.method == Method::HEAD {
        // What would refuse the GET before its first byte is decoded refused the HEAD.
        let mut response = json(&());
        *response.body_mut() = Body::empty();
        response.headers_mut().insert(header::CACHE_CONTROL, PRIVATE);
        return Ok(response);
    }
    let waveform = app.waveforms.of(&recording).await?;
    let channels = waveform.channels(count);
    if !channels.is_empty() {
        put_on_record(app, request, &recording).await?;
    }
    let duration_s = waveform.duration().map(|duration| (duration.as_secs_f64() * 1000.0).round() / 1000.0);
    let mut response = json(&Document { channels, duration_s });
    response.headers_mut().insert(header::CACHE_CONTROL, PRIVATE);
    Ok(response)
}

/// Sees that the media plays, as far as that is known before the first byte of it is sent: also of a recording whose
/// waveform is remembered, or that has none.
async fn check_first(app: &App, recording: &Arc<OpenRecording>) -> Result<(), PlaybackError> {
    if recording.media_len == 0 {
        return Ok(());
    }
    app.playback.stream(recording, 0..recording.media_len).prime(FRAME_LEN_MIN).await
}

/// How many parts are asked for.
fn points(query: Option<&str>) -> Result<u64, Problem> {
    let query = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let Some((_, asked)) = query.filter(|(name, _)| name == "points").last() else { return Ok(POINTS_DEFAULT) };
    let count = asked.parse().ok().filter(|count| (1..=POINTS_MAX).contains(count));
    count.ok_or_else(|| {
        Problem::new(ErrorCode::BadRequest).with_detail("`points` must be a whole number from 1 to 10000")
    })
}

async fn put_on_record(app: &App, request: &Request, recording: &OpenRecording) -> Result<(), Problem> {
    let event = Event {
        recording: Some(recording.id.to_string()),
        request_ids: vec![request.id.to_string()],
        fingerprint: recording.fingerprint().map(|fingerprint| fingerprint.to_string()),
        seal_id: recording.seal_id().map(|seal_id| seal_id.to_string()),
        ..app.player(request).event(EventKind::WaveformRead)
    };
    app.listening.record(event).await.map_err(|error| Problem::new(error.code()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_a_number_within_bounds() {
        for (query, count) in [
            (None, 1000),
            (Some(""), 1000),
            (Some("link=v1.x"), 1000),
            (Some("points=1"), 1),
            (Some("link=v1.x&points=10000"), 10_000),
            (Some("points=0&points=7"), 7),
        ] {
            assert_eq!(points(query).ok(), Some(count), "{query:?}");
        }
        for query in
            ["points", "points=", "points=0", "points=10001", "points=-1", "points=1.5", "points=9e3", "points=x"]
        {
            assert_eq!(points(Some(query)).map_err(|problem| problem.code()), Err(ErrorCode::BadRequest), "{query}");
        }
    }
}
