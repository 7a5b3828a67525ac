//! One seed: a system on a disk that goes wrong while recorders send, players listen and commands run; then the disk is well
//! again, and all that was promised is asked for.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::disk::{FaultyDisk, KINDS, SORTS};
use crate::put::killed::{Random, assert_nothing_plain, assert_nothing_plain_is_open, end_leases, marked};
use crate::support::{PlainArchive, Reply, Server, System, Upload, files_with_marker, get, put, text};

/// For everything to be well again.
const PATIENCE: Duration = Duration::from_secs(30);
const RECORDERS: u64 = 3;
/// Recordings of each recorder.
const RECORDINGS: u64 = 10;
const PLAYERS: u64 = 2;

/// How often each of [`KINDS`] comes in a million calls: where the media alone lies on the disk, and where the catalogue and
/// the playback record do as well, for which many more calls are made.
const RATES: [[u64; 2]; KINDS.len()] = [
    // Reads: fail, are interrupted, come short.
    [30_000, 6_000],
    [40_000, 30_000],
    [60_000, 30_000],
    // Writes: fail, find no room, are interrupted, come short, are torn.
    [8_000, 3_000],
    [8_000, 3_000],
    [20_000, 20_000],
    [40_000, 30_000],
    [8_000, 3_000],
    // Syncs: fail, are interrupted, fail and lose what was written.
    [20_000, 8_000],
    [30_000, 20_000],
    [20_000, 8_000],
    // Opens: fail, find no room, are interrupted.
    [12_000, 5_000],
    [25_000, 8_000],
    [20_000, 10_000],
    // Names: are not given or taken away, find no room.
    [25_000, 15_000],
    [25_000, 15_000],
    // Looks: fail.
    [6_000, 1_000],
];

/// What the disk's faults may be called. None is taken for damage, for a loss, or for somebody's mistake.
const REFUSALS: [&str; 5] =
    ["storage-unavailable", "storage-full", "catalogue-unavailable", "audit-unavailable", "keys-unavailable"];

/// What came of a seed, or of several.
#[derive(Debug, Default)]
pub struct Figures {
    faults: BTreeMap<&'static str, u64>,
    calls: BTreeMap<&'static str, u64>,
    acknowledged: u64,
    /// PUTs that were answered otherwise, by code.
    refused: BTreeMap<String, u64>,
    /// PUTs whose connection ended without an answer.
    broken_off: u64,
    /// Whole answers to players, cut ones, and those that were refused, by code.
    played: u64,
    cut: u64,
    unplayed: BTreeMap<String, u64>,
    /// Commands that did all of their work, and those that said that they did not.
    done: u64,
    undone: u64,
}

impl Figures {
    pub fn add(&mut self, other: &Self) {
        let sums = [(&mut self.faults, &other.faults), (&mut self.calls, &other.calls)];
        for (sum, more) in sums {
            more.iter().for_each(|(name, count)| *sum.entry(name).or_default() += count);
        }
        for (sum, more) in [(&mut self.refused, &other.refused), (&mut self.unplayed, &other.unplayed)] {
            more.iter().for_each(|(code, count)| *sum.entry(code.clone()).or_default() += count);
        }
        self.acknowledged += other.acknowledged;
        self.broken_off += other.broken_off;
        self.played += other.played;
        self.cut += other.cut;
        self.done += other.done;
        self.undone += other.undone;
    }

    /// The disk did go wrong in each way, and neither was everything refused nor nothing.
    pub fn assert_hits(&self) {
        assert!(KINDS.iter().all(|kind| self.faults[kind] > 0), "{self:#?}");
        assert!(SORTS.iter().all(|sort| self.calls[sort] > 100), "{self:#?}");
        let refused = self.refused.values().sum::<u64>() + self.broken_off;
        assert!(self.acknowledged >= refused / 3 && refused >= self.acknowledged / 20, "{self:#?}");
        let unplayed = self.unplayed.values().sum::<u64>() + self.cut;
        assert!(self.played >= unplayed / 3 && unplayed > 0, "{self:#?}");
        assert!(self.done > 0 && self.undone > 0, "{self:#?}");
    }
}

/// What was sent or imported, and what is known of it.
#[derive(Default)]
struct Recordings {
    /// Acknowledged, from whichever time.
    kept: BTreeMap<String, Vec<u8>>,
    /// Being sent, or refused.
    sent: BTreeMap<String, Vec<u8>>,
}

struct World {
    seed: u64,
    system: System,
    disk: FaultyDisk,
    recordings: Mutex<Recordings>,
    figures: Mutex<Figures>,
    is_over: AtomicBool,
}

