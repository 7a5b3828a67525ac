//! One file of the cache: a page that says what it is, then up to 64 blocks, each in its place.
//!
//! ```text
//! 0      magic, block length, key                    what file this is
//! 1024   64 sums of 16 bytes                          zeros: no such block
//! 4096   block 0 ‖ block 1 ‖ …                        sparse: what was never fetched takes no room
//! ```
//!
//! Nothing is ever made durable: a sum tells whether its block is what was written, whatever the system had time to
//! write before it was cut off. Of a file from before the start each block is read as a whole, and its sum compared, when
//! it is first asked for.

use std::{
    fs::{File, OpenOptions},
    io::{self, IoSliceMut},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::key::{Hash, SegmentKey, hash};

/// How many blocks a file has at most: as many as a number has bits.
pub(super) const BLOCKS: u64 = 64;
/// Where the first one begins.
pub(super) const PAGE_LEN: u64 = 4096;

const MAGIC: &[u8; 8] = b"STPC\0\0\0\x01";
const SUMS_AT: usize = 1024;
const SUM_LEN: usize = size_of::<Hash>();

/// A file of the cache, open.
pub(super) struct SegmentFile {
    file: File,
    head: Vec<u8>,
    block_len: u64,
    /// Held while blocks are written, taken away or judged.
    sums: Mutex<Vec<Hash>>,
    /// One bit a block: there is one.
    present: AtomicU64,
    /// One bit a block: room was taken for it, be it there still or not.
    taken: AtomicU64,
    /// One bit a block: it is what was written.
    good: AtomicU64,
    /// Cleared when the file system cannot say whether a read would wait.
    can_read_now: AtomicBool,
}

impl SegmentFile {
    /// Opens the file of `key`; none when it is not there, or is another one's, unless it may be made.
    pub(super) fn open(path: &Path, key: &SegmentKey, block_len: u64, may_make: bool) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(may_make).truncate(false).mode(0o600);
        let file = match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !may_make => return Ok(None),
            file => file?,
        };
        let head = [&MAGIC[..], &block_len.to_be_bytes(), key.to_string().as_bytes()].concat();
        let mut page = vec![0; usize::try_from(PAGE_LEN).unwrap_or_default()];
        let is_ours = match file.read_exact_at(&mut page, 0) {
            Ok(()) => page.starts_with(&head),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(error) => return Err(error),
        };
        if !is_ours {
            if !may_make {
                return Ok(None);
            }
            page.fill(0);
            page.iter_mut().zip(&head).for_each(|(to, from)| *to = *from);
            file.set_len(0)?;
            file.write_all_at(&page, 0)?;
        }
        let sums = page.get(SUMS_AT..).unwrap_or_default().chunks_exact(SUM_LEN);
        let sums: Vec<Hash> =
            sums.filter_map(|sum| sum.try_into().ok()).take(usize::try_from(BLOCKS).unwrap_or_default()).collect();
        let present = (0..BLOCKS).zip(&sums).filter(|(_, sum)| **sum != Hash::default());
        let present = present.fold(0, |bits, (slot, _)| bits | bit(slot));
        Ok(Some(Self {
            file,
            head,
            block_len,
            sums: Mutex::new(sums),
            present: AtomicU64::new(present),
            taken: AtomicU64::new(present),
            good: AtomicU64::new(0),
            can_read_now: AtomicBool::new(true),
        }))
    }

    /// Whether there is a block in that slot, judged or not.
    pub(super) fn holds(&self, slot: u64) -> bool {
        self.present.load(Ordering::Acquire) & bit(slot) != 0
    }

    /// Whether a block in that slot takes no more room than the file has already.
    pub(super) fn has_room_for(&self, slot: u64) -> bool {
        self.taken.load(Ordering::Acquire) & bit(slot) != 0
    }

    /// How many blocks from `slot` on are good, one after the other.
    pub(super) fn good_from(&self, slot: u64) -> u64 {
        u64::from((self.good.load(Ordering::Acquire) >> slot).trailing_ones())
    }

    /// Fills the front of `buffer` from `at`, a place within the segment, as far as that needs no waiting.
    pub(super) fn try_read_now(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.can_read_now.load(Ordering::Relaxed) {
            return Ok(0);
        }
        match preadv2(&self.file, &mut [IoSliceMut::new(buffer)], PAGE_LEN + at, ReadWriteFlags::NOWAIT) {
            Ok(read) => Ok(read),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                self.can_read_now.store(false, Ordering::Relaxed);
                Ok(0)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Fills `buffer` from `at`, a place within the segment.
    pub(super) fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, PAGE_LEN + at)
    }

    /// Reads a whole block, which has `len` bytes from `at` on, and judges it: none when it is not what was written.
    pub(super) fn load(&self, slot: u64, at: u64, len: usize) -> io::Result<Option<Vec<u8>>> {
        let sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.holds(slot) {
            return Ok(None);
        }
        let mut block = vec![0; len];
        match self.read(at, &mut block) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        if sums.get(index(slot)) != Some(&self.sum(slot, &block)) {
            return Ok(None);
        }
        self.good.fetch_or(bit(slot), Ordering::Release);
        Ok(Some(block))
    }

    /// Writes a block to its place.
    pub(super) fn store(&self, slot: u64, at: u64, block: &[u8]) -> io::Result<()> {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        self.good.fetch_and(!bit(slot), Ordering::Release);
        self.taken.fetch_or(bit(slot), Ordering::Release);
        self.file.write_all_at(block, PAGE_LEN + at)?;
        let sum = self.sum(slot, block);
        self.file.write_all_at(&sum, sum_at(slot))?;
        if let Some(place) = sums.get_mut(index(slot)) {
            *place = sum;
        }
        self.present.fetch_or(bit(slot), Ordering::Release);
        self.good.fetch_or(bit(slot), Ordering::Release);
        Ok(())
    }

    /// Takes a block away, if what lies at `at` of it is `seen`; whether it was.
    pub(super) fn take_away_if(&self, slot: u64, at: u64, seen: &[u8]) -> io::Result<bool> {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.holds(slot) {
            return Ok(false);
        }
        let mut there = vec![0; seen.len()];
        if self.read(at, &mut there).is_ok() && there != seen {
            return Ok(false);
        }
        self.good.fetch_and(!bit(slot), Ordering::Release);
        self.present.fetch_and(!bit(slot), Ordering::Release);
        if let Some(place) = sums.get_mut(index(slot)) {
            *place = Hash::default();
        }
        self.file.write_all_at(&Hash::default(), sum_at(slot))?;
        Ok(true)
    }

    /// Of a block in its place: the same bytes elsewhere have another one.
    fn sum(&self, slot: u64, block: &[u8]) -> Hash {
        debug_assert!(block.len() as u64 <= self.block_len, "a block");
        hash(&[&self.head, &slot.to_be_bytes(), block])
    }
}

