//! Where a file lies that is in no media store of ours.

use core::{fmt, str::FromStr};
use std::sync::Arc;

use super::Error;

/// The URL of a file outside the media store, such as `file:///srv/archive/call.wav`: of an archive that was catalogued
/// where it lies. What kinds of URL can be read is the store's matter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location(Arc<str>);

impl Location {
    /// The longest one, in bytes: a path of the longest name that Linux takes, every byte of it escaped.
    pub const LEN_MAX: usize = 3 * 4096 + 16;

    /// The URL as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let has_scheme = text.split_once("://").is_some_and(|(scheme, rest)| {
            let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            !scheme.is_empty() && scheme.bytes().all(is_name) && !["", "/"].contains(&rest)
        });
        let is_plain = text.len() <= Self::LEN_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
        if has_scheme && is_plain { Ok(Self(text.into())) } else { Err(Error::Location(text.into())) }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_an_absolute_url() {
        let good = "file:///srv/archive/call%20one.wav";
        assert_eq!(good.parse::<Location>().map(|location| location.to_string()), Ok(good.to_owned()));
        for bad in ["", "/srv/call.wav", "file://", "file:///", ":///a", "file:///a b", "file:///\u{e4}", "FILE:///a"] {
            assert!(bad.parse::<Location>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_longest_path_has_room_however_much_of_it_is_escaped() {
        let longest = format!("file://{}", "%2F".repeat(4096));
        assert_eq!(longest.parse::<Location>().as_ref().map(Location::as_str), Ok(longest.as_str()));
        assert!(format!("file://{}", "%2F".repeat(4100)).parse::<Location>().is_err());
    }
}
