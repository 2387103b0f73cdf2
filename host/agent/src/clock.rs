//! The guest's time, and its waiting for a time.
//!
//! A guest's clock advances by a microsecond when the guest reads it. When the guest receives an
//! answer or is woken, the clock advances to that time. So the clock shows the same times in every
//! replay, and the journal needs no events for this. If the guest waits, the run's task gets a request and
//! sets a durable timer.

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

use super::handover::{Handover, Request};

const NANOSECONDS_IN_MICROSECOND: u64 = 1_000;

/// The clock of one run.
#[derive(Clone)]
pub(super) struct Clock(Arc<Mutex<Times>>);

struct Times {
    created: Time,
    now: Time,
    delivered: Time,
    /// The earliest time that the current poll waits for.
    earliest: Option<Time>,
}

impl Clock {
    /// Starts the clock at the creation of the run.
    pub(super) fn starting(created: Time) -> Self {
        Self(Arc::new(Mutex::new(Times { created, now: created, delivered: created, earliest: None })))
    }

    /// Advances the clock to a delivery at `at`.
    pub(super) fn deliver(&self, at: Time) {
        let mut times = self.times();
        times.delivered = times.delivered.max(at);
    }

    /// Advances the clock for one reading by the guest, and returns the new time.
    fn read(&self) -> Time {
        let mut times = self.times();
        times.now = Time(times.now.0.saturating_add(1)).max(times.delivered);
        times.now
    }

    /// The time in nanoseconds since the run's creation, as the monotonic clock counts it.
    fn read_monotonic(&self) -> u64 {
        let now = self.read();
        now.0.saturating_sub(self.times().created.0).saturating_mul(NANOSECONDS_IN_MICROSECOND)
    }

    /// The time of the monotonic `instant`, rounded up, because a wait must not end early.
    fn at(&self, instant: u64) -> Time {
        let micros = instant.div_ceil(NANOSECONDS_IN_MICROSECOND);
        Time(self.times().created.0.saturating_add(micros))
    }

    /// Whether the time `until` has come. If not, the current poll waits for this time.
    fn is_due(&self, until: Time) -> bool {
        let mut times = self.times();
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

/// A pollable that becomes ready at a time of the guest's clock. No waker is stored: [`Waits`] checks the
/// pollable and asks the run's task to wait.
struct Timer {
    clock: Clock,
    until: Time,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Timer {
    async fn ready(&mut self) {
        std::future::poll_fn(|_| if self.clock.is_due(self.until) { Poll::Ready(()) } else { Poll::Pending }).await
    }
}

/// The type by which [`Waits`] is registered in the linker.
pub(super) struct GuestTime;

impl HasData for GuestTime {
    type Data<'a> = Waits<'a>;
}

/// `wasi:clocks/monotonic-clock` and `wasi:io/poll` on guest time, for one call of the guest.
pub(super) struct Waits<'a> {
    pub(super) clock: &'a Clock,
    pub(super) handover: &'a Handover,
    pub(super) table: &'a mut ResourceTable,
}

impl Waits<'_> {
    fn timer(&mut self, until: Time) -> wasmtime::Result<Resource<DynPollable>> {
        let timer = self.table.push(Timer { clock: self.clock.clone(), until })?;
        subscribe(self.table, timer)
    }

    /// Checks all pollables once, and returns the indexes of the ready pollables in list order;
    /// `None` if none is ready. The check advances the clock, so that the time comes even for a guest
    /// that only polls in a loop.
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

    /// Returns the ready pollables, or waits for the earliest timer.
    async fn wait(&mut self, pollables: &[Resource<DynPollable>]) -> wasmtime::Result<Vec<u32>> {
        loop {
            if let Some(ready) = self.look(pollables)? {
                return Ok(ready);
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
    async fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        Ok(self.look(&[pollable])?.is_some())
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
        self.timer(self.clock.at(when))
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let now = self.clock.read_monotonic();
        self.timer(self.clock.at(now.saturating_add(duration)))
    }
}
