//! The cases, as the tests of the crate have them.

#[path = "../hostile/mod.rs"]
mod cases;

pub use cases::*;
