//! What a disk that failed for a moment leaves behind in a server that goes on: nothing.

use std::time::Duration;

use super::disk::{FaultyDisk, injector};
use crate::put::killed::marked;
use crate::support::{Server, System, put};

const PATIENCE: Duration = Duration::from_secs(15);

/// A server whose catalogue lies on a disk, and the disk.
fn begin(system: &System) -> (FaultyDisk, Server) {
    let library = injector(&system.path(""));
    let disk = FaultyDisk::new(&library, &system.data_dir(), system.path("control"), 1);
    let mut serve = disk.under(system.command(&["serve", "--listen", "127.0.0.1:0"]), 0);
    // Media and record are on a good one.
    serve.env("FAULTY_DISK_NAMED", "sealtape.db");
    (disk, Server::start(serve))
}

/// Each way in which a transaction fails at its end: SQLite takes it back by itself then, or leaves that to whoever began it.
#[test]
fn a_catalogue_that_could_not_be_written_is_written_again_when_its_disk_is_well() {
    for kind in ["write fails", "write finds no room", "write is torn", "sync fails"] {
        let (system, media) = (System::in_folder(), marked("call", 50_000));
        system.ok(&["keys", "generate"]);
        let (disk, server) = begin(&system);
        assert_eq!(put(&server.address, "before", &[], &media).json()["catalogued"], true, "{kind}");
        disk.set_one(kind, 1_000_000);
        let reply = put(&server.address, "meanwhile", &[], &media);
        assert_eq!((reply.status, &reply.json()["catalogued"]), (201, &false.into()), "{kind}: {reply:?}");
        disk.heal();
        let is_catalogued = |server: &Server| server.get("/recordings/meanwhile").status == 200;
        assert!(server.wait_until(PATIENCE, is_catalogued), "{kind}: it is not catalogued: {}", server.log());
        let reply = put(&server.address, "after", &[], &media);
        assert_eq!((reply.status, &reply.json()["catalogued"]), (201, &true.into()), "{kind}: {reply:?}");
        for id in ["before", "meanwhile", "after"] {
            assert!(server.get(&format!("/recordings/{id}/media")).body == media, "{kind}: {id}");
        }
    }
}

/// A recording that was acknowledged plays at once, also while its catalogue can be read and not be written.
#[test]
fn what_was_acknowledged_plays_while_the_catalogue_cannot_be_written() {
    let (system, media) = (System::in_folder(), marked("call", 50_000));
    system.ok(&["keys", "generate"]);
    let (disk, server) = begin(&system);
    assert_eq!(put(&server.address, "before", &[], &media).json()["catalogued"], true);
    disk.set_one("write fails", 1_000_000);
    let reply = put(&server.address, "meanwhile", &[], &media);
    assert_eq!((reply.status, &reply.json()["catalogued"]), (201, &false.into()), "{reply:?}");
    for id in ["before", "meanwhile"] {
        let reply = server.get(&format!("/recordings/{id}/media"));
        assert!(reply.status == 200 && reply.body == media, "{id}: {reply:?}");
    }
}
