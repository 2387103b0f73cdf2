//! The commands: every step that a run or a call can take. A command is a function: it takes the journaled state and
//! the time, and returns events and an output, or refuses.
//!
//! A command is judged on the state inside the write transaction. If two decisions on one call race, the first one
//! wins, and the sender of the other is told which decision won.

mod decide;
mod edit;
mod effect;
mod grant;
mod lifecycle;
mod propose;
mod resolve;
mod role;

pub use decide::{Choice, DECISIONS_MAX, Decide, DecisionOutcome, REVISIONS_MAX, Revision};
pub use effect::{ATTEMPTS_MAX, AttemptOutcome, Finish, Start};
pub use grant::Revoke;
pub use lifecycle::{CancelRun, CreateRun, CreateRunOnce, Delay, EndRun, FindRun, FireTimer, RunEnd, SetTimer};
pub use propose::{FirstVerdict, Propose, RecordRoutine};
pub use resolve::{Expire, Resolve};
pub use role::{DeskCommand, DispatcherCommand, DriverCommand, RunCommand};

use crate::approval::NotEligible;
use crate::call::{Call, InconsistentEvent};
use crate::clearance::{Clearance, Proposal, SimilarCall};
use crate::condition::EffectMark;
use crate::decision::Decision;
use crate::event::Event;
use crate::grant::{GrantRecord, NotGranted};
use crate::ids::{CallId, CallNumber, Digest, EffectKey, JournalId, RunId, Time};
use crate::phase::CallState;
use crate::run::{CreatedRun, Run, RunState};
use crate::similar::Similarity;
use crate::totals::{Counter, RecordedTotal};

mod sealed {
    /// Keeps [`Command`](super::Command) from being implemented outside the gate.
    pub trait Sealed {}
}
use sealed::Sealed;

/// The run, or the consequential call, that a command is about.
pub trait About {
    fn run(&self) -> &RunId;
    fn call(&self) -> Option<CallNumber>;
}

impl About for RunId {
    fn run(&self) -> &RunId {
        self
    }

    fn call(&self) -> Option<CallNumber> {
        None
    }
}

impl About for CallId {
    fn run(&self) -> &RunId {
        &self.run
    }

    fn call(&self) -> Option<CallNumber> {
        Some(self.call)
    }
}

/// A command: one step of a run or a call, which is legal or is refused.
pub trait Command: Sealed + Send + 'static {
    type About: About;
    /// The value that the caller gets once the events are on disk.
    type Output: Send + 'static;

    /// Further state that the command needs. The caller loads it into [`Subject::totals`], [`Subject::granted`],
    /// [`Subject::created_run`], [`Subject::similar_calls`] and [`Subject::similar_keys`].
    fn required_state(&self) -> RequiredState {
        RequiredState::default()
    }

    /// Judges the step on `subject` at `now`. Returns the events to write, possibly none, and the output.
    fn decide(self, subject: &Subject, now: Time) -> Result<(Vec<Event>, Self::Output), Refused>;
}

/// State that a command needs in addition to its run and call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequiredState {
    /// The running totals with these names.
    pub totals: Vec<Counter>,
    /// The grant with this id.
    pub grant: Option<CallId>,
    /// The run that a request with this key has created.
    pub request: Option<Digest>,
    /// The waiting calls that are similar: calls with this effect or this subject.
    pub similar_to: Option<Similarity>,
}

/// The state on which a command is judged: a run and one of its consequential calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// The journal.
    pub journal: JournalId,
    /// The run's id.
    pub id: RunId,
    /// The run, once it exists.
    pub run: Option<Run>,
    /// The call that the command names. If the command names no call: the run's last consequential call, if there is
    /// one.
    pub call: Option<Call>,
    /// The idempotency key of the effect of this call.
    pub key: EffectKey,
    /// The totals that the command names, as they are now, in the command's order.
    pub totals: Vec<RecordedTotal>,
    /// The grant that the command names, as it is now.
    pub granted: Option<GrantRecord>,
    /// The run that the request with the key has created, if there is one.
    pub created_run: Option<CreatedRun>,
    /// The other waiting calls with the same effect or subject, in the order of their ids.
    pub similar_calls: Vec<SimilarCall>,
    /// The effect keys of the similar calls that the call's proposal lists, in the order of that list.
    pub similar_keys: Vec<EffectKey>,
}

