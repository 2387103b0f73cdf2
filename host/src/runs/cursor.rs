//! Replay: the journal of one run as a stream, read once from the start, a chunk at a time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use holdshort_gate::{Action, Answer, Call, CallNumber, Event, Recorded, RunId, Seq, Time};
use holdshort_journal::{Journal, ReadError};
use serde_json::Value;

/// How many events are read at a time.
const CHUNK: usize = 512;

/// A place in a run's history. Everything before it has been replayed.
pub(super) struct Cursor<'a> {
    journal: &'a Journal,
    run: &'a RunId,
    /// Counts what is read, for operators.
    events: &'a AtomicU64,
    read: Seq,
    chunk: VecDeque<Recorded>,
    ended: bool,
}

/// What the journal holds for the agent's next call.
pub(super) enum Replayed {
    /// A routine call's result, and when it was handed over.
    Returned(Value, Time),
    /// A consequential call's answer, and when it was written.
    Answered(Answer, Time),
    /// The call is there and waits for its answer.
    Open,
    /// The journal ends here: from now on the agent is live.
    New,
    /// The run is over.
    Over,
    /// The journal holds something else.
    Other {
        /// What.
        recorded: String,
    },
}

/// What the journal holds for the agent's next sleep.
pub(super) enum Slept {
    /// It was woken then.
    Woken(Time),
    /// It still sleeps.
    Asleep,
    /// The journal ends here.
    New,
    /// The run is over.
    Over,
    /// The journal holds something else.
    Other {
        /// What.
        recorded: String,
    },
}

/// The journal of a run cannot be replayed; the host's failure, not the agent's.
#[derive(Debug, thiserror::Error)]
pub(super) enum CannotReplay {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Inconsistent(#[from] holdshort_gate::call::Inconsistent),
    #[error("the journal does not begin with the run's creation")]
    NoBeginning,
}

impl<'a> Cursor<'a> {
    /// Opens the history and takes its first event: the task.
    pub(super) async fn open(
        journal: &'a Journal,
        run: &'a RunId,
        events: &'a AtomicU64,
    ) -> Result<(Self, String), CannotReplay> {
        let mut cursor = Self { journal, run, events, read: 0, chunk: VecDeque::new(), ended: false };
        match cursor.take().await? {
            Some(Recorded { event: Event::RunCreated { task, .. }, .. }) => Ok((cursor, task)),
            Some(_) | None => Err(CannotReplay::NoBeginning),
        }
    }

    /// What the journal holds for call `number`, which proposes `action`.
    pub(super) async fn call(&mut self, number: CallNumber, action: &Action) -> Result<Replayed, CannotReplay> {
        let Some(recorded) = self.take().await? else { return Ok(Replayed::New) };
        let found = action.digest();
        if let Event::RoutineReturned { call, action, result, answered_at, .. } = &recorded.event
            && (*call, *action) == (number, found)
        {
            return Ok(Replayed::Returned(result.clone(), *answered_at));
        }
        let Some(call) = Call::open(&recorded.event, recorded.at) else {
            return Ok(match is_end(&recorded.event) {
                true => Replayed::Over,
                false => Replayed::Other { recorded: describe_event(&recorded.event) },
            });
        };
        if call.number != number || call.action().digest() != found {
            return Ok(Replayed::Other { recorded: describe(call.number, call.action()) });
        }
        self.follow(call).await
    }

    /// Follows a consequential call to its answer, however many decisions and attempts lie between.
    async fn follow(&mut self, mut call: Call) -> Result<Replayed, CannotReplay> {
        loop {
            if let Some(answer) = call.answer() {
                return Ok(Replayed::Answered(answer, call.changed_at));
            }
            match self.take().await? {
                Some(recorded) if is_end(&recorded.event) => return Ok(Replayed::Over),
                Some(recorded) => call.apply(&recorded.event, recorded.at)?,
                None => return Ok(Replayed::Open),
            }
        }
    }

