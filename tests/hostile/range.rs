//! Range and conditional headers, and targets: whatever they say, what is sent lies in the recording, and a plain range
//! is answered as RFC 9110 says.

use std::time::{Duration, UNIX_EPOCH};

use hyper::{
    HeaderMap, Method, Uri,
    header::{self, HeaderName, HeaderValue},
};
use sealtape::{
    base::{RecordingId, Timestamp},
    http::hostile::{Answer, answer, target},
    service::Validators,
};

use super::Choices;

const NAMES: [HeaderName; 6] = [
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
];
const ETAG: &str = "\"c37b5d7e24fa38ad4a69227745f56b64\"";
const NOW_S: u64 = 1_764_000_000;
/// By how much the work for several ranges may exceed that for the whole.
const EXTRA_WORK_MAX: u64 = 1 << 20;

/// Two bytes say of what kind and how long the recording is; each line is a header, whose first byte says which; the last
/// line is a target.
pub fn range(data: &[u8]) {
    let mut choices = Choices::new(data);
    let (kind, len) = (choices.byte(), lengths(choices.byte()));
    let grows = kind & 1 == 1;
    let method = if kind & 2 == 2 { Method::HEAD } else { Method::GET };
    let mut headers = HeaderMap::new();
    let rest = choices.rest();
    for line in rest.split(|byte| *byte == b'\n').take(8) {
        let Some((name, value)) = line.split_first() else { continue };
        let Ok(value) = HeaderValue::from_bytes(value) else { continue };
        headers.append(NAMES[usize::from(*name) % NAMES.len()].clone(), value);
    }
    targets(rest.rsplit(|byte| *byte == b'\n').next().unwrap_or_default());

    let last_modified = Timestamp::from_millis((NOW_S - 100) * 1000).expect("in range");
    let validators = Validators { etag: ETAG.into(), last_modified };
    let validators = (!grows).then_some(&validators);
    let now = UNIX_EPOCH + Duration::from_secs(NOW_S);
    let answered = answer(&method, &headers, validators, (len, grows), 16 << 10, now);
    in_bounds(&answered, len, grows);
    if method == Method::HEAD {
        assert!(!matches!(answered, Answer::Parts(_) | Answer::Follow(..) | Answer::Unsatisfiable | Answer::NotYet));
    }
    if headers.len() == 1
        && method == Method::GET
        && let Some(value) = headers.get(header::RANGE)
        && let Some(expected) = plain_range(value.as_bytes(), len, grows)
    {
        assert_eq!(answered, expected, "{value:?} of {len}");
    }
    if headers.is_empty() {
        assert_eq!(answered, Answer::Whole);
    }
}

fn lengths(choice: u8) -> u64 {
    [0, 1, 2, 100, 4096, 16 << 10, (16 << 10) + 1, 1 << 20, (1 << 53) - 1, 1 << 60][usize::from(choice) % 10]
}

fn in_bounds(answered: &Answer, len: u64, grows: bool) {
    match answered {
        Answer::Parts(parts) => {
            assert!(!parts.is_empty());
            assert!(parts.iter().all(|part| part.start < part.end && part.end <= len), "{parts:?} of {len}");
            let mut sorted = parts.clone();
            sorted.sort_by_key(|part| part.start);
            assert!(sorted.windows(2).all(|two| two[0].end < two[1].start), "{parts:?} overlap or touch");
            let all = parts.iter().fold(0_u64, |all, part| all.saturating_add(part.end - part.start));
            assert!(all <= len.saturating_add(EXTRA_WORK_MAX));
        }
        Answer::Follow(first, last) => assert!(grows && *first < len && last >= first),
        Answer::NotYet => assert!(grows),
        Answer::NotModified | Answer::PreconditionFailed => {}
        Answer::Whole | Answer::Unsatisfiable => {}
    }
}

/// `bytes=A-B`, `bytes=A-` and `bytes=-N`, and nothing else, in numbers of a usual length.
fn plain_range(value: &[u8], len: u64, grows: bool) -> Option<Answer> {
    let text = core::str::from_utf8(value).ok()?.strip_prefix("bytes=")?;
    let (first, last) = text.split_once('-')?;
    let number = |text: &str| {
        let is_usual = (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        is_usual.then(|| text.parse::<u64>().expect("digits"))
    };
    let none = if grows { Answer::NotYet } else { Answer::Unsatisfiable };
    let part =
        |from: u64, to: u64| if from < to { Answer::Parts(core::iter::once(from..to).collect()) } else { none.clone() };
    match (number(first), number(last)) {
        _ if len == 0 && !grows && (number(first).is_some() || number(last).is_some()) => {
            // Whatever it is, nothing of it can be a part.
            Some(Answer::Whole)
        }
        (Some(0), None) if last.is_empty() && grows => Some(Answer::Whole),
        (Some(first), None) if last.is_empty() => Some(part(first, len)),
        (Some(first), Some(last)) if first <= last => Some(part(first, len.min(last + 1))),
        (Some(_), Some(_)) => Some(Answer::Whole),
        (None, Some(_)) if first.is_empty() && grows => Some(Answer::Whole),
        (None, Some(0)) if first.is_empty() => Some(Answer::Unsatisfiable),
        (None, Some(count)) if first.is_empty() => Some(part(len.saturating_sub(count), len)),
        _ => None,
    }
}

/// A target names a recording only by an ID.
fn targets(line: &[u8]) {
    let Ok(uri) = Uri::try_from(line) else { return };
    let (class, link_target, _link) = target(&uri);
    assert!(!class.is_empty());
    if let Some(id) = link_target {
        assert!(id.parse::<RecordingId>().is_ok_and(|parsed| parsed.as_str() == id), "{id}");
    }
}
