//! `sealtape link`: a signed playback link.

use std::{process::ExitCode, sync::Arc, time::Duration};

use clap::Args;
use serde_json::json;

use super::{
    Failure, Global,
    auth::may_make,
    open::{System, operator},
    print,
    record::Record,
    token::parse_subject,
};
use crate::access::{Grant, Subject};
use crate::audit::{Event, EventKind};
use crate::base::RecordingId;
use crate::config::{Listen, Settings, parse_duration};
use crate::http::{LinkMinter, MintError};

#[derive(Args)]
pub(super) struct Arguments {
    /// The recording
    id: RecordingId,
    /// For how long, such as 1h [default: twice the recording's duration, and at least 15m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    ttl: Option<Duration>,
    /// Who is meant to listen, as the playback record will name them [default: whoever runs this]
    #[arg(long, value_name = "NAME", value_parser = parse_subject)]
    subject: Option<Subject>,
}

pub(super) async fn run(global: &Global, arguments: Arguments) -> Result<ExitCode, Failure> {
    let system = System::open(global).await?;
    let outcome = link(global, arguments, &system).await;
    system.close(outcome).await
}

async fn link(global: &Global, arguments: Arguments, system: &System) -> Result<ExitCode, Failure> {
    let keys = system.keys().await?;
    let record = Record::open(system).await?;
    let playback = Arc::new(system.playback(&keys));
    playback.recording(&arguments.id).await.map_err(|error| Failure::from(error).of(&arguments.id))?;
    let duration = match arguments.ttl {
        Some(_) => None,
        None => playback.media_duration(&arguments.id).await,
    };
    let path = &system.settings.auth.link_secrets_file;
    let minter = LinkMinter::new(path.clone(), may_make(&system.settings, path))?;
    let grant = Grant { subject: operator(), ..Grant::everything() };
    let minted = minter.mint(&grant, &arguments.id, arguments.ttl, arguments.subject, duration, (system.clock)());
    let minted = minted.map_err(|error| match error {
        MintError::TooLong => Failure::new(error).advise("say a shorter --ttl"),
        MintError::Secrets(error) => error.into(),
    })?;
    record
        .write(Event {
            recording: Some(arguments.id.to_string()),
            detail: Some(format!("for {} until {}", minted.subject, minted.expires_at)),
            ..record.event(EventKind::LinkMint)
        })
        .await?;
    let url = format!("{}/recordings/{}/media?link={}", base(&system.settings)?, arguments.id, minted.link);
    if global.json {
        print::json(&json!({ "url": url, "expires_at": minted.expires_at.to_string() }))?;
    } else {
        print::line(&url)?;
        print::error_line(&format!(
            "Good until {}, for {}; whoever has it may play.",
            minted.expires_at, minted.subject
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Where players reach the server.
fn base(settings: &Settings) -> Result<String, Failure> {
    let server = &settings.server;
    match (&server.public_url, &server.listen) {
        (Some(url), _) => Ok(url.clone()),
        (None, Listen::Tcp(address)) => {
            let scheme = if server.tls.is_some() { "https" } else { "http" };
            Ok(format!("{scheme}://{address}"))
        }
        (None, Listen::Unix(_)) => Err(Failure::new("a socket file has no address that a player could open")
            .advise("say in server.public_url where players reach the server")),
    }
}
