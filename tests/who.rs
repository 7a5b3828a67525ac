//! Who may listen, and every way to be refused: tokens, links, a trusted proxy's word, and pages of other origins.

use std::{fs, path::Path, time::Duration};

use serde_json::Value;

use crate::support::{Reply, Server, System, get, media, request, text, tool};

mod limits;
mod provider;
mod stolen;

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
fn where_no_secret_is_a_server_says_that_it_signs_no_links() {
    let mut system = system();
    let secrets = system.path("elsewhere.secrets");
    system.set("SEALTAPE_AUTH__LINK_SECRETS_FILE", secrets.to_str().expect("UTF-8"));
    let server = token_mode(&system);
    let is_warned = |said: &str| {
        said.contains("auth.link_secrets_file")
            && said.contains(secrets.to_str().expect("UTF-8"))
            && said.contains("openssl rand")
    };
    assert!(server.wait_until(Duration::from_secs(10), |server| is_warned(&server.log())), "{}", server.log());
    let mut check = system.command(&["config", "check"]);
    let checked = check.env("SEALTAPE_AUTH__MODE", "token").output().expect("runs");
    assert!(checked.status.success() && is_warned(&text(&checked.stderr)), "{}", text(&checked.stderr));
    let bearer = format!("Bearer {}", token(&system, "recordings:play", &[]));
    let mint =
        || request(&server.address, "POST", "/recordings/team-a.1/link", &[("Authorization", bearer.as_str())], b"");
    let reply = mint();
    assert_eq!((reply.status, reply.problem().as_str()), (404, "not-found"));
    assert!(reply.json()["detail"].as_str().expect("text").contains("signs no links"), "{}", reply.json());
    assert!(!text(&reply.body).contains("elsewhere.secrets"), "what lies where is in the log alone");
    assert_eq!(with_token(&server, PATH, &bearer["Bearer ".len()..]).status, 200, "and all else goes on");
    // Put there, it counts at once.
    fs::write(&secrets, format!("{:064x}\n", 0xABC_u32)).expect("written");
    fs::set_permissions(&secrets, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("chmod");
    assert_eq!(mint().status, 200);
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
    assert_eq!(allowed.header("access-control-allow-methods"), Some("GET, HEAD, PUT"));
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

fn now() -> i64 {
    i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs()).expect("in range")
}
