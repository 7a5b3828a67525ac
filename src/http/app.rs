//! What every answer needs: the use cases, the request, and JSON.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::{
    HeaderMap, Method, Response, Version,
    body::Incoming,
    header::{self, HeaderValue},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{auth::Auth, body::Body, cors::Cors, observe::Observers, put::Uploads};
use crate::access::Grant;
use crate::catalogue::Database;
use crate::service::{Clock, Companions, KeyWatch, Listening, Playback, Player, Purge};

/// How long a client may take for a short body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What answers need.
pub struct App {
    /// Plays.
    pub playback: Arc<Playback>,
    /// Keeps what lies beside recordings.
    pub companions: Companions,
    /// Takes recordings away.
    pub purge: Purge,
    /// Knows the keys and the switch.
    pub keys: Arc<KeyWatch>,
    /// For the demo's switch.
    pub database: Arc<dyn Database>,
    /// Knows who listens, and records it.
    pub listening: Arc<Listening>,
    /// Takes recordings in.
    pub uploads: Uploads,
    /// Knows callers.
    pub auth: Arc<Auth>,
    /// Pages of other origins that may play.
    pub cors: Cors,
    /// Where players reach the server, when settings say so; without a slash at the end.
    pub public_url: Option<String>,
    /// The time of day.
    pub clock: Clock,
    /// Whether this is the demo.
    pub is_demo: bool,
    /// Whether the server is about to stop.
    pub is_draining: AtomicBool,
    /// Where what is observed goes.
    pub observers: Observers,
}

impl App {
    /// The player that a request comes from, as the playback record tells it.
    pub(super) fn player(&self, request: &Request) -> Player {
        let user_agent = request.headers.get(header::USER_AGENT).map(HeaderValue::as_bytes);
        Player::new(&request.caller, &self.auth.client(&request.headers, request.connection), user_agent)
    }

    pub(super) fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis((self.clock)().millis())
    }
}

/// A request without its body.
pub(super) struct Request {
    /// Fresh for each request; named in the answer and in the log.
    pub id: String,
    pub method: Method,
    pub version: Version,
    pub query: Option<String>,
    pub headers: HeaderMap,
    /// The host, and port, that the request names.
    pub authority: Option<String>,
    /// Where it came from.
    pub connection: Connection,
    /// Who asks, and what they may do.
    pub caller: Grant,
}

/// What a request came by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    pub peer: Peer,
    /// Whether it is encrypted.
    pub is_secure: bool,
    /// By which listener it came.
    pub door: Door,
}

/// What is to be had at a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// Everything: there is no other listener.
    Both,
    /// Recordings; metrics and readiness in detail have a listener of their own.
    Recordings,
    /// Metrics and readiness alone.
    Admin,
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Peer {
    Tcp(SocketAddr),
    /// A process of this machine, by a socket file.
    Unix,
}

/// An answer in JSON that nobody keeps.
pub(super) fn json(document: &impl Serialize) -> Response<Body> {
    // Text, numbers and lists always serialise.
    let mut response = Response::new(Body::full(serde_json::to_vec(document).unwrap_or_default()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A request's whole body of at most `len_max` bytes; none when it is longer, or slow, or broke off.
pub(super) async fn read_body(body: Incoming, len_max: usize) -> Option<Bytes> {
    let body = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, len_max).collect()).await;
    Some(body.ok()?.ok()?.to_bytes())
}

/// What a request's body says, when it is a JSON object: a list of the values of its fields is none.
pub(super) fn read_object<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body).ok()?;
    serde_json::from_value(fields.into()).ok()
}
