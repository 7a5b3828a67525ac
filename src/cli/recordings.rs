//! `sealtape recordings`: the catalogue.

use std::process::ExitCode;

use clap::Subcommand;

use super::{Failure, Global, open::System, print};
use crate::access::RecordingSet;
use crate::base::RecordingId;
use crate::catalogue::Recording;
use crate::http::RecordingDocument;

/// How many rows are asked for at a time.
const PAGE_LEN: u32 = 1000;

#[derive(Subcommand)]
pub(super) enum Command {
    /// List every recording, newest first
    List,
    /// Show one recording, and whether it plays
    Show {
        /// The recording
        id: RecordingId,
    },
}

pub(super) async fn run(global: &Global, command: Command) -> Result<ExitCode, Failure> {
    let system = System::open(global).await?;
    let outcome = match command {
        Command::List => list(global, &system).await,
        Command::Show { id } => show(global, &system, &id).await,
    };
    system.close(outcome).await
}

async fn list(global: &Global, system: &System) -> Result<ExitCode, Failure> {
    let keys = system.keys().await?;
    let playback = system.playback(&keys);
    let (mut recordings, mut after) = (Vec::new(), None);
    loop {
        let page = playback.recordings(after.as_ref(), PAGE_LEN, &RecordingSet::All).await?;
        recordings.extend(page.recordings);
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let now = (system.clock)();
    if global.json {
        let mut documents = Vec::with_capacity(recordings.len());
        for recording in &recordings {
            let problem = playback.known_problem(recording);
            let location = playback.location(recording).await;
            documents.push(RecordingDocument::new(recording, problem.as_ref(), "", now).with_location(location));
        }
        print::json(&documents)?;
        return Ok(ExitCode::SUCCESS);
    }
    let row = |recording: &Recording| {
        vec![
            recording.id.to_string(),
            print::size(recording.media_len),
            recording.media_type.to_string(),
            recording.state_at(now).as_str().into(),
            if recording.is_sealed() { "sealed".into() } else { "plain".to_owned() },
            recording.created_at.to_string(),
            playback.known_problem(recording).map(|problem| problem.code().to_string()).unwrap_or_default(),
        ]
    };
    let heads = ["ID", "LENGTH", "MEDIA TYPE", "STATE", "KEPT", "CREATED", "PROBLEM"];
    print::table(&heads, &recordings.iter().map(row).collect::<Vec<_>>())?;
    Ok(ExitCode::SUCCESS)
}

async fn show(global: &Global, system: &System, id: &RecordingId) -> Result<ExitCode, Failure> {
    let keys = system.keys().await?;
    let playback = system.playback(&keys);
    let recording = playback.recording(id).await.map_err(|error| Failure::from(error).of(id))?;
    let opened = playback.open(id).await;
    let location = playback.location(&recording).await;
    let now = (system.clock)();
    if global.json {
        let opened = opened.as_ref().map(|opened| &**opened);
        print::json(&RecordingDocument::of_opened(&recording, opened, "", now).with_location(location))?;
        return Ok(ExitCode::SUCCESS);
    }
    let media_len = opened.as_ref().map_or(recording.media_len, |opened| opened.media_len);
    let kept = match recording.fingerprint() {
        Some(fingerprint) => format!("sealed under {fingerprint}"),
        None => "in plain".into(),
    };
    let plays = match &opened {
        Ok(_) => "yes".into(),
        Err(error) => format!("no: {error} ({})", error.code()),
    };
    for (name, value) in [
        ("ID", recording.id.to_string()),
        ("media type", recording.media_type.to_string()),
        ("length", format!("{media_len} bytes")),
        ("state", opened.as_ref().map_or(recording.state_at(now), |opened| opened.state).as_str().into()),
        ("created", recording.created_at.to_string()),
        ("kept", kept),
        ("location", location),
        ("plays", plays),
    ] {
        print::line(&format!("{name:<11} {value}"))?;
    }
    Ok(ExitCode::SUCCESS)
}
