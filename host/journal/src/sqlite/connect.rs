//! Connections to a file, with the settings that every connection of this host has.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

/// How long a connection waits for another connection of this host, for example during a checkpoint.
const BUSY_WAIT: Duration = Duration::from_secs(10);

/// A connection with the settings that every connection of this host has.
pub(super) fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = bare(path, access)?;
    if access.contains(OpenFlags::SQLITE_OPEN_READ_WRITE) {
        make_durable(&connection)?;
    }
    Ok(connection)
}

pub(super) fn bare(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_WAIT)?;
    // With this setting, the plan of a statement does not depend on the bound values. Otherwise SQLite would plan the
    // statement again when other values are bound.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Applies the settings with which a commit returns only after the log (WAL) is flushed.
pub(super) fn make_durable(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")
}
