//! The dispatcher: performs calls that may start, and looks up effects in doubt. It works from the journal, without the
//! agent.
//!
//! **Invariant:** only this module holds [`Perform`]. The dispatcher learns of work by hints after commits. Hints can
//! be lost, so the dispatcher also scans the journal at start-up and whenever it misses hints. The journal decides
//! which of two attempts at a start wins.

mod attempt;
mod performer;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use holdshort_gate::{AgentName, Call, CallId, CallState, Capability, Proposal, Run, RunId};
use holdshort_journal::{CallFilter, CallHint, CallOrder, Dispatcher, Hint, ReadError};
use holdshort_words::{Sentence, configured, say, sentence_error};
use serde_json::Value;
use tokio::sync::SemaphorePermit;
use tokio::sync::broadcast::error::RecvError;

use crate::connectors::{Inquiry, Perform};
use performer::Performer;

/// The connectors that perform effects, by capability or by whole interface.
#[derive(Clone, Default)]
pub struct Performers {
    functions: HashMap<Capability, Arc<Performer>>,
    interfaces: HashMap<String, Arc<Performer>>,
}

impl Performers {
    /// Registers `perform` for one function.
    pub fn insert(&mut self, capability: Capability, perform: Arc<dyn Perform>) {
        self.functions.insert(capability, Performer::new(perform));
    }

    /// Registers `perform` for every function of an interface without a connector of its own.
    pub fn insert_interface(&mut self, interface: String, perform: Arc<dyn Perform>) {
        self.interfaces.insert(interface, Performer::new(perform));
    }

    /// A function's own connector has priority over its interface's.
    fn find(&self, capability: &Capability) -> Option<&Arc<Performer>> {
        self.functions.get(capability).or_else(|| self.interfaces.get(capability.interface()))
    }
}

/// Reads again the facts and the policy that a clearance rested on: before an effect, and after a connector found a
/// change.
pub trait Refresh: Send + Sync {
    /// The name of the connector that serves a capability now, if any.
    fn connector(&self, capability: &Capability) -> Option<String>;

    /// Makes a new proposal for the same action, agent, call and requirement, with the present facts.
    /// The error is the reason why the action is no longer possible.
    fn refresh<'a>(
        &'a self,
        agent: &'a AgentName,
        id: &'a CallId,
        old: &'a Proposal,
    ) -> BoxFuture<'a, Result<Proposal, Sentence>>;

    /// The changed material facts, with the present facts; `None` if nothing changed.
    fn material_change<'a>(
        &'a self,
        agent: &'a AgentName,
        id: &'a CallId,
        old: &'a Proposal,
    ) -> BoxFuture<'a, Result<Option<(Sentence, Proposal)>, Sentence>>;

    /// Whether policy depends on the time, so that it may forbid a call that it permitted before.
    fn depends_on_time(&self) -> bool;

    /// The reason why policy forbids a call now that it permitted before; `None` if it still permits the call. If no
    /// policy depends on the time, it is always `None`.
    fn forbidden_now(&self, run: &Run, id: &CallId, call: &Call) -> Option<Sentence>;
}

/// The reason why no connector may perform a cleared call.
#[derive(Debug)]
enum NoPerformer {
    Missing(Capability),
    Another { shown: String, now: String },
}

impl NoPerformer {
    /// The reason as a sentence.
    fn sentence(&self) -> Sentence {
        match self {
            Self::Missing(capability) => say!("no connector performs `{}` on this host", capability.clone()),
            Self::Another { shown, now } => {
                let (shown, now) = (configured(shown), configured(now));
                say!("the connector was `{}` when the call was shown and is `{}` now", shown, now)
            }
        }
    }
}

sentence_error!(NoPerformer);

/// The first step of a task for a call.
#[derive(Clone, Copy)]
enum FirstStep {
    Attempt,
    LookUp,
}

/// Performs effects. Cheap to clone.
#[derive(Clone)]
pub struct Effects(Arc<Inner>);

struct Inner {
    journal: Dispatcher,
    performers: Performers,
    refresh: Arc<dyn Refresh>,
    /// The calls with a task. The flag says whether a hint came since the task's last check.
    in_flight: Mutex<HashMap<CallId, bool>>,
}

/// The number of calls that one read of a scan returns.
const SCAN_CHUNK: usize = 256;

