//! Pages of what is looked for: each begins where an index says that the page before ended.
//!
//! Where few recordings have a word, or a caller may see few, those are looked at, all of them. Otherwise one index is
//! walked, a stretch at a time, until the page is full; wishes that seldom meet would have it walked to its end, so that
//! after a while the page is given as it is, and the next one goes on where it ended.

use std::time::{Duration, Instant};

use sqlx::QueryBuilder;

use super::{EngineDatabase, Sql, engine};
use crate::access::RecordingSet;
use crate::base::Timestamp;
use crate::catalogue::{Cursor, Error, Filter, ListedState, Page, Recording};
use crate::db::deadline::WithinDeadline;
use crate::db::id_ranges::id_ranges;
use crate::db::rows::{RecordingRecord, TERM_TAG, TERM_WORD, column};

/// How many entries of an index are compared with the other wishes at a time, at first and at most.
const STRETCH_MIN: i64 = 2048;
const STRETCH_MAX: i64 = 16_384;
/// How long a page may be looked for before it is given as it is. A stretch more may come on top.
const PATIENCE: Duration = Duration::from_millis(300);
/// How many recordings are gathered and put in order at most.
const FEW: i64 = 4096;
/// Comes after every character that a word can go on with.
const AFTER_ALL: char = '\u{10FFFF}';
/// Comes after every character that an ID can go on with.
const AFTER_ID: char = '\x7F';
/// Comes before every other ID.
const FIRST_ID: &str = "0";

const COLUMNS: &str = "SELECT recording.id, media_type, media_len, state, lease_until, mended, created_at, sealed, fingerprint, \
     seal_id, replacement_seal_id, replacement_fingerprint, replacement_header, digest, exempt, metadata, sidecars, held_at, purging, \
     location, spool ";

/// What a query goes along.
#[derive(Clone, Copy)]
pub(in crate::db) enum Along<'a> {
    /// One index of `recording`, or whichever suits: all conditions are of that table.
    Recordings,
    /// The recordings of a tag, newest first.
    Tag(&'a str),
    /// Those that are gathered first.
    Gathered(Gather<'a>),
}

/// What so few recordings may have that all of them can be looked at.
#[derive(Clone, Copy)]
pub(in crate::db) enum Gather<'a> {
    /// This beginning of a word.
    Word(&'a str),
    /// One of these IDs, or beginnings of IDs.
    Listed(&'a [String]),
}

/// What is looked for, from where, and how much of it.
#[derive(Clone, Copy)]
pub(in crate::db) struct Wish<'a> {
    pub filter: &'a Filter,
    pub set: &'a RecordingSet,
    pub listed_at: i64,
    pub id: &'a str,
    /// Only what is newer than that.
    pub floor: Option<i64>,
    pub rows: i64,
}

impl EngineDatabase {
    /// A page of at most `limit` recordings of `set` that `filter` wants, after `after`. One with fewer may have a next
    /// one.
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
            floor: None,
            rows: i64::from(limit) + 1,
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        match self.few(&wish).await? {
            Some(gather) => Ok(Page::cut(self.found(&wish, Along::Gathered(gather)).await?, limit)),
            None => self.walk(wish, limit).await,
        }
    }

    /// What so few recordings have that all of them can be looked at.
    async fn few<'a>(&self, wish: &Wish<'a>) -> Result<Option<Gather<'a>>, Error> {
        let mut words: Vec<&str> = wish.filter.words.iter().map(String::as_str).collect();
        // Long ones first: fewest begin with them, as far as that tells.
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        let of_caller = match wish.set {
            RecordingSet::All => None,
            RecordingSet::Listed(items) => Some(Gather::Listed(items)),
        };
        for gather in of_caller.into_iter().chain(words.into_iter().map(Gather::Word)) {
            if self.has_few(gather).await? {
                return Ok(Some(gather));
            }
        }
        Ok(None)
    }

    async fn has_few(&self, gather: Gather<'_>) -> Result<bool, Error> {
        let mut query = QueryBuilder::new("SELECT count(*) FROM (");
        gather.push(&mut query, Some(FEW + 1));
        query.push(") AS gathered");
        let count: i64 = query.build_query_scalar().fetch_one(&self.engine.pool).within_deadline().await?;
        Ok(count <= FEW)
    }

    /// Walks an index until the page is full, or it took too long.
    async fn walk(&self, mut wish: Wish<'_>, limit: usize) -> Result<Page, Error> {
        let along = wish.filter.tag.as_deref().map_or(Along::Recordings, Along::Tag);
        let (begun, mut stretch, mut page) = (Instant::now(), STRETCH_MIN, Vec::new());
        loop {
            // A stretch ends with a millisecond: a place between recordings of one would name one of them, to a caller who
            // may not know of it.
            wish.floor = if wish.is_index_alone() { None } else { self.end_of_stretch(&wish, along, stretch).await? };
            if wish.floor.is_some_and(|floor| (floor + 1, FIRST_ID) >= (wish.listed_at, wish.id)) {
                stretch = stretch.saturating_mul(8);
                continue;
            }
            stretch = (2 * stretch).min(STRETCH_MAX);
            page.extend(self.found(&wish, along).await?);
            let Some(floor) = wish.floor.filter(|_| page.len() <= limit) else { return Ok(Page::cut(page, limit)) };
            (wish.listed_at, wish.id) = (floor + 1, FIRST_ID);
            wish.rows = i64::try_from(limit + 1 - page.len()).unwrap_or(i64::MAX);
            if begun.elapsed() > PATIENCE
                && let Some(next) = wish.cursor()
            {
                return Ok(Page { recordings: page, next: Some(next) });
            }
        }
    }

    /// When the last recording of the next stretch was listed; none when fewer than that are left.
    async fn end_of_stretch(&self, wish: &Wish<'_>, along: Along<'_>, stretch: i64) -> Result<Option<i64>, Error> {
        // Of the whole rest.
        let mut query = Wish { floor: None, ..*wish }.end_of_stretch(along, stretch);
        query.build_query_scalar().fetch_optional(&self.engine.pool).within_deadline().await
    }

    async fn found(&self, wish: &Wish<'_>, along: Along<'_>) -> Result<Vec<Recording>, Error> {
        let mut query = wish.query(along);
        let records: Vec<RecordingRecord> =
            query.build_query_as().fetch_all(&self.engine.pool).within_deadline().await?;
        records.into_iter().map(Recording::try_from).collect()
    }
}

