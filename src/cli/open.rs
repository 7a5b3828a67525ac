//! Builds the adapters that the settings name: the only place that does.

use std::{
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    Failure, Global,
    failure::io,
    holders,
    record::Record,
    spool::{self, Threads},
};
use crate::access::Subject;
use crate::audit::{Event, EventKind};
use crate::base::{Location, Timestamp};
use crate::catalogue::{self, Database};
use crate::config::{
    BucketSettings, DatabaseSettings, DefinitionKeyKind, DefinitionKeySettings, PostgresSettings, Settings,
    StorageSettings,
};
use crate::db::{PostgresDatabase, PostgresOptions, SqliteDatabase};
use crate::keys::{DefinitionKey, DefinitionKeyHolder};
use crate::kms::FileDefinitionKeys;
use crate::media::MediaStore;
use crate::service::{
    Clock, CompanionSettings, Companions, Ingest, KeyOps, KeyWatch, Playback, PlaybackSettings, Purge,
};
use crate::storage::{BucketAddress, BucketStore, CachedStore, LocalStore, Metered};

/// What a command is for, as far as it matters to what it may make.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Using a system.
    Use,
    /// Making its database: a file under another name until its keys are in it, tables in the transaction that adds them
    /// ([`super::restore`]).
    Make,
}

/// A system: what the settings name, opened.
pub(super) struct System {
    pub settings: Settings,
    pub database: Arc<dyn Database>,
    pub store: Arc<dyn MediaStore>,
    /// The same for whoever plays and removes: beside the local cache, where settings name one.
    pub playing: Arc<dyn MediaStore>,
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
        let (database, is_new) = open_database(&settings, purpose).await?;
        let store = open_store(&settings, is_new || settings.data_dir.is_some(), Threads::Serve)?;
        let playing: Arc<dyn MediaStore> = match &settings.cache {
            Some(cache) => Arc::new(CachedStore::beside(Arc::clone(&store), cache.path.clone())),
            None => Arc::clone(&store),
        };
        Ok(Self { settings, database, store, playing, clock: clock() })
    }

    /// Plays through the local cache, where settings name one, for as long as this process runs. A cache that cannot be
    /// used is warned of: everything that it would hold is in the store.
    pub(super) async fn use_cache(&mut self) {
        CachedStore::announce();
        let Some(cache) = &self.settings.cache else { return };
        let settings = crate::storage::CacheSettings::new(cache.path.clone(), cache.size);
        match CachedStore::open(Arc::clone(&self.store), settings).await {
            Ok(cached) => self.playing = Arc::new(cached),
            Err(error) => {
                let path = cache.path.display();
                tracing::warn!(%path, %error, "the cache cannot be used: recordings are played without it");
            }
        }
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
                Err(error) if error.is_there_already() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// What holds the definition key in use.
    pub(super) fn holder(&self) -> Result<Arc<dyn DefinitionKeyHolder>, Failure> {
        holders::in_use(&self.settings.definition_key)
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
        open_store(&self.settings, false, Threads::MayWait)
    }

    /// Where the store is.
    pub(super) fn store_place(&self) -> StorePlace {
        StorePlace::set(&self.settings.storage)
    }

    /// The URL of a file outside the store.
    pub(super) fn location_of(path: &Path) -> Result<Location, Failure> {
        Ok(LocalStore::location_of(path)?)
    }

    /// What becomes of whoever plays a recording that is sealed anew: a file that lost its name stays open, and an object
    /// that was deleted is gone.
    pub(super) fn fate_of_players(&self) -> &'static str {
        match self.settings.storage.folder() {
            Some(_) => "whoever plays them goes on",
            None => "whoever plays them is cut, and begins again",
        }
    }

    pub(super) fn companions(&self, keys: &Arc<KeyWatch>) -> Companions {
        let (database, store) = (Arc::clone(&self.database), Arc::clone(&self.store));
        let keeping = &self.settings.keeping;
        let settings = CompanionSettings { index: keeping.index.clone(), plain_sidecars: keeping.plain_sidecars };
        Companions::new(database, store, Arc::clone(keys), Arc::clone(&self.clock), settings)
    }

    pub(super) fn purge(&self) -> Purge {
        Purge::new(Arc::clone(&self.database), Arc::clone(&self.playing), Arc::clone(&self.clock))
    }

    pub(super) fn playback(&self, keys: &Arc<KeyWatch>) -> Playback {
        let (database, store) = (Arc::clone(&self.database), Arc::clone(&self.playing));
        let settings = PlaybackSettings { allow_plain: self.settings.allow_plain };
        Playback::new(database, store, Arc::clone(keys), Arc::clone(&self.clock), settings)
    }
}

/// Where a media store is, or is to be.
pub(super) struct StorePlace {
    /// Of a folder as it really lies, so that one under two names is told to be one.
    pub url: String,
    place: StorageSettings,
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
        Self { url, place: StorageSettings::Folder(folder) }
    }

    /// The place that settings name.
    pub(super) fn set(place: &StorageSettings) -> Self {
        match place {
            StorageSettings::Folder(folder) => Self::of(folder),
            StorageSettings::Bucket(_) => Self { url: place.url(), place: place.clone() },
        }
    }

    /// The place of the URL that an option of the command line gives; a bucket's endpoint and region are those of the
    /// settings.
    pub(super) fn named(url: &str, option: &str, settings: &Settings) -> Result<Self, Failure> {
        let place = settings.storage_at(url).map_err(|reason| Failure::new(format!("{option} {url}: {reason}")))?;
        Ok(Self::set(&place))
    }

    /// Whether there is a store; a bucket is there, or cannot be made.
    pub(super) fn is_there(&self) -> bool {
        self.place.folder().is_none_or(Path::is_dir)
    }

    /// The store, for threads that may wait for the disk themselves; a folder is made when it is missing and
    /// `may_create` says so.
    pub(super) fn open(&self, may_create: bool) -> Result<Arc<dyn MediaStore>, Failure> {
        Ok(Arc::new(Metered::new(open_place(&self.place, may_create, Threads::MayWait)?)))
    }
}

