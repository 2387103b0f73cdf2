//! Sends notifications by webhook and email: a call is held, a deadline is near, an effect is in
//! doubt, a run ended.
//!
//! Each target has its own delivery task. The task reads the journal's feed from the target's saved position
//! ([`holdshort_journal::NotificationRecord`]) and tries each notification until the target accepts it or the attempts
//! are used up. So every notification is sent at least once. An unreachable target delays neither other targets nor
//! runs. Neither replay nor a restart repeats an acknowledged notification. A notification says where to look and
//! contains the host's summary. **Invariant:** it contains neither arguments nor a digest, so nobody can decide with
//! it.
//!
//! Read in this order: [`notice`] (content), [`message`] (text), [`sign`] and [`webhook`]
//! (transport), [`delivery`] (delivery).

mod delivery;
pub mod message;
pub mod notice;
pub mod sign;
pub mod webhook;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use holdshort_gate::{ReviewerName, Time};
use holdshort_journal::{Clock, NotificationRecord, Notifier, ReadError};

pub use delivery::Retry;
pub use message::{Format, NoticeEmail};
pub use notice::{Kind, Notice};
pub use webhook::Webhook;

/// Sends an email and returns the relay's answer or its reason for refusing. The email is the
/// host's own and not an agent's effect, so it needs no clearance.
pub type SendEmail = Arc<dyn Fn(NoticeEmail) -> BoxFuture<'static, Result<String, String>> + Send + Sync>;

/// A receiver of notifications, and its choice of events.
#[derive(Clone)]
pub struct Target {
    /// The name in the journal and the log, such as `webhook ops`.
    pub name: String,
    /// The kinds of notifications that the receiver gets.
    pub events: BTreeSet<Kind>,
    /// The time between a reminder and the deadline.
    pub lead: Duration,
    /// The number of attempts and the waits between them.
    pub retry: Retry,
    pub transport: Transport,
}

/// The transport to a target.
#[derive(Clone)]
pub enum Transport {
    Webhook(Webhook),
    /// Email to one reviewer, about calls on which they may decide.
    Mail {
        /// The reviewer's name, as in requirements.
        reviewer: ReviewerName,
        /// The absent reviewers they act for, each with the end of the delegation.
        delegations: Vec<(ReviewerName, Time)>,
        address: String,
        post: SendEmail,
    },
}

/// All targets, and what the delivery needs.
#[derive(Clone)]
pub struct Notify {
    journal: Notifier,
    targets: Vec<Target>,
    /// The address of the host's page, without a slash at its end. Links begin with it.
    base: String,
    clock: Clock,
    /// Targets that refused all further notifications, for `/metrics`.
    gone: Arc<Mutex<BTreeSet<String>>>,
}

impl Notify {
    /// Makes the delivery for `targets`. If a target answers "gone", its name is added to `gone`, and it gets no more
    /// notifications.
    pub fn new(
        journal: Notifier,
        targets: Vec<Target>,
        base: String,
        clock: Clock,
        gone: Arc<Mutex<BTreeSet<String>>>,
    ) -> Self {
        Self { journal, targets, base, clock, gone }
    }

    /// Sets the starting position of each new target. The host must not record events before this
    /// has returned, or the target would miss them.
    pub async fn begin(&self) -> Result<(), ReadError> {
        let unwritten = |error: holdshort_journal::SubmitError| ReadError::Store(error.to_string());
        let targets = self.targets.iter().map(|target| target.name.clone()).collect();
        self.journal
            .record_notification(NotificationRecord::KeepOnly { targets })
            .await
            .map(drop)
            .map_err(unwritten)?;
        let now = self.journal.last_position().await?;
        for target in &self.targets {
            if self.journal.notified_up_to(&target.name).await?.is_none() {
                let note = NotificationRecord::Delivered { target: target.name.clone(), up_to: now };
                self.journal.record_notification(note).await.map(drop).map_err(unwritten)?;
            }
        }
        Ok(())
    }

    /// Delivers to all targets. It never returns.
    pub async fn run(self) {
        join_all(self.targets.iter().map(|target| delivery::run(&self, target))).await;
        // Also without targets this task must not end, because its end would stop the host.
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests;
