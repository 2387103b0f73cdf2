//! The statements of the writer for events and runs, and the order of a batch. Calls and decisions are in `project`.

use std::collections::{HashMap, HashSet};

use holdshort_gate::event::EVENT_FORMAT;
use holdshort_gate::{CallId, Digest, RunId};
use rusqlite::{Connection, OptionalExtension};

use super::codec::{BODY_BYTES_MAX, detail, integer};
use super::notified as notes;
use crate::history::decision;
use crate::rows::StoredRun;
use crate::rows::{JournalEntry, timer};
use crate::store::{Batch, LOG_LINES_MAX, opens, revises};

/// The statements of one transaction.
pub(super) struct Insert<'a> {
    pub(super) transaction: &'a Connection,
    /// The row numbers of runs by their ids, as far as this transaction has used them. Events and calls refer to the
    /// number, which is shorter than the id.
    runs: HashMap<RunId, i64>,
    /// The numbers of names, as far as this transaction has used them.
    names: HashMap<String, i64>,
}

impl<'a> Insert<'a> {
    pub(super) fn new(transaction: &'a Connection) -> Self {
        Self { transaction, runs: HashMap::new(), names: HashMap::new() }
    }

    /// Writes a batch. Runs are written first, because events refer to their rows. Calls are written after events,
    /// because a call's row has the position of the event that opened the call. A log line without a run is left out:
    /// log lines are hints, and a hint must not make a batch fail.
    pub(super) fn batch(&mut self, batch: &Batch) -> Result<(), String> {
        let text_of = |error: rusqlite::Error| error.to_string();
        for (run, state) in &batch.runs {
            self.run(run, state).map_err(text_of)?;
        }
        let (mut opened, mut lived) = (HashMap::new(), HashSet::new());
        for entry in &batch.events {
            if let Some(call) = opens(&entry.recorded.event) {
                opened.insert((&entry.run, call), entry.position.0);
            }
            if !matches!(entry.recorded.event, holdshort_gate::Event::GrantRevoked { .. }) {
                lived.extend(entry.recorded.event.call().map(|call| (&entry.run, call)));
            }
            self.event(entry)?;
        }
        for (counter, total) in &batch.totals {
            self.total(counter, total).map_err(|error| error.to_string())?;
        }
        for (key, created_run) in &batch.created_run {
            self.created_run(key, created_run).map_err(text_of)?;
        }
        for ((id, number), call) in &batch.calls {
            let run = batch.runs.get(id).ok_or_else(|| format!("run {id} was not staged"))?;
            let news = (opened.get(&(id, *number)).copied(), lived.contains(&(id, *number)));
            let similarity = batch.similar.get(&CallId { run: id.clone(), call: *number }).and_then(Option::as_ref);
            self.call(id, &run.run, call, similarity, news).map_err(|error| error.to_string())?;
        }
        let mut before: Option<&JournalEntry> = None;
        for entry in &batch.events {
            let before = before.replace(entry).filter(|before| before.run == entry.run);
            let event = &entry.recorded.event;
            if let Some(call) = event.call().filter(|_| revises(event)) {
                self.revision(entry.position, &entry.run, call).map_err(text_of)?;
            }
            if let (Some(call), Some(record)) =
                (event.call(), decision(event, before.map(|before| &before.recorded.event)))
            {
                self.decision(entry.position, &entry.run, call, record).map_err(text_of)?;
            }
        }
        for (digest, bytes) in &batch.blobs {
            self.blob(digest, bytes).map_err(text_of)?;
        }
        for note in &batch.notes {
            notes::record_notification(self.transaction, note).map_err(|error| error.to_string())?;
        }
        for (run, line, _) in &batch.logs {
            let Some(run) = self.number(run).map_err(text_of)? else { continue };
            let next = "INSERT INTO logs (run, line, at, level, message) \
                        SELECT ?1, coalesce(max(line), 0) + 1, ?2, ?3, ?4 FROM logs WHERE run = ?1 RETURNING line";
            let values = (run, integer(line.at.0), &line.level, &line.message);
            let line: i64 = self.one(next, values).map_err(text_of)?;
            let oldest = line.saturating_sub(integer(LOG_LINES_MAX));
            self.execute("DELETE FROM logs WHERE run = ?1 AND line <= ?2", (run, oldest)).map_err(text_of)?;
        }
        Ok(())
    }

