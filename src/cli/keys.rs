//! `sealtape keys`: database keys.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::{
    Failure, Global,
    keys_transfer::{ExportArguments, ImportArguments, export, import},
    open::{Purpose, System, clock, is_store_empty, settings},
    print,
    record::Record,
    restore,
    warnings::warn_of,
};
use crate::audit::{Event, EventKind};
use crate::base::FingerprintPrefix;
use crate::keys::{KeyRow, KeyState};
use crate::service::KeySummary;

/// How many recordings are named that a command makes unplayable.
const EXAMPLES_MAX: u32 = 10;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Generate a database key; new recordings are sealed under it
    Generate,
    /// List every database key
    List,
    /// Deactivate a key: recordings under it do not play, and none is sealed under it, until it is activated again
    Deactivate {
        /// Its fingerprint, or an unambiguous start of it
        #[arg(value_name = "FP")]
        key: FingerprintPrefix,
        /// Do it although recordings need the key
        #[arg(long)]
        force: bool,
    },
    /// Activate a key
    Activate {
        /// Its fingerprint, or an unambiguous start of it
        #[arg(value_name = "FP")]
        key: FingerprintPrefix,
    },
    /// Write a backup of keys, protected by a passphrase; the `age` program can open it, too
    Export(ExportArguments),
    /// Take keys in from a backup
    Import(ImportArguments),
}

pub(super) async fn run(global: &Global, command: Command) -> Result<ExitCode, Failure> {
    let command = match command {
        Command::Generate => return generate(global).await,
        // They wait for a passphrase before anything is opened.
        Command::Export(arguments) => return export(global, arguments).await,
        Command::Import(arguments) => return import(global, arguments).await,
        Command::List | Command::Deactivate { .. } | Command::Activate { .. } => command,
    };
    let system = System::open(global).await?;
    let outcome = match command {
        Command::Deactivate { key, force } => change_state(global, &system, &key, KeyState::Deactivated, force).await,
        Command::Activate { key } => change_state(global, &system, &key, KeyState::Active, false).await,
        _ => list(global, &system).await,
    };
    system.close(outcome).await
}

async fn generate(global: &Global) -> Result<ExitCode, Failure> {
    let settings = settings(global)?;
    let record = Record::open_for(&settings, &clock()).await?;
    let generate = async |system: &System| Ok::<_, Failure>(system.key_ops()?.generate().await?);
    // A new system's database takes its name with the key in it; a lost one's place is not taken.
    let made = if is_store_empty(&settings).await? { restore::with_keys(&settings, &generate).await? } else { None };
    let system = System::open_with(settings, Purpose::Use).await?;
    let outcome = async {
        let row = match made {
            Some(row) => row,
            None => generate(&system).await?,
        };
        let fingerprint = Some(row.fingerprint.to_string());
        record.write(Event { fingerprint, ..record.event(EventKind::KeysGenerate) }).await?;
        show_generated(global, &system, &row).await
    };
    let outcome = outcome.await;
    system.close(outcome).await
}

async fn show_generated(global: &Global, system: &System, row: &KeyRow) -> Result<ExitCode, Failure> {
    let ops = system.key_ops()?;
    let keys = ops.list().await?;
    let made = keys.iter().find(|key| key.fingerprint == row.fingerprint);
    if global.json {
        // It is a moment old.
        print::json(&made.map(|key| document(key, 0)))?;
    } else {
        print::line(&row.fingerprint.to_string())?;
        let (wraps, another) = (made.is_some_and(|key| key.wraps_new), keys.iter().find(|key| key.wraps_new));
        print::line(&match another {
            _ if wraps => "New recordings are sealed under this key; running servers see it within a second.".into(),
            Some(newer) => format!(
                "New recordings are sealed under {:.16} all the same, for its date is later: see to the clock, or deactivate it.",
                newer.fingerprint.to_string()
            ),
            None => "Encryption is switched off, so nothing is sealed under it yet.".into(),
        })?;
    }
    print::error_line(
        "reminder: `sealtape keys export --out FILE` makes a backup; until there is one, back up the database and, apart from it, the definition key",
    );
    Ok(ExitCode::SUCCESS)
}

