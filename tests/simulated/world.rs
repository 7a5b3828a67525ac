//! A world: some lives of a process over one store and one database, each cut off or not, and peace in the end, in which
//! all that was promised must be there.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};

use sealtape::base::{ErrorCode, FingerprintPrefix, RecordingId};
use sealtape::keys::KeyState;
use sealtape::service::{MaintenanceError, PlaybackError};
use tokio::{runtime, task::JoinSet};

use super::{
    actors,
    database::SimulatedDatabase,
    disk::{Disk, Name},
    fate::{Dice, Fate, Rates},
    model::{Attempt, MARKER, Model, Phase, Setting},
    player,
    server::Server,
    store::SimulatedStore,
};

/// How many IDs are used: few, so that much happens to each.
const IDS: u64 = 5;

/// Where a sealed file says which sealing it is.
const SALT: Range<usize> = 16..32;

pub struct World {
    pub fate: Arc<Fate>,
    pub model: Model,
    pub disk: Arc<Disk>,
    pub store: Arc<SimulatedStore>,
    pub database: Arc<SimulatedDatabase>,
    /// What lay on the disk once.
    older: Mutex<Vec<(Name, Vec<u8>)>>,
    /// The recordings that somebody follows now.
    followed: Mutex<BTreeSet<RecordingId>>,
    kind: WorldKind,
}

/// Held by the one who follows a recording.
pub struct Following<'a>(&'a World, RecordingId);

impl Drop for Following<'_> {
    fn drop(&mut self) {
        self.0.followed.lock().expect("whole").remove(&self.1);
    }
}

/// What can happen in a world. In most, some of it cannot: where everything does, hardly a promise is left.
#[derive(Clone, Copy, Debug)]
struct WorldKind {
    rates: Rates,
    lives: u64,
    has_outages: bool,
    has_meddling: bool,
    has_crashes: bool,
    has_power_losses: bool,
    has_clock_jumps: bool,
}

/// What came of a world.
pub struct Outcome {
    pub trace: Vec<String>,
    pub wrongs: Vec<String>,
}

/// Runs the world of a seed.
pub fn run(seed: u64) -> Outcome {
    let mut dice = Dice::new(seed);
    let mut one_of = |of: &[u64]| of[dice.below(of.len() as u64) as usize];
    let rates = Rates {
        store_error: one_of(&[0, 0, 0, 4, 20]),
        full: one_of(&[0, 0, 0, 10]),
        wrong_read: one_of(&[0, 0, 0, 10, 60]),
        database_error: one_of(&[0, 0, 0, 10, 50]),
        latency_ms: one_of(&[0, 1, 5, 30, 150]),
    };
    let kind = WorldKind {
        rates,
        lives: one_of(&[1, 2, 3]),
        has_outages: one_of(&[0, 0, 1]) == 1,
        has_meddling: one_of(&[0, 0, 1]) == 1,
        has_crashes: one_of(&[0, 1, 1]) == 1,
        has_power_losses: one_of(&[0, 1]) == 1,
        has_clock_jumps: one_of(&[0, 0, 0, 1]) == 1,
    };
    let (has_copies, fate, disk) = (one_of(&[0, 0, 1]) == 1, Fate::new(dice.number()), Arc::new(Disk::default()));
    let world = Arc::new(World {
        model: Model::new(seed, &fate),
        store: Arc::new(SimulatedStore::new(&disk, &fate, has_copies)),
        database: Arc::new(SimulatedDatabase::new(&fate)),
        older: Mutex::default(),
        followed: Mutex::default(),
        kind,
        disk,
        fate,
    });
    world.fate.tell(format!("{kind:?}, copies {has_copies}"));
    world.live_through();
    Outcome { trace: world.fate.trace(), wrongs: world.fate.wrongs() }
}

impl World {
    /// Some recording.
    pub fn id(&self) -> RecordingId {
        format!("call-{}", self.fate.below(IDS)).parse().expect("an ID")
    }