    /// Inserts the run or updates its row, and remembers the row's number for the later rows of the batch.
    pub(super) fn run(&mut self, id: &RunId, state: &StoredRun) -> rusqlite::Result<()> {
        let upsert = "INSERT INTO runs (id, phase, last_seq, calls, held, last_consequential, timers, detail, deadline, updated_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (id) DO UPDATE SET \
             phase = excluded.phase, last_seq = excluded.last_seq, calls = excluded.calls, held = excluded.held, \
             last_consequential = excluded.last_consequential, timers = excluded.timers, detail = excluded.detail, \
             deadline = excluded.deadline, updated_at = excluded.updated_at RETURNING number";
        let run = &state.run;
        let values = (
            &id.0,
            run.phase.state().as_str(),
            integer(state.last_seq),
            run.calls,
            run.held,
            run.last_consequential,
            run.timers,
            detail(&run.phase),
            timer(run).map(|(_, until)| integer(until.0)),
            integer(state.updated_at.0),
        );
        let number = self.one(upsert, values)?;
        self.runs.insert(id.clone(), number);
        Ok(())
    }

    /// Inserts an event. A body that is over the limit is stored as a blob, so that scanning events stays cheap. The
    /// column `call` stays empty for a routine call, because the index by call serves to find all events of a call, and
    /// a routine call has only this event.
    // INVARIANT: `staged` puts a run's state into the batch with each of its events, so the row is known here; otherwise
    // the batch is refused.
    fn event(&self, entry: &JournalEntry) -> Result<(), String> {
        let run = self.runs.get(&entry.run).ok_or_else(|| format!("run {} was not staged", entry.run))?;
        let event = &entry.recorded.event;
        let body = serde_json::to_string(event).map_err(|error| error.to_string())?;
        let text_of = |error: rusqlite::Error| error.to_string();
        let (body, blob) = if body.len() > BODY_BYTES_MAX {
            let digest = Digest::of(body.as_bytes());
            self.blob(&digest, body.as_bytes()).map_err(text_of)?;
            (None, Some(*digest.bytes()))
        } else {
            (Some(body), None)
        };
        let routine = matches!(event, holdshort_gate::Event::RoutineReturned { .. });
        let values = (
            integer(entry.position.0),
            run,
            integer(entry.recorded.seq),
            event.call().filter(|_| !routine),
            integer(entry.recorded.at.0),
            EVENT_FORMAT,
            body,
            blob,
        );
        let insert = "INSERT INTO events (position, run, seq, call, at, format, body, blob) \
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        self.execute(insert, values).map_err(text_of)
    }

    /// Stores bytes under their digest. Bytes that are stored already are not written again, because the same digest
    /// means the same bytes.
    fn blob(&self, digest: &Digest, bytes: &[u8]) -> rusqlite::Result<()> {
        self.execute("INSERT OR IGNORE INTO blobs (digest, bytes) VALUES (?1, ?2)", (digest.bytes(), bytes))
    }

    /// The row number of a run; `None` if the run does not exist, as may happen with a late log line.
    pub(super) fn number(&mut self, run: &RunId) -> rusqlite::Result<Option<i64>> {
        if let Some(number) = self.runs.get(run) {
            return Ok(Some(*number));
        }
        let mut statement = self.transaction.prepare_cached("SELECT number FROM runs WHERE id = ?1")?;
        let number = statement.query_row([&run.0], |row| row.get(0)).optional()?;
        if let Some(number) = number {
            self.runs.insert(run.clone(), number);
        }
        Ok(number)
    }

    /// Executes a statement. Statements are cached by their text, so that a batch of a thousand events plans each of
    /// them once.
    pub(super) fn execute(&self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<()> {
        self.transaction.prepare_cached(sql)?.execute(values).map(drop)
    }

    /// A statement that returns exactly one number.
    pub(super) fn one(&self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<i64> {
        self.transaction.prepare_cached(sql)?.query_row(values, |row| row.get(0))
    }

    /// The number of a name. A name that is new gets a new number.
    pub(super) fn name(&mut self, name: &str) -> rusqlite::Result<i64> {
        if let Some(number) = self.names.get(name) {
            return Ok(*number);
        }
        let mut known = self.transaction.prepare_cached("SELECT number FROM names WHERE text = ?1")?;
        let number = match known.query_row([name], |row| row.get(0)).optional()? {
            Some(number) => number,
            None => self.one("INSERT INTO names (text) VALUES (?1) RETURNING number", [name])?,
        };
        self.names.insert(name.to_owned(), number);
        Ok(number)
    }

    /// The connection, for reads within the transaction.
    pub(super) fn connection(&self) -> &Connection {
        self.transaction
    }
}
