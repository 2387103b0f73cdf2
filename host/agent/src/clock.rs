//! The guest's clock and timers.
//!
//! A guest's clock advances by a microsecond each time the guest reads it. When the guest gets an answer or is woken,
//! the clock advances to the time of that event. So the clock shows the same times in every replay, and the journal
//! needs no events for it. If the guest waits, the run's task gets a request and sets a durable timer.
//!
//! The monotonic clock stands still while an HTTP request waits for its answer; the wall clock does not. A request may
//! be held for days, and the time limits of HTTP clients, which are minutes, count on the monotonic clock.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use holdshort_gate::Time;
use wasmtime::component::{HasData, Resource, ResourceTable};
use wasmtime_wasi::HostWallClock;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi_io::bindings::wasi::io::poll;

use super::handover::{Handover, Reply, Request};
use super::http::{Http, Next};

const NANOSECONDS_IN_MICROSECOND: u64 = 1_000;

/// The clock of one run.
#[derive(Clone)]
pub(super) struct Clock(Arc<Mutex<Times>>);

struct Times {
    created: Time,
    now: Time,
    delivered: Time,
    /// The microseconds for which the monotonic clock has stood still.
    stood: u64,
    /// The earliest time for which the current poll waits.
    earliest: Option<Time>,
}

impl Clock {
    /// Starts the clock at the creation of the run.
    pub(super) fn starting(created: Time) -> Self {
        Self(Arc::new(Mutex::new(Times { created, now: created, delivered: created, stood: 0, earliest: None })))
    }

    /// Advances the clock to `at`, when an answer or the end of a sleep is delivered.
    pub(super) fn deliver(&self, at: Time) {
        let mut times = self.times();
        times.delivered = times.delivered.max(at);
    }

    /// Advances the clock to `at`, when the answer to an HTTP request is delivered. The time since the request does not
    /// count on the monotonic clock.
    pub(super) fn deliver_answer(&self, at: Time) {
        let mut times = self.times();
        let before = times.now.max(times.delivered);
        times.delivered = times.delivered.max(at);
        times.stood = times.stood.saturating_add(times.delivered.0.saturating_sub(before.0));
    }

    /// Advances the clock, because the guest reads it, and returns the new time.
    fn read(&self) -> Time {
        let mut times = self.times();
        times.now = Time(times.now.0.saturating_add(1)).max(times.delivered);
        times.now
    }

    /// The nanoseconds since the run's creation, without the time for which the monotonic clock stood still.
    fn read_monotonic(&self) -> u64 {
        let (now, times) = (self.read(), self.times());
        let since = now.0.saturating_sub(times.created.0).saturating_sub(times.stood);
        since.saturating_mul(NANOSECONDS_IN_MICROSECOND)
    }

    /// Whether the monotonic clock has reached `instant`. If not, `instant` is noted as a time for which the current
    /// poll waits. It is rounded up to a microsecond, because a wait must not end early.
    fn is_due(&self, instant: u64) -> bool {
        let mut times = self.times();
        let micros = instant.div_ceil(NANOSECONDS_IN_MICROSECOND);
        let until = Time(times.created.0.saturating_add(times.stood).saturating_add(micros));
        if times.now.max(times.delivered) >= until {
            return true;
        }
        times.earliest = Some(times.earliest.map_or(until, |earliest| earliest.min(until)));
        false
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HostWallClock for Clock {
    fn resolution(&self) -> Duration {
        Duration::from_micros(1)
    }

    fn now(&self) -> Duration {
        Duration::from_micros(self.read().0)
    }
}

/// A pollable that becomes ready at an instant of the guest's monotonic clock. It stores no waker: [`Waits`] checks it
/// and asks the run's task to wait.
struct Timer {
    clock: Clock,
    instant: u64,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Timer {
    async fn ready(&mut self) {
        std::future::poll_fn(|_| if self.clock.is_due(self.instant) { Poll::Ready(()) } else { Poll::Pending }).await
    }
}

/// The type under which [`Waits`] is registered in the linker.
pub(super) struct GuestTime;

impl HasData for GuestTime {
    type Data<'a> = Waits<'a>;
}

/// Implements `wasi:clocks/monotonic-clock` and `wasi:io/poll` with the guest's clock. A value borrows the guest's
/// state for one call of these interfaces.
pub(super) struct Waits<'a> {
    pub(super) clock: &'a Clock,
    pub(super) handover: &'a Handover,
    pub(super) http: &'a mut Http,
    pub(super) table: &'a mut ResourceTable,
}

impl Waits<'_> {
    fn timer(&mut self, instant: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let timer = self.table.push(Timer { clock: self.clock.clone(), instant })?;
        subscribe(self.table, timer)
    }

    /// Checks all pollables once, without waiting. Returns the indexes of the ready pollables in list order, or `None`
    /// if none is ready. Each check advances the clock, so time passes even for a guest that only polls in a loop.
    fn look(&mut self, pollables: &[Resource<DynPollable>]) -> wasmtime::Result<Option<Vec<u32>>> {
        self.clock.read();
        self.clock.times().earliest = None;
        let list = pollables.iter().map(|pollable| Resource::new_borrow(pollable.rep())).collect();
        let ready = std::pin::pin!(poll::Host::poll(self.table, list));
        match ready.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(ready) => {
                let mut ready = ready?;
                ready.sort_unstable();
                Ok(Some(ready))
            }
            Poll::Pending => Ok(None),
        }
    }

    /// Makes a call of the first complete HTTP request, and waits for its answer. Returns false if no
    /// request is complete.
    async fn call(&mut self) -> wasmtime::Result<bool> {
        match self.http.next(self.table)? {
            Next::Nothing => Ok(false),
            Next::Changed => Ok(true),
            Next::Call { request, arguments } => match self.handover.ask(Request::Http(arguments)).await {
                Reply::Answer(result) => Http::answer(self.table, request, &result).map(|()| true),
                Reply::Result(_) | Reply::Woken => Ok(false),
            },
        }
    }

    /// Waits until a pollable is ready, and returns the ready pollables. Meanwhile it makes calls of complete HTTP
    /// requests or, if there are none, sleeps until the earliest timer.
    async fn wait(&mut self, pollables: &[Resource<DynPollable>]) -> wasmtime::Result<Vec<u32>> {
        loop {
            if let Some(ready) = self.look(pollables)? {
                return Ok(ready);
            }
            if self.call().await? {
                continue;
            }
            let earliest = self.clock.times().earliest;
            let until =
                earliest.ok_or_else(|| wasmtime::format_err!("the agent waits for an event that can never happen"))?;
            self.handover.ask(Request::Sleep { until }).await;
        }
    }
}

impl poll::Host for Waits<'_> {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        self.wait(&pollables).await
    }
}

impl poll::HostPollable for Waits<'_> {
    /// Whether the pollable is ready. If not, a complete HTTP request becomes a call here too, because a guest that
    /// asks again and again would otherwise never get its answer.
    async fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        let pollable = [pollable];
        Ok(self.look(&pollable)?.is_some() || self.call().await? && self.look(&pollable)?.is_some())
    }

    async fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        self.wait(&[pollable]).await.map(drop)
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        poll::HostPollable::drop(self.table, pollable)
    }
}

impl monotonic_clock::Host for Waits<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.clock.read_monotonic())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(NANOSECONDS_IN_MICROSECOND)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.timer(when)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let now = self.clock.read_monotonic();
        self.timer(now.saturating_add(duration))
    }
}
