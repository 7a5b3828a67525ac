//! `import --plain`: an archive is catalogued where it lies, plays from there, and nothing else is taken for a part of it.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::{fs::symlink, net::UnixListener},
    process::Command,
};

use crate::support::{PlainArchive, Server, System, get, media, request, tool};

#[test]
fn an_archive_is_catalogued_where_it_lies_and_plays_from_there() {
    let system = System::with_key();
    let mut archive = PlainArchive::new(&system);
    let server = system.serve();
    let path = archive.write("2024/05 may/call-one+1.wav", 300_000);
    archive.write("2024/deep/er/b.dat", 1);
    archive.write("c", 70_000);
    let before = fs::read(&path).expect("read");
    let folder = archive.folder.clone();
    let folder = folder.to_str().expect("UTF-8");
    let documents = system.json(&["import", "--plain", folder, "--exempt"]);
    assert_eq!(documents.as_array().map(Vec::len), Some(3));
    assert!(documents.as_array().expect("a list").iter().all(|one| one["sealed"] == false && one["playable"] == true));

    // A server that ran before sees them.
    archive.assert_plays(&server, "where it lies");
    let reply = server.get_range("/recordings/call-one+1/media", "bytes=1000-1999");
    assert_eq!((reply.status, &reply.body[..]), (206, &before[1000..2000]));
    assert!(reply.header("etag").is_some_and(|etag| etag.starts_with('"')) && reply.header("last-modified").is_some());
    let shown = system.json(&["recordings", "show", "call-one+1"]);
    let location = shown["location"].as_str().expect("a location");
    assert_eq!(location, format!("file://{}", path.display().to_string().replace(' ', "%20")), "{shown}");
    assert_eq!(shown["media_len"], 300_000);
    assert!(fs::read(&path).expect("read") == before && system.objects().is_empty(), "nothing was copied");
    assert!(system.run(&["cat", "c"]).stdout == archive.media["c"]);
    let listed = system.ok(&["recordings", "list"]);
    assert_eq!(listed.matches("plain, exempt").count(), 3, "{listed}");
    let events = system.ok(&["audit", "show", "--recording", "c", "--json"]);
    assert!(events.contains("recording.import") && events.contains("where it lies"), "{events}");
    let status = system.json(&["encryption", "status"]);
    assert_eq!(status["plain"], serde_json::json!({ "exempt": 3, "others": 0, "files_left": 0 }));

    // Once more: there is nothing to do but what is new.
    archive.write("2024/new.wav", 100);
    let documents = system.json(&["import", "--plain", folder]);
    let ids: Vec<_> = documents.as_array().expect("a list").iter().map(|one| one["id"].as_str()).collect();
    assert_eq!(ids, [Some("new")]);
    let said = system.ok(&["import", "--plain", folder]);
    assert!(said.contains("0 recording(s) catalogued") && said.contains("4 were catalogued already"), "{said}");
}

#[test]
fn what_is_no_part_of_an_archive_is_left_out_and_told() {
    let system = System::with_key();
    let mut archive = PlainArchive::new(&system);
    let elsewhere = system.file("elsewhere.wav", b"not in the folder");
    archive.write("good.wav", 100);
    archive.write("z/last.wav", 100);
    let folder = archive.folder.clone();
    // Failures: named, and others go on.
    for (name, content) in
        [("z/good.mp3", &b"another one"[..]), ("-no-id.wav", b"x"), ("empty.wav", b""), ("b c.wav", b"x")]
    {
        fs::write(folder.join(name), content).expect("written");
    }
    system.import("sealed-one", &media(1000));
    fs::write(folder.join("other.sealed"), system.object("sealed-one").read()).expect("copied");
    // Left out: no part of it.
    symlink(&elsewhere, folder.join("out.wav")).expect("linked");
    symlink(folder.join("good.wav"), folder.join("within.wav")).expect("linked");
    symlink(&folder, folder.join("z/loop")).expect("linked");
    symlink(folder.join("nowhere"), folder.join("dangling.wav")).expect("linked");
    fs::write(folder.join(".hidden.wav"), b"x").expect("written");
    fs::create_dir(folder.join(".git")).expect("made");
    fs::write(folder.join(".git/object.wav"), b"x").expect("written");
    let fifo = tool("mkfifo").arg(folder.join("pipe.wav")).status().expect("runs");
    let _socket = UnixListener::bind(folder.join("socket.wav")).expect("bound");
    assert!(fifo.success());

    let text = folder.to_str().expect("UTF-8");
    let output = system.run(&["import", "--plain", text, "--json"]);
    let said = crate::support::text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    let line = |name: &str| {
        let mut lines = said.lines().filter(|line| line.contains(&format!("/{name}: ")));
        lines.next().unwrap_or_else(|| panic!("{name} is not named:\n{said}")).to_owned()
    };
    for name in ["z/good.mp3", "-no-id.wav", "empty.wav", "b c.wav", "other.sealed"] {
        assert!(line(name).starts_with("sealtape: "), "{}", line(name));
    }
    for (name, reason) in [
        ("out.wav", "leads out"),
        ("within.wav", "looked at in its place"),
        ("z/loop", "link"),
        ("dangling.wav", "nowhere"),
        (".hidden.wav", "hidden"),
        (".git", "hidden"),
        ("pipe.wav", "not a file"),
        ("socket.wav", "not a file"),
    ] {
        assert!(line(name).starts_with("left out: ") && line(name).contains(reason), "{}", line(name));
    }
    let documents: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let ids: BTreeSet<_> = documents.as_array().expect("a list").iter().map(|one| one["id"].as_str()).collect();
    assert_eq!(ids, BTreeSet::from([Some("good"), Some("last")]));
    archive.assert_plays(&system.serve(), "those that are a part of it");
}

