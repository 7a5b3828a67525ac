//! `sealtape cat`: a recording's media, decrypted, on standard output.

use std::{ops::Range, process::ExitCode, sync::Arc};

use clap::Args;

use super::{Failure, Global, open::System, print};
use crate::base::RecordingId;

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
    let failed = |error| Failure::from(error).of(&arguments.id);
    let recording = playback.open(&arguments.id).await.map_err(failed)?;
    let len = recording.media_len;
    let media = match arguments.range {
        None => 0..len,
        Some(range) if range.start < len => range.start..range.end.min(len),
        Some(_) => {
            return Err(Failure::new(format!("{}: the range lies past its end ({len} bytes)", arguments.id)));
        }
    };
    let mut stream = playback.stream(&Arc::clone(&recording), media);
    while let Some(frame) = std::future::poll_fn(|cx| stream.poll_next(cx)).await {
        print::bytes(&frame.map_err(failed)?)?;
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
