//! A connector that acts, with its turns. Here alone is it asked to.
//!
//! **Invariant:** A call that waits for its turn is not started: the turn comes before `Start`. So the call can still be cancelled, lapses in its
//! time, and does not use up the time in which an attempt has to begin. The hint after a commit names the capability, so finding the turn reads
//! nothing.

use std::sync::Arc;

use holdshort_journal::Authorized;
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::connectors::{Attempt, Finding, Inquiry, Perform};
use crate::kill;

/// How many lookups of one connector go on at the same time; the others wait for their turn, in the order in which they asked.
///
/// A host that was killed may have left thousands of effects in doubt, and each lookup opens a connection or starts a program. It is few enough for any
/// relay and any machine, and enough that one lookup that waits for an answer does not hold up all of them.
pub(super) const LOOKUPS_AT_A_TIME: usize = 8;

/// A connector that acts, and the turns for its attempts and for its lookups. Each has its own, so that one that answers nobody holds up no other's.
// INVARIANT: nobody who has one of its lookups' turns waits for one of its attempts'.
pub(super) struct Performer {
    connector: Arc<dyn Perform>,
    attempts: Semaphore,
    lookups: Semaphore,
}

impl Performer {
    pub(super) fn new(connector: Arc<dyn Perform>) -> Arc<Self> {
        let attempts = Semaphore::new(connector.attempts_at_a_time());
        Arc::new(Self { connector, attempts, lookups: Semaphore::new(LOOKUPS_AT_A_TIME) })
    }

    pub(super) async fn attempt_turn(&self) -> Option<SemaphorePermit<'_>> {
        self.attempts.acquire().await.ok()
    }

    pub(super) async fn lookup_turn(&self) -> Option<SemaphorePermit<'_>> {
        self.lookups.acquire().await.ok()
    }

    pub(super) async fn perform(&self, authorized: Authorized) -> Attempt {
        kill::point("before-perform");
        let attempt = self.connector.perform(authorized).await;
        kill::point("after-perform");
        attempt
    }

    pub(super) async fn lookup(&self, inquiry: &Inquiry) -> Finding {
        kill::point("before-lookup");
        let finding = self.connector.lookup(inquiry).await;
        kill::point("after-lookup");
        finding
    }

    /// What the agent is given when a person found that it happened, if that follows from the action alone.
    pub(super) fn receipt(&self, inquiry: &Inquiry) -> Option<Value> {
        self.connector.receipt(inquiry)
    }
}
