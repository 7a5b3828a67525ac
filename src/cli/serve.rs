//! `sealtape serve`: the proxy.

use std::{
    io,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::Notify,
};

use super::{Failure, Global, open::System, print, telemetry};
use crate::config::{AuthMode, Listen, parse_listen};
use crate::http::{App, Server, ServerSettings};
use crate::service::KeyWatch;

#[derive(Args)]
pub(super) struct Arguments {
    /// Where to listen [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = parse_listen)]
    listen: Option<Listen>,
}

pub(super) async fn run(global: &Global, arguments: Arguments) -> Result<ExitCode, Failure> {
    let system = System::open(global).await?;
    let outcome = serve(global, arguments, &system).await;
    system.close(outcome).await
}

async fn serve(global: &Global, arguments: Arguments, system: &System) -> Result<ExitCode, Failure> {
    let listen = arguments.listen.unwrap_or_else(|| system.settings.server.listen.clone());
    refuse_strangers(&listen, system.settings.auth.mode)?;
    let keys = system.keys().await?;
    let listener = bind(&listen).await?;
    system.warn_of_key_beside_data();
    let signals = Signals::listen()?;
    let server = server(system, &keys, listener, false, system.settings.server.drain_timeout);
    let address = server.address().map_err(|error| Failure::new(error.to_string()))?;
    if global.json {
        print::json(&serde_json::json!({ "url": format!("http://{address}/") }))?;
    } else {
        print::line(&format!("sealtape serves at http://{address}/"))?;
    }
    run_until_stopped(server, keys, system.settings.reload_interval, signals).await;
    Ok(ExitCode::SUCCESS)
}

/// Without sign-in, the server answers on this machine alone.
pub(super) fn refuse_strangers(listen: &Listen, auth: AuthMode) -> Result<(), Failure> {
    match auth {
        AuthMode::None if !listen.is_local() => Err(Failure::new(format!(
            "{listen} can be reached from other machines, and nobody would be asked who they are"
        ))
        .advise("listen on 127.0.0.1 or [::1], or set auth.mode to \"token\" or \"proxy\"")),
        AuthMode::None | AuthMode::Token | AuthMode::Proxy => Ok(()),
    }
}

pub(super) async fn bind(listen: &Listen) -> Result<TcpListener, Failure> {
    let Listen::Tcp(listen) = *listen else { return Err(Failure::new("socket files are not there yet")) };
    TcpListener::bind(listen).await.map_err(|error| {
        let what = match error.kind() {
            io::ErrorKind::AddrInUse => format!("{listen} is in use by another program"),
            _ => format!("{listen}: {error}"),
        };
        Failure::new(what).advise("choose another address or port with --listen")
    })
}

/// The server over a system, on a listener that is bound.
pub(super) fn server(
    system: &System,
    keys: &Arc<KeyWatch>,
    listener: TcpListener,
    is_demo: bool,
    drain_timeout: Duration,
) -> Server {
    let app = App {
        playback: Arc::new(system.playback(keys)),
        keys: Arc::clone(keys),
        database: Arc::clone(&system.database),
        clock: Arc::clone(&system.clock),
        is_demo,
        is_draining: AtomicBool::new(false),
        observers: telemetry::observers(),
    };
    raise_descriptor_limit();
    Server::new(listener, Arc::new(app), ServerSettings { drain_timeout })
}

/// Serves, with keys watched, until a signal says to stop.
pub(super) async fn run_until_stopped(server: Server, keys: Arc<KeyWatch>, interval: Duration, signals: Signals) {
    let asked = Arc::new(Notify::new());
    let watch = tokio::spawn(keys.watch(interval, Arc::clone(&asked)));
    let Signals { mut interrupt, mut terminate, mut hangup } = signals;
    let upkeep = tokio::spawn(telemetry::upkeep());
    let reload = tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            tracing::info!("keys are read again, as asked");
            asked.notify_one();
        }
    });
    let stop = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    server.run(stop).await;
    upkeep.abort();
    reload.abort();
    watch.abort();
}

/// The signals that a server obeys, taken before it says that it serves.
pub(super) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    pub(super) fn listen() -> Result<Self, Failure> {
        let take = |kind| signal(kind).map_err(|error| Failure::new(format!("signals: {error}")));
        Ok(Self {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
            hangup: take(SignalKind::hangup())?,
        })
    }
}

/// Each connection and each opened recording takes a descriptor, and the usual limit is low. Where it cannot be
/// raised, the server works within it.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum {
        let _within_the_limit = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }
}
