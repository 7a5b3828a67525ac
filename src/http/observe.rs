//! What is seen of a request from outside: counted, timed, and traced when somebody collects traces.
//!
//! Names no exporter: `cli` installs them and hands over what is needed here. No ID, subject, link or token becomes a
//! label or an attribute: a trace is found by its request ID, and the playback record knows the rest.

use std::{
    cell::RefCell,
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, LazyLock, atomic::Ordering},
    time::Instant,
};

use hyper::{
    HeaderMap, Method, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use tracing::{Instrument, Span, field::Empty};

use super::{
    App, Problem,
    app::Connection,
    body::Body,
    routes::{Route, RouteName},
};
use crate::base::{ErrorCode, metrics as names};

/// The target of the spans that are traces: whoever collects them lets these through, and nothing else.
pub const TRACE_TARGET: &str = "sealtape::trace";

/// Makes a span the child of the one that a `traceparent` names (W3C Trace Context).
pub type Adopt = Arc<dyn Fn(&Span, &str) + Send + Sync>;

/// Where what is observed goes.
#[derive(Clone, Default)]
pub struct Observers {
    /// Renders every metric as Prometheus text; without it there is no `/metrics`.
    pub metrics: Option<Arc<dyn Fn() -> String + Send + Sync>>,
    /// There while traces are collected.
    pub adopt: Option<Adopt>,
}

impl App {
    /// Answers a request, and lets that be seen.
    pub(super) async fn observed(
        &self,
        request: hyper::Request<Incoming>,
        connection: Connection,
    ) -> Result<Response<Body>, Infallible> {
        let begun = Instant::now();
        let route = Route::decode(request.uri().path());
        let (name, method) = (route.name(), method(request.method()));
        let span = self.span(name, method, request.headers());
        let Ok(mut response) = self.answer(route, request, connection).instrument(span.clone()).await;
        count(name, method, &response);
        if let Body::Media(_) = response.body() {
            METER.time_to_first_byte.record(begun.elapsed());
        }
        if !span.is_disabled() {
            let status = response.status();
            span.record("http.response.status_code", status.as_u16());
            if let Some(id) = response.headers().get("x-request-id").and_then(|id| id.to_str().ok()) {
                span.record("sealtape.request_id", id);
            }
            if status.is_server_error() {
                span.record("otel.status_code", "ERROR");
            }
            // Ended when the last byte is handed over, or the connection is cut.
            response.body_mut().keep(span);
        }
        Ok(response)
    }

    fn span(&self, name: RouteName, method: &'static str, headers: &HeaderMap) -> Span {
        let span = tracing::info_span!(
            target: "sealtape::trace",
            "request",
            otel.name = Empty,
            otel.kind = "server",
            otel.status_code = Empty,
            http.request.method = method,
            http.route = name.template,
            http.response.status_code = Empty,
            sealtape.request_id = Empty,
        );
        if !span.is_disabled() {
            span.record("otel.name", format!("{method} {}", name.template));
            let parent = headers.get("traceparent").and_then(|parent| parent.to_str().ok());
            if let (Some(adopt), Some(parent)) = (&self.observers.adopt, parent) {
                adopt(&span, parent);
            }
        }
        span
    }

    /// `/metrics`, with what is only known when it is asked for.
    pub(super) fn metrics(&self) -> Result<Response<Body>, Problem> {
        let render = self.observers.metrics.as_ref().ok_or_else(|| Problem::new(ErrorCode::NotFound))?;
        let health = self.keys.health();
        METER.key_ring_age.set(health.loaded.elapsed().as_secs_f64());
        METER.key_ring_check_failed.set(truth(health.failure.is_some()));
        METER.keys.set(u32::try_from(self.keys.ring().len()).unwrap_or(u32::MAX));
        METER.draining.set(truth(self.is_draining.load(Ordering::Relaxed)));
        if let Some(spooler) = self.uploads.ingest.spooler() {
            spooler.show_age();
        }
        let mut response = Response::new(Body::full(render()));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

/// Counts something for as long as it is there.
pub(super) struct Active(&'static Gauge);

impl Active {
    /// A connection.
    pub(super) fn connection() -> Self {
        Self::count(&METER.connections)
    }

    /// An answer with media.
    pub(super) fn stream() -> Self {
        Self::count(&METER.streams)
    }

    fn count(gauge: &'static Gauge) -> Self {
        gauge.increment(1);
        Self(gauge)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

/// Counts a frame of media that was handed to the transport.
pub(super) fn count_media(len_bytes: usize) {
    METER.media_bytes.increment(len_bytes as u64);
}

/// Handles, resolved once, after the recorder is in its place.
struct Meter {
    time_to_first_byte: Histogram,
    media_bytes: Counter,
    streams: Gauge,
    connections: Gauge,
    key_ring_age: Gauge,
    key_ring_check_failed: Gauge,
    keys: Gauge,
    draining: Gauge,
}

static METER: LazyLock<Meter> = LazyLock::new(|| {
    gauge!(names::BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1);
    // At zero from the start, so that the first one is seen as a rise.
    for code in ErrorCode::ALL {
        counter!(names::PROBLEMS, "code" => code.as_str()).absolute(0);
    }
    for outcome in ["answered", "unreachable", "refused", "cut"] {
        counter!(names::FORWARDS, "outcome" => outcome).absolute(0);
    }
    Meter {
        time_to_first_byte: histogram!(names::TIME_TO_FIRST_BYTE),
        media_bytes: counter!(names::MEDIA_BYTES),
        streams: gauge!(names::STREAMS_ACTIVE),
        connections: gauge!(names::CONNECTIONS_ACTIVE),
        key_ring_age: gauge!(names::KEY_RING_AGE),
        key_ring_check_failed: gauge!(names::KEY_RING_CHECK_FAILED),
        keys: gauge!(names::KEYS),
        draining: gauge!(names::DRAINING),
    }
});

thread_local! {
    /// Handles of one thread: to make a label and look it up takes longer than all the rest of counting.
    static REQUESTS: RefCell<HashMap<(&'static str, &'static str, StatusCode), Counter>> = RefCell::default();
}

fn count(name: RouteName, method: &'static str, response: &Response<Body>) {
    let status = response.status();
    REQUESTS.with_borrow_mut(|requests| {
        let counter = requests.entry((name.class, method, status)).or_insert_with(|| {
            counter!(names::REQUESTS, "route" => name.class, "method" => method, "status" => status.as_str().to_owned())
        });
        counter.increment(1);
    });
    if let Some(code) = response.extensions().get::<ErrorCode>() {
        counter!(names::PROBLEMS, "code" => code.as_str()).increment(1);
    }
}

/// A method as a label: whatever a client invents is one.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}

fn truth(is_true: bool) -> f64 {
    if is_true { 1.0 } else { 0.0 }
}
