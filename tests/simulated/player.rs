//! Whoever plays in a simulated world, and holds what comes against what was said.

use std::{future::poll_fn, ops::Range, sync::Arc, time::Duration};

use sealtape::base::{ErrorCode, RecordingId};
use sealtape::catalogue::RecordingState;
use sealtape::service::{FRAME_LEN_MAX, FRAME_LEN_MIN, OpenRecording, PlaybackError};

use super::{
    fate::Faults,
    model::{Known, Setting},
    server::Server,
    tally::Event,
    world::World,
};

/// Plays some of a recording.
pub async fn play(world: &World, server: &Server, id: &RecordingId) {
    let (fate, before) = (&world.fate, world.fate.faults());
    let known = world.model.known(id.as_str());
    let open = match server.playback.open(id).await {
        Ok(open) => open,
        Err(error) => {
            fate.tell(format!("{id} does not play: {}", error.code().as_str()));
            return judge(world, id, &known, before, &error, "does not play");
        }
    };
    let len = open.media_len;
    let mut play = Play { world, server, id, known, before, open: Arc::clone(&open), heard: 0 };
    // One at a time: which of several that wait for the same is woken first, no seed decides.
    let following = (open.is_growing() && fate.permille(700)).then(|| world.begin_to_follow(id)).flatten();
    let is_followed = following.is_some();
    if is_followed {
        fate.count(Event::Followed);
    }
    let range = match fate.below(4) {
        0 | 1 => 0..len,
        2 => fate.below(len + 1)..len,
        _ => {
            let start = fate.below(len + 1);
            start..start + fate.below(len - start + 1)
        }
    };
    let outcome = play.hear(if is_followed { range.start..u64::MAX } else { range.clone() }, is_followed).await;
    let how = if is_followed { "followed" } else { "played" };
    fate.tell(format!("{id} {how} from {}: {} bytes, {outcome}", range.start, play.heard));
}

struct Play<'a> {
    world: &'a World,
    server: &'a Server,
    id: &'a RecordingId,
    known: Known,
    before: Faults,
    open: Arc<OpenRecording>,
    heard: u64,
}

