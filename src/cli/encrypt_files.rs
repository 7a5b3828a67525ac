//! Several recordings sealed at once: while the disk makes one durable, others are read and sealed.
//!
//! Each worker is a thread that may wait, and takes one recording from its plain file to its line on record.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::{runtime::Handle, sync::mpsc, task::spawn_blocking};

use super::{Failure, print, record::Record};
use crate::audit::{Event, EventKind};
use crate::base::RecordingId;
use crate::service::{
    Candidate, Conduct, Encrypted, Encryption, Maintenance, MaintenanceError as Error, RatePace, Stop,
};

/// How many are sealed at once: enough that the disk always has several to make durable. Each costs a few pieces of
/// memory.
const AT_ONCE: usize = 16;

/// One run of the command.
pub(super) struct Run {
    pub maintenance: Maintenance,
    pub record: Record,
    pub pace: RatePace,
    pub stop: Stop,
    pub progress: Box<dyn Fn(u64) + Send + Sync>,
}

/// What became of a recording.
pub(super) enum Outcome {
    /// It is sealed, and its plain file is gone; how many bytes of media it has.
    Done(u64),
    /// There was nothing to do.
    Already,
    /// It stays plain, because a stop was asked for.
    Stopped,
    /// It stays plain, as it was.
    Failed(Error),
    /// It is sealed, and its plain file is still there.
    PlainStays(Error),
    /// It is sealed, and that is not on record.
    NotOnRecord(Failure),
}

impl Run {
    /// Brings to their end what an earlier run left; tells `report` of each. Once that says `false`, or a stop is asked
    /// for, no further one is begun.
    pub(super) async fn finish_earlier(
        &self,
        mut report: impl FnMut(&RecordingId, Outcome) -> bool,
    ) -> Result<(), Failure> {
        let mut after = 0;
        loop {
            let page = self.maintenance.plain_left(after).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = *last;
            for (_, left) in page {
                if self.stop.is_asked() {
                    return Ok(());
                }
                let outcome = match self.maintenance.remove_plain_left(&left, self.conduct()).await {
                    Ok(Some(encrypted)) => self.put_on_record(encrypted).await,
                    Ok(None) => match self.maintenance.end_encryption(&left).await {
                        Ok(()) => continue,
                        Err(error) => Outcome::Failed(error),
                    },
                    Err(Error::Stopped) => Outcome::Stopped,
                    Err(error) => Outcome::Failed(error),
                };
                if !report(&left.id, outcome) {
                    return Ok(());
                }
            }
        }
    }

    /// Seals all of them; tells `report` of each. Once that says `false`, or a stop is asked for, no further one is
    /// begun.
    pub(super) async fn seal(
        self: &Arc<Self>,
        candidates: Vec<Candidate>,
        mut report: impl FnMut(&RecordingId, Outcome) -> bool,
    ) {
        let (taken, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
        let lots = Arc::new(Lots { candidates, taken, is_over });
        let (sender, mut outcomes) = mpsc::unbounded_channel();
        for _ in 0..AT_ONCE.min(lots.candidates.len()) {
            let (run, lots, sender, runtime) = (Arc::clone(self), Arc::clone(&lots), sender.clone(), Handle::current());
            spawn_blocking(move || runtime.block_on(run.work(&lots, &sender)));
        }
        drop(sender);
        while let Some((id, outcome)) = outcomes.recv().await {
            if !report(&id, outcome) {
                lots.is_over.store(true, Ordering::Relaxed);
            }
        }
    }

    async fn work(&self, lots: &Lots, outcomes: &mpsc::UnboundedSender<(RecordingId, Outcome)>) {
        while let Some(candidate) = lots.candidates.get(lots.taken.fetch_add(1, Ordering::Relaxed)) {
            if lots.is_over.load(Ordering::Relaxed) || self.stop.is_asked() {
                return;
            }
            let outcome = self.seal_one(&candidate.id).await;
            if outcomes.send((candidate.id.clone(), outcome)).is_err() {
                return;
            }
        }
    }

    async fn seal_one(&self, id: &RecordingId) -> Outcome {
        match self.maintenance.encrypt(id, self.conduct()).await {
            Ok(Encryption::Done(encrypted)) => self.put_on_record(*encrypted).await,
            Ok(Encryption::Already) => Outcome::Already,
            Err(Error::Stopped) => Outcome::Stopped,
            Err(error) => Outcome::Failed(error),
        }
    }

    /// The note of the plain file is struck only when the event is there: whoever is killed in between has it written
    /// by the next run.
    async fn put_on_record(&self, encrypted: Encrypted) -> Outcome {
        let Encrypted { recording, left, other_names, stays } = encrypted;
        let event = Event {
            recording: Some(recording.id.to_string()),
            fingerprint: recording.fingerprint().map(|fingerprint| fingerprint.to_string()),
            seal_id: recording.content.seal_ids()[0].map(|seal_id| seal_id.to_string()),
            bytes: Some(recording.media_len),
            ..self.record.event(EventKind::RecordingEncrypt)
        };
        if let Err(failure) = self.record.write(event).await {
            return Outcome::NotOnRecord(failure);
        }
        if let Some(error) = stays {
            return Outcome::PlainStays(error);
        }
        if other_names > 0 {
            print::error_line(&format!(
                "warning: {}: the plain file had {other_names} other name(s) (hard links), under which its bytes are still on the disk",
                recording.id
            ));
        }
        match self.maintenance.end_encryption(&left).await {
            Ok(()) => Outcome::Done(recording.media_len),
            Err(error) => Outcome::Failed(error),
        }
    }

    fn conduct(&self) -> Conduct<'_> {
        Conduct { pace: &self.pace, stop: &self.stop, progress: &*self.progress }
    }
}

/// What workers share.
struct Lots {
    candidates: Vec<Candidate>,
    /// How many were begun.
    taken: AtomicUsize,
    is_over: AtomicBool,
}
