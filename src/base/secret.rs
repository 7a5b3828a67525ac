//! Secret bytes of a fixed length: wiped on drop, redacted in `Debug`, compared in constant time.
//!
//! The bytes live in a slot of locked memory, so that moving a secret moves a pointer and leaves no copy behind, and so
//! that they are not swapped out where the system allows that.

use core::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::locked::Slot;

/// `N` secret bytes, at most 64.
///
/// There is no `Display`, no serialisation and no `Copy`; whoever needs the bytes says so by [`Secret::expose`].
pub struct Secret<const N: usize>(Slot);

impl<const N: usize> Secret<N> {
    /// A secret of zeros, to be filled in place by [`Secret::expose_mut`].
    #[must_use]
    pub fn zeroed() -> Self {
        Self(Slot::take())
    }

    /// Takes the bytes and wipes the array that they came in.
    #[must_use]
    pub fn take(bytes: &mut [u8; N]) -> Self {
        let mut secret = Self::zeroed();
        secret.expose_mut().copy_from_slice(bytes);
        bytes.zeroize();
        secret
    }

    /// The bytes, for the one line that needs them.
    #[must_use]
    pub fn expose(&self) -> &[u8; N] {
        self.0.bytes()
    }

    /// The bytes, to be filled in place.
    pub fn expose_mut(&mut self) -> &mut [u8; N] {
        self.0.bytes_mut()
    }
}

impl<const N: usize> Clone for Secret<N> {
    fn clone(&self) -> Self {
        let mut copy = Self::zeroed();
        copy.expose_mut().copy_from_slice(self.expose());
        copy
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret<{N}>(redacted)")
    }
}

impl<const N: usize> PartialEq for Secret<N> {
    fn eq(&self, other: &Self) -> bool {
        self.expose().as_slice().ct_eq(other.expose().as_slice()).into()
    }
}

impl<const N: usize> Eq for Secret<N> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_byte() {
        let secret = Secret::take(&mut [0xAB; 32]);
        let shown = format!("{secret:?} {secret:#?}").to_lowercase();
        assert!(!shown.contains("ab") && !shown.contains("171"), "{shown}");
    }

    #[test]
    fn taking_wipes_the_source() {
        let mut source = [7; 16];
        let secret = Secret::take(&mut source);
        assert_eq!(source, [0; 16]);
        assert_eq!(secret.expose(), &[7; 16]);
    }

    #[test]
    fn equality_sees_every_byte() {
        let one = Secret::take(&mut [1; 32]);
        for i in 0..32 {
            let mut bytes = [1; 32];
            bytes[i] = 2;
            assert_ne!(one, Secret::take(&mut bytes), "byte {i}");
        }
        assert_eq!(one, one.clone());
    }
}
