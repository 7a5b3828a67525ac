//! Adapters of [`crate::media::MediaStore`]: where the bytes of recordings lie; and folders from which they come.
//!
//! Knows paths and system calls; not what the bytes mean, and no key. Start with [`LocalStore`],
//! then [`CachedStore`].

mod ahead;
mod cache;
mod drop_folder;
mod local;
mod metered;

pub use cache::{CacheSettings, CachedStore};
pub use drop_folder::{DropFolder, Dropped, DroppedFile};
pub use local::LocalStore;
pub use metered::Metered;