/// Goes through a seed. On an even one all of the system lies on the disk, on an odd one its media alone.
pub fn round(library: &Path, seed: u64) -> Figures {
    let system = System::in_folder();
    system.ok(&["keys", "generate"]);
    let mut recordings = Recordings::default();
    for (id, len) in [("old-short", 1), ("old", 100_000), ("old-long", 2_000_000)] {
        let media = marked(id, len);
        system.import(id, &media);
        recordings.kept.insert(id.into(), media);
    }
    let mut archive = PlainArchive::new(&system);
    for (number, len) in [10, 5_000, 70_000, 300_000, 16_384, 1_200_000].into_iter().enumerate() {
        archive.write(&format!("plain-{number}.wav"), len);
    }
    archive.import(&system);
    recordings.kept.extend(archive.media.clone());
    // For whoever rewraps.
    system.ok(&["keys", "generate"]);

    let is_all = seed.is_multiple_of(2);
    let below = system.path(if is_all { "data" } else { "data/media" });
    let disk = FaultyDisk::new(library, &below, system.path("control"), seed);
    let world = World {
        seed,
        system,
        disk,
        recordings: Mutex::new(recordings),
        figures: Mutex::default(),
        is_over: AtomicBool::new(false),
    };
    let serve = world.system.command(&["serve", "--listen", "127.0.0.1:0"]);
    let server = Server::start(world.disk.under(serve, 0));
    world.disk.set(RATES.map(|rate| rate[usize::from(is_all)]));
    world.go_through_faults(&server);
    world.disk.heal();
    world.assert_well_again(server);
    world.assert_kept();
    world.figures.into_inner().expect("whole")
}

