//! The tables, and how an older file is brought to the current version.

/// Marks the file as a Holdshort journal; SQLite keeps it in the file's header.
pub(super) const APPLICATION_ID: i64 = 0x484f_4c44;

/// The version of the tables below; SQLite keeps it in the file's header too.
pub(super) const VERSION: i64 = 1 + STEPS.len() as i64;

/// The steps from each version of the file to the next, beginning with version 1. A new file gets all of them.
/// Projections need no steps, because they are made again.
const STEPS: [&str; 1] = [super::notified::TABLES];

/// The steps that a file of `version` lacks.
pub(super) fn lacking(version: i64) -> impl Iterator<Item = &'static str> {
    STEPS.into_iter().skip(usize::try_from(version.saturating_sub(1)).unwrap_or(0))
}

/// The version of the projections. If this version is raised, opening a journal makes every projection again.
pub(super) const PROJECTION: &str = "8";

/// The tables of the first version ([`KEPT`]) and the current projections ([`PROJECTED`]).
pub(super) const TABLES: [&str; 2] = [KEPT, PROJECTED];

/// The tables that cannot be made again, and the projections of runs.
///
/// `runs.id` is the only column of `runs` whose value no event holds; the other columns of `runs` are projections.
/// `events.call` is set only for consequential calls: such a call is folded from its own events, which an index finds.
const KEPT: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE runs (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    phase TEXT NOT NULL,
    last_seq INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    held INTEGER NOT NULL,
    last_consequential INTEGER,
    timers INTEGER NOT NULL,
    detail TEXT,
    deadline INTEGER,
    updated_at INTEGER NOT NULL
);
CREATE INDEX runs_by_phase ON runs (phase, id);
CREATE INDEX runs_by_deadline ON runs (deadline) WHERE deadline IS NOT NULL;
CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    call INTEGER,
    at INTEGER NOT NULL,
    format INTEGER NOT NULL,
    body TEXT,
    blob BLOB,
    UNIQUE (run, seq)
);
CREATE INDEX events_by_call ON events (run, call) WHERE call IS NOT NULL;
CREATE TABLE blobs (digest BLOB PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE logs (
    run INTEGER NOT NULL,
    line INTEGER NOT NULL,
    at INTEGER NOT NULL,
    level TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (run, line)
) WITHOUT ROWID;
";

/// Projections of calls, which are dropped and made again when their version grows.
///
/// - `names` gives agents, capabilities and reviewers a number, which is shorter than the name.
/// - A call with `everybody` waits for all reviewers except its `exceptions`; any other call waits only for its
///   `exceptions`.
/// - `rank` is [`rank()`](crate::inbox::rank). Only the index stores it; the table computes it when it is read.
/// - `deed` and `about` are the first 8 bytes of the digests of a waiting call's effect and subject. By them similar
///   calls find it. They are empty once the call is over.
/// - `kind` is the digest by which the last performed call of its kind is found.
/// - `since` is the position of the event that began the current revision, if it is not the first revision. A row of a
///   list is made from the events since that position, so a long earlier history costs nothing. `attempts` and `editor`
///   keep what a row needs of the earlier history.
/// - `decisions.since` is the position of the event that began the revision that was decided on.
/// - `made` has the runs that requests with a key created.
/// - `grants` has the grants of the calls at their positions.
/// - `words` finds finished calls by their words.
pub(super) const PROJECTED: &str = "
CREATE TABLE names (number INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE calls (
    position INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    call INTEGER NOT NULL,
    phase TEXT NOT NULL,
    deadline INTEGER,
    agent INTEGER NOT NULL,
    capability INTEGER NOT NULL,
    urgency INTEGER NOT NULL,
    everybody INTEGER NOT NULL,
    deed INTEGER,
    about INTEGER,
    kind BLOB,
    since INTEGER,
    attempts INTEGER,
    editor TEXT,
    rank INTEGER AS ((urgency << 61) | min(coalesce(deadline, 2305843009213693951), 2305843009213693951)),
    UNIQUE (run, call)
);
CREATE INDEX calls_by_phase ON calls (phase);
CREATE INDEX calls_by_rank ON calls (phase, rank);
CREATE INDEX calls_by_deed ON calls (deed) WHERE deed IS NOT NULL;
CREATE INDEX calls_by_about ON calls (about) WHERE about IS NOT NULL;
CREATE INDEX calls_by_kind ON calls (kind) WHERE kind IS NOT NULL;
CREATE INDEX calls_by_deadline ON calls (deadline) WHERE deadline IS NOT NULL;
CREATE TABLE totals (counter TEXT PRIMARY KEY, total TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE made (key BLOB PRIMARY KEY, run INTEGER NOT NULL, asks BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE grants (position INTEGER PRIMARY KEY, until INTEGER NOT NULL, revoked INTEGER NOT NULL, granted TEXT NOT NULL);
CREATE TABLE exceptions (position INTEGER, reviewer INTEGER, PRIMARY KEY (position, reviewer)) WITHOUT ROWID;
CREATE TABLE decisions (position INTEGER PRIMARY KEY, call INTEGER NOT NULL, kind INTEGER NOT NULL, reviewer INTEGER, since INTEGER);
CREATE INDEX decisions_by_call ON decisions (call);
CREATE INDEX decisions_by_reviewer ON decisions (reviewer) WHERE reviewer IS NOT NULL;
CREATE VIRTUAL TABLE words USING fts5 (text, content = '', columnsize = 0, detail = none, tokenize = 'ascii');
";

/// Drops the tables that [`PROJECTED`] makes, of any version.
pub(super) const DROPPED: &str = "
DROP TABLE IF EXISTS names;
DROP TABLE IF EXISTS calls;
DROP TABLE IF EXISTS exceptions;
DROP TABLE IF EXISTS decisions;
DROP TABLE IF EXISTS words;
DROP TABLE IF EXISTS totals;
DROP TABLE IF EXISTS grants;
DROP TABLE IF EXISTS made;
";
