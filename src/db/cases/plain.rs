//! Recordings that lie in plain, and plain files that are to go.

use super::{Connection, EngineDatabase};
use crate::base::{Location, RecordingId};
use crate::catalogue::{Error, PlainCount, PlainLeft, Recording};
use crate::db::rows::{self, PlainLeftRecord, RecordingRecord, column};
use crate::db::unavailable;

impl EngineDatabase {
    pub(super) async fn recordings_in_plain(
        &self,
        after: Option<&RecordingId>,
        limit: u32,
    ) -> Result<Vec<Recording>, Error> {
        let records: Vec<RecordingRecord> = sqlx::query_as(include_str!("../sql/recordings_in_plain.sql"))
            .bind(after.map_or("", RecordingId::as_str))
            .bind(i64::from(limit))
            .fetch_all(&self.engine.pool)
            .await
            .map_err(unavailable)?;
        records.into_iter().map(Recording::try_from).collect()
    }

    pub(super) async fn count_in_plain(&self) -> Result<PlainCount, Error> {
        self.engine.check_in_place()?;
        let (exempt, others, left): (i64, i64, i64) = sqlx::query_as(include_str!("../sql/plain_count.sql"))
            .fetch_one(&self.engine.pool)
            .await
            .map_err(unavailable)?;
        Ok(PlainCount { exempt: rows::count(exempt)?, others: rows::count(others)?, left: rows::count(left)? })
    }

    pub(super) async fn is_left_in_plain(&self, id: &RecordingId, outside: &Location) -> Result<bool, Error> {
        let (left,): (i64,) = sqlx::query_as(include_str!("../sql/plain_left_is_there.sql"))
            .bind(id.as_str())
            .bind(outside.as_str())
            .fetch_one(&self.engine.pool)
            .await
            .map_err(unavailable)?;
        Ok(left > 0)
    }

    pub(super) async fn left_in_plain(&self, after: u64, limit: u32) -> Result<Vec<(u64, PlainLeft)>, Error> {
        let records: Vec<PlainLeftRecord> = sqlx::query_as(include_str!("../sql/plain_left_page.sql"))
            .bind(column(after))
            .bind(i64::from(limit))
            .fetch_all(&self.engine.pool)
            .await
            .map_err(unavailable)?;
        records.into_iter().map(TryInto::try_into).collect()
    }
}

/// Says that a plain recording is sealed, if it is still the one that was read, and that its plain file is to go.
pub(super) async fn seal(
    connection: &mut Connection,
    from: &Recording,
    to: &Recording,
    left: &PlainLeft,
) -> Result<(), Error> {
    let (from, to) = (RecordingRecord::from(from), RecordingRecord::from(to));
    let done = sqlx::query(include_str!("../sql/recording_seal.sql"))
        .bind(&from.id)
        .bind(to.media_len)
        .bind(to.state)
        .bind(to.mended)
        .bind(to.content.fingerprint)
        .bind(to.content.seal_id)
        .bind(from.media_len)
        .bind(from.state)
        .bind(from.content.digest)
        .bind(from.content.exempt)
        .bind(from.content.location)
        .execute(&mut *connection)
        .await
        .map_err(unavailable)?;
    if done.rows_affected() == 0 {
        return Err(Error::RecordingChanged(left.id.clone()));
    }
    sqlx::query(include_str!("../sql/plain_left_add.sql"))
        .bind(left.id.as_str())
        .bind(rows::left_location(left))
        .bind(i64::from(left.is_part))
        .bind(column(left.len))
        .bind(left.digest.to_vec())
        .execute(connection)
        .await
        .map_err(unavailable)?;
    Ok(())
}

/// Says that a plain file is gone.
pub(super) async fn forget(connection: &mut Connection, left: &PlainLeft) -> Result<(), Error> {
    sqlx::query(include_str!("../sql/plain_left_strike.sql"))
        .bind(left.id.as_str())
        .bind(rows::left_location(left))
        .bind(left.digest.to_vec())
        .execute(connection)
        .await
        .map_err(unavailable)?;
    Ok(())
}
