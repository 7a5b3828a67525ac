//! `sealtape config`: the configuration.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::{
    Failure, Global,
    open::{settings, warn_of_key_beside_data},
    print,
    serve::refuse_strangers,
};
use crate::config::DefinitionKeySettings;
use crate::kms::FileDefinitionKey;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Check the settings, and show what is in force; nothing is made or changed
    Check,
}

pub(super) async fn run(global: &Global, command: Command) -> Result<ExitCode, Failure> {
    let Command::Check = command;
    let settings = settings(global)?;
    refuse_strangers(settings.listen, settings.auth)?;
    let DefinitionKeySettings::File(key_path) = &settings.definition_key;
    // In the one-machine default it is made at the first start.
    if key_path.exists() || settings.data_dir.is_none() {
        FileDefinitionKey::read(key_path)?;
    }
    if global.json {
        print::json(&json!({
            "server": { "listen": settings.listen, "drain_timeout": seconds(settings.drain_timeout) },
            "database": { "url": format!("sqlite://{}", settings.database.display()) },
            "storage": { "url": format!("file://{}", settings.storage.display()) },
            "encryption": { "allow_plain": settings.allow_plain },
            "definition_key": { "kind": "file", "path": key_path },
            "keys": { "reload_interval": seconds(settings.reload_interval) },
            "auth": { "mode": "none" },
        }))?;
    } else {
        print::line(&format!(
            "server.listen           {}\nserver.drain_timeout    {}\ndatabase.url            sqlite://{}\n\
             storage.url             file://{}\nencryption.allow_plain  {}\ndefinition_key.kind     file\n\
             definition_key.path     {}\nkeys.reload_interval    {}\nauth.mode               none",
            settings.listen,
            seconds(settings.drain_timeout),
            settings.database.display(),
            settings.storage.display(),
            settings.allow_plain,
            key_path.display(),
            seconds(settings.reload_interval),
        ))?;
    }
    warn_of_key_beside_data(&settings);
    Ok(ExitCode::SUCCESS)
}

fn seconds(duration: std::time::Duration) -> String {
    format!("{duration:?}")
}
