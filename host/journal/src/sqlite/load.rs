//! Runs, calls and totals, each read from its own rows. The readers and the writer use the same functions, each on its
//! own connection.

use holdshort_gate::{Call, CallNumber, Counter, CreatedRun, Digest, Event, RecordedEvent, RunId, Seq, Total};
use rusqlite::{Connection, OptionalExtension, Row};

use super::codec::{EVENT_COLUMNS, RUN_COLUMNS, RunColumns, integer, json, recorded};
use crate::error::ReadError;
use crate::rows::{Position, StoredRun};

/// A run with its task.
pub(super) fn run(connection: &Connection, run: &RunId) -> Result<Option<(StoredRun, String)>, ReadError> {
    let mut statement = connection.prepare_cached(&select_runs("WHERE runs.id = ?1"))?;
    let mut rows = statement.query([&run.0])?;
    rows.next()?.map(|row| run_of(connection, row).map(|(_, state, task)| (state, task))).transpose()
}

/// One consequential call, folded from its own events. An index finds these few events; the run's other events, which
/// may be very many, are not read. The writer loads calls with this function too, on its own connection: commands are
/// judged on the same state that people are shown.
pub(super) fn call(connection: &Connection, run: &RunId, call: CallNumber) -> Result<Option<Call>, ReadError> {
    call_until(connection, run, call, Position(u64::MAX))
}

/// The events of a call with a number below `before` in its run, oldest first.
pub(super) fn call_events(
    connection: &Connection,
    run: &RunId,
    call: CallNumber,
    before: Seq,
) -> Result<Vec<RecordedEvent>, ReadError> {
    events_of(connection, run, call, "seq <", before)
}

/// The call as it was right after the event at this position.
pub(super) fn call_until(
    connection: &Connection,
    run: &RunId,
    call: CallNumber,
    until: Position,
) -> Result<Option<Call>, ReadError> {
    let damaged = |why: String| ReadError::Damaged(format!("call {call} of run {run}: {why}"));
    let mut events = events_of(connection, run, call, "position <=", until.0)?.into_iter();
    let Some(first) = events.next() else { return Ok(None) };
    let opened = Call::open(&first.event, first.at);
    let mut folded = opened.ok_or_else(|| damaged("the first event does not open the call".into()))?;
    for RecordedEvent { event, at, .. } in events {
        folded.apply(&event, at).map_err(|error| damaged(error.to_string()))?;
    }
    Ok(Some(folded))
}

/// The events of a call up to a bound or from a bound on, in order. The bound is a position or a number in the run;
/// both give the same order within a run.
pub(super) fn events_of(
    connection: &Connection,
    run: &RunId,
    call: CallNumber,
    within: &str,
    bound: u64,
) -> Result<Vec<RecordedEvent>, ReadError> {
    let select = format!(
        "SELECT {EVENT_COLUMNS} FROM events JOIN runs ON runs.number = events.run \
         WHERE runs.id = ?1 AND events.call = ?2 AND events.{within} ?3 ORDER BY events.position"
    );
    let mut statement = connection.prepare_cached(&select)?;
    let mut rows = statement.query((&run.0, call, integer(bound)))?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(recorded(connection, row, 0)?.0);
    }
    Ok(events)
}

/// Selects runs for [`run_of`]. A run is read with its first event, because only that event holds the agent, the task
/// and the limits. `rest` is the end of the query, and must be a text of this program, never of a client.
pub(super) fn select_runs(rest: &str) -> String {
    format!(
        "SELECT runs.id, {RUN_COLUMNS}, {EVENT_COLUMNS} \
         FROM runs JOIN events ON events.run = runs.number AND events.seq = 1 {rest}"
    )
}

/// The run's id, its state and its task. If the first event does not create a run, the result is an error: the journal
/// is damaged.
pub(super) fn run_of(connection: &Connection, row: &Row<'_>) -> Result<(RunId, StoredRun, String), ReadError> {
    let id: String = row.get(0)?;
    let standing = RunColumns::read(row, 1)?;
    let (created, _) = recorded(connection, row, 10)?;
    let state = standing.run(&created, &id)?;
    let task = if let Event::RunCreated { task, .. } = created.event { task } else { String::new() };
    Ok((RunId(id), state, task))
}

/// A running total; it is zero if nothing was counted.
pub(super) fn total(connection: &Connection, counter: &Counter) -> Result<Total, ReadError> {
    let mut statement = connection.prepare_cached("SELECT total FROM totals WHERE counter = ?1")?;
    let found: Option<String> = statement.query_row([json(counter)?], |row| row.get(0)).optional()?;
    let damaged = |error: serde_json::Error| ReadError::Damaged(format!("a running total: {error}"));
    found.map_or_else(|| Ok(Total::default()), |found| serde_json::from_str(&found).map_err(damaged))
}

/// The run that the request with this key created, if there is one.
pub(super) fn created_run(connection: &Connection, key: &Digest) -> Result<Option<CreatedRun>, ReadError> {
    let select = "SELECT runs.id, made.asks FROM made JOIN runs ON runs.number = made.run WHERE made.key = ?1";
    let mut statement = connection.prepare_cached(select)?;
    let row =
        |row: &Row<'_>| Ok(CreatedRun { run: RunId(row.get(0)?), asks: Digest::from(row.get::<_, [u8; 32]>(1)?) });
    Ok(statement.query_row([key.bytes()], row).optional()?)
}
