//! Simulated worlds in which nothing is left to chance: what was wrong once in one that a seed had made, step by step. A
//! seed's world is another one as soon as anything else is drawn in it.

use std::{sync::Arc, time::Duration};

use sealtape::base::{ErrorCode, RecordingId};
use sealtape::sealed::ChunkLen;
use tokio::{sync::Notify, time::sleep};

use super::{
    actors::{self, Take},
    arrival::{Arrival, Harm},
    caretakers,
    model::Answer,
    player,
    store::Gated,
    world::World,
};

fn id() -> RecordingId {
    "call-0".parse().expect("an ID")
}

/// Once it was called damaged, by what was remembered of the one before. Whoever plays holds it against the model: no
/// damage is a reason here.
#[test]
fn what_was_recorded_again_after_a_purge_is_not_called_damaged_while_the_catalogue_is_away() {
    let wrongs = World::play_script(async |world, server| {
        let take = Take { len: 40_000, is_live: true, ..Take::default() };
        actors::record_so(&world, &server, &id(), take).await;
        player::play(&world, &server, &id()).await;
        // By a command beside it, so that the server remembers.
        assert!(server.purge.purge(&id()).await.is_ok(), "nothing is in its way");
        world.model.gone(id().as_str(), &world.model.known(id().as_str()));
        actors::record_so(&world, &server, &id(), take).await;
        sleep(Duration::from_millis(world.fate.notice_ms())).await;
        world.database.set_away(true);
        player::play(&world, &server, &id()).await;
        world.database.set_away(false);
    });
    assert!(wrongs.is_empty(), "{wrongs:#?}");
}

/// Once its file was called missing, by what was remembered of the one before, which was kept plain.
#[test]
fn what_was_recorded_again_in_another_kind_is_not_called_missing_while_the_catalogue_is_away() {
    for before in [None, Some(30_000)] {
        let wrongs = World::play_script(async |world, server| {
            let take = Take { len: 40_000, is_live: true, exempt: true, ..Take::default() };
            actors::record_so(&world, &server, &id(), Take { breaks_at: before, ..take }).await;
            player::play(&world, &server, &id()).await;
            // By a command beside it, so that the server remembers.
            assert!(server.purge.purge(&id()).await.is_ok(), "nothing is in its way");
            world.model.gone(id().as_str(), &world.model.known(id().as_str()));
            actors::record_so(&world, &server, &id(), Take { exempt: false, ..take }).await;
            world.database.set_away(true);
            let refused = server.playback.open(&id()).await.err().map(|error| error.code());
            assert_eq!(refused, Some(ErrorCode::CatalogueUnavailable), "which alone could tell");
            player::play(&world, &server, &id()).await;
            world.database.set_away(false);
        });
        assert!(wrongs.is_empty(), "{wrongs:#?}");
    }
}

/// Once the import took what the recorder had left for a dead import's, and removed it.
#[test]
fn an_import_leaves_what_a_recorder_left_that_began_after_it_and_broke_off() {
    let wrongs = World::play_script(async |world, server| {
        let gate = Arc::new(Notify::new());
        *world.store.gate.lock().expect("whole") = Some((Gated::Create, Arc::clone(&gate)));
        let take = Take { len: 40_000, exempt: true, ..Take::default() };
        let import = async {
            actors::record_so(&world, &server, &id(), take).await;
        };
        let recorder = async {
            // The import has found the ID free by then, and is about to make its file.
            while world.store.gate.lock().expect("whole").is_some() {
                sleep(Duration::from_millis(1)).await;
            }
            let take = Take { is_live: true, breaks_at: Some(30_000), ..take };
            actors::record_so(&world, &server, &id(), take).await;
            gate.notify_one();
        };
        tokio::join!(import, recorder);
        let known = world.model.known(id().as_str());
        let kept = known.the_one().map(|attempt| attempt.number);
        assert_eq!(kept, Some(1), "the recorder's is kept, and the import refused");
    });
    assert!(wrongs.is_empty(), "{wrongs:#?}");
}

