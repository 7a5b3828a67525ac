//! The identity provider's keys: a JWK set (RFC 7517) in a file or at an address, remembered and rotated.
//!
//! What is fetched is kept for as long as the answer says, within bounds, and looked at again when a token names a key
//! that is not in it, at most every few seconds whoever asks. While the provider does not answer, the keys that are
//! known go on counting.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Uri, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde_json::Value;

use super::{
    KeySetSource,
    private_file::{self, Error},
    token::TrustedKey,
    watched::Watched,
};

/// A set is kept at least and at most so long, whatever the answer says, and so long when it says nothing.
const AGE_MIN: Duration = Duration::from_secs(60);
const AGE_MAX: Duration = Duration::from_secs(60 * 60);
const AGE_DEFAULT: Duration = Duration::from_secs(5 * 60);
/// How often an unknown key or a failed fetch may cause another fetch.
const FETCH_PAUSE: Duration = Duration::from_secs(5);
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than any key set that makes sense.
const LEN_MAX: usize = 1 << 20;

/// The keys of an identity provider.
pub(super) enum KeySet {
    File(Watched<Vec<TrustedKey>>),
    Remote(Arc<Remote>),
}

/// Keys at an address.
pub(super) struct Remote {
    uri: Uri,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    fetched: ArcSwapOption<Fetched>,
    /// When it was last tried; held while it is tried, so that all who wait share one fetch.
    tried: tokio::sync::Mutex<Option<Instant>>,
}

struct Fetched {
    keys: Vec<TrustedKey>,
    fresh_until: Instant,
}

impl KeySet {
    pub fn new(source: KeySetSource) -> Result<Self, Error> {
        match source {
            KeySetSource::File(path) => {
                if !path.exists() {
                    return Err(Error::Missing {
                        path,
                        way_out: "put the provider's key set there, or correct auth.jwks",
                    });
                }
                Ok(Self::File(Watched::new(path, read)?))
            }
            KeySetSource::Url(uri) => {
                let connector = HttpsConnectorBuilder::new()
                    .with_native_roots()
                    .map_err(|error| Error::content(Path::new("the system's certificates"), error))?
                    .https_or_http()
                    .enable_http1()
                    .build();
                Ok(Self::Remote(Arc::new(Remote {
                    uri,
                    client: Client::builder(TokioExecutor::new()).build(connector),
                    fetched: ArcSwapOption::empty(),
                    tried: tokio::sync::Mutex::new(None),
                })))
            }
        }
    }

    /// The keys that fit. When none does, the set is looked at anew before that is believed.
    ///
    /// # Errors
    ///
    /// No set was ever had.
    pub async fn find(&self, fits: impl Fn(&TrustedKey) -> bool) -> Result<Vec<TrustedKey>, ()> {
        let select = |keys: &[TrustedKey]| keys.iter().filter(|key| fits(key)).cloned().collect::<Vec<_>>();
        match self {
            Self::File(file) => Ok(select(&file.value().ok_or(())?)),
            Self::Remote(remote) => {
                let known = remote.fetched.load_full();
                let found = known.as_ref().map(|fetched| select(&fetched.keys)).unwrap_or_default();
                let is_fresh = known.is_some_and(|fetched| Instant::now() < fetched.fresh_until);
                if !found.is_empty() {
                    if !is_fresh {
                        // Nobody who is known waits for a provider that does not answer.
                        let remote = Arc::clone(remote);
                        tokio::spawn(async move { remote.fetch_anew().await });
                    }
                    return Ok(found);
                }
                remote.fetch_anew().await;
                remote.fetched.load_full().map(|fetched| select(&fetched.keys)).ok_or(())
            }
        }
    }
}

impl Remote {
    async fn fetch_anew(&self) {
        let asked = Instant::now();
        let mut tried = self.tried.lock().await;
        // Somebody else fetched while this one waited, or has just done so.
        if tried.is_some_and(|at| at >= asked || at.elapsed() < FETCH_PAUSE) {
            return;
        }
        let outcome = tokio::time::timeout(FETCH_TIMEOUT, self.fetch()).await;
        *tried = Some(Instant::now());
        match outcome.unwrap_or_else(|_| Err("it did not answer in time".into())) {
            Ok(fetched) => self.fetched.store(Some(Arc::new(fetched))),
            Err(reason) => {
                let known = self.fetched.load().as_ref().map_or(0, |fetched| fetched.keys.len());
                tracing::warn!(uri = %self.uri, reason, known, "the key set cannot be fetched; keys that are known go on");
            }
        }
    }

