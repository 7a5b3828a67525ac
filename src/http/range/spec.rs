//! The grammar of `Range`: from a field value to range-specs, or to why it does not count.
//!
//! Knows no representation: whether a byte lies in a range is asked in [`super`]. Lists are read as recipients have to
//! read them (RFC 9110, section 5.6.1): white space around commas and empty elements mean nothing.

use http_range_header::{SyntacticallyCorrectRange, parse_range_header};

use super::Ignored;

/// As many ranges as a request may ask for. More are a broken client or an attack (section 17.15).
pub(super) const RANGES_MAX: usize = 64;

/// How many digits a number has that an integer holds.
const NUMERAL_LEN_MAX: usize = 20;

/// One range-spec. Numbers that no integer holds count as the greatest one: a position past every end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spec {
    /// `first-pos "-"`
    From(u64),
    /// `first-pos "-" last-pos`, the last not before the first.
    Between(u64, u64),
    /// `"-" suffix-length`
    Suffix(u64),
}

/// Reads a field value. Never empty, and never more than [`RANGES_MAX`].
pub(super) fn parse(value: &[u8]) -> Result<Vec<Spec>, Ignored> {
    let equals = value.iter().position(|byte| *byte == b'=').ok_or(Ignored::UnknownUnit)?;
    let (unit, set) = (&value[..equals], &value[equals + 1..]);
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return Err(Ignored::UnknownUnit);
    }
    let mut specs = Vec::new();
    for element in set.split(|byte| *byte == b',').map(trim).filter(|element| !element.is_empty()) {
        let spec = range_spec(element).ok_or(Ignored::Malformed)?;
        if specs.len() == RANGES_MAX {
            return Err(Ignored::TooMany);
        }
        specs.push(spec);
    }
    if specs.is_empty() { Err(Ignored::Malformed) } else { Ok(specs) }
}

/// An int-range or a suffix-range; any other range means nothing where bytes are the unit (section 14.1.1).
fn range_spec(element: &[u8]) -> Option<Spec> {
    let text = core::str::from_utf8(element).ok()?;
    let (first, last) = text.split_once('-')?;
    let (first, last) = (Numeral::read(first)?, Numeral::read(last)?);
    // "An int-range is invalid if the last-pos value is present and less than first-pos."
    if !first.digits.is_empty() && !last.digits.is_empty() && last.order() < first.order() {
        return None;
    }
    // Of the length that two numbers have at most: a text that grows costs more than reading it.
    let mut text = String::with_capacity("bytes=-".len() + 2 * NUMERAL_LEN_MAX);
    ["bytes=", first.clamped(), "-", last.clamped()].iter().for_each(|part| text.push_str(part));
    match parse_range_header(&text).ok()?.into_ranges().as_slice() {
        [SyntacticallyCorrectRange::FromStart(first)] => Some(Spec::From(*first)),
        [SyntacticallyCorrectRange::Indexed(first, last)] => Some(Spec::Between(*first, *last)),
        [SyntacticallyCorrectRange::FromLast(len)] => Some(Spec::Suffix(*len)),
        _ => None,
    }
}

/// A decimal numeral of any length, or none at all; compared by its digits, so that no length makes two numbers equal.
struct Numeral<'a> {
    digits: &'a str,
    /// Without leading zeros.
    significant: &'a str,
}

impl<'a> Numeral<'a> {
    fn read(digits: &'a str) -> Option<Self> {
        let significant = digits.trim_start_matches('0');
        let is_numeral = digits.bytes().all(|byte| byte.is_ascii_digit());
        is_numeral.then_some(Self { digits, significant })
    }

    /// What numerals are ordered by: more digits are more, and of equally many the first that differs decides.
    fn order(&self) -> (usize, &'a str) {
        (self.significant.len(), self.significant)
    }

    /// As the parser takes it, which knows numerals of thirty digits at most: one that no integer holds is the
    /// greatest one.
    fn clamped(&self) -> &'a str {
        match (self.digits, self.significant) {
            ("", _) => "",
            (_, "") => "0",
            (_, significant) if significant.parse::<u64>().is_err() => "18446744073709551615",
            (_, significant) => significant,
        }
    }
}

/// Without optional white space (section 5.6.3) at either end.
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}
