//! The file: how it is opened, brought up to date, and told from another one in its place.

use std::{
    fs::{File, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Sqlite, SqliteConnection, Transaction, migrate::Migrator};
use tokio::sync::Mutex;

use super::{Adding, SqliteDatabase};
use crate::base::Ended;
use crate::catalogue::{DatabaseGuard, Error};
use crate::db::{Touching, unavailable};

static MIGRATIONS: Migrator = sqlx::migrate!("src/db/migrations/sqlite");

/// How long a statement waits for another process's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How often an opening that met another one is tried again.
const BUSY_PAUSE: Duration = Duration::from_millis(50);
/// How long a request waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// Readers side by side; SQLite has one writer at a time.
const CONNECTIONS_MAX: u32 = 4;

/// The file that was opened, for as long as it lies under its name.
#[derive(Clone)]
pub(super) struct InPlace {
    path: Arc<Path>,
    /// Device and inode of the file that was opened: one that is moved away keeps working, and loses what is written.
    identity: (u64, u64),
    pub(super) pool: SqlitePool,
    /// Never writes, so that `PRAGMA data_version` on it tells of every commit, this process's own included.
    watcher: Arc<Mutex<Option<SqliteConnection>>>,
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
            // SQLite takes a transaction back by itself that the disk would not take, and sqlx, whose own attempt then fails,
            // goes on counting it: such a connection would begin no other one, ever.
            .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
            .connect_with(options)
            .await
            .map_err(unavailable)?;
        let outcome = bring_up_to_date(&pool, may_create).await;
        let engine = InPlace { path: path.into(), identity, pool, watcher: Arc::new(Mutex::new(Some(watcher))) };
        if let Err(error) = outcome {
            // Dropped, its connections would go when their threads come to it, and keep the next from being the last.
            engine.close().await;
            return Err(error);
        }
        Ok(Self { engine, adding: Adding::default() })
    }
}

/// Brings the schema up to date; refuses a database that is empty, unless it may be made, and one of a newer version.
async fn bring_up_to_date(pool: &SqlitePool, may_create: bool) -> Result<(), Error> {
    if !has_schema(pool).await? && !may_create {
        // A file that was cut to nothing is no database, and no more a new one than a file that is missing.
        return Err(Error::Missing);
    }
    refuse_newer(pool).await?;
    MIGRATIONS.run(pool).await.map_err(|error| Error::Unavailable(error.to_string()))
}

impl InPlace {
    /// Begins a transaction that writes, and so waits for any other that does.
    pub(super) async fn begin_write(&self, _: Touching) -> Result<Transaction<'static, Sqlite>, Error> {
        self.check_in_place()?;
        self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(unavailable)
    }

    /// Begins a transaction that reads, and sees one moment.
    pub(super) async fn begin_read(&self) -> Result<Transaction<'static, Sqlite>, Error> {
        self.check_in_place()?;
        self.pool.begin().await.map_err(unavailable)
    }

    /// Commits, and sees that what was written can be found again: a file that is moved away while it is written keeps
    /// its rows, and nobody reads them there.
    pub(super) async fn commit(&self, transaction: Transaction<'static, Sqlite>) -> Result<(), Error> {
        self.check_in_place()?;
        transaction.commit().await.map_err(unavailable)?;
        self.check_in_place()
    }

    /// Refuses when the file under the database's name is not the one that is open.
    pub(super) fn check_in_place(&self) -> Result<(), Error> {
        if identity(&self.path)? == self.identity {
            Ok(())
        } else {
            Err(Error::Unavailable("another file lies in the database's place; restart to use it".into()))
        }
    }

    pub(super) async fn change_counter(&self) -> Result<u64, Error> {
        self.check_in_place()?;
        let mut watcher = self.watcher.lock().await;
        let watcher = watcher.as_mut().ok_or_else(|| Error::Unavailable("it was closed".into()))?;
        let version: (i64,) = sqlx::query_as("PRAGMA data_version").fetch_one(watcher).await.map_err(unavailable)?;
        Ok(version.0.cast_unsigned())
    }

    /// A file that is open has its tables.
    pub(super) async fn is_unmade(&self) -> Result<bool, Error> {
        Ok(false)
    }

    /// A file keeps its own deadlines.
    pub(super) async fn bounded<T>(&self, asking: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        asking.await
    }

    /// A lock on a file beside it: the media may lie in an object store, which tells nobody of others, and spools may be
    /// several. A lock on the file itself would take SQLite's own with it when it is let go.
    pub(super) async fn begin_maintenance(&self) -> Result<DatabaseGuard, Error> {
        let mut path = self.path.as_os_str().to_owned();
        path.push(".lock");
        let locked = tokio::task::spawn_blocking(move || {
            let file = File::options().create(true).truncate(false).write(true).open(path)?;
            Ok(file.try_lock().map(|()| file))
        });
        match locked.await.unwrap_or_else(|_| Err(io::Error::other(Ended))) {
            Ok(Ok(file)) => Ok(Box::new(file)),
            Ok(Err(TryLockError::WouldBlock)) => Err(Error::Busy),
            Ok(Err(TryLockError::Error(error))) | Err(error) => Err(Error::Unavailable(error.to_string())),
        }
    }

    pub(super) async fn close(&self) {
        // The last connection to close moves the write-ahead log into the file, so that the file alone is a backup. Of
        // two that close at once neither is the last: the pool's may, so this one waits for all of them.
        self.pool.close().await;
        if let Some(watcher) = self.watcher.lock().await.take() {
            let _closed_either_way = watcher.close().await;
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
    ["database is locked", "already exists", "duplicate column name", "UNIQUE constraint failed: _sqlx_migrations"]
        .iter()
        .any(|passing| reason.contains(passing))
}

/// Whether a version of this program ever brought the file up to date.
async fn has_schema(pool: &SqlitePool) -> Result<bool, Error> {
    let table: Option<(i64,)> =
        sqlx::query_as("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'")
            .fetch_optional(pool)
            .await
            .map_err(unavailable)?;
    Ok(table.is_some())
}

/// Looks before migrating: whoever runs an old build on a new database is told so, and the database stays as it is.
async fn refuse_newer(pool: &SqlitePool) -> Result<(), Error> {
    let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
    if !has_schema(pool).await? {
        return Ok(());
    }
    let found: (Option<i64>,) =
        sqlx::query_as("SELECT max(version) FROM _sqlx_migrations").fetch_one(pool).await.map_err(unavailable)?;
    match found.0 {
        Some(found) if found > known => Err(Error::NewerVersion { found, known }),
        _ => Ok(()),
    }
}