    async fn fetch(&self) -> Result<Fetched, String> {
        let response = self.client.get(self.uri.clone()).await.map_err(|error| error_chain(&error))?;
        if !response.status().is_success() {
            return Err(format!("it answered {}", response.status()));
        }
        let age = response.headers().get(header::CACHE_CONTROL).and_then(|value| max_age(value.to_str().ok()?));
        let body = Limited::new(response.into_body(), LEN_MAX).collect().await.map_err(|error| error.to_string())?;
        let text = String::from_utf8(body.to_bytes().to_vec()).map_err(|error| error.to_string())?;
        let fresh_until = Instant::now() + age.unwrap_or(AGE_DEFAULT).clamp(AGE_MIN, AGE_MAX);
        Ok(Fetched { keys: parse(&text)?, fresh_until })
    }
}

fn read(path: &Path) -> Result<Vec<TrustedKey>, Error> {
    parse(&private_file::read_public(path)?).map_err(|reason| Error::content(path, reason))
}

/// The keys of a set that can be used here. Others in it, symmetric ones above all, are left out.
fn parse(text: &str) -> Result<Vec<TrustedKey>, String> {
    let document: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let keys = document.get("keys").and_then(Value::as_array).ok_or("it is not a JWK set: it has no list `keys`")?;
    Ok(keys.iter().filter_map(|key| trusted(&serde_json::from_value(key.clone()).ok()?)).collect())
}

/// A key for signatures, and the one algorithm that it is for.
fn trusted(jwk: &Jwk) -> Option<TrustedKey> {
    let common = &jwk.common;
    if common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
        return None;
    }
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return None,
    };
    if common.key_algorithm.is_some_and(|said| said != named) {
        return None;
    }
    Some(TrustedKey { kid: common.key_id.clone(), algorithm, key: DecodingKey::from_jwk(jwk).ok()? })
}

/// `max-age` of a `Cache-Control` (RFC 9111, section 5.2.2.1).
fn max_age(value: &str) -> Option<Duration> {
    let directives = value.split(',').map(str::trim);
    let seconds = directives.filter_map(|directive| directive.strip_prefix("max-age=")).next()?;
    seconds.trim_matches('"').parse().ok().map(Duration::from_secs)
}

