//! How a run ends, and that it ends only once.

use serde_json::{Value, json};

use crate::support::{Host, until};
use crate::{LONG, answer, folder, host, kinds};

/// An agent with its task, the state in which its run ends, words of the reason, and its events after the first.
const ENDS: &[(&str, &str, &str, &str, &[&str])] = &[
    ("clock", "random", "finished", "random ", &["run-finished"]),
    ("clock", "list list", "finished", "list 0", &["routine-returned", "routine-returned", "run-finished"]),
    ("clock", "list dance", "failed", "`dance` is not a word", &["routine-returned", "run-finished"]),
    ("command", "fail", "failed", "exit status 1", &["run-finished"]),
    ("trap", "panic", "trapped", "`unreachable`", &["run-trapped"]),
    ("trap", "after panic", "trapped", "`unreachable`", &["routine-returned", "run-trapped"]),
    ("trap", "memory", "trapped", "out of bounds", &["run-trapped"]),
    ("deep", "", "trapped", "the agent's stack overflowed", &["run-trapped"]),
    ("spin", "", "trapped", "used up its 300 ms of CPU time", &["run-trapped"]),
    ("hoard", "", "trapped", "more than its 16777216 bytes of memory", &["run-trapped"]),
    ("flood", "list 1", "finished", "made 1 calls, 0 of them refused", &["routine-returned", "run-finished"]),
    (
        "flood",
        "list 9",
        "trapped",
        "more than 3 host calls",
        &["routine-returned", "routine-returned", "routine-returned", "run-trapped"],
    ),
];

#[test]
fn every_end_is_told_apart_and_explained() {
    let agents = ["clock", "command", "trap", "deep", "spin", "hoard", "flood"];
    let more = "cpu-ms = 300\nmemory-mib = 16\ncalls = 3\n";
    let folder = folder(&agents, &format!("[limits]\n{more}"));
    let host = folder.serve();
    let runs: Vec<String> = ENDS.iter().map(|(agent, task, ..)| host.start(agent, task)).collect();
    for ((agent, task, state, said, events), run) in ENDS.iter().zip(&runs) {
        let row = host.over(run);
        assert_eq!(row["state"], *state, "{agent} {task}: {row}");
        let text = format!("{}{}", row["result"], row["reason"]);
        assert!(text.contains(said), "{agent} {task}: `{said}` is not in {text}");
        assert_eq!(kinds(&host, run)[1..], **events, "{agent} {task}");
        // A run that has ended cannot be cancelled.
        let (status, problem) = host.post(&format!("/v1/runs/{run}/cancel"), &json!({}));
        assert_eq!(status, 409, "{agent} {task}: {problem}");
    }
    host.all_parked();
}

/// Runs that are cancelled: the agent, the task, for how many milliseconds it waits in memory, and the state in which
/// it is cancelled.
const CANCELLED: &[(&str, &str, u64, &str)] = &[
    ("clock", "ask", LONG, "waiting"),
    ("clock", "ask", 0, "waiting"),
    ("clock", "sleep=600000", LONG, "sleeping"),
    ("clock", "sleep=600000", 0, "sleeping"),
    ("spin", "", 0, "running"),
];

#[test]
fn a_run_can_be_cancelled_whatever_it_does() {
    for (agent, task, linger_ms, state) in CANCELLED {
        let (_folder, host) = host(&[agent], *linger_ms, "cpu-ms = 3_600_000");
        let run = host.start(agent, task);
        until(state, || (host.show_run(&run)["state"] == *state).then_some(()));
        if *linger_ms == 0 && *state != "running" {
            host.all_parked();
        } else {
            until("live run", || (host.figure("holdshort_live_runs") == 1).then_some(()));
        }
        let held = (*state == "waiting").then(|| host.held(&run));
        for _ in 0..2 {
            let (status, answer) = host.post(&format!("/v1/runs/{run}/cancel"), &json!({ "reason": "enough" }));
            assert_eq!((status, answer), (200, json!({ "id": run, "state": "cancelled" })), "{agent} {task}");
        }
        let place = format!("{agent} {task} with {linger_ms} ms of linger");
        assert_eq!(host.over(&run)["state"], "cancelled", "{place}");
        host.all_parked();
        let kinds = kinds(&host, &run);
        assert_eq!(kinds.iter().filter(|kind| *kind == "run-cancelled").count(), 1, "{place}: {kinds:?}");
        if let Some(approval) = held {
            assert_withdrawn(&host, &approval);
        }
    }
}

/// Checks that a call of a cancelled run can no longer be decided.
fn assert_withdrawn(host: &Host, approval: &Value) {
    let id = approval["id"].as_str().unwrap();
    assert_eq!(host.approval(id)["state"], "cancelled");
    let (status, problem) = host.decide(approval, "respond", &json!({ "message": "too late" }));
    assert_eq!(status, 409, "{problem}");
    assert!(!kinds(host, approval["run"].as_str().unwrap()).contains(&"call-answered".to_owned()));
}

/// A run that was parked ends like any other run: with a result, with an error, or at its limit on calls, which also
/// counts the calls before the replay.
#[test]
fn a_replayed_run_ends_like_any_other() {
    let folder = folder(&["clock"], "[limits]\nlinger-ms = 0\ncalls = 3\n");
    let host = folder.serve();
    for (task, state, said) in [
        ("list ask list", "finished", "ask yes\\nlist 0"),
        ("list ask dance", "failed", "`dance` is not a word"),
        ("list ask list list", "trapped", "more than 3 host calls"),
    ] {
        let run = host.start("clock", task);
        host.held(&run);
        host.all_parked();
        answer(&host, &run, "yes");
        let row = host.over(&run);
        assert_eq!(row["state"], state, "{task}: {row}");
        assert!(row.to_string().contains(said), "{task}: {row}");
    }
}
