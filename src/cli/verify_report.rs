//! What `verify` tells: each finding as it comes, and in the end how many of what.
//!
//! With `--json` one document, whose array of faults is written as they are found, so that an archive of any size takes no
//! more memory.

use std::{collections::BTreeMap, process::ExitCode};

use serde_json::{Value, json};

use super::{Failure, print};
use crate::catalogue::Content;
use crate::service::{Checked, Finding, FindingKind as Kind, Place, Repaired};

/// How many notes a document lists; others are counted.
const NOTES_MAX: usize = 10_000;

/// A report that is being written.
pub(super) struct Report {
    /// Faults of the document; none when people read it.
    faults: Option<print::JsonArray>,
    notes: Vec<Value>,
    repaired: Vec<Value>,
    by_kind: BTreeMap<Kind, u64>,
    recordings: u64,
    sealed: u64,
    plain: u64,
    plain_not_exempt: u64,
    faulty: u64,
    bytes: u64,
}

impl Report {
    /// Begins it.
    pub(super) fn begin(json: bool) -> Result<Self, Failure> {
        if json {
            print::bytes(b"{\n\"faults\": ")?;
        }
        Ok(Self {
            faults: json.then(print::JsonArray::default),
            notes: Vec::new(),
            repaired: Vec::new(),
            by_kind: BTreeMap::new(),
            recordings: 0,
            sealed: 0,
            plain: 0,
            plain_not_exempt: 0,
            faulty: 0,
            bytes: 0,
        })
    }

    /// How many recordings were verified.
    pub(super) fn recordings(&self) -> u64 {
        self.recordings
    }

    /// Bytes of media that verified.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How it went, in a word.
    pub(super) fn outcome(&self, is_stopped: bool) -> &'static str {
        match (is_stopped, self.count(true)) {
            (true, _) => "stopped",
            (false, 0) => "sound",
            (false, _) => "faulty",
        }
    }

    /// Tells what was found out about one recording or file.
    pub(super) fn add(&mut self, checked: &Checked, repaired: Option<Repaired>) -> Result<(), Failure> {
        self.tally(checked);
        for finding in &checked.findings {
            *self.by_kind.entry(finding.kind).or_default() += 1;
            match &mut self.faults {
                None => print::line(&sentence(finding))?,
                Some(faults) if finding.kind.is_fault() => faults.items(&[document(finding)])?,
                Some(_) if self.notes.len() < NOTES_MAX => self.notes.push(document(finding)),
                Some(_) => {}
            }
        }
        if let (Some(repaired), Some(id)) = (repaired, &checked.id) {
            let kept = if let Repaired::Mended { kept, .. } = &repaired { Some(kept) } else { None };
            if self.faults.is_none() {
                let kept = kept.map(|kept| format!("; the old file is kept as {kept}")).unwrap_or_default();
                print::line(&format!("{id}: {}{kept}", what_was_done(&repaired)))?;
            }
            let media_len = if let Repaired::Mended { media_len, .. } = &repaired { Some(media_len) } else { None };
            self.repaired
                .push(json!({ "id": id.as_str(), "repair": repaired.as_str(), "media_len": media_len, "kept": kept }));
        }
        Ok(())
    }

    fn tally(&mut self, checked: &Checked) {
        self.bytes += checked.verified_len;
        // A file beside a recording's own is told after the recording was counted.
        let is_beside = |finding: &Finding| {
            matches!(finding.kind, Kind::Orphan | Kind::LeftOver | Kind::TwoFiles | Kind::OtherKind | Kind::Kept)
        };
        self.faulty += u64::from(checked.is_faulty());
        let Some(row) = &checked.row else { return };
        if !checked.findings.is_empty() && checked.findings.iter().all(is_beside) {
            return;
        }
        self.recordings += 1;
        match row.content {
            Content::Sealed { .. } => self.sealed += 1,
            Content::Plain { exempt, .. } => {
                self.plain += 1;
                self.plain_not_exempt += u64::from(!exempt);
            }
        }
    }

    fn count(&self, faults: bool) -> u64 {
        self.by_kind.iter().filter(|(kind, _)| kind.is_fault() == faults).map(|(_, count)| count).sum()
    }

    /// Ends it: the exit code.
    pub(super) fn end(mut self, is_stopped: bool) -> Result<ExitCode, Failure> {
        let (faults, notes) = (self.count(true), self.count(false));
        match self.faults.take() {
            Some(array) => {
                array.end()?;
                let by_kind: BTreeMap<&str, u64> = self.by_kind.iter().map(|(kind, n)| (kind.code(), *n)).collect();
                let rest = json!({
                    "notes_left_out": notes - self.notes.len() as u64, "notes": self.notes, "repaired": self.repaired,
                    "by_kind": by_kind, "recordings": self.recordings, "sealed": self.sealed, "plain": self.plain,
                    "plain_not_exempt": self.plain_not_exempt, "faulty": self.faulty, "bytes": self.bytes,
                    "stopped": is_stopped,
                });
                let rest = serde_json::to_string_pretty(&rest).unwrap_or_default();
                print::line(&format!(",{}", rest.trim_start_matches('{')))?;
            }
            None => self.summarise(faults, notes)?,
        }
        if is_stopped {
            Failure::new("stopped").advise("nothing was changed that is not whole; run it again").print();
            return Ok(ExitCode::FAILURE);
        }
        Ok(if faults == 0 { ExitCode::SUCCESS } else { ExitCode::from(3) })
    }

    fn summarise(&self, faults: u64, notes: u64) -> Result<(), Failure> {
        let plain = match (self.plain, self.plain_not_exempt) {
            (0, _) => String::new(),
            (plain, 0) => format!(", {plain} of them in plain"),
            (plain, not_exempt) => format!(", {plain} of them in plain ({not_exempt} not exempt)"),
        };
        let repaired =
            if self.repaired.is_empty() { String::new() } else { format!("{} repaired, ", self.repaired.len()) };
        print::line(&format!(
            "{} recording(s){plain}, {} of media verified: {repaired}{faults} fault(s), {notes} note(s).",
            self.recordings,
            print::size(self.bytes),
        ))?;
        for (kind, count) in &self.by_kind {
            print::line(&format!("  {} ({count}): {}", kind.code(), kind.way_out()))?;
        }
        Ok(())
    }
}

