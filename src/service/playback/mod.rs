//! From a recording ID to verified media, or to the first reason why not, in the order that users rely on.
//!
//! Here is what the catalogue has to do with it; how a file is opened is in `opening`, of a recording that is being
//! written in `growing`, and what is remembered in `caches`.

mod caches;
mod growing;
mod opening;
mod plain_watch;

pub(in crate::service) use opening::read;

use std::{
    hash::{Hash, Hasher},
    ops::Range,
    sync::Arc,
};

use caches::{GROWING_MAX, OPENED_MAX, Rows, Shared};
use growing::GrowingKey;

use super::objects::{media_object, media_objects};
use super::{
    Clock, KeyWatch, OpenRecording, SpanStream, buffers::BufferPool, growth::Growth, ingest::Unsettled, meter::METER,
    opened::OpenContent,
};
use crate::access::RecordingSet;
use crate::base::{ErrorCode, Fingerprint, Location, RecordingId, SealId};
use crate::catalogue::{self, Content, Cursor, Database, Filter, Page, Recording, RecordingState};
use crate::keys::OpeningRefused;
use crate::media::{self, MediaKind, MediaObject, MediaStore, Stage, Version};
use crate::sealed::{self, Corruption};

/// How often a recording is opened by the row that the catalogue has by then, before its file is called another sealing's.
const OTHER_SEALING_TRIES: u32 = 3;

/// What an operator may decide about playing.
#[derive(Clone, Copy, Debug)]
pub struct PlaybackSettings {
    /// Whether recordings that are plain, and not exempt, play.
    pub allow_plain: bool,
}

/// Plays recordings.
pub struct Playback {
    database: Arc<dyn Database>,
    store: Arc<dyn MediaStore>,
    keys: Arc<KeyWatch>,
    clock: Clock,
    settings: PlaybackSettings,
    rows: Rows,
    opened: Shared<OpenedKey, OpenRecording>,
    /// Those that are being written.
    growing: Shared<GrowingKey, Growth>,
    buffers: BufferPool,
    /// Taken in here, and in no row yet.
    pub(in crate::service) unsettled: Arc<Unsettled>,
}

#[derive(Clone, PartialEq, Eq)]
struct OpenedKey {
    object: MediaObject,
    version: Version,
    seal_ids: [Option<SealId>; 2],
    /// A writer that dies changes what its file is, and not a byte of it.
    state: &'static str,
}

impl Hash for OpenedKey {
    /// Files of one version under two keys are rare, and those are compared. One number is hashed much quicker than
    /// five.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Version { len, stamp } = self.version;
        state.write_u64(stamp.iter().fold(len, |sum, part| sum.rotate_left(13) ^ part));
    }
}

