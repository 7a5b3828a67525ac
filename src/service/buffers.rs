//! Buffers that are used again, so that a frame of media costs no fresh memory, and wiped in between.

use std::{
    cell::Cell,
    ops::{Deref, DerefMut},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use zeroize::Zeroize;

use super::{
    meter::METER,
    span_stream::{FRAME_LEN_MAX, FRAME_LEN_MIN},
};

/// How many bytes of idle buffers a shelf keeps. Busier moments allocate; quiet ones give back.
const IDLE_LEN_MAX: usize = 4 * 1024 * 1024;
/// As many shelves as threads serve, about: what a core has just used is in its cache.
const SHELVES: usize = 8;
/// How long buffers for small frames and for large ones are.
const SMALL_LEN: usize = with_records(FRAME_LEN_MIN);
const LARGE_LEN: usize = with_records(FRAME_LEN_MAX);

/// The records of a frame: a quarter more where that ends a range, the rest of the usual chunk at both ends, and tags,
/// 16 bytes for at least 4096. Longer chunks have longer buffers made.
#[expect(clippy::cast_possible_truncation, reason = "a frame fits into a core's cache")]
const fn with_records(frame_len: u64) -> usize {
    const CHUNK_LEN: u64 = 16 * 1024;
    (frame_len / 4 * 5 + 2 * CHUNK_LEN) as usize / 64 * 65
}

/// Shelves of idle buffers.
#[derive(Clone, Default)]
pub(super) struct BufferPool(Arc<[Mutex<Shelf>; SHELVES]>);

/// Buffers that keep the length they were made with, because growing one again would fill it with zeros.
#[derive(Default)]
struct Shelf {
    small: Vec<Vec<u8>>,
    large: Vec<Vec<u8>>,
    len_bytes: usize,
}

/// Bytes whose content is unspecified when they are taken, and never another recording's media.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    len: usize,
}

thread_local! {
    /// Which shelf this thread uses.
    static SHELF: Cell<Option<usize>> = const { Cell::new(None) };
}

impl BufferPool {
    /// A buffer of `len` bytes.
    pub fn take(&self, len: usize) -> Buffer {
        let idle = {
            let mut shelf = self.shelf().lock().unwrap_or_else(PoisonError::into_inner);
            let idle = shelf.of(len).pop();
            shelf.len_bytes -= idle.as_ref().map_or(0, Vec::capacity);
            idle
        };
        METER.buffers.count(idle.is_some());
        let mut bytes = idle.unwrap_or_default();
        if bytes.len() < len {
            bytes.resize(if len <= SMALL_LEN { SMALL_LEN } else { len.max(LARGE_LEN) }, 0);
        }
        Buffer { bytes, len }
    }

    /// Puts a buffer of ciphertext back.
    pub fn put(&self, buffer: Buffer) {
        drop(self.keep(buffer.bytes));
    }

    /// Hands out the first `len` bytes of a buffer of media. It comes back, wiped, when the last holder lets go.
    pub fn lend(&self, buffer: Buffer, len: usize) -> Bytes {
        let len = len.min(buffer.len);
        Bytes::from_owner(Lent { buffer, len, pool: self.clone() })
    }

    /// Wipes a buffer of media and puts it back.
    pub fn put_wiped(&self, mut buffer: Buffer) {
        let len = buffer.len;
        // A plain fill is not removed by the compiler, because the buffer goes on living on the shelf; it is an order
        // of magnitude quicker than the byte-wise volatile writes that memory about to be freed needs.
        buffer.fill(0);
        if let Some(mut full) = self.keep(buffer.bytes) {
            full.truncate(len);
            full.zeroize();
        }
    }

    /// Shows how many are idle.
    pub fn show(&self) {
        let (mut buffers, mut bytes) = (0, 0);
        for shelf in &*self.0 {
            let shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
            buffers += shelf.small.len() + shelf.large.len();
            bytes += shelf.len_bytes;
        }
        METER.buffers.show(buffers as u64, bytes as u64, (SHELVES * IDLE_LEN_MAX) as u64);
    }

    /// Keeps a buffer, unless the shelf is full.
    fn keep(&self, bytes: Vec<u8>) -> Option<Vec<u8>> {
        let mut shelf = self.shelf().lock().unwrap_or_else(PoisonError::into_inner);
        // All that it holds: who read into it elsewhere may have cut its length.
        let len = bytes.capacity();
        if shelf.len_bytes + len > IDLE_LEN_MAX {
            drop(shelf);
            METER.buffers.count_removal(true);
            return Some(bytes);
        }
        shelf.len_bytes += len;
        shelf.of(len).push(bytes);
        None
    }

    fn shelf(&self) -> &Mutex<Shelf> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = SHELF.get().unwrap_or_else(|| {
            let number = NEXT.fetch_add(1, Ordering::Relaxed) % SHELVES;
            SHELF.set(Some(number));
            number
        });
        &self.0[number % SHELVES]
    }
}

impl Shelf {
    /// Where buffers for so many bytes lie.
    fn of(&mut self, len: usize) -> &mut Vec<Vec<u8>> {
        if len <= SMALL_LEN { &mut self.small } else { &mut self.large }
    }
}

impl Buffer {
    /// The same bytes, as who fills them elsewhere wants them.
    pub fn into_vec(mut self) -> Vec<u8> {
        self.bytes.truncate(self.len);
        self.bytes
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self { len: bytes.len(), bytes }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.len).unwrap_or_default()
    }
}

struct Lent {
    buffer: Buffer,
    len: usize,
    pool: BufferPool,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let empty = Buffer { bytes: Vec::new(), len: 0 };
        self.pool.put_wiped(std::mem::replace(&mut self.buffer, empty));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lent_buffer_comes_back_wiped() {
        let pool = BufferPool::default();
        let mut buffer = pool.take(1000);
        buffer.fill(7);
        let address = buffer.as_ptr();
        let bytes = pool.lend(buffer, 900);
        assert_eq!(bytes.len(), 900);
        let part = bytes.slice(10..20);
        drop(bytes);
        assert_eq!(&part[..], &[7; 10], "held by a part of it");
        drop(part);
        let again = pool.take(2000);
        assert_eq!((again.as_ptr(), again.len()), (address, 2000), "used again, for more");
        assert!(again.iter().all(|byte| *byte == 0), "wiped");
        let other = pool.take(LARGE_LEN);
        pool.put(other);
        assert_ne!(pool.take(5).as_ptr(), address, "it is not on the shelf");
    }

    #[test]
    fn a_shelf_keeps_so_much_and_no_more() {
        let pool = BufferPool::default();
        let taken: Vec<Buffer> = (0..100).map(|_| pool.take(LARGE_LEN)).collect();
        taken.into_iter().for_each(|buffer| pool.put_wiped(buffer));
        let shelf = pool.shelf().lock().expect("lock");
        assert!(shelf.len_bytes <= IDLE_LEN_MAX && shelf.large.len() == IDLE_LEN_MAX / LARGE_LEN);
    }
}
