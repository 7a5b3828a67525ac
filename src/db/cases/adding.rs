//! Adds recordings, and says of plain ones that they are sealed: those that come while others are being committed share
//! the next transaction, and so one sync.
//!
//! Each has an outcome of its own. One that cannot be done takes no other with it, unless it is the transaction that
//! fails.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::{Connection, Engine, again, keys::refuse_deactivated, plain, recordings};
use crate::base::{Fingerprint, RecordingId};
use crate::catalogue::{Error, PlainLeft, Recording};
use crate::db::Touching;

/// How many one transaction takes, at most: other writers wait for its end.
const BATCH_MAX: usize = 64;

/// Recordings that wait to be added.
#[derive(Clone, Default)]
pub(in crate::db) struct Adding(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    /// Whether a task is adding, and so will come to what waits.
    is_tended: bool,
}

/// What is to be done.
enum Change {
    Add(Recording),
    Seal(Box<(Recording, Recording, PlainLeft)>),
    ForgetPlain(PlainLeft),
}

impl Change {
    fn id(&self) -> &RecordingId {
        match self {
            Self::Add(recording) => &recording.id,
            Self::Seal(of) => &of.1.id,
            Self::ForgetPlain(left) => &left.id,
        }
    }
}

struct Waiting {
    change: Change,
    done: oneshot::Sender<Result<(), Error>>,
}

impl Adding {
    /// Adds a recording to `database`; returns when it is durable there.
    pub(super) async fn add(&self, database: &Engine, recording: Recording) -> Result<(), Error> {
        self.change(database, Change::Add(recording)).await
    }

    /// Says that a plain recording is sealed, `to` in the place of `from`; returns when that is durable.
    pub(super) async fn seal(
        &self,
        database: &Engine,
        from: Recording,
        to: Recording,
        left: PlainLeft,
    ) -> Result<(), Error> {
        self.change(database, Change::Seal(Box::new((from, to, left)))).await
    }

    /// Says that the plain file of a recording is gone; returns when that is durable.
    pub(super) async fn forget_plain(&self, database: &Engine, left: PlainLeft) -> Result<(), Error> {
        self.change(database, Change::ForgetPlain(left)).await
    }

    async fn change(&self, database: &Engine, change: Change) -> Result<(), Error> {
        let (sender, done) = oneshot::channel();
        let was_tended = {
            let mut queue = self.queue();
            queue.waiting.push(Waiting { change, done: sender });
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
    async fn tend(mut self, database: Engine) {
        loop {
            let mut batch: Vec<Waiting> = {
                let mut queue = self.adding.queue();
                let count = queue.waiting.len().min(BATCH_MAX);
                queue.is_tended = count > 0;
                self.is_over = count == 0;
                queue.waiting.drain(..count).collect()
            };
            if batch.is_empty() {
                return;
            }
            // Two that add the same IDs elsewhere at this moment wait for each other in one order, and so not in a circle.
            batch.sort_by(|one, other| one.change.id().as_str().cmp(other.change.id().as_str()));
            let outcomes = do_all(&database, &batch).await;
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
async fn do_all(database: &Engine, batch: &[Waiting]) -> Vec<Result<(), Error>> {
    let outcomes = again(database, || try_all(database, batch)).await;
    outcomes.unwrap_or_else(|error| batch.iter().map(|_| Err(error.clone())).collect())
}

async fn try_all(database: &Engine, batch: &[Waiting]) -> Result<Vec<Result<(), Error>>, Error> {
    let mut transaction = database.begin_write(Touching::Recordings).await?;
    let (mut outcomes, mut active) = (Vec::with_capacity(batch.len()), Vec::new());
    for Waiting { change, .. } in batch {
        outcomes.push(match do_one(&mut transaction, change, &mut active).await {
            // The transaction may be void.
            Err(error @ Error::Unavailable(_)) => return Err(error),
            outcome => outcome,
        });
    }
    if outcomes.iter().any(Result::is_ok) {
        database.commit(transaction).await?;
    }
    Ok(outcomes)
}

/// `active` are keys that this transaction has found not to be deactivated.
async fn do_one(connection: &mut Connection, change: &Change, active: &mut Vec<Fingerprint>) -> Result<(), Error> {
    let sealed_under = match change {
        Change::Add(recording) => recording.fingerprint(),
        Change::Seal(of) => of.1.fingerprint(),
        Change::ForgetPlain(_) => None,
    };
    if let Some(fingerprint) = sealed_under.filter(|fingerprint| !active.contains(fingerprint)) {
        refuse_deactivated(connection, &fingerprint).await?;
        active.push(fingerprint);
    }
    match change {
        Change::Add(recording) => recordings::insert(connection, recording).await,
        Change::Seal(of) => plain::seal(connection, &of.0, &of.1, &of.2).await,
        Change::ForgetPlain(left) => plain::forget(connection, left).await,
    }
}