/// Why a recording does not play.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The caller: no such recording.
    #[error("there is no recording of that ID")]
    NotFound,
    /// The operator: the catalogue cannot be asked.
    #[error(transparent)]
    Catalogue(#[from] catalogue::Error),
    /// The operator: the store does not answer, or bytes are missing from a file.
    #[error(transparent)]
    Store(#[from] media::Error),
    /// The operator: the catalogue has it, the store does not.
    #[error("its file is not in the media store")]
    MediaMissing,
    /// Nobody, for a while: another proxy has it in its spool, and plays it.
    #[error("it lies in the spool of {0}, and is not in the media store yet")]
    Spooled(Location),
    /// The operator: an older build than the file's.
    #[error(transparent)]
    Format(sealed::Error),
    /// The operator: a key or the switch.
    #[error(transparent)]
    Refused(#[from] OpeningRefused),
    /// The operator: the key is not loaded, and whether there is one cannot be asked.
    #[error("no database key of the fingerprint {0} is loaded, and the database cannot be asked for it")]
    KeysUnavailable(Fingerprint),
    /// An investigator: the file is not what was written.
    #[error("{0}")]
    Corrupt(Corruption),
    /// The operator: plain, not exempt, and not allowed to play.
    #[error("it is kept in plain, is not exempt, and plain recordings are not allowed to play")]
    PlainNotAllowed,
    /// Nobody: its writer died or its source broke off, and it was followed to where it ends.
    #[error("its writer is gone, and its end is missing")]
    BrokenOff,
}

impl Error {
    /// The name that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound => ErrorCode::RecordingNotFound,
            Self::Catalogue(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::MediaMissing | Self::BrokenOff => ErrorCode::MediaMissing,
            Self::Spooled(_) => ErrorCode::StorageUnavailable,
            Self::Format(error) => error.code(),
            Self::Refused(refused) => refused.code(),
            Self::KeysUnavailable(_) => ErrorCode::KeysUnavailable,
            Self::Corrupt(_) => ErrorCode::RecordingCorrupt,
            Self::PlainNotAllowed => ErrorCode::PlainNotAllowed,
        }
    }

    /// The key that is needed, when one is.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        match self {
            Self::Refused(refused) => refused.fingerprint(),
            Self::KeysUnavailable(fingerprint) => Some(*fingerprint),
            Self::NotFound
            | Self::Catalogue(_)
            | Self::Store(_)
            | Self::MediaMissing
            | Self::Spooled(_)
            | Self::Format(_)
            | Self::Corrupt(_)
            | Self::PlainNotAllowed
            | Self::BrokenOff => None,
        }
    }

    /// Whether what was opened is gone, or another thing by now.
    #[must_use]
    pub fn is_of_another_version(&self) -> bool {
        matches!(self, Self::Store(media::Error::Changed { .. }))
    }

    /// Whether a row that was remembered, and has changed since, could be the reason.
    fn may_be_stale(&self) -> bool {
        matches!(
            self,
            Self::MediaMissing
                | Self::Spooled(_)
                | Self::Corrupt(_)
                | Self::PlainNotAllowed
                | Self::Refused(OpeningRefused::KeyMissing(_))
        )
    }

    /// Whether a header that is being written over, of which half is old and half is new, could be the reason.
    fn may_be_half_written(&self) -> bool {
        matches!(self, Self::Corrupt(_) | Self::Refused(OpeningRefused::KeyMissing(_)) | Self::KeysUnavailable(_))
    }
}

impl From<sealed::Error> for Error {
    fn from(error: sealed::Error) -> Self {
        match error {
            sealed::Error::Corrupt(corruption) => Self::Corrupt(corruption),
            other => Self::Format(other),
        }
    }
}

impl Playback {
    /// Plays what `database` and `store` hold.
    #[must_use]
    pub fn new(
        database: Arc<dyn Database>,
        store: Arc<dyn MediaStore>,
        keys: Arc<KeyWatch>,
        clock: Clock,
        settings: PlaybackSettings,
    ) -> Self {
        Self {
            database,
            store,
            keys,
            clock,
            settings,
            rows: caches::rows(),
            opened: Shared::new(OPENED_MAX),
            growing: Shared::new(GROWING_MAX),
            buffers: BufferPool::default(),
            unsettled: Arc::default(),
        }
    }

    /// The recording's row, as it is now.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Catalogue`].
    pub async fn recording(&self, id: &RecordingId) -> Result<Recording, Error> {
        self.database.recording(id).await?.ok_or(Error::NotFound)
    }

    /// Up to `limit` recordings of `set` after `after`, newest first. No file is opened.
    ///
    /// # Errors
    ///
    /// [`Error::Catalogue`].
    pub async fn recordings(&self, after: Option<&Cursor>, limit: u32, set: &RecordingSet) -> Result<Page, Error> {
        Ok(self.database.recordings(after, limit, set).await?)
    }

    /// The same, of those that have what `filter` wants.
    ///
    /// # Errors
    ///
    /// [`Error::Catalogue`].
    pub async fn search(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: u32,
        set: &RecordingSet,
    ) -> Result<Page, Error> {
        Ok(self.database.search(filter, after, limit, set).await?)
    }

