//! Who may listen, from settings to what the HTTP face needs.

use std::path::Path;

use super::Failure;
use crate::access::{Scope, Scopes};
use crate::config::{self, Peer, Settings};
use crate::http::{AuthMode, AuthSettings, KeySetSource, PrivateFileError, ProviderSettings, TrustedPeer};

/// What the settings say of sign-in.
pub(super) fn auth_settings(settings: &Settings) -> Result<AuthSettings, Failure> {
    let auth = &settings.auth;
    let peers = |peers: &[Peer]| peers.iter().copied().map(trusted_peer).collect();
    let keys = match &auth.jwks {
        Some(config::Jwks::File(path)) => Some(KeySetSource::File(path.clone())),
        Some(config::Jwks::Url(url)) => {
            let uri = url.parse().map_err(|error| Failure::new(format!("auth.jwks: {url}: {error}")))?;
            Some(KeySetSource::Url(uri))
        }
        None => None,
    };
    let issuer = auth.issuer.clone().unwrap_or_default();
    Ok(AuthSettings {
        mode: match auth.mode {
            config::AuthMode::None => AuthMode::None,
            config::AuthMode::Token => AuthMode::Token,
            config::AuthMode::Proxy => AuthMode::Proxy,
        },
        provider: keys.map(|keys| ProviderSettings { keys, issuer, audience: auth.audience.clone() }),
        token_key_file: auth.token_key_file.clone(),
        link_secrets_file: auth.link_secrets_file.clone(),
        may_make_link_secrets: may_make(settings, &auth.link_secrets_file),
        proxy_peers: peers(&auth.proxy_peers),
        subject_header: auth.subject_header.clone(),
        proxy_scopes: proxy_scopes(&auth.proxy_scopes)?,
        trusted_proxies: peers(&settings.server.trusted_proxies),
    })
}

/// Whether a key or secret in `path` is made when it is missing: only in the one-machine default, where nobody else
/// could be meant to have the same.
pub(super) fn may_make(settings: &Settings, path: &Path) -> bool {
    settings.data_dir.as_ref().is_some_and(|folder| path.parent() == Some(folder.as_path()))
}

fn trusted_peer(peer: Peer) -> TrustedPeer {
    match peer {
        Peer::Net(net) => TrustedPeer::Net(net),
        Peer::Unix => TrustedPeer::Unix,
    }
}

/// Listing and playing, unless settings say otherwise.
fn proxy_scopes(names: &[String]) -> Result<Scopes, Failure> {
    if names.is_empty() {
        return Ok([Scope::List, Scope::Play].into_iter().collect());
    }
    let read = |name: &String| {
        let known = Scope::ALL.map(Scope::as_str).join(", ");
        name.parse::<Scope>().map_err(|()| {
            Failure::new(format!("auth.proxy.scopes: there is no scope `{name}`")).advise(format!("there are {known}"))
        })
    };
    names.iter().map(read).collect()
}

impl From<PrivateFileError> for Failure {
    fn from(error: PrivateFileError) -> Self {
        let advice = error.advice();
        Self::new(error).advise(advice)
    }
}
