//! Making a definition key where it is held, and exchanging it for another in steps each of which can be the last: the
//! next one is made, database keys are wrapped by it (that is the database's step), then it takes the place of the one
//! before, which is kept under a name that says so. At no instant is there neither in place nor a next one.

use std::sync::Arc;

use async_trait::async_trait;

use super::Error;
use crate::keys::{DefinitionKey, DefinitionKeyHolder, DefinitionKeyName};

/// A holder that makes keys. `find` gives the one in place and the next one; `first` the one in place or, where a kill
/// came between the two steps of a promotion, the next one.
#[async_trait]
pub trait DefinitionKeyKeeper: DefinitionKeyHolder {
    /// Where the key in use lies, for people.
    fn place(&self) -> String;

    /// Where the next one lies, for people.
    fn next_place(&self) -> String;

    /// Whether a key, or the next one, is there.
    async fn exist(&self) -> Result<bool, Error>;

    /// The next key; none when there is none.
    async fn next(&self) -> Result<Option<Arc<dyn DefinitionKey>>, Error>;

    /// Makes a key where none is. The caller holds the lock.
    async fn generate(&self) -> Result<Arc<dyn DefinitionKey>, Error>;

    /// Makes the next key, unless one is there: whether it was made now. The caller holds the lock.
    async fn prepare(&self) -> Result<(Arc<dyn DefinitionKey>, bool), Error>;

    /// Gives the next key its place, when every database key is wrapped by it: where the old one lies now, if there was
    /// one in place still. It is `to`, or [`Error::OtherNext`]; where `to` is in place already, nothing is done.
    async fn promote(&self, to: &DefinitionKeyName) -> Result<Option<String>, Error>;

    /// Where the one before lies, as far as that can be told without asking anybody.
    async fn obsolete(&self) -> Result<Option<String>, Error> {
        Ok(None)
    }
}
