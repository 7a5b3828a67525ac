//! Where other proxies of the same archive are reached: whom requests may be handed on to.

use core::fmt;

/// A URL, or many that differ in one place. Compared as text and never taken apart: what is not written just so is no
/// peer, whatever a parser would make of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    start: String,
    varies: Option<(Varying, String)>,
}

/// What stands in the place where URLs differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Varying {
    /// A part of one label of a host's name.
    Label,
    /// A number.
    Number,
}

impl Varying {
    /// The longest label of a host's name (RFC 1035, section 2.3.4).
    const LEN_MAX: usize = 63;

    fn may_be(self, text: &str) -> bool {
        let is_of = |byte: u8| match self {
            Self::Label => byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-',
            Self::Number => byte.is_ascii_digit(),
        };
        !text.is_empty() && text.len() <= Self::LEN_MAX && text.bytes().all(is_of)
    }
}

impl PeerAddress {
    /// One URL, without a slash at its end.
    #[must_use]
    pub fn exact(url: &str) -> Self {
        Self { start: url.to_owned(), varies: None }
    }

    /// Every URL that begins and ends so, with something of that kind between.
    #[must_use]
    pub fn between(start: &str, varying: Varying, end: &str) -> Self {
        Self { start: start.to_owned(), varies: Some((varying, end.to_owned())) }
    }

    /// Whether `url` is one of them.
    #[must_use]
    pub fn is(&self, url: &str) -> bool {
        let Some((varying, end)) = &self.varies else { return self.start == url };
        let between = url.strip_prefix(self.start.as_str()).and_then(|rest| rest.strip_suffix(end.as_str()));
        between.is_some_and(|between| varying.may_be(between))
    }

    /// Whether what is said there could be read on its way.
    #[must_use]
    pub fn is_in_clear(&self) -> bool {
        !self.start.starts_with("https://")
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.start)?;
        match &self.varies {
            None => Ok(()),
            Some((Varying::Label, end)) => write!(f, "*{end}"),
            Some((Varying::Number, end)) => write!(f, "NUMBER{end}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_written_just_so_is_a_peer() {
        let one = PeerAddress::exact("https://a.internal:8443");
        assert!(one.is("https://a.internal:8443"));
        for other in [
            "https://a.internal",
            "http://a.internal:8443",
            "https://a.internal:8443/",
            "https://a.internal:84430",
            "https://A.internal:8443",
            "https://a.internal:8443@evil.example",
            "https://u@a.internal:8443",
            "",
        ] {
            assert!(!one.is(other), "{other}");
        }
        let many = PeerAddress::between("https://proxy-", Varying::Label, ".internal:8443");
        assert!(many.is("https://proxy-0.internal:8443") && many.is("https://proxy-east-12.internal:8443"));
        for other in [
            "https://proxy-.internal:8443",
            "https://proxy-0.evil.internal:8443",
            "https://proxy-0@evil.internal:8443",
            "https://proxy-0/.internal:8443",
            "https://proxy-0:1/.internal:8443",
            "https://proxy-evil.example?.internal:8443",
            "https://proxy-0.internal:8443.evil.example",
            "https://proxy-\u{e4}.internal:8443",
        ] {
            assert!(!many.is(other), "{other}");
        }
        assert!(!many.is(&format!("https://proxy-{}.internal:8443", "x".repeat(64))));
        let numbered = PeerAddress::between("http://127.0.0.1:", Varying::Number, "");
        assert!(numbered.is("http://127.0.0.1:8080") && !numbered.is("http://127.0.0.1:8080/x"));
        assert!(!numbered.is("http://127.0.0.1:") && !numbered.is("http://127.0.0.1:80@evil.example"));
        // Beginning and end never share a byte.
        assert!(!PeerAddress::between("http://aa", Varying::Label, "aa").is("http://aa"));
        assert_eq!(many.to_string(), "https://proxy-*.internal:8443");
        assert!(numbered.is_in_clear() && !many.is_in_clear());
    }
}
