//! Hands requests from the guest's small stack to the run's task, and replies back.
//!
//! The host function for an import runs on the guest's own stack. Therefore it does little: it puts its request into a
//! slot and waits for the reply. A guest makes one call at a time, so one slot is enough.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use holdshort_gate::Time;
use serde_json::Value;
use wasmtime::component::Val;

/// The requests of a guest.
pub(super) enum Request {
    /// Asks for the result of a call.
    Call {
        /// The index of the function in the manifest's imports.
        import: usize,
        /// The arguments.
        params: Vec<Val>,
    },
    /// Asks for the answer to an HTTP request. The value has the arguments of the request's call.
    Http(Value),
    /// Asks to be woken at this time of the guest's clock.
    Sleep { until: Time },
}

/// The replies to a guest.
pub(super) enum Reply {
    /// The result of the call, if the function has a result.
    Result(Option<Val>),
    /// The result of an HTTP request.
    Answer(Value),
    /// The sleep has ended. The guest's clock has already been advanced.
    Woken,
}

/// Passes requests and replies between a guest and the asynchronous task that drives the run.
#[derive(Clone, Default)]
pub(super) struct Handover(Arc<Mutex<Slot>>);

#[derive(Default)]
struct Slot {
    request: Option<Request>,
    reply: Option<Reply>,
}

impl Handover {
    /// Called on the guest's stack: stores a request, and suspends the guest until there is a reply.
    pub(super) async fn ask(&self, request: Request) -> Reply {
        self.slot().request = Some(request);
        // INVARIANT: only `Guest::next` polls the guest, and it does so after every reply. So no waker is stored.
        std::future::poll_fn(|_| match self.slot().reply.take() {
            Some(reply) => Poll::Ready(reply),
            None => Poll::Pending,
        })
        .await
    }

    /// Called by the run's task: takes the guest's request out of the slot.
    pub(super) fn take(&self) -> Option<Request> {
        self.slot().request.take()
    }

    /// Called by the run's task: stores the reply. The guest finds the reply when it is polled next.
    pub(super) fn reply(&self, reply: Reply) {
        self.slot().reply = Some(reply);
    }

    /// Locks the slot. A poisoned lock is used too, because no code that holds it can panic halfway through a change.
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
