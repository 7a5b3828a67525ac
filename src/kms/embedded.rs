//! A definition key that is part of the program: the same in every install, and so no secret from anybody.

use std::sync::Arc;

use async_trait::async_trait;

use crate::crypto::Key;
use crate::keys::{DefinitionKey, DefinitionKeyHolder, DefinitionKeyName, Error, LocalDefinitionKey};

/// Anybody may know it: it stands here. It must never change, for rows in the field are wrapped by it.
const PUBLIC_BYTES: &[u8; 32] = b"sealtape embedded definition key";

/// The key that every build of this program has. For trials and tests: it keeps the database's form, and nothing from
/// anybody who can read this file.
pub struct EmbeddedDefinitionKey(Arc<LocalDefinitionKey>);

impl EmbeddedDefinitionKey {
    /// Takes it out of the program.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(LocalDefinitionKey::new(Key::take(&mut PUBLIC_BYTES.to_owned()))))
    }

    /// What rows call it.
    #[must_use]
    pub fn name(&self) -> &DefinitionKeyName {
        self.0.name()
    }
}

impl Default for EmbeddedDefinitionKey {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl DefinitionKeyHolder for EmbeddedDefinitionKey {
    async fn find(&self, name: &DefinitionKeyName) -> Result<Option<Arc<dyn DefinitionKey>>, Error> {
        let key: Arc<dyn DefinitionKey> = Arc::<LocalDefinitionKey>::clone(&self.0);
        Ok((self.0.name() == name).then_some(key))
    }

    async fn first(&self) -> Result<Arc<dyn DefinitionKey>, Error> {
        Ok(Arc::<LocalDefinitionKey>::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows that were ever wrapped by it need this very key.
    #[test]
    fn it_is_the_same_for_ever() {
        let name = EmbeddedDefinitionKey::new().0.name().clone();
        assert_eq!(name.0, "ac9c9617f48cbcb39a4df9ca498fc213502bbfff37c03732c9250a39e2e99835");
    }
}
