//! Who asks: from a request to a [`Grant`], or to the reason why there is none.
//!
//! Three ways lead to one: a bearer token (`token`), a trusted peer's word (`proxy`), a signed link (`link`). Without
//! sign-in (`local_host`) everyone on this machine may do everything, and nobody from elsewhere anything; a token or
//! link that is shown all the same is checked and counts. What a grant allows is decided in [`crate::access`].

mod key_set;
mod link;
mod local_host;
mod local_key;
mod peer;
mod private_file;
#[cfg(test)]
mod tests;
mod token;
mod watched;

pub use link::{LinkMinter, MintError, Minted};
pub use local_key::{LocalKey, NewToken, SignedToken, TokenError};
pub use peer::TrustedPeer;
pub use private_file::Error as PrivateFileError;

use std::{borrow::Cow, path::PathBuf};

use hyper::{HeaderMap, Uri, header};

use super::{Problem, app::Peer, routes::Route};
use crate::access::{Credential, Grant, LinkError, RecordingSet, Refusal, Scope, Scopes, Subject};
use crate::base::{ErrorCode, RecordingId, Timestamp};
use token::Tokens;

/// What an operator decided about who may ask.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// How callers say who they are.
    pub mode: AuthMode,
    /// The identity provider whose tokens count, when there is one.
    pub provider: Option<ProviderSettings>,
    /// The Ed25519 key that signs local tokens; without the file none are accepted.
    pub token_key_file: PathBuf,
    /// The secrets that sign links.
    pub link_secrets_file: PathBuf,
    /// Whether a missing file of secrets is made when the first link is minted.
    pub may_make_link_secrets: bool,
    /// Peers that name the subject in a header, and that header.
    pub proxy_peers: Vec<TrustedPeer>,
    /// The header in which they do.
    pub subject_header: String,
    /// What a subject so named may do.
    pub proxy_scopes: Scopes,
    /// Peers that are believed when they say for whom they ask.
    pub trusted_proxies: Vec<TrustedPeer>,
}

/// How callers say who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    /// Everyone on this machine may do everything.
    None,
    /// By a bearer token.
    Token,
    /// A trusted peer says it in a header.
    Proxy,
}

/// An identity provider.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// Where its keys lie.
    pub keys: KeySetSource,
    /// What its tokens say in `iss`.
    pub issuer: String,
    /// One of these is in their `aud`.
    pub audience: Vec<String>,
}

/// Where a JWK set (RFC 7517) lies.
#[derive(Clone, Debug)]
pub enum KeySetSource {
    /// In a file.
    File(PathBuf),
    /// At an address.
    Url(Uri),
}

/// Knows callers.
pub struct Auth {
    settings: AuthSettings,
    tokens: Tokens,
    links: LinkMinter,
}

impl Auth {
    /// By these settings. Files are read when they are needed, and again when they change.
    ///
    /// # Errors
    ///
    /// A file that is there and cannot be used.
    pub fn new(settings: AuthSettings) -> Result<Self, PrivateFileError> {
        let tokens = Tokens::new(settings.token_key_file.clone(), settings.provider.clone())?;
        let links = LinkMinter::new(settings.link_secrets_file.clone(), settings.may_make_link_secrets)?;
        Ok(Self { settings, tokens, links })
    }

    /// Mints links.
    #[must_use]
    pub fn links(&self) -> &LinkMinter {
        &self.links
    }

    /// Who asks. Pages and probes that say nothing of recordings ask nobody, but for the rule of this machine.
    pub(super) async fn identify(
        &self,
        route: &Route,
        uri: &Uri,
        headers: &HeaderMap,
        peer: Peer,
        now: Timestamp,
    ) -> Result<Grant, Problem> {
        if self.settings.mode == AuthMode::None {
            local_host::check(uri, headers)?;
        }
        if !route.asks_who() {
            return Ok(Grant::nobody());
        }
        if let Some(id) = route.link_target()
            && let Some(link) = link_of(uri)
        {
            return self.by_link(&link, id, now);
        }
        if self.settings.mode == AuthMode::Proxy {
            return self.by_proxy(headers, peer);
        }
        match bearer(headers) {
            Ok(Some(token)) => Box::pin(self.tokens.verify(token, now)).await.map_err(refused_token_of),
            Ok(None) if self.settings.mode == AuthMode::None => Ok(Grant::everything()),
            Ok(None) => Err(Problem::new(ErrorCode::Unauthenticated).with_challenge(CHALLENGE)),
            Err(detail) => Err(refused_token(detail)),
        }
    }

