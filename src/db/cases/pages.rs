//! Pages of the catalogue, for callers who may see all of it and for those who may see some.

use super::{EngineDatabase, engine};
use crate::access::RecordingSet;
use crate::catalogue::{Cursor, Error, Page, Recording};
use crate::db::deadline::WithinDeadline;
use crate::db::id_ranges::{IdRange, id_ranges};
use crate::db::rows::{RecordingRecord, column};

/// How often IDs of the newest recordings are compared with those that a caller was granted, before all of the latter
/// are looked at: about half a millisecond.
const COMPARISONS_MAX: usize = 2048;

impl EngineDatabase {
    /// A page of at most `limit` recordings of `set` after `after`.
    pub(super) async fn page(&self, after: Option<&Cursor>, limit: u32, set: &RecordingSet) -> Result<Page, Error> {
        let from = Start {
            listed_at: after.map_or(i64::MAX, |after| column(after.listed_at.millis())),
            id: after.map_or("", |after| after.id.as_str()),
        };
        let rows = i64::from(limit) + 1;
        let records = match set {
            RecordingSet::All => self.newest(&from, rows).await?,
            RecordingSet::Listed(items) => self.newest_within(&from, rows, &id_ranges(items)).await?,
        };
        let recordings = records.into_iter().map(Recording::try_from).collect::<Result<_, _>>()?;
        Ok(Page::cut(recordings, usize::try_from(limit).unwrap_or(usize::MAX)))
    }

    async fn newest(&self, from: &Start<'_>, rows: i64) -> Result<Vec<RecordingRecord>, Error> {
        sqlx::query_as(include_str!("../sql/recordings_page.sql"))
            .bind(from.listed_at)
            .bind(from.id)
            .bind(rows)
            .fetch_all(&self.engine.pool)
            .within_deadline()
            .await
    }

    /// The newest recordings whose IDs lie in `ranges`.
    ///
    /// Where they are many, they are found among the next few of the catalogue. Where they are few, or old, they are
    /// not, and then all of them are looked at, in an index alone: that costs what their own number costs, and never
    /// what the catalogue's does.
    async fn newest_within(
        &self,
        from: &Start<'_>,
        rows: i64,
        ranges: &[IdRange],
    ) -> Result<Vec<RecordingRecord>, Error> {
        let items = serde_json::json!(ranges).to_string();
        let stretch = i64::try_from(COMPARISONS_MAX / ranges.len().max(1)).unwrap_or(0);
        if stretch >= rows {
            let near: Vec<RecordingRecord> = sqlx::query_as(engine::RECORDINGS_PAGE_NEAR)
                .bind(from.listed_at)
                .bind(from.id)
                .bind(rows)
                .bind(&items)
                .bind(stretch)
                .fetch_all(&self.engine.pool)
                .within_deadline()
                .await?;
            if i64::try_from(near.len()).is_ok_and(|found| found == rows) {
                return Ok(near);
            }
        }
        sqlx::query_as(engine::RECORDINGS_PAGE_ALL)
            .bind(from.listed_at)
            .bind(from.id)
            .bind(rows)
            .bind(&items)
            .fetch_all(&self.engine.pool)
            .within_deadline()
            .await
    }
}

/// Where a page begins: with what is older, or of the same moment and of a lesser ID.
struct Start<'a> {
    listed_at: i64,
    id: &'a str,
}
