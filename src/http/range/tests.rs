//! Named edges, then an oracle that reads the RFC's sentences in another way, over the whole small space.

use super::{Decision, Extent, Ignored, decide};

fn of(value: &str, len: u64) -> Decision {
    decide([value.as_bytes()].into_iter(), true, Extent::Fixed(len))
}

#[test]
fn what_other_servers_get_wrong() {
    use Decision::{Part, Unsatisfiable, Whole};
    for (value, len, expected) in [
        // An unknown unit must be ignored.
        ("seconds=1-2", 10, Whole(Ignored::UnknownUnit)),
        ("bytes", 10, Whole(Ignored::UnknownUnit)),
        ("", 10, Whole(Ignored::UnknownUnit)),
        // The unit is a token, and tokens of units compare without case.
        ("Bytes=0-0", 10, Part(0..1)),
        // Malformed is ignored.
        ("bytes=", 10, Whole(Ignored::Malformed)),
        ("bytes=-", 10, Whole(Ignored::Malformed)),
        ("bytes=a-b", 10, Whole(Ignored::Malformed)),
        ("bytes=2-1", 10, Whole(Ignored::Malformed)),
        ("bytes=+1-2", 10, Whole(Ignored::Malformed)),
        ("bytes=1--2", 10, Whole(Ignored::Malformed)),
        ("bytes=0x1-2", 10, Whole(Ignored::Malformed)),
        // A suffix longer than all there is selects all of it, and still as a part.
        ("bytes=-100", 10, Part(0..10)),
        ("bytes=-10", 10, Part(0..10)),
        ("bytes=-1", 10, Part(9..10)),
        // A suffix of nothing selects nothing.
        ("bytes=-0", 10, Unsatisfiable),
        // Numbers past every integer are positions past every end.
        ("bytes=0-18446744073709551615", 10, Part(0..10)),
        ("bytes=0-99999999999999999999999", 10, Part(0..10)),
        ("bytes=18446744073709551615-", 10, Unsatisfiable),
        ("bytes=99999999999999999999999-", 10, Unsatisfiable),
        ("bytes=-99999999999999999999999", 10, Part(0..10)),
        ("bytes=0-18446744073709551615", u64::MAX, Part(0..u64::MAX)),
        // The last byte, and the one after it.
        ("bytes=9-", 10, Part(9..10)),
        ("bytes=10-", 10, Unsatisfiable),
        ("bytes=10-20", 10, Unsatisfiable),
        ("bytes=0-", 10, Part(0..10)),
        ("bytes=0-9", 10, Part(0..10)),
        ("bytes=0-10", 10, Part(0..10)),
        // Of nothing, nothing can be a part.
        ("bytes=0-", 0, Whole(Ignored::EmptyRepresentation)),
        ("bytes=-5", 0, Whole(Ignored::EmptyRepresentation)),
        ("bytes=0-1,2-3", 0, Whole(Ignored::EmptyRepresentation)),
        ("bytes=0-1,4-5", 10, Whole(Ignored::Several)),
    ] {
        assert_eq!(of(value, len), expected, "{value:?} of {len}");
    }
}

#[test]
fn headers_that_do_not_count() {
    let range = b"bytes=0-1".as_slice();
    let fixed = Extent::Fixed(10);
    assert_eq!(decide([].into_iter(), true, fixed), Decision::Whole(Ignored::Absent));
    assert_eq!(decide([range, range].into_iter(), true, fixed), Decision::Whole(Ignored::Repeated));
    assert_eq!(decide([range].into_iter(), false, fixed), Decision::Whole(Ignored::Conditional));
    assert_eq!(decide([b"bytes=\xFF-".as_slice()].into_iter(), true, fixed), Decision::Whole(Ignored::Malformed));
}

#[test]
fn in_progress_only_what_has_a_start_past_zero_or_an_end_is_a_part() {
    let growing = |value: &str| decide([value.as_bytes()].into_iter(), true, Extent::Growing(10));
    assert_eq!(growing("bytes=0-"), Decision::Whole(Ignored::InProgress));
    assert_eq!(growing("bytes=-3"), Decision::Whole(Ignored::InProgress));
    assert_eq!(growing("bytes=0-3"), Decision::Part(0..4));
    assert_eq!(growing("bytes=3-"), Decision::Part(3..10));
    assert_eq!(growing("bytes=3-99"), Decision::Part(3..10));
    assert_eq!(growing("bytes=10-"), Decision::Unsatisfiable);
}

/// "A byte is selected if …", asked of every byte: written from the sentences of section 14.1, not from the code.
fn oracle(first: Option<u64>, last: Option<u64>, len: u64) -> Decision {
    let selected: Vec<u64> = (0..len)
        .filter(|position| match (first, last) {
            // first-pos is the offset of the first byte, last-pos of the last; positions start at zero.
            (Some(first), Some(last)) => first <= *position && *position <= last,
            // Without a last-pos the range goes to the end.
            (Some(first), None) => first <= *position,
            // The last N bytes.
            (None, Some(suffix)) => len - *position <= suffix,
            (None, None) => unreachable!("no such range-spec"),
        })
        .collect();
    match (len, selected.first(), selected.last()) {
        (0, ..) => Decision::Whole(Ignored::EmptyRepresentation),
        // "If a valid byte-range-set includes at least one range-spec that is satisfiable"
        (_, Some(first), Some(last)) => Decision::Part(*first..*last + 1),
        _ => Decision::Unsatisfiable,
    }
}

#[test]
fn the_whole_small_space_agrees_with_the_oracle() {
    let mut checked = 0;
    for len in 0..12 {
        for first in [None].into_iter().chain((0..15).map(Some)) {
            for last in [None].into_iter().chain((0..15).map(Some)) {
                if (first, last) == (None, None) {
                    continue;
                }
                let text = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
                let value = format!("bytes={}-{}", text(first), text(last));
                let expected = match (first, last) {
                    (Some(first), Some(last)) if last < first => Decision::Whole(Ignored::Malformed),
                    _ => oracle(first, last, len),
                };
                assert_eq!(of(&value, len), expected, "{value} of {len}");
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 12 * (16 * 16 - 1));
}

proptest::proptest! {
    /// Whatever the header, a part is never empty and never past the end.
    #[test]
    fn a_part_lies_within(value in ".{0,40}", numbers in "bytes=[0-9]{0,25}-[0-9]{0,25}", len in 0_u64..1 << 60) {
        for value in [&value, &numbers] {
            if let Decision::Part(range) = of(value, len) {
                proptest::prop_assert!(range.start < range.end && range.end <= len);
            }
        }
    }
}
