//! Verifies recordings: the catalogue against the files, the files against the keys, and every tag.
//!
//! Nothing is decrypted, nothing is changed, and others may be at work: before a fault is told, row and file are looked at
//! once more, a moment later. What there is to tell goes to a callback, so that an archive of any size takes no more
//! memory. Where to start reading: [`Verifier::run`], then `look` for one recording and `strays` for files without one.

mod beside;
mod finding;
mod look;
mod looks;
mod pace;
mod records;
mod scrub;
mod strays;

pub use finding::{Finding, FindingKind, Place};
pub use pace::Pace;
pub use scrub::{Round, Scrub};

use std::{sync::Arc, time::Duration};

use super::{Clock, Companions, KeyWatch, Playback};
use crate::access::RecordingSet;
use crate::base::{ErrorCode, RecordingId};
use crate::catalogue::{self, Database, Recording};
use crate::media::{self, MediaStore};
use look::Look;
use looks::Looks;

/// How many rows are asked for at a time.
const PAGE_LEN: u32 = 1000;
/// How long a fault is left alone before it is looked at again: a command that is at work between two of its steps, such
/// as a file that is there and its row not yet, has done them by then.
const SECOND_LOOK_AFTER: Duration = Duration::from_secs(2);
/// How often something that changes each time is looked at.
const LOOKS_MAX: usize = 10;

/// Verifies recordings.
pub struct Verifier {
    database: Arc<dyn Database>,
    store: Arc<dyn MediaStore>,
    keys: Arc<KeyWatch>,
    clock: Clock,
    /// For telling when a damaged place plays.
    playback: Arc<Playback>,
    /// What lies beside recordings.
    companions: Companions,
    /// Whether recordings in plain that are not exempt are allowed.
    allow_plain: bool,
    /// How many recordings are looked at side by side.
    at_once: usize,
    /// Whether nobody else replaces or rewrites objects meanwhile.
    is_guarded: bool,
}

/// What a verification needs.
pub struct VerifierParts {
    /// The catalogue.
    pub database: Arc<dyn Database>,
    /// Where files lie.
    pub store: Arc<dyn MediaStore>,
    /// The keys.
    pub keys: Arc<KeyWatch>,
    /// The time of day.
    pub clock: Clock,
    /// For telling when a damaged place plays.
    pub playback: Arc<Playback>,
    /// What lies beside recordings.
    pub companions: Companions,
    /// Whether recordings in plain that are not exempt are allowed.
    pub allow_plain: bool,
    /// How many recordings are looked at side by side.
    pub at_once: usize,
    /// Whether the caller sees to it that nobody else replaces or rewrites objects meanwhile.
    pub is_guarded: bool,
}

/// What was found out about one recording, or about a file without one.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The recording, or what a name says.
    pub id: Option<RecordingId>,
    /// Its row; none for a file without one.
    pub row: Option<Recording>,
    /// Bytes of media that verified.
    pub verified_len: u64,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// What is to be verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// These recordings.
    Ids(Vec<RecordingId>),
    /// All of them.
    Recordings,
    /// All of them, and all that lies in the store.
    Everything,
}

