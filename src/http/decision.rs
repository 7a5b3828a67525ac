//! What a request for a representation is answered: preconditions, then ranges, in the order of RFC 9110, section
//! 13.2.2. One pure function of the request, the representation and the time; knows no recording and sends nothing.

use std::time::SystemTime;

use hyper::{HeaderMap, Method, header, header::HeaderValue};

use super::{
    conditional::{self, Unmet},
    range::{self, Extent, Ignored, Selection},
};
use crate::service::Validators;

#[cfg(test)]
mod tests;

/// What there is to be had. That it exists is known before anything is decided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Representation<'a> {
    /// None for what may still change.
    pub validators: Option<&'a Validators>,
    pub extent: Extent,
    /// How many bytes of media are read and verified together.
    pub unit_len: u64,
}

/// What to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// 304: the client has it already.
    NotModified(Unmet),
    /// 412: it is not what the client thinks.
    PreconditionFailed(Unmet),
    /// 200, 206 or 416.
    Send(Selection),
}

/// Decides.
///
/// 1. `If-Match`; 2. without it `If-Unmodified-Since`: 412 unless they hold.
/// 3. `If-None-Match`; 4. without it, for GET and HEAD, `If-Modified-Since`: 304 unless they hold, and 412 for other
///    methods.
/// 5. For GET, `Range`, if `If-Range` holds; 6. else all of it.
// A function of its own, always: `benches/counts` counts its instructions by its name.
#[inline(never)]
pub(super) fn decide(
    method: &Method,
    headers: &HeaderMap,
    representation: Representation<'_>,
    now: SystemTime,
) -> Decision {
    let Representation { validators, extent, unit_len } = representation;
    if let Err(unmet) = conditional::evaluate(method, headers, validators, now) {
        let is_read = matches!(*method, Method::GET | Method::HEAD);
        return match unmet {
            Unmet::Listed | Unmet::Exists | Unmet::NotModified if is_read => Decision::NotModified(unmet),
            _ => Decision::PreconditionFailed(unmet),
        };
    }
    if *method != Method::GET {
        return Decision::Send(Selection::Whole(Ignored::Method));
    }
    let may_be_partial = conditional::if_range_holds(headers, validators, now);
    let values = headers.get_all(header::RANGE).iter().map(HeaderValue::as_bytes);
    Decision::Send(range::select(values, may_be_partial, extent, unit_len))
}
