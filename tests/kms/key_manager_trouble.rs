//! Key managers that are not there, not who they should be, or not willing: each has a message of its own, and none keeps
//! anybody waiting.

use std::{
    fs::{self, Permissions},
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    System,
    pykmip::{PyKmip, TlsServer, key_name},
    text,
};

/// A system with one database key, and what it says when settings are changed.
struct Case {
    system: System,
    name: String,
}

impl Case {
    fn new(server: &PyKmip, mode: &str) -> Self {
        let (mut system, name) = (System::in_folder(), key_name());
        for (key, value) in server.settings(mode, &name) {
            system.set(&key, &value);
        }
        system.ok(&["definition-key", "generate"]);
        system.ok(&["keys", "generate"]);
        Self { system, name }
    }

    /// What `keys list` says with these settings of the key manager, and how long it took.
    fn said(&self, settings: &[(&str, &str)]) -> (String, Duration) {
        let begun = Instant::now();
        let mut command = self.system.command(&["keys", "list"]);
        for (key, value) in settings {
            command.env(format!("SEALTAPE_DEFINITION_KEY__KMIP__{key}"), value);
        }
        let output = command.output().expect("runs");
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{settings:?}: {said}");
        assert_eq!(said.lines().count(), 2, "what failed, and what to do: {said}");
        (said, begun.elapsed())
    }

    fn says(&self, settings: &[(&str, &str)], words: &[&str]) {
        let (said, took) = self.said(settings);
        for word in words {
            assert!(said.contains(word), "{settings:?}: {said}");
        }
        assert!(took < Duration::from_secs(15), "{settings:?} took {took:?}");
    }
}

#[test]
fn who_is_not_there_or_somebody_else() {
    let server = PyKmip::shared();
    let case = Case::new(server, "encrypt");
    let right = format!("127.0.0.1:{}", server.port);
    let nobody = "127.0.0.1:1";
    case.says(&[("ENDPOINTS", nobody)], &[nobody, "cannot be reached", "definition_key.kmip.endpoints"]);
    case.says(&[("ENDPOINTS", &format!("{nobody},localhost:2"))], &[nobody, "localhost:2"]);
    // One that is alive among several does.
    let mut command = case.system.command(&["keys", "list"]);
    command.env("SEALTAPE_DEFINITION_KEY__KMIP__ENDPOINTS", format!("{nobody},{right}"));
    assert!(command.output().expect("runs").status.success(), "the second endpoint");

    let stranger = server.authority("stranger");
    stranger.issue("strange", "", 30);
    stranger.issue("strange-server", "IP:127.0.0.1", 30);
    let authority = server.authority("second");
    let path = |name: &str| server.path(name).display().to_string();
    case.says(&[("CA", &path("stranger.pem"))], &["not signed by an authority in definition_key.kmip.ca"]);
    authority.issue("elsewhere", "DNS:keys.example", 30);
    authority.issue("old", "IP:127.0.0.1", -1);
    authority.issue("good", "IP:127.0.0.1", 30);
    for (certificate, says, words) in [
        ("elsewhere", &b""[..], &["is for another name", "as its certificate does"][..]),
        ("old", b"", &["is out of date", "renewed"]),
        ("strange-server", b"", &["not signed by an authority"]),
        ("good", b"220 mail.example ESMTP\r\n", &["is not KMIP", "5696"]),
        ("good", &[0x42, 0, 0x7B, 1, 0xFF, 0xFF, 0xFF, 0xF0, 0, 0, 0, 0], &["is not KMIP", "far too long"]),
        ("good", &[0x42, 0, 0x7B, 1, 0, 0, 0, 8, 0x42, 0, 0x7A, 1, 0xFF, 0xFF, 0xFF, 0xF0], &["is not KMIP"]),
        ("good", &[0x42, 0, 0x7B, 1, 0, 0, 0, 0], &["is not KMIP"]),
    ] {
        let other = TlsServer::start(server, certificate, says);
        let endpoint = format!("127.0.0.1:{}", other.port);
        case.says(&[("ENDPOINTS", &endpoint), ("CA", &path("second.pem"))], words);
    }
    case.says(
        &[("CERT", &path("strange.pem")), ("KEY", &path("strange.key"))],
        &["refuses the certificate in definition_key.kmip.cert"],
    );
    server.own_authority().issue("late", "", -1);
    case.says(&[("CERT", &path("late.pem")), ("KEY", &path("late.key"))], &["out of date there", "renew"]);
}

