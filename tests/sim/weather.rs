//! Everything that a seed decides: chance, time, and the failures of the disk.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use holdshort_gate::Time;
use holdshort_journal::{Fault, JournalEntry};
use tokio::sync::Notify;
use tokio::time::Instant;

/// The time at which every world begins, in microseconds since 1970.
const EPOCH: u64 = 1_700_000_000_000_000;
const DAY: i64 = 86_400_000_000;

/// Random numbers that are the same on every machine (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// The clock that hosts read: the true time, and the error of the clock.
struct Clock {
    /// The true time at which the current host was started.
    base: u64,
    wrong_by: i64,
    /// The same moment by the runtime's clock, which stands still while any task has work.
    started: Option<Instant>,
}

/// Every failure that the hosts of one world meet.
pub struct Weather {
    dice: Mutex<Dice>,
    clock: Mutex<Clock>,
    calm: AtomicBool,
    /// The true time at which the disk has room again.
    full_until: AtomicU64,
    slow_ms: AtomicU64,
    seen: Mutex<BTreeMap<String, u64>>,
    wrong: Mutex<Vec<String>>,
}

impl Weather {
    pub fn new(seed: u64) -> Self {
        Self {
            dice: Mutex::new(Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))),
            clock: Mutex::new(Clock { base: EPOCH, wrong_by: 0, started: None }),
            calm: AtomicBool::new(false),
            full_until: AtomicU64::new(0),
            slow_ms: AtomicU64::new(0),
            seen: Mutex::default(),
            wrong: Mutex::default(),
        }
    }

    pub fn below(&self, n: u64) -> u64 {
        lock(&self.dice).below(n)
    }

    pub fn one_of<T: Clone>(&self, list: &[T]) -> T {
        list[usize::try_from(self.below(list.len() as u64)).unwrap()].clone()
    }

    /// Decides whether a failure with the chance of one in `n` happens now. After `calm_down` none happens.
    pub fn strikes(&self, n: u64) -> bool {
        !self.is_calm() && self.below(n) == 0
    }

    /// Ends all failures, so that every run that can go on must end.
    pub fn calm_down(&self) {
        self.calm.store(true, SeqCst);
        self.full_until.store(0, SeqCst);
        self.slow_ms.store(0, SeqCst);
    }

    pub fn is_calm(&self) -> bool {
        self.calm.load(SeqCst)
    }

    /// Counts that something happened.
    pub fn saw(&self, what: impl Into<String>) {
        *lock(&self.seen).entry(what.into()).or_default() += 1;
    }

    pub fn seen(&self) -> BTreeMap<String, u64> {
        lock(&self.seen).clone()
    }

    /// Records a fault: something that must never happen.
    pub fn wrong(&self, what: String) {
        lock(&self.wrong).push(what);
    }

    pub fn wrongs(&self) -> Vec<String> {
        lock(&self.wrong).clone()
    }

    /// A host starts, and the clock of its runtime begins here.
    pub fn begin(&self) {
        lock(&self.clock).started = Some(Instant::now());
    }

    /// The host ends now, and no host runs for the time `down`.
    pub fn end(&self, down: Duration) {
        let now = self.true_now();
        let mut clock = lock(&self.clock);
        (clock.base, clock.started) = (now + micros(down), None);
    }

    pub fn true_now(&self) -> u64 {
        let clock = lock(&self.clock);
        clock.base + clock.started.map_or(0, |started| micros(started.elapsed()))
    }

    /// The time that a host's clock shows.
    pub fn now(&self) -> Time {
        Time(self.true_now().saturating_add_signed(lock(&self.clock).wrong_by))
    }

    /// Changes the error of the clock by `by`. The clock stays within a day of the true time.
    pub fn jump(&self, by: i64) {
        let mut clock = lock(&self.clock);
        clock.wrong_by = (clock.wrong_by + by).clamp(-DAY, DAY);
    }

    /// Fills the disk for this many milliseconds.
    pub fn fill_disk(&self, ms: u64) {
        self.full_until.store(self.true_now() + ms * 1_000, SeqCst);
    }

    pub fn slow_disk(&self, ms: u64) {
        self.slow_ms.store(ms, SeqCst);
    }

    /// How long the disk needs for the next transaction.
    pub fn latency(&self) -> Duration {
        let slow = self.slow_ms.load(SeqCst);
        Duration::from_micros(100 + if slow == 0 { 0 } else { self.below(slow * 1_000) })
    }

    /// How the disk treats a transaction: it may fail.
    pub fn fault(&self, events: &[JournalEntry]) -> Fault {
        if self.true_now() < self.full_until.load(SeqCst) {
            self.saw("disk full");
            Fault::Full
        } else if self.strikes(80) {
            let written = self.below(2) == 0;
            self.saw(if written { "unknown, written" } else { "unknown, not written" });
            Fault::Unknown { written }
        } else {
            self.saw(if events.len() > 1 { "transactions of several events" } else { "transactions of one event" });
            Fault::None
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap()
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

/// The life of one host. Everything that acts in the host first asks whether this life is over.
#[derive(Default)]
pub struct Life {
    over: AtomicBool,
    died: Notify,
}

impl Life {
    /// The host dies here. This function does not return, and nothing of the host acts until its runtime is dropped.
    pub async fn die(&self) {
        self.over.store(true, SeqCst);
        self.died.notify_one();
        pending().await
    }

    /// Does not return if the host has died.
    pub async fn goes_on(&self) {
        if self.over.load(SeqCst) {
            pending().await
        }
    }

    pub async fn died(&self) {
        self.died.notified().await;
    }
}
