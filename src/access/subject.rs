//! Who is asking, as the playback record names them.

use core::{fmt, str::FromStr};
use std::borrow::Cow;

/// The longest name, in characters: an identity provider's subject has up to 255.
const LEN_MAX: usize = 256;

/// A caller's name: 1 to 256 characters, no control characters, no white space at its ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject(Cow<'static, str>);

impl Subject {
    /// Everyone on this machine, where nobody is asked who they are.
    #[must_use]
    pub fn local() -> Self {
        Self(Cow::Borrowed("local"))
    }

    /// A caller who is not known.
    #[must_use]
    pub fn unknown() -> Self {
        Self(Cow::Borrowed("unknown"))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Subject {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let is_good = !text.is_empty()
            && text.chars().count() <= LEN_MAX
            && text.trim() == text
            && !text.contains(char::is_control);
        if is_good { Ok(Self(Cow::Owned(text.to_owned()))) } else { Err(()) }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_line_of_bounded_length() {
        for good in ["a", "ann@example.org", "Zoë Müller", &"ä".repeat(256)] {
            assert_eq!(good.parse::<Subject>().expect("a subject").as_str(), good);
        }
        for bad in ["", " a", "a ", "a\nb", "a\0", "\u{85}x", &"x".repeat(257)] {
            assert!(bad.parse::<Subject>().is_err(), "{bad:?}");
        }
    }
}
