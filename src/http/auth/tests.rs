//! Who counts as whom: each way to say it, with what is nearly right beside what is.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use hyper::{HeaderMap, Uri, header::HeaderValue};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::crypto::{generate_signing_key, signing_key_public};

const NOW_S: u64 = 1_764_000_000;
const ISSUER: &str = "https://id.example";
const PEER: &str = "10.1.2.3:4711";

/// A server's files, and those who sign.
struct Place {
    folder: TempDir,
    local: LocalKey,
    provider: Signer,
}

/// A key of the identity provider.
struct Signer {
    der: Vec<u8>,
    kid: Option<&'static str>,
}

impl Signer {
    fn new(kid: Option<&'static str>) -> Self {
        Self { der: generate_signing_key().expect("random").to_vec(), kid }
    }

    fn jwk(&self) -> Value {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let (public, _) = signing_key_public(&self.der).expect("a key");
        let mut jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(public) });
        if let Some(kid) = self.kid {
            jwk["kid"] = kid.into();
        }
        jwk
    }

    fn sign(&self, claims: &Value) -> String {
        self.sign_as(self.kid, claims)
    }

    fn sign_as(&self, kid: Option<&str>, claims: &Value) -> String {
        let header = Header { kid: kid.map(Into::into), ..Header::new(Algorithm::EdDSA) };
        self.sign_under(&header, claims)
    }

    fn sign_under(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &EncodingKey::from_ed_der(&self.der)).expect("signed")
    }

    /// A token of what is given, byte for byte.
    fn sign_bytes(&self, header: &[u8], claims: &[u8]) -> String {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let key = EncodingKey::from_ed_der(&self.der);
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::EdDSA).expect("signed");
        format!("{signed}.{signature}")
    }
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let local = LocalKey::read_or_make(&folder.path().join("token.key"), true).expect("made");
        let place = Self { folder, local, provider: Signer::new(Some("of-provider")) };
        place.trust(&[&place.provider]);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Has the provider's set hold these keys.
    fn trust(&self, signers: &[&Signer]) {
        let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
        fs::write(self.path("keys.json"), json!({ "keys": keys }).to_string()).expect("written");
    }

    fn settings(&self, mode: AuthMode) -> AuthSettings {
        AuthSettings {
            mode,
            provider: Some(ProviderSettings {
                keys: KeySetSource::File(self.path("keys.json")),
                issuer: ISSUER.into(),
                audience: vec!["recordings".into(), "calls".into()],
            }),
            token_key_file: self.path("token.key"),
            link_secrets_file: self.path("link.secrets"),
            may_make_link_secrets: true,
            proxy_peers: vec![TrustedPeer::Net("10.0.0.0/8".parse().expect("a network"))],
            subject_header: "x-subject".into(),
            proxy_scopes: [Scope::List].into_iter().collect(),
            trusted_proxies: vec![],
        }
    }

    fn auth(&self, mode: AuthMode) -> Auth {
        Auth::new(self.settings(mode)).expect("good files")
    }
}

fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": "recordings", "sub": "ann", "exp": NOW_S + 60, "scope": "recordings:play" })
}

/// The same with one claim changed, or without it where that is null.
fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    match value {
        Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
        value => claims[name] = value,
    }
    claims
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis).expect("in range")
}

fn verify_at(place: &Place, token: &str, now: Timestamp) -> Result<Grant, token::Error> {
    let settings = place.settings(AuthMode::Token);
    let tokens = Tokens::new(settings.token_key_file, settings.provider).expect("good files");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(tokens.verify(token, now))
}

fn verify(place: &Place, token: &str) -> Result<Grant, token::Error> {
    verify_at(place, token, at(NOW_S * 1000))
}

