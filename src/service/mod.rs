//! Use cases: playing, keeping and naming recordings and keys, over the doors and not over what stands behind them.
//!
//! Knows no HTTP, no SQL, no path of the store. The clock is passed in. Start with [`Playback`].

mod buffers;
mod bulk;
mod cataloguing;
mod dead_import;
mod encoder;
mod incoming;
mod ingest;
mod ingest_sealed;
mod key_ops;
mod key_watch;
mod listening;
mod listening_session;
mod live_row;
mod maintenance;
mod media_duration;
mod media_type;
mod meter;
mod opened;
mod playback;
mod refusals;
mod source;
mod span_stream;
mod unsettled;

pub use incoming::{Intake, Stop};
pub use ingest::{Error as IngestError, Ingest, Ingested, NewRecording};
pub use key_ops::{Imported, KeyOps, KeySummary, StateChange};
pub use key_watch::{Error as KeyError, Health, KeyWatch};
pub use listening::{Listening, ListeningError, ListeningSettings, OnFailure};
pub use listening_session::{Heard, Listener, Player};
pub use maintenance::{
    Candidate, Error as MaintenanceError, Fault, Maintenance, Outcome as MaintenanceOutcome, Rebuilt, Selection, Work,
};
pub use media_type::detect as detect_media_type;
pub use meter::{IngestOutcome, IngestWay, count_ingest};
pub use opened::{OpenRecording, Validators};
pub use playback::{Error as PlaybackError, Playback, PlaybackSettings};
pub use source::{FileSource, Piece as MediaPiece, ReaderSource, Source};
pub use span_stream::{FRAME_LEN_MAX, FRAME_LEN_MIN, SpanStream};

use std::sync::Arc;

use crate::base::Timestamp;

/// The time of day, passed in so that tests can set it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
