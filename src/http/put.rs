//! `PUT` of `/recordings/{id}/media`: media is sealed as it arrives, for as long as it arrives.
//!
//! Whatever can refuse a recording does so before its first byte is read, and so before a sender that waits for
//! `100 Continue` sends any. From then on the writing is a task of its own: a connection that breaks takes nothing with
//! it that has come.

use std::{
    sync::{Arc, atomic::AtomicU64, atomic::Ordering},
    time::Duration,
};

use hyper::{
    HeaderMap, Response, StatusCode, Version,
    body::Incoming,
    header::{self, HeaderValue},
};
use tracing::Instrument;

use super::{
    Problem,
    app::{App, Request, json},
    body::Body,
    cors,
    upload::{End, Upload},
};
use crate::audit::{Event, EventKind};
use crate::base::{Ended, ErrorCode, MediaType, Pattern, RecordingId};
use crate::catalogue::{Recording, RecordingState};
use crate::service::{
    Ingest, IngestError, IngestOutcome, IngestWay, Ingested, Intake, Listening, NewRecording, Stop, count_ingest,
};

/// What is needed to take recordings in.
pub struct Uploads {
    /// Takes them in.
    pub ingest: Arc<Ingest>,
    /// Those that are under way, for whoever stops the server.
    pub intake: Arc<Intake>,
    /// How long one may be, in bytes; none where only the format bounds it.
    pub len_max: Option<u64>,
    /// Recordings whose ID matches one of these are kept plain.
    pub exempt: Vec<Pattern>,
    /// How long a sender may send nothing.
    pub patience: Duration,
}

/// Takes a recording in, or says why not.
pub(super) async fn take_in(
    app: &App,
    request: &Request,
    id: &RecordingId,
    body: Incoming,
) -> Result<Response<Body>, Problem> {
    let uploads = &app.uploads;
    let upload = Upload::new(body, uploads.patience, uploads.len_max);
    let new = match admit(app, request, id, &upload).await {
        Ok(new) => new,
        Err(problem) => {
            upload.refuse(request.version);
            return Err(problem);
        }
    };
    let writing = Writing {
        ingest: Arc::clone(&uploads.ingest),
        listening: Arc::clone(&app.listening),
        stop: uploads.intake.join(),
        version: request.version,
        event: Event {
            recording: Some(id.to_string()),
            request_ids: vec![request.id.to_string()],
            ..app.player(request).event(EventKind::RecordingImport)
        },
    };
    let written = tokio::spawn(writing.write(new, upload).in_current_span()).await;
    match written {
        Ok(Written::Whole { is_catalogued }) => Ok(created(id, is_catalogued)),
        Ok(Written::NotOnRecord(code)) => Err(Problem::new(code)
            .of_recording(id.clone())
            .with_detail("It is kept, and that is not on record: see to the playback record.")),
        Ok(Written::Not { error, end }) => Err(problem(&error, end, id, request)),
        Ok(Written::Unfinished { end }) => Err(broken_off(end, id)),
        Err(_) => {
            tracing::error!(request = %request.id, %id, "a recording was not written: {Ended}");
            Err(Problem::new(ErrorCode::Internal))
        }
    }
}

/// Whatever can refuse a recording before a byte of it is read.
async fn admit(app: &App, request: &Request, id: &RecordingId, upload: &Upload) -> Result<NewRecording, Problem> {
    cors::check_origin(app, request)?;
    let (uploads, media_type) = (&app.uploads, media_type(&request.headers)?);
    if upload.is_too_long() {
        return Err(Problem::new(ErrorCode::MediaTooLarge).of_recording(id.clone()));
    }
    let exempt = uploads.exempt.iter().any(|pattern| pattern.matches(id.as_str()));
    app.listening.check().await.map_err(|error| Problem::new(error.code()))?;
    uploads.ingest.check(id, exempt).await.map_err(|error| problem(&error, None, id, request))?;
    Ok(NewRecording { id: Some(id.clone()), media_type, name: None, exempt, is_live: true })
}

/// A recording on its way, whatever becomes of the connection.
struct Writing {
    ingest: Arc<Ingest>,
    listening: Arc<Listening>,
    /// Whoever stops the server waits for as long as this is held.
    stop: Stop,
    version: Version,
    /// What is put on record at the end.
    event: Event,
}

/// What became of it.
enum Written {
    Whole { is_catalogued: bool },
    NotOnRecord(ErrorCode),
    Unfinished { end: Option<End> },
    Not { error: IngestError, end: Option<End> },
}

