//! What a recording's sound looks like: how far each channel goes down and up, part by part.
//!
//! A recording is decoded once for all who ask meanwhile, and as long as one of them waits; what came of it is remembered
//! for whoever asks later, be it for more or fewer parts. How it is decoded is in `decoding`, what is kept of it in `peaks`.
//! Whether the recording plays is not asked here: who asks for its waveform has it open.

mod decoding;
mod peaks;
mod turns;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread::available_parallelism,
    time::{Duration, Instant},
};

use moka::future::Cache;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use self::{
    peaks::Peaks,
    turns::{Lost, Turns},
};
use super::{
    OpenRecording, Playback, PlaybackError,
    media_duration::is_timed,
    media_reader::{Cut, MediaReader, Reading},
    memory_reader::MemoryReader,
    meter::{ActiveWaveform, METER, WaveformOutcome, count_waveform},
};
use crate::base::{Ended, ErrorCode, RecordingId};

/// How many bytes of waveforms are remembered: those of about 120 calls of two channels.
const KNOWN_BYTES_MAX: u64 = 32 << 20;
/// How long one is remembered that nobody asks for.
const KNOWN_IDLE: Duration = Duration::from_secs(600);
/// What one takes beside its peaks.
const ENTRY_BYTES: usize = 1024;
/// How long a recording may be decoded.
const TIME_MAX: Duration = Duration::from_secs(120);
/// How much longer than that a decoder may be in the middle of something.
const GRACE: Duration = Duration::from_secs(10);
/// How long it is remembered that it took longer, or more than it may.
const NOT_NOW_FOR: Duration = Duration::from_secs(600);
/// How many recordings are decoded or wait for it.
const UNDER_WAY_MAX: usize = 256;
/// How often what nobody asks for is let go.
const TICK: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// As of the recording: it does not play, or not to its end.
    #[error(transparent)]
    Playback(#[from] PlaybackError),
    /// Time: too many others are asked for.
    #[error("too many waveforms are being made")]
    TooMany,
}

impl Error {
    /// The name that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Playback(error) => error.code(),
            Self::TooMany => ErrorCode::Overloaded,
        }
    }
}

/// What a sound looks like; without channels when there is none, or none that can be decoded.
#[derive(Debug)]
pub struct Waveform {
    sound: Option<Sound>,
    /// What its container says.
    said: Option<Duration>,
    /// When it is worth another attempt.
    again_at: Option<Instant>,
}

impl Waveform {
    /// That of media which is in memory, by the same decoders and within the same bounds; none when it takes longer than
    /// `time_max`, or reads more than it may. For `tests/hostile`, and for whoever has no store.
    #[must_use]
    pub fn of_memory(media: Vec<u8>, time_max: Duration) -> Option<Self> {
        let (reading, deadline) = (Reading::default(), Instant::now() + time_max);
        let media = MemoryReader::new(media, reading.clone(), deadline);
        decoding::decode(media, &reading, deadline).ok().filter(|made| made.again_at.is_none())
    }

    fn of(sound: Sound) -> Self {
        Self { sound: Some(sound), said: None, again_at: None }
    }

    fn silent(said: Option<Duration>) -> Self {
        Self { sound: None, said, again_at: None }
    }

    /// It took too long.
    fn not_now(said: Option<Duration>) -> Self {
        Self { again_at: Some(Instant::now() + NOT_NOW_FOR), ..Self::silent(said) }
    }

    /// How long the sound is; as far as its container says, when it was not decoded.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        self.sound.as_ref().map_or(self.said, |sound| Some(sound.duration()))
    }

    /// Of each channel the lowest and the highest sample, -1 to 1, of each of `count` parts of one length.
    #[must_use]
    pub fn channels(&self, count: u64) -> Vec<Vec<[f64; 2]>> {
        let Some(Sound { peaks, .. }) = &self.sound else { return Vec::new() };
        let channel = |channel| peaks.parts(channel, count).map(|(low, high)| [level(low), level(high)]).collect();
        (0..peaks.channel_count()).map(channel).collect()
    }

    fn len_bytes(&self) -> usize {
        ENTRY_BYTES + self.sound.as_ref().map_or(0, |sound| sound.peaks.len_bytes())
    }
}

