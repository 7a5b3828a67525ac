//! Labelled SHA-256 fingerprints of keys, and the plain digest of plain media.

use sha2::{Digest, Sha256, digest::FixedOutputReset};

use super::Key;
use crate::base::Fingerprint;

const DATABASE_KEY_LABEL: &[u8] = b"sealtape/v1/database-key";
const DEFINITION_KEY_LABEL: &[u8] = b"sealtape/v1/definition-key";

/// `SHA-256("sealtape/v1/database-key" ‖ database key)`.
#[must_use]
pub fn database_key_fingerprint(key: &Key) -> Fingerprint {
    labelled(DATABASE_KEY_LABEL, key)
}

/// `SHA-256("sealtape/v1/definition-key" ‖ definition key)`.
#[must_use]
pub fn definition_key_fingerprint(key: &Key) -> Fingerprint {
    labelled(DEFINITION_KEY_LABEL, key)
}

/// A running SHA-256 over media that stays plain.
#[derive(Clone, Default)]
pub struct Sha256Digest(Sha256);

impl Sha256Digest {
    /// Takes the next bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes taken in.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

fn labelled(label: &[u8], key: &Key) -> Fingerprint {
    let mut digest = Sha256::new();
    digest.update(label);
    digest.update(key.expose());
    // In place: a digest that is moved leaves a copy of the key behind that nobody wipes.
    let mut fingerprint = Fingerprint([0; 32]);
    FixedOutputReset::finalize_into_reset(&mut digest, (&mut fingerprint.0).into());
    fingerprint
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4, the one-block example "abc".
    #[test]
    fn fips_180_4() {
        let mut digest = Sha256Digest::default();
        digest.update(b"a");
        digest.update(b"bc");
        assert_eq!(hex::encode(digest.finish()), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn labels_separate_the_kinds_of_key() {
        let key = Key::take(&mut [1; 32]);
        assert_ne!(database_key_fingerprint(&key), definition_key_fingerprint(&key));
    }
}
