//! Named edges. The whole small space of conditions is swept in [`super::super::decision`].

use super::*;
use crate::base::Timestamp;

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn validators() -> Validators {
    // Sub-second parts do not count.
    Validators { etag: "\"abc\"".into(), last_modified: Timestamp::from_millis(784_111_777_900).expect("in range") }
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(784_111_779)
}

fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(name, value.parse().expect("a header value"));
    }
    headers
}

#[test]
fn only_the_same_representation_is_resumed() {
    let validators = validators();
    let holds = |value: &str| if_range_holds(&headers(&[(header::IF_RANGE, value)]), Some(&validators), now());
    assert!(holds("\"abc\""));
    assert!(holds(DATE));
    assert!(holds("Sunday, 06-Nov-94 08:49:37 GMT"));
    assert!(holds("Sun Nov  6 08:49:37 1994"));
    for other in [
        "\"abd\"",
        "W/\"abc\"",
        "abc",
        "",
        "*",
        "\"abc\", \"abc\"",
        "Sun, 06 Nov 1994 08:49:38 GMT",
        "Sun, 06 Nov 1994 08:49:36 GMT",
    ] {
        assert!(!holds(other), "{other:?}");
    }
    assert!(if_range_holds(&HeaderMap::new(), None, now()));
    assert!(!if_range_holds(&headers(&[(header::IF_RANGE, "\"abc\"")]), None, now()), "without validators");
    let twice = headers(&[(header::IF_RANGE, "\"abc\""), (header::IF_RANGE, "\"abc\"")]);
    assert!(!if_range_holds(&twice, Some(&validators), now()));
    let at_once = UNIX_EPOCH + Duration::from_secs(784_111_777);
    let dated = headers(&[(header::IF_RANGE, DATE)]);
    assert!(!if_range_holds(&dated, Some(&validators), at_once), "a date of this second is weak");
    assert_eq!(last_modified(&validators, now()), DATE);
    assert_eq!(last_modified(&validators, UNIX_EPOCH), "Thu, 01 Jan 1970 00:00:00 GMT", "never in the future");
}

#[test]
fn lines_of_a_list_are_one_list_and_dates_are_no_list() {
    let validators = validators();
    let of = |lines: &[(HeaderName, &str)]| evaluate(&Method::GET, &headers(lines), Some(&validators), now());
    let (tag, other) = ("\"abc\"", "\"x\"");
    assert_eq!(of(&[(header::IF_MATCH, other), (header::IF_MATCH, tag)]), Ok(()));
    assert_eq!(of(&[(header::IF_NONE_MATCH, other), (header::IF_NONE_MATCH, tag)]), Err(Unmet::Listed));
    assert_eq!(of(&[(header::IF_MATCH, tag), (header::IF_MATCH, "x")]), Err(Unmet::MalformedIfMatch));
    assert_eq!(of(&[(header::IF_NONE_MATCH, tag), (header::IF_NONE_MATCH, "x")]), Ok(()));
    assert_eq!(of(&[(header::IF_MODIFIED_SINCE, DATE)]), Err(Unmet::NotModified));
    assert_eq!(of(&[(header::IF_MODIFIED_SINCE, DATE), (header::IF_MODIFIED_SINCE, DATE)]), Ok(()));
    let early = "Sun, 06 Nov 1994 08:49:36 GMT";
    assert_eq!(of(&[(header::IF_UNMODIFIED_SINCE, early)]), Err(Unmet::Modified));
    assert_eq!(of(&[(header::IF_UNMODIFIED_SINCE, early), (header::IF_UNMODIFIED_SINCE, early)]), Ok(()));
}

#[test]
fn dates_compare_in_whole_seconds_and_those_to_come_as_any_other() {
    let validators = validators();
    let of = |name, date: &str| evaluate(&Method::GET, &headers(&[(name, date)]), Some(&validators), now());
    for (date, is_since, is_until) in [
        ("Sun, 06 Nov 1994 08:49:36 GMT", Ok(()), Err(Unmet::Modified)),
        (DATE, Err(Unmet::NotModified), Ok(())),
        ("Sun, 06 Nov 1994 08:49:38 GMT", Err(Unmet::NotModified), Ok(())),
        ("Wed, 06 Nov 2094 08:49:37 GMT", Ok(()), Ok(())), // a Saturday: no date
        ("Sat, 06 Nov 2094 08:49:37 GMT", Err(Unmet::NotModified), Ok(())),
        ("Mon, 06 Nov 1899 08:49:37 GMT", Ok(()), Err(Unmet::Modified)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", Err(Unmet::NotModified), Ok(())),
        ("Sun Nov  6 08:49:36 1994", Ok(()), Err(Unmet::Modified)),
        ("yesterday", Ok(()), Ok(())),
    ] {
        assert_eq!(of(header::IF_MODIFIED_SINCE, date), is_since, "since {date}");
        assert_eq!(of(header::IF_UNMODIFIED_SINCE, date), is_until, "until {date}");
    }
}
