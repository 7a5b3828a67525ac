//! Peers that mean no good: they may waste their own time, and cost the server little and the others nothing.
//!
//! What one stalled or silent client costs is tried in `connections` and `stalled`, what a recorder does that stops in `put`.

mod anything;
mod codings;
mod floods;
mod hoards;
mod others;
mod smuggling;
mod tls;

use std::{fs, thread, time::Duration};

use crate::support::Server;

/// What a server holds open, but for the database's file: of that there are as many as were ever needed at once, up to a
/// bound.
fn descriptors(server: &Server) -> usize {
    let open = fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("it runs, and belongs to us");
    // One that was closed in between is none.
    let open = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    open.filter(|link| !link.to_string_lossy().contains("/sealtape.db")).count()
}

/// The same once it holds no more than `before`; else what it held last when even a recording that nobody plays is closed.
fn settled_descriptors(server: &Server, before: usize) -> usize {
    let mut open = descriptors(server);
    for _ in 0..450 {
        if open <= before {
            break;
        }
        thread::sleep(Duration::from_millis(200));
        open = descriptors(server);
    }
    open
}
