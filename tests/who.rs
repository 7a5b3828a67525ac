//! Who may listen, and every way to be refused: tokens, links, a trusted proxy's word, and pages of other origins.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::{Reply, Server, System, get, media, request, text, tool};

const PATH: &str = "/recordings/team-a.1/media";

/// Two teams' recordings.
fn system() -> System {
    let system = System::with_key();
    for id in ["team-a.1", "team-a.2", "team-b.1"] {
        system.import(id, &media(5000));
    }
    system
}

fn serve(system: &System, settings: &[(&str, &str)]) -> Server {
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.envs(settings.iter().copied());
    Server::start(command)
}

fn token_mode(system: &System) -> Server {
    serve(system, &[("SEALTAPE_AUTH__MODE", "token")])
}

fn token(system: &System, scope: &str, more: &[&str]) -> String {
    let mut arguments = vec!["token", "create", "--scope", scope, "--subject", "ann", "--ttl", "1h"];
    arguments.extend(more);
    system.json(&arguments)["token"].as_str().expect("a token").to_owned()
}

fn with_token(server: &Server, path: &str, token: &str) -> Reply {
    get(&server.address, path, &[("Authorization", &format!("Bearer {token}"))])
}

fn refused(reply: &Reply) -> (u16, String) {
    let code = reply.problem();
    assert_eq!(reply.header("playback-error"), Some(code.as_str()));
    (reply.status, code)
}

fn unauthenticated() -> (u16, String) {
    (401, "unauthenticated".into())
}

#[test]
fn a_local_token_does_what_it_says_and_no_more() {
    let system = system();
    let server = token_mode(&system);
    let asked = get(&server.address, PATH, &[]);
    assert_eq!(refused(&asked), unauthenticated());
    assert_eq!(asked.header("www-authenticate"), Some("Bearer realm=\"sealtape\""));

    let play = token(&system, "recordings:play", &[]);
    assert!(with_token(&server, PATH, &play).body == media(5000));
    assert_eq!(with_token(&server, "/recordings/team-a.1", &play).status, 200);
    let listing = with_token(&server, "/recordings", &play);
    assert_eq!(refused(&listing), (403, "forbidden".into()));
    assert!(listing.header("www-authenticate").is_some_and(|value| value.contains("insufficient_scope")));

    let list = token(&system, "recordings:list", &[]);
    assert_eq!(ids(&with_token(&server, "/recordings", &list)), ["team-b.1", "team-a.2", "team-a.1"]);
    assert_eq!(with_token(&server, "/recordings/team-a.1", &list).status, 200);
    assert_eq!(refused(&with_token(&server, PATH, &list)), (403, "forbidden".into()));
    // The scheme is named without regard to case (RFC 9110, section 11.1).
    assert_eq!(get(&server.address, PATH, &[("Authorization", &format!("bEARER {play}"))]).status, 200);
    for public in ["/", "/livez", "/readyz", "/problems/forbidden", "/player/app.js"] {
        assert_eq!(get(&server.address, public, &[]).status, 200, "{public}");
    }
}

#[test]
fn whoever_may_not_know_of_a_recording_is_answered_as_if_there_were_none() {
    let system = system();
    let server = token_mode(&system);
    let ours = token(&system, "recordings:list,recordings:play", &["--recordings", "team-a."]);
    assert_eq!(ids(&with_token(&server, "/recordings", &ours)), ["team-a.2", "team-a.1"]);
    assert_eq!(with_token(&server, PATH, &ours).status, 200);
    for tail in ["", "/media"] {
        let theirs = with_token(&server, &format!("/recordings/team-b.1{tail}"), &ours);
        let none = with_token(&server, &format!("/recordings/team-b.9{tail}"), &ours);
        assert_eq!(refused(&theirs), (404, "recording-not-found".into()));
        let ours_missing = with_token(&server, &format!("/recordings/team-a.9{tail}"), &ours);
        assert_eq!(without_ids(&theirs), without_ids(&ours_missing), "as if there were none");
        assert_eq!(without_ids(&theirs), without_ids(&none), "but for the IDs of recording and request");
    }
    let post = |id: &str| {
        let bearer = format!("Bearer {ours}");
        request(&server.address, "POST", &format!("/recordings/{id}/link"), &[("Authorization", &bearer)], b"")
    };
    assert_eq!((post("team-b.1").status, post("team-b.9").status, post("team-a.1").status), (404, 404, 200));
    // A page of a listing that holds nothing one may know of still leads on to the next.
    let single = token(&system, "recordings:list", &["--recording", "team-a.1"]);
    let page = with_token(&server, "/recordings?limit=1", &single);
    assert_eq!((ids(&page), &page.json()["next"]), (vec!["team-a.1".to_owned()], &Value::Null));
    // A cursor names nothing that one may not know of, wherever one says to begin.
    for after in ["", "&after=9999999999999~team-b.9", "&after=9999999999999~a"] {
        let page = with_token(&server, &format!("/recordings?limit=1{after}"), &ours);
        assert_eq!(ids(&page), ["team-a.2"]);
        assert!(page.json()["next"].as_str().is_some_and(|next| next.ends_with("~team-a.2")), "{}", page.json());
    }
}

