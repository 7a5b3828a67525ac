//! Which bytes a `Range` header asks for: RFC 9110, section 14, decided here and nowhere else.
//!
//! ```text
//! Range            = ranges-specifier
//! ranges-specifier = range-unit "=" range-set          range-set = 1#range-spec
//! range-spec       = int-range / suffix-range / other-range
//! int-range        = first-pos "-" [ last-pos ]        suffix-range = "-" suffix-length
//! ```
//!
//! The grammar is read by `http-range-header`; what it means for a recording is decided by [`decide`], a pure
//! function. What may be ignored is ignored, with a reason, because a reason that nobody can see is one that nobody
//! can test. Several ranges are ignored for now, as section 14.2 allows.

use core::ops::Range;

use http_range_header::{RangeInvalid, RangeUnsatisfiableError, SyntacticallyCorrectRange, parse_range_header};

#[cfg(test)]
mod tests;

/// What to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// 200 and all of it.
    Whole(Ignored),
    /// 206 and these bytes: never empty, never past the end.
    Part(Range<u64>),
    /// 416: the header is good and no byte lies in it.
    Unsatisfiable,
}

/// Why a `Range` header does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ignored {
    /// There is none.
    Absent,
    /// There are two, and the field is not a list.
    Repeated,
    /// `If-Range` names another representation.
    Conditional,
    /// Another unit than bytes.
    UnknownUnit,
    /// Not what the grammar says.
    Malformed,
    /// More than one range.
    Several,
    /// Nothing can be a part of an empty recording.
    EmptyRepresentation,
    /// Of a recording in progress, everything from the start: it is followed, and has no end to name.
    InProgress,
}

/// How much of the representation there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// So many bytes, for good.
    Fixed(u64),
    /// So many bytes by now.
    Growing(u64),
}

/// Decides what a GET with these `Range` header values is sent. `may_be_partial` is the outcome of `If-Range`.
pub(super) fn decide<'a>(mut values: impl Iterator<Item = &'a [u8]>, may_be_partial: bool, extent: Extent) -> Decision {
    let Some(value) = values.next() else { return Decision::Whole(Ignored::Absent) };
    if values.next().is_some() {
        return Decision::Whole(Ignored::Repeated);
    }
    if !may_be_partial {
        return Decision::Whole(Ignored::Conditional);
    }
    let parsed = match core::str::from_utf8(value).map(parse_range_header) {
        Ok(Ok(parsed)) => parsed.into_ranges(),
        Ok(Err(RangeUnsatisfiableError::Invalid(RangeInvalid::DoesNotStartWithToken))) => {
            return Decision::Whole(Ignored::UnknownUnit);
        }
        Ok(Err(_)) | Err(_) => return Decision::Whole(Ignored::Malformed),
    };
    match (parsed.as_slice(), extent) {
        (_, Extent::Fixed(0)) => Decision::Whole(Ignored::EmptyRepresentation),
        ([one], Extent::Fixed(len)) => resolve(*one, len),
        ([SyntacticallyCorrectRange::FromLast(_) | SyntacticallyCorrectRange::FromStart(0)], Extent::Growing(_)) => {
            Decision::Whole(Ignored::InProgress)
        }
        ([one], Extent::Growing(len)) => resolve(*one, len),
        _ => Decision::Whole(Ignored::Several),
    }
}

/// The bytes of one range-spec in `len` bytes. A last position past the end, and a suffix longer than all there is,
/// are cut to it (sections 14.1.1 and 14.1.2); numbers that no integer holds count as the greatest one.
fn resolve(spec: SyntacticallyCorrectRange, len: u64) -> Decision {
    let range = match spec {
        SyntacticallyCorrectRange::FromStart(first) => first..len,
        SyntacticallyCorrectRange::Indexed(first, last) => first..last.saturating_add(1).min(len),
        SyntacticallyCorrectRange::FromLast(suffix_len) => len.saturating_sub(suffix_len)..len,
    };
    if range.is_empty() { Decision::Unsatisfiable } else { Decision::Part(range) }
}
