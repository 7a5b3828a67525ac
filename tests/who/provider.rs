//! Tokens of an identity provider: what counts, what never does, and how its keys are had.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::{PATH, now, refused, serve, system, token, unauthenticated, with_token};
use crate::support::{Server, System, get, text, tool};

/// An identity provider: its keys, and what signs with them.
struct Provider {
    folder: tempfile::TempDir,
}

impl Provider {
    fn new() -> Self {
        let provider = Self { folder: tempfile::tempdir().expect("a folder") };
        for (name, algorithm) in [
            ("ed", &["-algorithm", "ed25519"][..]),
            ("ec", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
            ("rsa", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
            ("other", &["-algorithm", "ed25519"]),
        ] {
            let made = tool("openssl").arg("genpkey").args(algorithm).arg("-out").arg(provider.pem(name)).output();
            assert!(made.expect("openssl").status.success(), "{name}");
        }
        provider
    }

    fn pem(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.pem"))
    }

    fn signing(&self, name: &str) -> EncodingKey {
        let pem = fs::read(self.pem(name)).expect("read");
        match name {
            "ec" => EncodingKey::from_ec_pem(&pem),
            "rsa" => EncodingKey::from_rsa_pem(&pem),
            _ => EncodingKey::from_ed_pem(&pem),
        }
        .expect("a key")
    }

    /// The set of public keys of these names, and keys that must never count.
    fn key_set(&self, names: &[&str]) -> String {
        let keys = names.iter().map(|name| {
            let key = self.signing(name);
            let jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&key, algorithm(name)).expect("a JWK");
            let mut jwk = serde_json::to_value(jwk).expect("JSON");
            jwk["kid"] = json!(name);
            jwk["use"] = json!("sig");
            jwk
        });
        let symmetric =
            json!({ "kty": "oct", "kid": "oct", "alg": "HS256", "k": BASE64.encode(b"a secret that is known") });
        json!({ "keys": keys.chain([symmetric]).collect::<Vec<_>>() }).to_string()
    }

    fn write_key_set(&self, names: &[&str]) -> PathBuf {
        let path = self.folder.path().join("jwks.json");
        fs::write(&path, self.key_set(names)).expect("written");
        path
    }

    fn token(&self, name: &str, claims: &Value) -> String {
        let header = Header { kid: Some(name.into()), ..Header::new(algorithm(name)) };
        encode(&header, claims, &self.signing(name)).expect("signed")
    }
}

fn algorithm(name: &str) -> Algorithm {
    match name {
        "ec" => Algorithm::ES256,
        "rsa" => Algorithm::RS256,
        _ => Algorithm::EdDSA,
    }
}

/// Claims that are good, with some replaced; null takes one away.
fn claims(changes: Value) -> Value {
    let mut claims = json!({
        "iss": "https://idp.example", "aud": ["other", "sealtape-test"], "sub": "ann@example.org",
        "exp": now() + 600, "nbf": now() - 10, "scope": "openid recordings:play recordings:list",
    });
    for (name, value) in changes.as_object().expect("an object") {
        if value.is_null() {
            claims.as_object_mut().expect("an object").remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn with_null(mut claims: Value, name: &str) -> Value {
    claims[name] = Value::Null;
    claims
}

fn with_provider(system: &System, jwks: &str) -> Server {
    let settings = [
        ("SEALTAPE_AUTH__MODE", "token"),
        ("SEALTAPE_AUTH__JWKS", jwks),
        ("SEALTAPE_AUTH__ISSUER", "https://idp.example"),
        ("SEALTAPE_AUTH__AUDIENCE", "sealtape-test"),
    ];
    serve(system, &settings)
}

#[test]
fn tokens_of_the_identity_provider_are_checked_in_every_way() {
    let (system, provider) = (system(), Provider::new());
    let jwks = provider.write_key_set(&["ed", "ec", "rsa"]);
    let server = with_provider(&system, jwks.to_str().expect("UTF-8"));
    for name in ["ed", "ec", "rsa"] {
        let reply = with_token(&server, PATH, &provider.token(name, &claims(json!({}))));
        assert_eq!(reply.status, 200, "{name}: {}", text(&reply.body));
    }
    let good = claims(json!({}));
    let limited = provider.token("ed", &claims(json!({ "recordings": ["team-b.*", "team-a.2"] })));
    assert_eq!(with_token(&server, PATH, &limited).status, 404);
    assert_eq!(with_token(&server, "/recordings/team-a.2/media", &limited).status, 200);

    let changed = |changes: Value| provider.token("ed", &claims(changes));
    let signed = provider.token("ed", &good);
    let parts: Vec<&str> = signed.split('.').collect();
    let unsigned = |header: Value| format!("{}.{}.", BASE64.encode(header.to_string()), parts[1]);
    let public_pem =
        tool("openssl").args(["pkey", "-pubout", "-in"]).arg(provider.pem("rsa")).output().expect("openssl");
    let header = |algorithm, kid: &str| Header { kid: Some(kid.into()), ..Header::new(algorithm) };
    let confused = |secret: &[u8], kid: &str| {
        encode(&header(Algorithm::HS256, kid), &good, &EncodingKey::from_secret(secret)).expect("signed")
    };
    let other_kid = encode(&header(Algorithm::EdDSA, "rsa"), &good, &provider.signing("ed")).expect("signed");
    let crit = Header { crit: Some(vec!["b64".into()]), ..header(Algorithm::EdDSA, "ed") };
    let rs512 = encode(&header(Algorithm::RS512, "rsa"), &good, &provider.signing("rsa")).expect("signed");
    for (what, token) in [
        ("nothing", String::new()),
        ("no token", "abc".into()),
        ("too long", "a".repeat(9000)),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("another signature", format!("{}.{}.{}", parts[0], parts[1], BASE64.encode([7; 64]))),
        (
            "changed claims",
            format!("{}.{}.{}", parts[0], BASE64.encode(claims(json!({"sub": "root"})).to_string()), parts[2]),
        ),
        ("alg none", unsigned(json!({ "alg": "none" }))),
        ("alg None with a name", unsigned(json!({ "alg": "None", "kid": "ed" }))),
        ("the public key as a secret", confused(&public_pem.stdout, "rsa")),
        ("the symmetric key of the set", confused(b"a secret that is known", "oct")),
        ("another key's name", other_kid),
        ("a key that is not in the set", provider.token("other", &good)),
        ("another algorithm of the same key", rs512),
        ("an extension that must be understood", encode(&crit, &good, &provider.signing("ed")).expect("signed")),
        ("another issuer", changed(json!({ "iss": "https://evil.example" }))),
        ("no issuer", changed(json!({ "iss": null }))),
        ("the local issuer", changed(json!({ "iss": "sealtape", "aud": "sealtape" }))),
        ("another audience", changed(json!({ "aud": "other" }))),
        ("no audience", changed(json!({ "aud": null }))),
        ("expired", changed(json!({ "exp": now() - 1 }))),
        ("no end", changed(json!({ "exp": null }))),
        ("an end that is no number", changed(json!({ "exp": "tomorrow" }))),
        ("not yet", changed(json!({ "nbf": now() + 600 }))),
        ("no subject", changed(json!({ "sub": null }))),
        ("an empty subject", changed(json!({ "sub": "" }))),
        ("a subject of two lines", changed(json!({ "sub": "ann\nroot" }))),
        ("a limit that cannot be read", changed(json!({ "recordings": "team-a.1" }))),
        ("a limit of numbers", changed(json!({ "recordings": [1] }))),
        ("a limit that is null", provider.token("ed", &with_null(claims(json!({})), "recordings"))),
    ] {
        assert_eq!(refused(&with_token(&server, PATH, &token)), unauthenticated(), "{what}");
    }
    for (what, changes) in
        [("no scope", json!({ "scope": null })), ("others' scopes", json!({ "scope": "openid play" }))]
    {
        assert_eq!(refused(&with_token(&server, PATH, &changed(changes))), (403, "forbidden".into()), "{what}");
    }
    let unnamed = encode(&Header::new(Algorithm::EdDSA), &good, &provider.signing("ed")).expect("signed");
    assert_eq!(with_token(&server, PATH, &unnamed).status, 200, "a token need not name its key");
    let _local_key_is_there = token(&system, "recordings:list", &[]);
    assert_eq!(with_token(&server, PATH, &unnamed).status, 200, "beside a local key, too");
    let none_at_all = changed(json!({ "recordings": [] }));
    assert_eq!(with_token(&server, PATH, &none_at_all).status, 404, "an empty list names nothing");
    let twice = format!("Bearer {signed}");
    let reply = get(&server.address, PATH, &[("Authorization", &twice), ("Authorization", &twice)]);
    assert_eq!(refused(&reply), unauthenticated());
    for scheme in ["Basic YTpi", "Bearer", "Digest x", &signed] {
        assert_eq!(refused(&get(&server.address, PATH, &[("Authorization", scheme)])), unauthenticated(), "{scheme}");
    }
}

#[test]
fn keys_of_the_provider_are_rotated_in_a_file() {
    let (system, provider) = (system(), Provider::new());
    let jwks = provider.write_key_set(&["ed"]);
    let server = with_provider(&system, jwks.to_str().expect("UTF-8"));
    let status = |name: &str| with_token(&server, PATH, &provider.token(name, &claims(json!({})))).status;
    assert_eq!((status("ed"), status("ec")), (200, 401));
    provider.write_key_set(&["ec"]);
    assert_eq!(status("ec"), 200, "an unknown key is looked for at once");
    assert!(server.wait_until(Duration::from_secs(10), |_| status("ed") == 401), "the old one is gone");
    fs::write(&jwks, "{").expect("written");
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(status("ec"), 200, "a file that cannot be read changes nothing");
}

#[test]
fn keys_of_the_provider_are_fetched_remembered_and_rotated() {
    let (system, provider) = (system(), Provider::new());
    let site = KeySetSite::start(&provider.key_set(&["ed"]));
    let server = with_provider(&system, &site.url);
    let status = |name: &str| with_token(&server, PATH, &provider.token(name, &claims(json!({})))).status;
    for _ in 0..20 {
        assert_eq!(status("ed"), 200);
    }
    assert_eq!(site.requests(), 1, "fetched once");
    for _ in 0..20 {
        assert_eq!(status("ec"), 401);
    }
    assert!(site.requests() <= 4, "unknown keys cause few fetches: {}", site.requests());
    site.serve(&provider.key_set(&["ec"]));
    assert!(server.wait_until(Duration::from_secs(20), |_| status("ec") == 200), "a new key is found");
    drop(site);
    assert_eq!(status("ec"), 200, "what is known goes on while the provider is away");
}

/// A site that serves a key set: real HTTP over a real socket, by Python's own server.
struct KeySetSite {
    folder: tempfile::TempDir,
    child: std::process::Child,
    url: String,
    log: PathBuf,
}

/// Serves the folder that it runs in; over TLS, with `cert.pem` and `key.pem`, when an argument says so.
const SITE: &str = "
import http.server, ssl, sys
site = http.server.ThreadingHTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)
if len(sys.argv) > 1:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain('cert.pem', 'key.pem')
    site.socket = context.wrap_socket(site.socket, server_side=True)
print(site.server_port, flush=True)
site.serve_forever()
";

impl KeySetSite {
    fn start(key_set: &str) -> Self {
        Self::start_with(key_set, false)
    }

    fn start_with(key_set: &str, is_secure: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("jwks.json"), key_set).expect("written");
        if is_secure {
            let made = tool("openssl")
                .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
                .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"])
                .args(["-keyout", "key.pem", "-out", "cert.pem"])
                .current_dir(folder.path())
                .output()
                .expect("openssl");
            assert!(made.status.success(), "{}", text(&made.stderr));
        }
        let log = folder.path().join("log");
        let mut child = std::process::Command::new("/usr/bin/python3")
            .args(["-u", "-c", SITE])
            .args(is_secure.then_some("tls"))
            .current_dir(folder.path())
            .stderr(fs::File::create(&log).expect("made"))
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("python3 runs");
        // It takes a port and says which: one that was looked for beforehand may be somebody else's by now.
        let mut port = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut port).expect("text");
        let port: u16 = port.trim().parse().expect("a port");
        let place = if is_secure { "https://localhost" } else { "http://127.0.0.1" };
        Self { folder, child, url: format!("{place}:{port}/jwks.json"), log }
    }

    fn serve(&self, key_set: &str) {
        fs::write(self.folder.path().join("jwks.json"), key_set).expect("written");
    }

    fn requests(&self) -> usize {
        fs::read_to_string(&self.log).expect("read").matches("GET /jwks.json").count()
    }
}

impl Drop for KeySetSite {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
    }
}

