//! AES-256-CTR keystream with random access (NIST SP 800-38A, section 6.5).
//!
//! The keystream does not ensure that ciphertext is authentic: callers verify a chunk's tag first, always.

use aes::cipher::{InnerIvInit, KeyInit, StreamCipher, StreamCipherSeek};

use super::Key;

/// The counter mode over the encrypting half of the cipher, the only half that it needs.
type Ctr = ctr::Ctr64BE<aes::Aes256Enc>;
type CtrCore = ctr::CtrCore<aes::Aes256Enc, ctr::flavors::Ctr64BE>;

/// The media keystream of one sealing: byte `p` of the media meets byte `p % 16` of block `p / 16`.
///
/// The counter block is 8 zero bytes ‖ 64-bit block index, big-endian. The key must be used for **one** plaintext
/// and never again: two plaintexts under one keystream reveal both.
pub struct Keystream(aes::Aes256Enc);

impl Keystream {
    /// The keystream of `media_key`, at position 0.
    #[must_use]
    pub fn new(media_key: &Key) -> Self {
        Self(aes::Aes256Enc::new(media_key.expose().into()))
    }

    /// Encrypts or decrypts `bytes` in place; its first byte is media byte `position`.
    ///
    /// Media is at most 2^60 bytes long, so the 64-bit block index never wraps.
    pub fn apply(&self, position: u64, bytes: &mut [u8]) {
        self.at(position).apply_keystream(bytes);
    }

    /// Decrypts `ciphertext` into `plaintext`, which has the same length; the first byte is media byte `position`.
    ///
    /// # Panics
    ///
    /// When the two differ in length, which is a fault of the caller.
    pub fn apply_into(&self, position: u64, ciphertext: &[u8], plaintext: &mut [u8]) {
        assert_eq!(ciphertext.len(), plaintext.len(), "both buffers hold the same bytes of media");
        self.at(position).apply_keystream_b2b(ciphertext, plaintext);
    }

    /// A copy of the expanded key at its own position: cheaper than expanding the key anew, and `&self` stays shared.
    fn at(&self, position: u64) -> Ctr {
        let mut keystream = Ctr::from_core(CtrCore::inner_iv_init(self.0.clone(), &[0; 16].into()));
        keystream.seek(position);
        keystream
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        hex::decode(text).expect("hexadecimal")
    }

    /// NIST SP 800-38A, F.5.5 CTR-AES256.Encrypt. Its initial counter block is f0f1…ff; ours starts with zeros, so
    /// this checks the very cipher type that [`Keystream`] wraps, with the vector's own block.
    #[test]
    fn sp_800_38a_f_5_5() {
        let key: [u8; 32] =
            unhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4").try_into().expect("32");
        let counter: [u8; 16] = unhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff").try_into().expect("16");
        let mut bytes = unhex(
            "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
             30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
        );
        Ctr::from_core(CtrCore::inner_iv_init(aes::Aes256Enc::new(&key.into()), &counter.into()))
            .apply_keystream(&mut bytes);
        assert_eq!(
            hex::encode(bytes),
            "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5\
             2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6"
        );
    }

    /// Block `i` of the keystream is the encryption of counter block `i`, made here by the block cipher alone.
    #[test]
    fn keystream_block_is_the_encrypted_counter_block() {
        use aes::cipher::BlockCipherEncrypt;
        let mut key_bytes = [0x5A; 32];
        let key = Key::take(&mut key_bytes);
        let cipher = aes::Aes256::new(key.expose().into());
        for index in [0_u64, 1, 2, 255, 256, 65_537, 1 << 40, (1 << 56) - 1] {
            let mut block = [0; 16];
            block[8..].copy_from_slice(&index.to_be_bytes());
            let mut expected = block.into();
            cipher.encrypt_block(&mut expected);
            let mut stream = [0; 16];
            Keystream::new(&key).apply(index * 16, &mut stream);
            assert_eq!(stream.as_slice(), expected.as_slice(), "block {index}");
        }
    }

    #[test]
    fn any_position_equals_the_slice() {
        let keystream = Keystream::new(&Key::take(&mut [9; 32]));
        let mut whole = vec![0; 4096];
        keystream.apply(0, &mut whole);
        for position in 0..200 {
            let mut part = vec![0; 77];
            keystream.apply(position as u64, &mut part);
            assert_eq!(part, whole[position..position + 77], "position {position}");
            let mut copied = vec![1; 77];
            keystream.apply_into(position as u64, &[0; 77], &mut copied);
            assert_eq!(copied, part);
        }
    }
}
