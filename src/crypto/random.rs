//! Random bytes from the operating system, for keys, salts and nonces.

use super::{Error, Key};

/// `N` random bytes that need not stay secret, such as a salt or a nonce.
///
/// # Errors
///
/// [`Error::NoRandom`] when the system gives none.
pub fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Error::NoRandom)?;
    Ok(bytes)
}

impl Key {
    /// A fresh random key.
    ///
    /// # Errors
    ///
    /// [`Error::NoRandom`] when the system gives none.
    pub fn generate() -> Result<Self, Error> {
        let mut key = Self::zeroed();
        getrandom::fill(key.expose_mut()).map_err(|_| Error::NoRandom)?;
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A nonce that came twice would give a key away. That 32 random bytes do, or are all zeros, happens to nobody.
    #[test]
    fn nothing_comes_twice() {
        let bytes = [(); 3].map(|()| random::<32>().expect("random"));
        assert!(bytes[0] != bytes[1] && bytes[1] != bytes[2] && bytes[0] != bytes[2]);
        let keys = [Key::zeroed(), Key::generate().expect("random"), Key::generate().expect("random")];
        assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
    }
}
