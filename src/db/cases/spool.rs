//! Recordings whose media waits in a spool.

use super::EngineDatabase;
use crate::base::{Location, RecordingId};
use crate::catalogue::{Error, Recording};
use crate::db::rows::RecordingRecord;
use crate::db::unavailable;

impl EngineDatabase {
    pub(super) async fn note_in_store(&self, recording: &Recording) -> Result<(), Error> {
        self.engine.check_in_place()?;
        let record = RecordingRecord::from(recording);
        let done = sqlx::query(include_str!("../sql/recording_stored.sql"))
            .bind(record.id)
            .bind(record.content.sealed)
            .bind(record.content.seal_id)
            .bind(record.content.digest)
            .execute(&self.engine.pool)
            .await
            .map_err(unavailable)?;
        if done.rows_affected() == 0 {
            return Err(Error::RecordingChanged(recording.id.clone()));
        }
        self.engine.check_in_place()
    }

    pub(super) async fn recordings_in_spool(
        &self,
        spool: &Location,
        after: Option<&RecordingId>,
        limit: u32,
    ) -> Result<Vec<Recording>, Error> {
        self.engine.check_in_place()?;
        let records: Vec<RecordingRecord> = sqlx::query_as(include_str!("../sql/recordings_in_spool.sql"))
            .bind(spool.as_str())
            .bind(after.map_or("", RecordingId::as_str))
            .bind(i64::from(limit))
            .fetch_all(&self.engine.pool)
            .await
            .map_err(unavailable)?;
        records.into_iter().map(Recording::try_from).collect()
    }
}
