//! Definition keys in a PKCS#11 token (a Luna partition, an nShield, SoftHSM): wrapped and unwrapped there by AES-GCM,
//! so that they never leave it.
//!
//! The key in use has a label, the next one that label and `.next`, the one before `.obsolete`. Rows name a key by its
//! `CKA_ID`, which stays when labels change, or by its label where it has none. Start with [`Pkcs11DefinitionKeys`];
//! `module` is the thread that vendors' code runs on, `token` what is asked of it.

mod error;
mod module;
mod refused_pins;
mod token;

pub use error::Pkcs11Error;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;

use self::{
    module::ModuleThread,
    token::{NAME_PREFIX, Token, TokenKey},
};
use super::{DefinitionKeyKeeper, Error, error::only};
use crate::crypto::{Key, WrappedRowKey, random};
use crate::keys::{self, DefinitionKey, DefinitionKeyHolder, DefinitionKeyName};

/// Who makes the nonces of AES-GCM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceMaker {
    /// This machine.
    Host,
    /// The token, as those do it that are bound to (FIPS 140).
    Token,
}

/// Where a definition key lies in a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pkcs11Settings {
    /// The vendor's library.
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
    /// The label of the key in use.
    pub label: String,
    /// The file with the PIN of the token's user; none where the token asks for it itself.
    pub pin_file: Option<PathBuf>,
    /// Who makes nonces.
    pub nonce: NonceMaker,
    /// How long the module may take, for everything that is asked at once.
    pub timeout: Duration,
}

impl Pkcs11Settings {
    fn next_label(&self) -> String {
        format!("{}.next", self.label)
    }

    fn obsolete_label(&self) -> String {
        format!("{}.obsolete", self.label)
    }
}

/// The keys of one label in a token. Nothing is asked of the token before a key is needed.
pub struct Pkcs11DefinitionKeys {
    shared: Arc<Shared>,
    /// What was found there, so that it is looked for once and again only for a name that is not known yet.
    known: Mutex<Vec<DefinitionKeyName>>,
}

struct Shared {
    settings: Pkcs11Settings,
    thread: ModuleThread,
    /// Whether what was wrapped was seen to be bound to its associated data.
    is_bound: AtomicBool,
}

struct TokenDefinitionKey {
    shared: Arc<Shared>,
    name: DefinitionKeyName,
}

impl Pkcs11DefinitionKeys {
    /// The keys where the settings say.
    ///
    /// # Errors
    ///
    /// [`Pkcs11Error::Module`] when the system gives no thread.
    pub fn at(settings: Pkcs11Settings) -> Result<Self, Pkcs11Error> {
        let thread = ModuleThread::of(&settings.module)?;
        let shared = Shared { settings, thread, is_bound: AtomicBool::new(false) };
        Ok(Self { shared: Arc::new(shared), known: Mutex::default() })
    }

    /// The names of the key in place and of the next one, as far as they are there, each or why it cannot be used.
    async fn look(&self) -> Result<Vec<Result<DefinitionKeyName, Pkcs11Error>>, Pkcs11Error> {
        let found = self.shared.in_session(false, |token, _| {
            let name = |key: Result<TokenKey, _>| key.map(|key| DefinitionKeyName(key.name));
            Ok(token.both()?.into_iter().map(name).collect::<Vec<_>>())
        });
        let found = found.await?;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = found.iter().flatten().cloned().collect();
        Ok(found)
    }

    fn knows(&self, name: &DefinitionKeyName) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    fn key(&self, name: DefinitionKeyName) -> Arc<dyn DefinitionKey> {
        Arc::new(TokenDefinitionKey { shared: Arc::clone(&self.shared), name })
    }

    /// Makes a key of that label.
    async fn make(&self, label: String) -> Result<Arc<dyn DefinitionKey>, Pkcs11Error> {
        let id: [u8; 16] = random()?;
        let made = self.shared.in_session(true, move |token, _| Ok(token.generate(&label, id)?.name));
        Ok(self.key(DefinitionKeyName(made.await?)))
    }
}

impl Shared {
    /// Has `work` done in a session with the token.
    async fn in_session<T: Send + 'static>(
        &self,
        is_writing: bool,
        work: impl Fn(&Token, &Pkcs11Settings) -> Result<T, Pkcs11Error> + Send + 'static,
    ) -> Result<T, Pkcs11Error> {
        let settings = self.settings.clone();
        let timeout = settings.timeout;
        let in_module =
            move |module: &mut module::Module| module.in_session(&settings, is_writing, |token| work(token, &settings));
        self.thread.run(timeout, in_module).await
    }
}

