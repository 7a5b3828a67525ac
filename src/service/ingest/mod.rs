//! Takes recordings in: sealed as they stream, or kept plain where that was decided.
//!
//! Nothing plain touches a disk that is not catalogued as plain. Media that streams in is told from files that are sealed
//! already by its first bytes; start with `streaming` for the one, `sealed` for the other.

mod admission;
mod cataloguing;
mod dead_import;
mod encoder;
mod error;
mod incoming;
mod live_row;
mod plain;
mod sealed;
mod spooled;
mod streaming;
mod unsettled;

pub use self::error::Error;
pub use self::incoming::{Intake, Stop};
pub(super) use self::unsettled::Unsettled;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use self::incoming::head;
use super::{
    Clock, KeyWatch, Playback, Source, Spooler,
    bulk::{Claims, Shelf},
    objects::media_object,
};
use crate::base::{MediaType, RecordingId};
use crate::catalogue::{Database, Recording, RecordingState};
use crate::media::{MediaObject, MediaStore, Stage};
use crate::sealed::has_magic;

/// How many bytes are looked at before the media type is decided, if they come without waiting.
const HEAD_LEN: usize = 8 * 1024;
/// The fewest bytes that a stream's type is decided from, unless it ends before.
const STREAM_HEAD_LEN: usize = 64;

/// Takes recordings in.
pub struct Ingest {
    database: Arc<dyn Database>,
    store: Arc<dyn MediaStore>,
    keys: Arc<KeyWatch>,
    clock: Clock,
    shelf: Shelf,
    claims: Claims,
    /// There for a server, which goes on while the catalogue is away.
    unsettled: Option<Arc<Unsettled>>,
    /// There where media goes through a spool.
    spooler: Option<Arc<Spooler>>,
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

    /// The same for a server, whose streams go on while the catalogue is away. What ends then is played by `playback`, and
    /// catalogued by [`Self::settle`].
    #[must_use]
    pub fn despite_catalogue(self, playback: &Playback) -> Self {
        Self { unsettled: Some(Arc::clone(&playback.unsettled)), ..self }
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
        if has_magic(&head) {
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
        if has_magic(&head) {
            return Err(Error::SealedStream);
        }
        progress(head.len() as u64);
        let (id, new) = (id(&new)?, NewRecording { is_live: true, ..new });
        self.brought_to_store(self.take_in(id, new, head, source, stop, progress).await).await
    }
}

fn id(new: &NewRecording) -> Result<RecordingId, Error> {
    match (&new.id, new.name.as_deref().and_then(Path::file_stem)) {
        (Some(id), _) => Ok(id.clone()),
        (None, Some(stem)) => Ok(stem.to_string_lossy().parse()?),
        (None, None) => Err(Error::NoId),
    }
}

/// Where a recording's file lies in the end.
fn object_of(recording: &Recording) -> MediaObject {
    media_object(recording, if recording.state == RecordingState::Complete { Stage::Final } else { Stage::Part })
}