/// What a client error says, and what is behind it.
fn error_chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[test]
    fn only_keys_for_signatures_of_the_three_algorithms_count() {
        let set = serde_json::json!({ "keys": [
            { "kty": "oct", "kid": "symmetric", "k": "c2VjcmV0", "alg": "HS256" },
            { "kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" },
            { "kty": "OKP", "crv": "Ed25519", "kid": "enc", "use": "enc", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" },
            { "kty": "OKP", "crv": "P-256", "kid": "odd", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" },
            { "kty": "EC", "crv": "P-256", "kid": "p256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
              "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM" },
            { "kty": "EC", "crv": "P-384", "kid": "p384", "x": "AAAA", "y": "AAAA" },
            { "kty": "RSA", "kid": "ps", "alg": "PS256", "n": "AQAB", "e": "AQAB" },
            { "kty": "RSA", "kid": "rs", "alg": "RS256", "use": "sig", "n": "AQAB", "e": "AQAB" },
            { "kty": "future", "kid": "other" },
            "no key",
        ]});
        let keys = parse(&set.to_string()).expect("a set");
        let kept: Vec<_> = keys.iter().map(|key| (key.kid.as_deref().expect("a name"), key.algorithm)).collect();
        assert_eq!(kept, [("ed", Algorithm::EdDSA), ("p256", Algorithm::ES256), ("rs", Algorithm::RS256)]);
        for bad in ["", "[]", "{}", "{\"keys\":{}}"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    /// Answers each request alike, and counts them.
    async fn provider(status: &str, fields: &str, body: &str) -> (Arc<Remote>, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let uri = format!("http://{}/keys", listener.local_addr().expect("an address")).parse().expect("an address");
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{fields}\r\n{body}", body.len());
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.expect("accepts");
                let (answer, counted) = (answer.clone(), Arc::clone(&counted));
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                        counted.fetch_add(1, Ordering::Relaxed);
                        let _gone = stream.write_all(answer.as_bytes()).await;
                    }
                });
            }
        });
        let KeySet::Remote(remote) = KeySet::new(KeySetSource::Url(uri)).expect("certificates") else { unreachable!() };
        (remote, asked)
    }

    const SET: &str = r#"{ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "ed",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }] }"#;

    fn named(name: &str) -> impl Fn(&TrustedKey) -> bool {
        move |key| key.kid.as_deref() == Some(name)
    }

    #[tokio::test]
    async fn a_set_is_fetched_once_for_all_who_wait_and_not_for_whoever_invents_names() {
        let (remote, asked) = provider("200 OK", "", SET).await;
        let set = Arc::new(KeySet::Remote(remote));
        let waiting: Vec<_> = (0..20)
            .map(|_| {
                let set = Arc::clone(&set);
                tokio::spawn(async move { set.find(named("ed")).await.expect("was had").len() })
            })
            .collect();
        for one in waiting {
            assert_eq!(one.await.expect("ends"), 1);
        }
        for _ in 0..5 {
            assert!(set.find(named("other")).await.expect("was had").is_empty());
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_set_that_is_no_longer_fresh_counts_while_another_is_fetched() {
        let (remote, asked) = provider("200 OK", "", r#"{ "keys": [] }"#).await;
        let keys = parse(SET).expect("a set");
        remote.fetched.store(Some(Arc::new(Fetched { keys, fresh_until: Instant::now() })));
        let set = KeySet::Remote(Arc::clone(&remote));
        assert_eq!(set.find(named("ed")).await.expect("was had").len(), 1, "nobody waits");
        while !set.find(named("ed")).await.expect("was had").is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_set_that_is_fresh_is_not_fetched_for_those_whom_it_names() {
        let (remote, asked) = provider("200 OK", "", SET).await;
        let fresh_until = Instant::now() + AGE_MIN;
        remote.fetched.store(Some(Arc::new(Fetched { keys: parse(SET).expect("a set"), fresh_until })));
        let set = KeySet::Remote(Arc::clone(&remote));
        assert_eq!(set.find(named("ed")).await.expect("was had").len(), 1);
        // A fetch that it began would be in line before this one, and make it needless.
        tokio::task::yield_now().await;
        assert!(remote.tried.try_lock().is_ok_and(|tried| tried.is_none()), "nobody fetches");
        assert_eq!(asked.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_set_is_fetched_again_once_a_pause_is_over() {
        let (remote, asked) = provider("200 OK", "", SET).await;
        let ago = |time: Duration| Instant::now().checked_sub(time).expect("the machine has run for longer");
        for (tried, fetches) in [(ago(FETCH_PAUSE / 2), 0), (ago(2 * FETCH_PAUSE), 1)] {
            *remote.tried.lock().await = Some(tried);
            remote.fetch_anew().await;
            assert_eq!(asked.load(Ordering::Relaxed), fetches);
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_no_set_changes_nothing() {
        let too_long = format!("{{\"keys\":[],\"more\":\"{}\"}}", "x".repeat(LEN_MAX));
        for (status, body) in [("500 Oops", SET), ("200 OK", "no set"), ("200 OK", &*too_long)] {
            let (remote, asked) = provider(status, "", body).await;
            let set = KeySet::Remote(Arc::clone(&remote));
            assert!(set.find(named("ed")).await.is_err(), "{status}: none was ever had");
            let keys = parse(SET).expect("a set");
            remote.fetched.store(Some(Arc::new(Fetched { keys, fresh_until: Instant::now() })));
            *remote.tried.lock().await = None;
            remote.fetch_anew().await;
            assert_eq!(set.find(named("ed")).await.expect("was had").len(), 1, "{status}");
            assert_eq!(asked.load(Ordering::Relaxed), 2);
        }
    }

    /// What is behind an error is what helps.
    #[tokio::test]
    async fn a_provider_that_does_not_answer_is_told_with_what_the_system_says() {
        let nobody = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let uri = format!("http://{}/keys", nobody.local_addr().expect("an address")).parse().expect("an address");
        drop(nobody);
        let KeySet::Remote(remote) = KeySet::new(KeySetSource::Url(uri)).expect("certificates") else { unreachable!() };
        let reason = remote.fetch().await.err().expect("nobody is there");
        assert!(reason.contains("refused"), "{reason}");
    }

    #[tokio::test]
    async fn a_set_is_kept_as_long_as_it_says_within_bounds() {
        let cases = [
            ("", 300),
            ("Cache-Control: max-age=0\r\n", 60),
            ("Cache-Control: public, max-age=600\r\n", 600),
            ("Cache-Control: max-age=9000\r\n", 3600),
        ];
        for (fields, seconds) in cases {
            let (remote, _) = provider("200 OK", fields, SET).await;
            let begun = Instant::now();
            let fetched = remote.fetch().await.expect("a set");
            let kept = (fetched.fresh_until - begun).as_secs();
            // However long the fetch took.
            assert!((seconds..seconds + 30).contains(&kept), "{fields}: {kept} s");
        }
    }

    #[test]
    fn ages_are_read() {
        assert_eq!(max_age("public, max-age=600"), Some(Duration::from_secs(600)));
        assert_eq!(max_age("no-store"), None);
        assert_eq!(max_age("max-age=x"), None);
    }
}
