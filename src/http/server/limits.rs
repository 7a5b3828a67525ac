//! How much is taken at once: connections, request heads, URLs. And how it is said that it was too much.

use std::sync::Arc;

use bytes::Bytes;
use hyper::{
    HeaderMap, Method, Request, Response, Version,
    header::{self, HeaderValue},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::base::ErrorCode;
use crate::http::{Problem, answer, body::Body, request_id::RequestId};

/// How long a URL may be, in bytes as sent.
const TARGET_LEN_MAX: usize = 8 * 1024;
/// How long a request head may be, in bytes as sent.
pub(super) const HEAD_LEN_MAX: usize = 16 * 1024;
/// Connections beyond the limit that are accepted only to be told so.
const REFUSED_MAX: usize = 64;

/// Counts connections.
pub(super) struct Gate {
    served: Arc<Semaphore>,
    refused: Arc<Semaphore>,
}

/// Room for one connection, held for as long as it is open.
pub(super) struct Admission {
    /// Whether it is served, or told that there are too many.
    pub is_served: bool,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Gate {
    pub(super) fn new(max_connections: usize) -> Self {
        let served = max_connections.min(Semaphore::MAX_PERMITS);
        Self { served: Arc::new(Semaphore::new(served)), refused: Arc::new(Semaphore::new(REFUSED_MAX)) }
    }

    /// Waits until a connection can be accepted, be it only to refuse it.
    pub(super) async fn wait_for_room(&self) -> Admission {
        tokio::select! {
            biased;
            permit = Arc::clone(&self.served).acquire_owned() => Admission { is_served: true, _permit: permit.ok() },
            permit = Arc::clone(&self.refused).acquire_owned() => Admission { is_served: false, _permit: permit.ok() },
        }
    }

    /// What becomes of a connection that came now: room may have been made since it was waited for.
    pub(super) fn admit(&self, room: Admission) -> Admission {
        match Arc::clone(&self.served).try_acquire_owned() {
            Ok(permit) if !room.is_served => Admission { is_served: true, _permit: Some(permit) },
            _ => room,
        }
    }
}

/// Refuses requests that are too long to be answered, or of which it is not certain what they say.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), Problem> {
    // "A server MUST respond with a 400" to none, and to several (RFC 9112, section 3.2).
    let headers = request.headers();
    if request.version() == Version::HTTP_11 && headers.get_all(header::HOST).iter().count() != 1 {
        return Err(Problem::new(ErrorCode::BadRequest));
    }
    // No other coding is undone here: what is left after the chunks would not be what was meant (section 6.1).
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    if codings.next().is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
        || codings.next().is_some()
    {
        return Err(Problem::new(ErrorCode::BadRequest).with_detail("No transfer coding but chunked is understood."));
    }
    let target_len = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target_len > TARGET_LEN_MAX {
        return Err(Problem::new(ErrorCode::UriTooLong));
    }
    // As short as the same head could have been sent over HTTP/1.1: whatever is not counted was white space.
    let fields: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ":\r\n".len()).sum();
    let first_line = request.method().as_str().len() + target_len + "  HTTP/1.1\r\n".len();
    if first_line + fields + "\r\n".len() > HEAD_LEN_MAX {
        return Err(Problem::new(ErrorCode::HeadersTooLarge));
    }
    Ok(())
}

/// Whether what follows a request on its connection is not looked at: it came in chunks, and where their trailers end is
/// read here more leniently than whoever stands in between may read it.
pub(super) fn is_last<B>(request: &Request<B>) -> bool {
    request.headers().contains_key(header::TRANSFER_ENCODING)
}

/// The answer to a request that is not even looked at.
pub(super) fn refuse<B>(problem: &Problem, request: &Request<B>) -> Response<Body> {
    let id = RequestId::fresh();
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = problem.answer(&id, is_read);
    answer::dress(response.headers_mut(), id);
    // HTTP/2 has no such header; there the connection ends by a frame.
    if problem.code() == ErrorCode::Overloaded && request.version() < Version::HTTP_2 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    tracing::debug!(request = %id, method = %request.method(), code = %problem.code(), "refused");
    response
}

