//! A recording as the catalogue knows it.

use std::sync::Arc;

use super::Metadata;
use crate::base::{Fingerprint, Location, MediaType, RecordingId, SealId, SidecarName, Timestamp};
use crate::sealed::HEADER_LEN;

/// How far a recording got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordingState {
    /// A writer is at work; it renews its lease until the given time.
    Recording {
        /// When the writer is held to be dead unless it renews.
        lease_until: Timestamp,
    },
    /// The writer died, or its source broke off: what it wrote plays.
    Unfinished,
    /// Whole.
    Complete,
}

/// How a recording's media is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// As a sealed file.
    Sealed {
        /// Of the database key that wraps its file key.
        fingerprint: Fingerprint,
        /// The sealing that lies, or is to lie, under the recording's name.
        seal_id: SealId,
        /// What takes the place of header or file, while that is under way.
        replacement: Option<Replacement>,
    },
    /// In plain.
    Plain {
        /// SHA-256 of the media as it was stored: its validator.
        digest: [u8; 32],
        /// Kept plain on purpose, for a recorder that cannot encrypt.
        exempt: bool,
        /// Where it lies when it was catalogued in its place; none when it is in the media store.
        outside: Option<Location>,
    },
}

/// A plain file whose recording is sealed now, and which is to go. It is noted in the transaction that says that the
/// recording is sealed, and struck when it is gone: whoever is killed in between can be followed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainLeft {
    /// The recording.
    pub id: RecordingId,
    /// Where the file lies; none when it is in the media store.
    pub outside: Option<Location>,
    /// Whether it lies under the name of one that grows.
    pub is_part: bool,
    /// Bytes.
    pub len: u64,
    /// SHA-256 of what was sealed: a file that is another one by now stays.
    pub digest: [u8; 32],
}

/// How many recordings lie in plain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlainCount {
    /// Kept so on purpose.
    pub exempt: u64,
    /// The others.
    pub others: u64,
    /// Plain files whose recordings are sealed, and which are still to go.
    pub left: u64,
}

/// What is about to take the place of a sealed file's header, or of the file. It is in the row before a byte of the
/// file changes, and is struck from it when the file is durable: whoever is killed in between can be followed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// The same sealing under another database key: a header, written in place of the file's.
    Header {
        /// Of the database key that wraps the file key in it.
        fingerprint: Fingerprint,
        /// The whole header, as it is written.
        header: Box<[u8; HEADER_LEN]>,
    },
    /// Another sealing: a file, which takes the place of the old one.
    Sealing {
        /// Of the database key that wraps its file key.
        fingerprint: Fingerprint,
        /// Its name.
        seal_id: SealId,
    },
}

impl Replacement {
    /// The key that it needs.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        match self {
            Self::Header { fingerprint, .. } | Self::Sealing { fingerprint, .. } => *fingerprint,
        }
    }
}

impl Content {
    /// The sealings that may lie under the recording's name now; none when it is plain.
    #[must_use]
    pub fn seal_ids(&self) -> [Option<SealId>; 2] {
        match self {
            Self::Sealed { seal_id, replacement: Some(Replacement::Sealing { seal_id: other, .. }), .. } => {
                [Some(*seal_id), Some(*other)]
            }
            Self::Sealed { seal_id, .. } => [Some(*seal_id), None],
            Self::Plain { .. } => [None, None],
        }
    }

    /// Where it lies, when that is not in the media store.
    #[must_use]
    pub fn outside(&self) -> Option<&Location> {
        match self {
            Self::Plain { outside, .. } => outside.as_ref(),
            Self::Sealed { .. } => None,
        }
    }

    /// The header that may have to stand in for the file's, while it is being written there.
    #[must_use]
    pub fn pending_header(&self) -> Option<&[u8; HEADER_LEN]> {
        match self {
            Self::Sealed { replacement: Some(Replacement::Header { header, .. }), .. } => Some(header),
            Self::Sealed { .. } | Self::Plain { .. } => None,
        }
    }
}

/// What the catalogue knows of a recording beside its media.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct About {
    /// What of its metadata lies in the catalogue.
    pub metadata: Metadata,
    /// The names of its sidecars, in order.
    pub sidecars: Vec<SidecarName>,
    /// Since when it is under legal hold.
    pub held_at: Option<Timestamp>,
    /// Its purge has begun: what there still is of it is no recording any more.
    pub is_purging: bool,
}

/// A recording: a row of the catalogue.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// Its name.
    pub id: RecordingId,
    /// Of its media, in plaintext.
    pub media_type: MediaType,
    /// Bytes of media; for one that is not complete, as last known.
    pub media_len: u64,
    /// How far it got.
    pub state: RecordingState,
    /// Sealed again from a recording whose end is missing.
    pub mended: bool,
    /// When it was stored; for a sealed one, when its header was first written.
    pub created_at: Timestamp,
    /// How its media is kept.
    pub content: Content,
    /// The proxy in whose spool the media lies, until it is in the media store: by the URL where other proxies reach it.
    pub spool: Option<Location>,
    /// What is known beside; none when nothing is.
    pub about: Option<Arc<About>>,
}

impl Recording {
    /// The state at `now`: a writer whose lease has lapsed is dead.
    #[must_use]
    pub fn state_at(&self, now: Timestamp) -> RecordingState {
        match self.state {
            RecordingState::Recording { lease_until } if lease_until < now => RecordingState::Unfinished,
            state => state,
        }
    }

