//! The limits of a guest: memory with tables, and CPU time.
//!
//! **Invariant:** no agent may have more memories, tables and instances than the pool has for each
//! agent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wasmtime::{ResourceLimiter, UpdateDeadline};

/// A table element is a pointer. It counts as memory, so one limit holds for both.
const TABLE_ELEMENT_BYTES: usize = 8;

/// The maximum elements of a table. The pool allows no more, so without a pool there must not be
/// more either: a run can be replayed in both.
pub(super) const TABLE_ELEMENTS_MAX: usize = 100_000;

/// The maximum number of memories, tables and core instances of one guest. The largest known Python
/// component needs a tenth.
const ITEMS_MAX: usize = 1_000;

/// Replay runs the same code again and may exceed the CPU limit by this factor, before it counts as
/// the host's failure. It must never end a run that went on from the same place before.
const REPLAY_TIMES: u32 = 10;
const REPLAY_EXTRA: Duration = Duration::from_secs(10);

/// A guest was stopped by a limit. The value travels through the engine as an error, and
/// [`Trap`](super::trap::Trap) finds it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stopped {
    /// The CPU time is used up.
    #[error("CPU limit")]
    Cpu { limit_ms: u64 },
    /// Replay took far longer than a run's CPU limit allows.
    #[error("replay takes too long")]
    Replay,
    /// The machine had no memory, although the guest was within its limit.
    #[error("the machine has no memory left")]
    NoMemory,
}

/// Counts a guest's CPU time from its beginning, shared between the guest and its driver.
///
/// The time is measured: the thread's CPU time is read where the guest's work begins and ends, and
/// at each tick between. Replay counts too, because it shows the time that the run took to reach
/// the same place. So the limit covers the run's whole life, however often it is parked, and
/// nothing needs to be stored.
#[derive(Clone)]
pub struct Meter(Arc<Mutex<Counts>>);

struct Counts {
    limit: Duration,
    replaying: bool,
    used: Duration,
    /// The thread's CPU time at the last count; `None` while no work for the guest is done.
    since: Option<Duration>,
}

/// Work for a guest is counted on this thread until this is dropped.
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

    /// Sets whether the following work is replay.
    pub(super) fn replay(&self, yes: bool) {
        self.counts().replaying = yes;
    }

    /// The CPU time used so far.
    pub fn used(&self) -> Duration {
        let mut counts = self.counts();
        counts.count();
        counts.used
    }

    /// Starts to count this thread's work. Inside counted work this changes nothing.
    pub(super) fn running(&self) -> Running<'_> {
        let mut counts = self.counts();
        if counts.since.is_some() {
            return Running(None);
        }
        counts.since = Some(thread_time());
        Running(Some(self))
    }

    /// Counts all of `work`: the guest's own code, and the host's work for its calls.
    pub async fn count<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|cx| {
            let _running = self.running();
            work.as_mut().poll(cx)
        })
        .await
    }

    /// Called at each tick while the guest runs: stops the guest or lets others run first.
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
    // INVARIANT: called on the guest's thread, or while no thread runs it.
    fn count(&mut self) {
        if let Some(since) = self.since {
            let now = thread_time();
            self.used = self.used.saturating_add(now.saturating_sub(since));
            self.since = Some(now);
        }
    }
}

/// The CPU time of this thread. A guest stays on one thread from entering to leaving.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Limits a guest's memories and tables together.
pub(super) struct Limiter {
    bytes_max: usize,
    bytes: usize,
    /// Whether a request for memory was refused. A guest may handle that; if it traps, this is the
    /// reason.
    pub(super) refused: bool,
}

impl Limiter {
    /// A limit of `bytes_max` in total.
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
        // A memory never grows beyond its declared maximum.
        Ok(maximum.is_none_or(|maximum| desired <= maximum) && self.grow(current, desired))
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        // If a guest saw this error, replays could differ. A size beyond the maximum of the type is
        // refused in every replay alike. Only the engine's text distinguishes the two cases; a test
        // checks it.
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
