//! What a recording is, and the door to the database that keeps recordings, keys and the switch.
//!
//! What is sealed is what the catalogue says, never what a file looks like. Knows no SQL and no file. Start with
//! [`Recording`] and the trait [`Database`], whose methods are use cases and one transaction each.

mod companion;
mod database;
mod filter;
mod metadata;
mod page;
mod recording;

pub use companion::{COMPANION_LEN_MAX, Companion, Kept};
pub use database::{CompanionsOf, Database, DatabaseGuard, Error, KeyUsage, ResealRun};
pub use filter::{Filter, ListedState, WORD_LEN_MIN};
pub use metadata::{Metadata, MetadataError};
pub use page::{Cursor, Page};
pub use recording::{About, Content, PlainCount, PlainLeft, Recording, RecordingState, Replacement};
