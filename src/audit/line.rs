//! One line of the chain, written and read.

use serde::Serialize;
use serde_json::{Map, Value};

use super::Event;
use crate::base::Timestamp;
use crate::crypto::{Sha256Digest, random};

/// What stands between a line's content and its hash.
const HASH_KEY: &[u8] = b",\"hash\":\"";
const HASH_TEXT_LEN: usize = 64;
const END: &[u8] = b"\"}";
/// No chain gets there: every line has a next one, whose number can be told.
pub(super) const SEQ_END: u64 = u64::MAX;

/// How far a chain goes: the number of its last line, and that line's hash, which stands for all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The line's number, from 1; 0 before the first.
    pub seq: u64,
    /// The line's hash.
    pub hash: [u8; 32],
}

impl Head {
    /// Before the first line.
    pub(super) const START: Self = Self { seq: 0, hash: [0; 32] };
}

/// A line that was read.
pub(super) struct Line {
    pub chain: String,
    pub prev: [u8; 32],
    /// Its number, and its hash as it stands there.
    pub head: Head,
    /// When it was written, as it says itself.
    pub at: String,
    /// Who wrote it, where it says so.
    pub instance: Option<String>,
    /// Whether the hash is that of its content.
    pub is_intact: bool,
}

#[derive(Serialize)]
struct Content<'a> {
    seq: u64,
    chain: &'a str,
    at: String,
    prev: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    #[serde(flatten)]
    event: &'a Event,
}

/// Of which chain lines are, and who writes them.
#[derive(Clone, Copy)]
pub(super) struct Author<'a> {
    pub chain: &'a str,
    pub instance: Option<&'a str>,
}

/// Writes the line that follows `head`, with its newline; the head after it.
pub(super) fn write(out: &mut Vec<u8>, author: Author<'_>, head: Head, at: Timestamp, event: &Event) -> Head {
    let (seq, Author { chain, instance }) = (head.seq + 1, author);
    let content = Content { seq, chain, at: at.to_string(), prev: hex::encode(head.hash), instance, event };
    // Text, numbers and lists always serialise.
    let mut line = serde_json::to_vec(&content).unwrap_or_default();
    line.pop();
    let hash = digest(&line);
    out.extend_from_slice(&line);
    out.extend_from_slice(HASH_KEY);
    out.extend_from_slice(hex::encode(hash).as_bytes());
    out.extend_from_slice(END);
    out.push(b'\n');
    Head { seq, hash }
}

/// Reads a line without its newline; none when it is not one.
pub(super) fn read(bytes: &[u8]) -> Option<Line> {
    let (content, hash) = split(bytes)?;
    let fields = parse(bytes)?;
    let prev = hash_of(fields.get("prev")?.as_str()?.as_bytes())?;
    let seq = fields.get("seq")?.as_u64().filter(|seq| *seq < SEQ_END)?;
    let chain = fields.get("chain")?.as_str()?.to_owned();
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let (at, instance) = (text("at").unwrap_or_default(), text("instance"));
    Some(Line { chain, prev, head: Head { seq, hash }, at, instance, is_intact: digest(content) == hash })
}

/// The fields of a line without its newline; none when it is not a JSON object.
pub(super) fn parse(bytes: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(bytes).ok()
}

/// 16 hexadecimal digits.
pub(super) fn random_name() -> Option<String> {
    random::<8>().ok().map(hex::encode)
}

/// What is hashed, and the hash that stands behind it.
fn split(bytes: &[u8]) -> Option<(&[u8], [u8; 32])> {
    let rest = bytes.strip_suffix(END)?;
    let (rest, hash) = rest.split_at_checked(rest.len().checked_sub(HASH_TEXT_LEN)?)?;
    Some((rest.strip_suffix(HASH_KEY)?, hash_of(hash)?))
}

/// Lower case only: else a letter's case could be changed unseen.
pub(super) fn hash_of(text: &[u8]) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text, &mut hash).ok()?;
    (hex::encode(hash).as_bytes() == text).then_some(hash)
}

pub(super) fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut digest = Sha256Digest::default();
    digest.update(bytes);
    digest.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::EventKind;

    #[test]
    fn a_line_is_read_as_it_was_written_and_no_byte_of_it_can_change() {
        let mut line = Vec::new();
        let at = Timestamp::from_millis(1_764_000_000_123).expect("a time");
        let event = Event { recording: Some("call".into()), ..Event::new(EventKind::Opened) };
        let before = Head { seq: 6, hash: [0xAB; 32] };
        let author = Author { chain: "c0ffee", instance: Some("proxy-1") };
        let head = write(&mut line, author, before, at, &event);
        assert_eq!(line.pop(), Some(b'\n'));
        let text = String::from_utf8(line.clone()).expect("text");
        let content = format!(
            "{{\"seq\":7,\"chain\":\"c0ffee\",\"at\":\"2025-11-24T16:00:00.123Z\",\"prev\":\"{}\",\
             \"instance\":\"proxy-1\",\"event\":\"opened\",\"recording\":\"call\"",
            "ab".repeat(32)
        );
        assert_eq!(text, format!("{content},\"hash\":\"{}\"}}", hex::encode(digest(content.as_bytes()))));
        let read_back = read(&line).expect("a line");
        assert_eq!((read_back.head, read_back.prev, read_back.is_intact), (head, before.hash, true));

        for at in 0..line.len() {
            for bit in 0..8 {
                let mut changed = line.clone();
                changed[at] ^= 1 << bit;
                assert!(!read(&changed).is_some_and(|line| line.is_intact), "byte {at}, bit {bit}");
            }
            assert!(read(&line[..at]).is_none(), "cut at {at}");
        }
    }
}
