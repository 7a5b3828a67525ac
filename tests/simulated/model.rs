//! What may be heard in a simulated world, and what must be: kept from what was asked for and what was answered alone.
//!
//! It knows nothing of files, rows or keys in use. Where an answer was lost, both outcomes are right from then on.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use sealtape::base::Fingerprint;
use sealtape::catalogue::{Recording, RecordingState};

use super::{
    fate::{Dice, Fate},
    tally::Event,
};

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
    /// All there was under its ID was taken away before it was answered for: that may have been this.
    pub may_be_gone: bool,
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
    /// It was refused, and nothing was in the way of leaving nothing of it: nobody ever hears it.
    Refused,
    /// It was taken away.
    Gone {
        since_ms: u64,
    },
}

/// What was answered to whoever tried.
pub enum Answer<'a> {
    /// It is kept as the recording says, and catalogued or not.
    Kept(&'a Recording, bool),
    /// It is not, and nothing of it is left.
    Refused,
    /// It is not, but some of it may be.
    Failed,
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
    /// When another sealing took its name, or may have: it was sealed again, or purged.
    pub replaced_ms: Option<u64>,
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
        let attempt = Attempt { number, media, phase: Phase::UnderWay, may_be_plain, may_be_gone: false };
        known.attempts.push(attempt.clone());
        attempt
    }

    /// What became of an attempt.
    pub fn end(&self, id: &str, number: usize, answer: &Answer<'_>) {
        let may_be_plain = !self.is_firm(self.switch(), true);
        let mut inner = self.inner();
        let Some(known) = inner.known.get_mut(id) else { return };
        let is_taken = known.is_first_taken(number);
        let attempt = &mut known.attempts[number];
        attempt.may_be_plain |= may_be_plain;
        attempt.phase = match *answer {
            Answer::Failed => Phase::Unsure,
            Answer::Refused => Phase::Refused,
            Answer::Kept(..) if attempt.may_be_gone => Phase::Unsure,
            Answer::Kept(recording, is_catalogued) => Phase::Kept {
                media_len: recording.media_len,
                is_complete: recording.state == RecordingState::Complete,
                is_catalogued,
                is_sealed: recording.is_sealed(),
            },
        };
        let is_plain = matches!(attempt.phase, Phase::Kept { is_sealed: false, .. });
        let may_be_plain = attempt.may_be_plain;
        let (wanted, kept) = (attempt.media.len() as u64, attempt.phase);
        drop(inner);
        self.count(kept);
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

    fn count(&self, phase: Phase) {
        let count = |is_it: bool, event| {
            if is_it {
                self.fate.count(event);
            }
        };
        match phase {
            Phase::Kept { is_complete, is_catalogued, is_sealed, .. } => {
                self.fate.count(Event::Kept);
                count(!is_complete, Event::KeptUnfinished);
                count(!is_catalogued, Event::KeptUncatalogued);
                count(!is_sealed, Event::KeptPlain);
            }
            Phase::Refused => self.fate.count(Event::Refused),
            Phase::Unsure => self.fate.count(Event::LeftUnsure),
            Phase::UnderWay | Phase::Gone { .. } => {}
        }
    }

    /// The process ended: nobody will hear what became of what was under way.
    pub fn cut_off(&self) {
        for known in self.inner().known.values_mut() {
            for attempt in known.attempts.iter_mut().filter(|attempt| attempt.phase == Phase::UnderWay) {
                attempt.phase = Phase::Unsure;
                self.fate.count(Event::LeftUnsure);
            }
        }
    }

    /// It was answered that all there was of a recording is gone, of which `before` was known when that was asked for.
    pub fn gone(&self, id: &str, before: &Known) {
        let since_ms = self.fate.now_ms();
        self.change(id, |known| {
            (known.is_going, known.replaced_ms) = (false, Some(since_ms));
            for attempt in &mut known.attempts {
                attempt.may_be_gone |= attempt.phase == Phase::UnderWay;
                let asked_of = before.attempts.get(attempt.number).map(|attempt| attempt.phase);
                attempt.phase = match (asked_of, attempt.phase) {
                    // What ended badly before has nobody who writes it any more.
                    (Some(_), Phase::Kept { .. }) | (Some(Phase::Unsure), Phase::Unsure) => Phase::Gone { since_ms },
                    // It began meanwhile: whether it is the one that was taken away is not known.
                    (None, Phase::Kept { .. }) => Phase::Unsure,
                    (_, phase) => phase,
                }
            }
        });
    }

    /// What may be heard by somebody who asked for the ID at `asked_ms`, when `before` was known of it, and has it open
    /// now. Where the catalogue did not answer, `is_away`, a recording is found by its file; if one that was not catalogued
    /// lies under a name that is looked at before, nobody can tell.
    pub fn may_be_heard(&self, id: &str, before: &Known, asked_ms: u64, is_away: bool) -> Vec<Arc<Vec<u8>>> {
        let now = self.known(id);
        let one_of = if is_away { Known::must_play } else { Known::the_one };
        if let (Some(one), Some(still)) = (one_of(before), one_of(&now))
            && one.number == still.number
        {
            return vec![Arc::clone(&one.media)];
        }
        let may = |attempt: &&Attempt| match attempt.phase {
            Phase::UnderWay | Phase::Kept { .. } | Phase::Unsure => true,
            Phase::Refused => false,
            // Somebody may have put it back, and while the catalogue is away no sealing counts more than another one.
            Phase::Gone { since_ms } => asked_ms <= since_ms || now.is_harmed,
        };
        now.attempts.iter().filter(may).map(|attempt| Arc::clone(&attempt.media)).collect()
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
        let is_known = since_ms == 0 || self.fate.now_ms() > self.fate.known_from_ms(since_ms);
        is_it && is_known
    }
}

