//! Pages of what is looked for: each begins where an index says that the page before ended, and costs what it shows,
//! unless several wishes together find little.

use sqlx::QueryBuilder;

use super::{EngineDatabase, Sql, engine};
use crate::access::RecordingSet;
use crate::catalogue::{Cursor, Error, Filter, ListedState, Page, Recording};
use crate::db::deadline::WithinDeadline;
use crate::db::id_ranges::id_ranges;
use crate::db::rows::{RecordingRecord, TERM_TAG, TERM_WORD, column};

/// How many of the newest recordings are compared with words, before all recordings that have the words are gathered:
/// a frequent beginning is found among the next few, a rare one has few recordings to gather.
const STRETCH: i64 = 2048;
/// Comes after every character that a word can go on with.
const AFTER_ALL: char = '\u{10FFFF}';
/// Comes after every character that an ID can go on with.
const AFTER_ID: char = '\x7F';

const COLUMNS: &str = "SELECT recording.id, media_type, media_len, state, lease_until, mended, created_at, sealed, fingerprint, \
     seal_id, replacement_seal_id, replacement_fingerprint, replacement_header, digest, exempt, metadata, sidecars, held_at, location, spool ";

/// What a query goes along.
pub(in crate::db) enum Along<'a> {
    /// One index of `recording`, or whichever suits: all conditions are of that table.
    Recordings,
    /// The recordings of a tag, newest first.
    Tag(&'a str),
    /// The next recordings alone.
    Stretch,
    /// All that have this beginning of a word.
    Word(&'a str),
}

/// What is looked for, from where, and how much of it.
pub(in crate::db) struct Wish<'a> {
    pub filter: &'a Filter,
    pub set: &'a RecordingSet,
    pub listed_at: i64,
    pub id: &'a str,
    pub rows: i64,
}

impl EngineDatabase {
    /// A page of at most `limit` recordings of `set` that `filter` wants, after `after`.
    pub(super) async fn page_of(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: u32,
        set: &RecordingSet,
    ) -> Result<Page, Error> {
        if filter.is_empty() {
            return self.page(after, limit, set).await;
        }
        let wish = Wish {
            filter,
            set,
            listed_at: after.map_or(i64::MAX, |after| column(after.listed_at.millis())),
            id: after.map_or("", |after| after.id.as_str()),
            rows: i64::from(limit) + 1,
        };
        let records = match (&filter.tag, longest(&filter.words)) {
            (Some(tag), _) => self.found(&wish, &Along::Tag(tag)).await?,
            (None, Some(_)) if filter.group.is_some() || filter.agent.is_some() => {
                self.found(&wish, &Along::Recordings).await?
            }
            (None, Some(word)) => {
                let near = if wish.rows < STRETCH { self.found(&wish, &Along::Stretch).await? } else { Vec::new() };
                if i64::try_from(near.len()).is_ok_and(|found| found == wish.rows) {
                    near
                } else {
                    self.found(&wish, &Along::Word(word)).await?
                }
            }
            (None, None) => self.found(&wish, &Along::Recordings).await?,
        };
        let recordings = records.into_iter().map(Recording::try_from).collect::<Result<_, _>>()?;
        Ok(Page::cut(recordings, usize::try_from(limit).unwrap_or(usize::MAX)))
    }

    async fn found(&self, wish: &Wish<'_>, along: &Along<'_>) -> Result<Vec<RecordingRecord>, Error> {
        let mut query = wish.query(along);
        query.build_query_as().fetch_all(&self.engine.pool).within_deadline().await
    }
}

