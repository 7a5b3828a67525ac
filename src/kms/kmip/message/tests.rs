//! Messages, byte by byte, and whatever else may come in their place.

use proptest::prelude::*;

use super::*;

const NONCE: [u8; 12] = [9; 12];

/// An item: tag, type, length, value, padding.
fn item(tag: u32, kind: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = tag.to_be_bytes()[1..].to_vec();
    bytes.push(kind);
    bytes.extend(u32::try_from(value.len()).expect("short").to_be_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn structure(tag: u32, items: &[Vec<u8>]) -> Vec<u8> {
    item(tag, 1, &items.concat())
}

fn response(payload: &[Vec<u8>]) -> Vec<u8> {
    let version = structure(0x42_0069, &[item(0x42_006A, 2, &[0, 0, 0, 1]), item(0x42_006B, 2, &[0, 0, 0, 4])]);
    let head = structure(0x42_007A, &[version, item(0x42_0092, 9, &[0; 8]), item(0x42_000D, 2, &[0, 0, 0, 1])]);
    let answer = [item(0x42_005C, 5, &[0, 0, 0, 0x1F]), item(0x42_007F, 5, &[0; 4]), structure(0x42_007C, payload)];
    structure(0x42_007B, &[head, structure(0x42_000F, &answer)])
}

fn refusal(reason: u32) -> Vec<u8> {
    let answer = [
        item(0x42_007F, 5, &[0, 0, 0, 1]),
        item(0x42_007E, 5, &reason.to_be_bytes()),
        item(0x42_007D, 7, b"no such luck"),
    ];
    structure(0x42_007B, &[structure(0x42_007A, &[]), structure(0x42_000F, &answer)])
}

/// KMIP 1.4, section 4.29 and 9.1: field by field, in the order of the standard.
#[test]
fn encrypt_is_what_the_standard_says() {
    let key = Key::take(&mut [7; 32]);
    let request = Request::encrypt("id-1", NONCE, &key, b"row").ok().expect("encodes");
    let version = structure(0x42_0069, &[item(0x42_006A, 2, &[0, 0, 0, 1]), item(0x42_006B, 2, &[0, 0, 0, 4])]);
    let head = structure(0x42_0077, &[version, item(0x42_000D, 2, &[0, 0, 0, 1])]);
    let parameters =
        [item(0x42_0011, 5, &[0, 0, 0, 9]), item(0x42_0028, 5, &[0, 0, 0, 3]), item(0x42_00CE, 2, &[0, 0, 0, 16])];
    let payload = [
        item(0x42_0094, 7, b"id-1"),
        structure(0x42_002B, &parameters),
        item(0x42_00C2, 8, &[7; 32]),
        item(0x42_003D, 8, &NONCE),
        item(0x42_00FE, 8, b"row"),
    ];
    let batch = structure(0x42_000F, &[item(0x42_005C, 5, &[0, 0, 0, 0x1F]), structure(0x42_0079, &payload)]);
    assert_eq!(hex::encode(&*request.bytes), hex::encode(structure(0x42_0078, &[head, batch])));
}

#[test]
fn answers_are_read_and_keys_are_taken_out_of_them() {
    let payload = [item(0x42_0094, 7, b"1"), item(0x42_00C2, 8, &[5; 32]), item(0x42_00FF, 8, &[6; 16])];
    let wrapped = encrypted(&mut response(&payload), NONCE).ok().expect("reads");
    assert_eq!((&wrapped.nonce[..], &wrapped.ciphertext[..32]), (&NONCE[..], &[5; 32][..]));
    assert_eq!(wrapped.ciphertext[32..], [6; 16]);
    let payload = [item(0x42_0094, 7, b"1"), item(0x42_00C2, 8, &[[5; 32].as_slice(), &[6; 16]].concat())];
    let appended = encrypted(&mut response(&payload), NONCE).ok().expect("reads a tag that is appended");
    assert_eq!(appended.ciphertext, wrapped.ciphertext);
    let mut answer = response(&[item(0x42_0094, 7, b"1"), item(0x42_00C2, 8, &[5; 32])]);
    assert!(decrypted(&mut answer).ok() == Some(Key::take(&mut [5; 32])));
    assert!(!answer.windows(32).any(|window| window == [5; 32]), "nothing of it stays in the message");
    assert_eq!(located(&mut response(&[])).ok(), Some(vec![]));
    let both = [item(0x42_00D5, 2, &[0, 0, 0, 2]), item(0x42_0094, 7, b"1"), item(0x42_0094, 7, b"2")];
    assert_eq!(located(&mut response(&both)).ok(), Some(vec!["1".to_owned(), "2".to_owned()]));
}

#[test]
fn refusals_keep_their_reasons() {
    for (reason, is_it) in [
        (0x1_u32, (|refusal| matches!(refusal, Refusal::NotFound)) as fn(&Refusal) -> bool),
        (0xC, |refusal| matches!(refusal, Refusal::Denied(said) if said == "no such luck")),
        (0x5, |refusal| matches!(refusal, Refusal::NotSupported(_))),
        (0x100, |refusal| matches!(refusal, Refusal::Other(_))),
        // One that no version of the standard has.
        (0xABCD, |refusal| matches!(refusal, Refusal::Other(_))),
    ] {
        let refusal = done(&mut refusal(reason)).expect_err("refused");
        assert!(is_it(&refusal), "{reason:x}");
    }
}

#[test]
fn an_answer_that_is_cut_or_lies_about_lengths_is_garbage() {
    let whole = response(&[item(0x42_0094, 7, b"1"), item(0x42_00C2, 8, &[5; 32])]);
    for len in 0..whole.len() {
        assert!(decrypted(&mut whole[..len].to_vec()).is_err(), "{len}");
    }
    for at in (0..whole.len()).filter(|at| at % 8 == 4) {
        let mut lying = whole.clone();
        lying[at] = 0xFF;
        // Some of these are no lengths; none may ask for gigabytes.
        let _read_or_refused = decrypted(&mut lying);
    }
    let mut deep = vec![];
    for _ in 0..1000 {
        deep = item(0x42_000F, 1, &deep);
    }
    assert!(matches!(done(&mut deep), Err(Refusal::Garbage(_))));
}

proptest! {
    #[test]
    fn nothing_that_comes_brings_it_down(noise in proptest::collection::vec(any::<u8>(), 0..400), at in 0..200_usize) {
        let mut noise = noise;
        let whole = response(&[item(0x42_0094, 7, b"1"), item(0x42_00C2, 8, &[5; 32])]);
        let mut changed = whole.clone();
        for (place, byte) in changed.iter_mut().skip(at).zip(noise.iter().take(3)) {
            *place = *byte;
        }
        for message in [&mut noise, &mut changed] {
            let _either = (located(message), created(message), state(message), got(message), encrypted(message, NONCE));
            let _either = (done(message), decrypted(message));
        }
    }
}
