//! Simulated worlds in which nothing is left to chance: what was wrong once in one that a seed had made, step by step. A
//! seed's world is another one as soon as anything else is drawn in it.

use std::{sync::Arc, time::Duration};

use sealtape::base::RecordingId;
use tokio::{sync::Notify, time::sleep};

use super::{
    actors::{self, Take},
    model::Answer,
    player,
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

/// Once the import took what the recorder had left for a dead import's, and removed it.
#[test]
fn an_import_leaves_what_a_recorder_left_that_began_after_it_and_broke_off() {
    let wrongs = World::play_script(async |world, server| {
        let gate = Arc::new(Notify::new());
        *world.store.gate.lock().expect("whole") = Some(Arc::clone(&gate));
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
