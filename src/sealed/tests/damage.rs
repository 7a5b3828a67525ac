//! Every single flipped bit, cut, growth, swap and splice is refused, and by name.

use super::{id, key, media, open, play, play_all, seal};
use crate::sealed::{ChunkLen, Corruption, Error, NameClaim, UnverifiedHeader};

const C: usize = 4096;
const R: usize = C + 16;

#[test]
fn every_flipped_bit_is_refused() {
    let plain = media(C + 100);
    let (file, _) = seal("a", ChunkLen::LIVE, &plain, C);
    let (database_key, fingerprint) = key(1);
    for bit in 0..file.len() * 8 {
        let mut flipped = file.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let header = match UnverifiedHeader::read(&flipped) {
            Ok(header) => header,
            Err(Error::Corrupt(Corruption::Magic)) if bit / 8 < 8 => continue,
            Err(Error::UnsupportedVersion(_)) if bit / 8 == 8 => continue,
            Err(Error::UnsupportedSuite(_)) if bit / 8 == 9 => continue,
            Err(error) => panic!("bit {bit}: {error}"),
        };
        if header.fingerprint() != fingerprint {
            // The ring has no such key: `key-missing`.
            assert!((32 * 8..64 * 8).contains(&bit), "bit {bit}");
            continue;
        }
        let found = play_all(&flipped, &database_key, &id("a"), NameClaim::Final).expect_err("a flipped bit");
        let expected = match bit / 8 {
            // The salt leads to other keys, so that the header tag fails; so does any other field.
            64..104 => Corruption::Unwrap,
            0..512 => Corruption::HeaderTag,
            at if at < 512 + R => Corruption::Chunk(0),
            // The last record decides the state: without it the file is one whose end is missing.
            _ => Corruption::NotComplete,
        };
        assert_eq!(found, expected, "bit {bit}");
    }
}

#[test]
fn a_damaged_chunk_stops_only_the_ranges_that_need_it() {
    let plain = media(4 * C + 5);
    let (mut file, _) = seal("a", ChunkLen::LIVE, &plain, C);
    file[512 + 2 * R + 9] ^= 0x40;
    let opener = open(&file, &key(1).0, &id("a"), NameClaim::Final).expect("the tail verifies");
    let c = C as u64;
    assert_eq!(play(&opener, &file, 0..2 * c).expect("before"), &plain[..2 * C]);
    assert_eq!(play(&opener, &file, 3 * c..4 * c + 5).expect("after"), &plain[3 * C..]);
    let damage = play(&opener, &file, 100..4 * c).expect_err("across");
    assert_eq!((damage.corruption, damage.verified_len), (Corruption::Chunk(2), 2 * C - 100));
    assert_eq!(play(&opener, &file, 2 * c + 50..2 * c + 51).expect_err("within").verified_len, 0);
}

#[test]
fn nothing_is_written_past_the_damage() {
    let plain = media(3 * C);
    let (mut file, _) = seal("a", ChunkLen::LIVE, &plain, C);
    file[512 + R] ^= 1;
    let opener = open(&file, &key(1).0, &id("a"), NameClaim::Final).expect("the tail verifies");
    let span = opener.span(0..3 * C as u64).expect("within");
    let mut out = vec![0xEE; 3 * C];
    opener.open_span(&span, &file[512..], &mut out).expect_err("damage");
    assert_eq!(out[..C], plain[..C]);
    assert!(out[C..].iter().all(|byte| *byte == 0xEE), "no byte of an unverified chunk, or after it, is released");
}

#[test]
fn every_cut_and_growth_of_a_finished_file_is_refused() {
    let (file, _) = seal("a", ChunkLen::LIVE, &media(2 * C), C);
    let key = key(1).0;
    for len in 0..file.len() {
        let cut = if len < 512 { UnverifiedHeader::read(&file[..len]).err() } else { None };
        let refused = cut.or_else(|| open(&file[..len], &key, &id("a"), NameClaim::Final).err());
        assert!(matches!(refused, Some(Error::Corrupt(_))), "cut to {len}");
    }
    for more in 1..R + 20 {
        let mut grown = file.clone();
        grown.resize(file.len() + more, 0);
        let refused = open(&grown, &key, &id("a"), NameClaim::Final).err();
        assert!(matches!(refused, Some(Error::Corrupt(_))), "grown by {more}");
    }
}

#[test]
fn swaps_and_splices_are_refused() {
    let key = key(1).0;
    let plain = media(4 * C);
    let (one, _) = seal("a", ChunkLen::LIVE, &plain, C);
    let (two, _) = seal("a", ChunkLen::LIVE, &plain, C);
    let (other, _) = seal("b", ChunkLen::LIVE, &plain, C);
    let record = |index: usize| 512 + index * R..512 + (index + 1) * R;

    for (i, j) in [(0, 1), (0, 2), (1, 2), (0, 3), (2, 3)] {
        let mut swapped = one.clone();
        swapped[record(i)].copy_from_slice(&one[record(j)]);
        swapped[record(j)].copy_from_slice(&one[record(i)]);
        assert!(play_all(&swapped, &key, &id("a"), NameClaim::Final).is_err(), "{i} and {j} swapped");
    }
    for from in [&two, &other] {
        for index in 0..4 {
            let mut spliced = one.clone();
            spliced[record(index)].copy_from_slice(&from[record(index)]);
            assert!(play_all(&spliced, &key, &id("a"), NameClaim::Final).is_err(), "record {index}");
        }
        let mut other_header = one.clone();
        other_header[..512].copy_from_slice(&from[..512]);
        assert!(play_all(&other_header, &key, &id("a"), NameClaim::Final).is_err());
    }
    assert_eq!(play_all(&other, &key, &id("a"), NameClaim::Final), Err(Corruption::OtherId));
}

#[test]
fn an_older_sealing_in_its_place_is_known_by_its_seal_id() {
    let (old, old_sealed) = seal("a", ChunkLen::LIVE, &media(C), C);
    let (_, new_sealed) = seal("a", ChunkLen::LIVE, &media(C), C);
    let opener = open(&old, &key(1).0, &id("a"), NameClaim::Final).expect("a good file, in itself");
    assert_eq!(opener.seal_id(), old_sealed.seal_id);
    assert_ne!(opener.seal_id(), new_sealed.seal_id, "which is what the catalogue compares");
}

#[test]
fn a_read_that_comes_short_is_refused() {
    let (file, _) = seal("a", ChunkLen::LIVE, &media(3 * C), C);
    let opener = open(&file, &key(1).0, &id("a"), NameClaim::Final).expect("opens");
    let span = opener.span(0..3 * C as u64).expect("within");
    for len in [0, 1, R - 1, R, 3 * R - 1] {
        let damage = opener.open_span(&span, &file[512..512 + len], &mut vec![0; 3 * C]).expect_err("short");
        assert_eq!((damage.corruption, damage.verified_len), (Corruption::ShortRead, 0));
    }
}

#[test]
fn the_wrong_key_under_the_right_fingerprint_is_refused() {
    let (file, _) = seal("a", ChunkLen::LIVE, &media(C), C);
    assert_eq!(play_all(&file, &key(2).0, &id("a"), NameClaim::Final), Err(Corruption::Unwrap));
}
