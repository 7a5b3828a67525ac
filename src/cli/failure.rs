//! What failed, and what to do: the two lines that a person gets.

use std::{fmt::Display, path::Path, process::ExitCode};

use crate::{base, catalogue, config, http, keys, kms, media, service};

/// A failed command.
#[derive(Debug)]
pub(super) struct Failure {
    what: String,
    advice: Option<String>,
}

impl Failure {
    pub(super) fn new(what: impl Display) -> Self {
        Self { what: what.to_string(), advice: None }
    }

    /// The same, with what can be done about it.
    pub(super) fn advise(self, advice: impl Display) -> Self {
        Self { advice: Some(advice.to_string()), ..self }
    }

    /// The same, of a thing that is named first.
    pub(super) fn of(self, thing: impl Display) -> Self {
        Self { what: format!("{thing}: {}", self.what), ..self }
    }

    /// What failed, for a report.
    pub(super) fn what(&self) -> &str {
        &self.what
    }

    /// Prints it; the exit code of a command that failed.
    pub(super) fn report(&self) -> ExitCode {
        self.print();
        ExitCode::FAILURE
    }

    pub(super) fn print(&self) {
        // One line each, whatever the system's own text holds.
        let line =
            |text: &str| text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        super::print::error_line(&format!("sealtape: {}", line(&self.what)));
        if let Some(advice) = &self.advice {
            super::print::error_line(&format!("  {}", line(advice)));
        }
    }
}

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        let advice = error.advice();
        Self::new(error).advise(advice)
    }
}

impl From<kms::Error> for Failure {
    fn from(error: kms::Error) -> Self {
        let advice = error.advice();
        Self::new(error).advise(advice)
    }
}

impl From<keys::Error> for Failure {
    fn from(error: keys::Error) -> Self {
        let advice = match &error {
            keys::Error::OtherDefinitionKey { wrapped_by, .. }
                if wrapped_by == kms::EmbeddedDefinitionKey::new().name() =>
            {
                "that is the embedded one, which everybody has: where it was in use here, name it in definition_key.kind; else somebody who can write the database put the row there, and it is to be restored from a backup"
            }
            keys::Error::OtherDefinitionKey { .. } => {
                "put the definition key back that wrapped it, or name its kind in definition_key.kind"
            }
            keys::Error::RowNotAuthentic(_) => "restore the database from a backup, and find out who can write it",
            keys::Error::DefinitionKeyUnavailable { advice, .. } => &advice.clone(),
            keys::Error::NoRandom => "see to the machine",
        };
        Self::new(&error).advise(advice)
    }
}

impl From<catalogue::Error> for Failure {
    fn from(error: catalogue::Error) -> Self {
        let advice = match &error {
            catalogue::Error::Unavailable(reason) if reason.contains("locked") => {
                "another process holds the database: run it again when that has ended"
            }
            catalogue::Error::Unavailable(reason)
                if ["malformed", "not a database"].iter().any(|it| reason.contains(it)) =>
            {
                "restore it from a backup; or move it away, and fill a new one with `sealtape keys import` and `sealtape recordings rebuild`"
            }
            catalogue::Error::Unavailable(_) => {
                "see that the database file, and what SQLite keeps beside it, can be read and written; or that its server runs, and lets the user of database.url in"
            }
            catalogue::Error::Missing => {
                "restore it from a backup, or fill a new one with `sealtape keys import` and `sealtape recordings rebuild`; in an empty system `sealtape keys generate` makes a first one"
            }
            catalogue::Error::Busy => "wait until it is done; this one goes on where it has to when it is run then",
            catalogue::Error::NewerVersion { .. } => "nothing was changed",
            catalogue::Error::MalformedRow(_) => "restore the database from a backup",
            catalogue::Error::RecordingExists(_) => "choose another ID with --id; recordings are never overwritten",
            catalogue::Error::RecordingNotFound(_) => "`sealtape recordings list` shows what there is",
            catalogue::Error::KeyNeeded { .. } => {
                "move them first: `sealtape keys generate` if it is the newest key, then `sealtape rewrap --all`; --force deactivates it all the same, and they do not play then"
            }
            catalogue::Error::KeysChanged | catalogue::Error::RecordingChanged(_) => {
                "nothing was changed; run it again"
            }
            catalogue::Error::KeyDeactivated(_) => "nothing was taken in; try again",
            catalogue::Error::RecordingHeld(_) => {
                "it was kept: `sealtape recordings release` ends the hold, if that is allowed"
            }
            catalogue::Error::RecordingPurging(_) => "`sealtape recordings delete` brings that to its end",
            catalogue::Error::RecordingInProgress(_) => "wait until its recorder has come to its end",
            catalogue::Error::NoActiveKey => "generate one first: `sealtape keys generate`",
        };
        Self::new(error).advise(advice)
    }
}

