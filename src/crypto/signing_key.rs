//! A key pair that signs local tokens: Ed25519 (RFC 8032).

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use zeroize::Zeroizing;

use super::{Error, Sha256Digest};

/// A fresh private key, as PKCS#8 version 1 in DER.
///
/// # Errors
///
/// [`Error::NoRandom`] when the system gives no random numbers.
pub fn generate_signing_key() -> Result<Zeroizing<Vec<u8>>, Error> {
    let document = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).map_err(|_| Error::NoRandom)?;
    Ok(Zeroizing::new(document.as_ref().to_vec()))
}

/// The public key that belongs to a private one (PKCS#8, version 1 or 2, in DER), and the public key's name: the first
/// 16 hexadecimal digits of its SHA-256.
///
/// # Errors
///
/// [`Error::NotAuthentic`] when it is no Ed25519 key.
pub fn signing_key_public(pkcs8: &[u8]) -> Result<([u8; 32], String), Error> {
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map_err(|_| Error::NotAuthentic)?;
    let public: [u8; 32] = pair.public_key().as_ref().try_into().map_err(|_| Error::NotAuthentic)?;
    let mut digest = Sha256Digest::default();
    digest.update(&public);
    Ok((public, hex::encode(&digest.finish()[..8])))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 1, wrapped as RFC 8410 says.
    #[test]
    fn a_published_pair_belongs_together() {
        let secret = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let pkcs8 = hex::decode(format!("302e020100300506032b657004220420{secret}")).expect("hex");
        let (public, _) = signing_key_public(&pkcs8).expect("a key");
        assert_eq!(hex::encode(public), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        assert_eq!(signing_key_public(&pkcs8[1..]).err(), Some(Error::NotAuthentic));
        let (one, other) = (generate_signing_key().expect("random"), generate_signing_key().expect("random"));
        assert_ne!(signing_key_public(&one).expect("a key"), signing_key_public(&other).expect("a key"));
    }
}
