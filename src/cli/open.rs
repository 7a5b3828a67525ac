//! Builds the adapters that the settings name: the only place that does.

use std::{
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{Failure, Global, failure::io, record::Record, warnings::warn_of_embedded_key};
use crate::access::Subject;
use crate::audit::{Event, EventKind};
use crate::base::{Location, Timestamp};
use crate::catalogue::Database;
use crate::config::{DefinitionKeyKind, DefinitionKeySettings, Settings, parse_storage_url};
use crate::db::SqliteDatabase;
use crate::keys::{DefinitionKey, DefinitionKeyHolder};
use crate::kms::{self, EmbeddedDefinitionKey, FileDefinitionKeys};
use crate::media::MediaStore;
use crate::service::{
    Clock, CompanionSettings, Companions, Ingest, KeyOps, KeyWatch, Playback, PlaybackSettings, Purge,
};
use crate::storage::{LocalStore, Metered};

/// What a command is for, as far as it matters to what it may make.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Using a system.
    Use,
    /// Making its database, under another name until its keys are in it ([`super::restore`]).
    Make,
}

/// A system: what the settings name, opened.
pub(super) struct System {
    pub settings: Settings,
    pub database: Arc<dyn Database>,
    pub store: Arc<dyn MediaStore>,
    pub clock: Clock,
}

impl System {
    /// Opens database and store; in the one-machine default whatever is missing is made.
    pub(super) async fn open(global: &Global) -> Result<Self, Failure> {
        Self::open_with(settings(global)?, Purpose::Use).await
    }

    /// The same, by settings that were read already.
    pub(super) async fn open_with(settings: Settings, purpose: Purpose) -> Result<Self, Failure> {
        let system = Self::open_without_definition_key(settings, purpose).await?;
        system.make_definition_key().await?;
        Ok(system)
    }

    /// The same, but for a definition key.
    pub(super) async fn open_without_definition_key(settings: Settings, purpose: Purpose) -> Result<Self, Failure> {
        make_data_dir(&settings)?;
        // An empty database in the place of a missing one would keep new recordings in plain: it is made only where
        // nothing was ever kept, and, where settings name a place for it, only with keys in it.
        let is_new = !settings.database.exists();
        let may_make = match purpose {
            Purpose::Use => settings.data_dir.is_some() && LocalStore::is_empty(&settings.storage),
            Purpose::Make => true,
        };
        let database = SqliteDatabase::open(&settings.database, may_make)
            .await
            .map_err(|error| Failure::from(error).of(settings.database.display()))?;
        let store = Metered::new(LocalStore::open(&settings.storage, is_new || settings.data_dir.is_some())?);
        Ok(Self { settings, database: Arc::new(database), store: Arc::new(store), clock: clock() })
    }

    /// Lets go of the database in order, so that its file is whole; gives `outcome` back.
    pub(super) async fn close<T>(self, outcome: T) -> T {
        self.database.close().await;
        outcome
    }