#[test]
fn a_token_that_was_signed_here_says_what_it_was_to_say() {
    let place = Place::new();
    let mut new = NewToken {
        subject: "ann".parse().expect("a subject"),
        scopes: vec![Scope::Play, Scope::Write],
        recordings: Some(vec!["call-1".into(), "team-*".into()]),
        ttl: Duration::from_secs(90),
    };
    let now = at(NOW_S * 1000 + 999);
    let signed = place.local.sign(&new, now).expect("signed");
    assert_eq!(signed.expires_at, at((NOW_S + 90) * 1000));
    let expected = Grant {
        subject: new.subject.clone(),
        credential: Credential::Token,
        scopes: [Scope::Play, Scope::Write].into_iter().collect(),
        recordings: RecordingSet::Listed(vec!["call-1".into(), "team-*".into()]),
        expires_at: Some(signed.expires_at),
    };
    assert_eq!(verify_at(&place, &signed.token, now), Ok(expected));
    // To the last millisecond, and not in the next.
    assert!(verify_at(&place, &signed.token, at((NOW_S + 90) * 1000 - 1)).is_ok());
    assert_eq!(verify_at(&place, &signed.token, signed.expires_at), Err(token::Error::Expired));
    // It names its key, as those do that count on it being found at once.
    let header = jsonwebtoken::decode_header(&signed.token).expect("a header");
    assert_eq!((header.alg, header.kid), (Algorithm::EdDSA, place.local.trusted().kid));
    // None is dead when it is born, and each has a name of its own.
    new.ttl = Duration::ZERO;
    let shortest = place.local.sign(&new, now).expect("signed");
    assert_eq!(shortest.expires_at, at((NOW_S + 1) * 1000));
    assert!(shortest.id.len() == 16 && shortest.id != signed.id);
    // Read again it is the same key; its secret is not shown.
    let again = LocalKey::read_or_make(&place.path("token.key"), false).expect("read");
    assert!(verify(&place, &again.sign(&new, now).expect("signed").token).is_ok());
    assert!(format!("{again:?}").ends_with(", redacted)"));
    let missing = LocalKey::read_or_make(&place.path("other.key"), false);
    assert!(matches!(missing, Err(PrivateFileError::Missing { .. })));
}