/// Headers and body of the answer to something that is not even a request. Its method is not known; players send GET,
/// and no other client minds one header more.
pub(super) fn refuse_unread(code: ErrorCode) -> (Response<()>, Bytes) {
    let id = RequestId::fresh();
    let (mut parts, body) = Problem::new(code).answer(&id, true).into_parts();
    let body = match body {
        Body::Full(Some(document)) => document,
        Body::Full(None) | Body::Media(_) | Body::Peer(_) => Bytes::new(),
    };
    answer::dress(&mut parts.headers, id);
    let closes: HeaderMap = [
        (header::CONTENT_LENGTH, HeaderValue::from(body.len())),
        (header::CONNECTION, HeaderValue::from_static("close")),
    ]
    .into_iter()
    .collect();
    parts.headers.extend(closes);
    tracing::debug!(request = %id, code = %code, "not a request");
    (Response::from_parts(parts, ()), body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, fields: &[(&'static str, usize)]) -> Request<()> {
        let mut request = Request::get(target).header(header::HOST, "h");
        for (name, len) in fields {
            request = request.header(*name, "v".repeat(*len));
        }
        request.body(()).expect("a request")
    }

    #[test]
    fn what_fits_is_read_and_what_does_not_is_named() {
        let code = |request: Request<()>| check(&request).err().map(|problem| problem.code());
        let target = |len: usize| format!("/{}", "a".repeat(len - 1));
        assert_eq!(code(request(&target(TARGET_LEN_MAX), &[])), None);
        assert_eq!(code(request(&target(TARGET_LEN_MAX + 1), &[])), Some(ErrorCode::UriTooLong));
        // `GET / HTTP/1.1`, `host:h`, `x:…` and an empty line.
        let rest = 16 + 8 + 4 + 2;
        assert_eq!(code(request("/", &[("x", HEAD_LEN_MAX - rest)])), None);
        assert_eq!(code(request("/", &[("x", HEAD_LEN_MAX - rest + 1)])), Some(ErrorCode::HeadersTooLarge));
    }

    #[test]
    fn a_request_names_one_host() {
        let mut none = request("/", &[]);
        none.headers_mut().remove(header::HOST);
        let mut two = request("/", &[]);
        two.headers_mut().append(header::HOST, HeaderValue::from_static("other"));
        for request in [none, two] {
            assert_eq!(check(&request).err().map(|problem| problem.code()), Some(ErrorCode::BadRequest));
        }
        let mut old = request("/", &[]);
        old.headers_mut().remove(header::HOST);
        *old.version_mut() = Version::HTTP_10;
        assert!(check(&old).is_ok(), "HTTP/1.0 has no such rule");
    }

    #[test]
    fn chunks_are_cut_once_and_nothing_is_coded_before() {
        let coded = |codings: &[&str]| {
            let mut request = request("/", &[]);
            for coding in codings {
                request.headers_mut().append(header::TRANSFER_ENCODING, coding.parse().expect("a value"));
            }
            check(&request).err().map(|problem| problem.code())
        };
        for fine in [&[][..], &["chunked"], &["Chunked"]] {
            assert_eq!(coded(fine), None, "{fine:?}");
        }
        for other in [&["gzip, chunked"][..], &["gzip", "chunked"], &["chunked", "chunked"], &["identity"], &[""]] {
            assert_eq!(coded(other), Some(ErrorCode::BadRequest), "{other:?}");
        }
    }

    #[tokio::test]
    async fn beyond_the_limit_a_few_are_refused_and_the_rest_waits() {
        let gate = Gate::new(2);
        let mut served = Vec::new();
        for _ in 0..2 {
            let room = gate.wait_for_room().await;
            served.push(gate.admit(room));
        }
        assert!(served.iter().all(|admission| admission.is_served));
        let mut refused = Vec::new();
        for _ in 0..REFUSED_MAX {
            let room = gate.wait_for_room().await;
            refused.push(gate.admit(room));
        }
        assert!(refused.iter().all(|admission| !admission.is_served));
        let waits = tokio::time::timeout(std::time::Duration::from_millis(20), gate.wait_for_room()).await;
        assert!(waits.is_err(), "nobody more is accepted");
        refused.pop();
        let room = gate.wait_for_room().await;
        served.pop();
        assert!(gate.admit(room).is_served, "room was made before the connection came");
    }
}
