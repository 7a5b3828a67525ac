//! What is known about a recording beside its media: when, how long, who with whom, and whatever labels it.
//!
//! It belongs to the media and is sealed with it. What of it lies in the catalogue, in clear, is an index, and
//! [`MetadataField`]s say which. Files and requests write it as a JSON object.

use std::collections::BTreeSet;

use crate::base::{MetadataField, Timestamp};

/// The longest text of one field, in characters.
const TEXT_LEN_MAX: usize = 256;
/// How many parties or tags there are at most.
const LIST_LEN_MAX: usize = 64;
/// The longest recording that can be described, in seconds: some 31 years.
const DURATION_S_MAX: f64 = 1e9;

/// What is known about a recording; any of it may be missing.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "app", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "app", serde(deny_unknown_fields, default))]
pub struct Metadata {
    /// When it was recorded: RFC 3339, as it was given.
    #[cfg_attr(feature = "app", serde(skip_serializing_if = "Option::is_none"))]
    pub started_at: Option<String>,
    /// How long it lasts, in seconds.
    #[cfg_attr(feature = "app", serde(skip_serializing_if = "Option::is_none"))]
    pub duration_s: Option<f64>,
    /// Such as `inbound` or `outbound`.
    #[cfg_attr(feature = "app", serde(skip_serializing_if = "Option::is_none"))]
    pub direction: Option<String>,
    /// Who took part: numbers, addresses or names.
    #[cfg_attr(feature = "app", serde(skip_serializing_if = "Vec::is_empty"))]
    pub parties: Vec<String>,
    /// Whose work it is a recording of.
    #[cfg_attr(feature = "app", serde(skip_serializing_if = "Option::is_none"))]
    pub agent: Option<String>,
    /// What it belongs to together with others: the sound of a call and its screen are one group.
    #[cfg_attr(feature = "app", serde(skip_serializing_if = "Option::is_none"))]
    pub group: Option<String>,
    /// Free labels.
    #[cfg_attr(feature = "app", serde(skip_serializing_if = "Vec::is_empty"))]
    pub tags: Vec<String>,
}

/// Why metadata is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// The caller: no JSON object.
    #[error("it is not a JSON object: {0}")]
    NotJson(String),
    /// The caller: a field that is unknown, or not what it must be.
    #[error("{0}")]
    Fields(String),
    /// The caller: a time that is none.
    #[error("`started_at` must be a time of RFC 3339 such as 2026-11-27T10:00:00Z, from 1970 to 9999")]
    StartedAt,
    /// The caller: a duration that is none.
    #[error("`duration_s` must be a number of seconds from 0 to 1000000000")]
    Duration,
    /// The caller: a text that is empty, too long or holds control characters.
    #[error("`{0}` must hold texts of 1 to 256 characters without control characters")]
    Text(MetadataField),
    /// The caller: too many parties or tags.
    #[error("`{0}` holds more than 64 texts")]
    TooMany(MetadataField),
}

impl Metadata {
    /// Checks that every field can be kept and found again.
    ///
    /// # Errors
    ///
    /// The first field that cannot.
    pub fn check(&self) -> Result<(), MetadataError> {
        if self.started_at.is_some() && self.started().is_none() {
            return Err(MetadataError::StartedAt);
        }
        if self.duration_s.is_some_and(|duration| !(0.0..=DURATION_S_MAX).contains(&duration)) {
            return Err(MetadataError::Duration);
        }
        for (field, list) in [(MetadataField::Parties, &self.parties), (MetadataField::Tags, &self.tags)] {
            if list.len() > LIST_LEN_MAX {
                return Err(MetadataError::TooMany(field));
            }
            list.iter().try_for_each(|text| check_text(field, text))?;
        }
        let texts = [
            (MetadataField::Direction, &self.direction),
            (MetadataField::Agent, &self.agent),
            (MetadataField::Group, &self.group),
        ];
        texts.into_iter().try_for_each(|(field, text)| text.iter().try_for_each(|text| check_text(field, text)))
    }

    /// Reads a JSON object, and checks it.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    #[cfg(feature = "app")]
    pub fn from_json(bytes: &[u8]) -> Result<Self, MetadataError> {
        // A list of the values of its fields is no object.
        let fields: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(bytes).map_err(|error| MetadataError::NotJson(error.to_string()))?;
        let metadata: Self =
            serde_json::from_value(fields.into()).map_err(|error| MetadataError::Fields(error.to_string()))?;
        metadata.check()?;
        Ok(metadata)
    }

