//! The fields that say of media what it is: those that are the same for everybody, made once for each version of a
//! recording.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::{
    HeaderMap,
    header::{self, HeaderName, HeaderValue},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::conditional::last_modified;
use crate::service::{OpenRecording, Validators};

const BYTES: HeaderValue = HeaderValue::from_static("bytes");
const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-store");
const NO: HeaderValue = HeaderValue::from_static("no");
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const RECORDING_STATE: HeaderName = HeaderName::from_static("recording-state");

/// What RFC 8187 lets stand in an extended parameter value is left as it is.
const EXTENDED_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'+')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'#')
    .remove(b'^')
    .remove(b'`')
    .remove(b'|');

/// What is the same in every answer with a recording's media. Values are shared, not copied.
pub(super) struct Description {
    state: HeaderValue,
    content_type: Option<HeaderValue>,
    etag: Option<HeaderValue>,
    last_modified: Option<Dated>,
    /// There for whatever a browser could run as a page.
    disposition: Option<HeaderValue>,
    is_inert: bool,
}

/// The value of `Last-Modified`.
struct Dated {
    validators: Validators,
    /// From when on it may be said, and what is said then.
    since: SystemTime,
    then: Option<HeaderValue>,
}

impl Description {
    pub(super) fn new(recording: &OpenRecording) -> Self {
        let validators = recording.validators.as_ref();
        let is_inert = recording.media_type.is_inert();
        Self {
            state: HeaderValue::from_static(recording.state.as_str()),
            content_type: HeaderValue::from_str(recording.media_type.as_str()).ok(),
            etag: validators.and_then(|validators| HeaderValue::from_str(&validators.etag).ok()),
            last_modified: validators.cloned().map(Dated::new),
            disposition: if is_inert { None } else { attachment(recording.id.as_str()) },
            is_inert,
        }
    }

    /// How it is to be shown when nothing is said of that; none where a browser may do it in place.
    pub(super) fn disposition(&self) -> Option<HeaderValue> {
        self.disposition.clone()
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
    pub(super) fn describe(&self, headers: &mut HeaderMap, now: SystemTime) {
        self.describe_resource(headers);
        insert(headers, header::CONTENT_TYPE, self.content_type.clone());
        insert(headers, header::LAST_MODIFIED, self.last_modified.as_ref().and_then(|dated| dated.at(now)));
        if !self.is_inert {
            // Should a browser show it all the same, it is a page without rights.
            headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
        }
    }
}

impl Dated {
    fn new(validators: Validators) -> Self {
        let since = UNIX_EPOCH + Duration::from_secs(validators.last_modified.seconds());
        let then = HeaderValue::try_from(last_modified(&validators, since)).ok();
        Self { validators, since, then }
    }

    /// As it is said at that time.
    fn at(&self, now: SystemTime) -> Option<HeaderValue> {
        if self.since <= now {
            return self.then.clone();
        }
        // Another machine's clock was ahead of this one's.
        HeaderValue::try_from(last_modified(&self.validators, now)).ok()
    }
}

/// A file to keep, and its name. RFC 6266: the extended form says the name in full, the plain one what every client
/// understands of it.
pub(super) fn attachment(name: &str) -> Option<HeaderValue> {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_graphic() && !"\"\\%".contains(c) || c == ' ' { c } else { '_' }).collect();
    let extended = utf8_percent_encode(name, EXTENDED_VALUE);
    HeaderValue::try_from(format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{extended}")).ok()
}

/// Inserts a value, which is there when it holds printable ASCII: by its making it does.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    if let Some(value) = value {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;

    #[test]
    fn what_is_kept_ready_says_what_would_be_said_anew() {
        let sealed_at = Timestamp::from_millis(784_111_777_900).expect("in range");
        let validators = Validators { etag: "\"abc\"".into(), last_modified: sealed_at };
        let dated = Dated::new(validators.clone());
        for seconds in [0, 784_111_776, 784_111_777, 784_111_778, 2_000_000_000] {
            let now = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(dated.at(now).expect("a date"), last_modified(&validators, now), "at {seconds}");
        }
    }
}