/// What an answer says, without what must differ: the ID asked for and the ID of the request.
fn without_ids(reply: &Reply) -> (Vec<(String, String)>, String) {
    let differs = |name: &str| ["x-request-id", "date"].contains(&name);
    let headers = reply.headers().iter().filter(|(name, _)| !differs(name)).cloned().collect();
    let mut document = reply.json();
    document["instance"] = Value::Null;
    (headers, document.to_string().replace("team-b.1", "ID").replace("team-b.9", "ID").replace("team-a.9", "ID"))
}

fn ids(reply: &Reply) -> Vec<String> {
    let document = reply.json();
    let recordings = document["recordings"].as_array().unwrap_or_else(|| panic!("{document}"));
    recordings.iter().map(|one| one["id"].as_str().expect("id").to_owned()).collect()
}

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

fn now() -> i64 {
    i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs()).expect("in range")
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

/// Serves the folder that it runs in; over TLS, with `cert.pem` and `key.pem`, when a second argument says so.
const SITE: &str = "
import http.server, ssl, sys
site = http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), http.server.SimpleHTTPRequestHandler)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain('cert.pem', 'key.pem')
    site.socket = context.wrap_socket(site.socket, server_side=True)
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
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|one| one.local_addr()).expect("a port").port();
        let log = folder.path().join("log");
        let child = std::process::Command::new("/usr/bin/python3")
            .args(["-u", "-c", SITE, &port.to_string()])
            .args(is_secure.then_some("tls"))
            .current_dir(folder.path())
            .stderr(fs::File::create(&log).expect("made"))
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("python3 runs");
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
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

#[test]
fn a_trusted_proxy_names_the_subject_and_nobody_else_does() {
    let system = system();
    let settings = |peers| [("SEALTAPE_AUTH__MODE", "proxy"), ("SEALTAPE_AUTH__PROXY__PEERS", peers)];
    let server = serve(&system, &settings("127.0.0.1"));
    let as_ann = |server: &Server| get(&server.address, PATH, &[("X-Remote-User", "ann")]);
    assert_eq!(as_ann(&server).status, 200);
    assert_eq!(refused(&get(&server.address, PATH, &[])), unauthenticated());
    assert_eq!(refused(&get(&server.address, PATH, &[("X-Remote-User", "")])), unauthenticated());
    let twice = get(&server.address, PATH, &[("X-Remote-User", "ann"), ("X-Remote-User", "root")]);
    assert_eq!(refused(&twice), unauthenticated());
    // A link is the only other way in.
    let by_token = with_token(&server, PATH, &token(&system, "recordings:play", &[]));
    assert_eq!(refused(&by_token), unauthenticated());
    assert_eq!(server.get(&link(&system, &[])).status, 200);

    let stranger = serve(&system, &settings("10.0.0.0/8"));
    assert_eq!(refused(&as_ann(&stranger)), unauthenticated());
    let narrow = [
        ("SEALTAPE_AUTH__MODE", "proxy"),
        ("SEALTAPE_AUTH__PROXY__PEERS", "127.0.0.0/8"),
        ("SEALTAPE_AUTH__PROXY__SUBJECT_HEADER", "X-Who"),
        ("SEALTAPE_AUTH__PROXY__SCOPES", "recordings:list"),
    ];
    let narrow = serve(&system, &narrow);
    assert_eq!(refused(&as_ann(&narrow)), unauthenticated());
    assert_eq!(refused(&get(&narrow.address, PATH, &[("X-Who", "ann")])), (403, "forbidden".into()));
    assert_eq!(get(&narrow.address, "/recordings", &[("X-Who", "ann")]).status, 200);
}

