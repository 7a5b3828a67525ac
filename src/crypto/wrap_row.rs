//! Wraps a database key under a definition key: AES-256-GCM (NIST SP 800-38D), bound to its row by associated data.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::{Error, Key, random};

/// A database key as it lies in its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedRowKey {
    /// Random, fresh for every wrapping: 12 bytes, or the 16 that some tokens make where they wrap by themselves.
    pub nonce: Vec<u8>,
    /// Ciphertext (32 bytes) ‖ tag (16 bytes).
    pub ciphertext: [u8; 48],
}

/// `AES-256-GCM(definition key, nonce, database key, AAD)` with a fresh random nonce.
///
/// # Errors
///
/// [`Error::NoRandom`] when the system gives no nonce.
pub fn wrap_row_key(definition_key: &Key, database_key: &Key, aad: &[u8]) -> Result<WrappedRowKey, Error> {
    let nonce = random::<12>()?;
    Ok(wrap_with_nonce(definition_key, nonce, database_key, aad))
}

/// The database key of a row.
///
/// # Errors
///
/// [`Error::NotAuthentic`] when the row was wrapped under another definition key or changed since.
pub fn unwrap_row_key(definition_key: &Key, wrapped: &WrappedRowKey, aad: &[u8]) -> Result<Key, Error> {
    // Opened in a secret, so that no plain byte stays in a buffer that is not wiped.
    let mut bytes = crate::base::Secret::<48>::zeroed();
    bytes.expose_mut().copy_from_slice(&wrapped.ciphertext);
    let nonce = Nonce::try_assume_unique_for_key(&wrapped.nonce).map_err(|_| Error::NotAuthentic)?;
    let opened = cipher(definition_key)
        .open_in_place(nonce, Aad::from(aad), bytes.expose_mut().as_mut_slice())
        .map_err(|_| Error::NotAuthentic)?;
    let mut key = Key::zeroed();
    key.expose_mut().copy_from_slice(opened);
    Ok(key)
}

fn wrap_with_nonce(definition_key: &Key, nonce: [u8; 12], database_key: &Key, aad: &[u8]) -> WrappedRowKey {
    let mut plain = database_key.clone();
    let sealed = cipher(definition_key).seal_in_place_separate_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(aad),
        plain.expose_mut().as_mut_slice(),
    );
    // Fails only past 2^36 bytes of plaintext.
    let tag = sealed.unwrap_or_else(|_| unreachable!("32 bytes"));
    let mut ciphertext = [0; 48];
    ciphertext[..32].copy_from_slice(plain.expose());
    ciphertext[32..].copy_from_slice(tag.as_ref());
    WrappedRowKey { nonce: nonce.to_vec(), ciphertext }
}

fn cipher(definition_key: &Key) -> LessSafeKey {
    // 32 bytes are what AES-256 takes, so this cannot fail.
    let unbound = UnboundKey::new(&AES_256_GCM, definition_key.expose()).unwrap_or_else(|_| unreachable!("32 bytes"));
    LessSafeKey::new(unbound)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Test case 14 of the GCM specification behind SP 800-38D (McGrew and Viega, appendix B): an all-zero 256-bit
    /// key and 96-bit IV over one block of zeros.
    #[test]
    fn gcm_test_case_14() {
        let mut block = [0_u8; 16];
        let tag = cipher(&Key::zeroed())
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut block)
            .expect("seals");
        assert_eq!(hex::encode(block), "cea7403d4d606b6e074ec5d3baf39d18");
        assert_eq!(hex::encode(tag.as_ref()), "d0d1c8a799996bf0265b98b5d48ab919");
        let wrapped = wrap_with_nonce(&Key::zeroed(), [0; 12], &Key::zeroed(), b"");
        assert_eq!(hex::encode(&wrapped.ciphertext[..16]), "cea7403d4d606b6e074ec5d3baf39d18");
    }

    #[test]
    fn row_and_key_are_bound_together() {
        let definition_key = Key::take(&mut [1; 32]);
        let database_key = Key::take(&mut [2; 32]);
        let wrapped = wrap_row_key(&definition_key, &database_key, b"row").expect("random");
        assert_eq!(unwrap_row_key(&definition_key, &wrapped, b"row"), Ok(database_key));
        assert_eq!(unwrap_row_key(&definition_key, &wrapped, b"raw"), Err(Error::NotAuthentic));
        assert_eq!(unwrap_row_key(&Key::take(&mut [3; 32]), &wrapped, b"row"), Err(Error::NotAuthentic));
        let mut nonce_changed = wrapped.clone();
        nonce_changed.nonce[0] ^= 1;
        assert_eq!(unwrap_row_key(&definition_key, &nonce_changed, b"row"), Err(Error::NotAuthentic));
        let mut byte_changed = wrapped;
        byte_changed.ciphertext[47] ^= 1;
        assert_eq!(unwrap_row_key(&definition_key, &byte_changed, b"row"), Err(Error::NotAuthentic));
    }
}
