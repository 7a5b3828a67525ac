//! Blocks of objects on disk: found, read, written and taken away.
//!
//! Whatever the disk does not do is counted, and told in the log now and then; it is never an error, for everything that
//! lies here lies elsewhere too. What may wait for a disk says so, and is called where that stalls nobody.

use std::{
    collections::{HashMap, VecDeque},
    io,
    ops::Range,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    fetch::Flights,
    folder::{Folder, remove_recording},
    index::{Gone, Index, Segment},
    key::{FileKey, Hash, SegmentKey},
    meter::METER,
    segment::{BLOCKS, PAGE_LEN, SegmentFile},
};

/// How many files stay open.
const OPEN_MAX: usize = 512;
/// How many threads may wait for the disk at a time, for reading and for writing.
const READS_MAX: usize = 128;
const WRITES_MAX: usize = 32;
/// How long one waits for a turn to read before the store is asked: a disk that hangs keeps nobody waiting for ever.
const READ_PATIENCE: Duration = Duration::from_millis(500);
/// For how many seconds nothing is written after it could not be.
const PAUSE_SECONDS: u32 = 2;
/// How many seconds lie between two lines of the log.
const QUIET_SECONDS: u32 = 60;
/// From how many recordings on it is looked which of them nobody reads any more.
const READ_MIN: usize = 1024;

/// The cache of a process that owns its folder.
pub(super) struct Blocks {
    pub block_len: u64,
    pub flights: Flights,
    /// Threads that may wait for the disk.
    reads: Arc<Semaphore>,
    pub writes: Arc<Semaphore>,
    folder: Folder,
    index: Index,
    /// Files that are open, in the order in which they were opened.
    open: Mutex<VecDeque<Arc<Segment>>>,
    /// Of recordings that are read: whether more of them may be kept.
    read: Mutex<Read>,
    is_listed: AtomicBool,
    begun: Instant,
    paused_until: AtomicU32,
    quiet_until: AtomicU32,
}

/// Good bytes that lie side by side in one file.
pub(super) struct Run {
    pub segment: Arc<Segment>,
    pub file: Arc<SegmentFile>,
    /// Where they begin in it.
    pub at: u64,
    /// Where they end in the object.
    pub end: u64,
}

#[derive(Default)]
struct Read {
    by_recording: HashMap<Hash, Vec<Reader>>,
    /// At how many recordings those that nobody reads any more are looked for.
    full: usize,
}

struct Reader {
    version: Hash,
    keeps: Weak<AtomicBool>,
}

/// Where a block lies.
struct Place {
    key: SegmentKey,
    slot: u64,
    /// Where the file begins in the object.
    origin: u64,
}

impl Blocks {
    /// Takes a folder; none when another process has it. What lies in it is listed on a thread of its own, and found by
    /// its name until that is done.
    pub(super) fn open(path: &Path, limit_bytes: u64, block_len: u64) -> io::Result<Option<Arc<Self>>> {
        let Some(folder) = Folder::take(path)? else { return Ok(None) };
        let blocks = Arc::new(Self {
            block_len,
            flights: Flights::default(),
            reads: Arc::new(Semaphore::new(READS_MAX)),
            writes: Arc::new(Semaphore::new(WRITES_MAX)),
            folder,
            index: Index::new(limit_bytes),
            open: Mutex::default(),
            read: Mutex::default(),
            is_listed: AtomicBool::new(false),
            begun: Instant::now(),
            paused_until: AtomicU32::new(0),
            quiet_until: AtomicU32::new(0),
        });
        METER.show(&blocks.index.fill());
        let listed = Arc::downgrade(&blocks);
        thread::Builder::new().name("cache-listing".into()).stack_size(256 << 10).spawn(move || list(&listed))?;
        Ok(Some(blocks))
    }

    /// Whether more of a recording may be kept, for one who begins to read it: cleared when it is to be forgotten.
    pub(super) fn keeps(&self, file: &FileKey) -> Arc<AtomicBool> {
        let keeps = Arc::new(AtomicBool::new(true));
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.by_recording.len() >= read.full {
            read.by_recording.retain(|_, readers| readers.iter().any(Reader::is_there));
            read.full = READ_MIN.max(2 * read.by_recording.len());
        }
        let readers = read.by_recording.entry(file.recording).or_default();
        readers.retain(Reader::is_there);
        readers.push(Reader { version: file.version, keeps: Arc::downgrade(&keeps) });
        keeps
    }

    /// The key under which an object is known here: of one whose sealing is not said, that of its version.
    pub(super) fn known_as(&self, file: FileKey) -> FileKey {
        let is_said = file.sealing != Hash::default();
        if is_said { file } else { self.index.any_sealing(&file).unwrap_or(file) }
    }

    /// A turn to read from the disk; none when that takes long.
    pub(super) async fn turn_to_read(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(turn) = Arc::clone(&self.reads).try_acquire_owned() {
            return Some(turn);
        }
        // It is never closed.
        timeout(READ_PATIENCE, Arc::clone(&self.reads).acquire_owned()).await.ok()?.ok()
    }

