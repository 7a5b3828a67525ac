//! Whoever acts in a simulated world beside those who play: recorders, the operator, what breaks, and whoever meddles with
//! the disk.

use std::{io, sync::Arc, time::Duration};

use sealtape::base::{ErrorCode, FingerprintPrefix, RecordingId};
use sealtape::catalogue;
use sealtape::keys::KeyState;
use sealtape::service::{IngestError, Ingested, MediaPiece, NewRecording, PurgeError, Source, Stop};

use super::{
    arrival::Arrival,
    disk::Name,
    fate::{Fate, Faults},
    model::{Answer, Attempt, Phase, Setting},
    server::Server,
    tally::Event,
    world::World,
};

/// Around the lengths where a record begins or ends, and some longer.
const LENS: &[u64] = &[1, 63, 4095, 4096, 4097, 8192, 16_383, 16_384, 16_385, 40_000, 65_537, 200_000];

/// What a recorder sends: piece by piece, and sometimes not to the end.
pub struct Feed {
    media: Arc<Vec<u8>>,
    at: usize,
    breaks_at: Option<usize>,
    pause_ms: u64,
    fate: Arc<Fate>,
}

impl Feed {
    /// One that sends all at once.
    pub fn whole(media: Vec<u8>, fate: &Arc<Fate>) -> Self {
        Self { media: Arc::new(media), at: 0, breaks_at: None, pause_ms: 0, fate: Arc::clone(fate) }
    }
}

impl Source for Feed {
    async fn next(&mut self, mut piece: MediaPiece) -> io::Result<MediaPiece> {
        if self.pause_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.fate.below(self.pause_ms))).await;
        }
        let end = self.breaks_at.unwrap_or(self.media.len());
        if self.breaks_at == Some(self.at) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let len = (1 + self.fate.below(20_000) as usize).min(end - self.at);
        piece.clear();
        piece.extend_from_slice(&self.media[self.at..self.at + len]);
        self.at += len;
        Ok(piece)
    }
}

/// How something is recorded.
#[derive(Clone, Copy, Default)]
pub struct Take {
    pub len: usize,
    pub is_live: bool,
    pub exempt: bool,
    pub breaks_at: Option<usize>,
    pub pause_ms: u64,
    /// Sealed elsewhere, if there is a key; the rest does not count then.
    pub arrival: Option<Arrival>,
}

/// Records something.
pub async fn record(world: &World, server: &Server, id: &RecordingId) {
    let fate = &world.fate;
    let len = *fate.pick(LENS) as usize;
    let (is_live, exempt) = (fate.permille(750), fate.permille(60));
    let breaks_at = fate.permille(200).then(|| fate.below(len as u64) as usize);
    let pause_ms = *fate.pick(&[0, 0, 100, 3000]);
    let arrival = fate.permille(200).then(|| Arrival::draw(fate));
    record_so(world, server, id, Take { len, is_live, exempt, breaks_at, pause_ms, arrival }).await;
}

/// Records something like that.
pub async fn record_so(world: &World, server: &Server, id: &RecordingId, take: Take) {
    let fate = &world.fate;
    let (attempt, before) = (world.model.begin(id.as_str(), take.len, take.exempt), fate.faults());
    let begun_ms = fate.now_ms();
    let ingested = ingest(world, server, id, take, &attempt.media).await;
    // What was catalogued although it was not answered, and was sealed again before that could be asked, is another
    // one's by then for whoever recorded it.
    let is_replaced = world.model.known(id.as_str()).replaced_ms.is_some_and(|since_ms| since_ms >= begun_ms);
    match &ingested {
        Ok(ingested) => {
            let (row, is_catalogued) = (&ingested.recording, ingested.is_catalogued);
            let (state, len) = (row.state.as_str(), row.media_len);
            fate.tell(format!("{id} is kept: {state}, {len} bytes, catalogued {is_catalogued}"));
            world.model.end(id.as_str(), attempt.number, &Answer::Kept(row, is_catalogued));
        }
        Err(error) => {
            fate.tell(format!("{id} is not kept: {}", error.code().as_str()));
            let is_refusal = is_refusal(error, before, fate.faults()) && !is_replaced;
            let answer = if is_refusal { Answer::Refused } else { Answer::Failed };
            world.model.end(id.as_str(), attempt.number, &answer);
        }
    }
    // A refusal leaves what is there as it is.
    if let Err(IngestError::Catalogue(catalogue::Error::RecordingExists(_))) = &ingested
        && world.model.known(id.as_str()).attempts.len() == 1
        && !world.model.known(id.as_str()).is_harmed
        && !is_replaced
        && !world.model.known(id.as_str()).is_going
    {
        fate.wrong(format!("{id} is said to exist, and nobody ever recorded it"));
    }
}

