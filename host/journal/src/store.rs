//! The traits of a store. A store writes a batch completely or not at all, and its readers work at the same time as the
//! writer.

use std::collections::BTreeMap;

use holdshort_gate::{
    Call, CallId, CallNumber, Counter, CreatedRun, Digest, Event, RecordedEvent, RunId, RunState, Seq, Similarity,
    Time, Total,
};

use crate::error::ReadError;
use crate::lists::{CallFilter, CallRow, DecisionFilter, DecisionRow, GrantFilter, GrantRow};
use crate::notified::NotificationRecord;
use crate::rows::{Deadline, Events, JournalEntry, LogLine, Position, RunFilter, RunRow, StoredRun};
use crate::submit::LogReservation;

/// The end of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The position of the last event; 0 if there is none.
    pub(crate) position: u64,
    /// The time at which that event was written.
    pub(crate) at: Time,
}

/// Everything that one transaction writes.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The events, in the order of their positions.
    pub(crate) events: Vec<JournalEntry>,
    /// The new states of the runs to which the events belong.
    pub(crate) runs: BTreeMap<RunId, StoredRun>,
    /// The new states of the calls to which the events belong.
    pub(crate) calls: BTreeMap<(RunId, CallNumber), Call>,
    /// The digests by which these calls are found; `None` for calls that no longer wait.
    pub(crate) similar: BTreeMap<CallId, Option<Similarity>>,
    /// The new values of the running totals.
    pub(crate) totals: BTreeMap<Counter, Total>,
    /// The runs that requests with a key created, by the key's digest.
    pub(crate) created_run: BTreeMap<Digest, CreatedRun>,
    pub(crate) blobs: Vec<(Digest, Vec<u8>)>,
    pub(crate) notes: Vec<NotificationRecord>,
    pub(crate) logs: Vec<(RunId, LogLine, LogReservation)>,
}

/// A batch was not written.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// Nothing of the batch was written.
    NotWritten(String),
    /// The whole batch may have been written.
    Unknown(String),
}

/// The maximum number of lines that are kept of a run's log. The oldest lines are removed.
pub(crate) const LOG_LINES_MAX: u64 = 10_000;

/// Reads that the writer and the readers of a store share.
pub(crate) trait Load {
    /// The run, if it exists.
    fn run(&mut self, run: &RunId) -> Result<Option<StoredRun>, ReadError>;
    /// One of the run's consequential calls, if it exists.
    fn call(&mut self, run: &RunId, call: CallNumber) -> Result<Option<Call>, ReadError>;
    /// A running total; it is zero if nothing was counted.
    fn total(&mut self, counter: &Counter) -> Result<Total, ReadError>;
    /// The run that the request with this key created, if there is one.
    fn created_run(&mut self, key: &Digest) -> Result<Option<CreatedRun>, ReadError>;
    /// Waiting calls with this digest of effect or subject, the oldest first. A store may also return other calls: the
    /// caller compares the whole digest.
    fn similar_calls(&mut self, digest: &Digest, most: usize) -> Result<Vec<CallId>, ReadError>;
}

/// The one writer of a store; it lives on the writer's thread.
pub(crate) trait Store: Load + Send {
    /// The end of the journal.
    fn head(&mut self) -> Result<Head, ReadError>;
    /// Writes the batch durably, or nothing of it.
    fn write(&mut self, batch: &Batch) -> Result<(), WriteError>;
    /// Whether a write would succeed now, as far as the store can tell. Called after a write that failed.
    fn probe(&mut self) -> Result<(), WriteError>;
}

/// A reader of a store. Its methods block, so they are called only on threads that may block.
pub(crate) trait Reader: Load + Send {
    /// Begins a group of reads, up to `end`, that all see the same state of the journal, if the store can promise that.
    fn begin(&mut self) -> Result<(), ReadError> {
        Ok(())
    }
    fn end(&mut self) -> Result<(), ReadError> {
        Ok(())
    }
    fn events(&mut self, run: &RunId, after: Seq, limit: usize) -> Result<Events, ReadError>;
    fn runs(&mut self, filter: &RunFilter) -> Result<Vec<RunRow>, ReadError>;
    fn calls(&mut self, filter: &CallFilter) -> Result<Vec<CallRow>, ReadError>;
    fn count_runs(&mut self, state: RunState, most: usize) -> Result<usize, ReadError>;
    /// The number of calls that `calls` would list from the beginning. It reads no event.
    fn count_calls(&mut self, filter: &CallFilter) -> Result<usize, ReadError>;
    /// The performed call of a kind that was proposed last.
    fn last_performed(&mut self, kind: &Digest) -> Result<Option<CallId>, ReadError>;
    fn decisions(&mut self, filter: &DecisionFilter) -> Result<Vec<DecisionRow>, ReadError>;
    /// Grants, the newest first.
    fn grants(&mut self, filter: &GrantFilter) -> Result<Vec<GrantRow>, ReadError>;
    fn feed(&mut self, after: Position, limit: usize) -> Result<Vec<JournalEntry>, ReadError>;
    fn last_position(&mut self) -> Result<Position, ReadError>;
    fn next_deadline(&mut self) -> Result<Option<Time>, ReadError>;
    fn due(&mut self, now: Time, limit: usize) -> Result<Vec<Deadline>, ReadError>;
    fn blob(&mut self, digest: &Digest) -> Result<Option<Vec<u8>>, ReadError>;
    /// The events of a call whose numbers in the run are below `before`, oldest first.
    fn call_events(&mut self, run: &RunId, call: CallNumber, before: Seq) -> Result<Vec<RecordedEvent>, ReadError>;
    /// The state of a call after its events up to the position `at`.
    fn call_as_of(&mut self, run: &RunId, call: CallNumber, at: Position) -> Result<Option<Call>, ReadError>;
    fn notified_up_to(&mut self, target: &str) -> Result<Option<Position>, ReadError>;
    fn to_remind(&mut self, target: &str, between: (Time, Time), most: usize) -> Result<Vec<CallId>, ReadError>;
    fn log_lines(&mut self, run: &RunId, after: u64, limit: usize) -> Result<Vec<(u64, LogLine)>, ReadError>;
}

/// Makes readers of a store.
pub(crate) trait Readers: Send + Sync {
    /// A new reader.
    fn reader(&self) -> Result<Box<dyn Reader>, ReadError>;
}

/// The run that an event creates for a request with a key, and that key.
pub(crate) fn created_run(run: &RunId, event: &Event) -> Option<(Digest, CreatedRun)> {
    let Event::RunCreated { request: Some(request), .. } = event else { return None };
    Some((request.key, CreatedRun { run: run.clone(), asks: request.asks }))
}

/// The call that an event creates, if it creates one.
pub(crate) fn opens(event: &Event) -> Option<CallNumber> {
    let opens = matches!(event, Event::CallCleared { .. } | Event::CallHeld { .. } | Event::CallRefused { .. });
    event.call().filter(|_| opens)
}

/// Whether an event begins another revision of its call. Earlier evidence and votes no longer count then.
pub(crate) fn revises(event: &Event) -> bool {
    matches!(event, Event::CallRevised { .. } | Event::CallReheld { .. })
}
