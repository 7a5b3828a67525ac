//! Where the server is, and how it is asked: what every connection is told at its beginning.

use std::{fmt, str::FromStr, time::Duration};

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use crate::catalogue::Error;
use crate::db::unavailable;

/// How long a transaction may stand still before the server gives its locks to others: a proxy that was cut off in the
/// middle of one keeps nobody waiting for longer.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);
/// After how much silence the server asks whether a client is still there, and how often before it gives it up.
const KEEPALIVE: [(&str, &str); 3] =
    [("tcp_keepalives_idle", "10"), ("tcp_keepalives_interval", "5"), ("tcp_keepalives_count", "3")];

/// Of a connection: whether the server only reads, how it keeps texts, and its version. Tells it to commit to its own disk
/// at least, whatever its default is, and to isolate as the statements need it.
const GREETING: &str = "SELECT pg_is_in_recovery(), current_setting('server_encoding'), \
     current_setting('server_version_num')::bigint, \
     set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') IN ('off', 'local') THEN 'on' \
         ELSE current_setting('synchronous_commit') END, false), \
     set_config('default_transaction_isolation', 'read committed', false)";
/// The oldest version that is tested with.
const VERSION_MIN: i64 = 15_00_00;

/// Where a server is, and how it is asked.
#[derive(Clone)]
pub struct PostgresOptions {
    /// `postgres://USER@HOST/DATABASE?sslmode=…`; what it leaves out comes from the variables of PostgreSQL's own
    /// programs (`PGPASSWORD`, `PGPASSFILE` …). A password may stand in it, so it is never shown.
    pub url: String,
    /// Connections side by side, at most; beside them one that hears of changes.
    pub max_connections: u32,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long the server works on one statement.
    pub statement_timeout: Duration,
    /// How long a statement waits for another one's transaction.
    pub lock_timeout: Duration,
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url: _, max_connections, connect_timeout, statement_timeout, lock_timeout } = self;
        f.debug_struct("PostgresOptions")
            .field("url", &"redacted")
            .field("max_connections", max_connections)
            .field("connect_timeout", connect_timeout)
            .field("statement_timeout", statement_timeout)
            .field("lock_timeout", lock_timeout)
            .finish()
    }
}

impl PostgresOptions {
    /// As sqlx wants it.
    pub(super) fn connect_options(&self) -> Result<PgConnectOptions, Error> {
        // What it says of a bad URL may hold pieces of it.
        let options = PgConnectOptions::from_str(&self.url)
            .map_err(|_| Error::Unavailable("its URL, or a file that it names, cannot be read".into()))?;
        let millis = |time: Duration| time.as_millis().to_string();
        Ok(options
            .options([
                ("statement_timeout", millis(self.statement_timeout)),
                ("lock_timeout", millis(self.lock_timeout)),
                ("idle_in_transaction_session_timeout", millis(IDLE_IN_TRANSACTION_TIMEOUT)),
                ("client_min_messages", "warning".into()),
                // Plans are made for the values that are asked for: one for any page or range would read the whole table.
                ("plan_cache_mode", "force_custom_plan".into()),
                // Compiling takes longer than what is asked.
                ("jit", "off".into()),
            ])
            .options(KEEPALIVE)
            .application_name("sealtape")
            .disable_statement_logging())
    }
}

/// A connection of its own, within `deadline`; refuses a server that cannot be worked with.
pub(super) async fn connect(options: &PgConnectOptions, deadline: Duration) -> Result<PgConnection, Error> {
    let connecting = async {
        let mut connection = options.connect().await.map_err(unavailable)?;
        greet(&mut connection).await?;
        Ok(connection)
    };
    let outcome = tokio::time::timeout(deadline, connecting).await;
    outcome.unwrap_or_else(|_| Err(Error::Unavailable(format!("it cannot be connected to within {deadline:?}"))))
}

/// Tells a new connection how to work, and refuses a server that cannot be worked with.
pub(super) async fn greet(connection: &mut PgConnection) -> Result<(), Error> {
    let (is_standby, encoding, version, _, _): (bool, String, i64, String, String) =
        sqlx::query_as(GREETING).fetch_one(connection).await.map_err(unavailable)?;
    if is_standby {
        Err(Error::Unavailable(
            "it is a standby, which cannot be written to: database.url must name the primary".into(),
        ))
    } else if encoding != "UTF8" {
        Err(Error::Unavailable(format!(
            "its encoding is {encoding}, and must be UTF8: make another one with `createdb --encoding UTF8 --template template0`"
        )))
    } else if version < VERSION_MIN {
        Err(Error::Unavailable(format!("it is version {}; 15 is the oldest that can be used", version / 10_000)))
    } else {
        Ok(())
    }
}
