//! Named edges, then oracles that read the RFC's sentences in another way, over the whole small space.

use std::collections::BTreeSet;

use super::{EXTRA_WORK_MAX, Extent, Ignored, Selection, select, spec::RANGES_MAX, work_len};

/// A record's media in most sealed recordings.
const UNIT_LEN: u64 = 16 * 1024;

fn of(value: &str, len: u64) -> Selection {
    select([value.as_bytes()].into_iter(), true, Extent::Fixed(len), 1)
}

#[test]
fn what_other_servers_get_wrong() {
    use Selection::{Part, Parts, Unsatisfiable, Whole};
    for (value, len, expected) in [
        // An unknown unit must be ignored.
        ("seconds=1-2", 10, Whole(Ignored::UnknownUnit)),
        ("bytes", 10, Whole(Ignored::UnknownUnit)),
        ("bytes ", 10, Whole(Ignored::UnknownUnit)),
        ("bytes =0-1", 10, Whole(Ignored::UnknownUnit)),
        ("", 10, Whole(Ignored::UnknownUnit)),
        // The unit is a token, and tokens of units compare without case.
        ("Bytes=0-0", 10, Part(0..1)),
        // Malformed is ignored.
        ("bytes=", 10, Whole(Ignored::Malformed)),
        ("bytes=-", 10, Whole(Ignored::Malformed)),
        ("bytes=a-b", 10, Whole(Ignored::Malformed)),
        ("bytes=5", 10, Whole(Ignored::Malformed)),
        ("bytes=2-1", 10, Whole(Ignored::Malformed)),
        ("bytes=+1-2", 10, Whole(Ignored::Malformed)),
        ("bytes=1--2", 10, Whole(Ignored::Malformed)),
        ("bytes=1- 2", 10, Whole(Ignored::Malformed)),
        ("bytes=0x1-2", 10, Whole(Ignored::Malformed)),
        ("bytes=0-1;4-5", 10, Whole(Ignored::Malformed)),
        ("bytes=99999999999999999999-99999999999999999998", 10, Whole(Ignored::Malformed)),
        // A suffix longer than all there is selects all of it, and still as a part.
        ("bytes=-100", 10, Part(0..10)),
        ("bytes=-10", 10, Part(0..10)),
        ("bytes=-1", 10, Part(9..10)),
        // A suffix of nothing selects nothing.
        ("bytes=-0", 10, Unsatisfiable),
        // Numbers past every integer are positions past every end.
        ("bytes=0-18446744073709551615", 10, Part(0..10)),
        ("bytes=0-99999999999999999999999", 10, Part(0..10)),
        ("bytes=0-99999999999999999999999999999999999999999999999999", 10, Part(0..10)),
        ("bytes=0000000000000000000000000000000000000000000001-2", 10, Part(1..3)),
        ("bytes=18446744073709551615-", 10, Unsatisfiable),
        ("bytes=99999999999999999999999-", 10, Unsatisfiable),
        ("bytes=99999999999999999998-99999999999999999999", 10, Unsatisfiable),
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
        // Several, in the order asked.
        ("bytes=0-1,4-5", 10, Parts(vec![0..2, 4..6])),
        ("bytes=4-5,0-1", 10, Parts(vec![4..6, 0..2])),
        ("bytes=-1,0-0", 10, Parts(vec![9..10, 0..1])),
        // What cannot be had is left out, and one that is left is no multipart.
        ("bytes=20-,0-1,-0,4-5", 10, Parts(vec![0..2, 4..6])),
        ("bytes=20-,0-1", 10, Part(0..2)),
        ("bytes=20-,30-,-0", 10, Unsatisfiable),
        // One bad range makes all of it malformed.
        ("bytes=0-1,5-4", 10, Whole(Ignored::Malformed)),
        ("bytes=0-1,x", 10, Whole(Ignored::Malformed)),
        // What overlaps or touches is one, where the first of it stood; across a gap of one byte it is not.
        ("bytes=0-4,5-9", 10, Part(0..10)),
        ("bytes=5-9,0-4", 10, Part(0..10)),
        ("bytes=0-5,3-9", 10, Part(0..10)),
        ("bytes=0-3,5-9", 10, Parts(vec![0..4, 5..10])),
        ("bytes=8-8,0-1,6-7,4-4", 10, Parts(vec![6..9, 0..2, 4..5])),
        ("bytes=0-1,8-9,2-7", 10, Part(0..10)),
        ("bytes=0-,0-,0-,0-", 10, Part(0..10)),
        // Lists as recipients read them.
        ("bytes= 0-1", 10, Part(0..2)),
        ("bytes=0-1 ", 10, Part(0..2)),
        ("bytes=,0-1", 10, Part(0..2)),
        ("bytes=0-1,", 10, Part(0..2)),
        ("bytes=, ,\t,0-1 , , 4-5,,", 10, Parts(vec![0..2, 4..6])),
        ("bytes=,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,0-1", 10, Part(0..2)),
        ("bytes=,", 10, Whole(Ignored::Malformed)),
    ] {
        assert_eq!(of(value, len), expected, "{value:?} of {len}");
    }
}

