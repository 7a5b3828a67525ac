//! From a recorder to a listener while it records: how long a sound takes, with a real encoder, a real decoder and a
//! real browser.

use std::{
    io::Read,
    process::{ChildStdout, Stdio},
    sync::{Arc, Mutex},
};

use super::*;
use crate::browser::Browser;

/// 64 kbit/s audio: mu-law at 8000 Hz.
const BYTES_A_SECOND: usize = 8000;
/// The promise: from the moment that a sound was recorded to the one at which it is heard.
const DELAY_MAX: Duration = Duration::from_secs(3);

/// Every byte of 64 kbit/s audio is with a listener soon after it was recorded.
#[test]
fn a_sound_is_heard_soon_after_it_was_recorded() {
    let (system, media) = (System::with_key(), media(12 * BYTES_A_SECOND));
    let server = system.serve();
    let mut recorder = Recorder::begin(&system, "live");
    let mut fed = Vec::new();
    let mut follower = None;
    let begun = Instant::now();
    for (step, piece) in media.chunks(BYTES_A_SECOND / 50).enumerate() {
        let due = begun + Duration::from_millis(20) * step as u32;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        fed.push(Instant::now());
        recorder.feed(piece);
        if step == 50 {
            recorder.wait_until_written(&server, CHUNK);
            follower = Some((Follower::begin(&server, MEDIA, &[]), step));
        }
    }
    recorder.end();
    let (follower, joined) = follower.expect("it follows");
    let came = follower.to_end();
    assert!(!came.is_cut && came.bytes == media);
    // The oldest byte of each piece that came, of those that were recorded since it follows.
    let oldest = [0].into_iter().chain(came.times.iter().map(|(_, len)| *len));
    let delays: Vec<Duration> = oldest
        .zip(&came.times)
        .filter_map(|(oldest, (at, _))| {
            let step = oldest / (BYTES_A_SECOND / 50);
            (step > joined).then(|| at.saturating_duration_since(fed[step]))
        })
        .collect();
    let longest = delays.iter().max().expect("it came in pieces");
    println!("64 kbit/s: {} pieces, the oldest byte of each at most {} ms old", delays.len(), longest.as_millis());
    assert!(delays.len() >= 10 && *longest <= DELAY_MAX, "{longest:?} in {} pieces", delays.len());
}

/// ffmpeg, encoding a tone in real time; what it writes goes to a recorder.
struct Encoder {
    system: System,
    server: Server,
    /// Everything that was recorded so far.
    recorded: Arc<Mutex<Vec<u8>>>,
    recording: thread::JoinHandle<()>,
}

impl Encoder {
    fn begin(seconds: u32) -> Self {
        let system = System::with_key();
        let server = system.serve();
        Self::begin_on(system, server, seconds)
    }

    fn begin_on(system: System, server: Server, seconds: u32) -> Self {
        let mut ffmpeg = tool("ffmpeg")
            .args(["-v", "error", "-nostdin", "-re", "-f", "lavfi", "-i"])
            .arg(format!("sine=frequency=440:sample_rate=8000:samples_per_frame=160:duration={seconds}"))
            .args(["-c:a", "pcm_mulaw", "-flush_packets", "1", "-f", "wav", "-"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("ffmpeg runs");
        let mut recorder = Recorder::begin_with(&system, "live", &["--media-type", "audio/wav"]);
        let recorded = Arc::new(Mutex::new(Vec::new()));
        let (kept, mut encoded) = (Arc::clone(&recorded), ffmpeg.stdout.take().expect("piped"));
        let recording = thread::spawn(move || {
            let mut piece = [0; 1024];
            while let Ok(read @ 1..) = encoded.read(&mut piece) {
                recorder.feed(&piece[..read]);
                kept.lock().expect("lock").extend_from_slice(&piece[..read]);
            }
            recorder.end();
            ffmpeg.wait().expect("ends");
        });
        assert!(server.wait_until(20 * SECOND, |server| server.get("/recordings/live").status == 200));
        Self { system, server, recorded, recording }
    }

    /// Seconds of sound that were recorded so far. A head takes some bytes, too few to be heard.
    fn seconds(&self) -> f64 {
        self.recorded.lock().expect("lock").len() as f64 / BYTES_A_SECOND as f64
    }

    fn is_recording(&self) -> bool {
        !self.recording.is_finished()
    }
}

/// Counts what a decoder gives, in seconds of 16-bit sound.
fn counted(mut decoded: ChildStdout) -> (Arc<Mutex<Vec<u8>>>, thread::JoinHandle<()>) {
    let sound = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&sound);
    let counting = thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(read @ 1..) = decoded.read(&mut piece) {
            kept.lock().expect("lock").extend_from_slice(&piece[..read]);
        }
    });
    (sound, counting)
}

