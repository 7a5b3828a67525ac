//! What reads whatever anybody may send, for those who send it on purpose: `tests/hostile`, which fuzzing and the tests
//! share. Nothing here decides anything; it hands what came to the functions that do.

use core::ops::Range;
use std::time::SystemTime;

use hyper::{HeaderMap, Method, Uri};

use super::{
    auth::link_of,
    decision::{Decision, Representation, decide},
    range::{Extent, Selection},
    routes::Route,
};
use crate::service::Validators;

/// What a request for media is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 304.
    NotModified,
    /// 412.
    PreconditionFailed,
    /// 200.
    Whole,
    /// 206, with one part or several.
    Parts(Vec<Range<u64>>),
    /// 206 of a recording in progress: its first and last position.
    Follow(u64, u64),
    /// 416 unless it comes in time.
    NotYet,
    /// 416.
    Unsatisfiable,
}

/// What a request with these headers is answered, of media of `len` bytes, or of as many by now when it `grows`.
#[must_use]
pub fn answer(
    method: &Method,
    headers: &HeaderMap,
    validators: Option<&Validators>,
    (len, grows): (u64, bool),
    unit_len: u64,
    now: SystemTime,
) -> Answer {
    let extent = if grows { Extent::Growing(len) } else { Extent::Fixed(len) };
    match decide(method, headers, Representation { validators, extent, unit_len }, now) {
        Decision::NotModified(_) => Answer::NotModified,
        Decision::PreconditionFailed(_) => Answer::PreconditionFailed,
        Decision::Send(Selection::Whole(_)) => Answer::Whole,
        Decision::Send(Selection::Part(part)) => Answer::Parts(vec![part]),
        Decision::Send(Selection::Parts(parts)) => Answer::Parts(parts),
        Decision::Send(Selection::Follow { first, last }) => Answer::Follow(first, last),
        Decision::Send(Selection::NotYet) => Answer::NotYet,
        Decision::Send(Selection::Unsatisfiable) => Answer::Unsatisfiable,
    }
}

/// What a request's target names: what its route is called, the recording that a link would have to be for, and the link
/// that it shows.
#[must_use]
pub fn target(uri: &Uri) -> (&'static str, Option<String>, Option<String>) {
    let route = Route::decode(uri.path());
    (route.name().class, route.link_target().map(ToString::to_string), link_of(uri))
}
