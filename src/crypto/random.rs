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
