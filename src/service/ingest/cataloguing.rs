//! The row of an import, which is added when its file is whole.

use std::time::Duration;

use super::{
    Error, Ingest, Ingested, Stop,
    live_row::{self, Row, is_away, is_same_content},
    object_of,
};
use crate::catalogue::{self, Content, Recording};
use crate::crypto::Sha256Digest;
use crate::media::MediaFile;
use crate::sealed::{HEADER_LEN, UnverifiedHeader};
use crate::service::pieces::Pieces;

/// How often a server tries to add a row while the catalogue is away.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

impl Ingest {
    /// Says what became of an import. A row that cannot be written takes the file with it, so that nothing half-done
    /// stays.
    pub(super) async fn catalogue(
        &self,
        recording: Recording,
        broken_off: Option<String>,
        stop: &mut Stop,
    ) -> Result<Ingested, Error> {
        let Err(error) = self.database.add_recording(&recording).await else {
            return Ok(Ingested { recording, broken_off, is_catalogued: true, is_waiting: false });
        };
        match self.database.recording(&recording.id).await {
            // It was catalogued all the same: by this transaction, or by a rebuild that found the file.
            Ok(Some(row)) if is_same_content(&row.content, &recording.content) => {}
            Ok(_) if is_away(&error) => {
                self.take_back(&recording).await?;
                return Err(error.into());
            }
            // It was refused: nobody but this one ever had the name.
            Ok(_) => {
                self.store.remove(&object_of(&recording)).await?;
                return Err(error.into());
            }
            // Whether a row needs the file cannot be told. A server can wait until it can.
            Err(_) if self.unsettled.is_some() => self.wait_for_catalogue(&recording, stop).await?,
            Err(_) => {
                self.name_whole(&recording);
                return Err(error.into());
            }
        }
        Ok(Ingested { recording, broken_off, is_catalogued: true, is_waiting: false })
    }

    async fn wait_for_catalogue(&self, recording: &Recording, stop: &mut Stop) -> Result<(), Error> {
        tracing::warn!(id = %recording.id, "it is on disk, and is catalogued when the database returns");
        loop {
            tokio::select! {
                () = stop.asked() => {
                    self.name_whole(recording);
                    return Err(Error::Stopped);
                }
                () = tokio::time::sleep(RETRY_PAUSE) => {}
            }
            match live_row::settle(&*self.database, &*self.store, Row::Absent, recording).await {
                Ok(Row::There) => return Ok(()),
                Ok(Row::Absent | Row::Taken) => {
                    self.take_back(recording).await?;
                    return Err(catalogue::Error::RecordingExists(recording.id.clone()).into());
                }
                Err(error) if is_away(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes away the file of a recording that may have had its row. Another one may have its name since: the recording may
    /// have been sealed again, or purged and recorded anew.
    async fn take_back(&self, recording: &Recording) -> Result<(), Error> {
        let object = object_of(recording);
        let Some(file) = self.store.open(&object).await? else { return Ok(()) };
        if self.is_file_of(&*file, &recording.content).await? {
            self.store.remove_version(&object, file.version()).await?;
        } else {
            tracing::warn!(file = %self.store.location(&object), "another recording's by now, and left as it is");
        }
        Ok(())
    }

    /// Whether the file is what was written. One under a key that is gone since may be anybody's.
    async fn is_file_of(&self, file: &dyn MediaFile, content: &Content) -> Result<bool, Error> {
        let mut pieces = Pieces::new(file);
        match *content {
            Content::Sealed { seal_id, .. } => {
                let Ok(header) = UnverifiedHeader::read(pieces.next(HEADER_LEN as u64).await?) else {
                    return Ok(false);
                };
                let ring = self.keys.ring();
                let Ok(key) = ring.held(&header.fingerprint()) else { return Ok(false) };
                Ok(header.verify(key).is_ok_and(|verified| verified.seal_id() == seal_id))
            }
            Content::Plain { digest, .. } => {
                let mut found = Sha256Digest::default();
                loop {
                    let piece = pieces.next(u64::MAX).await?;
                    if piece.is_empty() {
                        return Ok(found.finish() == digest);
                    }
                    found.update(piece);
                }
            }
        }
    }

    fn name_whole(&self, recording: &Recording) {
        let file = self.store.location(&object_of(recording));
        tracing::warn!(%file, "this file is whole and may not be catalogued; `sealtape recordings rebuild` tells");
    }
}
