//! Validated settings of where the definition key is held.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use super::{
    Error,
    keys::Values,
    parse::{parse_duration, parse_path},
};

/// NIST SP 800-57 part 1 (table 1) has symmetric keys that wrap used for two years at most.
const MAX_AGE_DEFAULT: Duration = Duration::from_secs(2 * 365 * 24 * 60 * 60);
/// A start, and a new key, wait no longer for a key manager.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// What the key is called in a key manager or in a token.
const NAME_DEFAULT: &str = "sealtape-definition-key";

/// Where the definition key is held. Settings of other kinds may stand beside those of the kind in use, for a move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionKeySettings {
    /// The kind in use.
    pub kind: DefinitionKeyKind,
    /// Of the kind `file`: the file.
    pub path: PathBuf,
    /// Of the kind `embedded`: whether a server may use it that other machines can reach.
    pub allow_embedded: bool,
    /// How old it may become before its age is warned of.
    pub max_age: Duration,
    /// Of the kind `kmip`; always there when that is in use.
    pub kmip: Option<KmipSettings>,
    /// Of the kind `pkcs11`; always there when that is in use.
    pub pkcs11: Option<Pkcs11Settings>,
}

/// A kind of holder of the definition key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefinitionKeyKind {
    /// A file.
    File,
    /// The program itself, and so no secret.
    Embedded,
    /// A key manager that speaks KMIP.
    Kmip,
    /// A token behind a PKCS#11 module.
    Pkcs11,
}

/// A key manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KmipSettings {
    /// `HOST:PORT`, tried in this order.
    pub endpoints: Vec<String>,
    /// The certificates of authorities that the key manager's own may be signed by.
    pub ca: PathBuf,
    /// The certificate that this client shows.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The key's unique identifier; none when it is found by its name.
    pub id: Option<String>,
    /// The key's name.
    pub name: String,
    /// Who wraps database keys.
    pub mode: KmipMode,
    /// How long it may take.
    pub timeout: Duration,
}

/// Who wraps database keys where the definition key lies in a key manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KmipMode {
    /// The key manager.
    Encrypt,
    /// This program, by the key that it fetches.
    Get,
}

/// A token behind a PKCS#11 module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pkcs11Settings {
    /// The vendor's library.
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
    /// The key's label.
    pub label: String,
    /// The file with the PIN of the token's user; none where the token asks for it itself.
    pub pin_file: Option<PathBuf>,
    /// Who makes nonces.
    pub nonce: NonceMaker,
    /// How long it may take.
    pub timeout: Duration,
}

/// Who makes the nonces of AES-GCM where a token wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceMaker {
    /// This machine.
    Host,
    /// The token.
    Token,
}

impl DefinitionKeySettings {
    pub(super) fn validate(values: &Values, folder: &Path) -> Result<Self, Error> {
        let kind = values.parse("definition_key.kind", || DefinitionKeyKind::File, str::parse)?;
        Ok(Self {
            kind,
            path: values.parse("definition_key.path", || folder.join("definition.key"), parse_path)?,
            allow_embedded: values.flag("definition_key.allow_embedded", false),
            max_age: values.parse("definition_key.max_age", || MAX_AGE_DEFAULT, parse_duration)?,
            kmip: KmipSettings::validate(values, kind == DefinitionKeyKind::Kmip)?,
            pkcs11: Pkcs11Settings::validate(values, kind == DefinitionKeyKind::Pkcs11)?,
        })
    }
}

impl DefinitionKeySettings {
    /// Whether the key in use is found where it lies by a name, so that a next one is too.
    #[must_use]
    pub fn is_named(&self) -> bool {
        match self.kind {
            DefinitionKeyKind::File | DefinitionKeyKind::Pkcs11 => true,
            DefinitionKeyKind::Embedded => false,
            DefinitionKeyKind::Kmip => self.kmip.as_ref().is_some_and(|kmip| kmip.id.is_none()),
        }
    }
}

