//! The life of a run in a real host: it starts, is held, waits in memory or is parked, wakes in memory or by a replay,
//! and ends in one of five ways. Every replay shows the run the same values, and a parked run costs only rows in the
//! journal.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(unreachable_pub, reason = "modules of a test")]

#[path = "support/mod.rs"]
mod support;

#[path = "a_runs_life/checked.rs"]
mod checked;
#[path = "a_runs_life/delayed.rs"]
mod delayed;
#[path = "a_runs_life/ends.rs"]
mod ends;
#[path = "a_runs_life/parked.rs"]
mod parked;
#[path = "a_runs_life/same_again.rs"]
mod same_again;
#[path = "a_runs_life/told.rs"]
mod told;
#[path = "a_runs_life/waits.rs"]
mod waits;

use serde_json::{Value, json};
use support::{Folder, Host, component, evidence};

/// An operator's folder whose agents share the folder `files`, which is empty.
pub fn folder(agents: &[&str], more: &str) -> Folder {
    let section = |name: &&str| {
        format!("[agents.{name}]\ncomponent = \"{}\"\nworkspace = \"files\"\n\n", component(name).display())
    };
    let folder = Folder::new(&[], &(agents.iter().map(section).collect::<String>() + more));
    std::fs::create_dir(folder.path().join("files")).unwrap();
    folder
}

/// A host whose instances stay in memory for `linger_ms` while they wait.
pub fn host(agents: &[&str], linger_ms: u64, more_limits: &str) -> (Folder, Host) {
    let folder = folder(agents, &format!("[limits]\nlinger-ms = {linger_ms}\n{more_limits}\n"));
    let host = folder.serve();
    (folder, host)
}

/// A time in milliseconds, so long that an instance stays in memory for the whole test.
pub const LONG: u64 = 3_600_000;

/// Answers the question that `run` waits for.
pub fn answer(host: &Host, run: &str, text: &str) {
    let approval = host.held(run);
    let (status, answer) = host.decide(&approval, "respond", &json!({ "message": text }));
    assert_eq!((status, &answer["state"]), (200, &json!("answered")), "{answer}");
}

/// The kinds of a run's events. The events must be numbered from 1 without a gap.
pub fn kinds(host: &Host, run: &str) -> Vec<String> {
    let events = host.events(run);
    let numbers: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
    events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

/// The lines that a finished run returned.
pub fn lines(row: &Value) -> Vec<String> {
    assert_eq!(row["state"], "finished", "{row}");
    row["result"]["ok"].as_str().unwrap().lines().map(str::to_owned).collect()
}
