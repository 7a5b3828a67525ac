//! Adapters of [`crate::catalogue::Database`]: keys, switch and catalogue in SQL.
//!
//! Statements lie in `sql/`, one a file, and the use cases that run them in `cases/`: they are the same on every engine. What
//! differs (opening, locking, how changes are noticed, types, and the few statements that one engine does not take) lies
//! with the engine: [`SqliteDatabase`], a file on one machine, and [`PostgresDatabase`], a server for many. Knows no key in
//! plain and no file of media. Start with `cases`.

mod deadline;
mod id_ranges;
mod postgres;
mod rows;
mod sqlite;

pub use postgres::{PostgresDatabase, PostgresOptions};
pub use sqlite::SqliteDatabase;

/// What a transaction is about to change, and so what must not change beside it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Touching {
    /// Database keys or the switch: alone.
    Keys,
    /// Anything else, which may be sealed under a key: beside others of its kind, while no key changes.
    Recordings,
}

use crate::catalogue::Error;

/// How long the codes of the standard are; SQLite has numbers of its own.
const SQLSTATE_LEN: usize = 5;

/// Whatever sqlx says, in the catalogue's words. Rows that cannot be decoded are damage, all else is absence.
fn unavailable(error: sqlx::Error) -> Error {
    match error {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Error::MalformedRow(error.to_string()),
        // A server's words may be in its own language: the code of the standard is in none.
        sqlx::Error::Database(error) => {
            let code = error.code().filter(|code| code.len() == SQLSTATE_LEN);
            let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
            Error::Unavailable(format!("{}{code}", error.message()))
        }
        sqlx::Error::PoolTimedOut => Error::Unavailable("no connection to it could be had in time".into()),
        other => Error::Unavailable(other.to_string()),
    }
}
