//! A world: some lives of a process over one store and one database, each cut off or not, and peace in the end, in which
//! all that was promised must be there.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};

use sealtape::base::RecordingId;
use tokio::{runtime, task::JoinSet};

use super::{
    actors, caretakers,
    database::SimulatedDatabase,
    disk::{Disk, Name},
    fate::{Dice, Fate, Rates},
    model::{Model, Setting},
    player,
    server::Server,
    store::SimulatedStore,
    tally::{Event, Tally},
};

/// How many IDs are used: few, so that much happens to each.
const IDS: u64 = 5;

/// Where a sealed file says which sealing it is.
pub const SALT: Range<usize> = 16..32;

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
#[derive(Clone, Copy, Debug, Default)]
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
    pub tally: Tally,
}

/// Runs the world of a seed.
pub fn run(seed: u64) -> Outcome {
    let mut dice = Dice::new(seed);
    let mut one_of = |of: &[u64]| of[dice.below(of.len() as u64) as usize];
    let rates = Rates {
        store_error: one_of(&[0, 0, 0, 4, 20]),
        full: one_of(&[0, 0, 0, 40]),
        wrong_read: one_of(&[0, 0, 0, 10, 60]),
        old_look: one_of(&[0, 0, 500]),
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
    let has_copies = one_of(&[0, 0, 1]) == 1;
    let world = World::new(kind, has_copies, dice.number());
    world.fate.tell(format!("{kind:?}, copies {has_copies}"));
    world.live_through();
    world.outcome()
}

impl World {
    fn new(kind: WorldKind, has_copies: bool, seed: u64) -> Arc<Self> {
        let (fate, disk) = (Fate::new(seed), Arc::new(Disk::default()));
        Arc::new(Self {
            model: Model::new(seed, &fate),
            store: Arc::new(SimulatedStore::new(&disk, &fate, has_copies)),
            database: Arc::new(SimulatedDatabase::new(&fate)),
            older: Mutex::default(),
            followed: Mutex::default(),
            kind,
            disk,
            fate,
        })
    }

    /// One in which nothing goes wrong, and nobody acts, but as `script` says; then there is peace. What was wrong.
    pub fn play_script(script: impl AsyncFnOnce(Arc<Self>, Arc<Server>)) -> Vec<String> {
        let world = Self::new(WorldKind::default(), false, 0);
        world.begin();
        world.in_a_life(async |world| {
            let server = world.start().await;
            script(world, server).await;
        });
        world.end();
        println!("{}", world.fate.trace().join("\n"));
        world.fate.wrongs()
    }

    fn outcome(&self) -> Outcome {
        Outcome { trace: self.fate.trace(), wrongs: self.fate.wrongs(), tally: self.fate.tally() }
    }

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

    /// There is a key.
    fn begin(self: &Arc<Self>) {
        self.in_a_life(async |world| {
            let server = world.start().await;
            let row = server.key_ops.generate().await.expect("nothing is in its way yet");
            world.model.set_key(row.fingerprint, Setting::On { since_ms: 0 });
        });
    }

    fn end(self: &Arc<Self>) {
        self.fate.set_rates(Rates::default());
        self.fate.tell("peace");
        self.in_a_life(async |world| Self::make_peace(&world).await);
        self.check_store();
    }

    fn live_through(self: &Arc<Self>) {
        self.begin();
        for life in 0..self.kind.lives {
            self.fate.tell(format!("life {life}"));
            self.fate.set_rates(self.kind.rates);
            self.in_a_life(async |world| {
                let is_cut_off = world.kind.has_crashes && world.fate.permille(700);
                let cut = Duration::from_millis(if is_cut_off { world.fate.below(12_000) } else { 3_600_000 });
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(cut) => {
                        world.fate.tell("it is killed");
                        world.fate.count(Event::Killed);
                    }
                    () = Self::live(&world) => {}
                }
            });
            self.check_store();
        }
        self.end();
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
            let torn = self.disk.lose_power(&mut self.fate.dice());
            self.fate.count(Event::PowerLost);
            self.fate.count_many(Event::TornBlock, torn);
        }
    }

    /// Starts a server, as often as it takes.
    pub async fn start(&self) -> Arc<Server> {
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
        for kind in [0, 0, 1, 1, 1, 2, 3] {
            let (world, server) = (Arc::clone(self), Arc::clone(&server));
            all.spawn(async move {
                for _ in 0..4 + world.fate.below(4) {
                    tokio::time::sleep(Duration::from_millis(world.fate.below(2500))).await;
                    match kind {
                        0 => actors::record(&world, &server, &world.id()).await,
                        1 => player::play(&world, &server, &world.id()).await,
                        2 => actors::operate(&world, &server).await,
                        _ => caretakers::take_care(&world, &server).await,
                    }
                }
            });
        }
        if self.kind.has_meddling {
            let world = Arc::clone(self);
            all.spawn(async move {
                for _ in 0..2 {
                    tokio::time::sleep(Duration::from_millis(world.fate.below(8000))).await;
                    actors::meddle(&world);
                }
            });
        }
        if self.kind.has_clock_jumps {
            let world = Arc::clone(self);
            all.spawn(async move { actors::jump(&world).await });
        }
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
}
