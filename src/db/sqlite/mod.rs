//! SQLite in one file: the default on one machine. Here are the use cases; `file` opens the file, `pages` lists.

mod adding;
mod beside;
mod file;
mod pages;
mod plain;
mod search;
mod spool;

use std::collections::BTreeMap;

use async_trait::async_trait;
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::Mutex;

use super::rows::{self, ContentColumns, KeyRecord, RecordingRecord, column};
use super::unavailable;
use crate::access::RecordingSet;
use crate::base::{Fingerprint, Location, RecordingId, Timestamp};
use crate::catalogue::{
    Companion, CompanionsOf, Content, Cursor, Database, Error, Filter, KeyUsage, Metadata, Page, PlainCount, PlainLeft,
    Recording, ResealRun,
};
use crate::keys::{KeyRow, KeyState, KeyTable};
use adding::Adding;
use file::{InPlace, WithinDeadline};

/// The names of settings.
const ENCRYPTION: &str = "encryption";
const RESEAL: &str = "reseal";

/// Keys, switch and catalogue in an SQLite file.
pub struct SqliteDatabase {
    file: InPlace,
    adding: Adding,
    /// Never writes, so that `PRAGMA data_version` on it tells of every commit, this process's own included.
    watcher: Mutex<Option<SqliteConnection>>,
}

/// Puts a row of a database key in another's place, if that is still there as it was read.
async fn replace_key(connection: &mut SqliteConnection, old: &KeyRow, new: &KeyRow) -> Result<(), Error> {
    let (_, state) = rows::key_columns(new);
    let done = sqlx::query(include_str!("../sql/key_replace.sql"))
        .bind(old.fingerprint.0.to_vec())
        .bind(state)
        .bind(&new.definition_key.0)
        .bind(new.wrapped.nonce.to_vec())
        .bind(new.wrapped.ciphertext.to_vec())
        .bind(old.wrapped.nonce.to_vec())
        .bind(old.wrapped.ciphertext.to_vec())
        .execute(connection)
        .await
        .map_err(unavailable)?;
    if done.rows_affected() == 0 || old.fingerprint != new.fingerprint { Err(Error::KeysChanged) } else { Ok(()) }
}

/// Refuses to seal anything under a key that was deactivated since it was chosen.
async fn refuse_deactivated(connection: &mut SqliteConnection, fingerprint: &Fingerprint) -> Result<(), Error> {
    let deactivated: (i64,) = sqlx::query_as(include_str!("../sql/key_is_deactivated.sql"))
        .bind(fingerprint.0.to_vec())
        .fetch_one(connection)
        .await
        .map_err(unavailable)?;
    if deactivated.0 > 0 { Err(Error::KeyDeactivated(*fingerprint)) } else { Ok(()) }
}