/// Why a step is not legal now.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    /// The run does not exist.
    #[error("there is no such run")]
    NoSuchRun,
    /// The run exists already.
    #[error("the run exists already")]
    RunExists,
    /// The key was used before, for another request.
    #[error(
        "this idempotency key was sent before with a different request, which started run `{0}`: use a new key for a new request"
    )]
    KeyUsed(RunId),
    /// The call does not exist, or is not consequential.
    #[error("there is no such call")]
    NoSuchCall,
    /// The run is over, waits for a call, or sleeps.
    #[error("not possible now: the run is {0}")]
    RunNotReady(RunState),
    /// The call's number is not the next one: an earlier call was not written.
    #[error("call {found} cannot be written after call {last}")]
    OutOfOrder {
        /// The last call that the journal holds.
        last: CallNumber,
        /// The call that was submitted.
        found: CallNumber,
    },
    /// The decision names a clearance that is not the current one.
    #[error("the approval has changed since it was shown{}; the current digest is {current}", because(.reheld.as_deref()))]
    Stale {
        /// The current clearance digest.
        current: Digest,
        /// The changed facts, if the call was held again because of them.
        reheld: Option<String>,
    },
    /// Another decision came first.
    #[error("already decided")]
    AlreadyDecided {
        /// The decision that came first, if a reviewer made it.
        winner: Option<Box<Decision>>,
        /// The state of the call.
        state: CallState,
    },
    /// The approval expired.
    #[error("the approval has expired")]
    Expired,
    /// The reviewer may not decide.
    #[error(transparent)]
    NotEligible(#[from] NotEligible),
    /// The kind of decision does not fit the call: a question cannot be approved, and an effect cannot be answered.
    #[error("{0}")]
    WrongKind(&'static str),
    /// An edit names another capability or component.
    #[error("an edit can change the arguments only, never the capability")]
    AnotherCapability,
    /// An edit changes the agent's reasons, which are shown as the agent's own words.
    #[error(
        "an edit cannot change `rationale`, which is shown as the agent's own words; leave out `rationale` to keep the agent's text"
    )]
    OtherReasons,
    /// The reviewer has made the largest allowed number of decisions on the call.
    #[error("you have made {DECISIONS_MAX} decisions on this call, and no more are allowed: your last decision counts")]
    TooManyDecisions,
    /// The call has the largest allowed number of revisions.
    #[error(
        "the call has {REVISIONS_MAX} revisions, and no more are allowed: reject the call with guidance instead of editing it"
    )]
    TooManyRevisions,
    /// The call is not in a phase that allows the step.
    #[error("not possible now: the call is {0}")]
    WrongPhase(CallState),
    /// The time in which the effect had to start is over.
    #[error("the clearance expired before the effect started")]
    StartTooLate,
    /// The attempt is postponed.
    #[error("the effect is postponed: the next attempt is made later")]
    TooEarly {
        /// When the next attempt may start.
        until: Time,
    },
    /// The clearance digest in the journal is not the digest of the call in the journal.
    #[error("the clearance does not match the call")]
    ClearanceMismatch,
    /// The command names an attempt that is not the current one.
    #[error("attempt {found} is not the current attempt, which is attempt {current}")]
    OtherAttempt {
        /// The attempt that was submitted.
        found: u32,
        /// The current attempt.
        current: u32,
    },
    /// The totals or the grant that the verdict rests on have changed since.
    #[error(
        "the verdict is out of date, because the running totals or the grant have changed: policy must be evaluated again"
    )]
    TotalsChanged,
    /// The grant cannot be made or revoked.
    #[error(transparent)]
    NotGranted(#[from] NotGranted),
    /// No deadline or timer is due yet.
    #[error("no deadline or timer is due")]
    NotDue,
}

fn because(reheld: Option<&str>) -> String {
    reheld.map(|why| format!(": the call is held again because {why}")).unwrap_or_default()
}

impl Subject {
    /// The subject of a run that has no events yet.
    pub fn new(journal: JournalId, id: RunId, key: EffectKey) -> Self {
        Self {
            journal,
            id,
            run: None,
            call: None,
            key,
            totals: Vec::new(),
            granted: None,
            similar_calls: Vec::new(),
            similar_keys: Vec::new(),
            created_run: None,
        }
    }

    /// Changes the state as one event says. The journal calls this function when it writes an event and when it
    /// rebuilds its tables.
    pub fn apply(&mut self, event: &Event, at: Time) -> Result<(), InconsistentEvent> {
        let lost = || InconsistentEvent {
            event: format!("{event:?}").chars().take(40).collect(),
            place: "the earlier events".into(),
        };
        if let Some(run) = Run::open(event, at) {
            if self.run.is_some() {
                return Err(lost());
            }
            self.run = Some(run);
            return Ok(());
        }
        if let Some(call) = Call::open(event, at) {
            self.call = Some(call);
        } else if let Some(number) = event.call()
            && !matches!(event, Event::RoutineReturned { .. })
        {
            let call = self.call.as_mut().filter(|call| call.number == number).ok_or_else(lost)?;
            call.apply(event, at)?;
        }
        let call = self.call.as_ref().filter(|call| event.call() == Some(call.number));
        self.run.as_mut().ok_or_else(lost)?.apply(event, call)
    }

    fn run(&self) -> Result<&Run, Refused> {
        self.run.as_ref().ok_or(Refused::NoSuchRun)
    }

    fn call(&self) -> Result<(&Run, &Call), Refused> {
        Ok((self.run()?, self.call.as_ref().ok_or(Refused::NoSuchCall)?))
    }

    /// The marks by which a connector recognises the effects of the similar calls that a proposal lists.
    fn marks(&self, proposal: &Proposal) -> Vec<EffectMark> {
        let keys = self.similar_keys.iter().cloned();
        keys.zip(&proposal.similar_calls)
            .map(|(key, listed)| EffectMark { key, effect_digest: listed.effect_digest })
            .collect()
    }

    fn clearance(&self, call: CallNumber, revision: u32, proposal: &Proposal) -> Digest {
        Clearance { journal: &self.journal, run: &self.id, call, revision, proposal }.digest()
    }
}
