//! How rows of recordings come and change.

use super::keys::refuse_deactivated;
use super::{Connection, EngineDatabase, unavailable};
use crate::base::RecordingId;
use crate::catalogue::{Content, Error, Recording};
use crate::db::Touching;
use crate::db::rows::{ContentColumns, RecordingRecord, column};

impl EngineDatabase {
    pub(super) async fn restore(&self, recording: &Recording) -> Result<(), Error> {
        let mut transaction = self.engine.begin_write(Touching::Recordings).await?;
        insert(&mut transaction, recording).await?;
        self.engine.commit(transaction).await
    }

    pub(super) async fn replace(&self, id: &RecordingId, from: &Content, to: &Content) -> Result<(), Error> {
        let mut transaction = self.engine.begin_write(Touching::Recordings).await?;
        if let Content::Sealed { replacement: Some(replacement), .. } = to {
            refuse_deactivated(&mut transaction, &replacement.fingerprint()).await?;
        }
        let (from, to) = (ContentColumns::from(from), ContentColumns::from(to));
        let done = sqlx::query(include_str!("../sql/recording_replace_content.sql"))
            .bind(id.as_str())
            .bind(to.sealed)
            .bind(to.fingerprint)
            .bind(to.seal_id)
            .bind(to.replacement_seal_id)
            .bind(to.replacement_fingerprint)
            .bind(to.replacement_header)
            .bind(to.digest)
            .bind(to.exempt)
            .bind(from.sealed)
            .bind(from.fingerprint)
            .bind(from.seal_id)
            .bind(from.replacement_seal_id)
            .bind(from.replacement_fingerprint)
            .bind(from.replacement_header)
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        if done.rows_affected() == 0 {
            return Err(Error::RecordingChanged(id.clone()));
        }
        self.engine.commit(transaction).await
    }

    pub(super) async fn settle(&self, from: &Content, to: &Recording) -> Result<(), Error> {
        let mut transaction = self.engine.begin_write(Touching::Recordings).await?;
        let (to, id, from) = (RecordingRecord::from(to), &to.id, ContentColumns::from(from));
        let done = sqlx::query(include_str!("../sql/recording_settle.sql"))
            .bind(to.id)
            .bind(to.media_len)
            .bind(to.state)
            .bind(to.mended)
            .bind(to.content.sealed)
            .bind(to.content.fingerprint)
            .bind(to.content.seal_id)
            .bind(to.content.replacement_seal_id)
            .bind(to.content.replacement_fingerprint)
            .bind(to.content.replacement_header)
            .bind(to.content.digest)
            .bind(to.content.exempt)
            .bind(from.sealed)
            .bind(from.fingerprint)
            .bind(from.seal_id)
            .bind(from.replacement_seal_id)
            .bind(from.replacement_fingerprint)
            .bind(from.replacement_header)
            .bind(from.digest)
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        if done.rows_affected() == 0 {
            return Err(Error::RecordingChanged(id.clone()));
        }
        self.engine.commit(transaction).await
    }

    pub(super) async fn progress(&self, recording: &Recording) -> Result<(), Error> {
        self.engine.check_in_place()?;
        let record = RecordingRecord::from(recording);
        let done = sqlx::query(include_str!("../sql/recording_update_progress.sql"))
            .bind(record.id)
            .bind(record.media_len)
            .bind(record.state)
            .bind(record.lease_until)
            .bind(record.content.digest)
            .execute(&self.engine.pool)
            .await
            .map_err(unavailable)?;
        if done.rows_affected() == 0 {
            Err(Error::RecordingNotFound(recording.id.clone()))
        } else {
            self.engine.check_in_place()
        }
    }
}

pub(super) async fn insert(connection: &mut Connection, recording: &Recording) -> Result<(), Error> {
    let record = RecordingRecord::from(recording);
    let done = sqlx::query(include_str!("../sql/recording_add.sql"))
        .bind(record.id)
        .bind(record.media_type)
        .bind(record.media_len)
        .bind(record.state)
        .bind(record.lease_until)
        .bind(record.mended)
        .bind(record.created_at)
        .bind(record.content.sealed)
        .bind(record.content.fingerprint)
        .bind(record.content.seal_id)
        .bind(record.content.replacement_seal_id)
        .bind(record.content.replacement_fingerprint)
        .bind(record.content.replacement_header)
        .bind(record.content.digest)
        .bind(record.content.exempt)
        .bind(column(recording.listed_at().millis()))
        .bind(record.content.location)
        .bind(record.spool)
        .execute(connection)
        .await
        .map_err(unavailable)?;
    if done.rows_affected() == 0 { Err(Error::RecordingExists(recording.id.clone())) } else { Ok(()) }
}
