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
        let mut trouble = None;
        for holder in &self.0 {
            match holder.find(name).await {
                Ok(Some(key)) => return Ok(Some(key)),
                Ok(None) => {}
                // Another one may have it; where none has, the first trouble is what tells.
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        trouble.map_or(Ok(None), Err)
    }

    async fn first(&self) -> Result<Arc<dyn DefinitionKey>, Error> {
        let none = || Error::DefinitionKeyUnavailable {
            reason: "no definition key is held".into(),
            advice: "name one in definition_key.kind".into(),
        };
        self.0.first().ok_or_else(none)?.first().await
    }

    fn is_far_away(&self) -> bool {
        self.0.iter().any(|holder| holder.is_far_away())
    }
}
