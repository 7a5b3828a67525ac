//! The HTTP face: from a request to an answer, by RFC 9110.
//!
//! Knows no file, key or SQL; [`crate::service`] does the work. One request's way: `server` accepts, `auth` asks who,
//! `routes` decodes the path into a closed enum, `answer` picks the use case, `media` decides ranges and streams.
//! `problem` alone turns an error into a status; text from below it never reaches a client.

mod answer;
mod app;
mod auth;
mod body;
mod conditional;
mod demo;
mod document;
mod media;
mod observe;
mod openapi;
mod player;
mod problem;
mod problem_page;
mod problem_text;
mod range;
mod routes;
mod server;

pub use app::App;
pub use document::RecordingDocument;
pub use observe::{Adopt, Observers, TRACE_TARGET};
pub use problem::{Problem, ProblemDocument};
pub use problem_text::advice;
pub use server::{Server, ServerSettings};
