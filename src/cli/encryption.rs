//! `sealtape encryption`: the switch.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::{Failure, Global, open::System, print, record::Record};
use crate::audit::EventKind;
use crate::keys::Switch;

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
    // Loaded first: a command that fails has changed nothing.
    let keys = system.keys().await?;
    let effect = match command {
        Command::Enable => {
            turn(system, true).await?;
            Some(
                "Encryption is on: new recordings are sealed and sealed ones play. Running servers see it within a second.",
            )
        }
        Command::Disable => {
            turn(system, false).await?;
            Some(
                "Encryption is off: new recordings stay plain and sealed ones do not play. Running servers see it within a second.",
            )
        }
        Command::Status => None,
    };
    keys.reload().await?;
    let ring = keys.ring();
    let switch = match ring.switch() {
        Switch::Untouched => "untouched",
        Switch::Enabled => "enabled",
        Switch::Disabled => "disabled",
    };
    let plain = system.database.plain_count().await?;
    let wrapping = ring.sealing().ok().flatten().map(|key| key.fingerprint.to_string());
    if global.json {
        print::json(&json!({
            "switch": switch, "active": ring.is_encrypting(), "wraps_new": wrapping, "database_keys": ring.len(),
            "plain": { "exempt": plain.exempt, "others": plain.others, "files_left": plain.left },
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    print::line(effect.unwrap_or(match (ring.switch(), ring.is_encrypting(), &wrapping) {
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

async fn turn(system: &System, enabled: bool) -> Result<(), Failure> {
    let record = Record::open(system).await?;
    system.database.set_encryption(enabled).await?;
    let kind = if enabled { EventKind::EncryptionEnable } else { EventKind::EncryptionDisable };
    record.write(record.event(kind)).await
}
