//! A server with a spool is killed at any instant while recordings come and the store goes and comes back.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::{PATIENCE, free_port, in_spools, serve, wait_until, waiting};
use crate::put::killed::{
    Random, Sent, assert_nothing_plain, assert_nothing_plain_is_open, end_leases, rounds, write_on,
};
use crate::support::System;

const WRITERS: usize = 4;
const HEADER_LEN: u64 = 512;

#[test]
fn a_server_killed_at_any_instant_loses_nothing_that_waits_and_all_of_it_gets_into_the_store() {
    let system = System::with_key();
    let (port, mut random) = (free_port(), Random(0x5EA1_0007));
    let (store, away) = (system.data_dir().join("media"), system.data_dir().join("away"));
    let (mut acknowledged, mut unfinished, mut left_waiting) = (BTreeMap::new(), BTreeMap::new(), 0);
    for round in 0..rounds() {
        let server = serve(&system, "a", port);
        let (sent, is_over) = (Mutex::new(Sent::new()), AtomicBool::new(false));
        let after = Duration::from_micros(random.below(700_000));
        let (is_away, goes_at) = (random.below(2) == 0, Duration::from_micros(random.below(400_000)));
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (address, sent, is_over, seed) = (&server.address, &sent, &is_over, random.below(u64::MAX));
                scope.spawn(move || write_on(address, &format!("w{round}-{writer}"), Random(seed), sent, is_over));
            }
            if is_away {
                scope.spawn(|| {
                    thread::sleep(goes_at);
                    fs::rename(&store, &away).expect("moved");
                });
            }
            thread::sleep(after);
            assert_nothing_plain_is_open(server.pid());
            server.signal("KILL");
            is_over.store(true, Ordering::Relaxed);
        });
        assert_eq!(server.wait(), None, "round {round}: killed");
        back(&store, &away);
        left_waiting += waiting(&system, "a").len();
        assert_nothing_plain(&system);
        end_leases(&system);
        for (id, (media, is_acknowledged)) in sent.into_inner().expect("not poisoned") {
            if is_acknowledged {
                acknowledged.insert(id, media)
            } else {
                unfinished.insert(id, media)
            };
        }
    }
    // Less is too little to ask anything; how much there is depends on what else the machine does.
    let enough = rounds() / 4;
    assert!(acknowledged.len() >= enough && left_waiting >= enough, "{} and {left_waiting}", acknowledged.len());

    let server = serve(&system, "a", port);
    // What had not even a header has nothing that could play.
    let is_nothing = |path: &PathBuf| fs::metadata(path).is_ok_and(|file| file.len() < HEADER_LEN);
    wait_until("nothing waits any more", 3 * PATIENCE, || {
        waiting(&system, "a").iter().all(is_nothing) && in_spools(&system) == 0
    });
    drop(server);
    // Through a server that has nothing but the store.
    let server = system.serve();
    for (id, media) in &acknowledged {
        let reply = server.get(&format!("/recordings/{id}/media"));
        assert!(reply.status == 200 && reply.body == *media, "{id}: {} {}", reply.status, reply.body.len());
    }
    let mut played = 0;
    for (id, media) in &unfinished {
        let reply = server.get(&format!("/recordings/{id}/media"));
        assert!(
            reply.status == 404 || reply.status == 200 && !reply.is_cut && media.starts_with(&reply.body),
            "{id}: {}",
            reply.status
        );
        played += usize::from(reply.status == 200 && !reply.body.is_empty());
    }
    println!(
        "{} acknowledged, {played} of {} others play, {left_waiting} waited after a kill",
        acknowledged.len(),
        unfinished.len()
    );
    assert!(played >= enough, "{played}");
    assert_nothing_plain(&system);
}

/// The store is where it was.
fn back(store: &Path, away: &Path) {
    if away.exists() {
        fs::rename(away, store).expect("moved back");
    }
}