    /// Why the recording would not play, as far as catalogue and key ring alone can tell.
    #[must_use]
    pub fn known_problem(&self, recording: &Recording) -> Option<Error> {
        match &recording.content {
            Content::Sealed { fingerprint, .. } => self.keys.ring().opening(fingerprint).err().map(Error::from),
            Content::Plain { exempt, .. } => (!self.may_play_plain(*exempt)).then_some(Error::PlainNotAllowed),
        }
    }

    /// The URL of the file that holds the recording's media, or should.
    pub async fn location(&self, recording: &Recording) -> String {
        let found = self.find(recording, recording.state_at((self.clock)())).await;
        let expected = if recording.state == RecordingState::Complete { Stage::Final } else { Stage::Part };
        self.store.location(&found.map_or_else(|_| media_object(recording, expected), |(object, _)| object))
    }

    /// Opens a recording: finds its file, verifies header and end, and so knows its length.
    ///
    /// # Errors
    ///
    /// The first reason why it does not play.
    pub async fn open(&self, id: &RecordingId) -> Result<Arc<OpenRecording>, Error> {
        let opened = self.open_latest(id).await;
        if let Err(Error::Corrupt(corruption)) = &opened {
            METER.count_failure(corruption);
            tracing::warn!(%id, %corruption, "does not verify");
        }
        opened
    }

    async fn open_latest(&self, id: &RecordingId) -> Result<Arc<OpenRecording>, Error> {
        if let Some(remembered) = self.remembered(id).await {
            match self.open_row(&remembered).await {
                // The row stays until a fresh one takes its place: while the database is away it is what refuses.
                Err(error) if error.may_be_stale() => {}
                outcome => return outcome,
            }
        }
        for _ in 0..OTHER_SEALING_TRIES {
            let opened = Box::pin(self.open_fresh(id)).await;
            if !matches!(opened, Err(Error::Corrupt(Corruption::OtherSealing))) {
                return opened;
            }
            if let Some(error) = Box::pin(self.of_other_sealing(id)).await {
                return Err(error);
            }
        }
        Err(Error::Corrupt(Corruption::OtherSealing))
    }

    /// Forgets what is remembered of a recording's row, for whoever knows that another one takes its place.
    pub async fn forget(&self, id: &RecordingId) {
        self.rows.invalidate(id).await;
    }

    /// Why the file of a recording is another sealing's than its row says. Only the catalogue can tell: what is remembered
    /// of the row may be old, for the recording may have been sealed again since, or purged and recorded again, and the
    /// catalogue have gone away before that was noticed. None when the row is another one now.
    ///
    /// In our own spool that is another recording of its ID, which was made while the catalogue was away: it hides the one
    /// that counts until it has left. None when nothing is in our spool any more, or the recording is gone.
    async fn of_other_sealing(&self, id: &RecordingId) -> Option<Error> {
        let corrupt = Error::Corrupt(Corruption::OtherSealing);
        let remembered = self.rows.get(id).await.map(|(_, row)| row);
        let row = match self.database.recording(id).await {
            Ok(row) => row?,
            Err(unavailable) => return Some(unavailable.into()),
        };
        if remembered.is_none_or(|remembered| remembered.content != row.content) {
            return None;
        }
        let Some(own) = self.store.spool() else { return Some(corrupt) };
        for object in media_objects(&row, row.state) {
            if !matches!(own.version(&object).await, Ok(Some(_))) {
                continue;
            }
            return Some(match &row.spool {
                Some(spool) if spool == own.location() => corrupt,
                Some(spool) => Error::Spooled(spool.clone()),
                None => Error::Store(media::Error::Unavailable {
                    location: self.store.location(&object),
                    reason: "another recording of its ID waits in the spool, and is about to leave it".into(),
                }),
            });
        }
        None
    }

