//! A definition key that stays in the key manager, which wraps and unwraps by it.

use std::sync::{Arc, atomic::Ordering};

use async_trait::async_trait;

use super::{
    KmipError, Shared, check_state,
    connection::Connection,
    message::{self, Request},
};
use crate::crypto::{Key, WrappedRowKey, random};
use crate::keys::{self, DefinitionKey, DefinitionKeyName};
use crate::kms::{Error, error::only};

/// A key that stays in the key manager.
pub(super) struct RemoteDefinitionKey {
    pub(super) shared: Arc<Shared>,
    pub(super) id: String,
    pub(super) name: DefinitionKeyName,
}

impl RemoteDefinitionKey {
    async fn wrap_with(
        &self,
        connection: &mut Connection,
        keys: &[(Key, Vec<u8>)],
    ) -> Result<Vec<WrappedRowKey>, KmipError> {
        let mut all = Vec::with_capacity(keys.len());
        for (key, aad) in keys {
            let nonce = random()?;
            let request = Request::encrypt(&self.id, nonce, key, aad);
            let read = |response: &mut [u8]| message::encrypted(response, nonce);
            let wrapped = connection.ask(request, &self.id, read).await?;
            if !self.shared.is_bound.load(Ordering::Relaxed) {
                self.check_bound(connection, &wrapped, aad).await?;
                self.shared.is_bound.store(true, Ordering::Relaxed);
            }
            all.push(wrapped);
        }
        Ok(all)
    }

    /// That what was wrapped with `aad` is not unwrapped with another. Once is enough: a key manager does it or does not.
    async fn check_bound(
        &self,
        connection: &mut Connection,
        wrapped: &WrappedRowKey,
        aad: &[u8],
    ) -> Result<(), KmipError> {
        let another = [aad, b"another"].concat();
        let request = Request::decrypt(&self.id, wrapped, &another);
        match connection.ask(request, &self.id, message::decrypted).await {
            Ok(_) => Err(KmipError::NotBound { endpoint: connection.endpoint.clone(), id: self.id.clone() }),
            Err(KmipError::Refused { .. } | KmipError::Denied { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn unwrap_with(
        &self,
        connection: &mut Connection,
        wrapped: &[(WrappedRowKey, Vec<u8>)],
    ) -> Result<Vec<Option<Key>>, KmipError> {
        let mut all = Vec::with_capacity(wrapped.len());
        for (wrapped, aad) in wrapped {
            let request = Request::decrypt(&self.id, wrapped, aad);
            match connection.ask(request, &self.id, message::decrypted).await {
                Ok(key) => all.push(Some(key)),
                // Key managers have many words for a tag that does not verify; one that still does its work means that.
                Err(error @ (KmipError::Refused { .. } | KmipError::Denied { .. })) => {
                    check_state(connection, &self.id).await?;
                    if self.does_work(connection).await { all.push(None) } else { return Err(error) }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// Whether the key wraps and unwraps now.
    async fn does_work(&self, connection: &mut Connection) -> bool {
        let tried: Result<(), KmipError> = async {
            let nonce = random()?;
            let request = Request::encrypt(&self.id, nonce, &Key::generate()?, b"trial");
            let read = |response: &mut [u8]| message::encrypted(response, nonce);
            let wrapped = connection.ask(request, &self.id, read).await?;
            let request = Request::decrypt(&self.id, &wrapped, b"trial");
            connection.ask(request, &self.id, message::decrypted).await.map(|_| ())
        }
        .await;
        tried.is_ok()
    }

    /// Why it was refused, if the key's state tells.
    async fn explain(&self, connection: &mut Connection, error: KmipError) -> KmipError {
        match error {
            KmipError::Denied { .. } | KmipError::Refused { .. } => match check_state(connection, &self.id).await {
                Err(state @ KmipError::State { .. }) => state,
                Ok(()) | Err(_) => error,
            },
            error => error,
        }
    }
}

#[async_trait]
impl DefinitionKey for RemoteDefinitionKey {
    fn name(&self) -> &DefinitionKeyName {
        &self.name
    }

    async fn wrap(&self, database_key: &Key, aad: &[u8]) -> Result<WrappedRowKey, keys::Error> {
        only(self.wrap_all(&[(database_key.clone(), aad.to_vec())]).await?)
    }

    async fn unwrap(&self, wrapped: &WrappedRowKey, aad: &[u8]) -> Result<Option<Key>, keys::Error> {
        only(self.unwrap_all(&[(wrapped.clone(), aad.to_vec())]).await?)
    }

    async fn wrap_all(&self, keys: &[(Key, Vec<u8>)]) -> Result<Vec<WrappedRowKey>, keys::Error> {
        let wrapping = async {
            let mut connection = self.shared.connect().await?;
            match self.wrap_with(&mut connection, keys).await {
                Ok(all) => {
                    self.shared.keep(connection);
                    Ok(all)
                }
                Err(error) => Err(self.explain(&mut connection, error).await),
            }
        };
        Ok(self.shared.within(wrapping).await.map_err(Error::from)?)
    }

    async fn unwrap_all(&self, wrapped: &[(WrappedRowKey, Vec<u8>)]) -> Result<Vec<Option<Key>>, keys::Error> {
        let unwrapping = async {
            let mut connection = self.shared.connect().await?;
            let all = self.unwrap_with(&mut connection, wrapped).await?;
            self.shared.keep(connection);
            Ok(all)
        };
        Ok(self.shared.within(unwrapping).await.map_err(Error::from)?)
    }
}
