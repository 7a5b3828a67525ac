//! Requests and what is answered, by clause of the standard: a table, tried against a running server.
//!
//! A row is: clause, request line, header lines, status, what the answer's head says, what its body is. Of the head,
//! `name: value` is there so, `name` is there, `!name` is not. In header lines `{etag}` and `{date}` stand for the
//! validators of the recording. `Host` and `Connection: close` are sent unless the row has its own (`-Host`: none).

use std::{ops::Range, thread, time::Duration};

use Body::{Any, Empty, Part, Parts, Problem, Whole};

use crate::{
    players::demo,
    support::{Reply, Server, System, media, send, text},
};

const LEN: usize = 40_000;

enum Body {
    /// Not looked at.
    Any,
    Empty,
    Whole,
    Part(Range<usize>),
    /// `multipart/byteranges` with these parts in this order.
    Parts(&'static [Range<usize>]),
    /// A problem of that code.
    Problem(&'static str),
}

type Row = (&'static str, &'static str, &'static [&'static str], u16, &'static [&'static str], Body);

const MEDIA: &str = "GET /recordings/call/media HTTP/1.1";
const HEAD: &str = "HEAD /recordings/call/media HTTP/1.1";
const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const MULTIPART: &[&str] = &["!content-range", "content-length", "accept-ranges: bytes", "etag", "last-modified"];
const WHOLE: &[&str] = &["content-length: 40000", "!content-range", "accept-ranges: bytes"];
const NOT_THERE: &[&str] = &["content-range: bytes */40000", "playback-error: range-not-satisfiable"];
const NOT_MODIFIED: &[&str] = &[
    "etag: {etag}",
    "cache-control: private, no-store",
    "!content-length",
    "!content-type",
    "!last-modified",
    "!transfer-encoding",
    "!content-range",
    "date",
];
const FAILED: &[&str] = &["playback-error: precondition-failed", "cache-control: no-store", "!content-range"];

