//! Words that every room may use: identifiers, secrets, times and the names of what can go wrong.
//!
//! Knows no cryptography, no file format and no protocol. Start with [`RecordingId`] and [`ErrorCode`].

mod duration;
mod ended;
mod error_code;
mod fingerprint;
mod location;
pub mod locked;
mod media_type;
mod metadata_field;
pub mod metrics;
mod pattern;
mod peer_address;
mod private_mode;
mod recording_id;
mod secret;
mod timestamp;

pub use duration::parse_duration;
pub use ended::Ended;
pub use error_code::{ErrorClass, ErrorCode};
pub use fingerprint::{Fingerprint, FingerprintPrefix, SealId};
pub use location::Location;
pub use media_type::MediaType;
pub use metadata_field::MetadataField;
pub use pattern::Pattern;
pub use peer_address::{PeerAddress, Varying};
pub use private_mode::is_private_mode;
pub use recording_id::{RecordingId, SidecarName};
pub use secret::Secret;
pub use timestamp::Timestamp;

/// Why a word could not be read; the message names the rule that was broken, never a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The caller gave an ID that no recording can have.
    #[error("{0:?} is not a recording ID: 1 to 128 of A-Z a-z 0-9 . _ - @ +, the first a letter or digit")]
    RecordingId(String),
    /// The caller gave a sidecar name that the format cannot hold.
    #[error("{0:?} is not a sidecar name: 1 to 63 of A-Z a-z 0-9 . _ - @ +, the first a letter or digit")]
    SidecarName(String),
    /// The caller gave a media type that RFC 9110 does not know, or a longer one than the format holds.
    #[error("{0:?} is not a media type such as audio/wav, of at most 79 characters")]
    MediaType(String),
    /// The caller gave something else than the hexadecimal digits of a fingerprint.
    #[error("{0:?} is not a fingerprint: 64 hexadecimal digits, or 8 and more of its start")]
    Fingerprint(String),
    /// The caller gave a time outside the years that the format holds (1970 to 9999).
    #[error("{0:?} is not a time of RFC 3339 between the years 1970 and 9999")]
    Timestamp(String),
    /// A place that is no URL.
    #[error("{0:?} is not the URL of a file, such as file:///srv/archive/call.wav")]
    Location(String),
    /// The operator gave a pattern that is empty, or whose braces do not pair or are within others.
    #[error("{0:?} is not a pattern such as *.wav or call-?.{{wav,mp3}}")]
    Pattern(String),
}
