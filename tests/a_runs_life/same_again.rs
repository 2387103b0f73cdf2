//! The times and the random numbers that a run sees are the same in every replay.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Host, until};
use crate::{LONG, answer, folder, host, lines};

/// A task with everything that the fixture can ask of WASI, and a question in the middle.
const TASK: &str =
    "now wall random bytes sleep=5 race=3600000,10 list wall random ask random bytes sleep=5 race=10,10 list now";
/// How many lines of the result come before the answer.
const BEFORE: usize = 9;

/// One instance is answered while it is in memory, and is never replayed. Two other hosts get a copy of its journal
/// while it waits, and replay it. All three must have seen the same, although they went on at different times. A second
/// run must have seen something else.
#[test]
fn an_instance_and_its_replays_see_the_same() {
    let (original, host) = host(&["clock"], LONG, "");
    let (run, other) = (host.start("clock", TASK), host.start("clock", TASK));
    host.held(&run);
    host.held(&other);
    let copies = [0, LONG].map(|linger_ms| folder(&["clock"], &format!("[limits]\nlinger-ms = {linger_ms}\n")));
    copies.iter().for_each(|copy| copy_state(original.path(), copy.path()));
    let first = finish(&host, &run);
    assert_eq!(host.figure("holdshort_instances_started_total"), 2, "the original was answered in place");
    // A file is added to the folder of files. A listing before the question is answered from the journal, and a listing
    // after it shows the new file.
    fs::write(copies[0].path().join("files/new"), "").unwrap();
    for copy in &copies {
        let host = copy.serve();
        let again = finish(&host, &run);
        assert!(host.figure("holdshort_events_replayed_total") > 1, "the copy was replayed");
        assert_eq!(again[..=BEFORE], first[..=BEFORE]);
        assert_eq!(again[BEFORE + 1..BEFORE + 3], first[BEFORE + 1..BEFORE + 3], "chance goes on where it was");
        assert_eq!(again[BEFORE + 4], "race [0, 1]");
        let files = fs::read_dir(copy.path().join("files")).unwrap().count();
        assert_eq!(again[BEFORE + 5], format!("list {files}"));
        assert!(number(&again, "now") > number(&first, "now"), "time goes on with the answer");
    }
    let elsewhere = finish(&host, &other);
    for line in [2, 3, 8, BEFORE + 1] {
        assert_ne!(elsewhere[line], first[line], "another run has chance of its own");
    }
    assert_eq!((first[5].as_str(), first[6].as_str()), ("race [1]", "list 0"));
}

/// Answers the run's question, and returns what the run saw.
fn finish(host: &Host, run: &str) -> Vec<String> {
    answer(host, run, "go on");
    let row: Value = host.over(run);
    let lines = lines(&row);
    assert_eq!((lines.len(), lines[BEFORE].as_str()), (16, "ask go on"), "{lines:?}");
    lines
}

/// The number on the last line of this kind.
fn number(lines: &[String], word: &str) -> u64 {
    lines.iter().rev().find_map(|line| line.strip_prefix(word)?.trim().parse().ok()).unwrap()
}

/// Copies the state folder of a running host. The host is idle, so that the files match each other.
fn copy_state(from: &Path, to: &Path) {
    let (from, to) = (from.join(".holdshort"), to.join(".holdshort"));
    fs::create_dir(&to).unwrap();
    for name in ["journal.db", "journal.db-wal", "token"] {
        until("file of the journal", || from.join(name).exists().then_some(()));
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}
