//! Readers of a SQLite file. The writer and the readers never wait for each other.

use std::path::PathBuf;

use holdshort_gate::{
    Call, CallId, CallNumber, Counter, CreatedRun, Digest, RecordedEvent, RunId, RunState, Seq, Time, Total,
};
use rusqlite::{Connection, OpenFlags, Row, params_from_iter};

use super::codec::{EVENT_COLUMNS, blob, integer, limit, natural, recorded};
use super::connect::connect;
use super::lists::{self, Conditions, each_state};
use super::load::{call, call_events, call_until, created_run, run, run_of, select_runs, total};
use super::notified;
use crate::error::ReadError;
use crate::lists::{CallFilter, CallRow, DecisionFilter, DecisionRow, GrantFilter, GrantRow};
use crate::rows::StoredRun;
use crate::rows::{Deadline, Events, JournalEntry, LogLine, Position, RunFilter, RunRow};
use crate::store::{Load, Reader, Readers};

/// About how many bytes of events one read brings into memory, even if more events were requested. At least one event
/// is read.
const READ_BYTES_MAX: usize = 4 << 20;

/// Opens readers of one file.
pub(crate) struct SqliteReaders(PathBuf);

impl SqliteReaders {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }
}

impl Readers for SqliteReaders {
    /// Opens the file read-only, so that no query of a reader can change the journal.
    fn reader(&self) -> Result<Box<dyn Reader>, ReadError> {
        Ok(Box::new(SqliteReader(connect(&self.0, OpenFlags::SQLITE_OPEN_READ_ONLY)?)))
    }
}

struct SqliteReader(Connection);

impl Load for SqliteReader {
    fn run(&mut self, id: &RunId) -> Result<Option<StoredRun>, ReadError> {
        Ok(run(&self.0, id)?.map(|(state, _)| state))
    }

    fn call(&mut self, run: &RunId, number: CallNumber) -> Result<Option<Call>, ReadError> {
        call(&self.0, run, number)
    }

    fn total(&mut self, counter: &Counter) -> Result<Total, ReadError> {
        total(&self.0, counter)
    }

    fn created_run(&mut self, key: &Digest) -> Result<Option<CreatedRun>, ReadError> {
        created_run(&self.0, key)
    }

    fn similar_calls(&mut self, digest: &Digest, most: usize) -> Result<Vec<CallId>, ReadError> {
        lists::similar_calls(&self.0, digest, most)
    }
}

impl Reader for SqliteReader {
    /// Begins a snapshot: all statements up to `end` see the same state of the journal.
    fn begin(&mut self) -> Result<(), ReadError> {
        Ok(self.0.prepare_cached("BEGIN")?.execute([]).map(drop)?)
    }

    /// Ends the snapshot. As long as a snapshot stays open, checkpoints cannot cut the log, and the log grows.
    fn end(&mut self) -> Result<(), ReadError> {
        Ok(self.0.prepare_cached("COMMIT")?.execute([]).map(drop)?)
    }

    /// Reads by the index of run and event number, so that a replay reads the events in their order.
    fn events(&mut self, run: &RunId, after: Seq, most: usize) -> Result<Events, ReadError> {
        let select = format!(
            "SELECT {EVENT_COLUMNS} FROM events JOIN runs ON runs.number = events.run \
             WHERE runs.id = ?1 AND events.seq > ?2 ORDER BY events.seq LIMIT ?3"
        );
        let mut statement = self.0.prepare_cached(&select)?;
        let mut rows = statement.query((&run.0, integer(after), limit(most)))?;
        let (mut events, mut bytes) = (Vec::new(), 0);
        while bytes < READ_BYTES_MAX
            && let Some(row) = rows.next()?
        {
            let (recorded, size) = recorded(&self.0, row, 0)?;
            events.push(recorded);
            bytes += size;
        }
        Ok(Events { more: events.len() == most || bytes >= READ_BYTES_MAX, events })
    }

