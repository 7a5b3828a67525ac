//! What lies in the cache, how much room it takes, and what has to go when there is none.
//!
//! A file of the cache comes and goes as a whole. They stand in a line in the order in which they came; the one in front
//! goes, unless it was used since it was last there: then it steps back, once for each time up to three. What is
//! played by many stays so, and what was read through once does not push it out. Knows no path and reads nothing.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
};

use super::{
    key::{FileKey, Hash, SegmentKey},
    segment::SegmentFile,
};

/// How often a file steps back at most before it goes.
const USES_MAX: u8 = 3;
/// For how many seconds uses of a file are one.
const USE_SECONDS: u32 = 10;
/// From how many files on it is looked whether many in the line are gone.
const LINE_MIN: usize = 1024;

/// A file of the cache.
pub(super) struct Segment {
    pub key: SegmentKey,
    /// Bytes on disk.
    len_bytes: AtomicU64,
    uses: AtomicU8,
    used_at: AtomicU32,
    /// Whether it is not in the index any more.
    is_gone: AtomicBool,
    /// Whether it was read since its descriptor was last thought of closing.
    pub is_warm: AtomicBool,
    /// The file, while it is open.
    pub file: Mutex<Option<Arc<SegmentFile>>>,
}

/// All of them.
pub(super) struct Index {
    state: Mutex<State>,
    limit_bytes: u64,
}

struct State {
    segments: BTreeMap<SegmentKey, Arc<Segment>>,
    line: VecDeque<Arc<Segment>>,
    used_bytes: u64,
}

/// What has to be removed from the disk.
pub(super) type Gone = Vec<Arc<Segment>>;

/// How full it is.
pub(super) struct Fill {
    pub entries: u64,
    pub used_bytes: u64,
    pub limit_bytes: u64,
}

impl Segment {
    fn new(key: SegmentKey, len_bytes: u64, now: u32) -> Self {
        Self {
            key,
            len_bytes: AtomicU64::new(len_bytes),
            uses: AtomicU8::new(0),
            used_at: AtomicU32::new(now),
            is_gone: AtomicBool::new(false),
            is_warm: AtomicBool::new(true),
            file: Mutex::new(None),
        }
    }

    /// Says that it was used at that second.
    pub(super) fn touch(&self, now: u32) {
        self.is_warm.store(true, Ordering::Relaxed);
        // Whoever reads it from one end to the other at once used it once.
        if now.saturating_sub(self.used_at.load(Ordering::Relaxed)) >= USE_SECONDS {
            self.used_at.store(now, Ordering::Relaxed);
            let uses = self.uses.load(Ordering::Relaxed);
            self.uses.store(USES_MAX.min(uses + 1), Ordering::Relaxed);
        }
    }

    /// The file, when it is open and nobody is opening or closing it at the moment.
    pub(super) fn open_now(&self) -> Option<Arc<SegmentFile>> {
        self.file.try_lock().ok().and_then(|file| file.clone())
    }

    pub(super) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }

    /// Whether it may stay for once, having been used.
    fn steps_back(&self) -> bool {
        let uses = self.uses.load(Ordering::Relaxed);
        self.uses.store(uses.saturating_sub(1), Ordering::Relaxed);
        uses > 0
    }
}

impl Index {
    /// An empty one, for so many bytes.
    pub(super) fn new(limit_bytes: u64) -> Self {
        let state = State { segments: BTreeMap::new(), line: VecDeque::new(), used_bytes: 0 };
        Self { state: Mutex::new(state), limit_bytes }
    }

    pub(super) fn get(&self, key: &SegmentKey) -> Option<Arc<Segment>> {
        self.lock().segments.get(key).cloned()
    }

    /// The file of that key, a new one of so many bytes at the end of the line when there is none. None when `keeps` was cleared.
    pub(super) fn get_or_add(
        &self,
        key: &SegmentKey,
        len_bytes: u64,
        keeps: &AtomicBool,
        now: u32,
    ) -> Option<Arc<Segment>> {
        let mut state = self.lock();
        // Under the lock, so that whoever clears it first and then removes what there is misses nothing.
        if !keeps.load(Ordering::Acquire) {
            return None;
        }
        if let Some(segment) = state.segments.get(key) {
            return Some(Arc::clone(segment));
        }
        Some(state.add(*key, len_bytes, now))
    }

    /// Adds a file that was found on disk, if it is not known. It has no place in the line until [`Self::line_up`].
    pub(super) fn add_found(&self, key: &SegmentKey, len_bytes: u64) -> Option<Arc<Segment>> {
        let mut state = self.lock();
        if state.segments.contains_key(key) {
            return None;
        }
        let segment = Arc::new(Segment::new(*key, len_bytes, 0));
        state.insert(&segment);
        Some(segment)
    }

