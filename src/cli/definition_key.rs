//! `sealtape definition-key`: the key that wraps the database keys.

use std::{path::Path, process::ExitCode, sync::Arc};

use clap::Subcommand;
use serde_json::json;

use super::{
    Failure, Global,
    open::{Purpose, System, clock, database_exists, make_data_dir, settings},
    print,
    record::Record,
    warnings::{warn_of_definition_key, warn_of_embedded_key},
};
use crate::audit::{Event, EventKind};
use crate::config::{DefinitionKeyKind, DefinitionKeySettings, Settings};
use crate::keys::{DefinitionKey, DefinitionKeyHolder, LocalDefinitionKey};
use crate::kms::{EmbeddedDefinitionKey, FileDefinitionKeys, SeveralHolders};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Generate a definition key where the settings say
    Generate,
    /// Show which definition key is in use and how many database keys it wraps
    Status,
    /// Exchange the definition key for a fresh one; media files stay as they are
    Cycle {
        /// Only write PATH.next, to be distributed to every host
        #[arg(long, conflicts_with = "finish")]
        prepare: bool,
        /// Only wrap the database keys by PATH.next and give it its place
        #[arg(long)]
        finish: bool,
    },
    /// Move to a definition key of another kind
    Migrate {
        /// Where to: file or embedded
        #[arg(long, value_name = "KIND")]
        to: DefinitionKeyKind,
    },
}

pub(super) async fn run(global: &Global, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Generate => generate(global).await,
        Command::Status => {
            let system = System::open(global).await?;
            let outcome = status(global, &system).await;
            system.close(outcome).await
        }
        Command::Cycle { prepare, finish } => {
            let system = System::open(global).await?;
            let outcome = cycle(global, &system, prepare, finish).await;
            system.close(outcome).await
        }
        Command::Migrate { to } => {
            let system = System::open(global).await?;
            let outcome = migrate(global, &system, to).await;
            system.close(outcome).await
        }
    }
}

async fn generate(global: &Global) -> Result<ExitCode, Failure> {
    let settings = settings(global)?;
    let path = &settings.definition_key.path;
    if settings.definition_key.kind != DefinitionKeyKind::File {
        return Err(Failure::new("the embedded definition key is part of the program: there is none to generate")
            .advise("set definition_key.kind to \"file\" first"));
    }
    make_data_dir(&settings)?;
    let keys = FileDefinitionKeys::at(path);
    // A database that is not there, new or lost, has no key that another definition key wraps.
    if !keys.exist() && database_exists(&settings).await? {
        refuse_to_hide_a_lost_key(settings.clone(), path).await?;
    }
    let record = Record::open_for(&settings, &clock()).await?;
    let made = keys.generate()?;
    let fingerprint = Some(made.name().0.clone());
    record.write(Event { fingerprint, ..record.event(EventKind::DefinitionKeyGenerate) }).await?;
    if global.json {
        print::json(&json!({ "kind": "file", "path": path, "fingerprint": made.name().0, "database_keys": 0 }))?;
    } else {
        print::line(&format!("{}  {}", made.name(), path.display()))?;
    }
    warn_of_definition_key(&settings);
    Ok(ExitCode::SUCCESS)
}

/// A fresh key would open none of the database keys, and would hide that the right one is missing.
async fn refuse_to_hide_a_lost_key(settings: Settings, path: &Path) -> Result<(), Failure> {
    let system = System::open_without_definition_key(settings, Purpose::Use).await?;
    let wrapped = system.database.load_keys().await.map(|table| table.rows.len());
    let wrapped = system.close(wrapped).await?;
    if wrapped > 0 {
        return Err(Failure::new(format!(
            "{}: it is missing, and {wrapped} database key(s) are wrapped by it",
            path.display()
        ))
        .advise("put it back from your backup; with an export of the keys, move the database away, then `definition-key generate`, `keys import` and `recordings rebuild`"));
    }
    Ok(())
}

