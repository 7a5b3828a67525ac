//! Why a token does not give, make or use a definition key.

use std::{path::PathBuf, time::Duration};

use crate::crypto;
use crate::kms::private_file::FileError;

/// Why a definition key in a PKCS#11 token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Pkcs11Error {
    /// The operator: the module is not one, or is not there.
    #[error("{}: this PKCS#11 module cannot be used: {reason}", module.display())]
    Module {
        /// The module.
        module: PathBuf,
        /// Why.
        reason: String,
    },
    /// The operator: no token of that label.
    #[error("{}: there is no token `{token}` ({})", module.display(), listed(found))]
    NoToken {
        /// What was looked for.
        token: String,
        /// Where.
        module: PathBuf,
        /// The labels of those that are there.
        found: Vec<String>,
    },
    /// The operator: several tokens of that label.
    #[error("{}: several tokens are called `{token}`", module.display())]
    SeveralTokens {
        /// What was looked for.
        token: String,
        /// Where.
        module: PathBuf,
    },
    /// The operator: no key of that label, or one that this user of the token may not see.
    #[error("token `{token}`: there is no secret key `{label}`")]
    NoKey {
        /// The token.
        token: String,
        /// The key's label.
        label: String,
    },
    /// The operator: it cannot be told which one is meant.
    #[error("token `{token}`: several secret keys are called `{label}`")]
    SeveralKeys {
        /// The token.
        token: String,
        /// Their label.
        label: String,
    },
    /// The operator: generating must not hide a key.
    #[error("token `{token}`: a secret key `{label}` is there already")]
    Exists {
        /// The token.
        token: String,
        /// The key's label.
        label: String,
    },
    /// The operator: another kind of key.
    #[error("token `{token}`: the key `{label}` is not one for AES-256")]
    OtherKind {
        /// The token.
        token: String,
        /// The key's label.
        label: String,
    },
    /// The operator: rows would name it by its label, which changes.
    #[error("token `{token}`: the key `{label}` has no CKA_ID, by which rows would find it under another label")]
    NoId {
        /// The token.
        token: String,
        /// The key's label.
        label: String,
    },
    /// The operator: the key may not encrypt or decrypt.
    #[error("token `{token}`: the key may not be used to encrypt and decrypt ({code})")]
    NotPermitted {
        /// The token.
        token: String,
        /// What the module says.
        code: String,
    },
    /// The operator: a token that cannot do it.
    #[error("token `{token}`: it does not do AES-GCM ({code})")]
    NoGcm {
        /// The token.
        token: String,
        /// What the module says.
        code: String,
    },
    /// The operator: the file of the PIN.
    #[error(transparent)]
    PinFile(#[from] FileError),
    /// The operator: a wrong PIN.
    #[error("token `{token}`: it refuses the PIN ({code})")]
    PinRefused {
        /// The token.
        token: String,
        /// What the module says.
        code: String,
    },
    /// The operator: the same wrong PIN still, which is not tried again, for tokens lock themselves.
    #[error("token `{token}`: it refused this PIN before, and the PIN is not tried again lest the token lock itself")]
    PinRefusedBefore {
        /// The token.
        token: String,
    },
    /// Whoever runs the token: too many wrong PINs.
    #[error("token `{token}`: it is locked after wrong PINs")]
    PinLocked {
        /// The token.
        token: String,
    },
    /// The operator: who makes the nonces is set otherwise than the token does it.
    #[error("token `{token}`: {what}")]
    Nonce {
        /// The token.
        token: String,
        /// What it did.
        what: String,
        /// What can be done about it.
        advice: &'static str,
    },
    /// Whoever runs the token: rows could be changed unnoticed.
    #[error("token `{token}`: it does not heed associated data: what it wrapped for one row it unwraps for another")]
    NotBound {
        /// The token.
        token: String,
    },
    /// Whoever runs the token: the module does not come back.
    #[error(
        "{}: this PKCS#11 module does not answer within {waited:?}; what was asked of it is waited for by thread `{thread}` alone",
        module.display()
    )]
    Slow {
        /// The module.
        module: PathBuf,
        /// How long it was waited for.
        waited: Duration,
        /// The thread that is in it.
        thread: String,
    },
    /// Whoever runs the token: anything else that the module says.
    #[error("token `{token}`: {function} failed: {code}")]
    Failed {
        /// The token.
        token: String,
        /// What was asked.
        function: String,
        /// What the module says.
        code: String,
        /// Whether what is known of the token may be out of date.
        may_be_stale: bool,
    },
    /// The operator's machine gives no random numbers.
    #[error(transparent)]
    NoRandom(#[from] crypto::Error),
}

