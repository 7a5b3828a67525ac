//! Which bytes a `Range` header asks for: RFC 9110, section 14, decided here and nowhere else.
//!
//! ```text
//! Range            = ranges-specifier
//! ranges-specifier = range-unit "=" range-set          range-set = 1#range-spec
//! range-spec       = int-range / suffix-range / other-range
//! int-range        = first-pos "-" [ last-pos ]        suffix-range = "-" suffix-length
//! ```
//!
//! [`spec`] reads the grammar; what it means for a recording is decided by [`select`], a pure function. What may be
//! ignored is ignored, with a reason, because a reason that nobody can see is one that nobody can test.

use core::ops::Range;

use spec::Spec;

mod spec;
#[cfg(test)]
mod tests;

/// A last position that nobody asks for who means less than all that ever comes: "a Very Large value", 2^53 - 1 (RFC 8673,
/// section 2).
const VERY_LARGE: u64 = (1 << 53) - 1;

/// By how much the work for several ranges may exceed that for the whole recording: "small change".
const EXTRA_WORK_MAX: u64 = 1024 * 1024;

/// What to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// 200 and all of it.
    Whole(Ignored),
    /// 206 and these bytes: never empty, never past the end.
    Part(Range<u64>),
    /// 206 and these parts, two or more, in the order asked: none empty, none past the end, no two that overlap or
    /// touch.
    Parts(Vec<Range<u64>>),
    /// 206 and what is there from `first` on, and what comes, up to `last`: of a recording in progress, for one who asks
    /// for a last position that says so (RFC 8673).
    Follow {
        /// There already.
        first: u64,
        /// As it was asked for.
        last: u64,
    },
    /// 416, unless a byte of it comes in time: of a recording in progress.
    NotYet,
    /// 416: the header is good and no byte lies in it.
    Unsatisfiable,
}

/// Why a `Range` header does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ignored {
    /// There is none.
    Absent,
    /// Ranges are defined for GET alone.
    Method,
    /// There are two, and the field is not a list.
    Repeated,
    /// `If-Range` names another representation.
    Conditional,
    /// Another unit than bytes.
    UnknownUnit,
    /// Not what the grammar says.
    Malformed,
    /// More ranges than anyone needs.
    TooMany,
    /// Sending the parts is more work than sending all of it.
    TooMuch,
    /// Nothing can be a part of an empty recording.
    EmptyRepresentation,
    /// Of a recording in progress, everything from the start, or what will be its end: it is followed, and has no end to
    /// name.
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

/// Selects what a GET with these `Range` header values is sent. `may_be_partial` is the outcome of `If-Range`;
/// `unit_len` is how many bytes of media are read and verified together.
pub(super) fn select<'a>(
    mut values: impl Iterator<Item = &'a [u8]>,
    may_be_partial: bool,
    extent: Extent,
    unit_len: u64,
) -> Selection {
    let Some(value) = values.next() else { return Selection::Whole(Ignored::Absent) };
    if values.next().is_some() {
        return Selection::Whole(Ignored::Repeated);
    }
    if !may_be_partial {
        return Selection::Whole(Ignored::Conditional);
    }
    let specs = match spec::parse(value) {
        Ok(specs) => specs,
        Err(ignored) => return Selection::Whole(ignored),
    };
    let selection = match (specs.as_slice(), extent) {
        (_, Extent::Fixed(0)) => Selection::Whole(Ignored::EmptyRepresentation),
        ([Spec::Suffix(_) | Spec::From(0)], Extent::Growing(_)) => Selection::Whole(Ignored::InProgress),
        ([Spec::Between(first, last @ VERY_LARGE..)], Extent::Growing(len)) if *first < len => {
            Selection::Follow { first: *first, last: *last }
        }
        ([one], Extent::Fixed(len) | Extent::Growing(len)) => {
            resolve(*one, len).map_or(Selection::Unsatisfiable, Selection::Part)
        }
        // Of a recording in progress, in what is there: no part but the last could be followed.
        (several, Extent::Fixed(len) | Extent::Growing(len)) => resolve_all(several, len, unit_len),
    };
    match (selection, extent) {
        (Selection::Unsatisfiable, Extent::Growing(_)) if specs.iter().any(may_come) => Selection::NotYet,
        (selection, _) => selection,
    }
}

/// Whether a recording in progress may come to have a byte that is asked for: none is very large.
fn may_come(spec: &Spec) -> bool {
    match spec {
        Spec::From(first) | Spec::Between(first, _) => *first < VERY_LARGE,
        Spec::Suffix(len) => *len > 0,
    }
}

/// The bytes of one range-spec in `len` bytes, if there are any. A last position past the end, and a suffix longer
/// than all there is, are cut to it (sections 14.1.1 and 14.1.2).
fn resolve(spec: Spec, len: u64) -> Option<Range<u64>> {
    let range = match spec {
        Spec::From(first) => first..len,
        Spec::Between(first, last) => first..last.saturating_add(1).min(len),
        Spec::Suffix(suffix_len) => len.saturating_sub(suffix_len)..len,
    };
    (!range.is_empty()).then_some(range)
}

/// Several range-specs. The unsatisfiable ones are dropped; when one part is left it is sent as one, since section
/// 15.3.7.2 leaves the choice and more clients read that.
fn resolve_all(specs: &[Spec], len: u64, unit_len: u64) -> Selection {
    let asked = specs.iter().filter_map(|spec| resolve(*spec, len)).collect();
    let mut parts = coalesce(asked);
    // What is verified together is read anew for each part that lies in it.
    let work = parts.iter().fold(0_u64, |work, part| work.saturating_add(work_len(part, len, unit_len)));
    match (parts.len(), parts.pop()) {
        (_, None) => Selection::Unsatisfiable,
        (1, Some(one)) => Selection::Part(one),
        _ if work > len.saturating_add(EXTRA_WORK_MAX) => Selection::Whole(Ignored::TooMuch),
        (_, Some(last)) => {
            parts.push(last);
            Selection::Parts(parts)
        }
    }
}

/// Makes one of those that overlap or touch, and never of others: bytes that nobody asked for are not sent. One of
/// several stands where the first of them stood; the others keep their order.
fn coalesce(asked: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut by_start: Vec<(usize, Range<u64>)> = asked.into_iter().enumerate().collect();
    by_start.sort_by_key(|(_, range)| range.start);
    let mut merged: Vec<(usize, Range<u64>)> = Vec::with_capacity(by_start.len());
    for (place, range) in by_start {
        match merged.last_mut() {
            Some((first_place, before)) if range.start <= before.end => {
                *first_place = place.min(*first_place);
                before.end = before.end.max(range.end);
            }
            _ => merged.push((place, range)),
        }
    }
    merged.sort_by_key(|(place, _)| *place);
    merged.into_iter().map(|(_, range)| range).collect()
}

/// How many bytes of media are read and verified to send a part.
fn work_len(part: &Range<u64>, len: u64, unit_len: u64) -> u64 {
    let unit_len = unit_len.max(1);
    let start = part.start / unit_len * unit_len;
    part.end.div_ceil(unit_len).saturating_mul(unit_len).min(len).saturating_sub(start)
}
