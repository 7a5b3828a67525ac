//! Rows as SQL returns them, and as the catalogue means them.

use std::sync::Arc;

use crate::base::{Fingerprint, Location, SealId, Timestamp};
use crate::catalogue::{
    About, Companion, Content, Error, Kept, Metadata, PlainLeft, Recording, RecordingState, Replacement, ResealRun,
};
use crate::crypto::WrappedRowKey;
use crate::keys::{DefinitionKeyName, KeyOrigin, KeyRow, KeyState, Switch};

/// A row of `database_key`.
#[derive(sqlx::FromRow)]
pub(super) struct KeyRecord {
    fingerprint: Vec<u8>,
    created_at: i64,
    origin: i64,
    state: i64,
    definition_key: String,
    nonce: Vec<u8>,
    ciphertext: Vec<u8>,
    exported_at: Option<i64>,
}

/// A row of `recording`.
#[derive(sqlx::FromRow)]
pub(super) struct RecordingRecord {
    pub id: String,
    pub media_type: String,
    pub media_len: i64,
    pub state: i64,
    pub lease_until: Option<i64>,
    pub mended: i64,
    pub created_at: i64,
    #[sqlx(flatten)]
    pub content: ContentColumns,
    /// What is only read here: it is written by statements of its own.
    pub metadata: Option<String>,
    pub sidecars: Option<String>,
    pub held_at: Option<i64>,
    pub purging: i64,
    pub spool: Option<String>,
}

/// A row of `companion`.
#[derive(sqlx::FromRow)]
pub(super) struct CompanionRecord {
    pub id: String,
    pub name: String,
    pub version: Vec<u8>,
    pub media_type: String,
    pub content_len: i64,
    pub fingerprint: Option<Vec<u8>>,
    pub digest: Option<Vec<u8>>,
}

/// Kinds of terms by which recordings are found.
pub(super) const TERM_TAG: i64 = 0;
pub(super) const TERM_WORD: i64 = 1;

/// How a recording's media is kept, as columns of `recording`.
#[derive(Default, sqlx::FromRow)]
pub(super) struct ContentColumns {
    pub sealed: i64,
    pub fingerprint: Option<Vec<u8>>,
    pub seal_id: Option<Vec<u8>>,
    pub replacement_seal_id: Option<Vec<u8>>,
    pub replacement_fingerprint: Option<Vec<u8>>,
    pub replacement_header: Option<Vec<u8>>,
    pub digest: Option<Vec<u8>>,
    pub exempt: Option<i64>,
    pub location: Option<String>,
}

/// A row of `plain_left`.
#[derive(sqlx::FromRow)]
pub(super) struct PlainLeftRecord {
    pub number: i64,
    pub id: String,
    pub location: String,
    pub is_part: i64,
    pub len: i64,
    pub digest: Vec<u8>,
}

impl TryFrom<KeyRecord> for KeyRow {
    type Error = Error;

    fn try_from(record: KeyRecord) -> Result<Self, Error> {
        let what = || format!("database key {}", hex::encode(&record.fingerprint));
        Ok(Self {
            fingerprint: Fingerprint(exact(&record.fingerprint, what)?),
            created_at: time(record.created_at, what)?,
            origin: match record.origin {
                0 => KeyOrigin::Generated,
                1 => KeyOrigin::Imported,
                _ => return Err(Error::MalformedRow(what())),
            },
            state: match record.state {
                0 => KeyState::Active,
                1 => KeyState::Deactivated,
                _ => return Err(Error::MalformedRow(what())),
            },
            wrapped: WrappedRowKey {
                ciphertext: exact(&record.ciphertext, what)?,
                nonce: if [12, 16].contains(&record.nonce.len()) {
                    record.nonce
                } else {
                    return Err(Error::MalformedRow(what()));
                },
            },
            exported_at: record.exported_at.map(|millis| time(millis, what)).transpose()?,
            definition_key: DefinitionKeyName(record.definition_key),
        })
    }
}

impl TryFrom<RecordingRecord> for Recording {
    type Error = Error;

    fn try_from(record: RecordingRecord) -> Result<Self, Error> {
        let what = || format!("recording {:?}", record.id);
        let malformed = || Error::MalformedRow(what());
        let state = match (record.state, record.lease_until) {
            (0, Some(lease_until)) => RecordingState::Recording { lease_until: time(lease_until, what)? },
            (1, None) => RecordingState::Unfinished,
            (2, None) => RecordingState::Complete,
            _ => return Err(malformed()),
        };
        Ok(Self {
            id: record.id.parse().map_err(|_| malformed())?,
            media_type: record.media_type.parse().map_err(|_| malformed())?,
            media_len: count(record.media_len).map_err(|_| malformed())?,
            state,
            mended: record.mended != 0,
            created_at: time(record.created_at, what)?,
            content: record.content.read(what)?,
            spool: outside(record.spool.as_deref(), what)?,
            about: record.about()?.map(Arc::new),
        })
    }
}