impl Pkcs11Error {
    /// What the operator can do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Module { .. } => {
                "see that definition_key.pkcs11.module names the vendor's library, and that what it needs is installed"
                    .into()
            }
            Self::NoToken { .. } => {
                "see that the token is there, and that definition_key.pkcs11.token is its label".into()
            }
            Self::SeveralTokens { .. } => "give them different labels, or leave one of them in sight".into(),
            Self::NoKey { .. } => {
                "see that definition_key.pkcs11.label is its label and that this user may see it; where no database key was ever wrapped by one, `sealtape definition-key generate` makes it".into()
            }
            Self::SeveralKeys { .. } => {
                "give the one that is not meant another label with the vendor's tool; do not delete it before you know what it wraps".into()
            }
            Self::Exists { .. } => "nothing was changed; a definition key is never overwritten".into(),
            Self::OtherKind { .. } => {
                "name an AES key of 256 bits in definition_key.pkcs11.label, or generate one".into()
            }
            Self::NoId { label, .. } => format!(
                "give it one: with its vendor's tool, or generate it with one, as `pkcs11-tool --keygen --key-type AES:32 --label {label} --id 02` does"
            ),
            Self::NotPermitted { .. } => "let it have CKA_ENCRYPT and CKA_DECRYPT, or generate another".into(),
            Self::NoGcm { .. } => "it needs a token with CKM_AES_GCM".into(),
            Self::NotBound { .. } => "it needs a token whose CKM_AES_GCM does, or another kind of definition key".into(),
            Self::PinFile(error) => error.advice(),
            Self::PinRefused { .. } | Self::PinRefusedBefore { .. } => {
                "write the right PIN into the file of definition_key.pkcs11.pin_file".into()
            }
            Self::PinLocked { .. } => "its security officer must unlock it".into(),
            Self::Nonce { advice, .. } => (*advice).into(),
            Self::Slow { .. } => "see to the token and to its way there; it is asked again when that call has come back".into(),
            Self::Failed { .. } => "see to the token; its vendor's manual tells what that code means".into(),
            Self::NoRandom(_) => "see to the machine".into(),
        }
    }

    /// Whether it may be that the module's picture of its tokens is out of date.
    pub(super) fn may_be_stale(&self) -> bool {
        match self {
            Self::NoToken { .. } | Self::NoKey { .. } => true,
            Self::Failed { may_be_stale, .. } => *may_be_stale,
            Self::Module { .. }
            | Self::SeveralTokens { .. }
            | Self::SeveralKeys { .. }
            | Self::Exists { .. }
            | Self::OtherKind { .. }
            | Self::NoId { .. }
            | Self::NotPermitted { .. }
            | Self::NoGcm { .. }
            | Self::PinFile(_)
            | Self::PinRefused { .. }
            | Self::PinRefusedBefore { .. }
            | Self::PinLocked { .. }
            | Self::Nonce { .. }
            | Self::NotBound { .. }
            | Self::Slow { .. }
            | Self::NoRandom(_) => false,
        }
    }
}

fn listed(found: &[String]) -> String {
    if found.is_empty() {
        "there is none at all".into()
    } else {
        format!("those there are called {}", found.join(", "))
    }
}