async fn status(global: &Global, system: &System) -> Result<ExitCode, Failure> {
    let DefinitionKeySettings { kind, path, .. } = &system.settings.definition_key;
    let holder = system.holder()?;
    let first = holder.first().await?;
    let name = first.name();
    let rows = system.database.load_keys().await?.rows;
    let files = (*kind == DefinitionKeyKind::File).then(|| FileDefinitionKeys::at(path));
    let next = files.as_ref().map(FileDefinitionKeys::read_next).transpose()?.flatten();
    let next = next.as_ref().map(DefinitionKey::name).filter(|next| *next != name);
    let obsolete = files.as_ref().map(FileDefinitionKeys::obsolete_path).filter(|path| path.exists());
    let wrapped = rows.iter().filter(|row| row.definition_key == *name).count();
    let by_next = rows.iter().filter(|row| Some(&row.definition_key) == next).count();
    let by_others = rows.len() - wrapped - by_next;
    if global.json {
        print::json(&json!({
            "kind": kind.as_str(), "path": files.as_ref().map(|_| path), "fingerprint": name.0,
            "database_keys": wrapped, "next": next.map(|next| &next.0), "database_keys_under_next": by_next,
            "database_keys_under_others": by_others, "obsolete": obsolete,
        }))?;
    } else {
        print::line(&format!("kind          {}", kind.as_str()))?;
        if files.is_some() {
            print::line(&format!("path          {}", path.display()))?;
        }
        print::line(&format!("fingerprint   {name}\nwraps         {wrapped} database key(s)"))?;
        if let Some(next) = next {
            print::line(&format!("next          {next}, which wraps {by_next} database key(s)"))?;
        }
        if by_others > 0 {
            print::line(&format!("does not wrap {by_others} database key(s): they need another one"))?;
        }
        if let Some(obsolete) = obsolete {
            print::line(&format!("obsolete      {}", obsolete.display()))?;
        }
    }
    warn_of_definition_key(&system.settings);
    Ok(ExitCode::SUCCESS)
}

