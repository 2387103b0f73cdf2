//! The writer of a SQLite file.

use std::path::PathBuf;

use holdshort_gate::{Call, CallId, CallNumber, Counter, CreatedRun, Digest, RunId, Time, Total};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction};

use super::codec::natural;
use super::connect::connect;
use super::insert::Insert;
use super::{lists, load};
use crate::error::ReadError;
use crate::rows::StoredRun;
use crate::store::{Batch, Head, Load, Store, WriteError};

/// The one writer of the file.
pub(crate) struct Sqlite {
    path: PathBuf,
    connection: Connection,
    /// Whether a commit has failed and its remains were not removed yet. Until then readers may see data that is not on
    /// disk, and the disk may have data that no reader sees.
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

    /// Finds out what a failed COMMIT did. A new connection is opened, because the one that failed cannot tell whether
    /// the batch is in the file.
    fn after_failed_commit(&mut self, first: Option<u64>, error: &rusqlite::Error) -> WriteError {
        let cause = error.to_string();
        match connect(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE) {
            Ok(connection) => self.connection = connection,
            Err(error) => {
                return WriteError::Unknown(format!("{cause}; and the journal cannot be opened again: {error}"));
            }
        }
        // The log may contain frames of the batch that no connection shows. A crash now could make them visible.
        self.doubtful = true;
        // SQLite writes the frame that commits as the last one. If the disk was full, this frame is missing.
        let full = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
        match (self.head(), first) {
            (Err(error), _) => WriteError::Unknown(format!("{cause}; and the journal cannot be read: {error}")),
            (Ok(head), Some(first)) if head.position >= first => WriteError::Unknown(cause),
            // The position of the last event does not show whether a batch without events was written. Writing such a
            // batch again does no harm, so it counts as not written.
            (Ok(_), _) if full || self.heal().is_ok() => WriteError::NotWritten(cause),
            (Ok(_), _) => WriteError::Unknown(cause),
        }
    }

    /// Removes the remains of a failed commit before the next transaction: it copies the visible data to the database
    /// file, flushes the file and cuts the log. Invisible data is then gone for good.
    fn heal(&mut self) -> Result<(), WriteError> {
        if self.doubtful {
            let busy = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
            match busy {
                Ok(0) => self.doubtful = false,
                Ok(_) => return Err(WriteError::NotWritten("readers of the journal prevent a checkpoint".into())),
                Err(error) => return Err(WriteError::NotWritten(error.to_string())),
            }
        }
        Ok(())
    }

    /// Runs `write` in a transaction of its own. `first` is the position of the batch's first event, or `None` if the
    /// batch has no events. If COMMIT fails, `first` is compared with the position of the file's last event, which
    /// shows whether the batch is in the file.
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
    /// Reads on the writer's own connection. The connection sees the last commit, because no transaction is open while
    /// commands are judged.
    fn run(&mut self, run: &RunId) -> Result<Option<StoredRun>, ReadError> {
        Ok(load::run(&self.connection, run)?.map(|(state, _)| state))
    }

    /// Finds the call's events by index, so no other events are read.
    fn call(&mut self, run: &RunId, call: CallNumber) -> Result<Option<Call>, ReadError> {
        load::call(&self.connection, run, call)
    }

    fn total(&mut self, counter: &Counter) -> Result<Total, ReadError> {
        load::total(&self.connection, counter)
    }

    fn created_run(&mut self, key: &Digest) -> Result<Option<CreatedRun>, ReadError> {
        load::created_run(&self.connection, key)
    }

    fn similar_calls(&mut self, digest: &Digest, most: usize) -> Result<Vec<CallId>, ReadError> {
        lists::similar_calls(&self.connection, digest, most)
    }
}

impl Store for Sqlite {
    /// The last event by its position. The head of an empty journal is position 0 at time 0. The query reads the end of
    /// the primary key, so opening a large journal costs no more than opening a small one.
    fn head(&mut self) -> Result<Head, ReadError> {
        let last = "SELECT position, at FROM events ORDER BY position DESC LIMIT 1";
        let head =
            |row: &rusqlite::Row<'_>| Ok(Head { position: natural(row.get(0)?), at: Time(natural(row.get(1)?)) });
        let head = self.connection.prepare_cached(last)?.query_row([], head).optional()?;
        Ok(head.unwrap_or(Head { position: 0, at: Time(0) }))
    }

    /// Writes the whole batch in one transaction, so that the projections never differ from the events.
    fn write(&mut self, batch: &Batch) -> Result<(), WriteError> {
        let first = batch.events.first().map(|entry| entry.position.0);
        self.transact(first, |transaction| Insert::new(transaction).batch(batch))
    }

    /// Writes a page of random bytes, so that a disk that is still full is noticed before a command has to be written.
    /// The row is replaced each time, so it does not take more space with each probe.
    fn probe(&mut self) -> Result<(), WriteError> {
        self.transact(None, |transaction| {
            let probe = "INSERT OR REPLACE INTO meta (key, value) VALUES ('probe', randomblob(4096))";
            transaction.execute_batch(probe).map_err(|error| error.to_string())
        })
    }
}