#[test]
fn keys_come_over_tls_only_from_a_provider_that_the_machine_trusts() {
    let (system, provider) = (system(), Provider::new());
    let site = KeySetSite::start_with(&provider.key_set(&["ed"]), true);
    let token = provider.token("ed", &claims(json!({})));
    let start = |certificates: &Path| {
        let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("SEALTAPE_AUTH__MODE", "token").env("SEALTAPE_AUTH__JWKS", &site.url);
        command.env("SEALTAPE_AUTH__ISSUER", "https://idp.example").env("SEALTAPE_AUTH__AUDIENCE", "sealtape-test");
        command.env("SSL_CERT_FILE", certificates);
        Server::start(command)
    };
    let trusted = start(&site.folder.path().join("cert.pem"));
    // On a busy machine the first fetch may take too long; the next one follows.
    let plays = |server: &Server| with_token(server, PATH, &token).status == 200;
    assert!(trusted.wait_until(Duration::from_secs(60), plays), "{}", trusted.log());
    let others = KeySetSite::start_with("{}", true);
    let stranger = start(&others.folder.path().join("cert.pem"));
    assert_eq!(with_token(&stranger, PATH, &token).status, 503);
    let is_said = |server: &Server| server.log().contains("cannot be fetched");
    assert!(stranger.wait_until(Duration::from_secs(20), is_said), "{}", stranger.log());
}

#[test]
fn a_provider_that_cannot_be_asked_says_so() {
    let system = system();
    let provider = Provider::new();
    let server = with_provider(&system, "http://127.0.0.1:9/jwks.json");
    let reply = with_token(&server, PATH, &provider.token("ed", &claims(json!({}))));
    assert_eq!(refused(&reply), (503, "overloaded".into()), "nothing is wrong with the token");
    assert!(reply.header("retry-after").is_some());
    assert!(reply.json()["detail"].as_str().expect("detail").contains("cannot be fetched"), "{}", reply.json());
    // Local tokens do not need it.
    assert_eq!(with_token(&server, PATH, &token(&system, "recordings:play", &[])).status, 200);
}