    /// As a JSON object.
    #[cfg(feature = "app")]
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Text, numbers and lists always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// When it was recorded.
    #[must_use]
    pub fn started(&self) -> Option<Timestamp> {
        self.started_at.as_deref()?.parse().ok()
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Only those fields of it.
    #[must_use]
    pub fn only(self, fields: &BTreeSet<MetadataField>) -> Self {
        let has = |field| fields.contains(&field);
        Self {
            started_at: self.started_at.filter(|_| has(MetadataField::StartedAt)),
            duration_s: self.duration_s.filter(|_| has(MetadataField::Duration)),
            direction: self.direction.filter(|_| has(MetadataField::Direction)),
            parties: if has(MetadataField::Parties) { self.parties } else { Vec::new() },
            agent: self.agent.filter(|_| has(MetadataField::Agent)),
            group: self.group.filter(|_| has(MetadataField::Group)),
            tags: if has(MetadataField::Tags) { self.tags } else { Vec::new() },
        }
    }

    /// The words by which it can be looked for: each text as a whole, and the runs of letters and digits in it.
    #[must_use]
    pub fn words(&self) -> BTreeSet<String> {
        let single = [&self.direction, &self.agent, &self.group].into_iter().flatten();
        single.chain(&self.parties).chain(&self.tags).flat_map(|text| words_of(text)).collect()
    }
}

/// A text in the way words are compared, and its parts.
fn words_of(text: &str) -> Vec<String> {
    let whole = text.to_lowercase();
    let parts = whole.split(|letter: char| !letter.is_alphanumeric()).filter(|part| !part.is_empty());
    let mut words: Vec<String> = parts.map(str::to_owned).collect();
    words.push(whole);
    words
}

fn check_text(field: MetadataField, text: &str) -> Result<(), MetadataError> {
    let is_good = !text.is_empty() && text.chars().count() <= TEXT_LEN_MAX && !text.chars().any(char::is_control);
    if is_good { Ok(()) } else { Err(MetadataError::Text(field)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Metadata {
        Metadata {
            started_at: Some("2026-11-27T10:00:00+01:00".into()),
            duration_s: Some(12.5),
            direction: Some("inbound".into()),
            parties: vec!["+49 30 123456".into(), "Zoë".into()],
            agent: Some("a.smith".into()),
            group: Some("G-7".into()),
            tags: vec!["complaint".into()],
        }
    }

    #[test]
    fn what_cannot_be_kept_is_named() {
        assert_eq!(call().check(), Ok(()));
        assert_eq!(Metadata::default().check(), Ok(()));
        let with = |change: fn(&mut Metadata)| {
            let mut metadata = call();
            change(&mut metadata);
            metadata.check()
        };
        assert_eq!(with(|it| it.started_at = Some("yesterday".into())), Err(MetadataError::StartedAt));
        for bad in [-1.0, f64::NAN, f64::INFINITY, 2e9] {
            let metadata = Metadata { duration_s: Some(bad), ..Metadata::default() };
            assert_eq!(metadata.check(), Err(MetadataError::Duration), "{bad}");
        }
        assert_eq!(with(|it| it.agent = Some(String::new())), Err(MetadataError::Text(MetadataField::Agent)));
        assert_eq!(with(|it| it.group = Some("a\nb".into())), Err(MetadataError::Text(MetadataField::Group)));
        assert_eq!(with(|it| it.tags = vec!["x".repeat(257)]), Err(MetadataError::Text(MetadataField::Tags)));
        assert_eq!(with(|it| it.parties = vec!["x".into(); 65]), Err(MetadataError::TooMany(MetadataField::Parties)));
        // The greatest that can be kept.
        assert_eq!(with(|it| it.parties = vec!["ä".repeat(256); 64]), Ok(()));
        assert_eq!(with(|it| it.duration_s = Some(1e9)), Ok(()));
    }

    #[test]
    fn words_are_wholes_and_parts_without_case() {
        let words = call().words();
        for word in ["+49 30 123456", "49", "123456", "zoë", "a.smith", "smith", "g-7", "7", "complaint", "inbound"] {
            assert!(words.contains(word), "{word}");
        }
        assert!(!words.contains("Zoë") && !words.contains(""));
    }

    #[test]
    fn an_index_of_some_fields_has_those_alone() {
        for field in MetadataField::ALL {
            let only = call().only(&BTreeSet::from([*field]));
            assert!(!only.is_empty(), "{field}");
            assert!(only.clone().only(&BTreeSet::new()).is_empty());
            let others = MetadataField::ALL.iter().copied().filter(|other| other != field).collect();
            assert_eq!(only.only(&others), Metadata::default(), "{field} and nothing else");
            assert_eq!(field.as_str().parse(), Ok(*field));
        }
        assert_eq!(call().only(&MetadataField::ALL.iter().copied().collect()), call());
    }
}
