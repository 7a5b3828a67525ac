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
    let came = follower.into_end();
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
    begun: Instant,
    recording: thread::JoinHandle<()>,
}

impl Encoder {
    /// Begins to record `seconds` of sound, and waits until the recording is there.
    fn begin(system: System, server: Server, seconds: u32, media_type: &str, format: &[&str]) -> Self {
        let tone = format!("sine=frequency=440:sample_rate=8000:samples_per_frame=160:duration={seconds}");
        let mut ffmpeg = tool("ffmpeg")
            .args(["-v", "error", "-nostdin", "-re", "-f", "lavfi", "-i", &tone])
            .args(format)
            .args(["-flush_packets", "1", "-"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("ffmpeg runs");
        let mut recorder = Recorder::begin_with(&system, "live", &["--media-type", media_type]);
        let recorded = Arc::new(Mutex::new(Vec::new()));
        let (kept, mut encoded) = (Arc::clone(&recorded), ffmpeg.stdout.take().expect("piped"));
        let mut piece = [0; 1024];
        let first = encoded.read(&mut piece).expect("it encodes");
        let begun = Instant::now();
        let recording = thread::spawn(move || {
            let mut read = first;
            while read > 0 {
                recorder.feed(&piece[..read]);
                kept.lock().expect("lock").extend_from_slice(&piece[..read]);
                read = encoded.read(&mut piece).expect("it encodes");
            }
            recorder.end();
            ffmpeg.wait().expect("ends");
        });
        assert!(server.wait_until(20 * SECOND, |server| server.get("/recordings/live").status == 200));
        Self { system, server, recorded, begun, recording }
    }

    /// Seconds of sound that were recorded so far, about: it is encoded as fast as it is heard.
    fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    fn is_recording(&self) -> bool {
        !self.recording.is_finished()
    }
}

/// Keeps what a decoder gives.
fn kept(mut decoded: ChildStdout) -> (Arc<Mutex<Vec<u8>>>, thread::JoinHandle<()>) {
    let sound = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&sound);
    let keeping = thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(read @ 1..) = decoded.read(&mut piece) {
            kept.lock().expect("lock").extend_from_slice(&piece[..read]);
        }
    });
    (sound, keeping)
}

/// Decodes what comes at once, and throws away what it took to tell what that is.
const AT_ONCE: [&str; 9] =
    ["-v", "error", "-nostdin", "-fflags", "nobuffer", "-probesize", "4096", "-analyzeduration", "0"];