    /// The good bytes from the start of `range` on, as far as they lie side by side. Waits for nothing.
    pub(super) fn run(&self, file: &FileKey, range: &Range<u64>) -> Option<Run> {
        let block = range.start / self.block_len;
        let place = self.place(file, block);
        let segment = self.index.get(&place.key)?;
        let opened = segment.open_now()?;
        let good = opened.good_from(place.slot);
        if good == 0 {
            return None;
        }
        segment.touch(self.now());
        let end = range.end.min((block + good) * self.block_len);
        Some(Run { segment, file: opened, at: range.start - place.origin, end })
    }

    /// Whether a block is good, or may be once it is looked at. Waits for nothing.
    pub(super) fn may_hold(&self, file: &FileKey, block: u64) -> bool {
        let place = self.place(file, block);
        match self.index.get(&place.key) {
            Some(segment) => segment.open_now().is_none_or(|opened| opened.holds(place.slot)),
            None => !self.is_listed.load(Ordering::Acquire),
        }
    }

    /// A whole block, `stored` of its object, judged: none when it is not there, or is not what was written. May wait for
    /// the disk.
    pub(super) fn load(&self, file: &FileKey, block: u64, stored: &Range<u64>) -> Option<Vec<u8>> {
        let place = self.place(file, block);
        let segment = self.found(&place.key)?;
        let loaded = self.open_file(&segment, false).and_then(|opened| {
            let Some(opened) = opened else { return Ok(None) };
            let block = opened.load(place.slot, stored.start - place.origin, len_of(stored))?;
            Ok(block.map(Some).unwrap_or_default())
        });
        match loaded {
            Ok(block) => {
                segment.touch(self.now());
                block
            }
            Err(error) => {
                self.forget_failed(&segment, &error);
                None
            }
        }
    }

    /// Writes a block, unless there is no room for it, it is not to be kept, or the disk fails. May wait for the disk.
    pub(super) fn store(&self, file: &FileKey, block: u64, stored: &Range<u64>, bytes: &[u8], keeps: &AtomicBool) {
        if self.is_paused() {
            return;
        }
        let place = self.place(file, block);
        let _counted_as_it_is = self.found(&place.key);
        let Some(segment) = self.index.get_or_add(&place.key, PAGE_LEN, keeps, self.now()) else { return };
        let kept = self.open_file(&segment, true).and_then(|opened| {
            let Some(opened) = opened else { return Ok(()) };
            if !opened.has_room_for(place.slot) {
                let (has_room, gone) = self.index.reserve(&segment, bytes.len() as u64);
                self.remove(&gone, true);
                if !has_room {
                    return Ok(());
                }
            }
            opened.store(place.slot, stored.start - place.origin, bytes)
        });
        match kept {
            // It was forgotten while it was written.
            Ok(()) if segment.is_gone() => self.remove(&vec![segment], false),
            Ok(()) => METER.show(&self.index.fill()),
            Err(error) => self.pause(&segment, &error),
        }
    }

    /// Takes a block away of which `seen` was read at `at` of the object, if it is the same still. May wait for the disk.
    pub(super) fn take_away_if(&self, file: &FileKey, at: u64, seen: &[u8]) {
        let place = self.place(file, at / self.block_len);
        let Some(segment) = self.found(&place.key) else { return };
        let taken = self.open_file(&segment, false).and_then(|opened| {
            opened.map_or(Ok(false), |opened| opened.take_away_if(place.slot, at - place.origin, seen))
        });
        match taken {
            Ok(true) => METER.distrusted.increment(1),
            Ok(false) => {}
            Err(error) => self.forget_failed(&segment, &error),
        }
    }

    /// Forgets a file that cannot be read. May wait for the disk.
    pub(super) fn forget_failed(&self, segment: &Arc<Segment>, error: &io::Error) {
        self.tell(error);
        if self.index.forget(segment) {
            self.remove(&vec![Arc::clone(segment)], false);
        }
    }

    /// Forgets a recording, and keeps nothing more of it for those who read it now. May wait for the disk.
    pub(super) fn forget(&self, path: &Path, recording: Hash) -> io::Result<()> {
        self.stop_keeping(recording, |_| false);
        let gone = self.index.forget_recording(recording, |_| false);
        self.remove(&gone, false);
        // Also what was not listed yet.
        remove_recording(path, recording)
    }

    /// Forgets other versions of a recording, and keeps nothing more of them. May wait for the disk.
    pub(super) fn forget_others(&self, file: &FileKey) {
        self.stop_keeping(file.recording, |version| version == file.version);
        let gone = self.index.forget_recording(file.recording, |other| other.version == file.version);
        self.remove(&gone, false);
    }

    fn stop_keeping(&self, recording: Hash, stays: impl Fn(Hash) -> bool) {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        for reader in read.by_recording.get(&recording).into_iter().flatten() {
            if let Some(keeps) = reader.keeps.upgrade().filter(|_| !stays(reader.version)) {
                keeps.store(false, Ordering::Release);
            }
        }
    }

