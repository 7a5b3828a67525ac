//! `multipart/byteranges`: RFC 9110, section 14.6. What stands around the parts; knows nothing of what is in them.
//!
//! ```text
//! --BOUNDARY                        before the first part; before others after an empty line
//! Content-Type: audio/wav
//! Content-Range: bytes 0-99/5000
//!
//! …100 bytes…
//! --BOUNDARY--
//! ```

use core::ops::Range;

use crate::base::MediaType;
use crate::crypto;

/// The frame of an answer with several parts, of a recording of `media_type` and `len` bytes; of one in progress it is
/// not known how many there will be.
pub(super) struct Multipart<'a> {
    boundary: String,
    media_type: &'a MediaType,
    len: Option<u64>,
}

impl<'a> Multipart<'a> {
    /// A frame with a boundary of its own. Whoever reads goes by `Content-Range` or by the boundary: of 128 random
    /// bits, it is in no recording.
    ///
    /// # Errors
    ///
    /// There are no random numbers.
    pub(super) fn new(media_type: &'a MediaType, len: Option<u64>) -> Result<Self, crypto::Error> {
        Ok(Self { boundary: hex::encode(crypto::random::<16>()?), media_type, len })
    }

    /// The `Content-Type` of the answer. A token, and so without quotes, which some clients do not understand.
    pub(super) fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// What stands before a part.
    pub(super) fn head(&self, part: &Range<u64>, is_first: bool) -> String {
        let Self { boundary, media_type, len } = self;
        let len = len.map_or_else(|| "*".to_owned(), |len| len.to_string());
        let before = if is_first { "" } else { "\r\n" };
        let (first, last) = (part.start, part.end.saturating_sub(1));
        format!(
            "{before}--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: bytes {first}-{last}/{len}\r\n\r\n"
        )
    }

    /// What stands after the last part.
    pub(super) fn tail(&self) -> String {
        format!("\r\n--{}--\r\n", self.boundary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_between_boundaries() {
        let media_type = "audio/ogg; codecs=opus".parse().expect("a media type");
        let multipart = Multipart::new(&media_type, Some(5000)).expect("random numbers");
        let boundary = multipart.content_type().split_once("; boundary=").expect("a boundary").1.to_owned();
        assert!(boundary.len() == 32 && boundary.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{boundary}");
        assert_eq!(
            multipart.head(&(0..100), true),
            format!("--{boundary}\r\nContent-Type: audio/ogg; codecs=opus\r\nContent-Range: bytes 0-99/5000\r\n\r\n")
        );
        assert_eq!(
            multipart.head(&(4999..5000), false),
            format!(
                "\r\n--{boundary}\r\nContent-Type: audio/ogg; codecs=opus\r\nContent-Range: bytes 4999-4999/5000\r\n\r\n"
            )
        );
        assert_eq!(multipart.tail(), format!("\r\n--{boundary}--\r\n"));
        let growing = Multipart::new(&media_type, None).expect("random numbers");
        assert!(growing.head(&(0..100), true).contains("\r\nContent-Range: bytes 0-99/*\r\n"));
        let other = Multipart::new(&media_type, Some(5000)).expect("random numbers");
        assert_ne!(other.content_type(), multipart.content_type());
    }

    /// What the count of ranges bounds: even the longest heads of as many parts as there may be are small change.
    #[test]
    fn heads_are_short() {
        let longest = format!("audio/{}", "x".repeat(MediaType::LEN_MAX - 6)).parse().expect("a media type");
        let head = Multipart::new(&longest, Some(u64::MAX)).expect("random numbers").head(&(0..u64::MAX), false);
        assert!(head.len() < 256, "{head}");
    }
}