/// Of a WAV whose length is not known yet ffmpeg would ask for the end, in the middle of what it is given; it is told
/// that there is none.
#[test]
fn ffmpeg_plays_what_ffmpeg_records() {
    let system = System::with_key();
    let server = system.serve();
    let encoder = Encoder::begin(system, server, 14, "audio/wav", &["-c:a", "pcm_mulaw", "-f", "wav"]);
    let mut player = tool("ffmpeg")
        .args(AT_ONCE)
        .args(["-seekable", "0", "-i"])
        .arg(encoder.server.url(MEDIA))
        .args(["-flush_packets", "1", "-f", "s16le", "-ac", "1", "-"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("ffmpeg runs");
    let (sound, keeping) = kept(player.stdout.take().expect("piped"));
    let heard = || sound.lock().expect("lock").len() as f64 / (2 * BYTES_A_SECOND) as f64;
    let mut delays = Vec::new();
    while encoder.is_recording() {
        thread::sleep(Duration::from_millis(100));
        let (recorded, heard) = (encoder.seconds(), heard());
        if heard > 0.0 && recorded > 5.0 && recorded < 13.0 {
            delays.push(recorded - heard);
        }
    }
    keeping.join().expect("read");
    assert!(player.wait().expect("ends").success());
    let longest = delays.iter().copied().fold(0.0, f64::max);
    println!("ffmpeg hears at most {longest:.2} s after it was recorded, in {} looks", delays.len());
    assert!(delays.len() >= 10, "it heard nothing while it was recorded");
    assert!(longest <= DELAY_MAX.as_secs_f64(), "{longest} s");
    // From a pipe: the same, and nothing that could be sought in.
    let recorded = encoder.system.file("recorded.wav", &encoder.recorded.lock().expect("lock"));
    let local = tool("ffmpeg")
        .args(AT_ONCE)
        .args(["-i", "-", "-f", "s16le", "-ac", "1", "-"])
        .stdin(fs::File::open(recorded).expect("opens"))
        .output()
        .expect("ffmpeg runs");
    assert!(!local.stdout.is_empty() && *sound.lock().expect("lock") == local.stdout, "the same sound");
}

/// What pages that take media as it comes do: no more lies between than what they hold back themselves.
const AS_IT_COMES: &str = "
    const source = new MediaSource();
    window.live = new Audio(URL.createObjectURL(source));
    document.body.append(live);
    source.addEventListener('sourceopen', async () => {
        const buffer = source.addSourceBuffer('audio/webm; codecs=opus');
        const answer = await fetch('/recordings/live/media');
        const reader = answer.body.getReader();
        for (;;) {
            const { done, value } = await reader.read();
            if (done) break;
            buffer.appendBuffer(value);
            await new Promise((then) => buffer.addEventListener('updateend', then, { once: true }));
            if (live.paused && live.buffered.length && live.buffered.end(0) > 0.3) live.play();
        }
        source.endOfStream();
        window.isWhole = true;
    });
    return true";

/// An element takes 32 KiB before it begins, whoever serves it: four seconds of 64 kbit/s.
const BY_ELEMENT: &str = "
    window.live = new Audio('/recordings/live/media');
    document.body.append(live);
    live.play();
    return true";

#[tokio::test(flavor = "multi_thread")]
async fn chromium_plays_what_is_being_recorded() {
    let browser = Browser::start().await;
    for (way, script, promised) in [("as it comes", AS_IT_COMES, Some(DELAY_MAX)), ("by element", BY_ELEMENT, None)] {
        let system = System::with_key();
        let server = system.serve();
        // A page of this server's without a policy of its own.
        browser.goto(&server.url("/livez")).await;
        let format =
            ["-c:a", "libopus", "-b:a", "64k", "-vbr", "off", "-cluster_time_limit", "200", "-live", "1", "-f", "webm"];
        let encoder =
            tokio::task::block_in_place(|| Encoder::begin(system, server, 20, "audio/webm; codecs=opus", &format));
        browser.run(script).await;
        browser.until("return live.currentTime > 0.2").await;
        let (mut delays, mut last) = (Vec::new(), 0.0);
        while encoder.is_recording() && encoder.seconds() < 16.0 {
            let recorded = encoder.seconds();
            let heard = browser.run("return live.currentTime").await.as_f64().expect("a time");
            assert!(heard >= last, "{way}: {heard} after {last}");
            delays.push(recorded - heard);
            last = heard;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let longest = delays.iter().copied().fold(0.0, f64::max);
        println!("Chromium, {way}: heard {longest:.2} s after it was recorded at most, in {} looks", delays.len());
        assert!(encoder.is_recording() && last > 3.0, "{way}: it stands at {last} s");
        assert!(promised.is_none_or(|promised| longest <= promised.as_secs_f64()), "{way}: {longest} s");
        // Sought back while it is recorded.
        browser.run("live.currentTime = 1; return true").await;
        browser.until("return !live.seeking && live.currentTime > 1.2 && live.currentTime < 3").await;
        assert_eq!(browser.run("return live.error").await, serde_json::Value::Null, "{way}");
        tokio::task::block_in_place(|| encoder.recording.join()).expect("recorded");
        if script == AS_IT_COMES {
            browser.until("return window.isWhole === true").await;
        }
    }
    browser.close().await;
}
