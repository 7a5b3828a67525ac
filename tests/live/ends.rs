//! Whatever ends a recording but its writer cuts those who follow it, and every byte before is right.

use std::{
    process::{Command, Stdio},
    thread,
};

use super::*;

/// Those who follow from before, and from afterwards, get all that is good and are cut.
fn assert_cut(follower: Follower, media: &[u8], least: usize) {
    let came = follower.into_end();
    assert!(came.is_cut, "{} bytes ended in order", came.bytes.len());
    assert!(came.bytes.len() >= least && media.starts_with(&came.bytes), "{} bytes", came.bytes.len());
}

#[test]
fn a_writer_that_is_killed_cuts_those_who_follow_and_leaves_what_it_wrote() {
    let (system, media) = (System::with_key(), media(100_000));
    let server = system.serve();
    let mut recorder = Recorder::begin(&system, "live");
    recorder.feed(&media);
    let len = verified(media.len());
    recorder.wait_until_written(&server, len);
    let follower = Follower::begin(&server, MEDIA, &[]);
    follower.wait_for(len);
    recorder.kill("KILL");
    // Its lease lapses first: until then it may be anything.
    follower.wait_for_end(60 * SECOND);
    assert_cut(follower, &media, len);
    let whole = server.get(MEDIA);
    assert_eq!((whole.status, whole.header("recording-state")), (200, Some("unfinished")));
    assert_eq!(whole.header("content-length"), Some(len.to_string().as_str()));
    assert_eq!((whole.header("etag"), whole.is_cut), (None, false));
    assert!(whole.body == media[..len]);
    let past = server.get_range(MEDIA, &format!("bytes={len}-"));
    assert_eq!((past.status, past.header("content-range")), (416, Some(format!("bytes */{len}").as_str())));
    // Whoever heard all that there is of it heard it whole.
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    let events = system.json(&["audit", "show", "--recording", "live"]);
    let closed: Vec<_> = events.as_array().expect("events").iter().filter(|event| event["event"] == "closed").collect();
    assert!(closed.iter().all(|event| event["outcome"] == "complete"), "{events}");
}

#[test]
fn a_writer_that_stops_in_order_cuts_those_who_follow_at_once() {
    let (system, media) = (System::with_key(), media(100_000));
    let server = system.serve();
    let mut recorder = Recorder::begin(&system, "live");
    recorder.feed(&media);
    let len = verified(media.len());
    recorder.wait_until_written(&server, len);
    let follower = Follower::begin(&server, MEDIA, &[]);
    let part = Follower::begin(&server, MEDIA, &[("Range", "bytes=50000-9007199254740991")]);
    // To a client of HTTP/1.0, and to the proxies that speak it, only a reset is no end.
    let old = read_until_close(&server, MEDIA);
    follower.wait_for(len);
    recorder.kill("TERM");
    // Well before a lease would have lapsed.
    follower.wait_for_end(15 * SECOND);
    part.wait_for_end(15 * SECOND);
    assert_cut(follower, &media, len);
    assert_cut(part, &media[50_000..], len - 50_000);
    let (came, is_ended) = old.join().expect("read");
    assert!(!is_ended && came == media[..len], "{} bytes, in order: {is_ended}", came.len());
    assert_eq!(server.get("/recordings/live").json()["state"], "unfinished");
}

