//! Validated settings of other proxies: whom requests, and with them callers' credentials, may be handed on to.
//!
//! A row of the database says in whose spool a recording lies. Whoever can write rows could name anything there, so that
//! it counts only when these settings allow it.

use url::{Host, Url};

use super::{Error, keys::Values, parse::parse_public_url};
use crate::base::{PeerAddress, Varying};

const PEERS: &str = "server.peers";
const RULE: &str = "it must be a URL such as https://proxy-1.internal:8443, or one whose first label holds one `*`, such \
                    as https://proxy-*.internal:8443";

/// Those that settings name; where they say nothing, those that are called as this one is at `own`.
pub(super) fn validate(values: &Values, own: Option<&str>) -> Result<Vec<PeerAddress>, Error> {
    if !values.has(PEERS) {
        return Ok(own.and_then(like).into_iter().collect());
    }
    let peers = values.list(PEERS, parse)?;
    let is_own_in_clear = own.is_some_and(|own| own.starts_with("http://"));
    if peers.iter().any(PeerAddress::is_in_clear) && !is_own_in_clear {
        let reason = "credentials go to other servers over plain http only where server.peer_url is plain http, too; \
                      name them with https";
        return Err(values.bad(PEERS, reason));
    }
    Ok(peers)
}

fn parse(text: &str) -> Result<PeerAddress, String> {
    let rule = |_| RULE.to_owned();
    // As rows have it, which hold what `server.peer_url` became.
    let url = parse_public_url(text).map_err(rule)?;
    let Some((start, end)) = url.split_once('*') else { return Ok(PeerAddress::exact(&url)) };
    let (_, label) = start.split_once("://").ok_or(RULE)?;
    let rest_of_label: &str = end.split(['.', ':', '/']).next().unwrap_or_default();
    let host_follows = end.get(rest_of_label.len()..).is_some_and(|rest| rest.starts_with('.'));
    if label.contains(['.', ':', '/', '[']) || end.contains('*') {
        return Err(RULE.into());
    }
    if label.is_empty() && rest_of_label.is_empty() && !host_follows {
        return Err("it would be every host".into());
    }
    Ok(PeerAddress::between(start, Varying::Label, end))
}

/// Those that are called as the one at `own` is, which nobody else can be called: on this machine any port of it; of
/// names those that differ in the number at the end of the first label, as the hosts of a StatefulSet do, but where the
/// rest of the name is one that anybody may register a name under.
fn like(own: &str) -> Option<PeerAddress> {
    let url = Url::parse(own).ok()?;
    let is_loopback = match url.host()? {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
        Host::Domain(name) => name == "localhost",
    };
    let (scheme, host) = (url.scheme(), url.host_str()?);
    let after = own.strip_prefix(&format!("{scheme}://{host}"))?;
    if is_loopback {
        let path = after.strip_prefix(':').map_or(after, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
        return url.port().map(|_| PeerAddress::between(&format!("{scheme}://{host}:"), Varying::Number, path));
    }
    let Host::Domain(name) = url.host()? else { return None };
    let (label, parent) = name.split_once('.').unwrap_or((name, ""));
    let stem = label.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_anybodys = !parent.is_empty() && !parent.trim_end_matches('.').contains('.');
    if stem.len() == label.len() || stem.is_empty() || is_anybodys {
        return None;
    }
    let end = name.strip_prefix(label).unwrap_or_default();
    Some(PeerAddress::between(&format!("{scheme}://{stem}"), Varying::Number, &format!("{end}{after}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_of_one_label_of_one_host() {
        for (text, shown) in [
            ("https://proxy-1.internal:8443", "https://proxy-1.internal:8443"),
            ("https://proxy-1.internal:443/", "https://proxy-1.internal"),
            ("HTTPS://Proxy-*.Internal/tape/", "https://proxy-*.internal/tape"),
            ("https://*.proxies.internal", "https://*.proxies.internal"),
            ("http://proxy-*:8080", "http://proxy-*:8080"),
            ("http://10.0.0.7:8080", "http://10.0.0.7:8080"),
            ("http://[fd00::7]:8080", "http://[fd00::7]:8080"),
        ] {
            assert_eq!(parse(text).map(|peer| peer.to_string()), Ok(shown.to_owned()), "{text}");
        }
        for bad in [
            "*",
            "https://*",
            "https://*:8443",
            "https://*/x",
            "https://a.*.internal",
            "https://a-*-*.internal",
            "https://*.*.internal",
            "https://a.internal:*",
            "https://a.internal/*",
            "https://10.0.0.*",
            "https://u@a.internal",
            "https://a.internal?x=*",
            "ftp://a.internal",
            "a.internal",
            "",
        ] {
            assert!(parse(bad).is_err(), "{bad}: {:?}", parse(bad));
        }
    }

    #[test]
    fn without_a_list_those_count_that_are_called_alike() {
        let alike = |own: &str, other: &str| like(own).is_some_and(|peer| peer.is(other));
        for (own, other) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8081"),
            ("http://localhost:8080/tape", "http://localhost:9/tape"),
            ("http://[::1]:8080", "http://[::1]:8081"),
            ("http://proxy-0:8080", "http://proxy-12:8080"),
            ("https://proxy1.tape.internal", "https://proxy2.tape.internal"),
            ("https://tape-0.tape.ns.svc:8443/x", "https://tape-7.tape.ns.svc:8443/x"),
        ] {
            assert!(alike(own, other) && alike(own, own), "{own} {other}");
        }
        for (own, other) in [
            ("http://127.0.0.1:8080", "http://127.0.0.2:8080"),
            ("http://127.0.0.1:8080", "https://127.0.0.1:8080"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080@evil.example"),
            ("http://10.0.0.7:8080", "http://10.0.0.8:8080"),
            ("https://proxy1.tape.internal", "http://proxy2.tape.internal"),
            ("https://proxy1.tape.internal", "https://proxy2.tape.internal:8443"),
            ("https://proxy1.tape.internal", "https://proxy2.evil.internal"),
            ("https://proxy1.tape.internal", "https://evil.tape.internal"),
            ("https://proxy1.example", "https://proxy2.example"),
            ("https://tape.tape.internal", "https://tape2.tape.internal"),
            ("https://7.tape.internal", "https://8.tape.internal"),
        ] {
            assert!(!alike(own, other), "{own} {other}");
        }
    }
}
