//! The door to the spool: where media waits that is not yet in the store which all proxies share.
//!
//! What is to be done with it, and when, is decided elsewhere; here it is listed, copied to the store, and let go of.

use async_trait::async_trait;

use super::{Error, Listing, MediaObject, Version};
use crate::base::{Location, RecordingId, SealId};

/// Held by whoever moves media of a recording out of the spool, or takes it away: nobody else does so meanwhile.
pub type SpoolClaim = Box<dyn Send + Sync>;

/// Media that waits for a store ([`super::MediaStore::spool`]). Through the store it is found as any other.
#[async_trait]
pub trait Spool: Send + Sync {
    /// How rows name the spool: the URL where other proxies reach this one, or else one that only tells where it is.
    fn location(&self) -> &Location;

    /// The version of an object that waits; `None` when it does not, whether or not it is in the store. Says nothing of
    /// its sealing.
    async fn version(&self, object: &MediaObject) -> Result<Option<Version>, Error>;

    /// What waits, a page at a time; `after` is where the last page ended.
    async fn list(&self, after: Option<&str>) -> Result<Listing, Error>;

    /// Claims what waits of a recording, for an upload; `None` while somebody else has, or while recordings are wrapped
    /// or sealed anew.
    async fn claim(&self, id: &RecordingId) -> Result<Option<SpoolClaim>, Error>;

    /// Copies an object that waits to the store, under the name that its sealing has there, and reads it back: the
    /// version that was copied. What an upload left there that died gives way; doing it again changes nothing. Fails
    /// with [`Error::Exists`] when something else is there, and with [`Error::Changed`] when the object changed meanwhile.
    async fn upload(&self, object: &MediaObject) -> Result<Version, Error>;

    /// The same for one that is not to be found as an object any more: under the name by which that sealing is kept there
    /// ([`super::MediaStore::keep`]).
    async fn keep(&self, object: &MediaObject, seal_id: &SealId) -> Result<Version, Error>;

    /// Removes an object from the spool that is in the store now, if it is still that version. Whoever has it open reads
    /// on.
    async fn release(&self, object: &MediaObject, version: Version) -> Result<(), Error>;
}