/// To four digits: finer than any screen.
fn level(sample: i16) -> f64 {
    (f64::from(sample) / 32_768.0 * 10_000.0).round() / 10_000.0
}

#[derive(Debug)]
struct Sound {
    peaks: Peaks,
    /// Frames a second.
    rate: u32,
}

impl Sound {
    fn finished(mut self) -> Self {
        self.peaks.finish();
        self
    }

    fn duration(&self) -> Duration {
        let rate = u64::from(self.rate);
        let (seconds, rest) = (self.peaks.len() / rate, self.peaks.len() % rate);
        Duration::from_secs(seconds) + Duration::from_nanos(rest * 1_000_000_000 / rate)
    }
}

type Outcome = Result<Arc<Waveform>, Error>;

/// Makes waveforms, and remembers them.
pub struct Waveforms {
    playback: Arc<Playback>,
    known: Cache<Key, Arc<Waveform>>,
    under_way: Mutex<HashMap<Key, Weak<UnderWay>>>,
    turns: Turns,
}

/// One version of a recording, as far as it is known.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    id: RecordingId,
    /// By what the version is known; none of one that is not complete.
    etag: Option<String>,
    media_len: u64,
}

impl Key {
    fn of(recording: &OpenRecording) -> Self {
        let etag = recording.validators.as_ref().map(|validators| validators.etag.clone());
        Self { id: recording.id.clone(), etag, media_len: recording.media_len }
    }
}

/// A recording that is being decoded, or is to be. Held by those who wait.
struct UnderWay {
    outcome: watch::Receiver<Option<Outcome>>,
    reading: Reading,
}

impl Drop for UnderWay {
    /// The last one left.
    fn drop(&mut self) {
        self.reading.abandon();
    }
}

/// Why a waveform was not made.
enum NotMade {
    /// There was nothing more to read.
    Cut(Cut),
    /// Others that decode do not come to an end.
    NoTurn,
}

impl Waveforms {
    /// Of what `playback` plays. Must be called within a runtime: what nobody asks for is let go from time to time.
    #[must_use]
    pub fn start(playback: Arc<Playback>) -> Arc<Self> {
        let known = Cache::builder()
            .max_capacity(KNOWN_BYTES_MAX)
            .weigher(|_, waveform: &Arc<Waveform>| u32::try_from(waveform.len_bytes()).unwrap_or(u32::MAX))
            .time_to_idle(KNOWN_IDLE)
            .eviction_listener(|_, _, cause| METER.waveforms.count_removal(cause.was_evicted()))
            .build();
        let turns = available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
        let waveforms =
            Self { playback, known, under_way: Mutex::default(), turns: Turns::new(turns, TIME_MAX + GRACE) };
        let waveforms = Arc::new(waveforms);
        tokio::spawn(let_go_from_time_to_time(Arc::downgrade(&waveforms)));
        waveforms
    }

    /// The waveform of a recording that is open; of one in progress, of what is known of it.
    ///
    /// # Errors
    ///
    /// It does not play to its end, or too many others are asked for.
    pub async fn of(self: &Arc<Self>, recording: &Arc<OpenRecording>) -> Result<Arc<Waveform>, Error> {
        if !is_timed(recording) {
            return Ok(Arc::new(Waveform::silent(None)));
        }
        let key = Key::of(recording);
        let known = self.known.get(&key).await;
        let known = known.filter(|known| known.again_at.is_none_or(|again_at| Instant::now() < again_at));
        METER.waveforms.count(known.is_some());
        if let Some(known) = known {
            return Ok(known);
        }
        // Held for as long as this waits.
        let under_way = self.join(key, recording)?;
        let mut outcome = under_way.outcome.clone();
        let outcome = outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        outcome.unwrap_or_else(|| Ok(Arc::new(Waveform::silent(None))))
    }

