//! How far a sound goes down and up, stretch by stretch, in room that does not grow with its length.
//!
//! Of each channel up to [`STRETCHES_MAX`] stretches are kept, of one frame each at first; when they are full, two and
//! two become one. So nobody has to know, or believe, how long it will be. Knows no codec and no HTTP.

use std::ops::Range;

/// How many stretches are kept of a channel: half of them, at least, of what is longer than that many frames.
const STRETCHES_MAX: usize = 1 << 15;

/// The lowest and the highest sample of a stretch; full scale is that of `i16`.
pub(super) type Peak = (i16, i16);

/// Peaks of all channels.
#[derive(Debug)]
pub(super) struct Peaks {
    channels: Vec<Vec<Peak>>,
    /// Frames in each stretch but the last.
    stretch_len: u64,
    /// Frames in all.
    len: u64,
}

impl Peaks {
    /// Of a sound that has not begun.
    pub(super) fn new(channel_count: usize) -> Self {
        Self { channels: vec![Vec::new(); channel_count], stretch_len: 1, len: 0 }
    }

    pub(super) fn channel_count(&self) -> usize {
        self.channels.len()
    }

    /// How many frames it has.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Adds what comes next: the same number of samples of each channel.
    pub(super) fn add(&mut self, planes: &[Vec<i16>]) {
        let len = planes.iter().map(Vec::len).min().unwrap_or_default();
        self.extend(len as u64, |channel, range| {
            let range = index(range.start)..index(range.end);
            let samples = planes.get(channel).and_then(|plane| plane.get(range)).unwrap_or_default();
            let lowest = samples.iter().copied().fold(i16::MAX, i16::min);
            (lowest, samples.iter().copied().fold(i16::MIN, i16::max))
        });
    }

    /// Adds silence.
    pub(super) fn add_silence(&mut self, len: u64) {
        self.extend(len, |_, _| (0, 0));
    }

    /// Adds `len` frames, of which `peak` tells those of a channel in a range.
    fn extend(&mut self, len: u64, peak: impl Fn(usize, Range<u64>) -> Peak) {
        let mut position = 0;
        while position < len {
            let in_last = self.len % self.stretch_len;
            if in_last == 0 && self.channels.first().is_some_and(|stretches| stretches.len() >= STRETCHES_MAX) {
                self.halve();
                continue;
            }
            let end = len.min(position + self.stretch_len - in_last);
            for (channel, stretches) in self.channels.iter_mut().enumerate() {
                let peak = peak(channel, position..end);
                match stretches.last_mut() {
                    Some(last) if in_last > 0 => *last = both(*last, peak),
                    _ => stretches.push(peak),
                }
            }
            self.len += end - position;
            position = end;
        }
    }

    fn halve(&mut self) {
        for stretches in &mut self.channels {
            *stretches = stretches.chunks(2).filter_map(|pair| pair.iter().copied().reduce(both)).collect();
        }
        self.stretch_len *= 2;
    }

    /// Nothing more is added.
    pub(super) fn finish(&mut self) {
        self.channels.iter_mut().for_each(Vec::shrink_to_fit);
    }

    /// What it takes in memory.
    pub(super) fn len_bytes(&self) -> usize {
        self.channels.iter().map(|stretches| size_of::<Vec<Peak>>() + stretches.capacity() * size_of::<Peak>()).sum()
    }

    /// The peaks of a channel's `count` parts of one length. Each part has at least one frame; of a sound that has fewer,
    /// parts share them.
    pub(super) fn parts(&self, channel: usize, count: u64) -> impl Iterator<Item = Peak> + '_ {
        let stretches = self.channels.get(channel).map(Vec::as_slice).unwrap_or_default();
        (0..count).filter_map(move |part| {
            let at = |part: u64| u64::try_from(u128::from(part) * u128::from(self.len) / u128::from(count)).ok();
            let (start, end) = (at(part)?, at(part + 1)?.max(at(part)? + 1));
            let range = index(start / self.stretch_len)..index((end - 1) / self.stretch_len + 1);
            stretches.get(range)?.iter().copied().reduce(both)
        })
    }
}

