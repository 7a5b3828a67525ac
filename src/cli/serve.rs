//! `sealtape serve`: the proxy.

use std::{
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

use super::{
    Failure, Global,
    auth::auth_settings,
    hardening,
    open::System,
    print,
    record::listening,
    spool,
    systemd::{self, Sockets},
    telemetry,
    warnings::{warn_of_database_keys, warn_of_definition_key, warn_of_no_links, warn_of_unverified_server},
    watch,
};
use crate::audit::{Event, EventKind};
use crate::catalogue::Recording;
use crate::config::{AuthMode, DefinitionKeyKind, DefinitionKeySettings, Listen, parse_listen};
use crate::http::{App, Auth, Cors, Listener, Peers, Server, ServerSettings, Timeouts, Tls, Uploads};
use crate::service::{
    Ingest, Intake, KeyWatch, Listening, Maintenance, Playback, Round, Scrub, Verifier, VerifierParts, Waveforms,
};

/// How long those who write may take to make durable what they have, once nothing more comes.
const WRITERS_TIMEOUT: Duration = Duration::from_secs(10);

/// How long after a failure it is looked again for what dead writers left.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

#[derive(Args)]
pub(super) struct Arguments {
    /// Where to listen: an address and port, or unix:PATH [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = parse_listen)]
    listen: Option<Listen>,
}

pub(super) async fn run(global: &Global, arguments: Arguments) -> Result<ExitCode, Failure> {
    hardening::lock_all_memory();
    let mut system = System::open(global).await?;
    system.use_cache().await;
    let outcome = serve(global, arguments, &system).await;
    system.close(outcome).await
}

async fn serve(global: &Global, arguments: Arguments, system: &System) -> Result<ExitCode, Failure> {
    let settings = &system.settings.server;
    let auth = system.settings.auth.mode;
    // Sockets that were passed stand above settings, for whoever passes them decides who can reach them.
    let passed = Sockets::take()?;
    let listen = arguments.listen.as_ref().unwrap_or(&settings.listen);
    let tls = settings.tls.as_ref().map(|tls| Tls::load(&tls.cert, &tls.key)).transpose()?;
    let keys = system.keys().await?;
    let listener = match passed.listener {
        Some(listener) => checked(listener, auth)?,
        None => bind(listen, auth).await?,
    };
    let admin = match (passed.admin, &settings.admin_listen) {
        (Some(listener), _) => Some(checked(listener, auth)?),
        (None, Some(listen)) => Some(bind(listen, auth).await?),
        (None, None) => None,
    };
    for listener in [Some(&listener), admin.as_ref()].into_iter().flatten() {
        refuse_embedded_key(listener, &system.settings.definition_key)?;
    }
    warn_of_definition_key(&system.settings);
    warn_of_unverified_server(&system.settings);
    warn_of_no_links(&system.settings);
    warn_of_database_keys(system, &keys.ring()).await?;
    spool::warn_of_unreachable(&system.settings);
    let signals = Signals::listen()?;
    let listening = listening(&system.settings, &system.clock).await?;
    let playback = Arc::new(system.playback(&keys));
    let settings_of_server = server_settings(system, tls.clone());
    let server = server(system, &keys, &playback, &listening, listener, settings_of_server, false)?;
    hardening::warn_of_unlocked_secrets();
    let (url, admin_url) = (server.url(), admin.as_ref().map(|admin| admin.url(false)));
    let server = match admin {
        Some(admin) => server.with_admin(admin),
        None => server,
    };
    if global.json {
        let mut document = serde_json::json!({ "url": url });
        if let Some(admin_url) = admin_url {
            document["admin_url"] = admin_url.into();
        }
        print::json(&document)?;
    } else {
        if let Some(admin_url) = admin_url {
            print::line(&format!("metrics and readiness are at {admin_url}"))?;
        }
        print::line(&format!("sealtape serves at {url}"))?;
    }
    let scrub = scrub(system, &keys, &playback);
    take_in_what_lies_there(system, &keys, &listening, server.app());
    let watching = Watching { keys, playback, listening, interval: system.settings.reload_interval, tls, scrub };
    run_until_stopped(server, watching, settings.drain_delay, signals).await;
    Ok(ExitCode::SUCCESS)
}

/// Looks for what dead writers left, and watches folders, beside serving.
fn take_in_what_lies_there(system: &System, keys: &Arc<KeyWatch>, listening: &Arc<Listening>, app: &Arc<App>) {
    let Uploads { ingest, intake, .. } = &app.uploads;
    let taking = watch::Taking { ingest: Arc::clone(ingest), listening: Arc::clone(listening) };
    watch::start(taking, &system.settings.ingest, || intake.join());
    let (database, store) = (Arc::clone(&system.database), Arc::clone(&system.store));
    let maintenance = Maintenance::look(database, store, Arc::clone(keys), Arc::clone(&system.clock));
    let (listening, mut stop) = (Arc::clone(listening), intake.join());
    let looking = async move {
        let found = |recording: &Recording| {
            listening.note(Event {
                recording: Some(recording.id.to_string()),
                fingerprint: recording.fingerprint().map(|fingerprint| fingerprint.to_string()),
                bytes: Some(recording.media_len),
                outcome: Some(recording.state.as_str().into()),
                ..Event::new(EventKind::CatalogueRebuild)
            });
        };
        while let Err(error) = maintenance.settle_left_behind(found).await {
            tracing::warn!(%error, "what dead writers left cannot be looked for now");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    tokio::spawn(async move {
        tokio::select! {
            () = stop.asked() => {}
            () = looking => {}
        }
    });
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

/// Listens, unless strangers could reach it and nobody would be asked who they are.
pub(super) async fn bind(listen: &Listen, auth: AuthMode) -> Result<Listener, Failure> {
    refuse_strangers(listen, auth)?;
    Ok(match listen {
        Listen::Tcp(address) => Listener::tcp(*address).await?,
        Listen::Unix(path) => Listener::unix(path)?,
    })
}

/// A listener that was passed, under the same condition.
fn checked(listener: Listener, auth: AuthMode) -> Result<Listener, Failure> {
    if let Some(address) = listener.address() {
        refuse_strangers(&Listen::Tcp(address), auth)?;
    }
    Ok(listener)
}

/// A key that everybody has is for trials on one machine, unless the operator says otherwise.
fn refuse_embedded_key(listener: &Listener, settings: &DefinitionKeySettings) -> Result<(), Failure> {
    match listener.address() {
        Some(address)
            if !Listen::Tcp(address).is_local()
                && settings.kind == DefinitionKeyKind::Embedded
                && !settings.allow_embedded =>
        {
            Err(Failure::new(format!(
                "{address} can be reached from other machines, and the definition key is the embedded one, which everybody has"
            ))
            .advise("`sealtape definition-key migrate --to file` moves to a key of your own; definition_key.allow_embedded = true serves all the same"))
        }
        _ => Ok(()),
    }
}

/// How the server serves, in its own words.
pub(super) fn server_settings(system: &System, tls: Option<Tls>) -> ServerSettings {
    let settings = &system.settings.server;
    let timeouts = &settings.timeouts;
    ServerSettings {
        tls,
        max_connections: settings.max_connections,
        timeouts: Timeouts {
            handshake: timeouts.handshake,
            headers: timeouts.headers,
            idle: timeouts.idle,
            write: timeouts.write,
        },
        drain_timeout: settings.drain_timeout,
    }
}

/// The server over a system, on a listener that is bound.
pub(super) fn server(
    system: &System,
    keys: &Arc<KeyWatch>,
    playback: &Arc<Playback>,
    listening: &Arc<Listening>,
    listener: Listener,
    settings: ServerSettings,
    is_demo: bool,
) -> Result<Server, Failure> {
    let app = App {
        listening: Arc::clone(listening),
        auth: Arc::new(Auth::new(auth_settings(&system.settings)?)?),
        cors: Cors::new(system.settings.server.allow_origins.clone()),
        peers: Peers::new(system.settings.server.peers.clone()).map_err(Failure::new)?,
        public_url: system.settings.server.public_url.clone(),
        playback: Arc::clone(playback),
        waveforms: Waveforms::start(Arc::clone(playback)),
        companions: system.companions(keys),
        purge: system.purge(),
        keys: Arc::clone(keys),
        database: Arc::clone(&system.database),
        uploads: Uploads {
            ingest: Arc::new(system.ingest(keys).despite_catalogue(playback)),
            intake: Arc::new(Intake::new()),
            len_max: system.settings.ingest.max_size,
            exempt: system.settings.ingest.exempt.clone(),
            patience: system.settings.server.timeouts.read,
        },
        clock: Arc::clone(&system.clock),
        is_demo,
        is_draining: AtomicBool::new(false),
        observers: telemetry::observers(),
    };
    raise_descriptor_limit();
    Ok(Server::new(listener, Arc::new(app), settings))
}

/// What is read again while a server runs.
pub(super) struct Watching {
    pub keys: Arc<KeyWatch>,
    /// What lets go of what nobody uses.
    pub playback: Arc<Playback>,
    /// What is closed and put on record at the end.
    pub listening: Arc<Listening>,
    /// How often keys are read, changed or not.
    pub interval: Duration,
    pub tls: Option<Tls>,
    /// What verifies recordings at intervals, if something does.
    pub scrub: Option<Scrub>,
}

/// Serves, with keys watched, until a signal says to stop. After SIGTERM connections are taken for `drain_delay`
/// more; a person at a terminal does not wait for that. A second signal ends it at once.
pub(super) async fn run_until_stopped(server: Server, watching: Watching, drain_delay: Duration, signals: Signals) {
    let Signals { mut interrupt, mut terminate, hangup } = signals;
    let Watching { keys, playback, listening, interval, tls, scrub } = watching;
    let app = Arc::clone(server.app());
    listening.note(Event::new(EventKind::ServerStart));
    let tasks = [
        tokio::spawn(Arc::clone(&keys).watch(interval)),
        tokio::spawn(reload_when_asked(hangup, keys, tls)),
        tokio::spawn(systemd::keep_watchdog()),
        tokio::spawn(telemetry::upkeep()),
        tokio::spawn(Arc::clone(&playback).watch_plain()),
        tokio::spawn(playback.upkeep()),
        tokio::spawn(scrub_on_record(scrub, Arc::clone(&listening))),
        tokio::spawn({
            let ingest = Arc::clone(&app.uploads.ingest);
            async move { ingest.settle().await }
        }),
        tokio::spawn(upload_what_waits(Arc::clone(&app.uploads.ingest))),
    ];
    {
        let (stop, stopped) = oneshot::channel();
        // Whoever would say when to stop is never gone before it.
        let mut serving = std::pin::pin!(server.run(async { stopped.await.unwrap_or_default() }));
        systemd::ready();
        let delay = tokio::select! {
            () = serving.as_mut() => Duration::ZERO,
            _ = interrupt.recv() => Duration::ZERO,
            _ = terminate.recv() => drain_delay,
        };
        systemd::stopping();
        if stop.send(delay).is_ok() {
            tokio::select! {
                () = serving.as_mut() => {}
                _ = interrupt.recv() => tracing::warn!("asked twice to stop: streams are cut"),
                _ = terminate.recv() => tracing::warn!("asked twice to stop: streams are cut"),
            }
        }
        // Dropped here: whoever is still connected is cut before the record is closed.
    }
    // Whoever still writes has lost the connection, or is stopped now; what came is made durable and told.
    if tokio::time::timeout(WRITERS_TIMEOUT, app.uploads.intake.stop()).await.is_err() {
        tracing::warn!("some recordings could not be brought to an end in time; what is on disk of them plays");
    }
    for task in tasks {
        task.abort();
    }
    listening.close_all().await;
    // As far as it can be; why not, is in the log.
    let _last_word = listening.log().record(Event::new(EventKind::ServerStop)).await;
}

/// Brings media out of the spool, where there is one.
async fn upload_what_waits(ingest: Arc<Ingest>) {
    if let Some(spooler) = ingest.spooler() {
        Arc::clone(spooler).run().await;
    }
}

/// Reads keys, and certificate and key of TLS, again on SIGHUP.
async fn reload_when_asked(mut hangup: tokio::signal::unix::Signal, keys: Arc<KeyWatch>, tls: Option<Tls>) {
    while hangup.recv().await.is_some() {
        tracing::info!("keys are read again, as asked");
        systemd::reloading();
        if let Err(error) = keys.reload().await {
            tracing::warn!(%error, "keys could not be read again; those in memory are used");
        }
        if let Some(tls) = &tls {
            tls.reload();
        }
        systemd::ready();
    }
}

/// What verifies all recordings at intervals, where the settings say so.
fn scrub(system: &System, keys: &Arc<KeyWatch>, playback: &Arc<Playback>) -> Option<Scrub> {
    Scrub::announce();
    let interval = system.settings.scrub_interval?;
    let verifier = Verifier::new(VerifierParts {
        database: Arc::clone(&system.database),
        store: Arc::clone(&system.store),
        keys: Arc::clone(keys),
        clock: Arc::clone(&system.clock),
        playback: Arc::clone(playback),
        companions: system.companions(keys),
        allow_plain: system.settings.allow_plain,
        at_once: 1,
        is_guarded: false,
    });
    Some(Scrub::new(Arc::new(verifier), interval, Arc::clone(&system.clock)))
}

/// It reads all media, and so each round is on record.
async fn scrub_on_record(scrub: Option<Scrub>, listening: Arc<Listening>) {
    let Some(scrub) = scrub else { return };
    let note = move |round: &Round| {
        let outcome = if round.faults.is_empty() { "sound" } else { "faulty" };
        listening.note(Event {
            count: Some(round.recordings),
            bytes: Some(round.bytes),
            outcome: Some(outcome.into()),
            detail: Some("the server's own scrub".into()),
            ..Event::new(EventKind::RecordingsVerify)
        });
    };
    scrub.run(note).await;
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