/// One range, or none that counts.
const RANGES: &[Row] = &[
    ("RFC 9110 14.2", MEDIA, &[], 200, WHOLE, Whole),
    (
        "RFC 9110 14.1.2",
        MEDIA,
        &["Range: bytes=0-0"],
        206,
        &["content-range: bytes 0-0/40000", "content-length: 1"],
        Part(0..1),
    ),
    ("RFC 9110 14.1.2", MEDIA, &["Range: bytes=0-39999"], 206, &["content-range: bytes 0-39999/40000"], Part(0..LEN)),
    (
        "RFC 9110 14.1.2",
        MEDIA,
        &["Range: bytes=500-999"],
        206,
        &["content-range: bytes 500-999/40000"],
        Part(500..1000),
    ),
    (
        "RFC 9110 14.1.2",
        MEDIA,
        &["Range: bytes=16383-16384"],
        206,
        &["content-range: bytes 16383-16384/40000"],
        Part(16383..16385),
    ),
    (
        "RFC 9110 14.1.2",
        MEDIA,
        &["Range: bytes=39999-39999"],
        206,
        &["content-range: bytes 39999-39999/40000"],
        Part(39999..LEN),
    ),
    (
        "RFC 9110 14.1.2",
        MEDIA,
        &["Range: bytes=39999-"],
        206,
        &["content-range: bytes 39999-39999/40000"],
        Part(39999..LEN),
    ),
    ("RFC 9110 14.1.2", MEDIA, &["Range: bytes=0-"], 206, &["content-range: bytes 0-39999/40000"], Part(0..LEN)),
    (
        "RFC 9110 14.1.2",
        MEDIA,
        &["Range: bytes=39000-50000"],
        206,
        &["content-range: bytes 39000-39999/40000"],
        Part(39000..LEN),
    ),
    (
        "RFC 9110 14.1.2",
        MEDIA,
        &["Range: bytes=-1"],
        206,
        &["content-range: bytes 39999-39999/40000"],
        Part(39999..LEN),
    ),
    (
        "RFC 9110 14.1.2",
        MEDIA,
        &["Range: bytes=-500"],
        206,
        &["content-range: bytes 39500-39999/40000"],
        Part(39500..LEN),
    ),
    ("RFC 9110 14.1.2", MEDIA, &["Range: bytes=-40000"], 206, &["content-range: bytes 0-39999/40000"], Part(0..LEN)),
    ("RFC 9110 14.1.2", MEDIA, &["Range: bytes=-40001"], 206, &["content-range: bytes 0-39999/40000"], Part(0..LEN)),
    (
        "RFC 9110 14.1.2",
        MEDIA,
        &["Range: bytes=0-18446744073709551615"],
        206,
        &["content-range: bytes 0-39999/40000"],
        Part(0..LEN),
    ),
    (
        "RFC 9110 14.1.2",
        MEDIA,
        &["Range: bytes=5-99999999999999999999999999999999999999999"],
        206,
        &["content-range: bytes 5-39999/40000"],
        Part(5..LEN),
    ),
    (
        "RFC 9110 14.1.2",
        MEDIA,
        &["Range: bytes=-99999999999999999999999999999999999999999"],
        206,
        &["content-range: bytes 0-39999/40000"],
        Part(0..LEN),
    ),
    (
        "RFC 9110 14.1.2",
        MEDIA,
        &["Range: bytes=000000000000000000000000000000000000001-2"],
        206,
        &["content-range: bytes 1-2/40000"],
        Part(1..3),
    ),
    ("RFC 9110 14.1", MEDIA, &["Range: BYTES=1-2"], 206, &["content-range: bytes 1-2/40000"], Part(1..3)),
    ("RFC 9110 5.6.1", MEDIA, &["Range: bytes= 1-2"], 206, &["content-range: bytes 1-2/40000"], Part(1..3)),
    ("RFC 9110 5.6.1", MEDIA, &["Range: bytes=,1-2"], 206, &["content-range: bytes 1-2/40000"], Part(1..3)),
    ("RFC 9110 5.6.1", MEDIA, &["Range: bytes=1-2 , ,"], 206, &["content-range: bytes 1-2/40000"], Part(1..3)),
    ("RFC 9110 5.5", MEDIA, &["Range: \t bytes=1-2  \t"], 206, &["content-range: bytes 1-2/40000"], Part(1..3)),
    ("RFC 9110 5.1", MEDIA, &["rAnGe: bytes=1-2"], 206, &["content-range: bytes 1-2/40000"], Part(1..3)),
    (
        "RFC 9110 15.3.7",
        MEDIA,
        &["Range: bytes=1-2"],
        206,
        &["etag: {etag}", "last-modified: {date}", "cache-control: private, no-store", "date", "content-type"],
        Part(1..3),
    ),
    ("RFC 9110 15.5.17", MEDIA, &["Range: bytes=40000-"], 416, NOT_THERE, Problem("range-not-satisfiable")),
    ("RFC 9110 15.5.17", MEDIA, &["Range: bytes=40000-40001"], 416, NOT_THERE, Problem("range-not-satisfiable")),
    (
        "RFC 9110 15.5.17",
        MEDIA,
        &["Range: bytes=99999999999999999999-"],
        416,
        NOT_THERE,
        Problem("range-not-satisfiable"),
    ),
    ("RFC 9110 14.1.2", MEDIA, &["Range: bytes=-0"], 416, NOT_THERE, Problem("range-not-satisfiable")),
    (
        "RFC 9110 15.5.17",
        MEDIA,
        &["Range: bytes=40000-,-0,50000-60000"],
        416,
        NOT_THERE,
        Problem("range-not-satisfiable"),
    ),
    ("RFC 9110 14.2", MEDIA, &["Range: seconds=1-2"], 200, WHOLE, Whole),
    ("RFC 9110 14.2", MEDIA, &["Range: bytess=1-2"], 200, WHOLE, Whole),
    ("RFC 9110 14.2", MEDIA, &["Range: bytes"], 200, WHOLE, Whole),
    ("RFC 9110 14.2", MEDIA, &["Range: bytes 1-2"], 200, WHOLE, Whole),
    ("RFC 9110 14.2", MEDIA, &["Range:"], 200, WHOLE, Whole),
    ("RFC 9110 14.1.1", MEDIA, &["Range: bytes="], 200, WHOLE, Whole),
    ("RFC 9110 14.1.1", MEDIA, &["Range: bytes=-"], 200, WHOLE, Whole),
    ("RFC 9110 14.1.1", MEDIA, &["Range: bytes=2-1"], 200, WHOLE, Whole),
    ("RFC 9110 14.1.1", MEDIA, &["Range: bytes=a-b"], 200, WHOLE, Whole),
    ("RFC 9110 14.1.1", MEDIA, &["Range: bytes=1"], 200, WHOLE, Whole),
    ("RFC 9110 14.1.1", MEDIA, &["Range: bytes=1 - 2"], 200, WHOLE, Whole),
    ("RFC 9110 14.1.1", MEDIA, &["Range: bytes=+1-2"], 200, WHOLE, Whole),
    ("RFC 9110 14.1.1", MEDIA, &["Range: bytes=1--2"], 200, WHOLE, Whole),
    ("RFC 9110 14.1.1", MEDIA, &["Range: bytes=0x1-0x2"], 200, WHOLE, Whole),
    ("RFC 9110 14.1.1", MEDIA, &["Range: bytes=1-2,5-4"], 200, WHOLE, Whole),
    ("RFC 9110 14.1.1", MEDIA, &["Range: bytes=1-2,x"], 200, WHOLE, Whole),
    ("RFC 9110 14.1.1", MEDIA, &["Range: bytes=,"], 200, WHOLE, Whole),
    ("RFC 9110 5.3", MEDIA, &["Range: bytes=1-2", "Range: bytes=5-6"], 200, WHOLE, Whole),
    ("RFC 9110 14.2", HEAD, &["Range: bytes=1-2"], 200, WHOLE, Empty),
    ("RFC 9110 14.2", HEAD, &["Range: bytes=40000-"], 200, WHOLE, Empty),
    ("RFC 9110 14.2", HEAD, &["Range: bytes=1-2,5-6"], 200, WHOLE, Empty),
];