impl RecordingRecord {
    fn about(&self) -> Result<Option<About>, Error> {
        if self.metadata.is_none() && self.sidecars.is_none() && self.held_at.is_none() && self.purging == 0 {
            return Ok(None);
        }
        let what = || format!("recording {:?}", self.id);
        let malformed = || Error::MalformedRow(what());
        let metadata = self.metadata.as_deref().map(serde_json::from_str).transpose().map_err(|_| malformed())?;
        let names = self.sidecars.as_deref().unwrap_or_default().split_ascii_whitespace();
        Ok(Some(About {
            metadata: metadata.unwrap_or_default(),
            sidecars: names.map(str::parse).collect::<Result<_, _>>().map_err(|_| malformed())?,
            held_at: self.held_at.map(|millis| time(millis, what)).transpose()?,
            is_purging: self.purging != 0,
        }))
    }
}

/// Metadata as the column of that name.
pub(super) fn metadata_column(metadata: &Metadata) -> Option<String> {
    (!metadata.is_empty()).then(|| String::from_utf8(metadata.to_json()).unwrap_or_default())
}

impl TryFrom<CompanionRecord> for Companion {
    type Error = Error;

    fn try_from(record: CompanionRecord) -> Result<Self, Error> {
        let what = || format!("what lies beside recording {:?}", record.id);
        let malformed = || Error::MalformedRow(what());
        let kept = match (&record.fingerprint, &record.digest) {
            (Some(fingerprint), None) => Kept::Sealed { fingerprint: Fingerprint(exact(fingerprint, what)?) },
            (None, Some(digest)) => Kept::Plain { digest: exact(digest, what)? },
            _ => return Err(malformed()),
        };
        Ok(Self {
            id: record.id.parse().map_err(|_| malformed())?,
            name: if record.name.is_empty() { None } else { Some(record.name.parse().map_err(|_| malformed())?) },
            version: SealId(exact(&record.version, what)?),
            media_type: record.media_type.parse().map_err(|_| malformed())?,
            content_len: count(record.content_len).map_err(|_| malformed())?,
            kept,
        })
    }
}

impl From<&Companion> for CompanionRecord {
    fn from(companion: &Companion) -> Self {
        let (fingerprint, digest) = match companion.kept {
            Kept::Sealed { fingerprint } => (Some(fingerprint.0.to_vec()), None),
            Kept::Plain { digest } => (None, Some(digest.to_vec())),
        };
        Self {
            id: companion.id.to_string(),
            name: companion.name.as_ref().map(ToString::to_string).unwrap_or_default(),
            version: companion.version.0.to_vec(),
            media_type: companion.media_type.to_string(),
            content_len: column(companion.content_len),
            fingerprint,
            digest,
        }
    }
}

impl ContentColumns {
    fn read(&self, what: impl Fn() -> String + Copy) -> Result<Content, Error> {
        let malformed = || Error::MalformedRow(what());
        match self.sealed {
            1 => Ok(Content::Sealed {
                fingerprint: Fingerprint(exact(self.fingerprint.as_deref().unwrap_or_default(), what)?),
                seal_id: SealId(exact(self.seal_id.as_deref().unwrap_or_default(), what)?),
                replacement: self.read_replacement(what)?,
            }),
            0 => Ok(Content::Plain {
                digest: exact(self.digest.as_deref().unwrap_or_default(), what)?,
                exempt: self.exempt.ok_or_else(malformed)? != 0,
                outside: outside(self.location.as_deref(), what)?,
            }),
            _ => Err(malformed()),
        }
    }

    /// A replacement is a header or a sealing, and always has a key. The first schema had a sealing without one; no
    /// version ever wrote such a row.
    fn read_replacement(&self, what: impl Fn() -> String + Copy) -> Result<Option<Replacement>, Error> {
        let fingerprint = |bytes: &Vec<u8>| Ok::<_, Error>(Fingerprint(exact(bytes, what)?));
        match (&self.replacement_fingerprint, &self.replacement_seal_id, &self.replacement_header) {
            (None, None, None) => Ok(None),
            (Some(key), Some(seal_id), None) => Ok(Some(Replacement::Sealing {
                fingerprint: fingerprint(key)?,
                seal_id: SealId(exact(seal_id, what)?),
            })),
            (Some(key), None, Some(header)) => {
                Ok(Some(Replacement::Header { fingerprint: fingerprint(key)?, header: Box::new(exact(header, what)?) }))
            }
            _ => Err(Error::MalformedRow(what())),
        }
    }
}

