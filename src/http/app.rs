//! What every answer needs: the use cases, the request, and JSON.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::{
    HeaderMap, Method, Response, Uri, Version,
    body::Incoming,
    header::{self, HeaderValue},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    auth::Auth, body::Body, cors::Cors, observe::Observers, peers::Peers, put::Uploads, request_id::RequestId,
    server::Connected,
};
use crate::access::Grant;
use crate::catalogue::Database;
use crate::service::{Clock, Companions, KeyWatch, Listening, Playback, Player, Purge, Waveforms};

/// How long a client may take for a short body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What answers need.
pub struct App {
    /// Plays.
    pub playback: Arc<Playback>,
    /// Keeps what lies beside recordings.
    pub companions: Companions,
    /// Makes waveforms.
    pub waveforms: Arc<Waveforms>,
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
    /// Other proxies, for what lies in their spools.
    pub peers: Peers,
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
    pub(super) fn player(&self, request: &Request) -> Arc<Player> {
        let user_agent = request.headers.get(header::USER_AGENT).map(HeaderValue::as_bytes);
        let (Connection { peer, client, .. }, headers) = (&request.connection, &request.headers);
        client.player(&request.caller, &self.auth.client(headers, *peer, &client.address), user_agent)
    }

    pub(super) fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis((self.clock)().millis())
    }
}

/// A request without its body.
pub(super) struct Request {
    /// Fresh for each request; named in the answer and in the log.
    pub id: RequestId,
    pub method: Method,
    pub version: Version,
    pub uri: Uri,
    pub headers: HeaderMap,
    /// Where it came from.
    pub connection: Connection,
    /// Who asks, and what they may do.
    pub caller: Grant,
}

impl Request {
    /// The host, and port, that it names: with an absolute target its authority counts (RFC 9112, section 3.2.2).
    pub(super) fn authority(&self) -> Option<&str> {
        let named = self.uri.authority().map(|authority| authority.as_str());
        named.or_else(|| self.headers.get(header::HOST)?.to_str().ok())
    }
}

/// What a request came by.
#[derive(Clone)]
pub(super) struct Connection {
    pub peer: Peer,
    /// What is remembered of the other end.
    pub client: Arc<Client>,
    /// How it takes what it is given.
    pub flow: Connected,
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

/// What is remembered of the other end of a connection, so that it is not made anew for each request.
#[derive(Debug)]
pub(super) struct Client {
    /// Its address, as text.
    pub address: String,
    /// Who asked last. One connection may bring many, through a proxy.
    last: Mutex<Option<Arc<Player>>>,
}

impl Client {
    pub(super) fn new(peer: Peer) -> Self {
        Self { address: peer.to_string(), last: Mutex::default() }
    }

    fn player(&self, caller: &Grant, address: &str, user_agent: Option<&[u8]>) -> Arc<Player> {
        // Nothing that holds it can panic half-way.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(player) if player.is(caller, address, user_agent) => Arc::clone(player),
            _ => Arc::clone(last.insert(Arc::new(Player::new(caller, address, user_agent)))),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // An IPv4 peer of a socket that takes both is no IPv6 address.
            Self::Tcp(address) => address.ip().to_canonical().fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Credential;

    #[test]
    fn who_asks_again_is_known_and_nobody_else_is_taken_for_them() {
        let client = Client::new(Peer::Unix);
        assert_eq!(client.address, "unix");
        let (everything, nobody) = (Grant::everything(), Grant::nobody());
        let by_link = |minted_by: &str| Grant {
            credential: Credential::Link { minted_by: minted_by.parse().expect("a subject") },
            ..Grant::everything()
        };
        let (by_ann, by_bob) = (by_link("ann"), by_link("bob"));
        let agent = |text: &'static [u8]| Some(text);
        let askers = [
            (&everything, "192.0.2.1", agent(b"player")),
            (&everything, "192.0.2.2", agent(b"player")),
            (&everything, "192.0.2.2", agent(b"other")),
            (&everything, "192.0.2.2", agent(b"")),
            (&everything, "192.0.2.2", None),
            (&nobody, "192.0.2.2", None),
            (&by_ann, "192.0.2.2", None),
            (&by_bob, "192.0.2.2", None),
        ];
        for (caller, address, user_agent) in askers {
            let first = client.player(caller, address, user_agent);
            let afresh = Player::new(caller, address, user_agent);
            assert_eq!(format!("{first:?}"), format!("{afresh:?}"));
            assert!(Arc::ptr_eq(&first, &client.player(caller, address, user_agent)), "it is not made again");
        }
        // What had to be changed to be told is made again each time, and right each time.
        for user_agent in [&b"a\x07b"[..], b"a\xEF\xBF\xBDb", b"a\xFFb", b"a\x07b"] {
            let player = client.player(&everything, "unix", Some(user_agent));
            assert_eq!(format!("{player:?}"), format!("{:?}", Player::new(&everything, "unix", Some(user_agent))));
        }
    }
}
