//! What holds for every length, every piece and every range.

use proptest::prelude::*;

use super::{header, id, key, media, open, play, seal, sealing};
use crate::sealed::{ChunkLen, Corruption, NameClaim, Sealer, State, UnverifiedHeader};

const C: usize = 4096;
const R: usize = C + 16;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// However media arrives, the file has one shape, and any range equals the slice of the plaintext.
    #[test]
    fn any_range_equals_the_slice(
        len in 0_usize..5 * C,
        piece in 1_usize..3 * C,
        ranges in prop::collection::vec((0_usize..5 * C, 0_usize..5 * C), 8),
    ) {
        let media = media(len);
        let (file, sealed) = seal("a", ChunkLen::LIVE, &media, piece);
        prop_assert_eq!(sealed.media_len, len as u64);
        let records = len.div_ceil(C).max(1);
        prop_assert_eq!(file.len(), 512 + len + 16 * records);
        let opener = open(&file, &key(1).0, &id("a"), NameClaim::Final).expect("opens");
        prop_assert!(opener.state().is_complete());
        prop_assert_eq!(opener.state().media_len(), len as u64);
        prop_assert_eq!(opener.seal_id(), sealed.seal_id);
        for (a, b) in ranges {
            let (from, to) = (a.min(b), a.max(b));
            if from == to || to > len {
                prop_assert!(opener.span(from as u64..to as u64).is_none());
            } else {
                prop_assert_eq!(play(&opener, &file, from as u64..to as u64).expect("verifies"), &media[from..to]);
            }
        }
    }

    /// Wherever a writer stops, its file plays every chunk that others were known to follow, and says it is unfinished.
    #[test]
    fn a_writer_that_stops_leaves_its_whole_chunks(len in 0_usize..4 * C, lost in 0_usize..2 * C) {
        let media = media(len);
        let (file, _) = seal("a", ChunkLen::LIVE, &media, 1000);
        let final_record = 512 + (len.max(1) - 1) / C * (C + 16);
        let cut = final_record.saturating_sub(lost).max(512);
        let file = &file[..cut];
        let opener = open(file, &key(1).0, &id("a"), NameClaim::Part).expect("opens");
        prop_assert!(!opener.state().is_complete());
        let whole = (cut - 512) / (C + 16) * C;
        prop_assert_eq!(opener.state().media_len(), whole as u64);
        if whole > 0 {
            prop_assert_eq!(play(&opener, file, 0..whole as u64).expect("verifies"), &media[..whole]);
        }
        prop_assert!(open(file, &key(1).0, &id("a"), NameClaim::Final).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// However a file was cut, grown or damaged behind its header, what a presumed opener gives is what was sealed, and
    /// it gives every whole record that is as it was written.
    #[test]
    fn of_a_damaged_file_each_record_that_is_whole_comes_out(
        len in 1_usize..6 * C,
        cut in 512_usize..512 + 7 * C,
        flips in prop::collection::vec(512_usize..512 + 7 * C, 0..4),
        is_catalogued in any::<bool>(),
    ) {
        let media = media(len);
        let (good, _) = seal("a", ChunkLen::LIVE, &media, C);
        let mut file = good.clone();
        file.resize(cut, 0x5A);
        for at in flips {
            if let Some(byte) = file.get_mut(at) {
                *byte ^= 1;
            }
        }
        let catalogued = is_catalogued.then_some(len as u64);
        let opener = header(&file).presume(file.len() as u64, catalogued).expect("a length that a file can have");
        let end = opener.state().media_len() as usize;
        for start in (0..end).step_by(C) {
            let chunk = start..end.min(start + C);
            let record = 512 + start / C * (C + 16)..512 + start / C * (C + 16) + (chunk.end - chunk.start) + 16;
            let is_last = chunk.end >= len;
            match play(&opener, &file, chunk.start as u64..chunk.end as u64) {
                Ok(played) => prop_assert_eq!(&played, &media[chunk]),
                Err(_) => {
                    // Only where its bytes are others; or it is the final one, and nobody knows how long that should be.
                    let is_same = good.get(record.clone()) == file.get(record);
                    prop_assert!(!is_same || (is_last && !is_catalogued));
                }
            }
        }
    }
}

/// "Media byte p lies at file offset 512 + (p / C) * R + p % C": what is read is the range's records, whole, and
/// no others.
#[test]
fn a_span_is_the_records_of_its_range() {
    let len = 3 * C as u64 + 77;
    let (file, _) = seal("a", ChunkLen::LIVE, &media(len as usize), C);
    let opener = open(&file, &key(1).0, &id("a"), NameClaim::Final).expect("opens");
    let (c, r) = (C as u64, R as u64);
    for (media, records) in [
        (0..1, 0..1),
        (0..c, 0..1),
        (c - 1..c + 1, 0..2),
        (c..2 * c, 1..2),
        (c..2 * c + 1, 1..3),
        (3 * c - 1..3 * c, 2..3),
        (3 * c..3 * c + 1, 3..4),
        (2 * c + 5..len, 2..4),
        (0..len, 0..4),
    ] {
        let span = opener.span(media.clone()).expect("within");
        let bytes = 512 + records.start * r..(512 + records.end * r).min(file.len() as u64);
        assert_eq!((span.media(), span.records(), span.file()), (&media, &records, &bytes));
    }
    for (from, to) in [(0, 0), (5, 5), (6, 5), (len, len), (len - 1, len + 1), (len, len + 1), (0, u64::MAX)] {
        assert_eq!(opener.span(from..to), None, "{from}..{to}");
    }
}

/// Of a damaged file the catalogue knows best how long it was, unless so much does not fit into it.
#[test]
fn what_the_catalogue_says_is_presumed_where_it_fits() {
    for len in [0, 1, C, C + 1, 2 * C, 2 * C + 77] {
        let (file, _) = seal("a", ChunkLen::LIVE, &media(len), C);
        let presumed = |file_len: usize, catalogued| {
            header(&file).presume(file_len as u64, catalogued).expect("a length that a file can have").state()
        };
        let complete = State::Complete { media_len: len as u64 };
        let records = |file_len: usize| State::Unfinished { media_len: ((file_len - 512) / R * C) as u64 };
        assert_eq!(presumed(file.len(), Some(len as u64)), complete, "{len}");
        assert_eq!(presumed(file.len() + 3 * R, Some(len as u64)), complete, "{len}: grown");
        assert_eq!(presumed(file.len() - 1, Some(len as u64)), records(file.len() - 1), "{len}: cut");
        assert_eq!(presumed(file.len(), Some(len as u64 + 1)), records(file.len()), "{len}: more than there is");
        assert_eq!(presumed(file.len(), Some(u64::MAX)), records(file.len()), "{len}: more than any file holds");
        assert_eq!(presumed(file.len(), None), records(file.len()), "{len}: not in the catalogue");
    }
    let (file, _) = seal("a", ChunkLen::LIVE, &[], 1);
    let refused = |file_len| header(&file).presume(file_len, Some(0)).map(|opener| opener.state());
    assert_eq!(refused(511), Err(Corruption::ShortHeader.into()));
    assert_eq!(refused(u64::MAX), Err(Corruption::TooLong.into()));
}

/// "Re-wrapping changes bytes 32 … 103 and 480 … 511 and nothing else."
#[test]
fn a_header_wrapped_anew_is_of_the_same_sealing() {
    let media = media(3 * C + 5);
    let (file, sealed) = seal("a", ChunkLen::LIVE, &media, C);
    let ((from, _), (to, to_fingerprint)) = (key(1), key(2));
    let header = UnverifiedHeader::read(&file).and_then(|header| header.verify(&from)).expect("verifies");
    let new = header.rewrap(&from, to_fingerprint, &to).expect("wraps");
    let differing: Vec<usize> = (0..512).filter(|at| new[*at] != file[*at]).collect();
    assert!(differing.iter().all(|at| (32..104).contains(at) || (480..512).contains(at)), "{differing:?}");
    let found_by = UnverifiedHeader::read(&new).map(|header| header.fingerprint());
    assert_eq!(found_by, Ok(to_fingerprint), "or nobody finds the key that it is under");
    let mut moved = file.clone();
    moved[..512].copy_from_slice(&new);
    let opener = open(&moved, &to, &id("a"), NameClaim::Final).expect("opens under the new key");
    assert_eq!(opener.seal_id(), sealed.seal_id);
    assert_eq!(play(&opener, &moved, 0..media.len() as u64).expect("verifies"), media);
    assert!(open(&moved, &from, &id("a"), NameClaim::Final).is_err(), "and under no other");
    assert!(header.rewrap(&to, to_fingerprint, &to).is_err(), "a key that it is not under");
}

/// A source that broke off leaves every whole chunk, the last one too, and no end.
#[test]
fn breaking_off_keeps_the_last_whole_chunk() {
    for len in [0, 1, C - 1, C, C + 1, 2 * C, 3 * C - 1] {
        let media = media(len);
        let (key, fingerprint) = key(1);
        let (mut sealer, header) = Sealer::new(sealing("a", ChunkLen::LIVE), fingerprint, &key).expect("random");
        let mut file = header.to_vec();
        sealer.update(&media, &mut file).expect("short");
        assert_eq!(file.len() as u64, 512 + sealer.sealed_len() / C as u64 * R as u64, "{len}: all records so far");
        let seal_id = sealer.seal_id();
        let sealed = sealer.break_off(&mut file);
        assert_eq!(sealed.seal_id, seal_id);
        let whole = len / C * C;
        assert_eq!((sealed.media_len, file.len()), (whole as u64, 512 + len / C * (C + 16)), "{len}");
        let opener = open(&file, &key, &id("a"), NameClaim::Part).expect("opens");
        assert_eq!(opener.seal_id(), seal_id);
        assert!(!opener.state().is_complete() && opener.state().media_len() == whole as u64, "{len}");
        if whole > 0 {
            assert_eq!(play(&opener, &file, 0..whole as u64).expect("verifies"), &media[..whole], "{len}");
        }
    }
}

#[test]
fn every_chunk_length_works() {
    for log2 in 12..=20 {
        let chunk_len = ChunkLen::from_log2(log2).expect("in range");
        let media = media(2 * chunk_len.bytes() as usize + 3);
        let (file, _) = seal("a", chunk_len, &media, 70_000);
        let opener = open(&file, &key(1).0, &id("a"), NameClaim::Final).expect("opens");
        assert!(play(&opener, &file, 0..media.len() as u64).expect("verifies") == media, "2^{log2}");
    }
    assert_eq!(ChunkLen::from_log2(11), None);
    assert_eq!(ChunkLen::from_log2(21), None);
    assert_eq!(ChunkLen::from_log2(20).map(ChunkLen::bytes), Some(ChunkLen::MAX_BYTES));
}

#[test]
fn two_sealings_of_one_medium_share_nothing() {
    let media = media(C);
    let (one, first) = seal("a", ChunkLen::LIVE, &media, C);
    let (two, second) = seal("a", ChunkLen::LIVE, &media, C);
    assert_ne!(first.seal_id, second.seal_id);
    let same = one[512..].iter().zip(&two[512..]).filter(|(a, b)| a == b).count();
    assert!(same < C / 64, "{same} of {C} bytes alike");
}

#[test]
fn lengths_past_the_format_are_refused_before_any_arithmetic() {
    let (file, _) = seal("a", ChunkLen::LIVE, &media(1), 1);
    for file_len in [u64::MAX, (1 << 60) + (1 << 53), 1 << 62] {
        let header = crate::sealed::UnverifiedHeader::read(&file).and_then(|header| header.verify(&key(1).0));
        assert!(header.is_ok_and(|header| header.tail(file_len).is_err()), "{file_len}");
    }
}

/// "A file that is longer than 2^60 bytes of media take is corrupt."
#[test]
fn the_longest_file_of_each_chunk_length() {
    for log2 in 12..=20 {
        let chunk_len = ChunkLen::from_log2(log2).expect("in range");
        let record = chunk_len.record_bytes();
        let longest = 512 + (1 << 60) + 16 * (1 << (60 - log2));
        assert_eq!(chunk_len.file_len(1 << 60), Some(longest), "2^{log2}");
        assert_eq!(chunk_len.file_len((1 << 60) + 1), None, "2^{log2}");
        assert_eq!(chunk_len.file_len(u64::MAX), None, "2^{log2}");
        let (file, _) = seal("a", chunk_len, &[], 1);
        assert_eq!(header(&file).tail(longest), Ok(longest - record..longest), "2^{log2}");
        for more in [1, 16, 17, record - 1, record, record + 1, 2 * record] {
            assert_eq!(header(&file).tail(longest + more), Err(Corruption::TooLong.into()), "2^{log2}, {more}");
        }
    }
}
