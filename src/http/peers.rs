//! Other proxies of the same archive: whom a request may be handed on to, how they are reached, and which of them cannot
//! be.
//!
//! Which proxy has a recording is said by its row, which is believed only as far as settings name such proxies: a request
//! that is handed on carries what its caller proves themselves with. What is handed on is in `forward`.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::Instant;

use crate::base::PeerAddress;
use crate::crypto;

/// For a connection.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How a machine that has vanished is told from one that has nothing to say.
const KEEPALIVE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;
/// How long a connection is kept for the next request, and how many.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const IDLE_MAX: usize = 32;
/// How long it shows that one could not be reached, and how many such.
const SHOWN_FOR: Duration = Duration::from_secs(60);
const SHOWN_MAX: usize = 16;
/// How many proxies a request may have come through: more than ever are asked for one recording.
const PASSED_MAX: usize = 16;

/// Names the proxies that handed a request on, so that it never comes to one of them again.
const FORWARDED: HeaderName = HeaderName::from_static("sealtape-forwarded");

/// Other proxies of the same archive.
pub struct Peers {
    allowed: Vec<PeerAddress>,
    /// Made for the first request; none when the system has no certificates to tell others by.
    client: OnceLock<Option<PeerClient>>,
    /// This proxy, among those that handed a request on; drawn at random, so that no caller can name it.
    own: String,
    /// Who could not be reached, and when that was.
    unreachable: Mutex<BTreeMap<String, Instant>>,
}

pub(super) type PeerClient = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

impl Peers {
    /// Those, and nobody else.
    ///
    /// # Errors
    ///
    /// The system gives no random numbers.
    pub fn new(allowed: Vec<PeerAddress>) -> Result<Self, crypto::Error> {
        let own = hex::encode(crypto::random::<8>()?);
        Ok(Self { allowed, client: OnceLock::new(), own, unreachable: Mutex::default() })
    }

    /// Whether a request may be handed on to `url`.
    pub(super) fn may_ask(&self, url: &str) -> bool {
        self.allowed.iter().any(|peer| peer.is(url))
    }

    pub(super) fn client(&self) -> Option<&PeerClient> {
        self.client.get_or_init(client).as_ref()
    }

    /// What a request is marked with that is handed on from here; none when it came through here before. A mark that a
    /// caller invents names nobody, and so changes nothing.
    pub(super) fn mark(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let marks = headers.get_all(FORWARDED).iter().filter_map(|mark| mark.to_str().ok());
        let mut passed: Vec<&str> = marks.flat_map(|mark| mark.split(',').map(str::trim)).collect();
        if passed.contains(&self.own.as_str()) || passed.len() > PASSED_MAX {
            return None;
        }
        passed.push(&self.own);
        HeaderValue::try_from(passed.join(", ")).ok()
    }

    /// Puts a mark on a request.
    pub(super) fn put_mark(headers: &mut HeaderMap, mark: HeaderValue) {
        headers.insert(FORWARDED, mark);
    }

    /// Takes note that one could be reached, or not.
    pub(super) fn note(&self, url: &str, is_reached: bool, now: Instant) {
        let mut unreachable = self.unreachable();
        if is_reached {
            unreachable.remove(url);
        } else if unreachable.len() < SHOWN_MAX || unreachable.contains_key(url) {
            unreachable.insert(url.to_owned(), now);
        }
    }

    /// Those that could not be reached a short while ago, and were not since.
    pub(super) fn not_reached(&self, now: Instant) -> Vec<String> {
        let mut unreachable = self.unreachable();
        unreachable.retain(|_, since| now.duration_since(*since) < SHOWN_FOR);
        unreachable.keys().cloned().collect()
    }

    /// Nothing that holds it can panic half-way.
    fn unreachable(&self) -> MutexGuard<'_, BTreeMap<String, Instant>> {
        self.unreachable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// It follows no redirection.
fn client() -> Option<PeerClient> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    http.set_keepalive(Some(KEEPALIVE));
    http.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    http.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
    let builder = HttpsConnectorBuilder::new().with_native_roots();
    let builder = builder.inspect_err(|error| tracing::warn!(%error, "other proxies cannot be told by certificates"));
    let connector = builder.ok()?.https_or_http().enable_http1().wrap_connector(http);
    let mut client = Client::builder(TokioExecutor::new());
    client.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_TIMEOUT).pool_max_idle_per_host(IDLE_MAX);
    Some(client.build(connector))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(FORWARDED, HeaderValue::try_from(*value).expect("a value"));
        }
        headers
    }

    #[test]
    fn a_request_never_comes_to_a_proxy_again_and_nobody_invents_that_it_did() {
        let (one, other) = (Peers::new(Vec::new()).expect("random"), Peers::new(Vec::new()).expect("random"));
        for invented in [&[][..], &["1"], &["x", "a, b"], &[""]] {
            assert!(one.mark(&marked(invented)).is_some(), "{invented:?}");
        }
        let mut headers = marked(&["1"]);
        Peers::put_mark(&mut headers, one.mark(&marked(&["1"])).expect("the first time"));
        assert!(one.mark(&headers).is_none(), "it comes back");
        let further = other.mark(&headers).expect("on to the next");
        Peers::put_mark(&mut headers, further);
        assert!(one.mark(&headers).is_none() && other.mark(&headers).is_none());
        assert!(one.mark(&marked(&["x"; 17])).is_none(), "it has an end");
    }

    #[test]
    fn who_cannot_be_reached_shows_for_a_while_or_until_they_can() {
        let (peers, begun) = (Peers::new(Vec::new()).expect("random"), Instant::now());
        peers.note("http://a", false, begun);
        peers.note("http://b", false, begun);
        assert_eq!(peers.not_reached(begun), ["http://a", "http://b"]);
        peers.note("http://a", true, begun);
        assert_eq!(peers.not_reached(begun), ["http://b"]);
        let later = begun + SHOWN_FOR;
        assert_eq!(peers.not_reached(later), Vec::<String>::new());
        for number in 0..100 {
            peers.note(&format!("http://{number}"), false, later);
        }
        assert_eq!(peers.not_reached(later).len(), SHOWN_MAX);
    }
}