/// The path and query of a link to `team-a.1`.
fn link(system: &System, more: &[&str]) -> String {
    let mut arguments = vec!["link", "team-a.1"];
    arguments.extend(more);
    let url = system.json(&arguments)["url"].as_str().expect("a URL").to_owned();
    let (_, path) = url.split_once("/recordings").expect("a path");
    format!("/recordings{path}")
}

#[test]
fn a_link_plays_one_recording_for_a_while() {
    let system = system();
    let server = token_mode(&system);
    let path = link(&system, &["--ttl", "1h", "--subject", "bob"]);
    assert!(server.get(&path).body == media(5000));
    let ranged = get(&server.address, &path, &[("Range", "bytes=10-19")]);
    assert!(ranged.status == 206 && ranged.body == media(5000)[10..20]);
    assert_eq!(ranged.header("cross-origin-resource-policy"), Some("cross-origin"));
    let query = path.split_once('?').expect("a query").1;
    assert_eq!(server.get(&format!("/recordings/team-a.1?{query}")).status, 200);
    assert_eq!(server.get(&format!("{path}&download=x.wav")).status, 200);

    for (what, path) in [
        ("another recording", format!("/recordings/team-a.2/media?{query}")),
        ("changed", path.replace("link=v1.", "link=v1.A")),
        ("cut", path[..path.len() - 1].to_owned()),
        ("another version", path.replace("link=v1", "link=v2")),
        ("twice", format!("{path}&{query}")),
        ("nothing", "/recordings/team-a.1/media?link=".to_owned()),
    ] {
        assert_eq!(refused(&server.get(&path)), (403, "forbidden".into()), "{what}");
    }
    assert_eq!(refused(&server.get(&format!("/recordings?{query}"))), unauthenticated(), "no link to a listing");
    let minting = request(&server.address, "POST", &format!("/recordings/team-a.1/link?{query}"), &[], b"");
    assert_eq!(minting.status, 401, "a link mints no link");
    // Whoever has a link and a token of their own plays by the link.
    let token = token(&system, "recordings:list", &[]);
    assert_eq!(with_token(&server, &path, &token).status, 200);

    let short = link(&system, &["--ttl", "1s"]);
    let expired = |server: &Server| server.get(&short).status == 403;
    assert!(server.wait_until(Duration::from_secs(10), expired));
    assert_eq!(refused(&server.get(&short)), (403, "link-expired".into()));
}

