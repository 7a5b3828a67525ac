//! Buffers that are used again, so that a frame of media costs no fresh memory, and wiped in between.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use zeroize::Zeroize;

/// How many idle buffers are kept. Busier moments allocate; quiet ones give back.
const IDLE_MAX: usize = 64;

/// A shelf of idle buffers, each once as long as the longest frame that it held.
#[derive(Clone, Default)]
pub(super) struct BufferPool(Arc<Mutex<Vec<Vec<u8>>>>);

impl BufferPool {
    /// A buffer of `len` bytes whose content is unspecified, and never another recording's media.
    pub fn take(&self, len: usize) -> Vec<u8> {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut buffer = idle.unwrap_or_default();
        buffer.resize(len, 0);
        buffer
    }

    /// Puts a buffer of ciphertext back.
    pub fn put(&self, buffer: Vec<u8>) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(buffer);
        }
    }

    /// Hands out a buffer of media as bytes that come back to the shelf, wiped, when the last holder lets go.
    pub fn lend(&self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent { buffer, pool: self.clone() })
    }

    /// Wipes a buffer of media and puts it back.
    pub fn put_wiped(&self, mut buffer: Vec<u8>) {
        // A plain fill is not removed by the compiler, because the buffer goes on living on the shelf; it is an order
        // of magnitude quicker than the byte-wise volatile writes that memory about to be freed needs.
        buffer.fill(0);
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(buffer);
        } else {
            drop(idle);
            buffer.zeroize();
        }
    }
}

struct Lent {
    buffer: Vec<u8>,
    pool: BufferPool,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.pool.put_wiped(core::mem::take(&mut self.buffer));
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
        let bytes = pool.lend(buffer);
        let part = bytes.slice(10..20);
        drop(bytes);
        assert_eq!(&part[..], &[7; 10], "held by a part of it");
        drop(part);
        let again = pool.take(1000);
        assert_eq!(again.as_ptr(), address, "used again");
        assert!(again.iter().all(|byte| *byte == 0), "wiped");
    }
}
