//! The notes about notifications in a SQLite file.

use holdshort_gate::{Call, CallId, CallState, RunId, Time};
use rusqlite::{Connection, OptionalExtension, Row};

use super::codec::{integer, limit, natural};
use super::load;
use crate::error::ReadError;
use crate::notified::{NotificationRecord, stands};
use crate::rows::Position;

/// The tables. Neither is a projection: their contents cannot be made again from the events.
pub(super) const TABLES: &str = "
CREATE TABLE told (target TEXT PRIMARY KEY, up_to INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE reminded (
    run INTEGER NOT NULL,
    call INTEGER NOT NULL,
    target TEXT NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (run, call, target)
) WITHOUT ROWID;
";

/// Stores a note. A reminder is stored only if its call still waits, because the reminder of a decided call would stay
/// for ever.
pub(super) fn record_notification(connection: &Connection, note: &NotificationRecord) -> Result<(), ReadError> {
    match note {
        NotificationRecord::Delivered { target, up_to } => {
            let upsert = "INSERT OR REPLACE INTO told (target, up_to) VALUES (?1, ?2)";
            connection.prepare_cached(upsert)?.execute((target, integer(up_to.0)))?;
        }
        NotificationRecord::KeepOnly { targets } => {
            let targets = serde_json::to_string(targets).map_err(|error| ReadError::Store(error.to_string()))?;
            for table in ["told", "reminded"] {
                let forget = format!("DELETE FROM {table} WHERE target NOT IN (SELECT value FROM json_each(?1))");
                connection.execute(&forget, [&targets])?;
            }
        }
        NotificationRecord::Reminded { target, call: CallId { run, call }, revision } => {
            if load::call(connection, run, *call)?.is_some_and(|call| stands(&call, *revision)) {
                let upsert = "INSERT OR REPLACE INTO reminded (run, call, target, revision) \
                              SELECT number, ?2, ?3, ?4 FROM runs WHERE id = ?1";
                connection.prepare_cached(upsert)?.execute((&run.0, call, target, revision))?;
            }
        }
    }
    Ok(())
}

/// Removes the reminders that no longer fit a changed call.
pub(super) fn changed(connection: &Connection, run: Option<i64>, call: &Call) -> rusqlite::Result<()> {
    let forget = "DELETE FROM reminded WHERE run = ?1 AND call = ?2 AND NOT (revision = ?3 AND ?4)";
    let held = stands(call, call.revision);
    connection.prepare_cached(forget)?.execute((run, call.number, call.revision, held)).map(drop)
}

/// The position up to which a target was notified.
pub(super) fn notified_up_to(connection: &Connection, target: &str) -> Result<Option<Position>, ReadError> {
    let mut statement = connection.prepare_cached("SELECT up_to FROM told WHERE target = ?1")?;
    Ok(statement.query_row([target], |row| Ok(Position(natural(row.get(0)?)))).optional()?)
}

/// Reads the index of deadlines only between the two times, so neither later nor past deadlines are read.
pub(super) fn to_remind(
    connection: &Connection,
    target: &str,
    (now, until): (Time, Time),
    most: usize,
) -> Result<Vec<CallId>, ReadError> {
    let mut statement = connection.prepare_cached(TO_REMIND)?;
    let due = |row: &Row<'_>| Ok(CallId { run: RunId(row.get(0)?), call: row.get(1)? });
    let values = (integer(now.0), integer(until.0), target, limit(most), CallState::Held.as_str());
    let rows = statement.query_map(values, due)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The index of deadlines gives the order that [`to_remind`] needs. `+calls.phase` keeps SQLite from reading every held
/// call by the index of phases.
pub(super) const TO_REMIND: &str = "SELECT runs.id, calls.call FROM calls JOIN runs ON runs.number = calls.run \
     WHERE calls.deadline > ?1 AND calls.deadline <= ?2 AND +calls.phase = ?5 AND NOT EXISTS \
     (SELECT 1 FROM reminded WHERE reminded.run = calls.run AND reminded.call = calls.call AND reminded.target = ?3) \
     ORDER BY calls.deadline LIMIT ?4";
