//! Accepts connections, serves them, and stops in order.
//!
//! A connection's way: [`listener`] accepts it, [`limits`] admits it or has it told that there are too many,
//! [`tls`] shakes hands, [`connection`] watches the clock, and [`protocol`] speaks HTTP/1.1 or HTTP/2. Below HTTP lie
//! layers of bytes: [`room`], where it is known whether the system would take any, [`socket`], where a client that takes
//! nothing is noticed, and [`wire`], which knows where a request begins. What HTTP/2 asks for, of a connection and of its
//! [`streams`], is done in [`turns`], while there is an [`outflow`], and what is [`held`] for its clients is bounded.
//! Knows no route and no recording: [`App`] answers.

mod activity;
mod connection;
mod held;
mod limits;
mod listener;
mod outflow;
mod protocol;
mod room;
mod socket;
mod streams;
mod tls;
mod turns;
mod wire;

use std::{
    panic::resume_unwind,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{sync::watch, task::JoinSet, time::Instant};

use super::{App, app::Door};
use connection::Shared;
use held::Held;
use limits::{Admission, Gate};
pub use listener::{ListenError, Listener};
pub(super) use room::Connected;
pub use tls::{Tls, TlsError};

/// How long to wait after the system refused a connection for want of something, and how often to say so.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const ACCEPT_WARNING_INTERVAL: Duration = Duration::from_secs(10);
/// Connections at a time on the listener for metrics and readiness, so that these are seen also in a flood.
const ADMIN_CONNECTIONS: usize = 64;
/// How long connections that are cut may take to notice.
const CUT_TIMEOUT: Duration = Duration::from_millis(500);

/// What an operator may decide about serving.
#[derive(Clone)]
pub struct ServerSettings {
    /// Certificate and key; without them the server speaks HTTP in the clear.
    pub tls: Option<Tls>,
    /// Connections at a time.
    pub max_connections: usize,
    /// How long clients may take.
    pub timeouts: Timeouts,
    /// How long streams may take to finish once the server stops.
    pub drain_timeout: Duration,
}

/// How long clients may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For the TLS handshake.
    pub handshake: Duration,
    /// From the first byte of a request head to its last.
    pub headers: Duration,
    /// Between requests, and before the first.
    pub idle: Duration,
    /// For taking any byte at all of what is sent.
    pub write: Duration,
}

/// A server on one or two listeners.
pub struct Server {
    listener: Listener,
    admin: Option<Listener>,
    app: Arc<App>,
    settings: ServerSettings,
}

/// Where a server stands, for its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Serving,
    /// Streams finish, nothing new begins.
    Draining,
    /// Nobody is waited for any more.
    Cut,
}

impl Server {
    /// Serves on a listener that is bound already, so that whoever bound it could say why it could not.
    #[must_use]
    pub fn new(listener: Listener, app: Arc<App>, settings: ServerSettings) -> Self {
        Self { listener, admin: None, app, settings }
    }

    /// The same, with metrics and readiness on a listener of their own. That one speaks HTTP in the clear.
    #[must_use]
    pub fn with_admin(self, admin: Listener) -> Self {
        Self { admin: Some(admin), ..self }
    }

    /// What answers.
    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Where the recordings are.
    #[must_use]
    pub fn url(&self) -> String {
        self.listener.url(self.settings.tls.is_some())
    }

    /// Serves until `stop` is done, which says for how long connections are still to be taken with readiness failing,
    /// so that whoever balances load looks elsewhere first. Then the listeners close, and streams may finish.
    pub async fn run(self, stop: impl Future<Output = Duration>) {
        let Self { listener, admin, app, settings } = self;
        let watch = settings.tls.clone().map(|tls| tokio::spawn(tls.watch()));
        let (stage, _) = watch::channel(Stage::Serving);
        let held = Held::default();
        let shared =
            |tls| Arc::new(Shared { app: Arc::clone(&app), timeouts: settings.timeouts, tls, held: held.clone() });
        let door = if admin.is_some() { Door::Recordings } else { Door::Both };
        // Tasks among those of connections. Whoever waits for this one may do so on a thread of its own, which the system
        // wakes after milliseconds only where all processors are busy.
        let mut accepting = JoinSet::new();
        let gate = Gate::new(settings.max_connections);
        accepting.spawn(accept(listener, door, gate, shared(settings.tls.clone()), stage.subscribe()));
        if let Some(admin) = admin {
            accepting.spawn(accept(admin, Door::Admin, Gate::new(ADMIN_CONNECTIONS), shared(None), stage.subscribe()));
        }
        let stop = async {
            let delay = stop.await;
            app.is_draining.store(true, Ordering::Relaxed);
            tokio::time::sleep(delay).await;
        };
        // Whoever accepts goes on for ever; ending them closes their listeners.
        tokio::select! {
            Some(Err(error)) = accepting.join_next() => if let Ok(panic) = error.try_into_panic() {
                resume_unwind(panic);
            },
            () = stop => {}
        }
        accepting.shutdown().await;
        stage.send_replace(Stage::Draining);
        if tokio::time::timeout(settings.drain_timeout, stage.closed()).await.is_err() {
            tracing::warn!("some streams did not finish in time and are cut");
            stage.send_replace(Stage::Cut);
            let _cut_with_the_process = tokio::time::timeout(CUT_TIMEOUT, stage.closed()).await;
        }
        if let Some(watch) = watch {
            watch.abort();
        }
    }
}

/// Accepts connections for as long as it is polled. While there is no room at all they wait in the system's queue.
async fn accept(listener: Listener, door: Door, gate: Gate, shared: Arc<Shared>, stage: watch::Receiver<Stage>) {
    let mut warned: Option<Instant> = None;
    loop {
        let room = gate.wait_for_room().await;
        match listener.accept().await {
            Ok(accepted) => {
                let admission: Admission = gate.admit(room);
                tokio::spawn(connection::serve(accepted, admission, door, Arc::clone(&shared), stage.clone()));
            }
            Err(error) => {
                // Out of descriptors, most likely: those who are connected go on, others wait.
                if warned.is_none_or(|at| at.elapsed() >= ACCEPT_WARNING_INTERVAL) {
                    tracing::warn!(%error, "a connection could not be accepted");
                    warned = Some(Instant::now());
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
