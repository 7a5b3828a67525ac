//! What systemd passes to a service, and what it wants to be told. Without systemd nothing happens here.

use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;

use super::Failure;
use crate::http::Listener;

/// The sockets that were passed.
#[derive(Default)]
pub(super) struct Sockets {
    /// The recordings'.
    pub listener: Option<Listener>,
    /// That of metrics and readiness.
    pub admin: Option<Listener>,
}

impl Sockets {
    /// Takes what was passed: the socket that is named `admin` for metrics and readiness, or else the second; the
    /// first of the others for the recordings.
    pub(super) fn take() -> Result<Self, Failure> {
        // Read before they are taken, for taking them removes their variables.
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut passed = ListenFd::from_env();
        let mut sockets = Self::default();
        if passed.len() > 2 {
            return Err(Failure::new(format!("{} sockets were passed", passed.len()))
                .advise("pass one for the recordings and, if wanted, one for metrics and readiness"));
        }
        let named = names.split(':').take(passed.len()).position(|name| name == "admin");
        let admin = named.unwrap_or(1);
        for index in 0..passed.len() {
            let listener = take(&mut passed, index)?;
            let place = if index == admin { &mut sockets.admin } else { &mut sockets.listener };
            *place = listener;
        }
        Ok(sockets)
    }
}

fn take(passed: &mut ListenFd, index: usize) -> Result<Option<Listener>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(format!("the socket that was passed as number {}: {error}", index + 1))
            .advise("pass sockets that listen, of TCP or of the Unix kind")
    };
    // A socket of the other kind is an error, and stays where it is.
    if let Ok(Some(listener)) = passed.take_tcp_listener(index) {
        return Ok(Some(Listener::from_tcp(listener)?));
    }
    match passed.take_unix_listener(index).map_err(failed)? {
        Some(listener) => Ok(Some(Listener::from_unix(listener)?)),
        None => Ok(None),
    }
}

/// Says that the server serves.
pub(super) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// Says that settings are read again; [`ready`] says that they were.
pub(super) fn reloading() {
    let mut states = vec![NotifyState::Reloading];
    states.extend(NotifyState::monotonic_usec_now().ok());
    notify(&states);
}

/// Says that the server stops.
pub(super) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Says now and then that the server lives, where that is asked for.
pub(super) async fn keep_watchdog() {
    let Some(interval) = sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero()) else {
        return std::future::pending().await;
    };
    // Twice as often as asked, as its manual advises; a moment at least.
    let mut beats = tokio::time::interval((interval / 2).max(Duration::from_millis(1)));
    loop {
        beats.tick().await;
        notify(&[NotifyState::Watchdog]);
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}
