//! What may be heard in a simulated world, and what must be: kept from what was asked for and what was answered alone.
//!
//! It knows nothing of files, rows or keys in use. Where an answer was lost, both outcomes are right from then on.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use sealtape::base::Fingerprint;
use sealtape::catalogue::{Recording, RecordingState};

use super::fate::{Dice, Fate};

/// Stands in every stretch of media, and so nowhere in a sealed file.
pub const MARKER: &[u8] = b"= in the clear =";
/// How long a stretch of media is.
const STRETCH_LEN: usize = 64;

/// One try to record something under an ID.
#[derive(Clone)]
pub struct Attempt {
    pub number: usize,
    pub media: Arc<Vec<u8>>,
    pub phase: Phase,
    /// Kept plain on purpose, or while encryption was, or may have been, switched off.
    pub may_be_plain: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    UnderWay,
    /// It was answered that so much of it is kept.
    Kept {
        media_len: u64,
        is_complete: bool,
        is_catalogued: bool,
        is_sealed: bool,
    },
    /// It failed or was cut off: some of it may be there.
    Unsure,
    /// It was taken away.
    Gone {
        since_ms: u64,
    },
}

/// What is known under one ID.
#[derive(Clone, Default)]
pub struct Known {
    pub attempts: Vec<Attempt>,
    /// Something that is no writer changed what lies there.
    pub is_harmed: bool,
    /// Somebody asked for it to be taken away, and does not know what became of that.
    pub is_going: bool,
    /// Its header is being written over, or was left half-written.
    pub is_rewrapped: bool,
}

/// Whether something may be used, since when, as far as whoever set it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    On { since_ms: u64 },
    Off { since_ms: u64 },
    Unsure,
}

#[derive(Default)]
struct Inner {
    known: BTreeMap<String, Known>,
    keys: Vec<(Fingerprint, Setting)>,
    switch: Option<Setting>,
}

pub struct Model {
    fate: Arc<Fate>,
    seed: u64,
    inner: Mutex<Inner>,
}

impl Model {
    pub fn new(seed: u64, fate: &Arc<Fate>) -> Self {
        Self { fate: Arc::clone(fate), seed, inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("whole")
    }

    pub fn known(&self, id: &str) -> Known {
        self.inner().known.get(id).cloned().unwrap_or_default()
    }

    pub fn ids(&self) -> Vec<String> {
        self.inner().known.keys().cloned().collect()
    }

    pub fn change(&self, id: &str, change: impl FnOnce(&mut Known)) {
        change(self.inner().known.entry(id.to_owned()).or_default());
    }

    /// Somebody begins to record: what they will say.
    pub fn begin(&self, id: &str, len: usize, is_exempt: bool) -> Attempt {
        let may_be_plain = is_exempt || !self.is_firm(self.switch(), true);
        let mut inner = self.inner();
        let known = inner.known.entry(id.to_owned()).or_default();
        let number = known.attempts.len();
        let media = Arc::new(media(self.seed, id, number, len));
        let attempt = Attempt { number, media, phase: Phase::UnderWay, may_be_plain };
        known.attempts.push(attempt.clone());
        attempt
    }

    /// What became of an attempt; it was as `recording` says, when there was an answer.
    pub fn end(&self, id: &str, number: usize, answer: Option<(&Recording, bool)>) {
        let may_be_plain = !self.is_firm(self.switch(), true);
        let mut inner = self.inner();
        let Some(known) = inner.known.get_mut(id) else { return };
        let is_taken = known.is_first_taken(number);
        let attempt = &mut known.attempts[number];
        attempt.may_be_plain |= may_be_plain;
        attempt.phase = match answer {
            None => Phase::Unsure,
            Some((recording, is_catalogued)) => Phase::Kept {
                media_len: recording.media_len,
                is_complete: recording.state == RecordingState::Complete,
                is_catalogued,
                is_sealed: recording.is_sealed(),
            },
        };
        let (is_plain, may_be_plain) = (answer.is_some_and(|(row, _)| !row.is_sealed()), attempt.may_be_plain);
        let (wanted, kept) = (attempt.media.len() as u64, attempt.phase);
        drop(inner);
        if is_plain && !may_be_plain {
            self.fate.wrong(format!("{id} was kept plain while encryption was on"));
        }
        if let Phase::Kept { media_len, is_complete, is_catalogued, .. } = kept {
            if media_len > wanted || (is_complete && media_len != wanted) {
                self.fate.wrong(format!("{id}: {media_len} bytes are said to be kept, of {wanted}"));
            }
            if is_catalogued && is_taken {
                self.fate.wrong(format!("{id} was taken, and another one was catalogued in its place"));
            }
        }
    }

    /// The process ended: nobody will hear what became of what was under way.
    pub fn cut_off(&self) {
        for known in self.inner().known.values_mut() {
            let under_way = known.attempts.iter_mut().filter(|attempt| attempt.phase == Phase::UnderWay);
            under_way.for_each(|attempt| attempt.phase = Phase::Unsure);
        }
    }

    /// It was answered that all there was of a recording is gone.
    pub fn gone(&self, id: &str) {
        let since_ms = self.fate.now_ms();
        self.change(id, |known| {
            known.is_going = false;
            for attempt in &mut known.attempts {
                match attempt.phase {
                    Phase::Kept { .. } => attempt.phase = Phase::Gone { since_ms },
                    // Those that ended badly may have been about to be catalogued.
                    Phase::Unsure | Phase::UnderWay | Phase::Gone { .. } => {}
                }
            }
        });
    }

    /// What may be heard by somebody who asks for the ID now.
    pub fn may_be_heard(&self, id: &str, now_ms: u64) -> Vec<Arc<Vec<u8>>> {
        let is_fresh =
            |since_ms| now_ms < since_ms + self.fate.notice_ms() || self.fate.had_database_fault_since(since_ms);
        let may = |attempt: &Attempt| match attempt.phase {
            Phase::UnderWay | Phase::Kept { .. } | Phase::Unsure => true,
            Phase::Gone { since_ms } => is_fresh(since_ms),
        };
        self.known(id).attempts.into_iter().filter(may).map(|attempt| attempt.media).collect()
    }

    pub fn set_switch(&self, setting: Setting) {
        let mut inner = self.inner();
        inner.switch = Some(setting);
        if !matches!(setting, Setting::On { .. }) {
            // Whatever begins to be written now may be plain, whatever is said before it ends.
            let attempts = inner.known.values_mut().flat_map(|known| &mut known.attempts);
            attempts.filter(|attempt| attempt.phase == Phase::UnderWay).for_each(|attempt| attempt.may_be_plain = true);
        }
    }

    pub fn switch(&self) -> Setting {
        self.inner().switch.unwrap_or(Setting::On { since_ms: 0 })
    }

    pub fn set_key(&self, key: Fingerprint, setting: Setting) {
        let keys = &mut self.inner().keys;
        match keys.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = setting,
            None => keys.push((key, setting)),
        }
    }

