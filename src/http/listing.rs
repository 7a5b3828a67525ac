//! `GET /recordings`: pages of the catalogue, all of it or what is looked for.

use hyper::Response;

use super::{
    App, Problem, RecordingDocument,
    app::{Request, json},
    body::Body,
};
use crate::base::{ErrorCode, Timestamp};
use crate::catalogue::{Cursor, Filter, ListedState, WORD_LEN_MIN};

const LIMIT_DEFAULT: u32 = 100;
const LIMIT_MAX: u32 = 1000;
/// The longest text that is looked for, in characters.
const TEXT_LEN_MAX: usize = 256;
/// How many words are looked for at a time.
const WORDS_MAX: usize = 8;

/// What a query asks for.
struct Wanted {
    limit: u32,
    after: Option<Cursor>,
    filter: Filter,
}

impl App {
    /// A page of the recordings that the caller may know of.
    pub(super) async fn recordings(&self, request: &Request) -> Result<Response<Body>, Problem> {
        let now = (self.clock)();
        let Wanted { limit, after, filter } = read(request.uri.query(), now).map_err(bad)?;
        let page = self.playback.search(&filter, after.as_ref(), limit, &request.caller.recordings).await;
        let page = page.map_err(|error| {
            tracing::warn!(request = %request.id, %error, "the catalogue cannot be listed");
            Problem::new(error.code())
        })?;
        let recordings: Vec<RecordingDocument> = page
            .recordings
            .iter()
            .map(|recording| {
                let problem = self.playback.known_problem(recording);
                RecordingDocument::new(recording, problem.as_ref(), &request.id, now)
            })
            .collect();
        let next = page.next.map(|next| next.to_string());
        Ok(json(&serde_json::json!({ "recordings": recordings, "next": next })))
    }
}

/// Reads a query. Names that the interface does not have are left alone; one without a value wants nothing.
fn read(query: Option<&str>, now: Timestamp) -> Result<Wanted, &'static str> {
    let (mut limit, mut after, mut filter) = (LIMIT_DEFAULT, None, Filter::default());
    for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match &*name {
            "limit" => {
                let wanted = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
                limit = wanted.ok_or("`limit` must be a number from 1 to 1000")?;
            }
            "after" => {
                let cursor: Result<Cursor, ()> = value.parse();
                after = Some(cursor.map_err(|()| "`after` must be the `next` of an earlier page")?);
            }
            "q" => filter.words = words(&value)?,
            "group" => filter.group = text(&value, "`group` must be a text of at most 256 characters")?,
            "tag" => filter.tag = text(&value, "`tag` must be a text of at most 256 characters")?,
            "agent" => filter.agent = text(&value, "`agent` must be a text of at most 256 characters")?,
            "from" => filter.from = time(&value, "`from` must be a time of RFC 3339, or a date such as 2026-11-27")?,
            "to" => filter.to = time(&value, "`to` must be a time of RFC 3339, or a date such as 2026-11-27")?,
            "state" => {
                filter.state = match &*value {
                    "" => None,
                    "recording" => Some(ListedState::Recording(now)),
                    "unfinished" => Some(ListedState::Unfinished(now)),
                    "complete" => Some(ListedState::Complete),
                    _ => return Err("`state` must be recording, unfinished or complete"),
                };
            }
            _ => {}
        }
    }
    Ok(Wanted { limit, after, filter })
}

fn words(value: &str) -> Result<Vec<String>, &'static str> {
    let words: Vec<String> = value.split_whitespace().map(str::to_owned).collect();
    if value.chars().count() > TEXT_LEN_MAX
        || words.len() > WORDS_MAX
        || words.iter().any(|word| word.chars().count() < WORD_LEN_MIN)
    {
        return Err("`q` must be at most 8 words of 2 letters and more, 256 characters in all");
    }
    Ok(words)
}

fn text(value: &str, rule: &'static str) -> Result<Option<String>, &'static str> {
    if value.chars().count() > TEXT_LEN_MAX { Err(rule) } else { Ok((!value.is_empty()).then(|| value.to_owned())) }
}

/// A date is its first moment, in UTC.
fn time(value: &str, rule: &'static str) -> Result<Option<Timestamp>, &'static str> {
    if value.is_empty() {
        return Ok(None);
    }
    Timestamp::bound(value).map(Some).ok_or(rule)
}

fn bad(detail: &'static str) -> Problem {
    Problem::new(ErrorCode::BadRequest).with_detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(query: &str) -> Result<Filter, &'static str> {
        read(Some(query), Timestamp::MAX).map(|wanted| wanted.filter)
    }

    #[test]
    fn each_wish_is_read() {
        let time = |text: &str| text.parse::<Timestamp>().ok();
        let read = filter("q=Ann+4930&group=g+1&tag=a%26b&agent=x&from=2026-11-27&to=2026-11-28T10:00:00%2B01:00");
        let read = read.expect("good");
        assert_eq!(read.words, ["Ann", "4930"]);
        assert_eq!(
            (read.group.as_deref(), read.tag.as_deref(), read.agent.as_deref()),
            (Some("g 1"), Some("a&b"), Some("x"))
        );
        assert_eq!((read.from, read.to), (time("2026-11-27T00:00:00Z"), time("2026-11-28T09:00:00Z")));
        assert_eq!(filter("state=complete").expect("good").state, Some(ListedState::Complete));
        let empty = filter("q=&group=&tag=&agent=&from=&to=&state=&other=1").expect("good");
        assert!(empty.is_empty(), "what has no value wants nothing");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let long = "x".repeat(257);
        for query in [
            "limit=0",
            "limit=1001",
            "limit=x",
            "limit=",
            "after=x",
            "q=a",
            "q=ab+c",
            "from=yesterday",
            "to=2026-13-01",
            "state=done",
            "q=aa+bb+cc+dd+ee+ff+gg+hh+ii",
            &format!("q={long}"),
            &format!("group={long}"),
        ] {
            assert!(read(Some(query), Timestamp::MAX).is_err(), "{query}");
        }
    }
}