/// The database, and whether it is a new one. An empty database in the place of a missing one would keep new recordings in
/// plain: it is made only where nothing was ever kept, and, where settings name a place for it, only with keys in it.
async fn open_database(settings: &Settings, purpose: Purpose) -> Result<(Arc<dyn Database>, bool), Failure> {
    let opened: Result<(Arc<dyn Database>, bool), catalogue::Error> = match &settings.database {
        DatabaseSettings::Sqlite(path) => {
            let is_new = !path.exists();
            let may_make = match purpose {
                Purpose::Use => settings.data_dir.is_some() && was_nothing_kept(settings, path).await?,
                Purpose::Make => true,
            };
            SqliteDatabase::open(path, may_make).await.map(|database| (Arc::new(database) as _, is_new))
        }
        DatabaseSettings::Postgres(server) => {
            let opened = match purpose {
                Purpose::Use => PostgresDatabase::open(&postgres(server)).await,
                Purpose::Make => PostgresDatabase::make(&postgres(server)).await,
            };
            opened.map(|database| (Arc::new(database) as _, purpose == Purpose::Make))
        }
    };
    opened.map_err(|error| Failure::from(error).of(&settings.database))
}

/// Whether nothing was ever kept in the store of a database file. A store that is far away is not asked where the file
/// tells: one that has a content was made before.
async fn was_nothing_kept(settings: &Settings, database: &Path) -> Result<bool, Failure> {
    let has_content = std::fs::metadata(database).is_ok_and(|file| file.len() > 0);
    if has_content && settings.storage.folder().is_none() { Ok(false) } else { is_store_empty(settings).await }
}

/// Whether there is a database, so that it may hold keys.
pub(super) async fn database_exists(settings: &Settings) -> Result<bool, Failure> {
    match &settings.database {
        DatabaseSettings::Sqlite(path) => Ok(path.exists()),
        DatabaseSettings::Postgres(server) => {
            let exists = PostgresDatabase::exists(&postgres(server)).await;
            exists.map_err(|error| Failure::from(error).of(&settings.database))
        }
    }
}

/// Where media lies, behind a spool where the settings name one; a folder that is missing is made when `may_create` says
/// so.
fn open_store(settings: &Settings, may_create: bool, threads: Threads) -> Result<Arc<dyn MediaStore>, Failure> {
    let store = open_place(&settings.storage, may_create, threads)?;
    let Some(folder) = &settings.spool else { return Ok(Arc::new(Metered::new(store))) };
    if let Some(media) = settings.storage.folder() {
        spool::check_apart(folder, media)?;
    }
    Ok(Arc::new(Metered::new(Arc::new(spool::before(store, folder, settings, threads)?))))
}

fn open_place(place: &StorageSettings, may_create: bool, threads: Threads) -> Result<Arc<dyn MediaStore>, Failure> {
    Ok(match place {
        StorageSettings::Folder(folder) => {
            let store = LocalStore::open(folder, may_create)?;
            Arc::new(if threads == Threads::MayWait { store.waiting_here() } else { store })
        }
        StorageSettings::Bucket(bucket) => Arc::new(open_bucket(bucket)?),
    })
}

/// Whether nothing was ever kept there.
pub(super) async fn is_store_empty(settings: &Settings) -> Result<bool, Failure> {
    match &settings.storage {
        StorageSettings::Folder(folder) => Ok(LocalStore::is_empty(folder)),
        StorageSettings::Bucket(bucket) => Ok(open_bucket(bucket)?.is_empty().await?),
    }
}

fn open_bucket(settings: &BucketSettings) -> Result<BucketStore, Failure> {
    let BucketSettings { bucket, prefix, endpoint, region, is_plain_http } = settings.clone();
    check_credentials()?;
    let address = BucketAddress { bucket, prefix, endpoint, region, allow_http: is_plain_http };
    Ok(BucketStore::connect(&address, &variable)?)
}

/// Says which variables of the environment are missing for an object store.
pub(super) fn check_credentials() -> Result<(), Failure> {
    match BucketAddress::missing_credentials(&variable) {
        None => Ok(()),
        Some(missing) => {
            let what = format!("there are no credentials for the object store: the environment has no {missing}");
            Err(Failure::new(what)
                .advise("set them where this program is started; they are never part of the settings"))
        }
    }
}

fn postgres(server: &PostgresSettings) -> PostgresOptions {
    let PostgresSettings { url, max_connections, connect_timeout, statement_timeout, lock_timeout } = server;
    PostgresOptions {
        url: url.expose().to_owned(),
        max_connections: *max_connections,
        connect_timeout: *connect_timeout,
        statement_timeout: *statement_timeout,
        lock_timeout: *lock_timeout,
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What is wrong with the folder of the local cache.
pub(super) fn of_cache(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("storage.cache.path: {}: {error}", path.display()))
        .advise("name a folder for it alone, on a local disk, that this user may write to")
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
