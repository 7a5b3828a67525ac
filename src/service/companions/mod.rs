//! What lies beside a recording's media: its metadata, replaced whole, and sidecars that came with it.
//!
//! A new version is a new object. It is durable before the catalogue says, in one transaction, that it counts; the old
//! one goes afterwards. Whoever is killed in between leaves an object that nothing names.

mod reading;
mod renewing;
mod writing;

use std::{collections::BTreeSet, sync::Arc};

use zeroize::Zeroizing;

use super::{Clock, KeyWatch};
use crate::base::{ErrorCode, Fingerprint, MediaType, MetadataField, RecordingId, SidecarName};
use crate::catalogue::{self, COMPANION_LEN_MAX, Companion, Database, Kept, Metadata, MetadataError, Recording};
use crate::keys::{NoActiveKey, OpeningRefused, WrappingKey};
use crate::media::{self, MediaKind, MediaObject, MediaStore, ObjectRole, Stage};
use crate::sealed::{self, Corruption};

/// What an operator may decide about what lies beside recordings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompanionSettings {
    /// What of the metadata the catalogue knows, in clear.
    pub index: BTreeSet<MetadataField>,
    /// Whether sidecars are kept plain.
    pub plain_sidecars: bool,
}

/// Keeps what lies beside recordings.
pub struct Companions {
    database: Arc<dyn Database>,
    store: Arc<dyn MediaStore>,
    keys: Arc<KeyWatch>,
    clock: Clock,
    settings: CompanionSettings,
}

