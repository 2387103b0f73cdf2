//! A connector that performs, with its turns: limits on concurrent attempts and lookups. Only this module calls it.
//!
//! **Invariant:** a call that waits for its turn is not started: the turn comes before `Start`. So the call can still
//! be cancelled, expires in time, and does not use up the time for beginning an attempt. The hint after a commit names
//! the capability, so finding the turn needs no read of the journal.

use std::sync::Arc;

use holdshort_journal::Authorized;
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::connectors::{Attempt, Finding, Inquiry, Perform};
use crate::kill;

/// The number of concurrent lookups of one connector. Others wait in order.
///
/// A killed host may have left thousands of effects in doubt, and each lookup opens a connection or starts a program.
/// The number is small enough for any mail relay and machine, and large enough that one slow lookup does not delay all.
pub(super) const LOOKUPS_AT_A_TIME: usize = 8;

/// A connector that performs, with separate turns for attempts and lookups. A connector that does not answer delays no
/// other connector.
// INVARIANT: a task with a turn for lookups never waits for a turn for attempts, so slow attempts delay no lookup.
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

    /// The receipt if a reviewer found that the effect happened; `None` if it does not follow from the action alone.
    pub(super) fn receipt(&self, inquiry: &Inquiry) -> Option<Value> {
        self.connector.receipt(inquiry)
    }
}
