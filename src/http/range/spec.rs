//! The grammar of `Range`: from a field value to range-specs, or to why it does not count.
//!
//! Knows no representation: whether a byte lies in a range is asked in [`super`]. Lists are read as recipients have to
//! read them (RFC 9110, section 5.6.1): white space around commas and empty elements mean nothing.

use super::Ignored;

/// As many ranges as a request may ask for. More are a broken client or an attack (section 17.15).
pub(super) const RANGES_MAX: usize = 64;

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
    let dash = element.iter().position(|byte| *byte == b'-')?;
    let (first, last) = (&element[..dash], &element[dash + 1..]);
    match (first.is_empty(), last.is_empty()) {
        (true, true) => None,
        (true, false) => Some(Spec::Suffix(Number::parse(last)?.value)),
        (false, true) => Some(Spec::From(Number::parse(first)?.value)),
        (false, false) => {
            let (first, last) = (Number::parse(first)?, Number::parse(last)?);
            // "An int-range is invalid if the last-pos value is present and less than first-pos."
            (first <= last).then_some(Spec::Between(first.value, last.value))
        }
    }
}

/// A decimal numeral of any length. Compared by its digits, so that no length makes two numbers equal.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Number<'a> {
    digits_len: usize,
    digits: &'a [u8],
    value: u64,
}

impl<'a> Number<'a> {
    fn parse(text: &'a [u8]) -> Option<Self> {
        if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let digits = &text[text.iter().take_while(|digit| **digit == b'0').count()..];
        let value = digits
            .iter()
            .try_fold(0_u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
            .unwrap_or(u64::MAX);
        Some(Self { digits_len: digits.len(), digits, value })
    }
}

/// Without optional white space (section 5.6.3) at either end.
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}