/// Sends some media to be recorded like that: what was answered.
pub async fn ingest(
    world: &World,
    server: &Server,
    id: &RecordingId,
    Take { is_live, exempt, breaks_at, pause_ms, arrival, .. }: Take,
    media: &Arc<Vec<u8>>,
) -> Result<Ingested, IngestError> {
    if let (Some(arrival), Ok(Some(key))) = (arrival, server.keys.ring().sealing()) {
        return arrival.ingest(world, server, id, media, &key).await;
    }
    let mut feed = Feed { media: Arc::clone(media), at: 0, breaks_at, pause_ms, fate: Arc::clone(&world.fate) };
    let new = NewRecording { id: Some(id.clone()), media_type: None, name: None, exempt, is_live };
    let (_asks, mut stop) = Stop::channel();
    let kind = if is_live { "live" } else { "whole" };
    world.fate.tell(format!("{id} begins, {kind}, {} bytes", media.len()));
    match is_live {
        true => server.ingest.ingest_stream(new, &mut feed, &mut stop, &|_| {}).await,
        false => server.ingest.ingest(new, &mut feed, &mut stop, &|_| {}).await,
    }
}

/// Whether nothing is left of what was not kept. Whatever failed meanwhile may have kept it from being taken away; but a
/// name that is taken has another one's file, whoever could be asked.
fn is_refusal(error: &IngestError, before: Faults, after: Faults) -> bool {
    let is_taken = error.code() == ErrorCode::RecordingExists;
    let is_left = matches!(error, IngestError::BrokenOff { .. });
    let is_certain = before.database == after.database;
    // Where a row may have been there, a file is taken away only as far as it can be told from another one's.
    let is_told = is_certain || before.wrong_reads == after.wrong_reads;
    !is_left && before.store == after.store && is_told && (is_taken || is_certain)
}

/// Does what operators do.
pub async fn operate(world: &World, server: &Server) {
    let (fate, model) = (&world.fate, &world.model);
    // Two keys of one millisecond have no order that a seed decides.
    tokio::time::sleep(Duration::from_millis(5)).await;
    match fate.below(8) {
        0 | 1 => match server.key_ops.generate().await {
            Ok(row) => {
                model.set_key(row.fingerprint, Setting::On { since_ms: fate.now_ms() });
                // The first key switches encryption on, and none is the first here.
                fate.tell(format!("{} is there", model.key_name(&row.fingerprint)));
            }
            Err(_) => fate.tell("no key was generated"),
        },
        2 | 3 => change_key(world, server, KeyState::Deactivated).await,
        4 | 5 => change_key(world, server, KeyState::Active).await,
        6 => {
            let enabled = fate.permille(600);
            model.set_switch(Setting::Unsure);
            let done = server.database().set_encryption(enabled).await;
            fate.tell(format!("switched to {enabled}: {}", done.is_ok()));
            let since_ms = fate.now_ms();
            if done.is_ok() {
                model.set_switch(if enabled { Setting::On { since_ms } } else { Setting::Off { since_ms } });
            }
        }
        _ => purge(world, server, &world.id()).await,
    }
}

async fn change_key(world: &World, server: &Server, state: KeyState) {
    let (fate, model) = (&world.fate, &world.model);
    let keys = model.keys();
    let (key, _) = *fate.pick(&keys);
    let (name, before) = (model.key_name(&key), model.key(&key));
    let prefix: FingerprintPrefix = key.to_string().parse().expect("a fingerprint");
    model.set_key(key, Setting::Unsure);
    let done = server.key_ops.change_state(&prefix, state, fate.permille(500)).await;
    fate.tell(format!("{name} to {}: {}", state.as_str(), done.is_ok()));
    let since_ms = fate.now_ms();
    match (done, state) {
        (Ok(change), _) if change.is_old => model.set_key(key, before),
        (Ok(_), KeyState::Active) => model.set_key(key, Setting::On { since_ms }),
        (Ok(_), KeyState::Deactivated) => model.set_key(key, Setting::Off { since_ms }),
        (Err(sealtape::service::KeyError::Database(catalogue::Error::KeyNeeded { .. })), _) => {
            model.set_key(key, before)
        }
        (Err(_), _) => {}
    }
}

