//! `sealtape recordings delete`, `hold`, `release` and `purge`: how recordings go, and what keeps them.

use std::{process::ExitCode, time::Duration};

use serde_json::json;

use super::{Failure, Global, import::obey_signals, open::System, print, record::Record};
use crate::audit::{Event, EventKind};
use crate::base::{ErrorCode, RecordingId};
use crate::service::{Purge, Retention, Stop};

/// Seconds of a day, as retention counts it.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Purges recordings by name.
pub(super) async fn delete(global: &Global, system: &System, ids: &[RecordingId]) -> Result<ExitCode, Failure> {
    let record = Record::open(system).await?;
    let purge = system.purge();
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for id in ids {
        match purge_one(&purge, &record, id).await? {
            Ok(()) => done.push(id.clone()),
            Err(failure) => {
                let failure = failure.of(id);
                failure.print();
                failed.push(json!({ "id": id.as_str(), "reason": failure.what() }));
            }
        }
    }
    end(global, &done, failed)
}

/// Shows what is due by `[retention]`, or purges it.
pub(super) async fn purge(global: &Global, system: &System, is_meant: bool) -> Result<ExitCode, Failure> {
    let retention = retention(system)?;
    let purge = system.purge();
    if !is_meant {
        return show_due(global, system, &purge, &retention).await;
    }
    let record = Record::open(system).await?;
    let (sender, stop) = Stop::channel();
    obey_signals(sender)?;
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    purge
        .due(&retention, async |recordings| -> Result<(), Failure> {
            for recording in recordings {
                if stop.is_asked() {
                    return Err(Failure::new("stopped").advise("run it again to go on"));
                }
                let id = recording.id;
                match purge_one(&purge, &record, &id).await? {
                    Ok(()) => done.push(id),
                    Err(failure) => {
                        let failure = failure.of(&id);
                        failure.print();
                        failed.push(json!({ "id": id.as_str(), "reason": failure.what() }));
                    }
                }
            }
            Ok(())
        })
        .await?;
    end(global, &done, failed)
}

/// Puts recordings under legal hold, or ends that.
pub(super) async fn hold(
    global: &Global,
    system: &System,
    ids: &[RecordingId],
    is_held: bool,
) -> Result<ExitCode, Failure> {
    let record = Record::open(system).await?;
    let purge = system.purge();
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for id in ids {
        match purge.hold(id, is_held).await {
            Ok(()) => {
                let kind = if is_held { EventKind::RecordingHold } else { EventKind::RecordingRelease };
                record.write(Event { recording: Some(id.to_string()), ..record.event(kind) }).await?;
                done.push(id.clone());
            }
            Err(error) => {
                let failure = Failure::from(error).of(id);
                failure.print();
                failed.push(json!({ "id": id.as_str(), "reason": failure.what() }));
            }
        }
    }
    if global.json {
        print::json(&json!({ "held": is_held, "done": texts(&done), "failed": failed }))?;
    } else {
        let what = if is_held { "under legal hold: nothing purges them" } else { "no longer under legal hold" };
        print::line(&format!("{} recording(s) {what}.", done.len()))?;
    }
    Ok(exit_code(done.len(), failed.len()))
}

/// One recording; the outer failure is that it is gone and not on record, which ends the command.
async fn purge_one(purge: &Purge, record: &Record, id: &RecordingId) -> Result<Result<(), Failure>, Failure> {
    let recording = match purge.purge(id).await {
        Ok(recording) => recording,
        // The next one would fail in the same way.
        Err(error) if error.code() == ErrorCode::CatalogueUnavailable => return Err(Failure::from(error).of(id)),
        Err(error) => return Ok(Err(error.into())),
    };
    let fingerprint = recording.fingerprint().map(|fingerprint| fingerprint.to_string());
    let event = Event { recording: Some(id.to_string()), fingerprint, ..record.event(EventKind::RecordingDelete) };
    record.write(event).await?;
    Ok(Ok(()))
}

async fn show_due(global: &Global, system: &System, purge: &Purge, retention: &Retention) -> Result<ExitCode, Failure> {
    let mut array = print::JsonArray::default();
    let mut table = print::Table::new(&["ID", "LENGTH", "RECORDED", "DUE SINCE", "TAGS"]);
    let now = (system.clock)();
    purge
        .due(retention, async |recordings| -> Result<(), Failure> {
            let due = |recording: &_| retention.due_at(recording).unwrap_or(now).to_string();
            let tags = |recording: &crate::catalogue::Recording| {
                recording.about.as_ref().map(|about| about.metadata.tags.clone()).unwrap_or_default()
            };
            if global.json {
                let documents: Vec<_> = recordings
                    .iter()
                    .map(|recording| {
                        json!({
                            "id": recording.id.as_str(), "media_len": recording.media_len,
                            "recorded_at": recording.listed_at().to_string(), "due_since": due(recording),
                            "tags": tags(recording),
                        })
                    })
                    .collect();
                return array.items(&documents);
            }
            let rows: Vec<Vec<String>> = recordings
                .iter()
                .map(|recording| {
                    vec![
                        recording.id.to_string(),
                        print::size(recording.media_len),
                        recording.listed_at().to_string(),
                        due(recording),
                        tags(recording).join(", "),
                    ]
                })
                .collect();
            table.rows(&rows)
        })
        .await?;
    if global.json {
        array.end()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn retention(system: &System) -> Result<Retention, Failure> {
    let keeping = &system.settings.keeping;
    let time = |days: u64| DAY.checked_mul(u32::try_from(days).unwrap_or(u32::MAX)).unwrap_or(Duration::MAX);
    let by_tag = keeping.days_by_tag.iter().map(|(tag, days)| (tag.clone(), time(*days))).collect();
    let retention = Retention { keep: keeping.days.map(time), by_tag };
    if retention == Retention::default() {
        return Err(Failure::new("settings do not say for how long recordings are kept")
            .advise("set retention.days, or retention.by_tag, in the configuration"));
    }
    Ok(retention)
}

fn end(global: &Global, done: &[RecordingId], failed: Vec<serde_json::Value>) -> Result<ExitCode, Failure> {
    let code = exit_code(done.len(), failed.len());
    if global.json {
        print::json(&json!({ "purged": texts(done), "failed": failed }))?;
    } else if !done.is_empty() || failed.is_empty() {
        print::line(&format!(
            "{} recording(s) purged; running servers have forgotten them, and the playback record keeps what was heard.",
            done.len()
        ))?;
    }
    Ok(code)
}

fn texts(ids: &[RecordingId]) -> Vec<&str> {
    ids.iter().map(RecordingId::as_str).collect()
}

fn exit_code(done: usize, failed: usize) -> ExitCode {
    match (done, failed) {
        (_, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::FAILURE,
        _ => ExitCode::from(3),
    }
}
