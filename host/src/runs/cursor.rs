//! Replay: reads the journal of one run as a stream of chunks, ahead of the agent.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use holdshort_gate::{Action, Answer, Call, CallNumber, Event, Phase, Proposal, RecordedEvent, Run, RunId, Seq, Time};
use holdshort_journal::{Events, Journal, ReadError};
use serde_json::Value;
use tokio::sync::mpsc;

/// The number of events per read.
const CHUNK: usize = 512;

/// A position in a run's history. All events before it have been replayed.
///
/// It holds no journal, because it is used on the agents' threads, which do not read the journal. A task on the host's
/// threads reads ahead and passes the chunks.
pub(super) struct Cursor {
    /// The number of held calls so far.
    pub(super) held: u32,
    /// The bytes of evidence stored for consequential calls so far.
    pub(super) evidence_bytes: u64,
    chunk: VecDeque<RecordedEvent>,
    /// Whether more chunks follow.
    more: bool,
    ahead: mpsc::Receiver<Result<Events, ReadError>>,
}

/// The journal's record of the agent's next call.
pub(super) enum ReplayedCall {
    /// A routine call's result, and the time of its delivery.
    Returned(Value, Time),
    /// A consequential call's answer, and the time of its record.
    Answered(Answer, Time),
    /// The call is recorded, but has no answer yet.
    Open,
    /// The journal ends here: the agent is live from now on.
    New,
    Over,
    /// The journal has a different event here.
    Other {
        recorded: String,
    },
}

/// The journal's record of the agent's next sleep.
pub(super) enum ReplayedSleep {
    /// The agent was woken.
    Woken {
        at: Time,
        /// When the sleep began.
        asked_at: Time,
    },
    Asleep,
    New,
    Over,
    /// The journal has a different event here.
    Other {
        recorded: String,
    },
}

/// The journal of a run cannot be replayed. This is the host's failure, not the agent's.
#[derive(Debug, thiserror::Error)]
pub(super) enum CannotReplay {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Inconsistent(#[from] holdshort_gate::call::InconsistentEvent),
    #[error("the journal does not begin with the run's creation")]
    NoBeginning,
    #[error("the host is shutting down")]
    ShuttingDown,
}

impl Cursor {
    /// Opens the history of a run and takes its first event, which holds the task. `None` if the run is known to have
    /// ended.
    pub(super) async fn open(
        journal: &Journal,
        id: &RunId,
        events_read: &Arc<AtomicU64>,
    ) -> Result<Option<(Self, Run, String)>, CannotReplay> {
        let first = journal.events(id, 0, CHUNK).await?;
        events_read.fetch_add(first.events.len() as u64, Ordering::Relaxed);
        // If the run ended in a later chunk, its replay finds the end, and performs nothing before it.
        if first.events.is_empty() || first.events.iter().any(|recorded| is_end(&recorded.event)) {
            return Ok(None);
        }
        let (chunks, ahead) = mpsc::channel(1);
        if let Some(after) = last_of(&first) {
            tokio::spawn(read_ahead(journal.clone(), id.clone(), after, events_read.clone(), chunks));
        }
        let mut cursor = Self { held: 0, evidence_bytes: 0, chunk: VecDeque::new(), more: false, ahead };
        cursor.begin(first);
        let created = cursor.take().await?.ok_or(CannotReplay::NoBeginning)?;
        let run = Run::open(&created.event, created.at).ok_or(CannotReplay::NoBeginning)?;
        let Event::RunCreated { task, .. } = created.event else { return Err(CannotReplay::NoBeginning) };
        Ok(Some((cursor, run, task)))
    }

    /// The journal's record of call `number` with `action`.
    pub(super) async fn call(&mut self, number: CallNumber, action: &Action) -> Result<ReplayedCall, CannotReplay> {
        let Some(recorded) = self.take().await? else { return Ok(ReplayedCall::New) };
        let found = action.digest();
        let recorded = match recorded {
            RecordedEvent { event: Event::RoutineReturned { call, action, result, answered_at, .. }, .. }
                if (call, action) == (number, found) =>
            {
                return Ok(ReplayedCall::Returned(result, answered_at));
            }
            other => other,
        };
        let Some(call) = Call::open(&recorded.event, recorded.at) else {
            return Ok(match is_end(&recorded.event) {
                true => ReplayedCall::Over,
                false => ReplayedCall::Other { recorded: describe_event(&recorded.event) },
            });
        };
        if call.number != number || call.action().digest() != found {
            return Ok(ReplayedCall::Other { recorded: describe(call.number, call.action()) });
        }
        self.held += u32::from(matches!(call.phase, Phase::Held));
        let bytes = call.proposal().map_or(0, Proposal::evidence_bytes);
        self.evidence_bytes = self.evidence_bytes.saturating_add(bytes);
        self.follow(call).await
    }

    /// Follows a consequential call to its answer, over all decisions and attempts.
    async fn follow(&mut self, mut call: Call) -> Result<ReplayedCall, CannotReplay> {
        loop {
            if let Some(answer) = call.answer() {
                return Ok(ReplayedCall::Answered(answer, call.changed_at));
            }
            match self.take().await? {
                Some(recorded) if is_end(&recorded.event) => return Ok(ReplayedCall::Over),
                Some(recorded) => call.apply(&recorded.event, recorded.at)?,
                None => return Ok(ReplayedCall::Open),
            }
        }
    }

