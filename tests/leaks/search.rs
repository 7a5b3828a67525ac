//! Looks for secrets in whatever a program shows, in every form that bytes are shown in.

use std::{collections::HashMap, fmt::Write};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// A secret shows when this much of it does.
const PIECE_LEN: usize = 16;
/// By how many bytes needles are found; none is shorter.
const START_LEN: usize = 8;

/// Secrets by name.
#[derive(Default)]
pub struct Secrets(Vec<(String, Vec<u8>)>);

impl Secrets {
    /// Adds one, once.
    pub fn add(&mut self, name: impl Into<String>, bytes: &[u8]) {
        assert!(bytes.len() >= PIECE_LEN, "too short to be told from chance");
        if !self.0.iter().any(|(_, known)| known == bytes) {
            self.0.push((name.into(), bytes.to_owned()));
        }
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// How many have a name that begins so.
    pub fn count(&self, name: &str) -> usize {
        self.0.iter().filter(|(known, _)| known.starts_with(name)).count()
    }

    pub fn search(&self) -> Search {
        let mut search = Search { needles: HashMap::new(), pairs: vec![false; 1 << 16], len: 0 };
        for (name, secret) in &self.0 {
            let mut pieces: Vec<&[u8]> = secret.chunks_exact(PIECE_LEN).collect();
            // The end of one whose length is no multiple.
            pieces.push(&secret[secret.len() - PIECE_LEN..]);
            for piece in pieces {
                for (form, needle) in forms(piece) {
                    search.add(format!("{name}, {form}"), needle);
                }
            }
        }
        search
    }
}

/// How a piece of a secret looks.
fn forms(piece: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let list =
        |bytes: &[u8], show: fn(&u8) -> String| bytes.iter().map(show).collect::<Vec<_>>().join(",").into_bytes();
    let listed = |show| list(&piece[..8], show);
    let mut forms = vec![
        ("raw", piece.to_owned()),
        ("hexadecimal", hex::encode(piece).into_bytes()),
        ("hexadecimal, upper case", hex::encode_upper(piece).into_bytes()),
        ("numbers", listed(|byte| byte.to_string())),
        ("hexadecimal numbers", listed(|byte| format!("{byte:x}"))),
        ("hexadecimal numbers of two digits", listed(|byte| format!("{byte:02x}"))),
        ("hexadecimal, its characters as numbers", list(hex::encode(piece).as_bytes(), u8::to_string)),
        ("escaped", piece.escape_ascii().to_string().into_bytes()),
        ("percent-encoded", piece.iter().fold(String::new(), |text, byte| percent(text, *byte)).into_bytes()),
    ];
    // Where it begins among groups of three bytes decides which digits are of it alone.
    for passed_over in 0..3 {
        let whole = &piece[passed_over..];
        let whole = &whole[..whole.len() / 3 * 3];
        forms.push(("base64", STANDARD_NO_PAD.encode(whole).into_bytes()));
        forms.push(("base64 for URLs", URL_SAFE_NO_PAD.encode(whole).into_bytes()));
    }
    forms
}

fn percent(mut text: String, byte: u8) -> String {
    write!(text, "%{byte:02X}").expect("written");
    text
}

/// What is looked for.
pub struct Search {
    /// By their first bytes: what each is, and all of it.
    needles: HashMap<[u8; START_LEN], Vec<(String, Vec<u8>)>>,
    /// Whether a needle begins with these two bytes.
    pairs: Vec<bool>,
    len: usize,
}

impl Search {
    fn add(&mut self, name: String, needle: Vec<u8>) {
        let start = needle[..START_LEN].try_into().expect("long enough");
        self.pairs[pair(&needle)] = true;
        let same_start: &mut Vec<_> = self.needles.entry(start).or_default();
        if !same_start.iter().any(|(_, known)| *known == needle) {
            same_start.push((name, needle));
            self.len += 1;
        }
    }

    /// How many needles there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// What of the secrets shows in these bytes: names alone.
    pub fn find(&self, bytes: &[u8]) -> Vec<String> {
        let mut found = self.find_as_it_is(bytes);
        // Lists over several lines, and base64 in lines.
        let squeezed: Vec<u8> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        found.extend(self.find_as_it_is(&squeezed));
        found.sort();
        found.dedup();
        found
    }

    fn find_as_it_is(&self, bytes: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        for (at, window) in bytes.windows(START_LEN).enumerate() {
            if !self.pairs[pair(window)] {
                continue;
            }
            let needles = self.needles.get(window).map(Vec::as_slice).unwrap_or_default();
            let shown = needles.iter().filter(|(_, needle)| bytes[at..].starts_with(needle));
            found.extend(shown.map(|(name, _)| name.clone()));
        }
        found
    }
}

fn pair(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Vec<u8> {
        let mut state = 0x9E37_79B9_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..32).map(|_| next()).collect()
    }

    fn found(planted: &[u8]) -> bool {
        let mut secrets = Secrets::default();
        secrets.add("planted", &secret());
        secrets.add("another", &[0x77; 32]);
        let found = secrets.search().find(planted);
        assert!(found.iter().all(|name| name.starts_with("planted, ")), "{found:?}");
        !found.is_empty()
    }

    #[test]
    fn every_form_of_a_planted_secret_is_found() {
        let secret = secret();
        for half in [&secret[..], &secret[..16], &secret[16..]] {
            for planted in [
                half.to_vec(),
                hex::encode(half).into_bytes(),
                hex::encode_upper(half).into_bytes(),
                format!("{half:?}").into_bytes(),
                format!("{half:#?}").into_bytes(),
                format!("{half:x?}").into_bytes(),
                format!("{half:02x?}").into_bytes(),
                format!("{:?}", hex::encode(half).as_bytes()).into_bytes(),
                serde_json::to_vec(half).expect("written"),
                half.escape_ascii().to_string().into_bytes(),
                half.iter().fold(String::new(), |text, byte| percent(text, *byte)).into_bytes(),
            ] {
                let around = [b"before \xFF ".as_slice(), &planted, b" after"].concat();
                assert!(found(&around), "{}", planted.escape_ascii());
            }
        }
    }

    #[test]
    fn base64_is_found_wherever_it_begins_and_however_it_is_broken() {
        for before in 0..6 {
            for half in [&secret()[..], &secret()[..16], &secret()[16..]] {
                let around = [vec![b'x'; before].as_slice(), half, b"after"].concat();
                for encoded in [STANDARD_NO_PAD.encode(&around), URL_SAFE_NO_PAD.encode(&around)] {
                    assert!(found(encoded.as_bytes()), "{before}: {encoded}");
                    let lines: Vec<&str> =
                        encoded.as_bytes().chunks(10).map(|line| str::from_utf8(line).expect("ASCII")).collect();
                    assert!(found(lines.join("\r\n").as_bytes()), "{before}: {lines:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_secret_is_not_found() {
        let other: Vec<u8> = secret().into_iter().rev().collect();
        assert!(!found(&other) && !found(hex::encode(&other).as_bytes()) && !found(format!("{other:?}").as_bytes()));
        // Half of a half is chance.
        assert!(!found(&secret()[..12]) && !found(&[]) && !found(b"short"));
    }
}
