//! The writer of a SQLite file.

use std::collections::HashMap;
use std::path::PathBuf;

use holdshort_gate::event::EVENT_FORMAT;
use holdshort_gate::{Call, CallNumber, Digest, JournalId, RunId, Time};
use holdshort_gate::{EffectKey, command::Subject};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction};

use super::codec::{BODY_BYTES_MAX, EVENT_COLUMNS, detail, integer, natural, recorded};
use super::open::connect;
use super::read;
use super::schema::PROJECTION;
use super::told;
use crate::error::ReadError;
use crate::rows::{Entry, timer};
use crate::store::{Batch, Head, LOG_LINES_MAX, Load, RunState, Store, WriteError, opens};

/// The one writer.
pub(crate) struct Sqlite {
    path: PathBuf,
    connection: Connection,
    /// Whether a commit failed: what of it is visible may not be on disk, and what is on disk may not be visible.
    doubtful: bool,
}

impl Sqlite {
    pub(super) fn new(path: PathBuf, connection: Connection) -> Self {
        Self { path, connection, doubtful: false }
    }

    #[cfg(test)]
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// After a COMMIT that failed: whether the batch is there can only be told by a connection that did not try.
    fn after_failed_commit(&mut self, first: Option<u64>, error: &rusqlite::Error) -> WriteError {
        let cause = error.to_string();
        match connect(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE) {
            Ok(connection) => self.connection = connection,
            Err(error) => return WriteError::Unknown(format!("{cause}; and it cannot be opened again: {error}")),
        }
        // Frames of the batch may lie in the log though no connection shows them: a crash now could bring them back.
        self.doubtful = true;
        // The frame that commits is written last, so that on a full disk there is none.
        let full = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
        match (self.head(), first) {
            (Err(error), _) => WriteError::Unknown(format!("{cause}; and it cannot be read: {error}")),
            (Ok(head), Some(first)) if head.position >= first => WriteError::Unknown(cause),
            // A batch without events cannot be told by the head, but what it holds may be written twice.
            (Ok(_), _) if full || self.heal().is_ok() => WriteError::NotWritten(cause),
            (Ok(_), _) => WriteError::Unknown(cause),
        }
    }

    /// After a commit that failed, and before anything is built on it: what is visible is copied to the database file, flushed, and the log is cut,
    /// so that what is not visible is gone for good.
    fn heal(&mut self) -> Result<(), WriteError> {
        if self.doubtful {
            let busy = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
            match busy {
                Ok(0) => self.doubtful = false,
                Ok(_) => return Err(WriteError::NotWritten("readers are in the way of a checkpoint".into())),
                Err(error) => return Err(WriteError::NotWritten(error.to_string())),
            }
        }
        Ok(())
    }

    /// Runs `write` in a transaction of its own. `first` is the position of the batch's first event: after a COMMIT that failed, a look at the file's
    /// last event tells by it whether the batch is there. A batch without events has none.
    fn transact(
        &mut self,
        first: Option<u64>,
        write: impl FnOnce(&Transaction<'_>) -> Result<(), String>,
    ) -> Result<(), WriteError> {
        self.heal()?;
        let not_written = |error: rusqlite::Error| WriteError::NotWritten(error.to_string());
        let transaction = self.connection.transaction().map_err(not_written)?;
        // Dropping a transaction rolls it back.
        write(&transaction).map_err(WriteError::NotWritten)?;
        match transaction.commit() {
            Ok(()) => Ok(()),
            Err(error) => Err(self.after_failed_commit(first, &error)),
        }
    }
}

impl Load for Sqlite {
    /// Read on the writer's own connection, which sees the last commit and nothing that is under way.
    fn run(&mut self, run: &RunId) -> Result<Option<RunState>, ReadError> {
        Ok(read::run(&self.connection, run)?.map(|(state, _)| state))
    }

    /// By index: the events of this one call, whatever else the run has done.
    fn call(&mut self, run: &RunId, call: CallNumber) -> Result<Option<Call>, ReadError> {
        read::call(&self.connection, run, call, None)
    }
}

impl Store for Sqlite {
    /// The last event by its place. An empty journal begins at place 0 and at the beginning of time.
    /// The end of the primary key, so that opening a large journal costs no more than opening a small one.
    fn head(&mut self) -> Result<Head, ReadError> {
        let last = "SELECT position, at FROM events ORDER BY position DESC LIMIT 1";
        let head =
            |row: &rusqlite::Row<'_>| Ok(Head { position: natural(row.get(0)?), at: Time(natural(row.get(1)?)) });
        let head = self.connection.prepare_cached(last)?.query_row([], head).optional()?;
        Ok(head.unwrap_or(Head { position: 0, at: Time(0) }))
    }

