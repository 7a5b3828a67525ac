//! A server that verifies what it serves, without being asked.

use super::{PATIENCE, execute, offset};
use crate::support::{Server, System, get, media, text};

fn metric(server: &Server, name: &str) -> f64 {
    let reply = get(&server.address, "/metrics", &[]);
    let line = text(&reply.body).lines().find(|line| line.starts_with(name)).map(str::to_owned);
    line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or_else(|| panic!("{name} is not shown"))
}

fn serve(system: &System, interval: &str) -> Server {
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    Server::start({
        command.env("SEALTAPE_STORAGE__SCRUB_INTERVAL", interval);
        command
    })
}

#[test]
fn a_flipped_byte_is_found_and_shown_and_gone_when_it_is_put_right() {
    let (system, bytes) = (System::with_key(), media(100_000));
    for n in 0..5 {
        system.import(&format!("call-{n}"), &bytes);
    }
    let server = serve(&system, "1s");
    const COMPLETED: &str = "sealtape_scrub_completed_seconds";
    const FAULTS: &str = "sealtape_scrub_faults{kind=\"corrupt-chunk\"}";
    assert!(server.wait_until(PATIENCE, |server| metric(server, COMPLETED) > 1e9), "a first round ends");
    assert_eq!((metric(&server, FAULTS), metric(&server, "sealtape_scrub_faults{kind=\"media-missing\"}")), (0.0, 0.0));
    assert!(metric(&server, "sealtape_scrub_recordings_total") >= 5.0);
    assert!(metric(&server, "sealtape_scrub_bytes_total") >= 500_000.0);
    let stored = system.object("call-3");
    stored.flip(offset(40_000));
    assert!(server.wait_until(PATIENCE, |server| metric(server, FAULTS) == 1.0), "{}", server.log());
    let told =
        |server: &Server| server.log().lines().any(|line| line.contains("call-3") && line.contains("corrupt-chunk"));
    assert!(server.wait_until(PATIENCE, told), "{}", server.log());
    assert!(!server.log().contains("call-1"), "{}", server.log());
    stored.flip(offset(40_000));
    assert!(server.wait_until(PATIENCE, |server| metric(server, FAULTS) == 0.0), "put right");
    assert!(server.get("/recordings/call-3/media").body == bytes, "and it plays all along");
    let record = system.ok(&["audit", "show", "--json"]);
    assert!(record.contains("the server's own scrub"), "{record}");
}

#[test]
fn without_the_setting_nothing_is_scrubbed_and_that_is_shown() {
    let system = System::with_key();
    system.import("call", &media(1000));
    let server = system.serve();
    server.get("/recordings/call/media");
    for name in ["sealtape_scrub_completed_seconds", "sealtape_scrub_recordings_total", "sealtape_scrub_bytes_total"] {
        assert_eq!(metric(&server, name), 0.0, "{name}");
    }
    let error = system.command(&["serve"]).env("SEALTAPE_STORAGE__SCRUB_INTERVAL", "often").output().expect("runs");
    assert!(text(&error.stderr).contains("scrub_interval"), "{}", text(&error.stderr));
}

#[test]
fn it_waits_while_the_database_is_away_and_goes_on() {
    let (system, bytes) = (System::with_key(), media(100_000));
    system.import("call", &bytes);
    let server = serve(&system, "1s");
    const COMPLETED: &str = "sealtape_scrub_completed_seconds";
    assert!(server.wait_until(PATIENCE, |server| metric(server, COMPLETED) > 1e9));
    let (database, away) = (system.data_dir().join("sealtape.db"), system.data_dir().join("away.db"));
    std::fs::rename(&database, &away).expect("moved");
    std::thread::sleep(std::time::Duration::from_secs(2));
    let completed = metric(&server, COMPLETED);
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(metric(&server, COMPLETED), completed, "nothing is completed without a catalogue");
    assert!(server.get("/recordings/call/media").body == bytes, "and players play");
    std::fs::rename(&away, &database).expect("back");
    assert!(server.wait_until(PATIENCE, |server| metric(server, COMPLETED) > completed), "{}", server.log());
    assert_eq!(execute(&system, "UPDATE recording SET mended = 0"), 1);
}
