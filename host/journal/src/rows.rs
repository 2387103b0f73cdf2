//! The results of reading a journal: rows of its projections, entries of its events, and hints.

use holdshort_gate::{
    AgentName, Call, CallId, CallNumber, CallState, Capability, Digest, RecordedEvent, ReviewerName, Run, RunId,
    RunPhase, RunState, Seq, Time,
};

/// The place of an event among all events of all runs, from 1, in the order of commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// An event of some run.
#[derive(Clone, Debug, PartialEq)]
pub struct JournalEntry {
    /// The event's position.
    pub position: Position,
    /// The run that the event belongs to.
    pub run: RunId,
    /// The event.
    pub recorded: RecordedEvent,
}

/// The filter of a list of runs.
#[derive(Clone, Debug)]
pub struct RunFilter {
    /// Only runs in these states; empty: all.
    pub states: Vec<RunState>,
    /// Only runs that were created before this run.
    pub before: Option<RunId>,
    /// The largest number of rows.
    pub limit: usize,
}

/// A run in its state after its last event.
#[derive(Clone, Debug)]
pub(crate) struct StoredRun {
    pub(crate) run: Run,
    pub(crate) last_seq: Seq,
    /// When the last event was written.
    pub(crate) updated_at: Time,
}

/// A run in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    /// The run's id.
    pub id: RunId,
    /// The agent.
    pub agent: AgentName,
    /// The run's task.
    pub task: String,
    /// The reviewer who started the run.
    pub started_by: ReviewerName,
    /// The component that runs.
    pub component: Digest,
    /// When the run was created.
    pub created_at: Time,
    /// When the run's last event was written.
    pub updated_at: Time,
    /// The state of the run.
    pub state: RunState,
    /// The call that the run waits for, if it waits for one.
    pub waiting_for: Option<CallNumber>,
    /// How many host calls the run has made.
    pub calls: u32,
    /// The result that the agent returned, if it has returned.
    pub result: Option<Result<String, String>>,
    /// Why the run trapped or diverged, or why the host cannot bring it forward.
    pub reason: Option<String>,
    /// Since when the host cannot bring the run forward, and how often it has tried; `None` if the run is not delayed.
    pub delayed: Option<(Time, u32)>,
    /// The number of the run's last event.
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

/// A call or a timer with a deadline, at which the host acts even if nobody else does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// A call expires or escalates.
    Call(CallId),
    /// A run wakes.
    Timer {
        /// The run.
        run: RunId,
        /// The run's timer.
        timer: u32,
    },
}

/// A line that an agent or the host wrote about a run. The line is for people only; replay does not compare it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When the line was written.
    pub at: Time,
    /// How important the line is, such as `info`.
    pub level: String,
    /// The line.
    pub message: String,
}

/// A message that tells listeners that a command was committed. Hints may be lost, so a listener that needs every event
/// must read the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The position of the command's last event.
    pub position: Position,
    /// The run.
    pub run: RunId,
    /// The state of the run after the command.
    pub run_state: RunState,
    /// The consequential call that the command was about, if there is one.
    pub call: Option<CallHint>,
    /// The earlier of the run's and the call's deadline after the command, if either has one.
    pub deadline: Option<Time>,
}

/// The call of a hint: enough to choose a listener without reading the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallHint {
    /// The call's number.
    pub number: CallNumber,
    /// The function that the agent called.
    pub capability: Capability,
    /// The call's state now.
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
    /// The events, in the order of their numbers, without gaps.
    pub events: Vec<RecordedEvent>,
    /// Whether there may be more events: the read stopped at the number that was asked for, or at the memory bound of
    /// one read.
    pub more: bool,
}

/// Whether the journal can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// The last transaction was committed.
    Ok,
    /// The last transaction was not committed.
    Failing {
        /// The time since which writing fails.
        since: Time,
        /// The error of the store.
        cause: String,
    },
}

/// The timer of a sleeping run, and the end of its sleep.
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