/// Once it had let go of the name by then, and removed what another process had begun to write under it.
#[test]
fn what_came_damaged_takes_away_nothing_but_itself() {
    let wrongs = World::play_script(async |world, server| {
        let gate = Arc::new(Notify::new());
        *world.store.gate.lock().expect("whole") = Some((Gated::Remove, Arc::clone(&gate)));
        let arrival = Arrival { harm: Harm::Turned, permille: 700, chunk_len: ChunkLen::FILE };
        let damaged = Take { len: 40_000, arrival: Some(arrival), ..Take::default() };
        let arrives = async {
            actors::record_so(&world, &server, &id(), damaged).await;
        };
        let import = async {
            // It is about to be taken away by then.
            while world.store.gate.lock().expect("whole").is_some() {
                sleep(Duration::from_millis(1)).await;
            }
            let (command, id) = (world.start().await, id());
            let whole = Take { len: 40_000, pause_ms: 1000, ..Take::default() };
            let open_the_gate = async {
                sleep(Duration::from_millis(3000)).await;
                gate.notify_one();
            };
            tokio::join!(actors::record_so(&world, &command, &id, whole), open_the_gate);
        };
        tokio::join!(arrives, import);
        let trace = world.fate.trace();
        let was_told = |what| trace.iter().any(|line| line.ends_with(what));
        assert!(was_told("is not kept: recording-exists") && !was_told("storage-unavailable"), "it waits its turn");
        actors::record_so(&world, &server, &id(), Take { len: 40_000, ..Take::default() }).await;
        assert!(world.model.known(id().as_str()).must_play().is_some(), "nothing is in its way any more");
    });
    assert!(wrongs.is_empty(), "{wrongs:#?}");
}

/// Once whoever waited to hear that his was catalogued removed it by its name then, as another one's.
#[test]
fn what_is_sealed_again_before_its_recorder_hears_of_it_stays() {
    let wrongs = World::play_script(async |world, server| {
        *world.database.goes_away_after.lock().expect("whole") = Some("add");
        let take = Take { len: 40_000, ..Take::default() };
        let id = id();
        let operator = async {
            sleep(Duration::from_millis(200)).await;
            world.database.set_away(false);
            caretakers::reseal(&world, &server, &id).await;
        };
        tokio::join!(actors::record_so(&world, &server, &id, take), operator);
        let trace = world.fate.trace();
        let was_told = |what| trace.iter().any(|line| line.ends_with(what));
        assert!(was_told("sealed again: yes") && was_told("is not kept: recording-exists"), "in that order");
        assert!(server.playback.open(&id).await.is_ok(), "it is there");
        player::play(&world, &server, &id).await;
    });
    assert!(wrongs.is_empty(), "{wrongs:#?}");
}

/// Else a world in which that happened would pass: somebody was refused, and what was sent is there all the same, in the
/// place of what had been acknowledged.
#[test]
fn what_takes_the_place_of_an_acknowledged_recording_is_told() {
    for is_played in [true, false] {
        let wrongs = World::play_script(async |world, server| {
            let take = Take { len: 40_000, is_live: true, ..Take::default() };
            actors::record_so(&world, &server, &id(), take).await;
            assert!(server.purge.purge(&id()).await.is_ok(), "nothing is in its way");
            let other = world.model.begin(id().as_str(), take.len, false);
            assert!(actors::ingest(&world, &server, &id(), take, &other.media).await.is_ok(), "nothing is in its way");
            world.model.end(id().as_str(), other.number, &Answer::Refused);
            if is_played {
                player::play(&world, &server, &id()).await;
            }
        });
        assert!(wrongs.iter().any(|wrong| wrong.contains("were never said")), "{wrongs:#?}");
        let is_heard = wrongs.iter().filter(|wrong| wrong.contains("wrong bytes")).count();
        // Peace is played in, too.
        assert!(is_heard > usize::from(is_played), "{wrongs:#?}");
    }
}

/// Else a purge that took nothing away would pass, also of what was cut off before.
#[test]
fn what_is_heard_after_its_purge_is_told() {
    let wrongs = World::play_script(async |world, server| {
        let take = Take { len: 40_000, is_live: true, breaks_at: Some(30_000), ..Take::default() };
        let cut_off = world.model.begin(id().as_str(), take.len, false);
        assert!(actors::ingest(&world, &server, &id(), take, &cut_off.media).await.is_ok(), "it is kept, unfinished");
        world.model.end(id().as_str(), cut_off.number, &Answer::Failed);
        player::play(&world, &server, &id()).await;
        assert!(world.fate.wrongs().is_empty(), "nobody knows what became of it, and so it may be heard");
        world.model.gone(id().as_str(), &world.model.known(id().as_str()));
        sleep(Duration::from_millis(1)).await;
        player::play(&world, &server, &id()).await;
    });
    assert!(wrongs.iter().any(|wrong| wrong.contains("wrong bytes")), "{wrongs:#?}");
    assert!(wrongs.iter().any(|wrong| wrong.contains("was taken away, and is there")), "{wrongs:#?}");
}
