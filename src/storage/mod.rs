//! Adapters of [`crate::media::MediaStore`]: where the bytes of recordings lie.
//!
//! Knows paths and system calls; not what the bytes mean, and no key. Start with [`LocalStore`].

mod local;
mod metered;

pub use local::LocalStore;
pub use metered::Metered;
