//! A recording as the interface describes it, over HTTP and with `--json` alike.

use serde::Serialize;

use super::{Problem, ProblemDocument};
use crate::base::Timestamp;
use crate::catalogue::{Metadata, Recording};
use crate::service::{OpenRecording, PlaybackError};

/// A recording, described.
#[derive(Clone, Debug, Serialize)]
pub struct RecordingDocument {
    id: String,
    media_type: String,
    media_len: u64,
    state: &'static str,
    mended: bool,
    sealed: bool,
    fingerprint: Option<String>,
    playable: bool,
    problem: Option<ProblemDocument>,
    created_at: String,
    metadata: Metadata,
    sidecars: Vec<String>,
    /// The URL of the stored file; told to those on the machine alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
}

impl RecordingDocument {
    /// From the catalogue, with the reason why it would not play, if one is known.
    #[must_use]
    pub fn new(recording: &Recording, problem: Option<&PlaybackError>, request_id: &str, now: Timestamp) -> Self {
        Self {
            id: recording.id.to_string(),
            media_type: recording.media_type.to_string(),
            media_len: recording.media_len,
            state: recording.state_at(now).as_str(),
            mended: recording.mended,
            sealed: recording.is_sealed(),
            fingerprint: recording.fingerprint().map(|fingerprint| fingerprint.to_string()),
            playable: problem.is_none(),
            problem: problem.map(|error| Problem::of_playback(error, &recording.id).document(request_id)),
            created_at: recording.created_at.to_string(),
            metadata: recording.about.as_ref().map(|about| about.metadata.clone()).unwrap_or_default(),
            sidecars: recording.about.iter().flat_map(|about| &about.sidecars).map(ToString::to_string).collect(),
            location: None,
        }
    }

    /// From the catalogue and from an attempt to open it, which knows better.
    #[must_use]
    pub fn of_opened(
        recording: &Recording,
        opened: Result<&OpenRecording, &PlaybackError>,
        request_id: &str,
        now: Timestamp,
    ) -> Self {
        let document = Self::new(recording, opened.err(), request_id, now);
        match opened {
            Ok(opened) => Self {
                media_len: opened.media_len,
                state: opened.state.as_str(),
                fingerprint: opened.fingerprint().map(|fingerprint| fingerprint.to_string()),
                ..document
            },
            Err(_) => document,
        }
    }

    /// The same, with all metadata that there is, instead of what the catalogue knows of it.
    #[must_use]
    pub fn with_metadata(self, metadata: Metadata) -> Self {
        Self { metadata, ..self }
    }

    /// The same, with the URL of the stored file.
    #[must_use]
    pub fn with_location(self, location: String) -> Self {
        Self { location: Some(location), ..self }
    }
}
