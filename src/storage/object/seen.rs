//! Versions that were asked for a moment ago, so that a player who asks for one range after the other does not wait for
//! the store to say each time that the object is there.
//!
//! What lies under a key that names its sealing stays what it is, but for its head; so what is remembered can be wrong
//! in two ways only: the object is gone by now, or has another head. Whoever reads it is told then
//! ([`crate::media::Error::Changed`]), and it is forgotten.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::bucket::Found;
use crate::media::MediaObject;

/// For how long a version is remembered.
const REMEMBERED_FOR: Duration = Duration::from_secs(5);
/// Of how many objects.
const OBJECTS_MAX: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<HashMap<MediaObject, (Found, Instant)>>);

impl Seen {
    pub fn remember(&self, object: &MediaObject, found: &Found) {
        let now = Instant::now();
        let mut seen = self.seen();
        if seen.len() >= OBJECTS_MAX {
            seen.retain(|_, (_, at)| now.duration_since(*at) < REMEMBERED_FOR);
        }
        if seen.len() < OBJECTS_MAX {
            seen.insert(object.clone(), (found.clone(), now));
        }
    }

    pub fn recall(&self, object: &MediaObject) -> Option<Found> {
        let seen = self.seen();
        let (found, at) = seen.get(object)?;
        (at.elapsed() < REMEMBERED_FOR).then(|| found.clone())
    }

    pub fn forget(&self, object: &MediaObject) {
        // Whoever does not say which sealing may mean any.
        if object.sealing.is_some() {
            self.seen().remove(object);
        } else {
            self.seen().retain(|seen, _| !seen.may_be(object));
        }
    }

    /// Nothing that holds it can panic half-way.
    fn seen(&self) -> MutexGuard<'_, HashMap<MediaObject, (Found, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
