//! Many looks side by side: while some wait for the disk, others are verified.

use std::{collections::VecDeque, mem, sync::Arc};

use tokio::task::JoinHandle;

use super::{Checked, Error, Pace, SECOND_LOOK_AFTER, Verifier, look::Look};
use crate::catalogue::Recording;
use crate::media;

/// Recordings that are looked at side by side; those that are faulty are looked at once more in the end.
pub(super) struct Looks {
    verifier: Arc<Verifier>,
    pace: Arc<Pace>,
    rows: std::vec::IntoIter<Recording>,
    under_way: VecDeque<Looking>,
    faulty: VecDeque<Look>,
    is_second: bool,
}

impl Looks {
    pub(super) fn new(verifier: &Arc<Verifier>, rows: Vec<Recording>, pace: &Arc<Pace>) -> Self {
        Self {
            verifier: Arc::clone(verifier),
            pace: Arc::clone(pace),
            rows: rows.into_iter(),
            under_way: VecDeque::new(),
            faulty: VecDeque::new(),
            is_second: false,
        }
    }

    /// What was found out about the next one; none at the end, or once it was stopped.
    pub(super) async fn next(&mut self) -> Result<Option<Checked>, Error> {
        while !self.pace.is_stopped() {
            while self.under_way.len() < self.verifier.at_once {
                let Some(row) = self.rows.next() else { break };
                let (verifier, pace) = (Arc::clone(&self.verifier), Arc::clone(&self.pace));
                self.under_way.push_back(Looking(tokio::spawn(async move { verifier.look(&row, &pace).await })));
            }
            let Some(looking) = self.under_way.pop_front() else { return self.next_faulty().await };
            match looking.outcome().await? {
                Some(look) if look.is_faulty() => self.faulty.push_back(look),
                Some(look) => return Ok(Some(look.into())),
                None => {}
            }
        }
        Ok(None)
    }

    async fn next_faulty(&mut self) -> Result<Option<Checked>, Error> {
        while let Some(look) = self.faulty.pop_front() {
            if !mem::replace(&mut self.is_second, true) {
                tokio::time::sleep(SECOND_LOOK_AFTER).await;
            }
            if let Some(checked) = self.verifier.look_again(look, &self.pace).await? {
                return Ok(Some(checked));
            }
        }
        Ok(None)
    }
}

/// A look under way; given up with whoever waits for it.
struct Looking(JoinHandle<Result<Option<Look>, Error>>);

impl Looking {
    async fn outcome(mut self) -> Result<Option<Look>, Error> {
        match (&mut self.0).await {
            Ok(outcome) => outcome,
            // Only with the runtime, which ends with the process.
            Err(ended) => Err(media::Error::Unavailable { location: String::new(), reason: ended.to_string() }.into()),
        }
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.abort();
    }
}
