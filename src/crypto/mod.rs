//! The primitives of the sealed file and the envelope, each a thin wrapper over a vetted crate.
//!
//! Knows no file, header, key ring or recording. Every construction is a published one and carries its published
//! test vectors; what they are combined into is said in `sealed` and `keys`. Start with [`FileKeys`].

mod derive;
mod fingerprint;
mod keystream;
mod link_mac;
mod random;
mod signing_key;
mod tag;
mod wrap;
mod wrap_row;

pub use derive::{FileKeys, HeaderKey};
pub use fingerprint::{Sha256Digest, database_key_fingerprint, definition_key_fingerprint};
pub use keystream::Keystream;
pub use link_mac::LinkMac;
pub use random::random;
pub use signing_key::{generate_signing_key, signing_key_public};
pub use tag::{ChunkKind, TagKey};
pub use wrap::{unwrap_file_key, wrap_file_key};
pub use wrap_row::{WrappedRowKey, unwrap_row_key, wrap_row_key};

/// A 32-byte key.
pub type Key = crate::base::Secret<32>;

/// The length of every tag and of the GMAC of a chunk, in bytes.
pub const TAG_LEN: usize = 16;

/// Why a primitive refused. None of these says more than the caller needs in order to refuse in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are not what the key's holder wrote: damaged, forged, or made under another key.
    #[error("the bytes do not verify under this key")]
    NotAuthentic,
    /// The operating system gave no random numbers: the operator's machine is at fault.
    #[error("the operating system gives no random numbers")]
    NoRandom,
}
