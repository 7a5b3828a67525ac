//! What lies in the store and is not the file of a row.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::super::objects::{media_object, media_objects};
use super::{Checked, Error, Finding, FindingKind as Kind, Pace, Verifier};
use crate::base::RecordingId;
use crate::catalogue::{Content, Recording, RecordingState, Replacement};
use crate::media::{MediaFile, MediaKind, MediaObject, ObjectRole, Stage};
use crate::sealed::{HEADER_LEN, Role, UnverifiedHeader};
use crate::service::companions::object as companion_object;

/// How many IDs the catalogue is asked for at a time.
const IDS_MAX: usize = 1000;
/// How many objects are kept in mind until they are looked at again.
const STRANGE_MAX: usize = 20_000;
/// How long a file may lie there before its row does: both are made durable, one after the other.
const CATALOGUED_AFTER: Duration = Duration::from_secs(3);

impl Verifier {
    /// Goes through the store; whether it came to its end.
    pub(super) async fn strays<E: From<Error>>(
        self: &Arc<Self>,
        pace: &Pace,
        each: &mut impl AsyncFnMut(Checked) -> Result<(), E>,
    ) -> Result<bool, E> {
        let (mut after, mut strange) = (None, Vec::new());
        loop {
            if pace.is_stopped() {
                return Ok(false);
            }
            let listing = self.store.list(after.as_deref()).await.map_err(Error::from)?;
            for stranger in listing.strangers {
                let finding = Finding::new(None, Kind::Stranger, stranger.location, stranger.reason);
                each(without_row(None, finding)).await?;
            }
            for location in listing.kept {
                let finding =
                    Finding::new(None, Kind::Kept, location, "a file that was kept when another one took its place");
                each(without_row(None, finding)).await?;
            }
            strange.extend(self.strange(listing.objects).await?);
            after = listing.next;
            if after.is_none() || strange.len() >= STRANGE_MAX {
                self.look_again_at(std::mem::take(&mut strange), each).await?;
            }
            if after.is_none() {
                return Ok(true);
            }
        }
    }

    /// The same for some recordings, and for IDs that there is nothing of.
    pub(super) async fn strays_of<E: From<Error>>(
        &self,
        ids: &[RecordingId],
        each: &mut impl AsyncFnMut(Checked) -> Result<(), E>,
    ) -> Result<(), E> {
        let rows = self.rows(ids).await?;
        let mut objects = Vec::new();
        for id in ids {
            let found = match self.store.media_of(id).await {
                Ok(found) => found,
                // What cannot be looked at was told of with its recording.
                Err(_) if rows.contains_key(id) => continue,
                Err(error) => return Err(Error::from(error).into()),
            };
            let is_there = rows.contains_key(id) || !found.is_empty();
            objects.extend(found);
            if !is_there {
                let finding = Finding::new(Some(id), Kind::NotFound, None, "there is no recording of that ID");
                each(without_row(Some(id), finding)).await?;
            }
        }
        let strange = self.strange(objects).await?;
        self.look_again_at(strange, each).await
    }

    /// The row's own file, if there is one.
    pub(super) async fn file_of(&self, row: &Recording) -> Result<Option<MediaObject>, Error> {
        for object in media_objects(row, row.state) {
            if self.store.version(&object).await?.is_some() {
                return Ok(Some(object));
            }
        }
        Ok(None)
    }

    /// Tells of objects that are no row's file, unless they are that, or gone, a moment later.
    async fn look_again_at<E: From<Error>>(
        &self,
        strange: Vec<MediaObject>,
        each: &mut impl AsyncFnMut(Checked) -> Result<(), E>,
    ) -> Result<(), E> {
        if strange.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(CATALOGUED_AFTER).await;
        let strange = self.strange(strange).await?;
        let ids: Vec<RecordingId> = strange.iter().map(|object| object.id.clone()).collect();
        let rows = self.rows(&ids).await?;
        for object in strange {
            let row = rows.get(&object.id);
            if let Some(finding) = self.stray(&object, row).await? {
                let id = object.id.clone();
                each(Checked { id: Some(id), row: row.cloned(), verified_len: 0, findings: vec![finding] }).await?;
            }
        }
        Ok(())
    }

    /// Those of `objects` that are not the file of a row.
    async fn strange(&self, objects: Vec<MediaObject>) -> Result<Vec<MediaObject>, Error> {
        let mut strange = Vec::new();
        for objects in objects.chunks(IDS_MAX) {
            let ids: Vec<RecordingId> = objects.iter().map(|object| object.id.clone()).collect();
            let rows = self.rows(&ids).await?;
            for found in objects {
                if found.role != ObjectRole::Media {
                    if found.stage == Stage::Next || !self.is_beside(found).await? {
                        strange.push(found.clone());
                    }
                    continue;
                }
                let is_own = match rows.get(&found.id) {
                    None => false,
                    Some(row) if row.state == RecordingState::Complete => {
                        found.may_be(&media_object(row, Stage::Final))
                    }
                    // It lies under either name.
                    Some(row) => {
                        found.may_be(&media_object(row, Stage::Part))
                            || self.file_of(row).await?.is_some_and(|file| found.may_be(&file))
                    }
                };
                if !is_own {
                    strange.push(found.clone());
                }
            }
        }
        Ok(strange)
    }