impl KmipSettings {
    fn validate(values: &Values, is_in_use: bool) -> Result<Option<Self>, Error> {
        if !is_in_use && !values.has_section("definition_key.kmip.") {
            return Ok(None);
        }
        let endpoints = values.list("definition_key.kmip.endpoints", parse_endpoint)?;
        if endpoints.is_empty() {
            let reason = "it must name the key manager, such as [\"keys.example:5696\"]";
            return Err(values.bad("definition_key.kmip.endpoints", reason));
        }
        let file = |key: &str, what: &str| {
            let path = values.parse(key, || None, |text| parse_path(text).map(Some))?;
            path.ok_or_else(|| values.bad(key, &format!("it must be the file with {what}, in PEM")))
        };
        let mode = |text: &str| match text {
            "encrypt" => Ok(KmipMode::Encrypt),
            "get" => Ok(KmipMode::Get),
            _ => Err("it must be \"encrypt\" (the key stays there) or \"get\" (it is fetched)".into()),
        };
        Ok(Some(Self {
            endpoints,
            ca: file("definition_key.kmip.ca", "the certificate of the key manager's authority")?,
            cert: file("definition_key.kmip.cert", "the certificate of this client")?,
            key: file("definition_key.kmip.key", "the key of that certificate")?,
            id: values.parse("definition_key.kmip.id", || None, |text| parse_name(text).map(Some))?,
            name: values.parse("definition_key.kmip.name", || NAME_DEFAULT.to_owned(), parse_name)?,
            mode: values.parse("definition_key.kmip.mode", || KmipMode::Encrypt, mode)?,
            timeout: values.parse("definition_key.kmip.timeout", || TIMEOUT_DEFAULT, parse_duration)?,
        }))
    }
}

impl Pkcs11Settings {
    fn validate(values: &Values, is_in_use: bool) -> Result<Option<Self>, Error> {
        if !is_in_use && !values.has_section("definition_key.pkcs11.") {
            return Ok(None);
        }
        let module = values.parse("definition_key.pkcs11.module", || None, |text| parse_path(text).map(Some))?;
        let no_module = || values.bad("definition_key.pkcs11.module", "it must be the vendor's library, a .so file");
        let module = module.ok_or_else(no_module)?;
        let token = values.parse("definition_key.pkcs11.token", || None, |text| parse_name(text).map(Some))?;
        let no_token = || values.bad("definition_key.pkcs11.token", "it must be the label of the token");
        let nonce = |text: &str| match text {
            "host" => Ok(NonceMaker::Host),
            "token" => Ok(NonceMaker::Token),
            _ => Err("it must be \"host\" or \"token\"".into()),
        };
        Ok(Some(Self {
            module,
            token: token.ok_or_else(no_token)?,
            label: values.parse("definition_key.pkcs11.label", || NAME_DEFAULT.to_owned(), parse_name)?,
            pin_file: values.parse("definition_key.pkcs11.pin_file", || None, |text| parse_path(text).map(Some))?,
            nonce: values.parse("definition_key.pkcs11.nonce", || NonceMaker::Host, nonce)?,
            timeout: values.parse("definition_key.pkcs11.timeout", || TIMEOUT_DEFAULT, parse_duration)?,
        }))
    }
}

impl DefinitionKeyKind {
    /// As settings and `--json` write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Embedded => "embedded",
            Self::Kmip => "kmip",
            Self::Pkcs11 => "pkcs11",
        }
    }
}

impl FromStr for DefinitionKeyKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "file" => Ok(Self::File),
            "embedded" => Ok(Self::Embedded),
            "kmip" => Ok(Self::Kmip),
            "pkcs11" => Ok(Self::Pkcs11),
            _ => Err("it must be \"file\", \"embedded\", \"kmip\" or \"pkcs11\"".into()),
        }
    }
}

/// `HOST`, `HOST:PORT` or `[ADDRESS]:PORT`.
fn parse_endpoint(text: &str) -> Result<String, String> {
    let rest = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) if address.parse::<std::net::Ipv6Addr>().is_ok() => Some(rest),
        Some(_) => None,
        None => {
            let (host, _) = text.split_once(':').unwrap_or((text, ""));
            let is_host = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || "/[]@".contains(c));
            is_host.then(|| text.get(host.len()..).unwrap_or_default())
        }
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    match rest {
        Some("") => Ok(text.to_owned()),
        Some(rest) if rest.strip_prefix(':').is_some_and(is_port) => Ok(text.to_owned()),
        _ => Err("it must be a host and a port, such as keys.example:5696".into()),
    }
}

fn parse_name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        Err("it must be a name".into())
    } else {
        Ok(text.to_owned())
    }
}
