//! What lies beside a recording's media: its metadata, replaced whole, and sidecars that came with it.
//!
//! A new version is a new object. It is durable before the catalogue says, in one transaction, that it counts; the old
//! one goes afterwards. Whoever is killed in between leaves an object that nothing names.

use std::{collections::BTreeSet, sync::Arc};

use zeroize::Zeroizing;

use super::{Clock, KeyWatch, Selection, Stop, Work};
use crate::base::{ErrorCode, Fingerprint, MediaType, MetadataField, RecordingId, SealId, SidecarName, Timestamp};
use crate::catalogue::{
    self, COMPANION_LEN_MAX, Companion, CompanionsOf, Database, Kept, Metadata, MetadataError, Recording, ResealRun,
};
use crate::crypto::{Key, Sha256Digest, random};
use crate::keys::{NoActiveKey, OpeningRefused, WrappingKey};
use crate::media::{self, MediaFile, MediaKind, MediaObject, MediaStore, ObjectRole, Stage};
use crate::sealed::{self, ChunkLen, Corruption, HEADER_LEN, NameClaim, Role, Sealer, Sealing, UnverifiedHeader};

/// How many rows are asked for at a time.
const PAGE_LEN: u32 = 1000;

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
            Some(companion) => metadata_of(&self.read(&companion).await?),
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
        let content = self.read(&companion).await?;
        Ok((companion, content))
    }

    /// Seals what lies sealed beside a recording again, under the newest database key.
    ///
    /// # Errors
    ///
    /// Why it stays as it is.
    async fn renew(&self, companion: &Companion) -> Result<Companion, Error> {
        let to = self.keys.ring().wrapping()?;
        let content = self.read_with(companion, Reading::Keeping).await?;
        let (id, name) = (&companion.id, companion.name.clone());
        let new = self.write(id, name, companion.media_type.clone(), &content, Some(&to)).await?;
        if let Err(error) = self.database.replace_companion(companion, &new).await {
            self.take_away(&new).await;
            return Err(error.into());
        }
        self.take_away(companion).await;
        Ok(new)
    }

    /// Seals again what `work` and `selection` ask for, as the same is done with media: what is under another key than
    /// the newest, or, to reseal, whatever `run` has not sealed yet. `each` hears of every one.
    ///
    /// # Errors
    ///
    /// The catalogue, no active key, or what `each` says.
    pub async fn renew_all<E: From<Error>>(
        &self,
        work: Work,
        selection: &Selection,
        run: Option<&ResealRun>,
        stop: &Stop,
        mut each: impl FnMut(&Companion, Result<(), Error>) -> Result<(), E>,
    ) -> Result<(), E> {
        let newest = self.keys.ring().wrapping().map_err(Error::from)?.fingerprint;
        let which = match (selection, work) {
            (Selection::Under(key), _) => CompanionsOf::Under(*key),
            (Selection::All | Selection::Ids(_), Work::Rewrap) => CompanionsOf::NotUnder(newest),
            (Selection::All | Selection::Ids(_), Work::Reseal) => CompanionsOf::All,
        };
        let mut after: Option<Companion> = None;
        let mut ids = match selection {
            Selection::Ids(ids) => ids.as_slice(),
            Selection::All | Selection::Under(_) => &[],
        };
        loop {
            let page = match selection {
                Selection::Ids(_) => {
                    let Some((id, rest)) = ids.split_first() else { return Ok(()) };
                    ids = rest;
                    let mut beside = self.database.companions(id).await.map_err(Error::from)?;
                    beside.retain(|companion| match (companion.fingerprint(), work) {
                        (None, _) => false,
                        (Some(key), Work::Rewrap) => key != newest,
                        (Some(_), Work::Reseal) => true,
                    });
                    beside
                }
                Selection::All | Selection::Under(_) => {
                    let page = self.database.companions_of(&which, after.as_ref(), PAGE_LEN).await;
                    let page = page.map_err(Error::from)?;
                    let Some(last) = page.last() else { return Ok(()) };
                    after = Some(last.clone());
                    page
                }
            };
            for companion in &page {
                if stop.is_asked() {
                    return Ok(());
                }
                match self.renew_unless(companion, newest, run).await {
                    Ok(true) => each(companion, Ok(()))?,
                    Ok(false) => {}
                    Err(error) => each(companion, Err(error))?,
                }
            }
        }
    }

    /// Whether it was sealed again now, and not by that run before.
    async fn renew_unless(
        &self,
        companion: &Companion,
        newest: Fingerprint,
        run: Option<&ResealRun>,
    ) -> Result<bool, Error> {
        if let Some(run) = run
            && run.to == newest
            && companion.fingerprint() == Some(newest)
            && self.sealed_at(companion).await? > run.begun
        {
            return Ok(false);
        }
        self.renew(companion).await?;
        Ok(true)
    }

    /// When a sealed companion was sealed.
    ///
    /// # Errors
    ///
    /// Why its header cannot be read.
    async fn sealed_at(&self, companion: &Companion) -> Result<Timestamp, Error> {
        let file = self.store.open(&object(companion)).await?.ok_or(Error::Missing)?;
        let header = UnverifiedHeader::read(&read(&*file, 0, file.version().len.min(HEADER_LEN as u64)).await?)?;
        let key = self.key(header.fingerprint(), Reading::Keeping).await?;
        Ok(header.verify(&key)?.header().sealed_at)
    }

    /// The content of something that lies beside a recording, verified.
    ///
    /// # Errors
    ///
    /// Why it cannot be had.
    pub async fn read(&self, companion: &Companion) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.read_with(companion, Reading::Playing).await
    }

    async fn read_with(&self, companion: &Companion, reading: Reading) -> Result<Zeroizing<Vec<u8>>, Error> {
        let file = self.store.open(&object(companion)).await?.ok_or(Error::Missing)?;
        let content = match companion.kept {
            Kept::Plain { digest } => {
                let len = file.version().len;
                if len != companion.content_len || len > COMPANION_LEN_MAX {
                    return Err(Corruption::ShortRead.into());
                }
                let content = Zeroizing::new(read(&*file, 0, len).await?);
                let mut found = Sha256Digest::default();
                found.update(&content);
                if found.finish() != digest {
                    return Err(Corruption::OtherSealing.into());
                }
                content
            }
            Kept::Sealed { .. } => {
                let (found, content) = self.open(&*file, &companion.id, &role(companion), reading).await?;
                if found.seal_id != companion.version {
                    return Err(Corruption::OtherSealing.into());
                }
                content
            }
        };
        Ok(content)
    }

    /// Opens a sealed file as a whole: what its header says, and its content.
    async fn open(
        &self,
        file: &dyn MediaFile,
        id: &RecordingId,
        role: &Role,
        reading: Reading,
    ) -> Result<(Found, Zeroizing<Vec<u8>>), Error> {
        let file_len = file.version().len;
        let header = UnverifiedHeader::read(&read(file, 0, file_len.min(HEADER_LEN as u64)).await?)?;
        let key = self.key(header.fingerprint(), reading).await?;
        let verified = header.verify(&key)?.expect_place(id, role)?;
        let tail = verified.tail(file_len)?;
        let tail = read(file, tail.start, tail.end).await?;
        let opener = verified.judge(file_len, &tail, NameClaim::Final)?;
        let len = opener.state().media_len();
        if len > COMPANION_LEN_MAX {
            return Err(Error::TooLong);
        }
        let mut content = Zeroizing::new(vec![0; usize::try_from(len).unwrap_or(usize::MAX)]);
        if let Some(span) = opener.span(0..len) {
            let records = read(file, span.file().start, span.file().end).await?;
            opener.open_span(&span, &records, &mut content).map_err(|damage| damage.corruption)?;
        }
        let header = opener.header();
        let found = Found {
            seal_id: opener.seal_id(),
            fingerprint: header.fingerprint,
            sealed_at: header.sealed_at,
            media_type: header.media_type.clone(),
        };
        Ok((found, content))
    }

    /// What of the files beside a recording no catalogue knows, put into it again: of several versions the latest that
    /// verifies. The names of what was put.
    ///
    /// # Errors
    ///
    /// Why a file cannot be told of.
    pub async fn restore(&self, objects: &[MediaObject]) -> Result<Vec<Companion>, Error> {
        let mut latest: Vec<(Timestamp, Companion, Zeroizing<Vec<u8>>)> = Vec::new();
        for object in objects {
            let name = match &object.role {
                ObjectRole::Media => continue,
                ObjectRole::Metadata { .. } => None,
                ObjectRole::Sidecar { name, .. } => Some(name.clone()),
            };
            if object.kind != MediaKind::Sealed || object.stage != Stage::Final {
                continue;
            }
            if self.find(&object.id, name.as_ref()).await?.is_some() {
                continue;
            }
            let file = self.store.open(object).await?.ok_or(Error::Missing)?;
            let role = name.clone().map_or(Role::Metadata, Role::Sidecar);
            let (found, content) = self.open(&*file, &object.id, &role, Reading::Keeping).await?;
            let companion = Companion {
                id: object.id.clone(),
                name,
                version: found.seal_id,
                media_type: found.media_type,
                content_len: content.len() as u64,
                kept: Kept::Sealed { fingerprint: found.fingerprint },
            };
            if role_object(&companion) != object.role {
                return Err(Corruption::OtherSealing.into());
            }
            match latest.iter_mut().find(|(_, other, _)| other.name == companion.name) {
                Some(other) if other.0 < found.sealed_at => *other = (found.sealed_at, companion, content),
                Some(_) => {}
                None => latest.push((found.sealed_at, companion, content)),
            }
        }
        let mut restored = Vec::with_capacity(latest.len());
        for (_, companion, content) in latest {
            let index = match companion.name {
                None => Some(metadata_of(&content)?.only(&self.settings.index)),
                Some(_) => None,
            };
            self.database.put_companion(&companion, index.as_ref()).await?;
            restored.push(companion);
        }
        Ok(restored)
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

    async fn key(&self, fingerprint: Fingerprint, reading: Reading) -> Result<Key, Error> {
        let held = || {
            let ring = self.keys.ring();
            match reading {
                Reading::Playing => ring.opening(&fingerprint).cloned(),
                Reading::Keeping => ring.held(&fingerprint).cloned(),
            }
        };
        match held() {
            Err(OpeningRefused::KeyMissing(_)) => {}
            outcome => return Ok(outcome?),
        }
        let could_ask = self.keys.look_again(&fingerprint).await;
        match held() {
            Err(OpeningRefused::KeyMissing(_)) if !could_ask => Err(Error::KeysUnavailable(fingerprint)),
            outcome => Ok(outcome?),
        }
    }

    /// Writes an object that nothing names yet.
    async fn write(
        &self,
        id: &RecordingId,
        name: Option<SidecarName>,
        media_type: MediaType,
        content: &[u8],
        key: Option<&WrappingKey>,
    ) -> Result<Companion, Error> {
        let content_len = content.len() as u64;
        if content_len > COMPANION_LEN_MAX {
            return Err(Error::TooLong);
        }
        let (version, kept, bytes) = match key {
            Some(key) => {
                let sealing = Sealing {
                    id: id.clone(),
                    role: name.clone().map_or(Role::Metadata, Role::Sidecar),
                    media_type: media_type.clone(),
                    chunk_len: ChunkLen::FILE,
                    mended: false,
                    sealed_at: (self.clock)(),
                };
                let (mut sealer, header) = Sealer::new(sealing, key.fingerprint, &key.key)?;
                let mut bytes = header.to_vec();
                sealer.update(content, &mut bytes)?;
                let sealed = sealer.finish(&mut bytes);
                (sealed.seal_id, Kept::Sealed { fingerprint: key.fingerprint }, bytes)
            }
            None => {
                let mut digest = Sha256Digest::default();
                digest.update(content);
                let version = SealId(random().map_err(sealed::Error::from)?);
                (version, Kept::Plain { digest: digest.finish() }, content.to_vec())
            }
        };
        let companion = Companion { id: id.clone(), name, version, media_type, content_len, kept };
        let mut writer = self.store.create_companion(&object(&companion)).await?;
        let written = async {
            if !bytes.is_empty() {
                writer.append(bytes).await?;
            }
            writer.finish().await
        };
        if let Err(error) = written.await {
            self.take_away(&companion).await;
            return Err(error.into());
        }
        Ok(companion)
    }

    /// Says in the catalogue that an object counts; the one whose place it takes goes.
    async fn put(&self, companion: &Companion, index: Option<&Metadata>) -> Result<(), Error> {
        match self.database.put_companion(companion, index).await {
            Ok(old) => {
                if let Some(old) = old {
                    self.take_away(&old).await;
                }
                Ok(())
            }
            Err(error) => {
                // Whether it counts now cannot be told when the database did not answer: then it stays.
                let counts = self.database.companions(&companion.id).await;
                if counts.is_ok_and(|beside| !beside.contains(companion)) {
                    self.take_away(companion).await;
                }
                Err(error.into())
            }
        }
    }

    /// Removes an object that nothing names, finished or not. If that fails, it is named here: nothing relies on it.
    async fn take_away(&self, companion: &Companion) {
        for stage in [Stage::Final, Stage::Part] {
            let object = MediaObject { stage, ..object(companion) };
            if let Err(error) = self.store.remove(&object).await {
                tracing::warn!(%error, "a file that nothing needs could not be removed");
            }
        }
    }
}