    /// The same by a row that is asked for now. In a place of its own: what it takes is no part of most requests.
    async fn open_fresh(&self, id: &RecordingId) -> Result<Arc<OpenRecording>, Error> {
        let mut tried: Option<(Arc<Recording>, Error)> = None;
        loop {
            let (recording, away) = match self.fresh_row(id).await {
                Ok(Some((recording, away))) if !recording.is_purging() => (recording, away),
                // Acknowledged, while the catalogue could not be written.
                Ok(None) if self.unsettled.has(id) => {
                    let waits = catalogue::Error::Unavailable("it waits to be catalogued".into());
                    return self.open_without_catalogue(id, waits).await;
                }
                // Or what there still is of it has no key any more.
                Ok(_) => {
                    self.rows.invalidate(id).await;
                    return Err(Error::NotFound);
                }
                Err(unavailable) => return self.open_without_catalogue(id, unavailable).await,
            };
            // The file may have been replaced between the look at the row and the look at the file; then the row is
            // another one now.
            match tried {
                Some((row, error))
                    if row.content == recording.content
                        && row.state == recording.state
                        && row.spool == recording.spool =>
                {
                    return match (error, away) {
                        // Whether it is: it may have been recorded again, in another kind, since the catalogue was heard.
                        (Error::MediaMissing, Some(away)) => Err(away.into()),
                        (error, _) => Err(error),
                    };
                }
                _ => {}
            }
            let mut opened = self.open_row(&recording).await;
            if matches!(opened, Err(Error::MediaMissing)) && recording.state != RecordingState::Complete {
                // Its writer gave it its final name between two looks.
                opened = self.open_row(&recording).await;
            }
            match opened {
                Err(error) if error.may_be_stale() => tried = Some((recording, error)),
                outcome => return outcome,
            }
        }
    }

    /// The media of an open recording from one position to another, both within its length.
    #[must_use]
    pub fn stream(&self, recording: &Arc<OpenRecording>, media: Range<u64>) -> SpanStream {
        if let OpenContent::Sealed { reads, .. } = &recording.content {
            reads.increment(1);
        }
        SpanStream::new(Arc::clone(recording), Arc::clone(&self.keys), self.buffers.clone(), media)
    }

    async fn remembered(&self, id: &RecordingId) -> Option<Arc<Recording>> {
        let row = self.rows.get(id).await.filter(|(epoch, _)| *epoch == self.keys.epoch());
        METER.rows.count(row.is_some());
        row.map(|(_, recording)| recording)
    }

    /// A recording's row, and why it is the remembered one if it is.
    async fn fresh_row(
        &self,
        id: &RecordingId,
    ) -> Result<Option<(Arc<Recording>, Option<catalogue::Error>)>, catalogue::Error> {
        // Taken before the row is read: a change in between makes the row old, never new.
        let epoch = self.keys.epoch();
        match self.database.recording(id).await {
            Ok(Some(recording)) => {
                let recording = Arc::new(recording);
                self.rows.insert(id.clone(), (epoch, Arc::clone(&recording))).await;
                Ok(Some((recording, None)))
            }
            Ok(None) => Ok(None),
            // While the database is away, what it said last is better than nothing.
            Err(error) => {
                self.keys.note_trouble(&error);
                match self.rows.get(id).await {
                    Some((_, recording)) => Ok(Some((recording, Some(error)))),
                    None => Err(error),
                }
            }
        }
    }

    async fn open_row(&self, recording: &Recording) -> Result<Arc<OpenRecording>, Error> {
        let state = match recording.state {
            RecordingState::Recording { .. } => recording.state_at((self.clock)()),
            // Whatever the time; it is not asked for each request.
            ended => ended,
        };
        let (object, version) = self.find(recording, state).await?;
        if matches!(recording.state, RecordingState::Recording { .. })
            // In a place of its own: most recordings have come to their end.
            && let Some(open) = Box::pin(self.open_growing(recording, &object, version, state)).await?
        {
            return Ok(open);
        }
        match recording.content {
            Content::Sealed { .. } => {
                let state = if object.stage == Stage::Final { RecordingState::Complete } else { state };
                let seal_ids = recording.content.seal_ids();
                let key = OpenedKey { object, version, seal_ids, state: state.as_str() };
                self.open_sealed(key, state, recording.content.pending_header()).await
            }
            Content::Plain { digest, exempt, .. } => {
                if !self.may_play_plain(exempt) {
                    return Err(Error::PlainNotAllowed);
                }
                self.open_plain(
                    recording,
                    OpenedKey { object, version, seal_ids: [None, None], state: state.as_str() },
                    state,
                    digest,
                )
                .await
            }
        }
    }