/// A lease that nobody can renew is no death, as long as the writer holds its file.
#[test]
fn a_writer_that_cannot_reach_the_database_is_followed_on() {
    let (system, media) = (System::with_key(), media(300_000));
    let server = system.serve();
    let mut recorder = Recorder::begin(&system, "live");
    recorder.feed(&media[..50_000]);
    recorder.wait_until_written(&server, verified(50_000));
    let follower = Follower::begin(&server, MEDIA, &[]);
    follower.wait_for(verified(50_000));
    let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None); \
        c.execute('BEGIN IMMEDIATE'); print('held', flush=True); sys.stdin.read()";
    let mut holding = Command::new("/usr/bin/python3")
        .args(["-c", script])
        .arg(system.data_dir().join("sealtape.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    let mut said = [0; 5];
    std::io::Read::read_exact(holding.stdout.as_mut().expect("piped"), &mut said).expect("held");
    // Longer than a lease, in which the recorder says something only now and then.
    for step in 0..4 {
        thread::sleep(10 * SECOND);
        recorder.feed_up_to(&media, 60_000 + step * 10_000);
    }
    follower.wait_for(verified(90_000));
    assert!(!follower.has_ended());
    let late = Follower::begin(&server, MEDIA, &[]);
    assert_eq!((late.status, late.header("recording-state")), (200, Some("recording")));
    late.wait_for(verified(90_000));
    drop(holding.stdin.take());
    holding.wait().expect("ends");
    recorder.feed_up_to(&media, media.len());
    recorder.end();
    for follower in [follower, late] {
        let came = follower.into_end();
        assert!(!came.is_cut && came.bytes == media, "{} bytes", came.bytes.len());
    }
}

#[test]
fn damage_in_what_was_written_cuts_where_it_lies() {
    let (system, media) = (System::with_key(), media(800_000));
    let server = system.serve();
    let mut recorder = Recorder::begin(&system, "live");
    recorder.feed(&media[..700_000]);
    recorder.wait_until_written(&server, verified(700_000));
    let chunk = 100;
    flip_in_place(&recorder.file(&system), (512 + chunk * RECORD + 9) as u64);
    let first = chunk * CHUNK;
    let follower = Follower::begin(&server, MEDIA, &[]);
    assert_eq!(follower.status, 200);
    follower.wait_for_end(10 * SECOND);
    let came = follower.into_end();
    assert!(came.is_cut && came.bytes == media[..first], "{} bytes", came.bytes.len());
    assert_eq!(server.get_range(MEDIA, &format!("bytes={first}-{first}")).problem(), "recording-corrupt");
    // What lies after it plays, and is followed.
    let after = Follower::begin(&server, MEDIA, &[("Range", &format!("bytes={}-9007199254740991", first + CHUNK))]);
    recorder.feed_up_to(&media, media.len());
    after.wait_for(verified(media.len()) - first - CHUNK);
    recorder.end();
    let came = after.into_end();
    assert!(!came.is_cut && came.bytes == media[first + CHUNK..], "{} bytes", came.bytes.len());
}

#[test]
fn a_last_record_that_is_damaged_stops_it_until_others_follow_and_then_for_good() {
    let (system, media) = (System::with_key(), media(200_000));
    let server = system.serve();
    let mut recorder = Recorder::begin(&system, "live");
    recorder.feed(&media[..100_000]);
    let len = verified(100_000);
    recorder.wait_until_written(&server, len);
    // A server that has not seen it before: what does not verify may be on its way.
    flip_in_place(&recorder.file(&system), (512 + len / CHUNK * RECORD - 5) as u64);
    let server = system.serve();
    let document = server.get("/recordings/live").json();
    assert_eq!((&document["media_len"], &document["playable"]), (&(len - CHUNK).into(), &true.into()));
    let follower = Follower::begin(&server, MEDIA, &[]);
    follower.wait_for(len - CHUNK);
    recorder.feed_up_to(&media, 150_000);
    follower.wait_for_end(10 * SECOND);
    let came = follower.into_end();
    assert!(came.is_cut && came.bytes == media[..len - CHUNK], "{} bytes", came.bytes.len());
}

#[test]
fn a_file_that_shrinks_is_corrupt() {
    let (system, media) = (System::with_key(), media(200_000));
    let server = system.serve();
    let mut recorder = Recorder::begin(&system, "live");
    recorder.feed(&media);
    let len = verified(media.len());
    recorder.wait_until_written(&server, len);
    let follower = Follower::begin(&server, MEDIA, &[]);
    follower.wait_for(len);
    let file = fs::OpenOptions::new().write(true).open(recorder.file(&system)).expect("opens");
    file.set_len((512 + 20 * RECORD) as u64).expect("cut");
    follower.wait_for_end(5 * SECOND);
    assert_cut(follower, &media, len);
    assert_eq!(server.get(MEDIA).problem(), "recording-corrupt");
    server.assert_says("does not verify");
}

#[test]
fn a_key_that_is_withdrawn_stops_those_who_wait_for_more() {
    let (system, media) = (System::with_key(), media(100_000));
    let server = system.serve();
    let mut recorder = Recorder::begin(&system, "live");
    recorder.feed(&media);
    let len = verified(media.len());
    recorder.wait_until_written(&server, len);
    let key = system.json(&["keys", "list"])[0]["fingerprint"].as_str().expect("a fingerprint").to_owned();
    let withdrawals: [(&[&str], &[&str], &str); 2] = [
        (&["encryption", "disable"], &["encryption", "enable"], "encryption-disabled"),
        (&["keys", "deactivate", &key, "--force"], &["keys", "activate", &key], "key-deactivated"),
    ];
    for (withdraw, restore, code) in withdrawals {
        let followers = [(); 3].map(|()| Follower::begin(&server, MEDIA, &[]));
        for follower in &followers {
            follower.wait_for(len);
        }
        system.ok(withdraw);
        for follower in followers {
            let took = follower.wait_for_end(5 * SECOND);
            println!("{code}: stopped after {} ms", took.as_millis());
            assert_cut(follower, &media, len);
        }
        assert_eq!(server.get(MEDIA).problem(), code);
        system.ok(restore);
        assert!(server.wait_until(5 * SECOND, |server| server.get_range(MEDIA, "bytes=0-9").status == 206), "{code}");
    }
}