impl From<media::Error> for Failure {
    fn from(error: media::Error) -> Self {
        let advice = match &error {
            media::Error::Unavailable { .. } => {
                "see that the media folder is there (mounted, or put back from its backup) and can be read and written"
            }
            media::Error::Full { .. } => "make room",
            media::Error::Exists { being_written: true, .. } => "another process is writing this recording now",
            media::Error::Exists { being_written: false, .. } => {
                "it is in the store and not in the catalogue: left by a process that was killed; move it away to go on"
            }
            media::Error::Busy { .. } => "wait until it is done; this one goes on where it has to when it is run then",
            media::Error::Changed { .. } => "run it again",
            media::Error::ShortRead { .. } => "restore the file from a backup",
        };
        Self::new(error).advise(advice)
    }
}

impl From<service::CompanionError> for Failure {
    fn from(error: service::CompanionError) -> Self {
        use service::CompanionError;
        let code = error.code();
        match error {
            CompanionError::Catalogue(error) => error.into(),
            CompanionError::Store(error) => error.into(),
            other => Self::new(other).advise(http::advice(code)),
        }
    }
}

impl From<service::PurgeError> for Failure {
    fn from(error: service::PurgeError) -> Self {
        match error {
            service::PurgeError::Catalogue(error) => error.into(),
            service::PurgeError::Store(error) => error.into(),
            service::PurgeError::Spooled(_) => Self::new(error).advise(
                "see that the server of that spool runs and reaches the media store; or delete it on that machine",
            ),
        }
    }
}

impl From<service::KeyError> for Failure {
    fn from(error: service::KeyError) -> Self {
        match error {
            service::KeyError::Database(error) => error.into(),
            service::KeyError::Keys(error) => error.into(),
            service::KeyError::NoKey => Self::new(error).advise("`sealtape keys generate` makes one"),
            service::KeyError::NothingNew(_) => {
                Self::new(error).advise("nothing was changed; `sealtape keys list` shows them")
            }
            service::KeyError::UnknownKey(_) => Self::new(error).advise("`sealtape keys list` shows what there is"),
            service::KeyError::AmbiguousKey(_) => {
                Self::new(error).advise("type more of it; `sealtape keys list` shows all")
            }
            service::KeyError::SeveralDefinitionKeys(_) => Self::new(error).advise(
                "nothing was changed; find out who can write the database, and restore it from a backup in which one definition key wraps every key",
            ),
        }
    }
}

impl From<service::PlaybackError> for Failure {
    fn from(error: service::PlaybackError) -> Self {
        let code = error.code();
        Self::new(format!("{error} ({code})")).advise(crate::http::advice(code))
    }
}

impl From<service::IngestError> for Failure {
    fn from(error: service::IngestError) -> Self {
        use service::IngestError as Error;
        match error {
            Error::Catalogue(error) => error.into(),
            Error::Store(error) => error.into(),
            Error::Empty => Self::new(error).advise("a recording has at least one byte"),
            Error::NoId => Self::new(error).advise("say which with --id"),
            Error::Id(_) => Self::new(error).advise("say another ID with --id"),
            Error::OtherId { .. } => Self::new(error).advise("leave --id out; a sealed file keeps its ID"),
            Error::SealedAlready => Self::new(error).advise("leave --media-type and --exempt out"),
            Error::SealedInPlain => Self::new(error).advise("`sealtape import FILE` takes it in as it is"),
            Error::NotVerified(_) => {
                Self::new(error).advise("nothing was taken in; get the file anew from where it came")
            }
            Error::KeyRefused(_) => {
                Self::new(error).advise("it can be taken in only where the key is that it was sealed under")
            }
            Error::NoActiveKey(_) => {
                let code = error.code();
                Self::new(format!("{error} ({code})")).advise("generate one: `sealtape keys generate`")
            }
            Error::Source(_) => Self::new(error).advise("nothing of it was kept"),
            Error::SealedStream => Self::new(error).advise("take it in with `sealtape import FILE`"),
            Error::BrokenOff { error, .. } => {
                Self::from(*error).advise("what came before is kept, unfinished; record the rest under another ID")
            }
            Error::Stopped => Self::new(error),
            Error::Sealing(_) => Self::new(error).advise("nothing was taken in"),
        }
    }
}