/// Why something beside a recording was not kept, or cannot be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The caller: no such recording, or nothing of that name beside it.
    #[error("there is no such recording, or nothing of that name beside it")]
    NotFound,
    /// The caller: metadata that cannot be kept.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The caller: a recording has one sidecar of a name.
    #[error("a sidecar of the name {0} is there already")]
    SidecarExists(SidecarName),
    /// The caller: it is too long.
    #[error("it is longer than {COMPANION_LEN_MAX} bytes")]
    TooLong,
    /// The operator: the catalogue.
    #[error(transparent)]
    Catalogue(#[from] catalogue::Error),
    /// The operator: the store.
    #[error(transparent)]
    Store(#[from] media::Error),
    /// The operator: the catalogue has it, the store does not.
    #[error("its file is not in the media store")]
    Missing,
    /// The operator: no key can wrap.
    #[error(transparent)]
    NoActiveKey(#[from] NoActiveKey),
    /// The operator: a key or the switch.
    #[error(transparent)]
    Refused(#[from] OpeningRefused),
    /// The operator: the key is not loaded, and whether there is one cannot be asked.
    #[error("no database key of the fingerprint {0} is loaded, and the database cannot be asked for it")]
    KeysUnavailable(Fingerprint),
    /// An investigator: the file is not what was written, or this build cannot read it.
    #[error(transparent)]
    Sealed(#[from] sealed::Error),
}

impl Error {
    /// The name that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound => ErrorCode::RecordingNotFound,
            Self::Metadata(_) => ErrorCode::BadRequest,
            Self::SidecarExists(_) => ErrorCode::RecordingExists,
            Self::TooLong => ErrorCode::MediaTooLarge,
            Self::Catalogue(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Missing => ErrorCode::MediaMissing,
            Self::NoActiveKey(NoActiveKey) => ErrorCode::NoActiveKey,
            Self::Refused(refused) => refused.code(),
            Self::KeysUnavailable(_) => ErrorCode::KeysUnavailable,
            Self::Sealed(error) => error.code(),
        }
    }

    /// The key that is needed, when one is.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        match self {
            Self::Refused(refused) => refused.fingerprint(),
            Self::KeysUnavailable(fingerprint) => Some(*fingerprint),
            Self::NotFound
            | Self::Metadata(_)
            | Self::SidecarExists(_)
            | Self::TooLong
            | Self::Catalogue(_)
            | Self::Store(_)
            | Self::Missing
            | Self::NoActiveKey(_)
            | Self::Sealed(_) => None,
        }
    }
}

impl From<Corruption> for Error {
    fn from(corruption: Corruption) -> Self {
        Self::Sealed(corruption.into())
    }
}

impl Companions {
    /// Keeps what lies beside the recordings of `database` in `store`.
    #[must_use]
    pub fn new(
        database: Arc<dyn Database>,
        store: Arc<dyn MediaStore>,
        keys: Arc<KeyWatch>,
        clock: Clock,
        settings: CompanionSettings,
    ) -> Self {
        Self { database, store, keys, clock, settings }
    }

    /// Puts `metadata` in the place of what a recording had; the recording as it is then.
    ///
    /// # Errors
    ///
    /// Why it has what it had.
    pub async fn describe(&self, id: &RecordingId, metadata: &Metadata) -> Result<Recording, Error> {
        metadata.check()?;
        let recording = self.recording(id).await?;
        let key = self.key_beside(&recording).await?;
        let content = Zeroizing::new(metadata.to_json());
        let companion = self.write(id, None, json(), &content, key.as_ref()).await?;
        let index = metadata.clone().only(&self.settings.index);
        self.put(&companion, Some(&index)).await?;
        self.recording(id).await
    }

    /// The recording as it is now, if it is there.
    ///
    /// # Errors
    ///
    /// The catalogue.
    pub async fn recording_of(&self, id: &RecordingId) -> Result<Option<Recording>, Error> {
        Ok(self.database.recording(id).await?)
    }

    /// Everything that is known about a recording; empty when nothing is.
    ///
    /// # Errors
    ///
    /// Why it cannot be read.
    pub async fn metadata(&self, id: &RecordingId) -> Result<Metadata, Error> {
        match self.find(id, None).await? {
            Some(companion) => metadata_of(&self.read_beside(id, &companion).await?),
            None => Ok(Metadata::default()),
        }
    }

    /// Adds a sidecar to a recording.
    ///
    /// # Errors
    ///
    /// Why it was not kept.
    pub async fn add_sidecar(
        &self,
        id: &RecordingId,
        name: &SidecarName,
        media_type: MediaType,
        content: &[u8],
    ) -> Result<Companion, Error> {
        let recording = self.recording(id).await?;
        if self.find(id, Some(name)).await?.is_some() {
            return Err(Error::SidecarExists(name.clone()));
        }
        let key = if self.settings.plain_sidecars { None } else { self.key_beside(&recording).await? };
        let companion = self.write(id, Some(name.clone()), media_type, content, key.as_ref()).await?;
        self.put(&companion, None).await?;
        Ok(companion)
    }

    /// A sidecar, and its content.
    ///
    /// # Errors
    ///
    /// Why it cannot be had.
    pub async fn sidecar(
        &self,
        id: &RecordingId,
        name: &SidecarName,
    ) -> Result<(Companion, Zeroizing<Vec<u8>>), Error> {
        let companion = self.find(id, Some(name)).await?.ok_or(Error::NotFound)?;
        let content = self.read_beside(id, &companion).await?;
        Ok((companion, content))
    }

    /// What lies in a companion. One that cannot be read is not damaged if its recording is being purged.
    async fn read_beside(&self, id: &RecordingId, companion: &Companion) -> Result<Zeroizing<Vec<u8>>, Error> {
        let error = match self.read(companion).await {
            Ok(content) => return Ok(content),
            Err(error) => error,
        };
        match self.database.recording(id).await {
            Ok(row) if row.as_ref().is_none_or(Recording::is_purging) => Err(Error::NotFound),
            _ => Err(error),
        }
    }

    async fn recording(&self, id: &RecordingId) -> Result<Recording, Error> {
        self.database.recording(id).await?.ok_or(Error::NotFound)
    }

    async fn find(&self, id: &RecordingId, name: Option<&SidecarName>) -> Result<Option<Companion>, Error> {
        let beside = self.database.companions(id).await?;
        Ok(beside.into_iter().find(|companion| companion.name.as_ref() == name))
    }

    /// The key under which something new beside a recording is sealed. Beside a sealed recording nothing is ever plain
    /// unless that was decided for sidecars.
    async fn key_beside(&self, recording: &Recording) -> Result<Option<WrappingKey>, Error> {
        // The switch may have been turned since this process began.
        self.keys.refresh().await;
        let key = self.keys.ring().sealing()?;
        if key.is_none() && recording.is_sealed() {
            return Err(OpeningRefused::EncryptionDisabled.into());
        }
        Ok(key)
    }
}

/// The object that holds something beside a recording.
pub(super) fn object(companion: &Companion) -> MediaObject {
    let kind = match companion.kept {
        Kept::Sealed { .. } => MediaKind::Sealed,
        Kept::Plain { .. } => MediaKind::Plain,
    };
    MediaObject {
        id: companion.id.clone(),
        role: role_object(companion),
        kind,
        stage: Stage::Final,
        sealing: None,
        outside: None,
    }
}

fn role_object(companion: &Companion) -> ObjectRole {
    let version = companion.version;
    match companion.name.clone() {
        None => ObjectRole::Metadata { version },
        Some(name) => ObjectRole::Sidecar { name, version },
    }
}

fn json() -> MediaType {
    "application/json".parse().unwrap_or_else(|_| unreachable!("a media type"))
}

/// What was written was checked; something else is not what was written.
fn metadata_of(content: &[u8]) -> Result<Metadata, Error> {
    Metadata::from_json(content).map_err(|_| Corruption::OtherRole.into())
}