/// Whoever names a folder that holds the system itself gets no key, no database and no store catalogued.
#[test]
fn a_system_is_no_part_of_an_archive() {
    let system = System::with_key();
    let mut archive = PlainArchive::new(&system);
    archive.write("call.wav", 100);
    system.import("sealed", &media(100));
    let all = system.path("");
    let output = system.run(&["import", "--plain", all.to_str().expect("UTF-8"), "--json"]);
    let said = crate::support::text(&output.stderr);
    let documents: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(documents.as_array().map(Vec::len), Some(1), "{documents}");
    assert!(output.status.success() && said.contains("/data: it is a part of sealtape's own data"), "{said}");
    let said = system.fails(1, &["import", "--plain", system.data_dir().join("media").to_str().expect("UTF-8")]);
    assert!(said.contains("sealtape's own data"), "{said}");
    for (arguments, code) in [
        (&["import", "--plain", "no-such-folder"][..], 1),
        (&["import", "--plain", "archive/call.wav"], 1),
        (&["import", "--plain", "archive", "call.wav"], 2),
        (&["import", "--plain", "archive", "--id", "x"], 2),
        (&["import"], 2),
    ] {
        assert_eq!(system.run(arguments).status.code(), Some(code), "{arguments:?}");
    }
    // With settings that keep each thing in a place of its own, beside each other.
    let place = system.path("loose");
    fs::create_dir_all(place.join("media")).expect("made");
    let settings = format!(
        "[database]\nurl = \"sqlite://{0}/s.db\"\n[storage]\nurl = \"file://{0}/media\"\n[definition_key]\nkind = \"file\"\npath = \"{0}/d.key\"\n[audit]\npath = \"{0}/record\"\n[auth]\nlink_secrets_file = \"{0}/l.secrets\"\ntoken_key_file = \"{0}/t.key\"\n",
        place.display()
    );
    fs::write(place.join(".toml"), settings).expect("written");
    fs::write(place.join("call-2.wav"), b"media").expect("written");
    let run = |arguments: &[&str]| {
        let mut command = crate::support::bare_command();
        command.arg("--config").arg(place.join(".toml")).args(arguments);
        let output = command.output().expect("runs");
        assert!(output.status.success(), "{arguments:?}: {}", crate::support::text(&output.stderr));
        crate::support::text(&output.stdout)
    };
    run(&["definition-key", "generate"]);
    run(&["keys", "generate"]);
    let documents = run(&["import", "--plain", place.to_str().expect("UTF-8"), "--json"]);
    let documents: serde_json::Value = serde_json::from_str(&documents).expect("JSON");
    let ids: Vec<_> = documents.as_array().expect("a list").iter().map(|one| one["id"].as_str()).collect();
    assert_eq!(ids, [Some("call-2")], "neither keys nor the database nor what lies beside it");
}

