//! `sealtape cat`: a recording's media, decrypted, on standard output.

use std::{ops::Range, process::ExitCode, sync::Arc};

use clap::Args;

use super::{Failure, Global, open::System, print, record::Record};
use crate::base::{ErrorCode, RecordingId};
use crate::service::{Damaged, FRAME_LEN_MAX, OpenRecording, Playback, PlaybackError, Salvage, Salvaged};

#[derive(Args)]
pub(super) struct Arguments {
    /// The recording
    id: RecordingId,
    /// Only these bytes: the first and the last position, from 0
    #[arg(long, value_name = "FIRST-LAST", value_parser = parse_range)]
    range: Option<Range<u64>>,
    /// Go on past damage: write what still verifies, and name what is missing
    #[arg(long)]
    salvage: bool,
}

pub(super) async fn run(global: &Global, arguments: Arguments) -> Result<ExitCode, Failure> {
    let system = System::open(global).await?;
    let outcome = cat(&system, arguments).await;
    system.close(outcome).await
}

async fn cat(system: &System, arguments: Arguments) -> Result<ExitCode, Failure> {
    let keys = system.keys().await?;
    let playback = Arc::new(system.playback(&keys));
    let record = Record::open(system).await?;
    let listening = record.listening();
    let failed = |error: PlaybackError| {
        listening.refused(record.player(), Some(&arguments.id), error.code(), "");
        Failure::from(error).of(&arguments.id)
    };
    let outcome = if arguments.salvage {
        match playback.open_damaged(&arguments.id).await {
            Ok(damaged) => salvage(&arguments, &playback, damaged, &record).await,
            Err(error) => Err(failed(error)),
        }
    } else {
        match playback.open(&arguments.id).await {
            Ok(recording) => read(&arguments, &playback, recording, &record).await,
            Err(error) => Err(failed(error)),
        }
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

/// Writes what verifies, and leaves out what does not: most containers go on at their next frame, and a stretch of made-up
/// bytes is not evidence. Where the gaps are is said on standard error.
async fn salvage(
    arguments: &Arguments,
    playback: &Arc<Playback>,
    damaged: Damaged,
    record: &Record,
) -> Result<ExitCode, Failure> {
    let (recording, len) = (Arc::clone(&damaged.recording), damaged.media_len);
    let range = arguments.range.clone().unwrap_or(0..len);
    if range.start >= len && len > 0 {
        return Err(Failure::new(format!("{}: the range lies past its end ({len} bytes)", arguments.id)));
    }
    let begun = record.listening().begin(record.player(), (&*recording).into(), "").await;
    let listener = begun.map_err(|error| Failure::new(error).advise("see to the folder of the playback record"))?;
    let mut position = range.start;
    let mut missing: Vec<Range<u64>> = Vec::new();
    let mut salvage = Salvage::new(Arc::clone(playback), damaged, &range);
    loop {
        let next = salvage.next().await.map_err(|error| {
            listener.failed(error.code());
            Failure::from(error).of(&arguments.id)
        })?;
        match next {
            Some(Salvaged::Media(frame)) => {
                print::bytes(&frame)?;
                listener.handed(position..position + frame.len() as u64);
                position += frame.len() as u64;
            }
            Some(Salvaged::Missing(stretch)) => {
                position = stretch.end;
                match missing.last_mut() {
                    Some(last) if last.end == stretch.start => last.end = stretch.end,
                    _ => missing.push(stretch),
                }
            }
            None => break,
        }
        if print::is_closed() {
            break;
        }
    }
    if missing.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    listener.failed(ErrorCode::RecordingCorrupt);
    let duration = playback.duration_of(recording).await;
    for stretch in &missing {
        let time = duration.map(|whole| {
            let at = |byte| print::media_time(print::share(whole, byte, len));
            format!(", about {} to {}", at(stretch.start), at(stretch.end))
        });
        let (first, last) = (stretch.start, stretch.end - 1);
        let text = format!("{}: bytes {first}-{last} are missing{}", arguments.id, time.unwrap_or_default());
        print::error_line(&format!("sealtape: {text}"));
    }
    let bytes: u64 = missing.iter().map(|stretch| stretch.end - stretch.start).sum();
    print::error_line(&format!(
        "  {bytes} of {} bytes were left out; restore the file from a backup",
        range.end.min(len) - range.start
    ));
    Ok(ExitCode::from(3))
}

/// Reads `FIRST-LAST`, both included.
fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let parsed = text.split_once('-').and_then(|(first, last)| {
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last).then(|| first..last.saturating_add(1))
    });
    parsed.ok_or_else(|| "it must be two positions such as 0-999".into())
}