    /// One transaction for the whole batch: what people and the host look at never differs from the events beneath it.
    fn write(&mut self, batch: &Batch) -> Result<(), WriteError> {
        let first = batch.events.first().map(|entry| entry.position.0);
        self.transact(first, |transaction| Insert::new(transaction).batch(batch))
    }

    /// Writes a page of noise, so that a disk that is still full says so before a command has to.
    /// The row is replaced each time; it takes the same room however often this is asked.
    fn probe(&mut self) -> Result<(), WriteError> {
        self.transact(None, |transaction| {
            let probe = "INSERT OR REPLACE INTO meta (key, value) VALUES ('probe', randomblob(4096))";
            transaction.execute_batch(probe).map_err(|error| error.to_string())
        })
    }
}

/// The statements of one transaction.
struct Insert<'a> {
    transaction: &'a Connection,
    /// The rows of runs by their ids, as far as this transaction has met them. Events and calls refer to the row, which is shorter than the id.
    runs: HashMap<RunId, i64>,
}

impl<'a> Insert<'a> {
    fn new(transaction: &'a Connection) -> Self {
        Self { transaction, runs: HashMap::new() }
    }

    /// Runs come first, because events refer to their rows, and calls after events, because a call's row has the position of the event that opened it.
    /// A line of a log whose run is not there is left out: lines are hints, and no hint makes a batch fail.
    fn batch(&mut self, batch: &Batch) -> Result<(), String> {
        let told = |error: rusqlite::Error| error.to_string();
        for (run, state) in &batch.runs {
            self.run(run, state).map_err(told)?;
        }
        let mut opened = HashMap::new();
        for entry in &batch.events {
            if let Some(call) = opens(&entry.recorded.event) {
                opened.insert((&entry.run, call), entry.position.0);
            }
            self.event(entry)?;
        }
        for ((run, number), call) in &batch.calls {
            self.call(run, call, opened.get(&(run, *number)).copied()).map_err(told)?;
        }
        for (digest, bytes) in &batch.blobs {
            self.blob(digest, bytes).map_err(told)?;
        }
        for note in &batch.notes {
            told::note(self.transaction, note).map_err(|error| error.to_string())?;
        }
        for (run, line, _) in &batch.logs {
            let Some(run) = self.number(run).map_err(told)? else { continue };
            let next = "INSERT INTO logs (run, line, at, level, message) \
                        SELECT ?1, coalesce(max(line), 0) + 1, ?2, ?3, ?4 FROM logs WHERE run = ?1 RETURNING line";
            let values = (run, integer(line.at.0), &line.level, &line.message);
            let line: i64 = self.one(next, values).map_err(told)?;
            let oldest = line.saturating_sub(integer(LOG_LINES_MAX));
            self.execute("DELETE FROM logs WHERE run = ?1 AND line <= ?2", (run, oldest)).map_err(told)?;
        }
        Ok(())
    }

