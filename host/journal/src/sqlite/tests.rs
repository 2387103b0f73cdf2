//! Tests of private parts of this module: the settings of connections, and the plans of queries.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, StatementStatus};

use super::connect::connect;
use super::open::open;

fn pragma(connection: &Connection, name: &str) -> String {
    let text = |value: rusqlite::types::Value| format!("{value:?}");
    connection.pragma_query_value(None, name, |row| row.get(0)).map(text).unwrap()
}

/// Asserts that the connection uses WAL and `synchronous = FULL` (2), so that no commit is reported before the log is
/// flushed.
fn assert_durable(connection: &Connection, what: &str) {
    assert_eq!(pragma(connection, "journal_mode"), "Text(\"wal\")", "{what}");
    assert_eq!(pragma(connection, "synchronous"), "Integer(2)", "{what}");
}

#[test]
fn every_connection_that_writes_flushes_each_commit() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("journal.db");
    let first = open(&path).unwrap_or_else(|error| panic!("{error}")).store;
    assert_durable(first.connection(), "a new journal");
    drop(first);
    let again = open(&path).unwrap_or_else(|error| panic!("{error}")).store;
    assert_durable(again.connection(), "an old journal");
    assert_durable(&connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap(), "after a commit that failed");
    // A plain connection, to show that these settings are not SQLite's defaults.
    let plain = Connection::open(Path::new(":memory:")).unwrap();
    assert_eq!(pragma(&plain, "journal_mode"), "Text(\"memory\")");
}

/// How often a statement was planned again while other limits were bound to it.
fn planned_again(connection: &Connection) -> i32 {
    let mut statement = connection.prepare("SELECT position FROM events WHERE run = ?1 ORDER BY seq LIMIT ?2").unwrap();
    for limit in 1..10 {
        assert_eq!(statement.query_map((1, limit), |row| row.get::<_, i64>(0)).unwrap().count(), 0);
    }
    statement.get_status(StatementStatus::RePrepare)
}

#[test]
fn a_statement_is_planned_once() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("journal.db");
    let opened = open(&path).unwrap_or_else(|error| panic!("{error}"));
    let reader = connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    assert_eq!((planned_again(opened.store.connection()), planned_again(&reader)), (0, 0));
    // A plain connection plans the statement again, so the setting is not SQLite's default.
    assert!(planned_again(&Connection::open(&path).unwrap()) > 0);
}

/// Even if many calls wait, an index finds the similar calls, and no more calls are read than were asked for.
#[test]
fn calls_that_are_alike_are_found_by_an_index() {
    let folder = tempfile::TempDir::new().unwrap();
    let opened = open(&folder.path().join("journal.db")).unwrap_or_else(|error| panic!("{error}"));
    let alike = super::lists::LIKE.into_iter().zip(["calls_by_deed", "calls_by_about"]);
    for (select, index) in alike.chain([(super::lists::LAST_PERFORMED, "calls_by_kind")]) {
        let mut statement = opened.store.connection().prepare(&format!("EXPLAIN QUERY PLAN {select}")).unwrap();
        let values = rusqlite::params_from_iter([1, 33].into_iter().take(statement.parameter_count()));
        let plan = statement.query_map(values, |row| row.get::<_, String>(3)).unwrap();
        let plan = plan.map(Result::unwrap).collect::<Vec<_>>().join("; ");
        assert!(plan.starts_with(&format!("SEARCH calls USING INDEX {index} (")), "{plan}");
        assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{plan}");
    }
}
