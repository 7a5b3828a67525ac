//! What signs a playback link: HMAC with SHA-256 (RFC 2104) over a label and the link's payload.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Error, Key};

/// Parts what is signed here from whatever else could be tagged under the same secret.
const LABEL: &[u8] = b"sealtape/v1/link\0";

/// Tags and verifies payloads under one secret.
pub struct LinkMac(Hmac<Sha256>);

impl LinkMac {
    /// Under `secret`, which must be used for nothing else.
    #[must_use]
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    pub fn new(secret: &Key) -> Self {
        let mut mac = Hmac::new_from_slice(secret.expose()).expect("a key of any length");
        mac.update(LABEL);
        Self(mac)
    }

    /// `HMAC-SHA-256(secret, label ‖ payload)`.
    #[must_use]
    pub fn tag(mut self, payload: &[u8]) -> [u8; 32] {
        self.0.update(payload);
        self.0.finalize().into_bytes().into()
    }

    /// Checks a tag in constant time.
    ///
    /// # Errors
    ///
    /// [`Error::NotAuthentic`] when payload or tag is not what was tagged.
    pub fn verify(mut self, payload: &[u8], tag: &[u8; 32]) -> Result<(), Error> {
        self.0.update(payload);
        self.0.verify_slice(tag).map_err(|_| Error::NotAuthentic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by Python: `hmac.digest(bytes(range(32)), b"sealtape/v1/link\0payload", "sha256")`.
    #[test]
    fn agrees_with_another_implementation() {
        let mut bytes = core::array::from_fn(|i| u8::try_from(i).expect("below 32"));
        let secret = Key::take(&mut bytes);
        let tag = LinkMac::new(&secret).tag(b"payload");
        assert_eq!(hex::encode(tag), "dd804f3efa9d8cdbb96e86b855ebf79f22ea410361166060cd544f4d0a43ea48");
        assert_eq!(LinkMac::new(&secret).verify(b"payload", &tag), Ok(()));
        assert_eq!(LinkMac::new(&secret).verify(b"payloae", &tag), Err(Error::NotAuthentic));
    }
}
