//! What is known of recordings beside their media, what lies beside them, and how they go.

use super::{Connection, EngineDatabase, engine, keys::refuse_deactivated};
use crate::base::{RecordingId, Timestamp};
use crate::catalogue::{Companion, CompanionsOf, Error, Metadata, Recording, RecordingState};
use crate::db::deadline::WithinDeadline;
use crate::db::rows::{CompanionRecord, RecordingRecord, TERM_TAG, TERM_WORD, column, metadata_column};
use crate::db::{Touching, unavailable};

impl EngineDatabase {
    pub(super) async fn companions_beside(&self, id: &RecordingId) -> Result<Vec<Companion>, Error> {
        self.engine.check_in_place()?;
        let records: Vec<CompanionRecord> = sqlx::query_as(include_str!("../sql/companions_of_recording.sql"))
            .bind(id.as_str())
            .fetch_all(&self.engine.pool)
            .within_deadline()
            .await?;
        records.into_iter().map(Companion::try_from).collect()
    }

    pub(super) async fn put_beside(
        &self,
        companion: &Companion,
        index: Option<&Metadata>,
    ) -> Result<Option<Companion>, Error> {
        let mut transaction = self.engine.begin_write(Touching::Recordings).await?;
        let row = find(&mut transaction, &companion.id).await?;
        if let Some(fingerprint) = companion.fingerprint() {
            refuse_deactivated(&mut transaction, &fingerprint).await?;
        }
        let record = CompanionRecord::from(companion);
        let old: Option<CompanionRecord> = sqlx::query_as(include_str!("../sql/companion_find.sql"))
            .bind(&record.id)
            .bind(&record.name)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(unavailable)?;
        let is_new = old.is_none();
        sqlx::query(include_str!("../sql/companion_put.sql"))
            .bind(record.id)
            .bind(record.name)
            .bind(record.version)
            .bind(record.media_type)
            .bind(record.content_len)
            .bind(record.fingerprint)
            .bind(record.digest)
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        match (&companion.name, index) {
            (Some(name), _) if is_new => {
                let about = row.about.as_deref().cloned().unwrap_or_default();
                let mut names: Vec<String> = about.sidecars.iter().map(ToString::to_string).collect();
                names.push(name.to_string());
                names.sort_unstable();
                sqlx::query(include_str!("../sql/recording_sidecars.sql"))
                    .bind(companion.id.as_str())
                    .bind(names.join(" "))
                    .execute(&mut *transaction)
                    .await
                    .map_err(unavailable)?;
            }
            (None, Some(index)) => put_index(&mut transaction, &companion.id, index).await?,
            (Some(_) | None, _) => {}
        }
        self.engine.commit(transaction).await?;
        old.map(Companion::try_from).transpose()
    }

    pub(super) async fn replace_beside(&self, from: &Companion, to: &Companion) -> Result<(), Error> {
        let mut transaction = self.engine.begin_write(Touching::Recordings).await?;
        if let Some(fingerprint) = to.fingerprint() {
            refuse_deactivated(&mut transaction, &fingerprint).await?;
        }
        let (from_record, to_record) = (CompanionRecord::from(from), CompanionRecord::from(to));
        let done = sqlx::query(include_str!("../sql/companion_replace.sql"))
            .bind(from_record.id)
            .bind(from_record.name)
            .bind(from_record.version)
            .bind(to_record.version)
            .bind(to_record.media_type)
            .bind(to_record.content_len)
            .bind(to_record.fingerprint)
            .bind(to_record.digest)
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        if done.rows_affected() == 0 {
            return Err(Error::RecordingChanged(from.id.clone()));
        }
        self.engine.commit(transaction).await
    }

    pub(super) async fn sealed_beside(
        &self,
        which: &CompanionsOf,
        after: Option<&Companion>,
        limit: u32,
    ) -> Result<Vec<Companion>, Error> {
        let (statement, key) = match which {
            CompanionsOf::All => (include_str!("../sql/companions_sealed.sql"), None),
            CompanionsOf::Plain => (include_str!("../sql/companions_plain.sql"), None),
            CompanionsOf::Under(key) => (include_str!("../sql/companions_under.sql"), Some(key)),
            CompanionsOf::NotUnder(key) => (include_str!("../sql/companions_not_under.sql"), Some(key)),
        };
        let name = after.and_then(|after| after.name.as_ref()).map_or("", |name| name.as_str());
        let mut query = sqlx::query_as(statement)
            .bind(after.map_or("", |after| after.id.as_str()))
            .bind(name)
            .bind(i64::from(limit));
        if let Some(key) = key {
            query = query.bind(key.0.to_vec());
        }
        let records: Vec<CompanionRecord> = query.fetch_all(&self.engine.pool).await.map_err(unavailable)?;
        records.into_iter().map(Companion::try_from).collect()
    }

