//! SQLite in one file: the default on one machine. `file` opens the file; the use cases are those of every engine.

#[path = "../cases/mod.rs"]
#[allow(clippy::duplicate_mod, reason = "compiled once for each engine, against what is named in `engine`")]
mod cases;
mod file;
#[cfg(test)]
mod tests;

use cases::Adding;
use file::InPlace;

/// Keys, switch and catalogue in an SQLite file.
pub struct SqliteDatabase {
    engine: InPlace,
    adding: Adding,
}

/// What the use cases are compiled against.
mod engine {
    pub(super) use super::SqliteDatabase as EngineDatabase;
    pub(super) use super::file::InPlace as Engine;
    pub(super) use sqlx::{Sqlite as Sql, SqliteConnection as Connection};

    use crate::catalogue::Error;

    pub(super) const RECORDINGS_OF: &str = include_str!("../sql/sqlite/recordings_of.sql");
    pub(super) const RECORDINGS_UNDER: &str = include_str!("../sql/sqlite/recordings_under.sql");
    pub(super) const RECORDINGS_PAGE_ALL: &str = include_str!("../sql/sqlite/recordings_page_all.sql");
    pub(super) const RECORDINGS_PAGE_NEAR: &str = include_str!("../sql/sqlite/recordings_page_near.sql");
    /// One writer at a time: what a transaction has read stays so.
    pub(super) const RECORDING_FIND_TO_CHANGE: &str = include_str!("../sql/recording_find.sql");
    /// Joins in the order in which it is written.
    pub(super) const JOIN_IN_ORDER: &str = "CROSS JOIN";
    /// Parts of a statement that makes rows of a JSON list of ranges, which stands between the first two.
    pub(super) const RANGES: [&str; 4] =
        ["json_each(", ") AS item", "json_extract(item.value, '$[0]')", "json_extract(item.value, '$[1]')"];

    /// Whether the same transaction may succeed when it is tried again at once. A locked file was waited for already.
    pub(super) fn is_passing(_: &Error) -> bool {
        false
    }
}
