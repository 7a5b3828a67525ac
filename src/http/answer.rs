//! From a request to an answer: which use case it is, and what every answer carries.

use std::{convert::Infallible, sync::atomic::Ordering};

use hyper::{
    HeaderMap, Method, Response, StatusCode, Uri,
    body::Incoming,
    header::{self, HeaderValue},
};

use super::{
    App, Problem, RecordingDocument,
    app::{Connection, Door, Request, json},
    auth,
    body::Body,
    demo, link, media, openapi, player, problem_page, put,
    routes::Route,
};
use crate::access::{Credential, Grant, Scope};
use crate::base::{ErrorCode, RecordingId};
use crate::catalogue::Cursor;
use crate::crypto::random;

const LIMIT_DEFAULT: u32 = 100;
const LIMIT_MAX: u32 = 1000;
/// Filters of the listing that the interface names and this version does not have: better refused than ignored.
const FILTERS_TO_COME: [&str; 7] = ["q", "group", "from", "to", "tag", "agent", "state"];

impl App {
    /// Answers a request. Never fails: whatever goes wrong is an answer.
    pub(super) async fn answer(
        &self,
        route: Route,
        request: hyper::Request<Incoming>,
        connection: Connection,
    ) -> Result<Response<Body>, Infallible> {
        let (parts, body) = request.into_parts();
        let mut request = Request {
            id: request_id(),
            method: parts.method,
            version: parts.version,
            query: parts.uri.query().map(str::to_owned),
            authority: authority(&parts.uri, &parts.headers),
            headers: parts.headers,
            connection,
            caller: Grant::nobody(),
        };
        let outcome = match self.cors.preflight(&request.method, &request.headers, route.methods()) {
            Some(answer) => Ok(answer),
            None => match self.auth.identify(&route, &parts.uri, &request.headers, connection, (self.clock)()).await {
                Ok(caller) => {
                    request.caller = caller;
                    self.route(&route, &request, body).await
                }
                Err(problem) => Err(problem),
            },
        };
        if let Err(problem) = &outcome {
            self.record_refusal(&route, &request, problem.code());
        }
        let is_read = matches!(request.method, Method::GET | Method::HEAD);
        let mut response = outcome.unwrap_or_else(|problem| {
            let mut response = problem.answer(&request.id, is_read);
            if problem.code() == ErrorCode::MethodNotAllowed {
                let allow = route.methods().iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
                response.headers_mut().extend(HeaderValue::try_from(allow).ok().map(|allow| (header::ALLOW, allow)));
            }
            response
        });
        let headers = response.headers_mut();
        dress(headers, &request.id);
        // Another site's page may embed what a link lets play, and nothing else.
        let is_by_link = matches!(request.caller.credential, Credential::Link { .. });
        let policy = HeaderValue::from_static(if is_by_link { "cross-origin" } else { "same-origin" });
        headers.insert("cross-origin-resource-policy", policy);
        self.cors.mark(&request.headers, headers);
        tracing::debug!(
            request = %request.id, method = %request.method, path = parts.uri.path(), status = response.status().as_u16()
        );
        Ok(response)
    }

    /// Puts on record that somebody may not, or that media was asked for and not given.
    fn record_refusal(&self, route: &Route, request: &Request, code: ErrorCode) {
        let is_of_caller = matches!(code, ErrorCode::Unauthenticated | ErrorCode::Forbidden | ErrorCode::LinkExpired);
        // A request that was malformed, or for what is not there of a recording, was not for listening.
        let is_of_request = matches!(
            code,
            ErrorCode::BadRequest
                | ErrorCode::MethodNotAllowed
                | ErrorCode::PreconditionFailed
                | ErrorCode::RangeNotSatisfiable
                | ErrorCode::UnsupportedMediaType
        );
        let is_for_media = matches!(route, Route::Media(_) | Route::Link(_) | Route::ImpossibleId);
        if is_of_caller || is_for_media && !is_of_request {
            self.listening.refused(&self.player(request), route.recording(), code, &request.id);
        }
    }

