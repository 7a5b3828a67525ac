//! What is recorded. Nothing here holds a link, a token, a key or a byte of media.

use serde::{Serialize, Serializer};

use super::Spans;
use crate::base::ErrorCode;

/// The longest text of a caller's choosing that an event holds, in bytes.
const TEXT_LEN_MAX: usize = 512;

macro_rules! event_kinds {
    ($($(#[$doc:meta])* $variant:ident = $text:literal;)*) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum EventKind { $($(#[$doc])* $variant,)* }

        impl EventKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As lines write it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

event_kinds! {
    /// The chain's first line.
    Begun = "begun";
    /// What a writer left that was killed was cut off.
    Repaired = "repaired";
    /// Events could not be written in time; how many.
    Lost = "lost";
    /// A server began to serve.
    ServerStart = "server.start";
    /// A server stopped in order.
    ServerStop = "server.stop";
    /// A player began to listen; written before the first byte left.
    Opened = "opened";
    /// What it was given since the last such event.
    Progress = "progress";
    /// It listens no more; what it was given in all.
    Closed = "closed";
    /// Media was refused.
    Refused = "refused";
    /// A database key was generated.
    KeysGenerate = "keys.generate";
    /// A database key was deactivated.
    KeysDeactivate = "keys.deactivate";
    /// A database key was activated.
    KeysActivate = "keys.activate";
    /// Database keys left in a backup.
    KeysExport = "keys.export";
    /// Database keys came from a backup.
    KeysImport = "keys.import";
    /// A definition key was generated.
    DefinitionKeyGenerate = "definition-key.generate";
    /// The definition key was exchanged for another.
    DefinitionKeyCycle = "definition-key.cycle";
    /// The definition key moved to another kind of holder.
    DefinitionKeyMigrate = "definition-key.migrate";
    /// Encryption was switched on.
    EncryptionEnable = "encryption.enable";
    /// Encryption was switched off.
    EncryptionDisable = "encryption.disable";
    /// A recording was taken in.
    RecordingImport = "recording.import";
    /// A recording's description was replaced.
    RecordingDescribe = "recording.describe";
    /// A recording was purged.
    RecordingDelete = "recording.delete";
    /// A recording was put under legal hold.
    RecordingHold = "recording.hold";
    /// A legal hold ended.
    RecordingRelease = "recording.release";
    /// A file that lies beside a recording was read.
    SidecarRead = "sidecar.read";
    /// A recording's waveform was read, for which its sound was decoded.
    WaveformRead = "waveform.read";
    /// A plain recording was sealed.
    RecordingEncrypt = "recording.encrypt";
    /// A file key was wrapped anew.
    RecordingRewrap = "recording.rewrap";
    /// A recording was sealed again.
    RecordingReseal = "recording.reseal";
    /// Recordings were verified; how many, and how it went.
    RecordingsVerify = "recordings.verify";
    /// A broken recording was mended, or what was left half done of it was brought to its end.
    RecordingRepair = "recording.repair";
    /// The catalogue was filled again from the files.
    CatalogueRebuild = "catalogue.rebuild";
    /// An archive was copied.
    StorageCopy = "storage.copy";
    /// A signed link was minted.
    LinkMint = "link.mint";
    /// A bearer token was signed.
    TokenCreate = "token.create";
}

impl Serialize for EventKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One event; what it does not know is left out of its line. Texts that a caller chose go through [`bounded`].
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// What happened.
    #[serde(rename = "event")]
    pub kind: EventKind,
    /// Of the chain's first line: how lines are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// A random name that the events of one session or of one command share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Who.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// How that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<&'static str>,
    /// Who minted the link that was shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minted_by: Option<String>,
    /// The address that it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// What the client calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The recording.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<String>,
    /// The key that the recording is sealed under, or that was acted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The sealing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seal_id: Option<String>,
    /// The first requests, by the IDs that answers and logs show.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub request_ids: Vec<String>,
    /// How many requests in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Bytes handed to the transport; those sent twice count twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Which bytes of the media they were: `[[first, last], …]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spans: Option<Spans>,
    /// Set when spans were merged across gaps, so that there are not too many.
    #[serde(skip_serializing_if = "is_false")]
    pub spans_coarse: bool,
    /// `verified`, `plain` for media kept in plain, `failed` when a record did not verify.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<&'static str>,
    /// How it went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Why a session was closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<&'static str>,
    /// The problem's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// How many events this one stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// More, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Event {
    /// An event of which nothing more is known.
    #[must_use]
    pub fn new(kind: EventKind) -> Self {
        Self {
            kind,
            version: None,
            session: None,
            subject: None,
            credential: None,
            minted_by: None,
            peer: None,
            user_agent: None,
            recording: None,
            fingerprint: None,
            seal_id: None,
            request_ids: Vec::new(),
            requests: None,
            bytes: None,
            spans: None,
            spans_coarse: false,
            verification: None,
            outcome: None,
            closed_by: None,
            code: None,
            count: None,
            detail: None,
        }
    }

    /// The same, with a problem's code.
    #[must_use]
    pub fn with_code(self, code: ErrorCode) -> Self {
        Self { code: Some(code.as_str()), ..self }
    }

    /// The same, with spans.
    #[must_use]
    pub fn with_spans(self, spans: Spans) -> Self {
        Self { spans_coarse: spans.is_coarse(), spans: Some(spans), ..self }
    }
}

/// A text as it may stand in an event: one line of bounded length, control characters replaced.
#[must_use]
pub fn bounded(text: &str) -> String {
    let mut kept = String::with_capacity(text.len().min(TEXT_LEN_MAX));
    for c in text.chars() {
        let c = if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
        if kept.len() + c.len_utf8() > TEXT_LEN_MAX {
            break;
        }
        kept.push(c);
    }
    kept
}

fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bounded_and_of_one_line() {
        assert_eq!(bounded("Mozilla/5.0"), "Mozilla/5.0");
        assert_eq!(bounded("a\n\u{1b}b"), "a\u{fffd}\u{fffd}b");
        let long = bounded(&"ä".repeat(1000));
        assert_eq!(long.len(), TEXT_LEN_MAX);
        assert!(long.chars().all(|c| c == 'ä'));
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let event = Event { recording: Some("a".into()), ..Event::new(EventKind::KeysGenerate) };
        assert_eq!(serde_json::to_string(&event).expect("serialises"), r#"{"event":"keys.generate","recording":"a"}"#);
    }
}
