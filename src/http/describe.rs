//! `PATCH` and `DELETE` of `/recordings/{id}`: what is known about a recording, replaced whole, and its end.

use hyper::{
    HeaderMap, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
};

use super::{
    App, Problem,
    app::{Request, json, read_body},
    body::Body,
    cors,
    forward::forward,
};
use crate::audit::{Event, EventKind};
use crate::base::{ErrorCode, MetadataField, RecordingId};
use crate::catalogue::{Metadata, MetadataError};
use crate::service::{CompanionError, PlaybackError, PurgeError};

/// More than every field with the longest texts.
const BODY_LEN_MAX: usize = 64 * 1024;

impl App {
    /// Puts what the body says in the place of what was known; answers like GET.
    pub(super) async fn describe(
        &self,
        request: &Request,
        id: &RecordingId,
        body: Incoming,
    ) -> Result<Response<Body>, Problem> {
        cors::check_origin(self, request)?;
        let metadata = read(&request.headers, body).await?;
        self.check_record().await?;
        self.companions.describe(id, &metadata).await.map_err(|error| {
            tracing::info!(request = %request.id, %id, %error, "it is not described");
            of_companion(&error, id)
        })?;
        self.put_on_record(request, id, EventKind::RecordingDescribe, None).await?;
        self.recording(request, id).await
    }

    /// Purges a recording.
    pub(super) async fn delete(&self, request: &Request, id: &RecordingId) -> Result<Response<Body>, Problem> {
        cors::check_origin(self, request)?;
        self.check_record().await?;
        let purged = self.purge.purge(id).await;
        // All that there is of it must go, and only that proxy reaches it; which also puts it on record.
        if let Err(PurgeError::Spooled(spool)) = &purged
            && let Some(answer) = forward(self, request, id, spool).await
        {
            return Ok(answer);
        }
        let recording = purged.map_err(|error| {
            tracing::info!(request = %request.id, %id, %error, "it is not purged");
            Problem::of_purge(&error, id)
        })?;
        // Another one of its ID may be recorded, and be played while the catalogue is away.
        self.playback.forget(id).await;
        let fingerprint = recording.fingerprint().map(|fingerprint| fingerprint.to_string());
        self.put_on_record(request, id, EventKind::RecordingDelete, fingerprint).await?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok(response)
    }

    /// `GET` and `HEAD` of a recording.
    pub(super) async fn recording(&self, request: &Request, id: &RecordingId) -> Result<Response<Body>, Problem> {
        let row = self.playback.recording(id).await.map_err(|error| {
            tracing::debug!(request = %request.id, %id, %error, "cannot be described");
            Problem::of_playback(&error, id)
        })?;
        let opened = match self.playback.open(id).await {
            Err(PlaybackError::Spooled(spool)) => match forward(self, request, id, &spool).await {
                Some(answer) => return Ok(answer),
                None => self.playback.open_despite_spool(id).await,
            },
            opened => opened,
        };
        if let Err(error) = &opened {
            tracing::debug!(request = %request.id, %id, code = %error.code(), %error, "does not play");
        }
        let opened = opened.as_ref().map(|opened| &**opened);
        let document = super::RecordingDocument::of_opened(&row, opened, &request.id, (self.clock)());
        Ok(json(&match self.companions.metadata(id).await {
            Ok(metadata) => document.with_metadata(metadata),
            // What the catalogue knows of it is better than nothing.
            Err(error) => {
                tracing::debug!(request = %request.id, %id, code = %error.code(), %error, "its metadata cannot be read");
                document
            }
        }))
    }

    /// Sees that what is about to be done can be put on record.
    async fn check_record(&self) -> Result<(), Problem> {
        self.listening.check().await.map_err(|error| Problem::new(error.code()))
    }

    async fn put_on_record(
        &self,
        request: &Request,
        id: &RecordingId,
        kind: EventKind,
        fingerprint: Option<String>,
    ) -> Result<(), Problem> {
        let event = Event {
            recording: Some(id.to_string()),
            request_ids: vec![request.id.to_string()],
            fingerprint,
            ..self.player(request).event(kind)
        };
        self.listening.record(event).await.map_err(|error| Problem::new(error.code()))
    }
}

/// Why something beside a recording was not kept, or cannot be had.
pub(super) fn of_companion(error: &CompanionError, id: &RecordingId) -> Problem {
    let problem = Problem::of_companion(error, id);
    match error {
        CompanionError::Metadata(error) => problem.with_detail(rule(error)),
        _ => problem,
    }
}

/// The rule that was broken, in words of our own.
fn rule(error: &MetadataError) -> &'static str {
    match error {
        MetadataError::NotJson(_) => "the body must be a JSON object",
        MetadataError::Fields(_) => {
            "the body must be an object of some of started_at (text), duration_s (number), direction, agent, group (texts), parties, tags (lists of texts)"
        }
        MetadataError::StartedAt => "`started_at` must be a time of RFC 3339 such as 2026-11-27T10:00:00Z",
        MetadataError::Duration => "`duration_s` must be a number of seconds from 0 to 1000000000",
        MetadataError::Text(MetadataField::Parties) | MetadataError::TooMany(MetadataField::Parties) => {
            "`parties` must be at most 64 texts of 1 to 256 characters without control characters"
        }
        MetadataError::Text(MetadataField::Tags) | MetadataError::TooMany(MetadataField::Tags) => {
            "`tags` must be at most 64 texts of 1 to 256 characters without control characters"
        }
        MetadataError::Text(_) | MetadataError::TooMany(_) => {
            "`direction`, `agent` and `group` must be texts of 1 to 256 characters without control characters"
        }
    }
}

async fn read(headers: &HeaderMap, body: Incoming) -> Result<Metadata, Problem> {
    let media_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let essence = media_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if !essence.eq_ignore_ascii_case(b"application/json") {
        return Err(Problem::new(ErrorCode::UnsupportedMediaType).with_detail("the body must be application/json"));
    }
    let bad = |detail| Problem::new(ErrorCode::BadRequest).with_detail(detail);
    let body = read_body(body, BODY_LEN_MAX).await;
    let body = body.ok_or_else(|| bad("the body is longer than metadata can be, too slow, or broke off"))?;
    Metadata::from_json(&body).map_err(|error| bad(rule(&error)))
}
