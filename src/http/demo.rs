//! The switch of the demo: `/demo/encryption`, there in `demo` alone.

use hyper::{Response, body::Incoming};
use serde::Deserialize;

use super::{
    Problem,
    app::{App, Request, json, read_body, read_object},
    body::Body,
    cors,
};
use crate::audit::{Event, EventKind};
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
pub(super) async fn turn(app: &App, request: &Request, body: Incoming) -> Result<Response<Body>, Problem> {
    cors::check_origin(app, request)?;
    let bad = || {
        Problem::new(ErrorCode::BadRequest).with_detail("the body must be {\"enabled\":true} or {\"enabled\":false}")
    };
    let body = read_body(body, BODY_LEN_MAX).await.ok_or_else(bad)?;
    let wanted: Wanted = read_object(&body).ok_or_else(bad)?;
    let kind = if wanted.enabled { EventKind::EncryptionEnable } else { EventKind::EncryptionDisable };
    let event = Event { request_ids: vec![request.id.to_string()], ..app.player(request).event(kind) };
    app.listening.record(event).await.map_err(|error| Problem::new(error.code()))?;
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
