//! Opens a database: brings its schema up to date, or makes it, and tells it from another one in its place.
//!
//! Everything happens in one transaction and under one lock, so that of many that open an empty or an old database at once
//! one does it, and the others find it done.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};

use super::PostgresDatabase;
use super::cases::Adding;
use super::options::{PostgresOptions, connect};
use super::server::Server;
use crate::catalogue::Error;
use crate::db::unavailable;

static MIGRATIONS: Migrator = sqlx::migrate!("src/db/migrations/postgres");

/// Held, until its transaction ends, by whoever makes or changes the schema: "sealtape" in bytes.
const SCHEMA_LOCK: i64 = i64::from_be_bytes(*b"sealtape");
/// Of the standard's codes (SQLSTATE), the one for what a user may not do.
const INSUFFICIENT_PRIVILEGE: &str = "42501";
/// Whoever waits for another one's migration, or does it, does so without the usual limits.
const WITHOUT_LIMITS: &str = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; \
     SET LOCAL idle_in_transaction_session_timeout = 0";

impl PostgresDatabase {
    /// Opens the database and brings its schema up to date.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] when it holds no tables of ours; [`Error::NewerVersion`] when a newer version made them (nothing
    /// is changed then); [`Error::Unavailable`].
    pub async fn open(options: &PostgresOptions) -> Result<Self, Error> {
        Self::open_or_make(options, false).await
    }

    /// The same, of one that may hold no tables yet: they are made in the transaction that adds the first keys, and until
    /// then it has no key and nothing else can be asked. Without keys it would keep new recordings in plain.
    ///
    /// # Errors
    ///
    /// As above, but for [`Error::Missing`].
    pub async fn make(options: &PostgresOptions) -> Result<Self, Error> {
        Self::open_or_make(options, true).await
    }

    /// Whether there is a database already, new or old.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`]: it cannot be told.
    pub async fn exists(options: &PostgresOptions) -> Result<bool, Error> {
        let mut connection = connect(&options.connect_options()?, options.connect_timeout).await?;
        let has_schema = has_schema(&mut connection).await?;
        let _closed_either_way = connection.close().await;
        Ok(has_schema)
    }

    async fn open_or_make(options: &PostgresOptions, may_make: bool) -> Result<Self, Error> {
        let connect_options = options.connect_options()?;
        // The first one says why, where a pool would only say that it took too long.
        let mut connection = connect(&connect_options, options.connect_timeout).await?;
        let name = if has_schema(&mut connection).await? {
            bring_up_to_date(&mut connection).await?;
            Some(name_of(&mut connection).await?)
        } else if may_make {
            None
        } else {
            return Err(Error::Missing);
        };
        let _closed_either_way = connection.close().await;
        Ok(Self { engine: Server::new(options, connect_options, name), adding: Adding::default() })
    }
}

/// Whether a version of this program ever made its tables.
pub(super) async fn has_schema(connection: &mut PgConnection) -> Result<bool, Error> {
    let (has_schema,): (bool,) = sqlx::query_as("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(connection)
        .await
        .map_err(unavailable)?;
    Ok(has_schema)
}

/// The name that the database was given when it was made: another one that answers in its place has another.
pub(super) async fn name_of(connection: &mut PgConnection) -> Result<String, Error> {
    let (name,): (String,) = sqlx::query_as(include_str!("../sql/setting_load.sql"))
        .bind("database")
        .fetch_one(connection)
        .await
        .map_err(unavailable)?;
    Ok(name)
}

/// Brings an older schema up to date; refuses one of a newer version, and leaves it as it is.
async fn bring_up_to_date(connection: &mut PgConnection) -> Result<(), Error> {
    if is_up_to_date(connection).await? {
        return Ok(());
    }
    let mut transaction = connection.begin().await.map_err(unavailable)?;
    migrate(&mut transaction).await?;
    transaction.commit().await.map_err(unavailable)
}

/// Makes the schema, or what it lacks, in a transaction that was begun; waits for whoever is at it.
pub(super) async fn migrate(transaction: &mut PgConnection) -> Result<(), Error> {
    transaction.execute(WITHOUT_LIMITS).await.map_err(unavailable)?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(SCHEMA_LOCK)
        .execute(&mut *transaction)
        .await
        .map_err(unavailable)?;
    if has_schema(transaction).await? && is_up_to_date(transaction).await? {
        return Ok(());
    }
    MIGRATIONS.run_direct(None, transaction, false).await.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => not_made(error),
        other => Error::Unavailable(other.to_string()),
    })
}

/// Why tables could not be made or brought up to date: most often since a user who owns nothing tried.
fn not_made(error: sqlx::Error) -> Error {
    let code = error.as_database_error().and_then(|error| error.code());
    let is_not_theirs = code.is_some_and(|code| code == INSUFFICIENT_PRIVILEGE);
    match unavailable(error) {
        Error::Unavailable(reason) if is_not_theirs => Error::Unavailable(format!(
            "{reason}: its owner makes its tables and brings them up to date; run `sealtape keys list` as that user once \
             (`sealtape keys generate` in a new one)"
        )),
        other => other,
    }
}

/// Whether the newest migration that this build knows is the newest there is.
async fn is_up_to_date(connection: &mut PgConnection) -> Result<bool, Error> {
    let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
    let (found,): (Option<i64>,) =
        sqlx::query_as("SELECT max(version) FROM _sqlx_migrations").fetch_one(connection).await.map_err(unavailable)?;
    match found.unwrap_or(0) {
        found if found > known => Err(Error::NewerVersion { found, known }),
        found => Ok(found == known),
    }
}
