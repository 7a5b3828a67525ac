//! Requests for what lies in another proxy's spool: handed on to that proxy, whose answer goes back as it is.
//!
//! Only URLs that rows name and settings allow are ever contacted ([`Peers`]). The request goes with the caller's own
//! credentials, which were checked here and are checked there once more, with what of it says what is asked, and with a
//! mark, so that it never comes back here. That proxy puts on record who listens; here it is only logged. What it begins
//! and cannot end is cut here, too.

use std::{
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::Empty;
use hyper::{
    HeaderMap, Method, Response, StatusCode, Uri,
    body::Incoming,
    header::{self, HeaderName, HeaderValue},
};
use metrics::counter;
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::{
    app::{App, Peer, Request},
    body::{Body, Error},
    observe::Active,
    peers::{CONNECT_TIMEOUT, Peers},
};
use crate::access::Credential;
use crate::base::{Location, RecordingId, metrics as names};

/// For the head of an answer: that proxy waits a while itself for media that is yet to come.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// The same of a waveform, which may wait for its turn and is decoded first.
const WAVEFORM_TIMEOUT: Duration = Duration::from_secs(180);
/// How long no byte may come: longer than any recorder may be silent before it is held to be gone.
const SILENCE_MAX: Duration = Duration::from_secs(180);
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What of a request says what is asked, and of whom: nothing else of it is that proxy's business. Who asks is added.
const OF_REQUEST: [HeaderName; 11] = [
    header::ACCEPT,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::RANGE,
    header::USER_AGENT,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    X_FORWARDED_FOR,
];

/// What is of one connection (RFC 9110, section 7.6.1), and what is made anew for an answer. The ID of the request stays
/// that proxy's, by which the playback record there knows it.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];
const OF_ANSWER: [&str; 5] = [
    "access-control-allow-origin",
    "access-control-expose-headers",
    "cross-origin-resource-policy",
    "location",
    "vary",
];

/// What the proxy at `spool` answers; none when it cannot be asked, is no peer, or this came through here before. A request
/// that changed what lies beside a recording is answered like one to read it.
pub(super) async fn forward(
    app: &App,
    request: &Request,
    id: &RecordingId,
    spool: &Location,
) -> Option<Response<Body>> {
    let unreachable = |error: String| {
        counter!(names::FORWARDS, "outcome" => "unreachable").increment(1);
        app.peers.note(spool.as_str(), false, Instant::now());
        tracing::warn!(request = %request.id, %id, %spool, error, "the proxy that has it in its spool cannot be asked");
    };
    let Some(uri) = target(spool, &request.uri) else {
        unreachable("it has no address that others reach: see server.peer_url there".into());
        return None;
    };
    if !app.peers.may_ask(spool.as_str()) {
        counter!(names::FORWARDS, "outcome" => "refused").increment(1);
        tracing::warn!(request = %request.id, %id, %spool, "the proxy that its row names is none of server.peers: nothing is sent there");
        return None;
    }
    let Some(mark) = app.peers.mark(&request.headers) else {
        counter!(names::FORWARDS, "outcome" => "refused").increment(1);
        tracing::warn!(request = %request.id, %id, %spool, "it came back: proxies name one another, see server.peer_url of each");
        return None;
    };
    let client = app.peers.client()?;
    let patience = if request.uri.path().ends_with("/waveform") { WAVEFORM_TIMEOUT } else { HEAD_TIMEOUT };
    let mut attempts = 0;
    let answer = loop {
        attempts += 1;
        let asked = Instant::now();
        let outgoing = outgoing(request, app.auth.subject_header(), &mark, uri.clone())?;
        match timeout(patience, client.request(outgoing)).await {
            Ok(Ok(answer)) => break answer,
            // A connection that was kept may have been closed there this moment. A purge may be done by now, and nobody
            // is to be told that there was nothing.
            Ok(Err(error))
                if attempts == 1
                    && request.method != Method::DELETE
                    && !error.is_connect()
                    && asked.elapsed() < CONNECT_TIMEOUT => {}
            Ok(Err(error)) => {
                unreachable(causes(&error));
                return None;
            }
            Err(_) => {
                unreachable("it did not answer in time".into());
                return None;
            }
        }
    };
    if answer.status().is_redirection() && answer.status() != StatusCode::NOT_MODIFIED {
        unreachable(format!("it is no proxy: it answered {}", answer.status()));
        return None;
    }
    let there = answer.headers().get("x-request-id").and_then(|value| value.to_str().ok()).unwrap_or_default();
    tracing::info!(request = %request.id, %id, %spool, there, status = answer.status().as_u16(), "handed on");
    counter!(names::FORWARDS, "outcome" => "answered").increment(1);
    app.peers.note(spool.as_str(), true, Instant::now());
    let (mut parts, body) = answer.into_parts();
    drop_hop_by_hop(&mut parts.headers);
    OF_ANSWER.iter().for_each(|name| drop(parts.headers.remove(*name)));
    let mut response = Response::new(Body::peer(PeerBody::new(body, format!("{} {id}", request.id))));
    (*response.status_mut(), *response.headers_mut()) = (parts.status, parts.headers);
    Some(response)
}

/// The same path and query at that proxy, if it can be reached by a URL.
fn target(spool: &Location, asked: &Uri) -> Option<Uri> {
    let base = spool.as_str().trim_end_matches('/');
    if !base.starts_with("http://") && !base.starts_with("https://") {
        return None;
    }
    format!("{base}{}", asked.path_and_query()?).parse().ok()
}

fn outgoing(
    request: &Request,
    subject_header: &str,
    mark: &HeaderValue,
    uri: Uri,
) -> Option<hyper::Request<Empty<Bytes>>> {
    let mut headers = HeaderMap::new();
    for name in OF_REQUEST {
        headers.extend(request.headers.get_all(&name).iter().map(|value| (name.clone(), value.clone())));
    }
    // Of several ways to say who asks only the one goes that counted here. A link stands in the query.
    match &request.caller.credential {
        Credential::Token => {
            headers.insert(header::AUTHORIZATION, request.headers.get(header::AUTHORIZATION)?.clone());
        }
        Credential::Proxy => {
            let subject = HeaderValue::from_bytes(request.caller.subject.as_str().as_bytes()).ok()?;
            headers.insert(HeaderName::try_from(subject_header).ok()?, subject);
        }
        Credential::None | Credential::Local | Credential::Command | Credential::Link { .. } => {}
    }
    Peers::put_mark(&mut headers, mark.clone());
    if let Peer::Tcp(address) = request.connection.peer {
        headers.insert(X_FORWARDED_FOR, HeaderValue::try_from(chain(&headers, address.ip())).ok()?);
    }
    let mut outgoing = hyper::Request::new(Empty::new());
    *outgoing.method_mut() = match request.method {
        Method::HEAD | Method::DELETE => request.method.clone(),
        _ => Method::GET,
    };
    *outgoing.uri_mut() = uri;
    *outgoing.headers_mut() = headers;
    Some(outgoing)
}

/// Whoever asked here, behind those for whom they say that they ask.
fn chain(headers: &HeaderMap, peer: IpAddr) -> String {
    let said = headers.get_all(X_FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let peer = peer.to_canonical().to_string();
    said.map(str::to_owned).chain([peer]).collect::<Vec<_>>().join(", ")
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(|name| name.trim().to_ascii_lowercase()))
        .collect();
    for name in named.iter().map(String::as_str).chain(HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// The body of that proxy's answer.
pub(super) struct PeerBody {
    body: Incoming,
    /// What the request and its recording are called in the log.
    label: String,
    silence: Pin<Box<Sleep>>,
    _active: Active,
}

impl PeerBody {
    fn new(body: Incoming, label: String) -> Self {
        Self { body, label, silence: Box::pin(sleep(SILENCE_MAX)), _active: Active::stream() }
    }

    /// The next bytes; an error is the end of that connection, and of this one.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Self { body, label, silence, .. } = self;
        loop {
            let error = match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    silence.as_mut().reset(Instant::now() + SILENCE_MAX);
                    // Trailers end with the connection that they came by.
                    match frame.into_data() {
                        Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                        Err(_) => continue,
                    }
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => causes(&error),
                Poll::Pending => {
                    ready!(silence.as_mut().poll(cx));
                    "nothing more came for too long".into()
                }
            };
            counter!(names::FORWARDS, "outcome" => "cut").increment(1);
            tracing::warn!(request = %label, error, "the proxy that was asked broke off: the connection is cut");
            return Poll::Ready(Some(Err(Error::Peer)));
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What a client error says, and what is behind it.
fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_rows_are_asked_and_only_over_http() {
        let asked: Uri = "http://evil.example/recordings/a/media?link=x&y=%2F".parse().expect("a URI");
        let at = |text: &str| target(&text.parse().expect("a location"), &asked).map(|uri| uri.to_string());
        assert_eq!(at("http://10.0.0.7:8080").as_deref(), Some("http://10.0.0.7:8080/recordings/a/media?link=x&y=%2F"));
        assert_eq!(
            at("https://a.example/tape/").as_deref(),
            Some("https://a.example/tape/recordings/a/media?link=x&y=%2F")
        );
        for other in ["file://host/var/spool", "s3://bucket/x", "ftp://a.example/"] {
            assert_eq!(at(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_of_a_connection_stays_there() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Of-This-One"),
            ("x-of-this-one", "1"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("range", "bytes=1-"),
            ("authorization", "Bearer x"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        drop_hop_by_hop(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["authorization", "range"]);
        headers.insert(X_FORWARDED_FOR, HeaderValue::from_static("192.0.2.1"));
        assert_eq!(chain(&headers, "::ffff:192.0.2.2".parse().expect("an address")), "192.0.2.1, 192.0.2.2");
    }
}
