//! From a container to peaks: the sound of its first track that has any, packet by packet, on a thread that may wait.
//!
//! Anybody may have made the file. What is read for one packet is bounded, so is what a decoder may set aside, how long it
//! all takes, and what plays no sound for too long; whatever cannot be decoded has no waveform. Vorbis is left out: a few
//! bytes of its head make a decoder set aside gigabytes.

use std::time::{Duration, Instant};

use symphonia::core::{
    codecs::{
        CodecParameters,
        audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions},
    },
    errors::Error,
    formats::{FormatOptions, FormatReader, Track, TrackType, probe::Hint},
    io::{MediaSource, MediaSourceStream},
    meta::MetadataOptions,
    packet::Packet,
    units::{TimeBase, Timestamp},
};

use super::{Peaks, Sound, Waveform};
use crate::service::{
    media_duration::said_duration,
    media_reader::{Cut, Reading},
};

/// More channels than anybody records a call with.
const CHANNELS_MAX: usize = 8;
/// How much is read for one packet, and for the head with its index.
const STEP_LEN_MAX: u64 = 16 << 20;
/// How many frames a packet has, at most: decoders set room aside for as many as the file says.
const PACKET_FRAMES_MAX: u64 = 1 << 17;
/// How many packets may follow one another without sound: those of a long video, if its sound lies behind it.
const SILENT_PACKETS_MAX: u32 = 1 << 20;
/// The longest sound.
const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// From which length on a gap between packets is one, and not how its container rounds times.
const GAP_PER_SECOND: u64 = 20;

/// Decodes all of it by `deadline`.
pub(super) fn decode(media: impl MediaSource + 'static, reading: &Reading, deadline: Instant) -> Result<Waveform, Cut> {
    reading.allow(STEP_LEN_MAX);
    let stream = MediaSourceStream::new(Box::new(media), Default::default());
    let probe = symphonia::default::get_probe();
    let format = probe.probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default());
    let Ok(mut format) = format else { return reading.cut().map_or(Ok(Waveform::silent(None)), Err) };
    let said = said_duration(&*format);
    match Decoding::begin(&*format) {
        None => Ok(Waveform::silent(said)),
        Some(decoding) => match decoding.run(&mut *format, reading, deadline) {
            Ok(sound) => Ok(sound.map_or(Waveform::silent(said), Waveform::of)),
            Err(Cut::Bounds) => Ok(Waveform::not_now(said)),
            Err(cut) => Err(cut),
        },
    }
}

/// A track that is being decoded.
struct Decoding {
    decoder: Box<dyn AudioDecoder>,
    track_id: u32,
    time_base: Option<TimeBase>,
    /// When the first of all tracks begins, in nanoseconds.
    origin: i128,
    sound: Option<Sound>,
    planes: Vec<Vec<i16>>,
}

impl Decoding {
    /// None when there is no sound, or none that can be decoded.
    fn begin(format: &dyn FormatReader) -> Option<Self> {
        let track = format.default_track(TrackType::Audio)?;
        let Some(CodecParameters::Audio(parameters)) = &track.codec_params else { return None };
        if !is_bounded(parameters) {
            return None;
        }
        let codecs = symphonia::default::get_codecs();
        let decoder = codecs.make_audio_decoder(parameters, &AudioDecoderOptions::default()).ok()?;
        let beginning = |track: &Track| nanos(track.time_base, track.start_ts);
        let origin = format.tracks().iter().filter_map(beginning).min().unwrap_or_default().max(0);
        let (track_id, time_base) = (track.id, track.time_base);
        Some(Self { decoder, track_id, time_base, origin, sound: None, planes: Vec::new() })
    }

    /// The whole sound; none when it is not of one piece, or has no frame.
    fn run(
        mut self,
        format: &mut dyn FormatReader,
        reading: &Reading,
        deadline: Instant,
    ) -> Result<Option<Sound>, Cut> {
        let mut silent_packets = 0;
        loop {
            if reading.is_abandoned() {
                return Err(Cut::Abandoned);
            }
            if Instant::now() >= deadline || silent_packets > SILENT_PACKETS_MAX {
                return Err(Cut::Bounds);
            }
            reading.allow(STEP_LEN_MAX);
            let packet = match format.next_packet() {
                Ok(Some(packet)) => packet,
                Err(Error::ResetRequired) => return Ok(None),
                // A file that was cut off: what there is of it sounds.
                Ok(None) | Err(_) => break,
            };
            silent_packets += 1;
            if packet.track_id != self.track_id {
                continue;
            }
            match self.take(&packet) {
                Taken::Sound => silent_packets = 0,
                Taken::Nothing => {}
                Taken::OfAnotherKind => return Ok(None),
                Taken::TooLong => return Err(Cut::Bounds),
            }
        }
        match reading.cut() {
            Some(cut) => Err(cut),
            None => Ok(self.sound.map(Sound::finished)),
        }
    }

    fn take(&mut self, packet: &Packet) -> Taken {
        let decoded = match self.decoder.decode(packet) {
            Ok(decoded) => decoded,
            // A player hears nothing for as long, either.
            Err(Error::DecodeError(_) | Error::IoError(_)) => return Taken::Nothing,
            Err(_) => return Taken::OfAnotherKind,
        };
        let (rate, channel_count) = (decoded.spec().rate(), decoded.num_planes());
        if decoded.frames() == 0 {
            return Taken::Nothing;
        }
        if rate == 0 || !(1..=CHANNELS_MAX).contains(&channel_count) {
            return Taken::OfAnotherKind;
        }
        decoded.copy_to_vecs_planar(&mut self.planes);
        let sound = self.sound.get_or_insert_with(|| Sound { peaks: Peaks::new(channel_count), rate });
        if (sound.rate, sound.peaks.channel_count()) != (rate, channel_count) {
            return Taken::OfAnotherKind;
        }
        let begins = packet.pts.checked_add(packet.trim_start).and_then(|at| nanos(self.time_base, at));
        let begins = begins.map_or(0, |at| (at - self.origin).max(0) * i128::from(rate) / NANOS_PER_SECOND);
        let Ok(begins) = u64::try_from(begins) else { return Taken::TooLong };
        let len_max = DURATION_MAX.as_secs() * u64::from(rate);
        if begins.max(sound.peaks.len()) > len_max {
            return Taken::TooLong;
        }
        let gap = begins.saturating_sub(sound.peaks.len());
        if gap > u64::from(rate) / GAP_PER_SECOND {
            sound.peaks.add_silence(gap);
        }
        sound.peaks.add(&self.planes);
        Taken::Sound
    }
}

/// What a packet held.
enum Taken {
    Sound,
    Nothing,
    /// Sound that does not go on from what was before it, or that cannot be decoded at all.
    OfAnotherKind,
    /// It begins later than anything that is recorded.
    TooLong,
}

const NANOS_PER_SECOND: i128 = 1_000_000_000;

fn nanos(time_base: Option<TimeBase>, at: Timestamp) -> Option<i128> {
    Some(time_base?.calc_time(at)?.as_nanos())
}

/// Whether a decoder that believes this sets little aside.
fn is_bounded(parameters: &AudioCodecParameters) -> bool {
    let channels = parameters.channels.as_ref();
    channels.is_none_or(|channels| (1..=CHANNELS_MAX).contains(&channels.count()))
        && parameters.max_frames_per_packet.is_none_or(|frames| frames <= PACKET_FRAMES_MAX)
}
