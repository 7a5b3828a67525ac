//! Adapters of [`crate::catalogue::Database`]: keys, switch and catalogue in SQL.
//!
//! Statements lie in `sql/`, one a file, and run on every engine; what differs between engines (types, migrations,
//! locking) lies beside them. Knows no key in plain and no file of media. Start with [`SqliteDatabase`].

mod id_ranges;
mod rows;
mod sqlite;

pub use sqlite::SqliteDatabase;

use crate::catalogue::Error;

/// Whatever sqlx says, in the catalogue's words. Rows that cannot be decoded are damage, all else is absence.
fn unavailable(error: sqlx::Error) -> Error {
    match error {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Error::MalformedRow(error.to_string()),
        other => Error::Unavailable(other.to_string()),
    }
}