impl Wish<'_> {
    pub(in crate::db) fn query(&self, along: &Along<'_>) -> QueryBuilder<Sql> {
        let mut query = QueryBuilder::new(COLUMNS);
        // The table whose index gives the order.
        let table = match along {
            Along::Tag(tag) => {
                query.push(format_args!(
                    "FROM recording_term AS found {} recording ON recording.id = found.id WHERE found.kind = ",
                    engine::JOIN_IN_ORDER
                ));
                query.push_bind(TERM_TAG).push(" AND found.term = ").push_bind((*tag).to_owned()).push(" AND ");
                "found"
            }
            Along::Recordings => {
                query.push("FROM recording WHERE ");
                "recording"
            }
            Along::Stretch => {
                query.push("FROM recording WHERE recording.id IN (SELECT id FROM (SELECT id FROM recording WHERE ");
                self.push_place(&mut query, "recording");
                query.push(" ORDER BY listed_at DESC, id DESC LIMIT ").push_bind(STRETCH).push(") AS near) AND ");
                "recording"
            }
            Along::Word(word) => {
                query.push("FROM recording WHERE recording.id IN (SELECT id FROM recording_term WHERE kind = ");
                query.push_bind(TERM_WORD);
                push_between(&mut query, "term", &word.to_lowercase(), AFTER_ALL);
                query.push(" UNION SELECT id FROM recording AS named WHERE TRUE");
                push_between(&mut query, "named.id", word, AFTER_ID);
                query.push(") AND ");
                "recording"
            }
        };
        self.push_place(&mut query, table);
        self.push_wishes(&mut query);
        query.push(format_args!(" ORDER BY {table}.listed_at DESC, {table}.id DESC LIMIT ")).push_bind(self.rows);
        query
    }

    /// After where the last page ended, and within the time that is wanted.
    fn push_place(&self, query: &mut QueryBuilder<Sql>, table: &str) {
        query.push(format_args!("({table}.listed_at, {table}.id) < (")).push_bind(self.listed_at).push(", ");
        query.push_bind(self.id.to_owned()).push(")");
        for (time, sign) in [(self.filter.from, ">="), (self.filter.to, "<")] {
            if let Some(time) = time {
                query.push(format_args!(" AND {table}.listed_at {sign} ")).push_bind(column(time.millis()));
            }
        }
    }

    fn push_wishes(&self, query: &mut QueryBuilder<Sql>) {
        let Filter { words, group, agent, state, .. } = self.filter;
        if let Some(group) = group {
            query.push(" AND recording.group_name = ").push_bind(group.clone());
        }
        if let Some(agent) = agent {
            query.push(" AND recording.agent = ").push_bind(agent.clone());
        }
        match state {
            None => {}
            Some(ListedState::Complete) => {
                query.push(" AND recording.state = 2");
            }
            Some(ListedState::Recording(now)) => {
                query.push(" AND recording.state <> 2 AND recording.state = 0 AND recording.lease_until >= ");
                query.push_bind(column(now.millis()));
            }
            Some(ListedState::Unfinished(now)) => {
                query.push(
                    " AND recording.state <> 2 AND (recording.state = 1 OR recording.state = 0 AND recording.lease_until < ",
                );
                query.push_bind(column(now.millis())).push(")");
            }
        }
        for word in words {
            query.push(" AND (TRUE");
            push_between(query, "recording.id", word, AFTER_ID);
            query
                .push(" OR EXISTS (SELECT 1 FROM recording_term AS word WHERE word.id = recording.id AND word.kind = ");
            query.push_bind(TERM_WORD);
            push_between(query, "word.term", &word.to_lowercase(), AFTER_ALL);
            query.push("))");
        }
        if let RecordingSet::Listed(items) = self.set {
            let ranges = serde_json::json!(id_ranges(items)).to_string();
            let [list, item, low, high] = engine::RANGES;
            query.push(format_args!(" AND EXISTS (SELECT 1 FROM {list}")).push_bind(ranges);
            query.push(format_args!("{item} WHERE recording.id >= {low} AND recording.id < {high})"));
        }
    }
}

/// What begins with `text`: an index is asked for it as a stretch.
fn push_between(query: &mut QueryBuilder<Sql>, column: &str, text: &str, last: char) {
    query.push(format_args!(" AND {column} >= ")).push_bind(text.to_owned());
    query.push(format_args!(" AND {column} < ")).push_bind(format!("{text}{last}"));
}

/// The one that fewest begin with, as far as its length tells.
fn longest(words: &[String]) -> Option<&str> {
    words.iter().max_by_key(|word| word.len()).map(String::as_str)
}