impl From<service::MaintenanceError> for Failure {
    fn from(error: service::MaintenanceError) -> Self {
        use service::MaintenanceError as Error;
        match error {
            Error::Keys(error) => error.into(),
            Error::Catalogue(error) => error.into(),
            Error::Store(error) => error.into(),
            Error::NotFound => Self::new(error).advise("`sealtape recordings list` shows what there is"),
            Error::Plain => Self::new(error).advise("it has no key to be taken from"),
            Error::BeingRecorded => Self::new(error).advise("run it again when the recording has ended"),
            Error::NoActiveKey(_) => Self::new(format!("no database key is active ({})", error.code()))
                .advise("generate one: `sealtape keys generate`"),
            Error::StillTheNewest(_) => {
                Self::new(error).advise("generate another first, with `sealtape keys generate`; nothing was changed")
            }
            Error::Refused(refused) => {
                let code = refused.code();
                Self::new(format!("{refused} ({code})")).advise(crate::http::advice(code))
            }
            Error::Spooled(_) => {
                Self::new(error).advise("run it again when it is uploaded, or on the machine of that server")
            }
            Error::MediaMissing | Error::Sealed(_) => {
                let code = error.code();
                Self::new(format!("{error} ({code})")).advise("it stays as it is; restore the file from a backup")
            }
            Error::NeedsForce => Self::new(error).advise(
                "restore the file from a backup; or --force seals that again, and keeps the damaged file beside it",
            ),
            Error::NothingVerifies => Self::new(error).advise("it stays as it is; restore the file from a backup"),
            Error::NotEncrypting => Self::new(error)
                .advise("`sealtape encryption enable` switches it on, and `sealtape keys generate` makes a first key"),
            Error::PlainChanged => {
                let code = error.code();
                Self::new(format!("{error} ({code})"))
                    .advise("it was left as it is; put the file back that was catalogued, or look who changed it")
            }
            Error::PlainLeftChanged(_) => Self::new(error)
                .advise("its recording is sealed and plays; look at the file, move it away, and run it again"),
            Error::InTheWay(_) => Self::new(error).advise("look at the file, move it away, and run it again"),
            Error::Stopped => Self::new(error).advise("nothing is lost; run it again to go on"),
        }
    }
}

impl From<service::CopyError> for Failure {
    fn from(error: service::CopyError) -> Self {
        use service::CopyError as Error;
        match error {
            Error::Catalogue(error) => error.into(),
            Error::Store(error) => error.into(),
            Error::Unsettled => Self::new(error)
                .advise("bring that to its end with `sealtape rewrap` or `sealtape reseal`, and run this again"),
            Error::Sealed(_) | Error::PlainChanged => {
                let code = error.code();
                Self::new(format!("{error} ({code})")).advise(
                    "it was not copied: restore it, or see to it with `sealtape verify`; --damaged copies it as it is",
                )
            }
            Error::InTheWay(_) => Self::new(error).advise("look at it, move it away, and run this again"),
            Error::NotKept(_) => Self::new(error).advise("nothing of it is there; see to the disk or the store"),
            Error::Stopped => Self::new(error).advise("nothing is lost; run it again to go on"),
        }
    }
}

impl From<service::VerifyError> for Failure {
    fn from(error: service::VerifyError) -> Self {
        use service::VerifyError as Error;
        match error {
            Error::Catalogue(error) => error.into(),
            Error::Store(error) => error.into(),
        }
    }
}

impl From<http::ListenError> for Failure {
    fn from(error: http::ListenError) -> Self {
        let advice = match &error {
            http::ListenError::InUse(_) | http::ListenError::System { .. } => {
                "choose another address, port or socket file with --listen"
            }
            http::ListenError::NotSocket(_) => "it is left as it is; choose another socket file with --listen",
        };
        Self::new(error).advise(advice)
    }
}

impl From<keys::ExportError> for Failure {
    fn from(error: keys::ExportError) -> Self {
        use keys::ExportError as Error;
        let advice = match &error {
            Error::WrongPassphrase => {
                "nothing was changed; see that it is the one that was given when the file was exported"
            }
            Error::NoPassphrase | Error::TooMuchWork { .. } => {
                "nothing was changed; open it with `age`, and encrypt what it holds with a passphrase again"
            }
            Error::Future { .. } => "nothing was changed; see to the clock of this machine",
            Error::NotEncrypted => "nothing was written",
            Error::NoKeys
            | Error::NotAge
            | Error::OtherAgeVersion
            | Error::Damaged
            | Error::OtherContents
            | Error::OtherVersion(_)
            | Error::Malformed { .. }
            | Error::MalformedFingerprint { .. }
            | Error::WrongLength { .. }
            | Error::NotHexadecimal { .. }
            | Error::OtherFingerprint { .. }
            | Error::UnknownState(_)
            | Error::MalformedTime(_)
            | Error::Twice(_) => "nothing was changed; take another copy of the export",
        };
        Self::new(error).advise(advice)
    }
}

impl From<http::TlsError> for Failure {
    fn from(error: http::TlsError) -> Self {
        let advice = match &error {
            http::TlsError::File { .. } => "see that the files of server.tls.cert and server.tls.key can be read",
            http::TlsError::NoCertificate(_) | http::TlsError::NoKey(_) => {
                "server.tls.cert is a chain of certificates and server.tls.key its private key, both in PEM"
            }
            http::TlsError::Pair { .. } => "put a certificate and the private key that belongs to it there",
        };
        Self::new(error).advise(advice)
    }
}

impl From<base::Error> for Failure {
    fn from(error: base::Error) -> Self {
        Self::new(error)
    }
}

/// A file that the system does not let be used.
pub(super) fn io(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}
