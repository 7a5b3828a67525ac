//! The switch of the demo: `/demo/encryption`, there in `demo` alone.

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::{Response, body::Incoming, header};
use serde::Deserialize;

use super::{
    Problem,
    answer::{App, json},
    body::Body,
};
use crate::base::ErrorCode;

/// More than `{"enabled":false}` with some white space.
const BODY_LEN_MAX: usize = 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    enabled: bool,
}

/// Says how the switch stands.
pub(super) fn show(app: &App) -> Response<Body> {
    json(&serde_json::json!({ "enabled": app.keys.ring().is_encrypting() }))
}

/// Turns the switch.
pub(super) async fn turn(app: &App, headers: &hyper::HeaderMap, body: Incoming) -> Result<Response<Body>, Problem> {
    // A form of another site cannot send this type without asking first.
    let is_json =
        headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    if !is_json {
        return Err(Problem::new(ErrorCode::UnsupportedMediaType).with_detail("the body must be application/json"));
    }
    let bad = || {
        Problem::new(ErrorCode::BadRequest).with_detail("the body must be {\"enabled\":true} or {\"enabled\":false}")
    };
    let body: Bytes = Limited::new(body, BODY_LEN_MAX).collect().await.map_err(|_| bad())?.to_bytes();
    let wanted: Wanted = serde_json::from_slice(&body).map_err(|_| bad())?;
    let turned = match app.database.set_encryption(wanted.enabled).await {
        Ok(()) => app.keys.reload().await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    turned.map_err(|error| {
        tracing::error!(%error, "the switch was not turned");
        Problem::new(ErrorCode::CatalogueUnavailable)
    })?;
    Ok(show(app))
}
