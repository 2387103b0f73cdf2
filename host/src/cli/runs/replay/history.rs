//! The recorded events of one run, read as the replay needs them.

use std::collections::VecDeque;

use holdshort_gate::{Call, Capability, Event, RecordedEvent, RunId, Time};
use holdshort_journal::{ReadError, Recorded};
use serde_json::Value;

use super::told::{Compared, Did, Mismatch};
use crate::review::sentences;

/// Events per read.
const CHUNK: usize = 256;

/// A position in the record of a run.
pub(super) struct History<'a> {
    recorded: &'a Recorded,
    run: RunId,
    after: u64,
    more: bool,
    chunk: VecDeque<RecordedEvent>,
}

/// What the record has in the place of a call.
pub(super) enum NextCall {
    Routine {
        capability: Capability,
        arguments: Value,
        result: Value,
        at: Time,
    },
    /// A consequential call as the agent made it, and with all that became of it.
    Consequential {
        made: Box<Call>,
        call: Box<Call>,
    },
    Sleep(Time),
    /// The agent returned or trapped.
    End(Event),
    /// The record ends here, for this reason.
    Over(String),
}

impl NextCall {
    /// Whether this is the call that the other component makes.
    pub(super) fn is(&self, capability: &Capability, arguments: &Value) -> bool {
        match self {
            Self::Routine { capability: of, arguments: with, .. } => of == capability && with == arguments,
            Self::Consequential { made, .. } => {
                made.action().capability() == capability && made.action().arguments() == arguments
            }
            Self::Sleep(_) | Self::End(_) | Self::Over(_) => false,
        }
    }

    pub(super) fn did(&self) -> Did {
        match self {
            Self::Routine { capability, arguments, .. } => Did::Call(capability.clone(), arguments.clone()),
            Self::Consequential { made, .. } => {
                Did::Call(made.action().capability().clone(), made.action().arguments().clone())
            }
            Self::Sleep(until) => Did::Sleep(*until),
            Self::End(event) => Did::End(event.clone()),
            Self::Over(why) => Did::Nothing(why.clone()),
        }
    }
}

impl<'a> History<'a> {
    pub(super) fn new(recorded: &'a Recorded, run: RunId) -> Self {
        Self { recorded, run, after: 0, more: true, chunk: VecDeque::new() }
    }

    /// The next event of the agent's life. Revoked grants and delays are no part of it.
    pub(super) fn next(&mut self) -> Result<Option<RecordedEvent>, ReadError> {
        loop {
            match self.chunk.pop_front() {
                Some(RecordedEvent { event: Event::GrantRevoked { .. } | Event::RunDelayed { .. }, .. }) => {}
                Some(recorded) => return Ok(Some(recorded)),
                None if !self.more => return Ok(None),
                None => {
                    let read = self.recorded.events(&self.run, self.after, CHUNK)?;
                    self.after = read.events.last().map_or(self.after, |last| last.seq);
                    (self.more, self.chunk) = (read.more, read.events.into());
                }
            }
        }
    }

    /// What the record has in the place of the agent's next call.
    pub(super) fn call(&mut self) -> Result<NextCall, ReadError> {
        let Some(recorded) = self.next()? else { return Ok(NextCall::Over("it is not over".into())) };
        let RecordedEvent { event, at, .. } = recorded;
        if let Some(call) = Call::open(&event, at) {
            return self.follow(call);
        }
        if let Event::RoutineReturned { capability, arguments, result, answered_at: at, .. } = event {
            return Ok(NextCall::Routine { capability, arguments, result, at });
        }
        if let Event::TimerSet { until, .. } = event {
            return Ok(NextCall::Sleep(until));
        }
        let ended = matches!(event, Event::RunFinished { .. } | Event::RunTrapped { .. });
        Ok(if ended { NextCall::End(event) } else { NextCall::Over(why_over(&event)) })
    }

    /// Follows a consequential call to its answer.
    fn follow(&mut self, mut call: Call) -> Result<NextCall, ReadError> {
        // A reviewer's edit is no call of the agent.
        let made = Box::new(call.clone());
        while call.answer().is_none() {
            let Some(RecordedEvent { event, at, .. }) = self.next()? else { break };
            if event.call().is_none() {
                return Ok(NextCall::Over(why_over(&event)));
            }
            call.apply(&event, at).map_err(|error| ReadError::Damaged(error.to_string()))?;
        }
        Ok(NextCall::Consequential { made, call: Box::new(call) })
    }

    /// When a sleep ended.
    pub(super) fn sleep(&mut self, until: Time, calls: u32) -> Result<Result<Time, Compared>, ReadError> {
        match self.next()? {
            Some(RecordedEvent { event: Event::TimerSet { until: then, .. }, .. }) if then == until => {
                Ok(match self.next()? {
                    Some(RecordedEvent { event: Event::TimerFired { .. }, at, .. }) => Ok(at),
                    Some(other) => Err(Compared::SoFar { calls, why: why_over(&other.event) }),
                    None => Err(Compared::SoFar { calls, why: "it sleeps".into() }),
                })
            }
            other => Ok(Err(self.differs(other, Did::Sleep(until), calls)?)),
        }
    }

    /// Compares the end of the component with the record.
    pub(super) fn end(&mut self, end: Event, calls: u32) -> Result<Compared, ReadError> {
        let next = self.next()?;
        if next.as_ref().is_some_and(|recorded| same_end(&recorded.event, &end)) {
            return Ok(Compared::Same { calls });
        }
        self.differs(next, Did::End(end), calls)
    }

    fn differs(&mut self, next: Option<RecordedEvent>, found: Did, calls: u32) -> Result<Compared, ReadError> {
        if let Some(recorded) = next {
            self.chunk.push_front(recorded);
        }
        let recorded = self.call()?;
        if let NextCall::Over(why) = recorded {
            return Ok(Compared::SoFar { calls, why });
        }
        let mismatch = Mismatch { call: calls + 1, recorded: recorded.did(), found, policy: None };
        Ok(Compared::Differs(Box::new(mismatch)))
    }
}

/// Whether two ends are the same. The text of a trap names places in the code, so only the kind is compared.
fn same_end(recorded: &Event, found: &Event) -> bool {
    matches!((recorded, found), (Event::RunTrapped { .. }, Event::RunTrapped { .. })) || recorded == found
}

/// Why the record ends with this event.
fn why_over(event: &Event) -> String {
    if let Event::RunCancelled { .. } = event {
        return "a reviewer cancelled it".into();
    }
    if let Event::RunDiverged { .. } = event {
        return "it diverged".into();
    }
    format!("its record goes on with {}", sentences::sentence(event))
}
