//! Definition keys that are made in the key manager, and exchanged by their names.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    KeyState, KmipDefinitionKeys, KmipError, check_state,
    connection::Connection,
    locate,
    message::{self, Request},
};
use crate::keys::{DefinitionKey, DefinitionKeyName};
use crate::kms::{DefinitionKeyKeeper, Error};

#[async_trait]
impl DefinitionKeyKeeper for KmipDefinitionKeys {
    fn place(&self) -> String {
        format!("key {} in the key manager", self.shared.called())
    }

    fn next_place(&self) -> String {
        format!("key named `{}` in the key manager", self.shared.next_name())
    }

    async fn exist(&self) -> Result<bool, Error> {
        if self.shared.settings.id.is_some() {
            return match self.check().await {
                Ok(()) => Ok(true),
                Err(KmipError::NoKey { .. }) => Ok(false),
                Err(error) => Err(error.into()),
            };
        }
        let looking = async {
            let mut connection = self.shared.connect().await?;
            self.shared.ids(&mut connection).await
        };
        Ok(!self.shared.within(looking).await?.is_empty())
    }

    async fn next(&self) -> Result<Option<Arc<dyn DefinitionKey>>, Error> {
        self.shared.check_named()?;
        let looking = async {
            let mut connection = self.shared.connect().await?;
            match locate(&mut connection, &self.shared.next_name()).await? {
                Some(id) => self.key(&mut connection, id).await.map(Some),
                None => Ok(None),
            }
        };
        Ok(self.shared.within(looking).await?)
    }

    async fn generate(&self) -> Result<Arc<dyn DefinitionKey>, Error> {
        self.shared.check_named()?;
        if self.exist().await? {
            return Err(KmipError::Exists { key: self.shared.called() }.into());
        }
        Ok(self.make(&self.shared.settings.name).await?)
    }

    async fn prepare(&self) -> Result<(Arc<dyn DefinitionKey>, bool), Error> {
        let shared = &self.shared;
        shared.check_named()?;
        let looking = async {
            let mut connection = shared.connect().await?;
            let Some(id) = locate(&mut connection, &shared.next_name()).await? else { return Ok(None) };
            match check_state(&mut connection, &id).await {
                // Made there by hand, or by one who was killed before this step.
                Err(KmipError::State { state: KeyState::PreActive, .. }) => {
                    connection.ask(Request::activate(&id), &id, message::done).await?;
                }
                other => other?,
            }
            self.key(&mut connection, id).await.map(Some)
        };
        match shared.within(looking).await? {
            Some(next) => Ok((next, false)),
            None => Ok((self.make(&shared.next_name()).await?, true)),
        }
    }

    async fn promote(&self, to: &DefinitionKeyName) -> Result<Option<String>, Error> {
        let shared = &self.shared;
        shared.check_named()?;
        let promoting = async {
            let mut connection = Connection::open(&shared.settings).await?;
            let (name, next_name) = (&shared.settings.name, shared.next_name());
            let old = locate(&mut connection, name).await?;
            if let Some(id) = &old
                // One that cannot be had is not the one that has just wrapped.
                && self.key(&mut connection, id.clone()).await.is_ok_and(|key| key.name() == to)
            {
                return Ok(Ok(None));
            }
            let next = locate(&mut connection, &next_name).await?;
            let next = next.ok_or_else(|| KmipError::NoKey {
                endpoint: connection.endpoint.clone(),
                key: format!("named `{next_name}`"),
            })?;
            let found = self.key(&mut connection, next.clone()).await?;
            if found.name() != to {
                return Ok(Err(found.name().clone()));
            }
            let mut obsolete = None;
            if let Some(old) = old {
                let kept = format!("{name}.obsolete.{old}");
                connection.ask(Request::rename(&old, &kept), &old, message::done).await?;
                obsolete = Some(format!("key named `{kept}` in the key manager"));
            }
            connection.ask(Request::rename(&next, name), &next, message::done).await?;
            Ok(Ok(obsolete))
        };
        let other = |found| Error::OtherNext { place: self.next_place(), found, wanted: to.clone() };
        shared.within(promoting).await?.map_err(other)
    }
}
