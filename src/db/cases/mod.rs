//! The use cases, each one transaction: the same on every engine. This folder is compiled once for each, against what the
//! engine's own folder names in `engine`: how it is opened, locked and watched, and the few statements that differ.
//!
//! Start with the implementation of [`Database`] below; `keys`, `recordings` and `beside` change things, `pages` and
//! `search` list, `adding` gathers what many add at once.

mod adding;
mod beside;
mod keys;
mod pages;
mod plain;
mod recordings;
pub(super) mod search;
mod spool;

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;

use super::engine::{self, Connection, Engine, EngineDatabase, Sql};
use crate::access::RecordingSet;
use crate::base::{Fingerprint, Location, RecordingId, Timestamp};
use crate::catalogue::{
    Companion, CompanionsOf, Content, Cursor, Database, DatabaseGuard, Error, Filter, KeyUsage, Metadata, Page,
    PlainCount, PlainLeft, Recording, ResealRun,
};
use crate::db::deadline::WithinDeadline;
use crate::db::rows::{self, KeyRecord, RecordingRecord};
use crate::db::unavailable;
use crate::keys::{KeyRow, KeyTable, Switch};

pub(in crate::db) use adding::Adding;

/// The names of settings.
const ENCRYPTION: &str = "encryption";
const RESEAL: &str = "reseal";

/// How long a transaction that others stood in the way of pauses before it is tried again.
const PAUSES: [Duration; 3] = [Duration::from_millis(10), Duration::from_millis(40), Duration::from_millis(160)];

/// Does it again, a few times, where another transaction was in the way.
async fn again<T, F: Future<Output = Result<T, Error>>>(engine: &Engine, once: impl Fn() -> F) -> Result<T, Error> {
    for pause in PAUSES {
        match engine.bounded(once()).await {
            Err(error) if engine::is_passing(&error) => tokio::time::sleep(pause).await,
            outcome => return outcome,
        }
    }
    engine.bounded(once()).await
}

#[async_trait]
impl Database for EngineDatabase {
    async fn load_keys(&self) -> Result<KeyTable, Error> {
        let asking = async {
            if self.engine.is_unmade().await? {
                return Ok(KeyTable { rows: Vec::new(), switch: Switch::Untouched });
            }
            // One read transaction, so that keys and switch are of one moment.
            let mut transaction = self.engine.begin_read().await?;
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
        };
        self.engine.bounded(asking).await
    }

    async fn add_keys(&self, rows: &[KeyRow]) -> Result<Vec<Fingerprint>, Error> {
        again(&self.engine, || self.add_all(rows)).await
    }

    async fn change_key_state(&self, old: &KeyRow, new: &KeyRow, despite_recordings: bool) -> Result<u64, Error> {
        again(&self.engine, || self.change_state(old, new, despite_recordings)).await
    }

    async fn replace_keys(&self, old: &[KeyRow], new: &[KeyRow]) -> Result<(), Error> {
        again(&self.engine, || self.replace_all(old, new)).await
    }

    async fn mark_exported(&self, fingerprints: &[Fingerprint], at: Timestamp) -> Result<(), Error> {
        again(&self.engine, || self.mark_as_exported(fingerprints, at)).await
    }

    async fn set_encryption(&self, enabled: bool) -> Result<(), Error> {
        again(&self.engine, || self.switch(enabled)).await
    }

    async fn key_usage(&self) -> Result<Vec<KeyUsage>, Error> {
        let asking = async {
            let mut transaction = self.engine.begin_read().await?;
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
        };
        self.engine.bounded(asking).await
    }

    async fn key_usage_of(&self, key: &Fingerprint) -> Result<u64, Error> {
        let asking = async {
            let needed: (i64,) = sqlx::query_as(include_str!("../sql/key_usage_of.sql"))
                .bind(key.0.to_vec())
                .fetch_one(&self.engine.pool)
                .await
                .map_err(unavailable)?;
            rows::count(needed.0)
        };
        self.engine.bounded(asking).await
    }

    async fn recordings_under(
        &self,
        key: &Fingerprint,
        after: Option<&RecordingId>,
        limit: u32,
    ) -> Result<Vec<Recording>, Error> {
        let asking = async {
            let records: Vec<RecordingRecord> = sqlx::query_as(engine::RECORDINGS_UNDER)
                .bind(key.0.to_vec())
                .bind(after.map_or("", RecordingId::as_str))
                .bind(i64::from(limit))
                .fetch_all(&self.engine.pool)
                .await
                .map_err(unavailable)?;
            records.into_iter().map(Recording::try_from).collect()
        };
        self.engine.bounded(asking).await
    }

    async fn add_recording(&self, recording: &Recording) -> Result<(), Error> {
        self.adding.add(&self.engine, recording.clone()).await
    }

    async fn restore_recording(&self, recording: &Recording) -> Result<(), Error> {
        again(&self.engine, || self.restore(recording)).await
    }

    async fn replace_content(&self, id: &RecordingId, from: &Content, to: &Content) -> Result<(), Error> {
        again(&self.engine, || self.replace(id, from, to)).await
    }

    async fn seal_recording(&self, from: &Recording, to: &Recording, left: &PlainLeft) -> Result<(), Error> {
        self.adding.seal(&self.engine, from.clone(), to.clone(), left.clone()).await
    }

    async fn plain_recordings(&self, after: Option<&RecordingId>, limit: u32) -> Result<Vec<Recording>, Error> {
        self.engine.bounded(self.recordings_in_plain(after, limit)).await
    }