fn bit(slot: u64) -> u64 {
    1 << (slot % BLOCKS)
}

fn index(slot: u64) -> usize {
    usize::try_from(slot % BLOCKS).unwrap_or_default()
}

fn sum_at(slot: u64) -> u64 {
    (SUMS_AT + index(slot) * SUM_LEN) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::cache::key::FileKey;

    const BLOCK_LEN: u64 = 8192;

    fn key(number: u32) -> SegmentKey {
        let file = FileKey { recording: [1; 16], version: [2; 16], sealing: [3; 16] };
        SegmentKey { file, number }
    }

    fn block(byte: u8) -> Vec<u8> {
        (0..BLOCK_LEN).map(|at| (at % 251) as u8 ^ byte).collect()
    }

    fn load(file: &SegmentFile, slot: u64) -> Option<Vec<u8>> {
        file.load(slot, slot * BLOCK_LEN, BLOCK_LEN as usize).expect("reads")
    }

    #[test]
    fn blocks_are_what_was_written_or_not_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let open = |key: &SegmentKey, may_make| SegmentFile::open(&path, key, BLOCK_LEN, may_make).expect("opens");
        assert!(open(&key(0), false).is_none());
        let file = open(&key(0), true).expect("made");
        assert!(!file.holds(0) && file.good_from(0) == 0 && load(&file, 0).is_none());
        for slot in [0, 1, 2, 63] {
            assert!(!file.has_room_for(slot));
            file.store(slot, slot * BLOCK_LEN, &block(slot as u8)).expect("writes");
        }
        assert_eq!([0, 1, 2, 3, 62, 63].map(|slot| file.good_from(slot)), [3, 2, 1, 0, 0, 1]);
        drop(file);
        // From before the start: there, and good once it was looked at.
        let file = open(&key(0), false).expect("is there");
        assert!(file.holds(63) && file.good_from(0) == 0);
        for slot in [0, 1, 2, 63] {
            assert!(load(&file, slot) == Some(block(slot as u8)), "{slot}");
        }
        assert_eq!(file.good_from(0), 3);
        // A bit, and a block that lies in another one's place.
        file.file.write_all_at(&[9], PAGE_LEN + 100).expect("written");
        file.file.write_all_at(&block(2), PAGE_LEN + BLOCK_LEN).expect("written");
        file.file.write_all_at(&file.sums.lock().expect("whole")[2], sum_at(1)).expect("written");
        drop(file);
        let file = open(&key(0), false).expect("is there");
        assert_eq!([0, 1, 2].map(|slot| load(&file, slot).is_some()), [false, false, true]);
        // Another one's file is none of ours, and gives way when it must.
        assert!(open(&key(1), false).is_none());
        assert!(SegmentFile::open(&path, &key(0), 2 * BLOCK_LEN, false).expect("opens").is_none());
        let file = open(&key(1), true).expect("made");
        assert!((0..BLOCKS).all(|slot| !file.holds(slot)));
    }

    #[test]
    fn only_what_was_seen_is_taken_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let file =
            SegmentFile::open(&folder.path().join("file"), &key(0), BLOCK_LEN, true).expect("opens").expect("made");
        file.store(5, 5 * BLOCK_LEN, &block(5)).expect("writes");
        let at = 5 * BLOCK_LEN + 100;
        assert!(!file.take_away_if(5, at, &block(6)[100..200]).expect("looks"), "somebody was here before");
        assert!(!file.take_away_if(6, 6 * BLOCK_LEN, &[0; 10]).expect("looks"), "there is none");
        assert!(file.take_away_if(5, at, &block(5)[100..200]).expect("looks"));
        assert!(!file.holds(5) && file.good_from(5) == 0 && load(&file, 5).is_none());
        assert!(file.has_room_for(5), "its room was taken once");
    }
}
