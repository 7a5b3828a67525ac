//! The record as the rest of the program sees it: events go in, and are durable when a call returns.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use metrics::{counter, histogram};
use tokio::sync::oneshot;

use super::{Error, Event, EventKind, store::Store};
use crate::base::{Timestamp, metrics as names};

/// The time of day.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How long a file may grow before another one is begun, in bytes.
const FILE_LEN_MAX: u64 = 64 << 20;
/// How many callers may wait for their events at a time.
const WAITING_MAX: usize = 16_384;
/// How many events may wait that nobody waits for.
const NOTES_MAX: usize = 4096;
/// How many events one append takes, at most.
const BATCH_MAX: usize = 1024;
/// How long a caller waits at most.
const RECORD_TIMEOUT: Duration = Duration::from_secs(10);
/// When an append that failed is tried again for those events that nobody waits for.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Writes events to the chain of a folder. Those that come while others are being synced share the next sync.
pub struct AuditLog {
    shared: Arc<Shared>,
    clock: Clock,
    folder: PathBuf,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Events that were given up, ever.
    lost: AtomicU64,
    /// Those of them that the chain does not tell of yet.
    lost_untold: AtomicU64,
    failure: Mutex<Option<Error>>,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<Entry>,
    waiting: usize,
    is_closing: bool,
}

struct Entry {
    /// None where only the chain is to be looked at.
    event: Option<(Timestamp, Event)>,
    done: Option<oneshot::Sender<Result<(), Error>>>,
}

impl AuditLog {
    /// Writes to a folder, which is made when the first event comes. [`Self::check`] says whether it can.
    #[must_use]
    pub fn new(folder: &Path, clock: Clock) -> Self {
        Self::begin(folder, clock, FILE_LEN_MAX, None)
    }

    /// The same, whose lines name who wrote them, so that the records of several proxies can be read as one.
    #[must_use]
    pub fn of_instance(folder: &Path, clock: Clock, instance: &str) -> Self {
        Self::begin(folder, clock, FILE_LEN_MAX, Some(instance.to_owned()))
    }

    #[cfg(test)]
    pub(super) fn with_file_len_max(folder: &Path, clock: Clock, file_len_max: u64) -> Self {
        Self::begin(folder, clock, file_len_max, None)
    }

    fn begin(folder: &Path, clock: Clock, file_len_max: u64, instance: Option<String>) -> Self {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            lost: AtomicU64::new(0),
            lost_untold: AtomicU64::new(0),
            failure: Mutex::new(None),
        });
        // At zero from the start, so that the first one is seen as a rise.
        counter!(names::AUDIT_EVENTS_LOST).increment(0);
        let (writer, store, now) =
            (Arc::clone(&shared), Store::new(folder, file_len_max, instance), Arc::clone(&clock));
        let started = thread::Builder::new().name("audit".into()).spawn(move || writer.write(store, &now));
        if started.is_err() {
            lock(&shared.queue).is_closing = true;
        }
        Self { shared, clock, folder: folder.to_owned() }
    }

    /// Records an event; returns when it is durable.
    ///
    /// # Errors
    ///
    /// Why it is not. After [`Error::Timeout`] it may still become so.
    pub async fn record(&self, event: Event) -> Result<(), Error> {
        self.wait_for(Some(event)).await
    }

    /// Sees that the chain's end is whole, repairs it where a writer was killed, and waits for all that came before.
    ///
    /// # Errors
    ///
    /// Why nothing can be recorded.
    pub async fn check(&self) -> Result<(), Error> {
        self.wait_for(None).await
    }

    /// Records an event some time soon. One that cannot be held until then is counted as lost.
    pub fn note(&self, event: Event) {
        let at = (self.clock)();
        let mut queue = lock(&self.shared.queue);
        if queue.is_closing || queue.entries.len() - queue.waiting >= NOTES_MAX {
            drop(queue);
            self.shared.count_lost(1);
            return;
        }
        queue.entries.push_back(Entry { event: Some((at, event)), done: None });
        drop(queue);
        self.shared.wake.notify_one();
    }

    /// Why the last attempt to write failed, when it did.
    #[must_use]
    pub fn health(&self) -> Option<Error> {
        lock(&self.shared.failure).clone()
    }

    /// How many events were given up so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    async fn wait_for(&self, event: Option<Event>) -> Result<(), Error> {
        let event = event.map(|event| ((self.clock)(), event));
        let (sender, done) = oneshot::channel();
        {
            let mut queue = lock(&self.shared.queue);
            if queue.is_closing {
                return Err(Error::Closed);
            }
            if queue.waiting >= WAITING_MAX {
                return Err(Error::Overloaded);
            }
            queue.waiting += 1;
            queue.entries.push_back(Entry { event, done: Some(sender) });
        }
        self.shared.wake.notify_one();
        match tokio::time::timeout(RECORD_TIMEOUT, done).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Error::Closed),
            Err(_) => {
                let error = Error::Timeout { path: self.folder.display().to_string() };
                *lock(&self.shared.failure) = Some(error.clone());
                Err(error)
            }
        }
    }
}