impl From<&Content> for ContentColumns {
    fn from(content: &Content) -> Self {
        match content {
            Content::Sealed { fingerprint, seal_id, replacement } => {
                let (replacement_seal_id, replacement_header) = match replacement {
                    Some(Replacement::Sealing { seal_id, .. }) => (Some(seal_id.0.to_vec()), None),
                    Some(Replacement::Header { header, .. }) => (None, Some(header.to_vec())),
                    None => (None, None),
                };
                Self {
                    sealed: 1,
                    fingerprint: Some(fingerprint.0.to_vec()),
                    seal_id: Some(seal_id.0.to_vec()),
                    replacement_seal_id,
                    replacement_fingerprint: replacement.as_ref().map(|it| it.fingerprint().0.to_vec()),
                    replacement_header,
                    ..Self::default()
                }
            }
            Content::Plain { digest, exempt, outside } => Self {
                digest: Some(digest.to_vec()),
                exempt: Some((*exempt).into()),
                location: outside.as_ref().map(ToString::to_string),
                ..Self::default()
            },
        }
    }
}

impl TryFrom<PlainLeftRecord> for (u64, PlainLeft) {
    type Error = Error;

    fn try_from(record: PlainLeftRecord) -> Result<Self, Error> {
        let what = || format!("plain file of {:?}", record.id);
        let location = Some(record.location.as_str()).filter(|location| !location.is_empty());
        let left = PlainLeft {
            id: record.id.parse().map_err(|_| Error::MalformedRow(what()))?,
            outside: outside(location, what)?,
            is_part: record.is_part != 0,
            len: count(record.len)?,
            digest: exact(&record.digest, what)?,
        };
        Ok((count(record.number)?, left))
    }
}

impl From<&Recording> for RecordingRecord {
    fn from(recording: &Recording) -> Self {
        let (state, lease_until) = state_columns(recording.state);
        Self {
            id: recording.id.to_string(),
            media_type: recording.media_type.to_string(),
            media_len: column(recording.media_len),
            state,
            lease_until,
            mended: recording.mended.into(),
            created_at: column(recording.created_at.millis()),
            content: ContentColumns::from(&recording.content),
            metadata: None,
            sidecars: None,
            held_at: None,
            purging: 0,
            spool: recording.spool.as_ref().map(ToString::to_string),
        }
    }
}

/// `state` and `lease_until`.
pub(super) fn state_columns(state: RecordingState) -> (i64, Option<i64>) {
    match state {
        RecordingState::Recording { lease_until } => (0, Some(column(lease_until.millis()))),
        RecordingState::Unfinished => (1, None),
        RecordingState::Complete => (2, None),
    }
}

/// `origin` and `state`.
pub(super) fn key_columns(row: &KeyRow) -> (i64, i64) {
    let origin = match row.origin {
        KeyOrigin::Generated => 0,
        KeyOrigin::Imported => 1,
    };
    let state = match row.state {
        KeyState::Active => 0,
        KeyState::Deactivated => 1,
    };
    (origin, state)
}

/// The switch from its setting's value.
pub(super) fn switch(value: Option<&str>) -> Result<Switch, Error> {
    match value {
        None => Ok(Switch::Untouched),
        Some("enabled") => Ok(Switch::Enabled),
        Some("disabled") => Ok(Switch::Disabled),
        Some(other) => Err(Error::MalformedRow(format!("setting encryption = {other:?}"))),
    }
}

/// A run of resealing from its setting's value: `MILLIS FINGERPRINT`.
pub(super) fn reseal_run(value: &str) -> Result<ResealRun, Error> {
    let read = || {
        let (millis, to) = value.split_once(' ')?;
        Some(ResealRun { begun: Timestamp::from_millis(millis.parse().ok()?)?, to: to.parse().ok()? })
    };
    read().ok_or_else(|| Error::MalformedRow(format!("setting reseal = {value:?}")))
}

/// Times and lengths are below 2^61 by their types.
pub(super) fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What SQL counted.
pub(super) fn count(number: i64) -> Result<u64, Error> {
    u64::try_from(number).map_err(|_| Error::MalformedRow(format!("a count of {number}")))
}

/// The location of a plain file, as `plain_left` writes it.
pub(super) fn left_location(left: &PlainLeft) -> &str {
    left.outside.as_ref().map_or("", Location::as_str)
}

fn outside(location: Option<&str>, what: impl Fn() -> String) -> Result<Option<Location>, Error> {
    location.map(|location| location.parse().map_err(|_| Error::MalformedRow(what()))).transpose()
}

fn exact<const N: usize>(bytes: &[u8], what: impl Fn() -> String) -> Result<[u8; N], Error> {
    bytes.try_into().map_err(|_| Error::MalformedRow(what()))
}

fn time(millis: i64, what: impl Fn() -> String) -> Result<Timestamp, Error> {
    let time = u64::try_from(millis).ok().and_then(Timestamp::from_millis);
    time.ok_or_else(|| Error::MalformedRow(what()))
}