/// Several ranges.
const MULTIPARTS: &[Row] = &[
    ("RFC 9110 15.3.7.2", MEDIA, &["Range: bytes=0-1,4-5"], 206, MULTIPART, Parts(&[0..2, 4..6])),
    ("RFC 9110 15.3.7.2", MEDIA, &["Range: bytes=4-5,0-1"], 206, MULTIPART, Parts(&[4..6, 0..2])),
    ("RFC 9110 15.3.7.2", MEDIA, &["Range: bytes=0-0,-1"], 206, MULTIPART, Parts(&[0..1, 39999..40000])),
    (
        "RFC 9110 15.3.7.2",
        MEDIA,
        &["Range: bytes=-1,0-0,20000-20009"],
        206,
        MULTIPART,
        Parts(&[39999..40000, 0..1, 20000..20010]),
    ),
    ("RFC 9110 15.3.7.2", MEDIA, &["Range: bytes=100-200,30000-"], 206, MULTIPART, Parts(&[100..201, 30000..40000])),
    (
        "RFC 9110 15.3.7.2",
        MEDIA,
        &["Range: bytes=0-16384,16386-39999"],
        206,
        MULTIPART,
        Parts(&[0..16385, 16386..40000]),
    ),
    ("RFC 9110 15.3.7.2", MEDIA, &["Range: bytes=0-1,40000-,4-5"], 206, MULTIPART, Parts(&[0..2, 4..6])),
    ("RFC 9110 15.3.7.2", MEDIA, &["Range: bytes=0-9,5-14,20-29"], 206, MULTIPART, Parts(&[0..15, 20..30])),
    ("RFC 9110 15.3.7.2", MEDIA, &["Range: bytes=20-29,5-14,0-9"], 206, MULTIPART, Parts(&[20..30, 0..15])),
    ("RFC 9110 15.3.7.2", MEDIA, &["Range: bytes=8-8,0-1,6-7,4-4"], 206, MULTIPART, Parts(&[6..9, 0..2, 4..5])),
    ("RFC 9110 15.3.7.2", MEDIA, &["Range: bytes=0-3,5-9"], 206, MULTIPART, Parts(&[0..4, 5..10])),
    ("RFC 9110 5.6.1", MEDIA, &["Range: bytes= 0-1 ,\t4-5 ,, "], 206, MULTIPART, Parts(&[0..2, 4..6])),
    ("RFC 9110 15.3.7.2", MEDIA, &["Range: bytes=0-4,5-9"], 206, &["content-range: bytes 0-9/40000"], Part(0..10)),
    ("RFC 9110 15.3.7.2", MEDIA, &["Range: bytes=5-9,0-4"], 206, &["content-range: bytes 0-9/40000"], Part(0..10)),
    ("RFC 9110 15.3.7.2", MEDIA, &["Range: bytes=0-1,8-9,2-7"], 206, &["content-range: bytes 0-9/40000"], Part(0..10)),
    ("RFC 9110 15.3.7.2", MEDIA, &["Range: bytes=0-1,0-1"], 206, &["content-range: bytes 0-1/40000"], Part(0..2)),
    ("RFC 9110 15.3.7.2", MEDIA, &["Range: bytes=0-1,40000-"], 206, &["content-range: bytes 0-1/40000"], Part(0..2)),
    (
        "RFC 9110 15.3.7.2",
        MEDIA,
        &["Range: bytes=0-,0-,0-,0-,0-,0-"],
        206,
        &["content-range: bytes 0-39999/40000"],
        Part(0..LEN),
    ),
    (
        "RFC 9110 17.15",
        MEDIA,
        &[
            "Range: bytes=0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0",
        ],
        200,
        WHOLE,
        Whole,
    ),
    ("RFC 9110 14.2", MEDIA, &["Range: lines=0-1,4-5"], 200, WHOLE, Whole),
];

