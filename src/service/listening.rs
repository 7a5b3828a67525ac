//! Who listens to what, now: one session for one player and one version of one recording, however many requests it
//! takes; and what of it is recorded when.
//!
//! A session is recorded as `opened` before its first byte leaves, as `progress` every few seconds in which it was
//! given something, and as `closed` when no request was under way for a while.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use metrics::gauge;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{
    listening_session::{Heard, Listener, Opening, Player, Session, SessionKey},
    refusals::Refusals,
};
use crate::audit::{self, AuditLog, Event, EventKind};
use crate::base::{ErrorCode, RecordingId, metrics as names};

/// How many sessions are held at a time; each takes a few KiB at most.
const SESSIONS_MAX: usize = 16_384;
/// How many sessions are closed before their events are waited for.
const CLOSED_AT_ONCE: usize = 1024;
/// How often it is looked whether something is due.
const TICK: Duration = Duration::from_secs(1);

/// What happens to listening when it cannot be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It is refused.
    Refuse,
    /// It goes on, and the loss is counted.
    Continue,
}

/// When sessions are recorded.
#[derive(Clone, Copy, Debug)]
pub struct ListeningSettings {
    /// What happens when they cannot be.
    pub on_failure: OnFailure,
    /// How often the progress of a session is recorded, at most.
    pub progress_interval: Duration,
    /// How long a session without a request stays open.
    pub idle: Duration,
}

impl ListeningSettings {
    /// The usual intervals.
    #[must_use]
    pub fn new(on_failure: OnFailure) -> Self {
        Self { on_failure, progress_interval: Duration::from_secs(5), idle: Duration::from_secs(30) }
    }
}

/// Why media is not given out although it could be.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ListeningError {
    /// The operator: it cannot be recorded.
    #[error("the playback record cannot be written: {0}")]
    NotRecorded(#[from] audit::Error),
    /// Time: more sessions are under way than are held.
    #[error("too many sessions are under way")]
    TooMany,
}

impl ListeningError {
    /// The name that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotRecorded(error) => error.code(),
            Self::TooMany => ErrorCode::Overloaded,
        }
    }
}

/// The sessions, and their record.
pub struct Listening {
    log: Arc<AuditLog>,
    settings: ListeningSettings,
    sessions: Mutex<HashMap<SessionKey, Arc<Session>>>,
    sessions_max: usize,
    refusals: Mutex<Refusals>,
}

impl Listening {
    /// Records to `log`. Must be called within a runtime: what is due is looked for from time to time.
    #[must_use]
    pub fn start(log: Arc<AuditLog>, settings: ListeningSettings) -> Arc<Self> {
        Self::start_with(log, settings, SESSIONS_MAX, TICK)
    }

    fn start_with(log: Arc<AuditLog>, settings: ListeningSettings, sessions_max: usize, tick: Duration) -> Arc<Self> {
        let listening =
            Arc::new(Self { log, settings, sessions: Mutex::default(), sessions_max, refusals: Mutex::default() });
        tokio::spawn(look_from_time_to_time(Arc::downgrade(&listening), tick));
        listening
    }

    /// Where it is recorded.
    #[must_use]
    pub fn log(&self) -> &Arc<AuditLog> {
        &self.log
    }

    /// A request for media begins: the first of a session returns when the session is durably recorded. Call it after
    /// all that can refuse the request, and before a byte of media leaves.
    ///
    /// # Errors
    ///
    /// It cannot be recorded, and settings say that it is refused then.
    pub async fn begin(
        self: &Arc<Self>,
        player: &Arc<Player>,
        heard: Heard,
        request_id: &str,
    ) -> Result<Listener, ListeningError> {
        let key = SessionKey::new(player, &heard);
        let (listener, is_new) = self.join(&key, player, heard, request_id)?;
        if is_new {
            // A task of its own: a client that hangs up meanwhile takes nobody's event along.
            tokio::spawn(Arc::clone(self).record_opened(key, Arc::clone(listener.session())));
        }
        match listener.session().opening().await {
            Opening::Failed(error) => Err(error.into()),
            Opening::Pending | Opening::Recorded => Ok(listener),
        }
    }

    /// Media was refused. Repetitions are counted, and what comes too often is summed up.
    pub fn refused(&self, player: &Player, recording: Option<&RecordingId>, code: ErrorCode, request_id: &str) {
        let event = lock(&self.refusals).add(Some(player), recording, code, request_id);
        if let Some(event) = event {
            self.log.note(event);
        }
    }

