//! `sealtape definition-key`: the key that wraps the database keys.

use std::{process::ExitCode, sync::Arc};

use clap::Subcommand;
use serde_json::json;

use super::{
    Failure, Global, holders, migrate,
    open::{Purpose, System, clock, database_exists, make_data_dir, settings},
    print,
    record::Record,
    warnings::warn_of_definition_key,
};
use crate::audit::{Event, EventKind};
use crate::base::Ended;
use crate::config::{DefinitionKeyKind, DefinitionKeySettings, Settings};
use crate::keys::{DefinitionKeyHolder, DefinitionKeyName, KeyRow};
use crate::kms::{CycleLock, DefinitionKeyKeeper, FileDefinitionKeys};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Generate a definition key where the settings say
    Generate,
    /// Show which definition key is in use and how many database keys it wraps
    Status,
    /// Exchange the definition key for a fresh one; media files stay as they are
    Cycle {
        /// Only make the next one: PATH.next, to be distributed to every host, or a key that the key manager calls so
        #[arg(long, conflicts_with = "finish")]
        prepare: bool,
        /// Only wrap the database keys by the next one and give it its place
        #[arg(long)]
        finish: bool,
    },
    /// Move to a definition key of another kind
    Migrate {
        /// Where to: file, embedded, kmip or pkcs11
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
            let outcome = migrate::migrate(global, &system, to).await;
            system.close(outcome).await
        }
    }
}

async fn generate(global: &Global) -> Result<ExitCode, Failure> {
    let settings = settings(global)?;
    let DefinitionKeySettings { kind, path, .. } = &settings.definition_key;
    if *kind == DefinitionKeyKind::Embedded {
        return Err(Failure::new("the embedded definition key is part of the program: there is none to generate")
            .advise("set definition_key.kind to \"file\" first"));
    }
    make_data_dir(&settings)?;
    let keys = holders::keeper(&settings.definition_key, *kind)?;
    // A database that is not there, new or lost, has no key that another definition key wraps.
    if !keys.exist().await? && database_exists(&settings).await? {
        refuse_to_hide_a_lost_key(settings.clone(), &*keys).await?;
    }
    let record = Record::open_for(&settings, &clock()).await?;
    let _held_to_the_end = lock(&settings.definition_key, *kind).await?;
    let made = keys.generate().await?;
    let fingerprint = Some(made.name().0.clone());
    record.write(Event { fingerprint, ..record.event(EventKind::DefinitionKeyGenerate) }).await?;
    if global.json {
        let path = (*kind == DefinitionKeyKind::File).then_some(path);
        print::json(&json!({
            "kind": kind.as_str(), "path": path, "place": keys.place(), "fingerprint": made.name().0,
            "database_keys": 0,
        }))?;
    } else {
        print::line(&format!("{}  {}", made.name(), keys.place()))?;
    }
    warn_of_definition_key(&settings);
    Ok(ExitCode::SUCCESS)
}

/// Keeps others on this machine from making or exchanging keys: by the folder where a file would lie, whatever holds the
/// key, for key managers and tokens lock nothing. Without such a folder only those wait who write a file.
pub(super) async fn lock(
    settings: &DefinitionKeySettings,
    of: DefinitionKeyKind,
) -> Result<Option<CycleLock>, Failure> {
    let is_folder_there = settings.path.parent().is_some_and(|folder| folder.is_dir());
    if of != DefinitionKeyKind::File && !is_folder_there {
        return Ok(None);
    }
    let files = FileDefinitionKeys::at(&settings.path);
    let locked = tokio::task::spawn_blocking(move || files.lock()).await;
    Ok(Some(locked.map_err(|_| Failure::new(format!("the lock of definition keys: {Ended}")))??))
}