/// The table "Range serving" of the models: what is answered where seven servers differ.
#[test]
fn where_seven_servers_differ() {
    use Selection::{Part, Parts, Unsatisfiable, Whole};
    for (value, len, expected) in [
        ("items=0-4", 100, Whole(Ignored::UnknownUnit)),
        ("bytes=abc", 100, Whole(Ignored::Malformed)),
        ("bytes=-200", 100, Part(0..100)),
        ("bytes=-0", 100, Unsatisfiable),
        ("bytes=0-18446744073709551615", 100, Part(0..100)),
        ("bytes=0-", 0, Whole(Ignored::EmptyRepresentation)),
        ("bytes=0-0,-1", 100, Parts(vec![0..1, 99..100])),
    ] {
        assert_eq!(of(value, len), expected, "{value:?} of {len}");
    }
}

/// Each reason has a request that meets it; a reason without one does not compile here.
#[test]
fn every_reason_is_met() {
    let range = b"bytes=0-1".as_slice();
    let fixed = Extent::Fixed(10);
    let many = format!("bytes={}", "0-0,".repeat(RANGES_MAX + 1));
    let apart: Vec<String> = (0..RANGES_MAX as u64).map(|i| format!("{}-{}", 2 * i, 2 * i)).collect();
    let apart = format!("bytes={}", apart.join(","));
    let alone = |value: &str, extent, unit_len| select([value.as_bytes()].into_iter(), true, extent, unit_len);
    let mut met = BTreeSet::from([Ignored::Method]); // in `decision`
    for (selection, reason) in [
        (select([].into_iter(), true, fixed, 1), Ignored::Absent),
        (select([range, range].into_iter(), true, fixed, 1), Ignored::Repeated),
        (select([range].into_iter(), false, fixed, 1), Ignored::Conditional),
        (alone("lines=0-1", fixed, 1), Ignored::UnknownUnit),
        (select([b"bytes=\xFF-".as_slice()].into_iter(), true, fixed, 1), Ignored::Malformed),
        (alone(&many, fixed, 1), Ignored::TooMany),
        (alone(&apart, Extent::Fixed(2 * UNIT_LEN), 2 * UNIT_LEN), Ignored::TooMuch),
        (alone("bytes=0-1", Extent::Fixed(0), 1), Ignored::EmptyRepresentation),
        (alone("bytes=0-", Extent::Growing(10), 1), Ignored::InProgress),
    ] {
        assert_eq!(selection, Selection::Whole(reason));
        met.insert(reason);
    }
    let count = |reason| match reason {
        Ignored::Absent
        | Ignored::Method
        | Ignored::Repeated
        | Ignored::Conditional
        | Ignored::UnknownUnit
        | Ignored::Malformed
        | Ignored::TooMany
        | Ignored::TooMuch
        | Ignored::EmptyRepresentation
        | Ignored::InProgress => 10,
    };
    assert!(met.iter().all(|reason| count(*reason) == met.len()), "{met:?}");
}

