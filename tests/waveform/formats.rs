//! Peaks and durations in every format, against what is known of the sound.

use std::fs;

use super::{HALF_ON_THE_LEFT, channel, import, made, waveform};
use crate::support::{Server, System, media, sample, text, tool};

/// Name, sample rate, how far peaks may be off, what ffmpeg is told beside.
const DECODED: &[(&str, &str, f64, &[&str])] = &[
    ("pcm-s16.wav", "8000", 0.001, &["-c:a", "pcm_s16le"]),
    ("pcm-s24.wav", "48000", 0.001, &["-c:a", "pcm_s24le"]),
    ("pcm-u8.wav", "8000", 0.01, &["-c:a", "pcm_u8"]),
    ("pcm-f32.wav", "16000", 0.001, &["-c:a", "pcm_f32le"]),
    ("mu-law.wav", "8000", 0.02, &["-c:a", "pcm_mulaw"]),
    ("a-law.wav", "8000", 0.02, &["-c:a", "pcm_alaw"]),
    ("ms-adpcm.wav", "8000", 0.05, &["-c:a", "adpcm_ms"]),
    ("ima-adpcm.wav", "8000", 0.05, &["-c:a", "adpcm_ima_wav"]),
    ("pcm.aiff", "16000", 0.001, &["-c:a", "pcm_s16be"]),
    ("layer-2.mp2", "48000", 0.05, &["-c:a", "mp2", "-b:a", "192k"]),
    ("layer-3.mp3", "16000", 0.05, &["-c:a", "libmp3lame", "-b:a", "64k"]),
    ("adts.aac", "48000", 0.05, &["-c:a", "aac", "-b:a", "128k"]),
    ("aac.m4a", "48000", 0.05, &["-c:a", "aac", "-b:a", "128k"]),
    ("aac-index-first.m4a", "44100", 0.05, &["-c:a", "aac", "-movflags", "+faststart"]),
    ("aac-in-fragments.mp4", "48000", 0.05, &["-c:a", "aac", "-movflags", "+frag_keyframe+empty_moov"]),
    ("alac.m4a", "44100", 0.001, &["-c:a", "alac"]),
    ("lossless.flac", "44100", 0.001, &["-c:a", "flac"]),
    ("flac-in-ogg.ogg", "44100", 0.001, &["-c:a", "flac"]),
    ("pcm.mkv", "16000", 0.001, &["-c:a", "pcm_s16le"]),
    ("layer-3.mkv", "44100", 0.05, &["-c:a", "libmp3lame"]),
];

#[test]
fn a_known_sound_looks_as_it_is() {
    let system = System::with_key();
    for (name, rate, _, arguments) in DECODED {
        let file = made(&system, name, HALF_ON_THE_LEFT, &[arguments, &["-ar", rate][..]].concat());
        import(&system, &file, name);
    }
    let server = system.serve();
    for (name, _, tolerance, _) in DECODED {
        is_half_on_the_left(&server, name, *tolerance);
    }
}

fn is_half_on_the_left(server: &Server, id: &str, tolerance: f64) {
    let document = waveform(server, id, 30);
    let duration = document["duration_s"].as_f64().unwrap_or_else(|| panic!("{id}: {document}"));
    // Its encoder fills up the last block, and ffmpeg, too, plays as much.
    let known = if id == "ima-adpcm.wav" { 3.051 } else { 3.0 };
    assert!((duration - known).abs() < 0.05, "{id}: {duration}");
    assert_eq!(document["channels"].as_array().expect("channels").len(), 2, "{id}");
    let (left, right) = (channel(&document, 0), channel(&document, 1));
    for (part, (low, high)) in left.iter().enumerate() {
        // What lies at an edge may be either.
        match part {
            0..9 | 21.. => assert!(low.abs() <= tolerance && high.abs() <= tolerance, "{id} {part}: {low} {high}"),
            11..19 => {
                assert!((low + 0.5).abs() <= tolerance && (high - 0.5).abs() <= tolerance, "{id} {part}: {low} {high}");
            }
            _ => {}
        }
    }
    assert!(right.iter().all(|(low, high)| low.abs() <= tolerance && high.abs() <= tolerance), "{id}: {right:?}");
    // As many points as are asked for, of the same sound.
    for points in [1, 3, 1000, 10_000] {
        let document = waveform(server, id, points);
        let highest = channel(&document, 0).into_iter().map(|(_, high)| high).fold(0.0, f64::max);
        assert!((highest - 0.5).abs() <= tolerance, "{id} of {points}: {highest}");
    }
}

/// What ffprobe says.
fn duration_of(path: &std::path::Path) -> f64 {
    let mut command = tool("ffprobe");
    command.args(["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"]);
    text(&command.arg(path).output().expect("runs").stdout).trim().parse().expect("a duration")
}