impl Known {
    /// The attempt that has the ID beyond doubt, and that nobody has touched or is taking away.
    pub fn the_one(&self) -> Option<&Attempt> {
        let has_it = |attempt: &&Attempt| matches!(attempt.phase, Phase::Kept { is_catalogued: true, .. });
        self.attempts.iter().find(has_it).filter(|_| !self.is_harmed && !self.is_going)
    }

    /// The same where it must be there, whole.
    pub fn must_play(&self) -> Option<&Attempt> {
        let is_whole =
            |attempt: &&Attempt| matches!(attempt.phase, Phase::Kept { is_complete: true, is_sealed: true, .. });
        self.the_one().filter(is_whole)
    }

    /// The attempt that must be there when all is over, harmed or not.
    pub fn one_in_peace(&self) -> Option<&Attempt> {
        let is_catalogued = |attempt: &&Attempt| matches!(attempt.phase, Phase::Kept { is_catalogued: true, .. });
        let is_there = |attempt: &&Attempt| !matches!(attempt.phase, Phase::Gone { .. } | Phase::Refused);
        let mut there = self.attempts.iter().filter(is_there);
        // One that could not be catalogued shares its ID with others of which nobody knows what became of them, and what
        // is plain is found again on somebody's word alone.
        let is_alone = |attempt: &&Attempt| matches!(attempt.phase, Phase::Kept { is_sealed: true, .. });
        self.attempts
            .iter()
            .find(is_catalogued)
            .or_else(|| there.next().filter(|_| there.next().is_none()).filter(is_alone))
    }

    /// Whether there is something to mend of it, perhaps.
    pub fn is_in_need(&self) -> bool {
        let is_unfinished = |attempt: &Attempt| matches!(attempt.phase, Phase::Kept { is_complete: false, .. });
        self.is_harmed || self.attempts.iter().any(is_unfinished)
    }

    /// Whether another attempt than `number` has the ID beyond doubt.
    fn is_first_taken(&self, number: usize) -> bool {
        self.the_one().is_some_and(|one| one.number != number)
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
