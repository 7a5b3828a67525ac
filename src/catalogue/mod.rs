//! What a recording is, and the door to the database that keeps recordings, keys and the switch.
//!
//! What is sealed is what the catalogue says, never what a file looks like. Knows no SQL and no file. Start with
//! [`Recording`] and the trait [`Database`], whose methods are use cases and one transaction each.

mod database;
mod page;
mod recording;

pub use database::{Database, Error, KeyUsage, ResealRun};
pub use page::{Cursor, Page};
pub use recording::{Content, PlainCount, PlainLeft, Recording, RecordingState, Replacement};
