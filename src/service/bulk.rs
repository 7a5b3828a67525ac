//! What recordings that are taken in side by side share: buffers, and the knowledge of which IDs are under way.

use std::{
    collections::HashSet,
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::source::Piece;
use crate::base::RecordingId;

/// How many buffers of a kind are kept for the next one.
const IDLE_MAX: usize = 32;

/// Buffers that are used again: fresh memory costs more than filling it.
#[derive(Default)]
pub(super) struct Shelf {
    pieces: Mutex<Vec<Piece>>,
    encoded: Mutex<Vec<Vec<u8>>>,
}

impl Shelf {
    /// A buffer for media, whose content is of no meaning, and nobody's media.
    pub fn piece(&self) -> Piece {
        lock(&self.pieces).pop().unwrap_or_default()
    }

    /// Wipes a buffer of media and puts it back.
    pub fn put_piece(&self, mut piece: Piece) {
        // All of it: what was read before may lie behind the end. A plain fill is quick, and is not left out, because the
        // buffer goes on living; memory about to be freed is wiped by its type.
        let capacity = piece.capacity();
        piece.clear();
        piece.resize(capacity, 0);
        put(&self.pieces, piece);
    }

    /// A buffer for what goes to the store; empty.
    pub fn encoded(&self) -> Vec<u8> {
        lock(&self.encoded).pop().unwrap_or_default()
    }

    /// Puts such a buffer back.
    pub fn put_encoded(&self, mut encoded: Vec<u8>) {
        encoded.clear();
        put(&self.encoded, encoded);
    }
}

/// The IDs that are being taken in by this process. Of two files of one ID the second meets what became of the first, and
/// is not refused for the sake of one that came to nothing.
#[derive(Default)]
pub(super) struct Claims {
    ids: Mutex<HashSet<RecordingId>>,
    given_back: Notify,
}

impl Claims {
    /// Waits until nobody else has the ID.
    pub async fn claim(&self, id: &RecordingId) -> Claim<'_> {
        loop {
            let mut given_back = pin!(self.given_back.notified());
            // From here on: what is given back after the look is not missed.
            given_back.as_mut().enable();
            if lock(&self.ids).insert(id.clone()) {
                return Claim { claims: self, id: id.clone() };
            }
            given_back.await;
        }
    }
}

/// An ID that nobody else in this process takes in; given back when it is dropped.
pub(super) struct Claim<'a> {
    claims: &'a Claims,
    id: RecordingId,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        lock(&self.claims.ids).remove(&self.id);
        self.claims.given_back.notify_waiters();
    }
}

fn put<T>(shelf: &Mutex<Vec<T>>, buffer: T) {
    let mut idle = lock(shelf);
    if idle.len() < IDLE_MAX {
        idle.push(buffer);
    }
}

/// Nothing that holds these locks can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_is_wiped_before_its_buffer_is_used_again() {
        let shelf = Shelf::default();
        let mut piece = Piece::new(Vec::with_capacity(1000));
        piece.resize(1000, 7);
        // As after a short read: most of it lies behind the end.
        piece.truncate(10);
        let address = piece.as_ptr();
        shelf.put_piece(piece);
        let again = shelf.piece();
        assert_eq!((again.as_ptr(), again.len()), (address, 1000), "used again");
        assert!(again.iter().all(|byte| *byte == 0), "wiped");
    }

    #[tokio::test]
    async fn an_id_is_claimed_by_one_at_a_time() {
        let claims = Claims::default();
        let (one, other): (RecordingId, RecordingId) = ("one".parse().expect("an ID"), "other".parse().expect("an ID"));
        let first = claims.claim(&one).await;
        let _other = claims.claim(&other).await;
        let mut second = pin!(claims.claim(&one));
        let waits = tokio::time::timeout(std::time::Duration::from_millis(20), &mut second).await;
        assert!(waits.is_err(), "it has the ID as well");
        drop(first);
        let second = second.await;
        assert_eq!(lock(&claims.ids).len(), 2);
        drop(second);
        assert_eq!(lock(&claims.ids).len(), 1);
    }
}
