//! Peers that are believed: who they are, and for whom they say that they ask.

use std::{borrow::Cow, net::IpAddr};

use hyper::HeaderMap;
use ipnet::IpNet;

use super::super::app::Peer;

/// A peer, or many, that are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedPeer {
    /// Everyone in a network.
    Net(IpNet),
    /// Whoever can open the socket file.
    Unix,
}

/// Whether a connection comes from a peer that is believed.
pub(super) fn is_trusted(peer: Peer, trusted: &[TrustedPeer]) -> bool {
    match peer {
        Peer::Unix => trusted.contains(&TrustedPeer::Unix),
        Peer::Tcp(address) => is_address_trusted(address.ip(), trusted),
    }
}

/// The address that a request came from: `direct`, the peer's own, or what trusted peers say. They add the address of
/// whoever asked them at the end of `X-Forwarded-For`, so that the last one which is not theirs is the client's; what
/// stands before it may be invented.
pub(super) fn client<'a>(
    headers: &HeaderMap,
    peer: Peer,
    direct: Cow<'a, str>,
    trusted: &[TrustedPeer],
) -> Cow<'a, str> {
    if !is_trusted(peer, trusted) {
        return direct;
    }
    let lines: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok()).collect();
    let mut client = direct;
    for hop in lines.iter().flat_map(|line| line.split(',')).map(str::trim).rev() {
        let Some(address) = parse_hop(hop) else { break };
        client = address.to_string().into();
        if !is_address_trusted(address, trusted) {
            break;
        }
    }
    client
}

fn is_address_trusted(address: IpAddr, trusted: &[TrustedPeer]) -> bool {
    // An IPv4 peer of a socket that takes both is written as an IPv6 address.
    let address = address.to_canonical();
    trusted.iter().any(|peer| matches!(peer, TrustedPeer::Net(net) if net.contains(&address)))
}

/// An address, with or without a port.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let address: Option<IpAddr> = hop.parse().ok();
    address.or_else(|| hop.parse::<std::net::SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted(texts: &[&str]) -> Vec<TrustedPeer> {
        texts.iter().map(|text| TrustedPeer::Net(text.parse().expect("a network"))).collect()
    }

    fn tcp(text: &str) -> Peer {
        Peer::Tcp(text.parse().expect("an address"))
    }

    #[test]
    fn networks_and_socket_files_are_told_apart() {
        let nets = trusted(&["10.0.0.0/8", "::1/128"]);
        assert!(is_trusted(tcp("10.1.2.3:5"), &nets) && is_trusted(tcp("[::1]:5"), &nets));
        assert!(is_trusted(tcp("[::ffff:10.1.2.3]:5"), &nets), "the same peer on a socket for both");
        assert!(!is_trusted(tcp("11.1.2.3:5"), &nets) && !is_trusted(Peer::Unix, &nets));
        assert!(is_trusted(Peer::Unix, &[TrustedPeer::Unix]));
    }

    #[test]
    fn only_what_trusted_peers_added_is_believed() {
        let nets = trusted(&["10.0.0.0/8"]);
        let client = |peer: &str, lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", line.parse().expect("a value"));
            }
            super::client(&headers, tcp(peer), tcp(peer).to_string().into(), &nets).into_owned()
        };
        assert_eq!(client("192.0.2.9:1", &["198.51.100.1"]), "192.0.2.9", "a stranger is not believed");
        assert_eq!(client("10.0.0.1:1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.1:1", &["203.0.113.66, 198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1:1", &["203.0.113.66", "198.51.100.1:4711, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1:1", &["unknown"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1:1", &["[2001:db8::1]:443"]), "2001:db8::1");
    }
}