/// Conditions, and ranges under conditions.
const CONDITIONS: &[Row] = &[
    ("RFC 9110 13.1.1", MEDIA, &["If-Match: {etag}"], 200, WHOLE, Whole),
    ("RFC 9110 13.1.1", MEDIA, &["If-Match: *"], 200, WHOLE, Whole),
    ("RFC 9110 13.1.1", MEDIA, &["If-Match: \"x\", {etag}"], 200, WHOLE, Whole),
    ("RFC 9110 13.1.1", MEDIA, &["If-Match: \"x,y\" ,, {etag},"], 200, WHOLE, Whole),
    ("RFC 9110 5.3", MEDIA, &["If-Match: \"x\"", "If-Match: {etag}"], 200, WHOLE, Whole),
    ("RFC 9110 13.1.1", MEDIA, &["If-Match: \"x\""], 412, FAILED, Problem("precondition-failed")),
    ("RFC 9110 8.8.3.2", MEDIA, &["If-Match: W/{etag}"], 412, FAILED, Problem("precondition-failed")),
    ("RFC 9110 13.1.1", MEDIA, &["If-Match: x"], 412, FAILED, Problem("precondition-failed")),
    ("RFC 9110 13.1.1", MEDIA, &["If-Match:"], 412, FAILED, Problem("precondition-failed")),
    ("RFC 9110 13.1.1", MEDIA, &["If-Match: {etag}, x"], 412, FAILED, Problem("precondition-failed")),
    ("RFC 9110 13.1.1", MEDIA, &["If-Match: *, {etag}"], 412, FAILED, Problem("precondition-failed")),
    ("RFC 9110 13.1.1", HEAD, &["If-Match: \"x\""], 412, &["playback-error: precondition-failed"], Empty),
    ("RFC 9110 13.1.1", HEAD, &["If-Match: {etag}"], 200, WHOLE, Empty),
    ("RFC 9110 13.1.2", MEDIA, &["If-None-Match: {etag}"], 304, NOT_MODIFIED, Empty),
    ("RFC 9110 13.1.2", HEAD, &["If-None-Match: {etag}"], 304, NOT_MODIFIED, Empty),
    ("RFC 9110 8.8.3.2", MEDIA, &["If-None-Match: W/{etag}"], 304, NOT_MODIFIED, Empty),
    ("RFC 9110 13.1.2", MEDIA, &["If-None-Match: *"], 304, NOT_MODIFIED, Empty),
    ("RFC 9110 13.1.2", MEDIA, &["If-None-Match: \"x\", {etag}"], 304, NOT_MODIFIED, Empty),
    ("RFC 9110 5.3", MEDIA, &["If-None-Match: \"x\"", "If-None-Match: W/{etag}"], 304, NOT_MODIFIED, Empty),
    ("RFC 9110 13.1.2", MEDIA, &["If-None-Match: \"x\""], 200, WHOLE, Whole),
    ("RFC 9110 13.1.2", MEDIA, &["If-None-Match: x"], 200, WHOLE, Whole),
    ("RFC 9110 13.1.2", MEDIA, &["If-None-Match: {etag} x"], 200, WHOLE, Whole),
    ("RFC 9110 13.1.2", MEDIA, &["If-None-Match:"], 200, WHOLE, Whole),
    ("RFC 9110 8.8.3", MEDIA, &["If-None-Match: w/{etag}"], 200, WHOLE, Whole),
    ("RFC 9110 13.1.3", MEDIA, &["If-Modified-Since: {date}"], 304, NOT_MODIFIED, Empty),
    ("RFC 9110 13.1.3", HEAD, &["If-Modified-Since: {date}"], 304, NOT_MODIFIED, Empty),
    ("RFC 9110 13.1.3", MEDIA, &["If-Modified-Since: Sat, 06 Nov 2094 08:49:37 GMT"], 304, NOT_MODIFIED, Empty),
    ("RFC 9110 13.1.3", MEDIA, &["If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT"], 200, WHOLE, Whole),
    ("RFC 9110 5.6.7", MEDIA, &["If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT"], 200, WHOLE, Whole),
    ("RFC 9110 5.6.7", MEDIA, &["If-Modified-Since: Sat Nov  6 08:49:37 2094"], 304, NOT_MODIFIED, Empty),
    ("RFC 9110 13.1.3", MEDIA, &["If-Modified-Since: 2094-11-06T08:49:37Z"], 200, WHOLE, Whole),
    ("RFC 9110 13.1.3", MEDIA, &["If-Modified-Since: {date}", "If-Modified-Since: {date}"], 200, WHOLE, Whole),
    ("RFC 9110 13.1.3", MEDIA, &["If-Modified-Since: {date}", "If-None-Match: \"x\""], 200, WHOLE, Whole),
    (
        "RFC 9110 13.2.2",
        MEDIA,
        &["If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", "If-None-Match: {etag}"],
        304,
        NOT_MODIFIED,
        Empty,
    ),
    ("RFC 9110 13.1.4", MEDIA, &["If-Unmodified-Since: {date}"], 200, WHOLE, Whole),
    (
        "RFC 9110 13.1.4",
        MEDIA,
        &["If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT"],
        412,
        FAILED,
        Problem("precondition-failed"),
    ),
    (
        "RFC 9110 5.6.7",
        MEDIA,
        &["If-Unmodified-Since: Sun Nov  6 08:49:37 1994"],
        412,
        FAILED,
        Problem("precondition-failed"),
    ),
    (
        "RFC 9110 5.6.7",
        MEDIA,
        &["If-Unmodified-Since: Sunday, 06-Nov-94 08:49:37 GMT"],
        412,
        FAILED,
        Problem("precondition-failed"),
    ),
    ("RFC 9110 13.1.4", MEDIA, &["If-Unmodified-Since: Sat, 06 Nov 2094 08:49:37 GMT"], 200, WHOLE, Whole),
    ("RFC 9110 13.1.4", MEDIA, &["If-Unmodified-Since: last week"], 200, WHOLE, Whole),
    (
        "RFC 9110 13.1.4",
        MEDIA,
        &["If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT", "If-Match: {etag}"],
        200,
        WHOLE,
        Whole,
    ),
    (
        "RFC 9110 13.2.2",
        MEDIA,
        &["If-Match: \"x\"", "If-None-Match: {etag}"],
        412,
        FAILED,
        Problem("precondition-failed"),
    ),
    ("RFC 9110 13.2.2", MEDIA, &["If-Match: {etag}", "If-None-Match: {etag}"], 304, NOT_MODIFIED, Empty),
    (
        "RFC 9110 13.2.2",
        MEDIA,
        &["If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT", "If-None-Match: {etag}"],
        412,
        FAILED,
        Problem("precondition-failed"),
    ),
    (
        "RFC 9110 13.2.2",
        MEDIA,
        &["If-Match: {etag}", "Range: bytes=1-2"],
        206,
        &["content-range: bytes 1-2/40000"],
        Part(1..3),
    ),
    ("RFC 9110 14.2", MEDIA, &["If-None-Match: {etag}", "Range: bytes=1-2"], 304, NOT_MODIFIED, Empty),
    ("RFC 9110 14.2", MEDIA, &["If-None-Match: {etag}", "Range: bytes=40000-"], 304, NOT_MODIFIED, Empty),
    ("RFC 9110 14.2", MEDIA, &["If-Match: \"x\"", "Range: bytes=40000-"], 412, FAILED, Problem("precondition-failed")),
    (
        "RFC 9110 13.1.5",
        MEDIA,
        &["If-Range: {etag}", "Range: bytes=1-2"],
        206,
        &["content-range: bytes 1-2/40000"],
        Part(1..3),
    ),
    (
        "RFC 9110 13.1.5",
        MEDIA,
        &["If-Range: {date}", "Range: bytes=1-2"],
        206,
        &["content-range: bytes 1-2/40000"],
        Part(1..3),
    ),
    ("RFC 9110 13.1.5", MEDIA, &["If-Range: {etag}", "Range: bytes=0-1,4-5"], 206, MULTIPART, Parts(&[0..2, 4..6])),
    ("RFC 9110 13.1.5", MEDIA, &["If-Range: \"x\"", "Range: bytes=1-2"], 200, WHOLE, Whole),
    ("RFC 9110 13.1.5", MEDIA, &["If-Range: W/{etag}", "Range: bytes=1-2"], 200, WHOLE, Whole),
    ("RFC 9110 13.1.5", MEDIA, &["If-Range: \"x\", {etag}", "Range: bytes=1-2"], 200, WHOLE, Whole),
    ("RFC 9110 13.1.5", MEDIA, &["If-Range: *", "Range: bytes=1-2"], 200, WHOLE, Whole),
    ("RFC 9110 13.1.5", MEDIA, &["If-Range: Sun, 06 Nov 1994 08:49:37 GMT", "Range: bytes=1-2"], 200, WHOLE, Whole),
    ("RFC 9110 13.1.5", MEDIA, &["If-Range: Sat, 06 Nov 2094 08:49:37 GMT", "Range: bytes=1-2"], 200, WHOLE, Whole),
    ("RFC 9110 13.1.5", MEDIA, &["If-Range: \"x\"", "Range: bytes=40000-"], 200, WHOLE, Whole),
    ("RFC 9110 13.1.5", MEDIA, &["If-Range: \"x\""], 200, WHOLE, Whole),
    ("RFC 9110 13.1.5", HEAD, &["If-Range: \"x\"", "Range: bytes=1-2"], 200, WHOLE, Empty),
    (
        "RFC 9110 13.2.1",
        "GET /recordings/none/media HTTP/1.1",
        &["If-Match: \"x\""],
        404,
        &[],
        Problem("recording-not-found"),
    ),
    (
        "RFC 9110 13.2.1",
        "POST /recordings/call/media HTTP/1.1",
        &["If-None-Match: *"],
        405,
        &["allow"],
        Problem("method-not-allowed"),
    ),
];

