//! `sealtape recordings`: the catalogue.

use std::{process::ExitCode, sync::Arc};

use clap::Subcommand;
use serde_json::json;

use super::{Failure, Global, filter::FilterArguments, open::System, print, purge, record::Record};
use crate::access::RecordingSet;
use crate::audit::{Event, EventKind};
use crate::base::RecordingId;
use crate::catalogue::{Content, Metadata, Recording};
use crate::http::RecordingDocument;
use crate::service::{Maintenance, Rebuilt};

/// How many rows are asked for at a time.
const PAGE_LEN: u32 = 1000;

#[derive(Subcommand)]
pub(super) enum Command {
    /// List recordings, newest first
    List(FilterArguments),
    /// Show one recording, and whether it plays
    Show {
        /// The recording
        id: RecordingId,
    },
    /// Purge recordings: wrapped key first, then file, then row
    Delete {
        /// The recordings
        #[arg(required = true, value_name = "ID")]
        ids: Vec<RecordingId>,
    },
    /// Put recordings under legal hold: nothing purges them
    Hold {
        /// The recordings
        #[arg(required = true, value_name = "ID")]
        ids: Vec<RecordingId>,
    },
    /// End a legal hold
    Release {
        /// The recordings
        #[arg(required = true, value_name = "ID")]
        ids: Vec<RecordingId>,
    },
    /// Show what is kept for longer than [retention] says, or purge it
    Purge {
        /// Purge it
        #[arg(long)]
        due: bool,
    },
    /// Fill a lost catalogue again from the sealed files
    Rebuild {
        /// Catalogue plain files as plain, too
        #[arg(long)]
        plain: bool,
    },
}

pub(super) async fn run(global: &Global, command: Command) -> Result<ExitCode, Failure> {
    let system = System::open(global).await?;
    let outcome = match command {
        Command::List(filter) => list(global, &system, filter).await,
        Command::Delete { ids } => purge::delete(global, &system, &ids).await,
        Command::Hold { ids } => purge::hold(global, &system, &ids, true).await,
        Command::Release { ids } => purge::hold(global, &system, &ids, false).await,
        Command::Purge { due } => purge::purge(global, &system, due).await,
        Command::Show { id } => show(global, &system, &id).await,
        Command::Rebuild { plain } => rebuild(global, &system, plain).await,
    };
    system.close(outcome).await
}

