//! Adds recordings: those that come while others are being committed share the next transaction, and so one sync.
//!
//! Each has an outcome of its own. One that cannot be added takes no other with it, unless it is the transaction that
//! fails.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sqlx::SqliteConnection;
use tokio::sync::oneshot;

use super::{file::InPlace, insert_recording, refuse_deactivated};
use crate::base::Fingerprint;
use crate::catalogue::{Error, Recording};

/// How many one transaction takes, at most: other writers wait for its end.
const BATCH_MAX: usize = 64;

/// Recordings that wait to be added.
#[derive(Clone, Default)]
pub(super) struct Adding(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    /// Whether a task is adding, and so will come to what waits.
    is_tended: bool,
}

struct Waiting {
    recording: Recording,
    done: oneshot::Sender<Result<(), Error>>,
}

impl Adding {
    /// Adds a recording to `database`; returns when it is durable there.
    pub(super) async fn add(&self, database: &InPlace, recording: Recording) -> Result<(), Error> {
        let (sender, done) = oneshot::channel();
        let was_tended = {
            let mut queue = self.queue();
            queue.waiting.push(Waiting { recording, done: sender });
            mem::replace(&mut queue.is_tended, true)
        };
        if !was_tended {
            // On a task of its own: whoever gives up waiting takes nobody's transaction away.
            let tending = Tending { adding: self.clone(), is_over: false };
            tokio::spawn(tending.tend(database.clone()));
        }
        done.await.unwrap_or_else(|_| Err(Error::Unavailable("it was given up".into())))
    }

    /// Nothing that holds it can panic half-way.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever adds. One that ends early, in a panic or with the runtime, leaves nobody waiting, and room for another.
struct Tending {
    adding: Adding,
    is_over: bool,
}

impl Tending {
    /// Adds until nobody waits.
    async fn tend(mut self, database: InPlace) {
        loop {
            let batch: Vec<Waiting> = {
                let mut queue = self.adding.queue();
                let count = queue.waiting.len().min(BATCH_MAX);
                queue.is_tended = count > 0;
                self.is_over = count == 0;
                queue.waiting.drain(..count).collect()
            };
            if batch.is_empty() {
                return;
            }
            let outcomes = add_all(&database, &batch).await;
            for (waiting, outcome) in batch.into_iter().zip(outcomes) {
                // Whoever gave up waiting does not want to know.
                let _gave_up = waiting.done.send(outcome);
            }
        }
    }
}

impl Drop for Tending {
    fn drop(&mut self) {
        if !self.is_over {
            *self.adding.queue() = Queue::default();
        }
    }
}

/// One transaction; the outcome of each.
async fn add_all(database: &InPlace, batch: &[Waiting]) -> Vec<Result<(), Error>> {
    let added = async {
        let mut transaction = database.begin_write().await?;
        let (mut outcomes, mut active) = (Vec::with_capacity(batch.len()), Vec::new());
        for Waiting { recording, .. } in batch {
            outcomes.push(match add_one(&mut transaction, recording, &mut active).await {
                // The transaction may be void.
                Err(error @ Error::Unavailable(_)) => return Err(error),
                outcome => outcome,
            });
        }
        if outcomes.iter().any(Result::is_ok) {
            database.commit(transaction).await?;
        }
        Ok(outcomes)
    };
    added.await.unwrap_or_else(|error| batch.iter().map(|_| Err(error.clone())).collect())
}

/// `active` are keys that this transaction has found not to be deactivated.
async fn add_one(
    connection: &mut SqliteConnection,
    recording: &Recording,
    active: &mut Vec<Fingerprint>,
) -> Result<(), Error> {
    if let Some(fingerprint) = recording.fingerprint().filter(|fingerprint| !active.contains(fingerprint)) {
        refuse_deactivated(connection, &fingerprint).await?;
        active.push(fingerprint);
    }
    insert_recording(connection, recording).await
}