async fn insert_recording(connection: &mut SqliteConnection, recording: &Recording) -> Result<(), Error> {
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

#[async_trait]
impl Database for SqliteDatabase {
    async fn load_keys(&self) -> Result<KeyTable, Error> {
        self.file.check_in_place()?;
        // One read transaction, so that keys and switch are of one moment.
        let mut transaction = self.file.pool.begin().await.map_err(unavailable)?;
        let records: Vec<KeyRecord> = sqlx::query_as(include_str!("../sql/keys_load.sql"))
            .fetch_all(&mut *transaction)
            .await
            .map_err(unavailable)?;
        let switch: Option<(String,)> = sqlx::query_as(include_str!("../sql/setting_load.sql"))
            .bind(ENCRYPTION)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)?;
        let rows = records.into_iter().map(KeyRow::try_from).collect::<Result<_, _>>()?;
        Ok(KeyTable { rows, switch: rows::switch(switch.as_ref().map(|(value,)| value.as_str()))? })
    }

    async fn add_keys(&self, rows: &[KeyRow]) -> Result<Vec<Fingerprint>, Error> {
        let mut transaction = self.file.begin_write().await?;
        let mut there = Vec::new();
        for row in rows {
            let others: (i64,) = sqlx::query_as(include_str!("../sql/keys_count_under_others.sql"))
                .bind(&row.definition_key.0)
                .fetch_one(&mut *transaction)
                .await
                .map_err(unavailable)?;
            if others.0 > 0 {
                return Err(Error::KeysChanged);
            }
            let (origin, state) = rows::key_columns(row);
            let done = sqlx::query(include_str!("../sql/key_add.sql"))
                .bind(row.fingerprint.0.to_vec())
                .bind(column(row.created_at.millis()))
                .bind(origin)
                .bind(state)
                .bind(&row.definition_key.0)
                .bind(row.wrapped.nonce.to_vec())
                .bind(row.wrapped.ciphertext.to_vec())
                .bind(row.exported_at.map(|at| column(at.millis())))
                .execute(&mut *transaction)
                .await
                .map_err(unavailable)?;
            if done.rows_affected() == 0 {
                there.push(row.fingerprint);
            }
        }
        // From the first key on new recordings are sealed, or refused where keys are lost: never plain again by itself.
        sqlx::query(include_str!("../sql/setting_add.sql"))
            .bind(ENCRYPTION)
            .bind("enabled")
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        self.file.commit(transaction).await?;
        Ok(there)
    }

    async fn change_key_state(&self, old: &KeyRow, new: &KeyRow, despite_recordings: bool) -> Result<u64, Error> {
        let mut transaction = self.file.begin_write().await?;
        let needed: (i64,) = sqlx::query_as(include_str!("../sql/key_usage_of.sql"))
            .bind(old.fingerprint.0.to_vec())
            .fetch_one(&mut *transaction)
            .await
            .map_err(unavailable)?;
        let recordings = rows::count(needed.0)?;
        if new.state == KeyState::Deactivated && recordings > 0 && !despite_recordings {
            return Err(Error::KeyNeeded { fingerprint: old.fingerprint, recordings });
        }
        replace_key(&mut transaction, old, new).await?;
        self.file.commit(transaction).await?;
        Ok(recordings)
    }

    async fn replace_keys(&self, old: &[KeyRow], new: &[KeyRow]) -> Result<(), Error> {
        let mut transaction = self.file.begin_write().await?;
        let there: (i64,) = sqlx::query_as(include_str!("../sql/keys_count.sql"))
            .fetch_one(&mut *transaction)
            .await
            .map_err(unavailable)?;
        if rows::count(there.0)? != old.len() as u64 || old.len() != new.len() {
            return Err(Error::KeysChanged);
        }
        for (old, new) in old.iter().zip(new) {
            replace_key(&mut transaction, old, new).await?;
        }
        self.file.commit(transaction).await
    }

    async fn mark_exported(&self, fingerprints: &[Fingerprint], at: Timestamp) -> Result<(), Error> {
        let mut transaction = self.file.begin_write().await?;
        for fingerprint in fingerprints {
            sqlx::query(include_str!("../sql/keys_mark_exported.sql"))
                .bind(fingerprint.0.to_vec())
                .bind(column(at.millis()))
                .execute(&mut *transaction)
                .await
                .map_err(unavailable)?;
        }
        self.file.commit(transaction).await
    }

    async fn set_encryption(&self, enabled: bool) -> Result<(), Error> {
        let mut transaction = self.file.begin_write().await?;
        if enabled {
            let active: (i64,) = sqlx::query_as(include_str!("../sql/keys_count_active.sql"))
                .fetch_one(&mut *transaction)
                .await
                .map_err(unavailable)?;
            if active.0 == 0 {
                return Err(Error::NoActiveKey);
            }
        }
        sqlx::query(include_str!("../sql/setting_save.sql"))
            .bind(ENCRYPTION)
            .bind(if enabled { "enabled" } else { "disabled" })
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        self.file.commit(transaction).await
    }

    async fn key_usage(&self) -> Result<Vec<KeyUsage>, Error> {
        let mut transaction = self.file.pool.begin().await.map_err(unavailable)?;
        let mut usage = BTreeMap::new();
        for statement in [
            include_str!("../sql/key_usage.sql"),
            include_str!("../sql/key_usage_to_come.sql"),
            include_str!("../sql/key_usage_beside.sql"),
        ] {
            let counts: Vec<(Vec<u8>, i64)> =
                sqlx::query_as(statement).fetch_all(&mut *transaction).await.map_err(unavailable)?;
            for (fingerprint, recordings) in counts {
                let malformed = |_| Error::MalformedRow("a fingerprint in recording".into());
                let fingerprint: [u8; 32] = fingerprint.try_into().map_err(malformed)?;
                *usage.entry(fingerprint).or_default() += rows::count(recordings)?;
            }
        }
        transaction.commit().await.map_err(unavailable)?;
        let usage = usage.into_iter();
        Ok(usage.map(|(key, recordings)| KeyUsage { fingerprint: Fingerprint(key), recordings }).collect())
    }

    async fn key_usage_of(&self, key: &Fingerprint) -> Result<u64, Error> {
        let needed: (i64,) = sqlx::query_as(include_str!("../sql/key_usage_of.sql"))
            .bind(key.0.to_vec())
            .fetch_one(&self.file.pool)
            .await
            .map_err(unavailable)?;
        rows::count(needed.0)
    }

    async fn recordings_under(
        &self,
        key: &Fingerprint,
        after: Option<&RecordingId>,
        limit: u32,
    ) -> Result<Vec<Recording>, Error> {
        let records: Vec<RecordingRecord> = sqlx::query_as(include_str!("../sql/recordings_under.sql"))
            .bind(key.0.to_vec())
            .bind(after.map_or("", RecordingId::as_str))
            .bind(i64::from(limit))
            .fetch_all(&self.file.pool)
            .await
            .map_err(unavailable)?;
        records.into_iter().map(Recording::try_from).collect()
    }

    async fn add_recording(&self, recording: &Recording) -> Result<(), Error> {
        self.adding.add(&self.file, recording.clone()).await
    }

    async fn restore_recording(&self, recording: &Recording) -> Result<(), Error> {
        let mut transaction = self.file.begin_write().await?;
        insert_recording(&mut transaction, recording).await?;
        self.file.commit(transaction).await
    }

    async fn replace_content(&self, id: &RecordingId, from: &Content, to: &Content) -> Result<(), Error> {
        let mut transaction = self.file.begin_write().await?;
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
        self.file.commit(transaction).await
    }

    async fn seal_recording(&self, from: &Recording, to: &Recording, left: &PlainLeft) -> Result<(), Error> {
        self.adding.seal(&self.file, from.clone(), to.clone(), left.clone()).await
    }

    async fn plain_recordings(&self, after: Option<&RecordingId>, limit: u32) -> Result<Vec<Recording>, Error> {
        self.recordings_in_plain(after, limit).await
    }

    async fn plain_count(&self) -> Result<PlainCount, Error> {
        self.count_in_plain().await
    }

    async fn plain_left(&self, after: u64, limit: u32) -> Result<Vec<(u64, PlainLeft)>, Error> {
        self.left_in_plain(after, limit).await
    }

    async fn is_plain_left(&self, id: &RecordingId, outside: &Location) -> Result<bool, Error> {
        self.is_left_in_plain(id, outside).await
    }

    async fn forget_plain_left(&self, left: &PlainLeft) -> Result<(), Error> {
        self.adding.forget_plain(&self.file, left.clone()).await
    }

    async fn unfinished_reseal(&self) -> Result<Option<ResealRun>, Error> {
        let value: Option<(String,)> = sqlx::query_as(include_str!("../sql/setting_load.sql"))
            .bind(RESEAL)
            .fetch_optional(&self.file.pool)
            .await
            .map_err(unavailable)?;
        value.map(|(value,)| rows::reseal_run(&value)).transpose()
    }

    async fn note_reseal(&self, run: Option<&ResealRun>) -> Result<(), Error> {
        self.file.check_in_place()?;
        let query = match run {
            Some(run) => sqlx::query(include_str!("../sql/setting_save.sql")).bind(RESEAL).bind(format!(
                "{} {}",
                run.begun.millis(),
                run.to
            )),
            None => sqlx::query(include_str!("../sql/setting_strike.sql")).bind(RESEAL),
        };
        query.execute(&self.file.pool).await.map_err(unavailable)?;
        self.file.check_in_place()
    }

    async fn update_progress(&self, recording: &Recording) -> Result<(), Error> {
        self.file.check_in_place()?;
        let record = RecordingRecord::from(recording);
        let done = sqlx::query(include_str!("../sql/recording_update_progress.sql"))
            .bind(record.id)
            .bind(record.media_len)
            .bind(record.state)
            .bind(record.lease_until)
            .bind(record.content.digest)
            .execute(&self.file.pool)
            .await
            .map_err(unavailable)?;
        if done.rows_affected() == 0 {
            Err(Error::RecordingNotFound(recording.id.clone()))
        } else {
            self.file.check_in_place()
        }
    }

    async fn note_stored(&self, recording: &Recording) -> Result<(), Error> {
        self.note_in_store(recording).await
    }

    async fn spooled_recordings(
        &self,
        spool: &Location,
        after: Option<&RecordingId>,
        limit: u32,
    ) -> Result<Vec<Recording>, Error> {
        self.recordings_in_spool(spool, after, limit).await
    }

    async fn settle_recording(&self, from: &Content, to: &Recording) -> Result<(), Error> {
        let mut transaction = self.file.begin_write().await?;
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
        self.file.commit(transaction).await
    }

    async fn recordings_of(&self, ids: &[RecordingId]) -> Result<Vec<Recording>, Error> {
        self.file.check_in_place()?;
        let ids: Vec<&str> = ids.iter().map(RecordingId::as_str).collect();
        let records: Vec<RecordingRecord> = sqlx::query_as(include_str!("../sql/recordings_of.sql"))
            .bind(serde_json::json!(ids).to_string())
            .fetch_all(&self.file.pool)
            .await
            .map_err(unavailable)?;
        records.into_iter().map(Recording::try_from).collect()
    }

    async fn recording(&self, id: &RecordingId) -> Result<Option<Recording>, Error> {
        // What a file that was moved away says may be out of date: somebody else may be writing another one.
        self.file.check_in_place()?;
        let record: Option<RecordingRecord> = sqlx::query_as(include_str!("../sql/recording_find.sql"))
            .bind(id.as_str())
            .fetch_optional(&self.file.pool)
            .within_deadline()
            .await?;
        record.map(Recording::try_from).transpose()
    }

    async fn recordings(&self, after: Option<&Cursor>, limit: u32, set: &RecordingSet) -> Result<Page, Error> {
        self.file.check_in_place()?;
        self.page(after, limit, set).await
    }

    async fn search(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: u32,
        set: &RecordingSet,
    ) -> Result<Page, Error> {
        self.file.check_in_place()?;
        self.page_of(filter, after, limit, set).await
    }

    async fn companions(&self, id: &RecordingId) -> Result<Vec<Companion>, Error> {
        self.companions_beside(id).await
    }

    async fn put_companion(&self, companion: &Companion, index: Option<&Metadata>) -> Result<Option<Companion>, Error> {
        self.put_beside(companion, index).await
    }

    async fn replace_companion(&self, from: &Companion, to: &Companion) -> Result<(), Error> {
        self.replace_beside(from, to).await
    }

    async fn companions_of(
        &self,
        which: &CompanionsOf,
        after: Option<&Companion>,
        limit: u32,
    ) -> Result<Vec<Companion>, Error> {
        self.sealed_beside(which, after, limit).await
    }

    async fn hold(&self, id: &RecordingId, since: Option<Timestamp>) -> Result<(), Error> {
        self.hold_since(id, since).await
    }

    async fn begin_purge(&self, id: &RecordingId, now: Timestamp) -> Result<Recording, Error> {
        self.purge_begins(id, now).await
    }

    async fn end_purge(&self, id: &RecordingId) -> Result<(), Error> {
        self.purge_ends(id).await
    }

    async fn close(&self) {
        // The last connection to close moves the write-ahead log into the file, so that the file alone is a backup. Of
        // two that close at once neither is the last: the pool's may, so this one waits for all of them.
        self.file.pool.close().await;
        if let Some(watcher) = self.watcher.lock().await.take() {
            let _closed_either_way = watcher.close().await;
        }
    }

    async fn change_counter(&self) -> Result<u64, Error> {
        self.file.check_in_place()?;
        let mut watcher = self.watcher.lock().await;
        let watcher = watcher.as_mut().ok_or_else(|| Error::Unavailable("it was closed".into()))?;
        let version: (i64,) = sqlx::query_as("PRAGMA data_version").fetch_one(watcher).await.map_err(unavailable)?;
        Ok(version.0.cast_unsigned())
    }
}
