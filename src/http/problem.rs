//! Problem documents (RFC 9457): the one place where an error becomes a status.

use bytes::Bytes;
use hyper::{Response, StatusCode, header, header::HeaderValue};
use serde::Serialize;

use super::{body::Body, problem_text};
use crate::base::{ErrorClass, ErrorCode, Fingerprint, RecordingId};
use crate::service::{CompanionError, PlaybackError, PurgeError};

/// When to try again, in seconds, where time may help.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// Of what lies in the spool of another proxy. Which one is told in the log.
const ON_ANOTHER_PROXY: &str = "The recording waits on another proxy, which cannot be reached at the moment.";

/// Why a request is not answered as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    code: ErrorCode,
    recording: Option<RecordingId>,
    fingerprint: Option<Fingerprint>,
    detail: Option<&'static str>,
    challenge: Option<&'static str>,
}

/// The document that a client gets.
#[derive(Clone, Debug, Serialize)]
pub struct ProblemDocument {
    #[serde(rename = "type")]
    kind: String,
    code: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    instance: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
}

impl Problem {
    /// A problem of that code.
    #[must_use]
    pub fn new(code: ErrorCode) -> Self {
        Self { code, recording: None, fingerprint: None, detail: None, challenge: None }
    }

    /// Why a recording does not play.
    #[must_use]
    pub fn of_playback(error: &PlaybackError, id: &RecordingId) -> Self {
        let detail = matches!(error, PlaybackError::Spooled(_)).then_some(ON_ANOTHER_PROXY);
        Self { recording: Some(id.clone()), fingerprint: error.fingerprint(), detail, ..Self::new(error.code()) }
    }

    /// Why a recording is not purged.
    #[must_use]
    pub(super) fn of_purge(error: &PurgeError, id: &RecordingId) -> Self {
        let detail = matches!(error, PurgeError::Spooled(_)).then_some(ON_ANOTHER_PROXY);
        Self { recording: Some(id.clone()), detail, ..Self::new(error.code()) }
    }

    /// Why something beside a recording cannot be kept, or had.
    #[must_use]
    pub(super) fn of_companion(error: &CompanionError, id: &RecordingId) -> Self {
        Self { recording: Some(id.clone()), fingerprint: error.fingerprint(), ..Self::new(error.code()) }
    }

    /// The same, told in other words than the code's own. Constant text only: nothing from below reaches a client.
    #[must_use]
    pub(super) fn with_detail(self, detail: &'static str) -> Self {
        Self { detail: Some(detail), ..self }
    }

    /// The same, of a recording.
    #[must_use]
    pub(super) fn of_recording(self, id: RecordingId) -> Self {
        Self { recording: Some(id), ..self }
    }

    /// The same, with how the caller may say who they are (RFC 9110, section 11.6.1).
    #[must_use]
    pub(super) fn with_challenge(self, challenge: &'static str) -> Self {
        Self { challenge: Some(challenge), ..self }
    }

    /// What it is called.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The document for the request of that ID.
    #[must_use]
    pub fn document(&self, request_id: &str) -> ProblemDocument {
        let text = problem_text::of(self.code);
        let detail = match &self.recording {
            Some(id) => format!("{id}: {}", self.detail.unwrap_or(text.meaning)),
            None => self.detail.unwrap_or(text.meaning).to_owned(),
        };
        ProblemDocument {
            kind: format!("/problems/{}", self.code),
            code: self.code.as_str(),
            title: text.title,
            status: status(self.code).as_u16(),
            detail,
            instance: request_id.to_owned(),
            fingerprint: self.fingerprint.map(|fingerprint| fingerprint.to_string()),
        }
    }

    /// The answer to the request of that ID. `is_read` is whether it was a GET or HEAD.
    pub(super) fn answer(&self, request_id: &str, is_read: bool) -> Response<Body> {
        // Serialising a struct of text and numbers cannot fail.
        let body = serde_json::to_vec(&self.document(request_id)).unwrap_or_default();
        let mut response = Response::new(Body::full(Bytes::from(body)));
        *response.status_mut() = status(self.code);
        // For whoever counts.
        response.extensions_mut().insert(self.code);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if is_read {
            headers.insert("playback-error", HeaderValue::from_static(self.code.as_str()));
        }
        if let Some(challenge) = self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if self.code.class() == ErrorClass::Transient {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}

/// The status of each code.
pub(super) fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden | ErrorCode::LinkExpired => StatusCode::FORBIDDEN,
        ErrorCode::RecordingNotFound | ErrorCode::MediaMissing | ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::CatalogueUnavailable
        | ErrorCode::StorageUnavailable
        | ErrorCode::KeysUnavailable
        | ErrorCode::AuditUnavailable
        | ErrorCode::Overloaded
        | ErrorCode::NoActiveKey => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::UnsupportedFormat | ErrorCode::RecordingCorrupt | ErrorCode::Internal => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        ErrorCode::EncryptionDisabled
        | ErrorCode::KeyMissing
        | ErrorCode::KeyDeactivated
        | ErrorCode::RecordingHeld
        | ErrorCode::RecordingInProgress
        | ErrorCode::PlainNotAllowed
        | ErrorCode::RecordingExists => StatusCode::CONFLICT,
        ErrorCode::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        ErrorCode::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
        ErrorCode::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
        ErrorCode::UriTooLong => StatusCode::URI_TOO_LONG,
        ErrorCode::BadRequest => StatusCode::BAD_REQUEST,
        ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::MediaTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorCode::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_status_and_a_document() {
        for code in ErrorCode::ALL {
            let problem = Problem::new(*code);
            let status = status(*code);
            assert!(status.is_client_error() || status.is_server_error(), "{code}");
            let response = problem.answer("r1", true);
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()["playback-error"], code.as_str());
            assert_eq!(
                response.headers().contains_key(header::RETRY_AFTER),
                status == StatusCode::SERVICE_UNAVAILABLE,
                "{code}"
            );
            let document = serde_json::to_value(problem.document("r1")).expect("JSON");
            assert_eq!(document["type"], format!("/problems/{code}"));
            assert_eq!(document["instance"], "r1");
        }
    }
}
