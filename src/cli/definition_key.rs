//! `sealtape definition-key`: the key that wraps the database keys.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::{
    Failure, Global,
    open::{Purpose, System, settings, warn_of_key_beside_data},
    print,
    record::Record,
};
use crate::audit::{Event, EventKind};
use crate::config::DefinitionKeySettings;
use crate::keys::DefinitionKey;
use crate::kms::FileDefinitionKey;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Generate a definition key where the settings say
    Generate,
    /// Show which definition key is in use and how many database keys it wraps
    Status,
}

pub(super) async fn run(global: &Global, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Generate => generate(global).await,
        Command::Status => status(global).await,
    }
}

async fn generate(global: &Global) -> Result<ExitCode, Failure> {
    let system = System::open_without_definition_key(settings(global)?, Purpose::MakeKeys).await?;
    let outcome = generate_on(global, &system).await;
    system.close(outcome).await
}

async fn generate_on(global: &Global, system: &System) -> Result<ExitCode, Failure> {
    let DefinitionKeySettings::File(path) = &system.settings.definition_key;
    let wrapped = system.database.load_keys().await?.rows.len();
    if wrapped > 0 && !path.exists() {
        // A fresh key would open none of them, and would hide that the right one is missing.
        return Err(Failure::new(format!(
            "{}: it is missing, and {wrapped} database key(s) are wrapped by it",
            path.display()
        ))
        .advise("put it back from your backup; another key cannot take its place"));
    }
    let record = Record::open(system).await?;
    let made = FileDefinitionKey::generate(path)?;
    let fingerprint = Some(made.name().0.clone());
    record.write(Event { fingerprint, ..record.event(EventKind::DefinitionKeyGenerate) }).await?;
    if global.json {
        print::json(&json!({ "kind": "file", "path": path, "fingerprint": made.name().0, "database_keys": 0 }))?;
    } else {
        print::line(&format!("{}  {}", made.name(), path.display()))?;
    }
    warn_of_key_beside_data(&system.settings);
    Ok(ExitCode::SUCCESS)
}

async fn status(global: &Global) -> Result<ExitCode, Failure> {
    let system = System::open(global).await?;
    let outcome = status_on(global, &system).await;
    system.close(outcome).await
}

async fn status_on(global: &Global, system: &System) -> Result<ExitCode, Failure> {
    let DefinitionKeySettings::File(path) = &system.settings.definition_key;
    let definition_key = system.definition_key()?;
    let name = definition_key.name();
    let rows = system.database.load_keys().await?.rows;
    let wrapped = rows.iter().filter(|row| row.definition_key == *name).count();
    if global.json {
        print::json(&json!({
            "kind": "file", "path": path, "fingerprint": name.0, "database_keys": wrapped,
            "database_keys_under_others": rows.len() - wrapped,
        }))?;
    } else {
        print::line(&format!("kind          file\npath          {}\nfingerprint   {name}", path.display()))?;
        print::line(&format!("wraps         {wrapped} database key(s)"))?;
        if rows.len() > wrapped {
            print::line(&format!("does not wrap {} database key(s): they need another one", rows.len() - wrapped))?;
        }
    }
    system.warn_of_key_beside_data();
    Ok(ExitCode::SUCCESS)
}
