//! The dispatcher: performs what may start, from the journal, without the agent; and looks up what is in doubt.
//!
//! The only room that holds [`Perform`]. It learns of work by hints after a commit and, because hints may be lost, by scanning the journal
//! at start-up and whenever it falls behind. Which of two attempts at the same start wins is judged in the journal, never here.

mod attempt;
mod performer;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use holdshort_gate::{Call, CallNumber, Capability, Proposal, Run, RunId};
use holdshort_journal::{CallFilter, CallHint, CallOrder, Hint, Journal, ReadError};
use holdshort_words::{Sentence, configured, error_said, say};
use serde_json::Value;
use tokio::sync::SemaphorePermit;
use tokio::sync::broadcast::error::RecvError;

use crate::connectors::{Inquiry, Perform};
use performer::Performer;

/// The connectors that act, by capability; a whole interface by its name.
#[derive(Clone, Default)]
pub struct Performers {
    functions: HashMap<Capability, Arc<Performer>>,
    interfaces: HashMap<String, Arc<Performer>>,
}

impl Performers {
    /// Lets `perform` act for one function.
    pub fn insert(&mut self, capability: Capability, perform: Arc<dyn Perform>) {
        self.functions.insert(capability, Performer::new(perform));
    }

    /// Lets `perform` act for every function of an interface that has no connector of its own.
    pub fn insert_interface(&mut self, interface: String, perform: Arc<dyn Perform>) {
        self.interfaces.insert(interface, Performer::new(perform));
    }

    /// A function's own connector goes before its interface's.
    fn find(&self, capability: &Capability) -> Option<&Arc<Performer>> {
        self.functions.get(capability).or_else(|| self.interfaces.get(capability.interface()))
    }
}

/// Looks again at what a clearance rested on, after a connector found that it had changed.
pub trait Refresh: Send + Sync {
    /// The name of the connector that serves a capability now, if one does.
    fn connector(&self, capability: &Capability) -> Option<String>;

    /// The same action of the same agent, at its place, under the same requirement, with the facts of now; or why it is not possible any more.
    fn refresh<'a>(
        &'a self,
        agent: &'a str,
        place: &'a Place,
        old: &'a Proposal,
    ) -> BoxFuture<'a, Result<Proposal, Sentence>>;

    /// What has changed of the facts that the operator has marked as material, with the facts of now; nothing if they are as they were.
    fn moved<'a>(
        &'a self,
        agent: &'a str,
        place: &'a Place,
        old: &'a Proposal,
    ) -> BoxFuture<'a, Result<Option<(Sentence, Proposal)>, Sentence>>;

    /// Why policy keeps a call from happening at this time that it let pass before; nothing if it does not, which is always so where no policy speaks of the time.
    fn overtaken(&self, run: &Run, place: &Place, call: &Call) -> Option<Sentence>;
}

/// Why nothing can perform what was cleared.
#[derive(Debug)]
enum NoPerformer {
    Missing(Capability),
    Another { shown: String, now: String },
}

impl NoPerformer {
    /// In words.
    fn sentence(&self) -> Sentence {
        match self {
            Self::Missing(capability) => say!("no connector performs `{}` on this host", capability.clone()),
            Self::Another { shown, now } => {
                let (shown, now) = (configured(shown), configured(now));
                say!("the connector was `{}` when it was shown and is `{}` now", shown, now)
            }
        }
    }
}

error_said!(NoPerformer);

/// What a task does for a call first.
#[derive(Clone, Copy)]
enum Work {
    Attempt,
    Settle,
}

/// A call's place in the journal.
pub type Place = (RunId, CallNumber);

/// Performs effects. A cheap handle.
#[derive(Clone)]
pub struct Effects(Arc<Inner>);

struct Inner {
    journal: Journal,
    performers: Performers,
    refresh: Arc<dyn Refresh>,
    /// The calls that a task has in hand, and whether there was a hint about one meanwhile.
    in_flight: Mutex<HashMap<Place, bool>>,
}

/// How many calls a scan reads at a time.
const SCAN_CHUNK: usize = 256;

impl Effects {
    /// A dispatcher over `journal`; nothing happens before [`run`](Self::run).
    pub fn new(journal: Journal, performers: Performers, refresh: Arc<dyn Refresh>) -> Self {
        Self(Arc::new(Inner { journal, performers, refresh, in_flight: Mutex::default() }))
    }