    /// None while somebody else follows it.
    pub fn begin_to_follow(&self, id: &RecordingId) -> Option<Following<'_>> {
        let is_first = self.followed.lock().expect("whole").insert(id.clone());
        is_first.then(|| Following(self, id.clone()))
    }

    /// Keeps a copy of what lies under an ID, as whoever means to put it back would.
    pub fn remember(&self, id: &RecordingId) {
        let name = actors::final_name(id);
        if let Some(file) = self.disk.find(&name) {
            let bytes = file.content().bytes.clone();
            self.older.lock().expect("whole").push((name, bytes));
        }
    }

    /// A recording that has another sealing now than once: its name, and what lay there then.
    pub fn older(&self) -> Option<(Name, Vec<u8>)> {
        let older = self.older.lock().expect("whole");
        let is_another = |(name, bytes): &&(Name, Vec<u8>)| {
            let now = self.disk.find(name).map(|file| file.content().bytes.get(SALT).map(<[u8]>::to_vec));
            now.flatten().is_some_and(|salt| bytes.get(SALT) != Some(&salt[..]))
        };
        older.iter().find(is_another).cloned()
    }

    fn live_through(self: &Arc<Self>) {
        self.in_a_life(async |world| {
            let server = world.start().await;
            let row = server.key_ops.generate().await.expect("nothing is in its way yet");
            world.model.set_key(row.fingerprint, Setting::On { since_ms: 0 });
        });
        for life in 0..self.kind.lives {
            self.fate.tell(format!("life {life}"));
            self.fate.set_rates(self.kind.rates);
            self.in_a_life(async |world| {
                let is_cut_off = world.kind.has_crashes && world.fate.permille(700);
                let cut = Duration::from_millis(if is_cut_off { world.fate.below(12_000) } else { 3_600_000 });
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(cut) => world.fate.tell("it is killed"),
                    () = Self::live(&world) => {}
                }
            });
            self.check_store();
        }
        self.fate.set_rates(Rates::default());
        self.fate.tell("peace");
        self.in_a_life(async |world| Self::make_peace(&world).await);
        self.check_store();
    }

    /// One process from its start to its end, with a clock that goes on as soon as everybody waits.
    fn in_a_life(self: &Arc<Self>, live: impl AsyncFnOnce(Arc<Self>)) {
        let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        runtime.block_on(async {
            self.fate.begin_life();
            live(Arc::clone(self)).await;
            self.fate.end_life();
        });
        // Everything in memory goes, wherever it was.
        drop(runtime);
        self.model.cut_off();
        self.disk.let_go();
        self.database.let_go();
        self.database.set_away(false);
        if self.kind.has_power_losses && self.fate.permille(500) {
            self.fate.tell("the power is lost");
            self.disk.lose_power(&mut self.fate.dice());
        }
    }

    /// Starts a server, as often as it takes.
    async fn start(&self) -> Arc<Server> {
        loop {
            match Server::start(&self.database, &self.store, &self.fate).await {
                Ok(server) => return server,
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    }

    async fn live(self: &Arc<Self>) {
        let server = self.start().await;
        let mut all = JoinSet::new();
        for kind in [0, 0, 1, 1, 1, 2] {
            let (world, server) = (Arc::clone(self), Arc::clone(&server));
            all.spawn(async move {
                for _ in 0..4 + world.fate.below(4) {
                    tokio::time::sleep(Duration::from_millis(world.fate.below(2500))).await;
                    match kind {
                        0 => actors::record(&world, &server, &world.id()).await,
                        1 => player::play(&world, &server, &world.id()).await,
                        _ => actors::operate(&world, &server).await,
                    }
                }
            });
        }
        let world = Arc::clone(self);
        all.spawn(async move {
            if world.kind.has_meddling {
                for _ in 0..2 {
                    tokio::time::sleep(Duration::from_millis(world.fate.below(8000))).await;
                    actors::meddle(&world);
                }
            }
            if world.kind.has_clock_jumps {
                world.fate.jump(*world.fate.pick(&[-3_600_000, -1000, 1000, 60_000, 86_400_000]));
                world.fate.tell("the clock jumps");
            }
        });
        if self.kind.has_outages {
            let world = Arc::clone(self);
            all.spawn(async move { actors::take_database_away(&world).await });
        }
        // What ends here ended by itself; a panic is a fault of somebody's.
        while let Some(ended) = all.join_next().await {
            if let Err(error) = ended {
                self.fate.wrong(format!("somebody panicked: {error}"));
            }
        }
    }

    /// Nothing fails any more, every key is active, what was left is found again: what was promised must be there.
    async fn make_peace(self: &Arc<Self>) {
        let server = self.start().await;
        for (key, _) in self.model.keys() {
            let prefix: FingerprintPrefix = key.to_string().parse().expect("a fingerprint");
            server.key_ops.change_state(&prefix, KeyState::Active, true).await.expect("nothing is in its way");
            self.model.set_key(key, Setting::On { since_ms: 0 });
        }
        server.database().set_encryption(true).await.expect("there are keys");
        self.model.set_switch(Setting::On { since_ms: 0 });
        server.keys.reload().await.expect("nothing is in its way");
        for id in self.ids() {
            if self.model.known(id.as_str()).is_going {
                actors::purge(self, &server, &id).await;
            }
        }
        // Whoever died is known to be dead by then.
        tokio::time::sleep(Duration::from_secs(40)).await;
        let maintenance = server.maintenance().await.expect("nobody else is at it");
        let companions = server.companions();
        let rebuilt = maintenance.rebuild(false, &companions, async |_| Ok::<(), MaintenanceError>(())).await;
        rebuilt.expect("the store and the catalogue answer");
        tokio::time::sleep(Duration::from_secs(2)).await;
        for id in self.ids() {
            self.check_kept(&server, &id).await;
            player::play(self, &server, &id).await;
        }
    }

    fn ids(&self) -> Vec<RecordingId> {
        self.model.ids().iter().map(|id| id.parse().expect("an ID")).collect()
    }

    /// What was acknowledged is there.
    async fn check_kept(&self, server: &Server, id: &RecordingId) {
        let known = self.model.known(id.as_str());
        let kept: Vec<&Attempt> =
            known.attempts.iter().filter(|attempt| matches!(attempt.phase, Phase::Kept { .. })).collect();
        let is_alone = known.attempts.iter().all(|attempt| {
            matches!(attempt.phase, Phase::Gone { .. }) || kept.iter().any(|kept| kept.number == attempt.number)
        });
        let open = server.playback.open(id).await;
        self.fate.tell(format!(
            "{id} in peace: {}",
            open.as_ref().map_or_else(|error| error.code().as_str(), |open| open.state.as_str())
        ));
        if known.is_going {
            return;
        }
        let [attempt] = kept[..] else {
            if kept.is_empty() && known.attempts.iter().all(|attempt| matches!(attempt.phase, Phase::Gone { .. })) {
                self.check_gone(id, known.is_harmed, open.err());
            }
            return;
        };
        let Phase::Kept { media_len, is_complete, is_catalogued, is_sealed } = attempt.phase else { return };
        // One that could not be catalogued shares its ID with others of which nobody knows what became of them, and what
        // is plain is found again on somebody's word alone.
        if !is_catalogued && (!is_alone || !is_sealed) {
            return;
        }
        match open {
            Ok(open) if open.media_len >= media_len => {
                let state = open.state == sealtape::catalogue::RecordingState::Complete;
                if is_complete && !known.is_harmed && !state {
                    self.fate.wrong(format!("{id} was kept whole, and is {}", open.state.as_str()));
                }
            }
            Ok(open) if !known.is_harmed => {
                self.fate.wrong(format!("{id}: {media_len} bytes were kept, and {} are there", open.media_len));
            }
            Err(error) if !known.is_harmed => {
                self.fate.wrong(format!("{id} was kept, and does not play: {} ({error})", error.code().as_str()));
            }
            Err(error) if !is_reason_of_harm(&error) => {
                self.fate.wrong(format!("{id} was harmed, which is no {}", error.code().as_str()));
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// What was taken away is not there.
    fn check_gone(&self, id: &RecordingId, is_harmed: bool, error: Option<PlaybackError>) {
        let is_gone = error.is_some_and(|error| error.code() == ErrorCode::RecordingNotFound);
        if !is_gone && !is_harmed {
            self.fate.wrong(format!("{id} was taken away, and is there"));
        }
    }

    /// Nothing plain lies in the store that may not.
    fn check_store(&self) {
        for (name, file) in self.disk.all() {
            let known = self.model.known(name.id());
            if known.is_harmed {
                continue;
            }
            let content = file.content();
            let is_plain = content.bytes.windows(MARKER.len()).any(|window| window == MARKER);
            let may_be = !name.is_sealed() && known.attempts.iter().any(|attempt| attempt.may_be_plain);
            if is_plain && !may_be {
                self.fate.wrong(format!("{} holds what was said, in plain", name.0));
            }
        }
    }
}

/// What may be said of a recording whose file somebody changed or took.
fn is_reason_of_harm(error: &PlaybackError) -> bool {
    let codes = [
        ErrorCode::RecordingCorrupt,
        ErrorCode::MediaMissing,
        ErrorCode::KeyMissing,
        ErrorCode::UnsupportedFormat,
        // It was never catalogued, and its file cannot be told to be its own.
        ErrorCode::RecordingNotFound,
    ];
    codes.contains(&error.code())
}
