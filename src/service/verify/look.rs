//! One look at one recording: its row against its file, against the keys, and every tag.

use std::{ops::Range, sync::Arc};

use super::super::objects::{media_object, media_objects};
use super::{
    Error, Finding, FindingKind as Kind, Pace, Place, Verifier,
    records::{Records, STRETCHES_MAX},
};
use crate::catalogue::{Content, Recording, RecordingState, Replacement};
use crate::crypto::Sha256Digest;
use crate::keys::OpeningRefused;
use crate::media::{MediaFile, MediaObject, Stage, Version};
use crate::sealed::{self, Corruption, HEADER_LEN, NameClaim, Opener, Role, UnverifiedHeader, VerifiedHeader};
use crate::service::OpenRecording;

/// How much of a plain file is read at a time.
const PIECE_LEN: u64 = 1 << 20;

/// A look at a recording, and of what.
pub(super) struct Look {
    pub row: Recording,
    /// The file that was looked at, in that version.
    pub file: Option<(MediaObject, Version)>,
    pub findings: Vec<Finding>,
    /// Bytes of media in chunks that verified.
    pub verified_len: u64,
}

/// What a look can be cut short by.
pub(super) enum Cut {
    Stopped,
    /// This is all that there is to say.
    Told(Finding),
    Failed(Error),
}

impl From<Error> for Cut {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Look {
    pub(super) fn is_faulty(&self) -> bool {
        self.findings.iter().any(|finding| finding.kind.is_fault())
    }

    pub(super) fn is_missing(&self) -> bool {
        self.findings.iter().any(|finding| finding.kind == Kind::MediaMissing)
    }

    fn add(&mut self, kind: Kind, location: &str, detail: impl ToString) {
        self.findings.push(Finding::new(Some(&self.row.id), kind, location.to_owned(), detail));
    }
}

impl Verifier {
    /// Looks at a recording; none when it was stopped.
    pub(super) async fn look(&self, row: &Recording, pace: &Pace) -> Result<Option<Look>, Error> {
        let mut look = Look { row: row.clone(), file: None, findings: Vec::new(), verified_len: 0 };
        let outcome = match &row.content {
            Content::Sealed { .. } => self.look_at_sealed(&mut look, pace).await,
            Content::Plain { .. } => self.look_at_plain(&mut look, pace).await,
        };
        match outcome {
            Ok(()) => {}
            Err(Cut::Stopped) => return Ok(None),
            Err(Cut::Told(finding)) => look.findings.push(finding),
            Err(Cut::Failed(Error::Store(error))) => {
                // One file that cannot be read is a fault; a store that does not answer is not one of each recording.
                self.store.list(None).await?;
                let location = self.location(&look);
                look.add(Kind::Unreadable, &location, error);
            }
            Err(Cut::Failed(error)) => return Err(error),
        }
        Ok(Some(look))
    }

    fn location(&self, look: &Look) -> String {
        let stage = if look.row.state == RecordingState::Complete { Stage::Final } else { Stage::Part };
        let expected = media_object(&look.row, stage);
        self.store.location(look.file.as_ref().map_or(&expected, |(object, _)| object))
    }

    /// The file of a row, noted in the look.
    async fn open(&self, look: &mut Look) -> Result<(Stage, Arc<dyn MediaFile>), Cut> {
        for object in media_objects(&look.row, look.row.state) {
            if let Some(file) = self.store.open(&object).await.map_err(Error::from)? {
                let stage = object.stage;
                look.file = Some((object, file.version()));
                return Ok((stage, file));
            }
        }
        if let Some(spool) =
            look.row.spool.as_ref().filter(|spool| self.store.spool().is_none_or(|own| own.location() != *spool))
        {
            let detail = "it is not in the media store yet, and was not looked at";
            return Err(Cut::Told(Finding::new(Some(&look.row.id), Kind::InSpool, spool.to_string(), detail)));
        }
        let location = self.location(look);
        let detail = "it is in the catalogue, and its file is not in the media store";
        Err(Cut::Told(Finding::new(Some(&look.row.id), Kind::MediaMissing, location, detail)))
    }