#[test]
fn files_that_are_not_what_they_should_be() {
    let server = PyKmip::shared();
    let case = Case::new(server, "encrypt");
    let path = |name: &str| server.path(name).display().to_string();
    case.says(&[("CERT", "/nowhere/client.pem")], &["/nowhere/client.pem", "may read it"]);
    case.says(&[("CA", &path("client.key"))], &["client.key", "holds no certificate"]);
    case.says(&[("KEY", &path("client.pem"))], &["client.pem"]);
    case.says(&[("KEY", &path("server.key"))], &["server.key", "cannot be used"]);
    let open = case.system.path("open.key");
    fs::copy(server.path("client.key"), &open).expect("copied");
    fs::set_permissions(&open, Permissions::from_mode(0o644)).expect("set");
    case.says(&[("KEY", open.to_str().expect("UTF-8"))], &["others may read it", "chmod 600"]);
}

#[test]
fn who_is_slow_or_talks_nonsense() {
    let server = PyKmip::shared();
    let case = Case::new(server, "encrypt");
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let silent = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        let mut kept = Vec::new();
        for client in listener.incoming() {
            kept.push(client);
        }
    });
    for mode in ["encrypt", "get"] {
        let settings = [("ENDPOINTS", silent.as_str()), ("TIMEOUT", "700ms"), ("MODE", mode)];
        let (said, took) = case.said(&settings);
        assert!(said.contains("did not answer within"), "{said}");
        assert!(took >= Duration::from_millis(700) && took < Duration::from_secs(5), "{took:?}");
    }
    // One that is silent takes its share of the time, and the other one answers.
    let mut command = case.system.command(&["keys", "list"]);
    command.env("SEALTAPE_DEFINITION_KEY__KMIP__ENDPOINTS", format!("{silent},127.0.0.1:{}", server.port));
    command.env("SEALTAPE_DEFINITION_KEY__KMIP__TIMEOUT", "6s");
    let output = command.output().expect("runs");
    assert!(output.status.success(), "{}", text(&output.stderr));

    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let plain = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.expect("a client");
            let _their_hello = client.read(&mut [0; 1024]);
            let _gone = client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    case.says(&[("ENDPOINTS", &plain)], &["TLS failed"]);
}

#[test]
fn keys_that_are_gone_revoked_or_not_ours() {
    let server = PyKmip::shared();
    for mode in ["encrypt", "get"] {
        let case = Case::new(server, mode);
        let id = server.administer(&format!("print(id_of('{}'))", case.name));
        case.says(&[("NAME", "no such key")], &["no such key", "definition_key.kmip.id"]);
        case.says(&[("NAME", "x"), ("ID", "4711")], &["4711"]);
        // A key of the same name: which one is meant is not guessed.
        let twin = server.register(&case.name, &[7; 32]);
        case.says(&[], &["several keys", "definition_key.kmip.id"]);
        server.administer(&format!(
            "c.revoke(enums.RevocationReasonCode.CESSATION_OF_OPERATION, '{twin}')\nc.destroy('{twin}')"
        ));
        case.system.ok(&["keys", "list"]);
        // Another client's certificate.
        server.own_authority().issue("other", "", 30);
        let path = |name: &str| server.path(name).display().to_string();
        let as_other = [("CERT", path("other.pem")), ("KEY", path("other.key"))];
        let as_other = as_other.each_ref().map(|(name, value)| (*name, value.as_str()));
        case.says(&as_other, &["has no key"]);
        let by_id = [&as_other[..], &[("ID", id.as_str())]].concat();
        let (said, _) = case.said(&by_id);
        assert!(said.contains("has no key") || said.contains("does not permit"), "{said}");

        server.administer(&format!("c.revoke(enums.RevocationReasonCode.CESSATION_OF_OPERATION, '{id}')"));
        case.says(&[], &["revoked (deactivated)", &id, "play on"]);
        let case = Case::new(server, mode);
        let id = server.administer(&format!("print(id_of('{}'))", case.name));
        server.administer(&format!("c.revoke(enums.RevocationReasonCode.KEY_COMPROMISE, '{id}')"));
        case.says(&[], &["revoked (compromised)"]);
        server.administer(&format!("c.destroy('{id}')"));
        case.says(&[], &["has no key"]);
        let not_active = server.administer(
            "k = c.create(enums.CryptographicAlgorithm.AES, 256, name='idle', \
             cryptographic_usage_mask=[enums.CryptographicUsageMask.ENCRYPT, enums.CryptographicUsageMask.DECRYPT])\n\
             print(k)",
        );
        let (said, _) = case.said(&[("ID", &not_active)]);
        let is_told = said.contains("not activated") || said.contains("wrapped by definition key");
        assert!(is_told, "{said}");
    }
}