    /// Who shows the bearer token of these headers, when there is one that counts. For `tests/hostile`, which have no
    /// connection.
    #[doc(hidden)]
    pub async fn bearer_of(&self, headers: &HeaderMap, now: Timestamp) -> Result<Option<Grant>, &'static str> {
        match bearer(headers)? {
            Some(token) => self.tokens.verify(token, now).await.map(Some).map_err(token::Error::detail),
            None => Ok(None),
        }
    }

    /// The header in which trusted peers name the subject.
    pub(super) fn subject_header(&self) -> &str {
        &self.settings.subject_header
    }

    /// The address that a request came from, as trusted peers tell it, or else `direct`: the peer's own.
    pub(super) fn client<'a>(&self, headers: &HeaderMap, peer: Peer, direct: &'a str) -> Cow<'a, str> {
        peer::client(headers, peer, direct.into(), &self.settings.trusted_proxies)
    }

    fn by_link(&self, link: &str, id: &RecordingId, now: Timestamp) -> Result<Grant, Problem> {
        let link = self.links.verify(link, id, now).map_err(|error| match error {
            LinkError::Expired => Problem::new(ErrorCode::LinkExpired),
            LinkError::NotAuthentic => Problem::new(ErrorCode::Forbidden)
                .with_detail("The link is not one that was signed here for this recording."),
        })?;
        Ok(Grant {
            subject: link.subject,
            credential: Credential::Link { minted_by: link.minted_by },
            scopes: [Scope::Play].into_iter().collect(),
            recordings: RecordingSet::Listed(vec![id.to_string()]),
            expires_at: Some(link.expires_at),
        })
    }

    fn by_proxy(&self, headers: &HeaderMap, peer: Peer) -> Result<Grant, Problem> {
        let refused = |detail| Problem::new(ErrorCode::Unauthenticated).with_detail(detail).with_challenge(CHALLENGE);
        if !peer::is_trusted(peer, &self.settings.proxy_peers) {
            return Err(refused(
                "Requests are answered only when they come through the sign-in in front of this server.",
            ));
        }
        let mut values = headers.get_all(self.settings.subject_header.as_str()).iter();
        let subject = match (values.next(), values.next()) {
            (Some(value), None) => core::str::from_utf8(value.as_bytes()).ok().and_then(|text| text.parse().ok()),
            _ => None,
        };
        let subject: Subject = subject.ok_or_else(|| refused("The sign-in in front of this server named nobody."))?;
        Ok(Grant {
            subject,
            credential: Credential::Proxy,
            scopes: self.settings.proxy_scopes,
            recordings: RecordingSet::All,
            expires_at: None,
        })
    }
}

/// What a refusal of a grant is as an answer. Whoever may not know of a recording is told that there is none.
pub(super) fn refused(refusal: Refusal, id: Option<&RecordingId>) -> Problem {
    match refusal {
        Refusal::Scope => Problem::new(ErrorCode::Forbidden).with_challenge(CHALLENGE_SCOPE),
        Refusal::Unknown => {
            let problem = Problem::new(ErrorCode::RecordingNotFound);
            id.map_or(problem.clone(), |id| problem.of_recording(id.clone()))
        }
    }
}

fn refused_token_of(error: token::Error) -> Problem {
    match error {
        // Nothing against the token: time may help.
        token::Error::KeysUnavailable => Problem::new(ErrorCode::Overloaded).with_detail(error.detail()),
        error => refused_token(error.detail()),
    }
}

fn refused_token(detail: &'static str) -> Problem {
    Problem::new(ErrorCode::Unauthenticated).with_detail(detail).with_challenge(CHALLENGE_TOKEN)
}

/// What stands behind `Bearer` in the one `Authorization` header (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, &'static str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err("The request says twice who sends it.");
    }
    let token = value.to_str().ok().and_then(|text| text.split_once(' '));
    match token {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim_matches(' '))),
        _ => Err("The header Authorization must be `Bearer` and a token."),
    }
}

/// The parameter `link`; several are none that was signed here.
pub(super) fn link_of(uri: &Uri) -> Option<String> {
    let query = uri.query()?.as_bytes();
    let mut links = url::form_urlencoded::parse(query).filter(|(name, _)| name == "link").map(|(_, link)| link);
    let first = links.next()?;
    Some(if links.next().is_some() { String::new() } else { first.into_owned() })
}

/// RFC 6750, section 3.
const CHALLENGE: &str = "Bearer realm=\"sealtape\"";
const CHALLENGE_TOKEN: &str = "Bearer realm=\"sealtape\", error=\"invalid_token\"";
const CHALLENGE_SCOPE: &str = "Bearer realm=\"sealtape\", error=\"insufficient_scope\"";