    async fn look_at_sealed(&self, look: &mut Look, pace: &Pace) -> Result<(), Cut> {
        let (stage, file) = self.open(look).await?;
        let location = self.location(look);
        self.note_state(look, stage, &location);
        let told = |kind, detail: String| Cut::Told(Finding::new(Some(&look.row.id), kind, location.clone(), detail));
        let head = 0..file.version().len.min(HEADER_LEN as u64);
        let head = pace.read(&*file, &head, Vec::new()).await.map_err(Error::from)?;
        let pending = look.row.content.pending_header().map(|pending| pending.to_vec());
        let (header, head) = match (self.header(&look.row, &head).await, pending) {
            (Ok(header), _) => (header, head),
            // Half of a header may be in the file; the whole of it is in the row.
            (Err((kind, detail)), Some(pending)) => {
                (self.header(&look.row, &pending).await.map_err(|_| told(kind, detail))?, pending)
            }
            (Err((kind, detail)), None) => return Err(told(kind, detail)),
        };
        let fields = header.header();
        if !look.row.content.seal_ids().contains(&Some(header.seal_id())) {
            let detail = format!("it is the sealing {}, and the catalogue names another", header.seal_id());
            return Err(told(Kind::OtherSealing, detail));
        }
        if let Err(refused @ OpeningRefused::KeyDeactivated(_)) = self.keys.ring().any(&fields.fingerprint) {
            look.add(Kind::KeyDeactivated, &location, refused);
        }
        let (opener, end) = self.judge(look, (header, &head), stage, &*file, pace).await?;
        let bad = match pace.look_at(&opener, &*file).await.map_err(Error::from)? {
            Records::Looked(bad) => bad,
            Records::Stopped => return Err(Cut::Stopped),
        };
        let is_live = self.is_live(&look.row).await?;
        let bad = without_growing_end(bad, &opener, is_live);
        let media_len = opener.state().media_len();
        look.verified_len =
            media_len - bad.iter().map(|chunks| media(&opener, chunks)).map(|it| it.end - it.start).sum::<u64>();
        if let Some((kind, detail)) = end.clone() {
            look.add(kind, &location, detail);
        }
        if end.is_none() && bad.is_empty() {
            self.compare(look, stage, &opener, &location);
        }
        self.add_chunks(look, opener, &file, &bad, end.is_some(), &location).await;
        Ok(())
    }

    fn note_state(&self, look: &mut Look, stage: Stage, location: &str) {
        match look.row.state_at((self.clock)()) {
            RecordingState::Complete => {}
            RecordingState::Recording { .. } => {
                look.add(Kind::BeingRecorded, location, "it is being written now, and was checked as far as it is");
            }
            RecordingState::Unfinished if stage == Stage::Final => {
                look.add(Kind::Unfinished, location, "its file is complete, and the catalogue does not know it yet");
            }
            RecordingState::Unfinished => {
                look.add(Kind::Unfinished, location, "its writer died, or its source broke off");
            }
        }
        let pending = match &look.row.content {
            Content::Sealed { replacement: Some(Replacement::Header { .. }), .. } => "its header is being wrapped anew",
            Content::Sealed { replacement: Some(Replacement::Sealing { .. }), .. } => "it is being sealed again",
            Content::Sealed { replacement: None, .. } | Content::Plain { .. } => return,
        };
        look.add(Kind::Pending, location, format!("{pending}, or a command that did so was killed"));
    }

    /// A header, verified, of a file in that recording's place; else what to tell.
    async fn header(&self, row: &Recording, head: &[u8]) -> Result<VerifiedHeader, (Kind, String)> {
        let told = |error: sealed::Error| (kind_of(&error), error.to_string());
        let header = UnverifiedHeader::read(head).map_err(told)?;
        let fingerprint = header.fingerprint();
        if !self.keys.ring().has(&fingerprint) {
            self.keys.look_again(&fingerprint).await;
        }
        let ring = self.keys.ring();
        let key = ring.held(&fingerprint).map_err(|refused| (Kind::KeyMissing, refused.to_string()))?;
        header.verify(key).and_then(|header| header.expect_place(&row.id, &Role::Media)).map_err(told)
    }

