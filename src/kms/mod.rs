//! Adapters of [`crate::keys::DefinitionKey`]: where the key that wraps every database key is held.
//!
//! Start with [`FileDefinitionKey`].

mod file;

pub use file::{Error, FileDefinitionKey};
