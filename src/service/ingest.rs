//! Takes recordings in: sealed as they stream, or kept plain where that was decided.
//!
//! Nothing plain touches a disk that is not catalogued as plain. The order is that of durability: header, then media,
//! then the final record, then the name, then the catalogue.

use std::{
    io,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Clock, KeyWatch, Source,
    bulk::{Claims, Shelf},
    detect_media_type,
    encoder::Encoder,
    incoming::{Break, Incoming, Stop, head},
};
use crate::base::{self, ErrorCode, MediaType, RecordingId, Timestamp};
use crate::catalogue::{self, Content, Database, Recording, RecordingState};
use crate::crypto::Sha256Digest;
use crate::keys::{NoActiveKey, OpeningRefused, WrappingKey};
use crate::media::{self, MediaKind, MediaObject, MediaStore, MediaWriter, Stage};
use crate::sealed::{self, ChunkLen, Role, Sealer, Sealing};

/// How many bytes are looked at before the media type is decided, if they come without waiting.
const HEAD_LEN: usize = 8 * 1024;
/// The fewest bytes that a stream's type is decided from, unless it ends before.
const STREAM_HEAD_LEN: usize = 64;
/// How long a writer is held to be alive after it last said so, and how often it says so.
const LEASE: Duration = Duration::from_secs(30);
const LEASE_RENEWAL: Duration = Duration::from_secs(5);

/// Takes recordings in.
pub struct Ingest {
    pub(super) database: Arc<dyn Database>,
    pub(super) store: Arc<dyn MediaStore>,
    pub(super) keys: Arc<KeyWatch>,
    pub(super) clock: Clock,
    pub(super) shelf: Shelf,
    pub(super) claims: Claims,
}

/// What is to be taken in.
#[derive(Clone, Debug)]
pub struct NewRecording {
    /// Its ID, else its name without the ending. A file that is sealed already carries its own, and an ID given here
    /// must be the same then.
    pub id: Option<RecordingId>,
    /// Its media type; told from the content when there is none.
    pub media_type: Option<MediaType>,
    /// The name that its media had before.
    pub name: Option<PathBuf>,
    /// Kept plain on purpose.
    pub exempt: bool,
    /// Whether it arrives as it is made: what came before a break is kept, as an unfinished recording, in chunks
    /// that are short enough to be followed. Otherwise a break leaves nothing.
    pub is_live: bool,
}

/// A recording that was taken in.
#[derive(Clone, Debug)]
pub struct Ingested {
    /// As it was catalogued.
    pub recording: Recording,
    /// Why a live recording is unfinished, when it is.
    pub broken_off: Option<String>,
}