impl World {
    fn recordings(&self) -> MutexGuard<'_, Recordings> {
        self.recordings.lock().expect("whole")
    }

    fn figures(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().expect("whole")
    }

    fn random(&self, who: u64) -> Random {
        let mut random = Random(self.seed.wrapping_mul(1000).wrapping_add(who).wrapping_add(1));
        // Of small seeds the first numbers are much alike.
        (0..20).for_each(|_| {
            random.below(2);
        });
        random
    }

    fn go_through_faults(&self, server: &Server) {
        thread::scope(|scope| {
            let recorders = (0..RECORDERS).map(|number| scope.spawn(move || self.record(server, number)));
            let mut working: Vec<_> = recorders.collect();
            working.push(scope.spawn(|| self.keep_house()));
            for number in 0..PLAYERS {
                scope.spawn(move || self.play(server, number));
            }
            let outcomes: Vec<_> = working.into_iter().map(|work| work.join()).collect();
            assert_nothing_plain_is_open(server.pid());
            self.is_over.store(true, Ordering::Relaxed);
            outcomes.into_iter().for_each(|outcome| outcome.unwrap_or_else(|told| std::panic::resume_unwind(told)));
        });
        let (came, calls) = (self.disk.came(), self.disk.calls());
        self.figures().faults = KINDS.into_iter().zip(came).collect();
        self.figures().calls = SORTS.into_iter().zip(calls).collect();
    }

    /// Sends recordings, in one piece or as they are made.
    fn record(&self, server: &Server, number: u64) {
        let mut random = self.random(number);
        for n in 0..RECORDINGS {
            let id = format!("r{number}-{n}");
            let media = marked(&id, 1 + random.below(150_000) as usize);
            self.recordings().sent.insert(id.clone(), media.clone());
            let reply = if n % 2 == 0 {
                Some(put(&server.address, &id, &[], &media))
            } else {
                let mut upload = Upload::begin(&server.address, &id, &[]);
                let mut rest = &media[..];
                while !rest.is_empty() {
                    let (piece, after) = rest.split_at(rest.len().min(1 + random.below(9000) as usize));
                    if !upload.try_send(piece) {
                        break;
                    }
                    rest = after;
                    thread::sleep(Duration::from_micros(random.below(3000)));
                }
                upload.try_finish()
            };
            match reply {
                Some(reply) if reply.status == 201 && !reply.is_cut => {
                    self.recordings().kept.insert(id, media);
                    self.figures().acknowledged += 1;
                }
                Some(reply) => {
                    let code = reply.problem();
                    assert!(REFUSALS.contains(&code.as_str()), "{id}: {reply:?}\n{}", server.log());
                    *self.figures().refused.entry(code).or_default() += 1;
                }
                None => self.figures().broken_off += 1,
            }
        }
    }

    /// Listens to whatever there is, whole or in part.
    fn play(&self, server: &Server, number: u64) {
        let mut random = self.random(100 + number);
        while !self.is_over.load(Ordering::Relaxed) {
            let is_kept = random.below(4) > 0;
            let chosen = {
                let recordings = self.recordings();
                let of = if is_kept { &recordings.kept } else { &recordings.sent };
                let at = random.below(of.len() as u64) as usize;
                of.iter().nth(at).map(|(id, media)| (id.clone(), media.clone()))
            };
            let Some((id, media)) = chosen else { continue };
            // What is being recorded has no end that could be named.
            let first = if is_kept { random.below(media.len() as u64) as usize } else { 0 };
            let last = first + random.below((media.len() - first) as u64) as usize;
            let (range, expected) = match random.below(2) {
                0 => (None, &media[..]),
                _ => (Some(format!("bytes={first}-{last}")), &media[first..=last]),
            };
            let headers: Vec<(&str, &str)> = range.as_deref().map(|range| ("Range", range)).into_iter().collect();
            let reply = get(&server.address, &format!("/recordings/{id}/media"), &headers);
            self.judge(&id, &reply, expected, is_kept);
            thread::sleep(Duration::from_micros(random.below(10_000)));
        }
    }

    fn judge(&self, id: &str, reply: &Reply, expected: &[u8], is_kept: bool) {
        let context = || format!("{id}: {} {:?}, {} bytes", reply.status, reply.headers(), reply.body.len());
        if !matches!(reply.status, 200 | 206) {
            let code = reply.problem();
            assert!(!is_kept || REFUSALS.contains(&code.as_str()), "{}: {reply:?}", context());
            *self.figures().unplayed.entry(code).or_default() += 1;
            return;
        }
        assert!(expected.starts_with(&reply.body), "{}: other bytes than were sent", context());
        assert!(!is_kept || reply.is_cut || reply.body.len() == expected.len(), "{}: not all of it", context());
        let mut figures = self.figures();
        *if reply.is_cut { &mut figures.cut } else { &mut figures.played } += 1;
    }

    /// Commands in processes of their own, as an administrator's.
    fn keep_house(&self) {
        for number in 1..=3 {
            for arguments in [&["encrypt", "--all"], &["rewrap", "--all"]] {
                let output = self.disk.under(self.system.command(arguments), number).output().expect("runs");
                let said = text(&output.stderr);
                assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{arguments:?}: {output:?}");
                assert!(!said.contains("panic"), "{arguments:?}: {said}");
                let mut figures = self.figures();
                *if output.status.success() { &mut figures.done } else { &mut figures.undone } += 1;
            }
        }
    }

    /// The server that went through it plays everything and takes what is sent; then it ends, or is killed.
    fn assert_well_again(&self, server: Server) {
        self.assert_plays(&server, "the disk is well again");
        let media = marked("after", 100_000);
        let reply = put(&server.address, "after", &[], &media);
        assert_eq!(reply.status, 201, "{reply:?}\n{}", server.log());
        self.recordings().kept.insert("after".into(), media);
        assert_nothing_plain_is_open(server.pid());
        let is_killed = self.seed % 4 > 1;
        if is_killed {
            server.signal("KILL");
        }
        assert!(!server.log().contains("panic"), "{}", server.log());
        drop(server);
        if is_killed {
            // They would lapse in half a minute.
            end_leases(&self.system);
        }
        assert_nothing_plain(&self.system);
    }

    /// Without the injector: what was acknowledged is there, and nothing is wrong with it.
    fn assert_kept(&self) {
        let server = self.system.serve();
        self.assert_plays(&server, "started again");
        for command in ["encrypt", "rewrap"] {
            let done = self.system.json(&[command, "--all"]);
            assert_eq!((&done["failed"], &done["stopped"]), (&json!([]), &false.into()), "{command}: {done}");
        }
        self.assert_plays(&server, "rewrapped and encrypted");
        let Recordings { kept, sent, .. } = &*self.recordings();
        for (id, media) in sent {
            let reply = server.get(&format!("/recordings/{id}/media"));
            assert!(reply.status != 200 || media.starts_with(&reply.body), "{id}: other bytes than were sent");
        }
        let verified = self.system.run(&["verify", "--all", "--json"]);
        let report: serde_json::Value = serde_json::from_slice(&verified.stdout).expect("one JSON document");
        for fault in report["faults"].as_array().expect("faults") {
            let id = fault["id"].as_str().expect("an ID");
            assert!(!kept.contains_key(id), "{fault}");
        }
        assert_eq!(report["plain"], 0, "{report}");
        let left = files_with_marker(&[&self.system.path("data"), &self.system.path("archive")]);
        assert!(left.is_empty(), "in plain still: {left:?}");
        assert_nothing_plain(&self.system);
        let audit = self.system.json(&["audit", "verify"]);
        assert_eq!(audit["sound"], true, "{audit}");
        assert!(!server.log().contains("panic"), "{}", server.log());
    }

    fn assert_plays(&self, server: &Server, context: &str) {
        let kept = self.recordings().kept.clone();
        let begun = Instant::now();
        for (id, media) in &kept {
            let path = format!("/recordings/{id}/media");
            server.wait_until(PATIENCE.saturating_sub(begun.elapsed()), |server| server.get(&path).status == 200);
            let reply = server.get(&path);
            let is_whole = reply.status == 200 && !reply.is_cut && reply.body == *media;
            assert!(is_whole, "{context}: {id}: {} {:?}\n{}", reply.status, reply.headers(), server.log());
        }
    }
}
