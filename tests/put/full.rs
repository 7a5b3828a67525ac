//! The disk is full at any byte: whoever writes is told, what came before plays, and nothing acknowledged is lost.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
};

use super::{CHUNK, HEADER, PATIENCE, RECORD, killed::Random, serve_with, state_of};
use crate::support::{Server, System, Upload, media, put, text, tool};

/// A file system in memory of so many bytes, mounted for as long as this is held.
pub struct Small(PathBuf);

impl Small {
    pub fn mount(path: PathBuf, len: usize) -> Self {
        fs::create_dir(&path).expect("made");
        let mounted = tool("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={len},mode=700"), "tmpfs"])
            .arg(&path)
            .output()
            .expect("mount runs");
        assert!(mounted.status.success(), "this needs the right to mount: {}", text(&mounted.stderr));
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Leaves room for about so many bytes; the system gives it in pages.
    fn leave(&self, len: usize) -> PathBuf {
        let ballast = self.0.join("ballast");
        let mut file = fs::File::create(&ballast).expect("made");
        let page = [0x77; CHUNK];
        while file.write_all(&page).is_ok() {}
        let full = file.metadata().expect("there").len();
        file.set_len(full.saturating_sub(len as u64)).expect("cut");
        ballast
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _gone_with_the_namespace = tool("umount").arg("-l").arg(&self.0).status();
    }
}

fn url(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// What lies under the growing name plays, to its last whole chunk.
fn assert_plays_as_far_as_it_came(server: &Server, store: &Path, id: &str, sent: &[u8]) -> usize {
    assert!(server.wait_until(PATIENCE, |server| state_of(server, id) == "unfinished"), "{id}: {}", server.log());
    let output = tool("find").arg(store).args(["-name", &format!("{id}.sealed.part")]).output().expect("find runs");
    let part = text(&output.stdout).trim().to_owned();
    let whole = (fs::metadata(&part).expect("there").len() as usize).saturating_sub(HEADER) / RECORD * CHUNK;
    let is_settled = |server: &Server| {
        server.get(&format!("/recordings/{id}/media")).header("recording-state") == Some("unfinished")
    };
    assert!(server.wait_until(PATIENCE, is_settled), "{id}");
    let reply = server.get(&format!("/recordings/{id}/media"));
    assert!(reply.status == 200 && sent.starts_with(&reply.body), "{id}: {reply:?}");
    assert_eq!(reply.body.len(), whole, "{id}: it plays to its last whole chunk");
    whole
}

#[test]
fn a_store_that_is_full_at_any_byte_loses_nothing_that_it_has() {
    let (system, media) = (System::with_key(), media(600_000));
    let rounds = if std::env::var_os("SEALTAPE_TESTS_FULL").is_some() { 200 } else { 20 };
    // What each round keeps lies there to the end.
    let small = Small::mount(system.path("small"), (8 << 20) + rounds * (3 << 19));
    let store = small.0.join("media");
    fs::create_dir(&store).expect("made");
    let storage = url(&store);
    let settings = [("SEALTAPE_STORAGE__URL", storage.as_str())];
    let server = serve_with(&system, &settings);
    assert_eq!(put(&server.address, "before", &[], &media[..300_000]).status, 201);
    let mut random = Random(0x5EA1_0007);
    let (mut full, mut begun, mut whole) = (0, 0, 0);
    for round in 0..rounds {
        let ballast = small.leave(random.below(700_000) as usize);
        let id = format!("put-{round}");
        let reply = if round % 2 == 0 {
            put(&server.address, &id, &[], &media)
        } else {
            let mut upload = Upload::begin(&server.address, &id, &[]);
            for piece in media.chunks(1 + random.below(20_000) as usize) {
                if !upload.try_send(piece) {
                    break;
                }
            }
            upload.try_finish().expect("an answer")
        };
        if reply.status == 201 {
            assert!(server.get(&format!("/recordings/{id}/media")).body == media, "{id}");
            whole += 1;
        } else {
            assert_eq!((reply.status, reply.problem().as_str()), (507, "storage-full"), "{id}");
            full += 1;
            if server.get(&format!("/recordings/{id}")).status == 200 {
                assert_plays_as_far_as_it_came(&server, &store, &id, &media);
                begun += 1;
            }
        }
        let id = format!("import-{round}");
        let mut import = system.command(&["import", "-", "--id", &id]);
        import.envs(settings).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut import = import.spawn().expect("runs");
        let _broken_off_is_told = import.stdin.take().expect("piped").write_all(&media);
        let output = import.wait_with_output().expect("ends");
        if output.status.success() {
            assert!(server.get(&format!("/recordings/{id}/media")).body == media, "{id}");
        } else {
            let said = text(&output.stderr);
            assert!(said.contains("no room is left") && said.lines().count() <= 2, "{id}: {said}");
            if server.get(&format!("/recordings/{id}")).status == 200 {
                assert_plays_as_far_as_it_came(&server, &store, &id, &media);
            }
        }
        assert!(server.get("/recordings/before/media").body == media[..300_000], "{id}");
        fs::remove_file(ballast).expect("removed");
    }
    println!("{full} full, {begun} of them begun, {whole} whole");
    assert!(begun > 0 && full > 1, "{full} full, {begun} of them begun, {whole} whole");
    assert_eq!(put(&server.address, "after", &[], &media).status, 201, "{}", server.log());
}

/// Catalogue and playback record have no room either.
#[test]
fn a_system_that_is_full_as_a_whole_starts_again_with_all_that_it_acknowledged() {
    let (system, media) = (System::empty(), media(300_000));
    let small = Small::mount(system.data_dir(), 6 << 20);
    system.ok(&["keys", "generate"]);
    let mut random = Random(0x5EA1_0008);
    let mut acknowledged = Vec::new();
    for round in 0..if std::env::var_os("SEALTAPE_TESTS_FULL").is_some() { 40 } else { 6 } {
        let server = system.serve();
        let ballast = small.leave(random.below(500_000) as usize);
        let mut is_full = false;
        for number in 0..8 {
            let id = format!("call-{round}-{number}");
            let reply = put(&server.address, &id, &[], &media[number * 1000..]);
            match reply.status {
                201 => acknowledged.push((id, number * 1000)),
                503 | 507 => is_full = true,
                _ => panic!("{id}: {reply:?}"),
            }
        }
        assert!(is_full, "round {round}");
        server.signal("KILL");
        server.wait();
        fs::remove_file(ballast).expect("removed");
        let server = system.serve();
        for (id, start) in &acknowledged {
            let reply = server.get(&format!("/recordings/{id}/media"));
            assert!(reply.status == 200 && reply.body == media[*start..], "round {round}: {id}: {}", reply.status);
        }
        // Room for the next round.
        for (id, _) in acknowledged.drain(..) {
            fs::remove_file(system.stored(&id)).expect("removed");
        }
        for part in system.media_files().iter().filter(|file| file.to_string_lossy().ends_with(".part")) {
            fs::remove_file(part).expect("removed");
        }
        assert_eq!(system.json(&["audit", "verify"])["sound"], true);
    }
}
