//! What a player who reads a range in order will ask for next, so that it is here before they do.
//!
//! The range is fetched in pieces, one request each: the first one as soon as somebody says that they will read the
//! range, the next one shortly before they are done with the one before. Never beyond the range; ever longer pieces for
//! whoever takes them fast, since a request costs a store more than the bytes do, and short ones for whoever plays as they
//! listen. Of a piece no more than a window is in memory, and the store waits meanwhile, though not for long: then the
//! request ends, and what is lacking is another piece's. All players together hold no more than a number of bytes;
//! whoever gets no room reads as they ask.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::{Buf, Bytes};
use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::task::AbortHandle;

use super::{bucket::Bucket, fetch::Sink, reader::BucketFile};
use crate::media::{Error, MediaFile, Version};

/// How long a piece is, at first, at least and at most.
const LEN_FIRST: u64 = 1 << 20;
const LEN_MIN: u64 = 256 << 10;
const LEN_MAX: u64 = 256 << 20;
/// How much of a piece may be in memory: little enough that a processor's cache still has it when it is taken.
const WINDOW: u64 = 512 << 10;
/// With how much left of a piece the next one is asked for: what a store takes its time for, at the pace of the fast.
const LEAD: u64 = 4 << 20;
/// How long a request waits for a player who takes nothing.
const HELD_FOR: Duration = Duration::from_secs(2);
/// Whoever has taken a piece within this time gets a longer one.
const FAST: Duration = Duration::from_secs(1);
/// How many pieces one player may have.
const PIECES_MAX: usize = 2;

/// An object, open for one who reads a range of it in order.
pub(super) struct Player {
    file: Arc<BucketFile>,
    reading: Mutex<Reading>,
}

struct Reading {
    /// What is to be asked for yet.
    rest: Range<u64>,
    /// What was asked of the store, from `rest.start` on, without a gap.
    pieces: VecDeque<Piece>,
    next_len: u64,
    last_begun: Instant,
}

/// A stretch of the object that is here, or on its way.
struct Piece {
    range: Range<u64>,
    arriving: Arc<Arriving>,
    task: AbortHandle,
    /// Given back with the piece.
    _room: OwnedSemaphorePermit,
}

#[derive(Default)]
struct Arriving {
    state: Mutex<Arrived>,
    came: Notify,
    taken: Notify,
}

#[derive(Default)]
struct Arrived {
    bytes: VecDeque<Bytes>,
    /// How many these are.
    len: u64,
    /// How many the player waits for: to wake them for less would cost more than it brings.
    wanted: u64,
    has_ended: bool,
    /// Why it ended before its end, if that was a failure, and when: the store was asked again and again until then.
    failure: Option<(Error, Instant)>,
}

/// Puts what comes where the player takes it from.
struct Filling(Arc<Arriving>);

impl Player {
    /// Begins to fetch; none where nothing runs that could.
    pub fn begin(file: Arc<BucketFile>, range: Range<u64>) -> Option<Self> {
        let _runtime = Handle::try_current().ok()?;
        let end = range.end.min(file.version().len);
        let mut reading = Reading {
            rest: range.start.min(end)..end,
            pieces: VecDeque::new(),
            next_len: LEN_FIRST,
            last_begun: Instant::now(),
        };
        reading.fetch_more(&file);
        Some(Self { file, reading: Mutex::new(reading) })
    }

    /// Takes what is here; also what there is to wait for, if anything is on its way.
    fn take(&self, offset: u64, buffer: &mut [u8]) -> (usize, Option<Arc<Arriving>>) {
        let mut reading = self.reading();
        if reading.rest.start != offset {
            return (0, None);
        }
        let filled = reading.take(buffer);
        reading.fetch_more(&self.file);
        (filled, reading.pieces.front().map(|piece| Arc::clone(&piece.arriving)))
    }

