//! Bearer tokens: JWTs (RFC 7519) signed by the local key or by the identity provider.
//!
//! A key is good for one algorithm, decided when the key is read and never by a token, and its tokens must name the
//! issuer and audience that belong to that key. Symmetric algorithms and `none` do not exist here.

use std::path::PathBuf;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, errors::ErrorKind};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{
    ProviderSettings,
    key_set::KeySet,
    local_key::{LOCAL, LocalKey},
    private_file,
    watched::Watched,
};
use crate::access::{Credential, Grant, RecordingSet, Scopes};
use crate::base::Timestamp;

/// Longer than any token that makes sense.
const LEN_MAX: usize = 8 * 1024;
/// How far a clock that said "not before" may be ahead of ours, in seconds.
const NOT_BEFORE_LEEWAY: f64 = 5.0;
/// How many keys are tried when a token does not say which.
const TRIES_MAX: usize = 16;

/// A key whose tokens count.
#[derive(Clone)]
pub(super) struct TrustedKey {
    pub kid: Option<String>,
    pub algorithm: Algorithm,
    pub key: DecodingKey,
}

/// Verifies tokens.
pub(super) struct Tokens {
    local: Watched<LocalKey>,
    provider: Option<Provider>,
}

struct Provider {
    keys: KeySet,
    issuer: String,
    audience: Vec<String>,
}

/// Why a token does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Error {
    Malformed,
    NotTrusted,
    Expired,
    NotYet,
    NotForUs,
    KeysUnavailable,
}

impl Error {
    /// For whoever showed it.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Malformed => "The token cannot be read.",
            Self::NotTrusted => "The token is not signed by a key that is trusted here.",
            Self::Expired => "The token has expired.",
            Self::NotYet => "The token is not good yet.",
            Self::NotForUs => "The token was issued by somebody else, or for another service.",
            Self::KeysUnavailable => "The identity provider's keys cannot be fetched at the moment. Try again shortly.",
        }
    }
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(default)]
    scope: Option<String>,
    #[serde(default, deserialize_with = "present")]
    recordings: Option<Value>,
}

/// A claim that is there, whatever it is: null is not the same as none.
fn present<'de, D: Deserializer<'de>>(claim: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(claim).map(Some)
}

impl Tokens {
    pub fn new(token_key_file: PathBuf, provider: Option<ProviderSettings>) -> Result<Self, private_file::Error> {
        let local = Watched::new(token_key_file, LocalKey::read)?;
        let provider = match provider {
            Some(ProviderSettings { keys, issuer, audience }) => {
                Some(Provider { keys: KeySet::new(keys)?, issuer, audience })
            }
            None => None,
        };
        Ok(Self { local, provider })
    }

    /// Who showed the token, and what it lets them do.
    pub async fn verify(&self, token: &str, now: Timestamp) -> Result<Grant, Error> {
        if token.len() > LEN_MAX {
            return Err(Error::Malformed);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|error| match error.kind() {
            // An algorithm that the library does not know at all.
            ErrorKind::Json(_) | ErrorKind::InvalidAlgorithmName => Error::NotTrusted,
            _ => Error::Malformed,
        })?;
        // Extensions that must be understood are not understood (RFC 7515, section 4.1.11).
        if header.crit.is_some() {
            return Err(Error::NotTrusted);
        }
        let local = self.local.value().map(|key| key.trusted());
        if let Some(local) = local.filter(|local| fits(local, &header)) {
            match check(token, &local, LOCAL, &[LOCAL.to_owned()]) {
                // One that names no key may be the provider's.
                Err(Error::NotTrusted) if header.kid.is_none() => {}
                checked => return grant(checked?, now),
            }
        }
        let Some(provider) = &self.provider else { return Err(Error::NotTrusted) };
        let keys = provider.keys.find(|key| fits(key, &header)).await.map_err(|()| Error::KeysUnavailable)?;
        let mut outcome = Err(Error::NotTrusted);
        for key in keys.iter().take(TRIES_MAX) {
            outcome = check(token, key, &provider.issuer, &provider.audience);
            if !matches!(outcome, Err(Error::NotTrusted)) {
                break;
            }
        }
        grant(outcome?, now)
    }
}

/// Whether a key may have signed a token with that header: of its algorithm, and of its name if the token says one.
fn fits(key: &TrustedKey, header: &Header) -> bool {
    key.algorithm == header.alg && header.kid.as_ref().is_none_or(|kid| key.kid.as_ref() == Some(kid))
}

fn check(token: &str, key: &TrustedKey, issuer: &str, audience: &[String]) -> Result<Claims, Error> {
    let mut validation = Validation::new(key.algorithm);
    // By the clock that is passed in, and only by that: see `grant`.
    validation.validate_exp = false;
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.set_issuer(&[issuer]);
    validation.set_audience(audience);
    match jsonwebtoken::decode::<Claims>(token, &key.key, &validation) {
        Ok(data) if is_json(token) => Ok(data.claims),
        Ok(_) => Err(Error::Malformed),
        Err(error) => Err(match error.kind() {
            // Of an issuer or an audience: without the others they would not have been read as claims at all.
            ErrorKind::InvalidIssuer | ErrorKind::InvalidAudience | ErrorKind::MissingRequiredClaim(_) => {
                Error::NotForUs
            }
            ErrorKind::InvalidSignature
            | ErrorKind::InvalidAlgorithm
            | ErrorKind::InvalidKeyFormat
            | ErrorKind::InvalidEcdsaKey => Error::NotTrusted,
            _ => Error::Malformed,
        }),
    }
}

/// Whether header and claims are JSON throughout. Whoever takes out of them what it needs passes over the rest, and misses
/// text there that is no UTF-8 (RFC 8259, section 8.1), or numbers beyond all range.
fn is_json(token: &str) -> bool {
    let is_json = |part| {
        let read = URL_SAFE_NO_PAD.decode(part).map(|json| serde_json::from_slice::<Value>(&json));
        matches!(read, Ok(Ok(_)))
    };
    token.split('.').take(2).all(is_json)
}

fn grant(claims: Claims, now: Timestamp) -> Result<Grant, Error> {
    let now = Seconds::of(now);
    if claims.exp <= now.0 {
        return Err(Error::Expired);
    }
    if claims.nbf.is_some_and(|nbf| nbf > now.0 + NOT_BEFORE_LEEWAY) {
        return Err(Error::NotYet);
    }
    let recordings = match claims.recordings {
        None => RecordingSet::All,
        // A limit that cannot be read, null among such, must not be taken for none.
        Some(value) => RecordingSet::Listed(serde_json::from_value(value).map_err(|_| Error::Malformed)?),
    };
    Ok(Grant {
        subject: claims.sub.parse().map_err(|()| Error::Malformed)?,
        credential: Credential::Token,
        scopes: Scopes::of_claim(claims.scope.as_deref().unwrap_or_default()),
        recordings,
        expires_at: Some(Seconds(claims.exp).timestamp()),
    })
}

/// Seconds since 1970, with fractions, as JWTs write times (RFC 7519, section 2, NumericDate).
struct Seconds(f64);

impl Seconds {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds up to the year 9999 are exact in 53 bits")]
    fn of(time: Timestamp) -> Self {
        Self(time.millis() as f64 / 1000.0)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and what is past the year 9999 is cut to it"
    )]
    fn timestamp(&self) -> Timestamp {
        Timestamp::from_millis((self.0 * 1000.0) as u64).unwrap_or(Timestamp::MAX)
    }
}
