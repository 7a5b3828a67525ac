//! Local tokens: signed here by an Ed25519 key, for systems without an identity provider.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{
    private_file::{self, Error},
    token::TrustedKey,
};
use crate::access::{Scope, Subject};
use crate::base::Timestamp;
use crate::crypto::{generate_signing_key, random, signing_key_public};

/// What local tokens say in `iss` and `aud`.
pub(super) const LOCAL: &str = "sealtape";

/// The key that signs local tokens: a file in PEM, as `openssl genpkey -algorithm ed25519` makes it.
pub struct LocalKey {
    kid: String,
    encoding: EncodingKey,
    public: [u8; 32],
}

/// What a local token is to say.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Who may.
    pub subject: Subject,
    /// What.
    pub scopes: Vec<Scope>,
    /// With which recordings: IDs, and prefixes that end in `*`; all without.
    pub recordings: Option<Vec<String>>,
    /// For how long.
    pub ttl: Duration,
}

/// A token that was signed.
#[derive(Clone, Debug)]
pub struct SignedToken {
    /// The token: whoever has it may do what it says.
    pub token: String,
    /// Its public name, for the record.
    pub id: String,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

/// Why a token was not signed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TokenError {
    /// The machine: no random numbers, or the library refused.
    #[error("the token cannot be signed")]
    Signing,
    /// The operator: the key.
    #[error(transparent)]
    Key(#[from] Error),
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'static str,
    aud: &'static str,
    sub: &'a str,
    jti: &'a str,
    iat: u64,
    exp: u64,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    recordings: Option<&'a [String]>,
}

impl LocalKey {
    /// Reads the key in `path`; a missing one is made if `may_make` says so.
    ///
    /// # Errors
    ///
    /// It cannot be read or made.
    pub fn read_or_make(path: &Path, may_make: bool) -> Result<Self, Error> {
        if !path.exists() {
            if !may_make {
                return Err(Error::Missing {
                    path: PathBuf::from(path),
                    way_out: "make one there: `(umask 077; openssl genpkey -algorithm ed25519 -out FILE)`",
                });
            }
            let der = generate_signing_key().map_err(|error| Error::content(path, error))?;
            let body = Zeroizing::new(STANDARD.encode(&*der));
            let pem =
                Zeroizing::new(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", body.as_str()));
            private_file::create(path, &pem)?;
        }
        Self::read(path)
    }

    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let wrong = || Error::content(path, "it is not an Ed25519 private key, PKCS#8 in PEM");
        let pem = private_file::read(path)?;
        let body = pem.split_once("-----BEGIN PRIVATE KEY-----").and_then(|(_, rest)| rest.split_once("-----END"));
        let body = Zeroizing::new(body.ok_or_else(wrong)?.0.split_whitespace().collect::<String>());
        let der = Zeroizing::new(STANDARD.decode(body.as_bytes()).map_err(|_| wrong())?);
        let (public, kid) = signing_key_public(&der).map_err(|_| wrong())?;
        Ok(Self { kid, encoding: EncodingKey::from_ed_der(&der), public })
    }

    /// Signs a token.
    ///
    /// # Errors
    ///
    /// [`TokenError::Signing`].
    pub fn sign(&self, new: &NewToken, now: Timestamp) -> Result<SignedToken, TokenError> {
        let id = hex::encode(random::<8>().map_err(|_| TokenError::Signing)?);
        let exp = now.seconds().saturating_add(new.ttl.as_secs().max(1));
        let expires_at = Timestamp::from_millis(exp.saturating_mul(1000)).ok_or(TokenError::Signing)?;
        let scope = new.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ");
        let claims = Claims {
            iss: LOCAL,
            aud: LOCAL,
            sub: new.subject.as_str(),
            jti: &id,
            iat: now.seconds(),
            exp,
            scope,
            recordings: new.recordings.as_deref(),
        };
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        let token = jsonwebtoken::encode(&header, &claims, &self.encoding).map_err(|_| TokenError::Signing)?;
        Ok(SignedToken { token, id, expires_at })
    }

    /// What its tokens are verified by.
    pub(super) fn trusted(&self) -> TrustedKey {
        TrustedKey {
            kid: Some(self.kid.clone()),
            algorithm: Algorithm::EdDSA,
            key: DecodingKey::from_ed_der(&self.public),
        }
    }
}

impl core::fmt::Debug for LocalKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "LocalKey({}, redacted)", self.kid)
    }
}
