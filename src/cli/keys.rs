//! `sealtape keys`: database keys.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::{
    Failure, Global,
    open::{Purpose, System},
    print,
    record::Record,
};
use crate::audit::{Event, EventKind};
use crate::service::KeySummary;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Generate a database key; new recordings are sealed under it
    Generate,
    /// List every database key
    List,
}

pub(super) async fn run(global: &Global, command: Command) -> Result<ExitCode, Failure> {
    let purpose = if matches!(command, Command::Generate) { Purpose::MakeKeys } else { Purpose::Use };
    let system = System::open_for(global, purpose).await?;
    let outcome = run_on(global, command, &system).await;
    system.close(outcome).await
}

async fn run_on(global: &Global, command: Command, system: &System) -> Result<ExitCode, Failure> {
    let definition_key = system.definition_key()?;
    let ops = system.key_ops();
    match command {
        Command::Generate => {
            let record = Record::open(system).await?;
            let row = ops.generate(&definition_key).await?;
            let fingerprint = Some(row.fingerprint.to_string());
            record.write(Event { fingerprint, ..record.event(EventKind::KeysGenerate) }).await?;
            let keys = ops.list(&definition_key).await?;
            let made = keys.iter().find(|key| key.fingerprint == row.fingerprint);
            if global.json {
                print::json(&made.map(document))?;
            } else {
                print::line(&row.fingerprint.to_string())?;
                let wraps = made.is_some_and(|key| key.wraps_new);
                let effect = if wraps {
                    "New recordings are sealed under this key; running servers see it within a second."
                } else {
                    "Encryption is switched off, so nothing is sealed under it yet."
                };
                print::line(effect)?;
            }
            print::error_line(
                "reminder: export keys to a safe place; until there is an export, back up the database and, apart from it, the definition key",
            );
        }
        Command::List => {
            let keys = ops.list(&definition_key).await?;
            if global.json {
                print::json(&keys.iter().map(document).collect::<Vec<_>>())?;
            } else {
                let heads = ["FINGERPRINT", "CREATED", "ORIGIN", "STATE", "WRAPS NEW", "RECORDINGS", "EXPORTED"];
                print::table(&heads, &keys.iter().map(row).collect::<Vec<_>>())?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn document(key: &KeySummary) -> serde_json::Value {
    json!({
        "fingerprint": key.fingerprint.to_string(),
        "created_at": key.created_at.to_string(),
        "origin": key.origin.as_str(),
        "state": key.state.as_str(),
        "wraps_new": key.wraps_new,
        "recordings": key.recordings,
        "exported": key.exported,
    })
}

fn row(key: &KeySummary) -> Vec<String> {
    let yes = |flag: bool| if flag { "yes" } else { "no" }.to_owned();
    vec![
        key.fingerprint.to_string(),
        key.created_at.to_string(),
        key.origin.as_str().into(),
        key.state.as_str().into(),
        yes(key.wraps_new),
        key.recordings.to_string(),
        yes(key.exported),
    ]
}