#[test]
fn a_providers_token_counts_only_for_what_it_says() {
    use token::Error::{Expired, KeysUnavailable, Malformed, NotForUs, NotTrusted, NotYet};
    let place = Place::new();
    let outcome = |claims: &Value| verify(&place, &place.provider.sign(claims));
    let whole = outcome(&claims()).expect("counts");
    assert_eq!(whole.recordings, RecordingSet::All);
    assert_eq!((whole.subject.as_str(), whole.expires_at), ("ann", Some(at((NOW_S + 60) * 1000))));
    let cases = [
        ("iss", json!("https://other.example"), Some(NotForUs)),
        ("iss", Value::Null, Some(NotForUs)),
        ("iss", json!("sealtape"), Some(NotForUs)),
        ("aud", json!("other"), Some(NotForUs)),
        ("aud", Value::Null, Some(NotForUs)),
        ("aud", json!(["other", "calls"]), None),
        ("exp", Value::Null, Some(Malformed)),
        ("exp", json!(NOW_S), Some(Expired)),
        ("exp", json!(NOW_S as f64 + 0.25), None),
        ("exp", json!("soon"), Some(Malformed)),
        ("exp", json!(1e15), None),
        ("nbf", json!(NOW_S + 5), None),
        ("nbf", json!(NOW_S as f64 + 5.5), Some(NotYet)),
        ("sub", Value::Null, Some(Malformed)),
        ("sub", json!(""), Some(Malformed)),
        ("sub", json!("a\nb"), Some(Malformed)),
        ("scope", Value::Null, None),
        ("scope", json!(["recordings:play"]), Some(Malformed)),
        ("recordings", json!([]), None),
        ("recordings", json!("call-1"), Some(Malformed)),
        ("recordings", json!([1]), Some(Malformed)),
    ];
    for (name, value, error) in cases {
        let outcome = outcome(&claims_with(name, value.clone()));
        assert_eq!(outcome.as_ref().err(), error.as_ref(), "{name} = {value}: {outcome:?}");
    }
    // A limit that is null is none that can be read, and nobody is unlimited by it.
    let mut limited = claims();
    limited["recordings"] = Value::Null;
    assert_eq!(outcome(&limited), Err(Malformed));
    assert_eq!(outcome(&claims_with("exp", json!(1e15))).expect("counts").expires_at, Some(Timestamp::MAX));
    let half = outcome(&claims_with("exp", json!(NOW_S as f64 + 0.25))).expect("counts");
    assert_eq!(half.expires_at, Some(at(NOW_S * 1000 + 250)));
    let nothing = outcome(&claims_with("scope", Value::Null)).expect("counts");
    assert_eq!(nothing.check(&[Scope::List, Scope::Play, Scope::Write, Scope::Delete]), Err(Refusal::Scope));

    // Nobody else's signature, and no part of this one's.
    let stranger = Signer::new(Some("of-provider"));
    assert_eq!(verify(&place, &stranger.sign(&claims())), Err(NotTrusted));
    assert_eq!(verify(&place, &place.provider.sign_as(Some("unknown"), &claims())), Err(NotTrusted));
    let token = place.provider.sign(&claims());
    let (signed, _) = token.rsplit_once('.').expect("three parts");
    assert!(verify(&place, &format!("{signed}.")).is_err());
    assert_eq!(verify(&place, "no token"), Err(Malformed));
    // Each in its own words, for whoever showed it.
    let details = [Malformed, NotTrusted, Expired, NotYet, NotForUs, KeysUnavailable].map(token::Error::detail);
    assert!(details.iter().all(|detail| detail.starts_with("The ") && detail.ends_with('.')), "{details:?}");
    assert_eq!(std::collections::HashSet::from(details).len(), details.len());
    // An extension that must be understood.
    let critical = Header { crit: Some(vec!["b64".into()]), ..Header::new(Algorithm::EdDSA) };
    assert_eq!(verify(&place, &place.provider.sign_under(&critical, &claims())), Err(NotTrusted));
    // The algorithm is the key's, whatever the token says.
    let hs = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(), &EncodingKey::from_secret(b"secret"));
    assert_eq!(verify(&place, &hs.expect("signed")), Err(NotTrusted));
    for algorithm in ["none", "EdDSA2"] {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let header = URL_SAFE_NO_PAD.encode(json!({ "alg": algorithm }).to_string());
        let body = signed.split_once('.').expect("two parts").1;
        assert_eq!(verify(&place, &format!("{header}.{body}.")), Err(NotTrusted), "{algorithm}");
    }
}

#[test]
fn a_token_that_names_no_key_is_tried_with_those_that_there_are() {
    let place = Place::new();
    let nameless: Vec<Signer> = (0..20).map(|_| Signer::new(None)).collect();
    place.trust(&nameless.iter().collect::<Vec<_>>());
    let outcome = |signer: &Signer| verify(&place, &signer.sign(&claims())).is_ok();
    assert!(outcome(&nameless[0]) && outcome(&nameless[15]));
    assert!(!outcome(&nameless[16]), "a set may be long, and whoever asks pays for nothing");
    assert!(!outcome(&Signer::new(None)));
    // What was signed well and says the wrong thing is told so.
    let other = nameless[3].sign(&claims_with("aud", json!("other")));
    assert_eq!(verify(&place, &other), Err(token::Error::NotForUs));
    // A key that has a name is not the one that another name asks for.
    place.trust(&[&place.provider]);
    assert!(verify(&place, &place.provider.sign_as(None, &claims())).is_ok());
}