impl Drop for AuditLog {
    /// What is still in the queue is written by the writer's thread, if the process lives that long.
    fn drop(&mut self) {
        lock(&self.shared.queue).is_closing = true;
        self.shared.wake.notify_one();
    }
}

impl Shared {
    /// The writer's thread.
    fn write(&self, mut store: Store, clock: &Clock) {
        let mut is_failing = false;
        while let Some(batch) = self.take(is_failing) {
            let untold = self.lost_untold.swap(0, Ordering::Relaxed);
            let now = clock();
            let (mut events, mut callers, mut notes) = (Vec::with_capacity(batch.len() + 1), Vec::new(), 0);
            // Notes first: those that are kept for another attempt must be told from those that callers answer for.
            let (noted, awaited): (Vec<Entry>, Vec<Entry>) = batch.into_iter().partition(|entry| entry.done.is_none());
            for entry in noted.into_iter().chain(awaited) {
                notes += usize::from(entry.done.is_none());
                events.extend(entry.event);
                callers.extend(entry.done);
            }
            if untold > 0 {
                events.push((now, Event { count: Some(untold), ..Event::new(EventKind::Lost) }));
            }
            let begun = Instant::now();
            let outcome = store.append(now, &events);
            if outcome.is_ok() && !events.is_empty() {
                counter!(names::AUDIT_EVENTS).increment(events.len() as u64);
                histogram!(names::AUDIT_COMMIT_TIME).record(begun.elapsed());
            }
            self.tell_of(&outcome);
            is_failing = outcome.is_err();
            if is_failing {
                self.lost_untold.fetch_add(untold, Ordering::Relaxed);
                events.truncate(notes);
                self.put_back(events);
            }
            for caller in callers {
                // Whoever gave up waiting does not want to know.
                let _gave_up = caller.send(outcome.clone());
            }
        }
    }

    /// The next entries, when there are some; none when the log is closed.
    fn take(&self, is_failing: bool) -> Option<Vec<Entry>> {
        let mut queue = lock(&self.queue);
        loop {
            // After a failure, notes alone wait a moment for the next attempt.
            let is_ready = if is_failing { queue.waiting > 0 } else { !queue.entries.is_empty() };
            if is_ready || queue.is_closing {
                break;
            }
            if is_failing && !queue.entries.is_empty() {
                let (again, waited) =
                    self.wake.wait_timeout(queue, RETRY_PAUSE).unwrap_or_else(PoisonError::into_inner);
                queue = again;
                if waited.timed_out() {
                    break;
                }
            } else {
                queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
        }
        if queue.is_closing && (queue.entries.is_empty() || is_failing) {
            return None;
        }
        let count = queue.entries.len().min(BATCH_MAX);
        let batch: Vec<Entry> = queue.entries.drain(..count).collect();
        queue.waiting -= batch.iter().filter(|entry| entry.done.is_some()).count();
        Some(batch)
    }

    /// Keeps notes for the next attempt, as many as are held.
    fn put_back(&self, notes: Vec<(Timestamp, Event)>) {
        let mut queue = lock(&self.queue);
        let room = NOTES_MAX.saturating_sub(queue.entries.len() - queue.waiting);
        let lost = notes.len().saturating_sub(room);
        for event in notes.into_iter().take(room).rev() {
            queue.entries.push_front(Entry { event: Some(event), done: None });
        }
        drop(queue);
        self.count_lost(lost as u64);
    }

    fn count_lost(&self, count: u64) {
        counter!(names::AUDIT_EVENTS_LOST).increment(count);
        self.lost.fetch_add(count, Ordering::Relaxed);
        self.lost_untold.fetch_add(count, Ordering::Relaxed);
    }

    /// Logs a failure once, and its end.
    fn tell_of(&self, outcome: &Result<(), Error>) {
        let mut failure = lock(&self.failure);
        match (outcome, failure.is_some()) {
            (Err(error), false) => tracing::error!(%error, "the playback record cannot be written"),
            (Ok(()), true) => tracing::info!("the playback record is written again"),
            _ => {}
        }
        *failure = outcome.clone().err();
    }
}

/// Nothing that holds these locks can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
