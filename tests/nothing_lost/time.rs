//! The host is killed while runs sleep or compute. A sleep ends at its original time, and a run that was computing
//! starts again.

use serde_json::json;

use crate::operator::Operator;
use crate::support::{Folder, until};

/// With 0 the run is parked at once. With 60,000 it waits in memory.
const LINGERS_MS: [u64; 2] = [0, 60_000];

#[test]
fn a_sleep_goes_on() {
    for linger_ms in LINGERS_MS {
        let folder = Folder::new(&["clock"], &format!("[limits]\nlinger-ms = {linger_ms}\n"));
        let mut operator = Operator::new(&folder, &[]);
        let run = operator.start("clock", "sleep=1500 ask now");
        // The host is killed twice while the run sleeps. The host that runs at the end of the sleep wakes the run.
        for _ in 0..2 {
            until("sleep", || (operator.run(&run)["state"] == "sleeping").then_some(()));
            operator.kill();
        }
        let approval = operator.held(&format!("{run}.1"));
        operator.decide(&approval, "respond", &json!({ "answer": "yes" }));
        let told = operator.over(&run)["result"]["ok"].as_str().unwrap().to_owned();
        let slept: u64 = told.lines().next().unwrap().trim_start_matches("sleep ").parse().unwrap();
        assert!(slept >= 1_500_000_000, "{told}");
        let events = operator.events(&run);
        assert_eq!(events.iter().filter(|event| *event == "timer-set").count(), 1, "{events:?}");
        assert_eq!(events.iter().filter(|event| *event == "timer-fired").count(), 1, "{events:?}");
    }
}

#[test]
fn a_sleep_that_ends_while_no_host_is_there_ends_at_the_next_start() {
    let folder = Folder::new(&["clock"], "[limits]\nlinger-ms = 0\n");
    let mut operator = Operator::new(&folder, &[]);
    let run = operator.start("clock", "sleep=200");
    until("sleep", || (operator.run(&run)["state"] == "sleeping").then_some(()));
    operator.kill();
    std::thread::sleep(std::time::Duration::from_millis(300));
    let row = operator.over(&run);
    assert_eq!(row["state"], "finished", "{row}");
    assert_eq!(operator.events(&run), ["run-created", "timer-set", "timer-fired", "run-finished"]);
}

/// An approval whose deadline passes while no host runs is expired at the next start, even if a decision arrives at
/// once.
#[test]
fn an_approval_that_lapses_while_no_host_is_there_has_lapsed() {
    let folder = Folder::new(&["clock"], "[approval]\nexpires-after = \"1s\"\n");
    let mut operator = Operator::new(&folder, &[]);
    let run = operator.start("clock", "ask");
    let id = format!("{run}.1");
    let approval = operator.held(&id);
    operator.kill();
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    let decision = json!({ "type": "respond", "answer": "yes", "digest": approval["digest"] });
    let (status, answer) = operator.ask(&format!("/v1/approvals/{id}/decisions"), Some(&decision));
    assert_eq!((status, &answer["type"]), (410, &json!("urn:holdshort:problem:expired")), "{answer}");
    let row = operator.over(&run);
    assert_eq!(row["result"]["err"], "Refusal::Expired", "{row}");
}

/// A run that computes when its host is killed has written nothing yet. It begins again, under the same limit.
#[test]
fn a_run_that_computes_begins_again() {
    let folder = Folder::new(&["spin"], "[limits]\ncpu-ms = 3000\n");
    let mut operator = Operator::new(&folder, &[]);
    let run = operator.start("spin", "");
    assert_eq!(operator.run(&run)["state"], "running");
    operator.kill();
    assert_eq!(operator.run(&run)["state"], "running");
    let row = operator.over(&run);
    assert_eq!(row["state"], "trapped", "{row}");
    assert!(row["reason"].as_str().unwrap().contains("3000 ms of CPU time"), "{row}");
    assert_eq!(operator.events(&run), ["run-created", "run-trapped"]);
}
