//! From the first bytes of media to a file that is whole, or to as much as came of one that was live.
//!
//! The order is that of durability: header, then media, then the final record, then the name, then the catalogue.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Error, Ingest, Ingested, NewRecording,
    admission::Admitted,
    encoder::Encoder,
    incoming::{Break, Incoming, Stop},
    live_row::{LEASE, LiveRow, Row, is_away, later},
    unsettled::name_taken,
};
use crate::base::RecordingId;
use crate::catalogue::{Content, Recording, RecordingState};
use crate::crypto::Sha256Digest;
use crate::keys::WrappingKey;
use crate::media::{MediaObject, MediaWriter, Stage};
use crate::sealed::{ChunkLen, Role, Sealer, Sealing};
use crate::service::{
    Source, detect_media_type,
    meter::{Growing, METER},
    objects::media_object,
    source::Piece,
};

/// How long the system may hold what came of a live recording before the disk is asked to take it: what a loss of power
/// may cost.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

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

impl Ingest {
    /// Media that is not sealed, whose first bytes are `head`.
    pub(super) async fn take_in(
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
        // Held until what it wrote is gone, if it is to go: the name would be another writer's as soon as it is let go.
        let mut writer = Some(writer);
        let written = self.write(&mut incoming, &mut writer, header, is_catalogue_away, &mut writing).await;
        if writing.row.is_some() {
            drop(writer.take());
        }
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
        writer_slot: &mut Option<Box<dyn MediaWriter>>,
        header: Vec<u8>,
        is_catalogue_away: bool,
        writing: &mut Writing,
    ) -> Result<Option<Break>, Error> {
        let Some(writer) = writer_slot else { return Ok(None) };
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
        let broken_off = self.stream(incoming, &mut **writer, writing).await?;
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
        if let Some(writer) = writer_slot.take() {
            writer.finish().await?;
        }
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
        match (row.end(recording, &*self.store, patience).await, &self.unsettled) {
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

/// At that time; never without one.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
