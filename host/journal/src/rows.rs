//! The results of reading a journal: rows of its projections, entries of its events, and hints.

use holdshort_gate::{
    Call, CallNumber, CallState, Capability, Digest, Recorded, Run, RunId, RunPhase, RunState, Seq, Time,
};

/// The place of an event among all events of all runs, from 1, in the order of commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// An event of some run.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its place.
    pub position: Position,
    /// Whose it is.
    pub run: RunId,
    /// The event.
    pub recorded: Recorded,
}

/// Which runs to list.
#[derive(Clone, Debug)]
pub struct RunFilter {
    /// Only runs in these states; empty: all.
    pub states: Vec<RunState>,
    /// Only runs older than this one.
    pub before: Option<RunId>,
    /// How many at most.
    pub limit: usize,
}

/// A run as it is after its last event.
#[derive(Clone, Debug)]
pub(crate) struct StoredRun {
    pub(crate) run: Run,
    pub(crate) last_seq: Seq,
    /// When that event was written.
    pub(crate) updated_at: Time,
}

/// A run in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    /// Its id.
    pub id: RunId,
    /// The agent's configured name.
    pub agent: String,
    /// Its task.
    pub task: String,
    /// Who started it.
    pub started_by: String,
    /// The component that runs.
    pub component: Digest,
    /// When it was created.
    pub created_at: Time,
    /// When its last event was written.
    pub updated_at: Time,
    /// Where it stands.
    pub state: RunState,
    /// The call it waits for, if it does.
    pub waiting_for: Option<CallNumber>,
    /// How many host calls it made.
    pub calls: u32,
    /// What the agent returned, if it did.
    pub result: Option<Result<String, String>>,
    /// Why it trapped or diverged, if it did, or why the host cannot bring it forward.
    pub reason: Option<String>,
    /// Since when the host cannot bring it forward, and how often it has tried, if it cannot.
    pub delayed: Option<(Time, u32)>,
    /// The number of its last event.
    pub last_seq: Seq,
}

impl RunRow {
    pub(crate) fn new(id: RunId, task: String, stored: StoredRun) -> Self {
        let StoredRun { run, last_seq, updated_at } = stored;
        let state = run.phase.state();
        let delayed =
            if let RunPhase::Delayed(delayed) = &run.phase { Some((delayed.since, delayed.tries)) } else { None };
        let (waiting_for, result, reason) = match run.phase {
            RunPhase::Waiting(call) => (Some(call), None, None),
            RunPhase::Finished(result) => (None, Some(result), None),
            RunPhase::Trapped(reason) | RunPhase::Diverged(reason) => (None, None, Some(reason)),
            RunPhase::Delayed(delayed) => (None, None, Some(delayed.reason)),
            RunPhase::Ready | RunPhase::Sleeping { .. } | RunPhase::Cancelled => (None, None, None),
        };
        Self {
            id,
            agent: run.agent,
            task,
            started_by: run.started_by,
            component: run.component,
            created_at: run.created_at,
            updated_at,
            state,
            waiting_for,
            calls: run.calls,
            result,
            reason,
            delayed,
            last_seq,
        }
    }
}

/// A deadline: something that must happen although nobody acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// A call lapses.
    Call {
        /// Its run.
        run: RunId,
        /// The call.
        call: CallNumber,
    },
    /// A run wakes.
    Timer {
        /// The run.
        run: RunId,
        /// Its timer.
        timer: u32,
    },
}

/// A line that an agent or the host wrote about a run. It is kept for people and matched with nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When.
    pub at: Time,
    /// How important, such as `info`.
    pub level: String,
    /// The line.
    pub message: String,
}

/// A hint about the commit of one command. Hints may be lost; the journal is the truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The place of its last event.
    pub position: Position,
    /// The run.
    pub run: RunId,
    /// Where the run stands after it.
    pub run_state: RunState,
    /// The consequential call it was about, if it was about one.
    pub call: Option<CallHint>,
    /// When the call or the run now lapses or wakes though nobody does anything, the earlier of the two.
    pub deadline: Option<Time>,
}

/// The part of a hint about a call: enough to choose a listener without reading the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallHint {
    /// Its number.
    pub number: CallNumber,
    /// What the agent requested.
    pub capability: Capability,
    /// Where it stands now.
    pub state: CallState,
}

impl CallHint {
    pub(crate) fn new(call: &Call) -> Self {
        Self { number: call.number, capability: call.action().capability().clone(), state: call.phase.state() }
    }
}

/// Some of a run's events, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Events {
    /// In the order of their numbers, without gaps.
    pub events: Vec<Recorded>,
    /// Whether there may be more after them: they are as many as were asked for, or take as much memory as one read may.
    pub more: bool,
}

/// Whether the journal can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// The last transaction was committed.
    Ok,
    /// It was not.
    Failing {
        /// Since when.
        since: Time,
        /// What the store said.
        cause: String,
    },
}

/// The deadline of a run that sleeps.
pub(crate) fn timer(run: &Run) -> Option<(u32, Time)> {
    match run.phase {
        RunPhase::Sleeping { timer, until } => Some((timer, until)),
        RunPhase::Ready
        | RunPhase::Delayed(_)
        | RunPhase::Waiting(_)
        | RunPhase::Finished(_)
        | RunPhase::Trapped(_)
        | RunPhase::Cancelled
        | RunPhase::Diverged(_) => None,
    }
}