/// Why a recording was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller: there is nothing to take in.
    #[error("it is empty")]
    Empty,
    /// The caller: media that is not sealed does not carry an ID.
    #[error("it needs an ID")]
    NoId,
    /// The caller: its name is not one that a recording can have.
    #[error("its name is no ID: {0}")]
    Id(#[from] base::Error),
    /// The caller: a sealed file carries another ID than the one given.
    #[error("it is a sealed file and carries the ID {carried}")]
    OtherId {
        /// What its header says.
        carried: RecordingId,
    },
    /// The caller: a sealed file carries its media type, and cannot be made plain here.
    #[error("it is a sealed file: its media type is the one that it carries, and it stays sealed")]
    SealedAlready,
    /// The caller: a sealed file is none that could be catalogued as plain.
    #[error("it begins as a sealed file does, and is not plain")]
    SealedInPlain,
    /// The caller: begins as a sealed file and is none that can be trusted.
    #[error("it begins as a sealed file does, and cannot be taken in: {0}")]
    NotVerified(sealed::Error),
    /// The operator: the key of a sealed file is not here.
    #[error("it is a sealed file, and {0}")]
    KeyRefused(OpeningRefused),
    /// The operator: no key can wrap.
    #[error(transparent)]
    NoActiveKey(#[from] NoActiveKey),
    /// The caller: it cannot be read.
    #[error("it cannot be read: {0}")]
    Source(io::Error),
    /// The caller stopped it.
    #[error("stopped; nothing of it was kept")]
    Stopped,
    /// The caller or the operator: ID taken, or database away.
    #[error(transparent)]
    Catalogue(#[from] catalogue::Error),
    /// The caller or the operator: name taken, no room, or store away.
    #[error(transparent)]
    Store(#[from] media::Error),
    /// The caller or the operator: too long, or no random numbers.
    #[error(transparent)]
    Sealing(#[from] sealed::Error),
}

impl Error {
    /// The name that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Empty
            | Self::NoId
            | Self::Id(_)
            | Self::OtherId { .. }
            | Self::SealedAlready
            | Self::SealedInPlain
            | Self::Source(_)
            | Self::Stopped => ErrorCode::BadRequest,
            Self::NotVerified(error) | Self::Sealing(error) => error.code(),
            Self::KeyRefused(refused) => refused.code(),
            Self::NoActiveKey(NoActiveKey) => ErrorCode::NoActiveKey,
            Self::Catalogue(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
}

impl Ingest {
    /// Takes recordings into `store` and `database`.
    #[must_use]
    pub fn new(database: Arc<dyn Database>, store: Arc<dyn MediaStore>, keys: Arc<KeyWatch>, clock: Clock) -> Self {
        Self { database, store, keys, clock, shelf: Shelf::default(), claims: Claims::default() }
    }

    /// Takes one recording in; `progress` hears how many bytes of it came.
    ///
    /// # Errors
    ///
    /// Why it was not taken in. Nothing of it is left then, unless it was live and has begun: what came of it is kept,
    /// unfinished.
    pub async fn ingest(
        &self,
        new: NewRecording,
        source: &mut impl Source,
        stop: &mut Stop,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Ingested, Error> {
        let wanted = if new.is_live { STREAM_HEAD_LEN } else { HEAD_LEN };
        let head = head(wanted, self.shelf.piece(), source, stop).await?;
        if head.is_empty() {
            return Err(Error::Empty);
        }
        progress(head.len() as u64);
        if sealed::has_magic(&head) {
            return self.ingest_sealed(new, head, source, stop, progress).await;
        }
        let id = id(&new)?;
        // A live one is refused at once where another one is under way: that may go on for hours.
        let _claim = if new.is_live { None } else { Some(self.claims.claim(&id).await) };
        if self.database.recording(&id).await?.is_some() {
            return Err(catalogue::Error::RecordingExists(id).into());
        }
        let media_type = new.media_type.clone().unwrap_or_else(|| detect_media_type(&head, new.name.as_deref()));
        let key = if new.exempt {
            None
        } else {
            // The switch may have been turned since this process began.
            self.keys.refresh().await;
            self.keys.ring().sealing()?
        };
        let mut incoming = Incoming { id, media_type, is_live: new.is_live, head, source, stop, progress };
        let (encoder, header, mut recording) = self.begin(&incoming, key, new.exempt)?;
        let kind = object_of(&recording).kind;
        let writer = self.store.create(&incoming.id, kind).await?;
        match self.write(&mut incoming, writer, encoder, header, &mut recording).await {
            // Nothing was promised: what there is of the file goes.
            Ok(Some(broken_off)) if !incoming.is_live => {
                self.take_away(&recording.id, kind).await;
                Err(broken_off.into())
            }
            Ok(broken_off) => self.catalogue(recording, incoming.is_live, broken_off.map(Break::into_text)).await,
            Err(error) => {
                self.give_up(&recording, kind, &error).await;
                Err(error)
            }
        }
    }

    /// Sealed under `key`, or plain without one: how it is encoded, what its file begins with, and its row.
    fn begin(
        &self,
        incoming: &Incoming<'_, impl Source>,
        key: Option<WrappingKey>,
        exempt: bool,
    ) -> Result<(Encoder, Vec<u8>, Recording), Error> {
        let created_at = (self.clock)();
        let (encoder, header, content) = match key {
            Some(key) => {
                let sealing = Sealing {
                    id: incoming.id.clone(),
                    role: Role::Media,
                    media_type: incoming.media_type.clone(),
                    chunk_len: if incoming.is_live { ChunkLen::LIVE } else { ChunkLen::FILE },
                    mended: false,
                    sealed_at: created_at,
                };
                let (sealer, header) = Sealer::new(sealing, key.fingerprint, &key.key)?;
                let seal_id = sealer.seal_id();
                let content = Content::Sealed { fingerprint: key.fingerprint, seal_id, replacement: None };
                (Encoder::Seal(Box::new(sealer)), header.to_vec(), content)
            }
            None => {
                let encoder = Encoder::Plain { digest: Sha256Digest::default(), media_len: 0 };
                (encoder, Vec::new(), Content::Plain { digest: [0; 32], exempt, outside: None })
            }
        };
        let recording = Recording {
            id: incoming.id.clone(),
            media_type: incoming.media_type.clone(),
            media_len: 0,
            state: RecordingState::Complete,
            mended: false,
            created_at,
            content,
            about: None,
        };
        Ok((encoder, header, recording))
    }

    /// Writes a file to its end (`None`), or as far as its source goes; says in `recording` how far that is.
    async fn write(
        &self,
        incoming: &mut Incoming<'_, impl Source>,
        mut writer: Box<dyn MediaWriter>,
        mut encoder: Encoder,
        header: Vec<u8>,
        recording: &mut Recording,
    ) -> Result<Option<Break>, Error> {
        if !header.is_empty() {
            writer.append(header).await?;
        }
        if incoming.is_live {
            // Header first, durable, and only then visible.
            writer.sync().await?;
            let state = RecordingState::Recording { lease_until: later((self.clock)(), LEASE) };
            self.database.add_recording(&Recording { state, ..recording.clone() }).await?;
            recording.state = state;
        }
        let broken_off = self.stream(incoming, &mut *writer, &mut encoder, recording).await?;
        if broken_off.is_some() {
            if incoming.is_live {
                writer.sync().await?;
                recording.state = RecordingState::Unfinished;
            }
            return Ok(broken_off);
        }
        // Everything before the final record is durable before that is written.
        writer.sync_content().await?;
        let mut last = Vec::new();
        recording.media_len = encoder.finish(&mut last);
        if !last.is_empty() {
            writer.append(last).await?;
        }
        writer.finish().await?;
        recording.state = RecordingState::Complete;
        Ok(None)
    }

    /// Encodes until the source ends (`None`) or breaks off.
    async fn stream(
        &self,
        incoming: &mut Incoming<'_, impl Source>,
        writer: &mut dyn MediaWriter,
        encoder: &mut Encoder,
        recording: &mut Recording,
    ) -> Result<Option<Break>, Error> {
        let mut renewal = Instant::now() + LEASE_RENEWAL;
        let mut encoded = self.shelf.encoded();
        let mut piece = core::mem::take(&mut incoming.head);
        while !piece.is_empty() {
            encoder.update(&piece, &mut encoded)?;
            if !encoded.is_empty() {
                encoded = writer.append(encoded).await?;
            }
            encoder.describe(recording);
            let is_live = incoming.is_live;
            // A read that waits is not given up for a renewal: what it has taken would be lost.
            let mut reading = pin!(incoming.next(piece));
            piece = loop {
                tokio::select! {
                    next = &mut reading => match next {
                        Ok(piece) => break piece,
                        Err(broken_off) => return Ok(Some(broken_off)),
                    },
                    () = tokio::time::sleep_until(renewal), if is_live => {
                        self.renew_lease(recording).await;
                        renewal = Instant::now() + LEASE_RENEWAL;
                    }
                }
            };
        }
        self.shelf.put_piece(piece);
        self.shelf.put_encoded(encoded);
        Ok(None)
    }

    /// Says what became of the recording. A row that cannot be written takes the file of an import with it, so that
    /// nothing half-done stays; a live recording's row is there already, and is told for as long as its lease lasts.
    pub(super) async fn catalogue(
        &self,
        recording: Recording,
        has_row: bool,
        broken_off: Option<String>,
    ) -> Result<Ingested, Error> {
        if has_row {
            let deadline = Instant::now() + LEASE;
            while let Err(error) = self.database.update_progress(&recording).await {
                if !matches!(error, catalogue::Error::Unavailable(_)) || Instant::now() >= deadline {
                    return Err(error.into());
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        } else if let Err(error) = self.database.add_recording(&recording).await {
            match self.database.recording(&recording.id).await {
                // It was catalogued all the same: by this transaction, or by a rebuild that found the file.
                Ok(Some(row)) if is_same_content(&row.content, &recording.content) => {}
                Ok(_) => {
                    self.store.remove(&object_of(&recording)).await?;
                    return Err(error.into());
                }
                // Whether a row needs the file cannot be told.
                Err(_) => {
                    let file = self.store.location(&object_of(&recording));
                    tracing::warn!(%file, "this file is whole and may not be catalogued; `sealtape recordings rebuild` tells");
                    return Err(error.into());
                }
            }
        }
        Ok(Ingested { recording, broken_off })
    }

    /// After a failure of store or database: an import leaves nothing, a live recording what it has.
    async fn give_up(&self, recording: &Recording, kind: MediaKind, error: &Error) {
        if matches!(recording.state, RecordingState::Recording { .. }) {
            tracing::warn!(id = %recording.id, %error, "this recording ends here; what came before is kept");
            // If this fails, too, the lease lapses and says the same.
            let unfinished = Recording { state: RecordingState::Unfinished, ..recording.clone() };
            let _best_effort = self.database.update_progress(&unfinished).await;
        } else {
            self.take_away(&recording.id, kind).await;
        }
    }

    /// Removes the growing file of an ingest that came to nothing. The error that ended it is the one that tells; if
    /// the file cannot be removed either, it is named here.
    pub(super) async fn take_away(&self, id: &RecordingId, kind: MediaKind) {
        let object = MediaObject::media(id.clone(), kind, Stage::Part);
        if let Err(error) = self.store.remove(&object).await {
            tracing::warn!(%error, "a file that nothing needs could not be removed");
        }
    }

    async fn renew_lease(&self, recording: &Recording) {
        let state = RecordingState::Recording { lease_until: later((self.clock)(), LEASE) };
        if let Err(error) = self.database.update_progress(&Recording { state, ..recording.clone() }).await {
            // Recording goes on: the row is brought up to date at the next renewal or at the end.
            tracing::warn!(id = %recording.id, %error, "the catalogue did not hear that this recording goes on");
        }
    }
}

impl From<Break> for Error {
    fn from(broken_off: Break) -> Self {
        match broken_off {
            Break::Stopped => Self::Stopped,
            Break::Source(error) => Self::Source(error),
        }
    }
}

pub(super) fn id(new: &NewRecording) -> Result<RecordingId, Error> {
    match (&new.id, new.name.as_deref().and_then(Path::file_stem)) {
        (Some(id), _) => Ok(id.clone()),
        (None, Some(stem)) => Ok(stem.to_string_lossy().parse()?),
        (None, None) => Err(Error::NoId),
    }
}

/// Whether a row is of the file that was just written.
fn is_same_content(row: &Content, written: &Content) -> bool {
    match (row, written) {
        (Content::Sealed { seal_id, .. }, Content::Sealed { seal_id: written, .. }) => seal_id == written,
        (Content::Plain { digest, .. }, Content::Plain { digest: written, .. }) => digest == written,
        (Content::Sealed { .. }, Content::Plain { .. }) | (Content::Plain { .. }, Content::Sealed { .. }) => false,
    }
}

/// Where a recording's file lies in the end.
pub(super) fn object_of(recording: &Recording) -> MediaObject {
    let kind = if recording.is_sealed() { MediaKind::Sealed } else { MediaKind::Plain };
    let stage = if recording.state == RecordingState::Complete { Stage::Final } else { Stage::Part };
    MediaObject {
        outside: recording.content.outside().cloned(),
        ..MediaObject::media(recording.id.clone(), kind, stage)
    }
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_millis(time.millis().saturating_add(millis)).unwrap_or(Timestamp::MAX)
}