#[test]
fn nobody_mints_more_than_they_hold() {
    let system = system();
    let server = token_mode(&system);
    let mint = |token: &str, headers: &[(&str, &str)], body: &str| {
        let bearer = format!("Bearer {token}");
        let mut all = vec![("Authorization", bearer.as_str())];
        all.extend(headers);
        request(&server.address, "POST", "/recordings/team-a.1/link", &all, body.as_bytes())
    };
    let json = [("Content-Type", "application/json")];
    let arguments = ["token", "create", "--scope", "recordings:play", "--subject", "ann", "--ttl", "2m"];
    let signed = system.json(&arguments);
    let short = signed["token"].as_str().expect("a token");
    let minted = mint(short, &json, "{\"ttl\":\"1h\",\"subject\":\"bob\"}");
    assert_eq!(minted.status, 200, "{}", text(&minted.body));
    let document = minted.json();
    assert_eq!(document["expires_at"], signed["expires_at"], "cut to the token's own end");
    let url = document["url"].as_str().expect("a URL");
    let path = url.strip_prefix(&format!("http://{}", server.address)).expect("where it was asked");
    assert!(server.get(path).body == media(5000));

    let long = token(&system, "recordings:play", &[]);
    for (ttl, seconds) in [("{}", 900), ("{\"ttl\":60}", 60), ("{\"ttl\":\"2m\"}", 120)] {
        let expires = mint(&long, &json, ttl).json()["expires_at"].as_str().expect("a time").to_owned();
        let expires: sealtape::base::Timestamp = expires.parse().expect("a time");
        let lives = i64::try_from(expires.seconds()).expect("in range") - now();
        assert!((seconds - 10..=seconds).contains(&lives), "{ttl}: {lives}");
    }
    assert_eq!(mint(&long, &[], "").status, 200, "everything may be left out");
    for bad in [
        "{\"ttl\":0}",
        "{\"ttl\":\"soon\"}",
        "{\"ttl\":\"9999h\"}",
        "{\"ttl\":-1}",
        "{\"x\":1}",
        "[",
        "{\"subject\":\"a\\nb\"}",
    ] {
        assert_eq!(mint(&long, &json, bad).problem(), "bad-request", "{bad}");
    }
    assert_eq!(mint(&long, &json, &"x".repeat(9000)).problem(), "bad-request");
    assert_eq!(mint(&long, &[("Content-Type", "text/plain")], "{}").problem(), "unsupported-media-type");
    assert_eq!(mint(&long, &[("Origin", "https://evil.example")], "").problem(), "forbidden", "a page of another site");
    let own = format!("http://{}", server.address);
    assert_eq!(mint(&long, &[("Origin", &own)], "").status, 200);
    let missing = request(
        &server.address,
        "POST",
        "/recordings/none/link",
        &[("Authorization", &format!("Bearer {long}"))],
        b"x",
    );
    assert_eq!(missing.problem(), "recording-not-found", "told before what is wrong with the body");
    let list_only = token(&system, "recordings:list", &[]);
    assert_eq!(mint(&list_only, &json, "{}").problem(), "forbidden");
    assert_eq!(server.get("/recordings/team-a.1/link").problem(), "unauthenticated");
}

#[test]
fn secrets_of_links_are_changed_while_it_runs() {
    let system = system();
    let server = token_mode(&system);
    let old = link(&system, &[]);
    let file = system.data_dir().join("link.secrets");
    let secrets = fs::read_to_string(&file).expect("read");
    assert_eq!(server.get(&old).status, 200);
    fs::write(&file, format!("{}\n{secrets}", "b".repeat(64))).expect("written");
    let new = link(&system, &[]);
    assert!(server.wait_until(Duration::from_secs(10), |server| server.get(&new).status == 200));
    assert_eq!(server.get(&old).status, 200, "each in the list verifies");
    fs::write(&file, format!("{}\n", "b".repeat(64))).expect("written");
    assert!(server.wait_until(Duration::from_secs(10), |server| server.get(&old).status == 403));
    assert_eq!(server.get(&new).status, 200);
    let mode: fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(&file, mode).expect("chmod");
    let error = system.fails(1, &["link", "team-a.1"]);
    assert!(error.contains("others may read it") && error.contains("chmod 600"), "{error}");
}

