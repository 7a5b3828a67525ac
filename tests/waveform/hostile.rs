//! Files that were made to keep a reader busy, or to make it set aside what there is not: an answer soon, in little room,
//! and a server that plays on.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use super::{import, made, waveform};
use crate::support::{Server, System, get, sample};

const SOON: Duration = Duration::from_secs(10);
/// Beside what a server takes anyway.
const ROOM: u64 = 200 << 20;

/// Puts bytes where others are, counted from the first place of a mark.
fn put(file: &mut [u8], mark: &[u8], offset: usize, bytes: &[u8]) {
    let at = file.windows(mark.len()).position(|window| window == mark).expect("the mark") + offset;
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

fn ask_all(server: &Server, ids: &[String]) {
    let before = server.memory();
    for id in ids {
        let begun = Instant::now();
        waveform(server, id, 100);
        assert!(begun.elapsed() < SOON, "{id}: {:?}", begun.elapsed());
    }
    assert!(server.peak_memory() < before + ROOM, "{} MiB", server.peak_memory() >> 20);
    assert_eq!(get(&server.address, "/recordings/good/media", &[]).status, 200);
}

#[test]
fn what_a_head_claims_costs_nothing() {
    let system = System::with_key();
    import(&system, &sample("call-billing-wav-pcm.wav"), "good");
    let tone = "sine=frequency=440:duration=1";
    let wav = fs::read(made(&system, "a.wav", tone, &["-bitexact"])).expect("read");
    let flac = fs::read(made(&system, "a.flac", tone, &["-bitexact"])).expect("read");
    let alac = fs::read(made(&system, "a.m4a", tone, &["-c:a", "alac"])).expect("read");
    let ogg = fs::read(made(&system, "a.ogg", tone, &["-c:a", "flac"])).expect("read");
    let mp3 = fs::read(made(&system, "a.mp3", tone, &["-write_xing", "1"])).expect("read");
    let max = &u32::MAX.to_be_bytes()[..];
    let changed = |file: &[u8], changes: &[(&[u8], usize, &[u8])]| {
        let mut file = file.to_vec();
        changes.iter().for_each(|(mark, offset, bytes)| put(&mut file, mark, *offset, bytes));
        file
    };
    let files = [
        ("wav-of-4-gb", changed(&wav, &[(b"data", 4, max)])),
        ("wav-of-65535-channels", changed(&wav, &[(b"fmt ", 10, &[0xFF, 0xFF])])),
        ("wav-of-rate-0", changed(&wav, &[(b"fmt ", 12, &[0; 4])])),
        ("wav-of-highest-rate", changed(&wav, &[(b"fmt ", 12, &[0xFF; 4])])),
        ("wav-of-no-block", changed(&wav, &[(b"fmt ", 20, &[0; 4])])),
        ("wav-of-adpcm", changed(&wav, &[(b"fmt ", 8, &[2, 0])])),
        // 2^36 - 1 samples.
        ("flac-of-weeks", changed(&flac, &[(b"fLaC", 4 + 4 + 13, &[0xFF; 5])])),
        ("flac-of-weeks-in-ogg", changed(&ogg, &[(b"fLaC", 4 + 4 + 13, &[0xFF; 5])])),
        ("flac-without-frames", flac[..100].to_vec()),
        ("mp4-of-4-billion-samples", changed(&alac, &[(b"stsz", 8, &[0, 0, 0, 1]), (b"stsz", 12, max)])),
        ("mp4-of-4-billion-empty-samples", changed(&alac, &[(b"stsz", 12, max), (b"stts", 12, max)])),
        ("mp4-of-4-billion-chunks", changed(&alac, &[(b"stco", 8, max)])),
        ("mp4-of-4-billion-a-chunk", changed(&alac, &[(b"stsc", 16, max), (b"stsz", 12, max), (b"stts", 12, max)])),
        ("mp4-of-long-samples", changed(&alac, &[(b"stsz", 8, &[0x7F, 0xFF, 0xFF, 0xFF])])),
        ("mp4-of-long-times", changed(&alac, &[(b"stts", 16, max)])),
        ("mp4-that-begins-late", changed(&alac, &[(b"mdhd", 16, &[0, 0, 0, 1])])),
        ("mp4-of-endless-box", changed(&alac, &[(b"moov", 0, b"free")])),
        ("mp3-of-4-billion-frames", changed(&mp3, &[(b"Info", 8, max)])),
    ];
    let paths: Vec<String> = files
        .iter()
        .map(|(name, content)| {
            let kind = ["wav", "flac", "mp4", "mp3"].into_iter().find(|kind| name.starts_with(kind)).expect("a kind");
            let kind = if name.ends_with("in-ogg") { "ogg" } else { kind };
            system.file(&format!("{name}.{kind}"), content).display().to_string()
        })
        .collect();
    let arguments: Vec<&str> = ["import"].into_iter().chain(paths.iter().map(String::as_str)).collect();
    system.ok(&arguments);
    ask_all(&system.serve(), &files.map(|(name, _)| name.to_owned()));
}

/// Bits of good files changed here and there: whatever decoders make of it, also when one panics.
#[test]
fn whatever_a_file_holds_it_is_answered() {
    let system = System::with_key();
    import(&system, &sample("call-billing-wav-pcm.wav"), "good");
    let tone = "sine=frequency=440:duration=1:sample_rate=44100";
    let mut state = 0x5EA1_u64;
    let mut random = move |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    let (mut paths, mut ids) = (Vec::new(), Vec::new());
    for (name, arguments) in [
        ("bits.wav", &["-c:a", "adpcm_ima_wav"][..]),
        ("bits.mp3", &["-c:a", "libmp3lame"]),
        ("bits.mp2", &["-c:a", "mp2"]),
        ("bits.m4a", &["-c:a", "aac", "-movflags", "+faststart"]),
        ("bits-lossless.m4a", &["-c:a", "alac", "-movflags", "+faststart"]),
        ("bits.aac", &["-c:a", "aac"]),
        ("bits.flac", &["-c:a", "flac"]),
        ("bits.mkv", &["-c:a", "aac"]),
        ("bits.ogg", &["-c:a", "flac"]),
        ("bits.aiff", &["-c:a", "pcm_s16be"]),
    ] {
        let good = fs::read(made(&system, name, tone, arguments)).expect("read");
        let (stem, end) = name.split_once('.').expect("an ending");
        for number in 0..12 {
            let mut file = good.clone();
            // Most in the head, where a bit says most; the first bytes say what it is.
            for _ in 0..=number {
                let bound = if random(3) == 0 { file.len() } else { file.len().min(2048) };
                let at = 12 + random(bound - 12);
                file[at] ^= 1 << random(8);
            }
            let id = format!("{stem}-{end}-{number}");
            paths.push(system.file(&format!("{id}.{end}"), &file).display().to_string());
            ids.push(id);
        }
    }
    let arguments: Vec<&str> = ["import"].into_iter().chain(paths.iter().map(String::as_str)).collect();
    system.ok(&arguments);
    ask_all(&system.serve(), &ids);
}

/// A file that fuzzing found, for which the decoder of today panics: whoever else is played hears nothing of that.
#[test]
fn what_a_decoder_cannot_bear_is_silent_and_plays() {
    let system = System::with_key();
    import(&system, &sample("call-billing-wav-pcm.wav"), "good");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/waveform/decoder-panics.m4a");
    import(&system, &file, "panics");
    let server = system.serve();
    let document = waveform(&server, "panics", 100);
    assert_eq!(document["channels"], serde_json::json!([]), "{document}");
    // Should it be mended one day, this asks nothing any more, and another file is to be found.
    let is_told = server.wait_until(SOON, |server| server.log().contains("its sound cannot be decoded"));
    let log = server.log();
    assert!(is_told, "{log}");
    // Where it panicked, and not what about: that may quote what plays. By the rules of the program, not those of Rust.
    assert!(log.contains("a panic: a fault of the program") && log.contains("/symphonia-"), "{log}");
    assert!(!log.contains(" panicked at "), "{log}");
    assert!(server.get("/recordings/panics/media").body == fs::read(&file).expect("read"));
    assert_eq!(server.get("/recordings/panics").status, 200);
    let good = waveform(&server, "good", 100);
    assert_eq!(good["channels"].as_array().map(Vec::len), Some(2), "{good}");
}
