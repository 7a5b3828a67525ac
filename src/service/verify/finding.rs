//! What is found: faults, which somebody must see to, and notes, which are worth knowing.

use std::{ops::Range, time::Duration};

use crate::base::RecordingId;

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The recording, as far as a row or a name says it.
    pub id: Option<RecordingId>,
    /// What it is.
    pub kind: FindingKind,
    /// The URLs of what it is about.
    pub locations: Vec<String>,
    /// More, for people.
    pub detail: String,
    /// Which chunks it is about.
    pub place: Option<Place>,
}

/// A stretch of a recording's media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Indices of chunks.
    pub chunks: Range<u64>,
    /// Bytes of media.
    pub media: Range<u64>,
    /// When they play: in proportion to bytes, where the container says how long all of it is.
    pub time: Option<Range<Duration>>,
}

macro_rules! finding_kinds {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $is_fault:literal, $way_out:literal;)*) => {
        /// What kind of thing was found.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FindingKind { $($(#[$doc])* $variant,)* }

        impl FindingKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As reports and metrics write it.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// Whether somebody must see to it.
            #[must_use]
            pub const fn is_fault(self) -> bool {
                match self { $(Self::$variant => $is_fault,)* }
            }

            /// What to do about it.
            #[must_use]
            pub const fn way_out(self) -> &'static str {
                match self { $(Self::$variant => $way_out,)* }
            }
        }
    };
}

finding_kinds! {
    /// In the catalogue, and its file is gone.
    MediaMissing = "media-missing", true, "restore the file from a backup";
    /// No such ID, and no file of it.
    NotFound = "recording-not-found", true, "`sealtape recordings list` shows what there is";
    /// A file that no row is of.
    Orphan = "orphan", true, "`--repair` catalogues one that verifies whole; move any other away";
    /// It lies in the store and is no file of a recording.
    Stranger = "stranger", true, "move it out of the media folder";
    /// The key that its header names is not here.
    KeyMissing = "key-missing", true, "`sealtape keys import` an export that has the key";
    /// Its header carries another recording's ID.
    OtherId = "other-id", true, "put the recording's own file back from a backup";
    /// It is another sealing than the one that the catalogue names.
    OtherSealing = "other-sealing", true, "put the file back that the catalogue knows; this one is older, or was swapped";
    /// Its header does not verify.
    CorruptHeader = "corrupt-header", true, "restore the file from a backup; without its header nothing of it can be read";
    /// A version or suite that this build does not read.
    UnsupportedFormat = "unsupported-format", true, "use the version of sealtape that wrote it, or a later one";
    /// Complete in the catalogue, and its end is missing.
    Truncated = "truncated", true, "restore the file from a backup; `sealtape cat --salvage` gets out what is left";
    /// Bytes follow its end.
    Overlong = "overlong", true, "restore the file from a backup; its media may be whole";
    /// A chunk does not verify.
    CorruptChunk = "corrupt-chunk", true, "restore the file from a backup; `sealtape cat --salvage` gets out the rest";
    /// A file in plain lies where the catalogue has a sealed one.
    NotSealed = "not-sealed", true, "find out who put it there, and restore the sealed file from a backup";
    /// Kept in plain, not exempt, and plain recordings are not allowed.
    PlainNotAllowed = "plain-not-allowed", true, "seal it, or allow plain recordings with encryption.allow_plain";
    /// The catalogue says another length than the file.
    WrongSize = "wrong-size", true, "`--repair` has the catalogue say what the verified file says";
    /// The catalogue says another database key than the file.
    WrongKey = "wrong-key", true, "`--repair` has the catalogue say what the verified file says";
    /// A file in plain is not what was stored.
    DigestMismatch = "digest-mismatch", true, "restore the file from a backup";
    /// Two files of one recording verify.
    TwoFiles = "two-files", true, "keep the one that the catalogue names, and move the other away";
    /// A file in plain beside a sealed recording, or the other way round.
    OtherKind = "other-kind", true, "find out who put it there, and move it away";
    /// It cannot be read.
    Unreadable = "unreadable", true, "see to the disk, or to who may read the file; `sealtape cat --salvage` gets out the rest";
    /// It changed at each look.
    Unsettled = "unsettled", true, "verify it again when nothing else is at work on it";
    /// Its writer died, or its source broke off.
    Unfinished = "unfinished", false, "what was recorded plays; `--repair` makes a complete recording of it";
    /// It waits in another server's spool, and only that one can read it.
    InSpool = "in-spool", false, "verify it on the machine of that server, or when it is in the media store";
    /// It is being written now.
    BeingRecorded = "being-recorded", false, "verify it again when it has ended";
    /// Its key is deactivated.
    KeyDeactivated = "key-deactivated", false, "`sealtape keys activate` lets it play again, `sealtape rewrap` moves it to another key";
    /// A rewrap or reseal of it did not come to its end.
    Pending = "pending-replacement", false, "it plays; the next rewrap or reseal, or `--repair`, brings that to its end";
    /// A file that a command left which was killed.
    LeftOver = "left-over", false, "nothing needs it; move it away when no import is at work";
    /// A damaged file that was kept when a mended one took its place.
    Kept = "kept-evidence", false, "move it away when nobody will ask for it any more";
}

impl Finding {
    /// One of which no place is known.
    pub(super) fn new(
        id: Option<&RecordingId>,
        kind: FindingKind,
        location: impl Into<Option<String>>,
        detail: impl ToString,
    ) -> Self {
        let locations = location.into().into_iter().collect();
        Self { id: id.cloned(), kind, locations, detail: detail.to_string(), place: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_codes_of_their_own_and_ways_out() {
        let mut codes: Vec<_> = FindingKind::ALL.iter().map(|kind| kind.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), FindingKind::ALL.len());
        for kind in FindingKind::ALL {
            assert!(kind.way_out().len() > 10, "{kind:?}");
            assert!(kind.code().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{kind:?}");
        }
    }
}
