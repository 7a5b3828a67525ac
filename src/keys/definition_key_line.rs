//! A definition key as one line of text: `sealtape-definition-key-1 HEX64 CHECK8`.
//!
//! CHECK8 is the first four bytes of the key's fingerprint, so that a mistyped or wrong file is told by name.

use zeroize::Zeroizing;

use crate::crypto::{Key, definition_key_fingerprint};

const WORD: &str = "sealtape-definition-key-1";

/// What is wrong with a line that should hold a definition key. Never shows the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionKeyLineError {
    /// Another kind of file.
    #[error("it does not begin with `{WORD}`, so it is not a definition key")]
    OtherContent,
    /// Not one line of three words.
    #[error("it must be one line of three words: `{WORD}`, 64 and 8 hexadecimal digits")]
    OtherShape,
    /// The key has another length.
    #[error("its key has {0} digits and must have 64")]
    WrongLength(usize),
    /// The key is not hexadecimal.
    #[error("its key is not hexadecimal")]
    NotHexadecimal,
    /// Key and check do not fit together.
    #[error("its check digits do not fit the key: it was mistyped or damaged")]
    WrongCheck,
}

/// The line for `key`, with its newline.
#[must_use]
pub fn encode_definition_key(key: &Key) -> Zeroizing<String> {
    let digits = Zeroizing::new(hex::encode(key.expose()));
    Zeroizing::new(format!("{WORD} {} {}\n", digits.as_str(), check(key)))
}

/// The key of a line.
///
/// # Errors
///
/// What is wrong with the line, without a byte of it.
pub fn decode_definition_key(text: &str) -> Result<Key, DefinitionKeyLineError> {
    use DefinitionKeyLineError as Error;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let Some(rest) = line.strip_prefix(WORD) else { return Err(Error::OtherContent) };
    let mut words = rest.split(' ');
    let (Some(""), Some(digits), Some(check_digits), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Error::OtherShape);
    };
    if digits.len() != 64 {
        return Err(Error::WrongLength(digits.len()));
    }
    let mut key = Key::zeroed();
    hex::decode_to_slice(digits, key.expose_mut()).map_err(|_| Error::NotHexadecimal)?;
    if !check_digits.eq_ignore_ascii_case(&check(&key)) {
        return Err(Error::WrongCheck);
    }
    Ok(key)
}

fn check(key: &Key) -> String {
    hex::encode(&definition_key_fingerprint(key).0[..4])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_round_trips_with_any_line_end() {
        let key = Key::generate().expect("random");
        let line = encode_definition_key(&key);
        assert_eq!(line.len(), WORD.len() + 1 + 64 + 1 + 8 + 1);
        assert_eq!(decode_definition_key(&line), Ok(key.clone()));
        assert_eq!(decode_definition_key(line.trim_end()), Ok(key.clone()));
        assert_eq!(decode_definition_key(&line.replace('\n', "\r\n")), Ok(key));
    }

    #[test]
    fn what_is_wrong_is_told_by_name() {
        use DefinitionKeyLineError as Error;
        let zeros = "0".repeat(64);
        for (line, error) in [
            ("", Error::OtherContent),
            ("-----BEGIN PRIVATE KEY-----\n", Error::OtherContent),
            (&format!("sealtape-definition-key-2 {zeros} 00000000"), Error::OtherContent),
            (WORD, Error::OtherShape),
            (&format!("{WORD} {zeros}"), Error::OtherShape),
            (&format!("{WORD} {zeros} 00000000 x"), Error::OtherShape),
            (&format!("{WORD} {zeros} 00000000\n\n"), Error::WrongCheck),
            (&format!("{WORD} 00 00000000"), Error::WrongLength(2)),
            (&format!("{WORD} {zeros}00 00000000"), Error::WrongLength(66)),
            (&format!("{WORD} {} 00000000", "g".repeat(64)), Error::NotHexadecimal),
            (&format!("{WORD} {zeros} 00000000"), Error::WrongCheck),
        ] {
            assert_eq!(decode_definition_key(line), Err(error), "{line:?}");
        }
    }

    #[test]
    fn a_mistyped_digit_is_found() {
        let line = encode_definition_key(&Key::take(&mut [0x11; 32]));
        for at in WORD.len() + 1..WORD.len() + 65 {
            let mut mistyped = line.as_bytes().to_vec();
            mistyped[at] = b'2';
            let mistyped = String::from_utf8(mistyped).expect("ASCII");
            assert_eq!(decode_definition_key(&mistyped), Err(DefinitionKeyLineError::WrongCheck), "digit {at}");
        }
    }
}