/// Methods, targets and messages.
const MESSAGES: &[Row] = &[
    ("RFC 9110 9.3.2", HEAD, &[], 200, &["content-length: 40000", "etag: {etag}", "accept-ranges: bytes"], Empty),
    (
        "RFC 9110 9.3.2",
        "HEAD /recordings/none/media HTTP/1.1",
        &[],
        404,
        &["playback-error: recording-not-found"],
        Empty,
    ),
    (
        "RFC 9110 15.5.6",
        "POST /recordings/call/media HTTP/1.1",
        &["Content-Length: 0"],
        405,
        &["allow"],
        Problem("method-not-allowed"),
    ),
    ("RFC 9110 15.5.6", "TRACE /recordings/call/media HTTP/1.1", &[], 405, &["allow"], Problem("method-not-allowed")),
    ("RFC 9110 9.1", "BREW /recordings/call/media HTTP/1.1", &[], 405, &["allow"], Problem("method-not-allowed")),
    ("RFC 9110 9.1", "get /recordings/call/media HTTP/1.1", &[], 405, &["allow"], Problem("method-not-allowed")),
    ("RFC 9110 15.5.6", "DELETE /livez HTTP/1.1", &[], 405, &["allow: GET, HEAD"], Problem("method-not-allowed")),
    ("RFC 9110 12.5.1", MEDIA, &["Accept: text/html"], 200, WHOLE, Whole),
    (
        "RFC 9110 12.5.3",
        MEDIA,
        &["Accept-Encoding: gzip, br, identity;q=0"],
        200,
        &["!content-encoding", "content-length: 40000"],
        Whole,
    ),
    ("RFC 9110 12.5.5", MEDIA, &["Accept-Language: de"], 200, &["!vary", "content-length: 40000"], Whole),
    ("RFC 9110 4.2.3", "GET /recordings/c%61ll/media HTTP/1.1", &[], 200, WHOLE, Whole),
    ("RFC 9110 4.2.3", "GET /recordings/%63%61%6c%6C/media HTTP/1.1", &[], 200, WHOLE, Whole),
    ("RFC 9110 4.2.3", "GET /recordings/CALL/media HTTP/1.1", &[], 404, &[], Problem("recording-not-found")),
    ("RFC 3986 3.4", "GET /recordings/call/media?x=1&y HTTP/1.1", &[], 200, WHOLE, Whole),
    ("RFC 3986 3.4", "GET /recordings/call/media? HTTP/1.1", &[], 200, WHOLE, Whole),
    (
        "RFC 6266 4.1",
        "GET /recordings/call/media?download=a.wav HTTP/1.1",
        &[],
        200,
        &["content-disposition: attachment; filename=\"a.wav\"; filename*=UTF-8''a.wav"],
        Whole,
    ),
    (
        "RFC 6266 4.3",
        "GET /recordings/call/media?download=..%2Fa HTTP/1.1",
        &[],
        400,
        &["!content-disposition"],
        Problem("bad-request"),
    ),
    ("RFC 9110 17.3", "GET /recordings/../../etc/passwd HTTP/1.1", &[], 404, &[], Any),
    ("RFC 9110 17.3", "GET /recordings/..%2f..%2fetc/media HTTP/1.1", &[], 404, &[], Problem("recording-not-found")),
    ("RFC 9110 17.3", "GET /recordings/%2e%2e/media HTTP/1.1", &[], 404, &[], Problem("recording-not-found")),
    ("RFC 9110 17.3", "GET /recordings/call%00/media HTTP/1.1", &[], 404, &[], Problem("recording-not-found")),
    ("RFC 9110 17.3", "GET /recordings/call%ff/media HTTP/1.1", &[], 404, &[], Problem("recording-not-found")),
    ("RFC 9110 15.5.5", "GET /recordings/call/media/ HTTP/1.1", &[], 404, &[], Problem("not-found")),
    ("RFC 9110 15.5.5", "GET /recordings//call/media HTTP/1.1", &[], 404, &[], Any),
    ("RFC 9112 3.2.2", "GET http://localhost/recordings/call/media HTTP/1.1", &[], 200, WHOLE, Whole),
    (
        "RFC 9112 3.2.2",
        "GET http://localhost/recordings/call/media HTTP/1.1",
        &["Host: example.org"],
        200,
        WHOLE,
        Whole,
    ),
    (
        "RFC 9112 3.2.2",
        "GET http://example.org/recordings/call/media HTTP/1.1",
        &["Host: localhost"],
        403,
        &[],
        Problem("forbidden"),
    ),
    ("RFC 9112 3.2", MEDIA, &["Host: localhost:1"], 200, WHOLE, Whole),
    ("RFC 9112 3.2", MEDIA, &["Host: example.org"], 403, &[], Problem("forbidden")),
    ("RFC 9112 3.2", MEDIA, &["-Host"], 400, &[], Any),
    ("RFC 9112 3.2", MEDIA, &["Host: localhost", "Host: localhost"], 400, &[], Any),
    (
        "RFC 9112 2.3",
        "GET /recordings/call/media HTTP/1.0",
        &[],
        200,
        &["content-length: 40000", "!transfer-encoding"],
        Whole,
    ),
    (
        "RFC 9112 2.3",
        "GET /recordings/call/media HTTP/1.0",
        &["Range: bytes=1-2"],
        206,
        &["content-range: bytes 1-2/40000"],
        Part(1..3),
    ),
    ("RFC 9112 3", "GET /recordings/call/media HTTP/9.9", &[], 400, &[], Any),
    ("RFC 9112 3", "GET /recordings/call/media", &[], 400, &[], Any),
    ("RFC 9112 3", "GET  /recordings/call/media HTTP/1.1", &[], 400, &[], Any),
    ("RFC 9112 5.1", MEDIA, &["Range : bytes=1-2"], 400, &[], Any),
    ("RFC 9112 5.2", MEDIA, &["X: a\r\n b"], 400, &[], Any),
    ("RFC 9112 6.3", MEDIA, &["Content-Length: 1", "Content-Length: 2"], 400, &[], Any),
    ("RFC 9112 6.3", MEDIA, &["Content-Length: x"], 400, &[], Any),
    ("RFC 9110 9.3.1", MEDIA, &["Content-Length: 5", "=hello"], 200, WHOLE, Whole),
    ("RFC 9112 7.1", MEDIA, &["Transfer-Encoding: chunked", "=5\r\nhello\r\n0\r\n\r\n"], 200, WHOLE, Whole),
    ("RFC 9110 10.1.1", MEDIA, &["Expect: 100-continue"], 200, WHOLE, Whole),
    ("RFC 9112 9.6", MEDIA, &[], 200, &["connection: close"], Whole),
    ("RFC 9110 6.6.1", MEDIA, &[], 200, &["date"], Whole),
    ("RFC 9110 8.8.2.1", MEDIA, &[], 200, &["last-modified: {date}", "etag: {etag}"], Whole),
    ("RFC 9457 3", "GET /nothing HTTP/1.1", &[], 404, &["playback-error: not-found"], Problem("not-found")),
];