    async fn plain_count(&self) -> Result<PlainCount, Error> {
        self.engine.bounded(self.count_in_plain()).await
    }

    async fn plain_left(&self, after: u64, limit: u32) -> Result<Vec<(u64, PlainLeft)>, Error> {
        self.engine.bounded(self.left_in_plain(after, limit)).await
    }

    async fn is_plain_left(&self, id: &RecordingId, outside: &Location) -> Result<bool, Error> {
        self.engine.bounded(self.is_left_in_plain(id, outside)).await
    }

    async fn forget_plain_left(&self, left: &PlainLeft) -> Result<(), Error> {
        self.adding.forget_plain(&self.engine, left.clone()).await
    }

    async fn unfinished_reseal(&self) -> Result<Option<ResealRun>, Error> {
        let asking = async {
            let value: Option<(String,)> = sqlx::query_as(include_str!("../sql/setting_load.sql"))
                .bind(RESEAL)
                .fetch_optional(&self.engine.pool)
                .await
                .map_err(unavailable)?;
            value.map(|(value,)| rows::reseal_run(&value)).transpose()
        };
        self.engine.bounded(asking).await
    }

    async fn note_reseal(&self, run: Option<&ResealRun>) -> Result<(), Error> {
        let asking = async {
            self.engine.check_in_place()?;
            let query = match run {
                Some(run) => sqlx::query(include_str!("../sql/setting_save.sql")).bind(RESEAL).bind(format!(
                    "{} {}",
                    run.begun.millis(),
                    run.to
                )),
                None => sqlx::query(include_str!("../sql/setting_strike.sql")).bind(RESEAL),
            };
            query.execute(&self.engine.pool).await.map_err(unavailable)?;
            self.engine.check_in_place()
        };
        self.engine.bounded(asking).await
    }

    async fn update_progress(&self, recording: &Recording) -> Result<(), Error> {
        again(&self.engine, || self.progress(recording)).await
    }

    async fn note_stored(&self, recording: &Recording) -> Result<(), Error> {
        again(&self.engine, || self.note_in_store(recording)).await
    }

    async fn spooled_recordings(
        &self,
        spool: &Location,
        after: Option<&RecordingId>,
        limit: u32,
    ) -> Result<Vec<Recording>, Error> {
        self.engine.bounded(self.recordings_in_spool(spool, after, limit)).await
    }

    async fn settle_recording(&self, from: &Content, to: &Recording) -> Result<(), Error> {
        again(&self.engine, || self.settle(from, to)).await
    }

    async fn recordings_of(&self, ids: &[RecordingId]) -> Result<Vec<Recording>, Error> {
        let asking = async {
            self.engine.check_in_place()?;
            let ids: Vec<&str> = ids.iter().map(RecordingId::as_str).collect();
            let records: Vec<RecordingRecord> = sqlx::query_as(engine::RECORDINGS_OF)
                .bind(serde_json::json!(ids).to_string())
                .fetch_all(&self.engine.pool)
                .await
                .map_err(unavailable)?;
            records.into_iter().map(Recording::try_from).collect()
        };
        self.engine.bounded(asking).await
    }

    async fn recording(&self, id: &RecordingId) -> Result<Option<Recording>, Error> {
        // What a file that was moved away says may be out of date: somebody else may be writing another one.
        self.engine.check_in_place()?;
        let record: Option<RecordingRecord> = sqlx::query_as(include_str!("../sql/recording_find.sql"))
            .bind(id.as_str())
            .fetch_optional(&self.engine.pool)
            .within_deadline()
            .await?;
        record.map(Recording::try_from).transpose()
    }

    async fn recordings(&self, after: Option<&Cursor>, limit: u32, set: &RecordingSet) -> Result<Page, Error> {
        self.engine.check_in_place()?;
        self.page(after, limit, set).await
    }

    async fn search(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: u32,
        set: &RecordingSet,
    ) -> Result<Page, Error> {
        self.engine.check_in_place()?;
        self.page_of(filter, after, limit, set).await
    }

    async fn companions(&self, id: &RecordingId) -> Result<Vec<Companion>, Error> {
        self.companions_beside(id).await
    }

    async fn put_companion(&self, companion: &Companion, index: Option<&Metadata>) -> Result<Option<Companion>, Error> {
        again(&self.engine, || self.put_beside(companion, index)).await
    }

    async fn replace_companion(&self, from: &Companion, to: &Companion) -> Result<(), Error> {
        again(&self.engine, || self.replace_beside(from, to)).await
    }

    async fn companions_of(
        &self,
        which: &CompanionsOf,
        after: Option<&Companion>,
        limit: u32,
    ) -> Result<Vec<Companion>, Error> {
        self.engine.bounded(self.sealed_beside(which, after, limit)).await
    }

    async fn hold(&self, id: &RecordingId, since: Option<Timestamp>) -> Result<(), Error> {
        again(&self.engine, || self.hold_since(id, since)).await
    }

    async fn begin_purge(&self, id: &RecordingId, now: Timestamp) -> Result<Recording, Error> {
        again(&self.engine, || self.purge_begins(id, now)).await
    }

    async fn end_purge(&self, id: &RecordingId) -> Result<(), Error> {
        again(&self.engine, || self.purge_ends(id)).await
    }

    async fn close(&self) {
        self.engine.close().await;
    }

    async fn change_counter(&self) -> Result<u64, Error> {
        self.engine.change_counter().await
    }

    async fn begin_maintenance(&self) -> Result<DatabaseGuard, Error> {
        self.engine.begin_maintenance().await
    }
}
