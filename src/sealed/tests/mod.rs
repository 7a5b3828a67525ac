//! The sealed file against an independent writer (golden), against itself (properties) and against an attacker
//! (damage).

mod damage;
mod golden;
mod growing;
mod properties;

use super::{
    Corruption, Damage, Error, NameClaim, Opener, Role, Sealed, Sealer, Sealing, UnverifiedHeader, VerifiedHeader,
    has_magic,
};
use crate::base::{ErrorCode, Fingerprint, RecordingId, Timestamp};
use crate::crypto::{Key, database_key_fingerprint};
use crate::sealed::ChunkLen;

/// A whole file in memory, opened under `key` as recording `id`'s media.
fn open(file: &[u8], key: &Key, id: &RecordingId, claim: NameClaim) -> Result<Opener, Error> {
    open_as(file, key, id, &Role::Media, claim)
}

fn open_as(file: &[u8], key: &Key, id: &RecordingId, role: &Role, claim: NameClaim) -> Result<Opener, Error> {
    let header = UnverifiedHeader::read(file)?.verify(key)?.expect_place(id, role)?;
    let tail = header.tail(file.len() as u64)?;
    let tail = &file[tail.start as usize..tail.end as usize];
    header.judge(file.len() as u64, tail, claim)
}

/// The plaintext of a media range.
fn play(opener: &Opener, file: &[u8], media: core::ops::Range<u64>) -> Result<Vec<u8>, Damage> {
    let span = opener.span(media.clone()).expect("a range within the media");
    let sealed = file.get(span.file().start as usize..span.file().end as usize).unwrap_or_default();
    let mut plaintext = vec![0xEE; (media.end - media.start) as usize];
    let opened = opener.open_span(&span, sealed, &mut plaintext);
    let verified = opener.verify_span(&span, sealed);
    assert_eq!(verified.err().as_ref(), opened.as_ref().err().map(|damage| &damage.corruption), "both find the same");
    opened.map(|()| plaintext)
}

/// Everything that a file plays; the first fault when there is one.
fn play_all(file: &[u8], key: &Key, id: &RecordingId, claim: NameClaim) -> Result<Vec<u8>, Corruption> {
    let opener = open(file, key, id, claim).map_err(|error| match error {
        Error::Corrupt(corruption) => corruption,
        other => panic!("{other}"),
    })?;
    match opener.state().media_len() {
        0 => Ok(vec![]),
        len => play(&opener, file, 0..len).map_err(|damage| damage.corruption),
    }
}

pub(super) fn key(byte: u8) -> (Key, Fingerprint) {
    let key = Key::take(&mut [byte; 32]);
    let fingerprint = database_key_fingerprint(&key);
    (key, fingerprint)
}

fn id(text: &str) -> RecordingId {
    text.parse().expect("an ID")
}

/// For the tests beside the sealer too.
pub(super) fn sealing(of: &str, chunk_len: ChunkLen) -> Sealing {
    Sealing {
        id: id(of),
        role: Role::Media,
        media_type: "audio/wav".parse().expect("a media type"),
        chunk_len,
        mended: false,
        sealed_at: Timestamp::from_millis(1_764_000_000_000).expect("in range"),
    }
}

/// The header of a file, verified.
fn header(file: &[u8]) -> VerifiedHeader {
    UnverifiedHeader::read(file).and_then(|header| header.verify(&key(1).0)).expect("verifies")
}

/// Seals `media` in pieces of `piece` bytes.
fn seal(of: &str, chunk_len: ChunkLen, media: &[u8], piece: usize) -> (Vec<u8>, Sealed) {
    let (key, fingerprint) = key(1);
    let (mut sealer, header) = Sealer::new(sealing(of, chunk_len), fingerprint, &key).expect("random");
    let mut file = header.to_vec();
    for piece in media.chunks(piece.max(1)) {
        sealer.update(piece, &mut file).expect("short");
    }
    let sealed = sealer.finish(&mut file);
    (file, sealed)
}

#[test]
fn a_sealed_file_is_known_by_its_first_eight_bytes() {
    let (file, _) = seal("a", ChunkLen::LIVE, b"x", 1);
    assert!(has_magic(&file) && has_magic(&file[..8]));
    assert!(!has_magic(&file[..7]) && !has_magic(b"RIFF____WAVEfmt "));
}

/// What is wrong with a file is not its reader's fault, and what a caller or a machine cannot do is no damage.
#[test]
fn errors_say_who_must_act() {
    let code = |error: Error| error.code();
    assert_eq!(code(Error::UnsupportedVersion(2)), ErrorCode::UnsupportedFormat);
    assert_eq!(code(Error::UnsupportedSuite(2)), ErrorCode::UnsupportedFormat);
    assert_eq!(code(Corruption::Tail.into()), ErrorCode::RecordingCorrupt);
    assert_eq!(code(crate::crypto::Error::NotAuthentic.into()), ErrorCode::RecordingCorrupt);
    assert_eq!(code(Error::TooLong), ErrorCode::MediaTooLarge);
    assert_eq!(code(crate::crypto::Error::NoRandom.into()), ErrorCode::Internal);
}

/// Media in which no two stretches are alike.
fn media(len: usize) -> Vec<u8> {
    (0_u32..).flat_map(|i| (i.wrapping_mul(2_654_435_761) ^ 0x5EA1).to_be_bytes()).take(len).collect()
}
