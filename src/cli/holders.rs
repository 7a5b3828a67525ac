//! Builds what holds definition keys, as the settings name it. Nothing far away is asked yet.

use std::{path::Path, sync::Arc};

use super::{Failure, warnings::warn_of_embedded_key};
use crate::config::{self, DefinitionKeyKind, DefinitionKeySettings};
use crate::keys::DefinitionKeyHolder;
use crate::kms::{
    self, DefinitionKeyKeeper, EmbeddedDefinitionKey, FileDefinitionKeys, KmipDefinitionKeys, Pkcs11DefinitionKeys,
};

/// What holds the definition key in use.
pub(super) fn in_use(settings: &DefinitionKeySettings) -> Result<Arc<dyn DefinitionKeyHolder>, Failure> {
    match settings.kind {
        DefinitionKeyKind::File => {
            let keys = FileDefinitionKeys::at(&settings.path);
            // Read here, so that what is wrong with it is said with the way out.
            keys.read()?;
            Ok(Arc::new(keys))
        }
        DefinitionKeyKind::Embedded => {
            warn_of_embedded_key();
            Ok(Arc::new(EmbeddedDefinitionKey::new()))
        }
        DefinitionKeyKind::Kmip | DefinitionKeyKind::Pkcs11 => Ok(keeper(settings, settings.kind)?),
    }
}

/// What makes definition keys of that kind, and exchanges them.
pub(super) fn keeper(
    settings: &DefinitionKeySettings,
    kind: DefinitionKeyKind,
) -> Result<Arc<dyn DefinitionKeyKeeper>, Failure> {
    let not_set = || {
        Failure::new(format!(
            "the settings do not say where a definition key of the kind \"{}\" is held",
            kind.as_str()
        ))
        .advise(format!("add definition_key.{}.*; the manual's chapter on key managers shows them", kind.as_str()))
    };
    match kind {
        DefinitionKeyKind::File => Ok(Arc::new(FileDefinitionKeys::at(&settings.path))),
        DefinitionKeyKind::Embedded => Err(Failure::new(
            "the embedded definition key is the same in every install and cannot be made or exchanged",
        )
        .advise("`sealtape definition-key migrate --to file` moves to a key of your own")),
        DefinitionKeyKind::Kmip => {
            let kmip = settings.kmip.as_ref().ok_or_else(not_set)?;
            Ok(Arc::new(KmipDefinitionKeys::at(kmip_settings(kmip)).map_err(kms::Error::from)?))
        }
        DefinitionKeyKind::Pkcs11 => {
            let pkcs11 = settings.pkcs11.as_ref().ok_or_else(not_set)?;
            Ok(Arc::new(Pkcs11DefinitionKeys::at(pkcs11_settings(pkcs11)).map_err(kms::Error::from)?))
        }
    }
}

/// Everything that may hold one now: the nearest first. Those of a kind that is neither in use nor moved to are left out
/// where they cannot be built. The embedded one is among them only where the settings name it: what it wraps elsewhere,
/// somebody else may have written.
pub(super) fn all(
    settings: &DefinitionKeySettings,
    to: DefinitionKeyKind,
) -> Result<Vec<Arc<dyn DefinitionKeyHolder>>, Failure> {
    let mut holders: Vec<Arc<dyn DefinitionKeyHolder>> = Vec::new();
    if settings.kind == DefinitionKeyKind::Embedded {
        holders.push(Arc::new(EmbeddedDefinitionKey::new()));
    }
    if exists(&settings.path) {
        holders.push(keeper(settings, DefinitionKeyKind::File)?);
    }
    let elsewhere =
        [(DefinitionKeyKind::Pkcs11, settings.pkcs11.is_some()), (DefinitionKeyKind::Kmip, settings.kmip.is_some())];
    for (kind, _) in elsewhere.into_iter().filter(|(_, is_set)| *is_set) {
        match keeper(settings, kind) {
            Ok(holder) => holders.push(holder),
            Err(failure) if kind == to || kind == settings.kind => return Err(failure),
            Err(_) => {}
        }
    }
    Ok(holders)
}

fn exists(path: &Path) -> bool {
    FileDefinitionKeys::at(path).exist()
}

fn kmip_settings(settings: &config::KmipSettings) -> kms::KmipSettings {
    let config::KmipSettings { endpoints, ca, cert, key, id, name, mode, timeout } = settings.clone();
    let mode = match mode {
        config::KmipMode::Encrypt => kms::KmipMode::Encrypt,
        config::KmipMode::Get => kms::KmipMode::Get,
    };
    kms::KmipSettings { endpoints, ca, cert, key, id, name, mode, timeout }
}

fn pkcs11_settings(settings: &config::Pkcs11Settings) -> kms::Pkcs11Settings {
    let config::Pkcs11Settings { module, token, label, pin_file, nonce, timeout } = settings.clone();
    let nonce = match nonce {
        config::NonceMaker::Host => kms::NonceMaker::Host,
        config::NonceMaker::Token => kms::NonceMaker::Token,
    };
    kms::Pkcs11Settings { module, token, label, pin_file, nonce, timeout }
}
