//! The fields that say of media what it is: those that are the same for everybody, made once for each version of a
//! recording.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::{
    HeaderMap,
    header::{self, HeaderName, HeaderValue},
};

use super::conditional::last_modified;
use crate::service::{OpenRecording, Validators};

const BYTES: HeaderValue = HeaderValue::from_static("bytes");
const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-store");
const NO: HeaderValue = HeaderValue::from_static("no");
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const RECORDING_STATE: HeaderName = HeaderName::from_static("recording-state");

/// What is the same in every answer with a recording's media. Values are shared, not copied.
pub(super) struct Description {
    state: HeaderValue,
    content_type: Option<HeaderValue>,
    etag: Option<HeaderValue>,
    /// From when on it may be said, and what is said then.
    last_modified: Option<(SystemTime, Option<HeaderValue>)>,
    is_inert: bool,
}

impl Description {
    pub(super) fn new(recording: &OpenRecording) -> Self {
        let validators = recording.validators.as_ref();
        let dated = |validators: &Validators| {
            let sealed_at = UNIX_EPOCH + Duration::from_secs(validators.last_modified.seconds());
            (sealed_at, HeaderValue::try_from(last_modified(validators, sealed_at)).ok())
        };
        Self {
            state: HeaderValue::from_static(recording.state.as_str()),
            content_type: HeaderValue::from_str(recording.media_type.as_str()).ok(),
            etag: validators.and_then(|validators| HeaderValue::from_str(&validators.etag).ok()),
            last_modified: validators.map(dated),
            is_inert: recording.media_type.is_inert(),
        }
    }

    /// Whether a browser may show it in place.
    pub(super) fn is_inert(&self) -> bool {
        self.is_inert
    }

    /// What every answer says, with media or without.
    pub(super) fn describe_resource(&self, headers: &mut HeaderMap) {
        headers.insert(header::ACCEPT_RANGES, BYTES);
        headers.insert(header::CACHE_CONTROL, PRIVATE);
        headers.insert(X_ACCEL_BUFFERING, NO);
        headers.insert(RECORDING_STATE, self.state.clone());
        insert(headers, header::ETAG, self.etag.clone());
    }

    /// What every answer with media says of it.
    pub(super) fn describe(&self, recording: &OpenRecording, headers: &mut HeaderMap, now: SystemTime) {
        self.describe_resource(headers);
        insert(headers, header::CONTENT_TYPE, self.content_type.clone());
        let last_modified = match (&self.last_modified, &recording.validators) {
            (Some((since, value)), _) if *since <= now => value.clone(),
            // Another machine's clock was ahead of this one's.
            (_, validators) => {
                validators.as_ref().and_then(|validators| HeaderValue::try_from(last_modified(validators, now)).ok())
            }
        };
        insert(headers, header::LAST_MODIFIED, last_modified);
        if !self.is_inert {
            // Should a browser show it all the same, it is a page without rights.
            headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
        }
    }
}

/// Inserts a value, which is there when it holds printable ASCII: by its making it does.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    if let Some(value) = value {
        headers.insert(name, value);
    }
}
