//! `sealtape audit`: the playback record, verified and shown.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{
    Failure, Global,
    open::{Purpose, System, settings},
    print,
    record::files,
};
use crate::access::Subject;
use crate::audit::{self, History, KnownHead, Verification};
use crate::base::{RecordingId, Timestamp, parse_duration};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Find every change, gap and reorder in the record; 1 when there is one
    Verify(VerifyArguments),
    /// Show events, oldest first
    Show(ShowArguments),
}

#[derive(Args)]
pub(super) struct VerifyArguments {
    /// Files or folders of records, of one proxy or several [default: the record of this system]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A head that was kept, as an earlier run showed it: the end must be there still; may be given several times
    #[arg(long, value_name = "CHAIN:SEQ:HASH")]
    head: Vec<KnownHead>,
}

#[derive(Args)]
pub(super) struct ShowArguments {
    /// Files or folders of records, of one proxy or several, shown as one [default: the record of this system]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only what concerns this recording
    #[arg(long, value_name = "ID")]
    recording: Option<RecordingId>,
    /// Only what this subject did
    #[arg(long, value_name = "NAME", value_parser = super::token::parse_subject)]
    subject: Option<Subject>,
    /// Only from then on: a time such as 2026-11-25T08:00:00Z, or so long ago, such as 2h
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    since: Option<Since>,
}

#[derive(Clone, Copy)]
enum Since {
    At(Timestamp),
    Ago(Duration),
}

pub(super) async fn run(global: &Global, command: Command) -> Result<ExitCode, Failure> {
    // Whoever only reads the record makes no key.
    let system = System::open_without_definition_key(settings(global)?, Purpose::Use).await?;
    let outcome = match command {
        Command::Verify(arguments) => verify(global, &arguments, &system),
        Command::Show(arguments) => show(global, &arguments, &system),
    };
    system.close(outcome).await
}

