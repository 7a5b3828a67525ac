//! Fills a lost catalogue again from the sealed files: what a file says of itself once it has verified.
//!
//! Plain files are not catalogued unless that is asked for: whether a recording may be plain is what the catalogue
//! knew, and no file can say it.

use std::path::Path;

use super::{Error, Maintenance, judge, read};
use crate::base::{ErrorCode, RecordingId};
use crate::catalogue::{self, Content, Recording, RecordingState};
use crate::crypto::Sha256Digest;
use crate::keys::OpeningRefused;
use crate::media::{MediaKind, MediaObject, ObjectRole, Stage, Stranger};
use crate::sealed::Corruption;
use crate::service::{CompanionError, Companions, detect_media_type};

/// How much of a plain file is read at a time.
const PIECE_LEN: u64 = 1 << 20;

/// What became of one thing in the store.
#[derive(Debug)]
pub enum Rebuilt {
    /// It was catalogued.
    Catalogued(Box<Recording>),
    /// It was in the catalogue already, as it is.
    There(RecordingId),
    /// So much of what lies beside it was catalogued.
    Beside(RecordingId, usize),
    /// It is plain, and plain files were not asked for.
    LeftPlain(RecordingId),
    /// It was not catalogued, and should be looked at.
    Fault(Fault),
}

/// Why something in the store was not catalogued.
#[derive(Debug)]
pub struct Fault {
    /// The URLs of what it is about.
    pub locations: Vec<String>,
    /// The recording, as far as a name says it.
    pub id: Option<RecordingId>,
    /// What is wrong.
    pub reason: String,
    /// Whether an export that has the key is all that is missing.
    pub is_key_missing: bool,
}

/// A file that verified, or is plain.
struct Found {
    recording: Recording,
    location: String,
}

