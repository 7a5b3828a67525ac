//! Pages of the catalogue, newest first, each at the cost of the first.

use core::{fmt, str::FromStr};

use super::Recording;
use crate::base::{RecordingId, Timestamp};

/// Where a page ends: the next one begins after this recording. Written `MILLIS~ID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// By what the last recording on the page is in order: [`Recording::listed_at`].
    pub listed_at: Timestamp,
    /// Its ID, which orders recordings of one millisecond.
    pub id: RecordingId,
}

/// A page of recordings.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Newest first.
    pub recordings: Vec<Recording>,
    /// Where to go on; `None` on the last page.
    pub next: Option<Cursor>,
}

impl Page {
    /// Cuts a page of `limit` out of up to `limit + 1` rows; the row too many says that there is a next page.
    #[must_use]
    pub fn cut(mut rows: Vec<Recording>, limit: usize) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = if more { rows.last() } else { None };
        let next = last.map(|last| Cursor { listed_at: last.listed_at(), id: last.id.clone() });
        Self { recordings: rows, next }
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (millis, id) = text.split_once('~').ok_or(())?;
        let listed_at = millis.parse().ok().and_then(Timestamp::from_millis).ok_or(())?;
        Ok(Self { listed_at, id: id.parse().map_err(|_| ())? })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}~{}", self.listed_at.millis(), self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Fingerprint, SealId};
    use crate::catalogue::{About, Content, Metadata, RecordingState};

    fn at(created_at: Timestamp) -> Recording {
        let fingerprint = Fingerprint([1; 32]);
        Recording {
            id: format!("call-{}", created_at.millis()).parse().expect("an ID"),
            media_type: "audio/ogg".parse().expect("a media type"),
            media_len: 1,
            state: RecordingState::Complete,
            mended: false,
            created_at,
            content: Content::Sealed { fingerprint, seal_id: SealId([1; 16]), replacement: None },
            spool: None,
            about: None,
        }
    }

    #[test]
    fn a_page_says_where_to_go_on_when_there_is_more() {
        let rows = |count: u64| (1..=count).rev().map(|millis| at(Timestamp::from_millis(millis).expect("in range")));
        for (count, len, next) in
            [(0, 0, None), (1, 1, None), (2, 2, None), (3, 2, Some("2~call-2")), (9, 2, Some("8~call-8"))]
        {
            let page = Page::cut(rows(count).collect(), 2);
            assert!(page.recordings.into_iter().eq(rows(count).take(len)), "{count}");
            assert_eq!(page.next.map(|next| next.to_string()).as_deref(), next, "{count}");
        }
    }

    /// Pages that are in another order than their cursors would skip recordings.
    #[test]
    fn a_page_goes_on_by_when_a_recording_began() {
        let stored = at(Timestamp::MAX);
        let metadata = Metadata { started_at: Some("1970-01-01T00:00:01Z".into()), ..Metadata::default() };
        let begun = Recording { about: Some(About { metadata, ..About::default() }.into()), ..stored.clone() };
        let next = Page::cut(vec![begun, stored], 1).next.expect("there is more");
        assert_eq!(next.listed_at.millis(), 1000);
    }

    #[test]
    fn cursors_round_trip_and_nothing_else_is_one() {
        let cursor: Cursor = "1764000000000~call-1@x".parse().expect("a cursor");
        assert_eq!(cursor.to_string(), "1764000000000~call-1@x");
        for bad in ["", "~", "1~", "~a", "x~a", "-1~a", "1~/", "253402300800000~a"] {
            assert_eq!(bad.parse::<Cursor>(), Err(()), "{bad:?}");
        }
    }
}