fn verify(global: &Global, arguments: &VerifyArguments, system: &System) -> Result<ExitCode, Failure> {
    let files = chosen(system, &arguments.files)?;
    let mut verification = audit::verify(&files, &arguments.head)?;
    if arguments.files.is_empty() {
        // A system has one chain: a second one was begun where the first was taken away.
        verification.expect_one_chain(&system.settings.audit.path);
    }
    if global.json {
        print::json(&document(&verification))?;
    } else {
        for chain in &verification.chains {
            let head = KnownHead { chain: chain.chain.clone(), head: chain.head };
            print::line(&format!(
                "chain {}: {} lines in {} file(s), from line {}",
                chain.chain, chain.lines, chain.files, chain.first_seq
            ))?;
            let by: Vec<&str> = chain.instances.iter().map(String::as_str).collect();
            let by = if by.is_empty() { "somebody who gave no name".into() } else { by.join(", ") };
            print::line(&format!("  by {by}, {} to {}", chain.time[0], chain.time[1]))?;
            print::line(&format!("  head {head}"))?;
        }
        for copy in &verification.copies {
            print::line(&format!("{}: a copy of {}, read once", copy.file.display(), copy.of.display()))?;
        }
        for fault in &verification.faults {
            print::line(&format!("{}:{}: {}", fault.file.display(), fault.line, fault.what))?;
        }
    }
    if verification.is_sound() {
        if !global.json {
            print::line(
                "No change, gap or reorder was found. Keep the head elsewhere: it alone tells when an end is cut off.",
            )?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let count = verification.faults.len() as u64 + verification.faults_left_out;
    Err(Failure::new(format!("the playback record is not as it was written: {count} fault(s)"))
        .advise("keep the files as they are, and find out who could write them"))
}

fn document(verification: &Verification) -> Value {
    let chains = verification.chains.iter().map(|chain| {
        let head = KnownHead { chain: chain.chain.clone(), head: chain.head };
        json!({
            "chain": chain.chain, "files": chain.files, "lines": chain.lines, "first_seq": chain.first_seq,
            "head": head.to_string(), "instances": chain.instances, "from": chain.time[0], "to": chain.time[1],
        })
    });
    let faults = verification.faults.iter();
    let faults = faults.map(|fault| json!({ "file": fault.file, "line": fault.line, "what": fault.what }));
    let copies = verification.copies.iter().map(|copy| json!({ "file": copy.file, "of": copy.of }));
    json!({
        "sound": verification.is_sound(),
        "chains": chains.collect::<Vec<_>>(),
        "copies": copies.collect::<Vec<_>>(),
        "faults": faults.collect::<Vec<_>>(),
        "faults_left_out": verification.faults_left_out,
    })
}

/// Line by line, so that records of any length take the same memory.
fn show(global: &Global, arguments: &ShowArguments, system: &System) -> Result<ExitCode, Failure> {
    let since = arguments.since.map(|since| since.at((system.clock)()));
    let mut history = History::open(&chosen(system, &arguments.files)?)?;
    for copy in history.copies() {
        print::error_line(&format!("{}: a copy of {}, shown once", copy.file.display(), copy.of.display()));
    }
    let mut shown = 0_u64;
    while let Some(event) = history.next_event()? {
        if !arguments.matches(&event, since) {
            continue;
        }
        if global.json {
            let text = serde_json::to_string(&event).unwrap_or_default();
            print::bytes(format!("{}{text}", if shown == 0 { "[\n" } else { ",\n" }).as_bytes())?;
        } else {
            print::line(&sentence(&event))?;
        }
        shown += 1;
        if print::is_closed() {
            return Ok(ExitCode::SUCCESS);
        }
    }
    if global.json {
        print::line(if shown == 0 { "[]" } else { "\n]" })?;
    }
    let unreadable = history.unreadable();
    if unreadable > 0 {
        return Err(
            Failure::new(format!("{unreadable} line(s) cannot be read")).advise("`sealtape audit verify` says where")
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The files that were named, those of folders that were, or else this system's.
fn chosen(system: &System, named: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    if named.is_empty() {
        return files(system);
    }
    let mut chosen = Vec::new();
    for path in named {
        if !path.is_dir() {
            chosen.push(path.clone());
            continue;
        }
        let files = audit::files(path)?;
        if files.is_empty() {
            return Err(Failure::new(format!("{}: there is no playback record here", path.display()))
                .advise("name folders that hold playback-000001.jsonl and so on, or files"));
        }
        chosen.extend(files);
    }
    Ok(chosen)
}

impl ShowArguments {
    fn matches(&self, event: &Map<String, Value>, since: Option<Timestamp>) -> bool {
        let text = |name: &str| event.get(name).and_then(Value::as_str);
        let is_of = |wanted: Option<&str>, name: &str| wanted.is_none_or(|wanted| text(name) == Some(wanted));
        let at = || text("at").and_then(|at| at.parse::<Timestamp>().ok());
        is_of(self.recording.as_ref().map(RecordingId::as_str), "recording")
            && is_of(self.subject.as_ref().map(Subject::as_str), "subject")
            && since.is_none_or(|since| at().is_some_and(|at| at >= since))
    }
}

impl Since {
    fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(ago) => {
                let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
                Timestamp::from_millis(now.millis().saturating_sub(ago)).unwrap_or(now)
            }
        }
    }
}

/// An event for people: when, what, who, which recording, and whatever else it says.
fn sentence(event: &Map<String, Value>) -> String {
    const HEAD: [&str; 4] = ["at", "event", "subject", "recording"];
    const LEFT_OUT: [&str; 6] = ["seq", "chain", "prev", "hash", "user_agent", "request_ids"];
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let head = HEAD.map(|name| event.get(name).map_or_else(|| "-".into(), plain));
    let rest = event.iter().filter(|(name, _)| !HEAD.contains(&name.as_str()) && !LEFT_OUT.contains(&name.as_str()));
    let rest: Vec<String> = rest.map(|(name, value)| format!("{name}={}", plain(value))).collect();
    format!("{}  {:<20}  {:<16}  {:<24}  {}", head[0], head[1], head[2], head[3], rest.join(" ")).trim_end().to_owned()
}

fn parse_since(text: &str) -> Result<Since, String> {
    let time = text.parse().ok().map(Since::At);
    time.or_else(|| parse_duration(text).map(Since::Ago))
        .ok_or_else(|| "it must be a time such as 2026-11-25T08:00:00Z, or so long ago, such as 2h".into())
}
