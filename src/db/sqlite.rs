//! SQLite in one file: the default on one machine.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, migrate::Migrator};
use tokio::sync::Mutex;

use super::rows::{self, KeyRecord, RecordingRecord, column};
use super::unavailable;
use crate::access::RecordingSet;
use crate::base::{Fingerprint, RecordingId};
use crate::catalogue::{Cursor, Database, Error, KeyUsage, Page, Recording};
use crate::keys::{KeyRow, KeyTable};

static MIGRATIONS: Migrator = sqlx::migrate!("src/db/migrations/sqlite");

/// How long a statement waits for another process's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How often an opening that met another one is tried again.
const BUSY_PAUSE: Duration = Duration::from_millis(50);
/// How long a request waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// Readers side by side; SQLite has one writer at a time.
const CONNECTIONS_MAX: u32 = 4;

/// Keys, switch and catalogue in an SQLite file.
pub struct SqliteDatabase {
    path: PathBuf,
    /// Device and inode of the file that was opened: one that is moved away keeps working, and loses what is written.
    identity: (u64, u64),
    pool: SqlitePool,
    /// Never writes, so that `PRAGMA data_version` on it tells of every commit, this process's own included.
    watcher: Mutex<Option<SqliteConnection>>,
}

impl SqliteDatabase {
    /// Opens the file and brings its schema up to date; makes it when it is missing and `may_create` says so.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`]; [`Error::NewerVersion`] when a newer version wrote it (nothing is changed then);
    /// [`Error::Unavailable`].
    pub async fn open(path: &Path, may_create: bool) -> Result<Self, Error> {
        if !may_create && !path.exists() {
            return Err(Error::Missing);
        }
        let deadline = Instant::now() + BUSY_TIMEOUT;
        loop {
            match Self::open_once(path, may_create).await {
                // Of two that make a database or change its schema at once, one waits for the other.
                Err(Error::Unavailable(reason)) if is_passing(&reason) && Instant::now() < deadline => {
                    tokio::time::sleep(BUSY_PAUSE).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn open_once(path: &Path, may_create: bool) -> Result<Self, Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            // A row is acknowledged only when it is on disk.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            .disable_statement_logging();
        // The first connection may make the file; none after it, lest a file that is moved away be made anew, empty.
        let first = options.clone().create_if_missing(may_create);
        let watcher = first.connect().await.map_err(unavailable)?;
        let identity = identity(path)?;
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options)
            .await
            .map_err(unavailable)?;
        refuse_newer(&pool).await?;
        MIGRATIONS.run(&pool).await.map_err(|error| Error::Unavailable(error.to_string()))?;
        Ok(Self { path: path.to_owned(), identity, pool, watcher: Mutex::new(Some(watcher)) })
    }

    /// Refuses when the file under the database's name is not the one that is open.
    fn check_in_place(&self) -> Result<(), Error> {
        if identity(&self.path)? == self.identity {
            Ok(())
        } else {
            Err(Error::Unavailable("another file lies in the database's place; restart to use it".into()))
        }
    }
}

/// Device and inode of a file.
fn identity(path: &Path) -> Result<(u64, u64), Error> {
    let metadata = std::fs::metadata(path).map_err(|error| Error::Unavailable(error.to_string()))?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Whether another process that opens the database at this moment may be the reason.
fn is_passing(reason: &str) -> bool {
    ["database is locked", "already exists", "UNIQUE constraint failed: _sqlx_migrations"]
        .iter()
        .any(|passing| reason.contains(passing))
}

#[async_trait]
impl Database for SqliteDatabase {
    async fn load_keys(&self) -> Result<KeyTable, Error> {
        // One read transaction, so that keys and switch are of one moment.
        let mut transaction = self.pool.begin().await.map_err(unavailable)?;
        let records: Vec<KeyRecord> = sqlx::query_as(include_str!("sql/keys_load.sql"))
            .fetch_all(&mut *transaction)
            .await
            .map_err(unavailable)?;
        let switch: Option<(String,)> = sqlx::query_as(include_str!("sql/setting_load.sql"))
            .fetch_optional(&mut *transaction)
            .await
            .map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)?;
        let rows = records.into_iter().map(KeyRow::try_from).collect::<Result<_, _>>()?;
        Ok(KeyTable { rows, switch: rows::switch(switch.as_ref().map(|(value,)| value.as_str()))? })
    }

    async fn add_key(&self, row: &KeyRow) -> Result<(), Error> {
        self.check_in_place()?;
        let (origin, state) = rows::key_columns(row);
        let done = sqlx::query(include_str!("sql/key_add.sql"))
            .bind(row.fingerprint.0.to_vec())
            .bind(column(row.created_at.millis()))
            .bind(origin)
            .bind(state)
            .bind(&row.definition_key.0)
            .bind(row.wrapped.nonce.to_vec())
            .bind(row.wrapped.ciphertext.to_vec())
            .execute(&self.pool)
            .await
            .map_err(unavailable)?;
        if done.rows_affected() == 0 { Err(Error::KeyExists(row.fingerprint)) } else { Ok(()) }
    }

    async fn set_encryption(&self, enabled: bool) -> Result<(), Error> {
        self.check_in_place()?;
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(unavailable)?;
        if enabled {
            let active: (i64,) = sqlx::query_as(include_str!("sql/keys_count_active.sql"))
                .fetch_one(&mut *transaction)
                .await
                .map_err(unavailable)?;
            if active.0 == 0 {
                return Err(Error::NoActiveKey);
            }
        }
        sqlx::query(include_str!("sql/setting_save.sql"))
            .bind(if enabled { "enabled" } else { "disabled" })
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)
    }

    async fn key_usage(&self) -> Result<Vec<KeyUsage>, Error> {
        let counts: Vec<(Vec<u8>, i64)> =
            sqlx::query_as(include_str!("sql/key_usage.sql")).fetch_all(&self.pool).await.map_err(unavailable)?;
        counts
            .into_iter()
            .map(|(fingerprint, recordings)| {
                let malformed = || Error::MalformedRow("a fingerprint in recording".into());
                let fingerprint = Fingerprint(fingerprint.try_into().map_err(|_| malformed())?);
                Ok(KeyUsage { fingerprint, recordings: u64::try_from(recordings).map_err(|_| malformed())? })
            })
            .collect()
    }

    async fn add_recording(&self, recording: &Recording) -> Result<(), Error> {
        self.check_in_place()?;
        let record = RecordingRecord::from(recording);
        let done = sqlx::query(include_str!("sql/recording_add.sql"))
            .bind(record.id)
            .bind(record.media_type)
            .bind(record.media_len)
            .bind(record.state)
            .bind(record.lease_until)
            .bind(record.mended)
            .bind(record.created_at)
            .bind(record.sealed)
            .bind(record.fingerprint)
            .bind(record.seal_id)
            .bind(record.replacement_seal_id)
            .bind(record.digest)
            .bind(record.exempt)
            .execute(&self.pool)
            .await
            .map_err(unavailable)?;
        if done.rows_affected() == 0 { Err(Error::RecordingExists(recording.id.clone())) } else { Ok(()) }
    }

    async fn update_progress(&self, recording: &Recording) -> Result<(), Error> {
        self.check_in_place()?;
        let record = RecordingRecord::from(recording);
        let done = sqlx::query(include_str!("sql/recording_update_progress.sql"))
            .bind(record.id)
            .bind(record.media_len)
            .bind(record.state)
            .bind(record.lease_until)
            .bind(record.digest)
            .execute(&self.pool)
            .await
            .map_err(unavailable)?;
        if done.rows_affected() == 0 { Err(Error::RecordingNotFound(recording.id.clone())) } else { Ok(()) }
    }

    async fn recording(&self, id: &RecordingId) -> Result<Option<Recording>, Error> {
        let record: Option<RecordingRecord> = sqlx::query_as(include_str!("sql/recording_find.sql"))
            .bind(id.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(unavailable)?;
        record.map(Recording::try_from).transpose()
    }

    async fn recordings(&self, after: Option<&Cursor>, limit: u32, set: &RecordingSet) -> Result<Page, Error> {
        let rows = i64::from(limit) + 1;
        let set = match set {
            RecordingSet::All => None,
            RecordingSet::Listed(items) => Some(serde_json::json!(items).to_string()),
        };
        let query = match after {
            None => sqlx::query_as(include_str!("sql/recordings_first.sql")).bind(rows).bind(set),
            Some(after) => sqlx::query_as(include_str!("sql/recordings_after.sql"))
                .bind(rows)
                .bind(set)
                .bind(column(after.created_at.millis()))
                .bind(after.id.as_str()),
        };
        let records: Vec<RecordingRecord> = query.fetch_all(&self.pool).await.map_err(unavailable)?;
        let recordings = records.into_iter().map(Recording::try_from).collect::<Result<_, _>>()?;
        Ok(Page::cut(recordings, usize::try_from(limit).unwrap_or(usize::MAX)))
    }

    async fn close(&self) {
        // The last connection to close moves the write-ahead log into the file, so that the file alone is a backup.
        if let Some(watcher) = self.watcher.lock().await.take() {
            let _closed_either_way = watcher.close().await;
        }
        self.pool.close().await;
    }

    async fn change_counter(&self) -> Result<u64, Error> {
        self.check_in_place()?;
        let mut watcher = self.watcher.lock().await;
        let watcher = watcher.as_mut().ok_or_else(|| Error::Unavailable("it was closed".into()))?;
        let version: (i64,) = sqlx::query_as("PRAGMA data_version").fetch_one(watcher).await.map_err(unavailable)?;
        Ok(version.0.cast_unsigned())
    }
}

/// Looks before migrating: whoever runs an old build on a new database is told so, and the database stays as it is.
async fn refuse_newer(pool: &SqlitePool) -> Result<(), Error> {
    let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
    let table: Option<(i64,)> =
        sqlx::query_as("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'")
            .fetch_optional(pool)
            .await
            .map_err(unavailable)?;
    if table.is_none() {
        return Ok(());
    }
    let found: (Option<i64>,) =
        sqlx::query_as("SELECT max(version) FROM _sqlx_migrations").fetch_one(pool).await.map_err(unavailable)?;
    match found.0 {
        Some(found) if found > known => Err(Error::NewerVersion { found, known }),
        _ => Ok(()),
    }
}
