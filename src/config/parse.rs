//! Reads single values: addresses, times, URLs, networks.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use url::Url;

use super::{Listen, Peer};

/// Reads `ADDRESS:PORT`, or `unix:PATH`.
pub(crate) fn parse_listen(text: &str) -> Result<Listen, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return if path.is_empty() {
            Err("it names no socket".into())
        } else {
            Ok(Listen::Unix(absolute(Path::new(path))))
        };
    }
    let text = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    let address: Result<SocketAddr, _> = text.parse();
    address
        .map(Listen::Tcp)
        .map_err(|_| "it must be an address and a port, such as 127.0.0.1:8080, or unix:/path/to/socket".into())
}

/// A time that is longer than nothing.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    parse_delay(text).and_then(|duration| if duration.is_zero() { Err(NO_TIME.into()) } else { Ok(duration) })
}

/// A time, which may be nothing.
pub(super) fn parse_delay(text: &str) -> Result<Duration, String> {
    crate::base::parse_duration(text).ok_or_else(|| NO_TIME.into())
}

const NO_TIME: &str = "it must be a time such as \"15m\" or \"30s\"";

/// A number of bytes, at least one: `1000`, `10MB`, `2GiB`.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim_end();
    let unit = match text.get(digits.len()..).unwrap_or_default().trim_start() {
        "" | "B" => Some(1),
        "kB" | "KB" => Some(1000),
        "MB" => Some(1_000_000),
        "GB" => Some(1_000_000_000),
        "TB" => Some(1_000_000_000_000),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        "TiB" => Some(1_u64 << 40),
        _ => None,
    };
    let number: Option<u64> = digits.parse().ok();
    let size = number.zip(unit).and_then(|(number, unit)| number.checked_mul(unit)).filter(|size| *size > 0);
    size.ok_or_else(|| "it must be a size such as \"2GiB\" or \"500MB\"".into())
}

pub(super) fn parse_path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("it must be a path".into()) } else { Ok(absolute(Path::new(text))) }
}

/// An address, a network such as 10.0.0.0/8, or `unix`: whoever can open a socket file.
pub(super) fn parse_peer(text: &str) -> Result<Peer, String> {
    if text == "unix" {
        return Ok(Peer::Unix);
    }
    let address: Option<IpNet> = text.parse::<IpAddr>().ok().map(IpNet::from);
    address
        .or_else(|| text.parse().ok())
        .map(Peer::Net)
        .ok_or_else(|| "it must be an address such as 10.0.0.7, a network such as 10.0.0.0/8, or \"unix\"".into())
}

/// `scheme://host[:port]`, as browsers write it in `Origin`.
pub(super) fn parse_origin(text: &str) -> Result<String, String> {
    let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
    url.map(|url| url.origin().ascii_serialization())
        .filter(|origin| origin == text)
        .ok_or_else(|| "it must be an origin such as https://player.example, without a path; `*` is not one".into())
}

/// Where players reach the server: an origin, and a path below it if there is one.
pub(super) fn parse_public_url(text: &str) -> Result<String, String> {
    let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
    url.filter(|url| {
        url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none()
    })
    .map(|url| url.as_str().trim_end_matches('/').to_owned())
    .ok_or_else(|| "it must be a URL such as https://recordings.example".into())
}

/// Relative paths start where the program was started.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