#[test]
fn several_ranges_are_no_more_work_than_all_of_it_and_small_change() {
    let ranges = |count: u64| {
        let ranges: Vec<String> = (0..count).map(|i| format!("{}-{}", 2 * i, 2 * i)).collect();
        format!("bytes={}", ranges.join(","))
    };
    let max = RANGES_MAX as u64;
    let parts =
        |value: &str, len, unit_len| match select([value.as_bytes()].into_iter(), true, Extent::Fixed(len), unit_len) {
            Selection::Parts(parts) => parts.len() as u64,
            Selection::Whole(Ignored::TooMany | Ignored::TooMuch) => 0,
            other => panic!("{value}: {other:?}"),
        };
    assert_eq!(parts(&ranges(max), 1000, 1), max);
    assert_eq!(parts(&ranges(max + 1), 1000, 1), 0, "too many");
    // Every part opens the same record again: as often as small change pays for.
    assert_eq!(parts(&ranges(max), UNIT_LEN, UNIT_LEN), max);
    let unit_len = 256 * 1024;
    assert_eq!(parts(&ranges(5), unit_len, unit_len), 5, "one for the whole, four for {EXTRA_WORK_MAX}");
    assert_eq!(parts(&ranges(6), unit_len, unit_len), 0, "too much");
    // Bytes far apart of a long recording are little work.
    assert_eq!(parts("bytes=0-0,500000000-500000000,-1", 1 << 30, 1 << 20), 3);
    // The same again and again is one part.
    let same = format!("bytes={}", "0-,".repeat(RANGES_MAX));
    assert_eq!(of(&same, 1 << 40), Selection::Part(0..1 << 40));
}

#[test]
fn in_progress_a_part_is_cut_to_what_is_there_and_the_whole_is_followed() {
    let growing = |value: &str| select([value.as_bytes()].into_iter(), true, Extent::Growing(10), 1);
    assert_eq!(growing("bytes=0-"), Selection::Whole(Ignored::InProgress));
    assert_eq!(growing("bytes=-3"), Selection::Whole(Ignored::InProgress));
    assert_eq!(growing("bytes=-0"), Selection::Whole(Ignored::InProgress));
    assert_eq!(growing("bytes=0-1,"), Selection::Part(0..2), "one range and an empty element");
    assert_eq!(growing("bytes=0-3"), Selection::Part(0..4));
    assert_eq!(growing("bytes=3-"), Selection::Part(3..10));
    assert_eq!(growing("bytes=3-99"), Selection::Part(3..10));
    assert_eq!(growing("bytes=9-9007199254740990"), Selection::Part(9..10), "less than very large");
    for value in ["bytes=10-", "bytes=10-99", "bytes=9007199254740990-", "bytes=9007199254740990-9007199254740991"] {
        assert_eq!(growing(value), Selection::NotYet, "{value}");
    }
    // Some players ask for the end of what has none.
    for value in ["bytes=9007199254740991-", "bytes=9223372036854775807-", "bytes=9007199254740991-9007199254740992"] {
        assert_eq!(growing(value), Selection::Unsatisfiable, "{value} never comes");
    }
    // Several, in what is there now.
    assert_eq!(growing("bytes=0-1,4-5"), Selection::Parts(vec![0..2, 4..6]));
    assert_eq!(growing("bytes=0-0,-1"), Selection::Parts(vec![0..1, 9..10]));
    assert_eq!(growing("bytes=0-1,8-9007199254740991"), Selection::Parts(vec![0..2, 8..10]));
    assert_eq!(growing("bytes=10-,20-30"), Selection::NotYet);
    assert_eq!(growing("bytes=9007199254740991-,-0"), Selection::Unsatisfiable);
    // Nothing is there yet.
    let begun = |value: &str| select([value.as_bytes()].into_iter(), true, Extent::Growing(0), 1);
    assert_eq!(begun("bytes=0-"), Selection::Whole(Ignored::InProgress));
    for value in ["bytes=0-0", "bytes=1-", "bytes=0-9007199254740991", "bytes=0-0,2-2", "bytes=-1,-2"] {
        assert_eq!(begun(value), Selection::NotYet, "{value}");
    }
}

