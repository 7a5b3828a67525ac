//! Records: of a sealed file that somebody cut, grew, changed, or put together anew from its records and another's,
//! exactly that opens which the format says, and not a byte of media that was not sealed at its place.
//!
//! The model knows one thing: a record verifies if it is, byte for byte, the one that was sealed there, of its kind.

use core::ops::Range;
use std::sync::LazyLock;

use sealtape::sealed::{
    Corruption, Error, HEADER_LEN, NameClaim, Opener, Role, State, UnverifiedHeader, VerifiedHeader,
};

use super::{Choices, golden::Golden};

const C: usize = 4096;
const R: usize = C + 16;
/// As many changes as say something.
const CHANGES_MAX: usize = 24;
/// No file becomes longer.
const LEN_MAX: usize = HEADER_LEN + 8 * R;
/// What plaintext holds before anything was decrypted.
const UNTOUCHED: u8 = 0xEE;

static FILES: LazyLock<[Golden; 4]> = LazyLock::new(|| {
    [
        Golden::new("complete-3c-plus-17.sealed", include_bytes!("../../src/sealed/golden/complete-3c-plus-17.sealed")),
        Golden::new("complete-2c.sealed", include_bytes!("../../src/sealed/golden/complete-2c.sealed")),
        Golden::new("complete-c-plus-1.sealed", include_bytes!("../../src/sealed/golden/complete-c-plus-1.sealed")),
        Golden::new("complete-0.sealed", include_bytes!("../../src/sealed/golden/complete-0.sealed")),
    ]
});

/// The first byte chooses a file, what follows changes it, and the last say which ranges are asked for.
pub fn records(data: &[u8]) {
    let mut choices = Choices::new(data);
    let golden = &FILES[usize::from(choices.byte()) % FILES.len()];
    let asked: [usize; 4] = [choices.word(), choices.word(), choices.word(), choices.word()];
    let file = changed(golden, &mut choices);
    let sealed = Sealed { golden, file: &file };

    let judged = sealed.state();
    for claim in [NameClaim::Final, NameClaim::Part] {
        let tail = sealed.piece(sealed.verified().tail(file.len() as u64).expect("of a possible length"));
        let opened = sealed.verified().judge(file.len() as u64, tail, claim);
        match (claim, judged) {
            (NameClaim::Final, Some(State::Unfinished { .. })) => sealed.refused(opened, &Corruption::NotComplete),
            (_, None) => sealed.refused(opened, &Corruption::Tail),
            (_, Some(state)) => sealed.plays(&opened.expect("as the format says"), state, &asked),
        }
    }
    sealed.while_it_grows(&asked);
    sealed.presumed(asked[0] as u64, &asked);
}

/// The golden file after every change that the choices name.
fn changed(golden: &Golden, choices: &mut Choices<'_>) -> Vec<u8> {
    let mut file = golden.file.to_vec();
    for _ in 0..CHANGES_MAX {
        if choices.is_empty() {
            break;
        }
        let (change, at) = (choices.byte() % 8, choices.word());
        let body = file.len() - HEADER_LEN;
        let record = |of: &[u8], index: usize| {
            let start = (HEADER_LEN + index % 5 * R).min(of.len());
            of[start..of.len().min(start + R)].to_vec()
        };
        match change {
            0 if body > 0 => file[HEADER_LEN + at % body] ^= choices.byte().max(1),
            1 => file.truncate(HEADER_LEN + at % (body + 1)),
            2 => file.extend(core::iter::repeat_n(choices.byte(), at % (2 * R))),
            3 => file.extend(record(golden.file, at)),
            4 => file.extend(record(FILES[usize::from(choices.byte()) % FILES.len()].file, at)),
            5 => {
                let (from, to) = (record(&file, at), HEADER_LEN + usize::from(choices.byte()) % 5 * R);
                let end = file.len().min(to + from.len());
                if to < end {
                    file[to..end].copy_from_slice(&from[..end - to]);
                }
            }
            6 => {
                let start = HEADER_LEN + at % 5 * R;
                if start < file.len() {
                    file.drain(start..file.len().min(start + R));
                }
            }
            // To where it begins to matter: around the edges of records.
            _ => {
                file.truncate((HEADER_LEN + at / 64 % 5 * R + at % 64).saturating_sub(24).clamp(HEADER_LEN, file.len()))
            }
        }
        file.truncate(LEN_MAX);
    }
    file
}

struct Sealed<'a> {
    golden: &'a Golden,
    file: &'a [u8],
}