async fn list(global: &Global, system: &System) -> Result<ExitCode, Failure> {
    let ops = system.key_ops()?;
    let (keys, recordings) = (ops.list().await?, ops.recordings().await?);
    let recordings = |key: &KeySummary| recordings.get(&key.fingerprint).copied().unwrap_or(0);
    if global.json {
        print::json(&keys.iter().map(|key| document(key, recordings(key))).collect::<Vec<_>>())?;
    } else {
        let heads = ["FINGERPRINT", "CREATED", "ORIGIN", "STATE", "WRAPS NEW", "RECORDINGS", "EXPORTED"];
        print::table(&heads, &keys.iter().map(|key| row(key, recordings(key))).collect::<Vec<_>>())?;
    }
    warn_of(&keys, system);
    Ok(ExitCode::SUCCESS)
}

async fn change_state(
    global: &Global,
    system: &System,
    key: &FingerprintPrefix,
    state: KeyState,
    force: bool,
) -> Result<ExitCode, Failure> {
    let ops = system.key_ops()?;
    let record = Record::open(system).await?;
    let change = ops.change_state(key, state, force).await?;
    if !change.is_old {
        let kind = match state {
            KeyState::Active => EventKind::KeysActivate,
            KeyState::Deactivated => EventKind::KeysDeactivate,
        };
        let fingerprint = Some(change.fingerprint.to_string());
        let detail = (state == KeyState::Deactivated && change.recordings > 0)
            .then(|| format!("forced: {} recording(s) need it", change.recordings));
        record.write(Event { fingerprint, detail, ..record.event(kind) }).await?;
    }
    let is_deactivated = state == KeyState::Deactivated;
    let unplayable = if is_deactivated { change.recordings } else { 0 };
    let examples = if unplayable > 0 {
        system.database.recordings_under(&change.fingerprint, None, EXAMPLES_MAX).await?
    } else {
        Vec::new()
    };
    if global.json {
        print::json(&json!({
            "fingerprint": change.fingerprint.to_string(),
            "state": state.as_str(),
            "changed": !change.is_old,
            "unplayable": unplayable,
        }))?;
    } else {
        let state = if is_deactivated { "deactivated" } else { "active" };
        print::line(&match change.is_old {
            true => format!("{} is {state} already; nothing was changed.", change.fingerprint),
            false => format!("{} is now {state}; running servers see it within a second.", change.fingerprint),
        })?;
    }
    if unplayable > 0 {
        let ids: Vec<&str> = examples.iter().map(|recording| recording.id.as_str()).collect();
        let more = if unplayable > ids.len() as u64 { ", …" } else { "" };
        print::error_line(&format!(
            "warning: {unplayable} recording(s) do not play until it is activated, or they are sealed again under another key (`sealtape keys generate` if none is active, then `sealtape reseal --key {:.16}`): {}{more}",
            change.fingerprint.to_string(),
            ids.join(", ")
        ));
    }
    if change.leaves_none_active {
        print::error_line(
            "warning: no key is active: while encryption is on, new recordings are refused; `sealtape keys generate` makes a key",
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn document(key: &KeySummary, recordings: u64) -> serde_json::Value {
    json!({
        "fingerprint": key.fingerprint.to_string(),
        "created_at": key.created_at.to_string(),
        "origin": key.origin.as_str(),
        "state": key.state.as_str(),
        "wraps_new": key.wraps_new,
        "recordings": recordings,
        "exported": key.exported_at.is_some(),
    })
}

fn row(key: &KeySummary, recordings: u64) -> Vec<String> {
    let yes = |flag: bool| if flag { "yes" } else { "no" }.to_owned();
    let exported = key.exported_at.map_or_else(|| "never".into(), |at| at.to_string());
    vec![
        key.fingerprint.to_string(),
        key.created_at.to_string(),
        key.origin.as_str().into(),
        key.state.as_str().into(),
        yes(key.wraps_new),
        recordings.to_string(),
        exported,
    ]
}
