//! `sealtape definition-key migrate`: to a definition key of another kind.

use std::{process::ExitCode, sync::Arc};

use serde_json::json;

use super::{
    Failure, Global, definition_key::lock, holders, open::System, print, record::Record, warnings::warn_of_embedded_key,
};
use crate::audit::{Event, EventKind};
use crate::config::{DefinitionKeyKind, DefinitionKeySettings};
use crate::keys::{DefinitionKey, DefinitionKeyHolder, DefinitionKeyName};
use crate::kms::{EmbeddedDefinitionKey, SeveralHolders};

pub(super) async fn migrate(global: &Global, system: &System, to: DefinitionKeyKind) -> Result<ExitCode, Failure> {
    let settings = &system.settings.definition_key;
    let DefinitionKeySettings { kind, path, .. } = settings;
    let record = Record::open(system).await?;
    // Before one is made: of two who move at once, the second one finds the first one's key.
    let _held_to_the_end = lock(settings, to).await?;
    // Whichever kind wraps them now: the settings may name the new one already.
    let ops = system.key_ops_with(Arc::new(SeveralHolders::new(holders::all(settings, to)?)));
    // Looked at first: none is made for what cannot be moved.
    refuse_what_anybody_wrote(ops.check_exchange().await?.as_ref(), *kind, to)?;
    let mut is_made = false;
    let (target, place): (Arc<dyn DefinitionKey>, _) = if to == DefinitionKeyKind::Embedded {
        warn_of_embedded_key();
        (EmbeddedDefinitionKey::new().first().await?, None)
    } else {
        let keys = holders::keeper(settings, to)?;
        let key = if keys.exist().await? {
            keys.first().await?
        } else {
            is_made = true;
            let made = keys.generate().await?;
            let fingerprint = Some(made.name().0.clone());
            record.write(Event { fingerprint, ..record.event(EventKind::DefinitionKeyGenerate) }).await?;
            made
        };
        (key, Some(keys.place()))
    };
    let rewrapped = ops.exchange_definition_key(&*target).await?;
    let (fingerprint, detail) = (Some(target.name().0.clone()), Some(format!("to {}", to.as_str())));
    record.write(Event { fingerprint, detail, ..record.event(EventKind::DefinitionKeyMigrate) }).await?;
    let is_file = to == DefinitionKeyKind::File;
    if global.json {
        print::json(&json!({
            "kind": to.as_str(), "fingerprint": target.name().0, "rewrapped": rewrapped,
            "path": is_file.then_some(path), "place": place, "made": is_made,
        }))?;
    } else {
        let place = place.as_deref().unwrap_or("embedded");
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

/// What lies under the embedded key may be anybody's who can write the database: it is wrapped by a key that is a secret
/// only where the settings say that the embedded one was in use. The table alone could say so of rows that were planted.
fn refuse_what_anybody_wrote(
    wrapped_by: Option<&DefinitionKeyName>,
    kind: DefinitionKeyKind,
    to: DefinitionKeyKind,
) -> Result<(), Failure> {
    let is_named = [kind, to].contains(&DefinitionKeyKind::Embedded);
    if is_named || wrapped_by != Some(EmbeddedDefinitionKey::new().name()) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "the database keys are wrapped by the embedded definition key, which everybody has, and definition_key.kind is \"{}\": whoever can write the database may have put them there",
        kind.as_str()
    ))
    .advise("nothing was changed; where the embedded key was in use here, run it with definition_key.kind = \"embedded\" (SEALTAPE_DEFINITION_KEY__KIND); else restore the database from a backup, and find out who can write it"))
}