    /// Lists runs. The cursor is an id: ids sort by time and do not change when new runs arrive.
    fn runs(&mut self, filter: &RunFilter) -> Result<Vec<RunRow>, ReadError> {
        let mut found = each_state(&filter.states, |state| {
            let mut wanted = Conditions::default();
            wanted.add_some("runs.phase = ?", state.map(|state: RunState| state.as_str().to_owned()));
            if let Some(before) = &filter.before {
                wanted.add("runs.id < ?", before.0.clone());
            }
            let rest = format!("{} ORDER BY runs.id DESC LIMIT {}", wanted.sql(), limit(filter.limit));
            let mut statement = self.0.prepare_cached(&select_runs(&rest))?;
            let mut rows = statement.query(params_from_iter(wanted.values))?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let (id, state, task) = run_of(&self.0, row)?;
                found.push(RunRow::new(id, task, state));
            }
            Ok(found)
        })?;
        found.sort_by(|one, other| other.id.cmp(&one.id));
        found.truncate(filter.limit);
        Ok(found)
    }

    fn calls(&mut self, filter: &CallFilter) -> Result<Vec<CallRow>, ReadError> {
        lists::calls(&self.0, filter)
    }

    fn count_calls(&mut self, filter: &CallFilter) -> Result<usize, ReadError> {
        lists::count_calls(&self.0, filter)
    }

    fn last_performed(&mut self, kind: &Digest) -> Result<Option<CallId>, ReadError> {
        lists::last_performed(&self.0, kind)
    }

    fn decisions(&mut self, filter: &DecisionFilter) -> Result<Vec<DecisionRow>, ReadError> {
        lists::decisions(&self.0, filter)
    }

    fn call_events(&mut self, run: &RunId, call: CallNumber, before: Seq) -> Result<Vec<RecordedEvent>, ReadError> {
        call_events(&self.0, run, call, before)
    }

    fn grants(&mut self, filter: &GrantFilter) -> Result<Vec<GrantRow>, ReadError> {
        lists::grants(&self.0, filter)
    }

    /// Reads only the index of phases, and at most `most` entries of it: no event is read.
    fn count_runs(&mut self, state: RunState, most: usize) -> Result<usize, ReadError> {
        let select = "SELECT count(*) FROM (SELECT 1 FROM runs WHERE phase = ?1 LIMIT ?2)";
        let found: i64 = self.0.prepare_cached(select)?.query_row((state.as_str(), limit(most)), |row| row.get(0))?;
        Ok(usize::try_from(found).unwrap_or(usize::MAX))
    }

    /// Reads by position, which is the order of commits over all runs.
    fn feed(&mut self, after: Position, most: usize) -> Result<Vec<JournalEntry>, ReadError> {
        let select = format!(
            "SELECT {EVENT_COLUMNS}, events.position, runs.id FROM events JOIN runs ON runs.number = events.run \
             WHERE events.position > ?1 ORDER BY events.position LIMIT ?2"
        );
        let mut statement = self.0.prepare_cached(&select)?;
        let mut rows = statement.query((integer(after.0), limit(most)))?;
        let (mut found, mut bytes) = (Vec::new(), 0);
        while bytes < READ_BYTES_MAX
            && let Some(row) = rows.next()?
        {
            let (recorded, size) = recorded(&self.0, row, 0)?;
            bytes += size;
            found.push(JournalEntry { position: Position(natural(row.get(5)?)), run: RunId(row.get(6)?), recorded });
        }
        Ok(found)
    }

    /// The position at which a listener begins if it wants only new events.
    fn last_position(&mut self) -> Result<Position, ReadError> {
        let last = self.0.prepare_cached("SELECT max(position) FROM events")?.query_row([], |row| row.get(0));
        Ok(Position(natural(last.map(|last: Option<i64>| last.unwrap_or(0))?)))
    }

    /// Uses the two indices of deadlines, without a scan.
    fn next_deadline(&mut self) -> Result<Option<Time>, ReadError> {
        let earliest = "SELECT min(at) FROM (SELECT min(deadline) AS at FROM calls WHERE deadline IS NOT NULL \
                        UNION ALL SELECT min(deadline) FROM runs WHERE deadline IS NOT NULL)";
        let found: Option<i64> = self.0.prepare_cached(earliest)?.query_row([], |row| row.get(0))?;
        Ok(found.map(|at| Time(natural(at))))
    }

    /// Reads up to `most` calls and up to `most` timers, because the earliest deadlines may all be of one kind.
    fn due(&mut self, now: Time, most: usize) -> Result<Vec<Deadline>, ReadError> {
        let calls = "SELECT calls.deadline, runs.id, calls.call FROM calls JOIN runs ON runs.number = calls.run \
                     WHERE calls.deadline <= ?1 ORDER BY calls.deadline LIMIT ?2";
        let timers = "SELECT deadline, id, timers FROM runs WHERE deadline <= ?1 ORDER BY deadline LIMIT ?2";
        let mut found: Vec<(i64, Deadline)> = Vec::new();
        for (select, timer) in [(calls, false), (timers, true)] {
            let mut statement = self.0.prepare_cached(select)?;
            let due = |row: &Row<'_>| {
                let (at, run, number) = (row.get(0)?, RunId(row.get(1)?), row.get(2)?);
                Ok((
                    at,
                    if timer {
                        Deadline::Timer { run, timer: number }
                    } else {
                        Deadline::Call(CallId { run, call: number })
                    },
                ))
            };
            for row in statement.query_map((integer(now.0), limit(most)), due)? {
                found.push(row?);
            }
        }
        found.sort_by_key(|(at, _)| *at);
        Ok(found.into_iter().take(most).map(|(_, due)| due).collect())
    }

    /// Reads a blob. `None` means that the bytes were never stored; the caller decides whether this is an error.
    fn blob(&mut self, digest: &Digest) -> Result<Option<Vec<u8>>, ReadError> {
        blob(&self.0, digest)
    }

    fn call_as_of(&mut self, run: &RunId, number: CallNumber, at: Position) -> Result<Option<Call>, ReadError> {
        call_until(&self.0, run, number, at)
    }

    fn notified_up_to(&mut self, target: &str) -> Result<Option<Position>, ReadError> {
        notified::notified_up_to(&self.0, target)
    }

    fn to_remind(&mut self, target: &str, between: (Time, Time), most: usize) -> Result<Vec<CallId>, ReadError> {
        notified::to_remind(&self.0, target, between, most)
    }

    /// Reads log lines. They are numbered within their run, and the numbers of dropped lines are not used again.
    fn log_lines(&mut self, run: &RunId, after: u64, most: usize) -> Result<Vec<(u64, LogLine)>, ReadError> {
        let select = "SELECT line, at, level, message FROM logs WHERE run = (SELECT number FROM runs WHERE id = ?1) \
                      AND line > ?2 ORDER BY line LIMIT ?3";
        let mut statement = self.0.prepare_cached(select)?;
        let line = |row: &Row<'_>| {
            let line = LogLine { at: Time(natural(row.get(1)?)), level: row.get(2)?, message: row.get(3)? };
            Ok((natural(row.get(0)?), line))
        };
        let lines = statement.query_map((&run.0, integer(after), limit(most)), line)?;
        Ok(lines.collect::<rusqlite::Result<_>>()?)
    }
}
