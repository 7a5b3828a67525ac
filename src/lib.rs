//! sealtape
pub mod base;
pub mod crypto;
pub mod sealed;
pub mod keys;
pub mod catalogue;
pub mod media;
