//! Conditional requests: RFC 9110, section 13. Pure: what a request asks of a representation, and whether it holds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::{
    HeaderMap, Method,
    header::{self, HeaderName, HeaderValue},
};

use self::entity_tag::{Comparison, EntityTag, Listed, look_up};
use crate::service::Validators;

mod date;
mod entity_tag;
#[cfg(test)]
mod tests;

/// A precondition that does not hold, so that the request is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unmet {
    /// `If-Match` lists no tag of the representation: 412.
    NotListed,
    /// `If-Match` is no list of tags, and so lists none: 412.
    MalformedIfMatch,
    /// `If-Unmodified-Since`, and it was: 412.
    Modified,
    /// `If-None-Match` lists its tag: 304, and 412 for methods that do more than read.
    Listed,
    /// `If-None-Match: *`, and there is one: as above.
    Exists,
    /// `If-Modified-Since`, and it was not: 304.
    NotModified,
}

/// Asks the preconditions of a request to a representation that exists, in the order of section 13.2.2. Without
/// validators no tag is its own, and dates do not count.
///
/// A list of tags that cannot be read is no list that holds one: `If-Match` is false then, and `If-None-Match` true
/// (the third step of sections 13.1.1 and 13.1.2). What is no date, or two, is ignored (13.1.3 and 13.1.4). A date
/// that is yet to come is compared as any other.
pub(super) fn evaluate(
    method: &Method,
    headers: &HeaderMap,
    validators: Option<&Validators>,
    now: SystemTime,
) -> Result<(), Unmet> {
    let date = |name| only(headers, name).and_then(|value| date::parse(value.as_bytes(), now));
    let since = |name| Some((last_modified_seconds(validators?, now)?, date(name)?));

    if headers.contains_key(header::IF_MATCH) {
        match listed(headers, header::IF_MATCH, validators, Comparison::Strong) {
            Listed::Any | Listed::Yes => {}
            Listed::No => return Err(Unmet::NotListed),
            Listed::Malformed => return Err(Unmet::MalformedIfMatch),
        }
    } else if since(header::IF_UNMODIFIED_SINCE).is_some_and(|(modified, date)| modified > date) {
        return Err(Unmet::Modified);
    }

    if headers.contains_key(header::IF_NONE_MATCH) {
        match listed(headers, header::IF_NONE_MATCH, validators, Comparison::Weak) {
            Listed::Any => Err(Unmet::Exists),
            Listed::Yes => Err(Unmet::Listed),
            Listed::No | Listed::Malformed => Ok(()),
        }
    } else {
        let is_read = matches!(*method, Method::GET | Method::HEAD);
        match since(header::IF_MODIFIED_SINCE) {
            Some((modified, date)) if is_read && modified <= date => Err(Unmet::NotModified),
            _ => Ok(()),
        }
    }
}

/// Whether `If-Range` lets a range be a part (section 13.1.5): there is none, or it names exactly the representation
/// that is there, by a strong entity tag, or by a date that equals `Last-Modified` and is a strong validator because
/// at least a second has passed since.
pub(super) fn if_range_holds(headers: &HeaderMap, validators: Option<&Validators>, now: SystemTime) -> bool {
    if !headers.contains_key(header::IF_RANGE) {
        return true;
    }
    let (Some(value), Some(validators)) = (only(headers, header::IF_RANGE), validators) else { return false };
    if let Some(tag) = EntityTag::parse(value.as_bytes()) {
        return own_tag(validators).is_some_and(|own| own.matches(tag, Comparison::Strong));
    }
    let modified = UNIX_EPOCH + Duration::from_secs(validators.last_modified.seconds());
    let is_strong = now.duration_since(modified).is_ok_and(|age| age >= Duration::from_secs(1));
    let date = date::parse(value.as_bytes(), now);
    is_strong && date.is_some() && date == last_modified_seconds(validators, now)
}

/// The value of `Last-Modified`: never later than now (RFC 9110, section 8.8.2.1), whatever another machine's clock
/// said when it sealed.
pub(super) fn last_modified(validators: &Validators, now: SystemTime) -> String {
    httpdate::fmt_http_date(now.min(UNIX_EPOCH + Duration::from_secs(validators.last_modified.seconds())))
}

fn listed(headers: &HeaderMap, name: HeaderName, validators: Option<&Validators>, comparison: Comparison) -> Listed {
    let values: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    look_up(&values, validators.and_then(own_tag), comparison)
}

fn own_tag(validators: &Validators) -> Option<EntityTag<'_>> {
    EntityTag::parse(validators.etag.as_bytes())
}

/// As it is sent: never later than now.
fn last_modified_seconds(validators: &Validators, now: SystemTime) -> Option<i64> {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(validators.last_modified.seconds().min(now)).ok()
}

/// The value of a field that is no list, when it is there once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}