    /// Gives those that were found the places before all others.
    pub(super) fn line_up(&self, found: Vec<Arc<Segment>>) {
        let mut first = VecDeque::from(found);
        let mut state = self.lock();
        first.append(&mut state.line);
        state.line = first;
    }

    /// Takes room for `len_bytes` more of `segment`: whether there is any, and what has to go for it.
    pub(super) fn reserve(&self, segment: &Segment, len_bytes: u64) -> (bool, Gone) {
        let mut state = self.lock();
        if segment.is_gone() {
            return (false, Gone::new());
        }
        let room = self.limit_bytes.saturating_sub(len_bytes);
        let gone = state.shrink_to(room, Some(&segment.key));
        let has_room = state.used_bytes <= room;
        if has_room {
            state.used_bytes += len_bytes;
            segment.len_bytes.fetch_add(len_bytes, Ordering::Relaxed);
        }
        (has_room, gone)
    }

    /// What has to go so that it is no fuller than it may be.
    pub(super) fn trim(&self) -> Gone {
        self.lock().shrink_to(self.limit_bytes, None)
    }

    /// What has to go so that `len_bytes` less are used.
    pub(super) fn give_back(&self, len_bytes: u64) -> Gone {
        let mut state = self.lock();
        let room = state.used_bytes.saturating_sub(len_bytes);
        state.shrink_to(room, None)
    }

    /// Forgets one.
    pub(super) fn forget(&self, segment: &Segment) -> bool {
        self.lock().take(&segment.key).is_some()
    }

    /// Forgets all of a recording, but what `stays`.
    pub(super) fn forget_recording(&self, recording: Hash, stays: impl Fn(&FileKey) -> bool) -> Gone {
        let mut state = self.lock();
        let from = (Bound::Included(SegmentKey::first_of(recording)), Bound::Unbounded);
        let of_recording = state.segments.range(from).take_while(|(key, _)| key.file.recording == recording);
        let keys: Vec<SegmentKey> = of_recording.map(|(key, _)| *key).filter(|key| !stays(&key.file)).collect();
        keys.iter().filter_map(|key| state.take(key)).collect()
    }

    /// The key under which that version of a recording is known, whichever sealing it is.
    pub(super) fn any_sealing(&self, wanted: &FileKey) -> Option<FileKey> {
        let first = SegmentKey { file: FileKey { sealing: Hash::default(), ..*wanted }, number: 0 };
        let found = *self.lock().segments.range(first..).next()?.0;
        (found.file.recording == wanted.recording && found.file.version == wanted.version).then_some(found.file)
    }

    pub(super) fn fill(&self) -> Fill {
        let state = self.lock();
        Fill { entries: state.segments.len() as u64, used_bytes: state.used_bytes, limit_bytes: self.limit_bytes }
    }

