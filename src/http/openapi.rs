//! The description of this interface, OpenAPI 3.1: written by hand, kept true by tests.

use hyper::{
    Response,
    header::{self, HeaderValue},
};

use super::body::Body;

const DOCUMENT: &str = include_str!("openapi.json");

/// `/openapi.json`
pub(super) fn document() -> Response<Body> {
    let mut response = Response::new(Body::full(DOCUMENT));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
