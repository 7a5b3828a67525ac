//! The playback record, as commands write it: what they change, and what they read, is an event.
//!
//! The record is looked at before a command acts, so that one which cannot be written refuses it while nothing has
//! happened yet; the event itself is written when what it tells of is done, and the command succeeds only then.

use std::{fs, path::PathBuf, sync::Arc};

use super::{
    Failure,
    open::{System, operator},
    print,
};
use crate::access::{Credential, Grant};
use crate::audit::{self, AuditLog, Event, EventKind};
use crate::config::{AuditFailure, Settings};
use crate::service::{Clock, Listening, ListeningSettings, OnFailure, Player};

/// The record of a command.
pub(super) struct Record {
    listening: Arc<Listening>,
    player: Arc<Player>,
}

impl Record {
    /// Opens the record, and sees that it can be written.
    pub(super) async fn open(system: &System) -> Result<Self, Failure> {
        Self::open_for(&system.settings, &system.clock).await
    }

    /// The same, where there is no system yet.
    pub(super) async fn open_for(settings: &Settings, clock: &Clock) -> Result<Self, Failure> {
        let listening = listening(settings, clock).await?;
        let caller = Grant { subject: operator(), credential: Credential::Command, ..Grant::everything() };
        Ok(Self { listening, player: Arc::new(Player::new(&caller, "local", None)) })
    }

    /// Writes an event.
    pub(super) async fn write(&self, event: Event) -> Result<(), Failure> {
        self.listening.record(event).await.map_err(|error| {
            Failure::new(format!("it is done, and is not on record: {error}"))
                .advise("see to the folder of the playback record, and note by hand what was done")
        })
    }

    /// An event of whoever runs this.
    pub(super) fn event(&self, kind: EventKind) -> Event {
        self.player.event(kind)
    }

    /// The sessions, for commands that read media.
    pub(super) fn listening(&self) -> &Arc<Listening> {
        &self.listening
    }

    /// Whoever runs this.
    pub(super) fn player(&self) -> &Arc<Player> {
        &self.player
    }
}

/// The sessions of a process, over the record that the settings name.
pub(super) async fn listening(settings: &Settings, clock: &Clock) -> Result<Arc<Listening>, Failure> {
    let settings = &settings.audit;
    let instance = settings.instance.clone().unwrap_or_else(host_name);
    let log = Arc::new(AuditLog::of_instance(&settings.path, Arc::clone(clock), &instance));
    let on_failure = match settings.on_failure {
        AuditFailure::Refuse => OnFailure::Refuse,
        AuditFailure::Continue => OnFailure::Continue,
    };
    match (log.check().await, on_failure) {
        (Ok(()), _) => {}
        (Err(error), OnFailure::Refuse) => return Err(error.into()),
        (Err(error), OnFailure::Continue) => {
            print::error_line(&format!("warning: the playback record cannot be written: {error}"));
        }
    }
    Ok(Listening::start(log, ListeningSettings::new(on_failure)))
}

/// The name of this machine, as far as an instance may be called so.
fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let kept: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || ".-_".contains(*c)).take(64).collect();
    if kept.is_empty() { "unnamed".into() } else { kept }
}

/// The files of the record that the settings name; an error where there is none.
pub(super) fn files(system: &System) -> Result<Vec<PathBuf>, Failure> {
    let path = &system.settings.audit.path;
    let files = if path.is_dir() { audit::files(path)? } else { Vec::new() };
    if files.is_empty() {
        return Err(Failure::new(format!("{}: there is no playback record here", path.display()))
            .advise("it begins with the first command or playback that is recorded; name files to read others"));
    }
    Ok(files)
}

impl From<audit::Error> for Failure {
    fn from(error: audit::Error) -> Self {
        let advice = match &error {
            audit::Error::Unavailable { .. } | audit::Error::Timeout { .. } => {
                "see that the folder of the playback record can be written and has room (audit.path)"
            }
            audit::Error::Broken { .. } | audit::Error::Rewound { .. } => {
                "nothing is added to it: find out who changed it with `sealtape audit verify`, then move the folder away whole; a new record begins"
            }
            audit::Error::NoRandom => "see to the machine's random numbers",
            audit::Error::Overloaded | audit::Error::Closed => "try again",
        };
        Self::new(format!("the playback record: {error}")).advise(advice)
    }
}