#[test]
fn ffmpeg_plays_what_ffmpeg_records() {
    let encoder = Encoder::begin(14);
    let mut player = tool("ffmpeg")
        .args(["-v", "error", "-nostdin", "-fflags", "nobuffer", "-probesize", "4096", "-analyzeduration", "0", "-i"])
        .arg(encoder.server.url(MEDIA))
        .args(["-flush_packets", "1", "-f", "s16le", "-ac", "1", "-"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("ffmpeg runs");
    let (sound, counting) = counted(player.stdout.take().expect("piped"));
    let heard = || sound.lock().expect("lock").len() as f64 / (2 * BYTES_A_SECOND) as f64;
    let mut delays = Vec::new();
    while encoder.is_recording() {
        thread::sleep(Duration::from_millis(100));
        let (recorded, heard) = (encoder.seconds(), heard());
        if heard > 0.0 && recorded > 5.0 && recorded < 13.0 {
            delays.push(recorded - heard);
        }
    }
    counting.join().expect("read");
    assert!(player.wait().expect("ends").success());
    let longest = delays.iter().copied().fold(0.0, f64::max);
    println!("ffmpeg hears at most {longest:.2} s after it was recorded, in {} looks", delays.len());
    assert!(delays.len() >= 10, "it heard nothing while it was recorded");
    assert!(longest <= DELAY_MAX.as_secs_f64(), "{longest} s");
    let recorded = encoder.system.file("recorded.wav", &encoder.recorded.lock().expect("lock"));
    let local = tool("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(recorded)
        .args(["-f", "s16le", "-ac", "1", "-"])
        .output()
        .expect("ffmpeg runs");
    assert!(!local.stdout.is_empty() && *sound.lock().expect("lock") == local.stdout, "the same sound");
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_plays_what_is_being_recorded() {
    let browser = Browser::start().await;
    let system = System::with_key();
    let server = system.serve();
    browser.open(&server, "").await;
    let encoder = tokio::task::block_in_place(|| Encoder::begin_on(system, server, 30));
    browser
        .run(&format!("window.live = new Audio('{MEDIA}'); document.body.append(live); live.play(); return true"))
        .await;
    browser.until("return live.currentTime > 0.5").await;
    let mut delays = Vec::new();
    let mut last = 0.0;
    while encoder.is_recording() && encoder.seconds() < 28.0 {
        let recorded = encoder.seconds();
        let heard = browser.run("return live.currentTime").await.as_f64().expect("a time");
        assert!(heard >= last, "{heard} after {last}");
        if recorded > 8.0 {
            delays.push(recorded - heard);
        }
        last = heard;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let longest = delays.iter().copied().fold(0.0, f64::max);
    println!("Chromium hears {longest:.2} s after it was recorded at most, in {} looks", delays.len());
    assert!(delays.len() >= 20 && last > 15.0, "it stands at {last} s");
    assert!(longest <= DELAY_MAX.as_secs_f64(), "{longest} s");
    // Sought back while it is recorded.
    browser.run("live.currentTime = 3; return true").await;
    browser.until("return !live.seeking && live.currentTime > 3.2 && live.currentTime < 20").await;
    assert_eq!(browser.run("return live.error").await, serde_json::Value::Null);
    tokio::task::block_in_place(|| encoder.recording.join()).expect("recorded");
    browser.close().await;
}
