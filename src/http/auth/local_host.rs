//! The mode `none`: everyone on this machine, and nobody from elsewhere.

use std::net::Ipv4Addr;

use hyper::{HeaderMap, Uri, header};

use super::super::Problem;
use crate::base::ErrorCode;

/// Answers only requests for `localhost`, 127.0.0.0/8 and `[::1]`. A page of another site whose name was made to point
/// here (DNS rebinding) is told so by its `Host`, and learns nothing.
pub(super) fn check(uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let mut values = headers.get_all(header::HOST).iter();
    let host = match (uri.authority(), values.next(), values.next()) {
        // Section 3.2.2 of RFC 9112: with an absolute target its authority counts.
        (Some(authority), ..) => authority.as_str(),
        (None, Some(host), None) => host.to_str().map_err(|_| Problem::new(ErrorCode::BadRequest))?,
        _ => return Err(Problem::new(ErrorCode::BadRequest)),
    };
    if is_local(host) { Ok(()) } else { Err(Problem::new(ErrorCode::Forbidden)) }
}

fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => return address == "::1" && is_port(port),
        None => match host.split_once(':') {
            Some((name, port)) if is_digits(port) => name,
            Some(_) => return false,
            None => host,
        },
    };
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback())
}

/// Nothing, or a colon and digits.
fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(is_digits)
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine() {
        for local in ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.1.2.3:80", "[::1]", "[::1]:8080"] {
            assert!(is_local(local), "{local}");
        }
        for other in [
            "",
            "example.org",
            "localhost.example.org",
            "127.0.0.1.example.org",
            "10.0.0.1",
            "[::2]",
            "[::1]x",
            "[::1",
            "localhost:80:80",
            "localhost:x",
            "0x7f000001",
            "2130706433",
            "127.1",
            "user@localhost",
        ] {
            assert!(!is_local(other), "{other}");
        }
    }
}
