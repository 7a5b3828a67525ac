//! The closed list of what can go wrong, by the names that users see.
//!
//! Every room's error names one of these by its `code()`. How a code becomes an HTTP status is known in
//! `http::problem` alone.

use core::{fmt, str::FromStr};

/// Who must act on an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The caller: the request as it stands cannot be answered.
    Request,
    /// The operator: a key, a switch or a file is not as it must be.
    State,
    /// Time: the same request may succeed later.
    Transient,
    /// An investigator: stored bytes are not what was written.
    Damage,
    /// The makers of this program.
    Bug,
}

macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $class:ident;)*) => {
        /// What went wrong, by the name that logs, problem documents and pages use.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[$doc])* $variant,)* }

        impl ErrorCode {
            /// Every code, in the order in which they are looked for.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name, in kebab-case.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Who must act.
            #[must_use]
            pub const fn class(self) -> ErrorClass {
                match self { $(Self::$variant => ErrorClass::$class,)* }
            }
        }
    };
}

error_codes! {
    /// Nobody said who is asking.
    Unauthenticated = "unauthenticated", Request;
    /// The one who asks may not.
    Forbidden = "forbidden", Request;
    /// The signed link was good once.
    LinkExpired = "link-expired", Request;
    /// No such ID, or one that the caller may not know of.
    RecordingNotFound = "recording-not-found", Request;
    /// Whether there is such a recording cannot be told.
    CatalogueUnavailable = "catalogue-unavailable", Transient;
    /// The media store does not answer.
    StorageUnavailable = "storage-unavailable", Transient;
    /// In the catalogue, but its file is gone.
    MediaMissing = "media-missing", State;
    /// A version or suite of the format that this build does not read.
    UnsupportedFormat = "unsupported-format", State;
    /// The recording is sealed and encryption is switched off.
    EncryptionDisabled = "encryption-disabled", State;
    /// The fingerprint is not loaded, and database or key manager cannot be asked.
    KeysUnavailable = "keys-unavailable", Transient;
    /// No database key has the file's fingerprint.
    KeyMissing = "key-missing", State;
    /// The file's database key is deactivated.
    KeyDeactivated = "key-deactivated", State;
    /// Header or chunk fails to verify.
    RecordingCorrupt = "recording-corrupt", Damage;
    /// A condition of the request does not hold.
    PreconditionFailed = "precondition-failed", Request;
    /// No byte of the recording lies in the range asked for.
    RangeNotSatisfiable = "range-not-satisfiable", Request;
    /// The playback record cannot be written.
    AuditUnavailable = "audit-unavailable", Transient;
    /// Too much at once.
    Overloaded = "overloaded", Transient;
    /// Encryption is enabled and no active key can wrap.
    NoActiveKey = "no-active-key", Transient;
    /// No room for the recording.
    StorageFull = "storage-full", State;
    /// Deletion under legal hold.
    RecordingHeld = "recording-held", State;
    /// Deletion while it is being recorded.
    RecordingInProgress = "recording-in-progress", State;
    /// Catalogued plain, not exempt, and plain recordings are not allowed to play.
    PlainNotAllowed = "plain-not-allowed", State;
    /// The request target is too long.
    UriTooLong = "uri-too-long", Request;
    /// The request makes no sense as it stands.
    BadRequest = "bad-request", Request;
    /// No such page.
    NotFound = "not-found", Request;
    /// The page exists, the method on it does not.
    MethodNotAllowed = "method-not-allowed", Request;
    /// A recording of that ID exists.
    RecordingExists = "recording-exists", Request;
    /// Longer than a recording may be here.
    MediaTooLarge = "media-too-large", Request;
    /// The media type cannot be kept.
    UnsupportedMediaType = "unsupported-media-type", Request;
    /// The request head is too large.
    HeadersTooLarge = "headers-too-large", Request;
    /// A fault of the program.
    Internal = "internal", Bug;
}

impl FromStr for ErrorCode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text).ok_or(())
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found_again() {
        for code in ErrorCode::ALL {
            assert_eq!((code.as_str().parse(), code.to_string().as_str()), (Ok(*code), code.as_str()));
        }
        assert_eq!("no-such-code".parse::<ErrorCode>(), Err(()));
    }
}
