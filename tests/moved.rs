//! The database moves to another address while players play and recorders record, and nothing needs a hand: the address
//! that settings name leads elsewhere, as that of a service or a name does.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::postgres::{PASSWORD, Postgres, url};
use crate::support::{Server, System, Upload, Way, media, put, text, tool};

const WITHIN_A_SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(20);

/// A proxy over a database, whom somebody hears and who takes in a recording all the time.
struct Scene {
    system: System,
    proxy: Server,
    live: Upload,
    sent: usize,
    bytes: Vec<u8>,
}

impl Scene {
    fn begin(url: String, serve: impl Fn(&System) -> Server) -> Self {
        let (system, bytes) = (System::on_postgres(url), media(200_000));
        system.ok(&["keys", "generate"]);
        for id in ["played", "never", "never-either"] {
            system.import(id, &bytes);
        }
        let proxy = serve(&system);
        assert!(proxy.get("/recordings/played/media").body == bytes);
        let mut scene = Self { live: Upload::begin(&proxy.address, "live", &[]), system, proxy, sent: 0, bytes };
        scene.record();
        assert!(scene.proxy.wait_until(PATIENCE, |proxy| proxy.get("/recordings/live").status == 200));
        scene
    }

    /// Some more of the recording comes.
    fn record(&mut self) {
        self.live.send(&self.bytes[self.sent..self.sent + 20_000]);
        self.sent += 20_000;
    }