/// RFC 8673: a very large last position asks for what comes, from where something is.
#[test]
fn in_progress_a_very_large_end_is_followed() {
    for last in [(1 << 53) - 1, 1 << 53, u64::MAX - 1, u64::MAX] {
        for first in 0..12 {
            let value = format!("bytes={first}-{last}");
            let of = |extent| select([value.as_bytes()].into_iter(), true, extent, 1);
            let expected = if first < 10 { Selection::Follow { first, last } } else { Selection::NotYet };
            assert_eq!(of(Extent::Growing(10)), expected, "{value}");
            // Of what grows no more, it is a position past the end.
            let expected = if first < 10 { Selection::Part(first..10) } else { Selection::Unsatisfiable };
            assert_eq!(of(Extent::Fixed(10)), expected, "{value}");
        }
    }
}

/// A range-spec as it is written.
type Written = (Option<u64>, Option<u64>);

/// "A byte is selected if …", asked of every byte: written from the sentences of section 14.1, not from the code.
fn is_selected((first, last): Written, position: u64, len: u64) -> bool {
    match (first, last) {
        // first-pos is the offset of the first byte, last-pos of the last; positions start at zero.
        (Some(first), Some(last)) => first <= position && position <= last,
        // Without a last-pos the range goes to the end.
        (Some(first), None) => first <= position,
        // The last N bytes.
        (None, Some(suffix)) => len - position <= suffix,
        (None, None) => unreachable!("no such range-spec"),
    }
}

/// What is to be answered, from sets of bytes.
fn oracle(specs: &[Written], len: u64) -> Selection {
    // "An int-range is invalid if the last-pos value is present and less than first-pos", and a set that has one, too.
    if specs.iter().any(|spec| matches!(spec, (Some(first), Some(last)) if last < first)) {
        return Selection::Whole(Ignored::Malformed);
    }
    if len == 0 {
        return Selection::Whole(Ignored::EmptyRepresentation);
    }
    let is_asked = |position: u64| specs.iter().any(|spec| is_selected(*spec, position, len));
    // Ranges that overlap or touch are one: a part is a run of bytes that were asked for, with none before or after.
    let mut runs = Vec::new();
    let mut position = 0;
    while position < len {
        let end = (position..len).find(|end| !is_asked(*end)).unwrap_or(len);
        if end > position {
            runs.push(position..end);
        }
        position = end + 1;
    }
    // "In the same order that the corresponding range-spec appeared": a run by the first that has a byte in it.
    runs.sort_by_key(|run| specs.iter().position(|spec| run.clone().any(|position| is_selected(*spec, position, len))));
    match runs.as_slice() {
        // "Satisfiable if it contains at least one range-spec that is satisfiable."
        [] => Selection::Unsatisfiable,
        [one] => Selection::Part(one.clone()),
        _ => Selection::Parts(runs),
    }
}

/// Every range-spec with numbers below `end`.
fn universe(end: u64) -> Vec<Written> {
    let numbers = || [None].into_iter().chain((0..end).map(Some));
    let all = numbers().flat_map(|first| numbers().map(move |last| (first, last)));
    all.filter(|spec| *spec != (None, None)).collect()
}

fn written(specs: &[Written]) -> String {
    let text = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let specs: Vec<String> = specs.iter().map(|(first, last)| format!("{}-{}", text(*first), text(*last))).collect();
    format!("bytes={}", specs.join(","))
}

#[test]
fn the_whole_small_space_of_one_range_agrees_with_the_oracle() {
    let mut checked = 0;
    for len in 0..12 {
        for spec in universe(15) {
            let value = written(&[spec]);
            assert_eq!(of(&value, len), oracle(&[spec], len), "{value} of {len}");
            checked += 1;
        }
    }
    assert_eq!(checked, 12 * (16 * 16 - 1));
}

