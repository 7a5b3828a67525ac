//! TLS that is older or weaker than what is spoken here is refused, also from one who pretends to be able to do no better.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
};

use crate::support::{Server, System, text, tool};

/// A server with a certificate of its own.
fn serve(system: &System) -> Server {
    let (cert, key) = (system.path("cert.pem"), system.path("key.pem"));
    let mut made = tool("openssl");
    made.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
    made.args(["-subj", "/CN=localhost", "-keyout"]).arg(&key).arg("-out").arg(&cert);
    assert!(made.stderr(Stdio::null()).status().expect("openssl runs").success());
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("SEALTAPE_SERVER__TLS__CERT", cert).env("SEALTAPE_SERVER__TLS__KEY", key);
    Server::start(command)
}

/// Whether a handshake succeeds, and what was said.
fn shakes(server: &Server, arguments: &[&str]) -> (bool, String) {
    let mut client: Command = tool("openssl");
    client.args(["s_client", "-connect", &server.address]).args(arguments).stdin(Stdio::null());
    let output = client.output().expect("openssl runs");
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn old_versions_and_weak_suites_are_refused() {
    let system = System::with_key();
    let server = serve(&system);
    for arguments in [&["-tls1_2"][..], &["-tls1_3"], &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"]] {
        let (shakes, said) = shakes(&server, arguments);
        assert!(shakes, "{arguments:?}: {said}");
    }
    for arguments in [
        &["-tls1", "-cipher", "ALL:@SECLEVEL=0"][..],
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        // Without forward secrecy, without authentication, without encryption, with old ciphers, hashes and modes.
        &["-tls1_2", "-cipher", "AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "eNULL:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "DHE:PSK:SRP:@SECLEVEL=0"],
        &["-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_8_SHA256"],
        &["-tls1_2", "-curves", "P-521:secp224r1:brainpoolP256r1"],
    ] {
        let (shakes, said) = shakes(&server, arguments);
        // The server's refusal, and not that of a client that cannot even ask.
        assert!(!shakes && said.contains("alert"), "{arguments:?}: {said}");
    }
    // A client that was made to fall back finds it out: the server's random bytes say that it knows a newer version
    // (section 4.1.3 of RFC 8446).
    let (shakes, said) = self::shakes(&server, &["-tls1_2", "-fallback_scsv"]);
    assert!(!shakes && said.contains("inappropriate fallback"), "{said}");
    let (_, said) = self::shakes(&server, &["-tls1_2"]);
    assert!(said.contains("Secure Renegotiation IS supported") && said.contains("Compression: NONE"), "{said}");
    // What is no handshake at all gets no answer over HTTP either.
    let mut plain = TcpStream::connect(&server.address).expect("connects");
    plain.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut came = Vec::new();
    let _reset_is_an_end = plain.read_to_end(&mut came);
    assert!(!came.starts_with(b"HTTP"), "{}", text(&came));
}
