//! Patterns on names, as shells know them: `*` is any run of characters, `?` any one, `{wav,mp3}` one of several.
//!
//! Knows no path: what is compared is one name, an ID's or a file's.

use core::{fmt, str::FromStr};

use super::Error;

/// How many patterns without braces one with braces may stand for.
const ALTERNATIVES_MAX: usize = 64;

/// A pattern that a name matches as a whole, or does not. Case counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    /// The same without braces: one of these matches.
    alternatives: Vec<Vec<char>>,
}

impl Pattern {
    /// Whether all of `name` matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        self.alternatives.iter().any(|pattern| matches(pattern, &name))
    }
}

impl FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::Pattern(text.to_owned());
        let mut alternatives = vec![Vec::new()];
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, braces) = rest.split_at(at);
            let (within, after) = braces.strip_prefix('{').and_then(|braces| braces.split_once('}')).ok_or_else(bad)?;
            if within.contains('{') {
                return Err(bad());
            }
            let ends = within.split(',').map(|choice| before.chars().chain(choice.chars()).collect::<Vec<char>>());
            let ends: Vec<Vec<char>> = ends.collect();
            alternatives =
                alternatives.iter().flat_map(|start| ends.iter().map(|end| [&start[..], end].concat())).collect();
            if alternatives.len() > ALTERNATIVES_MAX {
                return Err(bad());
            }
            rest = after;
        }
        alternatives.iter_mut().for_each(|pattern| pattern.extend(rest.chars()));
        if text.is_empty() { Err(bad()) } else { Ok(Self { text: text.to_owned(), alternatives }) }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A star that has matched too little takes one more; no earlier star has to be looked at again then, so that the time
/// is at most the product of both lengths.
fn matches(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star = None;
    while let Some(c) = name.get(n) {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            Some(wanted) if *wanted == '?' || wanted == c => {
                (p, n) = (p + 1, n + 1);
                continue;
            }
            Some(_) | None => {}
        }
        let Some((star_at, taken_to)) = star else { return false };
        (p, n) = (star_at, taken_to + 1);
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_a_whole() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*", "anything.wav", true),
            ("*.wav", "call.wav", true),
            ("*.wav", "call.wav.tmp", false),
            ("*.wav", ".wav", true),
            ("call-?", "call-1", true),
            ("call-?", "call-12", false),
            ("call", "call", true),
            ("call", "Call", false),
            ("*.{wav,mp3}", "a.mp3", true),
            ("*.{wav,mp3}", "a.ogg", false),
            ("{a,b}-{1,2}x", "b-1x", true),
            ("{a,b}-{1,2}x", "b-3x", false),
            ("a{,b}", "a", true),
            ("*a*b*c", "xxaxxbxxbxc", true),
            ("*a*b*c", "xxaxxbxxbxcd", false),
            ("ä?", "äß", true),
        ] {
            let read: Pattern = pattern.parse().expect("a pattern");
            assert_eq!(read.matches(name), expected, "{pattern} {name}");
            assert_eq!(read.to_string(), pattern);
        }
    }

    #[test]
    fn many_stars_take_no_time_to_speak_of() {
        let pattern: Pattern = format!("{}b", "*a".repeat(50)).parse().expect("a pattern");
        assert!(!pattern.matches(&"a".repeat(2000)));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in ["", "{", "}", "a{b", "a}b", "{a,{b,c}}", &"{a,b}".repeat(7)] {
            assert_eq!(bad.parse::<Pattern>(), Err(Error::Pattern(bad.to_owned())), "{bad}");
        }
        let most: Pattern = "{a,b}".repeat(6).parse().expect("64 patterns");
        assert!(most.matches("abbaab") && !most.matches("abbaa"));
    }
}
