//! Validated settings of serving: addresses, TLS, limits, times.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;

use super::{
    Error,
    keys::Values,
    parse::{parse_delay, parse_duration, parse_listen, parse_origin, parse_path, parse_peer, parse_public_url},
    peers,
};
use crate::base::PeerAddress;

const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
const DRAIN_DELAY_DEFAULT: Duration = Duration::from_secs(5);
const DRAIN_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// About what a process may hold open after its limit of descriptors was raised, with room for files.
const MAX_CONNECTIONS_DEFAULT: usize = 10_000;

/// How the server serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Where it listens.
    pub listen: Listen,
    /// Where metrics and readiness in detail are served, when not beside the recordings.
    pub admin_listen: Option<Listen>,
    /// Where players reach it, without a slash at the end.
    pub public_url: Option<String>,
    /// Where other proxies reach this one, without a slash at the end.
    pub peer_url: Option<String>,
    /// Whom requests may be handed on to for what lies in their spools.
    pub peers: Vec<PeerAddress>,
    /// Peers that are believed when they say on whose behalf they ask (`X-Forwarded-For`).
    pub trusted_proxies: Vec<Peer>,
    /// Certificate and key, both in PEM.
    pub tls: Option<TlsSettings>,
    /// Origins whose pages may play.
    pub allow_origins: Vec<String>,
    /// Connections at a time.
    pub max_connections: usize,
    /// How long clients may take.
    pub timeouts: Timeouts,
    /// How long it goes on accepting connections after SIGTERM, with `/readyz` failing.
    pub drain_delay: Duration,
    /// How long streams may take to finish after that.
    pub drain_timeout: Duration,
    /// How the log is written.
    pub log: LogFormat,
}

/// An address to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Address and port.
    Tcp(SocketAddr),
    /// A socket file.
    Unix(PathBuf),
}

/// Whom to trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Everyone in a network.
    Net(IpNet),
    /// Whoever can open the socket file.
    Unix,
}

/// Where certificate and key lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// The chain of certificates, in PEM.
    pub cert: PathBuf,
    /// The private key, in PEM.
    pub key: PathBuf,
}

/// How long clients may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the TLS handshake.
    pub handshake: Duration,
    /// From the first byte of a request head to its last.
    pub headers: Duration,
    /// Between requests.
    pub idle: Duration,
    /// For taking any byte at all of what is sent.
    pub write: Duration,
    /// For sending any byte at all of a recording.
    pub read: Duration,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

impl ServerSettings {
    pub(super) fn validate(values: &Values) -> Result<Self, Error> {
        let time = |key, default: u64| values.parse(key, || Duration::from_secs(default), parse_duration);
        let some = |text: &str| parse_path(text).map(Some);
        let cert = values.parse("server.tls.cert", || None, some)?;
        let key = values.parse("server.tls.key", || None, some)?;
        let tls = match (cert, key) {
            (Some(cert), Some(key)) => Some(TlsSettings { cert, key }),
            (None, None) => None,
            (Some(_), None) => return Err(values.bad("server.tls.cert", "it needs server.tls.key beside it")),
            (None, Some(_)) => return Err(values.bad("server.tls.key", "it needs server.tls.cert beside it")),
        };
        let peer_url = values.parse("server.peer_url", || None, |text| parse_public_url(text).map(Some))?;
        Ok(Self {
            listen: values.parse("server.listen", || Listen::Tcp(LISTEN_DEFAULT), parse_listen)?,
            admin_listen: values.parse("server.admin_listen", || None, |text| parse_listen(text).map(Some))?,
            public_url: values.parse("server.public_url", || None, |text| parse_public_url(text).map(Some))?,
            peers: peers::validate(values, peer_url.as_deref())?,
            peer_url,
            trusted_proxies: values.list("server.trusted_proxies", parse_peer)?,
            tls,
            allow_origins: values.list("server.cors.allow_origins", parse_origin)?,
            max_connections: values.count("server.max_connections", MAX_CONNECTIONS_DEFAULT)?,
            timeouts: Timeouts {
                handshake: time("server.timeouts.handshake", 10)?,
                headers: time("server.timeouts.headers", 30)?,
                idle: time("server.timeouts.idle", 75)?,
                write: time("server.timeouts.write", 60)?,
                read: time("server.timeouts.read", 120)?,
            },
            drain_delay: values.parse("server.drain_delay", || DRAIN_DELAY_DEFAULT, parse_delay)?,
            drain_timeout: values.parse("server.drain_timeout", || DRAIN_TIMEOUT_DEFAULT, parse_duration)?,
            log: values.parse(
                "server.log",
                || LogFormat::Pretty,
                |text| match text {
                    "pretty" => Ok(LogFormat::Pretty),
                    "json" => Ok(LogFormat::Json),
                    _ => Err("it must be \"pretty\" or \"json\"".into()),
                },
            )?,
        })
    }
}

impl Listen {
    /// Whether only this machine can reach it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl core::fmt::Display for Listen {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl core::fmt::Display for Peer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Net(net) => net.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}