    fn join(self: &Arc<Self>, key: Key, recording: &Arc<OpenRecording>) -> Result<Arc<UnderWay>, Error> {
        let mut all = self.all_under_way();
        if let Some(under_way) = all.get(&key).and_then(Weak::upgrade) {
            return Ok(under_way);
        }
        if all.len() >= UNDER_WAY_MAX {
            return Err(Error::TooMany);
        }
        let (sender, outcome) = watch::channel(None);
        let reading = Reading::default();
        let under_way = Arc::new(UnderWay { outcome, reading: reading.clone() });
        let this = Arc::downgrade(&under_way);
        all.insert(key.clone(), this.clone());
        tokio::spawn(Arc::clone(self).make(key, this, Arc::clone(recording), reading, sender));
        Ok(under_way)
    }

    /// Makes one, remembers it, and tells those who wait.
    async fn make(
        self: Arc<Self>,
        key: Key,
        this: Weak<UnderWay>,
        recording: Arc<OpenRecording>,
        reading: Reading,
        sender: watch::Sender<Option<Outcome>>,
    ) {
        let outcome = tokio::select! {
            outcome = self.decode(recording, reading) => outcome,
            () = sender.closed() => Err(NotMade::Cut(Cut::Abandoned)),
        };
        count_waveform(match &outcome {
            Ok(Waveform { sound: Some(_), .. }) => WaveformOutcome::Made,
            Ok(Waveform { sound: None, .. }) => WaveformOutcome::Nothing,
            Err(NotMade::Cut(Cut::Abandoned)) => WaveformOutcome::Abandoned,
            Err(NotMade::Cut(Cut::Playback(_) | Cut::Bounds) | NotMade::NoTurn) => WaveformOutcome::Failed,
        });
        let outcome = match outcome {
            Ok(waveform) => Some(Ok(Arc::new(waveform))),
            Err(NotMade::Cut(Cut::Playback(error))) => Some(Err(error.into())),
            Err(NotMade::Cut(Cut::Bounds)) => Some(Ok(Arc::new(Waveform::not_now(None)))),
            Err(NotMade::Cut(Cut::Abandoned)) => None,
            Err(NotMade::NoTurn) => Some(Err(Error::TooMany)),
        };
        // What is not complete may be another thing soon.
        if let Some(Ok(waveform)) = &outcome
            && key.etag.is_some()
        {
            self.known.insert(key.clone(), Arc::clone(waveform)).await;
        }
        let mut all = self.all_under_way();
        if all.get(&key).is_some_and(|other| other.ptr_eq(&this)) {
            all.remove(&key);
        }
        drop(all);
        sender.send_replace(outcome);
    }

    async fn decode(&self, recording: Arc<OpenRecording>, reading: Reading) -> Result<Waveform, NotMade> {
        let id = recording.id.clone();
        let playback = Arc::clone(&self.playback);
        let decoding = self.turns.run(move || {
            let _active = ActiveWaveform::count();
            let deadline = Instant::now() + TIME_MAX;
            let media = MediaReader::new(&playback, recording, reading.clone(), deadline);
            decoding::decode(media, &reading, deadline)
        });
        // A fault of a decoder is no fault of the recording, which plays.
        match decoding.await {
            Ok(outcome) => outcome.map_err(NotMade::Cut),
            Err(Lost::NoTurn) => Err(NotMade::NoTurn),
            Err(Lost::Ended) => {
                tracing::warn!(%id, "its sound cannot be decoded: {Ended}");
                Ok(Waveform::silent(None))
            }
            Err(Lost::Endless) => {
                tracing::warn!(%id, "its decoder does not come to an end, and keeps others from their turn");
                Ok(Waveform::silent(None))
            }
        }
    }

    /// A thread that panicked left it whole.
    fn all_under_way(&self) -> MutexGuard<'_, HashMap<Key, Weak<UnderWay>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets go of what was not asked for in a while, and shows how much is remembered.
async fn let_go_from_time_to_time(waveforms: Weak<Waveforms>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(waveforms) = waveforms.upgrade() else { return };
        let known = &waveforms.known;
        known.run_pending_tasks().await;
        METER.waveforms.show(known.entry_count(), known.weighted_size(), KNOWN_BYTES_MAX);
    }
}
