//! Telling people: webhooks and letters about what waits, lapses, is in doubt or is over.
//!
//! Each target has a courier of its own, which reads the journal's feed from where it has got to ([`holdshort_journal::Note`]) and tries each message
//! until it is accepted or given up. So every message goes out at least once, a target that is dead holds up no other and no run, and neither replay
//! nor a restart sends anything again that was acknowledged. A message says where to look and what the host's one line is; it never holds what
//! would decide.
//!
//! Read in this order: [`notice`] (what is told), [`message`] (in which words), [`sign`], [`address`] and [`webhook`] (to whom), [`courier`].

pub mod address;
mod courier;
pub mod message;
pub mod notice;
pub mod sign;
pub mod webhook;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use holdshort_gate::Time;
use holdshort_journal::{Clock, Journal, Note, ReadError};

pub use courier::Retry;
pub use message::{Format, Letter};
pub use notice::{Kind, Notice};
pub use webhook::Webhook;

/// Hands a letter over; what the far end said, or why it did not take it. It is the host's own letter and no agent's: it needs no clearance.
pub type Post = Arc<dyn Fn(Letter) -> BoxFuture<'static, Result<String, String>> + Send + Sync>;

/// Whom to tell, and of what.
#[derive(Clone)]
pub struct Target {
    /// Its name in the journal and the log, such as `webhook ops`.
    pub name: String,
    /// What it is told.
    pub events: BTreeSet<Kind>,
    /// How long before a deadline it is reminded.
    pub lead: Duration,
    /// How often, and after which waits, a message is tried again.
    pub retry: Retry,
    /// By which way.
    pub way: Way,
}

/// How a target is reached.
#[derive(Clone)]
pub enum Way {
    /// By HTTP.
    Webhook(Webhook),
    /// By mail to one reviewer, about what they may decide.
    Mail {
        /// Their name, as it stands in requirements.
        reviewer: String,
        /// In whose places they decide as well, and until when each.
        places: Vec<(String, Time)>,
        /// Their address.
        address: String,
        /// Who takes it.
        post: Post,
    },
}

/// Everybody who is told, and what it takes.
#[derive(Clone)]
pub struct Notify {
    journal: Journal,
    targets: Vec<Target>,
    /// Where this host's page is, without a slash at its end; links begin with it.
    base: String,
    clock: Clock,
    /// The names of targets that want no more messages, for `/metrics`.
    gone: Arc<Mutex<BTreeSet<String>>>,
}

impl Notify {
    /// Tells `targets` what `journal` holds. Those that answer that they are gone are told nothing more, and their names are put into `gone`.
    pub fn new(
        journal: Journal,
        targets: Vec<Target>,
        base: String,
        clock: Clock,
        gone: Arc<Mutex<BTreeSet<String>>>,
    ) -> Self {
        Self { journal, targets, base, clock, gone }
    }

    /// Lets every new target begin now. Until this has returned nothing may happen that they should be told.
    pub async fn begin(&self) -> Result<(), ReadError> {
        let unwritten = |error: holdshort_journal::SubmitError| ReadError::Store(error.to_string());
        let targets = self.targets.iter().map(|target| target.name.clone()).collect();
        self.journal.note(Note::Only { targets }).await.map(drop).map_err(unwritten)?;
        let now = self.journal.last_position().await?;
        for target in &self.targets {
            if self.journal.told(&target.name).await?.is_none() {
                let note = Note::Told { target: target.name.clone(), up_to: now };
                self.journal.note(note).await.map(drop).map_err(unwritten)?;
            }
        }
        Ok(())
    }

    /// Tells everybody, for ever.
    pub async fn run(self) {
        join_all(self.targets.iter().map(|target| courier::run(&self, target))).await;
        // Without targets there is nothing to do, which is no reason to end.
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests;
