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

use super::objects::media_object;
use super::{
    Clock, KeyWatch, Source, Spooler,
    bulk::{Claims, Shelf},
    detect_media_type,
    encoder::Encoder,
    incoming::{Break, Incoming, Stop, head},
    live_row::{LEASE, LiveRow, Row, is_away},
    meter::{Growing, METER},
    source::Piece,
    unsettled::{Unsettled, name_taken},
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
/// How long the system may hold what came of a live recording before the disk is asked to take it: what a loss of power
/// may cost.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// Takes recordings in.
pub struct Ingest {
    pub(super) database: Arc<dyn Database>,
    pub(super) store: Arc<dyn MediaStore>,
    pub(super) keys: Arc<KeyWatch>,
    pub(super) clock: Clock,
    pub(super) shelf: Shelf,
    pub(super) claims: Claims,
    /// There for a server, which goes on while the catalogue is away.
    pub(super) unsettled: Option<Unsettled>,
    /// There where media goes through a spool.
    pub(super) spooler: Option<Arc<Spooler>>,
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
    /// Whether the catalogue knows: not while it is away, nor when another recording has the ID.
    pub is_catalogued: bool,
    /// Whether its media waits in the spool: the store could not take it yet.
    pub is_waiting: bool,
}

/// How a recording would be kept.
struct Admitted {
    /// Plain without one.
    key: Option<WrappingKey>,
    is_catalogue_away: bool,
}

/// A recording that is being written.
struct Writing {
    /// As far as it got.
    recording: Recording,
    /// There until its end.
    encoder: Option<Encoder>,
    /// Of a live one.
    row: Option<LiveRow>,
    /// Since when the disk was not asked to take what came.
    unsynced_since: Option<Instant>,
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
    /// The caller: a stream is media, and this is a sealed file.
    #[error("it is a sealed file, and not media")]
    SealedStream,
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
    /// Whoever must act on what broke it off: a live recording had begun, and is kept, unfinished.
    #[error("{error}")]
    BrokenOff {
        /// As it was catalogued.
        recording: Box<Recording>,
        /// What broke it off.
        error: Box<Self>,
    },
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
            Self::SealedStream => ErrorCode::UnsupportedMediaType,
            Self::BrokenOff { error, .. } => error.code(),
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
        let spooler = store.spool().map(|_| {
            let (database, store) = (Arc::clone(&database), Arc::clone(&store));
            Arc::new(Spooler::new(database, store, Arc::clone(&keys), Arc::clone(&clock)))
        });
        let (shelf, claims) = (Shelf::default(), Claims::default());
        Self { database, store, keys, clock, shelf, claims, unsettled: None, spooler }
    }

    /// The same for a server, whose streams go on while the catalogue is away. What ends then is catalogued by
    /// [`Self::settle`].
    #[must_use]
    pub fn despite_catalogue(self) -> Self {
        Self { unsettled: Some(Unsettled::default()), ..self }
    }

    /// Catalogues what ended while the catalogue was away, whenever that can be asked, until it is dropped.
    pub async fn settle(&self) {
        match &self.unsettled {
            Some(unsettled) => unsettled.settle(Arc::clone(&self.database), Arc::clone(&self.store)).await,
            None => std::future::pending().await,
        }
    }

    /// Brings media out of the spool, where it goes through one.
    #[must_use]
    pub fn spooler(&self) -> Option<&Arc<Spooler>> {
        self.spooler.as_ref()
    }

    /// Takes one recording in; `progress` hears how many bytes of it came.
    ///
    /// # Errors
    ///
    /// Why it was not taken in. Nothing of it is left then, unless it was live and has begun: what came of it is kept,
    /// unfinished, and the error is [`Error::BrokenOff`].
    pub async fn ingest(
        &self,
        new: NewRecording,
        source: &mut impl Source,
        stop: &mut Stop,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Ingested, Error> {
        self.brought_to_store(self.ingest_any(new, source, stop, progress).await).await
    }

    async fn ingest_any(
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
        self.take_in(id, new, head, source, stop, progress).await
    }

    /// Whether a stream of that ID could be taken in now, before a byte of it is asked for.
    ///
    /// # Errors
    ///
    /// Why not.
    pub async fn check(&self, id: &RecordingId, exempt: bool) -> Result<(), Error> {
        self.admit(id, exempt).await.map(|_| ())
    }

    /// Takes in a stream of media as it is made: live, and never a sealed file, which is for [`Self::ingest`].
    ///
    /// # Errors
    ///
    /// As those of [`Self::ingest`].
    pub async fn ingest_stream(
        &self,
        new: NewRecording,
        source: &mut impl Source,
        stop: &mut Stop,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Ingested, Error> {
        let head = head(STREAM_HEAD_LEN, self.shelf.piece(), source, stop).await?;
        if head.is_empty() {
            return Err(Error::Empty);
        }
        if sealed::has_magic(&head) {
            return Err(Error::SealedStream);
        }
        progress(head.len() as u64);
        let (id, new) = (id(&new)?, NewRecording { is_live: true, ..new });
        self.brought_to_store(self.take_in(id, new, head, source, stop, progress).await).await
    }

    /// Media that is not sealed, whose first bytes are `head`.
    async fn take_in(
        &self,
        id: RecordingId,
        new: NewRecording,
        head: Piece,
        source: &mut impl Source,
        stop: &mut Stop,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Ingested, Error> {
        let Admitted { key, is_catalogue_away } = self.admit(&id, new.exempt).await?;
        let media_type = new.media_type.unwrap_or_else(|| detect_media_type(&head, new.name.as_deref()));
        let mut incoming = Incoming { id, media_type, is_live: new.is_live, head, source, stop, progress };
        let (encoder, header, recording) = self.begin(&incoming, key, new.exempt)?;
        let object = media_object(&recording, Stage::Final);
        let writer =
            if incoming.is_live { self.store.create(&object).await? } else { self.create_again(&object).await? };
        let _counted = Growing::count();
        METER.count_ingested(incoming.head.len());
        let mut writing = Writing { recording, encoder: Some(encoder), row: None, unsynced_since: None };
        let written = self.write(&mut incoming, writer, header, is_catalogue_away, &mut writing).await;
        let Writing { mut recording, row, .. } = writing;
        match (written, row) {
            // Nothing was promised: what there is of the file goes.
            (Ok(Some(broken_off)), None) => {
                self.take_away(object).await;
                Err(broken_off.into())
            }
            (Ok(None), None) => self.catalogue(recording, None, incoming.stop).await,
            (Ok(broken_off), Some(row)) => {
                let is_catalogued = self.end(row, &recording).await?;
                Ok(Ingested {
                    recording,
                    broken_off: broken_off.map(Break::into_text),
                    is_catalogued,
                    is_waiting: false,
                })
            }
            (Err(error), None) => {
                self.take_away(object).await;
                Err(error)
            }
            (Err(error), Some(row)) => {
                recording.state = RecordingState::Unfinished;
                // If this fails, too, the lease lapses and says the same.
                let _best_effort = self.end(row, &recording).await;
                Err(Error::BrokenOff { recording: Box::new(recording), error: Box::new(error) })
            }
        }
    }

    /// How a recording of that ID would be kept.
    async fn admit(&self, id: &RecordingId, exempt: bool) -> Result<Admitted, Error> {
        let is_catalogue_away = match self.database.recording(id).await {
            Ok(None) => false,
            Ok(Some(_)) => return Err(catalogue::Error::RecordingExists(id.clone()).into()),
            Err(error) => {
                self.go_on_without(id, exempt, error).await?;
                true
            }
        };
        let key = if exempt {
            None
        } else {
            // The switch may have been turned since this process began.
            if !is_catalogue_away {
                self.keys.refresh().await;
            }
            self.keys.ring().sealing()?
        };
        match key {
            // What no row says is plain, nobody could tell from damage.
            None if is_catalogue_away => {
                Err(catalogue::Error::Unavailable("and this recording would be plain".into()).into())
            }
            key => Ok(Admitted { key, is_catalogue_away }),
        }
    }

    /// While the catalogue is away a server seals all the same: the store says which IDs are taken.
    async fn go_on_without(&self, id: &RecordingId, exempt: bool, error: catalogue::Error) -> Result<(), Error> {
        if self.unsettled.is_none() || exempt || !is_away(&error) {
            return Err(error.into());
        }
        for kind in [MediaKind::Sealed, MediaKind::Plain] {
            for stage in [Stage::Final, Stage::Part] {
                let object = MediaObject::media(id.clone(), kind, stage);
                if self.is_taken(&object).await? {
                    return Err(catalogue::Error::RecordingExists(id.clone()).into());
                }
            }
        }
        Ok(())
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
            spool: self.store.spool().map(|spool| spool.location().clone()),
            about: None,
        };
        Ok((encoder, header, recording))
    }

    /// Writes a file to its end (`None`), or as far as its source goes; says in `writing` how far that is.
    async fn write(
        &self,
        incoming: &mut Incoming<'_, impl Source>,
        mut writer: Box<dyn MediaWriter>,
        header: Vec<u8>,
        is_catalogue_away: bool,
        writing: &mut Writing,
    ) -> Result<Option<Break>, Error> {
        if !header.is_empty() {
            writer.append(header).await?;
        }
        if incoming.is_live {
            // Header first, durable, and only then visible.
            writer.sync().await?;
            let state = RecordingState::Recording { lease_until: later((self.clock)(), LEASE) };
            let row = self.add_row(&Recording { state, ..writing.recording.clone() }, is_catalogue_away).await?;
            writing.recording.state = state;
            writing.row = Some(LiveRow::new(Arc::clone(&self.database), Arc::clone(&self.clock), row));
        }
        let broken_off = self.stream(incoming, &mut *writer, writing).await?;
        let Some(encoder) = writing.encoder.take() else { return Ok(broken_off) };
        let mut last = Vec::new();
        if broken_off.is_some() {
            if incoming.is_live {
                let media_len = encoder.break_off(&mut last);
                if !last.is_empty() {
                    writer.append(last).await?;
                }
                writer.sync().await?;
                writing.recording.media_len = media_len;
                writing.recording.state = RecordingState::Unfinished;
            }
            return Ok(broken_off);
        }
        // Everything before the final record is durable before that is written.
        writer.sync_content().await?;
        let media_len = encoder.finish(&mut last);
        if !last.is_empty() {
            writer.append(last).await?;
        }
        writer.finish().await?;
        writing.recording.media_len = media_len;
        writing.recording.state = RecordingState::Complete;
        Ok(None)
    }

    /// Adds the row of a live recording; while the catalogue is away a sealed one goes on without.
    async fn add_row(&self, recording: &Recording, is_catalogue_away: bool) -> Result<Row, Error> {
        if is_catalogue_away {
            return Ok(Row::Absent);
        }
        match self.database.add_recording(recording).await {
            Ok(()) => Ok(Row::There),
            Err(error) if self.unsettled.is_some() && recording.is_sealed() && is_away(&error) => Ok(Row::Absent),
            Err(error) => Err(error.into()),
        }
    }

    /// Encodes until the source ends (`None`) or breaks off.
    async fn stream(
        &self,
        incoming: &mut Incoming<'_, impl Source>,
        writer: &mut dyn MediaWriter,
        writing: &mut Writing,
    ) -> Result<Option<Break>, Error> {
        let Writing { recording, encoder: Some(encoder), row, unsynced_since } = writing else { return Ok(None) };
        let mut encoded = self.shelf.encoded();
        let mut piece = core::mem::take(&mut incoming.head);
        while !piece.is_empty() {
            encoder.update(&piece, &mut encoded)?;
            if !encoded.is_empty() {
                encoded = writer.append(encoded).await?;
                unsynced_since.get_or_insert_with(Instant::now);
            }
            encoder.describe(recording);
            // A read that waits is not given up for what is due meanwhile: what it has taken would be lost.
            let mut reading = pin!(incoming.next(piece));
            piece = loop {
                let due = row.as_ref().map(|row| (row.due(), unsynced_since.map(|since| since + SYNC_INTERVAL)));
                let (renewal, sync) = due.unzip();
                tokio::select! {
                    // What is due comes first: a source that always has more must not put it off.
                    biased;
                    () = at(renewal) => {
                        if let Some(row) = row {
                            row.renew(recording).await;
                        }
                    }
                    () = at(sync.flatten()) => {
                        // A disk that is still at what came before is asked again when that is done.
                        let is_begun = writer.begin_sync().await?;
                        *unsynced_since = if is_begun { None } else { Some(Instant::now()) };
                    }
                    next = &mut reading => match next {
                        Ok(piece) => break piece,
                        Err(broken_off) => return Ok(Some(broken_off)),
                    },
                }
            };
        }
        self.shelf.put_piece(piece);
        self.shelf.put_encoded(encoded);
        Ok(None)
    }

    /// Says what became of a live recording; whether the catalogue knows.
    async fn end(&self, row: LiveRow, recording: &Recording) -> Result<bool, Error> {
        // A command waits for the catalogue; a server has others to serve.
        let patience = if self.unsettled.is_some() { Duration::ZERO } else { LEASE };
        match (row.end(recording, patience).await, &self.unsettled) {
            (Ok(Row::There), _) => Ok(true),
            (Ok(Row::Taken | Row::Absent), _) => {
                name_taken(recording, &*self.store);
                Ok(false)
            }
            (Err((row, error)), Some(unsettled)) if is_away(&error) => {
                unsettled.add(recording.clone(), row);
                Ok(false)
            }
            (Err((_, error)), _) => Err(error.into()),
        }
    }

    /// Removes the growing file of an ingest that came to nothing. The error that ended it is the one that tells; if
    /// the file cannot be removed either, it is named here.
    pub(super) async fn take_away(&self, object: MediaObject) {
        let object = MediaObject { stage: Stage::Part, ..object };
        if let Err(error) = self.store.remove(&object).await {
            tracing::warn!(%error, "a file that nothing needs could not be removed");
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

/// At that time; never without one.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

pub(super) fn id(new: &NewRecording) -> Result<RecordingId, Error> {
    match (&new.id, new.name.as_deref().and_then(Path::file_stem)) {
        (Some(id), _) => Ok(id.clone()),
        (None, Some(stem)) => Ok(stem.to_string_lossy().parse()?),
        (None, None) => Err(Error::NoId),
    }
}

/// Where a recording's file lies in the end.
pub(super) fn object_of(recording: &Recording) -> MediaObject {
    media_object(recording, if recording.state == RecordingState::Complete { Stage::Final } else { Stage::Part })
}

pub(super) fn later(time: Timestamp, by: Duration) -> Timestamp {
    let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_millis(time.millis().saturating_add(millis)).unwrap_or(Timestamp::MAX)
}
