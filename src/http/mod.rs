//! The HTTP face: from a request to an answer, by RFC 9110.
//!
//! Knows no file, key or SQL; [`crate::service`] does the work. One request's way: `server` accepts, `auth` asks who,
//! `routes` decodes the path into a closed enum, `answer` picks the use case, `decision` weighs conditions and ranges,
//! `media` streams what it says. `problem` alone turns an error into a status; text from below it never reaches a client.

mod answer;
mod app;
mod auth;
mod body;
mod conditional;
mod cors;
mod decision;
mod demo;
mod describe;
mod description;
mod document;
mod forward;
#[doc(hidden)]
pub mod hostile;
mod link;
mod listing;
mod media;
mod multipart;
mod observe;
mod openapi;
mod peers;
mod player;
mod problem;
mod problem_page;
mod problem_text;
mod put;
mod range;
mod request_id;
mod routes;
mod server;
mod sidecar;
mod upload;
mod waveform;

pub use app::App;
pub use auth::{
    Auth, AuthMode, AuthSettings, KeySetSource, LinkMinter, LocalKey, MintError, Minted, NewToken, PrivateFileError,
    ProviderSettings, SignedToken, TokenError, TrustedPeer,
};
pub use cors::Cors;
pub use document::RecordingDocument;
pub use observe::{Adopt, Observers, TRACE_TARGET};
pub use peers::Peers;
pub use problem::{Problem, ProblemDocument};
pub use problem_text::advice;
pub use put::Uploads;
pub use server::{ListenError, Listener, Server, ServerSettings, Timeouts, Tls, TlsError};