/// Without validators: a recording whose writer died.
const WITHOUT_VALIDATORS: &[Row] = &[
    ("RFC 9110 13.1.1", UNFINISHED, &["If-Match: *"], 200, &["!etag", "!last-modified"], Any),
    (
        "RFC 9110 13.1.1",
        UNFINISHED,
        &["If-Match: \"x\""],
        412,
        &["playback-error: precondition-failed"],
        Problem("precondition-failed"),
    ),
    ("RFC 9110 13.1.2", UNFINISHED, &["If-None-Match: *"], 304, &["!etag", "!content-length"], Empty),
    ("RFC 9110 13.1.2", UNFINISHED, &["If-None-Match: \"x\""], 200, &["!etag"], Any),
    (
        "RFC 9110 13.1.3",
        UNFINISHED,
        &["If-Modified-Since: Sat, 06 Nov 2094 08:49:37 GMT"],
        200,
        &["!last-modified"],
        Any,
    ),
    (
        "RFC 9110 13.1.4",
        UNFINISHED,
        &["If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT"],
        200,
        &["!last-modified"],
        Any,
    ),
    ("RFC 9110 13.1.5", UNFINISHED, &["If-Range: \"x\"", "Range: bytes=0-1"], 200, &["!content-range"], Any),
    ("RFC 9110 14.2", UNFINISHED, &["Range: bytes=0-1"], 206, &["content-range", "content-length: 2"], Any),
];

