//! Chance that repeats itself, the clock, and what went wrong so far: shared by all that a simulated world is made of.
//!
//! Everything that happens is drawn from one seed and told to one trace, so that a world that went wrong goes wrong again.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use sealtape::base::Timestamp;
use sealtape::service::Clock;
use tokio::time::Instant;

use super::tally::{Event, Tally};

/// When every world begins: 2026-11-25T00:00:00Z.
const BEGIN_MS: u64 = 1_795_564_800_000;

/// How often something goes wrong, of a thousand times; and whether it can at all in this world. Worlds differ in that:
/// where everything goes wrong, most promises are void, and little is seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    /// The store refuses or fails, before or after it did what it was asked.
    pub store_error: u64,
    /// No room is left.
    pub full: u64,
    /// A read gives other bytes than lie there: flipped, or, more often, from before they were written over.
    pub wrong_read: u64,
    /// A look at a file that grows sees it as it was seen before.
    pub old_look: u64,
    /// A transaction fails, before or after it was committed.
    pub database_error: u64,
    /// The longest that anything usually takes.
    pub latency_ms: u64,
}

/// Numbers that follow from a seed (SplitMix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Less than `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    pub fn permille(&mut self, rate: u64) -> bool {
        rate > 0 && self.below(1000) < rate
    }
}

/// What is shared by store, database and everybody who acts.
pub struct Fate {
    dice: Mutex<Dice>,
    rates: Mutex<Rates>,
    trace: Mutex<Vec<String>>,
    wrongs: Mutex<Vec<String>>,
    tally: Mutex<Tally>,
    /// When the present life of the process began, by the runtime's clock, and at what time of the world that was.
    life: Mutex<(Option<Instant>, u64)>,
    /// By how much the wall clock is wrong.
    skew_ms: AtomicI64,
    /// How often the store failed, when a read was wrong, and how often the database did not answer as it should.
    pub store_faults: AtomicU64,
    wrong_reads: Mutex<Vec<u64>>,
    pub database_faults: AtomicU64,
    last_database_fault_ms: AtomicU64,
}

