//! What an operator should know of the keys before it is too late: one line each, on standard error.

use std::{
    path::Path,
    sync::Once,
    time::{Duration, SystemTime},
};

use super::{Failure, auth::may_make, open::System, print};
use crate::config::{AuthMode, DatabaseSettings, DefinitionKeyKind, DefinitionKeySettings, Settings};
use crate::keys::KeyRing;
use crate::service::KeySummary;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Says once that the embedded key protects nothing.
pub(super) fn warn_of_embedded_key() {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        warn(
            "the embedded definition key is the same in every install: it protects nothing against a reader of this program's source; `sealtape definition-key migrate --to file` moves to a key of your own",
        );
    });
}

/// Says so when the definition key lies in a folder with the database or the media, or is older than it should be.
pub(super) fn warn_of_definition_key(settings: &Settings) {
    let DefinitionKeySettings { kind: DefinitionKeyKind::File, path, max_age, .. } = &settings.definition_key else {
        return;
    };
    let folder = path.parent().filter(|folder| *folder != Path::new("/"));
    let (database, media) = (settings.database.path(), settings.storage.folder());
    let has = |folder: &Path| [database, media].into_iter().flatten().any(|path| path.starts_with(folder));
    if folder.is_some_and(has) {
        warn(&format!(
            "the definition key {} lies beside the data: it protects a stolen disk only once it is moved elsewhere",
            path.display()
        ));
    }
    // Copies that keep the time keep the age; one that does not makes the key look younger than it is.
    let written = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    let age = written.ok().and_then(|written| SystemTime::now().duration_since(written).ok()).unwrap_or_default();
    if age > *max_age {
        warn(&format!(
            "the definition key {} is {} days old (definition_key.max_age is {}); `sealtape definition-key cycle` exchanges it",
            path.display(),
            age.as_secs() / DAY.as_secs(),
            days(*max_age)
        ));
    }
}

/// Says so when a server on another machine is not asked to prove who it is.
pub(super) fn warn_of_unverified_server(settings: &Settings) {
    if let DatabaseSettings::Postgres(server) = &settings.database
        && !server.url.is_verified()
    {
        warn(&format!(
            "{}: whoever is on the way to this server can read and change what is sent; `sslmode=verify-full` in database.url has it prove who it is",
            server.url
        ));
    }
}

/// Says so when links cannot be signed, and nothing will make what signs them: pages that play need them where callers
/// must say who they are.
pub(super) fn warn_of_no_links(settings: &Settings) {
    let path = &settings.auth.link_secrets_file;
    if settings.auth.mode != AuthMode::None && !may_make(settings, path) && !path.exists() {
        warn(&format!(
            "auth.link_secrets_file: {} is not there: no link is signed and none counts; `(umask 077; openssl rand -hex 32 > {0})` makes a secret, the same on every host",
            path.display()
        ));
    }
}

/// Says so when keys were never exported, or the one that new recordings are sealed under is older than it should be.
pub(super) async fn warn_of_database_keys(system: &System, ring: &KeyRing) -> Result<(), Failure> {
    warn_of(&system.key_ops()?.list_by(ring).await?, system);
    Ok(())
}

/// The same, of keys that were listed already.
pub(super) fn warn_of(keys: &[KeySummary], system: &System) {
    let never_exported = keys.iter().filter(|key| key.exported_at.is_none()).count();
    if never_exported > 0 {
        warn(&format!(
            "{never_exported} database key(s) were never exported: with the database every recording under them would be lost; `sealtape keys export --out FILE` makes a backup"
        ));
    }
    let max_age = system.settings.key_max_age;
    let now = (system.clock)().millis();
    for key in keys.iter().filter(|key| key.wraps_new) {
        let age = Duration::from_millis(now.saturating_sub(key.created_at.millis()));
        if age > max_age {
            warn(&format!(
                "the database key {:.16} that new recordings are sealed under is {} days old (keys.max_age is {}); `sealtape keys generate` makes a newer one",
                key.fingerprint.to_string(),
                age.as_secs() / DAY.as_secs(),
                days(max_age)
            ));
        }
    }
}

fn days(time: Duration) -> String {
    if time >= DAY { format!("{}d", time.as_secs() / DAY.as_secs()) } else { format!("{time:?}") }
}

fn warn(what: &str) {
    print::error_line(&format!("warning: {what}"));
}
