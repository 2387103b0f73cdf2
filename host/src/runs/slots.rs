//! Slots for agents in memory: how many instances can exist, and which one gives up its slot for another run.
//!
//! An instance that waits for an answer, a time or a connector keeps its slot only while no other run needs it.
//! Otherwise the instance that has waited longest loses its slot, and replay brings its run back when the answer is
//! there. So waiting never keeps a run from computing. A computing instance keeps its slot, and its CPU time is
//! limited.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How long a connector may take before its caller's slot can be taken. Most connectors answer sooner, and replaying
/// the run would cost more.
const CONNECTOR_GRACE: Duration = Duration::from_millis(100);

/// How often a run without a slot checks for an instance that has waited long enough.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The slots of a host.
pub(super) struct InstanceSlots {
    free: Arc<Semaphore>,
    waiting: Mutex<WaitingInstances>,
}

/// A slot, given back on drop. By then the instance is gone.
pub(super) type InstanceSlot = OwnedSemaphorePermit;

#[derive(Default)]
struct WaitingInstances {
    /// Waiting instances by the time from which their slot may be taken.
    instances: BTreeMap<(Instant, u64), Arc<Notify>>,
    entered: u64,
}

/// The reason why an instance waits.
#[derive(Clone, Copy)]
pub(super) enum WaitReason {
    /// An answer or a time: the run would be parked soon anyway.
    Answer,
    Connector,
}

/// Marks an instance as waiting until this is dropped.
pub(super) struct WaitingInstance<'a> {
    slots: &'a InstanceSlots,
    key: (Instant, u64),
    taken: Arc<Notify>,
}

impl InstanceSlots {
    /// Makes `instances_max` free slots.
    pub(super) fn new(instances_max: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(instances_max)), waiting: Mutex::default() }
    }

    /// Takes a slot, in the order of requests; `None` if the host is shutting down.
    pub(super) async fn take(&self) -> Option<InstanceSlot> {
        let slot = self.free.clone().acquire_owned();
        tokio::pin!(slot);
        loop {
            tokio::select! {
                biased;
                slot = &mut slot => return slot.ok(),
                () = self.take_from_the_longest_waiting() => {}
            }
        }
    }

    async fn take_from_the_longest_waiting(&self) {
        let longest = {
            let mut waiting = self.waiting();
            let first = waiting.instances.first_entry().filter(|first| first.key().0 <= Instant::now());
            first.map(|first| first.remove())
        };
        if let Some(taken) = longest {
            taken.notify_one();
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }

    /// Marks the caller's instance as waiting.
    pub(super) fn wait(&self, what: WaitReason) -> WaitingInstance<'_> {
        let taken = Arc::new(Notify::new());
        let from = match what {
            WaitReason::Answer => Instant::now(),
            WaitReason::Connector => Instant::now() + CONNECTOR_GRACE,
        };
        let mut waiting = self.waiting();
        waiting.entered += 1;
        let key = (from, waiting.entered);
        waiting.instances.insert(key, taken.clone());
        WaitingInstance { slots: self, key, taken }
    }

    fn waiting(&self) -> MutexGuard<'_, WaitingInstances> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WaitingInstance<'_> {
    /// Returns when another run needs the slot.
    pub(super) async fn taken(&self) {
        self.taken.notified().await;
    }
}

impl Drop for WaitingInstance<'_> {
    fn drop(&mut self) {
        self.slots.waiting().instances.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits with a slot as a driver does, and gives the slot up when another run needs it.
    async fn evicted(slots: &InstanceSlots, what: WaitReason, slot: InstanceSlot) {
        let wait = slots.wait(what);
        wait.taken().await;
        drop(slot);
    }

    /// Runs both futures for at most a minute of the test's paused clock, so that a slot that is never given up fails
    /// the test at once.
    async fn in_time<A, B>(one: impl Future<Output = A>, other: impl Future<Output = B>) -> (A, B) {
        let both = async { tokio::join!(one, other) };
        tokio::time::timeout(Duration::from_secs(60), both).await.expect("nobody gave a place up")
    }

    #[tokio::test(start_paused = true)]
    async fn who_needs_a_place_gets_that_of_the_longest_waiting_and_of_nobody_who_computes() {
        let slots = InstanceSlots::new(3);
        let (computes, asks, waits) = (slots.take().await, slots.take().await, slots.take().await);
        let begun = Instant::now();
        let mut asks = std::pin::pin!(evicted(&slots, WaitReason::Connector, asks.unwrap()));
        let mut waits = std::pin::pin!(evicted(&slots, WaitReason::Answer, waits.unwrap()));
        let needs = async {
            tokio::select! { biased; () = &mut asks => panic!("a connector's caller went first"), () = &mut waits => {} }
        };
        let (first, ()) = in_time(slots.take(), needs).await;
        assert!(first.is_some() && begun.elapsed() < CONNECTOR_GRACE, "{:?}", begun.elapsed());
        let (second, ()) = in_time(slots.take(), asks).await;
        assert!(second.is_some() && begun.elapsed() >= CONNECTOR_GRACE, "{:?}", begun.elapsed());
        let nobody = tokio::time::timeout(Duration::from_secs(60), slots.take()).await;
        assert!(nobody.is_err(), "a place was taken from somebody who computes");
        drop(computes);
        assert!(slots.take().await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_gives_a_place_up_that_nobody_needs() {
        let slots = InstanceSlots::new(2);
        let slot = slots.take().await.unwrap();
        let waits = evicted(&slots, WaitReason::Answer, slot);
        assert!(tokio::time::timeout(Duration::from_secs(3_600), waits).await.is_err());
    }
}