impl Sealed<'_> {
    fn verified(&self) -> VerifiedHeader {
        let header = UnverifiedHeader::read(self.file).and_then(|header| header.verify(&self.golden.key()));
        header.and_then(|header| header.expect_place(&self.golden.id, &Role::Media)).expect("the header is as it was")
    }

    fn piece(&self, range: Range<u64>) -> &[u8] {
        &self.file[range.start as usize..range.end as usize]
    }

    /// Whether a record is the one that was sealed at `index`, of the kind `is_final`.
    fn verifies(&self, index: usize, record: &[u8], is_final: bool) -> bool {
        let mut sealed = self.golden.file[HEADER_LEN..].chunks(R);
        let count = sealed.len();
        sealed.nth(index) == Some(record) && (index + 1 == count) == is_final
    }

    /// By the four rules of the format; none is corrupt.
    fn state(&self) -> Option<State> {
        let body = &self.file[HEADER_LEN..];
        let (full, rest) = (body.len() / R, body.len() % R);
        let last = |is_final| self.verifies(full - 1, &body[(full - 1) * R..full * R], is_final);
        if (rest > 16 || (rest == 16 && full == 0)) && self.verifies(full, &body[full * R..], true) {
            return Some(State::Complete { media_len: (full * C + rest - 16) as u64 });
        }
        if rest == 0 && full > 0 && last(true) {
            return Some(State::Complete { media_len: (full * C) as u64 });
        }
        (full == 0 || last(false)).then_some(State::Unfinished { media_len: (full * C) as u64 })
    }

    fn refused(&self, opened: Result<Opener, Error>, why: &Corruption) {
        assert_eq!(opened.map(|opener| opener.state()).err(), Some(Error::Corrupt(why.clone())));
    }

    /// Seen for the first time while its writer is at it, and then once more when the writer is gone.
    fn while_it_grows(&self, asked: &[usize]) {
        let (len, opener) = (self.file.len() as u64, self.verified().begin());
        let body = &self.file[HEADER_LEN..];
        let full = body.len() / R;
        let expected = match self.state() {
            Some(state) => Ok(state),
            None if full >= 2 && !self.verifies(full - 2, &body[(full - 2) * R..(full - 1) * R], false) => {
                Err(Error::Corrupt(Corruption::Chunk(full as u64 - 2)))
            }
            None => Ok(State::Unfinished { media_len: ((full - 1) * C) as u64 }),
        };
        let grown = opener.grown(len, self.piece(opener.growing_tail(len).expect("of a possible length")));
        match (grown, expected) {
            (Ok(grown), Ok(state)) => {
                self.plays(&grown, state, asked);
                let ended = grown.ended(len, self.piece(grown.tail(len).expect("of a possible length")));
                assert_eq!(ended.map(|opener| opener.state()).ok(), self.state());
            }
            (grown, expected) => assert_eq!(grown.map(|opener| opener.state()), expected),
        }
    }

    /// A damaged file, of which as much is wanted as there is.
    fn presumed(&self, catalogued: u64, asked: &[usize]) {
        let body = self.file.len() - HEADER_LEN;
        let needed = catalogued + 16 * catalogued.div_ceil(C as u64).max(1);
        let state = if needed <= body as u64 {
            State::Complete { media_len: catalogued }
        } else {
            State::Unfinished { media_len: (body / R * C) as u64 }
        };
        let opener = self.verified().presume(self.file.len() as u64, Some(catalogued)).expect("of a possible length");
        self.plays(&opener, state, asked);
    }

    /// Every chunk, all of it, and whichever ranges were asked for.
    fn plays(&self, opener: &Opener, state: State, asked: &[usize]) {
        assert_eq!(opener.state(), state);
        let len = state.media_len() as usize;
        let chunks = (0..len).step_by(C).map(|start| start..len.min(start + C));
        let ranges = asked.windows(2).map(|pair| pair[0] % (len + 1)..pair[1] % (len + 2));
        for range in chunks.chain(ranges).chain(core::iter::once(0..len)) {
            self.plays_range(opener, state, range);
        }
    }

    fn plays_range(&self, opener: &Opener, state: State, range: Range<usize>) {
        let len = state.media_len() as usize;
        let span = opener.span(range.start as u64..range.end as u64);
        assert_eq!(span.is_some(), !range.is_empty() && range.end <= len);
        let Some(span) = span else { return };
        // What was presumed may reach past the end of what is there: that is a short read.
        let end = span.file().end.min(self.file.len() as u64);
        let records = self.piece(span.file().start.min(end)..end);
        let mut plaintext = vec![UNTOUCHED; range.len()];
        let opened = opener.open_span(&span, records, &mut plaintext);
        let verified = opener.verify_span(&span, records);
        assert_eq!(opened.as_ref().err().map(|damage| damage.corruption.clone()), verified.err());

        let is_final = |index: usize| matches!(state, State::Complete { .. }) && (index + 1) * C >= len;
        let damaged = span.records().clone().map(|index| index as usize).find(|index| {
            let record = &self.file[HEADER_LEN + index * R..self.file.len().min(HEADER_LEN + (index + 1) * R)];
            let record = if is_final(*index) { &record[..record.len().min(len - index * C + 16)] } else { record };
            !self.verifies(*index, record, is_final(*index))
        });
        let good_end = damaged.map_or(range.end, |index| (index * C).clamp(range.start, range.end));
        match (opened, damaged) {
            (Ok(()), None) => {}
            (Err(damage), Some(index)) => {
                assert_eq!(damage.corruption, Corruption::Chunk(index as u64));
                assert_eq!(damage.verified_len, good_end - range.start);
            }
            (opened, damaged) => panic!("{opened:?} and {damaged:?}"),
        }
        let (good, rest) = plaintext.split_at(good_end - range.start);
        let sealed = self.golden.media.get(range.start..good_end).unwrap_or_default();
        assert!(good == sealed, "other media than was sealed");
        assert!(rest.iter().all(|byte| *byte == UNTOUCHED), "something was released that does not verify");
    }
}