    pub(super) async fn hold_since(&self, id: &RecordingId, since: Option<Timestamp>) -> Result<(), Error> {
        let mut transaction = self.engine.begin_write(Touching::Recordings).await?;
        find(&mut transaction, id).await?;
        let done = sqlx::query(include_str!("../sql/recording_hold.sql"))
            .bind(id.as_str())
            .bind(since.map(|since| column(since.millis())))
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        if done.rows_affected() == 0 {
            return Err(Error::RecordingPurging(id.clone()));
        }
        self.engine.commit(transaction).await
    }

    pub(super) async fn purge_begins(&self, id: &RecordingId, now: Timestamp) -> Result<Recording, Error> {
        let mut transaction = self.engine.begin_write(Touching::Recordings).await?;
        let recording = find(&mut transaction, id).await?;
        if recording.about.as_ref().is_some_and(|about| about.held_at.is_some()) {
            return Err(Error::RecordingHeld(id.clone()));
        }
        if matches!(recording.state_at(now), RecordingState::Recording { .. }) {
            return Err(Error::RecordingInProgress(id.clone()));
        }
        sqlx::query(include_str!("../sql/recording_begin_purge.sql"))
            .bind(id.as_str())
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        self.engine.commit(transaction).await?;
        Ok(recording)
    }

    pub(super) async fn purge_ends(&self, id: &RecordingId) -> Result<(), Error> {
        let mut transaction = self.engine.begin_write(Touching::Recordings).await?;
        for statement in [
            include_str!("../sql/recording_strike.sql"),
            include_str!("../sql/companions_strike.sql"),
            include_str!("../sql/terms_strike.sql"),
        ] {
            sqlx::query(statement).bind(id.as_str()).execute(&mut *transaction).await.map_err(unavailable)?;
        }
        self.engine.commit(transaction).await
    }
}

/// A recording, by the transaction that will change it.
async fn find(connection: &mut Connection, id: &RecordingId) -> Result<Recording, Error> {
    let record: Option<RecordingRecord> = sqlx::query_as(engine::RECORDING_FIND_TO_CHANGE)
        .bind(id.as_str())
        .fetch_optional(connection)
        .await
        .map_err(unavailable)?;
    record.ok_or_else(|| Error::RecordingNotFound(id.clone()))?.try_into()
}

/// What of a recording's metadata the catalogue is to know, in the place of what it knew.
async fn put_index(connection: &mut Connection, id: &RecordingId, index: &Metadata) -> Result<(), Error> {
    sqlx::query(include_str!("../sql/recording_index.sql"))
        .bind(id.as_str())
        .bind(metadata_column(index))
        .bind(index.started().map(|started| column(started.millis())))
        .bind(index.group.as_deref())
        .bind(index.agent.as_deref())
        .execute(&mut *connection)
        .await
        .map_err(unavailable)?;
    sqlx::query(include_str!("../sql/terms_strike.sql"))
        .bind(id.as_str())
        .execute(&mut *connection)
        .await
        .map_err(unavailable)?;
    let listed_at: (i64,) = sqlx::query_as(include_str!("../sql/recording_listed_at.sql"))
        .bind(id.as_str())
        .fetch_one(&mut *connection)
        .await
        .map_err(unavailable)?;
    let tags = index.tags.iter().map(|tag| (TERM_TAG, tag.clone()));
    for (kind, term) in tags.chain(index.words().into_iter().map(|word| (TERM_WORD, word))) {
        sqlx::query(include_str!("../sql/terms_add.sql"))
            .bind(kind)
            .bind(term)
            .bind(listed_at.0)
            .bind(id.as_str())
            .execute(&mut *connection)
            .await
            .map_err(unavailable)?;
    }
    Ok(())
}
