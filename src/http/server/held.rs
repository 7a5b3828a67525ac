//! What was made for clients of HTTP/2 and is not taken yet.
//!
//! A client has up to a hundred answers at once and says of each how much it could take, so that one which asks for much
//! and takes next to nothing has much made for it. Each connection may hold what one player needs; what all hold beyond
//! that is bounded, and when it is too much, the connection that holds most is cut. Knows no HTTP.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::Notify;

/// What a connection may hold without being counted, in bytes: two frames of media.
const EACH_FREE_LEN: usize = 256 * 1024;
/// What all may hold beyond that, in bytes.
const ALL_LEN_MAX: usize = 128 * 1024 * 1024;

/// What the connections of a server hold.
#[derive(Clone, Default)]
pub(super) struct Held(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    len: usize,
    connections: HashMap<u64, Holding>,
    next: u64,
}

struct Holding {
    len: usize,
    is_too_much: Arc<Notify>,
}

/// What one connection holds. Is forgotten with it, and with the last bytes that it holds.
#[derive(Clone)]
pub(super) struct Holder(Arc<Place>);

struct Place {
    held: Held,
    number: u64,
    is_too_much: Arc<Notify>,
}

/// Bytes that are held until whoever sends them lets go of them.
struct Frame {
    bytes: Bytes,
    len: usize,
    holder: Holder,
}

impl Held {
    /// A connection begins.
    pub(super) fn begin(&self) -> Holder {
        let is_too_much = Arc::new(Notify::new());
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.connections.insert(number, Holding { len: 0, is_too_much: Arc::clone(&is_too_much) });
        Holder(Arc::new(Place { held: self.clone(), number, is_too_much }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_too_much(&self) -> bool {
        self.len > ALL_LEN_MAX.saturating_add(self.connections.len().saturating_mul(EACH_FREE_LEN))
    }
}

impl Holder {
    /// `bytes`, which take `len` of memory for as long as they are there. Too much has a connection cut, perhaps this one.
    pub(super) fn hold(&self, bytes: Bytes, len: usize) -> Bytes {
        let mut state = self.0.held.state();
        // One that was told to end holds nothing any more, as far as others are concerned.
        if let Some(holding) = state.connections.get_mut(&self.0.number) {
            holding.len += len;
            state.len += len;
        }
        while state.is_too_much() {
            let greatest = state.connections.iter().max_by_key(|(_, holding)| holding.len).map(|(number, _)| *number);
            let Some(cut) = greatest.and_then(|number| state.connections.remove(&number)) else { break };
            state.len -= cut.len;
            cut.is_too_much.notify_one();
        }
        drop(state);
        Bytes::from_owner(Frame { bytes, len, holder: self.clone() })
    }

    /// Waits until this connection is to end, for what it holds.
    pub(super) async fn is_too_much(&self) {
        self.0.is_too_much.notified().await;
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        let place = &self.holder.0;
        let mut state = place.held.state();
        if let Some(holding) = state.connections.get_mut(&place.number) {
            holding.len -= self.len;
            state.len -= self.len;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.held.state().connections.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const MIB: usize = 1 << 20;

    /// How much is held, and by how many connections.
    fn all(held: &Held) -> (usize, usize) {
        let state = held.state();
        (state.len, state.connections.len())
    }

    #[test]
    fn one_who_holds_most_is_cut_when_all_hold_too_much_and_counts_no_more() {
        let held = Held::default();
        let [modest, greedy, other] = [(); 3].map(|()| held.begin());
        let is_cut = |holder: &Holder| holder.is_too_much().now_or_never().is_some();
        let hold = |holder: &Holder, mib: usize| holder.hold(Bytes::from_static(b"media"), mib * MIB);
        let greed: Vec<_> = (0..100).map(|_| hold(&greedy, 1)).collect();
        let modesty = [hold(&modest, 20), hold(&other, 8)];
        assert_eq!((modesty[0].as_ref(), all(&held)), (&b"media"[..], (128 * MIB, 3)));
        assert!(!is_cut(&greedy), "each of three may hold 256 KiB more");
        let more = hold(&other, 1);
        assert_eq!([&modest, &greedy, &other].map(is_cut), [false, true, false]);
        assert_eq!(all(&held), (29 * MIB, 2));
        // What it still has and asks for while it ends changes nothing, nor does its end.
        drop(hold(&greedy, 500));
        drop((greed, greedy));
        assert_eq!(all(&held), (29 * MIB, 2));
        drop((modesty, more));
        drop((modest, other));
        assert_eq!(all(&held), (0, 0));
    }

    #[test]
    fn what_is_taken_counts_no_more_and_many_modest_ones_are_left_alone() {
        let held = Held::default();
        let holder = held.begin();
        for _ in 0..1000 {
            drop(holder.hold(Bytes::new(), MIB));
        }
        let many: Vec<_> = (0..2000).map(|_| held.begin()).collect();
        let frames: Vec<_> = many.iter().map(|each| each.hold(Bytes::new(), EACH_FREE_LEN)).collect();
        assert_eq!(all(&held), (2000 * EACH_FREE_LEN, 2001));
        assert!(many.iter().chain([&holder]).all(|each| each.is_too_much().now_or_never().is_none()));
        // Bytes outlive the connection's task while they are on their way.
        drop(many);
        assert_eq!(all(&held), (2000 * EACH_FREE_LEN, 2001));
        drop(frames);
        assert_eq!(all(&held), (0, 1));
    }
}
