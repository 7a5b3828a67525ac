//! From a file to a recording that is open: header and end verified, under the key that the header names.

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

use super::{Error, OpenedKey, Playback};
use crate::base::{ErrorCode, Fingerprint, RecordingId, SealId};
use crate::catalogue::{Content, Recording, RecordingState};
use crate::keys::{OpeningRefused, Switch};
use crate::media::{self, MediaFile, MediaObject, Stage};
use crate::sealed::{Corruption, HEADER_LEN, NameClaim, Opener, Role, UnverifiedHeader, VerifiedHeader};
use crate::service::{Damaged, OpenRecording, Validators, meter, opened::OpenContent};

impl Playback {
    pub(super) async fn open_sealed(
        &self,
        key: OpenedKey,
        state: RecordingState,
        pending_header: Option<&[u8; HEADER_LEN]>,
    ) -> Result<Arc<OpenRecording>, Error> {
        let opened = match self.opened.get(&key).await {
            Some(opened) => opened,
            // In a place of its own: all that opening takes would else be part of every request.
            None => {
                let opening = self.open_sealed_file(&key, state, pending_header);
                Box::pin(self.opened.get_or_open(&key, opening)).await?
            }
        };
        // Asked for each request: a key or switch withdrawn stops what is open already.
        if let Some(fingerprint) = opened.fingerprint() {
            self.keys.ring().opening(&fingerprint)?;
        }
        Ok(opened)
    }

    async fn open_sealed_file(
        &self,
        key: &OpenedKey,
        state: RecordingState,
        pending_header: Option<&[u8; HEADER_LEN]>,
    ) -> Result<Arc<OpenRecording>, Error> {
        let file = self.store.open(&key.object).await?.ok_or(Error::MediaMissing)?;
        let file_len = file.version().len;
        let header = self.header_of(&*file, &key.object, pending_header).await?;
        let range = header.tail(file_len)?;
        let tail = read(&*file, range.clone()).await?;
        let claim = if key.object.stage == Stage::Final { NameClaim::Final } else { NameClaim::Part };
        let opener = match header.judge(file_len, &tail, claim) {
            Err(_) if file.has_copies() => {
                let tail = file.read_anew(range.start, tail).await?;
                let header = self.header_of(&*file, &key.object, pending_header).await?;
                header.judge(file_len, &tail, claim)?
            }
            judged => judged?,
        };
        let validators = (state == RecordingState::Complete).then(|| Validators {
            etag: format!("\"{}\"", opener.seal_id()),
            last_modified: opener.header().sealed_at,
        });
        Ok(Arc::new(OpenRecording { validators, ..sealed(opener, file, &key.seal_ids, state)? }))
    }

    /// The file's header, verified, and of that object.
    pub(super) async fn header_of(
        &self,
        file: &dyn MediaFile,
        object: &MediaObject,
        pending_header: Option<&[u8; HEADER_LEN]>,
    ) -> Result<VerifiedHeader, Error> {
        Ok(self.read_header(file, pending_header).await?.expect_place(&object.id, &Role::Media)?)
    }

    /// What there is of a sealed recording whose file does not verify as a whole: its header must.
    pub(in crate::service) async fn open_presumed(&self, id: &RecordingId) -> Result<Damaged, Error> {
        let row = self.recording(id).await?;
        let (object, _) = self.find(&row, row.state_at((self.clock)())).await?;
        let Content::Sealed { .. } = row.content else { return Err(Error::Corrupt(Corruption::ShortRead)) };
        let file = self.store.open(&object).await?.ok_or(Error::MediaMissing)?;
        let header = self.read_header(&*file, row.content.pending_header()).await?;
        let header = header.expect_place(id, &Role::Media)?;
        if !row.content.seal_ids().contains(&Some(header.seal_id())) {
            return Err(Error::Corrupt(Corruption::OtherSealing));
        }
        let catalogued = (row.state == RecordingState::Complete).then_some(row.media_len);
        let opener = header.presume(file.version().len, catalogued)?;
        let recording = Arc::new(OpenRecording::of_damaged(&row, opener, file));
        let media_len = catalogued.unwrap_or(recording.media_len);
        Ok(Damaged { recording, media_len })
    }

    /// The file's header, verified. One that does not verify is read once more and then taken from the row: it may be
    /// in the middle of being written over.
    async fn read_header(
        &self,
        file: &dyn MediaFile,
        pending_header: Option<&[u8; HEADER_LEN]>,
    ) -> Result<VerifiedHeader, Error> {
        let head = read(file, 0..file.version().len.min(HEADER_LEN as u64)).await?;
        let error = match self.verify_header(&head).await {
            Err(error) if error.may_be_half_written() => error,
            outcome => return outcome,
        };
        match self.verify_header(&file.read_anew(0, head).await?).await {
            Err(_) => {}
            outcome => return outcome,
        }
        match pending_header {
            // What is wrong with the file is what there is to say.
            Some(pending) => self.verify_header(pending).await.map_err(|_| error),
            None => Err(error),
        }
    }

