//! Taking recordings in where media goes through a spool: what waits is brought to the store before it is acknowledged,
//! if that is a matter of a moment.

use std::time::Duration;

use tokio::time::timeout;

use super::ingest::{Error, Ingest, Ingested};
use crate::media::MediaObject;

/// How long a store behind a spool is asked whether a name is taken, while the catalogue cannot be.
const LOOK_TIMEOUT: Duration = Duration::from_secs(1);

impl Ingest {
    /// Waits a while for media that went through a spool: it is durable there, and better off in the store. A recording
    /// that broke off follows in its own time.
    pub(super) async fn brought_to_store(&self, outcome: Result<Ingested, Error>) -> Result<Ingested, Error> {
        let Some(spooler) = &self.spooler else { return outcome };
        match outcome {
            Ok(ingested) if ingested.is_catalogued => {
                let id = &ingested.recording.id;
                let is_stored = if self.unsettled.is_some() { spooler.wait(id).await } else { spooler.bring(id).await };
                Ok(Ingested { is_waiting: !is_stored, ..ingested })
            }
            Err(Error::BrokenOff { recording, error }) => {
                spooler.ended(&recording.id);
                Err(Error::BrokenOff { recording, error })
            }
            outcome => outcome,
        }
    }

    /// Whether an object is there. With a spool, which takes names exclusively itself, a store that is away says nothing.
    pub(super) async fn is_taken(&self, object: &MediaObject) -> Result<bool, Error> {
        let Some(spool) = self.store.spool() else { return Ok(self.store.version(object).await?.is_some()) };
        if spool.version(object).await?.is_some() {
            return Ok(true);
        }
        let there = timeout(LOOK_TIMEOUT, self.store.version(object)).await;
        Ok(matches!(there, Ok(Ok(Some(_)))))
    }
}
