//! `sealtape encryption`: the switch.

use std::{process::ExitCode, sync::Arc};

use clap::Subcommand;
use serde_json::json;

use super::{Failure, Global, open::System, print, record::Record};
use crate::audit::EventKind;
use crate::keys::{self, Switch};
use crate::service::{KeyError, KeyWatch};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Switch encryption on: new recordings are sealed, sealed ones play
    Enable,
    /// Switch encryption off: new recordings stay plain, sealed ones do not play
    Disable,
    /// Show how the switch stands
    Status,
}

pub(super) async fn run(global: &Global, command: Command) -> Result<ExitCode, Failure> {
    let system = System::open(global).await?;
    let outcome = run_on(global, command, &system).await;
    system.close(outcome).await
}

async fn run_on(global: &Global, command: Command, system: &System) -> Result<ExitCode, Failure> {
    let effect = match command {
        Command::Enable => {
            // Before it is turned: a command that fails has changed nothing.
            if let Some(away) = verify(system).await? {
                return Err(away.of("encryption was not switched on"));
            }
            turn(system, true).await?;
            Some(
                "Encryption is on: new recordings are sealed and sealed ones play. Running servers see it within a second.",
            )
        }
        // In an emergency, too: no key is asked for.
        Command::Disable => {
            turn(system, false).await?;
            Some(
                "Encryption is off: new recordings stay plain and sealed ones do not play. Running servers see it within a second.",
            )
        }
        Command::Status => {
            if let Some(away) = verify(system).await? {
                let away = away.what();
                print::error_line(&format!("warning: {away}; what follows is what the database says of its keys"));
            }
            None
        }
    };
    let table = system.database.load_keys().await?;
    let switch = match table.switch {
        Switch::Untouched => "untouched",
        Switch::Enabled => "enabled",
        Switch::Disabled => "disabled",
    };
    let plain = system.database.plain_count().await?;
    let is_active = table.is_encrypting();
    let wrapping = table.wrapping().filter(|_| is_active).map(|fingerprint| fingerprint.to_string());
    if global.json {
        print::json(&json!({
            "switch": switch, "active": is_active, "wraps_new": wrapping, "database_keys": table.rows.len(),
            "plain": { "exempt": plain.exempt, "others": plain.others, "files_left": plain.left },
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    print::line(effect.unwrap_or(match (table.switch, is_active, &wrapping) {
        (Switch::Disabled, ..) => "Encryption is switched off: new recordings stay plain, sealed ones do not play.",
        (_, false, _) => "Encryption is not active, because there is no database key yet: new recordings stay plain.",
        (_, true, Some(_)) => "Encryption is active: new recordings are sealed.",
        (_, true, None) => "Encryption is switched on and no key is active: new recordings are refused.",
    }))?;
    if let Some(fingerprint) = wrapping {
        print::line(&format!("New recordings are sealed under {fingerprint}."))?;
    }
    let in_plain = plain.exempt + plain.others;
    if in_plain > 0 {
        let exempt = plain.exempt;
        print::line(&format!(
            "{in_plain} recording(s) lie in plain, {exempt} of them exempt; `sealtape encrypt` seals them."
        ))?;
    }
    if plain.left > 0 {
        let left = plain.left;
        print::line(&format!(
            "{left} plain file(s) of sealed recordings are still there; `sealtape encrypt --all` removes them."
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Why the definition key cannot be asked now, where it cannot. Rows that do not verify are a failure.
async fn verify(system: &System) -> Result<Option<Failure>, Failure> {
    let holder = match system.holder() {
        Ok(holder) => holder,
        Err(failure) => return Ok(Some(failure)),
    };
    match KeyWatch::load(Arc::clone(&system.database), holder).await {
        Ok(_) => Ok(None),
        Err(KeyError::Keys(error @ keys::Error::DefinitionKeyUnavailable { .. })) => Ok(Some(error.into())),
        Err(error) => Err(error.into()),
    }
}

async fn turn(system: &System, enabled: bool) -> Result<(), Failure> {
    let record = Record::open(system).await?;
    system.database.set_encryption(enabled).await?;
    let kind = if enabled { EventKind::EncryptionEnable } else { EventKind::EncryptionDisable };
    record.write(record.event(kind)).await
}