    async fn route(&self, route: &Route, request: &Request, body: Incoming) -> Result<Response<Body>, Problem> {
        let is_known = match route {
            Route::Unknown => false,
            // Nothing of a recording is to be had where no recordings are served.
            Route::Live | Route::Ready => true,
            Route::Metrics => request.connection.door != Door::Recordings,
            _ if request.connection.door == Door::Admin => false,
            Route::DemoEncryption => self.is_demo,
            _ => true,
        };
        if !is_known {
            return Err(Problem::new(ErrorCode::NotFound));
        }
        if !route.methods().contains(&request.method) {
            return Err(Problem::new(ErrorCode::MethodNotAllowed));
        }
        match route {
            Route::Home => Ok(player::home()),
            Route::Asset(name) => player::asset(name).ok_or_else(|| Problem::new(ErrorCode::NotFound)),
            Route::Recordings => {
                request.caller.check(&[Scope::List]).map_err(|refusal| auth::refused(refusal, None))?;
                self.recordings(request).await
            }
            Route::Recording(id) => {
                request
                    .caller
                    .check_recording(&[Scope::List, Scope::Play], id)
                    .map_err(|refusal| auth::refused(refusal, Some(id)))?;
                self.recording(request, id).await
            }
            Route::Media(id) if request.method == Method::PUT => {
                request
                    .caller
                    .check_recording(&[Scope::Write], id)
                    .map_err(|refusal| auth::refused(refusal, Some(id)))?;
                put::take_in(self, request, id, body).await
            }
            Route::Media(id) => {
                request
                    .caller
                    .check_recording(&[Scope::Play], id)
                    .map_err(|refusal| auth::refused(refusal, Some(id)))?;
                media::answer(self, request, id).await
            }
            Route::Link(id) => {
                request
                    .caller
                    .check_recording(&[Scope::Play], id)
                    .map_err(|refusal| auth::refused(refusal, Some(id)))?;
                link::mint(self, request, id, body).await
            }
            Route::ImpossibleId if request.method == Method::PUT => {
                request.caller.check(&[Scope::Write]).map_err(|refusal| auth::refused(refusal, None))?;
                Err(Problem::new(ErrorCode::BadRequest).with_detail(
                    "A recording's ID is 1 to 128 characters of A-Z a-z 0-9 . _ - @ +, the first a letter or digit.",
                ))
            }
            Route::ImpossibleId => Err(Problem::new(ErrorCode::RecordingNotFound)),
            Route::Problem(code) => Ok(player::page(problem_page::html(*code))),
            Route::Live => Ok(json(&serde_json::json!({}))),
            Route::Ready => Ok(self.ready(request.connection.door)),
            Route::Metrics => self.metrics(),
            Route::OpenApi => Ok(openapi::document()),
            Route::DemoEncryption if request.method == Method::POST => demo::turn(self, request, body).await,
            Route::DemoEncryption => Ok(demo::show(self)),
            Route::Unknown => Err(Problem::new(ErrorCode::NotFound)),
        }
    }

    async fn recordings(&self, request: &Request) -> Result<Response<Body>, Problem> {
        let bad = |detail| Problem::new(ErrorCode::BadRequest).with_detail(detail);
        let (mut limit, mut after) = (LIMIT_DEFAULT, None);
        for (name, value) in parameters(request.query.as_deref()) {
            match name.as_str() {
                "limit" => {
                    let wanted = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
                    limit = wanted.ok_or_else(|| bad("`limit` must be a number from 1 to 1000"))?;
                }
                "after" => {
                    let cursor: Result<Cursor, ()> = value.parse();
                    after = Some(cursor.map_err(|()| bad("`after` must be the `next` of an earlier page"))?);
                }
                name if FILTERS_TO_COME.contains(&name) => {
                    return Err(bad("the filters q, group, from, to, tag, agent and state are not there yet"));
                }
                _ => {}
            }
        }
        let page =
            self.playback.recordings(after.as_ref(), limit, &request.caller.recordings).await.map_err(|error| {
                tracing::warn!(request = %request.id, %error, "the catalogue cannot be listed");
                Problem::new(error.code())
            })?;
        let now = (self.clock)();
        let recordings: Vec<RecordingDocument> = page
            .recordings
            .iter()
            .map(|recording| {
                let problem = self.playback.known_problem(recording);
                RecordingDocument::new(recording, problem.as_ref(), &request.id, now)
            })
            .collect();
        let next = page.next.map(|next| next.to_string());
        Ok(json(&serde_json::json!({ "recordings": recordings, "next": next })))
    }

    async fn recording(&self, request: &Request, id: &RecordingId) -> Result<Response<Body>, Problem> {
        let row = self.playback.recording(id).await.map_err(|error| {
            tracing::debug!(request = %request.id, %id, %error, "cannot be described");
            Problem::of_playback(&error, id)
        })?;
        let opened = self.playback.open(id).await;
        if let Err(error) = &opened {
            tracing::debug!(request = %request.id, %id, code = %error.code(), %error, "does not play");
        }
        let opened = opened.as_ref().map(|opened| &**opened);
        Ok(json(&RecordingDocument::of_opened(&row, opened, &request.id, (self.clock)())))
    }

    fn ready(&self, door: Door) -> Response<Body> {
        let mut degraded = Vec::new();
        let health = self.keys.health();
        if health.failure.is_some() {
            degraded.push("keys-not-checked");
        }
        if self.listening.log().health().is_some() {
            degraded.push("audit-unavailable");
        }
        let is_draining = self.is_draining.load(Ordering::Relaxed);
        if is_draining {
            degraded.push("draining");
        }
        let mut document = serde_json::json!({ "degraded": degraded });
        // With a listener for operators, what is wrong with the keys is told there alone.
        if door != Door::Recordings {
            document["keys"] = serde_json::json!({
                "loaded_s_ago": health.loaded.elapsed().as_secs(),
                "failure": health.failure.map(|failure| failure.kind),
            });
        }
        let mut response = json(&document);
        if is_draining {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        response
    }
}

const X_REQUEST_ID: header::HeaderName = header::HeaderName::from_static("x-request-id");

/// What every answer carries.
pub(super) fn dress(headers: &mut HeaderMap, request_id: &str) {
    headers.extend(HeaderValue::try_from(request_id).ok().map(|id| (X_REQUEST_ID, id)));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

/// 16 hexadecimal digits; without random numbers nothing could be sealed, and requests still have names.
pub(super) fn request_id() -> String {
    random::<8>().map_or_else(|_| "unnamed".into(), hex::encode)
}

/// The host that a request names: with an absolute target its authority counts (RFC 9112, section 3.2.2).
fn authority(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let named = uri.authority().map(|authority| authority.as_str());
    named.or_else(|| headers.get(header::HOST)?.to_str().ok()).map(str::to_owned)
}

/// The decoded `name=value` pairs of a query.
fn parameters(query: Option<&str>) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect()
}
