//! What a seed decides: chance, time, and what the disk is like.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use holdshort_gate::Time;
use holdshort_journal::{Entry, Fault};
use tokio::sync::Notify;
use tokio::time::Instant;

/// When every world begins, in microseconds since 1970.
const EPOCH: u64 = 1_700_000_000_000_000;
const DAY: i64 = 86_400_000_000;

/// Random numbers that are the same everywhere (splitmix64).
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

/// The clock that hosts read: true time, and by how much it is wrong.
struct Clock {
    /// True time when the current host was started.
    base: u64,
    wrong_by: i64,
    /// The same moment by the runtime's clock, which stands while anybody has something to do.
    started: Option<Instant>,
}

/// Everything that befalls the hosts of one world.
pub struct Weather {
    dice: Mutex<Dice>,
    clock: Mutex<Clock>,
    calm: AtomicBool,
    /// True time when there is room on the disk again.
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

    /// Whether a misfortune happens that happens once in `n` times; none does once the weather is calm.
    pub fn strikes(&self, n: u64) -> bool {
        !self.is_calm() && self.below(n) == 0
    }

    /// From now on nothing goes wrong, so that whatever can go on must come to an end.
    pub fn calm_down(&self) {
        self.calm.store(true, SeqCst);
        self.full_until.store(0, SeqCst);
        self.slow_ms.store(0, SeqCst);
    }

    pub fn is_calm(&self) -> bool {
        self.calm.load(SeqCst)
    }

    /// Notes that something happened.
    pub fn saw(&self, what: impl Into<String>) {
        *lock(&self.seen).entry(what.into()).or_default() += 1;
    }

    pub fn seen(&self) -> BTreeMap<String, u64> {
        lock(&self.seen).clone()
    }

    /// Notes that something happened that never must.
    pub fn wrong(&self, what: String) {
        lock(&self.wrong).push(what);
    }

    pub fn wrongs(&self) -> Vec<String> {
        lock(&self.wrong).clone()
    }

    /// A host starts: its runtime's clock begins here.
    pub fn begin(&self) {
        lock(&self.clock).started = Some(Instant::now());
    }

    /// It ended `after` it was started, and nobody is there for `down`.
    pub fn end(&self, down: Duration) {
        let now = self.true_now();
        let mut clock = lock(&self.clock);
        (clock.base, clock.started) = (now + micros(down), None);
    }

    pub fn true_now(&self) -> u64 {
        let clock = lock(&self.clock);
        clock.base + clock.started.map_or(0, |started| micros(started.elapsed()))
    }

    /// What a host's clock shows.
    pub fn now(&self) -> Time {
        Time(self.true_now().saturating_add_signed(lock(&self.clock).wrong_by))
    }

    /// The clock is set wrong by so much more, within a day of true time.
    pub fn jump(&self, by: i64) {
        let mut clock = lock(&self.clock);
        clock.wrong_by = (clock.wrong_by + by).clamp(-DAY, DAY);
    }

    /// There is no room on the disk for so long.
    pub fn fill_disk(&self, ms: u64) {
        self.full_until.store(self.true_now() + ms * 1_000, SeqCst);
    }

    pub fn slow_disk(&self, ms: u64) {
        self.slow_ms.store(ms, SeqCst);
    }

    /// How long the disk takes for the next transaction.
    pub fn latency(&self) -> Duration {
        let slow = self.slow_ms.load(SeqCst);
        Duration::from_micros(100 + if slow == 0 { 0 } else { self.below(slow * 1_000) })
    }

    /// What becomes of a transaction.
    pub fn fault(&self, events: &[Entry]) -> Fault {
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

/// One host's life. Whatever acts in it asks first whether it is over.
#[derive(Default)]
pub struct Life {
    over: AtomicBool,
    died: Notify,
}

impl Life {
    /// The host dies here and now: this does not return, and nothing of the host acts any more until its runtime is dropped.
    pub async fn die(&self) {
        self.over.store(true, SeqCst);
        self.died.notify_one();
        pending().await
    }

    /// Does not return in a host that has died.
    pub async fn goes_on(&self) {
        if self.over.load(SeqCst) {
            pending().await
        }
    }

    pub async fn died(&self) {
        self.died.notified().await;
    }
}