    pub fn key(&self, key: &Fingerprint) -> Setting {
        let found = self.inner().keys.iter().find(|(known, _)| known == key).map(|(_, setting)| *setting);
        found.unwrap_or(Setting::Unsure)
    }

    pub fn keys(&self) -> Vec<(Fingerprint, Setting)> {
        self.inner().keys.clone()
    }

    /// Which key it is, by a name that is the same each time.
    pub fn key_name(&self, key: &Fingerprint) -> String {
        let at = self.inner().keys.iter().position(|(known, _)| known == key);
        at.map_or("an unknown key".into(), |at| format!("key {at}"))
    }

    /// Whether every process must know by now that it is so, and has been all the time since.
    pub fn is_firm(&self, setting: Setting, is_on: bool) -> bool {
        let (since_ms, is_it) = match setting {
            Setting::On { since_ms } => (since_ms, is_on),
            Setting::Off { since_ms } => (since_ms, !is_on),
            Setting::Unsure => return false,
        };
        let is_known = since_ms == 0
            || (self.fate.now_ms() > since_ms + self.fate.notice_ms() && !self.fate.had_database_fault_since(since_ms));
        is_it && is_known
    }
}

impl Known {
    /// The attempt that must be there, whole, when there is one beyond doubt.
    pub fn must_play(&self) -> Option<&Attempt> {
        let is_whole = |attempt: &&Attempt| {
            matches!(attempt.phase, Phase::Kept { is_complete: true, is_catalogued: true, is_sealed: true, .. })
        };
        self.attempts.iter().find(is_whole).filter(|_| !self.is_harmed && !self.is_going)
    }

    /// Whether another recording had the ID before.
    pub fn had_another(&self) -> bool {
        self.attempts.iter().any(|attempt| matches!(attempt.phase, Phase::Gone { .. }))
    }

    /// Whether another attempt than `number` has the ID beyond doubt.
    fn is_first_taken(&self, number: usize) -> bool {
        let has_it = |attempt: &Attempt| matches!(attempt.phase, Phase::Kept { is_catalogued: true, .. });
        let others = self.attempts.iter().filter(|attempt| attempt.number != number);
        others.clone().any(has_it) && !self.is_harmed && !self.is_going
    }
}

/// What is said under an ID in one attempt: no two of them have a stretch in common.
fn media(seed: u64, id: &str, number: usize, len: usize) -> Vec<u8> {
    let name = id.bytes().fold(seed, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut dice = Dice::new(name ^ (number as u64) << 48);
    let mut media = Vec::with_capacity(len + STRETCH_LEN);
    while media.len() < len {
        media.extend_from_slice(MARKER);
        (0..(STRETCH_LEN - MARKER.len()) / 8).for_each(|_| media.extend_from_slice(&dice.number().to_be_bytes()));
    }
    media.truncate(len);
    media
}