#[test]
fn the_whole_small_space_of_several_ranges_agrees_with_the_oracle() {
    let mut checked = 0;
    let mut check = |specs: &[Written], len| {
        let value = written(specs);
        assert_eq!(of(&value, len), oracle(specs, len), "{value} of {len}");
        checked += 1;
    };
    let (wide, narrow, least) = (universe(9), universe(6), universe(5));
    for len in 0..8 {
        for one in &wide {
            for other in &wide {
                check(&[*one, *other], len);
            }
        }
    }
    for len in [0, 1, 4, 5] {
        for one in &narrow {
            for other in &narrow {
                for third in &narrow {
                    check(&[*one, *other, *third], len);
                }
            }
        }
    }
    // Four, of those that end and are in order: what merges through a third.
    let ended: Vec<Written> =
        least.into_iter().filter(|spec| matches!(spec, (Some(first), Some(last)) if first <= last)).collect();
    for one in &ended {
        for other in &ended {
            for third in &ended {
                for fourth in &ended {
                    check(&[*one, *other, *third, *fourth], 5);
                }
            }
        }
    }
    assert_eq!(checked, 8 * 99 * 99 + 4 * 48 * 48 * 48 + 15 * 15 * 15 * 15);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Whatever the header, parts are never empty, never past the end, apart from each other, and bounded work.
    #[test]
    fn parts_lie_within(
        noise in proptest::collection::vec(proptest::num::u8::ANY, 0..60),
        value in ".{0,40}",
        list in "bytes=([0-9]{0,3}-[0-9]{0,3}[ ,]{1,2}){0,70}",
        numbers in "bytes=[0-9]{0,25}-[0-9]{0,25}(,[0-9]{0,25}-[0-9]{0,25}){0,3}",
        len in 0_u64..1 << 60,
        short in 0_u64..1000,
        unit_len in 0_u64..1 << 22,
    ) {
        for value in [noise.as_slice(), value.as_bytes(), list.as_bytes(), numbers.as_bytes()] {
            for len in [len, short] {
                let parts = match select([value].into_iter(), true, Extent::Fixed(len), unit_len) {
                    Selection::Part(part) => vec![part],
                    Selection::Parts(parts) => {
                        proptest::prop_assert!((2..=RANGES_MAX).contains(&parts.len()));
                        let work: u64 = parts.iter().map(|part| work_len(part, len, unit_len)).sum();
                        proptest::prop_assert!(work <= len + EXTRA_WORK_MAX);
                        parts
                    }
                    Selection::Whole(_) | Selection::Unsatisfiable => vec![],
                    Selection::Follow { .. } | Selection::NotYet => return Err(proptest::test_runner::TestCaseError::fail("it is fixed")),
                };
                let mut by_start = parts.clone();
                by_start.sort_by_key(|part| part.start);
                proptest::prop_assert!(parts.iter().all(|part| part.start < part.end && part.end <= len));
                proptest::prop_assert!(by_start.windows(2).all(|two| two[0].end < two[1].start));
            }
        }
    }

    /// Whatever another reader of the grammar accepts is read alike here; of numbers past every integer it does not tell
    /// which is greater.
    #[test]
    fn another_reader_agrees(value in "bytes=([0-9]{0,3}-[0-9]{0,3}|[0-9]{12,18}-[0-9]{12,18})(,? ?[0-9]{0,2}-[0-9]{0,2}){0,5}") {
        use http_range_header::SyntacticallyCorrectRange as Theirs;
        if let Ok(theirs) = http_range_header::parse_range_header(&value) {
            let theirs: Vec<super::Spec> = theirs.into_ranges().into_iter().map(|range| match range {
                Theirs::FromStart(first) => super::Spec::From(first),
                Theirs::FromLast(len) => super::Spec::Suffix(len),
                Theirs::Indexed(first, last) => super::Spec::Between(first, last),
            }).collect();
            proptest::prop_assert_eq!(super::spec::parse(value.as_bytes()), Ok(theirs), "{}", value);
        }
    }
}