impl Play<'_> {
    async fn hear(&mut self, range: Range<u64>, is_followed: bool) -> String {
        let (fate, playback) = (&self.world.fate, &self.server.playback);
        let is_away = fate.faults().database > self.before.database;
        let mut candidates = self.world.model.may_be_heard(self.id.as_str(), &self.known, self.before.at_ms, is_away);
        let is_of_one = candidates.len() == 1;
        let mut stream = match is_followed {
            true => playback.follow(&self.open, range.clone()),
            false => playback.stream(&self.open, range.clone()),
        };
        let mut frame_begun_ms = fate.now_ms();
        if fate.permille(500)
            && let Err(error) = stream.prime(FRAME_LEN_MIN).await
        {
            return self.break_off(&error);
        }
        let mut at = range.start;
        loop {
            let frame_len = *fate.pick(&[4096, FRAME_LEN_MIN, FRAME_LEN_MAX]);
            match poll_fn(|cx| stream.poll_next(frame_len, cx)).await {
                Some(Ok(frame)) => {
                    self.check_allowed(frame_begun_ms);
                    let span = at as usize..at as usize + frame.len();
                    candidates.retain(|media| media.get(span.clone()) == Some(&frame[..]));
                    if candidates.is_empty() && self.is_bound() {
                        self.world.fate.wrong(format!("{}: wrong bytes at {at}, {} long", self.id, frame.len()));
                    }
                    at += frame.len() as u64;
                    self.heard += frame.len() as u64;
                    fate.count_many(Event::BytesHeard, frame.len() as u64);
                    if is_of_one {
                        fate.count_many(Event::BytesHeardOfOne, frame.len() as u64);
                    }
                }
                Some(Err(error)) => return self.break_off(&error),
                None => break,
            }
            if fate.permille(50) {
                return "left".into();
            }
            if fate.permille(200) {
                tokio::time::sleep(Duration::from_millis(fate.below(400))).await;
            }
            // Long enough for what was withdrawn meanwhile to be known.
            if fate.permille(40) {
                tokio::time::sleep(Duration::from_millis(fate.notice_ms() + fate.below(3000))).await;
            }
            frame_begun_ms = fate.now_ms();
        }
        // Whoever hears a clean end has heard all.
        let is_whole = match is_followed {
            true => {
                let is_end = |media: &Arc<Vec<u8>>| media.len() as u64 == at.max(range.start);
                stream.recording().state == RecordingState::Complete && candidates.iter().any(is_end)
            }
            false => at == range.end,
        };
        if !is_whole && self.is_bound() {
            let state = stream.recording().state.as_str();
            fate.wrong(format!("{}: a clean end at {at}, {state}", self.id));
        }
        "to the end".into()
    }

    /// Whether what comes must be right: what is plain has nothing by which damage could be told.
    fn is_bound(&self) -> bool {
        let is_quiet = self.world.fate.faults().wrong_reads == 0 && !self.world.model.known(self.id.as_str()).is_harmed;
        self.open.fingerprint().is_some() || (is_quiet && self.known.the_one().is_some())
    }

    /// That no frame was begun that the key or the switch forbade for long.
    fn check_allowed(&self, begun_ms: u64) {
        let (fate, model) = (&self.world.fate, &self.world.model);
        let Some(fingerprint) = self.open.fingerprint() else { return };
        for (what, setting) in [("key", model.key(&fingerprint)), ("switch", model.switch())] {
            if let Setting::Off { since_ms } = setting
                && begun_ms > fate.known_from_ms(since_ms)
            {
                fate.wrong(format!("{}: heard {} ms after its {what} was withdrawn", self.id, begun_ms - since_ms));
            }
        }
    }

    fn break_off(&self, error: &PlaybackError) -> String {
        judge(self.world, self.id, &self.known, self.before, error, "breaks off");
        error.code().as_str().to_owned()
    }
}

/// Whether a reason not to play is one, of a recording that was kept beyond doubt.
fn judge(world: &World, id: &RecordingId, known: &Known, before: Faults, error: &PlaybackError, what: &str) {
    let (fate, model, now) = (&world.fate, &world.model, world.model.known(id.as_str()));
    // It was so all the time.
    let (Some(_), Some(_)) = (known.must_play(), now.must_play()) else { return };
    let after = fate.faults();
    // Somebody else's opening may be waited for, which had begun before. Where there are copies, what was read wrong is read
    // anew, which may be wrong as well.
    let misreads = fate.wrong_reads_since(before.at_ms.saturating_sub(fate.opening_ms()));
    let is_misread = misreads > u64::from(world.store.has_copies);
    let is_failing = after.store > before.store;
    let is_away = after.database > before.database;
    // The whole of a header that was half written is in the row, under a key that may have been withdrawn since.
    let may_all_open = || model.keys().iter().all(|(_, setting)| model.is_firm(*setting, true));
    let is_half_written = (known.is_rewrapped || now.is_rewrapped) && (is_away || !may_all_open());
    let code = error.code();
    let is_reason = match code {
        ErrorCode::EncryptionDisabled => !model.is_firm(model.switch(), true),
        ErrorCode::KeyDeactivated => error.fingerprint().is_some_and(|key| !model.is_firm(model.key(&key), true)),
        ErrorCode::StorageUnavailable => is_failing,
        ErrorCode::RecordingCorrupt | ErrorCode::KeyMissing | ErrorCode::KeysUnavailable => {
            is_misread || is_half_written
        }
        // A row may be remembered of what had the ID before, or of another sealing of this one, and says nothing of it.
        ErrorCode::CatalogueUnavailable => is_away && now.replaced_ms.is_some(),
        ErrorCode::UnsupportedFormat => is_misread,
        _ => false,
    };
    if !is_reason {
        fate.wrong(format!("{id} {what}, and should: {} ({error})", code.as_str()));
    }
}