    /// Nothing that holds it can panic half-way.
    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl MediaFile for Player {
    fn version(&self) -> Version {
        self.file.version()
    }

    fn try_read_now(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Error> {
        match self.take(offset, buffer).0 {
            0 => self.file.try_read_now(offset, buffer),
            filled => Ok(filled),
        }
    }

    async fn read(&self, offset: u64, mut buffer: Vec<u8>, mut filled: usize) -> Result<Vec<u8>, Error> {
        loop {
            let rest = buffer.get_mut(filled..).unwrap_or_default();
            let (taken, arriving) = self.take(offset + filled as u64, rest);
            filled += taken;
            if filled == buffer.len() {
                return Ok(buffer);
            }
            match arriving {
                Some(arriving) if !arriving.has_ended() => arriving.came.notified().await,
                ended => {
                    let end = offset + buffer.len() as u64;
                    self.reading().pass_over(offset + filled as u64, end);
                    match ended.and_then(|arriving| arriving.state().failure.take()) {
                        Some((error, at)) if at.elapsed() < FAST => return Err(error),
                        // It failed long ago, was taken too slowly, or there was no room: asked for here, and then
                        // fetched ahead again.
                        _ => {}
                    }
                    return self.file.read(offset, buffer, filled).await;
                }
            }
        }
    }
}

impl Reading {
    fn take(&mut self, buffer: &mut [u8]) -> usize {
        let mut filled = 0;
        while let Some(piece) = self.pieces.front() {
            let taken = piece.arriving.take(buffer.get_mut(filled..).unwrap_or_default());
            filled += taken;
            self.rest.start += taken as u64;
            if self.rest.start < piece.range.end {
                break;
            }
            self.pieces.pop_front();
        }
        filled
    }

    /// Asks for the next piece, when the last one is half taken.
    fn fetch_more(&mut self, file: &Arc<BucketFile>) {
        let asked_to = match self.pieces.back() {
            Some(last) if last.range.end - self.rest.start > LEAD.min((last.range.end - last.range.start) / 2) => {
                return;
            }
            Some(last) => last.range.end,
            None => self.rest.start,
        };
        let left = self.rest.end.saturating_sub(asked_to);
        if left == 0 || self.pieces.len() >= PIECES_MAX {
            return;
        }
        let bucket = &file.pinned.bucket;
        // A little rest is not worth a request of its own.
        let mut len = if left < self.next_len + LEN_MIN { left } else { self.next_len };
        let room = room(bucket, len.min(WINDOW)).or_else(|| {
            len = left.min(LEN_MIN);
            room(bucket, len)
        });
        let Some(room) = room else { return };
        self.next_len = if self.last_begun.elapsed() < FAST { 2 * self.next_len } else { self.next_len / 2 };
        self.next_len = self.next_len.clamp(LEN_MIN, LEN_MAX);
        self.last_begun = Instant::now();
        self.pieces.push_back(Piece::begin(file, asked_to..asked_to + len, room));
    }

    /// Somebody reads this by themselves.
    fn pass_over(&mut self, start: u64, end: u64) {
        if self.rest.start == start {
            self.pieces.clear();
            self.rest.start = end.min(self.rest.end);
        }
    }
}

/// Room for so many bytes, held until they were taken; at once or not at all.
fn room(bucket: &Bucket, len: u64) -> Option<OwnedSemaphorePermit> {
    let kib = u32::try_from(len.div_ceil(1 << 10)).ok()?;
    Arc::clone(&bucket.ahead).try_acquire_many_owned(kib).ok()
}

impl Piece {
    fn begin(file: &Arc<BucketFile>, range: Range<u64>, room: OwnedSemaphorePermit) -> Self {
        let arriving = Arc::<Arriving>::default();
        let (pinned, filling, wanted) = (Arc::clone(&file.pinned), Arc::clone(&arriving), range.clone());
        let task = tokio::spawn(async move {
            let mut filling = Filling(filling);
            let outcome = pinned.fetch(wanted, &mut filling).await;
            filling.0.end(outcome.err());
        });
        Self { range, arriving, task: task.abort_handle(), _room: room }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[async_trait]
impl Sink for Filling {
    fn put(&mut self, bytes: Bytes) {
        let mut state = self.0.state();
        state.len += bytes.len() as u64;
        state.bytes.push_back(bytes);
        let is_enough = state.len >= state.wanted;
        drop(state);
        if is_enough {
            self.0.came.notify_one();
        }
    }

    async fn wants_more(&mut self) -> bool {
        let room = async {
            // Once it is full, until half of it was taken.
            if self.0.state().len >= WINDOW {
                while self.0.state().len >= WINDOW / 2 {
                    self.0.taken.notified().await;
                }
            }
        };
        tokio::time::timeout(HELD_FOR, room).await.is_ok()
    }
}

impl Arriving {
    fn end(&self, failure: Option<Error>) {
        let mut state = self.state();
        state.has_ended = true;
        state.failure = failure.map(|error| (error, Instant::now()));
        drop(state);
        self.came.notify_one();
    }

    /// Whether nothing more comes of it than what is here.
    fn has_ended(&self) -> bool {
        let state = self.state();
        state.has_ended && state.bytes.is_empty()
    }

    fn take(&self, buffer: &mut [u8]) -> usize {
        let mut state = self.state();
        let mut filled = 0;
        while let Some(first) = state.bytes.front_mut() {
            let rest = buffer.get_mut(filled..).unwrap_or_default();
            let len = first.len().min(rest.len());
            if len == 0 {
                break;
            }
            if let Some(rest) = rest.get_mut(..len) {
                first.copy_to_slice(rest);
            }
            filled += len;
            if first.is_empty() {
                state.bytes.pop_front();
            }
        }
        state.len = state.len.saturating_sub(filled as u64);
        state.wanted = ((buffer.len() - filled) as u64).min(WINDOW);
        let has_room = state.len < WINDOW / 2;
        drop(state);
        if has_room && filled > 0 {
            self.taken.notify_one();
        }
        filled
    }

    fn state(&self) -> MutexGuard<'_, Arrived> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
