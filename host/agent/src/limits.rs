//! What a guest may use: linear memory and tables, and its own CPU time.
//!
//! **Invariant:** No agent may have more memories, tables and instances than the pool has for each agent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wasmtime::{ResourceLimiter, UpdateDeadline};

/// A table element is a pointer; counted as memory, so that one limit holds for both.
const TABLE_ELEMENT_BYTES: usize = 8;

/// The most elements of one table. The pool makes no larger ones, so that without a pool there must not be any either: a run replays in both.
pub(super) const TABLE_ELEMENTS_MAX: usize = 100_000;

/// How many memories, tables and core instances one guest may make; the largest Python component seen needs a tenth.
const ITEMS_MAX: usize = 1_000;

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

/// Counts a guest's CPU time from its beginning, shared between the guest and what drives it.
///
/// It is measured and never estimated: the thread's own CPU time is read where the guest's work begins and ends on a thread, and at each tick between.
/// What replay takes counts too, since it is what the run took to get to the same place: so the limit holds for all of a run's life, however often
/// it is parked, and nothing needs to be written down.
#[derive(Clone)]
pub struct Meter(Arc<Mutex<Counts>>);

struct Counts {
    limit: Duration,
    replaying: bool,
    used: Duration,
    /// The CPU time of the thread when it was last counted; nothing while no work for the guest is done.
    since: Option<Duration>,
}

/// Work for a guest is done on this thread until the value is dropped.
pub(super) struct Running<'a>(Option<&'a Meter>);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(meter) = self.0 {
            let mut counts = meter.counts();
            counts.count();
            counts.since = None;
        }
    }
}

impl Meter {
    /// Counts up to `limit_ms`.
    pub(super) fn new(limit_ms: u64) -> Self {
        let limit = Duration::from_millis(limit_ms);
        Self(Arc::new(Mutex::new(Counts { limit, replaying: false, used: Duration::ZERO, since: None })))
    }

    /// Whether what runs from now on has run before.
    pub(super) fn replay(&self, yes: bool) {
        self.counts().replaying = yes;
    }

    /// What was used so far.
    pub fn used(&self) -> Duration {
        let mut counts = self.counts();
        counts.count();
        counts.used
    }

    /// Counts what this thread does from now on. Within work that is counted already this changes nothing.
    pub(super) fn running(&self) -> Running<'_> {
        let mut counts = self.counts();
        if counts.since.is_some() {
            return Running(None);
        }
        counts.since = Some(thread_time());
        Running(Some(self))
    }

    /// Counts all that `work` takes where it is polled: the guest's own code, and what the host does for its calls there.
    pub async fn count<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|cx| {
            let _running = self.running();
            work.as_mut().poll(cx)
        })
        .await
    }

    /// At each tick of the epoch while the guest runs: stops it, or lets others run first.
    pub(super) fn tick(&self) -> wasmtime::Result<UpdateDeadline> {
        let mut counts = self.counts();
        counts.count();
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
    // INVARIANT: called on the thread that runs the guest, or while none does.
    fn count(&mut self) {
        if let Some(since) = self.since {
            let now = thread_time();
            self.used = self.used.saturating_add(now.saturating_sub(since));
            self.since = Some(now);
        }
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
