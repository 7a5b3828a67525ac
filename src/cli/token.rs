//! `sealtape token`: bearer tokens signed here, for systems without an identity provider.

use std::{process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Failure, Global, auth::may_make, print, record::Record};
use crate::access::{Scope, Subject};
use crate::audit::{Event, EventKind, bounded};
use crate::base::RecordingId;
use crate::config::parse_duration;
use crate::http::{LocalKey, NewToken, TokenError};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Sign a bearer token; whoever has it may do what it says until it expires
    Create(Arguments),
}

#[derive(Args)]
pub(super) struct Arguments {
    /// What may be done: recordings:list, recordings:play, recordings:write, recordings:delete; several with commas
    #[arg(long, required = true, value_delimiter = ',', value_name = "SCOPE", value_parser = parse_scopes)]
    scope: Vec<Vec<Scope>>,
    /// Who it is for, as the playback record will name them
    #[arg(long, value_name = "NAME", value_parser = parse_subject)]
    subject: Subject,
    /// For how long, such as 8h
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    ttl: Duration,
    /// Only with recordings whose ID begins so; may be given several times
    #[arg(long, value_name = "PREFIX", value_parser = parse_prefix)]
    recordings: Vec<String>,
    /// Only with this recording; may be given several times
    #[arg(long, value_name = "ID")]
    recording: Vec<RecordingId>,
}

pub(super) async fn run(global: &Global, command: Command) -> Result<ExitCode, Failure> {
    let Command::Create(arguments) = command;
    let system = super::open::System::open(global).await?;
    let outcome = create(global, arguments, &system).await;
    system.close(outcome).await
}

async fn create(global: &Global, arguments: Arguments, system: &super::open::System) -> Result<ExitCode, Failure> {
    let record = Record::open(system).await?;
    let path = &system.settings.auth.token_key_file;
    let key = LocalKey::read_or_make(path, may_make(&system.settings, path))?;
    let ids = arguments.recording.iter().map(ToString::to_string);
    let recordings: Vec<String> = arguments.recordings.iter().cloned().chain(ids).collect();
    let new = NewToken {
        subject: arguments.subject,
        scopes: arguments.scope.into_iter().flatten().collect(),
        recordings: (!recordings.is_empty()).then_some(recordings),
        ttl: arguments.ttl,
    };
    let signed = key.sign(&new, (system.clock)()).map_err(|error| match error {
        TokenError::Key(error) => Failure::from(error),
        TokenError::Signing => Failure::new(error).advise("see to the machine's random numbers"),
    })?;
    let scopes = new.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ");
    let of = new.recordings.as_ref().map(|ids| format!(" of {}", ids.join(" "))).unwrap_or_default();
    let detail = format!("{} for {}: {scopes}{of}, until {}", signed.id, new.subject, signed.expires_at);
    record.write(Event { detail: Some(bounded(&detail)), ..record.event(EventKind::TokenCreate) }).await?;
    if global.json {
        print::json(&json!({
            "token": signed.token, "id": signed.id, "expires_at": signed.expires_at.to_string(),
        }))?;
    } else {
        print::line(&signed.token)?;
        print::error_line(&format!(
            "Good until {}, as {}; running servers accept it at once. It cannot be taken back before: a new key in {} does that, for all.",
            signed.expires_at,
            new.subject,
            path.display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// One scope, or several with spaces between, as tokens write them.
fn parse_scopes(text: &str) -> Result<Vec<Scope>, String> {
    let known = Scope::ALL.map(Scope::as_str).join(", ");
    let scopes = text.split_whitespace().map(|scope| scope.parse().map_err(|()| format!("there are {known}")));
    scopes.collect::<Result<Vec<_>, _>>().and_then(|scopes| if scopes.is_empty() { Err(known) } else { Ok(scopes) })
}

pub(super) fn parse_subject(text: &str) -> Result<Subject, String> {
    text.parse().map_err(|()| "it must be a name of 1 to 256 characters, none of them a control character".into())
}

/// A prefix as the claim writes it: with a star at its end.
fn parse_prefix(text: &str) -> Result<String, String> {
    let prefix = text.strip_suffix('*').unwrap_or(text);
    let is_good = prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@+".contains(&byte));
    if !is_good || text.is_empty() {
        return Err("it must be the beginning of an ID: of A-Z a-z 0-9 . _ - @ +".into());
    }
    Ok(format!("{prefix}*"))
}
