//! From a request to an answer: which use case it is, and what every answer carries.

use std::{convert::Infallible, sync::atomic::Ordering};

use hyper::{
    HeaderMap, Method, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderName, HeaderValue},
};
use tokio::time::Instant;

use super::{
    App, Problem,
    app::{Connection, Door, Request, json},
    auth,
    body::Body,
    demo, link, media, openapi, player, problem_page, put,
    request_id::RequestId,
    routes::Route,
    waveform,
};
use crate::access::{Credential, Grant, Scope};
use crate::base::ErrorCode;

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
            id: RequestId::fresh(),
            method: parts.method,
            version: parts.version,
            uri: parts.uri,
            headers: parts.headers,
            connection,
            caller: Grant::nobody(),
        };
        let outcome = match self.cors.preflight(&request.method, &request.headers, route.methods()) {
            Some(answer) => Ok(answer),
            None => match self
                .auth
                .identify(&route, &request.uri, &request.headers, request.connection.peer, (self.clock)())
                .await
            {
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
        dress(headers, request.id);
        // Another site's page may embed what a link lets play, and the player for that, and nothing else.
        let is_by_link = matches!(request.caller.credential, Credential::Link { .. });
        let is_for_others = is_by_link || matches!(&route, Route::Asset(name) if player::is_for_other_sites(name));
        headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, if is_for_others { CROSS_ORIGIN } else { SAME_ORIGIN });
        self.cors.mark(&request.headers, headers);
        tracing::debug!(
            request = %request.id, method = %request.method, path = request.uri.path(), status = response.status().as_u16()
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
        let is_for_media = matches!(
            route,
            Route::Media(_) | Route::Sidecar(..) | Route::Waveform(_) | Route::Link(_) | Route::ImpossibleId
        );
        if is_of_caller || is_for_media && !is_of_request {
            self.listening.refused(&self.player(request), route.recording(), code, &request.id);
        }
    }

    // What is not asked for again and again has a place of its own: the largest of these is moved for each request.
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
            Route::Home => Ok(player::home(self.is_demo)),
            Route::Asset(name) => player::asset(name).ok_or_else(|| Problem::new(ErrorCode::NotFound)),
            Route::Recordings => {
                request.caller.check(&[Scope::List]).map_err(|refusal| auth::refused(refusal, None))?;
                Box::pin(self.recordings(request)).await
            }
            Route::Recording(id) if request.method == Method::PATCH => {
                request
                    .caller
                    .check_recording(&[Scope::Write], id)
                    .map_err(|refusal| auth::refused(refusal, Some(id)))?;
                Box::pin(self.describe(request, id, body)).await
            }
            Route::Recording(id) if request.method == Method::DELETE => {
                request
                    .caller
                    .check_recording(&[Scope::Delete], id)
                    .map_err(|refusal| auth::refused(refusal, Some(id)))?;
                Box::pin(self.delete(request, id)).await
            }
            Route::Recording(id) => {
                request
                    .caller
                    .check_recording(&[Scope::List, Scope::Play], id)
                    .map_err(|refusal| auth::refused(refusal, Some(id)))?;
                Box::pin(self.recording(request, id)).await
            }
            Route::Sidecar(id, name) => {
                request
                    .caller
                    .check_recording(&[Scope::Play], id)
                    .map_err(|refusal| auth::refused(refusal, Some(id)))?;
                Box::pin(self.sidecar(request, id, name)).await
            }
            Route::Waveform(id) => {
                request
                    .caller
                    .check_recording(&[Scope::Play], id)
                    .map_err(|refusal| auth::refused(refusal, Some(id)))?;
                Box::pin(waveform::answer(self, request, id)).await
            }
            Route::Media(id) if request.method == Method::PUT => {
                request
                    .caller
                    .check_recording(&[Scope::Write], id)
                    .map_err(|refusal| auth::refused(refusal, Some(id)))?;
                Box::pin(put::take_in(self, request, id, body)).await
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
                Box::pin(link::mint(self, request, id, body)).await
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
            Route::DemoEncryption if request.method == Method::POST => Box::pin(demo::turn(self, request, body)).await,
            Route::DemoEncryption => Ok(demo::show(self)),
            Route::Unknown => Err(Problem::new(ErrorCode::NotFound)),
        }
    }

    fn ready(&self, door: Door) -> Response<Body> {
        let mut degraded = Vec::new();
        let health = self.keys.health();
        if health.failure.is_some() {
            degraded.push("keys-not-checked");
        }
        if health.definition_key.is_some() {
            degraded.push("definition-key-unavailable");
        }
        if self.listening.log().health().is_some() {
            degraded.push("audit-unavailable");
        }
        if self.uploads.ingest.spooler().is_some_and(|spooler| spooler.waits_long()) {
            degraded.push("spool-waiting");
        }
        let not_reached = self.peers.not_reached(Instant::now());
        if !not_reached.is_empty() {
            degraded.push("peer-unreachable");
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
                "definition_key_usable": health.definition_key.is_none(),
            });
        }
        // How proxies are called is nobody's business who plays.
        if door == Door::Admin {
            document["peers_unreachable"] = not_reached.into();
        }
        let mut response = json(&document);
        if is_draining {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        response
    }
}

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const CROSS_ORIGIN: HeaderValue = HeaderValue::from_static("cross-origin");
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");

/// What every answer carries.
pub(super) fn dress(headers: &mut HeaderMap, request_id: RequestId) {
    // Another proxy's answer has that one's, which its body names, too.
    if !headers.contains_key(X_REQUEST_ID) {
        headers.extend(request_id.to_header().map(|id| (X_REQUEST_ID, id)));
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    headers.insert(header::REFERRER_POLICY, NO_REFERRER);
}
