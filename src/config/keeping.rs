//! What is kept of recordings in clear, and for how long they are kept.

use std::collections::{BTreeMap, BTreeSet};

use super::{Error, keys::Values};
use crate::base::MetadataField;

/// What is kept how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeepingSettings {
    /// What of the metadata lies in the database in clear.
    pub index: BTreeSet<MetadataField>,
    /// Whether sidecars are kept plain.
    pub plain_sidecars: bool,
    /// For how many days recordings are kept; for ever when nothing was said.
    pub days: Option<u64>,
    /// The same for recordings with a tag.
    pub days_by_tag: BTreeMap<String, u64>,
}

impl KeepingSettings {
    pub(super) fn validate(values: &Values) -> Result<Self, Error> {
        let index = if values.has("encryption.index") {
            let field = |text: &str| {
                let names: Vec<&str> = MetadataField::ALL.iter().map(|field| field.as_str()).collect();
                text.parse().map_err(|()| format!("it must be a list of some of {}", names.join(", ")))
            };
            values.list("encryption.index", field)?.into_iter().collect()
        } else {
            MetadataField::ALL.iter().copied().collect()
        };
        let days = values.count("retention.days", usize::MAX)?;
        let days_by_tag = values.numbers("retention.by_tag");
        let settings = Self {
            index,
            plain_sidecars: values.flag("encryption.plain_sidecars", false),
            days: (days != usize::MAX).then_some(days as u64),
            days_by_tag,
        };
        if !settings.days_by_tag.is_empty() && !settings.index.contains(&MetadataField::Tags) {
            return Err(values.bad("retention.by_tag", "tags must be in encryption.index, for retention to find them"));
        }
        Ok(settings)
    }
}
