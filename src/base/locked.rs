//! Memory for secrets: small slots in pages that the system is asked never to swap out.
//!
//! Locking works on whole pages, and a process may lock few of them. Secrets therefore share pages of their own instead
//! of lying all over the heap, where each would need a page. Pages are never given back: there are as many as secrets
//! ever lived at once, at 64 a page. Knows nothing of what lies in a slot. Start with `Slot`.

use core::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use zeroize::Zeroize;

/// The longest secret, in bytes.
pub(super) const SLOT_LEN: usize = 64;
/// The smallest page of the systems that this runs on; where pages are larger, what lies beside it is locked, too.
const PAGE_LEN: usize = 4096;

static ARENA: Mutex<Arena> = Mutex::new(Arena::new());

/// Whether every page that holds or held secrets is locked. Where it is not, the limit on locked memory was reached,
/// or this was built without the application.
#[must_use]
pub fn is_locked() -> bool {
    arena().unlocked_pages == 0
}

/// A slot of zeros when it is taken; wiped when it is dropped, and never two owners' at once.
pub(super) struct Slot(&'static mut [u8]);

impl Slot {
    /// A slot that nobody else has.
    pub(super) fn take() -> Self {
        Self(arena().take())
    }

    /// Its first `N` bytes.
    pub(super) fn bytes<const N: usize>(&self) -> &[u8; N] {
        const { assert!(N <= SLOT_LEN, "a secret is longer than a slot") };
        self.0.first_chunk().unwrap_or_else(|| unreachable!("a slot is not shorter"))
    }

    /// Its first `N` bytes, to be written.
    pub(super) fn bytes_mut<const N: usize>(&mut self) -> &mut [u8; N] {
        const { assert!(N <= SLOT_LEN, "a secret is longer than a slot") };
        self.0.first_chunk_mut().unwrap_or_else(|| unreachable!("a slot is not shorter"))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        arena().put_back(mem::take(&mut self.0));
    }
}

/// The pages, by their slots that are free.
struct Arena {
    /// All zeros. Has room for every slot, so that putting one back asks for no memory.
    free: Vec<&'static mut [u8]>,
    slots: usize,
    unlocked_pages: usize,
}

impl Arena {
    const fn new() -> Self {
        Self { free: Vec::new(), slots: 0, unlocked_pages: 0 }
    }

    fn take(&mut self) -> &'static mut [u8] {
        loop {
            match self.free.pop() {
                Some(slot) => return slot,
                None => self.add_page(),
            }
        }
    }

    fn put_back(&mut self, slot: &'static mut [u8]) {
        slot.zeroize();
        self.free.push(slot);
    }

    fn add_page(&mut self) {
        let page = Box::leak(Box::new(Page([[0; SLOT_LEN]; PAGE_LEN / SLOT_LEN])));
        if !lock(page) {
            self.unlocked_pages += 1;
        }
        self.slots += page.0.len();
        // None is free, or no page would be added.
        self.free.reserve(self.slots);
        self.free.extend(page.0.iter_mut().map(<[u8; SLOT_LEN]>::as_mut_slice));
    }
}

/// Aligned, so that it shares no page with anything else, and takes one lock.
#[repr(align(4096))]
struct Page([[u8; SLOT_LEN]; PAGE_LEN / SLOT_LEN]);

const _: () = assert!(size_of::<Page>() == PAGE_LEN && align_of::<Page>() == PAGE_LEN);

/// Locks a page for as long as the process lives; whether the system allowed it.
#[cfg(feature = "app")]
fn lock(page: &Page) -> bool {
    // The guard would unlock it.
    region::lock(page, PAGE_LEN).map(mem::forget).is_ok()
}

/// The pure layers ask nothing of the system.
#[cfg(not(feature = "app"))]
fn lock(_page: &Page) -> bool {
    false
}

/// A thread that panicked left it whole: nothing within panics between two steps that belong together.
fn arena() -> MutexGuard<'static, Arena> {
    ARENA.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, thread};

    const SLOTS: usize = PAGE_LEN / SLOT_LEN;

    fn addresses(slots: &[&'static mut [u8]]) -> BTreeSet<usize> {
        slots.iter().map(|slot| slot.as_ptr().addr()).collect()
    }

    #[test]
    fn slots_are_wiped_and_used_again() {
        let mut arena = Arena::new();
        let mut taken: Vec<_> = (0..SLOTS).map(|_| arena.take()).collect();
        let first = addresses(&taken);
        for slot in &mut taken {
            assert_eq!(slot, &[0; SLOT_LEN]);
            slot.fill(0xAB);
        }
        taken.into_iter().for_each(|slot| arena.put_back(slot));
        assert!(arena.free.iter().all(|slot| **slot == [0; SLOT_LEN]), "wiped before they are free");
        let again: Vec<_> = (0..SLOTS).map(|_| arena.take()).collect();
        assert_eq!(addresses(&again), first);
        assert_eq!(arena.slots, SLOTS);
    }

    #[test]
    fn more_secrets_than_a_page_holds() {
        let mut arena = Arena::new();
        let taken: Vec<_> = (0..=2 * SLOTS).map(|_| arena.take()).collect();
        let distinct = addresses(&taken);
        assert_eq!(distinct.len(), taken.len());
        let pages: BTreeSet<usize> = distinct.iter().map(|address| address / PAGE_LEN).collect();
        assert_eq!((pages.len(), arena.slots), (3, 3 * SLOTS));
        let room = arena.free.capacity();
        taken.into_iter().for_each(|slot| arena.put_back(slot));
        assert_eq!((arena.free.len(), arena.free.capacity()), (3 * SLOTS, room), "no memory is asked for");
    }

    #[test]
    fn what_is_dropped_is_taken_again() {
        const MORE_THAN_ARE_HELD_ELSEWHERE: usize = 20_000;
        (0..MORE_THAN_ARE_HELD_ELSEWHERE).for_each(|_| drop(Slot::take()));
        assert!(arena().slots < MORE_THAN_ARE_HELD_ELSEWHERE, "{} slots", arena().slots);
    }

    /// Without the application nothing is locked.
    #[cfg(not(feature = "app"))]
    #[test]
    fn pages_that_are_not_locked_are_told_of() {
        let mut arena = Arena::new();
        let taken: Vec<_> = (0..=2 * SLOTS).map(|_| arena.take()).collect();
        assert_eq!((taken.len(), arena.unlocked_pages), (2 * SLOTS + 1, 3));
        let _slot = Slot::take();
        assert!(!is_locked());
    }

    #[test]
    fn threads_never_share_a_slot() {
        let work = |thread: u8| {
            for round in 0..200_usize {
                let mut slots: Vec<Slot> = (0..round % 40).map(|_| Slot::take()).collect();
                for slot in &mut slots {
                    assert_eq!(slot.bytes::<SLOT_LEN>(), &[0; SLOT_LEN]);
                    slot.bytes_mut::<SLOT_LEN>().fill(thread);
                }
                thread::yield_now();
                assert!(slots.iter().all(|slot| *slot.bytes() == [thread; SLOT_LEN]));
            }
        };
        thread::scope(|scope| {
            (1..=8).for_each(|thread| drop(scope.spawn(move || work(thread))));
        });
    }

    #[test]
    fn a_panic_elsewhere_takes_no_slot_away() {
        let panicked = thread::spawn(|| {
            let _held = arena();
            panic!("on purpose");
        });
        assert!(panicked.join().is_err());
        let mut slot = Slot::take();
        slot.bytes_mut::<1>()[0] = 1;
        assert_eq!(slot.bytes(), &[1]);
    }
}
