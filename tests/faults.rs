//! Files that are not what was written are refused, by name, before the first byte where that can be known.

use std::fs;

use crate::support::{Server, System, copy_folder, flip, media};

/// A system with one recording of three and a bit 256 KiB frames, and its file.
fn played() -> (System, Vec<u8>, std::path::PathBuf) {
    let (system, media) = (System::with_key(), media(800_000));
    system.import("call", &media);
    let stored = system.stored("call");
    (system, media, stored)
}

fn assert_corrupt(server: &Server, what: &str) {
    let reply = server.get("/recordings/call/media");
    assert_eq!((reply.status, reply.problem().as_str()), (500, "recording-corrupt"), "{what}");
    let document = server.get("/recordings/call").json();
    assert_eq!(
        (document["playable"].as_bool(), &document["problem"]["code"]),
        (Some(false), &"recording-corrupt".into())
    );
    assert_eq!(document["state"], "complete", "as catalogued");
}

#[test]
fn a_flipped_bit_in_header_or_end_is_refused_also_while_it_is_open() {
    let (system, media, stored) = played();
    let server = system.serve();
    let good = fs::read(&stored).expect("read");
    assert!(server.get("/recordings/call/media").body == media);
    for at in [0, 10, 11, 16, 64, 103, 104, 113, 200, 330, 400, 480, 511, good.len() - 1, good.len() - 20] {
        flip(&stored, at);
        assert_corrupt(&server, &format!("byte {at}"));
        fs::write(&stored, &good).expect("written");
        assert!(server.get("/recordings/call/media").body == media, "and whole again");
    }
}

#[test]
fn a_flipped_bit_in_the_media_stops_what_needs_it_and_nothing_else() {
    let (system, media, stored) = played();
    let server = system.serve();
    // Chunk 20 of 16 KiB: in the second frame.
    let chunk = 20;
    flip(&stored, 512 + chunk * (16_384 + 16) + 100);
    let first = chunk * 16_384;
    let before = server.get_range("/recordings/call/media", &format!("bytes=0-{}", first - 1));
    assert!(before.status == 206 && before.body == media[..first]);
    let after = server.get_range("/recordings/call/media", &format!("bytes={}-", first + 16_384));
    assert!(after.status == 206 && after.body == media[first + 16_384..]);
    let within = server.get_range("/recordings/call/media", &format!("bytes={first}-{first}"));
    assert_eq!((within.status, within.problem().as_str()), (500, "recording-corrupt"));
    // After the head is sent the only signal is a cut connection, and every byte before it is good.
    let whole = server.get("/recordings/call/media");
    assert_eq!((whole.status, whole.is_cut), (200, true));
    assert!(whole.body.len() <= first && whole.body == media[..whole.body.len()], "{} bytes came", whole.body.len());
    assert!(whole.body.len() >= first - 16_384, "what verified was sent: {} of {first}", whole.body.len());
    // Where it can be known before the first byte, it is said.
    flip(&stored, 512 + 3 * (16_384 + 16));
    assert_eq!(server.get("/recordings/call/media").problem(), "recording-corrupt");
}

#[test]
fn cuts_growth_swaps_and_other_files_in_its_place_are_refused() {
    let (system, media, stored) = played();
    system.import("other", &media);
    let other = fs::read(system.stored("other")).expect("read");
    let good = fs::read(&stored).expect("read");
    let server = system.serve();
    let record = 16_384 + 16;
    let swapped = {
        let mut bytes = good.clone();
        bytes.copy_within(512..512 + record, 512 + record);
        bytes
    };
    for (what, bytes) in [
        ("empty", vec![]),
        ("a header's start", good[..100].to_vec()),
        ("a header alone", good[..512].to_vec()),
        ("cut by a byte", good[..good.len() - 1].to_vec()),
        ("cut at a record", good[..512 + 10 * record].to_vec()),
        ("grown by a byte", [&good[..], b"x"].concat()),
        ("grown by a record", [&good[..], &good[512..512 + record]].concat()),
        ("another recording's file", other),
        ("a plain file", media.clone()),
        ("a record over another", swapped),
    ] {
        fs::write(&stored, bytes).expect("written");
        assert_corrupt_or_damaged(&server, what);
    }
    fs::write(&stored, &good).expect("written");
    assert!(server.get("/recordings/call/media").body == media);
}

fn assert_corrupt_or_damaged(server: &Server, what: &str) {
    let reply = server.get("/recordings/call/media");
    assert_eq!((reply.status, reply.problem().as_str()), (500, "recording-corrupt"), "{what}");
}

#[test]
fn an_older_sealing_of_the_same_id_is_refused() {
    // The same ID, sealed twice under the same key: only the catalogue can tell which one is current.
    let system = System::with_key();
    let twin = System::empty();
    copy_folder(&system.data_dir(), &twin.data_dir());
    system.import("call", &media(50_000));
    twin.import("call", &media(50_000));
    fs::copy(twin.stored("call"), system.stored("call")).expect("copied");
    let server = system.serve();
    assert_corrupt(&server, "another sealing of the same media");
}