    /// Whether its purge has begun.
    #[must_use]
    pub fn is_purging(&self) -> bool {
        self.about.as_ref().is_some_and(|about| about.is_purging)
    }

    /// By what listings are in order: when it was recorded, where the catalogue knows that, else when it was stored.
    #[must_use]
    pub fn listed_at(&self) -> Timestamp {
        let started = self.about.as_ref().and_then(|about| about.metadata.started());
        started.unwrap_or(self.created_at)
    }

    /// Whether the recording is kept sealed.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        matches!(self.content, Content::Sealed { .. })
    }

    /// The key that the recording needs, when it is sealed.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        match self.content {
            Content::Sealed { fingerprint, .. } => Some(fingerprint),
            Content::Plain { .. } => None,
        }
    }
}

impl RecordingState {
    /// As listings write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recording { .. } => "recording",
            Self::Unfinished => "unfinished",
            Self::Complete => "complete",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Fingerprint = Fingerprint([1; 32]);
    const NEXT_KEY: Fingerprint = Fingerprint([2; 32]);
    const SEAL_ID: SealId = SealId([3; 16]);
    const NEXT_SEAL_ID: SealId = SealId([4; 16]);

    fn sealed(replacement: Option<Replacement>) -> Content {
        Content::Sealed { fingerprint: KEY, seal_id: SEAL_ID, replacement }
    }

    fn plain(outside: Option<Location>) -> Content {
        Content::Plain { digest: [5; 32], exempt: false, outside }
    }

    fn recording(content: Content) -> Recording {
        Recording {
            id: "call-1".parse().expect("an ID"),
            media_type: "audio/ogg".parse().expect("a media type"),
            media_len: 1,
            state: RecordingState::Complete,
            mended: false,
            created_at: time(9),
            content,
            spool: None,
            about: None,
        }
    }

    fn time(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis).expect("in range")
    }

    /// While something takes the place of header or file, either may lie there.
    #[test]
    fn what_may_lie_under_a_name_is_what_its_row_says() {
        let header = Box::new([7; HEADER_LEN]);
        let rewrapping = Replacement::Header { fingerprint: NEXT_KEY, header: header.clone() };
        let resealing = Replacement::Sealing { fingerprint: NEXT_KEY, seal_id: NEXT_SEAL_ID };
        assert_eq!([rewrapping.fingerprint(), resealing.fingerprint()], [NEXT_KEY; 2]);
        let location: Location = "file:///srv/archive/call.wav".parse().expect("a location");
        for (content, seal_ids, pending_header, outside) in [
            (sealed(None), [Some(SEAL_ID), None], None, None),
            (sealed(Some(rewrapping)), [Some(SEAL_ID), None], Some(&*header), None),
            (sealed(Some(resealing)), [Some(SEAL_ID), Some(NEXT_SEAL_ID)], None, None),
            (plain(None), [None, None], None, None),
            (plain(Some(location.clone())), [None, None], None, Some(&location)),
        ] {
            assert_eq!(content.seal_ids(), seal_ids, "{content:?}");
            assert_eq!(content.pending_header(), pending_header, "{content:?}");
            assert_eq!(content.outside(), outside, "{content:?}");
            let is_sealed = matches!(content, Content::Sealed { .. });
            let recording = recording(content);
            assert_eq!((recording.is_sealed(), recording.fingerprint()), (is_sealed, is_sealed.then_some(KEY)));
        }
    }

    /// A writer that renews in the very last millisecond is alive.
    #[test]
    fn a_writer_is_dead_when_its_lease_has_lapsed() {
        let lease = RecordingState::Recording { lease_until: time(5) };
        let writing = Recording { state: lease, ..recording(sealed(None)) };
        for (now, state) in [(4, lease), (5, lease), (6, RecordingState::Unfinished)] {
            assert_eq!(writing.state_at(time(now)), state, "at {now}");
        }
        for state in [RecordingState::Unfinished, RecordingState::Complete] {
            assert_eq!(Recording { state, ..writing.clone() }.state_at(Timestamp::MAX), state);
        }
    }

    #[test]
    fn what_is_known_beside_decides_about_order_and_purge() {
        let of = |about| Recording { about: Some(Arc::new(about)), ..recording(sealed(None)) };
        let started = |text: &str| Metadata { started_at: Some(text.into()), ..Metadata::default() };
        for (recording, listed_at, is_purging) in [
            (recording(sealed(None)), time(9), false),
            (of(About::default()), time(9), false),
            (of(About { is_purging: true, ..About::default() }), time(9), true),
            (of(About { metadata: started("1970-01-01T00:00:01Z"), ..About::default() }), time(1000), false),
        ] {
            assert_eq!((recording.listed_at(), recording.is_purging()), (listed_at, is_purging), "{recording:?}");
        }
    }

    /// Listings, and those who ask for them by state, hold these words.
    #[test]
    fn states_are_written_as_ever() {
        let lease = RecordingState::Recording { lease_until: time(1) };
        let words = [lease, RecordingState::Unfinished, RecordingState::Complete].map(RecordingState::as_str);
        assert_eq!(words, ["recording", "unfinished", "complete"]);
    }
}
