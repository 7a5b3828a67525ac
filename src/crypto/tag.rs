//! Chunk tags: GMAC with AES-256 (NIST SP 800-38D), the tag of AES-256-GCM over additional data alone.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::{Error, Key, TAG_LEN};

/// Whether other chunks follow a chunk. It is part of the nonce, so that a file cannot be cut at a chunk's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkKind {
    /// Others follow.
    Inner = 1,
    /// The final chunk.
    Final = 2,
}

/// Tags and verifies the ciphertext of chunks. Whoever can verify can also forge: as secret as the media key.
pub struct TagKey(LessSafeKey);

impl TagKey {
    /// A tag key from the bytes that `derive` makes.
    #[must_use]
    pub fn new(key: &Key) -> Self {
        // 32 bytes are what AES-256 takes, so this cannot fail; were it to, no tag would ever verify.
        let unbound = UnboundKey::new(&AES_256_GCM, key.expose()).unwrap_or_else(|_| unreachable!("32 bytes"));
        Self(LessSafeKey::new(unbound))
    }

    /// `GMAC(tag key, kind ‖ 00 00 00 ‖ index, ciphertext)`.
    ///
    /// An index must **never** be tagged twice under one key: a second tag under one nonce lets anyone forge.
    #[must_use]
    pub fn tag(&self, kind: ChunkKind, index: u64, ciphertext: &[u8]) -> [u8; TAG_LEN] {
        let sealed = self.0.seal_in_place_separate_tag(nonce(kind, index), Aad::from(ciphertext), &mut []);
        // Fails only past 2^36 bytes of plaintext; there is none.
        let tag = sealed.unwrap_or_else(|_| unreachable!("no plaintext"));
        let mut bytes = [0; TAG_LEN];
        bytes.copy_from_slice(tag.as_ref());
        bytes
    }

    /// Checks a chunk's tag in constant time, by opening an empty ciphertext.
    ///
    /// # Errors
    ///
    /// [`Error::NotAuthentic`] when ciphertext, tag, index or kind is not what was tagged.
    pub fn verify(&self, kind: ChunkKind, index: u64, ciphertext: &[u8], tag: &[u8; TAG_LEN]) -> Result<(), Error> {
        let mut empty_and_tag = *tag;
        let opened = self.0.open_in_place(nonce(kind, index), Aad::from(ciphertext), &mut empty_and_tag);
        opened.map(|_empty| ()).map_err(|_| Error::NotAuthentic)
    }
}

/// `kind (1 byte) ‖ 00 00 00 ‖ index (8 bytes)`
fn nonce(kind: ChunkKind, index: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[0] = kind as u8;
    bytes[4..].copy_from_slice(&index.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        hex::decode(text).expect("hexadecimal")
    }

    /// NIST CAVP, gcmEncryptExtIV256 (the vectors of SP 800-38D): Keylen 256, IVlen 96, PTlen 0, Taglen 128,
    /// AADlen 0 and 128, count 0 each.
    #[test]
    fn sp_800_38d_gmac() {
        for (key, iv, aad, tag) in [
            (
                "b52c505a37d78eda5dd34f20c22540ea1b58963cf8e5bf8ffa85f9f2492505b4",
                "516c33929df5a3284ff463d7",
                "",
                "bdc1ac884d332457a1d2664f168c76f0",
            ),
            (
                "78dc4e0aaf52d935c3c01eea57428f00ca1fd475f5da86a49c8dd73d68c8e223",
                "d79cf22d504cc793c3fb6c8a",
                "b96baa8c1c75a671bfb2d08d06be5f36",
                "3e5d486aa2e30b22e040b85723a06e76",
            ),
        ] {
            let key: [u8; 32] = unhex(key).try_into().expect("32 bytes");
            let tag_key = TagKey::new(&Key::take(&mut key.clone()));
            let nonce = Nonce::assume_unique_for_key(unhex(iv).try_into().expect("12 bytes"));
            let made = tag_key.0.seal_in_place_separate_tag(nonce, Aad::from(unhex(aad)), &mut []).expect("seals");
            assert_eq!(hex::encode(made.as_ref()), tag);
        }
    }

    #[test]
    fn every_part_of_a_tag_counts() {
        let key = TagKey::new(&Key::take(&mut [3; 32]));
        let ciphertext = [5; 100];
        let tag = key.tag(ChunkKind::Inner, 7, &ciphertext);
        assert_eq!(key.verify(ChunkKind::Inner, 7, &ciphertext, &tag), Ok(()));
        assert_eq!(key.verify(ChunkKind::Final, 7, &ciphertext, &tag), Err(Error::NotAuthentic));
        assert_eq!(key.verify(ChunkKind::Inner, 8, &ciphertext, &tag), Err(Error::NotAuthentic));
        assert_eq!(key.verify(ChunkKind::Inner, 7, &ciphertext[1..], &tag), Err(Error::NotAuthentic));
        for bit in 0..128 {
            let mut flipped = tag;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.verify(ChunkKind::Inner, 7, &ciphertext, &flipped), Err(Error::NotAuthentic));
        }
    }

    #[test]
    fn the_nonce_is_kind_zeros_index() {
        assert_eq!(hex::encode(nonce(ChunkKind::Inner, 0x0102_0304_0506_0708).as_ref()), "010000000102030405060708");
        assert_eq!(hex::encode(nonce(ChunkKind::Final, 0).as_ref()), "020000000000000000000000");
    }
}
