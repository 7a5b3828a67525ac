//! Adapters of [`crate::media::MediaStore`]: where the bytes of recordings lie; and folders from which they come.
//!
//! Knows paths and system calls; not what the bytes mean, and no key. Start with [`LocalStore`].
//! Before a store that holds nothing that grows there is a spool: [`SpooledStore`].

mod drop_folder;
mod local;
mod metered;
mod spool;

pub use drop_folder::{DropFolder, Dropped, DroppedFile};
pub use local::LocalStore;
pub use metered::Metered;
pub use spool::SpooledStore;
