//! What a guest may use: linear memory and tables, and its own CPU time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wasmtime::{ResourceLimiter, UpdateDeadline};

/// A table element is a pointer; counted as memory, so that one limit holds for both.
const TABLE_ELEMENT_BYTES: usize = 8;

/// The most elements of one table. The pool makes no larger ones, so that without a pool there must not be any either: a run replays in both.
pub(super) const TABLE_ELEMENTS_MAX: usize = 100_000;

/// How many memories, tables and core instances one guest may make; the largest Python component seen needs a tenth.
const ITEMS_MAX: usize = 1_000;

/// The most that is counted of a stretch that no tick interrupted; ticks are about a millisecond apart, so what is beyond was another thread's time.
const BETWEEN_TICKS_MAX: Duration = Duration::from_millis(2);

/// Replay runs the same code again. By how much it may pass the limit before the host takes that for its own failure: it must never end a run
/// that went on when it was at the same place before.
const REPLAY_TIMES: u32 = 10;
const REPLAY_EXTRA: Duration = Duration::from_secs(10);

/// Why a guest was stopped from outside. Travels through the engine as an error and is found again by [`Trap`](super::trap::Trap).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stopped {
    /// It used up its CPU time.
    #[error("CPU limit")]
    Cpu {
        /// The limit.
        limit_ms: u64,
    },
    /// Replay took far longer than the run may ever have.
    #[error("replay takes too long")]
    Replay,
    /// The machine had no memory where the guest was entitled to some.
    #[error("the machine has no memory left")]
    NoMemory,
}

/// Counts a guest's CPU time from its beginning, shared between the guest and the task that polls it.
///
/// What replay takes counts too, since it is what the run took to get to the same place: so the limit holds for all of a run's life, however often
/// it is parked, and nothing needs to be written down.
#[derive(Clone)]
pub(super) struct Meter(Arc<Mutex<Counts>>);

struct Counts {
    limit: Duration,
    replaying: bool,
    used: Duration,
    since: Since,
}

/// Since when what runs has not been counted.
enum Since {
    /// Nothing runs.
    Idle,
    /// No tick has interrupted it yet. Most stretches end like this, and asking for the thread's own time would cost more than they do.
    Entered(Instant),
    /// A tick was here when its thread had used so much.
    Ticked(Duration),
}

impl Meter {
    /// Counts up to `limit_ms`.
    pub(super) fn new(limit_ms: u64) -> Self {
        let limit = Duration::from_millis(limit_ms);
        Self(Arc::new(Mutex::new(Counts { limit, replaying: false, used: Duration::ZERO, since: Since::Idle })))
    }

    /// Whether what runs from now on has run before.
    pub(super) fn replay(&self, yes: bool) {
        self.counts().replaying = yes;
    }

    /// What was used so far.
    pub(super) fn used(&self) -> Duration {
        self.counts().used
    }

    /// The guest is about to run.
    pub(super) fn enter(&self) {
        self.counts().since = Since::Entered(Instant::now());
    }

    /// The guest has stopped running for now.
    pub(super) fn leave(&self) {
        let mut counts = self.counts();
        counts.count();
        counts.since = Since::Idle;
    }

    /// At each tick of the epoch while the guest runs: stops it, or lets others run first.
    pub(super) fn tick(&self) -> wasmtime::Result<UpdateDeadline> {
        let mut counts = self.counts();
        counts.count();
        counts.since = Since::Ticked(thread_time());
        let stopped = match counts.replaying {
            false if counts.used > counts.limit => {
                Stopped::Cpu { limit_ms: u64::try_from(counts.limit.as_millis()).unwrap_or(u64::MAX) }
            }
            true if counts.used > counts.limit.saturating_mul(REPLAY_TIMES).saturating_add(REPLAY_EXTRA) => {
                Stopped::Replay
            }
            _ => return Ok(UpdateDeadline::Yield(1)),
        };
        Err(wasmtime::Error::new(stopped))
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn count(&mut self) {
        let spent = match self.since {
            Since::Idle => return,
            Since::Entered(at) => at.elapsed().min(BETWEEN_TICKS_MAX),
            Since::Ticked(at) => thread_time().saturating_sub(at),
        };
        self.used = self.used.saturating_add(spent);
    }
}

/// The CPU time of this thread. A guest runs on one from entering to leaving.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Bounds a guest's memories and tables together.
pub(super) struct Limiter {
    bytes_max: usize,
    bytes: usize,
    /// Whether the guest asked for more than it may have. A guest may cope with that; if it traps, that is why.
    pub(super) refused: bool,
}

impl Limiter {
    /// Allows `bytes_max` in all.
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX), bytes: 0, refused: false }
    }

    fn grow(&mut self, current: usize, desired: usize) -> bool {
        let bytes = self.bytes.saturating_add(desired.saturating_sub(current));
        if bytes > self.bytes_max {
            self.refused = true;
            return false;
        }
        self.bytes = bytes;
        true
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // Past its own declared maximum a memory never grows, whatever the host has.
        Ok(maximum.is_none_or(|maximum| desired <= maximum) && self.grow(current, desired))
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        // A guest that saw this would differ from one replay to the next. What no memory of its type could ever reach is refused in every replay alike;
        // the engine tells the two apart by this text alone (a test holds it).
        if error.to_string().contains("type's limits") { Ok(()) } else { Err(error.context(Stopped::NoMemory)) }
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let bytes = |elements: usize| elements.saturating_mul(TABLE_ELEMENT_BYTES);
        if maximum.is_some_and(|maximum| desired > maximum && maximum < TABLE_ELEMENTS_MAX) {
            return Ok(false);
        }
        if desired > TABLE_ELEMENTS_MAX {
            self.refused = true;
            return Ok(false);
        }
        Ok(self.grow(bytes(current), bytes(desired)))
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error.context(Stopped::NoMemory))
    }

    fn instances(&self) -> usize {
        ITEMS_MAX
    }

    fn tables(&self) -> usize {
        ITEMS_MAX
    }

    fn memories(&self) -> usize {
        ITEMS_MAX
    }
}
