//! `GET` and `HEAD` of `/recordings/{id}/media`.

use std::{sync::Arc, time::SystemTime};

use hyper::{
    HeaderMap, Method, Response, StatusCode,
    header::{self, HeaderName, HeaderValue},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{
    Problem,
    app::{App, Request},
    body::Body,
    conditional::{if_range_holds, last_modified},
    range::{Decision, Extent, decide},
};
use crate::base::{ErrorCode, RecordingId};
use crate::catalogue::RecordingState;
use crate::service::OpenRecording;

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

/// The longest file name that a download is given, in bytes.
const DOWNLOAD_NAME_LEN_MAX: usize = 255;

/// Answers with media, or with the first reason why not.
pub(super) async fn answer(app: &App, request: &Request, id: &RecordingId) -> Result<Response<Body>, Problem> {
    let failed = |error| {
        let problem = Problem::of_playback(&error, id);
        tracing::debug!(request = %request.id, %id, code = %problem.code(), %error, "does not play");
        problem
    };
    let recording = app.playback.open(id).await.map_err(failed)?;
    let mut response = Response::new(Body::empty());
    describe(response.headers_mut(), &recording, app.now());
    let disposition = disposition(request.query.as_deref(), &recording)?;
    if let Some(disposition) = disposition {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    }

    let is_growing = matches!(recording.state, RecordingState::Recording { .. });
    let len = recording.media_len;
    let decision = match request.method {
        // A range is defined for GET alone: HEAD is GET without one.
        Method::GET => {
            let may_be_partial = if_range_holds(&request.headers, recording.validators.as_ref(), app.now());
            let values = request.headers.get_all(header::RANGE).iter().map(HeaderValue::as_bytes);
            decide(values, may_be_partial, if is_growing { Extent::Growing(len) } else { Extent::Fixed(len) })
        }
        _ => Decision::Whole(super::range::Ignored::Absent),
    };
    let media = match decision {
        Decision::Whole(_) => 0..len,
        Decision::Part(range) => {
            let total = if is_growing { "*".to_owned() } else { len.to_string() };
            insert(
                response.headers_mut(),
                header::CONTENT_RANGE,
                &format!("bytes {}-{}/{total}", range.start, range.end - 1),
            );
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            range
        }
        Decision::Unsatisfiable => return Ok(unsatisfiable(request, len, is_growing)),
    };
    let is_open_ended = is_growing && response.status() == StatusCode::OK;
    if !is_open_ended {
        insert(response.headers_mut(), header::CONTENT_LENGTH, &(media.end - media.start).to_string());
    }
    if request.method == Method::GET && (is_open_ended || !media.is_empty()) {
        let media_len = media.end - media.start;
        let mut stream = app.playback.stream(&recording, media);
        stream.prime().await.map_err(failed)?;
        *response.body_mut() = Body::media(stream, media_len, is_open_ended, format!("{} {id}", request.id));
    }
    Ok(response)
}

/// What every answer with media says of it.
fn describe(headers: &mut HeaderMap, recording: &Arc<OpenRecording>, now: SystemTime) {
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    headers.insert("recording-state", HeaderValue::from_static(recording.state.as_str()));
    insert(headers, header::CONTENT_TYPE, recording.media_type.as_str());
    if let Some(validators) = &recording.validators {
        insert(headers, header::ETAG, &validators.etag);
        insert(headers, header::LAST_MODIFIED, &last_modified(validators, now));
    }
    if !recording.media_type.is_inert() {
        // Should a browser show it all the same, it is a page without rights.
        let policy = HeaderValue::from_static("default-src 'none'; sandbox");
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
}

/// A download when that was asked for by `?download=NAME`, and for whatever a browser could run as a page.
fn disposition(query: Option<&str>, recording: &OpenRecording) -> Result<Option<HeaderValue>, Problem> {
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
        None if recording.media_type.is_inert() => return Ok(None),
        None => recording.id.to_string(),
    };
    // RFC 6266: the extended form says the name in full, the plain one what every client understands of it.
    let plain: String =
        name.chars().map(|c| if c.is_ascii_graphic() && !"\"\\%".contains(c) || c == ' ' { c } else { '_' }).collect();
    let extended = utf8_percent_encode(&name, EXTENDED_VALUE);
    let value = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{extended}");
    Ok(HeaderValue::try_from(value).ok())
}

fn unsatisfiable(request: &Request, len: u64, is_growing: bool) -> Response<Body> {
    let mut response = Problem::new(ErrorCode::RangeNotSatisfiable).answer(&request.id, true);
    if !is_growing {
        insert(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{len}"));
    }
    response
}

/// Inserts a value that holds printable ASCII by its making.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
