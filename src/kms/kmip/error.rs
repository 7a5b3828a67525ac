//! Why a key manager does not give, make or use a definition key.

use core::fmt;
use std::{path::PathBuf, time::Duration};

use crate::crypto;
use crate::kms::private_file::FileError;

/// Why a definition key in a key manager cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KmipError {
    /// The operator: a file with a certificate or its key.
    #[error(transparent)]
    File(#[from] FileError),
    /// The operator: certificate and key do not go together, or the certificates of authorities cannot be used.
    #[error("{} and {} cannot be used: {reason}", cert.display(), key.display())]
    Pair {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of its key.
        key: PathBuf,
        /// Why.
        reason: String,
    },
    /// Whoever runs the key manager, or the network: none of its endpoints could be used. What was tried, in order.
    #[error("no key manager could be reached: {}", listed(.0))]
    NotReached(Vec<(String, KmipTrouble)>),
    /// The same, after it was reached.
    #[error("{endpoint}: {trouble}")]
    Broken {
        /// Which one.
        endpoint: String,
        /// What happened.
        trouble: KmipTrouble,
    },
    /// The same: all of it together took too long.
    #[error("{endpoints}: the key manager did not answer within {waited:?}")]
    Slow {
        /// Which ones were asked.
        endpoints: String,
        /// How long they were waited for.
        waited: Duration,
    },
    /// The operator: no such key, or this client may not know of it.
    #[error("{endpoint}: the key manager has no key {key} that this client may use")]
    NoKey {
        /// Which one was asked.
        endpoint: String,
        /// What was looked for.
        key: String,
    },
    /// The operator: it cannot be told which one is meant.
    #[error("{endpoint}: the key manager has several keys {key}")]
    SeveralKeys {
        /// Which one was asked.
        endpoint: String,
        /// What was looked for.
        key: String,
    },
    /// The operator: generating must not hide a key.
    #[error("the key manager has a key {key} already")]
    Exists {
        /// What it is called.
        key: String,
    },
    /// Whoever runs the key manager: the key was revoked, destroyed, or not activated yet.
    #[error("{endpoint}: the key {id} is {state} there")]
    State {
        /// Which one was asked.
        endpoint: String,
        /// The key's unique identifier.
        id: String,
        /// What became of it.
        state: KeyState,
    },
    /// Whoever runs the key manager: this client may not do that.
    #[error("{endpoint}: the key manager does not permit {operation}: {message}")]
    Denied {
        /// Which one was asked.
        endpoint: String,
        /// What was asked.
        operation: &'static str,
        /// In its words.
        message: String,
    },
    /// The operator: it cannot do that at all.
    #[error("{endpoint}: the key manager does not do {operation}: {message}")]
    NotSupported {
        /// Which one was asked.
        endpoint: String,
        /// What was asked.
        operation: &'static str,
        /// In its words.
        message: String,
    },
    /// Whoever runs the key manager: anything else that it says.
    #[error("{endpoint}: the key manager refused {operation}: {message}")]
    Refused {
        /// Which one was asked.
        endpoint: String,
        /// What was asked.
        operation: &'static str,
        /// In its words.
        message: String,
    },
    /// The operator: another kind of key.
    #[error("{endpoint}: the key {id} is not one for AES-256 that can be fetched: {what}")]
    OtherKind {
        /// Which one was asked.
        endpoint: String,
        /// The key's unique identifier.
        id: String,
        /// What it is.
        what: &'static str,
    },
    /// Whoever runs the key manager: rows could be changed unnoticed.
    #[error(
        "{endpoint}: the key manager does not heed associated data: what the key {id} wrapped for one row it unwraps for another"
    )]
    NotBound {
        /// Which one was asked.
        endpoint: String,
        /// The key's unique identifier.
        id: String,
    },
    /// The operator: keys cannot be exchanged where settings name one by its identifier.
    #[error("definition_key.kmip.id names one key for good")]
    NamedById,
    /// The operator's machine gives no random numbers.
    #[error(transparent)]
    NoRandom(#[from] crypto::Error),
}

