//! One process over a simulated store and database: what a server is made of, without a socket.

use std::{sync::Arc, time::Duration};

use sealtape::catalogue::Database;
use sealtape::kms::EmbeddedDefinitionKey;
use sealtape::media::MediaStore;
use sealtape::service::{
    Clock, CompanionSettings, Companions, Ingest, KeyError, KeyOps, KeyWatch, Maintenance, MaintenanceError, Playback,
    PlaybackSettings, Purge,
};

use super::{database::SimulatedDatabase, fate::Fate, store::SimulatedStore};

/// How often a server reads its keys anew when nothing says that they changed.
const RELOAD_INTERVAL: Duration = Duration::from_secs(15 * 60);

pub struct Server {
    pub playback: Arc<Playback>,
    pub ingest: Arc<Ingest>,
    pub purge: Purge,
    pub key_ops: KeyOps,
    pub keys: Arc<KeyWatch>,
    database: Arc<dyn Database>,
    store: Arc<dyn MediaStore>,
    clock: Clock,
}

impl Server {
    /// Starts as `serve` does: it refuses when keys cannot be had.
    pub async fn start(
        database: &Arc<SimulatedDatabase>,
        store: &Arc<SimulatedStore>,
        fate: &Arc<Fate>,
    ) -> Result<Arc<Self>, KeyError> {
        let database: Arc<dyn Database> = Arc::<SimulatedDatabase>::clone(database);
        let store: Arc<dyn MediaStore> = Arc::<SimulatedStore>::clone(store);
        let (clock, holder) = (fate.clock(), Arc::new(EmbeddedDefinitionKey::new()));
        let keys = KeyWatch::load(Arc::clone(&database), holder.clone()).await?;
        let doors = || (Arc::clone(&database), Arc::clone(&store), Arc::clone(&keys), Arc::clone(&clock));
        let (of_database, of_store, of_keys, of_clock) = doors();
        let settings = PlaybackSettings { allow_plain: true };
        let playback = Arc::new(Playback::new(of_database, of_store, of_keys, of_clock, settings));
        let (of_database, of_store, of_keys, of_clock) = doors();
        let ingest = Arc::new(Ingest::new(of_database, of_store, of_keys, of_clock).despite_catalogue(&playback));
        tokio::spawn(Arc::clone(&keys).watch(RELOAD_INTERVAL));
        tokio::spawn(Arc::clone(&playback).upkeep());
        tokio::spawn({
            let ingest = Arc::clone(&ingest);
            async move { ingest.settle().await }
        });
        Ok(Arc::new(Self {
            playback,
            ingest,
            purge: Purge::new(Arc::clone(&database), Arc::clone(&store), Arc::clone(&clock)),
            key_ops: KeyOps::new(Arc::clone(&database), holder, Arc::clone(&clock)),
            keys,
            database,
            store,
            clock,
        }))
    }

    /// Begins what wraps recordings anew, or finds them again.
    pub async fn maintenance(&self) -> Result<Maintenance, MaintenanceError> {
        let (database, store) = (Arc::clone(&self.database), Arc::clone(&self.store));
        Maintenance::begin(database, store, Arc::clone(&self.keys), Arc::clone(&self.clock)).await
    }

    pub fn companions(&self) -> Companions {
        let (database, store) = (Arc::clone(&self.database), Arc::clone(&self.store));
        let settings = CompanionSettings { index: Default::default(), plain_sidecars: false };
        Companions::new(database, store, Arc::clone(&self.keys), Arc::clone(&self.clock), settings)
    }

    pub fn database(&self) -> &dyn Database {
        &*self.database
    }
}
