//! Replay: the journal of one run as a stream, read once from the start, a chunk at a time and one chunk ahead.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use holdshort_gate::{Action, Answer, Call, CallNumber, Event, Phase, Proposal, Recorded, Run, RunId, Seq, Time};
use holdshort_journal::{Events, Journal, ReadError};
use serde_json::Value;
use tokio::sync::mpsc;

/// How many events are read at a time.
const CHUNK: usize = 512;

/// A place in a run's history. Everything before it has been replayed.
///
/// It holds no journal, because it goes along on the agents' threads, which read nothing: a task reads ahead and hands the chunks over.
pub(super) struct Cursor {
    /// How many of the calls so far were held.
    pub(super) held: u32,
    /// What evidence was kept for them.
    pub(super) evidence_bytes: u64,
    chunk: VecDeque<Recorded>,
    /// Whether there are chunks after this one.
    more: bool,
    ahead: mpsc::Receiver<Result<Events, ReadError>>,
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
    Woken {
        /// When.
        at: Time,
        /// When it was asked for.
        asked_at: Time,
    },
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
    #[error("the host is shutting down")]
    ShuttingDown,
}

impl Cursor {
    /// Opens the history of a run that can go on, and takes its first event: the run as it was created, and its task.
    pub(super) async fn open(
        journal: &Journal,
        id: &RunId,
        events_read: &Arc<AtomicU64>,
    ) -> Result<Option<(Self, Run, String)>, CannotReplay> {
        let first = journal.events(id, 0, CHUNK).await?;
        events_read.fetch_add(first.events.len() as u64, Ordering::Relaxed);
        // A run that ended beyond this chunk is found to be over by its replay, which does nothing on the way.
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

    /// What the journal holds for call `number`, which proposes `action`.
    pub(super) async fn call(&mut self, number: CallNumber, action: &Action) -> Result<Replayed, CannotReplay> {
        let Some(recorded) = self.take().await? else { return Ok(Replayed::New) };
        let found = action.digest();
        let recorded = match recorded {
            Recorded { event: Event::RoutineReturned { call, action, result, answered_at, .. }, .. }
                if (call, action) == (number, found) =>
            {
                return Ok(Replayed::Returned(result, answered_at));
            }
            other => other,
        };
        let Some(call) = Call::open(&recorded.event, recorded.at) else {
            return Ok(match is_end(&recorded.event) {
                true => Replayed::Over,
                false => Replayed::Other { recorded: describe_event(&recorded.event) },
            });
        };
        if call.number != number || call.action().digest() != found {
            return Ok(Replayed::Other { recorded: describe(call.number, call.action()) });
        }
        self.held += u32::from(matches!(call.phase, Phase::Held));
        let bytes = call.proposal().map_or(0, Proposal::evidence_bytes);
        self.evidence_bytes = self.evidence_bytes.saturating_add(bytes);
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
        match self.take().await? {
            None => Ok(Slept::New),
            Some(Recorded { event: Event::TimerSet { timer, until: then }, at: asked_at, .. })
                if (timer, then) == (number, until) =>
            {
                Ok(match self.take().await? {
                    None => Slept::Asleep,
                    Some(Recorded { event: Event::TimerFired { .. }, at, .. }) => Slept::Woken { at, asked_at },
                    Some(_) => Slept::Over,
                })
            }
            Some(Recorded { event, .. }) if is_end(&event) => Ok(Slept::Over),
            Some(Recorded { event, .. }) => Ok(Slept::Other { recorded: describe_event(&event) }),
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

    /// Goes on with the next chunk once the last is used up. A chunk may have nothing that the agent takes part in.
    async fn fill(&mut self) -> Result<(), CannotReplay> {
        while self.chunk.is_empty() && self.more {
            let read = self.ahead.recv().await.ok_or(CannotReplay::ShuttingDown)?;
            self.begin(read?);
        }
        Ok(())
    }

    // INVARIANT: the end is what was read as one, never a reader that is gone: an agent that went live too early would do again what it has done.
    fn begin(&mut self, read: Events) {
        self.more = last_of(&read).is_some();
        // A grant may be taken back at any time, long after its call was answered: no agent sees it, and no agent's doing follows from it.
        // That the host was late is no agent's doing either.
        let is_lived =
            |recorded: &Recorded| !matches!(recorded.event, Event::GrantRevoked { .. } | Event::RunDelayed { .. });
        let lived = read.events.into_iter().filter(is_lived);
        self.chunk = lived.collect();
    }
}

/// The number of the last event, if there are more.
///
/// Where there was no more is the end: a run that is driven here is written by nobody else but reviewers and the dispatcher,
/// whose events about the open call are read from its own state.
fn last_of(Events { events, more }: &Events) -> Option<Seq> {
    events.last().map(|recorded| recorded.seq).filter(|_| *more)
}

/// Reads the chunks after `after` while the agent is at those before, at most two ahead, until the end or until nobody takes them any more.
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
        | Event::EffectResolved { call, .. } => format!("what became of call {call}"),
        Event::RunDelayed { .. } => "a delay of the host's".into(),
        Event::RunCreated { .. } => "the beginning of the run".into(),
        Event::RunFinished { .. }
        | Event::RunTrapped { .. }
        | Event::RunCancelled { .. }
        | Event::RunDiverged { .. } => "the end of the run".into(),
    }
}
