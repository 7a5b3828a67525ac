//! Conditional requests: RFC 9110, section 13. So far `If-Range`, without which a resumed download could be pieced
//! together from two recordings.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::{HeaderMap, header};

use crate::service::Validators;

/// Whether `If-Range` lets a range be a part (section 13.1.5): there is none, or it names exactly the representation
/// that is there, by a strong entity tag, or by a date that equals `Last-Modified` and is a strong validator because
/// at least a second has passed since.
pub(super) fn if_range_holds(headers: &HeaderMap, validators: Option<&Validators>, now: SystemTime) -> bool {
    let mut values = headers.get_all(header::IF_RANGE).iter();
    let Some(value) = values.next() else { return true };
    let (Some(validators), None) = (validators, values.next()) else { return false };
    let Ok(value) = value.to_str() else { return false };
    // A weak tag never matches: section 8.8.3.2, strong comparison.
    if value.starts_with('"') || value.starts_with("W/") {
        return value == validators.etag;
    }
    let last_modified = UNIX_EPOCH + Duration::from_secs(validators.last_modified.seconds());
    let is_strong = now.duration_since(last_modified).is_ok_and(|age| age >= Duration::from_secs(1));
    is_strong && httpdate::parse_http_date(value).is_ok_and(|date| date == last_modified)
}

/// The value of `Last-Modified`: never later than now (RFC 9110, section 8.8.2.1), whatever another machine's clock
/// said when it sealed.
pub(super) fn last_modified(validators: &Validators, now: SystemTime) -> String {
    httpdate::fmt_http_date(now.min(UNIX_EPOCH + Duration::from_secs(validators.last_modified.seconds())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;

    #[test]
    fn only_the_same_representation_is_resumed() {
        let validators = Validators {
            etag: "\"abc\"".into(),
            last_modified: Timestamp::from_millis(784_111_777_900).expect("in range"),
        };
        let now = UNIX_EPOCH + Duration::from_secs(784_111_779);
        let holds = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_RANGE, value.parse().expect("a header value"));
            if_range_holds(&headers, Some(&validators), now)
        };
        assert!(holds("\"abc\""));
        assert!(holds("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert!(holds("Sunday, 06-Nov-94 08:49:37 GMT"));
        for other in
            ["\"abd\"", "W/\"abc\"", "abc", "", "*", "Sun, 06 Nov 1994 08:49:38 GMT", "Sun, 06 Nov 1994 08:49:36 GMT"]
        {
            assert!(!holds(other), "{other:?}");
        }
        assert!(if_range_holds(&HeaderMap::new(), None, now));
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_RANGE, "\"abc\"".parse().expect("a header value"));
        assert!(!if_range_holds(&headers, None, now), "without validators nothing matches");
        let at_once = UNIX_EPOCH + Duration::from_secs(784_111_777);
        headers.insert(header::IF_RANGE, "Sun, 06 Nov 1994 08:49:37 GMT".parse().expect("a header value"));
        assert!(!if_range_holds(&headers, Some(&validators), at_once), "a date of this second is weak");
        assert_eq!(last_modified(&validators, now), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(last_modified(&validators, UNIX_EPOCH), "Thu, 01 Jan 1970 00:00:00 GMT", "never in the future");
    }
}