    /// Inserts the run or brings its row up to date, and remembers the row's number for what follows in the batch.
    fn run(&mut self, id: &RunId, state: &RunState) -> rusqlite::Result<()> {
        let upsert = "INSERT INTO runs (id, phase, last_seq, calls, held, last_consequential, timers, detail, deadline, updated_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (id) DO UPDATE SET \
             phase = excluded.phase, last_seq = excluded.last_seq, calls = excluded.calls, held = excluded.held, \
             last_consequential = excluded.last_consequential, timers = excluded.timers, detail = excluded.detail, \
             deadline = excluded.deadline, updated_at = excluded.updated_at RETURNING number";
        let run = &state.run;
        let values = (
            &id.0,
            run.phase.name(),
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

    /// A body that is over the limit goes to the blobs under its digest, so that scanning events stays cheap.
    /// The column `call` stays empty for a routine call, which is whole in its one event: the index by call is for those that are folded from several.
    // INVARIANT: `staged` puts a run's state into the batch with each of its events, so the row is known by now; else the batch is refused.
    fn event(&self, entry: &Entry) -> Result<(), String> {
        let run = self.runs.get(&entry.run).ok_or_else(|| format!("run {} was not staged", entry.run))?;
        let event = &entry.recorded.event;
        let body = serde_json::to_string(event).map_err(|error| error.to_string())?;
        let told = |error: rusqlite::Error| error.to_string();
        let (body, blob) = if body.len() > BODY_BYTES_MAX {
            let digest = Digest::of(body.as_bytes());
            self.blob(&digest, body.as_bytes()).map_err(told)?;
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
        self.execute(insert, values).map_err(told)
    }

    /// The projection of a call holds what lists filter by; everything else is read from its events.
    /// `opened` is where this batch opened the call. Without it the call has its row from an earlier batch, and only where it stands is written anew.
    fn call(&mut self, run: &RunId, call: &Call, opened: Option<u64>) -> rusqlite::Result<()> {
        let (run, phase) = (self.number(run)?, call.phase.name());
        let deadline = call.deadline().map(|at| integer(at.0));
        told::changed(self.transaction, run, call)?;
        if let Some(position) = opened {
            let insert = "INSERT INTO calls (position, run, call, phase, deadline) VALUES (?1, ?2, ?3, ?4, ?5)";
            self.execute(insert, (integer(position), run, call.number, phase, deadline))
        } else {
            let update = "UPDATE calls SET phase = ?3, deadline = ?4 WHERE run = ?1 AND call = ?2";
            self.execute(update, (run, call.number, phase, deadline))
        }
    }

    /// The same digest means the same bytes, so what is there already is left alone.
    fn blob(&self, digest: &Digest, bytes: &[u8]) -> rusqlite::Result<()> {
        self.execute("INSERT OR IGNORE INTO blobs (digest, bytes) VALUES (?1, ?2)", (digest.bytes(), bytes))
    }

    /// The row of a run; none if the run does not exist, which a late log line may find.
    fn number(&mut self, run: &RunId) -> rusqlite::Result<Option<i64>> {
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

    /// Statements are cached by their text, so that a batch of a thousand events plans each of them once.
    fn execute(&self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<()> {
        self.transaction.prepare_cached(sql)?.execute(values).map(drop)
    }

    /// A statement that returns exactly one number.
    fn one(&self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<i64> {
        self.transaction.prepare_cached(sql)?.query_row(values, |row| row.get(0))
    }
}

/// Makes every projection anew from the events, in one transaction.
pub(super) fn rebuild(connection: &mut Connection) -> Result<(), ReadError> {
    let transaction = connection.transaction()?;
    transaction.execute("DELETE FROM calls", [])?;
    let id = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, RunId(row.get(1)?)));
    let runs: Vec<(i64, RunId)> =
        transaction.prepare("SELECT number, id FROM runs")?.query_map([], id)?.collect::<rusqlite::Result<_>>()?;
    for (number, id) in runs {
        rebuild_run(&transaction, number, id)?;
    }
    transaction.execute("UPDATE meta SET value = ?1 WHERE key = 'projection'", [PROJECTION.as_bytes()])?;
    transaction.commit()?;
    Ok(())
}

/// Folds one run's events through the gate's own `apply`, as the writer did when they were new, and writes what comes of it over what is projected now.
/// The subject holds one call at a time, so a call that is met again after another one is taken back out of the batch.
fn rebuild_run(transaction: &Transaction<'_>, number: i64, id: RunId) -> Result<(), ReadError> {
    let damaged = |why: String| ReadError::Damaged(format!("run {id}: {why}"));
    // Neither the journal's name nor a key plays a part in what events make of a run.
    let mut subject = Subject::new(JournalId(String::new()), id.clone(), EffectKey(String::new()));
    let (mut batch, mut opened) = (Batch::default(), HashMap::new());
    let mut last = None;
    let select =
        format!("SELECT {EVENT_COLUMNS}, events.position, events.call FROM events WHERE run = ?1 ORDER BY seq");
    let mut statement = transaction.prepare_cached(&select)?;
    let mut rows = statement.query([number])?;
    while let Some(row) = rows.next()? {
        let (recorded, _) = recorded(transaction, row, 0)?;
        let call: Option<CallNumber> = row.get(6)?;
        if let Some(call) = opens(&recorded.event) {
            opened.insert(call, natural(row.get(5)?));
        } else if let Some(call) = call.filter(|call| subject.call.as_ref().map(|call| call.number) != Some(*call)) {
            subject.call = batch.calls.get(&(id.clone(), call)).cloned();
        }
        subject.apply(&recorded.event, recorded.at).map_err(|error| damaged(error.to_string()))?;
        if let Some(changed) = subject.call.as_ref().filter(|changed| call == Some(changed.number)) {
            batch.calls.insert((id.clone(), changed.number), changed.clone());
        }
        last = Some((recorded.seq, recorded.at));
    }
    let ((last_seq, updated_at), run) = last.zip(subject.run).ok_or_else(|| damaged("it has no first event".into()))?;
    let mut insert = Insert::new(transaction);
    insert.run(&id, &RunState { run, last_seq, updated_at })?;
    for ((run, number), call) in &batch.calls {
        insert.call(run, call, opened.get(number).copied())?;
    }
    Ok(())
}
