//! Validated settings of who may listen, and of the record of who did.

use std::path::{Path, PathBuf};

use super::{
    Error, Peer,
    keys::Values,
    parse::{parse_path, parse_peer},
};

const SUBJECT_HEADER_DEFAULT: &str = "X-Remote-User";

/// Who may listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthSettings {
    /// How callers say who they are.
    pub mode: AuthMode,
    /// Where the keys lie that an identity provider signs with.
    pub jwks: Option<Jwks>,
    /// What tokens of the identity provider must say in `iss`.
    pub issuer: Option<String>,
    /// One of these must be in a token's `aud`.
    pub audience: Vec<String>,
    /// The Ed25519 key that signs local tokens, PKCS#8 in PEM.
    pub token_key_file: PathBuf,
    /// The secrets that sign links, one a line, the first signs.
    pub link_secrets_file: PathBuf,
    /// Peers that name the subject in a header.
    pub proxy_peers: Vec<Peer>,
    /// The header in which they do.
    pub subject_header: String,
    /// What a subject so named may do, as scopes are written in tokens.
    pub proxy_scopes: Vec<String>,
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

/// Where a key set lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Jwks {
    /// In a file.
    File(PathBuf),
    /// At an address.
    Url(String),
}

/// The playback record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// The folder that holds it.
    pub path: PathBuf,
    /// What becomes of a playback that cannot be recorded.
    pub on_failure: AuditFailure,
    /// What this proxy is called in its lines; none where it goes by its host's name.
    pub instance: Option<String>,
}

/// What becomes of a playback that cannot be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditFailure {
    /// It is refused.
    Refuse,
    /// It goes on, and the loss is counted.
    Continue,
}

impl AuthSettings {
    pub(super) fn validate(values: &Values, folder: &Path) -> Result<Self, Error> {
        let mode = values.parse(
            "auth.mode",
            || AuthMode::None,
            |mode| match mode {
                "none" => Ok(AuthMode::None),
                "token" => Ok(AuthMode::Token),
                "proxy" => Ok(AuthMode::Proxy),
                _ => Err("it must be \"none\", \"token\" or \"proxy\"".into()),
            },
        )?;
        let text = |text: &str| if text.is_empty() { Err("it is empty".into()) } else { Ok(text.to_owned()) };
        let settings = Self {
            mode,
            jwks: values.parse("auth.jwks", || None, |text| parse_jwks(text).map(Some))?,
            issuer: values.parse("auth.issuer", || None, |issuer| text(issuer).map(Some))?,
            audience: values.list("auth.audience", text)?,
            token_key_file: values.parse("auth.token_key_file", || folder.join("token.key"), parse_path)?,
            link_secrets_file: values.parse("auth.link_secrets_file", || folder.join("link.secrets"), parse_path)?,
            proxy_peers: values.list("auth.proxy.peers", parse_peer)?,
            subject_header: values.parse(
                "auth.proxy.subject_header",
                || SUBJECT_HEADER_DEFAULT.to_owned(),
                parse_header_name,
            )?,
            proxy_scopes: values.list("auth.proxy.scopes", text)?,
        };
        // A key set says who signed, and neither for whom nor for what: both must be asked.
        if settings.jwks.is_some() && (settings.issuer.is_none() || settings.audience.is_empty()) {
            return Err(values.bad("auth.jwks", "it needs auth.issuer and auth.audience beside it"));
        }
        if mode == AuthMode::Proxy && settings.proxy_peers.is_empty() {
            return Err(values.bad("auth.mode", "with \"proxy\", auth.proxy.peers must say which peers are trusted"));
        }
        Ok(settings)
    }
}

impl AuditSettings {
    pub(super) fn validate(values: &Values, folder: &Path) -> Result<Self, Error> {
        Ok(Self {
            path: values.parse("audit.path", || folder.join("audit"), parse_path)?,
            on_failure: values.parse(
                "audit.on_failure",
                || AuditFailure::Refuse,
                |text| match text {
                    "refuse" => Ok(AuditFailure::Refuse),
                    "continue" => Ok(AuditFailure::Continue),
                    _ => Err("it must be \"refuse\" or \"continue\"".into()),
                },
            )?,
            instance: values.parse("audit.instance", || None, |text| parse_instance(text).map(Some))?,
        })
    }
}

/// A path, or an address: over plain HTTP only on this machine, because whoever could change a key set on its way
/// could sign tokens.
fn parse_jwks(text: &str) -> Result<Jwks, String> {
    let is_url = text.starts_with("http://") || text.starts_with("https://");
    if is_url {
        let url = url::Url::parse(text).map_err(|error| error.to_string())?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a key set is public: its address names no user".into());
        }
        let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if url.scheme() == "http" && !is_here {
            return Err("a key set from another machine must come over https".into());
        }
        return Ok(Jwks::Url(text.to_owned()));
    }
    parse_path(text.strip_prefix("file://").unwrap_or(text)).map(Jwks::File)
}

fn parse_instance(text: &str) -> Result<String, String> {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if text.is_empty() || text.len() > 64 || !text.bytes().all(is_of_name) {
        return Err("it must be a name of 1 to 64 characters of A-Z a-z 0-9 . _ -".into());
    }
    Ok(text.to_owned())
}

fn parse_header_name(text: &str) -> Result<String, String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.is_empty() || !text.bytes().all(is_token) {
        return Err("it must be the name of a header".into());
    }
    if ["authorization", "host", "cookie"].contains(&text.to_ascii_lowercase().as_str()) {
        return Err("this header says something else".into());
    }
    Ok(text.to_owned())
}
