//! Use cases: playing, keeping and naming recordings and keys, over the doors and not over what stands behind them.
//!
//! Knows no HTTP, no SQL, no path of the store. The clock is passed in. Start with [`Playback`].

mod back_off;
mod buffers;
mod bulk;
mod checksum;
mod companions;
mod copying;
mod growth;
mod ingest;
mod key_ops;
mod key_watch;
mod listening;
mod listening_session;
mod live_writer;
mod maintenance;
mod media_duration;
mod media_reader;
mod media_type;
mod memory_reader;
mod meter;
mod objects;
mod opened;
mod pace;
mod pieces;
mod playback;
mod purge;
mod refusals;
mod salvage;
mod source;
mod span_stream;
mod spooler;
mod verify;
mod waveform;

pub use companions::{CompanionSettings, Companions, Error as CompanionError};
pub use copying::{
    Copied, CopyItem, CopyPage, CopyParts, CopyWishes, Copying, Error as CopyError, Extent as CopyExtent,
    Left as LeftBehind, Proof,
};
pub use ingest::{Error as IngestError, Ingest, Ingested, Intake, NewRecording, Stop};
pub use key_ops::{Imported, KeyOps, KeySummary, StateChange};
pub use key_watch::{Error as KeyError, Health, KeyWatch};
pub use listening::{Listening, ListeningError, ListeningSettings, OnFailure};
pub use listening_session::{Heard, Listener, Player};
pub use maintenance::{
    Candidate, Conduct, Encrypted, Encryption, Error as MaintenanceError, Fault, Maintenance, NotYet,
    Outcome as MaintenanceOutcome, Rebuilt, Repaired, Selection, Spooled, Work,
};
pub use media_type::detect as detect_media_type;
pub use meter::{IngestOutcome, IngestWay, count_ingest};
pub use opened::{OpenRecording, Validators};
pub use pace::Pace as RatePace;
pub use playback::{Error as PlaybackError, Playback, PlaybackSettings};
pub use purge::{Error as PurgeError, Purge, Retention};
pub use salvage::{Damaged, Salvage, Salvaged};
pub use source::{FileSource, Piece as MediaPiece, ReaderSource, Source};
pub use span_stream::{FRAME_LEN_MAX, FRAME_LEN_MIN, SpanStream};
pub use spooler::Spooler;
pub use verify::{
    Checked, Error as VerifyError, Finding, FindingKind, Pace, Place, Round, Scope as VerifyScope, Scrub, Verifier,
    VerifierParts,
};
pub use waveform::{Error as WaveformError, Waveform, Waveforms};

use std::sync::Arc;

use crate::base::Timestamp;

/// The time of day, passed in so that tests can set it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
