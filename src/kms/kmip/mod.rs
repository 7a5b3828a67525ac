//! Definition keys in a key manager that speaks KMIP (CipherTrust and others), over mutual TLS.
//!
//! In the mode `encrypt` the key manager wraps and unwraps database keys, and the definition key never leaves it; in the
//! mode `get` the key is fetched into locked memory. Found by a name (the next one by that name and `.next`) or by a
//! unique identifier. Start with [`KmipDefinitionKeys`]; `connection` is the way there, `message` what is said on it.

mod connection;
mod error;
mod keeper;
mod message;
mod remote;

pub use error::{KeyState, KmipError, KmipTrouble};

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use kmip_protocol::types::common::State;

use self::{
    connection::{Connection, IDLE},
    message::Request,
    remote::RemoteDefinitionKey,
};
use super::Error;
use crate::keys::{self, DefinitionKey, DefinitionKeyHolder, DefinitionKeyName, LocalDefinitionKey};

/// Who wraps database keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KmipMode {
    /// The key manager.
    Encrypt,
    /// This process, by a key that it fetches.
    Get,
}

/// Where a definition key lies in a key manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KmipSettings {
    /// `HOST:PORT`, tried in this order.
    pub endpoints: Vec<String>,
    /// The file with the certificates of authorities that the key manager's own may be signed by.
    pub ca: PathBuf,
    /// The file with the certificate that this client shows.
    pub cert: PathBuf,
    /// The file with its key.
    pub key: PathBuf,
    /// The unique identifier of the definition key; none when it is found by its name.
    pub id: Option<String>,
    /// The name of the definition key.
    pub name: String,
    /// Who wraps database keys.
    pub mode: KmipMode,
    /// How long the key manager may take, for everything that is asked at once.
    pub timeout: Duration,
}

/// The keys of one name, or one key by its identifier. Nothing is asked before a key is needed.
pub struct KmipDefinitionKeys {
    shared: Arc<Shared>,
    /// What was found there, so that it is looked for once and again only for a name that is not known yet.
    known: Mutex<Vec<Arc<dyn DefinitionKey>>>,
}

struct Shared {
    settings: KmipSettings,
    /// A connection that was used a moment ago.
    idle: Mutex<Option<(Connection, Instant)>>,
    /// Whether what was wrapped was seen to be bound to its associated data.
    is_bound: AtomicBool,
}

impl KmipDefinitionKeys {
    /// The keys where the settings say.
    ///
    /// # Errors
    ///
    /// What is wrong with the files of certificates and of the key.
    pub fn at(settings: KmipSettings) -> Result<Self, KmipError> {
        connection::config(&settings)?;
        let shared = Shared { settings, idle: Mutex::default(), is_bound: AtomicBool::new(false) };
        Ok(Self { shared: Arc::new(shared), known: Mutex::default() })
    }

    /// The key in place and the next one, as far as they are there, each or why it cannot be used.
    async fn look(&self) -> Result<Vec<Result<Arc<dyn DefinitionKey>, KmipError>>, KmipError> {
        let shared = &self.shared;
        let looking = async {
            let mut connection = shared.connect().await?;
            let mut found = Vec::new();
            for id in shared.ids(&mut connection).await? {
                found.push(match id {
                    Ok(id) => self.key(&mut connection, id).await,
                    Err(error) => Err(error),
                });
            }
            // After trouble nobody knows what comes on it.
            if found.iter().all(Result::is_ok) {
                shared.keep(connection);
            }
            Ok(found)
        };
        let found = shared.within(looking).await?;
        let usable: Vec<Arc<dyn DefinitionKey>> = found.iter().flatten().cloned().collect();
        if !usable.is_empty() {
            *self.known.lock().unwrap_or_else(PoisonError::into_inner) = usable;
        }
        Ok(found)
    }

    async fn key(&self, connection: &mut Connection, id: String) -> Result<Arc<dyn DefinitionKey>, KmipError> {
        match self.shared.settings.mode {
            KmipMode::Encrypt => {
                let name = DefinitionKeyName(format!("{NAME_PREFIX}{id}"));
                Ok(Arc::new(RemoteDefinitionKey { shared: Arc::clone(&self.shared), id, name }))
            }
            KmipMode::Get => {
                check_state(connection, &id).await?;
                let key = connection.ask(Request::get(&id), &id, message::got).await?;
                let endpoint = connection.endpoint.clone();
                let what = "its material is not 32 bytes in clear";
                let key = key.ok_or(KmipError::OtherKind { endpoint, id, what })?;
                Ok(Arc::new(LocalDefinitionKey::new(key)))
            }
        }
    }

    /// That the key in place can be used.
    async fn check(&self) -> Result<(), KmipError> {
        let shared = &self.shared;
        let asking = async {
            let mut connection = shared.connect().await?;
            let first = shared.ids(&mut connection).await?.into_iter().next();
            let no_key = KmipError::NoKey { endpoint: connection.endpoint.clone(), key: shared.called() };
            check_state(&mut connection, &first.ok_or(no_key)??).await
        };
        shared.within(asking).await
    }