    /// A thread that panicked left it whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, key: SegmentKey, len_bytes: u64, now: u32) -> Arc<Segment> {
        if self.line.len() >= LINE_MIN.max(2 * self.segments.len()) {
            self.line.retain(|segment| !segment.is_gone());
        }
        let segment = Arc::new(Segment::new(key, len_bytes, now));
        self.insert(&segment);
        self.line.push_back(Arc::clone(&segment));
        segment
    }

    fn insert(&mut self, segment: &Arc<Segment>) {
        self.segments.insert(segment.key, Arc::clone(segment));
        self.used_bytes += segment.len_bytes.load(Ordering::Relaxed);
    }

    fn take(&mut self, key: &SegmentKey) -> Option<Arc<Segment>> {
        let segment = self.segments.remove(key)?;
        segment.is_gone.store(true, Ordering::Release);
        self.used_bytes = self.used_bytes.saturating_sub(segment.len_bytes.load(Ordering::Relaxed));
        Some(segment)
    }

    /// Lets go of those in front until `room` is enough for all; never of the one that `needs` it.
    fn shrink_to(&mut self, room: u64, needs: Option<&SegmentKey>) -> Gone {
        let mut gone = Gone::new();
        // Each may step back as often as it was used, and then there is nobody else.
        let mut steps = self.line.len() * (usize::from(USES_MAX) + 1);
        while self.used_bytes > room && steps > 0 {
            steps -= 1;
            let Some(segment) = self.line.pop_front() else { break };
            if segment.is_gone() {
                continue;
            }
            if needs == Some(&segment.key) || segment.steps_back() {
                self.line.push_back(segment);
            } else {
                gone.extend(self.take(&segment.key));
            }
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::cache::segment::PAGE_LEN;

    const MIB: u64 = 1 << 20;

    fn key(recording: u8, number: u32) -> SegmentKey {
        let file = FileKey { recording: [recording; 16], version: [1; 16], sealing: [2; 16] };
        SegmentKey { file, number }
    }

    fn add(index: &Index, key: SegmentKey, len_bytes: u64, now: u32) -> (Arc<Segment>, Vec<SegmentKey>) {
        let segment = index.get_or_add(&key, PAGE_LEN, &AtomicBool::new(true), now).expect("added");
        let (has_room, gone) = index.reserve(&segment, len_bytes - PAGE_LEN);
        assert!(has_room);
        (segment, gone.iter().map(|segment| segment.key).collect())
    }

    #[test]
    fn what_is_played_stays_and_what_was_read_once_goes() {
        let index = Index::new(10 * MIB);
        let played = add(&index, key(1, 0), MIB, 0).0;
        for n in 0..1000 {
            let second = (n + 1) * USE_SECONDS;
            played.touch(second);
            let (_, gone) = add(&index, key(2, n), MIB, second);
            assert_eq!(gone.is_empty(), n < 9, "one goes for each that comes");
            assert!(!gone.contains(&played.key), "it is played");
            assert!(index.fill().used_bytes <= 10 * MIB);
        }
        // Nobody plays it any more.
        let gone: Vec<u32> =
            (1000..1050).filter(|n| add(&index, key(2, *n), MIB, 1000).1.contains(&played.key)).collect();
        assert_eq!(gone.len(), 1, "it goes, once");
    }

    #[test]
    fn uses_within_a_moment_are_one() {
        let segment = Segment::new(key(1, 0), MIB, 0);
        (0..9).for_each(|second| segment.touch(second));
        assert!(!segment.steps_back(), "read through once");
        (0..1000).for_each(|second| segment.touch(second));
        assert_eq!((0..10).filter(|_| segment.steps_back()).count(), 3);
    }

    #[test]
    fn more_than_there_is_room_for_is_refused() {
        let index = Index::new(MIB);
        let segment = index.get_or_add(&key(1, 0), PAGE_LEN, &AtomicBool::new(true), 0).expect("added");
        assert!(!index.reserve(&segment, MIB).0, "the page takes room too");
        assert!(index.reserve(&segment, MIB - PAGE_LEN).0);
        assert!(!index.reserve(&segment, 1).0, "it does not make room for itself by going");
        assert!(
            index.get_or_add(&key(1, 1), PAGE_LEN, &AtomicBool::new(false), 0).is_none(),
            "nothing more of this is kept"
        );
    }

    #[test]
    fn a_recording_is_forgotten_as_a_whole() {
        let index = Index::new(100 * MIB);
        let other = FileKey { version: [9; 16], ..key(1, 0).file };
        for key in [key(1, 0), key(1, 1), SegmentKey { file: other, number: 0 }, key(2, 0), key(255, 7)] {
            add(&index, key, MIB, 0);
        }
        let unknown = FileKey { sealing: [0; 16], ..key(1, 0).file };
        assert_eq!(index.any_sealing(&unknown), Some(key(1, 0).file));
        assert_eq!(index.any_sealing(&FileKey { version: [3; 16], ..unknown }), None);
        let gone = index.forget_recording([1; 16], |file| *file == other);
        assert!(gone.len() == 2 && gone.iter().all(|segment| segment.is_gone()));
        assert_eq!(index.fill().used_bytes, 3 * MIB);
        assert_eq!(index.forget_recording([1; 16], |_| false).len(), 1);
        assert_eq!(index.forget_recording([255; 16], |_| false).len(), 1);
        assert_eq!(index.fill().entries, 1);
        assert_eq!(index.any_sealing(&unknown), None);
    }

    #[test]
    fn those_that_were_found_stand_in_their_order_before_those_that_came() {
        let index = Index::new(5 * MIB);
        add(&index, key(9, 0), MIB, 0);
        let order = [key(3, 0), key(1, 0), key(2, 0), key(9, 0)];
        let found = order.iter().filter_map(|key| index.add_found(key, MIB));
        index.line_up(found.collect());
        assert_eq!(index.fill().used_bytes, 4 * MIB, "what is known is not added again");
        let order: Vec<SegmentKey> = index.give_back(4 * MIB).iter().map(|segment| segment.key).collect();
        assert_eq!(order, [key(3, 0), key(1, 0), key(2, 0), key(9, 0)]);
        add(&index, key(5, 0), MIB, 0);
        assert!(index.trim().is_empty() && index.fill().entries == 1);
    }
}
