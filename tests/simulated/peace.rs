//! Peace in a world, in which nothing goes wrong any more: all that was promised must be there, and play to its last byte.

use std::{future::poll_fn, sync::Arc, time::Duration};

use sealtape::base::{ErrorCode, FingerprintPrefix, RecordingId};
use sealtape::catalogue::RecordingState;
use sealtape::keys::KeyState;
use sealtape::service::{FRAME_LEN_MAX, MaintenanceError, OpenRecording, PlaybackError};

use super::{
    actors,
    model::{Attempt, MARKER, Phase, Setting},
    player,
    server::Server,
    tally::Event,
    world::World,
};

impl World {
    /// Nothing fails any more, every key is active, what was left is found again: what was promised must be there.
    pub async fn make_peace(self: &Arc<Self>) {
        let server = self.start().await;
        for (key, _) in self.model.keys() {
            let prefix: FingerprintPrefix = key.to_string().parse().expect("a fingerprint");
            server.key_ops.change_state(&prefix, KeyState::Active, true).await.expect("nothing is in its way");
            self.model.set_key(key, Setting::On { since_ms: 0 });
        }
        server.database().set_encryption(true).await.expect("there are keys");
        self.model.set_switch(Setting::On { since_ms: 0 });
        server.keys.reload().await.expect("nothing is in its way");
        for id in self.ids() {
            if self.model.known(id.as_str()).is_going {
                actors::purge(self, &server, &id).await;
            }
        }
        // Whoever died is known to be dead by then.
        tokio::time::sleep(Duration::from_secs(40)).await;
        let maintenance = server.maintenance().await.expect("nobody else is at it");
        let companions = server.companions();
        let rebuilt = maintenance.rebuild(false, &companions, async |_| Ok::<(), MaintenanceError>(())).await;
        rebuilt.expect("the store and the catalogue answer");
        tokio::time::sleep(Duration::from_secs(2)).await;
        for id in self.ids() {
            self.check_kept(&server, &id).await;
            player::play(self, &server, &id).await;
        }
    }

    fn ids(&self) -> Vec<RecordingId> {
        self.model.ids().iter().map(|id| id.parse().expect("an ID")).collect()
    }

    /// What was acknowledged is there.
    async fn check_kept(&self, server: &Server, id: &RecordingId) {
        let known = self.model.known(id.as_str());
        let open = server.playback.open(id).await;
        self.fate.tell(format!(
            "{id} in peace: {}",
            open.as_ref().map_or_else(|error| error.code().as_str(), |open| open.state.as_str())
        ));
        if known.is_going {
            return;
        }
        let is_over = |attempt: &Attempt| matches!(attempt.phase, Phase::Gone { .. } | Phase::Refused);
        if known.attempts.iter().all(is_over) {
            return self.check_gone(id, known.is_harmed, open.err());
        }
        let Some(attempt) = known.one_in_peace() else { return };
        let Phase::Kept { media_len, is_complete, .. } = attempt.phase else { return };
        match open {
            Ok(open) if open.media_len >= media_len => {
                let state = open.state == RecordingState::Complete;
                if is_complete && !known.is_harmed && !state {
                    self.fate.wrong(format!("{id} was kept whole, and is {}", open.state.as_str()));
                }
                if !known.is_harmed {
                    self.check_media(server, &open, attempt).await;
                }
            }
            Ok(open) if !known.is_harmed => {
                self.fate.wrong(format!("{id}: {media_len} bytes were kept, and {} are there", open.media_len));
            }
            Err(error) if !known.is_harmed => {
                self.fate.wrong(format!("{id} was kept, and does not play: {} ({error})", error.code().as_str()));
            }
            Err(error) if !is_reason_of_harm(&error) => {
                self.fate.wrong(format!("{id} was harmed, which is no {}", error.code().as_str()));
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// All that is there is what was said in that attempt.
    async fn check_media(&self, server: &Server, open: &Arc<OpenRecording>, attempt: &Attempt) {
        let (mut stream, mut at) = (server.playback.stream(open, 0..open.media_len), 0);
        loop {
            match poll_fn(|cx| stream.poll_next(FRAME_LEN_MAX, cx)).await {
                Some(Ok(frame)) if attempt.media.get(at..at + frame.len()) == Some(&frame[..]) => at += frame.len(),
                Some(Ok(frame)) => {
                    return self.fate.wrong(format!("{}: {} bytes at {at} were never said", open.id, frame.len()));
                }
                Some(Err(error)) => return self.fate.wrong(format!("{} breaks off at {at}: {error}", open.id)),
                None => break,
            }
        }
        if at as u64 != open.media_len {
            return self.fate.wrong(format!("{} ends at {at}, of {}", open.id, open.media_len));
        }
        self.fate.count(Event::HeardInPeace);
    }

    /// What was taken away is not there.
    fn check_gone(&self, id: &RecordingId, is_harmed: bool, error: Option<PlaybackError>) {
        let is_gone = error.is_some_and(|error| error.code() == ErrorCode::RecordingNotFound);
        if !is_gone && !is_harmed {
            self.fate.wrong(format!("{id} was taken away, and is there"));
        }
        // Nor is anything of it, under whatever name.
        let left = self.disk.all().into_iter().find(|(name, _)| name.id() == id.as_str());
        if let Some((name, _)) = left.filter(|_| !is_harmed) {
            self.fate.wrong(format!("{id} was taken away, and {} is left", name.told()));
        }
    }

    /// Nothing plain lies in the store that may not.
    pub fn check_store(&self) {
        for (name, file) in self.disk.all() {
            let known = self.model.known(name.id());
            if known.is_harmed {
                continue;
            }
            let content = file.content();
            let is_plain = content.bytes.windows(MARKER.len()).any(|window| window == MARKER);
            let may_be = !name.is_sealed() && known.attempts.iter().any(|attempt| attempt.may_be_plain);
            if is_plain && !may_be {
                self.fate.wrong(format!("{} holds what was said, in plain", name.told()));
            }
        }
    }
}

/// What may be said of a recording whose file somebody changed or took.
fn is_reason_of_harm(error: &PlaybackError) -> bool {
    let codes = [
        ErrorCode::RecordingCorrupt,
        ErrorCode::MediaMissing,
        ErrorCode::KeyMissing,
        ErrorCode::UnsupportedFormat,
        // It was never catalogued, and its file cannot be told to be its own.
        ErrorCode::RecordingNotFound,
    ];
    codes.contains(&error.code())
}
