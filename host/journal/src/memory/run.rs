//! A run in memory.

use std::collections::{BTreeMap, VecDeque};

use holdshort_gate::{Call, CallNumber};

use crate::rows::StoredRun;
use crate::rows::{LogLine, Position};
use crate::store::LOG_LINES_MAX;

/// A run with what the SQLite store keeps in tables of their own.
pub(super) struct KeptRun {
    pub(super) state: StoredRun,
    /// Out of its first event, because a state does not hold it.
    pub(super) task: String,
    /// Where its events are among all events.
    pub(super) events: Vec<usize>,
    /// Where each call was opened. The call itself is put there once all the events of its batch are.
    pub(super) calls: BTreeMap<CallNumber, (Position, Option<Call>)>,
    pub(super) logs: VecDeque<LogLine>,
    /// How many of the oldest lines are gone, so that those that are left keep their numbers.
    pub(super) logs_dropped: u64,
}

impl KeptRun {
    pub(super) fn new(state: StoredRun, task: String) -> Self {
        let (events, calls, logs) = (Vec::new(), BTreeMap::new(), VecDeque::new());
        Self { state, task, events, calls, logs, logs_dropped: 0 }
    }

    pub(super) fn call(&self, number: CallNumber) -> Option<&Call> {
        self.calls.get(&number).and_then(|(_, call)| call.as_ref())
    }

    /// The oldest lines go, and are counted, so that the numbers of the others stay.
    pub(super) fn log(&mut self, line: LogLine) {
        self.logs.push_back(line);
        if self.logs.len() as u64 > LOG_LINES_MAX {
            self.logs.pop_front();
            self.logs_dropped += 1;
        }
    }
}
