//! `POST /recordings/{id}/link`: a signed link, for media elements that cannot send headers.

use std::time::Duration;

use hyper::{HeaderMap, Response, body::Incoming, header};
use serde::Deserialize;

use super::{
    Problem,
    app::{App, Request, json, read_body, read_object},
    auth::{MintError, Minted, PrivateFileError},
    body::Body,
    cors,
};
use crate::access::Subject;
use crate::audit::{Event, EventKind};
use crate::base::{ErrorClass, ErrorCode, RecordingId, parse_duration};

/// To who asks it is as if there were no links; what is missing where, is in the log.
const NO_SECRET: &str =
    "This server signs no links: its operator gave it no secret to sign them with (auth.link_secrets_file).";

/// More than both fields with the longest subject.
const BODY_LEN_MAX: usize = 4096;

/// The body: both fields may be left out, and so may the body.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    ttl: Option<Ttl>,
    subject: Option<String>,
}

/// As a text such as `15m`, or in seconds.
#[derive(Deserialize)]
#[serde(untagged)]
enum Ttl {
    Seconds(serde_json::Number),
    Text(String),
}

/// Mints a link for the caller, who may play the recording.
pub(super) async fn mint(
    app: &App,
    request: &Request,
    id: &RecordingId,
    body: Incoming,
) -> Result<Response<Body>, Problem> {
    cors::check_origin(app, request)?;
    match app.playback.recording(id).await {
        Ok(_) => {}
        // A link is leave to play and promises nothing: while the catalogue is away it is minted all the same.
        Err(error) if error.code().class() == ErrorClass::Transient => {}
        Err(error) => return Err(Problem::of_playback(&error, id)),
    }
    let wanted = read(&request.headers, body).await?;
    let ttl = wanted.ttl.map(seconds).transpose()?;
    let subject = wanted.subject.map(|subject| subject.parse::<Subject>()).transpose();
    let subject = subject
        .map_err(|()| bad("`subject` must be a name of 1 to 256 characters, none of them a control character"))?;
    let duration = match ttl {
        Some(_) => None,
        None => app.playback.media_duration(id).await,
    };
    let minted = app.auth.links().mint(&request.caller, id, ttl, subject, duration, (app.clock)());
    let minted = minted.map_err(|error| match error {
        MintError::TooLong => bad("`ttl` must be 30 days at most"),
        MintError::Secrets(error @ PrivateFileError::Missing { .. }) => {
            tracing::error!(request = %request.id, %error, "no link can be signed: auth.link_secrets_file is missing");
            Problem::new(ErrorCode::NotFound).with_detail(NO_SECRET)
        }
        MintError::Secrets(error) => {
            tracing::error!(request = %request.id, %error, "no link can be signed");
            Problem::new(ErrorCode::Internal)
        }
    })?;
    app.record_mint(request, id, &minted).await?;
    let url = format!("{}/recordings/{id}/media?link={}", base(app, request), minted.link);
    Ok(json(&serde_json::json!({ "url": url, "expires_at": minted.expires_at.to_string() })))
}

impl App {
    /// Puts a link on record before anybody has it.
    async fn record_mint(&self, request: &Request, id: &RecordingId, minted: &Minted) -> Result<(), Problem> {
        let event = Event {
            recording: Some(id.to_string()),
            request_ids: vec![request.id.to_string()],
            detail: Some(format!("for {} until {}", minted.subject, minted.expires_at)),
            ..self.player(request).event(EventKind::LinkMint)
        };
        self.listening.record(event).await.map_err(|error| Problem::new(error.code()))
    }
}

async fn read(headers: &HeaderMap, body: Incoming) -> Result<Wanted, Problem> {
    let body = read_body(body, BODY_LEN_MAX).await;
    let body = body.ok_or_else(|| bad("the body is longer than a wish for a link can be, too slow, or broke off"))?;
    if body.is_empty() {
        return Ok(Wanted::default());
    }
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(ErrorCode::UnsupportedMediaType).with_detail("the body must be application/json"));
    }
    read_object(&body).ok_or_else(|| bad("the body must be {\"ttl\":\"15m\",\"subject\":\"NAME\"}, or parts of it"))
}

fn seconds(ttl: Ttl) -> Result<Duration, Problem> {
    let ttl = match ttl {
        Ttl::Seconds(seconds) => whole(&seconds).map(Duration::from_secs),
        Ttl::Text(text) => parse_duration(&text),
    };
    ttl.filter(|ttl| ttl.as_secs() > 0)
        .ok_or_else(|| bad("`ttl` must be a time such as \"15m\", or a number of seconds"))
}

/// A whole number, however it is written: to JSON 60 and 60.0 are one number.
fn whole(number: &serde_json::Number) -> Option<u64> {
    let text = number.to_string();
    let digits = text.strip_suffix(".0").unwrap_or(&text);
    digits.parse().ok()
}

/// Where the player reaches the server: as settings say, else as the request itself did.
fn base(app: &App, request: &Request) -> String {
    if let Some(url) = &app.public_url {
        return url.clone();
    }
    let scheme = if request.connection.is_secure { "https" } else { "http" };
    match request.authority() {
        Some(authority) => format!("{scheme}://{authority}"),
        // Relative to wherever it was asked for.
        None => String::new(),
    }
}

fn bad(detail: &'static str) -> Problem {
    Problem::new(ErrorCode::BadRequest).with_detail(detail)
}
