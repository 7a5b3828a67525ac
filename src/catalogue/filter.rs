//! Which recordings of the catalogue are looked for.

use crate::base::Timestamp;

/// The fewest letters of a word that is looked for.
pub const WORD_LEN_MIN: usize = 2;

/// What recordings must have to be listed: all that is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Beginnings of words: each must begin one of the words of the metadata in the catalogue, in whatever
    /// letters, or the ID.
    pub words: Vec<String>,
    /// The group, exactly.
    pub group: Option<String>,
    /// A tag, exactly.
    pub tag: Option<String>,
    /// The agent, exactly.
    pub agent: Option<String>,
    /// Recorded (or, where that is not known, stored) then or later.
    pub from: Option<Timestamp>,
    /// Recorded before then.
    pub to: Option<Timestamp>,
    /// How far they got.
    pub state: Option<ListedState>,
}

/// A state that recordings are looked for by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListedState {
    /// Being written at that time.
    Recording(Timestamp),
    /// Left by their writers, at that time.
    Unfinished(Timestamp),
    /// Whole.
    Complete,
}

impl Filter {
    /// Whether every recording has what is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
