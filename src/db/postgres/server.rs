//! The server: connections to it, transactions that hold what they have checked, and what becomes of them when it does not
//! answer.
//!
//! A transaction that changes keys or the switch locks the table of keys for itself, and one that may seal something under
//! a key locks it together with others of its kind: so a key's recordings are counted while none is added. Such locks are
//! granted in the order in which they were asked for, and readers need none. What is read of a recording to be changed is
//! read with its row locked; all other changes are single statements that name what they found.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{Connection, Executor, Postgres, Transaction};
use tokio::time::timeout;

use super::opening::{has_schema, migrate, name_of};
use super::options::{PostgresOptions, connect, greet};
use super::watching::Watch;
use crate::catalogue::{DatabaseGuard, Error};
use crate::db::deadline::READ_DEADLINE;
use crate::db::{Touching, unavailable};

/// How long a request waits for a connection of the pool.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may take to show that it is alive.
const PING_DEADLINE: Duration = Duration::from_secs(1);
/// What a transaction may take beside its longest statement.
const GRACE: Duration = Duration::from_secs(5);
/// Held while recordings are wrapped or sealed anew: "sealing." in bytes.
const MAINTENANCE_LOCK: i64 = i64::from_be_bytes(*b"sealing.");

/// A database of a server.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) pool: PgPool,
    connect_options: Arc<PgConnectOptions>,
    connect_timeout: Duration,
    /// How long the client waits, where the server does not keep its own limits because it is gone.
    deadline: Duration,
    /// The database's own name; none until its tables are made.
    name: Arc<OnceLock<String>>,
    /// Whether its tables may still have to be made.
    is_new: Arc<AtomicBool>,
    watch: Watch,
}

impl Server {
    pub(super) fn new(options: &PostgresOptions, connect_options: PgConnectOptions, name: Option<String>) -> Self {
        let is_new = name.is_none();
        let name = Arc::new(name.map_or_else(OnceLock::new, OnceLock::from));
        let expected = Arc::clone(&name);
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // Done below, within a deadline: one whose other end is gone without a word would be waited for.
            .test_before_acquire(false)
            .before_acquire(|connection, _| Box::pin(async move { ping(connection).await.map(|()| true) }))
            .after_release(|connection, _| Box::pin(async move { ping(connection).await.map(|()| true) }))
            .after_connect(move |connection, _| {
                let expected = Arc::clone(&expected);
                Box::pin(async move {
                    let fit = async {
                        greet(connection).await?;
                        refuse_another(connection, &expected).await
                    };
                    fit.await.map_err(sqlx::Error::config)
                })
            })
            .connect_lazy_with(connect_options.clone());
        let connect_options = Arc::new(connect_options);
        let watch = Watch::new(Arc::clone(&connect_options), Arc::clone(&name));
        Self {
            pool,
            connect_options,
            connect_timeout: options.connect_timeout,
            deadline: options.statement_timeout + GRACE,
            name,
            is_new: Arc::new(AtomicBool::new(is_new)),
            watch,
        }
    }

    /// Begins a transaction that writes.
    pub(super) async fn begin_write(&self, touching: Touching) -> Result<Transaction<'static, Postgres>, Error> {
        self.watch.wait_while_away(READ_DEADLINE).await?;
        let mut transaction = self.pool.begin().await.map_err(unavailable)?;
        if touching == Touching::Keys && self.is_new.load(Ordering::Acquire) {
            migrate(&mut transaction).await?;
        }
        let lock = match touching {
            Touching::Keys => "LOCK TABLE database_key IN EXCLUSIVE MODE",
            Touching::Recordings => "LOCK TABLE database_key IN ROW SHARE MODE",
        };
        transaction.execute(lock).await.map_err(unavailable)?;
        Ok(transaction)
    }

    /// Begins a transaction that reads, and sees one moment.
    pub(super) async fn begin_read(&self) -> Result<Transaction<'static, Postgres>, Error> {
        self.check_in_place()?;
        self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(unavailable)
    }

    pub(super) async fn commit(&self, transaction: Transaction<'static, Postgres>) -> Result<(), Error> {
        transaction.commit().await.map_err(unavailable)?;
        if self.is_new.swap(false, Ordering::AcqRel) {
            self.learn_name().await?;
        }
        // The server's own word comes a moment later.
        self.watch.note_change();
        Ok(())
    }

    /// Refuses at once while the server is known to be away.
    pub(super) fn check_in_place(&self) -> Result<(), Error> {
        self.watch.refuse_while_away()
    }

    /// Whether its tables are still to be made.
    pub(super) async fn is_unmade(&self) -> Result<bool, Error> {
        if !self.is_new.load(Ordering::Acquire) {
            return Ok(false);
        }
        let mut connection = self.pool.acquire().await.map_err(unavailable)?;
        if !has_schema(&mut connection).await? {
            return Ok(true);
        }
        drop(connection);
        self.is_new.store(false, Ordering::Release);
        self.learn_name().await?;
        Ok(false)
    }

    /// The outcome of `asking`, or that there is none: when the server is found to be away, or at the end of a time in which
    /// it would have given up itself.
    pub(super) async fn bounded<T>(&self, asking: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::select! {
            biased;
            outcome = asking => outcome,
            error = self.watch.lost() => Err(error),
            () = tokio::time::sleep(self.deadline) => {
                Err(Error::Unavailable(format!("no answer within {:?}", self.deadline)))
            }
        }
    }

    pub(super) async fn change_counter(&self) -> Result<u64, Error> {
        self.watch.change_counter().await
    }

    /// A lock on a connection of its own, which goes with it.
    pub(super) async fn begin_maintenance(&self) -> Result<DatabaseGuard, Error> {
        let mut connection = connect(&self.connect_options, self.connect_timeout).await?;
        refuse_another(&mut connection, &self.name).await?;
        let (is_held,): (bool,) = sqlx::query_as("SELECT pg_try_advisory_lock($1)")
            .bind(MAINTENANCE_LOCK)
            .fetch_one(&mut connection)
            .await
            .map_err(unavailable)?;
        if is_held { Ok(Box::new(connection)) } else { Err(Error::Busy) }
    }

    pub(super) async fn close(&self) {
        self.watch.end().await;
        self.pool.close().await;
    }

    async fn learn_name(&self) -> Result<(), Error> {
        let mut connection = self.pool.acquire().await.map_err(unavailable)?;
        let _was_known = self.name.set(name_of(&mut connection).await?);
        Ok(())
    }
}

/// Refuses a database that is not the one that was opened: its keys and rows are not this one's.
pub(super) async fn refuse_another(connection: &mut PgConnection, name: &OnceLock<String>) -> Result<(), Error> {
    match name.get() {
        Some(name) if name_of(connection).await? != *name => {
            Err(Error::Unavailable("another database answers in its place; restart to use it".into()))
        }
        _ => Ok(()),
    }
}

async fn ping(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let answer = timeout(PING_DEADLINE, connection.ping()).await;
    answer.unwrap_or_else(|_| Err(sqlx::Error::Protocol("no sign of life".into())))
}
