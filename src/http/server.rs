//! Accepts connections, serves them, and stops in order.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::net::{TcpListener, TcpStream};

use super::{
    App,
    app::{Connection, Peer},
    observe::Active,
};

/// How long to wait after the system refused a connection for want of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a client may take for its request head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// As many as fit into a request head of 16 KiB, which is always read: `a:\r\n` is the shortest.
const HEADERS_MAX: usize = 16 * 1024 / 4;

/// What an operator may decide about serving.
#[derive(Clone, Copy, Debug)]
pub struct ServerSettings {
    /// How long streams may take to finish once the server stops.
    pub drain_timeout: Duration,
}

/// A server on one address.
pub struct Server {
    listener: TcpListener,
    app: Arc<App>,
    settings: ServerSettings,
}

impl Server {
    /// Serves on a listener that is bound already, so that whoever bound it could say why it could not.
    #[must_use]
    pub fn new(listener: TcpListener, app: Arc<App>, settings: ServerSettings) -> Self {
        Self { listener, app, settings }
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is done; then takes no new connections and lets streams finish.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let graceful = GracefulShutdown::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = &mut stop => break,
            };
            match accepted {
                Ok((stream, peer)) => self.serve(stream, Peer::Tcp(peer), &graceful),
                Err(error) => {
                    // Out of descriptors, most likely: those who are connected go on, others wait.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        self.app.is_draining.store(true, Ordering::Relaxed);
        drop(self.listener);
        if tokio::time::timeout(self.settings.drain_timeout, graceful.shutdown()).await.is_err() {
            tracing::warn!("some streams did not finish in time and are cut");
        }
    }

    fn serve(&self, stream: TcpStream, peer: Peer, graceful: &GracefulShutdown) {
        // Small answers leave at once; large ones fill their packets anyway. A socket that refuses works without.
        let _works_without = stream.set_nodelay(true);
        let app = Arc::clone(&self.app);
        let service = service_fn(move |request| {
            let app = Arc::clone(&app);
            async move { app.observed(request, Connection { peer, is_secure: false }).await }
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_headers(HEADERS_MAX);
        let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), service));
        let active = Active::connection();
        tokio::spawn(async move {
            let _counted = active;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
}