async fn cycle(global: &Global, system: &System, prepare: bool, finish: bool) -> Result<ExitCode, Failure> {
    let DefinitionKeySettings { kind, path, .. } = &system.settings.definition_key;
    if *kind != DefinitionKeyKind::File {
        return Err(Failure::new("the embedded definition key is the same in every install and cannot be exchanged")
            .advise("`sealtape definition-key migrate --to file` moves to a key of your own"));
    }
    let keys = Arc::new(FileDefinitionKeys::at(path));
    let record = Record::open(system).await?;
    let _held_to_the_end = keys.lock()?;
    let old = keys.read()?;
    let ops = system.key_ops_with(Arc::<FileDefinitionKeys>::clone(&keys));
    if !finish {
        // Looked at first: keys that cannot be unwrapped cannot be exchanged either.
        ops.list().await?;
        let (next, is_made) = keys.prepare()?;
        if is_made {
            let fingerprint = Some(next.name().0.clone());
            record.write(Event { fingerprint, ..record.event(EventKind::DefinitionKeyGenerate) }).await?;
        }
    }
    let Some(next) = keys.read_next()? else {
        return Err(no_next_key(system, &keys, &old).await?);
    };
    if prepare {
        if global.json {
            print::json(&json!({ "next": keys.next_path(), "fingerprint": next.name().0 }))?;
        } else {
            print::line(&format!("{}  {}", next.name(), keys.next_path().display()))?;
            print::line(
                "Distribute it to every host, beside the definition key; then run `sealtape definition-key cycle --finish` on each.",
            )?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let rewrapped = ops.exchange_definition_key(&next).await?;
    let obsolete = keys.promote()?;
    let (fingerprint, detail) = (Some(next.name().0.clone()), Some(format!("from {}", old.name())));
    record.write(Event { fingerprint, detail, ..record.event(EventKind::DefinitionKeyCycle) }).await?;
    if global.json {
        print::json(&json!({
            "fingerprint": next.name().0, "path": path, "rewrapped": rewrapped,
            "obsolete": obsolete, "obsolete_fingerprint": old.name().0,
        }))?;
    } else {
        print::line(&format!("{}  {}", next.name(), path.display()))?;
        print::line(&format!(
            "It wraps {rewrapped} database key(s) that another one wrapped before; running servers go on and find it within a second."
        ))?;
        print::line(&format!(
            "{} is obsolete: nothing here needs it, and backups of the database from before do. Keep it with them, or destroy it with them.",
            obsolete.display()
        ))?;
    }
    warn_of_definition_key(&system.settings);
    Ok(ExitCode::SUCCESS)
}

/// Why there is nothing to finish: it is done, or the file was not brought here.
async fn no_next_key(system: &System, keys: &FileDefinitionKeys, old: &LocalDefinitionKey) -> Result<Failure, Failure> {
    let rows = system.database.load_keys().await?.rows;
    let other = rows.iter().map(|row| &row.definition_key).find(|name| *name != old.name());
    let failure = Failure::new(format!("{}: there is no next definition key", keys.next_path().display()));
    Ok(match other {
        Some(other) => failure.advise(format!(
            "database keys are wrapped by {other}: copy that file here from the host where it was prepared"
        )),
        None => failure.advise(format!(
            "{} is in use, so nothing is left to finish; `sealtape definition-key cycle --prepare` begins another exchange",
            old.name()
        )),
    })
}

async fn migrate(global: &Global, system: &System, to: DefinitionKeyKind) -> Result<ExitCode, Failure> {
    let DefinitionKeySettings { kind, path, .. } = &system.settings.definition_key;
    let files = Arc::new(FileDefinitionKeys::at(path));
    let embedded = Arc::new(EmbeddedDefinitionKey::new());
    let record = Record::open(system).await?;
    let mut is_made = false;
    let target: Arc<dyn DefinitionKey> = match to {
        DefinitionKeyKind::Embedded => {
            warn_of_embedded_key();
            embedded.first().await?
        }
        DefinitionKeyKind::File if files.exist() => Arc::new(files.read()?),
        DefinitionKeyKind::File => {
            let made = files.generate()?;
            is_made = true;
            let fingerprint = Some(made.name().0.clone());
            record.write(Event { fingerprint, ..record.event(EventKind::DefinitionKeyGenerate) }).await?;
            Arc::new(made)
        }
    };
    let _held_to_the_end = files.lock()?;
    // Whichever kind wraps them now: the settings may name the new one already.
    let mut holders: Vec<Arc<dyn DefinitionKeyHolder>> = vec![embedded];
    if files.exist() {
        holders.push(files);
    }
    let rewrapped =
        system.key_ops_with(Arc::new(SeveralHolders::new(holders))).exchange_definition_key(&*target).await?;
    let (fingerprint, detail) = (Some(target.name().0.clone()), Some(format!("to {}", to.as_str())));
    record.write(Event { fingerprint, detail, ..record.event(EventKind::DefinitionKeyMigrate) }).await?;
    let is_file = to == DefinitionKeyKind::File;
    if global.json {
        print::json(&json!({
            "kind": to.as_str(), "fingerprint": target.name().0, "rewrapped": rewrapped,
            "path": is_file.then_some(path), "made": is_made,
        }))?;
    } else {
        let place = if is_file { path.display().to_string() } else { "embedded".into() };
        let made = if is_made { ", made now" } else { "" };
        print::line(&format!("{}  {place}{made}", target.name()))?;
        print::line(&format!("It wraps {rewrapped} database key(s) that another one wrapped before."))?;
        if !is_file && path.exists() {
            print::line(&format!(
                "{} is obsolete as long as nothing is moved back to it; backups of the database from before need it.",
                path.display()
            ))?;
        }
    }
    if *kind != to {
        print::error_line(&format!(
            "now set definition_key.kind to \"{}\" for every command and server; running servers go on with the keys that they have until they are restarted so",
            to.as_str()
        ));
    }
    Ok(ExitCode::SUCCESS)
}
