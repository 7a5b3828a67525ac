//! What the names of objects end with, in every kind of store: how their bytes are kept, what the name claims, and the
//! mark of damaged ones that are kept beside those that took their place.

use crate::base::SealId;
use crate::media::{MediaKind, Stage};

/// What comes between an object's name and the name of its sealing, when it is kept.
pub(super) const KEPT_MARK: &str = ".damaged-";

/// What the name of an object ends with.
pub(super) fn suffix(kind: MediaKind, stage: Stage) -> &'static str {
    match (kind, stage) {
        (MediaKind::Sealed, Stage::Final) => ".sealed",
        (MediaKind::Sealed, Stage::Part) => ".sealed.part",
        (MediaKind::Sealed, Stage::Next) => ".sealed.next",
        (MediaKind::Plain, Stage::Final) => ".plain",
        (MediaKind::Plain, Stage::Part) => ".plain.part",
        (MediaKind::Plain, Stage::Next) => ".plain.next",
    }
}

/// What comes before that, and what it says. More than one way when a name holds suffixes of its own.
pub(super) fn without_suffix(name: &str) -> impl Iterator<Item = (&str, MediaKind, Stage)> {
    [MediaKind::Sealed, MediaKind::Plain]
        .into_iter()
        .flat_map(|kind| [Stage::Final, Stage::Part, Stage::Next].map(|stage| (kind, stage)))
        .filter_map(|(kind, stage)| Some((name.strip_suffix(suffix(kind, stage))?, kind, stage)))
}

/// Under which name the object of that name and sealing is kept.
pub(super) fn kept(name: &str, seal_id: &SealId) -> String {
    format!("{name}{KEPT_MARK}{seal_id}")
}

/// The name that a kept object had before, if it is one.
pub(super) fn before_kept(name: &str) -> Option<&str> {
    let (before, seal_id) = name.rsplit_once(KEPT_MARK)?;
    seal_id.parse::<SealId>().is_ok().then_some(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_names_lead_back_to_the_object() {
        let seal_id = SealId([0xab; 16]);
        assert_eq!(before_kept(&kept("a.sealed", &seal_id)), Some("a.sealed"));
        for other in ["a.sealed", "a.sealed.damaged-", "a.damaged-AB", &format!("a.damaged-{}", "g".repeat(32))] {
            assert_eq!(before_kept(other), None, "{other}");
        }
    }
}