async fn list(global: &Global, system: &System, filter: FilterArguments) -> Result<ExitCode, Failure> {
    let keys = system.keys().await?;
    let playback = system.playback(&keys);
    let now = (system.clock)();
    let filter = match filter.filter(now) {
        Ok(filter) => filter,
        Err(what) => {
            Failure::new(what).advise("see `sealtape recordings list --help`").print();
            return Ok(ExitCode::from(2));
        }
    };
    let row = |recording: &Recording| {
        vec![
            recording.id.to_string(),
            print::size(recording.media_len),
            recording.media_type.to_string(),
            recording.state_at(now).as_str().into(),
            kept(recording).into(),
            recording.created_at.to_string(),
            playback.known_problem(recording).map(|problem| problem.code().to_string()).unwrap_or_default(),
        ]
    };
    let heads = ["ID", "LENGTH", "MEDIA TYPE", "STATE", "KEPT", "CREATED", "PROBLEM"];
    let (mut table, mut array) = (print::Table::new(&heads), print::JsonArray::default());
    let mut after = None;
    // A page at a time, so that a catalogue of any size takes no more memory.
    loop {
        let page = playback.search(&filter, after.as_ref(), PAGE_LEN, &RecordingSet::All).await?;
        if global.json {
            let mut documents = Vec::with_capacity(page.recordings.len());
            for recording in &page.recordings {
                let problem = playback.known_problem(recording);
                let location = playback.location(recording).await;
                documents.push(RecordingDocument::new(recording, problem.as_ref(), "", now).with_location(location));
            }
            array.items(&documents)?;
        } else {
            table.rows(&page.recordings.iter().map(row).collect::<Vec<_>>())?;
        }
        match page.next {
            Some(next) if !print::is_closed() => after = Some(next),
            _ => break,
        }
    }
    if global.json {
        array.end()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// In one word, or two.
fn kept(recording: &Recording) -> &'static str {
    match recording.content {
        Content::Sealed { .. } => "sealed",
        Content::Plain { exempt: false, .. } => "plain",
        Content::Plain { exempt: true, .. } => "plain, exempt",
    }
}

async fn show(global: &Global, system: &System, id: &RecordingId) -> Result<ExitCode, Failure> {
    let keys = system.keys().await?;
    let playback = system.playback(&keys);
    let recording = playback.recording(id).await.map_err(|error| Failure::from(error).of(id))?;
    let opened = playback.open(id).await;
    let location = playback.location(&recording).await;
    let metadata = match system.companions(&keys).metadata(id).await {
        Ok(metadata) => metadata,
        // What the catalogue knows of it is better than nothing; why it is not all is said.
        Err(error) => {
            Failure::from(error).of(format!("the metadata of {id}")).print();
            recording.about.as_ref().map(|about| about.metadata.clone()).unwrap_or_default()
        }
    };
    let now = (system.clock)();
    if global.json {
        let opened = opened.as_ref().map(|opened| &**opened);
        let document = RecordingDocument::of_opened(&recording, opened, "", now);
        print::json(&document.with_metadata(metadata).with_location(location))?;
        return Ok(ExitCode::SUCCESS);
    }
    let media_len = opened.as_ref().map_or(recording.media_len, |opened| opened.media_len);
    let kept = match recording.fingerprint() {
        Some(fingerprint) => format!("sealed under {fingerprint}"),
        None => format!("in {}", kept(&recording)),
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
    ]
    .into_iter()
    .chain(about(&recording, &metadata))
    {
        print::line(&format!("{name:<11} {value}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What is known beside, line by line.
fn about(recording: &Recording, metadata: &Metadata) -> Vec<(&'static str, String)> {
    let Metadata { started_at, duration_s, direction, parties, agent, group, tags } = metadata.clone();
    let sidecars: Vec<String> =
        recording.about.iter().flat_map(|about| &about.sidecars).map(ToString::to_string).collect();
    let list = |items: Vec<String>| (!items.is_empty()).then(|| items.join(", "));
    let held = recording.about.as_ref().and_then(|about| about.held_at);
    [
        ("started", started_at),
        ("duration", duration_s.map(|duration| format!("{duration} s"))),
        ("direction", direction),
        ("parties", list(parties)),
        ("agent", agent),
        ("group", group),
        ("tags", list(tags)),
        ("sidecars", list(sidecars)),
        ("legal hold", held.map(|held| format!("since {held}"))),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

async fn rebuild(global: &Global, system: &System, with_plain: bool) -> Result<ExitCode, Failure> {
    let keys = system.keys().await?;
    if keys.ring().is_empty() {
        return Err(Failure::new("there is no database key, so no sealed file can be verified")
            .advise("bring the keys back first: `sealtape keys import FILE`"));
    }
    let companions = system.companions(&keys);
    let record = Record::open(system).await?;
    let (database, store) = (Arc::clone(&system.database), Arc::clone(&system.store));
    let maintenance = Maintenance::begin(database, store, keys, Arc::clone(&system.clock)).await?;
    let mut beside = 0;
    let (mut catalogued, mut there, mut plain, mut faults) = (Vec::new(), 0_u64, Vec::new(), Vec::new());
    maintenance
        .rebuild(with_plain, &companions, async |rebuilt| -> Result<(), Failure> {
            match rebuilt {
                Rebuilt::Catalogued(recording) => {
                    record.write(event(&record, &recording)).await?;
                    catalogued.push(recording.id);
                }
                Rebuilt::There(_) => there += 1,
                Rebuilt::Beside(_, count) => beside += count,
                Rebuilt::LeftPlain(id) => plain.push(id),
                Rebuilt::Fault(fault) => {
                    let advice = if fault.is_key_missing {
                        "`sealtape keys import` an export that has the key, and run it again"
                    } else {
                        "it was left as it is: restore it from a backup, or move it away, and run it again"
                    };
                    let failure = Failure::new(format!("{}: {}", fault.locations.join(" and "), fault.reason));
                    failure.advise(advice).print();
                    faults.push(fault);
                }
            }
            Ok(())
        })
        .await?;
    if global.json {
        let faults: Vec<_> = faults
            .iter()
            .map(|fault| {
                let id = fault.id.as_ref().map(RecordingId::as_str);
                json!({ "id": id, "locations": fault.locations, "reason": fault.reason })
            })
            .collect();
        let ids = |ids: &[RecordingId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        print::json(&json!({
            "catalogued": ids(&catalogued), "already": there, "left_plain": ids(&plain), "faults": faults,
            "beside": beside,
        }))?;
    } else {
        print::line(&format!(
            "{} recording(s) catalogued, {there} were in the catalogue; running servers play them at once.",
            catalogued.len()
        ))?;
    }
    if !plain.is_empty() {
        print::error_line(&format!(
            "warning: {} plain file(s) were left out, for nothing says that they may be plain; `sealtape recordings rebuild --plain` catalogues them",
            plain.len()
        ));
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

fn event(record: &Record, recording: &Recording) -> Event {
    let seal_id = match &recording.content {
        Content::Sealed { seal_id, .. } => Some(seal_id.to_string()),
        Content::Plain { .. } => None,
    };
    Event {
        recording: Some(recording.id.to_string()),
        fingerprint: recording.fingerprint().map(|fingerprint| fingerprint.to_string()),
        seal_id,
        outcome: Some(recording.state.as_str().into()),
        ..record.event(EventKind::CatalogueRebuild)
    }
}
