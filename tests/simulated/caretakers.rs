//! Whoever takes care of what is kept in a simulated world: wraps it anew, seals it again, mends it. One at a time, beside
//! the operator, who may take the same recording away meanwhile.

use std::sync::atomic::Ordering;

use sealtape::base::RecordingId;
use sealtape::service::{MaintenanceError, MaintenanceOutcome, Repaired, Stop};

use super::{server::Server, tally::Event, world::World};

/// Does something for a recording.
pub async fn take_care(world: &World, server: &Server) {
    match world.fate.below(4) {
        0 | 1 => rewrap(world, server, &world.id()).await,
        2 => reseal(world, server, &world.id()).await,
        _ => repair(world, server).await,
    }
}

async fn rewrap(world: &World, server: &Server, id: &RecordingId) {
    world.remember(id);
    let Ok(maintenance) = server.maintenance().await else { return };
    let (was_rewrapped, begun) = (world.model.known(id.as_str()).is_rewrapped, &world.store.heads_begun);
    let begun_before = begun.load(Ordering::Relaxed);
    world.model.change(id.as_str(), |known| known.is_rewrapped = true);
    let done = maintenance.rewrap(id).await;
    tell_work(world, id, "wrapped anew", &done);
    // Where nobody began to write over a header, this one is as it was.
    let is_untouched = !was_rewrapped && begun.load(Ordering::Relaxed) == begun_before;
    if done.is_ok() || is_untouched {
        world.model.change(id.as_str(), |known| known.is_rewrapped = false);
    }
    if let Ok(MaintenanceOutcome::Done { .. }) = done {
        world.fate.count(Event::Rewrapped);
    }
}

/// Seals a recording again under a new file key.
pub async fn reseal(world: &World, server: &Server, id: &RecordingId) {
    world.remember(id);
    let Ok(maintenance) = server.maintenance().await else { return };
    let (_asks, stop) = Stop::channel();
    note_replaced(world, id);
    let done = maintenance.reseal(id, None, &stop, &|_| {}).await;
    note_replaced(world, id);
    tell_work(world, id, "sealed again", &done);
    if let Ok(MaintenanceOutcome::Done { .. }) = done {
        world.model.change(id.as_str(), |known| known.is_rewrapped = false);
        world.fate.count(Event::Resealed);
    }
}

/// Mends what was harmed or left unfinished. Not where reads are wrong: what does not verify is left out, for good.
async fn repair(world: &World, server: &Server) {
    let mut ids: Vec<RecordingId> = (0..4).map(|_| world.id()).collect();
    ids.retain(|id| world.model.known(id.as_str()).is_in_need());
    let Some(id) = ids.first() else { return };
    let is_harmed = world.model.known(id.as_str()).is_harmed;
    if !is_harmed && world.fate.rates().wrong_read > 0 {
        return;
    }
    world.remember(id);
    let Ok(maintenance) = server.maintenance().await else { return };
    let (_asks, stop) = Stop::channel();
    note_replaced(world, id);
    let done = maintenance.repair(id, is_harmed, &stop, &|_| {}).await;
    note_replaced(world, id);
    tell_work(world, id, "repaired", &done);
    if let Ok(Repaired::Mended { .. }) = done {
        world.fate.count(Event::Mended);
    }
}

fn note_replaced(world: &World, id: &RecordingId) {
    let now_ms = world.fate.now_ms();
    world.model.change(id.as_str(), |known| known.replaced_ms = Some(now_ms));
}

fn tell_work<T>(world: &World, id: &RecordingId, what: &str, done: &Result<T, MaintenanceError>) {
    let code = done.as_ref().err().map_or("yes", |error| error.code().as_str());
    world.fate.tell(format!("{id} is {what}: {code}"));
}