#[test]
fn commands_name_what_is_wrong_with_tokens_and_links() {
    let system = system();
    for (arguments, code) in [
        (&["token", "create", "--subject", "a", "--ttl", "1h"][..], 2),
        (&["token", "create", "--scope", "play", "--subject", "a", "--ttl", "1h"], 2),
        (&["token", "create", "--scope", "recordings:play", "--subject", "", "--ttl", "1h"], 2),
        (&["token", "create", "--scope", "recordings:play", "--subject", "a", "--ttl", "soon"], 2),
        (&["token", "create", "--scope", "recordings:play", "--subject", "a", "--ttl", "1h", "--recordings", "a b"], 2),
        (&["link", "team-a.9"], 1),
        (&["link", "team-a.1", "--ttl", "9999h"], 1),
        (&["link", "a/b"], 2),
    ] {
        let error = system.fails(code, arguments);
        assert!(!error.is_empty(), "{arguments:?}");
    }
    let config = |more: &str| {
        let data = system.data_dir();
        let settings = format!(
            "[database]\nurl = \"sqlite://{0}/sealtape.db\"\n[storage]\nurl = \"file://{0}/media\"\n\
             [definition_key]\npath = \"{0}/definition.key\"\n[auth]\n{more}",
            data.display()
        );
        let file = system.file("sealtape.toml", settings.as_bytes());
        let run = |arguments: &[&str]| {
            let mut command = crate::support::bare_command();
            let output = command.arg("--config").arg(&file).args(arguments).output().expect("runs");
            (output.status.code(), text(&output.stderr))
        };
        (
            run(&["token", "create", "--scope", "recordings:play", "--subject", "a", "--ttl", "1h"]),
            run(&["link", "team-a.1"]),
        )
    };
    let elsewhere = system.path("elsewhere");
    let places = |path: &Path| format!("token_key_file = \"{0}/t\"\nlink_secrets_file = \"{0}/l\"\n", path.display());
    let (token, link) = config(&places(&elsewhere));
    assert!(token.0 == Some(1) && token.1.contains("openssl genpkey"), "{}", token.1);
    assert!(link.0 == Some(1) && link.1.contains("openssl rand"), "{}", link.1);
    fs::create_dir(&elsewhere).expect("made");
    for (name, content) in [("t", "no key"), ("l", "no secret")] {
        let path = elsewhere.join(name);
        fs::write(&path, content).expect("written");
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("chmod");
    }
    let (token, link) = config(&places(&elsewhere));
    assert!(token.0 == Some(1) && token.1.contains("not an Ed25519 private key"), "{}", token.1);
    assert!(link.0 == Some(1) && link.1.contains("line 1 is not a secret"), "{}", link.1);
    assert!(!token.1.contains("no key") && !link.1.contains("no secret"), "what stands in them is not shown");
}

#[test]
fn an_openssl_key_signs_local_tokens() {
    let system = system();
    let path = system.data_dir().join("token.key");
    let made = tool("openssl").args(["genpkey", "-algorithm", "ed25519", "-out"]).arg(&path).output().expect("openssl");
    assert!(made.status.success());
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("chmod");
    let server = token_mode(&system);
    let old = token(&system, "recordings:play", &[]);
    assert_eq!(with_token(&server, PATH, &old).status, 200);
    fs::remove_file(&path).expect("removed");
    let new = token(&system, "recordings:play", &[]);
    assert!(server.wait_until(Duration::from_secs(10), |server| with_token(server, PATH, &new).status == 200));
    assert_eq!(refused(&with_token(&server, PATH, &old)), unauthenticated(), "a new key takes all old tokens back");
}

#[test]
fn without_sign_in_a_token_or_link_that_is_shown_still_counts() {
    let system = system();
    let server = system.serve();
    assert_eq!(server.get(PATH).status, 200);
    assert_eq!(refused(&with_token(&server, PATH, "x.y.z")), unauthenticated());
    let list = token(&system, "recordings:list", &[]);
    assert_eq!(refused(&with_token(&server, PATH, &list)), (403, "forbidden".into()));
    assert_eq!(server.get(&format!("{PATH}?link=v1.a.b")).problem(), "forbidden");
    let error = system.fails(1, &["serve", "--listen", "0.0.0.0:0"]);
    assert!(error.contains("auth.mode"), "{error}");
}

