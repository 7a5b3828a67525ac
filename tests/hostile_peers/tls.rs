//! TLS that is older or weaker than what is spoken here is refused, also from one who pretends to be able to do no better.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    time::Duration,
};

use crate::connections::half_open::client_hello;
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

/// What the server's first record says to what such a client says first, without what comes before both messages: their
/// record's head of 5 bytes, and their own of 4.
fn server_hello(server: &Server, arguments: &[&str]) -> Vec<u8> {
    let mut stream = TcpStream::connect(&server.address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
    stream.write_all(&client_hello(arguments)).expect("sent");
    let mut head = [0; 9];
    stream.read_exact(&mut head).expect("a record");
    assert_eq!((head[0], head[5]), (22, 2), "of the handshake, and a ServerHello");
    let mut said = vec![0; usize::from(u16::from_be_bytes([head[7], head[8]]))];
    stream.read_exact(&mut said).expect("all of it");
    said
}

/// One that was made to fall back by somebody between, and does not know it, finds it out: the server's random bytes end in
/// words that say that it knows a newer version (section 4.1.3 of RFC 8446), and are part of what is signed.
#[test]
fn who_is_made_to_speak_an_older_version_can_tell() {
    let system = System::with_key();
    let server = serve(&system);
    let end_of_random = |said: &[u8]| said[26..34].to_vec();
    assert_eq!(end_of_random(&server_hello(&server, &["-tls1_2"])), b"DOWNGRD\x01");
    let newest = server_hello(&server, &["-tls1_3"]);
    assert!(!end_of_random(&newest).starts_with(b"DOWNGRD"), "{newest:?}");
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
    // A client that fell back says so, and is told that it need not have (RFC 7507).
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
