//! The limits of a guest: one for its memories and tables together, and one for its CPU time.
//!
//! **Invariant:** no agent may have more memories, tables and instances than the pool reserves for each agent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wasmtime::{ResourceLimiter, UpdateDeadline};

/// The size of a table element, which is a pointer. Tables count as memory, so that one limit holds for both.
const TABLE_ELEMENT_BYTES: usize = 8;

/// The maximum number of elements in a table, which is the pool's maximum. It also applies without a pool, because
/// another host may replay the run with a pool.
pub(super) const TABLE_ELEMENTS_MAX: usize = 100_000;

/// The maximum number of memories, tables and core instances of one guest. The largest known Python
/// component has a tenth of this.
const ITEMS_MAX: usize = 1_000;

/// A replay may take this many times the CPU limit, plus [`REPLAY_EXTRA`]. A longer replay counts as a failure of the
/// host and does not end the run, because the same work was within the limit when the run did it first.
const REPLAY_TIMES: u32 = 10;
const REPLAY_EXTRA: Duration = Duration::from_secs(10);

/// Why a limit stopped a guest. The value passes through the engine as an error, and
/// [`Trap`](super::trap::Trap) finds it in the engine's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LimitReached {
    /// The CPU time is used up.
    #[error("CPU limit")]
    Cpu { limit_ms: u64 },
    /// The replay took far longer than the CPU limit of its run.
    #[error("replay takes too long")]
    Replay,
    /// The machine had no memory left, although the guest was within its limit.
    #[error("the machine has no memory left")]
    NoMemory,
}

/// Counts a guest's CPU time from its start. The guest and the task that drives it share the counter.
///
/// The time is measured: the thread's CPU time is read when work for the guest begins and ends, and at each tick in
/// between. Replay counts too, because it takes about as much time as the run took to reach the same point. So the
/// limit covers the whole life of a run, however often the run is parked, and the journal need not store the time.
#[derive(Clone)]
pub struct Meter(Arc<Mutex<CpuTime>>);

struct CpuTime {
    limit: Duration,
    replaying: bool,
    used: Duration,
    /// The thread's CPU time when it was read last; `None` while no thread works for the guest.
    since: Option<Duration>,
}

/// While this value exists, the CPU time of this thread is counted for a guest.
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
    /// Makes a counter with the limit `limit_ms`.
    pub(super) fn new(limit_ms: u64) -> Self {
        let limit = Duration::from_millis(limit_ms);
        Self(Arc::new(Mutex::new(CpuTime { limit, replaying: false, used: Duration::ZERO, since: None })))
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

    /// Starts to count this thread's CPU time. It changes nothing if the time is already being counted.
    pub(super) fn running(&self) -> Running<'_> {
        let mut counts = self.counts();
        if counts.since.is_some() {
            return Running(None);
        }
        counts.since = Some(thread_time());
        Running(Some(self))
    }

    /// Counts the CPU time of all of `work`: the guest's own code, and the host's work for its calls.
    pub async fn count<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|cx| {
            let _running = self.running();
            work.as_mut().poll(cx)
        })
        .await
    }

    /// Called at each tick while the guest runs. Stops the guest at its limit; otherwise lets other tasks run first.
    pub(super) fn tick(&self) -> wasmtime::Result<UpdateDeadline> {
        let mut counts = self.counts();
        counts.count();
        let stopped = match counts.replaying {
            false if counts.used > counts.limit => {
                LimitReached::Cpu { limit_ms: u64::try_from(counts.limit.as_millis()).unwrap_or(u64::MAX) }
            }
            true if counts.used > counts.limit.saturating_mul(REPLAY_TIMES).saturating_add(REPLAY_EXTRA) => {
                LimitReached::Replay
            }
            _ => return Ok(UpdateDeadline::Yield(1)),
        };
        Err(wasmtime::Error::new(stopped))
    }

    fn counts(&self) -> MutexGuard<'_, CpuTime> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CpuTime {
    // INVARIANT: only the thread that runs the guest calls this while the guest runs. Another thread would read its own
    // CPU time instead.
    fn count(&mut self) {
        if let Some(since) = self.since {
            let now = thread_time();
            self.used = self.used.saturating_add(now.saturating_sub(since));
            self.since = Some(now);
        }
    }
}

/// The CPU time of the calling thread. A piece of work for a guest stays on one thread from beginning to end.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Limits a guest's memories and tables together.
pub(super) struct Limiter {
    bytes_max: usize,
    bytes: usize,
    /// Whether a request for memory was refused. A guest may continue without the memory. If it traps later, the
    /// refusal is reported as the reason.
    pub(super) refused: bool,
}

impl Limiter {
    /// Makes a limit of `bytes_max` for all memories and tables together.
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
        // A size beyond the memory's declared maximum is refused too, but does not count as a lack of memory.
        Ok(maximum.is_none_or(|maximum| desired <= maximum) && self.grow(current, desired))
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        // If the machine has no memory, the guest is ended instead of told, because in a replay the machine could have
        // memory. A size beyond the maximum of the memory's type is refused in the same way by every replay, so the
        // guest may be told of it. Only the engine's text distinguishes the two errors; a test checks the text.
        if error.to_string().contains("type's limits") { Ok(()) } else { Err(error.context(LimitReached::NoMemory)) }
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
        Err(error.context(LimitReached::NoMemory))
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