#[test]
fn pages_of_other_origins_play_only_when_they_are_listed() {
    let system = system();
    let origins = "https://player.example, http://localhost:3000";
    let server = serve(&system, &[("SEALTAPE_SERVER__CORS__ALLOW_ORIGINS", origins), ("SEALTAPE_AUTH__MODE", "token")]);
    let bearer = format!("Bearer {}", token(&system, "recordings:play", &[]));
    let from = |origin: &str, path: &str| {
        get(&server.address, path, &[("Origin", origin), ("Authorization", &bearer), ("Range", "bytes=0-9")])
    };
    let played = from("https://player.example", PATH);
    assert_eq!((played.status, played.header("access-control-allow-origin")), (206, Some("https://player.example")));
    assert_eq!(played.header("vary"), Some("Origin"));
    assert_eq!(played.header("access-control-allow-credentials"), None);
    let exposed = played.header("access-control-expose-headers").expect("exposed").to_ascii_lowercase();
    for name in ["content-range", "accept-ranges", "etag", "playback-error", "recording-state"] {
        assert!(exposed.split(", ").any(|exposed| exposed == name), "{name}");
    }
    let missing = from("http://localhost:3000", "/recordings/none/media");
    assert_eq!(missing.header("access-control-allow-origin"), Some("http://localhost:3000"), "refusals, too, are read");
    for other in ["https://evil.example", "null", "https://player.example.evil.example", "http://player.example", "*"] {
        let reply = from(other, PATH);
        assert_eq!(reply.header("access-control-allow-origin"), None, "{other}");
        assert_eq!(reply.header("vary"), Some("Origin"));
    }

    let preflight = |origin: &str, path: &str| {
        let headers = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "GET"),
            ("Access-Control-Request-Headers", "authorization, range"),
        ];
        request(&server.address, "OPTIONS", path, &headers, b"")
    };
    let allowed = preflight("https://player.example", PATH);
    assert_eq!((allowed.status, allowed.body.len()), (204, 0), "nobody is asked who they are");
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://player.example"));
    assert_eq!(allowed.header("access-control-allow-methods"), Some("GET, HEAD"));
    assert_eq!(allowed.header("access-control-max-age"), Some("7200"));
    let headers = allowed.header("access-control-allow-headers").expect("allowed").to_ascii_lowercase();
    for name in ["authorization", "range", "if-range", "if-none-match"] {
        assert!(headers.split(", ").any(|allowed| allowed == name), "{name}");
    }
    let minting = preflight("https://player.example", "/recordings/team-a.1/link");
    assert_eq!(minting.header("access-control-allow-methods"), Some("POST"));
    let refused = preflight("https://evil.example", PATH);
    assert_eq!(refused.header("access-control-allow-origin"), None);
    assert!(refused.status >= 400, "{}", refused.status);

    let closed = system.serve();
    let reply = get(&closed.address, PATH, &[("Origin", "https://player.example")]);
    assert_eq!((reply.header("access-control-allow-origin"), reply.header("vary")), (None, None));
    assert_eq!(reply.header("cross-origin-resource-policy"), Some("same-origin"));
}

#[test]
fn a_link_lives_for_twice_the_recording_when_nobody_says_how_long() {
    let system = System::with_key();
    for (name, arguments) in [
        ("long.wav", &["-c:a", "pcm_mulaw", "-ar", "8000"][..]),
        ("long.mp3", &["-c:a", "libmp3lame", "-b:a", "8k", "-ar", "8000"]),
        ("long.ogg", &["-c:a", "libopus", "-b:a", "8k"]),
        ("long.m4a", &["-c:a", "aac", "-b:a", "8k", "-ar", "8000"]),
        ("long.webm", &["-c:a", "libopus", "-b:a", "8k"]),
    ] {
        let path = system.path(name);
        let silence = ["-v", "error", "-nostdin", "-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono", "-t", "1200"];
        let made = tool("ffmpeg").args(silence).args(arguments).arg(&path).output().expect("ffmpeg runs");
        assert!(made.status.success(), "{name}: {}", text(&made.stderr));
        let id = name.replace('.', "-");
        system.ok(&["import", path.to_str().expect("UTF-8"), "--id", &id]);
        let expires = system.json(&["link", &id])["expires_at"].as_str().expect("a time").to_owned();
        let expires: sealtape::base::Timestamp = expires.parse().expect("a time");
        let lives = i64::try_from(expires.seconds()).expect("in range") - now();
        assert!((2380..=2402).contains(&lives), "{name}: {lives}");
    }
    // What only looks like sound has no duration, and does no harm.
    let mut hostile = b"RIFF\xFF\xFF\xFF\xFFWAVEfmt \x10\x00\x00\x00".to_vec();
    hostile.extend(media(100_000));
    system.import("hostile", &hostile);
    assert!(system.json(&["link", "hostile"])["url"].as_str().is_some_and(|url| url.contains("link=v1.")));
}