    /// How far the file goes; and what is wrong with its end, if the end is what is wrong.
    async fn judge(
        &self,
        look: &Look,
        (header, head): (VerifiedHeader, &[u8]),
        stage: Stage,
        file: &dyn MediaFile,
        pace: &Pace,
    ) -> Result<(Opener, Option<(Kind, String)>), Cut> {
        let (file_len, chunk_len) = (file.version().len, header.header().chunk_len);
        let is_complete = look.row.state == RecordingState::Complete;
        let catalogued = is_complete.then_some(look.row.media_len);
        let told = |(kind, detail)| Cut::Told(Finding::new(Some(&look.row.id), kind, self.location(look), detail));
        let failed = |error: sealed::Error| told((kind_of(&error), error.to_string()));
        let tail = header.tail(file_len).map_err(failed)?;
        let tail = pace.read(file, &tail, Vec::new()).await.map_err(Error::from)?;
        let claim = if stage == Stage::Final { NameClaim::Final } else { NameClaim::Part };
        let error = match header.judge(file_len, &tail, claim) {
            Ok(opener) => return Ok((opener, None)),
            Err(error) => error,
        };
        let again = self.header(&look.row, head).await.map_err(told)?;
        let opener = again.presume(file_len, catalogued).map_err(failed)?;
        let expected = catalogued.and_then(|media_len| chunk_len.file_len(media_len));
        let end = match expected {
            Some(expected) if file_len < expected => {
                let detail = format!("its end is missing: {} of {} bytes are there", file_len, expected);
                Some((Kind::Truncated, detail))
            }
            Some(expected) if file_len > expected => {
                Some((Kind::Overlong, format!("{} bytes follow its end", file_len - expected)))
            }
            // It is as long as it was: a chunk at its end is what does not verify.
            Some(_) if opener.state().media_len() > 0 => None,
            // Nobody knows how long it should be. A last chunk that does not verify is told as such.
            None if stage == Stage::Part && opener.state().media_len() > 0 => None,
            Some(_) | None => Some((Kind::Truncated, error.to_string())),
        };
        Ok((opener, end))
    }

    /// A file that verified whole, against its row.
    fn compare(&self, look: &mut Look, stage: Stage, file: &Opener, location: &str) {
        let (row, header, media_len) = (look.row.clone(), file.header(), file.state().media_len());
        let Content::Sealed { fingerprint, seal_id, replacement } = row.content else { return };
        // The row says of the sealing that is to come only which it is.
        if row.state != RecordingState::Complete || stage != Stage::Final || seal_id != file.seal_id() {
            return;
        }
        if media_len != row.media_len {
            let detail = format!("the catalogue says {} bytes of media, and the file holds {media_len}", row.media_len);
            look.add(Kind::WrongSize, location, detail);
        } else if header.mended != row.mended {
            let said = if row.mended { "" } else { "not " };
            look.add(Kind::WrongSize, location, format!("the catalogue says that it is {said}mended"));
        }
        if replacement.is_none() && fingerprint != header.fingerprint {
            let detail = format!("the catalogue says {fingerprint}, and the file {}", header.fingerprint);
            look.add(Kind::WrongKey, location, detail);
        }
    }

    /// Whether a writer is at work on it: its lease says so, or its lock, where it could not renew that.
    pub(super) async fn is_live(&self, row: &Recording) -> Result<bool, Error> {
        let RecordingState::Recording { lease_until } = row.state else { return Ok(false) };
        Ok(lease_until >= (self.clock)() || self.store.is_being_written(&media_object(row, Stage::Part)).await?)
    }