    /// What the journal holds for timer `number`, which sleeps until `until`.
    pub(super) async fn sleep(&mut self, number: u32, until: Time) -> Result<Slept, CannotReplay> {
        match self.take().await?.map(|recorded| recorded.event) {
            None => Ok(Slept::New),
            Some(Event::TimerSet { timer, until: then }) if (timer, then) == (number, until) => {
                Ok(match self.take().await? {
                    None => Slept::Asleep,
                    Some(Recorded { event: Event::TimerFired { .. }, at, .. }) => Slept::Woken(at),
                    Some(_) => Slept::Over,
                })
            }
            Some(event) if is_end(&event) => Ok(Slept::Over),
            Some(event) => Ok(Slept::Other { recorded: describe_event(&event) }),
        }
    }

    /// What the journal holds beyond this place, if anything: the agent returned, and should not have yet.
    pub(super) async fn rest(&mut self) -> Result<Option<String>, CannotReplay> {
        let next = self.take().await?.filter(|recorded| !is_end(&recorded.event));
        Ok(next.map(|recorded| describe_event(&recorded.event)))
    }

    /// Whether the journal ends here, so that what the agent does next is new.
    pub(super) async fn at_end(&mut self) -> Result<bool, CannotReplay> {
        self.fill().await?;
        Ok(self.chunk.is_empty())
    }

    /// The next event, if there is one.
    async fn take(&mut self) -> Result<Option<Recorded>, CannotReplay> {
        self.fill().await?;
        Ok(self.chunk.pop_front())
    }

    /// Reads the next chunk once the last is used up.
    async fn fill(&mut self) -> Result<(), ReadError> {
        if self.chunk.is_empty() && !self.ended {
            self.chunk = self.journal.events(self.run, self.read, CHUNK).await?.into();
            self.events.fetch_add(self.chunk.len() as u64, Ordering::Relaxed);
            self.read = self.chunk.back().map_or(self.read, |recorded| recorded.seq);
            // A short chunk is the end: a run that is driven here is written by nobody else but reviewers and the dispatcher,
            // whose events about the open call are read from its own state.
            self.ended = self.chunk.len() < CHUNK;
        }
        Ok(())
    }
}

/// A call in words, for the difference that stops a run.
pub(super) fn describe(number: CallNumber, action: &Action) -> String {
    format!("call {number}, `{}` with {}", action.capability(), action.canonical_arguments())
}

/// Whether the run was over with this event.
fn is_end(event: &Event) -> bool {
    matches!(
        event,
        Event::RunFinished { .. } | Event::RunTrapped { .. } | Event::RunCancelled { .. } | Event::RunDiverged { .. }
    )
}

/// A sleep in words.
pub(super) fn describe_sleep(timer: u32, until: Time) -> String {
    format!("timer {timer}, a sleep until {} µs", until.0)
}

/// An event in words, as far as an agent's doing shows in it.
fn describe_event(event: &Event) -> String {
    match event {
        Event::RoutineReturned { call, capability, arguments, .. } => {
            format!("call {call}, `{capability}` with {arguments}")
        }
        Event::CallCleared { call, proposal, .. } | Event::CallHeld { call, proposal, .. } => {
            describe(*call, &proposal.action)
        }
        Event::CallRefused { call, action, .. } => describe(*call, action),
        Event::TimerSet { timer, until } => describe_sleep(*timer, *until),
        Event::TimerFired { timer } => format!("the end of timer {timer}"),
        Event::DecisionMade { call, .. }
        | Event::CallRevised { call, .. }
        | Event::CallReheld { call, .. }
        | Event::CallAnswered { call, .. }
        | Event::CallExpired { call }
        | Event::CallCancelled { call }
        | Event::EffectStarted { call, .. }
        | Event::EffectSucceeded { call, .. }
        | Event::EffectFailed { call, .. }
        | Event::EffectInDoubt { call, .. }
        | Event::EffectResolved { call, .. } => format!("what became of call {call}"),
        Event::RunCreated { .. } => "the beginning of the run".into(),
        Event::RunFinished { .. }
        | Event::RunTrapped { .. }
        | Event::RunCancelled { .. }
        | Event::RunDiverged { .. } => "the end of the run".into(),
    }
}