impl Wish<'_> {
    pub(in crate::db) fn query(&self, along: Along<'_>) -> QueryBuilder<Sql> {
        let mut query = QueryBuilder::new(COLUMNS);
        // The table whose index gives the order.
        let table = match along {
            Along::Tag(tag) => {
                query.push(format_args!(
                    "FROM recording_term AS found {} recording ON recording.id = found.id WHERE ",
                    engine::JOIN_IN_ORDER
                ));
                push_tag(&mut query, tag);
                "found"
            }
            Along::Recordings => {
                query.push("FROM recording WHERE ");
                "recording"
            }
            Along::Gathered(gather) => {
                query.push("FROM recording WHERE recording.id IN (");
                gather.push(&mut query, None);
                query.push(") AND ");
                "recording"
            }
        };
        self.push_place(&mut query, table);
        self.push_wishes(&mut query, along);
        query.push(format_args!(" ORDER BY {table}.listed_at DESC, {table}.id DESC LIMIT ")).push_bind(self.rows);
        query
    }

    /// Of the index that [`Self::query`] goes along, in its order.
    pub(in crate::db) fn end_of_stretch(&self, along: Along<'_>, stretch: i64) -> QueryBuilder<Sql> {
        let mut query = QueryBuilder::new("SELECT ");
        let table = match along {
            Along::Tag(tag) => {
                query.push("found.listed_at FROM recording_term AS found WHERE ");
                push_tag(&mut query, tag);
                self.push_place(&mut query, "found");
                "found"
            }
            Along::Recordings | Along::Gathered(_) => {
                query.push("recording.listed_at FROM recording WHERE ");
                self.push_place(&mut query, "recording");
                let Filter { group, agent, state, .. } = self.filter;
                match (group, agent, state) {
                    (Some(group), ..) => {
                        query.push(" AND recording.group_name = ").push_bind(group.clone());
                    }
                    (None, Some(agent), _) => {
                        query.push(" AND recording.agent = ").push_bind(agent.clone());
                    }
                    (None, None, Some(ListedState::Recording(_) | ListedState::Unfinished(_))) => {
                        query.push(" AND recording.state <> 2");
                    }
                    (None, None, Some(ListedState::Complete) | None) => {}
                }
                "recording"
            }
        };
        query.push(format_args!(" ORDER BY {table}.listed_at DESC, {table}.id DESC LIMIT 1 OFFSET "));
        query.push_bind(stretch);
        query
    }

    /// Whether whatever the index has is wanted.
    fn is_index_alone(&self) -> bool {
        let Filter { words, group, agent, tag, state, .. } = self.filter;
        let wishes = [group.is_some(), agent.is_some(), tag.is_some(), state.is_some()];
        *self.set == RecordingSet::All && words.is_empty() && wishes.into_iter().filter(|wish| *wish).count() <= 1
    }

    /// Where this one ends, or begins.
    fn cursor(&self) -> Option<Cursor> {
        let listed_at = u64::try_from(self.listed_at).ok().and_then(Timestamp::from_millis)?;
        Some(Cursor { listed_at, id: self.id.parse().ok()? })
    }

    /// After where the last page ended, within the stretch, and within the time that is wanted.
    fn push_place(&self, query: &mut QueryBuilder<Sql>, table: &str) {
        query.push(format_args!("({table}.listed_at, {table}.id) < (")).push_bind(self.listed_at).push(", ");
        query.push_bind(self.id.to_owned()).push(")");
        if let Some(floor) = self.floor {
            query.push(format_args!(" AND {table}.listed_at > ")).push_bind(floor);
        }
        for (time, sign) in [(self.filter.from, ">="), (self.filter.to, "<")] {
            if let Some(time) = time {
                query.push(format_args!(" AND {table}.listed_at {sign} ")).push_bind(column(time.millis()));
            }
        }
    }

    fn push_wishes(&self, query: &mut QueryBuilder<Sql>, along: Along<'_>) {
        let Filter { words, group, agent, tag, state, .. } = self.filter;
        if let (Some(tag), false) = (tag, matches!(along, Along::Tag(_))) {
            query.push(
                " AND EXISTS (SELECT 1 FROM recording_term AS tagged WHERE tagged.id = recording.id AND tagged.kind = ",
            );
            query.push_bind(TERM_TAG).push(" AND tagged.term = ").push_bind(tag.clone()).push(")");
        }
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

impl Gather<'_> {
    /// The IDs of all of them, or of some.
    fn push(self, query: &mut QueryBuilder<Sql>, limit: Option<i64>) {
        let push_limit = |query: &mut QueryBuilder<Sql>| {
            if let Some(limit) = limit {
                query.push(" LIMIT ").push_bind(limit);
            }
        };
        match self {
            Self::Word(word) => {
                query.push("SELECT id FROM (SELECT id FROM recording_term WHERE kind = ").push_bind(TERM_WORD);
                push_between(query, "term", &word.to_lowercase(), AFTER_ALL);
                push_limit(query);
                query.push(") AS spoken UNION SELECT id FROM (SELECT id FROM recording AS named WHERE TRUE");
                push_between(query, "named.id", word, AFTER_ID);
                push_limit(query);
                query.push(") AS called");
            }
            Self::Listed(items) => {
                let ranges = serde_json::json!(id_ranges(items)).to_string();
                let [list, item, low, high] = engine::RANGES;
                query.push(format_args!("SELECT named.id FROM {list}")).push_bind(ranges);
                query.push(format_args!("{item} {} recording AS named ", engine::JOIN_IN_ORDER));
                query.push(format_args!("ON named.id >= {low} AND named.id < {high}"));
                push_limit(query);
            }
        }
    }
}

/// What begins with `text`: an index is asked for it as a stretch.
fn push_between(query: &mut QueryBuilder<Sql>, column: &str, text: &str, last: char) {
    query.push(format_args!(" AND {column} >= ")).push_bind(text.to_owned());
    query.push(format_args!(" AND {column} < ")).push_bind(format!("{text}{last}"));
}

/// The entries of a tag.
fn push_tag(query: &mut QueryBuilder<Sql>, tag: &str) {
    query.push("found.kind = ").push_bind(TERM_TAG).push(" AND found.term = ").push_bind(tag.to_owned()).push(" AND ");
}
