//! The row of a recording that is being written: added before its first byte can be asked for, kept up to date while it
//! grows, and brought to its end. The writing never waits for it: while the catalogue is away the recording goes on.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::Instant};

use super::object_of;
use crate::base::{ErrorCode, Timestamp};
use crate::catalogue::{self, Content, Database, Recording, RecordingState};
use crate::media::MediaStore;
use crate::service::Clock;

/// How long a writer is held to be alive after it last said so, and how often it says so.
pub(super) const LEASE: Duration = Duration::from_secs(30);
const LEASE_RENEWAL: Duration = Duration::from_secs(5);
/// How often a row that could not be written is tried again, by those who wait for it.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Whether the catalogue has the recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Row {
    /// Not yet: it was away.
    Absent,
    /// It has.
    There,
    /// Another recording has its ID; neither displaces the other.
    Taken,
}

/// The row of one recording, for as long as that is written.
pub(super) struct LiveRow {
    database: Arc<dyn Database>,
    clock: Clock,
    row: Row,
    /// The catalogue is being told, while more of the recording comes.
    telling: Option<JoinHandle<Row>>,
    next: Instant,
}

impl LiveRow {
    /// A row that was added, or could not be.
    pub fn new(database: Arc<dyn Database>, clock: Clock, row: Row) -> Self {
        Self { database, clock, row, telling: None, next: Instant::now() + LEASE_RENEWAL }
    }

    /// When it is to be told again that the recording goes on.
    pub fn due(&self) -> Instant {
        self.next
    }

    /// Tells that the recording goes on; waits for nobody.
    pub async fn renew(&mut self, recording: &Recording) {
        self.next = Instant::now() + LEASE_RENEWAL;
        if self.telling.as_ref().is_some_and(|telling| !telling.is_finished()) {
            return;
        }
        self.told().await;
        let state = RecordingState::Recording { lease_until: later((self.clock)(), LEASE) };
        let (database, recording, row) =
            (Arc::clone(&self.database), Recording { state, ..recording.clone() }, self.row);
        self.telling = Some(tokio::spawn(async move {
            match tell(&*database, row, &recording).await {
                Ok(row) => row,
                Err(error) => {
                    // Recording goes on: the row is brought up to date at the next renewal or at the end.
                    tracing::warn!(id = %recording.id, %error, "the catalogue did not hear that this recording goes on");
                    row
                }
            }
        }));
    }

    /// Tells how the recording ended, again and again for `patience` while the catalogue is away.
    ///
    /// # Errors
    ///
    /// Why it is not told, and what the catalogue has.
    pub async fn end(
        mut self,
        recording: &Recording,
        store: &dyn MediaStore,
        patience: Duration,
    ) -> Result<Row, (Row, catalogue::Error)> {
        self.told().await;
        let deadline = Instant::now() + patience;
        loop {
            match settle(&*self.database, store, self.row, recording).await {
                Ok(row) => return Ok(row),
                Err(error) if is_away(&error) && Instant::now() < deadline => tokio::time::sleep(RETRY_PAUSE).await,
                Err(error) => return Err((self.row, error)),
            }
        }
    }

    /// Takes note of what came of the last telling.
    async fn told(&mut self) {
        if let Some(telling) = self.telling.take() {
            // One that panicked has changed nothing that is known here.
            self.row = telling.await.unwrap_or(self.row);
        }
    }
}

/// Tells how a recording ended: what the catalogue has then. It is not found when it was purged meanwhile: then nothing of
/// it is there, and no row is made of it again.
pub(super) async fn settle(
    database: &dyn Database,
    store: &dyn MediaStore,
    row: Row,
    recording: &Recording,
) -> Result<Row, catalogue::Error> {
    if row == Row::Absent {
        return restore(database, store, recording).await;
    }
    match tell(database, row, recording).await {
        // The catalogue was restored meanwhile from a time before this recording, whose file is here.
        Err(catalogue::Error::RecordingNotFound(_)) => match database.recording(&recording.id).await? {
            None => restore(database, store, recording).await,
            Some(found) if is_same_content(&found.content, &recording.content) => Ok(Row::There),
            Some(_) => Ok(Row::Taken),
        },
        outcome => outcome,
    }
}

/// Makes a row of a recording whose file is there, as far as the store can tell.
async fn restore(
    database: &dyn Database,
    store: &dyn MediaStore,
    recording: &Recording,
) -> Result<Row, catalogue::Error> {
    if matches!(store.version(&object_of(recording)).await, Ok(None)) {
        return Err(catalogue::Error::RecordingNotFound(recording.id.clone()));
    }
    tell(database, Row::Absent, recording).await
}

async fn tell(database: &dyn Database, row: Row, recording: &Recording) -> Result<Row, catalogue::Error> {
    match row {
        Row::There => database.update_progress(recording).await.map(|()| Row::There),
        // Its file is there: whatever became of its key meanwhile.
        Row::Absent => match database.restore_recording(recording).await {
            Ok(()) => Ok(Row::There),
            Err(catalogue::Error::RecordingExists(_)) => match database.recording(&recording.id).await? {
                // By a transaction that was thought to have failed, or by a rebuild that found the file.
                Some(found) if is_same_content(&found.content, &recording.content) => {
                    if matches!(found.state, RecordingState::Recording { .. }) {
                        database.update_progress(recording).await?;
                    }
                    Ok(Row::There)
                }
                _ => Ok(Row::Taken),
            },
            Err(error) => Err(error),
        },
        Row::Taken => Ok(Row::Taken),
    }
}

/// Whether an error is the catalogue's being away: any answer but a row, or that there is none.
pub(super) fn is_away(error: &catalogue::Error) -> bool {
    error.code() == ErrorCode::CatalogueUnavailable
}

/// Whether a row is of the file that was just written.
pub(super) fn is_same_content(row: &Content, written: &Content) -> bool {
    match (row, written) {
        (Content::Sealed { .. }, Content::Sealed { seal_id, .. }) => row.seal_ids().contains(&Some(*seal_id)),
        (Content::Plain { digest, .. }, Content::Plain { digest: written, .. }) => digest == written,
        (Content::Sealed { .. }, Content::Plain { .. }) | (Content::Plain { .. }, Content::Sealed { .. }) => false,
    }
}

pub(super) fn later(time: Timestamp, by: Duration) -> Timestamp {
    let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_millis(time.millis().saturating_add(millis)).unwrap_or(Timestamp::MAX)
}