impl Writing {
    async fn write(mut self, new: NewRecording, mut upload: Upload) -> Written {
        let came = AtomicU64::new(0);
        let progress = |len| {
            came.fetch_add(len, Ordering::Relaxed);
        };
        let outcome = self.ingest.ingest_stream(new, &mut upload, &mut self.stop, &progress).await;
        let end = upload.end();
        upload.refuse(self.version);
        match outcome {
            Ok(Ingested { recording, broken_off: None, is_catalogued, .. }) => {
                count_ingest(IngestWay::Put, IngestOutcome::Complete);
                match self.put_on_record(&recording, None).await {
                    Ok(()) => Written::Whole { is_catalogued },
                    Err(code) => Written::NotOnRecord(code),
                }
            }
            Ok(Ingested { recording, broken_off: Some(reason), .. }) => {
                count_ingest(IngestWay::Put, IngestOutcome::Unfinished);
                tracing::warn!(id = %recording.id, %reason, "this recording is unfinished; what came before plays");
                let _told_by_the_log = self.put_on_record(&recording, Some(ErrorCode::BadRequest)).await;
                Written::Unfinished { end }
            }
            Err(IngestError::BrokenOff { recording, error }) => {
                count_ingest(IngestWay::Put, IngestOutcome::Unfinished);
                tracing::warn!(id = %recording.id, %error, "this recording is unfinished; what came before plays");
                let _told_by_the_log = self.put_on_record(&recording, Some(error.code())).await;
                Written::Not { error: *error, end }
            }
            Err(error) => {
                count_ingest(IngestWay::Put, IngestOutcome::Failed);
                Written::Not { error, end }
            }
        }
    }

    /// Puts on record what was kept, and why it is not all.
    async fn put_on_record(&self, recording: &Recording, code: Option<ErrorCode>) -> Result<(), ErrorCode> {
        let event = Event {
            fingerprint: recording.fingerprint().map(|fingerprint| fingerprint.to_string()),
            bytes: Some(recording.media_len),
            outcome: Some(recording.state.as_str().into()),
            ..self.event.clone()
        };
        let event = match code {
            Some(code) if recording.state != RecordingState::Complete => event.with_code(code),
            _ => event,
        };
        self.listening.record(event).await.map_err(|error| error.code())
    }
}

fn created(id: &RecordingId, is_catalogued: bool) -> Response<Body> {
    let mut response = json(&serde_json::json!({ "id": id.as_str(), "catalogued": is_catalogued }));
    *response.status_mut() = StatusCode::CREATED;
    let location = HeaderValue::try_from(format!("/recordings/{id}/media"));
    response.headers_mut().extend(location.ok().map(|location| (header::LOCATION, location)));
    response
}

/// The media type that the request says; none where it says nothing of the media.
fn media_type(headers: &HeaderMap) -> Result<Option<MediaType>, Problem> {
    let bad = |detail| Err(Problem::new(ErrorCode::BadRequest).with_detail(detail));
    let unsupported = |detail| Err(Problem::new(ErrorCode::UnsupportedMediaType).with_detail(detail));
    // "If the origin server does not allow" a partial PUT, it "SHOULD" answer 400 (RFC 9110, section 14.5).
    if headers.contains_key(header::CONTENT_RANGE) {
        return bad("A recording is sent whole: a part of it (Content-Range) is not taken.");
    }
    if headers.contains_key(header::IF_MATCH) {
        // A recording is never overwritten, so that there is none to match.
        return Err(Problem::new(ErrorCode::PreconditionFailed));
    }
    let is_coded = |coding: &HeaderValue| !coding.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(header::CONTENT_ENCODING).iter().any(is_coded) {
        return unsupported("Media is kept as it is sent: Content-Encoding is not taken.");
    }
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (text, None) = (types.next(), types.next()) else { return bad("There is more than one Content-Type.") };
    let Some(text) = text else { return Ok(None) };
    let parsed: Option<MediaType> = text.to_str().ok().and_then(|text| text.trim().parse().ok());
    let Some(parsed) = parsed else {
        return unsupported("Content-Type must be a media type of at most 79 characters, or be left out.");
    };
    let essence = parsed.as_str().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        // What clients say who do not know, the second one curl.
        "application/octet-stream" | "application/x-www-form-urlencoded" => Ok(None),
        "multipart/form-data" => unsupported("A form is not media: the body must be the recording alone."),
        _ => Ok(Some(parsed)),
    }
}

/// Why nothing was acknowledged.
fn problem(error: &IngestError, end: Option<End>, id: &RecordingId, request: &Request) -> Problem {
    let code = error.code();
    tracing::debug!(request = %request.id, %id, %code, %error, "not taken in");
    match (error, end) {
        // It broke off before there was enough to begin with.
        (IngestError::Source(_), end) => broken_off(end, id),
        (IngestError::Stopped, _) => broken_off(None, id),
        (IngestError::Empty, _) => Problem::new(code)
            .of_recording(id.clone())
            .with_detail("The body is empty: a recording has at least one byte."),
        (IngestError::SealedStream, _) => Problem::new(code)
            .of_recording(id.clone())
            .with_detail("The body is a sealed file: `sealtape import FILE` takes those in."),
        _ => Problem::new(code).of_recording(id.clone()),
    }
}

/// A recording that ended before its end.
fn broken_off(end: Option<End>, id: &RecordingId) -> Problem {
    let (code, detail) = match end {
        Some(End::TooLong) => return Problem::new(ErrorCode::MediaTooLarge).of_recording(id.clone()),
        Some(End::Silent) => (ErrorCode::BadRequest, "Nothing more came for too long."),
        Some(End::Cut) => (ErrorCode::BadRequest, "The body ended before its end."),
        // What still came was not waited for.
        Some(End::InOrder) | None => (
            ErrorCode::Overloaded,
            "The server stops. What came is kept, unfinished: record the rest under another ID.",
        ),
    };
    Problem::new(code).of_recording(id.clone()).with_detail(detail)
}