/// A finding as people read it.
fn sentence(finding: &Finding) -> String {
    let note = if finding.kind.is_fault() { "" } else { "note: " };
    let thing = match &finding.id {
        Some(id) => id.to_string(),
        None => finding.locations.join(" and "),
    };
    let place = finding.place.as_ref().map(in_words).unwrap_or_default();
    let locations = if finding.id.is_some() && !finding.locations.is_empty() {
        format!(" {}", finding.locations.join(" and "))
    } else {
        String::new()
    };
    format!("{note}{thing}: {}{place} ({}){locations}", finding.detail, finding.kind.code())
}

fn in_words(place: &Place) -> String {
    let time = place
        .time
        .as_ref()
        .map(|time| format!(", about {} to {}", print::media_time(time.start), print::media_time(time.end)));
    let last = place.media.end.saturating_sub(1);
    format!(": bytes {}-{last} of its media{}", place.media.start, time.unwrap_or_default())
}

/// A finding as programs read it.
fn document(finding: &Finding) -> Value {
    let mut document = json!({
        "id": finding.id.as_ref().map(ToString::to_string),
        "kind": finding.kind.code(),
        "location": finding.locations.first(),
        "detail": finding.detail,
    });
    let Value::Object(fields) = &mut document else { return document };
    if finding.locations.len() > 1 {
        fields.insert("locations".into(), json!(finding.locations));
    }
    if let Some(Place { chunks, media, time }) = &finding.place {
        let seconds = |time: std::time::Duration| (time.as_secs_f64() * 1000.0).round() / 1000.0;
        let more = [
            ("chunk", json!(chunks.start)),
            ("last_chunk", json!(chunks.end.saturating_sub(1))),
            ("offset", json!(media.start)),
            ("last_offset", json!(media.end.saturating_sub(1))),
            ("t", json!(time.as_ref().map(|time| seconds(time.start)))),
            ("t_end", json!(time.as_ref().map(|time| seconds(time.end)))),
            // By bytes, where nothing else is known of when they play.
            ("t_is", json!(time.as_ref().map(|_| "proportional"))),
        ];
        fields.extend(more.map(|(name, value)| (name.to_owned(), value)));
    }
    document
}

fn what_was_done(repaired: &Repaired) -> String {
    match repaired {
        Repaired::Nothing => "nothing was to be done".into(),
        Repaired::Settled => "what a killed command had left half done is done".into(),
        Repaired::Corrected => "the catalogue says now what the verified file says".into(),
        Repaired::Catalogued => "it verifies whole, and is in the catalogue now".into(),
        Repaired::Mended { media_len, .. } => {
            format!("mended: {media_len} bytes of media are a complete recording now")
        }
    }
}
