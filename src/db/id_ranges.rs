//! A set of recordings as ranges of IDs, which an index can be asked for: one after the other, none twice.
//!
//! Knows that IDs are compared byte by byte, and which bytes they are made of. Knows no statement.

use crate::base::RecordingId;

/// Comes before everything that an ID may go on with.
const BEFORE_ALL: char = ' ';
/// Comes after everything that an ID may go on with.
const AFTER_ALL: char = '\x7F';

/// IDs from the first one on, up to the second one and without it.
pub(super) type IdRange = (String, String);

/// The ranges of the items of a [`crate::access::RecordingSet`], which are IDs, or beginnings of IDs that end in `*`.
/// In order, and none overlaps another: of a beginning and what begins so the shorter one stays.
pub(super) fn id_ranges(items: &[String]) -> Vec<IdRange> {
    let range = |item: &String| match item.strip_suffix('*') {
        Some(beginning) => begins_an_id(beginning).then(|| (beginning.to_owned(), format!("{beginning}{AFTER_ALL}"))),
        None => item.parse::<RecordingId>().ok().map(|id| (id.to_string(), format!("{id}{BEFORE_ALL}"))),
    };
    let mut ranges: Vec<IdRange> = items.iter().filter_map(range).collect();
    // The widest of those that begin alike comes first.
    ranges.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| b.1.cmp(&a.1)));
    let mut apart: Vec<IdRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        // They lie one in another or apart.
        if apart.last().is_none_or(|last| last.1 <= range.0) {
            apart.push(range);
        }
    }
    apart
}

/// Whether there can be IDs that begin so.
fn begins_an_id(beginning: &str) -> bool {
    beginning.is_empty() || beginning.parse::<RecordingId>().is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::access::RecordingSet;

    fn has(ranges: &[IdRange], id: &str) -> bool {
        ranges.iter().any(|(low, high)| low.as_str() <= id && id < high.as_str())
    }

    #[test]
    fn what_lies_within_another_is_left_out() {
        let ranges = |items: &[&str]| id_ranges(&items.iter().map(ToString::to_string).collect::<Vec<_>>());
        let range = |low: &str, high: &str| (low.to_owned(), high.to_owned());
        assert_eq!(
            ranges(&["b", "a.1", "a.*", "a.12*", "b", "b*x", "\u{e9}*", "-*", "a\0*"]),
            [range("a.", "a.\x7F"), range("b", "b ")]
        );
        assert_eq!(ranges(&["a", "a*"]), [range("a", "a\x7F")]);
        assert_eq!(ranges(&["x", "*"]), [range("", "\x7F")]);
        assert!(ranges(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn they_are_the_set(
            items in prop::collection::vec("[ab.+@*z]{0,3}\\*?", 0..6),
            ids in prop::collection::vec("[abz][ab.+@z]{0,4}", 1..20),
        ) {
            let ranges = id_ranges(&items);
            prop_assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0), "apart, and in order");
            let set = RecordingSet::Listed(items);
            for id in ids {
                prop_assert_eq!(has(&ranges, &id), set.has(&id.parse().expect("an ID")), "{}", id);
            }
        }
    }
}