#[test]
fn reasons_come_in_their_order() {
    let (system, _, stored) = played();
    let good = fs::read(&stored).expect("read");
    let server = system.serve();
    let code = || server.get("/recordings/call/media").problem();
    system.ok(&["encryption", "disable"]);
    assert!(
        server
            .wait_until(std::time::Duration::from_secs(1), |server| server.get("/recordings/call/media").status == 409)
    );
    assert_eq!(code(), "encryption-disabled");
    flip(&stored, 500);
    assert_eq!(code(), "encryption-disabled", "before damage");
    flip(&stored, 32);
    assert_eq!(code(), "encryption-disabled", "before a missing key");
    flip(&stored, 8);
    assert_eq!(code(), "unsupported-format", "before the switch");
    fs::remove_file(&stored).expect("removed");
    assert_eq!(code(), "media-missing", "before everything but the catalogue");
    assert_eq!(server.get("/recordings/none/media").problem(), "recording-not-found");
    fs::write(&stored, &good).expect("written");
    flip(&stored, 500);
    flip(&stored, 32);
    system.ok(&["encryption", "enable"]);
    assert!(server.wait_until(std::time::Duration::from_secs(1), |_| code() != "encryption-disabled"));
    assert_eq!(code(), "key-missing", "before damage");
    flip(&stored, 32);
    assert_eq!(code(), "recording-corrupt");
}

#[test]
fn a_file_cut_under_a_player_cuts_the_player() {
    use std::io::{Read, Write};
    let (system, media) = (System::with_key(), media(64 << 20));
    system.import("long", &media);
    let stored = system.stored("long");
    let server = system.serve();
    let mut stream = std::net::TcpStream::connect(&server.address).expect("connects");
    stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).expect("set");
    write!(stream, "GET /recordings/long/media HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut came = vec![0; 1 << 20];
    stream.read_exact(&mut came).expect("it plays");
    fs::OpenOptions::new().write(true).open(&stored).and_then(|file| file.set_len(30 << 20)).expect("cut");
    let _reset_is_an_end = stream.read_to_end(&mut came);
    let head = came.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head") + 4;
    let body = &came[head..];
    assert!(body.len() < media.len() && body == &media[..body.len()], "{} bytes came", body.len());
}

#[test]
fn a_lost_database_leaves_sealed_recordings_playing() {
    let (system, media, _) = played();
    system.import("second", &media);
    let server = system.serve();
    assert_eq!(server.get("/recordings/call/media").status, 200);
    // Whatever is written over it: it is not a database any more.
    overwrite_database(&system);
    assert!(server.get("/recordings/call/media").body == media, "one that played before");
    assert!(server.get("/recordings/second/media").body == media, "one that never did");
    // A page that SQLite still holds in memory may answer once more; the file cannot.
    assert!(server.wait_until(std::time::Duration::from_secs(5), |server| server.get("/recordings").status == 503));
    assert_eq!(server.get("/recordings").problem(), "catalogue-unavailable");
    assert!(server.wait_until(std::time::Duration::from_secs(2), |server| {
        server.get("/readyz").json()["degraded"] == serde_json::json!(["keys-not-checked"])
    }));
    assert_eq!(server.get("/readyz").status, 200, "it can play");
}

#[test]
fn what_was_refused_before_is_refused_while_the_database_is_away() {
    // An older sealing of the same ID, put in its place once nobody can be asked which one is current.
    let system = System::with_key();
    let twin = System::empty();
    copy_folder(&system.data_dir(), &twin.data_dir());
    system.import("call", &media(50_000));
    twin.import("call", &media(60_000));
    let stored = system.stored("call");
    let server = system.serve();
    assert_eq!(server.get("/recordings/call/media").status, 200, "its row is remembered");
    overwrite_database(&system);
    fs::copy(twin.stored("call"), &stored).expect("copied");
    // Whether it is: the recording may have been sealed again a moment before the database went away.
    assert_eq!(server.get("/recordings/call/media").problem(), "catalogue-unavailable");
    fs::rename(&stored, stored.with_extension("sealed.part")).expect("renamed");
    assert_eq!(server.get("/recordings/call/media").problem(), "catalogue-unavailable", "or in another kind");
}

#[test]
fn a_store_that_is_gone_is_not_a_recording_that_is_missing() {
    let (system, media, _) = played();
    let server = system.serve();
    let folder = system.data_dir().join("media");
    fs::rename(&folder, system.path("elsewhere")).expect("moved");
    for _ in 0..2 {
        let reply = server.get("/recordings/call/media");
        assert_eq!((reply.status, reply.problem().as_str()), (503, "storage-unavailable"));
        assert_eq!(reply.header("retry-after"), Some("5"));
        fs::create_dir_all(&folder).expect("another one in its place");
    }
    fs::remove_dir(&folder).expect("removed");
    fs::rename(system.path("elsewhere"), &folder).expect("moved back");
    assert!(server.get("/recordings/call/media").body == media);
}

#[test]
fn a_lost_database_is_not_taken_for_a_new_system() {
    let (system, _, _) = played();
    for name in ["sealtape.db", "sealtape.db-wal", "sealtape.db-shm"] {
        let _not_all_are_there = fs::remove_file(system.data_dir().join(name));
    }
    let more = system.file("more.wav", &media(10));
    for arguments in [&["serve"][..], &["import", more.to_str().expect("UTF-8")], &["keys", "generate"]] {
        let error = system.fails(1, arguments);
        assert!(error.contains("there is no database here") && error.contains("backup"), "{error}");
    }
    assert_eq!(system.media_files().len(), 1, "nothing lies in plain");
}

fn overwrite_database(system: &System) {
    for name in ["sealtape.db", "sealtape.db-wal", "sealtape.db-shm"] {
        let path = system.data_dir().join(name);
        if path.exists() {
            fs::write(path, vec![0x55; 65_536]).expect("written");
        }
    }
}

#[test]
fn what_refuses_a_get_refuses_a_head() {
    let (system, _, stored) = played();
    flip(&stored, 600);
    let server = system.serve();
    let head = crate::support::request(&server.address, "HEAD", "/recordings/call/media", &[], b"");
    assert_eq!((head.status, head.body.len()), (500, 0));
    assert_eq!(head.header("playback-error"), Some("recording-corrupt"));
}