    async fn verify_header(&self, head: &[u8]) -> Result<VerifiedHeader, Error> {
        let header = match UnverifiedHeader::read(head) {
            Err(error) if error.code() == ErrorCode::UnsupportedFormat => return Err(error.into()),
            // Of a file that cannot be told from damage, encryption being off is still the first thing to say.
            _ if self.keys.ring().switch() == Switch::Disabled => return Err(OpeningRefused::EncryptionDisabled.into()),
            header => header?,
        };
        let key = self.key(header.fingerprint()).await?;
        Ok(header.verify(&key)?)
    }

    pub(super) async fn open_plain(
        &self,
        recording: &Recording,
        key: OpenedKey,
        state: RecordingState,
        digest: [u8; 32],
    ) -> Result<Arc<OpenRecording>, Error> {
        if let Some(opened) = self.opened.get(&key).await {
            return Ok(opened);
        }
        let opening = async {
            let file = self.store.open(&key.object).await?.ok_or(Error::MediaMissing)?;
            if state == RecordingState::Complete && file.version().len != recording.media_len {
                return Err(Error::Corrupt(Corruption::ShortRead));
            }
            let validators = (state == RecordingState::Complete).then(|| Validators {
                etag: format!("\"{}\"", hex::encode(&digest[..16])),
                last_modified: recording.created_at,
            });
            Ok(Arc::new(OpenRecording { validators, ..plain(recording, file, state) }))
        };
        Box::pin(self.opened.get_or_open(&key, opening)).await
    }

    /// The key of a fingerprint; one that is not loaded causes one immediate look for it, and no other is tried.
    async fn key(&self, fingerprint: Fingerprint) -> Result<crate::crypto::Key, Error> {
        match self.keys.ring().opening(&fingerprint) {
            Ok(key) => return Ok(key.clone()),
            Err(OpeningRefused::KeyMissing(_)) => {}
            Err(refused) => return Err(refused.into()),
        }
        let could_ask = self.keys.look_again(&fingerprint).await;
        match self.keys.ring().opening(&fingerprint) {
            Ok(key) => Ok(key.clone()),
            Err(OpeningRefused::KeyMissing(_)) if !could_ask => Err(Error::KeysUnavailable(fingerprint)),
            Err(refused) => Err(refused.into()),
        }
    }
}

/// A sealed recording as far as `opener` knows it. Without seal ids, which sealing it is cannot be checked.
pub(super) fn sealed(
    opener: Opener,
    file: Arc<dyn MediaFile>,
    seal_ids: &[Option<SealId>; 2],
    state: RecordingState,
) -> Result<OpenRecording, Error> {
    let is_expected = *seal_ids == [None, None] || seal_ids.contains(&Some(opener.seal_id()));
    if !is_expected {
        return Err(Error::Corrupt(Corruption::OtherSealing));
    }
    let header = opener.header();
    Ok(OpenRecording {
        id: header.id.clone(),
        media_type: header.media_type.clone(),
        media_len: opener.state().media_len(),
        state,
        mended: header.mended,
        validators: None,
        heard: OnceLock::new(),
        shown: OnceLock::new(),
        content: OpenContent::Sealed {
            fingerprint: header.fingerprint,
            reads: meter::reads(&header.fingerprint),
            opener,
        },
        file,
        growth: None,
    })
}

/// A plain recording as long as its file is.
pub(super) fn plain(recording: &Recording, file: Arc<dyn MediaFile>, state: RecordingState) -> OpenRecording {
    OpenRecording {
        id: recording.id.clone(),
        media_type: recording.media_type.clone(),
        media_len: file.version().len,
        state,
        mended: recording.mended,
        validators: None,
        heard: OnceLock::new(),
        shown: OnceLock::new(),
        content: OpenContent::Plain,
        file,
        growth: None,
    }
}

/// A header or a tail: 3 MiB at most.
pub(in crate::service) async fn read(file: &dyn MediaFile, range: Range<u64>) -> Result<Vec<u8>, media::Error> {
    let len = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    let mut buffer = vec![0; len];
    let filled = file.try_read_now(range.start, &mut buffer)?;
    if filled == len {
        return Ok(buffer);
    }
    file.read(range.start, buffer, filled).await
}