impl Maintenance {
    /// Goes through the store and catalogues what is not in the catalogue; `each` hears of every thing.
    ///
    /// # Errors
    ///
    /// The store cannot be listed, the catalogue cannot be asked, or what `each` says.
    pub async fn rebuild<E: From<Error>>(
        &self,
        with_plain: bool,
        companions: &Companions,
        mut each: impl AsyncFnMut(Rebuilt) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut after = None;
        loop {
            let listing = self.store.list(after.as_deref()).await.map_err(Error::from)?;
            for stranger in listing.strangers {
                let Stranger { location, reason } = stranger;
                each(Rebuilt::Fault(Fault { locations: vec![location], id: None, reason, is_key_missing: false }))
                    .await?;
            }
            let mut objects = listing.objects;
            objects.retain(|object| object.stage != Stage::Next);
            objects.sort_by(|one, other| one.id.as_str().cmp(other.id.as_str()));
            for of_one in objects.chunk_by(|one, other| one.id == other.id) {
                let (media, beside): (Vec<_>, Vec<_>) =
                    of_one.iter().cloned().partition(|object| object.role == ObjectRole::Media);
                for rebuilt in self.rebuild_one(&media, with_plain).await? {
                    each(rebuilt).await?;
                }
                if let Some(rebuilt) = self.rebuild_beside(&beside, companions).await? {
                    each(rebuilt).await?;
                }
            }
            after = listing.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// What lies beside a recording that is in the catalogue.
    async fn rebuild_beside(&self, objects: &[MediaObject], companions: &Companions) -> Result<Option<Rebuilt>, Error> {
        let Some(first) = objects.first() else { return Ok(None) };
        if self.database.recording(&first.id).await?.is_none() {
            return Ok(None);
        }
        Ok(match companions.restore(objects).await {
            Ok(restored) if restored.is_empty() => None,
            Ok(restored) => Some(Rebuilt::Beside(first.id.clone(), restored.len())),
            Err(CompanionError::Catalogue(error)) => return Err(error.into()),
            Err(error) => Some(Rebuilt::Fault(Fault {
                locations: objects.iter().map(|object| self.store.location(object)).collect(),
                id: Some(first.id.clone()),
                reason: format!("what lies beside it: {error} ({})", error.code()),
                is_key_missing: error.code() == ErrorCode::KeyMissing,
            })),
        })
    }

    /// The files of one recording: one of them at most is catalogued, and none while another one is a fault: the lesser
    /// of two must not take the place of the better one that cannot be read now.
    pub(super) async fn rebuild_one(&self, objects: &[MediaObject], with_plain: bool) -> Result<Vec<Rebuilt>, Error> {
        let (mut found, mut rebuilt) = (Vec::new(), Vec::new());
        let Some(id) = objects.first().map(|object| object.id.clone()) else { return Ok(rebuilt) };
        let row = self.database.recording(&id).await?;
        for object in objects {
            if object.kind == MediaKind::Plain && !with_plain && row.as_ref().is_none_or(Recording::is_sealed) {
                rebuilt.push(Rebuilt::LeftPlain(object.id.clone()));
                continue;
            }
            match self.look_at(object, row.as_ref()).await {
                Ok(Some(recording)) => found.push(Found { recording, location: self.store.location(object) }),
                Ok(None) => rebuilt.push(Rebuilt::There(object.id.clone())),
                Err(error @ (Error::Catalogue(_) | Error::Keys(_))) => return Err(error),
                Err(error) => rebuilt.push(self.fault(object, &error)),
            }
        }
        let is_faulty = rebuilt.iter().any(|rebuilt| matches!(rebuilt, Rebuilt::Fault(_)));
        rebuilt.extend(self.settle(id, row, found, is_faulty).await?);
        Ok(rebuilt)
    }

    /// Catalogues the one file that was found. Of two, neither displaces the other, nor does one displace a row.
    async fn settle(
        &self,
        id: RecordingId,
        row: Option<Recording>,
        mut found: Vec<Found>,
        is_faulty: bool,
    ) -> Result<Option<Rebuilt>, Error> {
        if let (Some(row), [found]) = (&row, &found[..])
            && is_same(row, &found.recording)
        {
            self.agree(row, &found.recording).await?;
            return Ok(Some(Rebuilt::There(id)));
        }
        let reason = match (found.len(), &row) {
            (0, _) => return Ok(None),
            (2.., _) => "more than one file of this recording verifies; neither was catalogued, or displaces what is",
            (1, Some(_)) => {
                "it verifies, and is another sealing than the catalogue's of this ID; the catalogue stays as it is"
            }
            (1, None) if is_faulty => {
                "it verifies, and another file of this recording does not; neither was catalogued: restore that one, or move it away"
            }
            (1, None) => {
                let Some(Found { recording, .. }) = found.pop() else { return Ok(None) };
                return match self.database.restore_recording(&recording).await {
                    Ok(()) => Ok(Some(Rebuilt::Catalogued(Box::new(recording)))),
                    Err(catalogue::Error::RecordingExists(id)) => Ok(Some(Rebuilt::There(id))),
                    Err(error) => Err(error.into()),
                };
            }
        };
        let locations = found.into_iter().map(|found| found.location).collect();
        Ok(Some(Rebuilt::Fault(Fault { locations, id: Some(id), reason: reason.into(), is_key_missing: false })))
    }

    /// A file that was put back from a backup may be under another key than its row says, and its key is counted by
    /// the row.
    async fn agree(&self, row: &Recording, found: &Recording) -> Result<(), Error> {
        let is_settled = matches!(row.content, Content::Sealed { replacement: None, .. })
            && !matches!(row.state, RecordingState::Recording { .. });
        if let (true, Some(fingerprint)) = (is_settled && row.fingerprint() != found.fingerprint(), found.fingerprint())
        {
            let Content::Sealed { seal_id, .. } = row.content else { return Ok(()) };
            let content = Content::Sealed { fingerprint, seal_id, replacement: None };
            self.database.replace_content(&row.id, &row.content, &content).await?;
        }
        Ok(())
    }

    /// What a file says of itself, verified; nothing of one that its writer has a row for.
    async fn look_at(&self, object: &MediaObject, row: Option<&Recording>) -> Result<Option<Recording>, Error> {
        if object.stage == Stage::Part && self.store.is_being_written(object).await? {
            return if row.is_some() { Ok(None) } else { Err(Error::BeingRecorded) };
        }
        match object.kind {
            MediaKind::Sealed => self.look_at_sealed(object, row).await.map(Some),
            MediaKind::Plain => self.look_at_plain(object).await.map(Some),
        }
    }

    async fn look_at_sealed(&self, object: &MediaObject, row: Option<&Recording>) -> Result<Recording, Error> {
        let file = self.store.open(object).await?.ok_or(Error::MediaMissing)?;
        let pending = row.and_then(|row| row.content.pending_header());
        let header = match (self.verified_header(&*file, &object.id).await, pending) {
            // Half of a header is in the file, and the whole of it in the row.
            (Err(Error::Sealed(_) | Error::Refused(_)), Some(pending)) => self.verify_header(pending, &object.id)?,
            (header, _) => header?,
        };
        let opener = judge(header, &*file, object.stage).await?;
        let header = opener.header();
        Ok(Recording {
            id: header.id.clone(),
            media_type: header.media_type.clone(),
            media_len: opener.state().media_len(),
            // Names claim completeness, also where the last record is there and only the name was not given any more.
            state: if object.stage == Stage::Final { RecordingState::Complete } else { RecordingState::Unfinished },
            mended: header.mended,
            created_at: header.sealed_at,
            content: Content::Sealed { fingerprint: header.fingerprint, seal_id: opener.seal_id(), replacement: None },
            spool: self.spool_of(object).await?,
            about: None,
        })
    }

    async fn look_at_plain(&self, object: &MediaObject) -> Result<Recording, Error> {
        if object.stage != Stage::Final {
            return Err(Error::Sealed(Corruption::NotComplete.into()));
        }
        let file = self.store.open(object).await?.ok_or(Error::MediaMissing)?;
        let media_len = file.version().len;
        let (mut digest, mut head, mut start) = (Sha256Digest::default(), Vec::new(), 0);
        while start < media_len {
            let end = media_len.min(start + PIECE_LEN);
            let piece = read(&*file, start, end).await?;
            digest.update(&piece);
            if start == 0 {
                head = piece;
            }
            start = end;
        }
        if crate::sealed::has_magic(&head) {
            return Err(Error::Sealed(Corruption::Magic.into()));
        }
        Ok(Recording {
            id: object.id.clone(),
            media_type: detect_media_type(&head, Some(Path::new(object.id.as_str()))),
            media_len,
            state: RecordingState::Complete,
            mended: false,
            created_at: (self.clock)(),
            content: Content::Plain { digest: digest.finish(), exempt: false, outside: None },
            spool: self.spool_of(object).await?,
            about: None,
        })
    }

    fn fault(&self, object: &MediaObject, error: &Error) -> Rebuilt {
        let (locations, id) = (vec![self.store.location(object)], Some(object.id.clone()));
        let is_key_missing = matches!(error, Error::Refused(OpeningRefused::KeyMissing(_)));
        Rebuilt::Fault(Fault { locations, id, reason: format!("{error} ({})", error.code()), is_key_missing })
    }
}

/// Whether a row is of that file.
fn is_same(row: &Recording, found: &Recording) -> bool {
    match (&row.content, &found.content) {
        (Content::Sealed { .. }, Content::Sealed { seal_id, .. }) => row.content.seal_ids().contains(&Some(*seal_id)),
        (Content::Plain { digest, .. }, Content::Plain { digest: found, .. }) => digest == found,
        (Content::Sealed { .. }, Content::Plain { .. }) | (Content::Plain { .. }, Content::Sealed { .. }) => false,
    }
}
