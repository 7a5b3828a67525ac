//! The names of recordings and of the sidecars beside them.

use core::{fmt, str::FromStr};

use super::Error;

/// The ID of a recording: 1 to 128 characters of `A-Z a-z 0-9 . _ - @ +`, the first a letter or digit.
///
/// Such an ID is safe as a file name and needs no escaping in a URL path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordingId(Box<str>);

impl RecordingId {
    /// The longest ID, in characters.
    pub const LEN_MAX: usize = 128;

    /// The ID as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a sidecar: 1 to 63 characters of the ID's alphabet, the first a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SidecarName(Box<str>);

impl SidecarName {
    /// The longest name, in characters.
    pub const LEN_MAX: usize = 63;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RecordingId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if is_name(text, Self::LEN_MAX) { Ok(Self(text.into())) } else { Err(Error::RecordingId(text.into())) }
    }
}

impl FromStr for SidecarName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if is_name(text, Self::LEN_MAX) { Ok(Self(text.into())) } else { Err(Error::SidecarName(text.into())) }
    }
}

impl fmt::Display for RecordingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SidecarName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Letters and digits first, so that no name is hidden, an option or a way upwards.
fn is_name(text: &str, len_max: usize) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= len_max
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-@+".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_alphabet_and_nothing_else() {
        for good in ["a", "0", "call-2026.11_23@north+1", &"x".repeat(128)] {
            assert_eq!(good.parse::<RecordingId>().map(|id| id.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", ".", "..", "-x", "_x", "@x", "+x", "a/b", "a\\b", "a b", "a\0", "ä", "a%2f", &"x".repeat(129)]
        {
            assert!(bad.parse::<RecordingId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn sidecar_names_are_shorter() {
        let longest = "x".repeat(63);
        assert_eq!(longest.parse::<SidecarName>().map(|name| name.to_string()), Ok(longest));
        assert!("x".repeat(64).parse::<SidecarName>().is_err());
    }
}