    /// Settles what an earlier host left behind, then performs what becomes startable, until the journal is gone.
    pub async fn run(self) -> Result<(), ReadError> {
        let mut hints = self.0.journal.hints();
        self.recover().await?;
        loop {
            match hints.recv().await {
                Ok(Hint {
                    run, call: Some(CallHint { number, capability, phase: "cleared" | "approved" }), ..
                }) => {
                    self.spawn((run, number), capability, Work::Attempt);
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => self.scan(&["cleared", "approved"], Work::Attempt).await?,
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    }

    /// The receipt for the agent when a person found that an effect in doubt did happen, if it follows from the action alone.
    pub fn receipt(&self, run: &RunId, call: &Call) -> Option<Value> {
        let inquiry = self.inquiry(run, call)?;
        let performer = self.performer(inquiry.action.capability(), &call.proposal()?.connector).ok()?;
        performer.receipt(&inquiry)
    }

    /// First what an earlier host may have left half-way, because nothing of it may be started again; then what is ready.
    /// Hints are listened for since before this, so that what becomes startable while it reads is not missed.
    async fn recover(&self) -> Result<(), ReadError> {
        self.scan(&["started", "in-doubt"], Work::Settle).await?;
        self.scan(&["cleared", "approved"], Work::Attempt).await
    }

    /// By pages, so that ten thousand waiting calls are not held in memory at once.
    async fn scan(&self, phases: &[&'static str], work: Work) -> Result<(), ReadError> {
        let mut after = None;
        loop {
            let filter = CallFilter { order: CallOrder::Proposed(after), ..CallFilter::in_phases(phases, SCAN_CHUNK) };
            let rows = self.0.journal.calls(filter).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(last.position);
            for row in rows {
                self.spawn((row.run, row.call), row.capability, work);
            }
        }
    }

    /// One task per call at a time. A hint about a call that is in hand makes its task look once more before it lets go.
    fn spawn(&self, place: Place, capability: Capability, work: Work) {
        match self.in_flight().entry(place.clone()) {
            Entry::Occupied(mut hinted) => {
                hinted.insert(true);
                return;
            }
            Entry::Vacant(vacant) => {
                vacant.insert(false);
            }
        }
        let effects = self.clone();
        tokio::spawn(async move {
            match work {
                Work::Attempt => effects.attempt(&place, &capability).await,
                Work::Settle => effects.settle_lost(&place).await,
            }
            while effects.hinted_again(&place) {
                effects.attempt(&place, &capability).await;
            }
        });
    }

    // INVARIANT: asked and let go under one lock, so that no hint falls between the last look and the removal.
    fn hinted_again(&self, place: &Place) -> bool {
        let mut in_flight = self.in_flight();
        match in_flight.get_mut(place) {
            Some(hinted) if *hinted => {
                *hinted = false;
                true
            }
            Some(_) | None => {
                in_flight.remove(place);
                false
            }
        }
    }

    fn in_flight(&self) -> std::sync::MutexGuard<'_, HashMap<Place, bool>> {
        self.0.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn of what performs `capability`. What nothing performs is not attempted, and needs none.
    async fn turn(&self, capability: &Capability) -> Option<SemaphorePermit<'_>> {
        self.0.performers.find(capability)?.attempt_turn().await
    }

    /// What performs `capability`, if that is the connector that was shown. An operator may have configured another since then: it would do
    /// something that nobody was shown, and what it finds says nothing about an attempt of the other's.
    fn performer(&self, capability: &Capability, shown: &str) -> Result<Arc<Performer>, NoPerformer> {
        let now = self.0.refresh.connector(capability);
        match (now, self.0.performers.find(capability)) {
            (Some(now), Some(performer)) if now == shown => Ok(performer.clone()),
            (Some(now), Some(_)) => Err(NoPerformer::Another { shown: shown.into(), now }),
            (_, None) | (None, Some(_)) => Err(NoPerformer::Missing(capability.clone())),
        }
    }

    /// What a connector needs to look up an attempt; the key is derived again, not stored.
    /// Nothing for a call of which no attempt was ever begun.
    fn inquiry(&self, run: &RunId, call: &Call) -> Option<Inquiry> {
        let proposal = call.proposal()?;
        Some(Inquiry {
            run: run.clone(),
            call: call.number,
            attempt: call.attempts,
            started_at: call.started_at?,
            action: proposal.action.clone(),
            preconditions: proposal.preconditions.clone(),
            key: self.0.journal.effect_key(run, call.number),
        })
    }
}

#[cfg(test)]
mod tests;
