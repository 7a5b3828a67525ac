//! `sealtape cat`: a recording's media, decrypted, on standard output.

use std::{ops::Range, process::ExitCode, sync::Arc};

use clap::Args;

use super::{Failure, Global, open::System, print, record::Record};
use crate::base::RecordingId;
use crate::service::{FRAME_LEN_MAX, OpenRecording, Playback, PlaybackError};

#[derive(Args)]
pub(super) struct Arguments {
    /// The recording
    id: RecordingId,
    /// Only these bytes: the first and the last position, from 0
    #[arg(long, value_name = "FIRST-LAST", value_parser = parse_range)]
    range: Option<Range<u64>>,
}

pub(super) async fn run(global: &Global, arguments: Arguments) -> Result<ExitCode, Failure> {
    let system = System::open(global).await?;
    let outcome = cat(&system, arguments).await;
    system.close(outcome).await
}

async fn cat(system: &System, arguments: Arguments) -> Result<ExitCode, Failure> {
    let keys = system.keys().await?;
    let playback = system.playback(&keys);
    let record = Record::open(system).await?;
    let listening = record.listening();
    let failed = |error: PlaybackError| {
        listening.refused(record.player(), Some(&arguments.id), error.code(), "");
        Failure::from(error).of(&arguments.id)
    };
    let outcome = match playback.open(&arguments.id).await {
        Ok(recording) => read(&arguments, &playback, recording, &record).await,
        Err(error) => Err(failed(error)),
    };
    listening.close_all().await;
    outcome
}

async fn read(
    arguments: &Arguments,
    playback: &Playback,
    recording: Arc<OpenRecording>,
    record: &Record,
) -> Result<ExitCode, Failure> {
    let len = recording.media_len;
    let media = match arguments.range.clone() {
        None => 0..len,
        Some(range) if range.start < len => range.start..range.end.min(len),
        Some(_) => {
            return Err(Failure::new(format!("{}: the range lies past its end ({len} bytes)", arguments.id)));
        }
    };
    let mut position = media.start;
    let mut stream = playback.stream(&recording, media);
    let begun = record.listening().begin(record.player(), (&*recording).into(), "").await;
    let listener = begun.map_err(|error| Failure::new(error).advise("see to the folder of the playback record"))?;
    while let Some(frame) = std::future::poll_fn(|cx| stream.poll_next(FRAME_LEN_MAX, cx)).await {
        let frame = frame.map_err(|error| {
            listener.failed(error.code());
            Failure::from(error).of(&arguments.id)
        })?;
        print::bytes(&frame)?;
        listener.handed(position..position + frame.len() as u64);
        position += frame.len() as u64;
        if print::is_closed() {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads `FIRST-LAST`, both included.
fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let parsed = text.split_once('-').and_then(|(first, last)| {
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last).then(|| first..last.saturating_add(1))
    });
    parsed.ok_or_else(|| "it must be two positions such as 0-999".into())
}
