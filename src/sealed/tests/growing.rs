//! A file that is looked at while it is being written: what verified plays, what is not there yet is waited for, and
//! what will never verify is corrupt.

use super::{id, key, media, play, seal};
use crate::sealed::{ChunkLen, Corruption, Error, Opener, Role, State, UnverifiedHeader};

const C: usize = 4096;
const R: usize = C + 16;

/// The file of a live writer, of which nothing is known yet.
fn begun(file: &[u8]) -> Opener {
    let header = UnverifiedHeader::read(file).expect("a header").verify(&key(1).0).expect("verifies");
    header.expect_place(&id("a"), &Role::Media).expect("its place").begin()
}

fn look(opener: &Opener, file: &[u8]) -> Result<Opener, Error> {
    let tail = opener.growing_tail(file.len() as u64)?;
    opener.grown(file.len() as u64, &file[tail.start as usize..tail.end as usize])
}

fn after(opener: &Opener, file: &[u8]) -> Result<Opener, Error> {
    let tail = opener.tail(file.len() as u64)?;
    opener.ended(file.len() as u64, &file[tail.start as usize..tail.end as usize])
}

fn name(looked: Result<Opener, Error>) -> Corruption {
    match looked {
        Err(Error::Corrupt(corruption)) => corruption,
        Err(other) => panic!("{other}"),
        Ok(opener) => panic!("{:?}", opener.state()),
    }
}

/// A tail of another length than was asked for is a file that changed in between, or a read that came short.
#[test]
fn a_tail_that_is_not_the_one_asked_for_is_refused() {
    let (file, _) = seal("a", ChunkLen::LIVE, &media(3 * C + 77), C);
    let opener = begun(&file);
    let short = Err(Error::Corrupt(Corruption::ShortRead));
    for cut in [512, 512 + 1, 512 + R, 512 + R + 1, 512 + 2 * R, 512 + 2 * R + 20, 512 + 3 * R + 5, file.len()] {
        let len = cut as u64;
        let tail = opener.tail(len).expect("a header's length or more");
        let growing = opener.growing_tail(len).expect("the same");
        assert_eq!((tail.end, growing.end), (len, len));
        for start in (0..cut).filter(|start| *start == 0 || start % R < 40 || start % R > R - 40) {
            let shown = &file[start..cut];
            if start as u64 != tail.start {
                assert_eq!(opener.ended(len, shown).map(|opener| opener.state()), short, "{start}..{cut}");
            }
            if start as u64 != growing.start {
                assert_eq!(opener.grown(len, shown).map(|opener| opener.state()), short, "{start}..{cut}");
            }
        }
        assert!(opener.ended(len, &file[tail.start as usize..cut]).is_ok(), "{cut}");
        assert!(opener.grown(len, &file[growing.start as usize..cut]).is_ok(), "{cut}");
    }
}

/// However few bytes come at a time: every whole record plays, and the end is seen when its last byte is there.
#[test]
fn every_length_is_judged_by_its_whole_records() {
    for len in [0, 1, C - 1, C, C + 1, 3 * C, 3 * C + 77] {
        let plain = media(len);
        let (file, _) = seal("a", ChunkLen::LIVE, &plain, C);
        let mut opener = begun(&file);
        assert!(opener.span(0..1).is_none(), "nothing is known of it");
        let last = 512 + (len.max(1) - 1) / C * R;
        for cut in 512..=file.len() {
            opener = look(&opener, &file[..cut]).unwrap_or_else(|error| panic!("{len}, {cut}: {error}"));
            let media_len = if cut == file.len() { len } else { (cut.min(last) - 512) / R * C };
            assert_eq!(opener.state().is_complete(), cut == file.len(), "{len}, {cut}");
            assert_eq!(opener.state().media_len(), media_len as u64, "{len}, {cut}");
            let known_len = if cut == file.len() { cut } else { 512 + media_len / C * R };
            assert_eq!(opener.file_len(), known_len as u64, "{len}, {cut}");
        }
        if len > 0 {
            assert_eq!(play(&opener, &file, 0..len as u64).expect("verifies"), plain);
        }
    }
}

#[test]
fn a_last_record_that_does_not_verify_is_not_there_yet() {
    let plain = media(5 * C);
    let (file, _) = seal("a", ChunkLen::LIVE, &plain, C);
    let mut early = file[..512 + 3 * R].to_vec();
    // Its bytes have not all come, and the file is as long as if they had.
    early[512 + 2 * R + 100..].fill(0);
    let first = look(&begun(&file), &early).expect("as far as the one before");
    assert_eq!(first.state(), State::Unfinished { media_len: 2 * C as u64 });
    let then = look(&first, &file[..512 + 3 * R]).expect("all of it");
    assert_eq!(then.state(), State::Unfinished { media_len: 3 * C as u64 });
    assert_eq!(play(&then, &file, 0..3 * C as u64).expect("verifies"), &plain[..3 * C]);
    // What was opened before reads what it read.
    assert_eq!(play(&first, &file, 0..2 * C as u64).expect("verifies"), &plain[..2 * C]);
    assert!(first.span(0..2 * C as u64 + 1).is_none());
    // The first record of all.
    let alone = look(&begun(&file), &[&file[..512], &[7; R][..]].concat()).expect("nothing yet");
    assert_eq!(alone.state(), State::Unfinished { media_len: 0 });
    // Once the writer has gone, that was all there ever will be.
    assert_eq!(name(after(&first, &early)), Corruption::Tail);
    assert_eq!(after(&then, &file[..512 + 3 * R + 50]).expect("unfinished").state(), then.state());
    assert!(after(&then, &file).expect("complete").state().is_complete());
}

#[test]
fn what_others_follow_verifies_or_is_corrupt() {
    let (file, _) = seal("a", ChunkLen::LIVE, &media(5 * C), C);
    let mut damaged = file[..512 + 3 * R].to_vec();
    damaged[512 + R + 5] ^= 1;
    damaged[512 + 2 * R + 5] ^= 1;
    assert_eq!(name(look(&begun(&file), &damaged)), Corruption::Chunk(1));
    let opener = look(&begun(&file), &file[..512 + 3 * R]).expect("verifies");
    let mut damaged = file[..512 + 3 * R].to_vec();
    damaged[512 + 2 * R + 5] ^= 1;
    assert_eq!(name(look(&opener, &damaged)), Corruption::Chunk(2), "it had verified");
    assert_eq!(name(look(&opener, &file[..512 + 2 * R])), Corruption::Chunk(2), "it is gone");
    assert_eq!(name(after(&opener, &file[..512 + 2 * R])), Corruption::ShortRead);
    assert_eq!(name(look(&opener, &file[..500])), Corruption::ShortHeader);
    // Nothing may follow a final record, and nothing is followed by one that was tagged as the last.
    let grown = [&file[..], &file[512..512 + R]].concat();
    assert_eq!(name(look(&opener, &grown)), Corruption::Chunk(4));
}