/// Takes a recording away.
pub async fn purge(world: &World, server: &Server, id: &RecordingId) {
    let (fate, model) = (&world.fate, &world.model);
    let before = model.known(id.as_str());
    let was_going = before.is_going;
    world.remember(id);
    model.change(id.as_str(), |known| known.is_going = true);
    let purged = server.purge.purge(id).await;
    fate.tell(format!("{id} is purged: {}", purged.as_ref().err().map_or("yes", |error| error.code().as_str())));
    match purged {
        Ok(_) => {
            fate.count(Event::Purged);
            model.gone(id.as_str(), &before);
            // By a request to this server, else by a command beside it.
            if fate.permille(500) {
                server.playback.forget(id).await;
            }
        }
        Err(PurgeError::Catalogue(catalogue::Error::RecordingInProgress(_))) => {
            model.change(id.as_str(), |known| known.is_going = was_going);
        }
        Err(PurgeError::Catalogue(catalogue::Error::RecordingNotFound(_))) => {
            model.change(id.as_str(), |known| known.is_going = was_going);
            let is_kept = |attempt: &Attempt| matches!(attempt.phase, Phase::Kept { is_catalogued: true, .. });
            if !before.is_going && before.attempts.iter().any(is_kept) {
                fate.wrong(format!("{id} was kept, and is not there to be purged"));
            }
        }
        Err(_) => {}
    }
}

/// Changes something on the disk, as decay, a bad copy or an intruder would.
pub fn meddle(world: &World) {
    let (fate, disk) = (&world.fate, &world.disk);
    let all = disk.all();
    if all.is_empty() {
        return;
    }
    let (name, file) = fate.pick(&all).clone();
    world.model.change(name.id(), |known| known.is_harmed = true);
    fate.count(Event::Meddled);
    let is_seen = fate.permille(500);
    let what = fate.below(8);
    fate.tell(format!("{} is meddled with: {what}, seen {is_seen}", name.told()));
    let len = file.content().bytes.len() as u64;
    let cut = fate.below(len + 1) as usize;
    let bit = 1 << fate.below(8);
    match what {
        0 | 1 if len > 0 => {
            // Half of the time where everything hangs on it: the header or the end.
            let at = match fate.below(4) {
                0 => fate.below(len.min(512)),
                1 => len - 1 - fate.below(len.min(32)),
                _ => fate.below(len),
            };
            file.content().meddle(is_seen, |bytes| bytes[at as usize] ^= bit);
        }
        2 => file.content().meddle(is_seen, |bytes| bytes.truncate(cut)),
        3 => file.content().meddle(is_seen, |bytes| bytes.extend_from_slice(&[bit; 16])),
        // Another recording's bytes, or records of this one in another order.
        4 => {
            let other = fate.pick(&all).1.content().bytes.clone();
            file.content().meddle(is_seen, |bytes| *bytes = other);
        }
        5 => file.content().meddle(is_seen, |bytes| swap_records(bytes)),
        6 => {
            // An older sealing in the place of one that took its ID since.
            if let Some((name, older)) = world.older() {
                world.model.change(name.id(), |known| known.is_harmed = true);
                let file = disk.find(&name).expect("it has another sealing now");
                file.content().meddle(is_seen, |bytes| *bytes = older);
            }
        }
        _ if fate.permille(500) => disk.unlink(&name),
        _ => {
            let media = world.model.known(name.id()).attempts.last().map(|attempt| Arc::clone(&attempt.media));
            file.content().meddle(is_seen, |bytes| *bytes = media.map(|media| media.to_vec()).unwrap_or_default());
        }
    }
    disk.sync_names();
}

fn swap_records(bytes: &mut [u8]) {
    for record_len in [16_384 + 16, 4096 + 16] {
        if bytes.len() >= 512 + 2 * record_len {
            let (one, other) = bytes[512..512 + 2 * record_len].split_at_mut(record_len);
            one.swap_with_slice(other);
            return;
        }
    }
}

/// The database goes away for a while.
pub async fn take_database_away(world: &World) {
    let (before_ms, away_ms) = (world.fate.below(5000), world.fate.below(8000));
    tokio::time::sleep(Duration::from_millis(before_ms)).await;
    world.fate.tell("the database is away");
    world.fate.count(Event::DatabaseAway);
    world.database.set_away(true);
    tokio::time::sleep(Duration::from_millis(away_ms)).await;
    world.database.set_away(false);
    world.fate.tell("the database is back");
}

/// The clock is put right, or wrong, twice, while things happen: once to each side.
pub async fn jump(world: &World) {
    let (back, forward) = (*world.fate.pick(&[-3_600_000, -1000]), *world.fate.pick(&[1000, 60_000, 86_400_000]));
    let jumps = if world.fate.permille(500) { [back, forward] } else { [forward, back] };
    for by_ms in jumps {
        tokio::time::sleep(Duration::from_millis(world.fate.below(8000))).await;
        world.fate.jump(by_ms);
    }
}

/// The name under which a recording lies when it is whole.
pub fn final_name(id: &RecordingId) -> Name {
    Name(format!("{id}.sealed"))
}
