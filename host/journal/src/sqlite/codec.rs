//! Events and phases as the tables hold them.

use std::borrow::Cow;

use holdshort_gate::event::EVENT_FORMAT;
use holdshort_gate::{Digest, RecordedEvent, Run, RunPhase, RunState, Time};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::error::ReadError;
use crate::rows::StoredRun;

/// The largest body of an event that the table of events holds. A larger body is stored as a blob, so that lists and
/// indices stay small.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;

/// The columns that [`recorded`] reads, in its order.
pub(super) const EVENT_COLUMNS: &str = "events.seq, events.at, events.format, events.body, events.blob";
/// The columns that [`RunColumns::read`] reads, in its order.
pub(super) const RUN_COLUMNS: &str = "runs.phase, runs.last_seq, runs.calls, runs.held, runs.last_consequential, \
     runs.timers, runs.detail, runs.deadline, runs.updated_at";

/// A number for SQLite, whose integers have a sign. A time after the year 292,000 becomes the largest integer.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number from SQLite. The host writes no negative numbers.
pub(super) fn natural(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A key or a small value as JSON.
pub(super) fn json(value: &impl serde::Serialize) -> Result<String, ReadError> {
    serde_json::to_string(value).map_err(|error| ReadError::Damaged(error.to_string()))
}

/// A limit as an integer for SQLite.
pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Reads an event from five columns that begin at `first`, with the number of its bytes.
pub(super) fn recorded(
    connection: &Connection,
    row: &Row<'_>,
    first: usize,
) -> Result<(RecordedEvent, usize), ReadError> {
    let (seq, at): (i64, i64) = (row.get(first)?, row.get(first + 1)?);
    let format: u32 = row.get(first + 2)?;
    if format > EVENT_FORMAT {
        let why = format!(
            "event {seq} has format {format}, but this version of Holdshort reads formats up to {EVENT_FORMAT}"
        );
        return Err(ReadError::Damaged(why));
    }
    let body: Option<String> = row.get(first + 3)?;
    let digest: Option<[u8; 32]> = row.get(first + 4)?;
    let bytes = match (body, digest) {
        (Some(body), _) => body.into_bytes(),
        (None, Some(digest)) => blob(connection, &digest.into())?
            .ok_or_else(|| ReadError::Damaged(format!("the body of event {seq} is missing")))?,
        (None, None) => return Err(ReadError::Damaged(format!("event {seq} has no body"))),
    };
    let event = serde_json::from_slice(&bytes).map_err(|error| ReadError::Damaged(format!("event {seq}: {error}")))?;
    Ok((RecordedEvent { seq: natural(seq), at: Time(natural(at)), event }, bytes.len()))
}

/// The bytes with this digest.
pub(super) fn blob(connection: &Connection, digest: &Digest) -> Result<Option<Vec<u8>>, ReadError> {
    let mut statement = connection.prepare_cached("SELECT bytes FROM blobs WHERE digest = ?1")?;
    Ok(statement.query_row([digest.bytes()], |row| row.get(0)).optional()?)
}

/// The state of a run, without the data that only the run's first event holds.
pub(super) struct RunColumns {
    phase: String,
    last_seq: i64,
    calls: u32,
    held: u32,
    last_consequential: Option<u32>,
    timers: u32,
    detail: Option<String>,
    deadline: Option<i64>,
    updated_at: Time,
}

impl RunColumns {
    /// Reads nine columns that begin at `first`.
    pub(super) fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            phase: row.get(first)?,
            last_seq: row.get(first + 1)?,
            calls: row.get(first + 2)?,
            held: row.get(first + 3)?,
            last_consequential: row.get(first + 4)?,
            timers: row.get(first + 5)?,
            detail: row.get(first + 6)?,
            deadline: row.get(first + 7)?,
            updated_at: Time(natural(row.get(first + 8)?)),
        })
    }

    /// The run, completed from its first event. `id` is used only in errors.
    pub(super) fn run(&self, created: &RecordedEvent, id: &str) -> Result<StoredRun, ReadError> {
        let damaged = |why: &str| ReadError::Damaged(format!("run {id}: {why}"));
        let opened =
            Run::open(&created.event, created.at).ok_or_else(|| damaged("the first event does not create the run"))?;
        let phase = self.phase().ok_or_else(|| damaged(&format!("unknown phase `{}`", self.phase)))?;
        let Self { calls, held, last_consequential, timers, updated_at, .. } = *self;
        let run = Run { calls, held, last_consequential, timers, phase, ..opened };
        Ok(StoredRun { run, last_seq: natural(self.last_seq), updated_at })
    }

    fn phase(&self) -> Option<RunPhase> {
        let detail = || self.detail.clone().unwrap_or_default();
        Some(match self.phase.parse().ok()? {
            RunState::Running => RunPhase::Ready,
            RunState::Delayed => RunPhase::Delayed(serde_json::from_str(&detail()).ok()?),
            RunState::Waiting => RunPhase::Waiting(self.last_consequential?),
            RunState::Sleeping => RunPhase::Sleeping { timer: self.timers, until: Time(natural(self.deadline?)) },
            RunState::Finished => RunPhase::Finished(Ok(detail())),
            RunState::Failed => RunPhase::Finished(Err(detail())),
            RunState::Trapped => RunPhase::Trapped(detail()),
            RunState::Cancelled => RunPhase::Cancelled,
            RunState::Diverged => RunPhase::Diverged(detail()),
        })
    }
}

/// The data of a phase that its name does not tell.
pub(super) fn detail(phase: &RunPhase) -> Option<Cow<'_, str>> {
    match phase {
        RunPhase::Finished(Ok(text) | Err(text)) | RunPhase::Trapped(text) | RunPhase::Diverged(text) => {
            Some(Cow::Borrowed(text))
        }
        RunPhase::Delayed(delayed) => serde_json::to_string(delayed).ok().map(Cow::Owned),
        RunPhase::Ready | RunPhase::Waiting(_) | RunPhase::Sleeping { .. } | RunPhase::Cancelled => None,
    }
}
