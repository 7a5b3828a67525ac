//! Several holders at once: for a move from one kind to another.

use std::sync::Arc;

use async_trait::async_trait;

use crate::keys::{DefinitionKey, DefinitionKeyHolder, DefinitionKeyName, Error};

/// Finds a definition key wherever it is held.
pub struct SeveralHolders(Vec<Arc<dyn DefinitionKeyHolder>>);

impl SeveralHolders {
    /// Asks `holders` in their order.
    #[must_use]
    pub fn new(holders: Vec<Arc<dyn DefinitionKeyHolder>>) -> Self {
        Self(holders)
    }
}

#[async_trait]
impl DefinitionKeyHolder for SeveralHolders {
    async fn find(&self, name: &DefinitionKeyName) -> Result<Option<Arc<dyn DefinitionKey>>, Error> {
        for holder in &self.0 {
            if let Some(key) = holder.find(name).await? {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    async fn first(&self) -> Result<Arc<dyn DefinitionKey>, Error> {
        let none = || Error::DefinitionKeyUnavailable("no definition key is held".into());
        self.0.first().ok_or_else(none)?.first().await
    }
}
