//! A run in memory.

use std::collections::{BTreeMap, VecDeque};

use holdshort_gate::{Call, CallNumber};

use crate::rows::StoredRun;
use crate::rows::{LogLine, Position};
use crate::store::LOG_LINES_MAX;

/// A run, with the data that the SQLite store keeps in separate tables.
pub(super) struct MemoryRun {
    pub(super) state: StoredRun,
    /// The task, copied from the run's first event, because the run's state does not hold it.
    pub(super) task: String,
    /// The indices of the run's events in the list of all events.
    pub(super) events: Vec<usize>,
    /// The position at which each call was opened. The call itself is stored after all events of its batch.
    pub(super) calls: BTreeMap<CallNumber, (Position, Option<Call>)>,
    pub(super) logs: VecDeque<LogLine>,
    /// How many of the oldest lines were removed, so that the remaining lines keep their numbers.
    pub(super) logs_dropped: u64,
}

impl MemoryRun {
    pub(super) fn new(state: StoredRun, task: String) -> Self {
        let (events, calls, logs) = (Vec::new(), BTreeMap::new(), VecDeque::new());
        Self { state, task, events, calls, logs, logs_dropped: 0 }
    }

    pub(super) fn call(&self, number: CallNumber) -> Option<&Call> {
        self.calls.get(&number).and_then(|(_, call)| call.as_ref())
    }

    /// Adds a line. The oldest lines are removed and counted, so that the other lines keep their numbers.
    pub(super) fn log(&mut self, line: LogLine) {
        self.logs.push_back(line);
        if self.logs.len() as u64 > LOG_LINES_MAX {
            self.logs.pop_front();
            self.logs_dropped += 1;
        }
    }
}