impl Effects {
    /// A dispatcher over `journal`. Nothing happens before [`run`](Self::run).
    pub fn new(journal: Dispatcher, performers: Performers, refresh: Arc<dyn Refresh>) -> Self {
        Self(Arc::new(Inner { journal, performers, refresh, in_flight: Mutex::default() }))
    }

    /// Looks up effects that an earlier host left unfinished, then performs calls that become startable, until the
    /// journal closes.
    pub async fn run(self) -> Result<(), ReadError> {
        let mut hints = self.0.journal.hints();
        self.recover().await?;
        loop {
            match hints.recv().await {
                Ok(Hint {
                    run,
                    call: Some(CallHint { number, capability, state: CallState::Cleared | CallState::Approved }),
                    ..
                }) => {
                    self.spawn(CallId { run, call: number }, capability, FirstStep::Attempt);
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => self.scan(&CallState::STARTABLE, FirstStep::Attempt).await?,
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    }

    /// The receipt that the agent gets if a reviewer resolves an effect in doubt as done; `None` if it does not follow
    /// from the action alone.
    pub fn receipt(&self, run: &RunId, call: &Call) -> Option<Value> {
        let inquiry = self.inquiry(run, call)?;
        let performer = self.performer(inquiry.action.capability(), &call.proposal()?.connector).ok()?;
        performer.receipt(&inquiry)
    }

    /// First looks up effects that an earlier host left unfinished, because they must not start again; then starts the
    /// startable calls. Hints have been collected since before this scan, so no call that becomes startable meanwhile
    /// is missed.
    async fn recover(&self) -> Result<(), ReadError> {
        self.scan(&CallState::ATTEMPTED, FirstStep::LookUp).await?;
        self.scan(&CallState::STARTABLE, FirstStep::Attempt).await
    }

    /// Reads in pages, so that ten thousand waiting calls are not in memory at once.
    async fn scan(&self, states: &[CallState], work: FirstStep) -> Result<(), ReadError> {
        let mut after = None;
        loop {
            let filter = CallFilter { order: CallOrder::Proposed(after), ..CallFilter::in_states(states, SCAN_CHUNK) };
            let rows = self.0.journal.calls(filter).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(last.position);
            for row in rows {
                self.spawn(CallId { run: row.run, call: row.call }, row.capability, work);
            }
        }
    }

    /// Starts a task for a call that has none. If the call has a task, this is a hint, and the task checks once more
    /// before it ends.
    fn spawn(&self, id: CallId, capability: Capability, work: FirstStep) {
        match self.in_flight().entry(id.clone()) {
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
                FirstStep::Attempt => effects.attempt(&id, &capability).await,
                FirstStep::LookUp => effects.look_up_unfinished(&id).await,
            }
            while effects.hinted_again(&id) {
                effects.attempt(&id, &capability).await;
            }
        });
    }

    // INVARIANT: the check and the removal share one lock, so that no hint is lost between them.
    fn hinted_again(&self, id: &CallId) -> bool {
        let mut in_flight = self.in_flight();
        match in_flight.get_mut(id) {
            Some(hinted) if *hinted => {
                *hinted = false;
                true
            }
            Some(_) | None => {
                in_flight.remove(id);
                false
            }
        }
    }

    fn in_flight(&self) -> std::sync::MutexGuard<'_, HashMap<CallId, bool>> {
        self.0.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn of the performer of `capability`. Without a performer no turn is needed,
    /// because nothing is attempted.
    async fn turn(&self, capability: &Capability) -> Option<SemaphorePermit<'_>> {
        self.0.performers.find(capability)?.attempt_turn().await
    }

    /// The performer of `capability`, if it is the connector that was shown. The operator may have configured another
    /// connector since. The new connector would do something that no reviewer was shown, and its finding says nothing
    /// about the old connector's attempt.
    fn performer(&self, capability: &Capability, shown: &str) -> Result<Arc<Performer>, NoPerformer> {
        let now = self.0.refresh.connector(capability);
        match (now, self.0.performers.find(capability)) {
            (Some(now), Some(performer)) if now == shown => Ok(performer.clone()),
            (Some(now), Some(_)) => Err(NoPerformer::Another { shown: shown.into(), now }),
            (_, None) | (None, Some(_)) => Err(NoPerformer::Missing(capability.clone())),
        }
    }

    /// The data for looking up an attempt; `None` for a call without an attempt. The idempotency key is derived again
    /// and not stored.
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
