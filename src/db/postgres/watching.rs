//! Hears of changes, and of whether the server is there, on a connection of its own.
//!
//! Triggers on the tables notify when a transaction commits (`migrations/`). A connection that was lost may have missed
//! something, so that one that came back counts as a change. One that says nothing is asked for a sign of life, so that a
//! server that vanished is known before the system's own timeouts.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use super::options::connect;
use super::server::refuse_another;
use crate::catalogue::Error;
use crate::db::deadline::READ_DEADLINE;
use crate::db::unavailable;

/// What the triggers call.
const CHANNEL: &str = "sealtape";
/// After how much silence the server is asked for a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How often a server that is away is looked for.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Whoever hears of changes; begun when it is first asked, and ended with the last that holds it.
#[derive(Clone)]
pub(super) struct Watch(Arc<Inner>);

struct Inner {
    connect_options: Arc<PgConnectOptions>,
    name: Arc<OnceLock<String>>,
    heard: Arc<Heard>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What was heard so far.
struct Heard {
    changes: AtomicU64,
    standing: watch::Sender<Standing>,
}

#[derive(Clone, PartialEq, Eq)]
enum Standing {
    /// Nobody listens yet.
    Unknown,
    There,
    /// And why.
    Away(String),
    Closed,
}

impl Watch {
    pub(super) fn new(connect_options: Arc<PgConnectOptions>, name: Arc<OnceLock<String>>) -> Self {
        let heard = Heard { changes: AtomicU64::new(0), standing: watch::Sender::new(Standing::Unknown) };
        Self(Arc::new(Inner { connect_options, name, heard: Arc::new(heard), task: Mutex::new(None) }))
    }

    /// How many changes there were; waits for the first connection alone.
    pub(super) async fn change_counter(&self) -> Result<u64, Error> {
        self.begin();
        let mut standing = self.0.heard.standing.subscribe();
        // It ends with its sender, which is held here.
        let _is_known = standing.wait_for(|standing| *standing != Standing::Unknown).await;
        self.refuse_while_away()?;
        Ok(self.0.heard.changes.load(Ordering::Acquire))
    }

    /// Says that this process changed something.
    pub(super) fn note_change(&self) {
        self.0.heard.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Refuses while the server is known to be away.
    pub(super) fn refuse_while_away(&self) -> Result<(), Error> {
        self.0.heard.standing.borrow().refuse()
    }

    /// Waits for a server that is away, up to `limit`: it may only be starting again.
    pub(super) async fn wait_while_away(&self, limit: Duration) -> Result<(), Error> {
        let mut standing = self.0.heard.standing.subscribe();
        let _is_back = timeout(limit, standing.wait_for(|standing| standing.refuse().is_ok())).await;
        self.refuse_while_away()
    }

    /// Returns when the server is found to be away, and why.
    pub(super) async fn lost(&self) -> Error {
        let mut standing = self.0.heard.standing.subscribe();
        loop {
            if standing.changed().await.is_err() {
                return Standing::Closed.refuse().err().unwrap_or(Error::Missing);
            }
            if let Err(error) = standing.borrow_and_update().refuse() {
                return error;
            }
        }
    }

    pub(super) async fn end(&self) {
        let task = self.task().take();
        self.0.heard.standing.send_replace(Standing::Closed);
        if let Some(task) = task {
            task.abort();
            let _ended_either_way = task.await;
        }
    }

    fn begin(&self) {
        let mut task = self.task();
        if task.is_none() && *self.0.heard.standing.borrow() == Standing::Unknown {
            let Inner { connect_options, name, heard, .. } = &*self.0;
            *task = Some(tokio::spawn(listen(Arc::clone(connect_options), Arc::clone(name), Arc::clone(heard))));
        }
    }

    fn task(&self) -> std::sync::MutexGuard<'_, Option<JoinHandle<()>>> {
        self.0.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standing {
    fn refuse(&self) -> Result<(), Error> {
        match self {
            Self::Unknown | Self::There => Ok(()),
            Self::Away(reason) => Err(Error::Unavailable(reason.clone())),
            Self::Closed => Err(Error::Unavailable("it was closed".into())),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

/// Listens for ever, on one connection after the other.
async fn listen(options: Arc<PgConnectOptions>, name: Arc<OnceLock<String>>, heard: Arc<Heard>) {
    loop {
        match listener(&options, &name).await {
            Ok(mut listener) => {
                heard.changes.fetch_add(1, Ordering::AcqRel);
                heard.standing.send_replace(Standing::There);
                // Why it ended does not matter: whether there can be another one does.
                let _lost = hear(&mut listener, &heard).await;
            }
            Err(Error::Unavailable(reason)) => {
                heard.standing.send_replace(Standing::Away(reason));
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            Err(other) => {
                heard.standing.send_replace(Standing::Away(other.to_string()));
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}

/// A connection that listens.
async fn listener(options: &PgConnectOptions, name: &OnceLock<String>) -> Result<PgListener, Error> {
    // The first one says why, where a pool would only say that it took too long.
    let mut first = connect(options, READ_DEADLINE).await?;
    let listening = async {
        refuse_another(&mut first, name).await?;
        let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        let pool = pool.acquire_timeout(READ_DEADLINE).connect_lazy_with(options.clone());
        let mut listener = PgListener::connect_with(&pool).await.map_err(unavailable)?;
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await.map_err(unavailable)?;
        Ok(listener)
    };
    let outcome = timeout(READ_DEADLINE, listening).await;
    outcome.unwrap_or_else(|_| Err(Error::Unavailable(format!("no answer within {READ_DEADLINE:?}"))))
}

/// Counts what is heard until the connection is lost.
async fn hear(listener: &mut PgListener, heard: &Heard) -> Result<(), sqlx::Error> {
    loop {
        match timeout(HEARTBEAT, listener.try_recv()).await {
            Ok(Ok(Some(_))) => {
                while listener.next_buffered().is_some() {}
                heard.changes.fetch_add(1, Ordering::AcqRel);
            }
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                let sign = sqlx::query("SELECT 1").execute(&mut *listener);
                timeout(READ_DEADLINE, sign).await.map_err(|_| sqlx::Error::PoolTimedOut)??;
            }
        }
    }
}
