//! Taking recordings in where media goes through a spool: what waits is brought to the store before it is acknowledged,
//! if that is a matter of a moment.

use super::{Error, Ingest, Ingested};

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
}