#[async_trait]
impl DefinitionKeyHolder for Pkcs11DefinitionKeys {
    async fn find(&self, name: &DefinitionKeyName) -> Result<Option<Arc<dyn DefinitionKey>>, keys::Error> {
        // Names of another kind are not looked for, for the token may be far away.
        if !name.0.starts_with(NAME_PREFIX) {
            return Ok(None);
        }
        if self.knows(name) {
            return Ok(Some(self.key(name.clone())));
        }
        let mut trouble = None;
        for found in self.look().await.map_err(Error::from)? {
            match found {
                Ok(found) if found == *name => return Ok(Some(self.key(found))),
                Ok(_) => {}
                // It may be the one that cannot be used.
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        trouble.map_or(Ok(None), |error| Err(Error::from(error).into()))
    }

    async fn first(&self) -> Result<Arc<dyn DefinitionKey>, keys::Error> {
        let found = self.look().await.map_err(Error::from)?;
        let Pkcs11Settings { token, label, .. } = self.shared.settings.clone();
        let first = found.into_iter().next().ok_or(Pkcs11Error::NoKey { token, label }).flatten();
        Ok(self.key(first.map_err(Error::from)?))
    }

    async fn probe(&self) -> Result<(), keys::Error> {
        self.first().await.map(|_| ())
    }

    fn is_far_away(&self) -> bool {
        true
    }
}

#[async_trait]
impl DefinitionKeyKeeper for Pkcs11DefinitionKeys {
    fn place(&self) -> String {
        let Pkcs11Settings { token, label, .. } = &self.shared.settings;
        format!("key `{label}` in token `{token}`")
    }

    fn next_place(&self) -> String {
        let Pkcs11Settings { token, .. } = &self.shared.settings;
        format!("key `{}` in token `{token}`", self.shared.settings.next_label())
    }

    async fn exist(&self) -> Result<bool, Error> {
        Ok(!self.look().await?.is_empty())
    }

    async fn next(&self) -> Result<Option<Arc<dyn DefinitionKey>>, Error> {
        let next = self.shared.in_session(false, |token, _| Ok(token.next()?.map(|key| key.name)));
        Ok(next.await?.map(|name| self.key(DefinitionKeyName(name))))
    }

    async fn generate(&self) -> Result<Arc<dyn DefinitionKey>, Error> {
        let Pkcs11Settings { token, label, .. } = self.shared.settings.clone();
        if self.exist().await? {
            return Err(Pkcs11Error::Exists { token, label }.into());
        }
        Ok(self.make(label).await?)
    }

    async fn prepare(&self) -> Result<(Arc<dyn DefinitionKey>, bool), Error> {
        match self.next().await? {
            Some(next) => Ok((next, false)),
            None => Ok((self.make(self.shared.settings.next_label()).await?, true)),
        }
    }

    async fn promote(&self, to: &DefinitionKeyName) -> Result<Option<String>, Error> {
        let wanted = to.0.clone();
        let promoted = self.shared.in_session(true, move |token, settings| {
            let old = token.find(&settings.label)?;
            if old.as_ref().is_some_and(|key| key.name == wanted) {
                return Ok(Ok(None));
            }
            let next = token.next()?.ok_or_else(|| token.no_key(&settings.next_label()))?;
            if next.name != wanted {
                return Ok(Err(DefinitionKeyName(next.name)));
            }
            let mut obsolete = None;
            if let Some(old) = old {
                // An older one there keeps its label: backups of the database from its time need it.
                let mut label = settings.obsolete_label();
                if token.find(&label)?.is_some() {
                    let tail: String = old.name.chars().rev().take(8).collect();
                    label = format!("{label}.{}", tail.chars().rev().collect::<String>());
                }
                token.relabel(&old, &label)?;
                obsolete = Some(format!("key `{label}` in token `{}`", settings.token));
            }
            token.relabel(&next, &settings.label)?;
            Ok(Ok(obsolete))
        });
        let other = |found| Error::OtherNext { place: self.next_place(), found, wanted: to.clone() };
        promoted.await?.map_err(other)
    }
}

#[async_trait]
impl DefinitionKey for TokenDefinitionKey {
    fn name(&self) -> &DefinitionKeyName {
        &self.name
    }

    async fn wrap(&self, database_key: &Key, aad: &[u8]) -> Result<WrappedRowKey, keys::Error> {
        let all = self.wrap_all(&[(database_key.clone(), aad.to_vec())]).await?;
        only(all)
    }

    async fn unwrap(&self, wrapped: &WrappedRowKey, aad: &[u8]) -> Result<Option<Key>, keys::Error> {
        let all = self.unwrap_all(&[(wrapped.clone(), aad.to_vec())]).await?;
        only(all)
    }

    async fn wrap_all(&self, keys: &[(Key, Vec<u8>)]) -> Result<Vec<WrappedRowKey>, keys::Error> {
        let (name, keys) = (self.name.0.clone(), keys.to_vec());
        let is_bound = self.shared.is_bound.load(Ordering::Relaxed);
        let has_wrapped = !keys.is_empty();
        let wrapped = self.shared.in_session(false, move |token, _| {
            let by = token.named(&name)?;
            let all = keys.iter().map(|(key, aad)| token.wrap(&by, key, aad)).collect::<Result<Vec<_>, _>>()?;
            if let (false, Some(wrapped), Some((_, aad))) = (is_bound, all.first(), keys.first()) {
                token.check_bound(&by, wrapped, aad)?;
            }
            Ok(all)
        });
        let all = wrapped.await.map_err(Error::from)?;
        self.shared.is_bound.store(is_bound || has_wrapped, Ordering::Relaxed);
        Ok(all)
    }

    async fn unwrap_all(&self, wrapped: &[(WrappedRowKey, Vec<u8>)]) -> Result<Vec<Option<Key>>, keys::Error> {
        let (name, wrapped) = (self.name.0.clone(), wrapped.to_vec());
        let keys = self.shared.in_session(false, move |token, _| {
            let by = token.named(&name)?;
            wrapped.iter().map(|(wrapped, aad)| token.unwrap(&by, wrapped, aad)).collect::<Result<Vec<_>, _>>()
        });
        Ok(keys.await.map_err(Error::from)?)
    }
}