    /// Whether the catalogue names that object as lying beside its recording.
    async fn is_beside(&self, object: &MediaObject) -> Result<bool, Error> {
        let beside = self.database.companions(&object.id).await?;
        Ok(beside.iter().any(|companion| companion_object(companion) == *object))
    }

    async fn rows(&self, ids: &[RecordingId]) -> Result<HashMap<RecordingId, Recording>, Error> {
        let mut rows = HashMap::with_capacity(ids.len());
        for ids in ids.chunks(IDS_MAX) {
            rows.extend(self.database.recordings_of(ids).await?.into_iter().map(|row| (row.id.clone(), row)));
        }
        Ok(rows)
    }

    /// Whether another one wraps or seals recordings anew, here or on another machine; also when that cannot be told.
    async fn is_maintained(&self) -> bool {
        self.store.begin_maintenance().await.is_err() || self.database.begin_maintenance().await.is_err()
    }

    /// What there is to say of an object that is not the row's file.
    async fn stray(&self, stray: &MediaObject, row: Option<&Recording>) -> Result<Option<Finding>, Error> {
        let Some(file) = self.store.open(stray).await.ok().flatten() else { return Ok(None) };
        let tell =
            |kind, detail: &str| Ok(Some(Finding::new(Some(&stray.id), kind, self.store.location(stray), detail)));
        if stray.stage == Stage::Part && self.store.is_being_written(stray).await? {
            return Ok(None);
        }
        if stray.stage == Stage::Next {
            let is_pending = row.is_some_and(|row| {
                matches!(row.content, Content::Sealed { replacement: Some(Replacement::Sealing { .. }), .. })
            });
            // Whoever holds the guard may be writing it.
            if is_pending || (!self.is_guarded && self.is_maintained().await) {
                return Ok(None);
            }
            return tell(Kind::LeftOver, "a command that was to give it another one's place was killed");
        }
        if stray.role != ObjectRole::Media {
            return match row {
                None => tell(Kind::Orphan, "it lies beside a recording that is not in the catalogue"),
                Some(_) => tell(Kind::LeftOver, "an older or unfinished version of what lies beside the recording"),
            };
        }
        match row {
            None if stray.stage == Stage::Part => tell(Kind::LeftOver, "an import was killed before it was catalogued"),
            None => tell(Kind::Orphan, "it is not in the catalogue"),
            Some(row) if row.is_sealed() != (stray.kind == MediaKind::Sealed) => {
                let kept = if row.is_sealed() { "a sealed recording" } else { "a recording in plain" };
                tell(Kind::OtherKind, &format!("it lies beside the file of {kept}"))
            }
            Some(row) => {
                // A mended one has its name before the row says so.
                if row.content.seal_ids()[1].is_some() {
                    return Ok(None);
                }
                if !self.is_verified(stray, &*file).await? {
                    return tell(Kind::LeftOver, "it lies beside the recording's own file, and does not verify");
                }
                let own = self.file_of(row).await?.unwrap_or_else(|| media_object(row, Stage::Final));
                let locations = vec![self.store.location(&own), self.store.location(stray)];
                let detail = "another file of this recording verifies beside the one that the catalogue names";
                let finding = Finding::new(Some(&stray.id), Kind::TwoFiles, None, detail);
                Ok(Some(Finding { locations, ..finding }))
            }
        }
    }

    /// Whether the header of a file verifies under its name.
    async fn is_verified(&self, object: &MediaObject, file: &dyn MediaFile) -> Result<bool, Error> {
        if object.kind != MediaKind::Sealed {
            return Ok(true);
        }
        let len = file.version().len.min(HEADER_LEN as u64);
        let head = file.read(0, vec![0; usize::try_from(len).unwrap_or(HEADER_LEN)], 0).await?;
        let Ok(header) = UnverifiedHeader::read(&head) else { return Ok(false) };
        let ring = self.keys.ring();
        let Ok(key) = ring.held(&header.fingerprint()) else { return Ok(false) };
        Ok(header.verify(key).and_then(|header| header.expect_place(&object.id, &Role::Media)).is_ok())
    }
}

fn without_row(id: Option<&RecordingId>, finding: Finding) -> Checked {
    Checked { id: id.cloned(), row: None, verified_len: 0, findings: vec![finding] }
}