    fn known(&self, name: &DefinitionKeyName) -> Option<Arc<dyn DefinitionKey>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|key| key.name() == name).cloned()
    }

    /// Whether a key of this mode can be called so.
    fn may_be_called(&self, name: &DefinitionKeyName) -> bool {
        match self.shared.settings.mode {
            KmipMode::Encrypt => name.0.starts_with(NAME_PREFIX),
            KmipMode::Get => name.0.len() == 64 && name.0.bytes().all(|byte| byte.is_ascii_hexdigit()),
        }
    }

    /// Makes a key of that name that can be used.
    async fn make(&self, name: &str) -> Result<Arc<dyn DefinitionKey>, KmipError> {
        self.shared.check_named()?;
        self.shared
            .within(async {
                let mut connection = Connection::open(&self.shared.settings).await?;
                let id = connection.ask(Request::create(name), name, message::created).await?;
                connection.ask(Request::activate(&id), &id, message::done).await?;
                self.key(&mut connection, id).await
            })
            .await
    }
}

impl Shared {
    fn next_name(&self) -> String {
        format!("{}.next", self.settings.name)
    }

    /// What people call the key in use.
    fn called(&self) -> String {
        self.settings.id.as_ref().map_or_else(|| format!("named `{}`", self.settings.name), |id| format!("`{id}`"))
    }

    /// Keys are made and exchanged by their names.
    fn check_named(&self) -> Result<(), KmipError> {
        if self.settings.id.is_some() { Err(KmipError::NamedById) } else { Ok(()) }
    }

    /// The identifiers of the key in place and of the next one, as far as they are there, each or why it cannot be told
    /// which one is meant.
    async fn ids(&self, connection: &mut Connection) -> Result<Vec<Result<String, KmipError>>, KmipError> {
        if let Some(id) = &self.settings.id {
            return Ok(vec![Ok(id.clone())]);
        }
        let mut ids = Vec::new();
        for name in [&self.settings.name, &self.next_name()] {
            match locate(connection, name).await {
                Err(error @ KmipError::SeveralKeys { .. }) => ids.push(Err(error)),
                located => ids.extend(located?.map(Ok)),
            }
        }
        Ok(ids)
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T, KmipError>>) -> Result<T, KmipError> {
        let KmipSettings { timeout, endpoints, .. } = &self.settings;
        let slow = || KmipError::Slow { endpoints: endpoints.join(", "), waited: *timeout };
        tokio::time::timeout(*timeout, work).await.map_err(|_| slow())?
    }

    /// The connection that was used a moment ago, or a new one.
    async fn connect(&self) -> Result<Connection, KmipError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        match idle {
            Some((connection, since)) if since.elapsed() < IDLE && connection.is_quiet() => Ok(connection),
            _ => Connection::open(&self.settings).await,
        }
    }

    /// Keeps a connection for what may come at once, and lets go of it then: key managers count them.
    fn keep(self: &Arc<Self>, connection: Connection) {
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some((connection, Instant::now()));
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(IDLE).await;
            let mut idle = shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.as_ref().is_some_and(|(_, since)| since.elapsed() >= IDLE) {
                *idle = None;
            }
        });
    }
}

/// The identifier of the one key of that name; none when there is none.
async fn locate(connection: &mut Connection, name: &str) -> Result<Option<String>, KmipError> {
    let called = format!("named `{name}`");
    let mut found = connection.ask(Request::locate(name), &called, message::located).await?;
    if found.len() > 1 {
        return Err(KmipError::SeveralKeys { endpoint: connection.endpoint.clone(), key: called });
    }
    Ok(found.pop())
}

/// That a key is active.
async fn check_state(connection: &mut Connection, id: &str) -> Result<(), KmipError> {
    let state = match connection.ask(Request::state(id), id, message::state).await? {
        // One that tells no state lets it be used or not, and says so then.
        None | Some(State::Active) => return Ok(()),
        Some(State::PreActive) => KeyState::PreActive,
        Some(State::Deactivated) => KeyState::Deactivated,
        Some(State::Compromised) => KeyState::Compromised,
        Some(_) => KeyState::Destroyed,
    };
    Err(KmipError::State { endpoint: connection.endpoint.clone(), id: id.to_owned(), state })
}

#[async_trait]
impl DefinitionKeyHolder for KmipDefinitionKeys {
    async fn find(&self, name: &DefinitionKeyName) -> Result<Option<Arc<dyn DefinitionKey>>, keys::Error> {
        if let Some(key) = self.known(name) {
            return Ok(Some(key));
        }
        // Names of another kind are not looked for, for the key manager may be far away.
        if !self.may_be_called(name) {
            return Ok(None);
        }
        let mut trouble = None;
        for found in self.look().await.map_err(Error::from)? {
            match found {
                Ok(key) if key.name() == name => return Ok(Some(key)),
                Ok(_) => {}
                // It may be the one that cannot be used.
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        trouble.map_or(Ok(None), |error| Err(Error::from(error).into()))
    }

    async fn first(&self) -> Result<Arc<dyn DefinitionKey>, keys::Error> {
        let found = self.look().await.map_err(Error::from)?.into_iter().next();
        let none =
            || KmipError::NoKey { endpoint: self.shared.settings.endpoints.join(", "), key: self.shared.called() };
        Ok(found.ok_or_else(none).flatten().map_err(Error::from)?)
    }

    async fn probe(&self) -> Result<(), keys::Error> {
        Ok(self.check().await.map_err(Error::from)?)
    }

    fn is_far_away(&self) -> bool {
        true
    }
}

/// What names of keys in key managers begin with.
const NAME_PREFIX: &str = "kmip:";
