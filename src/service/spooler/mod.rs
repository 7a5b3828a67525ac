//! Brings media out of the spool into the store: when it has ended, and again and again until it is there.
//!
//! A server looks through its spool all the time it runs, and so finds what an earlier one left. A command sees to what it
//! took in itself, and leaves to a server what cannot be done now. Knows no store: what one upload is, is
//! [`Maintenance::upload_spooled`]. When what is tried is in `queue`.

mod queue;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use metrics::counter;
use tokio::{
    sync::{Notify, Semaphore},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use self::queue::{Outcome, Queue};
use super::{Clock, KeyWatch, Maintenance, MaintenanceError, NotYet, Spooled, meter::METER};
use crate::base::{RecordingId, metrics as names};
use crate::catalogue::Database;
use crate::media::{self, MediaStore, ObjectRole, Stage};

/// How often the spool is looked through.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// How often the catalogue is asked for rows that name the spool when there is nothing in it any more.
const ROWS_INTERVAL: Duration = Duration::from_secs(60);
const PAGE_LEN: u32 = 1000;
/// Uploads at a time.
const AT_ONCE: usize = 4;
/// How long a recording that was taken in is not acknowledged, for the sake of being in the store as well as in the
/// spool; and how long a command tries.
const SERVER_PATIENCE: Duration = Duration::from_secs(5);
const COMMAND_PATIENCE: Duration = Duration::from_secs(15);
const COMMAND_TICK: Duration = Duration::from_millis(250);
/// From when on it shows in `/readyz` that something waits.
const LONG: Duration = Duration::from_secs(30);

/// Brings media from the spool to the store.
pub struct Spooler {
    database: Arc<dyn Database>,
    store: Arc<dyn MediaStore>,
    maintenance: Maintenance,
    queue: Mutex<Queue>,
    /// Somebody is to be seen to now.
    came: Notify,
    /// Something was tried.
    tried: Notify,
    at_once: Semaphore,
}

impl Spooler {
    /// Of the spool before `store`.
    #[must_use]
    pub fn new(database: Arc<dyn Database>, store: Arc<dyn MediaStore>, keys: Arc<KeyWatch>, clock: Clock) -> Self {
        let maintenance = Maintenance::look(Arc::clone(&database), Arc::clone(&store), keys, clock);
        Self {
            database,
            store,
            maintenance,
            queue: Mutex::default(),
            came: Notify::new(),
            tried: Notify::new(),
            at_once: Semaphore::new(AT_ONCE),
        }
    }

    /// Uploads whatever waits, for as long as it is polled.
    pub async fn run(self: Arc<Self>) {
        let (mut uploads, mut asked): (JoinSet<()>, Option<Instant>) = (JoinSet::new(), None);
        loop {
            let is_to_ask = asked.is_none_or(|at| at.elapsed() >= ROWS_INTERVAL);
            match self.look(is_to_ask).await {
                Ok(()) if is_to_ask => asked = Some(Instant::now()),
                Ok(()) => {}
                Err(error) => tracing::warn!(%error, "it cannot be told what waits in the spool"),
            }
            while uploads.try_join_next().is_some() {}
            let due = self.queue().take_due(Instant::now());
            for id in due {
                let spooler = Arc::clone(&self);
                uploads.spawn(async move {
                    // Never closed.
                    let _turn = spooler.at_once.acquire().await;
                    spooler.try_upload(&id).await;
                });
            }
            let next = self.queue().next_due().unwrap_or_else(|| Instant::now() + LOOK_INTERVAL);
            tokio::select! {
                () = self.came.notified() => {}
                () = tokio::time::sleep_until(next.min(Instant::now() + LOOK_INTERVAL)) => {}
            }
        }
    }

    /// Has a recording that has ended uploaded next.
    pub(super) fn ended(&self, id: &RecordingId) {
        self.queue().ended(id, Instant::now());
        self.came.notify_one();
    }

    /// Waits for a recording that has ended to be in the store, where a server runs that sees to it: for a while, and not
    /// while the store is away. Whether it is there.
    pub(super) async fn wait(&self, id: &RecordingId) -> bool {
        self.ended(id);
        let gone = async {
            loop {
                let tried = self.tried.notified();
                match self.queue().failures(id) {
                    None => return true,
                    Some(0) => {}
                    Some(_) => return false,
                }
                tried.await;
            }
        };
        timeout(SERVER_PATIENCE, gone).await.unwrap_or(false)
    }

    /// Uploads a recording that has ended, for a command, which has nobody else to do so; whether it is in the store.
    pub(super) async fn bring(&self, id: &RecordingId) -> bool {
        let deadline = Instant::now() + COMMAND_PATIENCE;
        loop {
            match self.maintenance.upload_spooled(id).await {
                Ok(Spooled::Stored) => return true,
                Ok(Spooled::NotYet(NotYet::BeingRecorded | NotYet::NotCatalogued | NotYet::OtherFirst)) => {
                    return false;
                }
                // A server may be at it.
                Ok(Spooled::NotYet(NotYet::Claimed)) => {}
                Err(error) => tracing::info!(%id, %error, "its media is not in the media store yet"),
            }
            if Instant::now() >= deadline {
                return false;
            }
            sleep(COMMAND_TICK).await;
        }
    }

    /// Whether a recording that has ended waits for longer than a while.
    #[must_use]
    pub fn waits_long(&self) -> bool {
        self.queue().oldest(Instant::now()).is_some_and(|age| age >= LONG)
    }

    /// Shows how long the one waits that has ended and waits longest.
    pub fn show_age(&self) {
        METER.show_spool_age(self.queue().oldest(Instant::now()).unwrap_or_default());
    }

    /// Takes note of all that is in the spool, and, if asked to, of rows that say so.
    async fn look(&self, and_ask: bool) -> Result<(), MaintenanceError> {
        let found = self.in_spool().await?;
        METER.show_spool(found.len(), found.values().sum());
        let named = if and_ask { self.named_by_rows().await? } else { Vec::new() };
        let now = Instant::now();
        self.queue().found(found.into_keys().chain(named), now, and_ask);
        Ok(())
    }

    /// What is in the spool, and how long it is.
    async fn in_spool(&self) -> Result<HashMap<RecordingId, u64>, media::Error> {
        let (mut found, mut after) = (HashMap::new(), None);
        let Some(spool) = self.store.spool() else { return Ok(found) };
        loop {
            let page = spool.list(after.as_deref()).await?;
            for object in page.objects {
                if object.role == ObjectRole::Media && object.stage != Stage::Next {
                    let len = spool.version(&object).await?.map_or(0, |version| version.len);
                    *found.entry(object.id).or_default() += len;
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(found);
            }
        }
    }

    /// Recordings whose rows name the spool.
    async fn named_by_rows(&self) -> Result<Vec<RecordingId>, MaintenanceError> {
        let mut named: Vec<RecordingId> = Vec::new();
        let Some(spool) = self.store.spool() else { return Ok(named) };
        loop {
            let rows = self.database.spooled_recordings(spool.location(), named.last(), PAGE_LEN).await?;
            let is_last = rows.len() < PAGE_LEN as usize;
            named.extend(rows.into_iter().map(|row| row.id));
            if is_last {
                return Ok(named);
            }
        }
    }

    async fn try_upload(&self, id: &RecordingId) {
        let outcome = match self.maintenance.upload_spooled(id).await {
            Ok(Spooled::Stored) => {
                counter!(names::SPOOL_UPLOADS, "outcome" => "stored").increment(1);
                tracing::debug!(%id, "its media is in the media store");
                Outcome::Done
            }
            Ok(Spooled::NotYet(not_yet)) => Outcome::NotYet(not_yet),
            Err(error) => {
                counter!(names::SPOOL_UPLOADS, "outcome" => "failed").increment(1);
                let failures = self.queue().failures(id).unwrap_or_default();
                // Not each time: it is tried for ever.
                if failures.is_power_of_two() || failures == 0 {
                    tracing::warn!(%id, %error, failures, "its media stays in the spool for now, and plays from there");
                }
                Outcome::Failed
            }
        };
        self.queue().tried(id, outcome, Instant::now());
        self.tried.notify_waiters();
    }

    /// Nothing that holds it can panic half-way.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