/// For what something is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// For somebody who wants to see it.
    Playing,
    /// To keep the archive in order, under a key in any state.
    Keeping,
}

/// What a verified header says.
struct Found {
    seal_id: SealId,
    fingerprint: Fingerprint,
    sealed_at: Timestamp,
    media_type: MediaType,
}

/// The object that holds something beside a recording.
pub(super) fn object(companion: &Companion) -> MediaObject {
    let kind = match companion.kept {
        Kept::Sealed { .. } => MediaKind::Sealed,
        Kept::Plain { .. } => MediaKind::Plain,
    };
    MediaObject { id: companion.id.clone(), role: role_object(companion), kind, stage: Stage::Final }
}

fn role_object(companion: &Companion) -> ObjectRole {
    let version = companion.version;
    match companion.name.clone() {
        None => ObjectRole::Metadata { version },
        Some(name) => ObjectRole::Sidecar { name, version },
    }
}

/// As its header says it.
fn role(companion: &Companion) -> Role {
    companion.name.clone().map_or(Role::Metadata, Role::Sidecar)
}

fn json() -> MediaType {
    "application/json".parse().unwrap_or_else(|_| unreachable!("a media type"))
}

/// What was written was checked; something else is not what was written.
fn metadata_of(content: &[u8]) -> Result<Metadata, Error> {
    Metadata::from_json(content).map_err(|_| Corruption::OtherRole.into())
}

async fn read(file: &dyn MediaFile, start: u64, end: u64) -> Result<Vec<u8>, Error> {
    let len = usize::try_from(end - start).unwrap_or(usize::MAX);
    Ok(file.read(start, vec![0; len], 0).await?)
}
