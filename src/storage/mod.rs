//! Adapters of [`crate::media::MediaStore`]: where the bytes of recordings lie; and folders from which they come.
//!
//! Knows paths, system calls and object stores; not what the bytes mean, and no key. Start with [`LocalStore`], and with
//! [`BucketStore`] for what lies elsewhere. Before a store that holds nothing that grows there is a spool:
//! [`SpooledStore`]; before one that is far away there may be a cache: [`CachedStore`].

mod ahead;
mod cache;
mod drop_folder;
mod local;
mod metered;
mod object;
mod object_name;
mod spool;

pub use cache::{CacheSettings, CachedStore};
pub use drop_folder::{DropFolder, Dropped, DroppedFile};
pub use local::LocalStore;
pub use metered::Metered;
pub use object::{BucketAddress, BucketLimits, BucketStore, BucketVariables};
pub use spool::SpooledStore;
