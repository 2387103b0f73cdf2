//! From the guest's small stack to the run's task and back.
//!
//! A handler is polled on the guest's own stack, so it does next to nothing there: it lays its request in a slot and waits until the reply lies there.
//! A guest makes one call at a time, so one slot is enough.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use holdshort_gate::Time;
use wasmtime::component::Val;

/// What the guest waits for.
pub(super) enum Request {
    /// The result of a call of the import with this index.
    Call {
        /// Its place in the manifest's imports.
        import: usize,
        /// What it was called with.
        params: Vec<Val>,
    },
    /// A point in time, by the guest's clock.
    Sleep {
        /// When.
        until: Time,
    },
}

/// What it gets.
pub(super) enum Reply {
    /// The result of its call, if the function has one.
    Result(Option<Val>),
    /// The time has come; the guest's clock has been set.
    Woken,
}

/// The slot between a guest and the task that drives it.
#[derive(Clone, Default)]
pub(super) struct Handover(Arc<Mutex<Slot>>);

#[derive(Default)]
struct Slot {
    request: Option<Request>,
    reply: Option<Reply>,
}

impl Handover {
    /// On the guest's side: asks, and suspends the guest until the reply is there.
    pub(super) async fn ask(&self, request: Request) -> Reply {
        self.slot().request = Some(request);
        // INVARIANT: no waker is kept. The guest is polled only by `Guest::next`, which polls after every reply.
        std::future::poll_fn(|_| match self.slot().reply.take() {
            Some(reply) => Poll::Ready(reply),
            None => Poll::Pending,
        })
        .await
    }

    /// On the task's side: what the guest asks for, once.
    pub(super) fn take(&self) -> Option<Request> {
        self.slot().request.take()
    }

    /// On the task's side: the reply, which the guest finds when it is polled next.
    pub(super) fn reply(&self, reply: Reply) {
        self.slot().reply = Some(reply);
    }

    /// Nothing that holds the lock can panic half-way, so a poisoned slot is a whole one.
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
