//! Rows of lists. To make a row, a call's events are read only from the event that began its current revision, so the
//! work does not grow with the earlier history. `tests/histories.rs` checks that both stores give the same rows.

use holdshort_gate::{Call, CallId, CallNumber, Counter, Event, GrantRecord, RecordedEvent, ReviewerName, RunId, Time};
use rusqlite::{Connection, Row};

use super::codec::{EVENT_COLUMNS, integer, natural, recorded};
use super::load::{call, events_of, run, total};
use crate::error::ReadError;
use crate::history::decision;
use crate::lists::{CallRow, DecisionRow, GrantRow};
use crate::rows::Position;

/// The columns that [`CallLocation::read`] reads, in its order.
pub(super) const PLACE: &str = "runs.id, calls.call, calls.position, calls.since, calls.attempts, calls.editor";

/// The position of a call, and the values that remain from the time before its current revision.
pub(super) struct CallLocation {
    run: RunId,
    number: CallNumber,
    pub(super) position: Position,
    /// The position of the event that began the current revision; `None` for the first revision.
    since: Option<Position>,
    attempts: u32,
    editor: Option<ReviewerName>,
}

impl CallLocation {
    /// Reads the columns [`PLACE`], which begin at `first`.
    pub(super) fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        let since: Option<i64> = row.get(first + 3)?;
        Ok(Self {
            run: RunId(row.get(first)?),
            number: row.get(first + 1)?,
            position: Position(natural(row.get(first + 2)?)),
            since: since.map(|since| Position(natural(since))),
            attempts: row.get::<_, Option<u32>>(first + 4)?.unwrap_or(0),
            editor: row.get::<_, Option<String>>(first + 5)?.map(ReviewerName::new),
        })
    }

    fn damaged(&self, why: &str) -> ReadError {
        ReadError::Damaged(format!("call {} of run {} {why}", self.number, self.run))
    }
}

/// Reads the row of a call. Its row, its events and its run are written in one transaction, so a missing event or run
/// means that the file is damaged.
pub(super) fn call_row(connection: &Connection, location: &CallLocation) -> Result<CallRow, ReadError> {
    let call = match location.since {
        Some(since) => revised(connection, location, since)?,
        None => call(connection, &location.run, location.number)?.ok_or_else(|| location.damaged("has no events"))?,
    };
    let (state, _) = run(connection, &location.run)?.ok_or_else(|| location.damaged("has no run"))?;
    Ok(CallRow::new(location.run.clone(), &state.run, location.position, &call))
}

/// The call with the values that a row shows. Votes on earlier revisions do not count for the current one, so events
/// before the current revision are not read; decisions and grants from before it are missing.
fn revised(connection: &Connection, location: &CallLocation, since: Position) -> Result<Call, ReadError> {
    let mut events = events_of(connection, &location.run, location.number, "position >=", since.0)?.into_iter();
    let first = events.next().ok_or_else(|| location.damaged("has no such revision"))?;
    #[allow(clippy::wildcard_enum_match_arm, reason = "only these two begin another revision")]
    let (revision, held) = match first.event {
        Event::CallRevised { call, revision, proposal, clearance, .. }
        | Event::CallReheld { call, revision, proposal, clearance, .. } => {
            (revision, Event::CallHeld { call, proposal, clearance })
        }
        _ => return Err(location.damaged("has a different event in the place of its revision")),
    };
    let opened = Call::open(&held, first.at).ok_or_else(|| location.damaged("cannot be opened"))?;
    let (edited_by, proposed_at) = (location.editor.clone(), written_at(connection, location.position)?);
    let mut call = Call { revision, edited_by, proposed_at, ..opened };
    for RecordedEvent { event, at, .. } in events {
        call.apply(&event, at).map_err(|error| location.damaged(&error.to_string()))?;
    }
    Ok(Call { attempts: location.attempts, ..call })
}

fn written_at(connection: &Connection, at: Position) -> Result<Time, ReadError> {
    let mut statement = connection.prepare_cached("SELECT at FROM events WHERE position = ?1")?;
    Ok(Time(natural(statement.query_row([integer(at.0)], |row| row.get(0))?)))
}

/// A decision on the revision that began at `since`. The event before the decision is read only if it tells who
/// cancelled the run.
pub(super) fn decision_row(
    connection: &Connection,
    at: Position,
    since: Position,
    location: &CallLocation,
) -> Result<DecisionRow, ReadError> {
    let damaged = || ReadError::Damaged(format!("the event at position {} is not a decision", at.0));
    let select = format!(
        "SELECT {EVENT_COLUMNS} FROM events JOIN events AS decided ON decided.position = ?1 \
         WHERE events.run = decided.run AND events.seq <= decided.seq ORDER BY events.seq DESC"
    );
    let mut statement = connection.prepare_cached(&select)?;
    let mut rows = statement.query([integer(at.0)])?;
    let (event, _) = recorded(connection, rows.next()?.ok_or_else(damaged)?, 0)?;
    let before = match (&event.event, rows.next()?) {
        (Event::CallCancelled { .. }, Some(row)) => Some(recorded(connection, row, 0)?.0),
        _ => None,
    };
    let record = decision(&event.event, before.as_ref().map(|before| &before.event)).ok_or_else(damaged)?;
    let select = format!("SELECT {EVENT_COLUMNS} FROM events WHERE position = ?1");
    let mut statement = connection.prepare_cached(&select)?;
    let mut rows = statement.query([integer(since.0)])?;
    let (then, _) = recorded(connection, rows.next()?.ok_or_else(damaged)?, 0)?;
    DecisionRow::new(at, event.at, record, &then.event, call_row(connection, location)?).ok_or_else(damaged)
}

/// Reads a grant from its projection, which holds the whole grant, and from the id and position of the call with which
/// the grant was made.
pub(super) fn grant_row(connection: &Connection, row: &Row<'_>) -> Result<GrantRow, ReadError> {
    let (granted, id) = (row.get::<_, String>(0)?, CallId { run: RunId(row.get(1)?), call: row.get(2)? });
    let damaged = |error| ReadError::Damaged(format!("the grant {id}: {error}"));
    let granted: GrantRecord = serde_json::from_str(&granted).map_err(damaged)?;
    let used = total(connection, &Counter::of_grant(&id, &granted.grant.capability))?;
    Ok(GrantRow { id, position: Position(natural(row.get(3)?)), granted, used })
}
