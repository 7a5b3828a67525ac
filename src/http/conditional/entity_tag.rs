//! Entity tags: RFC 9110, section 8.8.3.
//!
//! ```text
//! entity-tag = [ "W/" ] DQUOTE *etagc DQUOTE        etagc = %x21 / %x23-7E / %x80-FF
//! ```

/// An entity tag, as it stands in a field value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntityTag<'a> {
    is_weak: bool,
    opaque: &'a [u8],
}

/// How two entity tags compare (section 8.8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// Both are strong, and the same.
    Strong,
    /// The same, whether weak or strong.
    Weak,
}

/// What `If-Match` or `If-None-Match` says of a representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    /// `*`: any representation.
    Any,
    /// Its tag is among those listed.
    Yes,
    /// It is not, or the representation has none.
    No,
    /// The field is neither `*` nor a list of entity tags.
    Malformed,
}

impl<'a> EntityTag<'a> {
    /// The whole of `text` as one tag.
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        let (tag, rest) = Self::split(text)?;
        rest.is_empty().then_some(tag)
    }

    pub(super) fn matches(self, other: EntityTag<'_>, comparison: Comparison) -> bool {
        let may_match = comparison == Comparison::Weak || !(self.is_weak || other.is_weak);
        may_match && self.opaque == other.opaque
    }

    /// The tag at the start of `text`, and what follows it. A comma may be part of a tag, so that a list cannot be
    /// cut at its commas.
    fn split(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (is_weak, quoted) = text.strip_prefix(b"W/").map_or((false, text), |rest| (true, rest));
        let inner = quoted.strip_prefix(b"\"")?;
        let len = inner.iter().position(|byte| !matches!(byte, 0x21 | 0x23..=0x7E | 0x80..))?;
        let rest = inner[len..].strip_prefix(b"\"")?;
        Some((Self { is_weak, opaque: &inner[..len] }, rest))
    }
}

/// Looks for a representation's tag in the values of a list field; its lines are one list (section 5.3).
pub(super) fn look_up(values: &[&[u8]], ours: Option<EntityTag<'_>>, comparison: Comparison) -> Listed {
    if let [value] = values
        && value.trim_ascii() == b"*"
    {
        return Listed::Any;
    }
    let mut is_listed = false;
    let mut note = |tag: EntityTag<'_>| is_listed |= ours.is_some_and(|ours| tag.matches(ours, comparison));
    match values.iter().all(|value| read_line(value, &mut note).is_some()) {
        false => Listed::Malformed,
        true if is_listed => Listed::Yes,
        true => Listed::No,
    }
}

/// Reads one line of a list, with the white space and empty elements that recipients accept (section 5.6.1).
fn read_line<'a>(value: &'a [u8], note: &mut impl FnMut(EntityTag<'a>)) -> Option<()> {
    let mut rest = trim_start(value);
    while let Some(byte) = rest.first() {
        if *byte != b',' {
            let (tag, after) = EntityTag::split(rest)?;
            note(tag);
            rest = trim_start(after);
            if rest.is_empty() {
                break;
            }
        }
        rest = trim_start(rest.strip_prefix(b",")?);
    }
    Some(())
}

fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str], comparison: Comparison) -> Listed {
        let ours = EntityTag::parse(b"\"a,b\"").expect("a tag");
        let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
        look_up(&values, Some(ours), comparison)
    }

    /// The table of section 8.8.3.2.
    #[test]
    fn tags_compare_as_the_table_says() {
        for (one, other, strong, weak) in [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
        ] {
            let tag = |text: &'static str| EntityTag::parse(text.as_bytes()).expect("a tag");
            for (one, other) in [(one, other), (other, one)] {
                assert_eq!(tag(one).matches(tag(other), Comparison::Strong), strong, "{one} {other}");
                assert_eq!(tag(one).matches(tag(other), Comparison::Weak), weak, "{one} {other}");
            }
        }
    }

    #[test]
    fn lists_are_read_as_recipients_must() {
        use Listed::{Any, Malformed, No, Yes};
        for (values, expected) in [
            (&["\"a,b\""][..], Yes),
            (&["\"a\", \"a,b\""], Yes),
            (&["\"a\",\"a,b\",\"c\""], Yes),
            (&["\"a\"", "\"a,b\""], Yes),
            (&[",, \"a\" ,\t, \"a,b\" ,"], Yes),
            (&["\"a\", \"b\""], No),
            (&["\"\""], No),
            (&[""], No),
            (&[" , ,"], No),
            (&["W/\"a,b\""], No),
            (&["*"], Any),
            (&[" * "], Any),
            (&["*", "*"], Malformed),
            (&["*", ""], Malformed),
            (&["*, \"a,b\""], Malformed),
            (&["\"a,b\"", "*"], Malformed),
            (&["a,b"], Malformed),
            (&["\"a,b\" \"c\""], Malformed),
            (&["\"a,b\"x"], Malformed),
            (&["\"a,b"], Malformed),
            (&["\"a b\""], Malformed),
            (&["w/\"a,b\""], Malformed),
            (&["W/ \"a,b\""], Malformed),
            (&["'a,b'"], Malformed),
            (&["\"a,b\", x"], Malformed),
        ] {
            assert_eq!(of(values, Comparison::Strong), expected, "{values:?}");
        }
        assert_eq!(of(&["\"x\", W/\"a,b\""], Comparison::Weak), Yes);
        assert_eq!(look_up(&[b"\"a\""], None, Comparison::Weak), No);
        assert_eq!(look_up(&[b"\"\xE4\""], EntityTag::parse(b"\"\xE4\""), Comparison::Weak), Yes);
    }
}