impl Fate {
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            dice: Mutex::new(Dice::new(seed)),
            rates: Mutex::default(),
            trace: Mutex::default(),
            wrongs: Mutex::default(),
            tally: Mutex::default(),
            life: Mutex::new((None, 1)),
            skew_ms: AtomicI64::new(0),
            store_faults: AtomicU64::new(0),
            wrong_reads: Mutex::default(),
            database_faults: AtomicU64::new(0),
            last_database_fault_ms: AtomicU64::new(0),
        })
    }

    pub fn dice(&self) -> MutexGuard<'_, Dice> {
        self.dice.lock().expect("whole")
    }

    pub fn below(&self, end: u64) -> u64 {
        self.dice().below(end)
    }

    pub fn permille(&self, rate: u64) -> bool {
        self.dice().permille(rate)
    }

    pub fn pick<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }

    pub fn rates(&self) -> Rates {
        *self.rates.lock().expect("whole")
    }

    pub fn set_rates(&self, rates: Rates) {
        *self.rates.lock().expect("whole") = rates;
    }

    /// A process begins, within a runtime.
    pub fn begin_life(&self) {
        let now = self.now_ms();
        *self.life.lock().expect("whole") = (Some(Instant::now()), now);
    }

    /// It has ended; the clock stands still until the next one begins.
    pub fn end_life(&self) {
        let now = self.now_ms();
        *self.life.lock().expect("whole") = (None, now);
    }

    /// Milliseconds since the world began.
    pub fn now_ms(&self) -> u64 {
        let (begun, at) = *self.life.lock().expect("whole");
        at + begun.map_or(0, |begun| begun.elapsed().as_millis() as u64)
    }

    /// What the wall clock says, right or wrong.
    pub fn wall_clock(&self) -> Timestamp {
        let skewed = (BEGIN_MS + self.now_ms()).saturating_add_signed(self.skew_ms.load(Ordering::Relaxed));
        Timestamp::from_millis(skewed).expect("in range")
    }

    pub fn clock(self: &Arc<Self>) -> Clock {
        let fate = Arc::clone(self);
        Arc::new(move || fate.wall_clock())
    }

    /// Puts the wall clock forward or back.
    pub fn jump(&self, by_ms: i64) {
        self.skew_ms.fetch_add(by_ms, Ordering::Relaxed);
        self.count(if by_ms < 0 { Event::ClockBack } else { Event::ClockForward });
        self.tell(format!("the clock jumps by {by_ms} ms"));
    }

    /// Takes as long as such things take: often nothing, now and then long, so that what began first may end last.
    pub async fn wait(&self) {
        let latency_ms = self.rates().latency_ms;
        if latency_ms == 0 || self.permille(400) {
            return;
        }
        let time = if self.permille(20) { latency_ms * 10 } else { latency_ms };
        let time = self.below(time + 1);
        tokio::time::sleep(Duration::from_millis(time)).await;
    }

    /// The longest that an opening takes: some steps, of which few are slow.
    pub fn opening_ms(&self) -> u64 {
        20 * self.rates().latency_ms
    }

    /// After how long what the database has been told is known, where nothing is in its way.
    pub fn notice_ms(&self) -> u64 {
        1500 + 40 * self.rates().latency_ms
    }

    pub fn note_database_fault(&self) {
        self.database_faults.fetch_add(1, Ordering::Relaxed);
        self.count(Event::DatabaseFailed);
        self.last_database_fault_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    pub fn note_wrong_read(&self) {
        let now_ms = self.now_ms();
        self.wrong_reads.lock().expect("whole").push(now_ms);
    }

    /// How many reads were wrong from `since_ms` on.
    pub fn wrong_reads_since(&self, since_ms: u64) -> u64 {
        self.wrong_reads.lock().expect("whole").iter().filter(|at_ms| **at_ms >= since_ms).count() as u64
    }

    /// When everybody knows what the database was told at `told_ms`: so much after that, and after it last did not answer
    /// as it should.
    pub fn known_from_ms(&self, told_ms: u64) -> u64 {
        self.last_database_fault_ms.load(Ordering::Relaxed).max(told_ms) + self.notice_ms()
    }

    pub fn faults(&self) -> Faults {
        Faults {
            at_ms: self.now_ms(),
            store: self.store_faults.load(Ordering::Relaxed),
            wrong_reads: self.wrong_reads_since(0),
            database: self.database_faults.load(Ordering::Relaxed),
        }
    }

    pub fn count(&self, event: Event) {
        self.count_many(event, 1);
    }

    pub fn count_many(&self, event: Event, times: u64) {
        self.tally.lock().expect("whole").count(event, times);
    }

    pub fn tally(&self) -> Tally {
        self.tally.lock().expect("whole").clone()
    }

    /// Says what happened. Nothing random that is not drawn here may stand in it: no key, no sealing's name.
    pub fn tell(&self, what: impl AsRef<str>) {
        let line = format!("{:>8} {}", self.now_ms(), what.as_ref());
        self.trace.lock().expect("whole").push(line);
    }

    /// Says that a promise was broken.
    pub fn wrong(&self, what: impl AsRef<str>) {
        self.tell(format!("WRONG: {}", what.as_ref()));
        self.wrongs.lock().expect("whole").push(what.as_ref().to_owned());
    }

    pub fn trace(&self) -> Vec<String> {
        self.trace.lock().expect("whole").clone()
    }

    pub fn wrongs(&self) -> Vec<String> {
        self.wrongs.lock().expect("whole").clone()
    }
}

/// How many faults there were until a moment.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    pub at_ms: u64,
    pub store: u64,
    pub wrong_reads: u64,
    pub database: u64,
}