/// Why nothing more can be verified.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operator: the catalogue.
    #[error(transparent)]
    Catalogue(#[from] catalogue::Error),
    /// The operator: the store.
    #[error(transparent)]
    Store(#[from] media::Error),
}

impl Error {
    /// The name that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Catalogue(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
}

impl Checked {
    /// Whether there is a fault among what was found.
    #[must_use]
    pub fn is_faulty(&self) -> bool {
        self.findings.iter().any(|finding| finding.kind.is_fault())
    }
}

impl From<Look> for Checked {
    fn from(look: Look) -> Self {
        Self {
            id: Some(look.row.id.clone()),
            verified_len: look.verified_len,
            findings: look.findings,
            row: Some(look.row),
        }
    }
}

impl Verifier {
    /// Verifies what those parts hold.
    #[must_use]
    pub fn new(parts: VerifierParts) -> Self {
        let VerifierParts { database, store, keys, clock, playback, companions, allow_plain, at_once, is_guarded } =
            parts;
        let at_once = at_once.max(1);
        Self { database, store, keys, clock, playback, companions, allow_plain, at_once, is_guarded }
    }

    /// Verifies, and tells `each` of every recording, and of whatever else was found; whether it came to its end.
    ///
    /// # Errors
    ///
    /// The catalogue or the store cannot be asked, or what `each` says.
    pub async fn run<E: From<Error>>(
        self: &Arc<Self>,
        scope: &Scope,
        pace: &Arc<Pace>,
        mut each: impl AsyncFnMut(Checked) -> Result<(), E>,
    ) -> Result<bool, E> {
        match scope {
            Scope::Ids(ids) => {
                for ids in ids.chunks(PAGE_LEN as usize) {
                    let rows = self.database.recordings_of(ids).await.map_err(Error::from)?;
                    let mut looks = Looks::new(self, rows, pace);
                    while let Some(checked) = looks.next().await? {
                        each(checked).await?;
                    }
                    if pace.is_stopped() {
                        return Ok(false);
                    }
                    for checked in self.faults_beside_of(ids, pace).await? {
                        each(checked).await?;
                    }
                    self.strays_of(ids, &mut each).await?;
                }
                return Ok(!pace.is_stopped());
            }
            Scope::Recordings | Scope::Everything => {}
        }
        let mut cursor = None;
        loop {
            let set = RecordingSet::All;
            let page = self.database.recordings(cursor.as_ref(), PAGE_LEN, &set).await.map_err(Error::from)?;
            let mut looks = Looks::new(self, page.recordings, pace);
            while let Some(checked) = looks.next().await? {
                each(checked).await?;
            }
            if pace.is_stopped() {
                return Ok(false);
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        for checked in self.faults_beside(pace).await? {
            each(checked).await?;
        }
        if pace.is_stopped() {
            return Ok(false);
        }
        if *scope == Scope::Everything {
            return self.strays(pace, &mut each).await;
        }
        Ok(true)
    }

    /// How many recordings there are, and how many bytes of media, as far as the catalogue tells.
    ///
    /// # Errors
    ///
    /// The catalogue.
    pub async fn extent(&self) -> Result<(u64, u64), Error> {
        let (mut recordings, mut bytes, mut cursor) = (0, 0_u64, None);
        loop {
            let page = self.database.recordings(cursor.as_ref(), PAGE_LEN, &RecordingSet::All).await?;
            recordings += page.recordings.len() as u64;
            bytes = page.recordings.iter().fold(bytes, |sum, row| sum.saturating_add(row.media_len));
            cursor = page.next;
            if cursor.is_none() {
                return Ok((recordings, bytes));
            }
        }
    }

    /// Looks at row and file once more, until both are what they were at the last look: what is to be told, unless the
    /// recording is gone or it was stopped.
    async fn look_again(&self, look: Look, pace: &Pace) -> Result<Option<Checked>, Error> {
        let mut look = look;
        for _ in 0..LOOKS_MAX {
            let Some(row) = self.database.recording(&look.row.id).await? else { return Ok(None) };
            let is_live = self.is_live(&row).await?;
            if !is_live && row == look.row && self.is_in_place(&look).await? {
                return Ok(Some(look.into()));
            }
            let was_live = is_live && row.content == look.row.content;
            let Some(mut again) = self.look(&row, pace).await? else { return Ok(None) };
            if was_live {
                // It grew meanwhile; what was damage and still is, is damage.
                let before = std::mem::take(&mut look.findings);
                again.findings.retain(|found| !found.kind.is_fault() || is_among(&before, found));
                return Ok(Some(again.into()));
            }
            if !again.is_faulty() {
                return Ok(Some(again.into()));
            }
            look = again;
            tokio::time::sleep(SECOND_LOOK_AFTER).await;
        }
        let detail = "it changed each time that it was looked at";
        let location = look.file.as_ref().map(|(object, _)| self.store.location(object));
        look.findings = vec![Finding::new(Some(&look.row.id), FindingKind::Unsettled, location, detail)];
        Ok(Some(look.into()))
    }

    /// Whether the file that was looked at is the one that lies there.
    async fn is_in_place(&self, look: &Look) -> Result<bool, Error> {
        match &look.file {
            Some((object, version)) => Ok(self.store.version(object).await.ok().flatten() == Some(*version)),
            // Gone, or not to be opened.
            None => Ok(self.file_of(&look.row).await.ok().flatten().is_none() || !look.is_missing()),
        }
    }
}

/// Whether the same was found before, in a file that may have grown.
fn is_among(before: &[Finding], found: &Finding) -> bool {
    let is_same = |one: &Finding| match (&one.place, &found.place) {
        (Some(one), Some(other)) => one.chunks.start < other.chunks.end && other.chunks.start < one.chunks.end,
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    before.iter().any(|one| one.kind == found.kind && is_same(one))
}
