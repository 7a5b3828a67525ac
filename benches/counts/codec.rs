//! Counted of the codec: a frame of the proxy sealed, opened and verified; a header opened.

use sealtape::{
    base::Timestamp,
    crypto::{Key, database_key_fingerprint},
    sealed::{ChunkLen, NameClaim, Opener, Role, Sealer, Sealing, Span, UnverifiedHeader},
};

use crate::{ALL, Case};

/// A frame of the proxy, in chunks of 16 KiB.
const MEDIA_LEN: usize = 256 << 10;

/// Runs of one build do not differ by a single instruction: whatever keys are drawn, they take the same way. What is
/// allowed is what a change elsewhere may do to how this is compiled.
pub const CASES: &[Case] = &[
    Case { name: "codec-seal", times: 8, tolerance_percent: 2, counted: ALL, prepare: seal },
    Case { name: "codec-open", times: 8, tolerance_percent: 2, counted: ALL, prepare: open },
    Case { name: "codec-verify", times: 8, tolerance_percent: 2, counted: ALL, prepare: verify },
    Case { name: "header-open", times: 64, tolerance_percent: 2, counted: ALL, prepare: header },
];

fn seal() -> Box<dyn FnMut()> {
    let (key, media) = (key(), vec![0x5A; MEDIA_LEN]);
    let mut file = Vec::new();
    let mut case = move || {
        file.clear();
        sealed(&key, &media, &mut file);
    };
    case();
    Box::new(case)
}

fn open() -> Box<dyn FnMut()> {
    let (opener, span, records) = opened();
    let mut plaintext = vec![0; MEDIA_LEN];
    let mut case = move || opener.open_span(&span, &records, &mut plaintext).expect("verifies");
    case();
    Box::new(case)
}

fn verify() -> Box<dyn FnMut()> {
    let (opener, span, records) = opened();
    let case = move || opener.verify_span(&span, &records).expect("verifies");
    case();
    Box::new(case)
}

/// Parse, unwrap the file key, derive, verify the tag, judge the end: all that a length is promised upon.
fn header() -> Box<dyn FnMut()> {
    let key = key();
    let mut file = Vec::new();
    sealed(&key, b"x", &mut file);
    let case = move || drop(read(&key, &file));
    case();
    Box::new(case)
}

fn key() -> Key {
    Key::generate().expect("random")
}

fn sealed(key: &Key, media: &[u8], file: &mut Vec<u8>) {
    let sealing = Sealing {
        id: "counted".parse().expect("an ID"),
        role: Role::Media,
        media_type: "audio/wav".parse().expect("a media type"),
        chunk_len: ChunkLen::FILE,
        mended: false,
        sealed_at: Timestamp::from_millis(0).expect("in range"),
    };
    let (mut sealer, header) = Sealer::new(sealing, database_key_fingerprint(key), key).expect("random");
    file.extend_from_slice(&header);
    sealer.update(media, file).expect("short");
    let _sealed = sealer.finish(file);
}

fn read(key: &Key, file: &[u8]) -> Opener {
    let header = UnverifiedHeader::read(file).and_then(|header| header.verify(key)).expect("verifies");
    let tail = header.tail(file.len() as u64).expect("long enough");
    let end = file.get(tail.start as usize..).expect("within");
    header.judge(file.len() as u64, end, NameClaim::Final).expect("complete")
}

/// A frame's span, and its records.
fn opened() -> (Opener, Span, Vec<u8>) {
    let key = key();
    let mut file = Vec::new();
    sealed(&key, &vec![0x5A; MEDIA_LEN], &mut file);
    let opener = read(&key, &file);
    let span = opener.span(0..MEDIA_LEN as u64).expect("within");
    let records = file.get(span.file().start as usize..span.file().end as usize).expect("within").to_vec();
    (opener, span, records)
}
