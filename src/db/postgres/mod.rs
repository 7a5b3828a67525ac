//! A PostgreSQL server, from version 15 on: for keys and catalogue of many proxies. The use cases are those of every engine;
//! `options` says how it is asked, `opening` makes and updates the schema, `server` locks and commits, `watching` hears of
//! changes.

#[path = "../cases/mod.rs"]
#[allow(clippy::duplicate_mod, reason = "compiled once for each engine, against what is named in `engine`")]
mod cases;
mod opening;
mod options;
mod server;
mod watching;

use cases::Adding;
pub use options::PostgresOptions;
use server::Server;

/// Keys, switch and catalogue in a PostgreSQL database.
pub struct PostgresDatabase {
    engine: Server,
    adding: Adding,
}

/// What the use cases are compiled against.
mod engine {
    pub(super) use super::PostgresDatabase as EngineDatabase;
    pub(super) use super::server::Server as Engine;
    pub(super) use sqlx::{PgConnection as Connection, Postgres as Sql};

    use crate::catalogue::Error;

    pub(super) const RECORDINGS_OF: &str = include_str!("../sql/postgres/recordings_of.sql");
    pub(super) const RECORDINGS_UNDER: &str = include_str!("../sql/postgres/recordings_under.sql");
    pub(super) const RECORDINGS_PAGE_ALL: &str = include_str!("../sql/postgres/recordings_page_all.sql");
    pub(super) const RECORDINGS_PAGE_NEAR: &str = include_str!("../sql/postgres/recordings_page_near.sql");
    /// Holds the row until the transaction ends.
    pub(super) const RECORDING_FIND_TO_CHANGE: &str = include_str!("../sql/postgres/recording_find_to_change.sql");
    /// The planner knows the order that is best.
    pub(super) const JOIN_IN_ORDER: &str = "JOIN";
    /// Parts of a statement that makes rows of a JSON list of ranges, which stands between the first two.
    pub(super) const RANGES: [&str; 4] =
        ["jsonb_array_elements(", "::jsonb) AS item (value)", "(item.value ->> 0)", "(item.value ->> 1)"];

    /// Whether the same transaction may succeed when it is tried again at once: it met others in a circle, or one that
    /// changed what it had read.
    pub(super) fn is_passing(error: &Error) -> bool {
        matches!(error, Error::Unavailable(reason) if ["(40P01)", "(40001)"].iter().any(|code| reason.contains(code)))
    }
}