    /// Makes a definition key in the one-machine default, when there is none and none was ever needed.
    async fn make_definition_key(&self) -> Result<(), Failure> {
        let DefinitionKeySettings { kind, path, .. } = &self.settings.definition_key;
        let is_default = self.settings.data_dir.as_ref().is_some_and(|folder| path.parent() == Some(folder.as_path()));
        let keys = FileDefinitionKeys::at(path);
        if *kind == DefinitionKeyKind::File
            && is_default
            && !keys.exist()
            && self.database.load_keys().await?.rows.is_empty()
        {
            let record = Record::open(self).await?;
            match keys.generate() {
                Ok(made) => {
                    let fingerprint = Some(made.name().0.clone());
                    record.write(Event { fingerprint, ..record.event(EventKind::DefinitionKeyGenerate) }).await?;
                }
                // Another process was a moment quicker; its key is the one.
                Err(kms::Error::Exists(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// What holds the definition key in use.
    pub(super) fn holder(&self) -> Result<Arc<dyn DefinitionKeyHolder>, Failure> {
        let DefinitionKeySettings { kind, path, .. } = &self.settings.definition_key;
        Ok(match kind {
            DefinitionKeyKind::File => {
                let keys = FileDefinitionKeys::at(path);
                // Read here, so that what is wrong with it is said with the way out.
                keys.read()?;
                Arc::new(keys)
            }
            DefinitionKeyKind::Embedded => {
                warn_of_embedded_key();
                Arc::new(EmbeddedDefinitionKey::new())
            }
        })
    }

    pub(super) async fn keys(&self) -> Result<Arc<KeyWatch>, Failure> {
        Ok(KeyWatch::load(Arc::clone(&self.database), self.holder()?).await?)
    }

    pub(super) fn key_ops(&self) -> Result<KeyOps, Failure> {
        Ok(self.key_ops_with(self.holder()?))
    }

    /// The same, where definition keys come from `holder`.
    pub(super) fn key_ops_with(&self, holder: Arc<dyn DefinitionKeyHolder>) -> KeyOps {
        KeyOps::new(Arc::clone(&self.database), holder, Arc::clone(&self.clock))
    }

    pub(super) fn ingest(&self, keys: &Arc<KeyWatch>) -> Ingest {
        let (database, store) = (Arc::clone(&self.database), Arc::clone(&self.store));
        Ingest::new(database, store, Arc::clone(keys), Arc::clone(&self.clock))
    }

    /// The same, for threads that may wait for the disk themselves.
    pub(super) fn ingest_waiting_here(&self, keys: &Arc<KeyWatch>) -> Result<Ingest, Failure> {
        let (database, clock) = (Arc::clone(&self.database), Arc::clone(&self.clock));
        Ok(Ingest::new(database, self.store_waiting_here()?, Arc::clone(keys), clock))
    }

    /// The store, for threads that may wait for the disk themselves.
    pub(super) fn store_waiting_here(&self) -> Result<Arc<dyn MediaStore>, Failure> {
        Ok(Arc::new(Metered::new(LocalStore::open(&self.settings.storage, false)?.waiting_here())))
    }

    /// Where the store is.
    pub(super) fn store_place(&self) -> StorePlace {
        StorePlace::of(&self.settings.storage)
    }

    /// The URL of a file outside the store.
    pub(super) fn location_of(path: &Path) -> Result<Location, Failure> {
        Ok(LocalStore::location_of(path)?)
    }

    pub(super) fn companions(&self, keys: &Arc<KeyWatch>) -> Companions {
        let (database, store) = (Arc::clone(&self.database), Arc::clone(&self.store));
        let keeping = &self.settings.keeping;
        let settings = CompanionSettings { index: keeping.index.clone(), plain_sidecars: keeping.plain_sidecars };
        Companions::new(database, store, Arc::clone(keys), Arc::clone(&self.clock), settings)
    }

    pub(super) fn purge(&self) -> Purge {
        Purge::new(Arc::clone(&self.database), Arc::clone(&self.store), Arc::clone(&self.clock))
    }

    pub(super) fn playback(&self, keys: &Arc<KeyWatch>) -> Playback {
        let (database, store) = (Arc::clone(&self.database), Arc::clone(&self.store));
        let settings = PlaybackSettings { allow_plain: self.settings.allow_plain };
        Playback::new(database, store, Arc::clone(keys), Arc::clone(&self.clock), settings)
    }
}

/// Where a media store is, or is to be.
pub(super) struct StorePlace {
    /// Of a folder as it really lies, so that one under two names is told to be one.
    pub url: String,
    folder: PathBuf,
}

impl StorePlace {
    /// A folder.
    pub(super) fn of(folder: &Path) -> Self {
        // What is still to be made lies in what is there.
        let there = folder.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
        let folder = there.map_or_else(
            || folder.to_owned(),
            |(above, real)| folder.strip_prefix(above).map_or(real.clone(), |rest| real.join(rest)),
        );
        let url = LocalStore::location_of(&folder).map_or_else(|_| folder.display().to_string(), |url| url.to_string());
        Self { url, folder }
    }

    /// The place of the URL that an option of the command line gives.
    pub(super) fn named(url: &str, option: &str) -> Result<Self, Failure> {
        let folder = parse_storage_url(url).map_err(|reason| Failure::new(format!("{option} {url}: {reason}")))?;
        Ok(Self::of(&folder))
    }

    /// Whether there is a store.
    pub(super) fn is_there(&self) -> bool {
        self.folder.is_dir()
    }

    /// The store, for threads that may wait for the disk themselves; a folder is made when it is missing and
    /// `may_create` says so.
    pub(super) fn open(&self, may_create: bool) -> Result<Arc<dyn MediaStore>, Failure> {
        Ok(Arc::new(Metered::new(LocalStore::open(&self.folder, may_create)?.waiting_here())))
    }
}

/// The folder of the one-machine default, made when it is missing.
pub(super) fn make_data_dir(settings: &Settings) -> Result<(), Failure> {
    let Some(folder) = &settings.data_dir else { return Ok(()) };
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| io(folder, &error).advise("choose another folder with --data-dir"))
}

/// The settings that the command line and the environment name.
pub(super) fn settings(global: &Global) -> Result<Settings, Failure> {
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Ok(Settings::load(&global.source(), environment)?)
}

/// Who runs a command, as the playback record names them.
pub(super) fn operator() -> Subject {
    let uid = rustix::process::getuid().as_raw();
    format!("cli:uid-{uid}").parse().unwrap_or_else(|()| Subject::local())
}

/// The system's clock.
pub(super) fn clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        Timestamp::from_millis(millis).unwrap_or(Timestamp::MAX)
    })
}
