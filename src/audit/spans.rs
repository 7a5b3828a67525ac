//! Which bytes of a recording were handed out: intervals, merged, of bounded number.

use std::ops::Range;

use serde::{Serialize, Serializer, ser::SerializeSeq};

/// How many intervals are told apart. A player that seeks makes a few; more are merged across their smallest gaps.
const SPANS_MAX: usize = 64;

/// Intervals in order, none touching another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    spans: Vec<Range<u64>>,
    is_coarse: bool,
}

impl Spans {
    /// Adds an interval. Allocates only when it touches none that is there.
    pub fn add(&mut self, span: Range<u64>) {
        if span.is_empty() {
            return;
        }
        // Those from `first` up to `last` overlap it or touch it.
        let first = self.spans.partition_point(|there| there.end < span.start);
        let last = self.spans.partition_point(|there| there.start <= span.end);
        let touched = self.spans.get(first..last).unwrap_or_default();
        match (touched.first().cloned(), touched.last().cloned()) {
            (Some(low), Some(high)) => {
                if let Some(kept) = self.spans.get_mut(first) {
                    *kept = low.start.min(span.start)..high.end.max(span.end);
                }
                self.spans.drain(first + 1..last);
            }
            _ => {
                self.spans.insert(first, span);
                if self.spans.len() > SPANS_MAX {
                    self.close_smallest_gap();
                }
            }
        }
    }

    /// Whether every byte of `media` is in it, and was not merely merged in.
    #[must_use]
    pub fn covers(&self, media: &Range<u64>) -> bool {
        let is_in = |span: &Range<u64>| span.start <= media.start && media.end <= span.end;
        media.is_empty() || !self.is_coarse && self.spans.iter().any(is_in)
    }

    /// Whether intervals were merged across a gap.
    #[must_use]
    pub fn is_coarse(&self) -> bool {
        self.is_coarse
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    fn close_smallest_gap(&mut self) {
        let gap = |pair: &[Range<u64>]| match pair {
            [low, high] => high.start - low.end,
            _ => u64::MAX,
        };
        let smallest = self.spans.windows(2).enumerate().min_by_key(|(_, pair)| gap(pair)).map(|(at, _)| at);
        if let Some(at) = smallest {
            let high = self.spans.remove(at + 1);
            if let Some(low) = self.spans.get_mut(at) {
                low.end = high.end;
            }
            self.is_coarse = true;
        }
    }
}

impl Serialize for Spans {
    /// `[[first, last], …]`, both included, as ranges of HTTP are written.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.spans.len()))?;
        for span in &self.spans {
            list.serialize_element(&[span.start, span.end - 1])?;
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(list: &[Range<u64>]) -> Spans {
        let mut spans = Spans::default();
        list.iter().for_each(|span| spans.add(span.clone()));
        spans
    }

    #[test]
    #[allow(clippy::single_range_in_vec_init, reason = "a list of one span")]
    fn what_overlaps_or_touches_is_one() {
        for (added, merged) in [
            (&[0..1][..], &[0..1][..]),
            (&[0..1, 1..2], &[0..2]),
            (&[5..6, 0..1], &[0..1, 5..6]),
            (&[0..1, 2..3, 1..2], &[0..3]),
            (&[0..10, 2..3], &[0..10]),
            (&[2..3, 0..10], &[0..10]),
            (&[0..2, 4..6, 8..10, 1..9], &[0..10]),
            (&[0..2, 4..6, 8..10, 6..7], &[0..2, 4..7, 8..10]),
            (&[3..3], &[]),
        ] {
            assert_eq!(spans(added).spans, merged, "{added:?}");
        }
    }

    #[test]
    fn the_same_bytes_as_a_set_of_positions_in_any_order() {
        let mut seed = 1_u64;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            seed >> 33
        };
        for _ in 0..200 {
            let (mut merged, mut positions) = (Spans::default(), std::collections::BTreeSet::new());
            for _ in 0..20 {
                let start = next() % 100;
                let span = start..start + next() % 8;
                positions.extend(span.clone());
                merged.add(span);
            }
            assert_eq!(merged.spans.iter().cloned().flatten().collect::<std::collections::BTreeSet<u64>>(), positions);
            assert!(merged.spans.windows(2).all(|pair| pair[0].end < pair[1].start), "{merged:?}");
        }
    }

    #[test]
    fn too_many_are_merged_across_the_smallest_gap_and_say_so() {
        let mut spans = Spans::default();
        for i in 0..SPANS_MAX as u64 {
            spans.add(i * 100..i * 100 + 10);
        }
        assert!(!spans.is_coarse());
        spans.add(50..60);
        assert!(spans.is_coarse());
        assert_eq!((spans.spans.len(), spans.spans[0].clone()), (SPANS_MAX, 0..60));
        assert!(!spans.covers(&(0..60)), "a gap that was closed was not heard");
    }

    #[test]
    fn positions_are_written_first_and_last() {
        assert_eq!(serde_json::to_string(&spans(&[0..10, 20..21])).expect("text"), "[[0,9],[20,20]]");
    }
}