#[test]
fn a_plain_file_that_is_not_what_was_catalogued_does_not_play() {
    let system = System::with_key();
    let mut archive = PlainArchive::new(&system);
    let mut paths = Vec::new();
    for name in ["longer", "shorter", "gone", "link", "folder", "away/folder-gone"] {
        paths.push(archive.write(&format!("{name}.wav"), 10_000));
    }
    archive.import(&system);
    system.import("sealed", &media(10_000));
    let server = system.serve();
    archive.assert_plays(&server, "before");
    let [longer, shorter, gone, link, folder, away] = &paths[..] else { panic!("six") };
    fs::write(longer, [&archive.media["longer"][..], b"x"].concat()).expect("written");
    fs::write(shorter, &archive.media["shorter"][..9_999]).expect("written");
    fs::remove_file(gone).expect("removed");
    fs::rename(link, archive.folder.join("target")).expect("renamed");
    symlink(archive.folder.join("target"), link).expect("linked");
    fs::remove_file(folder).expect("removed");
    fs::create_dir(folder).expect("made");
    fs::remove_dir_all(away.parent().expect("a folder")).expect("removed");
    system.object("sealed").write(&media(10_000));
    for server in [&server, &system.serve()] {
        for (id, status, code) in [
            ("longer", 500, "recording-corrupt"),
            ("shorter", 500, "recording-corrupt"),
            ("gone", 404, "media-missing"),
            ("link", 503, "storage-unavailable"),
            ("folder", 503, "storage-unavailable"),
            ("folder-gone", 503, "storage-unavailable"),
            // A plain file where the catalogue says sealed is damage.
            ("sealed", 500, "recording-corrupt"),
        ] {
            let reply = server.get(&format!("/recordings/{id}/media"));
            assert_eq!((reply.status, reply.problem().as_str()), (status, code), "{id}");
            let shown = server.get(&format!("/recordings/{id}")).json();
            assert_eq!((&shown["playable"], &shown["problem"]["code"]), (&false.into(), &code.into()), "{id}");
        }
    }
}

/// What may be plain is known to the catalogue alone.
#[test]
fn without_the_catalogue_no_plain_file_plays_that_is_not_remembered() {
    let system = System::with_key();
    let mut archive = PlainArchive::new(&system);
    archive.write("heard.wav", 10_000);
    archive.write("never-heard.wav", 10_000);
    archive.import(&system);
    let server = system.serve();
    assert_eq!(server.get("/recordings/heard/media").status, 200);
    fs::rename(system.data_dir().join("sealtape.db"), system.path("moved.db")).expect("moved");
    let reply = server.get("/recordings/never-heard/media");
    assert_eq!((reply.status, reply.problem().as_str()), (503, "catalogue-unavailable"));
    let reply = server.get("/recordings/heard/media");
    assert!(reply.status == 200 && reply.body == archive.media["heard"], "{reply:?}");
}

#[test]
fn plain_recordings_are_counted_and_play_only_where_that_is_allowed() {
    let system = System::with_key();
    let mut archive = PlainArchive::new(&system);
    archive.write("plain.wav", 1000);
    archive.import(&system);
    let mut others = PlainArchive { folder: system.path("others"), media: Default::default() };
    others.write("exempt.wav", 1000);
    system.ok(&["import", "--plain", others.folder.to_str().expect("UTF-8"), "--exempt"]);
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("SEALTAPE_ENCRYPTION__ALLOW_PLAIN", "false");
    let server = Server::start(command);
    assert_eq!(server.get("/recordings/plain/media").problem(), "plain-not-allowed");
    assert_eq!(server.get("/recordings/exempt/media").status, 200);
    let shows = |server: &Server, wanted: &str| {
        crate::support::text(&get(&server.address, "/metrics", &[]).body).lines().any(|line| line == wanted)
    };
    for wanted in ["{kind=\"exempt\"} 1", "{kind=\"not-exempt\"} 1", "{kind=\"left\"} 0"] {
        let wanted = format!("sealtape_recordings_plain{wanted}");
        assert!(server.wait_until(std::time::Duration::from_secs(20), |server| shows(server, &wanted)), "{wanted}");
    }
    system.ok(&["encrypt", "--all"]);
    let wanted = "sealtape_recordings_plain{kind=\"not-exempt\"} 0";
    assert!(server.wait_until(std::time::Duration::from_secs(60), |server| shows(server, wanted)));
    assert_eq!(server.get("/recordings/plain/media").status, 200);
    assert_eq!(request(&server.address, "HEAD", "/recordings/plain/media", &[], b"").status, 200);
}

/// Whoever stops it keeps what was catalogued, and goes on later.
#[test]
fn an_import_of_an_archive_that_is_killed_goes_on_later() {
    let system = System::with_key();
    let mut archive = PlainArchive::new(&system);
    for i in 0..300 {
        archive.write(&format!("{}/call-{i}.wav", i % 7), 20_000);
    }
    let folder = archive.folder.to_str().expect("UTF-8").to_owned();
    let mut import: Command = system.command(&["import", "--plain", &folder]);
    let mut running = import.stdout(std::process::Stdio::null()).spawn().expect("runs");
    std::thread::sleep(std::time::Duration::from_millis(120));
    running.kill().expect("killed, or gone already");
    running.wait().expect("ends");
    system.ok(&["import", "--plain", &folder]);
    let listed = system.json(&["recordings", "list"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(300));
    archive.assert_plays(&system.serve(), "in the end");
}