/// What can happen on the way to a key manager.
#[derive(Debug, thiserror::Error)]
pub enum KmipTrouble {
    /// No connection.
    #[error("it cannot be reached ({0})")]
    NoConnection(String),
    /// No connection in time.
    #[error("it did not answer within {0:?}")]
    Slow(Duration),
    /// Its certificate has run out, or does not begin yet.
    #[error("its certificate is out of date ({0})")]
    ServerExpired(String),
    /// Its certificate is of another authority.
    #[error("its certificate is not signed by an authority in definition_key.kmip.ca ({0})")]
    ServerUnknown(String),
    /// Its certificate is for another name.
    #[error("its certificate is for another name ({0})")]
    ServerOtherName(String),
    /// Its certificate is wrong in another way.
    #[error("its certificate cannot be used ({0})")]
    ServerCertificate(String),
    /// It says that our certificate has run out.
    #[error("it refuses the certificate in definition_key.kmip.cert, which is out of date there")]
    OwnExpired,
    /// It does not take our certificate.
    #[error("it refuses the certificate in definition_key.kmip.cert ({0})")]
    OwnRefused(String),
    /// No common way to talk.
    #[error("TLS failed ({0})")]
    Tls(String),
    /// The connection was cut.
    #[error("the connection was cut ({0})")]
    Cut(String),
    /// Something else than KMIP.
    #[error("what it answers is not KMIP ({0})")]
    Garbage(String),
}

/// States of a key that keep it from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Made, and not activated.
    PreActive,
    /// Revoked.
    Deactivated,
    /// Revoked, for somebody else may have it.
    Compromised,
    /// Destroyed.
    Destroyed,
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PreActive => "not activated",
            Self::Deactivated => "revoked (deactivated)",
            Self::Compromised => "revoked (compromised)",
            Self::Destroyed => "destroyed",
        })
    }
}

impl KmipError {
    /// What the operator can do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::File(error) => error.advice(),
            Self::Pair { .. } => "see that definition_key.kmip.cert, .key and .ca name the right files".into(),
            Self::NotReached(tried) => tried.first().map_or("", |(_, trouble)| trouble.advice()).into(),
            Self::Broken { trouble, .. } => trouble.advice().into(),
            Self::Slow { .. } => KmipTrouble::Slow(Duration::ZERO).advice().into(),
            Self::NoKey { .. } => {
                "see that definition_key.kmip.id or .name is right and that this client may use it; a key that was destroyed there comes back from the key manager's backup alone. Where no database key was ever wrapped by one, `sealtape definition-key generate` makes it".into()
            }
            Self::SeveralKeys { .. } => {
                "name one in definition_key.kmip.id; do not destroy the other before you know what it wraps".into()
            }
            Self::Exists { .. } => "nothing was changed; a definition key is never overwritten".into(),
            Self::State { state: KeyState::PreActive, .. } => "activate it in the key manager".into(),
            Self::State { .. } => {
                "activate it again in the key manager if that can be done, or restore it there from its backup; running servers play on with the keys that they have".into()
            }
            Self::Denied { .. } => "have the key manager permit it to this client".into(),
            Self::NotSupported { operation: "Encrypt" | "Decrypt", .. } | Self::NotBound { .. } => {
                "set definition_key.kmip.mode to \"get\", which fetches the key instead".into()
            }
            Self::NotSupported { .. } | Self::Refused { .. } => "see what the key manager logs".into(),
            Self::OtherKind { .. } => "name a symmetric key of 256 bits for AES that may be fetched".into(),
            Self::NamedById => "set definition_key.kmip.name instead, by which the next key is found".into(),
            Self::NoRandom(_) => "see to the machine".into(),
        }
    }
}

impl KmipTrouble {
    fn advice(&self) -> &'static str {
        match self {
            Self::NoConnection(_) | Self::Slow(_) | Self::Cut(_) => {
                "see that the key manager runs, that definition_key.kmip.endpoints is right, and that nothing on the way keeps connections out"
            }
            Self::ServerExpired(_) => {
                "have the key manager's certificate renewed, and see to the clock of this machine"
            }
            Self::ServerUnknown(_) => {
                "let definition_key.kmip.ca be the authority of the key manager's certificate; if it is, somebody else answers there"
            }
            Self::ServerOtherName(_) => "name the host in definition_key.kmip.endpoints as its certificate does",
            Self::ServerCertificate(_) => "have the key manager's certificate made anew",
            Self::OwnExpired => "renew the certificate in definition_key.kmip.cert",
            Self::OwnRefused(_) => {
                "let definition_key.kmip.cert be the certificate that the key manager knows this client by"
            }
            Self::Tls(_) => {
                "see which versions of TLS and which ciphers the key manager lets in: this needs TLS 1.2 or 1.3"
            }
            Self::Garbage(_) => {
                "see that definition_key.kmip.endpoints names the port of KMIP, which is 5696 as a rule"
            }
        }
    }
}

fn listed(tried: &[(String, KmipTrouble)]) -> String {
    tried.iter().map(|(endpoint, trouble)| format!("{endpoint}: {trouble}")).collect::<Vec<_>>().join("; ")
}
