//! An oracle of section 13.2.2, written from its steps, over every combination of the five conditional headers.

use std::{
    collections::BTreeSet,
    time::{Duration, UNIX_EPOCH},
};

use hyper::header::{HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE};

use super::*;
use crate::base::Timestamp;

/// A field value, and what it means, said beside it.
struct Case<Meaning: 'static>(&'static [&'static str], Meaning);

#[derive(Clone, Copy, PartialEq)]
enum Tags {
    Absent,
    Star,
    /// Lists the representation's tag as it is.
    Own,
    /// Lists it as a weak one.
    OwnWeak,
    Other,
    Malformed,
}

#[derive(Clone, Copy, PartialEq)]
enum Dates {
    Absent,
    Earlier,
    Same,
    Later,
    /// To be ignored.
    Invalid,
}

#[derive(Clone, Copy, PartialEq)]
enum Validator {
    Absent,
    Same,
    Other,
}

const TAGS: [Case<Tags>; 8] = [
    Case(&[], Tags::Absent),
    Case(&["*"], Tags::Star),
    Case(&["\"abc\""], Tags::Own),
    Case(&["\"x\", W/\"y\"", " ,\"abc\""], Tags::Own),
    Case(&["W/\"abc\""], Tags::OwnWeak),
    Case(&["\"x\""], Tags::Other),
    Case(&["abc"], Tags::Malformed),
    Case(&["\"abc\", *"], Tags::Malformed),
];

const DATES: [Case<Dates>; 6] = [
    Case(&[], Dates::Absent),
    Case(&["Sun, 06 Nov 1994 08:49:36 GMT"], Dates::Earlier),
    Case(&["Sun, 06 Nov 1994 08:49:37 GMT"], Dates::Same),
    Case(&["Sunday, 06-Nov-94 08:49:38 GMT"], Dates::Later),
    Case(&["\"abc\""], Dates::Invalid),
    Case(&["Sun, 06 Nov 1994 08:49:36 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"], Dates::Invalid),
];

const IF_RANGES: [Case<Validator>; 6] = [
    Case(&[], Validator::Absent),
    Case(&["\"abc\""], Validator::Same),
    Case(&["W/\"abc\""], Validator::Other),
    Case(&["Sun, 06 Nov 1994 08:49:37 GMT"], Validator::Same),
    Case(&["Sun, 06 Nov 1994 08:49:38 GMT"], Validator::Other),
    Case(&["*"], Validator::Other),
];

/// What the steps of section 13.2.2 say, as a status; for an origin server, and a target that exists.
#[allow(clippy::too_many_arguments, reason = "one for each thing that the steps name")]
fn oracle(
    method: &Method,
    has_validators: bool,
    if_match: Tags,
    if_unmodified_since: Dates,
    if_none_match: Tags,
    if_modified_since: Dates,
    if_range: Validator,
    has_range: bool,
) -> u16 {
    let is_get_or_head = method == Method::GET || method == Method::HEAD;
    // 1. "When recipient is the origin server and If-Match is present, evaluate the If-Match precondition: if true,
    //    continue to step 3; if false, respond 412"
    if if_match != Tags::Absent {
        // "*" is true for any representation; a list when one of its tags matches by the strong comparison; else false.
        let is_true = if_match == Tags::Star || if_match == Tags::Own && has_validators;
        if !is_true {
            return 412;
        }
    // 2. "… If-Match is not present, and If-Unmodified-Since is present": true when last modified before or at the date.
    //    Ignored when it is no date, or the resource has no modification date.
    } else if has_validators && if_unmodified_since == Dates::Earlier {
        return 412;
    }
    // 3. "When If-None-Match is present: if true, continue to step 5; if false for GET/HEAD, respond 304; if false for
    //    other methods, respond 412"
    if if_none_match != Tags::Absent {
        // "*" is false for any representation; a list when one of its tags matches by the weak comparison; else true.
        let is_false =
            if_none_match == Tags::Star || matches!(if_none_match, Tags::Own | Tags::OwnWeak) && has_validators;
        if is_false {
            return if is_get_or_head { 304 } else { 412 };
        }
    // 4. "When the method is GET or HEAD, If-None-Match is not present, and If-Modified-Since is present: if true,
    //    continue to step 5; if false, respond 304"
    } else if is_get_or_head && has_validators && matches!(if_modified_since, Dates::Same | Dates::Later) {
        return 304;
    }
    // 5. "When the method is GET and both Range and If-Range are present, evaluate the If-Range precondition: if true
    //    and the Range is applicable to the selected representation, respond 206; otherwise, ignore the Range header
    //    field and respond 200". And section 14.2: without If-Range, GET with a Range is 206.
    let holds = match if_range {
        Validator::Absent => true,
        Validator::Same => has_validators,
        Validator::Other => false,
    };
    if method == Method::GET && has_range && holds { 206 } else { 200 }
}

fn status(decision: &Decision) -> u16 {
    match decision {
        Decision::NotModified(_) => 304,
        Decision::PreconditionFailed(_) => 412,
        Decision::Send(Selection::Whole(_)) => 200,
        Decision::Send(Selection::Part(_) | Selection::Parts(_) | Selection::Follow { .. }) => 206,
        Decision::Send(Selection::NotYet | Selection::Unsatisfiable) => 416,
    }
}

fn validators() -> Validators {
    Validators { etag: "\"abc\"".into(), last_modified: Timestamp::from_millis(784_111_777_900).expect("in range") }
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

fn of(method: &Method, lines: &[(HeaderName, &[&str])], validators: Option<&Validators>) -> Decision {
    decided(method, lines, validators, Extent::Fixed(10))
}

fn decided(
    method: &Method,
    lines: &[(HeaderName, &[&str])],
    validators: Option<&Validators>,
    extent: Extent,
) -> Decision {
    let mut headers = HeaderMap::new();
    for (name, values) in lines {
        for value in *values {
            headers.append(name, value.parse().expect("a header value"));
        }
    }
    decide(method, &headers, Representation { validators, extent, unit_len: 1 }, now())
}

#[test]
fn every_combination_of_conditions_agrees_with_the_oracle() {
    let own = validators();
    let mut checked = 0;
    let mut seen = BTreeSet::new();
    for method in [Method::GET, Method::HEAD, Method::PUT] {
        for validators in [Some(&own), None] {
            for Case(if_match, match_means) in &TAGS {
                for Case(unmodified, unmodified_means) in &DATES {
                    for Case(none_match, none_means) in &TAGS {
                        for Case(modified, modified_means) in &DATES {
                            for Case(if_range, range_means) in &IF_RANGES {
                                for range in [&[][..], &["bytes=2-3"]] {
                                    let lines = [
                                        (IF_MATCH, *if_match),
                                        (IF_UNMODIFIED_SINCE, *unmodified),
                                        (IF_NONE_MATCH, *none_match),
                                        (IF_MODIFIED_SINCE, *modified),
                                        (IF_RANGE, *if_range),
                                        (RANGE, range),
                                    ];
                                    let expected = oracle(
                                        &method,
                                        validators.is_some(),
                                        *match_means,
                                        *unmodified_means,
                                        *none_means,
                                        *modified_means,
                                        *range_means,
                                        !range.is_empty(),
                                    );
                                    let decision = of(&method, &lines, validators);
                                    assert_eq!(status(&decision), expected, "{method} {lines:?} {validators:?}");
                                    seen.insert(expected);
                                    checked += 1;
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    assert_eq!(checked, 3 * 2 * 8 * 6 * 8 * 6 * 6 * 2);
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [200, 206, 304, 412]);
}

/// A recording in progress, asked with every condition and every kind of range: without validators conditions mean what
/// they mean for any representation that has none, and only a GET that says nothing of another representation gets a part.
#[test]
fn in_progress_every_combination_agrees_with_the_oracle() {
    // What a range asks for where 10 bytes are there: a part of them, what comes too, nothing that is there, or all.
    let ranges: [Case<Selection>; 10] = [
        Case(&[], Selection::Whole(Ignored::Absent)),
        Case(&["bytes=2-3"], Selection::Part(2..4)),
        Case(&["bytes=2-30"], Selection::Part(2..10)),
        Case(&["bytes=2-"], Selection::Part(2..10)),
        Case(&["bytes=0-"], Selection::Whole(Ignored::InProgress)),
        Case(&["bytes=-4"], Selection::Whole(Ignored::InProgress)),
        Case(&["bytes=2-9007199254740991"], Selection::Follow { first: 2, last: (1 << 53) - 1 }),
        Case(&["bytes=0-0,2-2"], Selection::Parts(vec![0..1, 2..3])),
        Case(&["bytes=10-"], Selection::NotYet),
        Case(&["bytes=3-2"], Selection::Whole(Ignored::Malformed)),
    ];
    let mut checked = 0;
    for method in [Method::GET, Method::HEAD, Method::PUT] {
        for Case(if_match, match_means) in &TAGS {
            for Case(unmodified, _) in &DATES {
                for Case(none_match, none_means) in &TAGS {
                    for Case(modified, _) in &DATES {
                        for Case(if_range, range_means) in &IF_RANGES {
                            for Case(range, asked) in &ranges {
                                let lines = [
                                    (IF_MATCH, *if_match),
                                    (IF_UNMODIFIED_SINCE, *unmodified),
                                    (IF_NONE_MATCH, *none_match),
                                    (IF_MODIFIED_SINCE, *modified),
                                    (IF_RANGE, *if_range),
                                    (RANGE, *range),
                                ];
                                let is_read = method != Method::PUT;
                                let decision = decided(&method, &lines, None, Extent::Growing(10));
                                checked += 1;
                                let context = format!("{method} {lines:?}");
                                if !matches!(match_means, Tags::Absent | Tags::Star) {
                                    assert_eq!(status(&decision), 412, "{context}");
                                } else if *none_means == Tags::Star {
                                    assert_eq!(status(&decision), if is_read { 304 } else { 412 }, "{context}");
                                } else if method != Method::GET {
                                    assert_eq!(
                                        decision,
                                        Decision::Send(Selection::Whole(Ignored::Method)),
                                        "{context}"
                                    );
                                } else if *range_means == Validator::Absent || range.is_empty() {
                                    assert_eq!(decision, Decision::Send(asked.clone()), "{context}");
                                } else {
                                    let whole = Decision::Send(Selection::Whole(Ignored::Conditional));
                                    assert_eq!(decision, whole, "{context}");
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    assert_eq!(checked, 3 * 8 * 6 * 8 * 6 * 6 * 10);
}

/// Each reason has a request that meets it; a reason without one does not compile here.
#[test]
fn every_reason_is_met() {
    let own = validators();
    let mut met = BTreeSet::new();
    for (name, value, unmet) in [
        (IF_MATCH, "\"x\"", Unmet::NotListed),
        (IF_MATCH, "x", Unmet::MalformedIfMatch),
        (IF_UNMODIFIED_SINCE, "Sun, 06 Nov 1994 08:49:36 GMT", Unmet::Modified),
        (IF_NONE_MATCH, "\"abc\"", Unmet::Listed),
        (IF_NONE_MATCH, "*", Unmet::Exists),
        (IF_MODIFIED_SINCE, "Sun, 06 Nov 1994 08:49:37 GMT", Unmet::NotModified),
    ] {
        let values = [value];
        let (get, put) = (Method::GET, Method::PUT);
        let decision = of(&get, &[(name.clone(), &values)], Some(&own));
        let (is_not_modified, put_status) = match unmet {
            Unmet::NotListed | Unmet::MalformedIfMatch | Unmet::Modified => (false, 412),
            Unmet::Listed | Unmet::Exists => (true, 412),
            Unmet::NotModified => (true, 200),
        };
        let expected = if is_not_modified { Decision::NotModified(unmet) } else { Decision::PreconditionFailed(unmet) };
        assert_eq!(decision, expected);
        assert_eq!(status(&of(&put, &[(name, &values)], Some(&own))), put_status, "{unmet:?}");
        met.insert(unmet);
    }
    assert_eq!(met.len(), 6, "{met:?}");
    let head = of(&Method::HEAD, &[(RANGE, &["bytes=0-1"])], Some(&own));
    assert_eq!(head, Decision::Send(Selection::Whole(Ignored::Method)));
}

/// "Evaluated after evaluating the precondition header fields": a range that cannot be is not even looked at.
#[test]
fn conditions_come_before_a_range_that_cannot_be() {
    let own = validators();
    let range = (RANGE, &["bytes=10-"][..]);
    assert_eq!(status(&of(&Method::GET, std::slice::from_ref(&range), Some(&own))), 416);
    assert_eq!(status(&of(&Method::GET, &[range.clone(), (IF_MATCH, &["\"x\""])], Some(&own))), 412);
    assert_eq!(status(&of(&Method::GET, &[range.clone(), (IF_NONE_MATCH, &["\"abc\""])], Some(&own))), 304);
    assert_eq!(status(&of(&Method::GET, &[range, (IF_RANGE, &["\"x\""])], Some(&own))), 200);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// No bytes in any of the headers make it panic.
    #[test]
    fn any_bytes_are_decided(
        lines in proptest::collection::vec((0_usize..6, proptest::collection::vec(proptest::num::u8::ANY, 0..50)), 0..8),
        len in proptest::num::u64::ANY,
        unit_len in proptest::num::u64::ANY,
        is_growing in proptest::bool::ANY,
    ) {
        let own = validators();
        let names = [IF_MATCH, IF_UNMODIFIED_SINCE, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_RANGE, RANGE];
        let mut headers = HeaderMap::new();
        for (name, bytes) in lines {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                headers.append(&names[name], value);
            }
        }
        let extent = if is_growing { Extent::Growing(len) } else { Extent::Fixed(len) };
        for method in [Method::GET, Method::HEAD, Method::DELETE] {
            for validators in [Some(&own), None] {
                let decision = decide(&method, &headers, Representation { validators, extent, unit_len }, now());
                match decision {
                    Decision::Send(Selection::Part(part)) => {
                        proptest::prop_assert!(part.start < part.end && part.end <= len);
                    }
                    Decision::Send(Selection::Follow { first, last }) => {
                        proptest::prop_assert!(is_growing && first < len && first <= last);
                    }
                    _ => {}
                }
            }
        }
    }
}
