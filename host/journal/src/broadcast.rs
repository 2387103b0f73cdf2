//! The writer's broadcasts: hints about its commits, and whether it can commit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use holdshort_gate::Time;
use tokio::sync::broadcast;

use crate::rows::{Health, Hint};

/// How many hints a listener may fall behind before it has to read the journal.
const HINTS_KEPT: usize = 8_192;

/// The state that the writer shares with the journal's handles.
pub(crate) struct Broadcast {
    hints: broadcast::Sender<Hint>,
    health: Mutex<Health>,
    commits: AtomicU64,
}

impl Broadcast {
    pub(crate) fn new() -> Self {
        Self { hints: broadcast::Sender::new(HINTS_KEPT), health: Mutex::new(Health::Ok), commits: AtomicU64::new(0) }
    }

    pub(crate) fn hints(&self) -> broadcast::Receiver<Hint> {
        self.hints.subscribe()
    }

    pub(crate) fn hint(&self, hint: Hint) {
        // Sending fails if nobody listens; then nobody needs the hint.
        drop(self.hints.send(hint));
    }

    pub(crate) fn health(&self) -> Health {
        self.lock().clone()
    }

    pub(crate) fn is_failing(&self) -> bool {
        matches!(*self.lock(), Health::Failing { .. })
    }

    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Records that a batch is on disk: counts the commit and reports that the journal can be written.
    pub(crate) fn committed(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.set_ok();
    }

    pub(crate) fn set_ok(&self) {
        let mut health = self.lock();
        if let Health::Failing { since, .. } = &*health {
            tracing::info!(since = since.0, "the journal can be written again");
            *health = Health::Ok;
        }
    }

    pub(crate) fn set_failing(&self, now: Time, cause: &str) {
        let mut health = self.lock();
        let since = match &*health {
            Health::Ok => {
                tracing::error!(%cause, "the journal cannot be written");
                now
            }
            Health::Failing { since, .. } => *since,
        };
        *health = Health::Failing { since, cause: cause.to_owned() };
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