/// A fresh key would open none of the database keys, and would hide that the right one is missing.
async fn refuse_to_hide_a_lost_key(settings: Settings, keys: &dyn DefinitionKeyKeeper) -> Result<(), Failure> {
    let kind = settings.definition_key.kind;
    let system = System::open_without_definition_key(settings, Purpose::Use).await?;
    let wrapped = system.database.load_keys().await.map(|table| table.rows.len());
    let wrapped = system.close(wrapped).await?;
    if wrapped == 0 {
        return Ok(());
    }
    let failure =
        Failure::new(format!("{}: it is missing, and {wrapped} database key(s) are wrapped by it", keys.place()));
    Err(match kind {
        DefinitionKeyKind::File | DefinitionKeyKind::Embedded => failure.advise("put it back from your backup; with an export of the keys, move the database away, then `definition-key generate`, `keys import` and `recordings rebuild`"),
        DefinitionKeyKind::Kmip | DefinitionKeyKind::Pkcs11 => failure.advise(format!("`sealtape definition-key migrate --to {}` makes one and moves to it; if it was lost there, restore it from the backup that is made there", kind.as_str())),
    })
}

/// What became of the keys that are there, as far as it can be told.
struct Wrapped {
    /// Of the definition key in use; none when it cannot be had.
    name: Option<DefinitionKeyName>,
    next: Option<DefinitionKeyName>,
    by_it: usize,
    by_next: usize,
    by_others: usize,
}

impl Wrapped {
    fn count(rows: &[KeyRow], name: Option<DefinitionKeyName>, next: Option<DefinitionKeyName>) -> Self {
        let next = next.filter(|next| Some(next) != name.as_ref());
        let by = |name: Option<&DefinitionKeyName>| rows.iter().filter(|row| Some(&row.definition_key) == name).count();
        let (by_it, by_next) = (by(name.as_ref()), by(next.as_ref()));
        Self { by_others: rows.len() - by_it - by_next, name, next, by_it, by_next }
    }
}

async fn status(global: &Global, system: &System) -> Result<ExitCode, Failure> {
    let settings = &system.settings.definition_key;
    let DefinitionKeySettings { kind, path, .. } = settings;
    let rows = system.database.load_keys().await?.rows;
    let holder = system.holder()?;
    let keeper = match kind {
        DefinitionKeyKind::Embedded => None,
        DefinitionKeyKind::File | DefinitionKeyKind::Kmip | DefinitionKeyKind::Pkcs11 => {
            Some(holders::keeper(settings, *kind)?)
        }
    };
    let first = match holder.first().await {
        Ok(first) => holder.probe().await.map(|()| first.name().clone()),
        Err(error) => Err(error),
    };
    let next = match &keeper {
        // By its identifier no other is found.
        Some(keeper) if first.is_ok() && settings.is_named() => match keeper.next().await {
            Ok(next) => next.map(|next| next.name().clone()),
            // The one in place can be used all the same.
            Err(error) => {
                print::error_line(&format!("{}: {error}", keeper.next_place()));
                None
            }
        },
        _ => None,
    };
    let obsolete = match &keeper {
        Some(keeper) => keeper.obsolete().await?,
        None => None,
    };
    let place = keeper.as_ref().map(|keeper| keeper.place());
    let wrapped = Wrapped::count(&rows, first.as_ref().ok().cloned(), next);
    if global.json {
        let path = (*kind == DefinitionKeyKind::File).then_some(path);
        print::json(&json!({
            "kind": kind.as_str(), "path": path, "place": place,
            "fingerprint": wrapped.name.as_ref().map(|name| &name.0), "usable": first.is_ok(),
            "failure": first.as_ref().err().map(ToString::to_string),
            "database_keys": wrapped.by_it, "next": wrapped.next.as_ref().map(|next| &next.0),
            "database_keys_under_next": wrapped.by_next, "database_keys_under_others": wrapped.by_others,
            "obsolete": obsolete,
        }))?;
    } else {
        print_status(*kind, place.as_deref(), &wrapped, obsolete.as_deref())?;
    }
    warn_of_definition_key(&system.settings);
    // What can be told is told, and that it cannot be used is a failure all the same.
    first.map(|_| ExitCode::SUCCESS).map_err(Failure::from)
}

fn print_status(
    kind: DefinitionKeyKind,
    place: Option<&str>,
    wrapped: &Wrapped,
    obsolete: Option<&str>,
) -> Result<(), Failure> {
    print::line(&format!("kind          {}", kind.as_str()))?;
    if let Some(place) = place {
        let word = if kind == DefinitionKeyKind::File { "path " } else { "place" };
        print::line(&format!("{word}         {place}"))?;
    }
    match &wrapped.name {
        Some(name) => {
            print::line(&format!("fingerprint   {name}\nwraps         {} database key(s)", wrapped.by_it))?;
        }
        None => {
            print::line(&format!("fingerprint   unknown now\nthere are     {} database key(s)", wrapped.by_others))?
        }
    }
    if let Some(next) = &wrapped.next {
        print::line(&format!("next          {next}, which wraps {} database key(s)", wrapped.by_next))?;
    }
    if wrapped.by_others > 0 && wrapped.name.is_some() {
        print::line(&format!("does not wrap {} database key(s): they need another one", wrapped.by_others))?;
    }
    if let Some(obsolete) = obsolete {
        print::line(&format!("obsolete      {obsolete}"))?;
    }
    Ok(())
}

