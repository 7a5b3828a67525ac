//! Public names of keys and sealings, shown in lower-case hexadecimal.

use core::{fmt, str::FromStr};

use super::Error;

/// The public name of a key: a labelled SHA-256 of it (computed in `crypto`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// The public name of one sealing: the same across re-wraps, new for every sealing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SealId(pub [u8; 16]);

impl SealId {
    /// What stands for it where a recording is kept in plain: the first bytes of the SHA-256 of its media.
    #[must_use]
    pub fn of_plain(digest: &[u8; 32]) -> Self {
        let mut bytes = [0; 16];
        for (byte, from) in bytes.iter_mut().zip(digest) {
            *byte = *from;
        }
        Self(bytes)
    }
}

/// The start of a fingerprint as a person types it: 8 to 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FingerprintPrefix(String);

impl FingerprintPrefix {
    /// Whether `fingerprint` begins with these digits.
    #[must_use]
    pub fn matches(&self, fingerprint: &Fingerprint) -> bool {
        fingerprint.to_string().starts_with(&self.0)
    }
}

impl fmt::Display for FingerprintPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for FingerprintPrefix {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if (8..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(Error::Fingerprint(text.into()))
        }
    }
}

impl FromStr for Fingerprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| Error::Fingerprint(text.into()))?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl fmt::Display for SealId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for SealId {
    type Err = ();

    /// As it is written: 32 hexadecimal digits, small letters.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| ())?;
        let seal_id = Self(bytes);
        if seal_id.to_string() == text { Ok(seal_id) } else { Err(()) }
    }
}

impl fmt::Debug for SealId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_prefixes_match() {
        let fingerprint = Fingerprint([0xC4; 32]);
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        assert!("C4C4C4C4".parse::<FingerprintPrefix>().is_ok_and(|prefix| prefix.matches(&fingerprint)));
        assert_eq!("C4c4C4c4".parse::<FingerprintPrefix>().map(|prefix| prefix.to_string()), Ok("c4c4c4c4".to_owned()));
        assert!("c4c4c4c5".parse::<FingerprintPrefix>().is_ok_and(|prefix| !prefix.matches(&fingerprint)));
        for bad in ["", "c4c4c4c", "c4c4c4cx", &"c".repeat(65)] {
            assert!(bad.parse::<FingerprintPrefix>().is_err(), "{bad:?}");
        }
    }

    /// It is part of names in stores, where two ways to write one would be two objects.
    #[test]
    fn a_seal_id_is_written_in_one_way() {
        let text = "0123456789abcdef0123456789abcdef";
        let seal_id =
            SealId([0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF, 0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF]);
        assert_eq!((text.parse(), seal_id.to_string().as_str()), (Ok(seal_id), text));
        for bad in ["", &text[..30], &text.to_uppercase(), &format!("{text}00"), &text.replace('f', "g")] {
            assert_eq!(bad.parse::<SealId>(), Err(()), "{bad:?}");
        }
    }
}
