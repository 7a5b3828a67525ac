//! From a file key to the four things that a sealing needs: HKDF with SHA-256 (RFC 5869).

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Error, Key, Keystream, TagKey};
use crate::base::SealId;

const MEDIA_LABEL: &[u8] = b"sealtape/v1/media";
const TAG_LABEL: &[u8] = b"sealtape/v1/tag";
const HEADER_LABEL: &[u8] = b"sealtape/v1/header";
const SEAL_ID_LABEL: &[u8] = b"sealtape/v1/seal-id";

/// What one file key unfolds into. The file key must be used for **one** sealing and never again.
pub struct FileKeys {
    /// Encrypts the media.
    pub keystream: Keystream,
    /// Tags the chunks.
    pub tag_key: TagKey,
    /// Tags the header.
    pub header_key: HeaderKey,
    /// The sealing's public name.
    pub seal_id: SealId,
}

impl FileKeys {
    /// `HKDF[salt, label](file key, length)` for each label.
    #[must_use]
    pub fn derive(salt: &[u8; 16], file_key: &Key) -> Self {
        let prk = Hkdf::<Sha256>::new(Some(salt), file_key.expose());
        Self {
            keystream: Keystream::new(&expand_key(&prk, MEDIA_LABEL)),
            tag_key: TagKey::new(&expand_key(&prk, TAG_LABEL)),
            header_key: HeaderKey(expand_key(&prk, HEADER_LABEL)),
            seal_id: SealId(expand(&prk, SEAL_ID_LABEL)),
        }
    }
}

/// Tags and verifies a header: HMAC with SHA-256 (RFC 2104), which also commits the file to its key.
pub struct HeaderKey(Key);

impl HeaderKey {
    /// `HMAC-SHA-256(header key, header)`.
    #[must_use]
    pub fn tag(&self, header: &[u8]) -> [u8; 32] {
        self.mac(header).finalize().into_bytes().into()
    }

    /// Checks a header's tag in constant time.
    ///
    /// # Errors
    ///
    /// [`Error::NotAuthentic`] when header or tag is not what was tagged.
    pub fn verify(&self, header: &[u8], tag: &[u8; 32]) -> Result<(), Error> {
        self.mac(header).verify_slice(tag).map_err(|_| Error::NotAuthentic)
    }

    fn mac(&self, header: &[u8]) -> Hmac<Sha256> {
        // HMAC takes keys of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose()).unwrap_or_else(|_| unreachable!("any length"));
        mac.update(header);
        mac
    }
}

fn expand<const N: usize>(prk: &Hkdf<Sha256>, label: &[u8]) -> [u8; N] {
    let mut output = [0; N];
    // Fails only past 255 * 32 bytes.
    prk.expand(label, &mut output).unwrap_or_else(|_| unreachable!("at most 32 bytes"));
    output
}

fn expand_key(prk: &Hkdf<Sha256>, label: &[u8]) -> Key {
    Key::take(&mut expand(prk, label))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5869, appendix A, test cases 1 to 3.
    #[test]
    fn rfc_5869() {
        let sequence = |from: u8, to: u8| (from..=to).collect::<Vec<u8>>();
        for (ikm, salt, info, okm) in [
            (
                vec![0x0b; 22],
                sequence(0x00, 0x0c),
                sequence(0xf0, 0xf9),
                "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
            ),
            (
                sequence(0x00, 0x4f),
                sequence(0x60, 0xaf),
                sequence(0xb0, 0xff),
                "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09\
                 da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
            ),
            (
                vec![0x0b; 22],
                vec![],
                vec![],
                "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
            ),
        ] {
            let mut made = vec![0; okm.len() / 2];
            Hkdf::<Sha256>::new(Some(&salt), &ikm).expand(&info, &mut made).expect("short");
            assert_eq!(hex::encode(made), okm);
        }
    }

    /// RFC 4231, test cases 1 to 4, 6 and 7 (5 truncates its output).
    #[test]
    fn rfc_4231() {
        for (key, data, tag) in [
            (vec![0x0b; 20], b"Hi There".to_vec(), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe".to_vec(),
                b"what do ya want for nothing?".to_vec(),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (vec![0xaa; 20], vec![0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            ((1..=25).collect(), vec![0xcd; 50], "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
            (
                vec![0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                vec![0xaa; 131],
                b"This is a test using a larger than block-size key and a larger than block-size data. \
                  The key needs to be hashed before being used by the HMAC algorithm."
                    .to_vec(),
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ] {
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length");
            mac.update(&data);
            assert_eq!(hex::encode(mac.finalize().into_bytes()), tag);
        }
    }

    #[test]
    fn salt_and_key_both_count() {
        let seal_id = |salt: u8, key: u8| FileKeys::derive(&[salt; 16], &Key::take(&mut [key; 32])).seal_id;
        assert_eq!(seal_id(1, 1), seal_id(1, 1));
        assert_ne!(seal_id(1, 1), seal_id(2, 1));
        assert_ne!(seal_id(1, 1), seal_id(1, 2));
    }

    #[test]
    fn a_header_tag_sees_every_bit() {
        let keys = FileKeys::derive(&[1; 16], &Key::take(&mut [1; 32]));
        let header = [7; 480];
        let tag = keys.header_key.tag(&header);
        assert_eq!(keys.header_key.verify(&header, &tag), Ok(()));
        for bit in 0..256 {
            let mut flipped = tag;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(keys.header_key.verify(&header, &flipped), Err(Error::NotAuthentic));
        }
    }
}
