//! What kind of media bytes are: told from the content, and from a name only where content cannot tell.

use std::path::Path;

use crate::base::MediaType;

/// The media type of media that begins with `head`, stored under `name` before.
#[must_use]
pub fn detect(head: &[u8], name: Option<&Path>) -> MediaType {
    let found = from_content(head).or_else(|| name.and_then(from_name));
    found.and_then(|text| text.parse().ok()).unwrap_or_else(MediaType::octet_stream)
}

fn from_content(head: &[u8]) -> Option<&'static str> {
    // An Ogg stream says in its first page what it carries.
    if head.starts_with(b"OggS") {
        let page = head.get(..64).unwrap_or(head);
        return Some(if contains(page, b"OpusHead") {
            "audio/ogg; codecs=opus"
        } else if contains(page, b"\x80theora") {
            "video/ogg"
        } else {
            "audio/ogg"
        });
    }
    let found = infer::get(head)?.mime_type();
    // Registered names in place of historic ones.
    Some(match found {
        "audio/x-wav" => "audio/wav",
        "audio/x-flac" => "audio/flac",
        "audio/m4a" => "audio/mp4",
        "audio/x-aiff" => "audio/aiff",
        other => other,
    })
}

fn from_name(name: &Path) -> Option<&'static str> {
    mime_guess::from_path(name).first_raw()
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detected(head: &[u8], name: &str) -> String {
        detect(head, Some(Path::new(name))).to_string()
    }

    #[test]
    fn content_comes_before_the_name() {
        let wav = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00";
        assert_eq!(detected(wav, "call.wav"), "audio/wav");
        assert_eq!(detected(wav, "call.mp3"), "audio/wav");
        assert_eq!(
            detected(b"OggS\0\x02\0\0\0\0\0\0\0\0aaaabbbbcccc\x01\x13OpusHead\x01\x01", "x.bin"),
            "audio/ogg; codecs=opus"
        );
        assert_eq!(detected(b"ID3\x04\0\0\0\0\0\0", "x.bin"), "audio/mpeg");
        assert_eq!(detected(b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2", "x.bin"), "video/mp4");
        assert_eq!(detected(b"<!DOCTYPE html><html>", "call.wav"), "text/html");
    }

    #[test]
    fn the_name_helps_where_content_cannot_tell() {
        assert_eq!(detected(b"a,b,c\n1,2,3\n", "table.csv"), "text/csv");
        assert_eq!(detected(b"hello", "notes.txt"), "text/plain");
        assert_eq!(detected(b"\x01\x02\x03", "data.nothing-known"), "application/octet-stream");
        assert_eq!(detect(b"\x01\x02\x03", None).as_str(), "application/octet-stream");
    }
}
