//! Wraps a file key under a database key: AES-256 key wrap with the default IV (RFC 3394).

use aes_kw::{KeyInit, KwAes256};

use super::{Error, Key};

/// `AES-KW(database key, file key)`.
#[must_use]
pub fn wrap_file_key(database_key: &Key, file_key: &Key) -> [u8; 40] {
    let mut wrapped = [0; 40];
    // Fails only on lengths that are not multiples of 8.
    key_wrap(database_key).wrap_key(file_key.expose(), &mut wrapped).unwrap_or_else(|_| unreachable!("32 bytes"));
    wrapped
}

/// The file key of `wrapped`.
///
/// # Errors
///
/// [`Error::NotAuthentic`] when it was not wrapped under this database key, or was changed since.
pub fn unwrap_file_key(database_key: &Key, wrapped: &[u8; 40]) -> Result<Key, Error> {
    let mut file_key = Key::zeroed();
    key_wrap(database_key).unwrap_key(wrapped, file_key.expose_mut()).map_err(|_| Error::NotAuthentic)?;
    Ok(file_key)
}

fn key_wrap(database_key: &Key) -> KwAes256 {
    KwAes256::new(database_key.expose().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::take(&mut hex::decode(text).expect("hexadecimal").try_into().expect("32 bytes"))
    }

    /// RFC 3394, section 4.6: 256 bits of key data with a 256-bit KEK.
    #[test]
    fn rfc_3394_4_6() {
        let kek = key("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
        let data = key("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f");
        let wrapped = wrap_file_key(&kek, &data);
        assert_eq!(
            hex::encode(wrapped),
            "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"
        );
        assert_eq!(unwrap_file_key(&kek, &wrapped), Ok(data));
    }

    #[test]
    fn a_changed_bit_or_another_key_is_refused() {
        let kek = Key::take(&mut [1; 32]);
        let wrapped = wrap_file_key(&kek, &Key::take(&mut [2; 32]));
        for bit in 0..320 {
            let mut flipped = wrapped;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unwrap_file_key(&kek, &flipped), Err(Error::NotAuthentic));
        }
        assert_eq!(unwrap_file_key(&Key::take(&mut [3; 32]), &wrapped), Err(Error::NotAuthentic));
    }
}
