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

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever takes one that wants something for one that wants nothing lists what was not asked for.
    #[test]
    fn one_that_wants_anything_is_not_empty() {
        assert!(Filter::default().is_empty());
        let time = Timestamp::from_millis(0);
        for filter in [
            Filter { words: vec!["zoë".into()], ..Filter::default() },
            Filter { group: Some("g-7".into()), ..Filter::default() },
            Filter { tag: Some("complaint".into()), ..Filter::default() },
            Filter { agent: Some("a.smith".into()), ..Filter::default() },
            Filter { from: time, ..Filter::default() },
            Filter { to: time, ..Filter::default() },
            Filter { state: Some(ListedState::Complete), ..Filter::default() },
        ] {
            assert!(!filter.is_empty(), "{filter:?}");
        }
    }
}
