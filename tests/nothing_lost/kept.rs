//! The content of a journal, read with the tests' own SQL. Every call must be there exactly once, in one state.

use std::collections::BTreeMap;
use std::path::Path;

use holdshort_gate::CallState;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::operator::Operator;

/// A call, by its run and its number.
type Id = (String, u64);

/// The events of a journal, and the calls that it lists.
pub struct Kept {
    /// `(run, event)`, in the order of commits.
    pub events: Vec<(String, Value)>,
    /// Each call with its state, in the order in which they were proposed.
    pub calls: Vec<(Id, String)>,
}

impl Kept {
    /// Reads a journal without changing a byte.
    pub fn read(journal: &Path) -> Self {
        let journal = Connection::open_with_flags(journal, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let events = "SELECT id, coalesce(body, (SELECT bytes FROM blobs WHERE digest = blob)) FROM events \
                      JOIN runs ON runs.number = run ORDER BY position";
        let mut events = journal.prepare(events).unwrap();
        let event = |row: &rusqlite::Row<'_>| {
            let body = row.get_ref(1)?.as_bytes().unwrap();
            Ok((row.get(0)?, serde_json::from_slice(body).unwrap()))
        };
        let calls = "SELECT id, call, calls.phase FROM calls JOIN runs ON runs.number = run ORDER BY position";
        let mut calls = journal.prepare(calls).unwrap();
        let call = |row: &rusqlite::Row<'_>| Ok(((row.get(0)?, row.get::<_, u32>(1)?.into()), row.get(2)?));
        Self {
            events: events.query_map([], event).unwrap().map(Result::unwrap).collect(),
            calls: calls.query_map([], call).unwrap().map(Result::unwrap).collect(),
        }
    }

    /// The number of events of this kind.
    pub fn count(&self, kind: &str) -> usize {
        self.events.iter().filter(|(_, event)| event["type"] == kind).count()
    }

    /// Checks that every proposed call is listed once, in the state that follows from its events.
    pub fn is_whole(&self) {
        let listed: BTreeMap<Id, String> = self.calls.iter().cloned().collect();
        assert_eq!(listed.len(), self.calls.len(), "no call is listed twice: {:?}", self.calls);
        assert_eq!(listed, folded(&self.events), "what is listed, and what its events make of it");
    }
}

/// The state of each call, by the tests' own rules. The rules assume one reviewer, as these tests have only one.
fn folded(events: &[(String, Value)]) -> BTreeMap<Id, String> {
    let mut calls = BTreeMap::new();
    for (run, event) in events {
        let data = &event["data"];
        let kind = |of: &Value| {
            of.as_str().map_or_else(|| of.as_object().unwrap().keys().next().unwrap().clone(), str::to_owned)
        };
        let state = match event["type"].as_str().unwrap() {
            "call-held" | "call-revised" | "call-reheld" => "held",
            "call-cleared" => "cleared",
            "call-refused" => "refused",
            "call-answered" => "answered",
            "call-expired" => "expired",
            "call-cancelled" => "cancelled",
            "effect-started" => "started",
            // In these tests only reviewers clear calls.
            "effect-postponed" => "approved",
            "effect-succeeded" => "succeeded",
            "effect-failed" => "failed",
            "effect-in-doubt" => "in-doubt",
            "decision-made" => match &*kind(&data["decision"]["verdict"]) {
                "approve" => "approved",
                "reject" => "rejected",
                _ => continue,
            },
            "effect-resolved" => match &*kind(&data["resolution"]) {
                "done" => "succeeded",
                "not-done" => "failed",
                "abandon" => "unresolved",
                _ => "approved",
            },
            _ => continue,
        };
        calls.insert((run.clone(), data["call"].as_u64().unwrap()), state.to_owned());
    }
    calls
}

/// Checks through the host that each call is in one state: the list of each state, the list of all calls, the figures,
/// and the history of each run.
pub fn is_counted(operator: &mut Operator<'_>) {
    let runs: Vec<String> = list(operator, "/v1/runs?limit=200", "runs").iter().map(|run| text(&run["id"])).collect();
    let mut events = Vec::new();
    for run in runs {
        events.extend(operator.history(&run).into_iter().map(|event| (run.clone(), event)));
    }
    let proposed = folded(&events);
    let metrics = text(&operator.get("/metrics"));
    let mut listed = BTreeMap::new();
    for state in CallState::ALL.map(CallState::as_str) {
        let rows = list(operator, &format!("/v1/approvals?state={state}&limit=200"), "approvals");
        let figure =
            metrics.lines().find_map(|line| line.strip_prefix(&format!("holdshort_calls{{state=\"{state}\"}} ")));
        let over = figure.is_none();
        let open = ["held", "approved", "cleared", "started", "in-doubt"].contains(&state);
        assert_ne!(over, open, "`/metrics` counts what is not over: {state}: {metrics}");
        assert!(over || figure == Some(&rows.len().to_string()), "{state}: {metrics}: {rows:?}");
        for row in rows {
            let id = (text(&row["run"]), row["call"].as_u64().unwrap());
            assert_eq!(row["state"], state);
            assert_eq!(listed.insert(id, state.to_owned()), None, "it is in one state only: {row}");
        }
    }
    assert_eq!(listed, proposed, "all that was proposed is in some state, and in the one that its events make of it");
    let all = list(operator, "/v1/approvals?state=all&limit=200", "approvals").len();
    assert_eq!(all, proposed.len(), "the list of all, and all states together");
}

fn list(operator: &mut Operator<'_>, path: &str, what: &str) -> Vec<Value> {
    operator.get(path)[what].as_array().unwrap().clone()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
