//! Media types as RFC 9110, section 8.3.1, writes them.

use core::{fmt, str::FromStr};

use super::Error;

/// A media type such as `audio/wav` or `audio/ogg; codecs=opus`, at most 79 bytes of printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MediaType(Box<str>);

impl MediaType {
    /// The longest media type that a sealed header holds, in bytes.
    pub const LEN_MAX: usize = 79;

    /// What a file is when nothing more can be told.
    #[must_use]
    pub fn octet_stream() -> Self {
        Self("application/octet-stream".into())
    }

    /// The media type as text, with its parameters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Type and subtype in lower case, without parameters.
    #[must_use]
    pub fn essence(&self) -> String {
        self.0.split(';').next().unwrap_or_default().trim_end().to_ascii_lowercase()
    }

    /// Whether a browser may show it in place: sound, moving and still pictures, and plain text.
    ///
    /// Anything else, and pictures that carry script, is sent as an attachment, so that nothing that was
    /// recorded can run as a page of this server.
    #[must_use]
    pub fn is_inert(&self) -> bool {
        let essence = self.essence();
        let (kind, _) = essence.split_once('/').unwrap_or_default();
        match kind {
            // An XML document, whatever else it is: one that may hold a page.
            _ if essence.ends_with("+xml") => false,
            "audio" | "video" | "image" => true,
            _ => essence == "text/plain",
        }
    }
}

impl FromStr for MediaType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() <= Self::LEN_MAX && is_media_type(text) {
            Ok(Self(text.into()))
        } else {
            Err(Error::MediaType(text.into()))
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `media-type = type "/" subtype parameters`,
/// `parameters = *( OWS ";" OWS [ token "=" ( token / quoted-string ) ] )`
fn is_media_type(text: &str) -> bool {
    // Bytes 20 … 7E hex only: OWS is then a space, and obs-text cannot occur in a quoted string.
    if !text.bytes().all(|byte| (0x20..=0x7E).contains(&byte)) {
        return false;
    }
    let Some((kind, rest)) = text.split_once('/') else { return false };
    let (subtype, mut rest) = split_token(rest);
    if !is_token(kind) || subtype.is_empty() {
        return false;
    }
    loop {
        let after_space = rest.trim_start_matches(' ');
        let Some(after) = after_space.strip_prefix(';') else { return rest.is_empty() };
        // The parameter is optional, the space before it belongs to the semicolon.
        rest = after.trim_start_matches(' ');
        let (name, after_name) = split_token(rest);
        if name.is_empty() {
            continue;
        }
        let Some(value) = after_name.strip_prefix('=') else { return false };
        let Some(after_value) = skip_value(value) else { return false };
        rest = after_value;
    }
}

/// What follows a parameter's value, or `None` when there is no value.
fn skip_value(text: &str) -> Option<&str> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (token, rest) = split_token(text);
        return (!token.is_empty()).then_some(rest);
    };
    let mut escaped = false;
    for (at, byte) in quoted.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return quoted.get(at + 1..),
            _ => {}
        }
    }
    None
}

fn split_token(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().position(|byte| !is_token_byte(byte)).unwrap_or(text.len()))
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// `tchar` of RFC 9110, section 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar() {
        for good in [
            "audio/wav",
            "audio/ogg; codecs=opus",
            "audio/ogg;codecs=opus",
            "video/mp4 ; codecs=\"avc1.42E01E, mp4a.40.2\"",
            "a/b;",
            "a/b; ",
            "a/b; ; x=y",
            "text/plain;charset=\"a\\\"b;c\"",
        ] {
            let read: MediaType = good.parse().expect("a media type");
            assert_eq!((read.as_str(), read.to_string().as_str()), (good, good));
        }
        for bad in [
            "",
            "audio",
            "/wav",
            "audio/",
            "audio/wav ",
            " audio/wav",
            "audio /wav",
            "audio/wav; x",
            "audio/wav; x=",
            "audio/wav; =y",
            "audio/wav; x=\"y",
            "audio/wav; x=\"y\"z",
            "audio/w\tav",
            "audio/wäv",
            "a/b\r\nX: y",
            "a/b/c",
        ] {
            assert!(bad.parse::<MediaType>().is_err(), "{bad:?}");
        }
        assert!(format!("a/{}", "b".repeat(77)).parse::<MediaType>().is_ok());
        assert!(format!("a/{}", "b".repeat(78)).parse::<MediaType>().is_err());
    }

    #[test]
    fn what_could_run_as_a_page_is_not_inert() {
        let inert = |text: &str| text.parse::<MediaType>().is_ok_and(|media_type| media_type.is_inert());
        for yes in ["audio/wav", "Video/MP4; codecs=x", "image/png", "text/plain"] {
            assert!(inert(yes), "{yes}");
        }
        for no in ["text/html", "IMAGE/SVG+XML", "application/xhtml+xml", "text/javascript", "application/pdf"] {
            assert!(!inert(no), "{no}");
        }
    }
}
