//! What happened in simulated worlds, counted: worlds in which nothing happens keep every promise, and show nothing.

use std::{collections::BTreeMap, fmt};

/// How many worlds the floors are of.
const WORLDS: u64 = 300;

/// Something that must happen, now and then, for the worlds to show anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// Recordings that were answered to be kept.
    Kept,
    /// Those of them that are not whole.
    KeptUnfinished,
    /// Those that were not catalogued, because that could not be asked.
    KeptUncatalogued,
    KeptPlain,
    /// Those that arrived sealed.
    KeptSealedElsewhere,
    /// Those of which it was seen that they were harmed on their way.
    RefusedSealedElsewhere,
    /// Recordings that were refused, so that nothing of them may ever be heard.
    Refused,
    /// Those that ended badly, or with the process.
    LeftUnsure,
    /// Bytes that were heard, and held against what was said.
    BytesHeard,
    /// Those of recordings that one attempt alone has.
    BytesHeardOfOne,
    /// Recordings that were followed while they grew.
    Followed,
    /// Those that were heard from their first byte to their last one in the end, and compared.
    HeardInPeace,
    Purged,
    Rewrapped,
    Resealed,
    Mended,
    /// Operations of the store that failed.
    StoreFailed,
    /// No room was left.
    Full,
    /// Appends of which a part alone came to the disk.
    TornAppend,
    /// Reads that gave less than was asked for, as a part of it was at hand.
    ShortRead,
    /// Reads of which a bit was another one.
    Flipped,
    /// Reads that gave what lay there before.
    Stale,
    /// Looks at a growing file that saw it shorter than it was.
    SeenShorter,
    DatabaseFailed,
    DatabaseAway,
    Killed,
    PowerLost,
    /// Blocks of which a loss of power left a part.
    TornBlock,
    ClockForward,
    ClockBack,
    Meddled,
}

impl Event {
    /// All there are, and how often each must have happened in 300 worlds: about half as often as it does.
    const FLOORS: &[(Self, u64)] = &[
        (Self::Kept, 600),
        (Self::KeptUnfinished, 80),
        (Self::KeptUncatalogued, 70),
        (Self::KeptPlain, 100),
        (Self::KeptSealedElsewhere, 60),
        (Self::RefusedSealedElsewhere, 85),
        (Self::Refused, 1500),
        (Self::LeftUnsure, 200),
        (Self::BytesHeard, 40_000_000),
        (Self::BytesHeardOfOne, 35_000_000),
        (Self::Followed, 60),
        (Self::HeardInPeace, 400),
        (Self::Purged, 100),
        (Self::Rewrapped, 100),
        (Self::Resealed, 80),
        (Self::Mended, 9),
        (Self::StoreFailed, 70),
        (Self::Full, 12),
        (Self::TornAppend, 20),
        (Self::ShortRead, 2000),
        (Self::Flipped, 90),
        (Self::Stale, 25),
        (Self::SeenShorter, 7),
        (Self::DatabaseFailed, 3500),
        (Self::DatabaseAway, 100),
        (Self::Killed, 150),
        (Self::PowerLost, 150),
        (Self::TornBlock, 13),
        (Self::ClockForward, 45),
        (Self::ClockBack, 45),
        (Self::Meddled, 140),
    ];
}

/// How often what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<Event, u64>);

impl Tally {
    pub fn count(&mut self, event: Event, times: u64) {
        *self.0.entry(event).or_default() += times;
    }

    pub fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(event, times)| self.count(*event, *times));
    }

    fn times(&self, event: Event) -> u64 {
        self.0.get(&event).copied().unwrap_or_default()
    }

    /// What happened too seldom in so many worlds for them to show anything.
    pub fn too_seldom(&self, worlds: u64) -> Vec<String> {
        let least = Event::FLOORS.iter().map(|(event, floor)| (*event, (floor * worlds).div_ceil(WORLDS)));
        let seldom = least.filter(|(event, least)| self.times(*event) < *least);
        seldom.map(|(event, least)| format!("{event:?}: {} times, of {least}", self.times(event))).collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Event::FLOORS.iter().try_for_each(|(event, _)| writeln!(f, "{event:?}: {}", self.times(*event)))
    }
}

#[test]
fn worlds_in_which_nothing_happens_are_told() {
    let mut tally = Tally::default();
    assert_eq!(tally.too_seldom(WORLDS).len(), Event::FLOORS.len(), "each has a floor");
    Event::FLOORS.iter().for_each(|(event, floor)| tally.count(*event, *floor));
    assert!(tally.too_seldom(WORLDS).is_empty(), "what is at its floor is no fault");
    assert_eq!(tally.too_seldom(WORLDS + 1).len(), Event::FLOORS.len(), "of more worlds, more");
}