    fn place(&self, file: &FileKey, block: u64) -> Place {
        let number = block / BLOCKS;
        // Media ends long before that.
        let key = SegmentKey { file: *file, number: u32::try_from(number).unwrap_or(u32::MAX) };
        Place { key, slot: block % BLOCKS, origin: number * BLOCKS * self.block_len }
    }

    /// A file that is known, or lies there and was not listed yet. May wait for the disk.
    fn found(&self, key: &SegmentKey) -> Option<Arc<Segment>> {
        if let Some(segment) = self.index.get(key) {
            return Some(segment);
        }
        if self.is_listed.load(Ordering::Acquire) {
            return None;
        }
        let len_bytes = self.folder.len_bytes(key)?;
        self.index.get_or_add(key, len_bytes, &AtomicBool::new(true), self.now())
    }

    /// Opens a file, and closes another one when too many are. May wait for the disk.
    fn open_file(&self, segment: &Arc<Segment>, may_make: bool) -> io::Result<Option<Arc<SegmentFile>>> {
        let mut file = segment.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = &*file {
            return Ok(Some(Arc::clone(opened)));
        }
        if segment.is_gone() {
            return Ok(None);
        }
        let path = self.folder.file(&segment.key);
        let Some(opened) = SegmentFile::open(&path, &segment.key, self.block_len, may_make)? else {
            drop(file);
            // It was removed by somebody else, or is not what its name says.
            self.index.forget(segment);
            self.folder.remove(&segment.key)?;
            return Ok(None);
        };
        let opened = Arc::new(opened);
        *file = Some(Arc::clone(&opened));
        drop(file);
        self.note_open(segment);
        Ok(Some(opened))
    }

    fn note_open(&self, segment: &Arc<Segment>) {
        let mut closing = Vec::new();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.push_back(Arc::clone(segment));
        // One that was read since it was last looked at stays open, if there is another.
        let mut steps = 2 * open.len();
        while open.len() > OPEN_MAX && steps > 0 {
            steps -= 1;
            let Some(first) = open.pop_front() else { break };
            if first.is_warm.swap(false, Ordering::Relaxed) && !first.is_gone() {
                open.push_back(first);
            } else {
                closing.push(first);
            }
        }
        drop(open);
        for segment in closing {
            segment.file.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }

    /// Removes files that are forgotten.
    fn remove(&self, gone: &Gone, is_eviction: bool) {
        for segment in gone {
            segment.file.lock().unwrap_or_else(PoisonError::into_inner).take();
            if is_eviction {
                METER.evictions.increment(1);
            }
            if let Err(error) = self.folder.remove(&segment.key) {
                self.tell(&error);
            }
        }
        if !gone.is_empty() {
            METER.show(&self.index.fill());
        }
    }

    /// Writes nothing for a while: the disk is full, or fails.
    fn pause(&self, segment: &Arc<Segment>, error: &io::Error) {
        self.paused_until.store(self.now() + PAUSE_SECONDS, Ordering::Relaxed);
        if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            // The room is needed elsewhere.
            self.tell(error);
            let gone = self.index.give_back(BLOCKS * self.block_len);
            self.remove(&gone, true);
        } else {
            self.forget_failed(segment, error);
        }
    }

    fn is_paused(&self) -> bool {
        self.now() < self.paused_until.load(Ordering::Relaxed)
    }

    /// Counts a failure, and tells of it unless one was told of just now.
    fn tell(&self, error: &io::Error) {
        METER.errors.increment(1);
        let now = self.now();
        if self.quiet_until.load(Ordering::Relaxed) <= now {
            self.quiet_until.store(now + QUIET_SECONDS, Ordering::Relaxed);
            let path = self.folder.path().display();
            tracing::warn!(%path, %error, "the cache fails; players go on without it");
        }
    }

    /// Seconds since it was opened, and one, so that nothing happened at zero.
    fn now(&self) -> u32 {
        u32::try_from(self.begun.elapsed().as_secs()).unwrap_or(u32::MAX - 1) + 1
    }
}

impl Reader {
    fn is_there(&self) -> bool {
        self.keeps.strong_count() > 0
    }
}

/// Lists what lies in the folder, and lets go of what is too much. Ends early when nobody needs it any more.
fn list(blocks: &Weak<Blocks>) {
    let mut found = Vec::new();
    for number in Folder::numbers() {
        let Some(blocks) = blocks.upgrade() else { return };
        match blocks.folder.list(number) {
            Ok(files) => found.extend(
                files
                    .into_iter()
                    .filter_map(|file| Some((file.used_at, blocks.index.add_found(&file.key, file.len_bytes)?))),
            ),
            Err(error) => blocks.tell(&error),
        }
    }
    found.sort_by_key(|(used_at, _)| *used_at);
    let Some(blocks) = blocks.upgrade() else { return };
    blocks.index.line_up(found.into_iter().map(|(_, segment)| segment).collect());
    blocks.is_listed.store(true, Ordering::Release);
    blocks.remove(&blocks.index.trim(), true);
    METER.show(&blocks.index.fill());
}

/// A block's length.
pub(super) fn len_of(range: &Range<u64>) -> usize {
    usize::try_from(range.end - range.start).unwrap_or(usize::MAX)
}