fn both(one: Peak, other: Peak) -> Peak {
    (one.0.min(other.0), one.1.max(other.1))
}

/// A place in what is in memory.
fn index(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(sound: &[i16], piece_len: usize) -> Peaks {
        let mut peaks = Peaks::new(1);
        for piece in sound.chunks(piece_len) {
            peaks.add(&[piece.to_vec()]);
        }
        peaks
    }

    /// Samples that repeat only after a long while.
    fn sound(len: usize) -> Vec<i16> {
        (0..len as u32).map(|at| ((at.wrapping_mul(2_654_435_761) >> 16) as u16).cast_signed()).collect()
    }

    proptest! {
        /// What is short enough is told exactly, however it came and however many parts are asked for.
        #[test]
        fn parts_of_a_short_sound_are_exact(len in 1_usize..5000, count in 1_u64..6000, piece_len in 1_usize..700) {
            let sound = sound(len);
            let parts: Vec<Peak> = of(&sound, piece_len).parts(0, count).collect();
            prop_assert_eq!(parts.len() as u64, count);
            for (part, peak) in parts.into_iter().enumerate() {
                let start = part * len / count as usize;
                let end = ((part + 1) * len / count as usize).max(start + 1);
                let samples = &sound[start..end];
                prop_assert_eq!(Some(&peak.0), samples.iter().min());
                prop_assert_eq!(Some(&peak.1), samples.iter().max());
            }
        }

        /// Of one that is longer a part tells of all its samples, and of no others but those of the stretches at its ends.
        #[test]
        fn parts_of_a_long_sound_are_right_to_a_stretch(
            len in STRETCHES_MAX..6 * STRETCHES_MAX,
            count in 1_u64..10_000,
            piece_len in 500_usize..5000,
        ) {
            let sound = sound(len);
            let peaks = of(&sound, piece_len);
            prop_assert!(peaks.channels[0].len() <= STRETCHES_MAX && peaks.channels[0].len() >= STRETCHES_MAX / 2);
            prop_assert_eq!(peaks.len(), len as u64);
            let stretch_len = peaks.stretch_len as usize;
            for (part, (low, high)) in peaks.parts(0, count).enumerate() {
                let (start, end) = (part * len / count as usize, (part + 1) * len / count as usize);
                let within = |range: Range<usize>| {
                    let samples = &sound[range.start..range.end.min(len)];
                    (*samples.iter().min().expect("some"), *samples.iter().max().expect("some"))
                };
                let (lowest, highest) = within(start..end.max(start + 1));
                prop_assert!(low <= lowest && high >= highest);
                let around = start / stretch_len * stretch_len..end.div_ceil(stretch_len) * stretch_len;
                prop_assert_eq!((low, high), within(around));
            }
        }
    }

    #[test]
    fn channels_are_told_apart_and_silence_is_silent() {
        let mut peaks = Peaks::new(2);
        peaks.add(&[vec![100, -200, 300], vec![0, 0, 0]]);
        peaks.add_silence(3);
        assert_eq!((peaks.channel_count(), peaks.len()), (2, 6));
        assert_eq!(peaks.parts(0, 2).collect::<Vec<_>>(), [(-200, 300), (0, 0)]);
        assert_eq!(peaks.parts(1, 2).collect::<Vec<_>>(), [(0, 0), (0, 0)]);
    }

    #[test]
    fn silence_without_end_takes_the_room_of_a_sound() {
        let mut peaks = Peaks::new(1);
        peaks.add_silence(u64::from(u32::MAX) * 100);
        peaks.add(&[vec![7]]);
        peaks.finish();
        assert!(peaks.len_bytes() <= STRETCHES_MAX * 4 + 64, "{}", peaks.len_bytes());
        assert_eq!(peaks.parts(0, 10).last(), Some((0, 7)));
    }

    #[test]
    fn nothing_has_no_parts() {
        assert_eq!(Peaks::new(2).parts(0, 10).count(), 0);
        assert_eq!(Peaks::new(0).parts(0, 10).count(), 0);
    }
}
