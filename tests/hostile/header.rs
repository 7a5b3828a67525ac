//! Headers: no byte of one is believed before its tag has verified, and of those whose tag does, exactly those are taken
//! that the format allows.

use std::sync::LazyLock;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sealtape::{
    base::{MediaType, RecordingId, SidecarName},
    crypto::database_key_fingerprint,
    sealed::{Corruption, Error, HEADER_LEN, UnverifiedHeader},
};
use sha2::Sha256;

use super::golden::Golden;

static FILE: LazyLock<Golden> =
    LazyLock::new(|| Golden::new("complete-c.sealed", include_bytes!("../../src/sealed/golden/complete-c.sealed")));

/// Headers under the same database key, by whoever has it.
const WRITTEN: [&[u8]; 8] = [
    include_bytes!("../../src/sealed/golden/complete-c.sealed"),
    include_bytes!("../../src/sealed/golden/complete-sidecar.sealed"),
    include_bytes!("../../src/sealed/golden/complete-metadata.sealed"),
    include_bytes!("../../src/sealed/golden/complete-mended.sealed"),
    include_bytes!("../../src/sealed/golden/complete-longest-id.sealed"),
    include_bytes!("../../src/sealed/golden/complete-longest-sidecar-name.sealed"),
    include_bytes!("../../src/sealed/golden/complete-media-type-quoted.sealed"),
    include_bytes!("../../src/sealed/golden/complete-sealed-at-max.sealed"),
];

/// Bytes as a header; then the same as somebody writes them who has the file key, so that what stands behind the tag is
/// reached.
pub fn header(data: &[u8]) {
    as_it_came(data);
    if let Some(bytes) = data.first_chunk::<HEADER_LEN>() {
        tagged(*bytes);
    }
}

fn as_it_came(data: &[u8]) {
    let read = UnverifiedHeader::read(data);
    let expected = match data {
        data if data.len() < HEADER_LEN => Err(Corruption::ShortHeader.into()),
        data if data[..8] != *b"\x89STP\r\n\x1a\n" => Err(Corruption::Magic.into()),
        data if data[8] != 1 => Err(Error::UnsupportedVersion(data[8])),
        data if data[9] != 1 => Err(Error::UnsupportedSuite(data[9])),
        _ => Ok(()),
    };
    assert_eq!(read.as_ref().map(|_| ()).map_err(Clone::clone), expected);
    let Ok(read) = read else { return };
    assert_eq!(read.fingerprint().0, data[32..64]);
    // Nobody who has no key writes one that verifies.
    let was_written = WRITTEN.iter().any(|file| file[..HEADER_LEN] == data[..HEADER_LEN]);
    assert_eq!(read.verify(&FILE.key()).is_ok(), was_written);
}

fn tagged(mut bytes: [u8; HEADER_LEN]) {
    bytes[..10].copy_from_slice(&FILE.file[..10]);
    bytes[16..32].copy_from_slice(&FILE.file[16..32]);
    bytes[64..104].copy_from_slice(&FILE.file[64..104]);
    let tag = tag(&bytes[..480]);
    bytes[480..].copy_from_slice(&tag);
    let key = FILE.key();
    let verified = UnverifiedHeader::read(&bytes).expect("begins as one").verify(&key);
    match (verified, fault(&bytes)) {
        (Ok(verified), None) => {
            // There is one encoding of what was read, and these are its bytes; but for what it says of the key.
            let again = verified.rewrap(&key, verified.header().fingerprint, &key).expect("under the same key");
            assert_eq!(again, bytes);
            let ours = verified.rewrap(&key, database_key_fingerprint(&key), &key).expect("under the same key");
            assert!((0..HEADER_LEN).all(|at| again[at] == ours[at] || (32..64).contains(&at) || at >= 480));
        }
        (Err(Error::Corrupt(found)), Some(expected)) => assert_eq!(found, expected),
        (found, expected) => panic!("{:?} and {expected:?}", found.map(|verified| verified.header().clone())),
    }
}

/// What the page on the format says is wrong, in the order in which its table has the fields; what is a media type, an ID
/// or a name is asked of those.
fn fault(bytes: &[u8; HEADER_LEN]) -> Option<Corruption> {
    let text = |from: usize, len_max: usize| {
        let len = usize::from(bytes[from]);
        let (text, padding) = bytes[from + 1..=from + len_max].split_at_checked(len)?;
        padding.iter().all(|byte| *byte == 0).then(|| core::str::from_utf8(text).ok())?
    };
    let printable = |text: &&str| text.bytes().all(|byte| (0x20..=0x7E).contains(&byte));
    let role = bytes[12];
    let sealed_at = u64::from_be_bytes(bytes[104..112].try_into().unwrap());
    let media_type = text(112, 79).filter(printable).filter(|text| text.parse::<MediaType>().is_ok());
    let id = text(192, 128).filter(|text| text.parse::<RecordingId>().is_ok());
    let sidecar = text(321, 63);
    let is_sidecar_good =
        sidecar.is_some_and(|text| if role == 2 { text.parse::<SidecarName>().is_ok() } else { text.is_empty() });
    [
        (!(12..=20).contains(&bytes[10]), Corruption::ChunkLen),
        (bytes[11] > 1, Corruption::Flags),
        (role > 2, Corruption::Role),
        (bytes[13..16] != [0; 3], Corruption::Reserved),
        (sealed_at > 253_402_300_799_999, Corruption::SealedAt),
        (media_type.is_none(), Corruption::MediaType),
        (id.is_none(), Corruption::RecordingId),
        (!is_sidecar_good, Corruption::SidecarName),
        (bytes[385..480] != [0; 95], Corruption::Reserved),
    ]
    .into_iter()
    .find_map(|(is_wrong, fault)| is_wrong.then_some(fault))
}

/// `HMAC-SHA-256(header key, bytes 0 … 479)`.
fn tag(bytes: &[u8]) -> [u8; 32] {
    let mut header_key = [0; 32];
    let file_keys = Hkdf::<Sha256>::new(Some(&FILE.file[16..32]), &FILE.file_key);
    file_keys.expand(b"sealtape/v1/header", &mut header_key).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&header_key).unwrap();
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}