async fn cycle(global: &Global, system: &System, prepare: bool, finish: bool) -> Result<ExitCode, Failure> {
    let settings = &system.settings.definition_key;
    let keys = holders::keeper(settings, settings.kind)?;
    let is_file = settings.kind == DefinitionKeyKind::File;
    let record = Record::open(system).await?;
    let _held_to_the_end = lock(settings, settings.kind).await?;
    let old = keys.first().await?;
    let holder: Arc<dyn DefinitionKeyHolder> = Arc::<dyn DefinitionKeyKeeper>::clone(&keys);
    let ops = system.key_ops_with(holder);
    ops.check_exchange().await?;
    if !finish {
        // Looked at first: keys that cannot be unwrapped cannot be exchanged either.
        ops.list().await?;
        let (next, is_made) = keys.prepare().await?;
        if is_made {
            let fingerprint = Some(next.name().0.clone());
            record.write(Event { fingerprint, ..record.event(EventKind::DefinitionKeyGenerate) }).await?;
        }
    }
    let Some(next) = keys.next().await? else {
        return Err(no_next_key(system, &*keys, old.name()).await?);
    };
    if prepare {
        if global.json {
            print::json(&json!({ "next": keys.next_place(), "fingerprint": next.name().0 }))?;
        } else {
            print::line(&format!("{}  {}", next.name(), keys.next_place()))?;
            print::line(if is_file {
                "Distribute it to every host, beside the definition key; then run `sealtape definition-key cycle --finish` on each."
            } else {
                "Every host finds it there; run `sealtape definition-key cycle --finish` on one of them."
            })?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let rewrapped = ops.exchange_definition_key(&*next).await?;
    let obsolete = keys.promote(next.name()).await?;
    let (fingerprint, detail) = (Some(next.name().0.clone()), Some(format!("from {}", old.name())));
    record.write(Event { fingerprint, detail, ..record.event(EventKind::DefinitionKeyCycle) }).await?;
    if global.json {
        print::json(&json!({
            "fingerprint": next.name().0, "path": is_file.then(|| keys.place()), "place": keys.place(),
            "rewrapped": rewrapped, "obsolete": obsolete, "obsolete_fingerprint": old.name().0,
        }))?;
    } else {
        print::line(&format!("{}  {}", next.name(), keys.place()))?;
        print::line(&format!(
            "It wraps {rewrapped} database key(s) that another one wrapped before; running servers go on and find it within a second."
        ))?;
        if let Some(obsolete) = obsolete {
            print::line(&format!(
                "{obsolete} is obsolete: nothing here needs it, and backups of the database from before do. Keep it with them, or destroy it with them."
            ))?;
        }
    }
    warn_of_definition_key(&system.settings);
    Ok(ExitCode::SUCCESS)
}

/// Why there is nothing to finish: it is done, or the file was not brought here.
async fn no_next_key(
    system: &System,
    keys: &dyn DefinitionKeyKeeper,
    old: &DefinitionKeyName,
) -> Result<Failure, Failure> {
    let rows = system.database.load_keys().await?.rows;
    let other = rows.iter().map(|row| &row.definition_key).find(|name| *name != old);
    let failure = Failure::new(format!("{}: there is no next definition key", keys.next_place()));
    Ok(match other {
        Some(other) if system.settings.definition_key.kind == DefinitionKeyKind::File => failure.advise(format!(
            "database keys are wrapped by {other}: copy that file here from the host where it was prepared"
        )),
        Some(other) => failure.advise(format!("database keys are wrapped by {other}, which is not there either")),
        None => failure.advise(format!(
            "{old} is in use, so nothing is left to finish; `sealtape definition-key cycle --prepare` begins another exchange"
        )),
    })
}