    /// The journal's record of timer `number` until `until`.
    pub(super) async fn sleep(&mut self, number: u32, until: Time) -> Result<ReplayedSleep, CannotReplay> {
        match self.take().await? {
            None => Ok(ReplayedSleep::New),
            Some(RecordedEvent { event: Event::TimerSet { timer, until: then }, at: asked_at, .. })
                if (timer, then) == (number, until) =>
            {
                Ok(match self.take().await? {
                    None => ReplayedSleep::Asleep,
                    Some(RecordedEvent { event: Event::TimerFired { .. }, at, .. }) => {
                        ReplayedSleep::Woken { at, asked_at }
                    }
                    Some(_) => ReplayedSleep::Over,
                })
            }
            Some(RecordedEvent { event, .. }) if is_end(&event) => Ok(ReplayedSleep::Over),
            Some(RecordedEvent { event, .. }) => Ok(ReplayedSleep::Other { recorded: describe_event(&event) }),
        }
    }

    /// The next recorded event as text, unless it is the end of the run. If there is such an event, the agent ended
    /// earlier than recorded.
    pub(super) async fn rest(&mut self) -> Result<Option<String>, CannotReplay> {
        let next = self.take().await?.filter(|recorded| !is_end(&recorded.event));
        Ok(next.map(|recorded| describe_event(&recorded.event)))
    }

    /// Whether the journal ends here, so that the agent's next action is new.
    pub(super) async fn at_end(&mut self) -> Result<bool, CannotReplay> {
        self.fill().await?;
        Ok(self.chunk.is_empty())
    }

    /// The next event, if there is one.
    async fn take(&mut self) -> Result<Option<RecordedEvent>, CannotReplay> {
        self.fill().await?;
        Ok(self.chunk.pop_front())
    }

    /// Continues with the next chunk. Loops because a chunk may have no event that replay needs.
    async fn fill(&mut self) -> Result<(), CannotReplay> {
        while self.chunk.is_empty() && self.more {
            let read = self.ahead.recv().await.ok_or(CannotReplay::ShuttingDown)?;
            self.begin(read?);
        }
        Ok(())
    }

    // INVARIANT: the journal ends only where a read says so, not where the reading task stopped. An agent that went
    // live too early would repeat its actions.
    fn begin(&mut self, read: Events) {
        self.more = last_of(&read).is_some();
        // The revocation of a grant and a delay are no actions of an agent: no agent sees them, and they may be
        // recorded at any time. So replay skips them.
        let is_lived =
            |recorded: &RecordedEvent| !matches!(recorded.event, Event::GrantRevoked { .. } | Event::RunDelayed { .. });
        let lived = read.events.into_iter().filter(is_lived);
        self.chunk = lived.collect();
    }
}

/// The number of the last event, if more follow.
///
/// If no events follow, the run's history ends here, and nothing more is read. While the run is driven here, only
/// reviewers and the dispatcher write to it. The driver learns of their events from the state of the open call.
fn last_of(Events { events, more }: &Events) -> Option<Seq> {
    events.last().map(|recorded| recorded.seq).filter(|_| *more)
}

/// Reads at most two chunks ahead of the agent, until the journal ends or the cursor is dropped.
async fn read_ahead(
    journal: Journal,
    run: RunId,
    mut after: Seq,
    events_read: Arc<AtomicU64>,
    chunks: mpsc::Sender<Result<Events, ReadError>>,
) {
    loop {
        let read = journal.events(&run, after, CHUNK).await;
        let next = read.as_ref().ok().and_then(|read| {
            events_read.fetch_add(read.events.len() as u64, Ordering::Relaxed);
            last_of(read)
        });
        if chunks.send(read).await.is_err() {
            return;
        }
        let Some(next) = next else { return };
        after = next;
    }
}

/// A call as text, for the message of a diverged run.
pub(super) fn describe(number: CallNumber, action: &Action) -> String {
    format!("call {number}, `{}` with {}", action.capability(), action.canonical_arguments())
}

/// Whether the run ended with this event.
fn is_end(event: &Event) -> bool {
    matches!(
        event,
        Event::RunFinished { .. } | Event::RunTrapped { .. } | Event::RunCancelled { .. } | Event::RunDiverged { .. }
    )
}

/// A sleep as text.
pub(super) fn describe_sleep(timer: u32, until: Time) -> String {
    format!("timer {timer}, a sleep until {} µs", until.0)
}

/// An event as text, for the message of a diverged run.
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
        | Event::CallEscalated { call, .. }
        | Event::GrantMade { call, .. }
        | Event::GrantRevoked { call, .. }
        | Event::CallAnswered { call, .. }
        | Event::CallExpired { call }
        | Event::CallCancelled { call }
        | Event::EffectStarted { call, .. }
        | Event::EffectPostponed { call, .. }
        | Event::EffectSucceeded { call, .. }
        | Event::EffectFailed { call, .. }
        | Event::EffectInDoubt { call, .. }
        | Event::EffectLookedUp { call, .. }
        | Event::EffectResolved { call, .. } => format!("the outcome of call {call}"),
        Event::RunDelayed { .. } => "a delay of the host".into(),
        Event::RunCreated { .. } => "the beginning of the run".into(),
        Event::RunFinished { .. }
        | Event::RunTrapped { .. }
        | Event::RunCancelled { .. }
        | Event::RunDiverged { .. } => "the end of the run".into(),
    }
}