#[test]
fn a_token_is_json_also_where_nobody_looks() {
    let place = Place::new();
    let (before, after) = (&b"{\"more\":"[..], claims().to_string().replacen('{', ",", 1));
    let of = |in_header: &[u8], in_claims: &[u8]| {
        let header = [before, in_header, br#","alg":"EdDSA","kid":"of-provider"}"#].concat();
        let claims = [before, in_claims, after.as_bytes()].concat();
        verify(&place, &place.provider.sign_bytes(&header, &claims))
    };
    assert!(of(b"0", b"0").is_ok());
    for more in [&b"\"\xBC\""[..], b"1e999", b"\"\\ud800\""] {
        assert_eq!(of(b"0", more), Err(token::Error::Malformed), "{more:?} among claims");
        assert!(of(more, b"0").is_err(), "{more:?} in the header");
    }
}

/// Whoever names the local key is held to that one, also where the provider has another of its name.
#[test]
fn a_token_that_names_the_local_key_is_signed_by_that_or_by_none() {
    let place = Place::new();
    let kid = place.local.trusted().kid.expect("it has one");
    let namesake = Signer::new(Some(kid.leak()));
    place.trust(&[&namesake]);
    assert_eq!(verify(&place, &namesake.sign(&claims())), Err(token::Error::NotTrusted));
}

#[test]
fn a_token_is_no_longer_than_it_may_be() {
    let place = Place::new();
    // Base64 has no length of one more than three quarters: what claims cannot fill, the header does.
    let of_two = |header: usize, claims: usize| {
        let header = format!("{{\"alg\":\"EdDSA\",\"kid\":\"of-provider\"{}}}", " ".repeat(header));
        let claims = claims_with("fill", json!("x".repeat(claims))).to_string();
        place.provider.sign_bytes(header.as_bytes(), claims.as_bytes())
    };
    let of_len = |wanted: usize| {
        let both = (0..3).flat_map(|header| (5700..6100).map(move |claims| (header, claims)));
        both.map(|(header, claims)| of_two(header, claims)).find(|token| token.len() == wanted).expect("that length")
    };
    assert!(verify(&place, &of_len(8192)).is_ok());
    assert_eq!(verify(&place, &of_len(8193)), Err(token::Error::Malformed));
}

#[test]
fn whoever_says_nothing_may_nothing_where_somebody_must_be_named() {
    let place = Place::new();
    let auth = place.auth(AuthMode::Token);
    assert_eq!(code(&auth, "/recordings", &[]), Err(ErrorCode::Unauthenticated));
    let pages = ["/", "/livez", "/readyz", "/problems/not-found", "/openapi.json"];
    for page in pages {
        assert_eq!(code(&auth, page, &[("authorization", "Basic YTpi")]), Ok(Grant::nobody()), "{page}");
    }
    let token = place.provider.sign(&claims());
    let shown = |value: &str| code(&auth, "/recordings", &[("authorization", value)]);
    for good in [format!("Bearer {token}"), format!("bearer {token}"), format!("BEARER   {token} ")] {
        assert_eq!(shown(&good).expect("counts").subject.as_str(), "ann", "{good}");
    }
    for bad in [token.clone(), format!("Basic {token}"), format!("Bearer{token}"), "Bearer ".into(), "Bearer x".into()]
    {
        assert_eq!(shown(&bad), Err(ErrorCode::Unauthenticated), "{bad}");
    }
    let bearer = format!("Bearer {token}");
    let twice = [("authorization", &*bearer), ("authorization", &*bearer)];
    assert_eq!(code(&auth, "/recordings", &twice), Err(ErrorCode::Unauthenticated));
}

#[test]
fn a_peer_names_somebody_only_if_it_is_believed() {
    let place = Place::new();
    let auth = place.auth(AuthMode::Proxy);
    let by = |peer: &str, fields: &[(&str, &str)]| identified(&auth, "/recordings", fields, peer);
    let grant = by(PEER, &[("x-subject", "ann")]).expect("counts");
    let expected = Grant {
        subject: "ann".parse().expect("a subject"),
        credential: Credential::Proxy,
        scopes: [Scope::List].into_iter().collect(),
        recordings: RecordingSet::All,
        expires_at: None,
    };
    assert_eq!(grant, expected);
    let nobody = Err(ErrorCode::Unauthenticated);
    assert_eq!(by("192.0.2.1:1", &[("x-subject", "ann")]), nobody);
    assert_eq!(by(PEER, &[]), nobody);
    assert_eq!(by(PEER, &[("x-subject", "")]), nobody);
    assert_eq!(by(PEER, &[("x-subject", "ann"), ("x-subject", "bob")]), nobody);
    // A token is no way in where a peer names everybody.
    let bearer = format!("Bearer {}", place.provider.sign(&claims()));
    assert_eq!(by(PEER, &[("authorization", &bearer)]), nobody);
    assert_eq!(auth.subject_header(), "x-subject");
}

#[test]
fn the_word_of_a_trusted_proxy_names_the_client() {
    let place = Place::new();
    let settings = place.settings(AuthMode::Token);
    let trusted_proxies = settings.proxy_peers.clone();
    let auth = Auth::new(AuthSettings { trusted_proxies, ..settings }).expect("good files");
    let headers = HeaderMap::from_iter([(
        hyper::header::HeaderName::from_static("x-forwarded-for"),
        HeaderValue::from_static("203.0.113.66, 198.51.100.1"),
    )]);
    let client = |headers: &HeaderMap, peer: &str| {
        let peer = Peer::Tcp(peer.parse().expect("an address"));
        auth.client(headers, peer, &peer.to_string()).into_owned()
    };
    assert_eq!(client(&headers, PEER), "198.51.100.1");
    assert_eq!(client(&HeaderMap::new(), PEER), "10.1.2.3");
    assert_eq!(client(&headers, "192.0.2.9:4711"), "192.0.2.9", "a stranger");
}

/// As `tests/hostile` asks, and whoever fuzzes tokens.
#[tokio::test]
async fn a_bearer_token_that_counts_is_told_without_a_connection() {
    let place = Place::new();
    let (auth, now) = (place.auth(AuthMode::Token), at(NOW_S * 1000));
    let shown = |value: String| HeaderMap::from_iter([(hyper::header::AUTHORIZATION, value.parse().expect("a value"))]);
    let token = place.provider.sign(&claims());
    let grant = auth.bearer_of(&shown(format!("Bearer {token}")), now).await;
    assert_eq!(grant.ok().flatten().map(|grant| grant.subject.to_string()).as_deref(), Some("ann"));
    assert_eq!(auth.bearer_of(&HeaderMap::new(), now).await, Ok(None));
    assert!(auth.bearer_of(&shown(format!("Bearer {token}x")), now).await.is_err());
}

#[test]
fn on_this_machine_alone_nobody_is_asked() {
    let place = Place::new();
    let auth = place.auth(AuthMode::None);
    assert_eq!(code(&auth, "/recordings", &[("host", "localhost")]), Ok(Grant::everything()));
    for page in ["/recordings", "/livez"] {
        assert_eq!(code(&auth, page, &[("host", "example.org")]), Err(ErrorCode::Forbidden), "{page}");
        assert_eq!(code(&auth, page, &[]), Err(ErrorCode::BadRequest), "{page}");
    }
    let hosts = [("host", "localhost"), ("host", "localhost")];
    assert_eq!(code(&auth, "/recordings", &hosts), Err(ErrorCode::BadRequest));
    assert_eq!(code(&auth, "http://127.0.0.1:8080/recordings", &[]), Ok(Grant::everything()));
    assert_eq!(code(&auth, "http://example.org/recordings", &[("host", "localhost")]), Err(ErrorCode::Forbidden));
    // A token that is shown all the same counts, and one that does not count is told.
    let bearer = format!("Bearer {}", place.provider.sign(&claims()));
    let shown = |value: &str| code(&auth, "/recordings", &[("host", "localhost"), ("authorization", value)]);
    assert_eq!(shown(&bearer).expect("counts").credential, Credential::Token);
    assert_eq!(shown("Bearer x"), Err(ErrorCode::Unauthenticated));
}

#[test]
fn a_link_lets_play_its_recording_and_nothing_else() {
    let place = Place::new();
    let auth = place.auth(AuthMode::Token);
    let (id, now) = ("call-1".parse().expect("an ID"), at(NOW_S * 1000));
    let subject = Some("bob".parse().expect("a subject"));
    let minted = auth.links().mint(&Grant::everything(), &id, Some(Duration::from_secs(60)), subject, None, now);
    let minted = minted.expect("minted");
    let link = &minted.link;
    let expected = Grant {
        subject: "bob".parse().expect("a subject"),
        credential: Credential::Link { minted_by: Subject::local() },
        scopes: [Scope::Play].into_iter().collect(),
        recordings: RecordingSet::Listed(vec!["call-1".into()]),
        expires_at: Some(at((NOW_S + 60) * 1000)),
    };
    assert_eq!(code(&auth, &format!("/recordings/call-1/media?link={link}"), &[]), Ok(expected));
    let refused = Err(ErrorCode::Forbidden);
    assert_eq!(code(&auth, &format!("/recordings/call-2/media?link={link}"), &[]), refused);
    assert_eq!(code(&auth, &format!("/recordings/call-1/media?link={link}&link={link}"), &[]), refused);
    assert_eq!(code(&auth, "/recordings/call-1/media?link=", &[]), refused);
    // Where no link counts, one is not looked at.
    assert_eq!(code(&auth, &format!("/recordings?link={link}"), &[]), Err(ErrorCode::Unauthenticated));
    let late = at((NOW_S + 60) * 1000);
    assert_eq!(auth.by_link(link, &id, late).map_err(|problem| problem.code()), Err(ErrorCode::LinkExpired));
}

#[test]
fn a_refusal_tells_nobody_what_there_is() {
    let id: RecordingId = "call-1".parse().expect("an ID");
    assert_eq!(refused(Refusal::Scope, Some(&id)).code(), ErrorCode::Forbidden);
    for id in [Some(&id), None] {
        assert_eq!(refused(Refusal::Unknown, id).code(), ErrorCode::RecordingNotFound);
    }
    // Nothing against whoever asks: they may try again.
    assert_eq!(refused_token_of(token::Error::KeysUnavailable).code(), ErrorCode::Overloaded);
    assert_eq!(refused_token_of(token::Error::Expired).code(), ErrorCode::Unauthenticated);
}

/// Who a request is held to come from; or the code of why it is refused.
fn identified(auth: &Auth, target: &str, fields: &[(&str, &str)], peer: &str) -> Result<Grant, ErrorCode> {
    let uri: Uri = target.parse().expect("a target");
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name: hyper::header::HeaderName = name.parse().expect("a name");
        headers.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let peer = Peer::Tcp(peer.parse().expect("an address"));
    let route = Route::decode(uri.path());
    let outcome = runtime.block_on(auth.identify(&route, &uri, &headers, peer, at(NOW_S * 1000)));
    outcome.map_err(|problem| problem.code())
}

fn code(auth: &Auth, target: &str, fields: &[(&str, &str)]) -> Result<Grant, ErrorCode> {
    identified(auth, target, fields, PEER)
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_a_way_out() {
    let place = Place::new();
    fs::write(place.path("token.key"), "no key").expect("written");
    let refusal = Auth::new(place.settings(AuthMode::Token)).err().expect("it is no key");
    assert!(matches!(&refusal, PrivateFileError::Content { path, .. } if *path == place.path("token.key")));
    let missing = AuthSettings {
        provider: Some(ProviderSettings {
            keys: KeySetSource::File(Path::new("/nowhere/keys.json").into()),
            issuer: ISSUER.into(),
            audience: vec![],
        }),
        token_key_file: place.path("none.key"),
        ..place.settings(AuthMode::Token)
    };
    let missing = Auth::new(missing).err().expect("there is none");
    assert!(matches!(&missing, PrivateFileError::Missing { .. }), "{missing}");
    for error in [refusal, missing] {
        assert!(!error.advice().is_empty());
    }
}
