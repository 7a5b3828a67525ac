//! What dead writers left behind, found by a server that starts: recordings that the catalogue has not heard of because
//! it was away, and rows that say that somebody writes.
//!
//! It looks at the names of files alone, but for those that the catalogue lacks, and takes a tenth of one core's time.

use std::time::{Duration, Instant};

use super::super::objects::media_object;
use super::{Error, Maintenance, judge, rebuild::Rebuilt};
use crate::base::RecordingId;
use crate::catalogue::{Recording, RecordingState};
use crate::media::{MediaKind, MediaObject, ObjectRole, Stage};
use crate::sealed::ChunkLen;

/// How much longer it rests than it looks.
const REST: u32 = 9;
/// How long it waits for writers whose lease has not lapsed.
const LEASE: Duration = Duration::from_secs(35);
/// How many faults are told one by one.
const FAULTS_TOLD_MAX: usize = 20;

impl Maintenance {
    /// Catalogues what verifies and is in no row, and brings rows of dead writers to their end; `each` hears of every
    /// recording that was catalogued.
    ///
    /// # Errors
    ///
    /// The store cannot be listed, or the catalogue cannot be asked; what was found until then is catalogued.
    pub async fn settle_left_behind(&self, mut each: impl FnMut(&Recording) + Send) -> Result<(), Error> {
        let (mut after, mut written, mut faults) = (None, Vec::new(), 0);
        loop {
            let begun = Instant::now();
            // With a spool, all that a writer begins is there; the store may be large, and of many servers.
            let listing = match self.store.spool() {
                Some(spool) => spool.list(after.as_deref()).await?,
                None => self.store.list(after.as_deref()).await?,
            };
            let mut objects = listing.objects;
            // What lies beside a recording waits for `recordings rebuild`.
            objects.retain(|object| object.stage != Stage::Next && object.role == ObjectRole::Media);
            objects.sort_by(|one, other| one.id.as_str().cmp(other.id.as_str()));
            for of_one in objects.chunk_by(|one, other| one.id == other.id) {
                let Some(id) = of_one.first().map(|object| &object.id) else { continue };
                match self.database.recording(id).await? {
                    Some(row) if matches!(row.state, RecordingState::Recording { .. }) => written.push(id.clone()),
                    Some(_) => {}
                    None => faults += self.settle_unknown(of_one, faults, &mut each).await?,
                }
            }
            after = listing.next;
            if after.is_none() {
                break;
            }
            tokio::time::sleep(begun.elapsed() * REST).await;
        }
        if faults > FAULTS_TOLD_MAX {
            tracing::warn!(
                faults,
                "files are in the store and not in the catalogue; `sealtape recordings rebuild` names all"
            );
        }
        if !written.is_empty() {
            tokio::time::sleep(LEASE).await;
        }
        for id in written {
            self.settle_dead_writer(&id).await?;
        }
        Ok(())
    }

    /// Files of a recording that is in no row; how many faults were found.
    async fn settle_unknown(
        &self,
        objects: &[MediaObject],
        faults: usize,
        each: &mut (impl FnMut(&Recording) + Send),
    ) -> Result<usize, Error> {
        for object in objects {
            // What is plain, no file can say; what is being written, its writer tells.
            let is_left = object.kind == MediaKind::Sealed
                && (object.stage == Stage::Final
                    || !self.store.is_being_written(object).await? && self.is_live(object).await);
            if !is_left {
                return Ok(0);
            }
        }
        let mut found = 0;
        for rebuilt in self.rebuild_one(objects, false).await? {
            match rebuilt {
                Rebuilt::Catalogued(recording) => {
                    tracing::info!(id = %recording.id, state = recording.state.as_str(), "it was not in the catalogue");
                    each(&recording);
                }
                Rebuilt::Fault(fault) => {
                    found += 1;
                    if faults + found <= FAULTS_TOLD_MAX {
                        tracing::warn!(files = ?fault.locations, reason = %fault.reason, "in the store, and not in the catalogue");
                    }
                }
                Rebuilt::There(_) | Rebuilt::LeftPlain(_) | Rebuilt::Beside(..) => {}
            }
        }
        Ok(found)
    }

    /// Whether a file was sealed as it was made. What an import left that was killed is not: its source is there.
    async fn is_live(&self, object: &MediaObject) -> bool {
        let header = async {
            let file = self.store.open(object).await?.ok_or(Error::MediaMissing)?;
            self.verified_header(&*file, &object.id).await
        };
        header.await.is_ok_and(|verified| verified.header().chunk_len == ChunkLen::LIVE)
    }

    /// A row whose writer has not renewed its lease, and holds no file: its state is what the file's name says.
    pub(super) async fn settle_dead_writer(&self, id: &RecordingId) -> Result<(), Error> {
        let Some(row) = self.database.recording(id).await? else { return Ok(()) };
        let is_left = matches!(row.state, RecordingState::Recording { .. })
            && row.state_at((self.clock)()) == RecordingState::Unfinished
            && row.is_sealed()
            && !self.store.is_being_written(&media_object(&row, Stage::Part)).await?;
        if !is_left {
            return Ok(());
        }
        let row = Recording { state: RecordingState::Unfinished, ..row };
        let opened = async {
            let (object, file) = self.find(&row).await?;
            let opener = judge(self.verified_header(&*file, id).await?, &*file, object.stage).await?;
            Ok::<_, Error>((object.stage, opener))
        };
        let ended = match opened.await {
            Ok((stage, opener)) if row.content.seal_ids().contains(&Some(opener.seal_id())) => {
                let state = if stage == Stage::Final { RecordingState::Complete } else { RecordingState::Unfinished };
                Recording { state, media_len: opener.state().media_len(), ..row }
            }
            // Whoever plays it is told what is wrong with it.
            Ok(_) | Err(_) => row,
        };
        Ok(self.database.update_progress(&ended).await?)
    }
}
