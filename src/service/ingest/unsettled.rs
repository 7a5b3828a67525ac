//! Recordings that are on disk and wait for the catalogue: it was away when they ended. In memory alone; what a process
//! leaves that is killed meanwhile is found again by its files.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::{
    live_row::{self, Row},
    object_of,
};
use crate::base::RecordingId;
use crate::catalogue::{self, Database, Recording};
use crate::media::MediaStore;
use crate::service::meter::METER;

/// How often the catalogue is tried while something waits for it.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Recordings that wait for the catalogue.
#[derive(Default)]
pub(in crate::service) struct Unsettled {
    waiting: Mutex<Vec<(Recording, Row)>>,
    came: Notify,
}

impl Unsettled {
    /// Has a recording wait.
    pub(super) fn add(&self, recording: Recording, row: Row) {
        tracing::warn!(id = %recording.id, "it is on disk, and is catalogued when the database returns");
        let mut waiting = self.waiting();
        waiting.push((recording, row));
        METER.uncatalogued(waiting.len());
        drop(waiting);
        self.came.notify_one();
    }

    /// Whether a recording of that ID waits.
    pub fn has(&self, id: &RecordingId) -> bool {
        self.waiting().iter().any(|(recording, _)| recording.id == *id)
    }

    /// Catalogues what waits whenever the catalogue can be asked, until it is dropped.
    pub async fn settle(&self, database: Arc<dyn Database>, store: Arc<dyn MediaStore>) {
        loop {
            self.came.notified().await;
            loop {
                // Looked at one by one, and taken out when it is done: nothing is lost where this is given up.
                let Some((recording, row)) = self.waiting().first().cloned() else { break };
                match live_row::settle(&*database, &*store, row, &recording).await {
                    Ok(Row::There) => tracing::info!(id = %recording.id, "it is catalogued now"),
                    Ok(Row::Absent | Row::Taken) => name_taken(&recording, &*store),
                    Err(error) if live_row::is_away(&error) => {
                        tokio::time::sleep(RETRY_INTERVAL).await;
                        continue;
                    }
                    Err(catalogue::Error::RecordingNotFound(_)) => {
                        tracing::warn!(id = %recording.id, "nothing of it is left: it was purged before it was catalogued");
                    }
                    Err(error) => {
                        tracing::error!(id = %recording.id, %error, "it stays on disk and is not catalogued");
                    }
                }
                let mut waiting = self.waiting();
                waiting.remove(0);
                METER.uncatalogued(waiting.len());
            }
        }
    }

    /// Nothing that holds it can panic half-way.
    fn waiting(&self) -> MutexGuard<'_, Vec<(Recording, Row)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names a recording whose ID another one has.
pub(super) fn name_taken(recording: &Recording, store: &dyn MediaStore) {
    let file = store.location(&object_of(recording));
    tracing::error!(
        id = %recording.id, %file,
        "another recording of this ID was catalogued meanwhile; both stay as they are, and this one is not catalogued"
    );
}
