//! Bearer tokens: none counts that is not signed by a key trusted here, by that key's algorithm; of those that are, none
//! lets its holder do more, or longer, than it says.

use std::{fs, os::unix::fs::PermissionsExt, sync::LazyLock};

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use hyper::{HeaderMap, header, header::HeaderValue};
use sealtape::{
    access::{Credential, RecordingSet, Scope, Scopes},
    base::Timestamp,
    crypto::{generate_signing_key, signing_key_public},
    http::{Auth, AuthMode, AuthSettings, KeySetSource, ProviderSettings},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

const NOW_S: u64 = 1_764_000_000;

/// Keys that were made for this process, and whoever trusts them.
struct Trusting {
    auth: Auth,
    runtime: Runtime,
    local: Ed25519KeyPair,
    kid: String,
    _folder: TempDir,
}

static TRUSTING: LazyLock<Trusting> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let (token_key_file, key_set) = (folder.path().join("token.key"), folder.path().join("keys.json"));
    let der = generate_signing_key().expect("random");
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(&*der));
    fs::write(&token_key_file, pem).expect("written");
    fs::set_permissions(&token_key_file, fs::Permissions::from_mode(0o600)).expect("chmod");
    fs::write(&key_set, include_str!("keys.json")).expect("written");
    let (_public, kid) = signing_key_public(&der).expect("a key");
    let auth = Auth::new(AuthSettings {
        mode: AuthMode::Token,
        provider: Some(ProviderSettings {
            keys: KeySetSource::File(key_set),
            issuer: "https://id.example".into(),
            audience: vec!["recordings".into()],
        }),
        token_key_file,
        link_secrets_file: folder.path().join("links"),
        may_make_link_secrets: false,
        proxy_peers: vec![],
        subject_header: "x-subject".into(),
        proxy_scopes: Scopes::of_claim(""),
        trusted_proxies: vec![],
    })
    .expect("good files");
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    Trusting { auth, runtime, local: Ed25519KeyPair::from_pkcs8(&der).expect("a key"), kid, _folder: folder }
});

/// Bytes as an `Authorization` header; then, parted at the first newline, as header and claims of a token that somebody
/// signs who has the local key.
pub fn token(data: &[u8]) {
    // Nobody who has no key makes one that counts.
    assert!(!matches!(shown(data), Some(Ok(_))), "a token that nobody signed");
    let mut bearer = b"Bearer ".to_vec();
    bearer.extend_from_slice(data);
    assert!(!matches!(shown(&bearer), Some(Ok(_))), "a token that nobody signed");

    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (header, claims) = (&data[..at], data.get(at + 1..).unwrap_or_default());
    signed(header, claims);
    // The header that our own tokens have, so that the claims matter.
    let ours = format!("{{\"alg\":\"EdDSA\",\"kid\":\"{}\"}}", TRUSTING.kid);
    signed(ours.as_bytes(), data);
}

/// What a request with that header is told; none when it cannot be one.
fn shown(value: &[u8]) -> Option<Result<sealtape::access::Grant, &'static str>> {
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, HeaderValue::from_bytes(value).ok()?);
    let now = Timestamp::from_millis(NOW_S * 1000).expect("in range");
    TRUSTING.runtime.block_on(TRUSTING.auth.bearer_of(&headers, now)).transpose()
}

fn signed(header: &[u8], claims: &[u8]) {
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(TRUSTING.local.sign(text.as_bytes()));
    let whole = format!("Bearer {text}.{signature}");
    let Some(Ok(grant)) = shown(whole.as_bytes()) else { return };
    // What counts says so itself.
    let header: Value = serde_json::from_slice(header).expect("a header that counts is JSON");
    assert_eq!(header["alg"], "EdDSA");
    let claims: Value = serde_json::from_slice(claims).expect("claims that count are JSON");
    let names = |claim: &Value, name: &str| match claim {
        Value::Array(list) => list.iter().any(|one| one == name),
        one => one == name,
    };
    assert!(names(&claims["iss"], "sealtape") && names(&claims["aud"], "sealtape"), "{claims}");
    assert!(claims["exp"].as_f64().is_some_and(|exp| exp > NOW_S as f64), "{claims}");
    assert_eq!(grant.credential, Credential::Token);
    assert_eq!(claims["sub"], grant.subject.as_str());
    let said = claims["scope"].as_str().unwrap_or_default();
    for scope in [Scope::List, Scope::Play, Scope::Write, Scope::Delete] {
        assert_eq!(grant.scopes.has(scope), said.split(' ').any(|one| one == scope.as_str()), "{claims}");
    }
    let is_limited = claims.get("recordings").is_some();
    assert_eq!(matches!(grant.recordings, RecordingSet::Listed(_)), is_limited, "{claims}");
    // One changed bit of the signature, and it is no one's.
    let mut forged = whole.into_bytes();
    let at = forged.len() - 40;
    forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
    assert!(!matches!(shown(&forged), Some(Ok(_))));
}
