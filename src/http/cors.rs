//! Pages of other origins that may play: the fetch standard's CORS protocol, for the origins in the list and no other.
//!
//! Credentials are bearer tokens and links, never cookies, so that `Access-Control-Allow-Credentials` is never sent. An
//! origin is answered by its own name, never by `*`.

use hyper::{
    HeaderMap, Method, Response, StatusCode,
    header::{self, HeaderValue},
};

use super::{
    Problem,
    app::{App, Request},
    body::Body,
};
use crate::base::ErrorCode;

/// What a player reads of an answer, beside what every page may.
const EXPOSED: &str = "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, Last-Modified, Location, \
                       Playback-Error, Recording-State, Retry-After, WWW-Authenticate, X-Request-Id";
/// What a player may send.
const ALLOWED: &str = "Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Match, If-Range, \
                       If-Unmodified-Since, Range, Traceparent, Tracestate";
/// How long a browser may remember the answer to a preflight, in seconds: as long as any browser does.
const MAX_AGE: &str = "7200";

/// Origins whose pages may play.
#[derive(Clone, Debug, Default)]
pub struct Cors(Vec<String>);

impl Cors {
    /// Those origins, as browsers write them.
    #[must_use]
    pub fn new(origins: Vec<String>) -> Self {
        Self(origins)
    }

    /// The answer to a preflight: an OPTIONS that names the method to come.
    pub(super) fn preflight(&self, method: &Method, headers: &HeaderMap, methods: &[Method]) -> Option<Response<Body>> {
        if *method != Method::OPTIONS || !headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        self.allowed(headers)?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let answer = response.headers_mut();
        let methods = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        answer
            .extend(HeaderValue::try_from(methods).ok().map(|methods| (header::ACCESS_CONTROL_ALLOW_METHODS, methods)));
        answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED));
        answer.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
        Some(response)
    }

    /// Says in an answer which origin may read it, and what of it.
    pub(super) fn mark(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        if self.0.is_empty() {
            return;
        }
        // Another origin gets another answer, also where there was none.
        answer.append(header::VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = self.allowed(request) {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
    }

    fn allowed<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let (Some(origin), None) = (origins.next(), origins.next()) else { return None };
        self.0.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then_some(origin)
    }
}

/// A browser says which page sends a POST. One of another site, that is not in the list, has no business here, even
/// where it could not read the answer.
pub(super) fn check_origin(app: &App, request: &Request) -> Result<(), Problem> {
    let Some(origin) = request.headers.get(header::ORIGIN) else { return Ok(()) };
    let host = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    let is_own = host.is_some() && host == request.authority();
    let is_public =
        app.public_url.as_ref().is_some_and(|url| origin.to_str().is_ok_and(|origin| is_origin_of(origin, url)));
    if is_own || is_public || app.cors.allowed(&request.headers).is_some() {
        return Ok(());
    }
    Err(Problem::new(ErrorCode::Forbidden).with_detail("The request comes from a page of another site."))
}

/// Whether a URL lies at an origin.
fn is_origin_of(origin: &str, url: &str) -> bool {
    url.strip_prefix(origin).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