    /// Adds the chunks that do not verify.
    async fn add_chunks(
        &self,
        look: &mut Look,
        opener: Opener,
        file: &Arc<dyn MediaFile>,
        bad: &[Range<u64>],
        has_end: bool,
        location: &str,
    ) {
        if bad.is_empty() && !has_end {
            return;
        }
        let places: Vec<_> = bad.iter().map(|chunks| (chunks.clone(), media(&opener, chunks))).collect();
        let (there, chunk_len) = (opener.state().media_len(), opener.header().chunk_len.bytes());
        let whole_len = if look.row.state == RecordingState::Complete { look.row.media_len } else { there };
        let recording = OpenRecording::of_damaged(&look.row, opener, Arc::clone(file));
        let duration = self.playback.duration_of(Arc::new(recording)).await;
        let time = |media: &Range<u64>| {
            let at = |byte: u64| duration.map(|whole| whole.mul_f64(ratio(byte, whole_len)));
            at(media.start).zip(at(media.end)).map(|(start, end)| start..end)
        };
        if let Some(cut) = look.findings.iter_mut().find(|finding| finding.kind == Kind::Truncated)
            && there < whole_len
        {
            let media = there..whole_len;
            let chunks = media.start / chunk_len..media.end.div_ceil(chunk_len);
            cut.place = Some(Place { chunks, time: time(&media), media });
        }
        for (number, (chunks, media)) in places.into_iter().enumerate() {
            let detail = if chunks.end - chunks.start == 1 {
                format!("chunk {} does not verify", chunks.start)
            } else if number + 1 == STRETCHES_MAX {
                format!("many chunks from {} to {} do not verify", chunks.start, chunks.end - 1)
            } else {
                format!("chunks {} to {} do not verify", chunks.start, chunks.end - 1)
            };
            let place = Place { chunks, time: time(&media), media };
            let finding = Finding::new(Some(&look.row.id), Kind::CorruptChunk, location.to_owned(), detail);
            look.findings.push(Finding { place: Some(place), ..finding });
        }
    }

    async fn look_at_plain(&self, look: &mut Look, pace: &Pace) -> Result<(), Cut> {
        let Content::Plain { digest, exempt, .. } = look.row.content else { return Ok(()) };
        let (stage, file) = self.open(look).await?;
        let location = self.location(look);
        self.note_state(look, stage, &location);
        if !exempt && !self.allow_plain {
            look.add(Kind::PlainNotAllowed, &location, "it is kept in plain, and is not exempt");
        }
        let (file_len, mut found, mut start, mut buffer) = (file.version().len, Sha256Digest::default(), 0, Vec::new());
        while start < file_len {
            let end = file_len.min(start + PIECE_LEN);
            buffer = pace.read(&*file, &(start..end), buffer).await.map_err(Error::from)?;
            found.update(&buffer);
            if !pace.go_on(end - start).await {
                return Err(Cut::Stopped);
            }
            start = end;
        }
        if look.row.state != RecordingState::Complete {
            // Nothing says what it should be.
            return Ok(());
        }
        look.verified_len = file_len;
        let sizes = format!("the catalogue says {} bytes, and the file has {file_len}", look.row.media_len);
        match (found.finish() == digest, file_len == look.row.media_len) {
            (true, true) => {}
            (true, false) => look.add(Kind::WrongSize, &location, sizes),
            (false, false) if file_len < look.row.media_len => look.add(Kind::Truncated, &location, sizes),
            (false, _) => look.add(Kind::DigestMismatch, &location, "its bytes are not what was stored"),
        }
        Ok(())
    }
}

/// How a header that does not verify is told.
pub(super) fn kind_of(error: &sealed::Error) -> Kind {
    match error {
        sealed::Error::UnsupportedVersion(_) | sealed::Error::UnsupportedSuite(_) => Kind::UnsupportedFormat,
        sealed::Error::Corrupt(Corruption::Magic) => Kind::NotSealed,
        sealed::Error::Corrupt(Corruption::OtherId | Corruption::OtherRole | Corruption::OtherSidecar) => Kind::OtherId,
        sealed::Error::Corrupt(Corruption::ShortHeader) => Kind::Truncated,
        sealed::Error::Corrupt(_) | sealed::Error::TooLong | sealed::Error::NoRandom => Kind::CorruptHeader,
    }
}

/// The last record of a growing file may be half of one: it is not there yet.
fn without_growing_end(mut bad: Vec<Range<u64>>, opener: &Opener, is_live: bool) -> Vec<Range<u64>> {
    let records = opener.state().media_len().div_ceil(opener.header().chunk_len.bytes());
    if is_live
        && let Some(last) = bad.pop_if(|chunks| chunks.end == records)
        && last.end - last.start > 1
    {
        bad.push(last.start..last.end - 1);
    }
    bad
}

/// The media in some chunks.
fn media(opener: &Opener, chunks: &Range<u64>) -> Range<u64> {
    let chunk_len = opener.header().chunk_len.bytes();
    chunks.start * chunk_len..opener.state().media_len().min(chunks.end * chunk_len)
}

fn ratio(byte: u64, whole_len: u64) -> f64 {
    if whole_len == 0 { 0.0 } else { byte as f64 / whole_len as f64 }
}
