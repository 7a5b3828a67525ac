//! What still verifies of a damaged recording is got out of it, exactly, and what is missing is named.

use std::fs;

use super::{CHUNK_LEN, file_len, offset};
use crate::support::{System, media, sample, text};

/// Standard output and what was said to be missing.
fn salvage(system: &System, arguments: &[&str]) -> (Option<i32>, Vec<u8>, Vec<String>) {
    let output = system.run(&[&["cat", "--salvage"], arguments].concat());
    let said = text(&output.stderr);
    let missing = said.lines().filter_map(|line| line.split_once(": bytes ")?.1.split_once(" are missing"));
    (output.status.code(), output.stdout, missing.map(|(range, _)| range.to_owned()).collect())
}

fn without(bytes: &[u8], chunks: &[usize]) -> Vec<u8> {
    let parts = bytes.chunks(CHUNK_LEN).enumerate().filter(|(n, _)| !chunks.contains(n));
    parts.flat_map(|(_, chunk)| chunk.to_vec()).collect()
}

#[test]
fn every_byte_that_verifies_comes_out_and_no_other() {
    let (system, bytes) = (System::with_key(), media(40 * CHUNK_LEN + 100));
    system.import("call", &bytes);
    let (code, out, missing) = salvage(&system, &["call"]);
    assert_eq!((code, missing.len()), (Some(0), 0), "there is nothing to be missed");
    assert!(out == bytes);
    let damaged = [0, 7, 8, 20, 40];
    for chunk in damaged {
        system.object("call").flip(offset(chunk * CHUNK_LEN + 11));
    }
    assert!(system.run(&["cat", "call"]).status.code() == Some(1), "without it, it is refused");
    let (code, out, missing) = salvage(&system, &["call"]);
    assert_eq!(code, Some(3));
    assert!(out == without(&bytes, &damaged));
    let range = |first: usize, end: usize| format!("{first}-{}", end - 1);
    let c = CHUNK_LEN;
    assert_eq!(missing, [range(0, c), range(7 * c, 9 * c), range(20 * c, 21 * c), range(40 * c, 40 * c + 100)]);
    // Within a range, whose ends lie within chunks.
    let (first, end) = (6 * c + 5, 20 * c + 9);
    let (code, out, missing) = salvage(&system, &["call", "--range", &range(first, end)]);
    assert_eq!(code, Some(3));
    assert!(out == [&bytes[first..7 * c], &bytes[9 * c..20 * c]].concat());
    assert_eq!(missing, [range(7 * c, 9 * c), range(20 * c, end)]);
    let (code, out, missing) = salvage(&system, &["call", "--range", &range(c + 1, 2 * c)]);
    assert_eq!((code, missing.len()), (Some(0), 0), "a range without damage");
    assert!(out == bytes[c + 1..2 * c]);
}

#[test]
fn of_a_file_that_was_cut_what_is_left_comes_out() {
    let (system, bytes) = (System::with_key(), media(10 * CHUNK_LEN + 100));
    for id in ["torn", "between", "longer"] {
        system.import(id, &bytes);
    }
    system.object("torn").cut(offset(4 * CHUNK_LEN + 50));
    system.object("torn").flip(offset(CHUNK_LEN));
    system.object("between").cut(offset(4 * CHUNK_LEN));
    let longer = [system.object("longer").read(), vec![1; 40_000]].concat();
    system.object("longer").write(&longer);
    let rest = format!("{}-{}", 4 * CHUNK_LEN, bytes.len() - 1);
    let (code, out, missing) = salvage(&system, &["torn"]);
    assert!(code == Some(3) && out == without(&bytes[..4 * CHUNK_LEN], &[1]));
    assert_eq!(missing, [format!("{}-{}", CHUNK_LEN, 2 * CHUNK_LEN - 1), rest.clone()]);
    let (code, out, missing) = salvage(&system, &["between"]);
    assert!(code == Some(3) && out == bytes[..4 * CHUNK_LEN]);
    assert_eq!(missing, [rest]);
    let (code, out, missing) = salvage(&system, &["longer"]);
    assert!(code == Some(0) && out == bytes && missing.is_empty(), "all of it is there");
}

#[test]
fn without_a_header_of_its_own_nothing_comes_out() {
    let (system, bytes) = (System::with_key(), media(50_000));
    for id in ["good", "head", "swapped", "older"] {
        system.import(id, &bytes);
    }
    system.object("head").flip(300);
    system.object("swapped").write(&system.object("good").read());
    let old = system.object("older").read();
    system.ok(&["reseal", "older"]);
    system.object("older").write(&old);
    for id in ["head", "swapped", "older"] {
        let output = system.run(&["cat", "--salvage", id]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{id}");
        assert!(text(&output.stderr).contains("recording-corrupt"), "{id}: {}", text(&output.stderr));
    }
    system.ok(&["encryption", "disable"]);
    assert!(system.fails(1, &["cat", "--salvage", "good"]).contains("encryption-disabled"), "the same rules hold");
}

#[test]
fn it_is_said_when_the_missing_part_would_have_played() {
    let system = System::with_key();
    let wav = sample("call-billing-wav-pcm.wav");
    system.ok(&["import", wav.to_str().expect("UTF-8"), "--id", "call"]);
    let chunk = file_len(&wav) as usize / CHUNK_LEN / 2;
    system.object("call").flip(offset(chunk * CHUNK_LEN));
    let output = system.run(&["cat", "--salvage", "call"]);
    let said = text(&output.stderr);
    assert!(said.contains("are missing, about 0:") && said.contains("were left out"), "{said}");
    assert!(output.stdout == without(&fs::read(&wav).expect("read"), &[chunk]));
}