    /// The file of a recording. One that another proxy still has in its spool is not looked for in the store.
    async fn find(&self, recording: &Recording, state: RecordingState) -> Result<(MediaObject, Version), Error> {
        if let Some(spool) = &recording.spool
            && let Some(found) = Box::pin(self.find_in_spool(recording, state, spool)).await?
        {
            return Ok(found);
        }
        for object in media_objects(recording, state) {
            if let Some(version) = self.version(&object).await? {
                return Ok((object, version));
            }
        }
        Err(Error::MediaMissing)
    }

    /// The same in our own spool alone, so that a store that is away keeps nobody from what is here; none when it has left
    /// that. A row that names another spool may be older than the settings that say how ours is called.
    async fn find_in_spool(
        &self,
        recording: &Recording,
        state: RecordingState,
        spool: &Location,
    ) -> Result<Option<(MediaObject, Version)>, Error> {
        let Some(own) = self.store.spool() else { return Err(Error::Spooled(spool.clone())) };
        for object in media_objects(recording, state) {
            if let Some(version) = own.version(&object).await? {
                return Ok(Some((object, version)));
            }
        }
        if own.location() == spool { Ok(None) } else { Err(Error::Spooled(spool.clone())) }
    }

    /// Opens a recording that lies in the spool of a proxy that cannot be reached, if it is in the store all the same:
    /// that proxy died before it could say so.
    ///
    /// # Errors
    ///
    /// As those of [`Self::open`]; [`Error::Spooled`] when it is not.
    pub async fn open_despite_spool(&self, id: &RecordingId) -> Result<Arc<OpenRecording>, Error> {
        let row = self.recording(id).await?;
        let Some(spool) = row.spool.clone() else { return self.open(id).await };
        match self.open_row(&Recording { spool: None, ..row }).await {
            // Of one whose end is missing it may not be all that there is.
            Ok(open) if open.state != RecordingState::Complete => Err(Error::Spooled(spool)),
            // What lies in our own spool is another recording of that ID.
            Err(Error::MediaMissing | Error::Corrupt(Corruption::OtherSealing)) => Err(Error::Spooled(spool)),
            outcome => outcome,
        }
    }

    /// The version of an object that is there. Almost always it is known at once, and there is no future to make.
    async fn version(&self, object: &MediaObject) -> Result<Option<Version>, media::Error> {
        match self.store.try_version_now(object) {
            Some(version) => Ok(Some(version)),
            None => self.store.version(object).await,
        }
    }

    /// The store's layout lets an ID find its sealed file, and the file itself carries the rest. What only the
    /// catalogue knows (which sealing, and whether it was complete) is not checked then; plain files do not play.
    async fn open_without_catalogue(
        &self,
        id: &RecordingId,
        unavailable: catalogue::Error,
    ) -> Result<Arc<OpenRecording>, Error> {
        for (stage, state) in [(Stage::Final, RecordingState::Complete), (Stage::Part, RecordingState::Unfinished)] {
            let object = MediaObject::media(id.clone(), MediaKind::Sealed, stage);
            if let Some(version) = self.version(&object).await? {
                if stage == Stage::Part && self.store.is_being_written(&object).await? {
                    return self.open_growing_file(None, &object, version).await;
                }
                let key = OpenedKey { object, version, seal_ids: [None, None], state: state.as_str() };
                return self.open_sealed(key, state, None).await;
            }
        }
        Err(unavailable.into())
    }

    fn may_play_plain(&self, exempt: bool) -> bool {
        exempt || self.settings.allow_plain
    }
}
