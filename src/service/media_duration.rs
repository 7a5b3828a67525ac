//! How long a recording plays, told from its container's head and end, and from nothing else of it.
//!
//! The work is bounded, because a hostile file may send its reader to and fro: so many bytes and so much time, and then
//! it counts as not known.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use symphonia::core::{
    formats::{FormatOptions, FormatReader, probe::Hint},
    io::MediaSourceStream,
    meta::MetadataOptions,
};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use super::{
    OpenRecording, Playback,
    media_reader::{MediaReader, Reading},
};
use crate::base::RecordingId;

/// How much is read, at most: a head with its index, and the end.
const READ_LEN_MAX: u64 = 16 << 20;
const TIME_MAX: Duration = Duration::from_secs(2);
/// How many recordings are looked into at a time; others wait.
static PROBES: Semaphore = Semaphore::const_new(4);

impl Playback {
    /// How long the recording plays; none when it does not play, or when its container does not say, or not soon.
    pub async fn media_duration(self: &Arc<Self>, id: &RecordingId) -> Option<Duration> {
        self.duration_of(self.open(id).await.ok()?).await
    }

    /// The same of a recording that is open.
    pub async fn duration_of(self: &Arc<Self>, recording: Arc<OpenRecording>) -> Option<Duration> {
        if !is_timed(&recording) {
            return None;
        }
        let permit = timeout(TIME_MAX, PROBES.acquire()).await.ok()?.ok()?;
        let reading = Reading::default();
        reading.allow(READ_LEN_MAX);
        let media = MediaReader::new(self, recording, reading, Instant::now() + TIME_MAX);
        let probing = spawn_blocking(move || {
            // Held until the work ends, also when nobody waits for it any more.
            let _permit = permit;
            probe(media)
        });
        timeout(TIME_MAX, probing).await.ok()?.ok()?
    }
}

/// Whether it is of a kind that plays for a time.
pub(super) fn is_timed(recording: &OpenRecording) -> bool {
    ["audio/", "video/", "application/ogg"].iter().any(|kind| recording.media_type.as_str().starts_with(kind))
}

fn probe(media: MediaReader) -> Option<Duration> {
    let stream = MediaSourceStream::new(Box::new(media), Default::default());
    let probe = symphonia::default::get_probe();
    let format = probe.probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default()).ok()?;
    said_duration(&*format)
}

/// What a container says of its duration.
pub(super) fn said_duration(format: &dyn FormatReader) -> Option<Duration> {
    let info = format.media_info();
    let time = info.time_base?.calc_duration(info.duration?)?;
    u64::try_from(time.as_nanos()).ok().map(Duration::from_nanos)
}
