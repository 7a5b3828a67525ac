//! Adapters of [`crate::keys::DefinitionKeyHolder`]: where the key that wraps every database key is held.
//!
//! Start with [`FileDefinitionKeys`].

mod cycle;
mod embedded;
mod file;
mod several;

pub use cycle::CycleLock;
pub use embedded::EmbeddedDefinitionKey;
pub use file::{Error, FileDefinitionKeys};
pub use several::SeveralHolders;
