//! How database keys and the switch change.

use super::{Connection, EngineDatabase, unavailable};
use super::{ENCRYPTION, rows};
use crate::base::{Fingerprint, Timestamp};
use crate::catalogue::Error;
use crate::db::Touching;
use crate::db::rows::column;
use crate::keys::{KeyRow, KeyState};

impl EngineDatabase {
    pub(super) async fn add_all(&self, rows: &[KeyRow]) -> Result<Vec<Fingerprint>, Error> {
        let mut transaction = self.engine.begin_write(Touching::Keys).await?;
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
                .bind(row.wrapped.nonce.clone())
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
        self.engine.commit(transaction).await?;
        Ok(there)
    }

    pub(super) async fn change_state(
        &self,
        old: &KeyRow,
        new: &KeyRow,
        despite_recordings: bool,
    ) -> Result<u64, Error> {
        let mut transaction = self.engine.begin_write(Touching::Keys).await?;
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
        self.engine.commit(transaction).await?;
        Ok(recordings)
    }

    pub(super) async fn replace_all(&self, old: &[KeyRow], new: &[KeyRow]) -> Result<(), Error> {
        let mut transaction = self.engine.begin_write(Touching::Keys).await?;
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
        self.engine.commit(transaction).await
    }

    pub(super) async fn mark_as_exported(&self, fingerprints: &[Fingerprint], at: Timestamp) -> Result<(), Error> {
        let mut transaction = self.engine.begin_write(Touching::Keys).await?;
        for fingerprint in fingerprints {
            sqlx::query(include_str!("../sql/keys_mark_exported.sql"))
                .bind(fingerprint.0.to_vec())
                .bind(column(at.millis()))
                .execute(&mut *transaction)
                .await
                .map_err(unavailable)?;
        }
        self.engine.commit(transaction).await
    }

    pub(super) async fn switch(&self, enabled: bool) -> Result<(), Error> {
        let mut transaction = self.engine.begin_write(Touching::Keys).await?;
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
        self.engine.commit(transaction).await
    }
}

/// Puts a row of a database key in another's place, if that is still there as it was read.
async fn replace_key(connection: &mut Connection, old: &KeyRow, new: &KeyRow) -> Result<(), Error> {
    let (_, state) = rows::key_columns(new);
    let done = sqlx::query(include_str!("../sql/key_replace.sql"))
        .bind(old.fingerprint.0.to_vec())
        .bind(state)
        .bind(&new.definition_key.0)
        .bind(new.wrapped.nonce.clone())
        .bind(new.wrapped.ciphertext.to_vec())
        .bind(old.wrapped.nonce.clone())
        .bind(old.wrapped.ciphertext.to_vec())
        .execute(connection)
        .await
        .map_err(unavailable)?;
    if done.rows_affected() == 0 || old.fingerprint != new.fingerprint { Err(Error::KeysChanged) } else { Ok(()) }
}

/// Refuses to seal anything under a key that was deactivated since it was chosen.
pub(super) async fn refuse_deactivated(connection: &mut Connection, fingerprint: &Fingerprint) -> Result<(), Error> {
    let deactivated: (i64,) = sqlx::query_as(include_str!("../sql/key_is_deactivated.sql"))
        .bind(fingerprint.0.to_vec())
        .fetch_one(connection)
        .await
        .map_err(unavailable)?;
    if deactivated.0 > 0 { Err(Error::KeyDeactivated(*fingerprint)) } else { Ok(()) }
}