const UNFINISHED: &str = "GET /recordings/failure-unfinished/media HTTP/1.1";

#[test]
fn every_case_is_answered_as_its_clause_says() {
    let (system, media) = (System::with_key(), media(LEN));
    system.import("call", &media);
    let (server, demo) = (system.serve(), demo());
    let plain = server.get("/recordings/call/media");
    let validators = [("{etag}", "etag"), ("{date}", "last-modified")]
        .map(|(place, name)| (place, plain.header(name).expect("a validator").to_owned()));
    assert_ne!(validators[1].1, OLD);
    // A date is a strong validator only when its second is over.
    thread::sleep(Duration::from_millis(1100));

    let (mut failures, mut checked) = (Vec::new(), 0);
    let tables = [RANGES, MULTIPARTS, CONDITIONS, MESSAGES, WITHOUT_VALIDATORS];
    for (rows, server) in tables.into_iter().zip([&server, &server, &server, &server, &demo]) {
        for row in rows {
            let reply = ask(server, row, &validators);
            if let Err(why) = check(row, &reply, &media, &validators) {
                failures.push(format!("{}: {} {:?}: {why}", row.0, row.1, row.2));
            }
            checked += 1;
        }
    }
    assert!(failures.is_empty(), "{} of {checked}:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(checked, tables.iter().map(|rows| rows.len()).sum::<usize>());
    println!("{checked} cases by clause");
    assert!(checked >= 150, "{checked} cases");
}

fn fill(text: &str, validators: &[(&str, String)]) -> String {
    validators.iter().fold(text.to_owned(), |text, (place, value)| text.replace(place, value))
}

fn ask(server: &Server, (_, line, lines, ..): &Row, validators: &[(&str, String)]) -> Reply {
    let has = |name: &str| lines.iter().any(|line| line.trim_start_matches('-').starts_with(name));
    let (mut head, mut body) = (format!("{line}\r\n"), "");
    if !has("Host") {
        head.push_str(&format!("Host: {}\r\n", server.address));
    }
    if !has("Connection") {
        head.push_str("Connection: close\r\n");
    }
    for line in lines.iter().filter(|line| !line.starts_with('-')) {
        match line.strip_prefix('=') {
            Some(content) => body = content,
            None => head.push_str(&format!("{}\r\n", fill(line, validators))),
        }
    }
    let method = line.split(' ').next().expect("a method");
    send(&server.address, method, format!("{head}\r\n{body}").as_bytes())
}

fn check(row: &Row, reply: &Reply, media: &[u8], validators: &[(&str, String)]) -> Result<(), String> {
    let (.., status, head, body) = row;
    let ensure = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
    ensure(reply.status == *status, &format!("{} instead of {status}", reply.status))?;
    ensure(!reply.is_cut, "cut")?;
    for expected in *head {
        let is_so = match (expected.strip_prefix('!'), expected.split_once(": ")) {
            (Some(name), _) => reply.header(name).is_none(),
            (None, Some((name, value))) => reply.header(name) == Some(fill(value, validators).as_str()),
            (None, None) => reply.header(expected).is_some(),
        };
        ensure(is_so, &format!("{expected}: {reply:.300?}"))?;
    }
    match body {
        Any => Ok(()),
        Empty => ensure(reply.body.is_empty(), "a body"),
        Whole => ensure(reply.body == media, "not all of it"),
        Part(part) => ensure(reply.body == media[part.clone()], "other bytes"),
        Parts(parts) => {
            let got = parts_of(reply)?;
            ensure(got.len() == parts.len(), &format!("{} parts", got.len()))?;
            for ((range, bytes), part) in got.iter().zip(*parts) {
                let expected = format!("bytes {}-{}/{LEN}", part.start, part.end - 1);
                ensure(*range == expected, &format!("{range} instead of {expected}"))?;
                ensure(*bytes == media[part.clone()], &format!("other bytes in {range}"))?;
            }
            Ok(())
        }
        Problem(code) => {
            let got = reply.problem();
            ensure(got == *code, &format!("{got} instead of {code}"))
        }
    }
}

/// The parts of a `multipart/byteranges` body, read by its boundary alone (RFC 2046, section 5.1.1): `Content-Range`
/// and content of each.
fn parts_of(reply: &Reply) -> Result<Vec<(String, Vec<u8>)>, String> {
    let kind = reply.header("content-type").unwrap_or_default();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").ok_or_else(|| kind.to_owned())?;
    let (delimiter, mut parts) = (format!("\r\n--{boundary}").into_bytes(), Vec::new());
    let body = [b"\r\n".as_slice(), &reply.body].concat();
    let mut at = 0;
    loop {
        let rest = body.get(at..).filter(|rest| rest.starts_with(&delimiter)).ok_or("no delimiter")?;
        let rest = &rest[delimiter.len()..];
        if rest == b"--\r\n" {
            return Ok(parts);
        }
        let head_len = find(rest, b"\r\n\r\n").ok_or("no end of a part's head")?;
        let head = text(&rest[..head_len]).to_ascii_lowercase();
        let lines: Vec<&str> = head.split("\r\n").skip(1).collect();
        let field = |name: &str| lines.iter().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        let range = field("content-range: ").ok_or("no Content-Range in a part")?;
        if field("content-type: ").as_deref() != Some("application/octet-stream") {
            return Err(format!("the type of a part: {head}"));
        }
        let content = &rest[head_len + 4..];
        let len = find(content, &delimiter).ok_or("no end of a part")?;
        parts.push((range, content[..len].to_vec()));
        at += delimiter.len() + head_len + 4 + len;
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