    /// Without a database that could be written to: who listens hears, who records is kept.
    fn goes_on_without_it(&mut self, what: &str, never_played: &str) {
        self.record();
        let begun = Instant::now();
        for id in ["played", never_played] {
            let reply = self.proxy.get(&format!("/recordings/{id}/media"));
            assert!(reply.status == 200 && reply.body == self.bytes, "{what}, {id}: {reply:?}");
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{what}: nobody waits long: {:?}", begun.elapsed());
        let reply = put(&self.proxy.address, &format!("during-{what}"), &[], &self.bytes);
        assert_eq!((reply.status, &reply.json()["catalogued"]), (201, &json!(false)), "{what}: {reply:?}");
    }

    /// All is as it was, and what came meanwhile is catalogued.
    fn is_well_again(&mut self, what: &str) {
        let back = Instant::now();
        self.record();
        let caught_up = |proxy: &Server| {
            let reply = proxy.get(&format!("/recordings/during-{what}"));
            reply.status == 200 && reply.json()["state"] == "complete"
        };
        assert!(self.proxy.wait_until(PATIENCE, caught_up), "{what}: it is catalogued: {}", self.proxy.log());
        assert!(
            self.proxy.wait_until(PATIENCE, |proxy| proxy.get("/readyz").json()["degraded"] == json!([])),
            "{what}"
        );
        println!("{what}: all is well {:?} after it is back", back.elapsed());
        // Changes are heard of, from where the database is now.
        for (command, status) in [("disable", 409), ("enable", 200)] {
            self.system.ok(&["encryption", command]);
            let sees = |proxy: &Server| proxy.get("/recordings/played/media").status == status;
            assert!(self.proxy.wait_until(WITHIN_A_SECOND, sees), "{what}: {command}: {}", self.proxy.log());
        }
    }

    fn end(self) {
        let Self { system, proxy, live, sent, bytes } = self;
        let reply = live.finish();
        assert_eq!((reply.status, &reply.json()["catalogued"]), (201, &json!(true)), "{}", proxy.log());
        assert!(proxy.get("/recordings/live/media").body == bytes[..sent]);
        let stored = |proxy: &Server| text(&proxy.get("/metrics").body).contains("sealtape_recordings_uncatalogued 0");
        assert!(proxy.wait_until(PATIENCE, stored), "{}", proxy.log());
        let verified = system.run(&["verify", "--all"]);
        assert!(verified.status.success(), "{}", text(&verified.stdout));
    }
}

/// The address of a service leads to another one: the same data, at another port.
#[test]
fn it_comes_up_at_another_address_behind_the_one_of_its_service() {
    let mut server = Postgres::start();
    server.database("moves");
    let way = Way::to(server.port());
    let mut scene = Scene::begin(url(way.port(), "moves"), System::serve);
    for (what, never) in [("once", "never"), ("again", "never-either")] {
        server.stop();
        way.lead_to(None);
        scene.goes_on_without_it(what, never);
        server.resume_elsewhere();
        way.lead_to(Some(server.port()));
        scene.is_well_again(what);
    }
    scene.end();
}

/// A standby takes its place: it can only be read until it is promoted.
#[test]
fn a_standby_takes_its_place() {
    let server = Postgres::start();
    server.database("fails-over");
    let way = Way::to(server.port());
    let mut scene = Scene::begin(url(way.port(), "fails-over"), System::serve);
    let standby = server.standby();
    scene.record();
    let known = |at: &Postgres| at.count("fails-over", "SELECT count(*) FROM recording");
    let begun = Instant::now();
    while known(&standby) != known(&server) {
        assert!(begun.elapsed() < PATIENCE, "it follows");
        std::thread::sleep(Duration::from_millis(20));
    }
    server.stop();
    // Somebody leads the way there too early.
    way.lead_to(Some(standby.port()));
    scene.goes_on_without_it("too-early", "never");
    standby.promote();
    scene.is_well_again("too-early");
    // The way back, to the old one that was made anew of what is true now.
    drop(server);
    let anew = standby.standby();
    let begun = Instant::now();
    while known(&anew) != known(&standby) {
        assert!(begun.elapsed() < PATIENCE, "it follows");
        std::thread::sleep(Duration::from_millis(20));
    }
    standby.stop();
    way.lead_to(None);
    scene.goes_on_without_it("back", "never-either");
    anew.promote();
    way.lead_to(Some(anew.port()));
    scene.is_well_again("back");
    scene.end();
}

/// The name in the URL is looked up for each connection: it may come to mean another host.
#[test]
fn its_name_leads_to_another_host() {
    let server = Postgres::start();
    server.database("named");
    let here = Way::from("127.0.0.2:0", server.port());
    let there = Way::from(&format!("127.0.0.3:{}", here.port()), server.port());
    there.lead_to(None);
    let names = tempfile::NamedTempFile::new().expect("a file");
    // In its place: a file that is bound over another one stays the same file.
    let means = |address: &str| {
        let lines = format!("127.0.0.1 localhost\n{address} database.sealtape.test\n");
        fs::write(names.path(), lines).expect("written");
    };
    means("127.0.0.2");
    let mut scene = Scene::begin(url(here.port(), "named").replace("127.0.0.1", "127.0.0.2"), |system| {
        let url =
            format!("postgres://sealtape:{PASSWORD}@database.sealtape.test:{}/named?sslmode=disable", here.port());
        Server::start(knowing(names.path(), system, &url))
    });
    here.lead_to(None);
    scene.goes_on_without_it("moved", "never");
    there.lead_to(Some(server.port()));
    // Commands are given the other address; the proxy has the name alone.
    scene.system.set("SEALTAPE_DATABASE__URL", &url(there.port(), "named").replace("127.0.0.1", "127.0.0.3"));
    std::thread::sleep(WITHIN_A_SECOND);
    assert_ne!(scene.proxy.get("/recordings").status, 200, "the name still leads to where nobody is");
    means("127.0.0.3");
    scene.is_well_again("moved");
    scene.end();
}

/// A server in whose view of this machine names are those of a file.
fn knowing(names: &Path, system: &System, url: &str) -> std::process::Command {
    let program = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    let mut command = tool("unshare");
    command.args(["--mount", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""]).arg(names);
    command.arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("SEALTAPE_DATABASE__URL", url);
    command
}