    /// Records something else that was done, by the same rule: where it cannot be, the rule says whether it may be done.
    ///
    /// # Errors
    ///
    /// It cannot be recorded, and settings say that it is refused then.
    pub async fn record(&self, event: Event) -> Result<(), audit::Error> {
        match (self.log.record(event.clone()).await, self.settings.on_failure) {
            (Err(error), OnFailure::Refuse) => Err(error),
            (Err(_), OnFailure::Continue) => {
                self.log.note(event);
                Ok(())
            }
            (Ok(()), _) => Ok(()),
        }
    }

    /// Whether something that is to be recorded when it is done may be begun, by the same rule.
    ///
    /// # Errors
    ///
    /// Nothing can be recorded, and settings say that it is refused then.
    pub async fn check(&self) -> Result<(), audit::Error> {
        match self.settings.on_failure {
            OnFailure::Refuse => self.log.check().await,
            OnFailure::Continue => Ok(()),
        }
    }

    /// Records something that nobody waits for, some time soon.
    pub fn note(&self, event: Event) {
        self.log.note(event);
    }

    /// Closes every session, and waits until that is recorded as far as it can be.
    pub async fn close_all(&self) {
        let sessions: Vec<Arc<Session>> = lock(&self.sessions).drain().map(|(_, session)| session).collect();
        for (count, session) in (1..).zip(sessions) {
            self.tell(session.close("shutdown"));
            if count % CLOSED_AT_ONCE == 0 {
                // More than are held must not wait at a time. Why it could not be is in the log already.
                let _as_far_as_possible = self.log.check().await;
            }
        }
        let summed_up = lock(&self.refusals).sum_up();
        summed_up.into_iter().for_each(|event| self.log.note(event));
        // Why it could not be is in the log already.
        let _as_far_as_possible = self.log.check().await;
    }

    /// The session of a player, and whether it is new. Whoever holds the listener keeps it open.
    fn join(
        &self,
        key: &SessionKey,
        player: &Arc<Player>,
        heard: Heard,
        request_id: &str,
    ) -> Result<(Listener, bool), ListeningError> {
        let mut sessions = lock(&self.sessions);
        if let Some(session) = sessions.get(key) {
            return Ok((Listener::join(session, &heard, request_id), false));
        }
        if sessions.len() >= self.sessions_max {
            let idlest = sessions.iter().filter_map(|(key, session)| Some((session.idle_since()?, *key))).min();
            let (_, idlest) = idlest.ok_or(ListeningError::TooMany)?;
            self.tell(sessions.remove(&idlest).and_then(|session| session.close("crowded")));
        }
        let session = Arc::new(Session::new(player, heard.clone())?);
        sessions.insert(*key, Arc::clone(&session));
        Ok((Listener::join(&session, &heard, request_id), true))
    }

    async fn record_opened(self: Arc<Self>, key: SessionKey, session: Arc<Session>) {
        let outcome = self.record(session.opened()).await;
        if outcome.is_err() {
            // The next request tries again, as another session.
            let mut sessions = lock(&self.sessions);
            if sessions.get(&key).is_some_and(|there| Arc::ptr_eq(there, &session)) {
                sessions.remove(&key);
            }
        }
        session.set_opening(outcome.map_or_else(Opening::Failed, |()| Opening::Recorded));
    }

    fn look(&self) {
        let now = Instant::now();
        let is_over = |session: &Session| {
            session.idle_since().is_some_and(|since| now.saturating_duration_since(since) >= self.settings.idle)
        };
        let mut closed = Vec::new();
        let open: Vec<Arc<Session>> = {
            let mut sessions = lock(&self.sessions);
            sessions.retain(|_, session| {
                let is_over = is_over(session);
                if is_over {
                    closed.push(Arc::clone(session));
                }
                !is_over
            });
            sessions.values().cloned().collect()
        };
        #[expect(clippy::cast_precision_loss, reason = "some thousands at most")]
        gauge!(names::SESSIONS_ACTIVE).set(open.len() as f64);
        for session in closed {
            self.tell(session.close("idle"));
        }
        for session in open {
            self.tell(session.progress(now, self.settings.progress_interval));
        }
        let due = lock(&self.refusals).due(now);
        due.into_iter().for_each(|event| self.log.note(event));
    }

    fn tell(&self, event: Option<Event>) {
        let Some(event) = event else { return };
        if event.kind == EventKind::Closed {
            // One line a session, whatever the number of its requests.
            tracing::info!(
                session = event.session.as_deref(),
                subject = event.subject.as_deref(),
                recording = event.recording.as_deref(),
                requests = event.requests,
                bytes = event.bytes,
                outcome = event.outcome.as_deref(),
                "listened"
            );
        }
        self.log.note(event);
    }
}

async fn look_from_time_to_time(listening: Weak<Listening>, tick: Duration) {
    let mut ticks = interval(tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(listening) = listening.upgrade() else { return };
        listening.look();
    }
}

/// Nothing that holds these locks can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