#[test]
fn the_samples_show_their_speech_or_a_plain_line() {
    let system = System::with_key();
    let samples = [
        ("call-billing-wav-pcm.wav", Some(1), true),
        ("call-dispatch-wav-mulaw.wav", Some(1), true),
        ("call-reminder-mp3.mp3", Some(1), true),
        ("screen-transfer-mp4.mp4", None, true),
        ("call-triage-opus.ogg", Some(0), true),
        ("screen-form-webm.webm", Some(0), true),
        ("call-archive-wav-gsm.wav", Some(0), false),
    ];
    for (name, _, _) in samples {
        import(&system, &sample(name), name);
    }
    let server = system.serve();
    for (name, channels, has_duration) in samples {
        let document = waveform(&server, name, 100);
        let count = document["channels"].as_array().expect("channels").len();
        assert!(channels.is_none_or(|channels| (channels == 0) == (count == 0)), "{name}: {count} channels");
        match document["duration_s"].as_f64() {
            Some(duration) => {
                let said = duration_of(&sample(name));
                assert!((duration - said).abs() < 0.1, "{name}: {duration} s of {said}");
            }
            None => assert!(!has_duration, "{name}: {document}"),
        }
        for number in 0..count {
            let loud = channel(&document, number).iter().filter(|(low, high)| high - low > 0.05).count();
            assert!(loud > 10, "{name}: {loud} parts of channel {number} sound");
        }
    }
}

#[test]
fn a_video_looks_like_its_sound_wherever_that_begins() {
    let system = System::with_key();
    let picture = ["-f", "lavfi", "-i", "color=black:s=64x64:d=3", "-map", "0:a", "-map", "1:v", "-c:v", "mpeg4"];
    let whole =
        made(&system, "video.mp4", HALF_ON_THE_LEFT, &[&picture[..], &["-c:a", "aac", "-ar", "48000"]].concat());
    import(&system, &whole, "video");
    let late = made(
        &system,
        "late.mkv",
        "sine=frequency=440:duration=1:sample_rate=48000",
        &["-f", "lavfi", "-i", "color=black:s=64x64:d=3", "-af", "asetpts=PTS+2/TB", "-c:a", "pcm_s16le"],
    );
    import(&system, &late, "late");
    let server = system.serve();
    is_half_on_the_left(&server, "video", 0.05);
    let document = waveform(&server, "late", 30);
    assert!((document["duration_s"].as_f64().expect("known") - 3.0).abs() < 0.05, "{document}");
    let sounds: Vec<bool> = channel(&document, 0).iter().map(|(_, high)| *high > 0.1).collect();
    assert!(sounds[..19].iter().all(|sounds| !sounds) && sounds[21..].iter().all(|sounds| *sounds), "{sounds:?}");
}

#[test]
fn what_is_no_sound_has_no_channels() {
    let system = System::with_key();
    import(&system, &system.file("page.pdf", b"%PDF-1.7\n%%EOF\n"), "page");
    let noise = media(50_000);
    import(&system, &system.file("noise.bin", &noise), "noise");
    system.ok(&[
        "import",
        system.file("noise.mp3", &noise).to_str().expect("UTF-8"),
        "--id",
        "named-so",
        "--media-type",
        "audio/mpeg",
    ]);
    for (name, arguments) in [
        ("opus.webm", &["-c:a", "libopus"][..]),
        ("vorbis.ogg", &["-c:a", "libvorbis"]),
        ("silent.mp4", &["-vn", "-c:a", "aac", "-t", "0"]),
        ("many.wav", &["-af", "pan=16c|c0=c0|c15=c0", "-c:a", "pcm_s16le"]),
    ] {
        import(&system, &made(&system, name, HALF_ON_THE_LEFT, arguments), name);
    }
    let server = system.serve();
    for (id, duration) in [
        ("page", None),
        ("noise", None),
        ("named-so", None),
        ("opus.webm", Some(3.0)),
        ("vorbis.ogg", Some(3.0)),
        ("many.wav", Some(3.0)),
        ("silent.mp4", None),
    ] {
        let document = waveform(&server, id, 10);
        assert_eq!(document["channels"], serde_json::json!([]), "{id}");
        if let Some(duration) = duration {
            let said = document["duration_s"].as_f64().unwrap_or_else(|| panic!("{id}: {document}"));
            assert!((said - duration).abs() < 0.05, "{id}: {said}");
        }
    }
}

/// What of a file is there sounds.
#[test]
fn a_file_that_was_cut_off_looks_as_far_as_it_goes() {
    let system = System::with_key();
    for (name, arguments) in [
        ("cut.wav", &["-c:a", "pcm_s16le", "-ar", "8000"][..]),
        ("cut.mp3", &["-c:a", "libmp3lame", "-ar", "16000", "-b:a", "64k"]),
        ("cut.flac", &["-c:a", "flac", "-ar", "44100"]),
    ] {
        let source = "sine=frequency=440:duration=10";
        let whole = fs::read(made(&system, name, source, arguments)).expect("read");
        import(&system, &system.file(name, &whole[..whole.len() / 2]), name);
    }
    let server = system.serve();
    for name in ["cut.wav", "cut.mp3", "cut.flac"] {
        let document = waveform(&server, name, 50);
        let duration = document["duration_s"].as_f64().expect("known");
        assert!((duration - 5.0).abs() < 0.6, "{name}: {duration}");
        assert!(channel(&document, 0).iter().all(|(low, high)| *high > 0.05 && *low < -0.05), "{name}");
    }
}
